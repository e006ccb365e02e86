"""The mcp family: rows only. What they do is in actions/mcp_servers."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import FREE, Target

_ACTIONS = "doit_cargo.actions.mcp_servers"
_row = partial(Target, family="mcp", packs=("mistralrs",), pool=FREE)

TARGETS: tuple[Target, ...] = (
    _row(
        name="mcp_validate",
        doc="Check the configuration of MCP servers: each key, each type, in both forms that are in use.",
        action=f"{_ACTIONS}.validate:validate",
        check=f"{_ACTIONS}.validate:require",
        takes=("MCP_CONFIG",),
    ),
    _row(
        name="mcp_test",
        doc="Start or call each configured MCP server, greet it and ask for its tools.",
        action=f"{_ACTIONS}.trial:test",
        check=f"{_ACTIONS}.trial:require",
        takes=("MCP_CONFIG", "TIMEOUT"),
    ),
    _row(
        name="mcp_health",
        doc="Check the configuration of MCP servers, then test every server in it.",
        after=("mcp_validate", "mcp_test"),
    ),
)
