/* The files that this process made, known again when it opens them under another name: what a program renames by a
 * system call of its own, past the hooks, is no input for all that. Rust's tempfile does so.
 */
#include "observe.h"

#define LATEST 64

static _Atomic uint64_t made[LATEST]; /* 0: none yet */
static _Atomic uint32_t count;

/* The same file for sure: an inode alone is used again. 0 where the file system does not say when a file was born. */
static uint64_t identity(const struct statx *file) {
    if (!(file->stx_mask & STATX_BTIME) || !(file->stx_mask & STATX_INO) || file->stx_btime.tv_sec <= 0) return 0;
    const uint64_t parts[] = {file->stx_dev_major, file->stx_dev_minor, file->stx_ino, (uint64_t)file->stx_btime.tv_sec,
                              file->stx_btime.tv_nsec};
    uint64_t hash = 1469598103934665603u;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        for (unsigned shift = 0; shift < 64; shift += 8) hash = (hash ^ (parts[i] >> shift & 255)) * 1099511628211u;
    return hash | !hash;
}

static uint64_t identity_of(int descriptor) {
    struct statx file;
    if (sealed || raw(SYS_statx, descriptor, (long)"", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, (long)&file, 0)) return 0;
    return identity(&file);
}

static bool is_made(uint64_t identity) {
    for (unsigned i = 0; identity && i < LATEST; i++) if (made[i] == identity) return true;
    return false;
}

void remember_made(int descriptor) {
    uint64_t identity = observing ? identity_of(descriptor) : 0;
    if (identity && !is_made(identity)) made[count++ % LATEST] = identity;
}

bool made_here(int descriptor) { return observing && count && is_made(identity_of(descriptor)); }

bool looked_at_made(const struct statx *file) { return observing && count && is_made(identity(file)); }
