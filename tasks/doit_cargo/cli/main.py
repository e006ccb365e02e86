"""The launcher: `doit-cargo TARGET... [VAR=value...] [-w DIR]`.

First it reads the receipts with built-in modules alone: where everything asked for is up to date, it says so and
ends, without doit, TOML or a subprocess. Only then does it load the rest.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import gc
import os
import sys
import time

from doit_cargo.cli.own_environment import settle
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.console import reporter, streams
from doit_cargo.engine.state import receipts, store
from doit_cargo.targets.commands import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from doit_cargo.engine.state import staleness

# Of variables that change no result, the values of which nothing has to be read; others are judged where all input is.
PLAIN = {
    "FORCE": ("0",),
    "OBSERVE": ("off", "preload", "strace"),
    "SCCACHE": ("0", "1"),
    "SHARE": ("off", "read", "write"),
    "VERBOSE": ("0", "1"),
    "WITHOUT_PREFLIGHT": ("0", "1"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit code (docs/reference/commands.md, "Exit codes")."""
    words = streams.take_choice(list(sys.argv[1:] if argv is None else argv))
    gc.disable()  # a short life: what is garbage goes with the process
    try:
        if argv is None:
            streams.ensure()
        if words[:2] == ["complete", "--"]:
            from doit_cargo.cli.shell import completion

            return _leave(completion.answer(words[2:]))
        stale = ""
        settle()
        parsed = split_words(words) if words and _is_target(words[0]) else None
        if parsed:
            streams.Stream.goes_on = True
            fresh, stale = _skip(*parsed)
            if fresh and "DOIT_CARGO_AUDIT" in os.environ and _is_drawn(os.environ["DOIT_CARGO_AUDIT"]):
                return _leave(_run([*words, "--audit"], None, ""))
            if fresh:
                return _leave(0) if argv is None else 0
        if argv is None and _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
            _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        status = _run(words, parsed, stale)
        return _leave(status) if argv is None else status
    except UserError as error:
        from doit_cargo.cli import line

        return line.told(error, "--json" in words)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # behind the ^C of the terminal
        return 130


def _run(words: list[str], parsed: tuple[list[str], dict[str, str], str] | None, stale: str) -> int:
    """Load what is needed to run a command line, and no more."""
    started, status = time.monotonic(), None
    if parsed and parsed[0][0] != "help" and "SINCE" not in parsed[1] and os.path.isdir(parsed[2]):
        from doit_cargo.cli import direct

        status = direct.main(*parsed, stale)
    if status is None:
        from doit_cargo.cli import line

        status = line.main(words, stale)
    if "DOIT_CARGO_NOTIFY" in os.environ:
        from doit_cargo.cli.loop import notify

        notify.after(words, status, time.monotonic() - started)
    return status


def _leave(status: int) -> int:
    """End the process without taking the interpreter down piece by piece: a fifth of a skip's time."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _is_drawn(share: str) -> bool:
    """Tell whether this skip is one of those to look at again: one in so many, by the clock. Raises `UserError`."""
    if share in ("", "0", "no", "off"):
        return False
    if not (share.isascii() and share.isdigit() and len(share) < 10):
        fix = "one in so many is looked at: DOIT_CARGO_AUDIT=50, or off"
        raise UserError(Problem(f"{share!r} is no number of skips", fix, "DOIT_CARGO_AUDIT"))
    return time.time_ns() // 1000 % int(share) == 0


def _is_plain(name: str, value: str) -> bool:
    """Tell whether a variable is one of a result, or surely asks for nothing that a skip does not give."""
    if name == "JOBS" and value.isascii() and value.isdigit():
        return 0 < len(value) <= 6 and int(value) > 0
    return not value or name not in receipts.RESULT_FREE or value in PLAIN.get(name, ())


def _is_target(word: str) -> bool:
    return word[:1] not in ("-", "+") and "=" not in word and word not in COMMANDS


def split_words(words: list[str]) -> tuple[list[str], dict[str, str], str] | None:
    """Return (targets, variables, workspace folder), or None if there is an option that needs a real parser."""
    targets: list[str] = []
    variables: dict[str, str] = {}
    start, rest = "", iter(words)
    for word in rest:
        if word == "-w":
            start = next(rest, "")
            if not start:
                return None
        elif word.startswith("-"):
            return None
        elif "=" in word:
            name, _, value = word.partition("=")
            if variables.setdefault(name, value) != value:
                return None  # given twice, which is refused
        else:
            targets.append(word)
    try:
        return targets, variables, os.path.abspath(start)
    except FileNotFoundError:
        return None  # we stand in a folder that is gone: that is told where all bad input is


def _skip(targets: list[str], variables: dict[str, str], start: str) -> tuple[bool, str]:
    """Return whether all that was asked for is proven up to date, and the first target that is known not to be."""
    if not all(_is_plain(*one) for one in variables.items()):
        return False, ""  # what was not seen does not count; bad input is told even where nothing would run
    root, passed = receipts.find_root(start, os.environ)
    if not root:
        return False, ""
    state = store.state_directory(root, os.environ)
    found = []
    for target in map(receipts.normalise, targets):
        receipt, changes = receipts.verdict(
            state, receipts.key_of(target, variables), os.environ, alike=_means_the_same
        )
        if receipt is None or not all(manifest in receipt["manifests"] for manifest in passed):
            return False, ""
        if changes:
            return False, "" if receipts.is_of_profiles(receipt, changes[0]) else target
        found.append((target, receipt))
    for target, receipt in found:
        reporter.skipped(target, receipt, variables.get("SHARE", ""))
        receipts.note_skip(receipt)
    return True, ""


def _means_the_same(receipt: receipts.Receipt, change: staleness.Change, environ: Mapping[str, str]) -> bool:
    """Ask what cargo makes of a difference; where there is none, nothing is loaded for it."""
    from doit_cargo.engine.execution import equivalence

    return equivalence.is_same(receipt, change, environ)


if __name__ == "__main__":
    raise SystemExit(main())
