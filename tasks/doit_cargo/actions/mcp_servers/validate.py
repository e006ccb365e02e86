"""mcp_validate: the configuration as it is understood, without anything secret."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from doit_cargo.actions.mcp_servers import config
from doit_cargo.actions.mcp_servers.config import PROCESS, Server
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.secrets import shown_words
from doit_cargo.engine.base.tables import aligned, counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session


def require(session: Session, values: Values) -> None:
    """Raise `UserError` with all that is wrong with the configuration."""
    config.load(session, values)


def validate(session: Session, values: Values) -> bool:
    """Print the servers of a configuration that is right; one that is not has been told before."""
    servers = config.load(session, values)
    path = reporter.relative(config.config_path(session, values), session.root)
    if servers:
        rows = [(server.name, server.kind, "yes" if server.enabled else "no", shown(server)) for server in servers]
        print(aligned([("server", "kind", "enabled", "what it is"), *rows]))
    for server in servers:
        if server.enabled and server.kind == PROCESS and not _is_there(session, server):
            reporter.note(session.current, f"{server.name}: {server.command} is not on PATH; mcp_test will fail on it")
    on = sum(server.enabled for server in servers)
    reporter.done(session.current, f"{path} is right: {counted(len(servers), 'server')}, {on} enabled")
    return True


def _is_there(session: Session, server: Server) -> bool:
    path = server.env.get("PATH") or session.environ.get("PATH", "")
    folder = os.path.join(session.root, server.cwd)
    return bool(which(server.command, {"PATH": path}) or which(os.path.join(folder, server.command), {}))


def shown(server: Server) -> str:
    """Return what a server is, for a person; what could be a secret is masked."""
    if server.kind != PROCESS:
        headers = f"  headers: {', '.join(server.headers)}" if server.headers else ""
        return f"{_address(server.url)}{headers}"
    variables = f"  env: {', '.join(server.env)}" if server.env else ""
    return f"{' '.join([server.command, *shown_words(server.args)])}{variables}"


def _address(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?***' if parts.query else ''}"
