"""What a run tells GitHub beside its output: annotations at the lines of rustc's messages, and the step's summary.

Loaded only where GitHub's variables are set. What is told of others (messages, file names) cannot begin a command or
end a line.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.cargo.messages import Located

SUMMARY = "GITHUB_STEP_SUMMARY"
WORDS = {"ok": "done", "--": "skipped", "!!": "**failed**"}
# GitHub shows ten of a kind a step, and takes fifty of a job.
MOST = 50


def annotate(found: Iterable[Located], root: str, environ: Mapping[str, str]) -> None:
    """Print a command for each place that rustc named, relative to the checkout."""
    checkout = environ.get("GITHUB_WORKSPACE") or root
    for one in list(dict.fromkeys(found))[:MOST]:
        path = os.path.relpath(os.path.join(root, one.file), checkout).replace(os.sep, "/")
        places = {"file": path, "line": one.line, "col": one.column, "title": one.title}
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in places.items() if value)
        print(f"::{one.level} {properties}::{_message(one.text)}", flush=True)
    sys.stdout.flush()


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def summarise(mark: str, target: str, text: str, environ: Mapping[str, str]) -> None:
    """Add a line to the step's summary; that it cannot be written stops nothing."""
    plain = " ".join(text.split()).replace("`", "'")
    with contextlib.suppress(OSError), open(environ[SUMMARY], "a", encoding="utf-8") as stream:
        stream.write(f"- {WORDS[mark]} `{target}`: `{plain}`\n")
