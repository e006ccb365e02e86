"""What the deploy targets do with the programs that `build` has made: try them, pack them, try the package.

A program is tried by asking for its version or usage, without standard input and within a time. Packages are
reproducible: the same programs give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from doit_cargo.actions import ask
from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.tables import size_of
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
    return _all_answer(session, found, "--version")


def verify_binary_help(session: Session, _: Values) -> bool:
    """See each program tell its usage."""
    return _all_answer(session, programs(session), "--help")


def _all_answer(session: Session, paths: list[str], option: str) -> bool:
    troubles = [trouble for path in paths if (trouble := _trouble(session, path, option))]
    for trouble in troubles:
        reporter.failed(session.current, trouble)
    if not troubles:
        reporter.done(session.current, f"{len(paths)} programs answer {option}")
    return not troubles


def _trouble(session: Session, path: str, option: str) -> str:
    """Return what is wrong with a program's answer, nothing if it has one."""
    answer = ask(session, [path, option], seconds=SECONDS)
    name = os.path.basename(path)
    said = (answer.out or answer.err).strip()
    if answer.status or not said:
        first = said.splitlines()[0] if said else "nothing"
        return f"{name} {option} ended with status {answer.status} and said: {first}"
    reporter.note(session.current, f"{name} {option}: {said.splitlines()[0]}")
    return ""


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
            reporter.failed("deploy_verify", f"the package has {len(unpacked)} of {len(names)} programs")
            return False
        return _all_answer(session, unpacked, "--version")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
