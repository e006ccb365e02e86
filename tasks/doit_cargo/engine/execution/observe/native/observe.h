/* The observer's library: loaded into every process of a run, it writes down what the process asks of the world.
 *
 * Rules for everything here, since it runs inside other people's programs, in their signal handlers and between their
 * fork and exec: no malloc, no lock, no thread-local storage, no system call through libc (its wrappers are hooked here
 * and set errno), errno as it was, and nothing that could raise a signal.
 */
#ifndef OBSERVE_H
#define OBSERVE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define HOOK __attribute__((visibility("default")))
#define VARIABLE "DOIT_CARGO_OBSERVE" /* FOLDER or FOLDER:FOLDER, the place for logs and the one for when it is full */

/* What a record says. The reader, log.py, has the same letters. */
enum {
    READ = 'R',      /* opened for reading */
    WRITE = 'W',     /* replaced whole: what was there before plays no part */
    UPDATE = 'B',    /* written in parts, or its mode or times changed */
    STAT = 'S',      /* looked at: kind, size, mode */
    ABSENT = 'A',    /* looked for and not there */
    REFUSED = 'F',   /* looked for and not allowed */
    LINK = 'L',      /* where a symbolic link leads */
    RESOLVE = 'Z',   /* what path it is without links */
    LIST = 'D',      /* a folder's names */
    TREE = 'T',      /* a folder's names, and those below */
    CREATED = 'c',   /* made, which fails where something is */
    REMOVE = 'U',
    FOLDER = 'K',    /* a folder made */
    LINKED = 'j',    /* a file that got another name */
    LEADS = 'y',     /* the folder to which the link leads that was made last */
    NOT_MADE = 'k',  /* a file or folder whose own folder is not there or may not be written */
    EXECUTE = 'X',
    LIBRARY = 'M',
    WANTED = 'O',    /* a library asked for by a bare name */
    LIBRARIES = 'o', /* all that are loaded have been written down */
    VARIABLE_ASKED = 'E',
    ENVIRONMENT = 'V', /* all variables were walked over: by the library of that path, the program's code at "0x..." */
    CONNECT = 'C',
    BIND = 'Q',
    LOOKUP = 'H',    /* a host's address */
    START = 'N',     /* "pid order reason path": this process is to run path */
    NOT_STARTED = 'n',
    SHELL = 'Y',     /* system() or popen(): libc starts the shell by itself */
    FORK = 'f',
    BLIND = '!',     /* a reason for which this process is not seen whole */
    PROCESS = 'P',
    CONTINUED = 'p',
};

struct head { /* of each log file; records follow */
    uint32_t magic, capacity;
    _Atomic uint32_t used, lost;
};
struct record { /* op comes last when written: 0 means that the process ended in between */
    _Atomic uint16_t size;
    _Atomic uint8_t op;
    uint8_t unused;
    uint32_t pid;
    uint64_t order;
    char text[];
};
#define MAGIC 0x31734f64u

/* log.c */
extern _Atomic bool observing; /* the variable is set: programs that are started shall be observed too */
extern _Atomic bool sealed;    /* a seccomp filter is on: not one system call more than the program makes */
extern _Atomic uint32_t code_loaded; /* how often the program has loaded a library */
extern char library[PATH_MAX], places[2 * PATH_MAX];
void note(int op, const char *text, size_t length);
void note_text(int op, const char *text);
uint64_t next_order(void);
void begin(void);

/* paths.c */
void note_path(int op, int folder, const char *path);
void note_descriptor(int op, int descriptor);
void note_outcome(int op, bool done, int folder, const char *path);
void note_open(int flags, int result, int folder, const char *path);
size_t descriptor_path(int descriptor, char *to, size_t room);

/* made.c */
void remember_made(int descriptor);
bool made_here(int descriptor);
bool looked_at_made(const struct statx *file);

/* libraries.c */
extern _Atomic bool libraries_changed;
void note_libraries(void);
void note_walk(const void *from);

/* programs.c */
int start_again(const char *path, char *const argv[], char *const envp[]);


#if defined(__x86_64__)
static inline long raw(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long raw(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
                  x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "the observer knows x86-64 and aarch64"
#endif
#define RAW(number, a, b, c, d) raw(number, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static inline size_t length_of(const char *s) { size_t n = 0; while (s[n]) n++; return n; }
static inline bool starts(const char *s, const char *head) { while (*head) if (*s++ != *head++) return false; return true; }

/* The next definition of a function, libc's as a rule. Found once; a failing lookup is left to the caller. */
#define REAL(name) \
    ({ \
        static void *_Atomic found; \
        void *real_ = atomic_load_explicit(&found, memory_order_relaxed); \
        if (!real_) { real_ = dlsym(RTLD_NEXT, #name); atomic_store_explicit(&found, real_, memory_order_relaxed); } \
        (__typeof__(&name))real_; \
    })
/* A hook that a program finds although its older libc has no such function. */
#define NEWER(name) if (!REAL(name)) { errno = ENOSYS; return -1; }
/* GCC drops a test for NULL where a header says that a parameter never is; Rust's std passes NULL to statx. */
#define MAYBE_NULL(pointer) __asm__("" : "+r"(pointer))

#endif
