"""Rust programs that copy all variables only to hand them to those that they start: known by their instructions.

std's Command does so where it sets or removes a variable for a child, as build scripts do that try a compiler
(proc-macro2's, on which most workspaces rest). What the child then asks for is seen there. Knows nothing of a run.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import struct
from collections.abc import Collection, Iterator, Sequence

from doit_cargo.engine.base import NamedTuple

LARGEST = 16 << 20  # bytes of instructions: searching them takes about 20 ms for each million
X86_64 = b"\x7fELF\x02\x01", 3, 62  # loaded anywhere, so that instructions hold distances
SYMBOLS, RELOCATIONS, NO_BITS = 2, 4, 8
LOADED, EXECUTABLE = 2, 4
SLOT, OWN_ADDRESS = 6, 8  # R_X86_64_GLOB_DAT, R_X86_64_RELATIVE: a place that holds an address of others, an own one
ENVIRON = (b"environ", b"__environ", b"_environ")
CALL_OR_JUMP, RELATIVE = (0xE8, 0xE9), 0x05
IMMEDIATES = (0, 1, 2, 4)  # bytes of an instruction after the distance to what it refers to
# std::env::vars_os as both manglings of Rust spell it; std's own functions; those of them that copy for a child.
WALK = re.compile(
    rb"_RNvNtC\w+_3std3env7vars_os|_ZN3std3env7vars_os17h\w+"
    rb"|_RNv[Nt]+C\w+_3std3sys(?:3pal\w*2os|3env\w*)3env|_ZN3std3sys(?:3pal4unix2os|3env\w*)3env17h\w+"
)
WALK_IN_TEXT = re.compile(rb"_RNvNtC\w+_3std3env4vars|_ZN3std3env4vars17h\w+")
OF_STD = re.compile(
    rb"_R(?!I)[A-Za-z_]*?Cs[0-9A-Za-z]+_3std3(?:env|sys(?:7process|3env|3pal\w*2os))\w+"
    rb"|_ZN3std3(?:env|sys(?:3pal4unix)?(?:7process|3env|2os))\w+"
)
COPIES = re.compile(rb"_R(?!I)[A-Za-z_]*?Cs[0-9A-Za-z]+_3std\w*capture\w*|_ZN3std\w*capture\w*|" + WALK.pattern)


class _Section(NamedTuple):
    kind: int
    flags: int
    address: int
    start: int
    size: int
    link: int


class _Symbol(NamedTuple):
    name: bytes
    address: int
    size: int


def only_hands_on(program: str, place: str) -> bool:
    """Tell whether a walk over the variables is std's, and nothing in the program but std's Command can make it do so.

    `place` is where in the program the walk was seen, as "0x..."; False if it was elsewhere, and if it is not known.
    """
    try:
        found, at = os.stat(program), int(place, 16)
    except (OSError, ValueError):
        return False
    return any(at in one for one in _walking(program, found.st_size, found.st_mtime_ns, found.st_ino))


@functools.lru_cache(maxsize=4096)
def _walking(program: str, size: int, modified: int, inode: int) -> tuple[range, ...]:
    """Return the addresses at which a program walks over its variables only to hand them on."""
    del modified, inode
    try:
        with open(program, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
            return tuple(_proven(content))
    except (OSError, ValueError, struct.error, IndexError):
        return ()


def _proven(content: mmap.mmap) -> list[range]:
    if (content[:6], *struct.unpack_from("<HH", content, 16)) != X86_64:
        return []
    sections = list(_sections(content))
    code = [one for one in sections if one.flags & EXECUTABLE]
    functions = [symbol for one in sections if one.kind == SYMBOLS for symbol in _symbols(content, sections, one)]
    if sum(one.size for one in code) > LARGEST or any(WALK_IN_TEXT.fullmatch(one.name) for one in functions):
        return []
    walks = {one.address for one in functions if WALK.fullmatch(one.name)}
    placed = list(_relocations(content, sections))
    slots = [place for place, kind, _, name in placed if kind == SLOT and name in ENVIRON]
    table = {one for one in sections for slot in slots if one.address <= slot < one.address + one.size}
    kept = {place for place, kind, address, _ in placed if kind == OWN_ADDRESS and address in walks}
    kept |= {place for walk in walks for place in _in_data(content, sections, walk)}
    if any(name in ENVIRON and kind != SLOT for _, kind, _, name in placed):
        return []
    if not all(any(one.address <= place < one.address + one.size for one in table) for place in kept):
        return []  # a pointer to it that may be called from anywhere
    within = functools.partial(_all_within, content, code, functions)
    is_far = _in_large_code(content, code, functions, walks | kept | set(slots))
    if is_far or not within(walks | kept, COPIES) or not within(slots, OF_STD):
        return []
    return [range(one.address, one.address + one.size + 1) for one in functions if COPIES.fullmatch(one.name)]


def _in_large_code(
    content: mmap.mmap, code: Sequence[_Section], functions: Sequence[_Symbol], addresses: Collection[int]
) -> bool:
    """Tell whether code of the large model refers to an address: by its distance to the table, in eight bytes."""
    tables = [one.address for one in functions if one.name == b"_GLOBAL_OFFSET_TABLE_"]
    sought = [struct.pack("<q", address - base) for address in addresses for base in (0, *tables)]
    return any(content.find(one, part.start, part.start + part.size) >= 0 for one in sought for part in code)


def _sections(content: mmap.mmap) -> Iterator[_Section]:
    (start,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    for number in range(count):
        _, kind, flags, address, offset, length, link = struct.unpack_from("<IIQQQQI", content, start + number * size)
        yield _Section(kind, flags, address, offset, length, link)


def _symbols(content: mmap.mmap, sections: Sequence[_Section], table: _Section) -> Iterator[_Symbol]:
    strings = sections[table.link].start
    for name, _, _, _, address, size in struct.iter_unpack("<IBBHQQ", content[table.start : table.start + table.size]):
        if address:
            yield _Symbol(_text(content, strings + name), address, size)


def _text(content: mmap.mmap, at: int) -> bytes:
    return content[at : content.find(b"\0", at)]


def _relocations(content: mmap.mmap, sections: Sequence[_Section]) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield what the loader writes: where, which kind, an own address, the name of another's."""
    for one in sections:
        if one.kind != RELOCATIONS or not one.link:
            continue
        names, strings = sections[one.link], sections[sections[one.link].link].start
        for place, info, address in struct.iter_unpack("<QQq", content[one.start : one.start + one.size]):
            (name,) = struct.unpack_from("<I", content, names.start + 24 * (info >> 32))
            yield place, info & 0xFFFFFFFF, address, _text(content, strings + name) if info >> 32 else b""


