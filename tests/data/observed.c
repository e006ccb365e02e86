/* Asks for things in the many ways that programs do: `observed WAY ARGUMENT...`. Each way ends with "done" on standard
 * output, so that a test sees that it was not disturbed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static int failures;
#define CHECK(what) do { if (!(what)) { failures++; fprintf(stderr, "failed: %s: %s\n", #what, strerror(errno)); } } while (0)

static void take(const char *path) {
    char text[64];
    int file = open(path, O_RDONLY);
    CHECK(file >= 0 && read(file, text, sizeof text) >= 0);
    if (file >= 0) close(file);
}

static void reads(char **to) { /* FOLDER with one.txt to nine.txt */
    char buffer[64];
    int folder = open(to[0], O_RDONLY | O_DIRECTORY), file;
    CHECK(chdir(to[0]) == 0);
    take("one.txt");
    CHECK((file = openat(folder, "two.txt", O_RDONLY)) >= 0 && pread(file, buffer, 4, 0) >= 0);
    FILE *stream = fopen("three.txt", "r");
    CHECK(stream && freopen("four.txt", "r", stream));
    struct open_how how = {.flags = O_RDONLY};
    CHECK(syscall(SYS_openat2, folder, "five.txt", &how, sizeof how) >= 0 || errno == ENOSYS || errno == EPERM);
    CHECK(syscall(SYS_openat, AT_FDCWD, "six.txt", O_RDONLY) >= 0);
    CHECK(open64("seven.txt", O_RDONLY) >= 0);
    CHECK(open("eight.txt", O_RDONLY | O_PATH) >= 0);
}

static void looks(char **to) {
    struct stat a;
    struct stat64 b;
    struct statx x;
    char buffer[PATH_MAX];
    CHECK(chdir(to[0]) == 0);
    CHECK(stat("one.txt", &a) == 0 && lstat("two.txt", &a) == 0 && stat64("three.txt", &b) == 0);
    CHECK(fstatat(AT_FDCWD, "four.txt", &a, 0) == 0 && statx(AT_FDCWD, "five.txt", 0, STATX_ALL, &x) == 0);
    CHECK(access("six.txt", R_OK) == 0 && faccessat(AT_FDCWD, "seven.txt", R_OK, 0) == 0);
    CHECK(readlink("link", buffer, sizeof buffer) > 0 && realpath("link", buffer));
    CHECK(stat("gone.txt", &a) == -1 && errno == ENOENT && open("gone-too.txt", O_RDONLY) == -1 && errno == ENOENT);
    CHECK(statx(0, NULL, 0, STATX_ALL, NULL) == -1 && errno == EFAULT);
}

static int visit(const char *path, const struct stat *at, int kind, struct FTW *where) { (void)path, (void)at, (void)kind, (void)where; return 0; }

static void lists(char **to) { /* FOLDER with a, b, c/below, d */
    struct dirent **found;
    char pattern[PATH_MAX];
    glob_t all;
    CHECK(chdir(to[0]) == 0);
    DIR *folder = opendir("a");
    CHECK(folder && readdir(folder));
    CHECK(scandir("b", &found, NULL, alphasort) >= 0);
    snprintf(pattern, sizeof pattern, "%s/c/*/*.txt", to[0]);
    CHECK(glob(pattern, 0, NULL, &all) == 0 && all.gl_pathc == 1);
    globfree(&all);
    CHECK(nftw("d", visit, 8, 0) == 0);
}

static void asks(char **to) {
    (void)to;
    CHECK(getenv("ASKED_PLAIN") == NULL || 1);
    secure_getenv("ASKED_SECURELY");
}
static void walks(char **to) { (void)to; size_t n = 0; for (char **at = environ; *at; at++) n += strlen(*at); printf("%d\n", n > 0); }

static void wait_for(pid_t child) { int status; CHECK(waitpid(child, &status, 0) == child && status == 0); }

static void spawns(char **to) { /* PROGRAM by path and by name, FILE */
    char *argv[] = {"cat", to[1], NULL}, *none[] = {NULL}, *name[] = {"cat", to[1], NULL};
    pid_t child;
    CHECK(posix_spawn(&child, to[0], NULL, NULL, argv, environ) == 0); wait_for(child);
    CHECK(posix_spawnp(&child, "cat", NULL, NULL, name, environ) == 0); wait_for(child);
    if ((child = vfork()) == 0) { execve(to[0], argv, none); _exit(1); } /* env -i */
    wait_for(child);
    if ((child = fork()) == 0) { fexecve(open(to[0], O_RDONLY | O_CLOEXEC), argv, environ); _exit(1); }
    wait_for(child);
    if ((child = fork()) == 0) { execlp("cat", "cat", to[1], NULL); _exit(1); }
    wait_for(child);
    if ((child = fork()) == 0) { unsetenv("LD_PRELOAD"); execvp("cat", name); _exit(1); }
    wait_for(child);
    CHECK(posix_spawnp(&child, "no-such-program", NULL, NULL, name, environ) == ENOENT);
}
static void shells(char **to) { char text[PATH_MAX + 8]; snprintf(text, sizeof text, "cat '%s' > /dev/null", to[0]); CHECK(system(text) == 0); FILE *pipe = popen(text, "r"); CHECK(pipe && pclose(pipe) == 0); }
static void escapes(char **to) { unsetenv("LD_PRELOAD"); shells(to); }
static void forks(char **to) { pid_t child = fork(); if (!child) { take(to[0]); _exit(failures); } wait_for(child); }
static void lingers(char **to) { pid_t child = fork(); if (!child) { setsid(); close(1); close(2); take(to[0]); sleep(atoi(to[1])); _exit(0); } printf("%d\n", child); }

