/* What the run itself makes, moves and removes: it is no input of the run. */
#include "observe.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <utime.h>

static int moved(int result, int from, const char *old, int to, const char *new) {
    int error = errno;
    if (!result) { note_path(READ, from, old); note_path(REMOVE, from, old); note_path(WRITE, to, new); }
    else note_outcome(STAT, false, from, old);
    errno = error;
    return result;
}
HOOK int rename(const char *old, const char *new) { return moved(REAL(rename)(old, new), AT_FDCWD, old, AT_FDCWD, new); }
HOOK int renameat(int from, const char *old, int to, const char *new) {
    return moved(REAL(renameat)(from, old, to, new), from, old, to, new); }
HOOK int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    NEWER(renameat2)
    return moved(REAL(renameat2)(from, old, to, new, flags), from, old, to, new); }

static int linked(int result, int from, const char *old, int to, const char *new) {
    int error = errno;
    if (!result) { note_path(READ, from, old); note_path(LINKED, from, old); note_path(CREATED, to, new); }
    else if (error == EEXIST) note_path(STAT, to, new);
    else note_outcome(READ, false, from, old);
    errno = error;
    return result;
}
HOOK int link(const char *old, const char *new) { return linked(REAL(link)(old, new), AT_FDCWD, old, AT_FDCWD, new); }
HOOK int linkat(int from, const char *old, int to, const char *new, int flags) {
    return linked(REAL(linkat)(from, old, to, new, flags), from, old, to, new); }

/* A file that is read through a link of the run's own is an input under its own name. */
static int led(int result, const char *to, int folder, const char *path) {
    char target[2 * PATH_MAX];
    struct statx found;
    int error = errno;
    note_outcome(CREATED, !result, folder, path);
    size_t head = 0, n = length_of(path), length = !result && observing ? length_of(to) : 0;
    for (size_t i = 0; to[0] != '/' && i < n; i++) if (path[i] == '/') head = i + 1;
    if (length && head + length < sizeof target) {
        memcpy(target, path, head);
        memcpy(target + head, to, length + 1);
        if (!sealed && !raw(SYS_statx, folder, (long)target, 0, STATX_TYPE, (long)&found, 0))
            note_path(S_ISDIR(found.stx_mode) ? LEADS : READ, folder, target);
    }
    errno = error;
    return result;
}
HOOK int symlink(const char *to, const char *path) { return led(REAL(symlink)(to, path), to, AT_FDCWD, path); }
HOOK int symlinkat(const char *to, int folder, const char *path) {
    return led(REAL(symlinkat)(to, folder, path), to, folder, path); }

#define ONE(op, name, folder, parameters, ...) HOOK int name parameters { \
    int result = REAL(name)(__VA_ARGS__); note_outcome(op, !result, folder, path); return result; }
ONE(REMOVE, unlink, AT_FDCWD, (const char *path), path)
ONE(REMOVE, unlinkat, folder, (int folder, const char *path, int flags), folder, path, flags)
ONE(REMOVE, rmdir, AT_FDCWD, (const char *path), path)
ONE(REMOVE, remove, AT_FDCWD, (const char *path), path)
ONE(FOLDER, mkdir, AT_FDCWD, (const char *path, mode_t mode), path, mode)
ONE(FOLDER, mkdirat, folder, (int folder, const char *path, mode_t mode), folder, path, mode)
ONE(CREATED, mkfifo, AT_FDCWD, (const char *path, mode_t mode), path, mode)
ONE(CREATED, mkfifoat, folder, (int folder, const char *path, mode_t mode), folder, path, mode)
ONE(CREATED, mknod, AT_FDCWD, (const char *path, mode_t mode, dev_t device), path, mode, device)
ONE(CREATED, mknodat, folder, (int folder, const char *path, mode_t mode, dev_t device), folder, path, mode, device)
ONE(UPDATE, truncate, AT_FDCWD, (const char *path, off_t size), path, size)
ONE(UPDATE, truncate64, AT_FDCWD, (const char *path, off64_t size), path, size)
ONE(UPDATE, chmod, AT_FDCWD, (const char *path, mode_t mode), path, mode)
ONE(UPDATE, fchmodat, folder, (int folder, const char *path, mode_t mode, int flags), folder, path, mode, flags)
ONE(UPDATE, chown, AT_FDCWD, (const char *path, uid_t user, gid_t group), path, user, group)
ONE(UPDATE, lchown, AT_FDCWD, (const char *path, uid_t user, gid_t group), path, user, group)
ONE(UPDATE, fchownat, folder, (int folder, const char *path, uid_t user, gid_t group, int flags), folder, path, user, group, flags)

/* A file's mode is part of its state, and a descriptor changes it as well. */
HOOK int fchmod(int descriptor, mode_t mode) {
    int result = REAL(fchmod)(descriptor, mode), error = errno;
    if (!result) note_descriptor(UPDATE, descriptor);
    errno = error;
    return result;
}

#define TEMPORARY(name, parameters, ...) HOOK int name parameters { \
    int result = REAL(name)(__VA_ARGS__), error = errno; if (result >= 0) { remember_made(result); note_path(WRITE, AT_FDCWD, path); } errno = error; return result; }
TEMPORARY(mkstemp, (char *path), path)
TEMPORARY(mkstemp64, (char *path), path)
TEMPORARY(mkostemp, (char *path, int flags), path, flags)
TEMPORARY(mkostemp64, (char *path, int flags), path, flags)
TEMPORARY(mkstemps, (char *path, int suffix), path, suffix)
TEMPORARY(mkstemps64, (char *path, int suffix), path, suffix)
TEMPORARY(mkostemps, (char *path, int suffix, int flags), path, suffix, flags)
TEMPORARY(mkostemps64, (char *path, int suffix, int flags), path, suffix, flags)
HOOK char *mkdtemp(char *path) {
    char *result = REAL(mkdtemp)(path);
    int error = errno;
    if (result) note_path(FOLDER, AT_FDCWD, path);
    errno = error;
    return result;
}
