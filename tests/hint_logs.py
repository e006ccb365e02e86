"""Logs for the tests of hints: examples of causes, logs without one, and the shapes in which users paste them.

An example is a block of a file in tests/data/hints: `### HINT`, or `### HINT [SYSTEM]` where the lines tell the system
as well, then the lines of the log.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from doit_cargo.engine import hints
from doit_cargo.engine.hints import Hint
from doit_cargo.engine.hints.recogniser import recognise

DATA = Path(__file__).parent / "data/hints"
KNOWN, _ = hints.load(None)


@dataclass(frozen=True, slots=True)
class Example:
    """Lines of a log and the hint that must come first."""

    hint: str
    system: str
    text: str


def examples() -> Iterator[Example]:
    for path in sorted(DATA.glob("*.txt")):
        for block in re.split(r"^### ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            head, _, text = block.partition("\n")
            name, _, system = head.partition(" ")
            yield Example(name, system.strip("[]"), text.rstrip("\n") + "\n")


def quiet_logs() -> list[Path]:
    """Return the logs that must give no hint: successes, mistakes in one's own code, failing tests."""
    return sorted((DATA / "quiet").glob("*.log"))


def read(log: bytes | str) -> list[Hint]:
    """Return the hints of a log from anywhere."""
    return hints.read(io.BytesIO(log.encode() if isinstance(log, str) else log), KNOWN, own_system=False)


def first(log: bytes | str) -> str:
    """Return the name of the first hint of a log, or nothing."""
    stream = io.BytesIO(log.encode() if isinstance(log, str) else log)
    return next((found.hint.name for found in recognise(stream, KNOWN).found), "")


# --- shapes ----------------------------------------------------------------------------------------------------------


def _prefixed(prefix: str) -> Callable[[str], bytes]:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines()).encode()


def _coloured(text: str) -> bytes:
    marked = re.sub(r"(error|warning|note)(?=[:\[])", "\x1b[1m\x1b[38;5;9m\\1\x1b[0m\x1b[1m", text, flags=re.IGNORECASE)
    return re.sub(r"$", "\x1b[0m", marked, flags=re.MULTILINE).encode()


def _progress(text: str) -> bytes:
    bar = "    Building [=======>             ] 112/431: candle-core\r\x1b[K"
    return "".join(f"{bar}{line}\n" for line in text.splitlines()).encode()


def _interleaved(text: str) -> bytes:
    lines = (f"{line}\n   Compiling part{number} v0.{number}.1" for number, line in enumerate(text.splitlines()))
    return ("\n".join(lines) + "\n").encode()


def _other_bytes(text: str) -> bytes:
    """Lines of a Windows code page and torn UTF-8 around and between."""
    strange = b"\xcf\xb5\xcd\xb3\xd5\xd2\xb2\xbb\xb5\xbd\xd6\xb8\xb6\xa8 \xff\xfe \xe7\xb3\r\n"
    return strange + text.encode().replace(b"\n", b"\r\n" + strange)


def _wrapped_clock(text: str) -> bytes:
    """Minutes and seconds before each line, as mach puts them, and Azure's marks of errors."""
    lines = (f" {number}:22.87 ##[error]{line}\n" for number, line in enumerate(text.splitlines()))
    return "".join(lines).encode()


def _elsewhere(text: str) -> bytes:
    """Other folders, registries, hashes and versions."""
    text = re.sub(r"/(?:home/\w+|root)/", "/data/agents/17/", text)
    text = re.sub(r"[A-Z]:\\+(?:Users\\+\w+|cargo|w)\b", lambda _: r"E:\agents\17", text)
    text = re.sub(r"(index\.crates\.io|github\.com)-[0-9a-f]{16}", "rsproxy.cn-e3de039b2554c837", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "0123456789abcdef", text)
    return re.sub(r"(?<=[\w]) v\d+\.\d+\.\d+", " v7.65.4", text).encode()


def _within(text: str) -> bytes:
    """Deep inside a long log."""
    before = "".join(f"   Compiling crate{number} v1.{number}.0\n" for number in range(300))
    return before.encode() + text.encode() + before[:4000].encode()


SHAPES: dict[str, Callable[[str], bytes]] = {
    "BuildKit": _prefixed("#14 123.4 "),
    "seconds": _prefixed("25.50 "),
    "GitHub Actions": _prefixed("2026-02-03T10:11:12.1234567Z "),
    "docker compose": _prefixed("builder-1  | "),
    "quoted": _prefixed("> "),
    "clock": _prefixed("[00:01:12] "),
    "colours": _coloured,
    "colours as cat -v shows them": lambda text: _coloured(text).replace(b"\x1b", b"^["),
    "progress bar": _progress,
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 without mark": lambda text: ("x" * 400 + "\n" + text).encode("utf-16-le"),
    "other encodings": _other_bytes,
    "interleaved": _interleaved,
    "other places": _elsewhere,
    "minutes": _wrapped_clock,
    "web page": lambda text: html.escape(text).encode(),
    "quotation marks lost": lambda text: text.replace("`", "").encode(),
    "a long log": _within,
}