static char *many;
static void *worker(void *number) {
    char path[PATH_MAX];
    for (int i = 0; i < 50; i++) {
        struct stat at;
        snprintf(path, sizeof path, "%s/thread-%ld-%d", many, (long)number, i);
        if (stat(path, &at) == 0 || errno != ENOENT) failures++;
    }
    return NULL;
}
static void threads(char **to) { /* with the smallest stacks there are */
    pthread_t all[64];
    pthread_attr_t small;
    many = to[0];
    pthread_attr_init(&small);
    CHECK(pthread_attr_setstacksize(&small, 2 * PTHREAD_STACK_MIN) == 0);
    for (long i = 0; i < 64; i++) CHECK(pthread_create(&all[i], &small, worker, (void *)i) == 0);
    for (int i = 0; i < 64; i++) pthread_join(all[i], NULL);
}
static void opens(char **to) { /* so many files that are not there, each another */
    char path[PATH_MAX];
    for (int i = 0; i < atoi(to[1]); i++) {
        snprintf(path, sizeof path, "%s/%d", to[0], i);
        if (open(path, O_RDONLY) != -1 || errno != ENOENT) failures++;
    }
}
static void starves(char **to) { /* of descriptors */
    struct rlimit few = {16, 16};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    while (open("/dev/null", O_RDONLY) >= 0) { }
    CHECK(errno == EMFILE);
    char *more[] = {to[0], "3000"};
    char path[PATH_MAX];
    for (int i = 0; i < atoi(more[1]); i++) { snprintf(path, sizeof path, "%s/%d", to[0], i); if (access(path, F_OK) == 0 || errno != ENOENT) failures++; }
}

static void seals(char **to) { /* nothing is allowed but to write and to leave: each other call kills */
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (to[1]) CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
    else CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);
    char path[256];
    CHECK(open(to[0], O_RDONLY) >= 0);
    for (int i = 0; i < 2000; i++) { /* more than its log has room for */
        memcpy(path, to[0], strlen(to[0]) + 1);
        snprintf(path + strlen(path), 32, "-%d", i);
        if (open(path, O_RDONLY) != -1) failures++;
    }
    write(1, "done\n", 5);
    _exit(failures);
}
static void roots(char **to) { CHECK(chroot(to[0]) == 0 && chdir("/") == 0); take("/inside.txt"); if (fork() == 0) { execl("/program", "program", NULL); _exit(0); } wait(NULL); }

static void loads(char **to) { /* NAME that only this program's own RUNPATH finds, PATH */
    CHECK(dlopen(to[0], RTLD_NOW) != NULL);
    CHECK(dlopen(to[1], RTLD_NOW) != NULL);
    CHECK(dlopen("libnowhere.so.7", RTLD_NOW) == NULL);
}
static int listener(struct sockaddr *at, socklen_t *size) {
    int server = socket(at->sa_family, SOCK_STREAM, 0);
    CHECK(bind(server, at, *size) == 0 && listen(server, 4) == 0 && getsockname(server, at, size) == 0);
    return server;
}
static void connects(char **to) { /* to its own servers, and to PORT of somebody else's and the socket PATH */
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t size = sizeof in;
    listener((struct sockaddr *)&in, &size);
    CHECK(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&in, sizeof in) == 0);
    if (!to[0]) return;
    in.sin_port = htons(atoi(to[0]));
    CHECK(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&in, sizeof in) == -1);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", to[1]);
    CHECK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&un, sizeof un) == -1);
}

