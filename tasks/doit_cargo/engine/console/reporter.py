"""What a run tells the user, one aligned line a fact. Both entry points print through here.

Also says what a change means: which packages changed, what that rebuilds, how many are untouched. Imports stay
light, since the launcher prints its skips with it.
"""

from __future__ import annotations

import os
import sys

from doit_cargo.engine.base.plain_text import lines, one_line, shortened, without_passwords
from doit_cargo.engine.console.streams import has_colour

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol, TextIO

    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.cargo.messages import BuildReport
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.engine.state.staleness import Change

    class Repaired(Protocol):
        """What was done before cargo started, as far as it is told: paths; packages in `shared` and `clean`."""

        touched: list[str]
        set_back: list[str]
        removed: list[str]
        shared: list[str]
        clean: list[str]
        moved: bool

    class Seen(Protocol):
        """A unit that is made anew since `subject` changed; `text` goes on after it."""

        @property
        def package(self) -> str: ...
        @property
        def subject(self) -> str: ...
        @property
        def text(self) -> str: ...

    class Ended(Protocol):
        """What came of a process, as far as it is told."""

        status: int
        seconds: float
        report: BuildReport
        interrupted: bool


# Marks say in words what colours say too: done, failed, skipped, by the way.
STYLES = {"ok": "1;32", "!!": "1;31", "--": "2", "..": "36"}


def _line(mark: str, target: str, text: str, stream: TextIO | None = None) -> None:
    into = stream or sys.stdout
    told = lines(without_passwords(f"{mark} {target}  {text}"))
    if has_colour(into):
        told = f"\x1b[{STYLES[mark]}m{mark}\x1b[0m \x1b[1m{told[3 : 3 + len(target)]}\x1b[0m{told[3 + len(target) :]}"
    print(told, file=into, flush=True)
    if mark != ".." and "GITHUB_STEP_SUMMARY" in os.environ:
        from doit_cargo.engine.console import github

        github.summarise(mark, target, without_passwords(text), os.environ)


def note(target: str, text: str) -> None:
    """Tell something that the user should know before or after the work."""
    _line("..", target, text)


def skipped(target: str, receipt: Receipt, share: str = "") -> None:
    """Tell why nothing ran, and repeat the warnings that cargo would have repeated. `share` is the word of SHARE=."""
    repeat(receipt["warnings"])
    if receipt.get("answer"):
        print(_for_terminal(receipt["answer"], sys.stdout), end="", flush=True)
    if receipt.get("passed"):
        _line("--", target, receipt["passed"] + _unpublished(share))
        return
    inputs = _count(len(receipt["plan"]["files"]) + len(receipt["build"]["files"]), "input")
    packages = f"{_count(len(receipt['packages']), 'package')}, " if receipt["packages"] else ""
    _line("--", target, f"up to date: {packages}{inputs} unchanged" + (_unpublished(share) if packages else ""))


def _unpublished(share: str) -> str:
    return "; SHARE=write publishes what runs: FORCE=1 runs it" if share == "write" else ""


def repeat(warnings: Iterable[str]) -> None:
    """Show warnings of cargo's again."""
    for warning in warnings:
        sys.stderr.write(_for_terminal(warning, sys.stderr))
    sys.stderr.flush()


def done(target: str, text: str) -> None:
    """Tell that a target has done its work, and what that was."""
    _line("ok", target, text)


def failed(target: str, text: str) -> None:
    """Tell that a target has failed, and at what."""
    _line("!!", target, text, sys.stderr)


def problem(target: str, error: Exception) -> None:
    """Tell why a target could not run, or what is wrong with what was asked."""
    _line("!!", target, str(error), sys.stderr)


def reasons(target: str, changes: list[Change], receipt: Receipt | None) -> None:
    """Tell why a target runs: what changed, what that rebuilds, and how much is untouched."""
    for text in summary(changes, receipt):
        _line("..", target, text)


def healed(target: str, healing: Repaired, root: str) -> None:
    """Tell what was done so that cargo cannot overlook a change."""
    for path in dict.fromkeys(healing.touched):
        _line("..", target, f"{relative(path, root)}: new content under an old time; cargo is made to look at it")
    if healing.shared:
        names = shortened(healing.shared, 6)
        note(
            target, f"another workspace builds in the same target or build directory: cargo is made to look at {names}"
        )
    if healing.set_back:
        count = _count(len(healing.set_back), "file")
        _line("..", target, f"{count} only touched: the content is what cargo has built, so the old time is set back")
    if healing.moved:
        note(target, "this target directory was built under another path: the packages of the workspace are built anew")
    elif healing.clean:
        names = ", ".join(sorted(set(healing.clean))[:6])
        note(target, f"what cargo would not look at is built anew: {names}")
    for path in healing.removed:
        _line("..", target, f"{relative(path, root)} was damaged after cargo made it: removed, to be made again")