def _in_data(content: mmap.mmap, sections: Sequence[_Section], address: int) -> Iterator[int]:
    """Yield the places that hold an own address already, as packed relocations have it."""
    sought = struct.pack("<Q", address)
    for one in sections:
        if one.flags & LOADED and not one.flags & EXECUTABLE and one.kind not in (NO_BITS, RELOCATIONS):
            at = content.find(sought, one.start, one.start + one.size)
            while at >= 0:
                yield one.address + at - one.start
                at = content.find(sought, at + 1, one.start + one.size)


def _all_within(
    content: mmap.mmap,
    code: Sequence[_Section],
    functions: Sequence[_Symbol],
    addresses: Collection[int],
    names: re.Pattern[bytes],
) -> bool:
    """Tell whether only functions of such names refer to any of these addresses."""
    for place in (place for one in code for place in _references(content, one, addresses)):
        around = [one.name for one in functions if one.address <= place < one.address + one.size]
        if not around or not all(map(names.fullmatch, around)):
            return False
    return True


def _references(content: mmap.mmap, code: _Section, addresses: Collection[int]) -> Iterator[int]:
    """Yield where the distance to one of the addresses stands, as instructions hold it: from where the next begins.

    The upper half of a distance is one number for 64 KiB of places, and searched as such.
    """
    for address in {address - 4 - more for address in addresses for more in IMMEDIATES}:
        last = code.address + code.size - 4
        for upper in range((address - last) >> 16, ((address - code.address) >> 16) + 1):
            begin = max(code.address, address - (upper << 16) - 0xFFFF)
            end = min(last, address - (upper << 16))
            for place in _places(content, code.start - code.address, begin, end, struct.pack("<h", upper)):
                at = place + code.start - code.address
                if address - place == struct.unpack_from("<i", content, at)[0] and _refers(content, at):
                    yield place


def _places(content: mmap.mmap, shift: int, begin: int, end: int, upper: bytes) -> Iterator[int]:
    at = content.find(upper, begin + shift + 2, end + shift + 4)
    while at >= 0:
        yield at - shift - 2
        at = content.find(upper, at + 1, end + shift + 4)


def _refers(content: mmap.mmap, at: int) -> bool:
    """Tell whether a distance follows a byte that announces one: call, jump, or an operand relative to here."""
    before = content[at - 1]
    return before in CALL_OR_JUMP or before & 0xC7 == RELATIVE or (content[at - 2] == 0x0F and before & 0xF0 == 0x80)
