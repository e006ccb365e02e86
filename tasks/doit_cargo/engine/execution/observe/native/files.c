/* Files and folders that are read, looked at or looked for. */
#include "observe.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <fts.h>
#include <glob.h>
#include <stdio.h>
#include <semaphore.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

/* Whether an open that may make its file, and keeps what is in it, will find none. */
static bool will_make(int flags, int folder, const char *path) {
    MAYBE_NULL(path);
    if ((flags & (O_CREAT | O_EXCL | O_TRUNC)) != O_CREAT || !observing || sealed || !path) return false;
    return RAW(SYS_faccessat, folder, path, F_OK, 0) == -ENOENT;
}

/* Opened for reading and writing at once: both. One that it has made was absent, and holds nothing of before. */
static void opened(bool makes, int flags, int result, int folder, const char *path) {
    if (makes && result >= 0) { note_path(ABSENT, folder, path); flags |= O_TRUNC; }
    if ((flags & (O_ACCMODE | O_TRUNC | O_EXCL | O_PATH)) == O_RDWR && (flags & __O_TMPFILE) != __O_TMPFILE)
        note_open(O_RDONLY, result, folder, path);
    note_open(flags, result, folder, path);
}

#define MODE(last) mode_t mode = 0; \
    if (flags & O_CREAT || (flags & __O_TMPFILE) == __O_TMPFILE) { va_list more; va_start(more, last); mode = va_arg(more, mode_t); va_end(more); }
#define OPEN(name) HOOK int name(const char *path, int flags, ...) { \
    MODE(flags) bool makes = will_make(flags, AT_FDCWD, path); int result = REAL(name)(path, flags, mode); \
    opened(makes, flags, result, AT_FDCWD, path); \
    return result; }
#define OPENAT(name) HOOK int name(int folder, const char *path, int flags, ...) { \
    MODE(flags) bool makes = will_make(flags, folder, path); int result = REAL(name)(folder, path, flags, mode); \
    opened(makes, flags, result, folder, path); \
    return result; }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)

#define FORTIFIED(name) int name(const char *path, int flags); HOOK int name(const char *path, int flags) { \
    int result = REAL(name)(path, flags); opened(false, flags, result, AT_FDCWD, path); return result; }
#define FORTIFIEDAT(name) int name(int folder, const char *path, int flags); HOOK int name(int folder, const char *path, int flags) { \
    int result = REAL(name)(folder, path, flags); opened(false, flags, result, folder, path); return result; }
FORTIFIED(__open_2) FORTIFIED(__open64_2) FORTIFIEDAT(__openat_2) FORTIFIEDAT(__openat64_2)

#define CREAT(name) HOOK int name(const char *path, mode_t mode) { \
    int result = REAL(name)(path, mode); note_open(O_WRONLY | O_TRUNC, result, AT_FDCWD, path); return result; }
CREAT(creat) CREAT(creat64)

HOOK int open_by_handle_at(int mount, struct file_handle *handle, int flags) { /* a number in place of a path */
    int result = REAL(open_by_handle_at)(mount, handle, flags), error = errno;
    if (result >= 0) opened(false, flags, result, result, "");
    errno = error;
    return result;
}
HOOK int name_to_handle_at(int folder, const char *path, struct file_handle *handle, int *mount, int flags) {
    int result = REAL(name_to_handle_at)(folder, path, handle, mount, flags);
    note_outcome(STAT, !result, folder, path);
    return result;
}

/* Memory and semaphores with a name are files in /dev/shm, which libc opens past these hooks. */
#define IN_MEMORY(head) char path[PATH_MAX]; size_t at = sizeof "/dev/shm/" head - 1; \
    memcpy(path, "/dev/shm/" head, at + 1); \
    while (*name == '/') name++; \
    while (*name && at < sizeof path - 1) path[at++] = *name++; \
    path[at] = 0;
HOOK int shm_open(const char *name, int flags, mode_t mode) {
    NEWER(shm_open)
    const char *const given = name;
    IN_MEMORY("")
    bool makes = will_make(flags, AT_FDCWD, path);
    int result = REAL(shm_open)(given, flags, mode);
    opened(makes, flags, result, AT_FDCWD, path);
    return result;
}
HOOK sem_t *sem_open(const char *name, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    unsigned value = flags & O_CREAT ? va_arg(more, unsigned) : 0;
    va_end(more);
    if (!REAL(sem_open)) { errno = ENOSYS; return SEM_FAILED; }
    const char *const given = name;
    IN_MEMORY("sem.")
    bool makes = will_make(flags, AT_FDCWD, path);
    sem_t *result = REAL(sem_open)(given, flags, mode, value);
    int error = errno;
    if (makes && result != SEM_FAILED) note_path(WRITE, AT_FDCWD, path);
    else if (result != SEM_FAILED && flags & O_CREAT && flags & O_EXCL) note_path(CREATED, AT_FDCWD, path);
    else if (result != SEM_FAILED) { note_path(READ, AT_FDCWD, path); note_path(UPDATE, AT_FDCWD, path); }
    errno = error;
    if (result == SEM_FAILED) note_outcome(READ, false, AT_FDCWD, path);
    return result;
}
#define UNLINK(called, head) HOOK int called(const char *name) { \
    NEWER(called) \
    const char *const given = name; \
    IN_MEMORY(head) \
    int result = REAL(called)(given); \
    note_outcome(REMOVE, !result, AT_FDCWD, path); \
    return result; }
