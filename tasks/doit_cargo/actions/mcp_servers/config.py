"""The configuration of MCP servers: found, read, and checked word by word, in both forms that are in use.

`servers` is a list (mistral.rs), `mcpServers` a table (most other clients). Each key is a row of a table here; what
is wrong is told with file:line and the nearest key, all at once. Values of secrets are never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doit_cargo.actions import given_path
from doit_cargo.actions.mcp_servers.json_places import BadJsonError, JsonText, Path
from doit_cargo.engine.base.errors import Collector, Problem, UserError, nearest, unknown
from doit_cargo.engine.console.reporter import relative

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

# Where the configuration is if MCP_CONFIG does not say: the guide's place, and the one in the original's tests.
DEFAULTS = ("MCP_CONFIG.json", "tests/mcp/MCP_CONFIG.json")
MAX_BYTES = 4 << 20
PROCESS, HTTP, SSE, WEB_SOCKET = "process", "http", "sse", "websocket"


@dataclass(frozen=True, slots=True)
class Server:
    """A server of either form. `timeout` is in seconds, 0 = not given; `headers` and `env` may hold secrets."""

    name: str
    kind: str
    enabled: bool = True
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 0


def config_path(session: Session, values: Values) -> str:
    """Return the configuration that MCP_CONFIG names, or the first of the usual ones; it must be a file."""
    named = values.text("MCP_CONFIG")
    candidates = [given_path(session, named)] if named else [os.path.join(session.root, name) for name in DEFAULTS]
    found = next((path for path in candidates if os.path.isfile(path)), "")
    if not found:
        what = f"there is no MCP configuration: {relative(candidates[0], session.root)}"
        raise UserError(Problem(what, "MCP_CONFIG= names the file", "MCP_CONFIG" if named else ""))
    return found


def load(session: Session, values: Values) -> tuple[Server, ...]:
    """Return the servers of the configuration; raises `UserError` with all that is wrong with it."""
    path = config_path(session, values)
    shown = relative(path, session.root)
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read(MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(Problem(f"cannot be read: {reason}", where=shown)) from None
    return parse(text, shown)


def parse(text: str, name: str) -> tuple[Server, ...]:
    """Return the servers of a text; `name` is how messages call the file. Raises `UserError` as `load`."""
    try:
        read = JsonText(text)
    except BadJsonError as error:
        raise UserError(Problem(f"not JSON: {error}", "correct that place", f"{name}:{error.line}")) from None
    reader = _Reader(read, name)
    servers = tuple(reader.servers())
    reader.problems.raise_if_any()
    return servers


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_any(_: Any) -> bool:
    return True


Type = tuple[str, Callable[[Any], bool]]
TEXT: Type = ("a text", _is_text)
FLAG: Type = ("true or false", _is_flag)
NUMBER: Type = ("a number, 0 or more", _is_number)
LIST: Type = ("a list of texts", _is_list)
TABLE: Type = ("an object of texts", _is_table)
ANY: Type = ("anything", _is_any)

# mistral.rs, "MCP configuration schema"; null stands for a key that is left out.
TOP = {"auto_register_tools": FLAG, "tool_timeout_secs": NUMBER, "max_concurrent_calls": NUMBER, "$schema": TEXT}
SERVER = {"id": TEXT, "name": TEXT, "source": ANY, "enabled": FLAG, "tool_prefix": TEXT, "resources": LIST}
SERVER |= {"bearer_token": TEXT}
SOURCES = {
    "Process": {"type": TEXT, "command": TEXT, "args": LIST, "work_dir": TEXT, "env": TABLE},
    "Http": {"type": TEXT, "url": TEXT, "timeout_secs": NUMBER, "headers": TABLE},
    "WebSocket": {"type": TEXT, "url": TEXT, "timeout_secs": NUMBER, "headers": TABLE},
}
# What Claude Desktop, VS Code, Cursor and Cline write into an entry of mcpServers.
ENTRY = {"command": TEXT, "args": LIST, "env": TABLE, "cwd": TEXT, "work_dir": TEXT, "url": TEXT, "type": TEXT}
ENTRY |= {"transport": TEXT, "headers": TABLE, "disabled": FLAG, "enabled": FLAG, "timeout": NUMBER}
ENTRY |= {"description": TEXT, "autoApprove": LIST, "alwaysAllow": LIST, "bearer_token": TEXT}
TRANSPORTS = ("stdio", "http", "streamable-http", "streamableHttp", "sse", "ws", "websocket")
SCHEMES = {HTTP: ("http", "https"), SSE: ("http", "https"), WEB_SOCKET: ("ws", "wss")}


class _Reader:
    """Walks a configuration; what is wrong is collected, so that all of it is told."""

    def __init__(self, read: JsonText, name: str) -> None:
        self._read = read
        self._name = name
        self.problems = Collector()

    def _where(self, *path: str | int) -> str:
        return f"{self._name}:{self._read.line(*path)}"

    def servers(self) -> Iterator[Server]:
        top = self._read.value
        if not isinstance(top, dict):
            self.problems.add("the configuration must be an object", 'write {"servers": [...]}', self._where())
        elif "servers" in top and "mcpServers" in top:
            self.problems.add("has both 'servers' and 'mcpServers'", "leave one out", self._where("mcpServers"))
        elif "servers" in top:
            self._check_keys(top, {"servers": ANY, **TOP}, ())
            yield from self._of_list(top["servers"])
        elif "mcpServers" in top:
            self._check_near_misses(top)
            yield from self._of_table(top["mcpServers"])
        else:
            guess = next((key for key in top if nearest(key, ["servers", "mcpServers"])), "")
            where = self._where(guess) if guess else self._where()
            found = f"; {guess!r} is not it" if guess else ""
            fix = 'mistral.rs reads a list: {"servers": [...]}'
            self.problems.add(f"has neither 'servers' nor 'mcpServers'{found}", fix, where)

    def _check_near_misses(self, top: Mapping[str, Any]) -> None:
        """Other clients keep more in this file: only a key that looks like a misspelt one of ours is a mistake."""
        for key in top:
            if key not in (*TOP, "mcpServers") and nearest(key, [*TOP, "mcpServers"]):
                self.problems.problems.append(unknown("key", key, (*TOP, "mcpServers"), self._where(key)))

    def _check_keys(self, table: Mapping[str, Any], known: Mapping[str, Type], path: Path) -> bool:
        """Check names and types of keys; return whether all was well."""
        before = len(self.problems.problems)
        for key, value in table.items():
            if key not in known:
                self.problems.problems.append(unknown("key", key, tuple(known), self._where(*path, key)))
            elif value is not None and not known[key][1](value):
                self.problems.add(f"{key!r} must be {known[key][0]}", "", self._where(*path, key))
        return len(self.problems.problems) == before

    def _required(self, table: Mapping[str, Any], key: str, who: str, path: Path) -> bool:
        if isinstance(table.get(key), str) and table[key].strip():
            return True
        self.problems.add(f"{who} has no {key!r}", f'write "{key}": "..."', self._where(*path))
        return False

    def _of_list(self, entries: Any) -> Iterator[Server]:
        if not isinstance(entries, list):
            self.problems.add("'servers' must be a list", 'a table is called "mcpServers"', self._where("servers"))
            return
        seen: dict[str, int] = {}
        for index, entry in enumerate(entries):
            path: Path = ("servers", index)
            server = self._of_entry(entry, path)
            if server and server.name in seen:
                line = seen[server.name]
                self.problems.add(f"the name {server.name!r} is taken", f"see line {line}", self._where(*path))
            elif server:
                seen[server.name] = self._read.line(*path)
                yield server

    def _of_entry(self, entry: Any, path: Path) -> Server | None:
        if not isinstance(entry, dict):
            self.problems.add("a server must be an object", 'write {"name": ..., "source": ...}', self._where(*path))
            return None
        good = self._check_keys(entry, SERVER, path)
        good = self._required(entry, "name", f"server {path[-1]}", path) and good
        name, source = str(entry.get("name", path[-1])), entry.get("source")
        if not isinstance(source, dict):
            fix = 'write "source": {"type": "Process", "command": ...}'
            self.problems.add(f"the server {name!r} has no 'source' object", fix, self._where(*path, "source"))
            return None
        found = self._of_source(name, source, (*path, "source"))
        return _with(found, entry) if found and good else None

    def _of_source(self, name: str, source: Mapping[str, Any], path: Path) -> Server | None:
        kind = source.get("type")
        if kind not in SOURCES:
            problem = unknown("type of source", str(kind), tuple(SOURCES), self._where(*path, "type"))
            self.problems.problems.append(problem)
            return None
        if not self._check_keys(source, SOURCES[kind], path):
            return None
        if kind == "Process":
            return self._process(name, source, path)
        return self._url(name, source, HTTP if kind == "Http" else WEB_SOCKET, path)

    def _of_table(self, table: Any) -> Iterator[Server]:
        if not isinstance(table, dict):
            self.problems.add("'mcpServers' must be an object", 'a list is called "servers"', self._where("mcpServers"))
            return
        for name, entry in table.items():
            path: Path = ("mcpServers", name)
            if not isinstance(entry, dict):
                self.problems.add(f"the server {name!r} must be an object", "", self._where(*path))
            elif self._check_keys(entry, ENTRY, path):
                server = self._of_named(name, entry, path)
                if server:
                    yield _with(server, entry)

    def _of_named(self, name: str, entry: Mapping[str, Any], path: Path) -> Server | None:
        transport = entry.get("type") or entry.get("transport") or ""
        if transport and transport not in TRANSPORTS:
            key = "type" if entry.get("type") else "transport"
            self.problems.problems.append(unknown("transport", transport, TRANSPORTS, self._where(*path, key)))
            return None
        if bool(entry.get("command")) == bool(entry.get("url")):
            which = "both a 'command' and a 'url'" if entry.get("url") else "neither a 'command' nor a 'url'"
            self.problems.add(f"the server {name!r} has {which}", "it must have one of them", self._where(*path))
            return None
        if entry.get("command"):
            return self._process(name, entry, path)
        scheme = str(entry["url"]).partition(":")[0]
        kind = SSE if transport == "sse" else WEB_SOCKET if scheme in SCHEMES[WEB_SOCKET] else HTTP
        return self._url(name, entry, kind, path)

    def _process(self, name: str, table: Mapping[str, Any], path: Path) -> Server | None:
        if not self._required(table, "command", f"the server {name!r}", path):
            return None
        return Server(
            name=name,
            kind=PROCESS,
            command=table["command"],
            args=tuple(table.get("args") or ()),
            env=dict(table.get("env") or {}),
            cwd=table.get("work_dir") or table.get("cwd") or "",
            timeout=int(table.get("timeout") or 0),
        )

    def _url(self, name: str, table: Mapping[str, Any], kind: str, path: Path) -> Server | None:
        if not self._required(table, "url", f"the server {name!r}", path):
            return None
        if not re.fullmatch(rf"({'|'.join(SCHEMES[kind])})://[^\s/]+(/\S*)?", table["url"]):
            fix = f"it begins with {' or '.join(f'{scheme}://' for scheme in SCHEMES[kind])}"
            self.problems.add(f"the 'url' of {name!r} is not an address", fix, self._where(*path, "url"))
            return None
        seconds = int(table.get("timeout_secs") or table.get("timeout") or 0)
        return Server(name, kind, url=table["url"], headers=dict(table.get("headers") or {}), timeout=seconds)


def _with(server: Server, entry: Mapping[str, Any]) -> Server:
    """Return the server with what both forms say beside the source: whether it is on, and its token."""
    from dataclasses import replace

    enabled = entry.get("enabled", True) is not False and entry.get("disabled", False) is not True
    token = entry.get("bearer_token")
    headers = {**server.headers, "Authorization": f"Bearer {token}"} if token else server.headers
    return replace(server, enabled=enabled, headers=headers)
