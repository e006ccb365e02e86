"""What the deps targets do: trees by cargo, duplicates from the lock, updates that are shown before they are made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from doit_cargo.actions import ask, confirmed, finished, planned, run_tool
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import BAD_INPUT, COULD_NOT_RUN, Problem, UserError, unknown
from doit_cargo.engine.base.model import ActionInputs
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.cargo.lockfile import Lock, Locked, read
from doit_cargo.engine.console import reporter
from doit_cargo.engine.plan import mirror

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

SHOWN = 4
BACKUP = "Cargo.lock.before-update"


def lock_path(session: Session) -> str:
    """Return where the lock of the workspace is."""
    return os.path.join(session.root, "Cargo.lock")


def deps_tree(session: Session, values: Values) -> bool:
    """`cargo tree` of the server, or of PACKAGE."""
    return _tree(session, values)


def deps_duplicates(session: Session, values: Values) -> bool:
    """`cargo tree --duplicates` of the whole workspace, or of PACKAGE."""
    if os.path.isfile(lock_path(session)) and not read(lock_path(session)).duplicates():
        print("no package is in Cargo.lock in several versions", flush=True)
        reporter.done(session.current, "nothing is there twice")
        return True
    return _tree(session, values, "--duplicates")


def show_tree(session: Session, values: Values) -> list[Plan]:
    """Return the call of deps_tree or deps_duplicates."""
    flags = ("--duplicates",) if session.current == "deps_duplicates" else ()
    return [planned.plan_of(session, values, "tree", flags)]


def check_tree(session: Session, values: Values) -> None:
    """Refuse packages and features that are not here."""
    planned.plan_of(session, values, "tree")


def _tree(session: Session, values: Values, *flags: str) -> bool:
    name = session.current
    made = planned.plan_of(session, values, "tree", flags)
    for note in made.notes:
        reporter.note(name, note)
    outcome = run_tool(session, name, made.invocation.argv, env=made.invocation.env, unset=made.invocation.unset)
    whose = ", ".join(made.packages) if len(made.packages) <= 3 else counted(len(made.packages), "package")
    return finished(session, name, outcome, f"the tree of {whose}")


def check_why(session: Session, values: Values) -> None:
    """Require one PACKAGE that the lock has."""
    names = values.words("PACKAGE")
    if len(names) != 1 or names == ("all",):
        raise UserError(
            Problem("deps_why needs one PACKAGE", "for example: deps_why PACKAGE=syn, or PACKAGE=syn@2.0.1")
        )
    _wanted(read(lock_path(session)), names[0])


def deps_why(session: Session, values: Values) -> bool:
    """`cargo tree --invert` for each version of PACKAGE that the lock has, over all features or those of FEATURES."""
    found = _wanted(read(lock_path(session)), values.words("PACKAGE")[0])
    return all([_invert(session, values, one) for one in found])  # noqa: C419 - each one, also after a failure


def _wanted(lock: Lock, asked: str) -> list[Locked]:
    """Return the locked packages that NAME or NAME@VERSION means, where a version may be shortened as cargo's."""
    name, _, version = asked.partition("@")
    known = lock.named(name)
    if not known:
        raise UserError(unknown("package", name, tuple({one.name for one in lock.packages}), "PACKAGE"), BAD_INPUT)
    found = [
        one for one in known if one.version == version or f"{one.version}.".startswith(f"{version}.") or not version
    ]
    if not found:
        raise UserError(unknown("version", version, tuple(one.version for one in known), "PACKAGE"), BAD_INPUT)
    return found


def _invert(session: Session, values: Values, wanted: Locked) -> bool:
    name = session.current
    spec = f"{wanted.name}@{wanted.version}"
    triple = values.text("TARGET") or "all"
    asked = ",".join(values.words("FEATURES"))
    features = ["--features", asked] if asked else ["--all-features"]
    call = ["cargo", "tree", "--workspace", "--invert", spec, "--target", triple, *features, *mirror.arguments(values)]
    answer = ask(session, call)
    if "did not match any packages" in answer.err or (answer.status == 0 and not answer.out.strip()):
        how = f"with FEATURES={asked}" if asked else "with any feature"
        print(f"{wanted} is in Cargo.lock, and no member depends on it {how}", flush=True)
        reporter.done(name, f"nobody depends on {wanted}")
        return True
    outcome = run_tool(session, name, call)
    return finished(session, name, outcome, f"who depends on {wanted}")


def watch_duplicates(session: Session, _: Values) -> ActionInputs:
    """Return the lock and the files that allow duplicates."""
    packs = [os.path.join(folder, "pack.toml") for folder in session.library.directories]
    files = (lock_path(session), session.workspace.manifest, *packs, *session.library.pack.files)
    return ActionInputs(files=files, answers=True)


def check_duplicates(session: Session, values: Values) -> bool:
    """List the packages that the lock has in several versions, with who pulls each, and compare with the limit."""
    lock = read(lock_path(session))
    _note_old_lock(session, lock)
    rules = session.library.pack.duplicates
    found = lock.duplicates()
    counted = {name: versions for name, versions in found.items() if _counts(versions, rules.allowed)}
    _note_useless(session, found, rules.allowed)
    print("".join(f"{line}\n" for name in counted for line in _lines(lock, name, counted[name])), end="", flush=True)
    limit, where = _limit(session, values)
    allowed = f", {len(found) - len(counted)} more are allowed" if len(found) > len(counted) else ""
    what = f"{len(counted)} of {len({one.name for one in lock.packages})} packages in several versions{allowed}"
    if limit is None:
        reporter.done("check_duplicates", f"{what}; {where}")
        return True
    if len(counted) <= limit:
        reporter.done("check_duplicates", f"{what}; at most {limit} ({where})" if counted else what)
        return True
    reporter.failed("check_duplicates", f"{what}, at most {limit} ({where}): {', '.join(counted)}")
    listed = ", ".join(f'"{name}"' for name in counted)
    reporter.failed("check_duplicates", f"fix: update or drop who pulls them (doit-cargo deps_why PACKAGE=NAME), or "
            f"allow "
               f"them: DUP_MAX={len(counted)}, or in profiles/pack.toml [duplicates] allow = [{listed}]")  # fmt: skip
    return False