UNLINK(shm_unlink, "") UNLINK(sem_unlink, "sem.")

static int stream_flags(const char *mode) {
    bool both = false;
    int excludes = 0;
    for (const char *at = mode; *at && *at != ','; at++) {
        both |= *at == '+';
        if (*at == 'x') excludes = O_CREAT | O_EXCL;
    }
    if (mode[0] == 'r') return both ? O_RDWR : O_RDONLY;
    return excludes | (mode[0] == 'w' ? O_WRONLY | O_TRUNC : both ? O_RDWR : O_WRONLY);
}
#define FOPEN(name) HOOK FILE *name(const char *path, const char *mode) { \
    FILE *result = REAL(name)(path, mode); opened(false, stream_flags(mode), result ? fileno(result) : -1, AT_FDCWD, path); return result; }
#define FREOPEN(name) HOOK FILE *name(const char *path, const char *mode, FILE *stream) { \
    FILE *result = REAL(name)(path, mode, stream); MAYBE_NULL(path); \
    if (path) { opened(false, stream_flags(mode), result ? fileno(result) : -1, AT_FDCWD, path); } \
    return result; }
FOPEN(fopen) FOPEN(fopen64) FREOPEN(freopen) FREOPEN(freopen64)

#define LOOK(name, ...) \
    int result = REAL(name)(__VA_ARGS__); note_outcome(STAT, !result, AT_FDCWD, path); return result;
#define STAT1(name, type) HOOK int name(const char *path, type *to) { LOOK(name, path, to) }
#define STATV(name, type) int name(int, const char *, type *); HOOK int name(int version, const char *path, type *to) { LOOK(name, version, path, to) }
STAT1(stat, struct stat) STAT1(lstat, struct stat) STAT1(stat64, struct stat64) STAT1(lstat64, struct stat64)
STATV(__xstat, struct stat) STATV(__lxstat, struct stat) STATV(__xstat64, struct stat64) STATV(__lxstat64, struct stat64)
STAT1(statfs, struct statfs) STAT1(statfs64, struct statfs64) STAT1(statvfs, struct statvfs) STAT1(statvfs64, struct statvfs64)
HOOK int access(const char *path, int mode) { LOOK(access, path, mode) }
HOOK int eaccess(const char *path, int mode) { LOOK(eaccess, path, mode) }
HOOK int euidaccess(const char *path, int mode) { LOOK(euidaccess, path, mode) }
HOOK int chdir(const char *path) { LOOK(chdir, path) }
HOOK int inotify_add_watch(int descriptor, const char *path, uint32_t mask) {
    int result = REAL(inotify_add_watch)(descriptor, path, mask); note_outcome(STAT, result >= 0, AT_FDCWD, path); return result; }

/* An empty path means the descriptor itself: its file was opened and noted before. */
#define LOOKAT(...) \
    int result = __VA_ARGS__; MAYBE_NULL(path); if (path && *path) note_outcome(STAT, !result, folder, path); return result;
#define STATAT(name, type) HOOK int name(int folder, const char *path, type *to, int flags) { LOOKAT(REAL(name)(folder, path, to, flags)) }
#define STATATV(name, type) int name(int, int, const char *, type *, int); HOOK int name(int version, int folder, const char *path, type *to, int flags) { \
    LOOKAT(REAL(name)(version, folder, path, to, flags)) }
STATAT(fstatat, struct stat) STATAT(fstatat64, struct stat64) STATATV(__fxstatat, struct stat) STATATV(__fxstatat64, struct stat64)
HOOK int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict to) {
    NEWER(statx)
    int result = REAL(statx)(folder, path, flags, mask, to), error = errno;
    MAYBE_NULL(path);
    if (!path || !*path) return result;
    if (!result && looked_at_made(to)) note_path(WRITE, folder, path);
    errno = error;
    note_outcome(STAT, !result, folder, path);
    return result; }
HOOK int faccessat(int folder, const char *path, int mode, int flags) { LOOKAT(REAL(faccessat)(folder, path, mode, flags)) }

/* Attributes of the user's own are no part of a file's state. */
static void attribute(const char *key, ssize_t result) {
    int error = errno;
    if (result >= 0 && starts(key, "user.")) note_text(BLIND, "it reads extended attributes of files");
    errno = error;
}
#define XATTR(name) HOOK ssize_t name(const char *path, const char *key, void *to, size_t room) { \
    ssize_t result = REAL(name)(path, key, to, room); attribute(key, result); \
    note_outcome(STAT, result >= 0, AT_FDCWD, path); return result; }
