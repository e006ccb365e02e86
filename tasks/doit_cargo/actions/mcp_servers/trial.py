"""mcp_test: each configured server is started or called, greeted (`initialize`) and asked for its tools.

The protocol is the official SDK's (extra `mcp`), which also ends a server's whole process group. All servers are tried
at once, each within its own time; one that fails does not hide the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from doit_cargo.actions import TEST_LOGS, log_path, print_report, require_package
from doit_cargo.actions.mcp_servers import config
from doit_cargo.actions.mcp_servers.config import PROCESS, SSE, WEB_SOCKET, Server
from doit_cargo.actions.signals import interruptible
from doit_cargo.engine.base import private
from doit_cargo.engine.base.plain_text import shortened
from doit_cargo.engine.base.tables import aligned, counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

DEFAULT_TIMEOUT = 30
MAX_PAGES = 50
AT_ONCE = 8


class TrialResult(NamedTuple):
    """A row of the table; `problem` is empty where all is well."""

    name: str
    seconds: float
    detail: str = ""
    problem: str = ""


def require(session: Session, values: Values) -> None:
    """Raise `UserError` for a missing library and for all that is wrong with the configuration."""
    require_package(session.current, "mcp", "mcp")
    config.load(session, values)


def test(session: Session, values: Values) -> bool:
    """Try each enabled server and print a table."""
    servers = config.load(session, values)
    enabled = [server for server in servers if server.enabled]
    seconds = values.number("TIMEOUT") or 0
    with interruptible(session.current):
        results = asyncio.run(_try_all(session, enabled, seconds))
    rows = [
        (one.name, "FAILED" if one.problem else "ok", f"{one.seconds:4.1f} s", one.problem or one.detail)
        for one in results
    ]
    rows += [(server.name, "-", "-", "disabled") for server in servers if not server.enabled]
    print_report(session, "mcp_test", aligned([("server", "result", "time", "what was seen"), *rows]))
    return _verdict(session, results)


def _verdict(session: Session, results: list[TrialResult]) -> bool:
    failed = [one.name for one in results if one.problem]
    if failed:
        where = os.path.dirname(reporter.relative(_log(session, "x"), session.root))
        names = ", ".join(failed)
        reporter.failed(
            session.current,
            f"{len(failed)} of {counted(len(results), 'server')} failed: {names}; logs: {where}/mcp-server-*.log",
        )
        return False
    reporter.done(session.current, f"{counted(len(results), 'server')} answered, each with its tools")
    return True


def _log(session: Session, name: str) -> str:
    return log_path(session, f"mcp-server-{re.sub(r'[^A-Za-z0-9.-]+', '-', name)}", TEST_LOGS)


async def _try_all(session: Session, servers: list[Server], seconds: int) -> list[TrialResult]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(server: Server) -> TrialResult:
        async with gate:
            return await _try(session, server, seconds or server.timeout or DEFAULT_TIMEOUT)

    return list(await asyncio.gather(*(one(server) for server in servers)))


async def _try(session: Session, server: Server, seconds: int) -> TrialResult:
    """Return what came of one server, whatever it does."""
    started = time.monotonic()
    path = _log(session, server.name)
    private.folder(os.path.dirname(path))
    detail = problem = ""
    with open(path, "w", encoding="utf-8", opener=private.opener) as log:
        try:
            async with asyncio.timeout(seconds):
                detail = await _greet(session, server, log)
        except TimeoutError:
            problem = f"no answer within {seconds} s"
        except Exception as error:  # noqa: BLE001 - a server can make the SDK raise anything; the others must go on
            problem = _explained(error)
    return TrialResult(server.name, time.monotonic() - started, detail, problem and f"{problem}{_last_words(path)}")


def _explained(error: BaseException) -> str:
    """Return the first cause of an error in one line; the SDK packs errors in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"cannot be started: {error.strerror}: {error.filename}"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


def _last_words(path: str) -> str:
    """Return the last line that a server has written to its standard error."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
        lines = [line.strip() for line in stream.read()[-4096:].splitlines() if line.strip()]
        return f"; it says: {lines[-1][:120]}" if lines else ""
    return ""


async def _greet(session: Session, server: Server, log: TextIO) -> str:
    """Return what a server says of itself and which tools it has."""
    from mcp import ClientSession

    async with _streams(session, server, log) as (reading, writing), ClientSession(reading, writing) as client:
        greeting = await client.initialize()
        names = await _tools(client)
    who = f"{greeting.server_info.name} {greeting.server_info.version}"
    return (
        f"{who}, protocol {greeting.protocol_version}, {counted(len(names), 'tool')}: {shortened(names, 6) or 'none'}"
    )


async def _tools(client: Any) -> list[str]:
    """Return the names of all tools, over as many pages as a server may reasonably have."""
    names: list[str] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor) if cursor else await client.list_tools()
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if not cursor:
            break
    return names


@contextlib.asynccontextmanager
async def _streams(session: Session, server: Server, log: TextIO) -> AsyncIterator[tuple[Any, Any]]:
    """Connect to a server in its own way; a process gets our environment, its own variables on top."""
    if server.kind == WEB_SOCKET:
        raise ValueError("cannot be tested: the MCP SDK has no WebSocket client")
    if server.kind == PROCESS:
        from mcp.client.stdio import StdioServerParameters, stdio_client

        started = StdioServerParameters(
            command=server.command,
            args=list(server.args),
            env={**session.environ, **server.env},
            cwd=os.path.join(session.root, server.cwd),
        )
        async with stdio_client(started, errlog=log) as (reading, writing):
            yield reading, writing
    elif server.kind == SSE:
        from mcp.client.sse import sse_client

        async with sse_client(server.url, headers=dict(server.headers)) as (reading, writing):
            yield reading, writing
    else:
        from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client  # type: ignore[attr-defined]

        async with (
            create_mcp_http_client(headers=dict(server.headers)) as client,
            streamable_http_client(server.url, http_client=client) as (reading, writing),
        ):
            yield reading, writing
