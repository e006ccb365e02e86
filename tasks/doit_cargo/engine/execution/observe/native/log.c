/* Where records go: one memory-mapped file a process, so that no descriptor stays open, a record costs no system call,
 * and all of it outlives a kill. A forked child shares its parent's until it fills. Room is allocated before it is
 * mapped: a full disk must not become a SIGBUS in somebody's program. */
#include "observe.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#define SMALL (32u << 10) /* a first log: most processes need less; ext4 takes milliseconds for a big one */
#define LARGE (256u << 10)
#define MOST 512 /* log files of one process */
#define SLOTS (1u << 15)
#define HEADER (256u << 10)

_Atomic bool observing, sealed;
_Atomic uint32_t code_loaded;
char library[PATH_MAX], places[2 * PATH_MAX];

static struct head *_Atomic log_;
static _Atomic uint64_t *_Atomic order_;   /* one counter for all processes of a run: a total order without a clock */
static _Atomic uint64_t seen[SLOTS], own_order;
static _Atomic int state, filling, files, own_pid;
static char image[64]; /* pid.order of this program's first log */

static const char *const KEPT[] = {
    "CARGO", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION",
    "CARGO_PRIMARY_PACKAGE", "LD_LIBRARY_PATH", "NEXTEST_BINARY_ID", "NEXTEST_TEST_NAME", "OUT_DIR", "PATH", "TARGET", 0};

uint64_t next_order(void) {
    _Atomic uint64_t *counter = order_;
    return atomic_fetch_add_explicit(counter ? counter : &own_order, 1, memory_order_relaxed) + 1;
}

static char *put_number(char *to, uint64_t number) {
    char digits[24];
    int n = 0;
    do digits[n++] = '0' + number % 10; while (number /= 10);
    while (n) *to++ = digits[--n];
    return to;
}

static char *put_text(char *to, const char *text, const char *end) {
    while (*text && to < end) *to++ = *text++;
    return to;
}

/* The name of a file in one of the two places; 0 where there is no such place. */
static char *name_in(int place, char *to, char *end) {
    const char *from = places;
    while (place && *from) if (*from++ == ':') place--;
    if (!*from) return 0;
    while (*from && *from != ':' && to < end) *to++ = *from++;
    if (to < end) *to++ = '/';
    return to;
}

/* A process that cannot have a log leaves a link with the reason: that takes neither a descriptor nor a byte. */
static void leave_reason(const char *reason) {
    char name[PATH_MAX + 96], *const end = name + sizeof name - 64;
    uint64_t order = next_order();
    for (int place = 0; place < 2; place++) {
        char *at = name_in(place, name, end);
        if (!at) continue;
        at = put_number(at, RAW(SYS_getpid, 0, 0, 0, 0));
        *at++ = '.';
        at = put_number(at, order);
        *put_text(at, ".none", end + 60) = 0;
        if (!RAW(SYS_symlinkat, reason, AT_FDCWD, name, 0)) return;
    }
}

/* A tmpfs is left half empty: the programs of the run may need it. */
static bool has_room(const char *folder, bool first) {
    struct statfs space;
    if (!first) return true;
    if (RAW(SYS_statfs, folder, &space, 0, 0)) return false;
    return space.f_bavail > space.f_blocks / 2;
}

static bool take_room(int descriptor, uint32_t size) {
    long result = RAW(SYS_fallocate, descriptor, 0, 0, size);
    if (result != -EOPNOTSUPP && result != -ENOSYS) return !result;
    static const char zeros[4096];
    for (uint32_t at = 0; at < size; at += sizeof zeros)
        if (RAW(SYS_pwrite64, descriptor, zeros, sizeof zeros, at) != sizeof zeros) return false;
    return true;
}