XATTR(getxattr) XATTR(lgetxattr)
HOOK ssize_t fgetxattr(int descriptor, const char *key, void *to, size_t room) {
    ssize_t result = REAL(fgetxattr)(descriptor, key, to, room); attribute(key, result); return result; }

HOOK ssize_t readlink(const char *path, char *to, size_t room) {
    ssize_t result = REAL(readlink)(path, to, room); note_outcome(LINK, result >= 0, AT_FDCWD, path); return result; }
HOOK ssize_t readlinkat(int folder, const char *path, char *to, size_t room) {
    ssize_t result = REAL(readlinkat)(folder, path, to, room); note_outcome(LINK, result >= 0, folder, path); return result; }
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
HOOK ssize_t __readlink_chk(const char *path, char *to, size_t room, size_t size) {
    ssize_t result = REAL(__readlink_chk)(path, to, room, size); note_outcome(LINK, result >= 0, AT_FDCWD, path); return result; }

/* Every link on the way counts, so the state is where the whole path leads. */
static char *resolved(char *result, const char *path) {
    MAYBE_NULL(path);
    note_outcome(RESOLVE, result != 0, AT_FDCWD, path);
    return result;
}
HOOK char *realpath(const char *path, char *to) { return resolved(REAL(realpath)(path, to), path); }
HOOK char *canonicalize_file_name(const char *path) { return resolved(REAL(canonicalize_file_name)(path), path); }
char *__realpath_chk(const char *, char *, size_t);
HOOK char *__realpath_chk(const char *path, char *to, size_t size) { return resolved(REAL(__realpath_chk)(path, to, size), path); }

HOOK DIR *opendir(const char *path) {
    DIR *result = REAL(opendir)(path); note_outcome(LIST, result != 0, AT_FDCWD, path); return result; }
HOOK DIR *fdopendir(int folder) {
    DIR *result = REAL(fdopendir)(folder); int error = errno; if (result) note_descriptor(LIST, folder); errno = error; return result; }
HOOK ssize_t getdents64(int folder, void *to, size_t room) {
    NEWER(getdents64)
    ssize_t result = REAL(getdents64)(folder, to, room); int error = errno; if (result >= 0) note_descriptor(LIST, folder); errno = error; return result; }

#define SCANDIR(name, entry) HOOK int name(const char *path, struct entry ***to, int (*keep)(const struct entry *), \
        int (*order)(const struct entry **, const struct entry **)) { \
    int result = REAL(name)(path, to, keep, order); note_outcome(LIST, result >= 0, AT_FDCWD, path); return result; }
#define SCANDIRAT(name, entry) HOOK int name(int folder, const char *path, struct entry ***to, int (*keep)(const struct entry *), \
        int (*order)(const struct entry **, const struct entry **)) { \
    int result = REAL(name)(folder, path, to, keep, order); note_outcome(LIST, result >= 0, folder, path); return result; }
SCANDIR(scandir, dirent) SCANDIR(scandir64, dirent64) SCANDIRAT(scandirat, dirent) SCANDIRAT(scandirat64, dirent64)

/* glob asks libc's own functions, past these hooks, unless it is given some: it gets these, which ask the same. */
static void close_folder(void *folder) { closedir(folder); }
#define GLOB(name, result_type, entry, stat_name, lstat_name) \
    HOOK int name(const char *pattern, int flags, int (*failed)(const char *, int), result_type *to) { \
        if (flags & GLOB_ALTDIRFUNC || !observing) return REAL(name)(pattern, flags, failed, to); \
        to->gl_opendir = (void *(*)(const char *))opendir; \
        to->gl_readdir = (struct entry *(*)(void *))entry##_next; \
        to->gl_closedir = close_folder; \
        to->gl_stat = stat_name; \
        to->gl_lstat = lstat_name; \
        int result = REAL(name)(pattern, flags | GLOB_ALTDIRFUNC, failed, to); \
        to->gl_flags &= ~GLOB_ALTDIRFUNC; \
        return result; \
    }
#define dirent_next readdir
#define dirent64_next readdir64
GLOB(glob, glob_t, dirent, stat, lstat) GLOB(glob64, glob64_t, dirent64, stat64, lstat64)

#define WALK(name, callback) HOOK int name(const char *path, callback each, int descriptors) { \
    note_path(TREE, AT_FDCWD, path); return REAL(name)(path, each, descriptors); }
#define WALKN(name, callback) HOOK int name(const char *path, callback each, int descriptors, int flags) { \
    note_path(TREE, AT_FDCWD, path); return REAL(name)(path, each, descriptors, flags); }
WALK(ftw, __ftw_func_t) WALK(ftw64, __ftw64_func_t) WALKN(nftw, __nftw_func_t) WALKN(nftw64, __nftw64_func_t)
HOOK FTS *fts_open(char *const *paths, int options, int (*order)(const FTSENT **, const FTSENT **)) {
    for (char *const *at = paths; at && *at; at++) note_path(TREE, AT_FDCWD, *at);
    return REAL(fts_open)(paths, options, order);
}
