"""What verify_profile and verify_strip do: compare what a cargo profile says with what was really done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from doit_cargo.actions import maker_of
from doit_cargo.actions.cargo_settings.profiles import case_of
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.cargo.config.effective import CargoProfile, Value, normal
from doit_cargo.engine.console import reporter
from doit_cargo.engine.preflight.config.findings import SettingsCase

if TYPE_CHECKING:
    from doit_cargo.engine.base.model import Plan
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.engine.cargo.config.rustc_args import RustcCall
    from doit_cargo.session import Session


def verify_profile(session: Session, _: Values) -> bool:
    """Let cargo call a stand-in for rustc as `build` would call rustc, and compare the flags with the settings."""
    from doit_cargo.engine.cargo.config.rustc_args import differences
    from doit_cargo.engine.preflight.config.rustc_probe import rehearse

    session.row("build")
    plan = session.new_plan("build")
    case, profile = _profile_of(session, plan)
    calls = rehearse(
        plan.invocation.argv, plan.invocation.cwd, processes.environment_of(plan.invocation, session.environ)
    )
    own = [call for call in calls if call.package in session.workspace.packages and not call.is_for_host]
    reporter.note(
        "verify_profile", f"{' '.join(plan.invocation.argv)}: {counted(len(calls), 'call')} of rustc, nothing compiled"
    )
    _print_given(own, profile)
    wrong = [(call, one) for call in own for one in differences(profile.of(call.package), call)]
    for one in dict.fromkeys(one for _, one in wrong):
        crates = [call.crate for call, other in wrong if other == one]
        what = f"rustc is given {one.key} = {one.given}, not {one.expected} ({one.where})"
        print(f"error: {shortened(crates, 4)}: {what}\n  fix: {_reason(case)}")
    text = f"{counted(len(own), 'call')} for members, cargo profile {profile.name}"
    if wrong:
        reporter.failed(
            "verify_profile",
            f"{text}: {len({one.key for _, one in wrong})} of the keys differ from what check_profiles says",
        )
    else:
        reporter.done("verify_profile", f"{text}: rustc is given what check_profiles says")
    return not wrong


def _profile_of(session: Session, plan: Plan) -> tuple[SettingsCase, CargoProfile]:
    """Return the cargo profile that a plan builds with, as the plan's own environment and --config change it."""
    case = case_of(session, plan.profile)
    found = case.profiles.get(plan.cargo_profile)
    if found is None:
        listed = "\n".join(map(str, case.refused)) or f"the cargo profile {plan.cargo_profile} is not defined"
        raise UserError(Problem(listed), COULD_NOT_RUN)
    return case, found


def _print_given(calls: list[RustcCall], profile: CargoProfile) -> None:
    """Print the keys as rustc got them for one program, or for a library where no program is built."""
    from doit_cargo.engine.cargo.config.rustc_args import observed

    shown = next((call for call in calls if call.is_linked), calls[0] if calls else None)
    if shown is None:
        return
    values = profile.of(shown.package)
    print(f"{profile.name}, as rustc is given it for {shown.package} ({shown.crate}):")
    for key, text in observed(shown).items():
        print(f"  {key:17} {text:16}  {_where(key, values[key], text)}")


def _where(key: str, value: Value, given: str) -> str:
    if key == "strip" and value.is_default and given == "debuginfo":
        return "cargo's default where no debug info is made"
    return value.where if normal(key, value.value) == given else f"not what {value.where} says"


def _reason(case: SettingsCase) -> str:
    flags = [name for name in ("CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS") if case.settings.environ.get(name)]
    return (
        f"see {flags[0]}" if flags else "look for the flag in rustflags of Cargo.toml and config.toml (check_rustflags)"
    )


def verify_strip(session: Session, values: Values) -> bool:
    """Read each program that `build` has made and compare what it still holds with `strip` of its cargo profile."""
    del values  # those of `build`
    plan = session.plan("build")
    plan = plan if plan.profile.files else session.new_plan("build")  # a kept plan does not hold its profile
    _, profile = _profile_of(session, plan)
    missing = [path for path in plan.outputs if not os.path.exists(path)]
    if missing or not plan.outputs:
        what = (
            f"{reporter.relative(missing[0], session.root)} is not there" if missing else "build makes no program here"
        )
        raise UserError(Problem(what, "doit-cargo build"), COULD_NOT_RUN)
    told = [_is_as_said(session, path, profile) for path in plan.outputs]  # all are told, also after a failure
    return all(told)


def _is_as_said(session: Session, path: str, profile: CargoProfile) -> bool:
    from doit_cargo.actions.cargo_settings import binaries

    found = binaries.look(path)
    maker = maker_of(session, path)
    values = profile.of(maker.name if maker else "")
    wanted, where = _wanted(values), values["strip"].where
    name = reporter.relative(path, session.root)
    if found.format == "PE" and not found.symbols and not found.debug:
        reporter.note(
            "verify_strip", f"{name}: a PE file without a symbol table; what Visual C++ makes keeps symbols in a .pdb"
        )
        return True
    text = f"{name}: {found.format}, {found.symbols} symbols, {'with' if found.debug else 'no'} debug info"
    if _stripped_enough(found.stripped, wanted, values):
        reporter.done("verify_strip", f"{text}, as strip = {wanted} ({where}) says")
        return True
    reporter.failed("verify_strip", f"{text}, but strip = {wanted} ({where}); doit-cargo build FORCE=1 makes it again")
    return False


def _wanted(values: dict[str, Value]) -> str:
    asked = normal("strip", values["strip"].value)
    no_debug = normal("debug", values["debug"].value) == "0"
    return "debuginfo" if values["strip"].is_default and no_debug else asked


def _stripped_enough(found: str, wanted: str, values: dict[str, Value]) -> bool:
    """Tell whether a program is as stripped as asked for. One without debug info may hold that of none anyway."""
    if wanted == "symbols":
        return found == "symbols"
    if wanted == "debuginfo":
        return found != "none"
    makes_debug = normal("debug", values["debug"].value) != "0"
    return found == "none" if makes_debug and not _apart(values) else found != "symbols"


def _apart(values: dict[str, Value]) -> bool:
    """Tell whether debug info goes to files of its own."""
    return values["split-debuginfo"].value in ("packed", "unpacked")
