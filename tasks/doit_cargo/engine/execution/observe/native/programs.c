/* Programs that are started. Each start is noted, so that one without a log of its own is known to be unseen; and the
 * observer is put back into an environment that lost it, or taken out of one for a program that it would break. */
#include "observe.h"
#include <alloca.h>
#include <elf.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <wordexp.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

struct program {
    const char *reason; /* for which it cannot be observed, "" */
    bool harmful;       /* the library would break it, or it would print a warning */
};

static long read_at(int descriptor, void *to, size_t n, uint64_t at) { return RAW(SYS_pread64, descriptor, to, n, at); }

static bool contains(const char *text, size_t n, const char *word) {
    size_t m = length_of(word);
    for (size_t i = 0; i + m <= n; i++) if (text[i] == word[0] && !memcmp(text + i, word, m)) return true;
    return false;
}

/* The names in the dynamic section: a sanitizer's run time must come first among the libraries, or it ends the program. */
static bool has_sanitizer(int descriptor, const Elf64_Phdr *headers, int count, const Elf64_Phdr *dynamic) {
    Elf64_Dyn entries[96];
    long n = read_at(descriptor, entries, sizeof entries, dynamic->p_offset) / (long)sizeof *entries;
    uint64_t names = 0, size = 0;
    for (long i = 0; i < n && entries[i].d_tag != DT_NULL; i++) {
        if (entries[i].d_tag == DT_STRTAB) names = entries[i].d_un.d_ptr;
        if (entries[i].d_tag == DT_STRSZ) size = entries[i].d_un.d_val;
    }
    for (int i = 0; i < count; i++) {
        if (headers[i].p_type != PT_LOAD || names < headers[i].p_vaddr || names >= headers[i].p_vaddr + headers[i].p_filesz) continue;
        uint64_t from = names - headers[i].p_vaddr + headers[i].p_offset;
        char text[4096 + 16];
        for (uint64_t at = 0; at < size && at < (4u << 20); at += 4096) { /* 16 bytes twice: a name may lie across */
            long got = read_at(descriptor, text, sizeof text, from + at);
            if (got <= 0) break;
            if (contains(text, got, "__asan_init") || contains(text, got, "__tsan_init") || contains(text, got, "__msan_init")
                || contains(text, got, "libasan.so") || contains(text, got, "libtsan.so") || contains(text, got, "libclang_rt."))
                return true;
        }
    }
    return false;
}

/* Go's note is one of several where the system's linker had a hand in it (cgo). */
static bool is_go(int descriptor, const Elf64_Phdr *segment) {
    char text[512];
    size_t n = segment->p_filesz < sizeof text ? segment->p_filesz : sizeof text;
    long got = read_at(descriptor, text, n, segment->p_offset);
    for (long at = 0; at + (long)sizeof(Elf64_Nhdr) + 4 <= got;) {
        Elf64_Nhdr note;
        memcpy(&note, text + at, sizeof note);
        if (note.n_namesz == 4 && memcmp(text + at + sizeof note, "Go\0", 4) == 0) return true;
        at += sizeof note + ((note.n_namesz + 3L) & ~3L) + ((note.n_descsz + 3L) & ~3L);
    }
    return false;
}

static struct program inspect_elf(int descriptor, const Elf64_Ehdr *header) {
    Elf64_Phdr parts[32];
    const Elf64_Phdr *dynamic = 0;
    bool interpreter = false;
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != MACHINE)
        return (struct program){"it is a program for another architecture", true};
    int count = header->e_phnum < 32 ? header->e_phnum : 32;
    count = read_at(descriptor, parts, count * sizeof *parts, header->e_phoff) / (long)sizeof *parts;
    for (int i = 0; i < count; i++) {
        char name[64] = "";
        if (parts[i].p_type == PT_DYNAMIC) dynamic = &parts[i];
        if (parts[i].p_type == PT_NOTE && is_go(descriptor, &parts[i]))
            return (struct program){"it is a Go program, whose system calls do not pass libc", false};
        if (parts[i].p_type != PT_INTERP) continue;
        interpreter = true;
        read_at(descriptor, name, sizeof name - 1, parts[i].p_offset);
        if (!contains(name, sizeof name, "/ld-linux")) return (struct program){"it uses another C library (musl)", true};
    }
    if (!interpreter) return (struct program){"it is a static program", false};
    if (dynamic && has_sanitizer(descriptor, parts, count, dynamic))
        return (struct program){"it is built with a sanitizer, which lets no library come before its own", true};
    return (struct program){"", false};
}

