"""The head of a GGUF file, as its specification has it (ggml's docs/gguf.md), versions 2 and 3.

Own code, since the package `gguf` needs numpy and maps whole files; what is read here are names and numbers of the
metadata and the list of tensors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from doit_cargo.actions.models.header import BrokenError, Header, Reader

MAGIC = b"GGUF"
MAX_STRING, MAX_KEPT = 16 << 20, 4096
MAX_ENTRIES, MAX_WORDS, MAX_TENSORS, MAX_DIMENSIONS = 65_536, 4_000_000, 262_144, 4
MAX_NUMBERS = 1 << 50
STRING, ARRAY = 8, 9
# Types of metadata values: how `struct` calls them.
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
SIZES = {"B": 1, "b": 1, "H": 2, "h": 2, "I": 4, "i": 4, "f": 4, "?": 1, "Q": 8, "q": 8, "d": 8}


class Block(NamedTuple):
    """How a type of tensor stores its numbers: so many of them in so many bytes."""

    name: str
    numbers: int
    bytes: int


# Types of tensors: ggml's enum ggml_type, with the sizes of its blocks.
BLOCKS = {
    0: Block("F32", 1, 4),
    1: Block("F16", 1, 2),
    2: Block("Q4_0", 32, 18),
    3: Block("Q4_1", 32, 20),
    6: Block("Q5_0", 32, 22),
    7: Block("Q5_1", 32, 24),
    8: Block("Q8_0", 32, 34),
    9: Block("Q8_1", 32, 36),
    10: Block("Q2_K", 256, 84),
    11: Block("Q3_K", 256, 110),
    12: Block("Q4_K", 256, 144),
    13: Block("Q5_K", 256, 176),
    14: Block("Q6_K", 256, 210),
    15: Block("Q8_K", 256, 292),
    16: Block("IQ2_XXS", 256, 66),
    17: Block("IQ2_XS", 256, 74),
    18: Block("IQ3_XXS", 256, 98),
    19: Block("IQ1_S", 256, 50),
    20: Block("IQ4_NL", 32, 18),
    21: Block("IQ3_S", 256, 110),
    22: Block("IQ2_S", 256, 82),
    23: Block("IQ4_XS", 256, 136),
    24: Block("I8", 1, 1),
    25: Block("I16", 1, 2),
    26: Block("I32", 1, 4),
    27: Block("I64", 1, 8),
    28: Block("F64", 1, 8),
    29: Block("IQ1_M", 256, 56),
    30: Block("BF16", 1, 2),
    34: Block("TQ1_0", 256, 54),
    35: Block("TQ2_0", 256, 66),
    39: Block("MXFP4", 32, 17),
}
# general.file_type: llama.cpp's enum llama_ftype, a mixture of types under one name.
MIXTURES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"}
MIXTURES |= {12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"}
MIXTURES |= {19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL"}
MIXTURES |= {26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0"}
MIXTURES |= {37: "TQ2_0", 38: "MXFP4_MOE"}


class Tensors(NamedTuple):
    """All tensors taken together: how many numbers in which types, and where the last one ends."""

    numbers: Counter[str]
    end: int


def read(reader: Reader) -> Header:
    """Return what the head says; raises `BrokenError` where it is none."""
    if reader.size < 24 or reader.bytes(4) != MAGIC:
        raise BrokenError("not a GGUF file: it does not begin with GGUF")
    version = reader.number("I")
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in (2, 3)
        raise BrokenError("a big-endian GGUF file" if swapped else f"GGUF version {version} is not supported")
    tensor_count, entry_count = reader.number("Q"), reader.number("Q")
    if tensor_count > MAX_TENSORS or entry_count > MAX_ENTRIES:
        raise BrokenError(f"it claims {tensor_count:,} tensors and {entry_count:,} entries")
    metadata = {key: value for key, value in (_entry(reader) for _ in range(entry_count)) if value is not None}
    tensors = _tensors(reader, tensor_count)
    alignment = _number(metadata, "general.alignment", 32) or 32
    start = -(-reader.position // alignment) * alignment
    architecture = str(metadata.get("general.architecture", ""))
    return Header(
        format="gguf",
        architecture=architecture,
        quantisation=_quantisation(metadata, tensors.numbers),
        parameters=sum(tensors.numbers.values()),
        context_length=_number(metadata, f"{architecture}.context_length", 0),
        name=str(metadata.get("general.name", "")),
        needed=start + tensors.end if tensor_count else reader.position,
    )


def _number(metadata: Mapping[str, object], key: str, default: int) -> int:
    value = metadata.get(key, default)
    return int(value) if isinstance(value, int) and 0 <= value < 1 << 40 else default


def _quantisation(metadata: Mapping[str, object], numbers: Counter[str]) -> str:
    """Return the name of the mixture, or else of the type that most numbers have."""
    named = MIXTURES.get(_number(metadata, "general.file_type", -1), "")
    return named or (numbers.most_common(1)[0][0] if numbers else "")


def _entry(reader: Reader) -> tuple[str, object]:
    key = _text(reader, MAX_STRING)
    return key, _value(reader, reader.number("I"), 0)


def _text(reader: Reader, longest: int) -> str:
    length = reader.number("Q")
    if length > MAX_STRING:
        raise BrokenError(f"a text in its head claims {length:,} bytes")
    if length > longest:
        reader.skip(length)
        return ""
    return reader.bytes(length).decode("utf-8", "replace")


def _value(reader: Reader, kind: int, depth: int) -> object:
    """Return a number or a short text; other values are passed over."""
    if kind in NUMBERS:
        form = NUMBERS[kind]
        if form not in "fd":
            return reader.number(form)
        reader.skip(SIZES[form])
    elif kind == STRING:
        return _text(reader, MAX_KEPT)
    elif kind == ARRAY and depth < 3:
        _skip_array(reader, depth)
    else:
        raise BrokenError(f"an entry of its head has the unknown type {kind}")
    return None


def _skip_array(reader: Reader, depth: int) -> None:
    kind, count = reader.number("I"), reader.number("Q")
    if kind in NUMBERS:
        reader.skip(count * SIZES[NUMBERS[kind]])
        return
    if count > MAX_WORDS:
        raise BrokenError(f"a list in its head claims {count:,} entries")
    for _ in range(count):
        _value(reader, kind, depth + 1)


def _tensors(reader: Reader, count: int) -> Tensors:
    numbers: Counter[str] = Counter()
    end = 0
    for _ in range(count):
        _text(reader, MAX_KEPT)
        dimensions = reader.number("I")
        if dimensions > MAX_DIMENSIONS:
            raise BrokenError(f"a tensor claims {dimensions} dimensions")
        size = math.prod(reader.number("Q") for _ in range(dimensions))
        kind, offset = reader.number("I"), reader.number("Q")
        if max(size, offset) > MAX_NUMBERS:
            raise BrokenError(f"a tensor claims {size:,} numbers at {offset:,}")
        block = BLOCKS.get(kind) or Block(f"type {kind}", 1, 0)
        numbers[block.name] += size
        end = max(end, offset + -(-size // block.numbers) * block.bytes)
    return Tensors(numbers, end)
