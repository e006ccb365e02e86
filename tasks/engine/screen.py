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
from typing import IO

from doit_cargo.engine import private
from doit_cargo.engine.cargo_files import BuildReport
from doit_cargo.engine.errors import COULD_NOT_RUN, UserError
from doit_cargo.engine.model import Invocation
from doit_cargo.engine.plain_text import without_passwords
from doit_cargo.engine.receipts import unwritable
from doit_cargo.engine.secrets import masked, shown_words

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
PROGRESS_STATUS = re.compile(r"^\s*(Building|Fetch|Updating|Downloading) \[[=> ]*\]")
MILESTONE = re.compile(
    r"^\s*(?:Finished|Compiling|Checking|Fresh|Dirty|Running|Locking|Adding|Blocking|Updating|Downloaded|Downloading|Removed|Documenting|error|warning)\b"
)


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
        with self._lock:
            self._stream.write(without_passwords(text))
            self._stream.flush()

    def close(self) -> None:
        self._stream.close()


def _log_file(path: str, appends: bool) -> IO[str]:
    """Open a log, anew unless it goes on: an older one may have a second name, which must keep its text."""
    if appends:
        return open(path, "a", encoding="utf-8", errors="replace", opener=private.opener)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    return open(path, "w", encoding="utf-8", errors="replace", opener=private.opener)


def _ignore_in_git(directory: str) -> None:
    ignore = os.path.join(directory, ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8") as stream:
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


class Screen:
    """The terminal and the log, written by both readers. A diagnostic waits until cargo has ended its line."""

    def __init__(self, log: Log, warnings: StderrWarnings, hidden: re.Pattern[str] | None = None) -> None:
        self._log = log
        self._hidden = hidden
        self._held = ""
        self._warnings = warnings
        self._lock = threading.Lock()
        self._colours = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        self._waiting: list[str] = []
        self._line_is_open = False

    def show_messages(self, stream: IO[bytes], report: BuildReport) -> None:
        """Read cargo's standard output: JSON messages, of which the diagnostics are for people."""
        for line in stream:
            text = report.feed(line.decode("utf-8", "replace").rstrip("\r\n"))
            if text:
                self._diagnostic(text if text.endswith("\n") else text + "\n")

    def show_output(self, stream: IO[bytes], _: BuildReport) -> None:
        """Pass a program's standard output on as it comes."""
        pending = ""
        while chunk := os.read(stream.fileno(), 65536):
            text = chunk.decode("utf-8", "replace")
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.write(text)
                sys.stdout.flush()
            *lines, pending = (pending + text).split("\n")
            self._log.write("".join(f"{plain(line)}\n" for line in lines))
        if pending:
            self._log.write(f"{plain(pending)}\n")

    def _diagnostic(self, text: str) -> None:
        self._log.write(plain(text))
        # The progress bar stands on this line: wipe it first, cargo draws it again.
        with self._lock:
            self._waiting.append("\r\x1b[K" + text if self._colours else plain(text))
            self._release()

    def _release(self, at_the_end: bool = False) -> None:
        if not self._line_is_open or at_the_end:
            self._terminal("".join(self._waiting))
            self._waiting.clear()

    def show_errors(self, stream: IO[bytes]) -> None:
        """Read cargo's standard error: status lines and the progress bar, passed on as they come."""
        pending = ""
        while chunk := os.read(stream.fileno(), 65536):
            text = chunk.decode("utf-8", "replace")
            with self._lock:
                self._terminal(self._visible(text))
                self._line_is_open = not text.endswith(("\n", "\r"))
                self._release()
            *lines, pending = (pending + text).split("\n")
            for line in lines:
                self._log_line(line)
        if pending:
            self._log_line(pending)

    def _visible(self, text: str) -> str:
        """Return what of the text so far shall be seen. A line waits for its end, but for a progress bar."""
        if self._hidden is None:
            return text
        *lines, last = (self._held + text).split("\n")
        shown = [f"{line}\n" for line in lines if not self._hidden.match(plain(line))]
        self._held = "" if "\r" in last else last
        return "".join(shown) + ("" if self._held else last)

    def finish(self) -> None:
        """Show what still waits."""
        if self._held and not (self._hidden and self._hidden.match(plain(self._held))):
            self._terminal(self._held)
        self._release(at_the_end=True)

    def _log_line(self, line: str) -> None:
        text = plain(line)
        if self._hidden and self._hidden.match(text):
            return
        if text.strip() and not PROGRESS_STATUS.match(text):
            self._log.write(text + "\n")
            self._warnings.take(text)

    def _terminal(self, text: str) -> None:
        # The terminal may go away (SIGHUP, a closed pipe): the log goes on.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


class StderrWarnings:
    """Collect the warnings that cargo itself prints on every call, which a skip must repeat."""

    def __init__(self) -> None:
        self._kept: list[list[str]] = []
        self._inside = False

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
