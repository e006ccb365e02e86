"""`doit-cargo mcp`: the tools of a coding agent, called by the SDK's own client over standard input and output."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from calling import SCRIPTS, call, environment, posix, small_workspace
from conftest import needs_cargo, write
from serving import is_alive, until

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")
pytestmark = [needs_cargo, posix, pytest.mark.slow]

BROKEN = 'pub fn number() -> u32 { "text" }\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("agents") / "ws")
    assert call(root, "doit-cargo", "dev").status == 0
    return root


def with_client(root: Path, talk: Callable[[Any], Awaitable[None]]) -> None:
    """Start the server as an agent does, and talk to it."""
    parameters = mcp.StdioServerParameters(
        command=os.path.join(SCRIPTS, "doit-cargo"), args=["-w", str(root), "mcp"], env=environment()
    )

    async def run() -> None:
        async with mcp.Client(parameters) as client:
            await talk(client)

    asyncio.run(asyncio.wait_for(run(), 300))


async def called(client: Any, tool: str, **arguments: object) -> Any:
    """Return the typed result of a tool."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content[0].text
    found = answer.structured_content
    return found["result"] if set(found) == {"result"} else found


async def refused(client: Any, tool: str, **arguments: object) -> str:
    """Return what a tool says that could not do it."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return str(answer.content[0].text)


def test_each_tool_tells_what_it_takes_and_returns(root: Path) -> None:
    async def talk(client: Any) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"list_targets", "plan", "why", "run", "status", "hint", "doctor"}
        assert all(tool.description and tool.output_schema for tool in tools.values())
        reading = {name for name, tool in tools.items() if tool.annotations.read_only_hint}
        assert set(tools) - reading == {"run"}

    with_client(root, talk)


def test_an_agent_asks_edits_builds_and_is_told_why_it_fails(root: Path) -> None:
    source = root / "low/src/lib.rs"

    async def talk(client: Any) -> None:
        names = {row["name"]: row["family"] for row in await called(client, "list_targets", family="build")}
        assert names["dev"] == "build"
        [planned] = await called(client, "plan", target="dev", variables={"FEATURES": "app/fast"})
        assert planned["steps"][0]["argv"][:2] == ["cargo", "build"]
        assert planned["features"] == ["app/fast"]
        [reason] = await called(client, "why", target="dev")
        assert (reason["fresh"], reason["changes"]) == (True, [])
        ran = await called(client, "run", targets=["dev"])
        assert (ran["ok"], ran["done"], len(ran["skipped"])) == (True, [], 1)

        write(source, BROKEN)
        [reason] = await called(client, "why", target="dev")
        assert [change["subject"] for change in reason["changes"]] == ["low/src/lib.rs"]
        assert reason["rebuilds"] == ["low", "app"]
        ran = await called(client, "run", targets=["dev"])
        assert (ran["ok"], ran["exit_code"]) == (False, 1)
        assert ran["errors"][0] == "error[E0308]: mismatched types"
        assert not [line for line in ran["errors"] if "Compiling" in line]
        assert ran["failed"] == ["dev: failed: cargo ended with status 101; log: .logs/dev.log"]
        assert ran["logs"] == [str(root / ".logs/dev.log")]
        [kept] = await called(client, "status")
        assert (kept["target"], kept["state"]) == ("dev", "failed since")

    try:
        with_client(root, talk)
    finally:
        write(source, "")
        assert call(root, "doit-cargo", "dev").status == 0


def test_a_known_cause_comes_with_what_mends_it(root: Path) -> None:
    write(root / "failed.log", "error: linker `cc` not found\n")

    async def talk(client: Any) -> None:
        [cause] = await called(client, "hint", log="failed.log")
        assert (bool(cause["cause"]), bool(cause["fix"])) == (True, True)
        rows = await called(client, "doctor", targets=["dev"])
        assert "cargo" in {row["name"] for row in rows}

    with_client(root, talk)


def test_a_word_that_is_no_target_is_refused_with_what_there_is(root: Path) -> None:
    async def talk(client: Any) -> None:
        assert "did you mean 'dev'" in await refused(client, "why", target="devv")
        assert "is no name" in await refused(client, "run", targets=["--trust", "dev"])
        assert "is no name" in await refused(client, "run", targets=["dev"], variables={"-w": "/"})
        assert "FEATURES" in await refused(client, "plan", target="dev", variables={"FEATURES": "no-such"})
        assert "there are: build" in await refused(client, "list_targets", family="nothing")
        ran = await called(client, "run", targets=["devv"])
        assert (ran["exit_code"], "did you mean 'dev'" in " ".join(ran["errors"])) == (3, True)

    with_client(root, talk)


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(root: Path) -> None:
    mark = root / "started"
    script = f"fn main() {{ std::fs::write({str(mark)!r}, std::process::id().to_string()).unwrap();".replace("'", '"')
    write(root / "app/build.rs", script + " std::thread::sleep(std::time::Duration::from_secs(600)); }\n")

    async def talk(client: Any) -> None:
        text = await refused(client, "run", targets=["dev"], timeout_seconds=20)
        assert text.endswith("it did not end within 20 seconds, and was ended")

    try:
        with_client(root, talk)
        assert mark.exists()
        assert until(lambda: not is_alive(int(mark.read_text())))
    finally:
        (root / "app/build.rs").unlink()
        assert call(root, "doit-cargo", "dev").status == 0


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    root = small_workspace(tmp_path / "ws")
    code = (
        "import sys, importlib.util as u; f = u.find_spec; u.find_spec = lambda n, *a: None if n == 'mcp' else f(n, *a)"
    )
    code += "; from doit_cargo.cli.main import main; sys.exit(main(['mcp']))"
    said = call(root, os.path.join(SCRIPTS, "python"), "-c", code)
    assert (said.status, said.out) == (2, "")
    assert said.err.endswith('fix: pip install "doit-cargo[mcp]"\n')
