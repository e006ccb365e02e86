"""Programs that make system calls in their own instructions, past libc: known by their symbols and instructions.

Rust's rustix does so, and much rests on it. Only the calls that read, look or list count: a crate that renames its
temporary file through rustix hides no input.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import struct
from collections.abc import Iterator, Sequence

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process.processes import answer
from doit_cargo.engine.execution.observe.model import Process, Unobserved

REASON = "by its instructions it can make system calls past libc, where the observer does not look"
CALLS = rb"(?:open|openat|openat2|stat|statat|statx|lstat|access|accessat|readlink|readlinkat|getdents|getdents_uninit)"
# rustix::backend::fs::syscalls::openat, rustix::fs::at::openat::<...>, as Rust's manglings spell them.
SYMBOL = re.compile(rb"rustix(?:7backend2fs8syscalls|2fs2at|2fs3abs)\d{1,2}" + CALLS + rb"(?:17h|[BEIKN_]|$)")
SYSTEM = ("/usr/", "/lib", "/bin/", "/sbin/")
NOT_SYSTEM = "/usr/local/"
# open, stat, lstat, access, getdents64, openat, newfstatat, readlinkat, faccessat, statx, openat2, faccessat2
X86_64 = (2, 4, 6, 21, 217, 257, 262, 267, 269, 332, 437, 439)
AARCH64 = (61, 56, 79, 78, 48, 291, 437, 439)
NEAR = 40  # bytes between the number of a call and the call
LONGEST = 17  # bytes of a call and of any instruction that it may begin to be a part of
SECONDS = 20
ELF64 = b"\x7fELF\x02"
EM_X86_64, EM_AARCH64, PT_LOAD, PF_X, SHT_STRTAB = 62, 183, 1, 1, 3


def programs(processes: Sequence[Process], trusted: Sequence[str] = ()) -> Iterator[Unobserved]:
    """Yield the processes that hide what they read. What lies in `trusted` folders is proven otherwise."""
    known = (*SYSTEM, *(os.path.join(folder, "") for folder in trusted))
    for process in processes:
        for path in (process.program, *sorted(process.libraries)):
            is_known = path.startswith(known) and not path.startswith(NOT_SYSTEM)
            if path.startswith("/") and not is_known and _hides(path):
                yield Unobserved(path, REASON, process)
                break


def _hides(path: str) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False  # the run itself made it, and it is gone
    return _searched(path, found.st_size, found.st_mtime_ns, found.st_ino)


@functools.lru_cache(maxsize=4096)
def _searched(path: str, size: int, modified: int, inode: int) -> bool:
    del modified, inode
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
            return content[:5] == ELF64 and (_names(content) or _calls(content))
    except (OSError, ValueError, struct.error):
        return False


def _names(content: mmap.mmap) -> bool:
    """Search the names of functions that were linked; debug information also names those that were not."""
    (headers,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    for number in range(count):
        _, kind, _, _, offset, length = struct.unpack_from("<IIQQQQ", content, headers + number * size)
        named = kind == SHT_STRTAB and content.find(b"rustix", offset, offset + length) >= 0
        if named and SYMBOL.search(content, offset, offset + length):
            return True
    return False


def _calls(content: mmap.mmap) -> bool:
    """Search the instructions for a call whose number was loaded right before it."""
    (machine,) = struct.unpack_from("<H", content, 18)
    if machine == EM_X86_64:
        call, numbers = b"\x0f\x05", [b"\xb8" + struct.pack("<I", number) for number in X86_64]  # mov eax, number
        is_call = _decoded
    elif machine == EM_AARCH64:
        loads = (0x52800008, 0xD2800008)  # mov w8, number; mov x8, number
        call, numbers = b"\x01\x00\x00\xd4", [struct.pack("<I", load | n << 5) for load in loads for n in AARCH64]
        is_call = _aligned
    else:
        return False
    for begin, end in _executable(content):
        at = content.find(call, begin, end)
        while at >= 0:
            near = max(begin, at - NEAR)
            loads_at = [place for number in numbers if (place := content.rfind(number, near, at)) >= 0]
            if any(is_call(content, load, at) for load in loads_at):
                return True
            at = content.find(call, at + 1, end)
    return False


def _aligned(content: mmap.mmap, load: int, at: int) -> bool:
    del content
    return not (load | at) % 4


def _decoded(content: mmap.mmap, load: int, at: int) -> bool:
    """Tell whether what looks like a call is an instruction, and no part of a number, read on from where it is loaded.

    Without binutils the doubt stays, but for a displacement or a number below 1 << 24.
    """
    if content[at + 2 : at + 3] == b"\0":
        return False
    objdump = which("objdump", os.environ)
    if not objdump:
        return True
    import tempfile

    with tempfile.NamedTemporaryFile() as window:
        window.write(content[load : at + LONGEST])
        window.flush()
        done = answer([objdump, "-D", "-b", "binary", "-m", "i386:x86-64", window.name], os.environ, SECONDS)
    return not done.ok or re.search(rf"^ *{at - load:x}:.*\tsyscall", done.out, re.MULTILINE) is not None


def _executable(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    (headers,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for number in range(count):
        kind, flags, offset, _, _, length = struct.unpack_from("<IIQQQQ", content, headers + number * size)
        if kind == PT_LOAD and flags & PF_X:
            yield offset, offset + length
