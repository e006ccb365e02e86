/* Shared libraries: those loaded at the start, and those that dlopen brings. */
#include "observe.h"
#include <link.h>
#include <sys/auxv.h>

_Atomic bool libraries_changed;

/* One line of /proc/self/maps: "from-to rwxp offset device inode   path". Only what is mapped to run is a library. */
static char *library_of(char *line, char *end) {
    char *at = line;
    for (int field = 0; field < 5; field++) {
        if (field == 1 && at + 2 < end && at[2] != 'x') return NULL;
        while (at < end && *at != ' ') at++;
        while (at < end && *at == ' ') at++;
    }
    return at < end && *at == '/' ? at : NULL;
}

static void note_line(char *line, char *end, uintptr_t unused) {
    (void)unused;
    char *at = library_of(line, end);
    size_t own = length_of(library);
    if (at && ((size_t)(end - at) != own || memcmp(at, library, own))) note(LIBRARY, at, end - at);
}

static uintptr_t hexadecimal(char **at) {
    uintptr_t value = 0;
    for (; (**at >= '0' && **at <= '9') || (**at >= 'a' && **at <= 'f'); (*at)++)
        value = value << 4 | (uintptr_t)(**at <= '9' ? **at - '0' : **at - 'a' + 10);
    return value;
}

static void note_walk_within(char *line, char *end, uintptr_t from) {
    char *at = line;
    uintptr_t begin = hexadecimal(&at), behind = (at++, hexadecimal(&at));
    if (from < begin || from >= behind) return;
    char *path = library_of(line, end);
    note(ENVIRONMENT, path ? path : "", path ? end - path : 0);
}

/* dl_iterate_phdr would take the loader's lock, which another thread may hold while it waits for this one. */
static bool each_mapping(void (*use)(char *, char *, uintptr_t), uintptr_t argument) {
    char text[2 * PATH_MAX];
    size_t kept = 0;
    int descriptor = sealed ? -1 : RAW(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    if (descriptor < 0) return false;
    for (long got; (got = RAW(SYS_read, descriptor, text + kept, sizeof text - kept, 0)) > 0;) {
        char *line = text, *end = text + kept + got;
        for (char *at = line; at < end; at++)
            if (*at == '\n') { use(line, at, argument); line = at + 1; }
        kept = end - line;
        memmove(text, line, kept);
        if (kept == sizeof text) kept = 0;
    }
    RAW(SYS_close, descriptor, 0, 0, 0);
    return true;
}

void note_libraries(void) {
    if (!observing || sealed || !atomic_exchange(&libraries_changed, false)) return;
    if (each_mapping(note_line, 0)) note(LIBRARIES, "", 0);
}

/* Notes whose code walks over the environment: an address of the program as its file has it, or another's file. */
void note_walk(const void *from) {
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    uintptr_t shift = (uintptr_t)headers, address;
    for (unsigned long i = 0, n = headers ? getauxval(AT_PHNUM) : 0; i < n; i++) {
        if (headers[i].p_type == PT_PHDR) shift = (uintptr_t)headers - headers[i].p_vaddr;
        address = (uintptr_t)from - shift;
        if (headers[i].p_type != PT_LOAD || address - headers[i].p_vaddr >= headers[i].p_memsz) continue;
        char text[2 + 2 * sizeof address] = "0x";
        size_t length = 2;
        for (int bits = 8 * sizeof address - 4; bits >= 0; bits -= 4)
            if (length > 2 || address >> bits) text[length++] = "0123456789abcdef"[address >> bits & 15];
        return note(ENVIRONMENT, text, length);
    }
    if (!each_mapping(note_walk_within, (uintptr_t)from)) note(ENVIRONMENT, "", 0);
}

/* dlopen looks at the address that it returns to: the caller's RUNPATH is searched, and $ORIGIN is the caller's. So
 * these note what is asked and jump to the real one, leaving no frame of this library behind. */
void *observe_dlopen(const char *name) __attribute__((visibility("hidden"), used));
void *observe_dlopen(const char *name) {
    int error = errno;
    if (name && observing) {
        bool path = false;
        for (const char *at = name; *at; at++) path |= *at == '/';
        if (path && name[0] != '/') note_path(WANTED, AT_FDCWD, name);
        else note_text(WANTED, name);
        libraries_changed = true;
        code_loaded++;
    }
    errno = error;
    return (void *)REAL(dlopen);
}
void *observe_dlmopen(long space, const char *name) __attribute__((visibility("hidden"), used));
void *observe_dlmopen(long space, const char *name) {
    int error = errno;
    if (space) note_text(BLIND, "it loads libraries into a namespace of their own (dlmopen)");
    errno = error;
    observe_dlopen(name);
    return (void *)REAL(dlmopen);
}

#if defined(__x86_64__)
#define JUMP(name, note) __asm__( \
    ".text\n.globl " #name "\n.type " #name ",@function\n" #name ":\n\t.cfi_startproc\n\tendbr64\n" \
    "\tpush %rdi\n\t.cfi_adjust_cfa_offset 8\n\tpush %rsi\n\t.cfi_adjust_cfa_offset 8\n\tpush %rdx\n\t.cfi_adjust_cfa_offset 8\n" \
    "\tcall " #note "\n" \
    "\tpop %rdx\n\t.cfi_adjust_cfa_offset -8\n\tpop %rsi\n\t.cfi_adjust_cfa_offset -8\n\tpop %rdi\n\t.cfi_adjust_cfa_offset -8\n" \
    "\tjmp *%rax\n\t.cfi_endproc\n.size " #name ",.-" #name "\n")
#else
#define JUMP(name, note) __asm__( \
    ".text\n.globl " #name "\n.type " #name ",%function\n" #name ":\n\t.cfi_startproc\n\thint #34\n" \
    "\tstp x29, x30, [sp, #-48]!\n\t.cfi_def_cfa_offset 48\n\t.cfi_offset 29, -48\n\t.cfi_offset 30, -40\n\tmov x29, sp\n" \
    "\tstp x0, x1, [sp, #16]\n\tstr x2, [sp, #32]\n" \
    "\tbl " #note "\n\tmov x16, x0\n" \
    "\tldp x0, x1, [sp, #16]\n\tldr x2, [sp, #32]\n\tldp x29, x30, [sp], #48\n\t.cfi_def_cfa_offset 0\n\t.cfi_restore 29\n\t.cfi_restore 30\n" \
    "\tbr x16\n\t.cfi_endproc\n.size " #name ",.-" #name "\n")
#endif
JUMP(dlopen, observe_dlopen);
JUMP(dlmopen, observe_dlmopen);

HOOK int dlclose(void *handle) {
    int error = errno;
    note_libraries();
    errno = error;
    return REAL(dlclose)(handle);
}
#define LEAVE(name) void name(int) __attribute__((noreturn)); HOOK __attribute__((noreturn)) void name(int status) { \
    note_libraries(); REAL(name)(status); __builtin_unreachable(); }
LEAVE(_exit) LEAVE(_Exit)

__attribute__((destructor)) static void ended(void) { note_libraries(); }
