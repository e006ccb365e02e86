"""A tiny MCP server for the tests, through the official SDK: on standard input and output, or over HTTP on a port.

`mcp_tiny.py` | `mcp_tiny.py http PORT` | `mcp_tiny.py silent` (never answers, has a child, ignores the end of input) |
`mcp_tiny.py crash` | `mcp_tiny.py env NAME` (one tool, called like the variable's value).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time


def serve(*words: str) -> None:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("tiny", version="1.2.3")
    named = os.environ.get(words[1], "unset") if words[:1] == ("env",) else "add"

    @server.tool(name=named)
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    if words[:1] == ("http",):
        server.run("streamable-http", host="127.0.0.1", port=int(words[1]))
    else:
        server.run("stdio")


def main(*words: str) -> None:
    if words[:1] == ("crash",):
        print("tiny: the cupboard is bare", file=sys.stderr)
        raise SystemExit(3)
    if words[:1] == ("silent",):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)", "child-of-silent"])
        time.sleep(120)
    serve(*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
