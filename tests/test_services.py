"""Services that a target needs: asked before it starts, at the address that the user names, and told when absent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from calling import Said, program, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write
from dynamo import free_port

pytestmark = needs_cargo

PACK = """\
[services.store]
doc = "the store"
variable = "STORE"
default = "http://127.0.0.1:1"
path = "/health"
get = "apt store-server; any see https://store.example"
start = "store --serve"

[target.use]
doc = "Use the store."
run = ["echo", "used"]
services = ["store"]

[target.draw]
doc = "Draw."
run = ["echo", "drawn"]
services = ["gpu"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    small_workspace(tmp_path / "ws")
    write(tmp_path / "ws/profiles/pack.toml", PACK)
    return tmp_path / "ws"


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{made.server_port}"
        made.shutdown()


def use(root: Path, store: str) -> Said:
    return call(root, "doit-cargo", "use", STORE=store)


def test_a_service_that_answers_lets_the_target_run(root: Path, server: str) -> None:
    assert use(root, f"http://{server}").out.splitlines()[0] == "used"
    check = call(root, "doit-cargo", "check_store", STORE=f"http://{server}")
    assert (check.status, check.out) == (0, f"ok check_store  store answers at http://{server}\n")


def test_one_of_several_addresses_is_enough(root: Path, server: str) -> None:
    assert use(root, f"127.0.0.1:{free_port()},{server}").status == 0


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        ("127.0.0.1:PORT", "127.0.0.1:PORT (connection refused)"),
        ("http://127.0.0.1:PORT", "http://127.0.0.1:PORT (connection refused)"),
        ("http://SERVER/deep", "http://SERVER/deep (HTTP status 503 for /health)"),
        ("nonsense", "nonsense (no address such as http://127.0.0.1:2379)"),
        ("http://127.0.0.1:99999", "http://127.0.0.1:99999 (no address such as http://127.0.0.1:2379)"),
    ],
)
def test_a_service_that_does_not_answer_is_told_with_its_address(
    root: Path, server: str, store: str, reason: str
) -> None:
    port = str(free_port())
    said = use(root, store.replace("PORT", port).replace("SERVER", server))
    place = reason.replace("PORT", port).replace("SERVER", server)
    assert (said.status, said.out) == (2, "")
    first, fix = said.err.splitlines()
    assert first == f"!! use  profiles/pack.toml:1: use needs store, which does not answer at {place}"
    assert fix.startswith("  fix: start it: store --serve, or set STORE to where it runs; get it: ")


def test_a_listener_that_speaks_no_http_is_no_answer(root: Path) -> None:
    def greet(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.sendall(b"hello\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        said = use(root, f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert (said.status, "no HTTP answer" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'", 0, ""),
        ("exit 0", 2, "draw needs an NVIDIA GPU, and nvidia-smi names none: it said nothing"),
        ("echo 'Driver/library version mismatch' >&2; exit 18", 2, "names none: Driver/library version mismatch"),
    ],
)
def test_a_gpu_is_what_the_driver_names(root: Path, tmp_path: Path, body: str, status: int, text: str) -> None:
    from calling import environment

    program(tmp_path / "bin/nvidia-smi", body)
    said = call(root, "doit-cargo", "draw", PATH=f"{tmp_path / 'bin'}:{environment()['PATH']}")
    assert said.status == status
    assert text in said.err


def test_an_unknown_service_is_told_with_its_line(root: Path) -> None:
    write(root / "profiles/pack.toml", PACK.replace('services = ["store"]', 'services = ["stor"]'))
    said = call(root, "doit-cargo", "list")
    assert said.status == 3
    assert "profiles/pack.toml:9: unknown service 'stor'\n  fix: did you mean 'store'?" in said.err
