"""What a call asks of a test target: which packages, which programs, which model; and what is wrong with that."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from doit_cargo.actions.testing.compile import KEY, TestRequest, is_whole, key_of, plan_of, without_packages
from doit_cargo.actions.testing.test_binaries import TestBinary, kind_of
from doit_cargo.engine.base.errors import Collector, Problem, UserError, unknown
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.variables import ALL
from doit_cargo.engine.plan.selection import select

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.engine.state.receipts import Receipt
    from doit_cargo.session import Session

MODEL = "MODEL"
INTEGRATION, QUICK = "test_integration", "test_quick"


def check(session: Session, name: str, values: Values) -> None:
    """Raise `UserError` with everything that is wrong with the variables."""
    problems = Collector()
    work = _work(session, name, values)
    try:
        work = work._replace(whole=is_whole(work))
        if session.stored_plan(key_of(work)) is None:  # a stored one was right, and still is
            plan_of(work)
    except UserError as error:
        problems.problems += error.problems
    problems.problems += _unknown_files(work)
    problems.problems += _unknown_model(session, values)
    problems.raise_if_any()


def work_of(session: Session, name: str, values: Values) -> TestRequest:
    """Return what a call asks for, with the form of selection that compiles nothing twice."""
    found: TestRequest | None = session.found.get(("work", name))
    if found is None:
        work = _work(session, name, values)
        session.found["work", name] = found = work._replace(whole=is_whole(work))
    return found


def _work(session: Session, name: str, values: Values) -> TestRequest:
    target = session.targets[name]
    selection = select(target, values, session.workspace, session.library.pack, session.machine)
    packages = selection.packages
    if name == QUICK and not values.words("PACKAGE"):
        packages = _quick(session, packages)
    return TestRequest(session, name, values, target, packages, whole=False)


def request_again(session: Session, receipt: Receipt) -> BuildRequest | None:
    """Return the request of a compilation, or of tests that have passed after one, with its plan made anew.

    None where it cannot be told whether the same tests are meant.
    """
    key = receipt["key"]
    if key[0] != KEY:
        work = work_of(session, key[0], session.values_for(key[0]))
        return None if work.values.flag("WHOLE") else session.request(key[0], plan_of(work))
    name = receipt["stored_plan"]["target"] if receipt["stored_plan"] else ""
    named = [word.partition("=") for word in key]
    packages = tuple(next(value for word, _, value in named if word == "packages").split(","))
    without = tuple(value for word, _, value in named if word == "without")
    values, target = session.values_for(name), session.targets[name]
    work = TestRequest(session, name, values, target, packages, whole=packages == (ALL,))
    return session.request(name, without_packages(plan_of(work), without))._replace(key=key_of(work, without))


def _quick(session: Session, packages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the packages of the smoke test: those that the pack names, by role or name, as far as they are here."""
    pack = session.library.pack
    named = {name for one in pack.quick for name in pack.roles.get(one, (one,))}
    return tuple(name for name in packages if name in named) or packages


def wanted(work: TestRequest, programs: Iterable[TestBinary]) -> list[TestBinary]:
    """Return the programs that the call asks for."""
    files = work.values.words("TEST_FILE")
    found = [
        program
        for program in programs
        if program.package in work.packages and (not files or (program.kind == "test" and program.name in files))
    ]
    asked = work.values.text("SHARD").partition("/")[0]
    return [one for one, shard in zip(found, shards(work, found), strict=True) if asked in ("", "all", shard)]


def shards(work: TestRequest, programs: Sequence[TestBinary]) -> list[str]:
    """Return the shard of each program: by turns in the order of their names, so that every machine says the same."""
    count = int(work.values.text("SHARD").partition("/")[2] or 1)
    order = sorted(range(len(programs)), key=lambda place: (programs[place].nextest_id, programs[place].kind))
    return [str(order.index(place) % count + 1) for place in range(len(programs))]


def proves_nothing(work: TestRequest) -> bool:
    """Tell whether a pass says nothing about the next time: single tests, or tests that talk to running services."""
    return bool(work.values.words("TEST") or work.target.services)


def has_targets(work: TestRequest) -> bool:
    """Tell whether the packages have what the flags of the target select: cargo takes an empty choice for an error."""
    flags = work.target.flags
    for flag, kind in (("--lib", "lib"), ("--doc", "lib"), ("--test", "test"), ("--examples", "example")):
        if flag in flags:
            chosen = (work.session.workspace.packages[name] for name in work.packages)
            return any(kind_of(one.kinds) == kind for package in chosen for one in package.cargo_targets)
    return True


def _unknown_files(work: TestRequest) -> list[Problem]:
    packages = (work.session.workspace.packages[name] for name in work.packages)
    known = tuple(one.name for package in packages for one in package.cargo_targets if "test" in one.kinds)
    return [
        unknown("test program", name, known, "TEST_FILE")
        for name in work.values.words("TEST_FILE")
        if name not in known
    ]


def _unknown_model(session: Session, values: Values) -> list[Problem]:
    """A name is the tests' own business; a path must lead somewhere."""
    model = values.text(MODEL)
    looks_like_path = "/" in model or os.sep in model or model.endswith((".gguf", ".txt", ".safetensors"))
    if not looks_like_path or os.path.exists(model_path(session, model)):
        return []
    fix = "give a file or folder, relative to the workspace, or the name of a model that the tests know"
    return [Problem(f"MODEL={model}: there is no such file", fix, session.root)]


def model_path(session: Session, model: str) -> str:
    """Return where a model is that is given as a path."""
    return os.path.join(session.root, os.path.expanduser(model))


def extra_variables(session: Session, values: Values) -> dict[str, str]:
    """Return the variables that tests are given beside cargo's: tests run in other folders, so a path is absolute."""
    model = values.text(MODEL)
    if not model:
        return {}
    path = model_path(session, model)
    return {MODEL: path if os.path.exists(path) else model}


def require_all_shards(work: TestRequest, programs: Sequence[TestBinary], stale: Collection[TestBinary]) -> None:
    """Raise where a program of these tests has passed in no shard: each of them belongs to exactly one."""
    missing = [(shard, one) for shard, one in zip(shards(work, programs), programs, strict=True) if one in stale]
    if missing:
        count = work.values.text("SHARD").partition("/")[2]
        names = shortened([f"{one.package} {one.title} (shard {shard}/{count})" for shard, one in missing], 6)
        fix = f"doit-cargo {work.name} SHARD={missing[0][0]}/{count}, with a store that both write and read"
        raise UserError(Problem(f"not passed with what is here: {names}", fix), code=1)
