"""What a running program says: to the terminal as it comes, and plain to a log.

Knows nothing of how the program is started, nor of targets, receipts or freshness.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, NamedTuple, TextIO

from doit_cargo.engine.base import private
from doit_cargo.engine.base.errors import COULD_NOT_RUN, UserError
from doit_cargo.engine.base.model import Invocation
from doit_cargo.engine.base.plain_text import without_passwords
from doit_cargo.engine.base.secrets import masked, shown_words
from doit_cargo.engine.cargo.messages import BuildReport
from doit_cargo.engine.console.child import lines
from doit_cargo.engine.console.streams import has_colour
from doit_cargo.engine.state.store import unwritable

ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
ANSI_BYTES = re.compile(ANSI.pattern.encode())
PROGRESS_STATUS = re.compile(r"^\s*(Building|Fetch|Updating|Downloading) \[[=> ]*\]")
MILESTONE = re.compile(
    r"^\s*(?:Finished|Compiling|Checking|Fresh|Dirty|Running|Locking|Adding|Blocking|Updating|Downloaded|Downloading|Removed|Documenting|error|warning)\b"
)


# A line that is longer goes out in parts; of less output each line is looked at.
LONGEST_LINE = 1 << 18
MANY = 1 << 14
FEW_SEQUENCES = 16


class Log:
    """The plain text of a run. `.logs/build.log` is a second name of the latest build's log."""

    def __init__(self, path: str, title: str, invocation: Invocation, appends: bool = False) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            private.folder(os.path.dirname(path))
            _ignore_in_git(os.path.dirname(path))
            self._stream = _log_file(path, appends)
            self._name_as_latest()
            self.write(_header(title, invocation))
        except OSError as error:
            raise UserError(unwritable(path, error, ""), COULD_NOT_RUN) from None

    def _name_as_latest(self) -> None:
        latest = os.path.join(os.path.dirname(self.path), "build.log")
        if latest == self.path or not os.path.basename(self.path).startswith(("build", "release", "dev")):
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(latest)
        with contextlib.suppress(OSError):
            os.link(self.path, latest)

    def write(self, text: str) -> None:
        self.write_bytes(text.encode("utf-8", "replace"))

    def write_bytes(self, data: bytes) -> None:
        with self._lock:
            self._stream.write(_without_passwords(data))

    def close(self) -> None:
        self._stream.close()


def _log_file(path: str, appends: bool) -> IO[bytes]:
    """Open a log, anew unless it goes on: an older one may have a second name, which must keep its text."""
    if appends:
        return open(path, "ab", buffering=0, opener=private.opener)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return open(path, "wb", buffering=0, opener=private.opener)


