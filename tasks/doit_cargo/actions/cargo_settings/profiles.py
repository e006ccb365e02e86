"""What check_profiles, fix_profiles, check_rustflags and check_jobs do: show cargo's settings, judge and mend them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from doit_cargo.actions import confirmed
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import Profile
from doit_cargo.engine.base.tables import counted
from doit_cargo.engine.cargo.config.effective import UNWIND, CargoProfile, Value, normal
from doit_cargo.engine.cargo.config.rustflags import pairs
from doit_cargo.engine.console import reporter
from doit_cargo.engine.preflight.config import lints, report
from doit_cargo.engine.preflight.config.findings import ERROR, Finding, SettingsCase, toml
from doit_cargo.engine.state.receipts import normalise
from doit_cargo.engine.toolchain.platform import current, host_triple

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


def case_of(session: Session, profile: Profile | None = None) -> SettingsCase:
    """Return the truth about cargo's settings in this workspace, as a feature profile would change them."""
    environ = environment(session, profile)
    triple = (
        environ.get("CARGO_BUILD_TARGET") or session.workspace.build_target or host_triple(session.machine.platform)
    )
    arguments, meant = profile.config if profile else None, session.library.pack.deliberate
    return report.gather(session.workspace, environ, arguments, triple, current().cores, meant)


def environment(session: Session, profile: Profile | None) -> dict[str, str]:
    """Return the environment of a call of cargo with a feature profile; detectors set nothing that cargo reads."""
    environ = dict(session.environ)
    for name, setting in profile.env.items() if profile else ():
        if isinstance(setting.value, str):
            environ[name] = setting.value
        elif setting.value is None:
            environ.pop(name, None)
    return environ


def feature_profile(session: Session, name: str) -> Profile | None:
    """Return the feature profile of that name, None where it is a cargo profile. Raises for one that is neither."""
    if session.library.has(normalise(name)) and name not in session.workspace.cargo_profiles:
        return session.library.compose(normalise(name))
    known = (*session.library.names(), *session.workspace.cargo_profiles)
    if name and name not in known:
        raise UserError(session.library.unknown(name, "PROFILE", tuple(session.workspace.cargo_profiles)))
    return None


def check_profiles(session: Session, values: Values) -> bool:
    """Print each cargo profile with who sets each key, then what is wrong; fail if an error is among that."""
    name = values.text("PROFILE")
    profile = feature_profile(session, name)
    case = case_of(session, profile)
    found = report.look(case)
    if values.flag("JSON"):
        print(json.dumps(report.to_json(case, found), indent=2))
    else:
        wanted = name if name and profile is None else ""
        _print_profiles(case, wanted, values.flag("VERBOSE"))
        _print_flags(case)
        _print_findings(found)
    errors = sum(finding.severity == ERROR for finding in found)
    judged = f"{counted(errors, 'error')}, {counted(len(found) - errors, 'note')}"
    text = f"{counted(len(case.profiles), 'cargo profile')}; {judged}"
    if errors:
        reporter.failed("check_profiles", text)
    elif not values.flag("JSON"):
        reporter.done("check_profiles", text)
    return not errors


def _print_profiles(case: SettingsCase, only: str, everything: bool) -> None:
    for name, profile in case.profiles.items():
        if not only or name == only:
            above = case.profiles.get(profile.chain[-2]) if len(profile.chain) > 1 else None
            like = f", inherits {above.name}" if above else ""
            print(f"{name}  (target/{profile.folder}{like})")
            _print_values(profile, None if everything or only else above)


def _print_values(profile: CargoProfile, above: CargoProfile | None) -> None:
    """Print the keys; of a profile that inherits only those that differ from what it inherits."""
    rows = [(key, value) for key, value in profile.keys.items() if above is None or _differs(key, value, above)]
    rows += [(f"build-override.{key}", value) for key, value in profile.build_override.items() if above is None]
    packages = profile.packages.items() if above is None else ()
    rows += [(f"package.{spec}.{key}", value) for spec, inner in packages for key, value in inner.items()]
    width = max((len(key) for key, _ in rows), default=0)
    for key, value in rows:
        print(f"  {key:{width}}  {_shown(key, value):22}  {value.where}{_over(value)}")
    if above is not None:
        print(f"  {'the rest' if rows else 'all'} as in {above.name}")


