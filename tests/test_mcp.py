"""MCP servers: the configuration word by word in both forms, and each server tried for real."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from calling import Said, call, linux
from conftest import Spec, make_workspace, needs_cargo, write
from serving import free_port, running, started, until

pytestmark = [needs_cargo, linux]

SPEC: Spec = {"mistralrs-core": {}, "mistralrs-server": {}}
TINY = str(Path(__file__).parent / "mcp_tiny.py")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("mcp") / "ws", SPEC)


def validate(root: Path, text: str) -> Said:
    write(root / "mcp.json", text)
    return call(root, "doit-cargo", "mcp_validate", "MCP_CONFIG=mcp.json")


def table(said: Said) -> dict[str, str]:
    """Return what the table says of each server."""
    lines = [line for line in said.out.splitlines()[1:] if not line.startswith((".. ", "ok "))]
    return {line.split()[0]: "  ".join(line.split("  ")[1:]).strip() for line in lines}


# --- the configuration -----------------------------------------------------------------------------------------------

BOTH = """\
{
  "servers": [
    {"id": "1", "name": "files", "tool_prefix": "fs", "resources": ["a"],
     "source": {"type": "Process", "command": "sh", "args": ["-c", "true", "--api-key", "sesame", "--token=sesame",
                "http://me:sesame@host/"], "work_dir": null, "env": {"API_KEY": "sesame"}}},
    {"name": "web", "enabled": false, "bearer_token": "sesame",
     "source": {"type": "Http", "url": "https://me:sesame@host.example/mcp?key=sesame", "timeout_secs": 10,
                "headers": {"X-Key": "sesame"}}},
    {"name": "socket", "source": {"type": "WebSocket", "url": "wss://host.example"}}
  ],
  "auto_register_tools": true, "tool_timeout_secs": null, "max_concurrent_calls": 10
}
"""


def test_a_right_configuration_is_shown_without_its_secrets(root: Path) -> None:
    said = validate(root, BOTH)
    assert said == Said(
        0,
        "server  kind       enabled  what it is\n"
        "files   process    yes      sh -c true --api-key *** --token=*** http://***@host/  env: API_KEY\n"
        "web     http       no       https://host.example/mcp?***  headers: X-Key, Authorization\n"
        "socket  websocket  yes      wss://host.example\n"
        "ok mcp_validate  mcp.json is right: 3 servers, 2 enabled\n",
        "",
    )


def test_the_form_of_other_clients_is_read_too(root: Path) -> None:
    said = validate(
        root,
        '{"theme": "dark", "mcpServers": {"a": {"command": "sh", "type": "stdio"}, "b": {"url": "http://h/sse", '
        '"transport": "sse"}, "c": {"url": "ws://h", "disabled": true}, "d": {"command": "no-such-program"}}}',
    )
    assert (said.status, said.err) == (0, "")
    assert {name: row.split()[0] for name, row in table(said).items()} == {
        "a": "process",
        "b": "sse",
        "c": "websocket",
        "d": "process",
    }
    assert ".. mcp_validate  d: no-such-program is not on PATH; mcp_test will fail on it" in said.out


PROCESS = '{"type": "Process", "command": "x"}'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1: not JSON: a value is expected here: text in double quotes, a number, true, false, null, { or ["]),
        ('{"servers": [\n],}', ["2: not JSON: JSON has no comma before a closing bracket"]),
        ("{\n'servers': []}", ["2: not JSON: a key in double quotes is expected here"]),
        ('{"a": 1,\n"a": 2}', ["2: not JSON: the key 'a' stands here twice"]),
        ('{"servers": []}\n{}', ["2: not JSON: more text after the end of the JSON value"]),
        ("[" * 60, ["1: not JSON: more than 50 levels deep"]),
        ("[]", ["1: the configuration must be an object"]),
        ('{\n"server": []}', ["2: has neither 'servers' nor 'mcpServers'; 'server' is not it"]),
        ('{"servers": [],\n"mcpServers": {}}', ["2: has both 'servers' and 'mcpServers'"]),
        ('{"servers": {}}', ["1: 'servers' must be a list"]),
        ('{"mcpServers": []}', ["1: 'mcpServers' must be an object"]),
        ('{"servers": [],\n "auto_regster_tools": true}', ["2: unknown key 'auto_regster_tools'"]),
        ('{"servers": [\n{"name": "a"}]}', ["2: the server 'a' has no 'source' object"]),
        (f'{{"servers": [\n{{"source": {PROCESS}}}]}}', ["2: server 0 has no 'name'"]),
        ('{"servers": [{"name": "a", "source":\n{"type": "Proces"}}]}', ["2: unknown type of source 'Proces'"]),
        ('{"servers": [{"name": "a", "source": {"type": "Http"}}]}', ["1: the server 'a' has no 'url'"]),
        (
            '{"servers": [{"name": "a", "source": {"type": "Process", "command": "x", "args": [1]}}]}',
            ["1: 'args' must be a list of texts"],
        ),
        (
            f'{{"servers": [{{"name": "a", "source": {PROCESS}}},\n{{"name": "a", "source": {PROCESS}}}]}}',
            ["2: the name 'a' is taken"],
        ),
        (
            '{"servers": [\n{"name": "a", "enabld": true, "source": {"type": "Process", "command": "x",\n'
            '"argz": []}},\n'
            '{"name": "b", "source": {"type": "Http", "url": "ftp://x"}}]}',
            ["2: unknown key 'enabld'", "3: unknown key 'argz'", "4: the 'url' of 'b' is not an address"],
        ),
        ('{"mcpServers": {"a": {}}}', ["1: the server 'a' has neither a 'command' nor a 'url'"]),
        (
            '{"mcpServers": {"a":\n{"command": "x", "url": "y"}}}',
            ["1: the server 'a' has both a 'command' and a 'url'"],
        ),
        ('{"mcpServers": {"a": {"comand": "x"}}}', ["1: unknown key 'comand'"]),
        ('{"mcpServers": {"a": {"url": "http://x",\n"type": "htp"}}}', ["2: unknown transport 'htp'"]),
        ('{"mcpServers": {}, "mcpServer": {}}', ["1: unknown key 'mcpServer'"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(root: Path, text: str, problems: list[str]) -> None:
    said = validate(root, text)
    found = [line for line in said.err.splitlines() if not line.startswith("  fix: ")]
    assert (said.status, said.out) == (3, "")
    assert found == [f"doit-cargo: mcp.json:{problem}" for problem in problems]


def test_an_unknown_key_names_the_nearest(root: Path) -> None:
    said = validate(root, '{"servers": [{"name": "a", "sorce": {}}]}')
    assert (
        "  fix: did you mean 'source'? known: bearer_token, enabled, id, name, resources, source, tool_prefix"
        in said.err
    )


def test_a_file_that_is_no_text_is_told(root: Path) -> None:
    (root / "mcp.json").write_bytes(b"\xff\xfe\x00")
    said = call(root, "doit-cargo", "mcp_test", "MCP_CONFIG=mcp.json")
    assert said == Said(3, "", "doit-cargo: mcp.json: cannot be read: it is not UTF-8\n")


def test_without_a_configuration_the_usual_places_are_looked_at(root: Path) -> None:
    write(root / "tests/mcp/MCP_CONFIG.json", '{"servers": []}')
    said = call(root, "doit-cargo", "mcp_validate")
    (root / "tests/mcp/MCP_CONFIG.json").unlink()
    assert said == Said(0, "ok mcp_validate  tests/mcp/MCP_CONFIG.json is right: 0 servers, 0 enabled\n", "")


# --- the servers -----------------------------------------------------------------------------------------------------


def tiny(name: str, *words: str, **env: str) -> dict[str, object]:
    """Return the entry of our tiny server."""
    return {"name": name, "source": {"type": "Process", "command": sys.executable, "args": [TINY, *words], "env": env}}


def tried(root: Path, *entries: Mapping[str, object], words: tuple[str, ...] = ()) -> Said:
    write(root / "mcp.json", json.dumps({"servers": list(entries)}))
    return call(root, "doit-cargo", "mcp_test", "MCP_CONFIG=mcp.json", *words)


@pytest.fixture(scope="module")
def http_server() -> Iterator[str]:
    """The tiny server over HTTP."""
    port = free_port()
    with subprocess.Popen([sys.executable, TINY, "http", str(port)], stderr=subprocess.DEVNULL) as process:
        assert until(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}/mcp"
        process.kill()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/mcp", timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def test_each_server_is_greeted_and_asked_for_its_tools(root: Path, http_server: str) -> None:
    said = tried(
        root,
        tiny("by-pipe"),
        tiny("with-env", "env", "NAME_OF_TOOL", NAME_OF_TOOL="from-the-config"),
        {"name": "by-http", "source": {"type": "Http", "url": http_server}},
        {"name": "off", "enabled": False, "source": {"type": "Process", "command": "no-such-program"}},
    )
    assert (said.status, said.err) == (0, "")
    rows = {name: row.partition("  ") for name, row in table(said).items()}
    assert {name: row.split()[0] for name, row in table(said).items()} == {
        "by-pipe": "ok",
        "with-env": "ok",
        "by-http": "ok",
        "off": "-",
    }
    assert "1 tool: add" in "".join(rows["by-pipe"])
    assert "tiny 1.2.3, protocol " in "".join(rows["by-http"])
    assert "1 tool: from-the-config" in "".join(rows["with-env"])
    assert said.out.splitlines()[-1] == "ok mcp_test  3 servers answered, each with its tools"


def test_a_server_that_fails_does_not_hide_the_others(root: Path) -> None:
    said = tried(
        root,
        {"name": "absent", "source": {"type": "Process", "command": "no-such-program"}},
        tiny("crash", "crash"),
        tiny("silent", "silent"),
        tiny("good"),
        {"name": "refused", "source": {"type": "Http", "url": f"http://127.0.0.1:{free_port()}/mcp"}},
        {"name": "socket", "source": {"type": "WebSocket", "url": "ws://127.0.0.1:1"}},
        words=("TIMEOUT=5",),
    )
    rows = table(said)
    assert said.status == 1
    assert {name: row.split()[0] for name, row in rows.items()} == {**dict.fromkeys(rows, "FAILED"), "good": "ok"}
    assert rows["absent"].endswith("cannot be started: No such file or directory: no-such-program")
    assert rows["crash"].endswith("it says: tiny: the cupboard is bare")
    assert rows["silent"].endswith("no answer within 5 s")
    assert float(rows["silent"].split()[1]) < 20  # the wait, and the steps of ending a process that does not want to
    assert "ConnectError" in rows["refused"]
    assert rows["socket"].endswith("cannot be tested: the MCP SDK has no WebSocket client")
    assert said.err == (
        "!! mcp_test  5 of 6 servers failed: absent, crash, silent, refused, socket; logs: .testlogs/mcp-server-*.log\n"
    )
    assert (root / ".testlogs/mcp-server-crash.log").read_text() == "tiny: the cupboard is bare\n"
    assert (running(f"{TINY}\0silent"), running("child-of-silent")) == ([], [])


@pytest.mark.slow
def test_the_server_of_the_scale_model_answers(model: Path) -> None:
    entry = {"name": "files", "source": {"type": "Process", "command": "target/debug/mcp-server", "args": ["."]}}
    said = tried(model, entry)
    assert (said.status, said.err) == (0, "")
    assert table(said)["files"].endswith("mistralrs-agent-tools 0.6.0, protocol 2025-03-26, 3 tools: ls, cat, grep")


def test_a_test_that_is_interrupted_leaves_no_server(root: Path) -> None:
    write(root / "mcp.json", json.dumps({"servers": [tiny("silent", "silent")]}))
    with started(root, "mcp_test", "MCP_CONFIG=mcp.json") as process:
        assert until(lambda: running("child-of-silent"))
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[-1] == "!! mcp_test  interrupted; what was started is stopped"
    assert (running(f"{TINY}\0silent"), running("child-of-silent")) == ([], [])


def test_mcp_health_checks_and_tests(root: Path) -> None:
    write(root / "mcp.json", json.dumps({"servers": [tiny("good")]}))
    said = call(root, "doit-cargo", "mcp_health", "MCP_CONFIG=mcp.json")
    assert (said.status, said.err) == (0, "")
    assert [line for line in said.out.splitlines() if line.startswith("ok ")] == [
        "ok mcp_validate  mcp.json is right: 1 server, 1 enabled",
        "ok mcp_test  1 server answered, each with its tools",
        "ok mcp_health  mcp_validate, mcp_test: all well",
    ]
