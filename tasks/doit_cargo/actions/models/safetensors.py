"""The head of a safetensors file: a length, then JSON with type, shape and place of each tensor.

Own code: the package `safetensors` opens tensors for numpy or torch, and here only the head is wanted.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from doit_cargo.actions.models.header import BrokenError, Header, Reader

MAX_JSON = 100_000_000
"""The limit of the format's own reader (safetensors, "Format")."""

MAX_DIMENSIONS = 16

# Bits of a number; what is not listed is taken as the file has it.
BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16}
BITS |= {"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8}


def read(reader: Reader) -> Header:
    """Return what the head says; raises `BrokenError` where it is none."""
    length = reader.number("Q")
    if length > MAX_JSON or length < 2:
        raise BrokenError(f"not a safetensors file: it claims a head of {length:,} bytes")
    try:
        table = json.loads(reader.bytes(length))
    except (ValueError, RecursionError):
        raise BrokenError("not a safetensors file: its head is not JSON") from None
    if not isinstance(table, dict):
        raise BrokenError("not a safetensors file: its head is no JSON object")
    numbers: Counter[str] = Counter()
    end = 0
    for name, tensor in table.items():
        if name != "__metadata__":
            kind, count, stop = _tensor(name, tensor)
            numbers[kind] += count
            end = max(end, stop)
    return Header(
        format="safetensors",
        quantisation=numbers.most_common(1)[0][0] if numbers else "",
        parameters=sum(numbers.values()),
        needed=reader.position + end,
    )


def _tensor(name: str, tensor: Any) -> tuple[str, int, int]:
    """Return (type, how many numbers, where it ends); raises `BrokenError` if these do not fit together."""
    kind, shape, place = _fields(tensor)
    if not kind or not _are_sizes(shape) or not _are_sizes(place) or len(place) != 2 or place[0] > place[1]:
        raise BrokenError(f"the tensor {name[:60]!r} is not described as it should be")
    count = math.prod(shape)
    if kind in BITS and count * BITS[kind] // 8 != place[1] - place[0]:
        raise BrokenError(f"the tensor {name[:60]!r} has {place[1] - place[0]:,} bytes, which do not fit its shape")
    return kind, count, place[1]


def _fields(tensor: Any) -> tuple[str, list[int], list[int]]:
    if not isinstance(tensor, Mapping):
        return "", [], []
    kind = tensor.get("dtype")
    return (kind if isinstance(kind, str) else ""), tensor.get("shape") or [], tensor.get("data_offsets") or []


def _are_sizes(values: object) -> bool:
    if not isinstance(values, list) or len(values) > MAX_DIMENSIONS:
        return False
    return all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 50 for value in values)
