"""`doit-cargo plan`: what a target would run, for every target and every part of a group, without running it.

A row that is no single cargo call shows its calls by `shows`; one that decides as it runs says so, instead of a guess.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, cast

from doit_cargo.actions import log_path
from doit_cargo.cli.commands import wanted
from doit_cargo.engine.base.errors import DONE, Absent
from doit_cargo.engine.base.launch import OwnProgram
from doit_cargo.engine.base.model import Invocation, Plan, Profile
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.engine.console import reporter
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.session import CARGO, GROUP, Session
from doit_cargo.targets import handlers

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.plan.plan import JsonPlan, JsonStep
    from doit_cargo.targets.listing import Row


def plan_target(session: Session, options: argparse.Namespace) -> int:
    """`plan`: what a target would run, part by part."""
    found = []
    for name in wanted(options, "plan"):
        session.variables(session.row(name)["name"])
        found += [_shown(session, session.row(part)) for part in _parts(session, normalise(name))]
    if options.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    else:
        for one in found:
            _print(one, session.root)
    return DONE


def _parts(session: Session, name: str) -> list[str]:
    """Return all that runs for a target, what comes before it first."""
    return [part for part in session.with_parts([name]) if session.row(part)["kind"] != GROUP]


def _shown(session: Session, row: Row) -> JsonPlan:
    """Return what one target runs, as JSON can carry it."""
    from doit_cargo.engine.plan import plan

    name = row["name"]
    session.current = name
    if row["kind"] == CARGO and not row["handler"]:
        return plan.to_json(session.new_plan(name))
    if not row["shows"]:
        return _undecided(session, name)
    try:
        made = cast("list[Plan]", handlers.call(row["shows"], session, session.values_for(name)))
    except Absent as absent:
        return _undecided(session, name, f"skipped here: {absent.problems[0].what}")
    shown = [plan.to_json(one) for one in made]
    steps = [step for one in shown for step in one["steps"]]
    if not shown:
        return _undecided(session, name)
    return {**shown[0], "target": name, "steps": steps}


def _undecided(session: Session, name: str, note: str = "") -> JsonPlan:
    """Return a plan without steps, for a target that finds out as it runs what there is to do."""
    from doit_cargo.engine.plan import plan

    target = session.targets[name]
    words = f"; in cargo's words: {' '.join(target.equivalent_command)}" if target.equivalent_command else ""
    text = note or f"{target.doc.rstrip('.')}. Which processes that takes is decided as it runs{words}"
    call, log = Invocation((), session.root), log_path(session, name)
    needs = _needs(target.needs)
    made = Plan(name, Profile(""), (), (), "", call, needs=needs, log=log, notes=(text,))
    return {**plan.to_json(made), "steps": []}


def _needs(needs: tuple[str, ...]) -> dict[str, str]:
    from doit_cargo.engine.toolchain.versions import split_need

    return dict(map(split_need, needs))


def _line(text: str) -> None:
    print(one_line(text))


def _print(plan: JsonPlan, root: str) -> None:
    by = f": profile {plan['profile']}, cargo profile {plan['cargo_profile']}" if plan["cargo_profile"] else ":"
    _line(f"{plan['target']}{by}")
    if plan["packages"]:
        _line(f"  packages  {', '.join(plan['packages'])}")
        _line(f"  features  {_features(plan)}")
    for step in plan["steps"]:
        _print_step(step)
    for output in plan["outputs"]:
        _line(f"  makes     {reporter.relative(output, root) if not plan['packages'] else output}")
    for tool, specifier in plan["needs"].items():
        _line(f"  needs     {tool} {specifier}".rstrip())
    _line(f"  log       {plan['log']}")
    for note in plan["notes"]:
        _line(f"  note      {note}")


def _features(plan: JsonPlan) -> str:
    """Return which features are on, as cargo's own call says it."""
    words = {word for step in plan["steps"] for word in step["argv"]}
    if "--all-features" in words:
        return "all"
    named = ", ".join(plan["features"])
    if "--no-default-features" in words:
        return f"{named}, without default" if named else "none"
    return named or "default"


def _print_step(step: JsonStep) -> None:
    import shlex

    for name, value in step["env"].items():
        _line(f"  env       {name}={value}")
    for name in step["unset"]:
        _line(f"  unset     {name}")
    for folder in step["path_prepend"]:
        _line(f"  PATH      {folder} first")
    _line(f"  in        {step['cwd']}")
    _line(f"  run       {' '.join(shlex.quote(word) for word in step['argv'])}")


def program_of(session: Session, _: Values) -> list[Plan]:
    """Return what a row of a TOML file runs: `shows` of such rows."""
    target = session.targets[session.current]
    program = (target.program or OwnProgram((), "")).at(session.root)
    call = Invocation(program.argv, os.path.normpath(os.path.join(session.root, program.cwd)), program.env)
    outputs = tuple(os.path.join(session.root, path) for path in program.outputs)
    log, needs = log_path(session, target.name), _needs(target.needs)
    return [Plan(target.name, Profile(""), (), (), "", call, outputs=outputs, needs=needs, log=log)]
