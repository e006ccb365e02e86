"""Programs that serve and talk: started, found, tested, stopped; and nothing is ever left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from calling import DODO, Said, call, environment, linux
from conftest import needs_cargo, write
from doit_cargo.engine.base import own_key
from model_files import put, small_gguf
from serving import DEV, free_port, is_alive, running, started, until, without

pytestmark = [pytest.mark.slow, needs_cargo, linux]


@pytest.fixture
def ws(model: Path) -> Iterator[Path]:
    """The built model; a server that a test leaves running is stopped."""
    yield model
    # The folder too: one that appears where profiles are looked for makes a build stale, and others share the model.
    shutil.rmtree(model / "profiles", ignore_errors=True)
    (model / "MCP_CONFIG.json").unlink(missing_ok=True)
    call(model, "doit-cargo", "test_server_stop")


def last(said: Said) -> str:
    """Return what doit-cargo said last, without its mark and the target."""
    return [line for line in (said.out + said.err).splitlines() if line[:3] in ("ok ", "!! ")][-1].partition("  ")[2]


def health(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return int(answer.status)
    except (OSError, urllib.error.HTTPError):
        return 0


def record(ws: Path) -> Path:
    return ws / ".doit-cargo/test-server.json"


def pid_of(ws: Path) -> int:
    return int(json.loads(record(ws).read_text())["pid"])


# --- in the foreground -----------------------------------------------------------------------------------------------


def talk(ws: Path, lines: str, *words: str, **variables: str) -> tuple[int, str]:
    with started(ws, *words, DEV, **variables) as process:
        out, _ = process.communicate(lines, timeout=60)
        return process.returncode, out


def test_run_talks_with_whoever_types(ws: Path) -> None:
    put(ws / "own/tiny.gguf", small_gguf("tiny"))
    status, out = talk(ws, "Hello!\n\\exit\n", "run", "MODEL=own/tiny.gguf")
    assert status == 0
    assert ".. run  target/debug/mistralrs-server -i gguf -m own -f tiny.gguf" in out
    assert "Model tiny. \\help lists the commands." in out
    assert "I am a toy model" in out
    assert "DEBUG" not in out


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (("run_debug", "MODEL=a/b"), {}),
        (("run", "MODEL=a/b", "MISTRALRS_DEBUG=1"), {}),
        (("run", "MODEL=a/b"), {"MISTRALRS_DEBUG": "1"}),
    ],
    ids=["run_debug", "as a word", "in the environment"],
)
def test_debug_output_is_on_if_asked_for(ws: Path, words: tuple[str, ...], variables: dict[str, str]) -> None:
    status, out = talk(ws, "", *words, **variables)
    assert (status, "DEBUG mistralrs_core::model" in out) == (0, True)


def test_doit_reaches_run_behind_its_own_run(ws: Path) -> None:
    write(ws / "dodo.py", DODO)
    said = call(ws, "doit", "run", "run", "MODEL=a/b", DEV)
    (ws / "dodo.py").unlink()
    assert (said.status, last(said).partition(" after")[0]) == (0, "the program ended")


def test_a_program_that_fails_is_a_failure(ws: Path) -> None:
    status, out = talk(ws, "", "run", "MODEL=a/b", "ARGS=--nonsense")
    assert (status, out.splitlines()[-1].partition(" after")[0]) == (1, "!! run  the program ended with status 2")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_server_too(ws: Path, number: int) -> None:
    port = free_port()
    with started(ws, "run_server", "MODEL=a/b", f"PORT={port}", DEV) as process:
        assert until(lambda: health(port) == 200)
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, running(f"--port\0{port}")) == (130, [])
    assert "!! run_server  interrupted after" in out


def test_a_server_gets_the_mcp_configuration(ws: Path) -> None:
    write(ws / "MCP_CONFIG.json", '{"servers": [{"name": "a", "source": {"type": "Process", "command": "x"}}]}')
    port = free_port()
    with started(ws, "run_with_mcp", "MODEL=a/b", f"PORT={port}", DEV) as process:
        assert until(lambda: health(port) == 200)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert json.load(answer)["mcp_servers"] == 1
        process.terminate()
        process.communicate(timeout=20)


# --- bad input, told before anything is built ------------------------------------------------------------------------

NO_MODEL = (
    "run needs a model: MODEL= says which\n  fix: for example: doit-cargo run MODEL=path/to/model.gguf; or one of: "
    "qwen2.5-1.5b, gemma-2-2b, qwen2.5-7b, gemma-3-4b; or OWNER/NAME on the hub"
)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run",), NO_MODEL),
        (("run", "MODEL=qwen25-7b"), "MODEL: unknown model 'qwen25-7b'\n  fix: did you mean 'qwen2.5-7b'? known: "),
        (
            ("run", "MODEL=qwen2.5-7b"),
            "MODEL: qwen2.5-7b is not in models yet\n  fix: doit-cargo download_models MODEL=q",
        ),
        (("run", "MODEL=own/tiyn.gguf"), "MODEL: there is no file own/tiyn.gguf\n  fix: did you mean 'tiny.gguf'?"),
        (
            ("run", "MODEL_DIR=own", "MODEL_FILE=t.gguf"),
            "MODEL_FILE: there is no file own/t.gguf\n  fix: did you mean 'tiny.gguf'?",
        ),
        (
            ("run", "MODEL=own/broken.gguf"),
            "{}/own/broken.gguf: this model cannot be loaded: the file ends within its head",
        ),
        (("run_server", "MODEL=a/b", "PORT=99999"), "PORT=99999 is not a port (1 to 65535)"),
        (("run", "MODEL=a/b", "ARGS='open"), "ARGS='open has a quote that does not end"),
        (("run", "MODEL=a/b", "PACKAGE=all"), "PACKAGE: run runs one program; all are several packages"),
        (("run", "MODEL=a/b", "PACKAGE=mistralrs-core"), "PACKAGE: mistralrs-core has no program"),
        (
            ("run_server", "MODEL=a/b", "PACKAGE=mistralrs-tui"),
            "PACKAGE: nobody says how the program of mistralrs-tui serves",
        ),
        (
            ("run_with_mcp", "MODEL=a/b"),
            "there is no MCP configuration: MCP_CONFIG.json\n  fix: MCP_CONFIG= names the file",
        ),
        (("run", "MODEL=a/b", "MCP_CONFIG=own/bad.json"), "own/bad.json:1: has neither 'servers' nor 'mcpServers'"),
        (("test_api", "BASE_URL=http://192.0.2.1:80"), "BASE_URL: http://192.0.2.1:80 is not on this machine"),
        (("test_api", "BASE_URL=ftp://127.0.0.1"), "BASE_URL=ftp://127.0.0.1 is not an address"),
        (("test_server_start", "MODEL=a/b", "TIMEOUT=0"), "TIMEOUT=0 is not a time in seconds (1 to 3600)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_told_before_anything_starts(ws: Path, words: tuple[str, ...], message: str) -> None:
    put(ws / "own/tiny.gguf", small_gguf("tiny"))
    put(ws / "own/broken.gguf", small_gguf()[:40])
    write(ws / "own/bad.json", "{}")
    said = call(ws, "doit-cargo", *words)
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"doit-cargo: {message.format(ws)}")


@pytest.mark.parametrize(
    ("words", "package", "library", "extra"),
    [
        (("test_api",), "httpx", "httpx", "serve"),
        (("test_server_stop",), "psutil", "psutil", "serve"),
        (("test_tui_auto", "MODEL=a/b"), "pexpect", "pexpect", "serve"),
        (("download_models",), "huggingface_hub", "huggingface-hub", "models"),
        (("mcp_test", "MCP_CONFIG=own/good.json"), "mcp", "mcp", "mcp"),
    ],
)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(
    ws: Path, tmp_path: Path, words: tuple[str, ...], package: str, library: str, extra: str
) -> None:
    write(ws / "own/good.json", '{"servers": []}')
    said = call(ws, "doit-cargo", *words, **without(tmp_path, package))
    assert said == Said(
        2,
        "",
        f"doit-cargo: {words[0]} needs the Python package {library}, which is not installed\n"
        f'  fix: pip install "doit-cargo[{extra}]"\n',
    )


def test_a_program_that_is_gone_is_told(ws: Path) -> None:
    write(ws / "profiles/pack.toml", '[serve.mistralrs-server]\nbinary = "mistralrs-sever"\ntalk = ["-i"]\n')
    said = call(ws, "doit-cargo", "run", DEV)
    assert (said.status, last(said)) == (
        2,
        "the build makes no program mistralrs-sever; it makes target/debug/mistral-rs, target/debug/mistralrs-server",
    )


# --- in the background -----------------------------------------------------------------------------------------------


def start(ws: Path, port: int, *words: str, **variables: str) -> Said:
    return call(ws, "doit-cargo", "test_server_start", "MODEL=a/b", f"PORT={port}", DEV, *words, **variables)


def test_a_server_is_started_tested_and_stopped(ws: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    assert start(ws, port).status == 0
    pid = pid_of(ws)
    assert os.getsid(pid) == pid
    assert "listening on" in (ws / ".testlogs/test-server.log").read_text()
    tested = call(ws, "doit-cargo", "test_api")
    rows = [line.split()[:1] for line in tested.out.splitlines()[1:-1]]
    assert [name for (name,) in rows] == ["health", "models", "chat", "chat,", "completion", "errors", "50"]
    assert (tested.status, last(tested)) == (0, f"7 checks passed on {url}; report: .testlogs/test-api.log")
    assert "50 answered" in tested.out
    stopped = call(ws, "doit-cargo", "test_server_stop")
    assert last(stopped) == f"{url} stopped (process {pid}); log: .testlogs/test-server.log"
    assert (is_alive(pid), record(ws).exists()) == (False, False)
    assert last(call(ws, "doit-cargo", "test_server_stop")) == "no test server is running"


def test_the_same_call_leaves_a_server_running_and_another_one_replaces_it(ws: Path) -> None:
    port = free_port()
    start(ws, port)
    first = pid_of(ws)
    assert last(start(ws, port)) == f"runs already: http://127.0.0.1:{port} (process {first})"
    said = start(ws, port, "MISTRALRS_DEBUG=1")
    assert "the running server is of another call: it is stopped first" in said.out
    assert (said.status, is_alive(first), is_alive(pid_of(ws))) == (0, False, True)


def test_a_port_that_is_taken_is_told_with_who_has_it(ws: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        port = other.server_address[1]
        said = start(ws, port)
        name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
        assert (said.status, last(said), record(ws).exists()) == (
            2,
            f"PORT: port {port} is taken: {name} (process {os.getpid()}) has it",
            False,
        )


def test_a_server_that_ends_at_once_is_told_with_its_last_words(ws: Path) -> None:
    said = start(ws, free_port(), "ARGS=--nonsense")
    assert (said.status, record(ws).exists()) == (1, False)
    assert "the server ended with status 2 before it answered; log: .testlogs/test-server.log\n" in said.err
    assert "     error: unexpected argument '--nonsense'" in said.err


ELSEWHERE = """\
[serve.mistralrs-server]
binary = "mistralrs-server"
serve = ["--port", "0"]
plain = ["plain", "-m", "{model}"]
"""


def test_a_server_that_does_not_answer_in_time_is_ended(ws: Path) -> None:
    write(ws / "profiles/pack.toml", ELSEWHERE)
    said = call(ws, "doit-cargo", "test_server_start", "MODEL=a/silent", "TIMEOUT=1", f"PORT={free_port()}", DEV)
    assert (said.status, running("a/silent"), record(ws).exists()) == (1, [], False)
    assert "/health within 1 s (TIMEOUT= changes that)" in last(said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_start_that_is_interrupted_leaves_no_server(ws: Path, number: int) -> None:
    write(ws / "profiles/pack.toml", ELSEWHERE)
    words = ("test_server_start", "MODEL=a/silent", f"PORT={free_port()}", DEV)
    with started(ws, *words) as process:
        assert until(record(ws).exists)
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, running("plain\0-m\0a/silent"), record(ws).exists()) == (130, [], False)
    assert out.splitlines()[-1] == "!! test_server_start  interrupted; what was started is stopped"


def test_a_start_that_is_killed_leaves_what_stop_can_find(ws: Path) -> None:
    write(ws / "profiles/pack.toml", ELSEWHERE)
    with started(ws, "test_server_start", "MODEL=a/silent", f"PORT={free_port()}", DEV) as process:
        assert until(record(ws).exists)
        process.kill()
        process.communicate(timeout=20)
    assert is_alive(pid_of(ws))
    assert " stopped (process " in last(call(ws, "doit-cargo", "test_server_stop"))
    assert (running("plain\0-m\0a/silent"), record(ws).exists()) == ([], False)


def test_a_process_id_that_now_is_another_process_is_left_alone(ws: Path) -> None:
    start(ws, free_port())
    old = own_key.unsealed(json.loads(record(ws).read_text()))
    assert old is not None
    call(ws, "doit-cargo", "test_server_stop")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        record(ws).write_text(json.dumps(own_key.sealed({**old, "pid": innocent.pid})))
        said = call(ws, "doit-cargo", "test_server_stop")
        assert last(said) == f"the test server had ended already (process {innocent.pid})"
        assert (innocent.poll(), record(ws).exists()) == (None, False)
        innocent.kill()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_is_no_server(ws: Path, text: str) -> None:
    write(record(ws), text)
    assert last(call(ws, "doit-cargo", "test_server_stop")) == "no test server is running"
    assert not record(ws).exists()


def test_a_server_that_does_not_listen_to_signals_is_killed(ws: Path) -> None:
    start(ws, free_port())
    pid = pid_of(ws)
    os.kill(pid, signal.SIGSTOP)  # SIGTERM waits until it goes on, SIGKILL does not
    said = call(ws, "doit-cargo", "test_server_stop")
    assert f"did not end within 5 s, so it was killed (process {pid})" in last(said)
    assert not is_alive(pid)


# --- the API ---------------------------------------------------------------------------------------------------------


class Broken(BaseHTTPRequestHandler):
    """A server that is alive and does everything wrong."""

    def do_GET(self) -> None:
        self._answer(200, b'{"data": []}')

    def do_POST(self) -> None:
        self._answer(500, b"no")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_every_check_of_a_broken_server_fails_by_itself(ws: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = call(ws, "doit-cargo", "test_api", f"BASE_URL=http://localhost:{server.server_address[1]}")
        server.shutdown()
    assert said.status == 1
    results = {line[:14].strip(): line[14:].split()[0] for line in said.out.splitlines()[1:]}
    assert results.pop("health") == "ok"
    assert (len(results), set(results.values())) == (6, {"FAILED"})
    assert ": models, chat, chat, streamed, completion, errors, 50 at once; report: " in last(said)
    assert (ws / ".testlogs/test-api.log").read_text().splitlines() == said.out.splitlines()
    assert "must be refused with a status of 400 to 499: an unknown path: 200, no JSON: 500" in said.out


def test_no_server_is_told(ws: Path) -> None:
    port = free_port()
    said = call(ws, "doit-cargo", "test_api", f"PORT={port}")
    assert (said.status, last(said)) == (2, f"no server answers at http://127.0.0.1:{port}")


def test_one_target_starts_tests_and_stops(ws: Path) -> None:
    said = call(ws, "doit-cargo", "test_server_api", "MODEL=a/whole", f"PORT={free_port()}", DEV)
    marks = [line.split()[0] for line in said.out.splitlines() if " test_server_api  " in line]
    assert (said.status, marks, running("a/whole")) == (0, ["..", "ok", "ok", "ok"], [])


def test_the_server_is_stopped_also_if_its_test_fails(
    ws: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from doit_cargo.actions.serving import api
    from doit_cargo.cli.line import run_targets
    from doit_cargo.session import Session

    def bad(_: object) -> str:
        raise api.CheckError("as the test wants it")

    monkeypatch.setattr(api, "CHECKS", {"bad": bad})
    raw = {"MODEL": "a/failing", "PORT": str(free_port()), "PROFILE": "dev"}
    assert run_targets(Session(str(ws), environment(), raw), ["test_server_api"]) == 1
    assert (running("a/failing"), record(ws).exists()) == ([], False)
    said = capfd.readouterr()
    assert "1 of 2 checks failed" in said.err
    assert " stopped (process " in said.out.splitlines()[-1]


def test_a_test_that_is_interrupted_leaves_no_server(ws: Path) -> None:
    port = free_port()
    words = ("test_server_api", "MODEL=a/cut", f"PORT={port}", DEV, "ARGS=")
    with started(ws, *words) as process:
        assert until(record(ws).exists)
        pid = pid_of(ws)
        process.terminate()
        process.communicate(timeout=20)
    assert (process.returncode, is_alive(pid), record(ws).exists()) == (130, False, False)