static bool is_privileged(int descriptor) {
    struct stat at;
    char value[64];
    if (RAW(SYS_fgetxattr, descriptor, "security.capability", value, sizeof value) > 0) return true;
    if (raw(SYS_newfstatat, descriptor, (long)"", (long)&at, AT_EMPTY_PATH, 0, 0)) return false;
    if (at.st_mode & S_ISUID && at.st_uid != (uid_t)RAW(SYS_getuid, 0, 0, 0, 0)) return true;
    return (at.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && at.st_gid != (gid_t)RAW(SYS_getgid, 0, 0, 0, 0);
}

static struct program inspect(const char *path, int depth);

/* A script is run by the program that its first line names. */
static struct program inspect_script(char *line, long n, int depth) {
    char *at = line + 2, *end = line + n;
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    char *name = at;
    while (at < end && *at != ' ' && *at != '\t' && *at != '\n' && *at) at++;
    if (at == end || at == name || depth > 4) return (struct program){"", false};
    *at = 0;
    note_path(EXECUTE, AT_FDCWD, name);
    return inspect(name, depth + 1);
}

static struct program inspect(const char *path, int depth) {
    char start[512] __attribute__((aligned(8)));
    int descriptor = RAW(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (descriptor < 0) return (struct program){"", false};
    struct program program = {"", false};
    long n = read_at(descriptor, start, sizeof start, 0);
    if (n > (long)sizeof(Elf64_Ehdr) && !memcmp(start, ELFMAG, SELFMAG)) {
        program = inspect_elf(descriptor, (const Elf64_Ehdr *)start);
        if (!*program.reason && is_privileged(descriptor))
            program.reason = "it has more rights than its caller (setuid), so the loader ignores the observer";
    } else if (n > 2 && start[0] == '#' && start[1] == '!') program = inspect_script(start, n, depth);
    RAW(SYS_close, descriptor, 0, 0, 0);
    return program;
}

static struct program judge(const char *path) {
    if (sealed) return (struct program){"it is started within a seccomp filter", true};
    int descriptor = RAW(SYS_openat, AT_FDCWD, library, O_RDONLY | O_CLOEXEC, 0);
    if (descriptor < 0) return (struct program){"the observer's library cannot be reached where it runs (chroot, another user)", true};
    RAW(SYS_close, descriptor, 0, 0, 0);
    return inspect(path, 0);
}

/* For the program that begins a run, which nobody observed starts. */
HOOK const char *doit_cargo_unseen(const char *path, bool *harmful) {
    struct program program = inspect(path, 0);
    *harmful = program.harmful;
    return program.reason;
}

/* Where a bare name is found on PATH; those looked for in vain are inputs as well. */
static const char *search(const char *name, char *to, const char *path) {
    size_t n = length_of(name);
    for (const char *at = name; *at; at++) if (*at == '/') return name;
    for (const char *folder = path ? path : "/bin:/usr/bin"; n && n < 256; folder++) {
        size_t m = 0;
        struct stat found;
        while (folder[m] && folder[m] != ':') m++;
        if (m + n + 2 < PATH_MAX) {
            memcpy(to, folder, m);
            to[m] = '/';
            memcpy(to + (m ? m + 1 : 0), name, n + 1);
            if (!RAW(SYS_faccessat, AT_FDCWD, to, X_OK, 0) && !RAW(SYS_newfstatat, AT_FDCWD, to, &found, 0) && S_ISREG(found.st_mode)) return to;
            note_path(ABSENT, AT_FDCWD, to);
        }
        folder += m;
        if (!*folder) break;
    }
    return name;
}

static const char *value_in(char *const *variables, const char *name) {
    size_t n = length_of(name);
    for (; variables && *variables; variables++)
        if (starts(*variables, name) && (*variables)[n] == '=') return *variables + n + 1;
    return 0;
}

/* Where `own` is named in a list of libraries, or 0. */
static const char *within(const char *list, const char *own) {
    size_t n = length_of(own);
    for (const char *at = list; at && *at; at++)
        if (starts(at, own) && (!at[n] || at[n] == ':' || at[n] == ' ')) return at;
    return 0;
}

/* The child's LD_PRELOAD: the user's own libraries first (a sanitizer's must be), then ours, or without ours. */
static size_t preload_of(char *to, const char *before, bool harmful) {
    static const char name[] = "LD_PRELOAD=";
    char *at = to;
    memcpy(at, name, sizeof name - 1);
    at += sizeof name - 1;
    const char *own = before ? within(before, library) : 0;
    for (const char *from = before; from && *from;) {
        if (from == own) { from += length_of(library); if (*from) from++; continue; }
        *at++ = *from++;
    }
    while (at > to + sizeof name - 1 && (at[-1] == ':' || at[-1] == ' ')) at--;
    size_t users = at - (to + sizeof name - 1);
    if (!harmful) {
        if (users) *at++ = ':';
        for (const char *from = library; *from;) *at++ = *from++;
        users = 1;
    }
    *at = 0;
    return users;
}

static char *const *refill(char *const *from, char **to, char *preload, char *folders, const char *before, bool harmful) {
    size_t n = 0;
    for (; from && *from; from++)
        if (!starts(*from, "LD_PRELOAD=") && !starts(*from, VARIABLE "=")) to[n++] = *from;
    if (preload_of(preload, before, harmful)) to[n++] = preload;
    memcpy(folders, VARIABLE "=", sizeof VARIABLE);
    memcpy(folders + sizeof VARIABLE, places, length_of(places) + 1);
    to[n++] = folders;
    to[n] = 0;
    return to;
}

static size_t count(char *const *list) { size_t n = 0; while (list && list[n]) n++; return n; }

/* Sets `variables` to what the child shall get. On the caller's stack: after a vfork there is no other memory to use. */
#define PREPARE(name, given) \
    char found_[PATH_MAX]; \
    const char *path = search(name, found_, getenv_quietly("PATH")); \
    struct program program = observing ? judge(path) : (struct program){"", false}; \
    char *const *variables = given; \
    const char *before_ = value_in(given, "LD_PRELOAD"), *folders_ = value_in(given, VARIABLE); \
    if (observing && (program.harmful ? within(before_, library) != 0 : !within(before_, library) || !folders_)) \
        variables = refill(given, alloca((count(given) + 3) * sizeof(char *)), alloca((before_ ? length_of(before_) : 0) + PATH_MAX + 32), \
                           alloca(2 * PATH_MAX + 32), before_, program.harmful)

static const char *getenv_quietly(const char *name) { return value_in(environ, name); }

static char *number(char *to, uint64_t value) {
    char digits[24];
    int n = 0;
    do digits[n++] = '0' + value % 10; while (value /= 10);
    while (n) *to++ = digits[--n];
    return to;
}

static void note_start(long pid, uint64_t order, struct program program, const char *path) {
    char text[PATH_MAX + 256], *at = number(text, pid);
    *at++ = 1;
    at = number(at, order);
    *at++ = 1;
    for (const char *from = program.reason; *from && at < text + 200;) *at++ = *from++;
    *at++ = 1;
    for (const char *from = path; *from && at < text + sizeof text - 1;) *at++ = *from++;
    note(START, text, at - text);
    note_path(EXECUTE, AT_FDCWD, path);
}

static void note_failure(long pid, const char *path) {
    int error = errno;
    char text[24];
    note(NOT_STARTED, text, number(text, pid) - text);
    note_outcome(EXECUTE, false, AT_FDCWD, path);
    errno = error;
}

#define BECOME(name, given, call) \
    PREPARE(name, given); \
    int error_ = errno; \
    long pid = sealed ? 0 : RAW(SYS_getpid, 0, 0, 0, 0); \
    note_libraries(); \
    note_start(pid, next_order(), program, path); \
    errno = error_; \
    int result = call; \
    note_failure(pid, path); \
    return result

int start_again(const char *name, char *const argv[], char *const given[]) {
    BECOME(name, given, REAL(execve)(name, argv, variables));
}
HOOK int execve(const char *name, char *const argv[], char *const given[]) { return start_again(name, argv, given); }
HOOK int execv(const char *name, char *const argv[]) { return start_again(name, argv, environ); }
HOOK int execvpe(const char *name, char *const argv[], char *const given[]) {
    BECOME(name, given, REAL(execvpe)(name, argv, variables));
}
HOOK int execvp(const char *name, char *const argv[]) { return execvpe(name, argv, environ); }

HOOK int fexecve(int descriptor, char *const argv[], char *const given[]) {
    char name[PATH_MAX];
    name[descriptor_path(descriptor, name, sizeof name - 1)] = 0;
    BECOME(name, given, REAL(fexecve)(descriptor, argv, variables));
}
HOOK int execveat(int folder, const char *relative, char *const argv[], char *const given[], int flags) {
    NEWER(execveat)
    char name[2 * PATH_MAX];
    size_t n = relative[0] == '/' ? 0 : folder == AT_FDCWD ? 0 : descriptor_path(folder, name, PATH_MAX);
    if (n && *relative) name[n++] = '/';
    size_t m = length_of(relative) < PATH_MAX ? length_of(relative) : PATH_MAX - 1;
    memcpy(name + n, relative, m);
    name[n + m] = 0;
    BECOME(name, given, REAL(execveat)(folder, relative, argv, variables, flags));
}

#define ARGUMENTS(last) \
    size_t n_ = 1; \
    va_list more; \
    va_start(more, first); \
    while (va_arg(more, char *)) n_++; \
    va_end(more); \
    char **argv = alloca((n_ + 1) * sizeof *argv); \
    argv[0] = (char *)first; \
    va_start(more, first); \
    for (size_t i = 1; i <= n_; i++) argv[i] = va_arg(more, char *); \
    last; \
    va_end(more)
HOOK int execl(const char *name, const char *first, ...) { ARGUMENTS(); return start_again(name, argv, environ); }
HOOK int execlp(const char *name, const char *first, ...) { ARGUMENTS(); return execvpe(name, argv, environ); }
HOOK int execle(const char *name, const char *first, ...) {
    char *const *given;
    ARGUMENTS(given = va_arg(more, char *const *));
    return start_again(name, argv, given);
}

/* Files that libc opens for a program, between fork and exec. */
static _Atomic bool starts_elsewhere;
HOOK int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *restrict actions, const char *restrict path) {
    if (!REAL(posix_spawn_file_actions_addchdir_np)) return ENOSYS;
    int error = errno;
    starts_elsewhere = true;
    note_path(STAT, AT_FDCWD, path);
    errno = error;
    return REAL(posix_spawn_file_actions_addchdir_np)(actions, path);
}
HOOK int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *restrict actions, int descriptor,
        const char *restrict path, int flags, mode_t mode) {
    int result = REAL(posix_spawn_file_actions_addopen)(actions, descriptor, path, flags, mode), error = errno;
    if (!result && observing && !sealed) {
        bool reads = (flags & O_ACCMODE) != O_WRONLY && !(flags & O_TRUNC);
        bool there = !RAW(SYS_faccessat, AT_FDCWD, path, F_OK, 0);
        if (path[0] != '/' && starts_elsewhere) note_text(BLIND, "it has a file opened in another folder for a program");
        if (!there || reads) note_path(there ? READ : ABSENT, AT_FDCWD, path);
        if ((flags & O_ACCMODE) != O_RDONLY) note_path(there && !(flags & O_TRUNC) ? UPDATE : WRITE, AT_FDCWD, path);
    }
    errno = error;
    return result;
}

