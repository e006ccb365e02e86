/* What is asked that is no file: variables, users, hosts, and the addresses that are connected to or served. */
#include "observe.h"
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static char *asked(const char *name, char *(*real)(const char *)) {
    int error = errno;
    MAYBE_NULL(name);
    if (name) note_text(VARIABLE_ASKED, name);
    errno = error;
    return real(name);
}
HOOK char *getenv(const char *name) { return asked(name, REAL(getenv)); }
#undef secure_getenv /* and strchr may be macros that choose by type */
#undef strchr
HOOK char *secure_getenv(const char *name) { return asked(name, REAL(secure_getenv)); }

/* A walk over the environment is no call, but what it measures or searches first is its first entry. Rust's
 * std::env::vars, CPython and dash do this. */
static inline void walked(const char *text, const void *from) {
    char **all = environ;
    if (__builtin_expect(all && text == all[0] && text && observing, 0)) {
        int error = errno;
        note_walk(from);
        errno = error;
    }
}
HOOK size_t strlen(const char *text) {
    walked(text, __builtin_return_address(0));
    size_t (*real)(const char *) = REAL(strlen);
    return real ? real(text) : length_of(text);
}
HOOK char *strchr(const char *text, int sought) {
    walked(text, __builtin_return_address(0));
    return REAL(strchr)(text, sought);
}

/* libc reads these files by itself. */
#define READS(result, name, file, parameters, ...) HOOK result name parameters { \
    int error = errno; note_text(READ, file); errno = error; return REAL(name)(__VA_ARGS__); }
READS(struct passwd *, getpwnam, "/etc/passwd", (const char *name), name)
READS(struct passwd *, getpwuid, "/etc/passwd", (uid_t user), user)
READS(int, getpwnam_r, "/etc/passwd", (const char *name, struct passwd *to, char *room, size_t size, struct passwd **result), name, to, room, size, result)
READS(int, getpwuid_r, "/etc/passwd", (uid_t user, struct passwd *to, char *room, size_t size, struct passwd **result), user, to, room, size, result)
READS(struct group *, getgrnam, "/etc/group", (const char *name), name)
READS(struct group *, getgrgid, "/etc/group", (gid_t group), group)
READS(int, getgrnam_r, "/etc/group", (const char *name, struct group *to, char *room, size_t size, struct group **result), name, to, room, size, result)
READS(int, getgrgid_r, "/etc/group", (gid_t group, struct group *to, char *room, size_t size, struct group **result), group, to, room, size, result)
READS(struct tm *, localtime, "/etc/localtime", (const time_t *at), at)
READS(struct tm *, localtime_r, "/etc/localtime", (const time_t *at, struct tm *to), at, to)
READS(time_t, mktime, "/etc/localtime", (struct tm *at), at)

HOOK int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **to) {
    int error = errno;
    if (host) note_text(LOOKUP, host);
    errno = error;
    return REAL(getaddrinfo)(host, service, hints, to);
}
HOOK struct hostent *gethostbyname(const char *host) {
    note_text(LOOKUP, host);
    return REAL(gethostbyname)(host);
}

static char *hexadecimal(char *to, const unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        *to++ = "0123456789abcdef"[bytes[i] >> 4];
        *to++ = "0123456789abcdef"[bytes[i] & 15];
    }
    return to;
}

/* "4 address port" and "6 address port" in hexadecimal; "unix path", "unix @name". A socket that is not there, as
   that of a name service, told the program what a missing file tells it. */
static void note_address(int op, const struct sockaddr *address, socklen_t size, int error) {
    char text[256], *at = text;
    if (!address || size < sizeof address->sa_family) return;
    if (address->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const void *)address;
        *at++ = '4'; *at++ = ' ';
        at = hexadecimal(at, (const void *)&in->sin_addr, 4);
        *at++ = ' ';
        at = hexadecimal(at, (const void *)&in->sin_port, 2);
    } else if (address->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in = (const void *)address;
        *at++ = '6'; *at++ = ' ';
        at = hexadecimal(at, (const void *)&in->sin6_addr, 16);
        *at++ = ' ';
        at = hexadecimal(at, (const void *)&in->sin6_port, 2);
    } else if (address->sa_family == AF_UNIX) {
        const struct sockaddr_un *un = (const void *)address;
        size_t room = size - offsetof(struct sockaddr_un, sun_path), n = 0;
        if (size <= offsetof(struct sockaddr_un, sun_path)) return;
        memcpy(at, "unix ", 5);
        at += 5;
        bool abstract = !un->sun_path[0];
        if (abstract) { *at++ = '@'; n = 1; }
        while (n < room && n < sizeof un->sun_path && (abstract || un->sun_path[n])) *at++ = un->sun_path[n++];
        if (error == ENOENT && !abstract) {
            *at = 0;
            note_path(ABSENT, AT_FDCWD, text + 5);
            return;
        }
    } else return;
    note(op, text, at - text);
}

HOOK int connect(int descriptor, const struct sockaddr *address, socklen_t size) {
    int result = REAL(connect)(descriptor, address, size), error = errno;
    if (observing) note_address(CONNECT, address, size, result ? error : 0);
    errno = error;
    return result;
}

/* The port that the kernel chose is what a client will connect to. */
static int serving(int result, int descriptor) {
    int error = errno;
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (!result && observing && !sealed && !RAW(SYS_getsockname, descriptor, &own, &size, 0))
        note_address(BIND, (const struct sockaddr *)&own, size, 0);
    errno = error;
    return result;
}
HOOK int bind(int descriptor, const struct sockaddr *address, socklen_t size) {
    return serving(REAL(bind)(descriptor, address, size), descriptor); }
HOOK int listen(int descriptor, int backlog) { return serving(REAL(listen)(descriptor, backlog), descriptor); }

HOOK ssize_t sendto(int descriptor, const void *data, size_t n, int flags, const struct sockaddr *address, socklen_t size) {
    ssize_t result = REAL(sendto)(descriptor, data, n, flags, address, size);
    int error = errno;
    if (address && observing) note_address(CONNECT, address, size, result < 0 ? error : 0);
    errno = error;
    return result;
}
HOOK ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
    ssize_t result = REAL(sendmsg)(descriptor, message, flags);
    int error = errno;
    if (message && message->msg_name && observing)
        note_address(CONNECT, message->msg_name, message->msg_namelen, result < 0 ? error : 0);
    errno = error;
    return result;
}