static void changes(char **to) { /* in FOLDER: whole.txt replaced, kept.txt appended, temporary.txt made and removed */
    char name[] = "made-XXXXXX";
    CHECK(chdir(to[0]) == 0);
    FILE *whole = fopen("whole.txt", "w"), *kept = fopen("kept.txt", "a");
    CHECK(whole && kept && fputs("x", whole) >= 0 && fputs("x", kept) >= 0 && !fclose(whole) && !fclose(kept));
    take("whole.txt"); take("kept.txt");
    CHECK(close(creat("temporary.txt", 0600)) == 0); take("temporary.txt");
    CHECK(rename("temporary.txt", "renamed.txt") == 0 && unlink("renamed.txt") == 0);
    CHECK(mkstemp(name) >= 0 && unlink(name) == 0 && mkdir("folder", 0700) == 0 && rmdir("folder") == 0);
    CHECK(chmod("mode.txt", 0640) == 0); take("mode.txt");
    CHECK(opendir(".") != NULL);
}
static long rename_past_libc(const char *from, const char *to) {
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = (long)to, r8 __asm__("r8") = 0;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_renameat2), "D"((long)AT_FDCWD), "S"(from), "d"((long)AT_FDCWD),
                     "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = SYS_renameat2, x0 __asm__("x0") = AT_FDCWD, x1 __asm__("x1") = (long)from,
                  x2 __asm__("x2") = AT_FDCWD, x3 __asm__("x3") = (long)to, x4 __asm__("x4") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#endif
}
static void saves(char **to) { /* in FOLDER, as Rust's tempfile does: written aside, put in place, read, removed */
    const char *names[] = {"saved.txt", "looked-at.txt"};
    struct statx x;
    CHECK(chdir(to[0]) == 0);
    for (int i = 0; i < 2; i++) {
        int file = open("aside.txt", O_RDWR | O_CREAT | O_EXCL, 0600);
        CHECK(file >= 0 && write(file, "x", 1) == 1 && rename_past_libc("aside.txt", names[i]) == 0);
        if (i) CHECK(statx(AT_FDCWD, names[i], 0, STATX_ALL, &x) == 0);
        take(names[i]);
        CHECK(unlink(names[i]) == 0);
    }
    if (to[1]) take(to[1]);
}
static void links(char **to) { /* FOLDER with one.txt to five.txt, through the kernel's links to it */
    char path[PATH_MAX];
    CHECK(chdir(to[0]) == 0);
    int folder = open(".", O_PATH | O_DIRECTORY), file = open("four.txt", O_PATH);
    take("/proc/self/cwd/one.txt");
    snprintf(path, sizeof path, "/proc/%d/root%s/two.txt", getpid(), to[0]); take(path);
    snprintf(path, sizeof path, "/proc/thread-self/fd/%d/three.txt", folder); CHECK(access(path, R_OK) == 0); take(path);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file); take(path);
    snprintf(path, sizeof path, "/dev/fd/%d/five.txt", folder); take(path);
}
static void hands(char **to) { /* FILE to a program that libc opens it for */
    posix_spawn_file_actions_t actions;
    char *argv[] = {"cat", NULL};
    pid_t child;
    posix_spawn_file_actions_init(&actions);
    CHECK(posix_spawn_file_actions_addopen(&actions, 0, to[0], O_RDONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) == 0);
    CHECK(posix_spawnp(&child, "cat", &actions, NULL, argv, environ) == 0); wait_for(child);
}
static void remembers(char **to) { /* NAME of memory that others made; some of its own */
    char own[64];
    snprintf(own, sizeof own, "%s-%d", to[0], getpid());
    CHECK(shm_open(to[0], O_RDONLY, 0) >= 0);
    CHECK(shm_open(own, O_RDWR | O_CREAT | O_EXCL, 0600) >= 0 && shm_open(own, O_RDONLY, 0) >= 0 && shm_unlink(own) == 0);
}
static void shares(char **to) { /* memory of System V: its own, or with others */
    int memory = shmget(to[0] ? 0x0d017 : IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    CHECK(memory >= 0 && shmctl(memory, IPC_RMID, NULL) == 0);
}
static void ring(char **to) { (void)to; char room[128] = ""; syscall(SYS_io_uring_setup, 2, room); }

static volatile const char *in_handler;
static void handle(int signal) { (void)signal; int keep = errno; access((const char *)in_handler, F_OK); errno = keep; }
static void signals(char **to) { /* a handler that looks for files, in the midst of others */
    struct sigaction action = {.sa_handler = handle};
    char path[PATH_MAX];
    in_handler = to[0];
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 2000; i++) {
        if (i % 50 == 0) raise(SIGUSR1);
        snprintf(path, sizeof path, "/nowhere/%d", i);
        errno = 0;
        if (access(path, F_OK) == 0 || errno != ENOENT) failures++;
    }
}
static void dies(char **to) { take(to[0]); fflush(stdout); kill(getpid(), SIGKILL); }

static const struct { const char *name; void (*run)(char **); } WAYS[] = {
    {"reads", reads}, {"looks", looks}, {"lists", lists}, {"asks", asks}, {"walks", walks}, {"spawns", spawns}, {"shells", shells},
    {"escapes", escapes}, {"forks", forks}, {"lingers", lingers}, {"threads", threads}, {"opens", opens}, {"starves", starves},
    {"seals", seals}, {"roots", roots}, {"loads", loads}, {"connects", connects}, {"changes", changes}, {"ring", ring},
    {"saves", saves}, {"signals", signals}, {"dies", dies}, {"links", links}, {"hands", hands},
    {"remembers", remembers}, {"shares", shares},
};

int main(int count, char **argv) {
    for (size_t i = 0; count > 1 && i < sizeof WAYS / sizeof *WAYS; i++)
        if (!strcmp(argv[1], WAYS[i].name)) { WAYS[i].run(argv + 2); puts("done"); return failures != 0; }
    return 2;
}
