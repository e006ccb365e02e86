"""The head of a model file of either format. A broken or hostile file gives a problem, never an exception."""

from __future__ import annotations

import os
from dataclasses import replace

from doit_cargo.actions.models import gguf, safetensors
from doit_cargo.actions.models.header import BrokenError, Header, Reader


def of_file(path: str) -> Header:
    """Return what the head of a .gguf or .safetensors file says."""
    kind, read = ("gguf", gguf.read) if path.lower().endswith(".gguf") else ("safetensors", safetensors.read)
    try:
        with open(path, "rb") as stream:
            return checked(read(Reader(stream)), os.path.getsize(path))
    except BrokenError as error:
        return Header(kind, problem=str(error))
    except OSError as error:
        return Header(kind, problem=f"cannot be read: {error.strerror}")


def checked(header: Header, size: int) -> Header:
    """Return the header, with a problem if the file is shorter than its tensors need."""
    if size >= header.needed:
        return header
    return replace(header, problem=f"truncated: {size:,} bytes of {header.needed:,}")
