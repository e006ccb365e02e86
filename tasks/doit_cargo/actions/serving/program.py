"""Which program was built, and with which arguments it serves or talks: from the pack's `[serve.PACKAGE]`.

Decides only; who starts it is foreground.py, background.py and terminal.py.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.actions.mcp_servers.config import config_path, load
from doit_cargo.actions.models import places
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.launch import Launch
from doit_cargo.engine.base.secrets import shown_words
from doit_cargo.engine.base.variables import ALL
from doit_cargo.engine.console.reporter import relative
from doit_cargo.engine.plan.selection import select

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

BUILD = "build"
HOST, DEFAULT_PORT = "127.0.0.1", 8080
DEBUG = "MISTRALRS_DEBUG"


class ServerCall(NamedTuple):
    """A program ready to be started: the argument list, and what is added to the environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def package_of(session: Session, values: Values) -> str:
    """Return the one package whose program is meant: PACKAGE, or the one in the role `server`."""
    chosen = select(session.targets[BUILD], values, session.workspace, session.library.pack, session.machine)
    if len(chosen.packages) == 1:
        return chosen.packages[0]
    what = (
        f"{session.current} runs one program; {ALL if ALL in values.words('PACKAGE') else 'these'} are several packages"
    )
    raise UserError(Problem(what, "PACKAGE= names one package", "PACKAGE"))


def launch_of(session: Session, package: str) -> Launch:
    """Return how the program of a package is started; one that no pack knows takes only ARGS."""
    known = session.library.pack.launches.get(package)
    if known:
        return known
    binaries = session.workspace.packages[package].binaries
    name = package if package in binaries else binaries[0] if len(binaries) == 1 else ""
    if not name:
        what = f"{package} has {'several programs' if binaries else 'no program'}"
        fix = (
            f'say which in profiles/pack.toml: [serve.{package}] binary = "NAME"'
            if binaries
            else "PACKAGE= names another"
        )
        raise UserError(Problem(what, fix, "PACKAGE"))
    return Launch(name)


def require(session: Session, values: Values) -> None:
    """Raise `UserError` for everything about a call that can be wrong before the program is built."""
    arguments(session, values, "serve" if "PORT" in session.row(session.current)["takes"] else "talk")


def arguments(session: Session, values: Values, mode: str) -> tuple[str, ...]:
    """Return the arguments of the program: `mode` is "serve" or "talk"."""
    package = package_of(session, values)
    launch = launch_of(session, package)
    words = launch.serve if mode == "serve" else launch.talk
    if mode == "serve" and not words:
        what = f"nobody says how the program of {package} serves"
        fix = f'write it into profiles/pack.toml: [serve.{package}] serve = ["--port", "{{port}}"]'
        raise UserError(Problem(what, fix, "PACKAGE"))
    return (
        *_filled(words, port=str(port_of(values))),
        *_mcp(session, values, launch),
        *values.words("ARGS"),
        *(_model(session, values, launch) if launch.plain or launch.gguf else ()),
    )


def port_of(values: Values) -> int:
    """Return PORT, or the one of the build guide."""
    return values.number("PORT") or DEFAULT_PORT


def _mcp(session: Session, values: Values, launch: Launch) -> tuple[str, ...]:
    wanted = values.text("MCP_CONFIG") or session.current == "run_with_mcp"
    if not wanted:
        return ()
    if not launch.mcp:
        raise UserError(Problem(f"{launch.binary} takes no MCP configuration", "leave MCP_CONFIG out", "MCP_CONFIG"))
    load(session, values)
    return _filled(launch.mcp, config=config_path(session, values))


def _model(session: Session, values: Values, launch: Launch) -> tuple[str, ...]:
    choice = places.choose(session, values, session.current)
    if choice.file:
        return _filled(launch.gguf, folder=choice.folder, file=choice.file)
    return _filled(launch.plain, model=choice.plain)


def _filled(words: tuple[str, ...], **places: str) -> tuple[str, ...]:
    """Return words with their {placeholders} filled in; no other brace means anything."""
    filled = list(words)
    for name, value in places.items():
        filled = [value if word == f"{{{name}}}" else word.replace(f"{{{name}}}", value) for word in filled]
    return tuple(filled)


def call(session: Session, values: Values, mode: str) -> ServerCall:
    """Return the call of the built program; raises `UserError` if it is not there."""
    package = package_of(session, values)
    path = _binary(session, launch_of(session, package).binary)
    env = {DEBUG: "1"} if values.flag(DEBUG) or session.current == "run_debug" else {}
    return ServerCall((path, *arguments(session, values, mode)), env)


def _binary(session: Session, name: str) -> str:
    """Return the path of the program that the build has left."""
    outputs = session.plan(BUILD).outputs
    found = next((path for path in outputs if os.path.splitext(os.path.basename(path))[0] == name), "")
    if not found:
        made = ", ".join(relative(path, session.root) for path in outputs) or "nothing"
        raise UserError(Problem(f"the build makes no program {name}; it makes {made}"), COULD_NOT_RUN)
    if not os.path.isfile(found) or not os.stat(found).st_mode & (stat.S_IXUSR if os.name != "nt" else stat.S_IRUSR):
        what = f"there is no program {relative(found, session.root)}"
        raise UserError(Problem(what, f"doit-cargo {BUILD} makes it"), COULD_NOT_RUN)
    return found


def environment(session: Session, made: ServerCall) -> dict[str, str]:
    """Return the whole environment of the program."""
    return {**session.environ, **made.env}


def shown(session: Session, made: ServerCall) -> str:
    """Return a call as a person would type it."""
    import shlex

    return shlex.join(relative(word, session.root) for word in shown_words(made.argv))
