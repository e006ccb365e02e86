/* Paths as the log has them: absolute, as the program meant them. */
#include "observe.h"

/* Keeps `path`'s text out of the program's stack where it can: threads and signal handlers may have very little. */
static size_t working_directory(char *to, size_t room) {
    long n = RAW(SYS_getcwd, to, room, 0, 0);
    return n > 0 && to[0] == '/' ? (size_t)n - 1 : 0;
}

size_t descriptor_path(int descriptor, char *to, size_t room) {
    char name[48] = "/proc/self/fd/", digits[16];
    int n = 0, at = 14;
    if (descriptor < 0) return 0;
    do digits[n++] = '0' + descriptor % 10; while (descriptor /= 10);
    while (n) name[at++] = digits[--n];
    long length = RAW(SYS_readlinkat, AT_FDCWD, name, to, room);
    return length > 0 && to[0] == '/' ? (size_t)length : 0;
}

static bool joined(int op, int folder, const char *path, size_t length, char *buffer, size_t room) {
    size_t n = folder == AT_FDCWD ? working_directory(buffer, room) : descriptor_path(folder, buffer, room);
    if (!n || n + length + 2 > room) return false;
    if (length && buffer[n - 1] != '/') buffer[n++] = '/';
    memcpy(buffer + n, path, length);
    note(op, buffer, n + length);
    return true;
}

static __attribute__((noinline)) bool joined_long(int op, int folder, const char *path, size_t length) {
    char buffer[2 * PATH_MAX];
    return joined(op, folder, path, length, buffer, sizeof buffer);
}

static __attribute__((noinline)) bool joined_short(int op, int folder, const char *path, size_t length) {
    char buffer[512];
    return joined(op, folder, path, length, buffer, sizeof buffer);
}

static size_t component(const char *path, size_t at) { while (path[at] && path[at] != '/') at++; return at; }

/* How much of a path is one of the kernel's links to a descriptor's file, a directory or a root: "/proc/self/cwd",
 * "/proc/7/task/8/fd/9", "/dev/fd/9". 0 if it does not begin with one. */
static size_t kernels_link(const char *path) {
    size_t at = 8;
    if (starts(path, "/dev/fd/")) return component(path, at);
    if (!starts(path, "/proc/")) return 0;
    at = component(path, 6);
    if (starts(path + at, "/task/")) at = component(path, at + 6);
    if (starts(path + at, "/fd/")) return component(path, at + 4);
    size_t end = path[at] ? component(path, at + 1) : at;
    return (end == at + 4 && starts(path + at, "/cwd")) || (end == at + 5 && starts(path + at, "/root")) ? end : 0;
}

/* What is reached through such a link is an input under its own name. */
static __attribute__((noinline)) void note_linked(int op, const char *path, size_t head, size_t length) {
    char link[128], buffer[2 * PATH_MAX];
    if (head >= sizeof link || sealed) return note_text(BLIND, "it reads through /proc within a seccomp filter");
    memcpy(link, path, head);
    link[head] = 0;
    long n = RAW(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX);
    if (n <= 0 || buffer[0] != '/') return note(op, path, length); /* a pipe, a socket */
    while (n > 1 && buffer[n - 1] == '/') n--;
    if (n == 1 && length > head) n = 0;
    memcpy(buffer + n, path + head, length - head);
    note(op, buffer, n + length - head);
}

void note_path(int op, int folder, const char *path) {
    MAYBE_NULL(path);
    if (!observing || !path) return;
    size_t length = length_of(path);
    if (length >= PATH_MAX) return; /* the kernel refuses it too */
    size_t head = path[0] == '/' && (path[1] == 'p' || path[1] == 'd') ? kernels_link(path) : 0;
    if (head && (path[head] || op == READ || op == WRITE || op == UPDATE || op == LIST || op == EXECUTE))
        return note_linked(op, path, head, length);
    if (path[0] == '/') return note(op, path, length);
    if (sealed) return note_text(BLIND, "it uses a relative path within a seccomp filter");
    if (!joined_short(op, folder, path, length) && !joined_long(op, folder, path, length) && folder == AT_FDCWD)
        note_text(BLIND, "it uses a relative path in a directory without a name");
}

void note_descriptor(int op, int descriptor) { note_path(op, descriptor, ""); }

/* Called right after the real function: errno tells why it failed, and is the caller's again afterwards. */
void note_outcome(int op, bool done, int folder, const char *path) {
    int error = errno;
    if (done) note_path(op, folder, path);
    else if (error == ENOENT || error == ENOTDIR) note_path(ABSENT, folder, path);
    else if (error == EACCES || error == EPERM || error == ELOOP) note_path(REFUSED, folder, path);
    else if (error == EEXIST || error == EISDIR || error == ENXIO || error == EINVAL) note_path(STAT, folder, path);
    if (!done && (op == WRITE || op == UPDATE || op == CREATED || op == FOLDER)
        && (error == ENOENT || error == ENOTDIR || error == EACCES || error == EROFS)) note_path(NOT_MADE, folder, path);
    errno = error;
}

static int meaning(int flags) {
    if (flags & O_PATH || (flags & __O_TMPFILE) == __O_TMPFILE) return STAT;
    if (flags & O_DIRECTORY) return LIST;
    if (flags & O_CREAT && flags & O_EXCL) return CREATED;
    if ((flags & O_ACCMODE) == O_RDONLY) return flags & O_TRUNC ? WRITE : READ;
    return flags & O_TRUNC ? WRITE : UPDATE;
}

void note_open(int flags, int result, int folder, const char *path) {
    int op = meaning(flags), error = errno;
    if (result >= 0 && (op == CREATED || op == WRITE)) remember_made(result);
    if (result >= 0 && op == READ && made_here(result)) note_path(WRITE, folder, path);
    errno = error;
    note_outcome(op, result >= 0, folder, path);
}
