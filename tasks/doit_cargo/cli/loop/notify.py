"""A word on the desktop when a long run ends: off, unless DOIT_CARGO_NOTIFY says from how many seconds on."""

from __future__ import annotations

import os
import sys

from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.state import journal

VARIABLE = "DOIT_CARGO_NOTIFY"
SECONDS = 5.0
BELL = "\a"


def after(words: list[str], status: int, seconds: float) -> None:
    """Tell that a call has ended, if it took that long; where there is no desktop, the terminal's bell does it."""
    asked = os.environ.get(VARIABLE, "")
    try:
        least = float(asked or "inf")
    except ValueError:
        print(f"doit-cargo: {VARIABLE}: {asked!r} is no number of seconds", file=sys.stderr)
        return
    if not seconds >= least:
        return
    text = f"{' '.join(words[:3])} {'is done' if status == 0 else 'has failed'} after {journal.took(seconds)}"
    command = _command(text)
    if command and processes.answer(command, os.environ, SECONDS, os.sep).ok:
        return
    if sys.stderr.isatty():
        sys.stderr.write(BELL)
        sys.stderr.flush()


def _command(text: str) -> list[str]:
    """Return the program of the desktop that shows a text, or nothing."""
    if which("notify-send", os.environ):
        return ["notify-send", "--app-name=doit-cargo", "doit-cargo", text]
    if sys.platform == "darwin" and which("osascript", os.environ):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return ["osascript", "-e", f'display notification "{quoted}" with title "doit-cargo"']
    return []