def _differs(key: str, value: Value, above: CargoProfile) -> bool:
    inherited = above.keys[key]
    unwinds_anyway = value.where == UNWIND and normal(key, value.value) == normal(key, inherited.value)
    return inherited != value and not unwinds_anyway


def _shown(key: str, value: Value) -> str:
    text = normal(key, None) if value.value is None else toml(value.value)
    return f"{text} (fat)" if key == "lto" and value.value is True else text


def _over(value: Value) -> str:
    return "".join(f", over {one.where}: {toml(one.value)}" for one in value.over)


def _print_flags(case: SettingsCase) -> None:
    for flags in lints.all_rustflags(case):
        if flags.active:
            text = " ".join(flags.active.flags) or "none"
            print(f"rustflags on {flags.triple}: {text}  ({', '.join(flags.active.places)})")
    jobs = lints.jobs(case)
    print(f"jobs: {jobs.value}  ({jobs.where})")


def _print_findings(found: list[Finding]) -> None:
    for finding in found:
        print(f"{finding.severity}: {finding}")


def check_rustflags(session: Session, values: Values) -> bool:
    """Print which flags reach rustc on which target; fail where flags of a file are lost, whoever drops them."""
    case = case_of(session, feature_profile(session, values.text("PROFILE")))
    found = list(lints.silenced_flags(case))
    for flags in lints.all_rustflags(case):
        text = " ".join(flags.active.flags) if flags.active else ""
        places = f"  ({', '.join(flags.active.places)})" if flags.active else ""
        print(f"{flags.triple}: {text or 'no rustflags'}{places}")
    told = [report.judged(case, replace(one, severity=ERROR)) for one in found]
    _print_findings(told)
    wrong = any(one.severity == ERROR for one in told)
    (reporter.failed if wrong else reporter.done)(
        "check_rustflags", f"{counted(len(found), 'source')} of flags silenced"
    )
    return not wrong


def check_tokio_cfg(session: Session, values: Values) -> bool:
    """Fail where rustc does not get ``--cfg tokio_unstable``, and tell what drops it."""
    wanted = "--cfg tokio_unstable"
    case = case_of(session, feature_profile(session, values.text("PROFILE")))
    lacking = [
        flags for flags in lints.all_rustflags(case) if not flags.active or wanted not in pairs(flags.active.flags)
    ]
    _print_findings([replace(one, severity=ERROR) for one in lints.silenced_flags(case)] if lacking else [])
    for flags in lacking:
        reporter.failed("check_tokio_cfg", f"{flags.triple}: rustc does not get {wanted}")
    if not lacking:
        reporter.done("check_tokio_cfg", f"rustc gets {wanted}")
    return not lacking


def check_jobs(session: Session, values: Values) -> bool:
    """Print what decides how many jobs run; fail on a file of the workspace that fixes the number."""
    case = case_of(session)
    jobs = lints.jobs(case)
    asked = values.number("JOBS")
    print(f"cores: {case.cores}")
    print(f"jobs: {asked or jobs.value}  ({'JOBS' if asked else jobs.where})")
    found = list(lints.fixed_jobs(case))
    _print_findings([replace(one, severity=ERROR) for one in found])
    (reporter.failed if found else reporter.done)(
        "check_jobs", f"{counted(len(found), 'file')} with a fixed number of jobs"
    )
    return not found


def fix_profiles(session: Session, values: Values) -> bool:
    """Show the mend as a difference; write it with YES=1, or if a person at a terminal says so."""
    from doit_cargo.engine.preflight.config.fix import mend, summary, write

    found = mend(case_of(session))
    if not found.new:
        reporter.done("fix_profiles", "nothing to mend: all cargo profiles are in Cargo.toml")
        return True
    print(found.difference(session.root), end="")
    for line in summary(found):
        reporter.note("fix_profiles", line)
    if not confirmed(values, "Write this?"):
        reporter.note("fix_profiles", "nothing was written; YES=1 writes it")
        return True
    write(found)
    files = ", ".join(reporter.relative(path, session.root) for path in found.new)
    reporter.done("fix_profiles", f"wrote {files}; doit-cargo check_profiles shows what is left")
    return True
