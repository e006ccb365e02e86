"""check_network: does the registry answer from which cargo would download here?

The registry is found as cargo finds it: REGISTRY, then source replacement in config files, else crates.io (Cargo book,
"Source Replacement"). It is asked over HTTP for the file that cargo reads first; a ping says nothing of that.
"""

from __future__ import annotations

import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.toml import toml
from doit_cargo.engine.cargo.config.files import walk
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

CRATES_IO = "sparse+https://index.crates.io/"
SECONDS = 10
LONGEST_CHAIN = 20


@dataclass(frozen=True, slots=True)
class CrateSource:
    """Where packages of crates.io come from: a registry's index or a folder, and what says so."""

    index: str
    folder: str
    where: str


def check_network(session: Session, values: Values) -> bool:
    """Ask the registry for its config.json; a folder instead of a registry only has to be there."""
    source = registry(session, values)
    if source.index.startswith("file://"):
        source = CrateSource("", urllib.request.url2pathname(urllib.parse.urlsplit(source.index).path), source.where)
    if source.folder:
        return _folder(source)
    address = _address(source.index)
    started = time.monotonic()
    try:
        answered = _head(session, address)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        fix = "look at proxy and VPN, or try a mirror: REGISTRY=rsproxy.cn"
        what = f"{address} does not answer: {reason} (the registry: {source.where})"
        raise UserError(Problem(what, fix), code=1) from None
    seconds = time.monotonic() - started
    if answered >= 400:
        what = f"{address} answers with status {answered} (the registry: {source.where})"
        raise UserError(Problem(what, "correct the address: it must be that of the index"), code=1)
    reporter.done(
        "check_network", f"{address} answers in {seconds:.2f} s with status {answered} (the registry: {source.where})"
    )
    return True


def _folder(source: CrateSource) -> bool:
    if not os.path.isdir(source.folder):
        raise UserError(
            Problem("there is no such folder", f"correct it in {source.where}", source.folder), COULD_NOT_RUN
        )
    reporter.done("check_network", f"no network is needed: packages come from {source.folder} ({source.where})")
    return True


def _address(index: str) -> str:
    """Return what cargo fetches first: of a sparse index config.json, of a git one the list of its references."""
    if index.startswith("sparse+"):
        return index.removeprefix("sparse+").rstrip("/") + "/config.json"
    return index.rstrip("/") + "/info/refs?service=git-upload-pack"


def _head(session: Session, address: str) -> int:
    """Return the status of a HEAD request, by proxy and certificates of the environment. Raises OSError, ValueError."""
    if not address.startswith(("https://", "http://")):
        raise ValueError("it is no address of HTTP")
    request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "doit-cargo"})  # noqa: S310
    proxy = urllib.request.ProxyHandler(_proxies(session.environ, request.host.partition(":")[0]))
    certificates = ssl.create_default_context(cafile=session.environ.get("CARGO_HTTP_CAINFO") or None)
    opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=certificates))
    try:
        with opener.open(request, timeout=SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def _proxies(environ: Mapping[str, str], host: str) -> dict[str, str]:
    """Return scheme -> proxy as cargo takes it from the environment (Cargo book, "http.proxy")."""

    def value(name: str) -> str:
        return environ.get(name) or environ.get(name.upper(), "")

    excepted = [one.strip().lstrip(".") for one in value("no_proxy").split(",") if one.strip()]
    if any(one in ("*", host) or host.endswith(f".{one}") for one in excepted):
        return {}
    own = environ.get("CARGO_HTTP_PROXY", "")
    found = {scheme: own or value(f"{scheme}_proxy") for scheme in ("http", "https")}
    return {scheme: proxy for scheme, proxy in found.items() if proxy}


def registry(session: Session, values: Values) -> CrateSource:
    """Return where cargo would get packages of crates.io from; raises `UserError` for a source that leads nowhere."""
    if values.text("REGISTRY"):
        return CrateSource(values.text("REGISTRY"), "", "REGISTRY")
    sources = _sources(session)
    name, where = "crates-io", "crates.io itself"
    for _ in range(LONGEST_CHAIN):
        table, place = sources.get(name, ({}, where))
        following = _replacement(session, name) or table.get("replace-with")
        if following:
            name, where = str(following), place
            continue
        return _source(session, name, table, where)
    raise UserError(Problem("the sources replace each other in a circle", "correct replace-with", where))


def _replacement(session: Session, name: str) -> str:
    """Return what the environment says, which wins over the files: CARGO_SOURCE_CRATES_IO_REPLACE_WITH."""
    return session.environ.get(f"CARGO_SOURCE_{name.upper().replace('-', '_')}_REPLACE_WITH", "")


def _source(session: Session, name: str, table: Mapping[str, Any], where: str) -> CrateSource:
    variable = f"CARGO_REGISTRIES_{name.upper().replace('-', '_')}_INDEX"
    index = table.get("registry") or table.get("index") or session.environ.get(variable)
    if index:
        return CrateSource(str(index), "", where)
    folder = table.get("directory") or table.get("local-registry")
    if folder:
        return CrateSource("", str(folder), where)
    if name == "crates-io":
        return CrateSource(CRATES_IO, "", where)
    raise UserError(Problem(f"the source {name!r} is not defined", f"add [source.{name}] with its registry", where))


def _sources(session: Session) -> dict[str, tuple[dict[str, Any], str]]:
    """Return name -> (its keys, the nearest file that has it) of [source] and [registries]; nearer files win."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for path, content in reversed(list(walk(session.root, session.environ, _content))):
        for table in ("registries", "source"):
            for name, keys in (content.get(table) or {}).items():
                if isinstance(keys, dict):
                    absolute = {key: _absolute(path, key, value) for key, value in keys.items()}
                    found[name] = ({**found.get(name, ({}, ""))[0], **absolute}, path)
    return found


def _absolute(path: str, key: str, value: object) -> object:
    """Folders are relative to the folder that holds .cargo."""
    if key in ("directory", "local-registry") and isinstance(value, str):
        return os.path.normpath(os.path.join(os.path.dirname(os.path.dirname(path)), value))
    return value


def _content(path: str) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as stream:
            return toml.load(stream)
    except (OSError, toml.TOMLDecodeError) as error:
        raise UserError(Problem(f"cannot be read: {error}", "correct it: cargo cannot read it either", path)) from None