def _counts(versions: Sequence[Locked], allowed: Mapping[str, str]) -> bool:
    """Tell whether more than one version is left without those that are allowed."""
    if versions[0].name in allowed:
        return False
    return len([one for one in versions if f"{one.name}@{one.version}" not in allowed]) > 1


def _limit(session: Session, values: Values) -> tuple[int | None, str]:
    """Return how many duplicates may be there and who says so; None where nobody has set a limit."""
    given = values.number("DUP_MAX")
    if given is not None:
        return given, "DUP_MAX"
    limit = session.library.pack.duplicates.limit
    if limit:
        return int(str(limit.value)), limit.where
    if session.library.pack.duplicates.allowed:
        return 0, "no other than allowed"
    return None, "nobody has set a limit: DUP_MAX=N, or in profiles/pack.toml [duplicates] max or allow"


def _lines(lock: Lock, name: str, versions: Sequence[Locked]) -> Iterator[str]:
    """Yield how one duplicate is shown: each version, with the shortest way to it and who else pulls it."""
    yield name
    for one in versions:
        way = lock.path_to(one)
        direct = lock.dependents.get(one, ())
        others = [str(other) for other in direct if other not in way[-2:-1]]
        beside = f"; also by {shortened(others, SHOWN)}" if others else ""
        yield f"  {one.version:12} {' > '.join(map(str, way[:-1])) or 'a member of its own'}{beside}"


def _note_old_lock(session: Session, lock: Lock) -> None:
    locked = {one.name for one in lock.packages}
    missing = [name for name in session.workspace.packages if name not in locked]
    if missing:
        reporter.note(session.current, f"Cargo.lock is older than the manifests: it lacks {', '.join(missing)}")


def _note_useless(session: Session, found: Mapping[str, Sequence[Locked]], allowed: Mapping[str, str]) -> None:
    """Tell of what is allowed and no longer there. A shipped pack is for many checkouts: only the user's is told."""
    own = tuple(f"{layer.label}/" for layer in session.library.layers if layer.is_overlay)
    for entry, where in allowed.items():
        name, _, version = entry.partition("@")
        is_there = any(version in ("", one.version) for one in found.get(name, ()))
        if where.startswith(own) and not is_there:
            reporter.note("check_duplicates", f"{where}: {entry} is no duplicate any more: take it out")


def deps_update(session: Session, values: Values) -> bool:
    """`cargo update`, after showing what it would change and asking; the old lock is kept beside the state."""
    path = lock_path(session)
    call = ["cargo", "update", *mirror.arguments(values)]
    for name in values.words("PACKAGE"):
        call += ["--package", name]
    tried = ask(session, [*call, "--dry-run"])
    if tried.status:
        raise UserError(Problem(f"cargo update failed: {tried.err.strip()}", "doit-cargo check_network"), COULD_NOT_RUN)
    if not [line for line in tried.err.splitlines() if _is_change(line)]:
        reporter.done("deps_update", "nothing to update")
        return True
    print(
        "".join(f"{line}\n" for line in tried.err.splitlines() if not line.startswith("warning: not ")),
        end="",
        flush=True,
    )
    if not confirmed(values, "Write this to Cargo.lock?"):
        raise UserError(Problem("Cargo.lock was not changed", "YES=1 changes it"), COULD_NOT_RUN)
    before = _text(path)
    if before is not None:
        atomic.write(os.path.join(session.state, BACKUP), before)
    outcome = run_tool(session, "deps_update", call)
    changes = list(_difference(before, _text(path)))
    print("".join(f"{line}\n" for line in changes), end="", flush=True)
    kept = f"; the old lock: {reporter.relative(os.path.join(session.state, BACKUP), session.root)}" if before else ""
    return finished(session, "deps_update", outcome, f"{counted(len(changes), 'package')} changed in Cargo.lock{kept}")


def _is_change(line: str) -> bool:
    return line.split()[:1] in (["Updating"], ["Adding"], ["Removing"], ["Downgrading"]) and " index" not in line


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _difference(before: str | None, after: str | None) -> Iterable[str]:
    """Yield how two locks differ, a line a package: - gone, + new, ~ another version."""
    from doit_cargo.engine.base.toml import toml

    old, new = (_versions(toml.loads(text or "")) for text in (before, after))
    for name in sorted({*old, *new}):
        was, now = old.get(name, []), new.get(name, [])
        gone, come = [v for v in was if v not in now], [v for v in now if v not in was]
        if gone and come:
            yield f"~ {name} {', '.join(gone)} -> {', '.join(come)}"
        elif gone or come:
            yield f"{'-' if gone else '+'} {name} {', '.join(gone or come)}"


def _versions(lock: Mapping[str, list[Mapping[str, str]]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in lock.get("package", []):
        found.setdefault(row["name"], []).append(row["version"])
    return found
