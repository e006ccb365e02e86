"""What the deploy targets do with the programs that `build` has made: try them, pack them, try the package.

A program is tried by asking for its version or usage, without standard input and within a time. Packages are
reproducible: the same programs give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from doit_cargo.actions import ask, maker_of
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.tables import counted, size_of
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

SECONDS = 30
BESIDE = ("README", "LICENSE", "LICENCE", "COPYING", "CHANGELOG")


def programs(session: Session) -> list[str]:
    """Return the programs of `build` with the variables of this call; raises `UserError` if it makes none."""
    found = list(session.plan("build").outputs)
    missing = [path for path in found if not os.path.isfile(path)]
    if not found or missing:
        what = f"{missing[0]} is not there" if missing else "the packages of `build` have no program"
        raise UserError(Problem(what, "doit-cargo build, or PACKAGE= with one that has"), COULD_NOT_RUN)
    return found


def verify_binary(session: Session, _: Values) -> bool:
    """See that each program is the one that `build` left, and that it tells its version."""
    found = programs(session)
    receipt, changes = session.verdict("build", explain=True)
    if receipt is None or changes:
        reason = "; ".join(str(change) for change in changes[:3])
        reporter.failed("verify_binary", f"these are not the programs that `build` has made: {reason}")
        return False
    versions = _answers(session, found, "--version", _lacks_version)
    for path, answer in versions.items():
        maker = maker_of(session, path)
        if maker and maker.version not in answer:
            reporter.note(session.current, f"{os.path.basename(path)}: the version of {maker.name} is {maker.version}")
    if len(versions) == len(found):
        reporter.done(session.current, f"{counted(len(found), 'program')} of this build, each tells a version")
    return len(versions) == len(found)


def verify_binary_help(session: Session, _: Values) -> bool:
    """See each program tell its usage."""
    found = programs(session)
    told = _answers(session, found, "--help", _lacks_usage)
    if len(told) == len(found):
        reporter.done(session.current, f"{counted(len(found), 'program')}, each tells its usage")
    return len(told) == len(found)


def _lacks_version(answer: str) -> str:
    """Return what is wrong with an answer that has no version in it: any program answers that does not look at its
    arguments.
    """
    return "" if re.search(r"\d\.\d", answer) else "no version is in it (clap prints one: #[command(version)])"


def _lacks_usage(answer: str) -> str:
    is_usage = re.search(r"(?i)\busage\b|^\s*-{1,2}\w", answer, re.MULTILINE)
    return "" if is_usage else "no usage is in it: neither that word nor an option"


def _starts(_: str) -> str:
    return ""


def _answers(session: Session, paths: list[str], option: str, lacks: Callable[[str], str]) -> dict[str, str]:
    """Return what each program says to an option, without those whose answer is none: these are told."""
    told: dict[str, str] = {}
    for path in paths:
        answer = ask(session, [path, option], seconds=SECONDS)
        said = (answer.out or answer.err).strip()
        first = said.splitlines()[0] if said else "nothing"
        call = f"{os.path.basename(path)} {option}"
        if answer.status or not said:
            reporter.failed(session.current, f"{call} ended with status {answer.status} and said: {first}")
        elif trouble := lacks(said):
            reporter.failed(session.current, f"{call} said: {first}; {trouble}")
        else:
            reporter.note(session.current, f"{call}: {first}")
            told[path] = said
    return told


def package_path(session: Session) -> str:
    """Return where the package goes: NAME-VERSION-TRIPLE.tar.gz, by the package of the first program."""
    plan = session.plan("build")
    owner = session.workspace.packages[plan.packages[0]]
    triple = session.values_for(session.current).text("TARGET") or _host(session)
    suffix = "" if plan.cargo_profile == "release" else f"-{plan.cargo_profile}"
    name = f"{owner.name}-{owner.version}-{os.path.basename(triple).removesuffix('.json')}{suffix}.tar.gz"
    return os.path.join(session.workspace.target_directory, "package", name)


def _host(session: Session) -> str:
    lines = ask(session, ["rustc", "-vV"]).out.splitlines()
    return next((line.removeprefix("host: ") for line in lines if line.startswith("host: ")), session.machine.platform)


def deploy_package(session: Session, _: Values) -> bool:
    """Pack the programs, and README and licence if they are there; write the checksum beside."""
    path = package_path(session)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    folder = os.path.basename(path).removesuffix(".tar.gz")
    content = _packed(folder, [*programs(session), *_beside(session.root)])
    atomic.write(path, content)
    digest = hashlib.sha256(content).hexdigest()
    atomic.write(f"{path}.sha256", f"{digest}  {os.path.basename(path)}\n")
    reporter.done(
        "deploy_package",
        f"{reporter.relative(path, session.root)} {size_of(len(content))}, sha256 {digest[:16]}...",
    )
    return True


def _beside(root: str) -> Iterator[str]:
    for name in sorted(os.listdir(root)):
        if name.upper().startswith(BESIDE) and os.path.isfile(os.path.join(root, name)):
            yield os.path.join(root, name)


def _packed(folder: str, paths: list[str]) -> bytes:
    """Return a tar.gz without times, owners or anything else of this machine."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for path in sorted(paths):
            entry = tarfile.TarInfo(f"{folder}/{os.path.basename(path)}")
            entry.size = os.path.getsize(path)
            entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with open(path, "rb") as stream:
                tar.addfile(entry, stream)
    return packed.getvalue()


def deploy_verify(session: Session, _: Values) -> bool:
    """Compare the checksum, unpack into a new folder and try the programs there."""
    path = package_path(session)
    with open(path, "rb") as stream:
        content = stream.read()
    with open(f"{path}.sha256", encoding="utf-8") as text:
        wanted = text.read().split()[:1]
    if [hashlib.sha256(content).hexdigest()] != wanted:
        reporter.failed(
            "deploy_verify", f"{reporter.relative(path, session.root)} does not have the checksum beside it"
        )
        return False
    names = {os.path.basename(program) for program in programs(session)}
    folder = tempfile.mkdtemp(prefix="doit-cargo-")
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(folder, filter="data")
        unpacked = [os.path.join(top, name) for top, _, files in os.walk(folder) for name in files if name in names]
        if len(unpacked) < len(names):
            reporter.failed("deploy_verify", f"the package has {len(unpacked)} of {counted(len(names), 'program')}")
            return False
        started = _answers(session, unpacked, "--version", _starts)
        if len(started) == len(unpacked):
            count = counted(len(unpacked), "program")
            reporter.done(session.current, f"the package has its checksum, and {count} that started from it")
        return len(started) == len(unpacked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