static struct head *map_file(int place, uint32_t size, uint64_t order) {
    char name[PATH_MAX + 96], *const end = name + sizeof name - 64;
    char *at = name_in(place, name, end);
    if (!at) return 0;
    at[-1] = 0;
    if (!has_room(name, place == 0)) return 0;
    at[-1] = '/';
    at = put_number(at, RAW(SYS_getpid, 0, 0, 0, 0));
    *at++ = '.';
    *put_number(at, order) = 0;
    int descriptor = RAW(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) return 0;
    long mapped = -1;
    if (take_room(descriptor, size)) mapped = raw(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    RAW(SYS_close, descriptor, 0, 0, 0);
    if (mapped < 0 && mapped > -4096) {
        RAW(SYS_unlinkat, AT_FDCWD, name, 0, 0);
        return 0;
    }
    struct head *head = (struct head *)mapped;
    head->capacity = size - sizeof *head;
    head->magic = MAGIC;
    return head;
}

static struct head *new_log(uint32_t size, uint64_t order, const char **reason) {
    struct rlimit limit;
    *reason = "log full: no space, no descriptor or no memory left for it";
    if (RAW(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &limit) || limit.rlim_cur < size) { /* or SIGXFSZ would kill the program */
        *reason = "no log: its limit of file sizes (ulimit -f) is too small for one";
        return 0;
    }
    struct head *head = map_file(0, size, order);
    return head ? head : map_file(1, size, order);
}

static bool append(struct head *head, int op, const char *text, size_t length) {
    uint32_t need = (sizeof(struct record) + length + 7) & ~7u, at = atomic_load_explicit(&head->used, memory_order_relaxed);
    do if (need > head->capacity || at > head->capacity - need) return false;
    while (!atomic_compare_exchange_weak_explicit(&head->used, &at, at + need, memory_order_relaxed, memory_order_relaxed));
    struct record *record = (struct record *)((char *)(head + 1) + at);
    atomic_store_explicit(&record->size, sizeof *record + length, memory_order_release);
    record->pid = own_pid;
    record->order = next_order();
    memcpy(record->text, text, length);
    atomic_store_explicit(&record->op, op, memory_order_release);
    return true;
}

/* The log is full: the first thread to say so maps a new one. `filling` holds a process, since a fork may copy it. */
static struct head *renew(struct head *full) {
    int none = 0, me = own_pid;
    const char *reason;
    if (sealed) return 0;
    if (atomic_compare_exchange_strong(&filling, &none, me) || none != me) {
        struct head *head = log_;
        if (head == full && files < MOST && (head = new_log(++files < 4 ? 2 * SMALL : LARGE, next_order(), &reason))) {
            append(head, CONTINUED, image, length_of(image));
            log_ = head;
        }
        filling = 0;
        return head == full ? 0 : head;
    }
    for (int i = 0; i < 2000 && log_ == full && filling; i++) RAW(SYS_sched_yield, 0, 0, 0, 0);
    return log_ == full ? 0 : log_;
}

/* True for what this program has written down before. A full table forgets, and the record is written again. Code that
 * is loaded may ask anew for a variable, as a macro does for one that its compiler asks for too. */
static bool known(int op, const char *text, size_t length) {
    uint64_t hash = 1469598103934665603u ^ (uint64_t)op ^ (op == VARIABLE_ASKED ? (uint64_t)code_loaded << 8 : 0);
    for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    hash |= !hash;
    for (unsigned i = 0; i < 16; i++) {
        _Atomic uint64_t *slot = &seen[(hash + i) % SLOTS];
        uint64_t there = atomic_load_explicit(slot, memory_order_relaxed);
        if (there == hash) return true;
        if (!there && atomic_compare_exchange_strong_explicit(slot, &there, hash, memory_order_relaxed, memory_order_relaxed))
            return false;
        if (there == hash) return true;
    }
    return false;
}

static bool every_time(int op) { return op == START || op == NOT_STARTED || op == SHELL || op == FORK || op == LIBRARIES || op == LEADS; }

void note(int op, const char *text, size_t length) {
    if (!state) begin();
    struct head *head = log_;
    if (!head || (!every_time(op) && known(op, text, length))) return;
    while (!append(head, op, text, length)) {
        struct head *next = renew(head);
        if (!next) {
            atomic_fetch_add_explicit(&head->lost, 1, memory_order_relaxed);
            return;
        }
        head = next;
    }
}

void note_text(int op, const char *text) { note(op, text, length_of(text)); }

static const char *variable(const char *name) {
    size_t n = length_of(name);
    for (char **at = environ; at && *at; at++)
        if (starts(*at, name) && (*at)[n] == '=') return *at + n + 1;
    return 0;
}

static size_t read_whole(const char *path, char *to, size_t room) {
    int descriptor = RAW(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    size_t n = 0;
    for (long got; descriptor >= 0 && n < room && (got = RAW(SYS_read, descriptor, to + n, room - n, 0)) > 0;) n += got;
    if (descriptor >= 0) RAW(SYS_close, descriptor, 0, 0, 0);
    return n;
}

/* Who this is, fields between \1, the parts of a list between \2: parent, program, directory, variables, arguments. */
static size_t describe(char *to, size_t room) {
    char *at = put_number(to, RAW(SYS_getppid, 0, 0, 0, 0)), *const end = to + room - 64;
    *at++ = 1;
    long n = RAW(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", at, PATH_MAX);
    at += n > 0 ? n : 0;
    *at++ = 1;
    n = RAW(SYS_getcwd, at, PATH_MAX, 0, 0);
    at += n > 0 ? n - 1 : 0;
    *at++ = 1;
    for (int i = 0; KEPT[i]; i++) {
        const char *value = variable(KEPT[i]);
        if (!value) continue;
        at = put_text(at, KEPT[i], end);
        *at++ = '=';
        at = put_text(at, value, end);
        *at++ = 2;
    }
    *at++ = 1;
    size_t argv = read_whole("/proc/self/cmdline", at, end > at ? (size_t)(end - at) : 0);
    for (size_t i = 0; i < argv; i++) if (!at[i]) at[i] = 2;
    return at + argv - to;
}

static void map_order(void) {
    char name[PATH_MAX + 96];
    char *at = name_in(0, name, name + sizeof name - 64);
    if (!at) return;
    *put_text(at, "order", name + sizeof name - 1) = 0;
    int descriptor = RAW(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
    if (descriptor < 0) return;
    long mapped = raw(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    RAW(SYS_close, descriptor, 0, 0, 0);
    if (mapped >= 0 || mapped < -4095) order_ = (_Atomic uint64_t *)mapped;
}

static void first_log(void) {
    long scratch = raw(SYS_mmap, 0, HEADER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (scratch < 0 && scratch > -4096) return leave_reason("no log: no memory left for one");
    size_t length = describe((char *)scratch, HEADER);
    if (length > UINT16_MAX - sizeof(struct record)) length = UINT16_MAX - sizeof(struct record);
    uint64_t order = next_order();
    const char *reason;
    struct head *head = new_log((SMALL + length + 4095) & ~4095u, order, &reason);
    if (head) {
        char *at = put_number(image, own_pid);
        *at++ = '.';
        *put_number(at, order) = 0;
        append(head, PROCESS, (char *)scratch, length);
        log_ = head;
    } else leave_reason(reason);
    RAW(SYS_munmap, scratch, HEADER, 0, 0);
}

static void forked(void) {
    own_pid = RAW(SYS_getpid, 0, 0, 0, 0);
    filling = 0;
    note(FORK, "", 0);
}

void begin(void) {
    int none = 0;
    Dl_info me;
    if (!environ || !atomic_compare_exchange_strong(&state, &none, 1)) return; /* too early, or in it already */
    const char *folders = variable(VARIABLE);
    if (!folders || !*folders || !dladdr((void *)begin, &me) || me.dli_fname[0] != '/') return;
    *put_text(places, folders, places + sizeof places - 1) = 0;
    *put_text(library, me.dli_fname, library + sizeof library - 1) = 0;
    own_pid = RAW(SYS_getpid, 0, 0, 0, 0);
    map_order();
    if (!order_) leave_reason("no log: its folder cannot be reached");
    else first_log();
    observing = true;
}

extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);

__attribute__((constructor)) static void loaded(void) {
    int keep = errno;
    begin();
    if (log_) {
        __register_atfork(0, 0, forked, 0);
        libraries_changed = true;
        note_libraries();
    }
    errno = keep;
}