def _without_passwords(data: bytes) -> bytes:
    # A single byte is found ten times as fast as three.
    if (b"@" not in data and b"?" not in data) or b"://" not in data:
        return data
    return without_passwords(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _ignore_in_git(directory: str) -> None:
    ignore = os.path.join(directory, ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8", opener=private.opener) as stream:
            stream.write("*\n")


def _header(title: str, invocation: Invocation) -> str:
    lines = [f"# {title}", f"# {time.strftime('%Y-%m-%d %H:%M:%S%z')}  in {invocation.cwd}"]
    lines += [f"# {name}={masked(name, value)}" for name, value in invocation.env.items()]
    lines += [f"# {name} removed from the environment" for name in invocation.unset]
    lines.append("# " + " ".join(shown_words(invocation.argv)))
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Return `text` without terminal control sequences and without what a carriage return has painted over."""
    without_colours = ANSI.sub("", text)
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in without_colours.split("\n"))


def plain_bytes(data: bytes) -> bytes:
    """Return `plain` of bytes, as UTF-8; what is plain already costs nothing."""
    if b"\r" in data:
        return plain(data.decode("utf-8", "replace")).encode("utf-8", "replace")
    seen = _without_colours(data) if b"\x1b" in data else data
    return seen if _is_utf8(seen) else seen.decode("utf-8", "replace").encode()


def _without_colours(data: bytes) -> bytes:
    """Return bytes without control sequences. A program has few: taking one after the other out everywhere is much
    faster than matching each.
    """
    for _ in range(FEW_SEQUENCES):
        found = ANSI_BYTES.search(data)
        if found is None:
            return data
        data = data.replace(found.group(), b"")
    return ANSI_BYTES.sub(b"", data)


def _is_utf8(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def blocks(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield each piece as it comes, with the whole lines that it completes, if any; in the end what is left.

    A line that never ends goes out in parts: memory is bounded.
    """
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        size += len(piece)
        if not end and size < LONGEST_LINE:
            kept.append(piece)
            yield piece, b""
            continue
        end = end or len(piece)
        yield piece, b"".join([*kept, piece[:end]])
        kept, size = [piece[end:]], len(piece) - end
    yield b"", b"".join(kept)


def columns_of(stream: TextIO | None) -> int:
    """Return how wide a terminal is at this moment, 0 for what is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream else 0
    except (OSError, ValueError, AttributeError):
        return 0


def _narrowed(part: bytes, columns: int) -> bytes:
    """Return a drawn line as far as it fits."""
    text = ANSI.sub("", part.decode("utf-8", "replace")).strip("\r")
    is_drawn = part.endswith(b"\r") and PROGRESS_STATUS.match(text)
    return f"{text.rstrip()[: columns - 1]}\x1b[K\r".encode() if is_drawn else part


class CountedLines(NamedTuple):
    """Lines that count: of `one` with its first group nothing else is of interest, the second is its name; `total`
    tells how many there will be.
    """

    one: re.Pattern[str]
    total: re.Pattern[str]


BAR = 27  # as wide as cargo's
ERASED = b"\r\x1b[K"


def draws() -> bool:
    """Tell whether a line can be drawn that the next one takes the place of."""
    return columns_of(sys.stderr) > 0 and os.environ.get("TERM") != "dumb"


def draw(word: str, done: int, total: int, what: str) -> None:
    """Draw how far we are, as cargo does; where there is no terminal, nothing."""
    if draws():
        show(sys.stderr, drawn(word, done, total, what))


def drawn(word: str, done: int, total: int, what: str) -> bytes:
    """Return a line that the next one takes the place of."""
    share = BAR * done // max(total, done, 1)
    bar = f"[{'=' * share}>{' ' * (BAR - share)}]"
    text = f" {bar} {done}/{max(total, done)}: {what}"[: max(columns_of(sys.stderr) - 13, 0)]
    head = f"\x1b[1m\x1b[96m{word:>12}\x1b[0m" if has_colour(sys.stderr) else f"{word:>12}"
    return f"\r{head}{text}\x1b[K\r".encode()


def erase() -> None:
    """Take away what was drawn."""
    if draws():
        show(sys.stderr, ERASED)


def show(stream: TextIO | None, data: bytes) -> None:
    """Pass on what a program says, byte by byte where the stream can. It may go away, or be none: a log goes on."""
    with contextlib.suppress(OSError, ValueError):
        if stream is None or not data:
            return
        as_it_is = getattr(stream, "write_bytes", None)
        if as_it_is:
            as_it_is(data)
        else:
            stream.write(data.decode("utf-8", "replace"))
            stream.flush()


class Screen:
    """The terminal and the log, written by both readers. A diagnostic waits until cargo has ended its line."""

    def __init__(
        self,
        log: Log,
        warnings: StderrWarnings,
        hidden: re.Pattern[str] | None = None,
        counts: CountedLines | None = None,
    ) -> None:
        self._log = log
        self._counts = counts
        self._done = self._total = 0
        self._hidden = hidden
        self._held = b""
        self._warnings = warnings
        self._lock = threading.Lock()
        self._colours = has_colour(sys.stderr)
        self._columns = columns_of(sys.stderr)
        self._waiting: list[str] = []
        self._line_is_open = False
        self._last = {"out": b"", "err": b""}

    def show_messages(self, pieces: Iterator[bytes], report: BuildReport) -> None:
        """Read cargo's standard output: JSON messages, of which the diagnostics are for people."""
        for line in lines(pieces):
            text = report.feed(line.decode("utf-8", "replace").rstrip("\r\n"))
            if text:
                self._diagnostic(text if text.endswith("\n") else text + "\n")

    def show_output(self, pieces: Iterator[bytes]) -> None:
        """Pass a program's standard output on as it comes."""
        for piece, whole in blocks(pieces):
            show(sys.stdout, piece)
            self._last["out"] = piece or self._last["out"]
            text = plain_bytes(whole)
            self._log.write_bytes(text if text.endswith(b"\n") or piece or not text else text + b"\n")

    def tell(self, text: str) -> None:
        """Say something of our own about the program."""
        self._diagnostic(f"{text}\n")

    def _diagnostic(self, text: str) -> None:
        self._log.write(plain(text))
        # The progress bar stands on this line: wipe it first, cargo draws it again.
        with self._lock:
            self._waiting.append("\r\x1b[K" + text if self._colours else plain(text))
            self._release()

    def _release(self, at_the_end: bool = False) -> None:
        if not self._line_is_open or at_the_end:
            show(sys.stderr, "".join(self._waiting).encode("utf-8", "replace"))
            self._waiting.clear()

    def show_errors(self, pieces: Iterator[bytes]) -> None:
        """Read cargo's standard error: status lines and the progress bar, passed on as they come."""
        for piece, whole in blocks(pieces):
            if piece:
                with self._lock:
                    show(sys.stderr, self._fitted(self._visible(piece)))
                    self._last["err"] = piece
                    self._line_is_open = not piece.endswith((b"\n", b"\r"))
                    self._release()
            if self._is_dull(whole):
                self._log.write_bytes(plain_bytes(whole))
            else:
                self._log_lines(whole.decode("utf-8", "replace"))

    def _fitted(self, piece: bytes) -> bytes:
        """Return a progress bar that fits a window which has become narrower than the program was told."""
        columns = columns_of(sys.stderr) if self._columns and b"\r" in piece else 0
        if not 0 < columns < self._columns:
            return piece
        return b"".join(_narrowed(part, columns) for part in re.split(rb"(?<=[\r\n])", piece))

    def _is_dull(self, whole: bytes) -> bool:
        """Tell whether whole lines can go to the log unread: much output is neither cargo's nor drawn."""
        return (
            len(whole) > MANY
            and self._hidden is None
            and self._counts is None
            and not self._warnings.might_take(whole)
            and b"\r" not in whole
            and not (b"[" in whole and (b" [=" in whole or b" [>" in whole or b" [ " in whole))
        )

    def _visible(self, piece: bytes) -> bytes:
        """Return what of the text so far shall be seen. A line waits for its end, but for a progress bar."""
        if self._hidden is None and self._counts is None:
            return piece
        *whole, last = (self._held + piece).split(b"\n")
        shown = [self._counted(line) for line in whole if not self._is_hidden(line)]
        self._held = b"" if b"\r" in last else last
        return b"".join(shown) + (b"" if self._held else last)

    def _counted(self, line: bytes) -> bytes:
        """Return a line as it is shown: one that counts as the bar that stands for all of them."""
        if self._counts is None:
            return line + b"\n"
        text = plain(line.decode("utf-8", "replace"))
        if total := self._counts.total.match(text):
            self._total = int(total[1])
        one = self._counts.one.match(text)
        self._done += one is not None
        if one and one[1]:
            return drawn("Testing", self._done, self._total, one[2])
        return (ERASED if self._done else b"") + line + b"\n"

    def _only_counts(self, text: str) -> bool:
        found = self._counts.one.match(text) if self._counts else None
        return found is not None and bool(found[1])

    def _is_hidden(self, line: bytes) -> bool:
        return self._hidden is not None and bool(self._hidden.match(plain(line.decode("utf-8", "replace"))))

    def finish(self) -> None:
        """Show what still waits, and end a line that the program has left open: ours is the next."""
        if self._held and not self._is_hidden(self._held):
            show(sys.stderr, self._held)
        if self._done:
            show(sys.stderr, ERASED)
        for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
            if plain_bytes(self._last[name].rpartition(b"\n")[2]).strip():
                show(stream, b"\n")
        self._release(at_the_end=True)

    def _log_lines(self, whole: str) -> None:
        for line in whole.removesuffix("\n").split("\n"):
            text = plain(line)
            if (self._hidden and self._hidden.match(text)) or self._only_counts(text):
                continue
            if text.strip() and not PROGRESS_STATUS.match(text):
                self._log.write(text + "\n")
                self._warnings.take(text)


class StderrWarnings:
    """Collect the warnings that cargo itself prints on every call, which a skip must repeat."""

    def __init__(self) -> None:
        self._kept: list[list[str]] = []
        self._inside = False

    def might_take(self, lines_of_it: bytes) -> bool:
        """Tell whether there may be something in these lines."""
        return self._inside or b"warning: " in lines_of_it

    def take(self, line: str) -> None:
        if line.startswith("warning: "):
            self._kept.append([line])
            self._inside = True
        elif self._inside and line.strip() and not MILESTONE.match(line):
            self._kept[-1].append(line)
        else:
            self._inside = False

    def taken(self) -> list[str]:
        return ["\n".join(lines) + "\n" for lines in self._kept]