#define SPAWN(name) HOOK int name(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, \
        const posix_spawnattr_t *attributes, char *const argv[], char *const given[]) { \
    pid_t child = 0; \
    uint64_t order = next_order(); \
    PREPARE(file, given); \
    int result = REAL(name)(&child, file, actions, attributes, argv, variables), error = errno; \
    if (pid && !result) *pid = child; \
    if (!result) note_start(child, order, program, path); \
    else { errno = result; note_outcome(EXECUTE, false, AT_FDCWD, path); } \
    errno = error; \
    return result; \
}
SPAWN(posix_spawn) SPAWN(posix_spawnp)

#if __GLIBC_PREREQ(2, 39)
/* The process that a pidfd stands for: "Pid:\t123" in its fdinfo. */
static long process_of(int descriptor) {
    char name[64] = "/proc/self/fdinfo/", text[512] = "";
    *number(name + 18, descriptor) = 0;
    int file = RAW(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return 0;
    RAW(SYS_read, file, text, sizeof text - 1, 0);
    RAW(SYS_close, file, 0, 0, 0);
    long pid = 0;
    for (const char *at = text; *at; at++) {
        if (!starts(at, "\nPid:\t")) continue;
        for (at += 6; *at >= '0' && *at <= '9'; at++) pid = pid * 10 + *at - '0';
        break;
    }
    return pid;
}
#define SPAWN_PIDFD(name) HOOK int name(int *to, const char *file, const posix_spawn_file_actions_t *actions, \
        const posix_spawnattr_t *attributes, char *const argv[], char *const given[]) { \
    uint64_t order = next_order(); \
    if (!REAL(name)) return ENOSYS; \
    PREPARE(file, given); \
    int result = REAL(name)(to, file, actions, attributes, argv, variables), error = errno; \
    if (!result) note_start(process_of(*to), order, program, path); \
    else { errno = result; note_outcome(EXECUTE, false, AT_FDCWD, path); } \
    errno = error; \
    return result; \
}
SPAWN_PIDFD(pidfd_spawn) SPAWN_PIDFD(pidfd_spawnp)
#endif

/* libc starts the shell past these hooks, with the environment as it is. */
static void shell(void) {
    int error = errno;
    note(SHELL, "/bin/sh", 7);
    note_path(EXECUTE, AT_FDCWD, "/bin/sh");
    errno = error;
}
HOOK int system(const char *command) { if (command) shell(); return REAL(system)(command); }
HOOK FILE *popen(const char *command, const char *mode) {
    FILE *result = REAL(popen)(command, mode);
    if (result) shell();
    return result;
}
HOOK int wordexp(const char *words, wordexp_t *to, int flags) {
    if (!(flags & WRDE_NOCMD)) note_text(BLIND, "it expands words as a shell does (wordexp)");
    return REAL(wordexp)(words, to, flags);
}