def seen(target: str, stale: Iterable[Seen], root: str) -> None:
    """Tell of units that are made anew since something changed that they were seen to rest on."""
    told = dict.fromkeys((one.package, one.subject, one.text) for one in stale)
    for package, subject, text in list(told)[:6]:
        what = f"{relative(subject, root)} {text}" if subject else text
        _line("..", target, f"{package}: {what}")
    if len(told) > 6:
        _line("..", target, f"and {len(told) - 6} more of this kind")


def unproven(target: str, doubts: Iterable[tuple[str, str]], root: str) -> None:
    """Tell of packages that cargo calls fresh, though nothing proves that they were made from what is there now.

    `doubts` are pairs of a package and the file that changed, "" where none is known.
    """
    for package, changed in list(dict.fromkeys(doubts))[:6]:
        why = f"{relative(changed, root)} changed" if changed else "nothing proves that it is"
        note(target, f"{package} is not up to date, whatever cargo says ({why}): it is built anew")


def _interrupted(target: str, text: str) -> None:
    """Tell it on a line of its own: the terminal has put ^C, and cargo a progress bar, on the one that is open."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" if os.environ.get("TERM") != "dumb" else "\n")
    _line("!!", target, text, sys.stderr)


def finished(target: str, plan: Plan, outcome: Ended, root: str) -> None:
    """Tell how a run ended, and where its log is."""
    log = relative(plan.log, root)
    if outcome.interrupted:
        _interrupted(target, f"interrupted after {outcome.seconds:.1f} s; log: {log}")
    elif outcome.status:
        _line("!!", target, f"failed: cargo ended with status {outcome.status}; log: {log}", sys.stderr)
    else:
        _line("ok", target, f"{outcome.seconds:.1f} s: {_work(outcome)}{_outputs(plan, root)}; log: {log}")


def compiled(target: str, outcome: Ended) -> None:
    """Tell what a cargo call has compiled after which the target goes on."""
    if outcome.report.compiled:
        _line("..", target, f"{outcome.seconds:.1f} s: {_work(outcome)}")


def ended(target: str, outcome: Ended, what: str, log: str) -> None:
    """Tell how a program that is no cargo build ended; `what` is the work that a success has done."""
    seconds = f"{outcome.seconds:.1f} s"
    if outcome.interrupted:
        _interrupted(target, f"interrupted after {seconds}; log: {log}")
    elif outcome.status:
        failed(target, f"failed after {seconds} with status {outcome.status}; log: {log}")
    else:
        done(target, f"{seconds}: {what}; log: {log}")


def _work(outcome: Ended) -> str:
    compiled = [name for name in outcome.report.compiled if name in outcome.report.packages]
    local = len(outcome.report.packages)
    others = len(outcome.report.compiled) - len(compiled)
    if not outcome.report.compiled:
        return f"nothing to compile in {_count(local, 'package')}"
    text = f"compiled {len(compiled)} of {_count(local, 'package')}"
    if 0 < len(compiled) <= 6:
        text += f" ({', '.join(compiled)})"
    return text + (f" and {_count(others, 'dependency', 'dependencies')}" if others else "")


def _outputs(plan: Plan, root: str) -> str:
    shown = [f"{relative(path, root)} {_size(path)}" for path in plan.outputs[:2] if os.path.exists(path)]
    more = len(plan.outputs) - 2
    return "".join(f"; {text}" for text in shown) + (f" and {more} more" if more > 0 else "")


def grown(target: str, program: str, before: int, after: int, commit: str) -> None:
    """Tell that a program is larger than the last build of its kind left it, by more than is allowed."""
    from doit_cargo.engine.base.tables import size_of

    since = f" since {commit}" if commit else ""
    percent = f"{100 * (after - before) / before:.1f} %"
    _line("..", target, f"{program} grew by {percent}{since}: {size_of(before)} -> {size_of(after)}")


def _size(path: str) -> str:
    from doit_cargo.engine.base.tables import size_of

    return size_of(os.path.getsize(path))


def summary(changes: list[Change], receipt: Receipt | None) -> list[str]:
    """Return the lines that say what changed, roots first. `receipt` is the last success, or None."""
    if not changes:
        return []
    if receipt is None:
        return ["no successful run is on record"]
    causes, _ = split_consequences(changes)
    lines = list(dict.fromkeys(_other(change, receipt) for change in causes if not owners(change, receipt)))[:4]
    changed = changed_packages(changes, receipt)
    if changed:
        lines.append(_packages(changes, changed, receipt))
    return lines


def split_consequences(changes: list[Change]) -> tuple[list[Change], list[Change]]:
    """Return (causes, consequences): what a failed build left behind explains nothing where something else does."""
    left_behind = [change for change in changes if change.kind in ("artefact", "output")]
    causes = [change for change in changes if change not in left_behind]
    return (causes, left_behind) if causes else (left_behind, [])


def _other(change: Change, receipt: Receipt) -> str:
    root = _root_of(receipt)
    if change.kind == "run":
        own, said = change.subject == receipt["key"][0], change.new.partition(";")[0]
        return said if own else f"{change.subject} {said}"
    if change.kind in ("file", "output", "artefact", "listing"):
        return f"{change.kind} {relative(change.subject, root)}: {change.new}"
    return str(change)


def _packages(changes: list[Change], changed: list[str], receipt: Receipt) -> str:
    root = _root_of(receipt)
    parts = []
    for name in changed:
        files = [relative(change.subject, root) for change in changes if name in owners(change, receipt)]
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        parts.append(f"{name} changed ({files[0]}{more})")
    rebuilt = rebuilds(changed, receipt)
    others = [name for name in rebuilt if name not in changed]
    untouched = len(receipt["packages"]) - len(rebuilt)
    skipped = f"; {untouched} of {_count(len(receipt['packages']), 'package')} skipped" if untouched else ""
    return f"{listed(parts)}; that rebuilds {listed(others) or 'nothing else'}{skipped}"


def listed(names: list[str]) -> str:
    """Return names in one line that can be read: of many the first dozen, and how many more."""
    return shortened(names, 12)


def owners(change: Change, receipt: Receipt) -> tuple[str, ...]:
    """Return the packages that rest on a changed file themselves. Artefacts belong to none."""
    return tuple(receipt["owners"].get(change.subject, ())) if change.kind in ("file", "listing") else ()


def changed_packages(changes: Iterable[Change], receipt: Receipt) -> list[str]:
    """Return the packages whose own inputs changed, those first that others rest on."""
    return roots_of((name for change in changes for name in owners(change, receipt)), receipt)


def roots_of(names: Iterable[str], receipt: Receipt) -> list[str]:
    """Return packages once each, those first that others rest on."""
    found = set(names)
    order = {name: position for position, name in enumerate(roots_first(receipt["graph"]))}
    return sorted(found, key=lambda name: (order.get(name, len(order)), name))


def roots_first(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the packages of a graph (package -> what it rests on), each after what it rests on."""
    ordered: dict[str, None] = {}
    waiting = {name: set(others) - {name} for name, others in sorted(graph.items())}
    while waiting:
        ready = [name for name, others in waiting.items() if not others & waiting.keys()]
        # Dev-dependencies may close a cycle: then any one of it goes first.
        for name in ready or [next(iter(waiting))]:
            ordered[name] = None
            del waiting[name]
    return list(ordered)


def rebuilds(changed: Iterable[str], receipt: Receipt) -> list[str]:
    """Return the changed packages and all that depend on them, in the order of the build."""
    found, grown = set(changed), True
    while grown:
        more = {name for name, others in receipt["graph"].items() if found & set(others)} - found
        found |= more
        grown = bool(more)
    return [name for name in roots_first(receipt["graph"]) if name in found]


def _root_of(receipt: Receipt) -> str:
    return os.path.dirname(os.path.dirname(str(receipt["log"])))


def relative(path: str, root: str) -> str:
    """Return `path` as a person would write it from the workspace root, fit for a terminal."""
    return one_line(below(path, root))


def below(path: str, root: str) -> str:
    """Return `path` as seen from `root` where it lies below, the root itself as a dot."""
    above = root + os.sep
    return path[len(above) :] or "." if path.startswith(above) else path


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _for_terminal(text: str, stream: TextIO) -> str:
    if has_colour(stream):
        return text
    import re

    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
