/* System calls made by number, and those after which paths, or calls, are no longer what they were. */
#include "observe.h"
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/mount.h>
#include <sys/prctl.h>

static void blind(const char *reason) {
    int error = errno;
    note_text(BLIND, reason);
    errno = error;
}

#define ELSEWHERE "it changes what paths mean (chroot, mounts or namespaces)"
HOOK int chroot(const char *path) { blind(ELSEWHERE); return REAL(chroot)(path); }
HOOK int unshare(int flags) { if (flags & (CLONE_NEWNS | CLONE_NEWUSER)) blind(ELSEWHERE); return REAL(unshare)(flags); }
HOOK int setns(int descriptor, int kind) { blind(ELSEWHERE); return REAL(setns)(descriptor, kind); }
HOOK int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data) {
    blind(ELSEWHERE);
    return REAL(mount)(source, target, type, flags, data);
}

/* What others have put there is no file. One that must be new holds nothing of before. */
#define SHARED "it shares memory, semaphores or messages with others (System V, message queues)"
static int shared(key_t key, int flags, int result) {
    if (result >= 0 && key != IPC_PRIVATE && !(flags & IPC_EXCL)) blind(SHARED);
    return result;
}
HOOK int shmget(key_t key, size_t size, int flags) { return shared(key, flags, REAL(shmget)(key, size, flags)); }
HOOK int semget(key_t key, int count, int flags) { return shared(key, flags, REAL(semget)(key, count, flags)); }
HOOK int msgget(key_t key, int flags) { return shared(key, flags, REAL(msgget)(key, flags)); }
HOOK mqd_t mq_open(const char *name, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    struct mq_attr *attributes = flags & O_CREAT ? va_arg(more, struct mq_attr *) : 0;
    va_end(more);
    NEWER(mq_open)
    mqd_t result = REAL(mq_open)(name, flags, mode, attributes);
    if (result >= 0 && !(flags & O_EXCL)) blind(SHARED);
    return result;
}

/* Sealed before the filter is: a call that it forbids may kill the program. Opened again if there is no filter. */
HOOK int prctl(int option, ...) {
    va_list more;
    va_start(more, option);
    unsigned long a = va_arg(more, unsigned long), b = va_arg(more, unsigned long), c = va_arg(more, unsigned long), d = va_arg(more, unsigned long);
    va_end(more);
    bool before = sealed;
    if (option == PR_SET_SECCOMP && observing) { note_libraries(); sealed = true; }
    int result = REAL(prctl)(option, a, b, c, d);
    if (option == PR_SET_SECCOMP && result) sealed = before;
    return result;
}

static void note_by_number(long number, long result, long a, long b, long c) {
    const char *path = (const char *)b;
    switch (number) {
#ifdef SYS_open
    case SYS_open: note_open(b, result, AT_FDCWD, (const char *)a); break;
    case SYS_stat: case SYS_lstat: case SYS_access: note_outcome(STAT, !result, AT_FDCWD, (const char *)a); break;
    case SYS_readlink: note_outcome(LINK, result >= 0, AT_FDCWD, (const char *)a); break;
    case SYS_unlink: case SYS_rmdir: note_outcome(REMOVE, !result, AT_FDCWD, (const char *)a); break;
    case SYS_mkdir: note_outcome(FOLDER, !result, AT_FDCWD, (const char *)a); break;
    case SYS_getdents:
#endif
    case SYS_getdents64: if (result >= 0) note_descriptor(LIST, a); break;
    case SYS_openat: note_open(c, result, a, path); break;
    case SYS_openat2: note_open(((const struct open_how *)c)->flags, result, a, path); break;
    case SYS_open_by_handle_at: if (result >= 0) note_open(c, result, result, ""); break;
    case SYS_statx: case SYS_newfstatat: case SYS_faccessat: case SYS_faccessat2:
        if (path && *path) note_outcome(STAT, result >= 0, a, path);
        break;
    case SYS_readlinkat: note_outcome(LINK, result >= 0, a, path); break;
    case SYS_unlinkat: note_outcome(REMOVE, !result, a, path); break;
    case SYS_mkdirat: note_outcome(FOLDER, !result, a, path); break;
    case SYS_io_uring_setup: if (result >= 0) note_text(BLIND, "it reads and writes through io_uring"); break;
    case SYS_pivot_root: case SYS_mount: case SYS_setns: note_text(BLIND, ELSEWHERE); break;
    }
}

HOOK long syscall(long number, ...) {
    va_list more;
    va_start(more, number);
    long a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long), d = va_arg(more, long), e = va_arg(more, long), f = va_arg(more, long);
    va_end(more);
    if (!observing) return REAL(syscall)(number, a, b, c, d, e, f);
    if (number == SYS_execve) return start_again((const char *)a, (char *const *)b, (char *const *)c);
    bool before = sealed, seals = number == SYS_seccomp && (a == SECCOMP_SET_MODE_STRICT || a == SECCOMP_SET_MODE_FILTER);
    if (seals) { note_libraries(); sealed = true; }
    long result = REAL(syscall)(number, a, b, c, d, e, f);
    int error = errno;
    if (seals && result < 0) sealed = before;
    note_by_number(number, result, a, b, c);
    errno = error;
    return result;
}
