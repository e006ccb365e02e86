"""A store that is sick costs one line and less than a second, once; the build goes on as if there were none.

How long was waited is read from what is told, which `sharing.patience` counts, and never from a clock: no server here
ends what it does before the other side has left.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ailing import FOLDER, GRPC, HANGING, PAUSE, WEB, Serve, answers, grpc_server, left, server, silent_on_writing
from calling import SCRIPTS, Said, call, linux
from conftest import needs_cargo, write
from doit_cargo.engine.state import staleness
from doit_cargo.sharing import patience, result
from doit_cargo.sharing.carriers import Access, Carrier, CarrierError, open_store
from doit_cargo.sharing.patience import IDLE_SECONDS, OF_A_PERSON, SECONDS, TURN, Patience
from doit_cargo.sharing.patient import Store
from doit_cargo.sharing.wire import Digest
from shop import Shop, borrowed, opened

pytestmark = [needs_cargo, linux, pytest.mark.slow]

needs_root = pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="namespaces of one's own need root and unshare"
)
PROGRAM = os.path.join(SCRIPTS, "doit-cargo")


def waited(said: str) -> list[float]:
    """Return the seconds that were waited, of each line that tells it."""
    return [float(one) for one in re.findall(r"\(waited (\d+\.\d) s\)", said)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return opened(tmp_path_factory.mktemp("sick"))


@pytest.fixture
def shop(filled: Shop) -> Iterator[Shop]:
    with borrowed(filled) as lent:
        yield lent


# --- whatever is asked of whichever store ----------------------------------------------------------------------------

SHORT = 0.1
BLOB = Digest.of(b"some content")
QUESTIONS: dict[str, Callable[[Carrier], object]] = {
    "entry": lambda it: it.entry(BLOB),
    "keep_entry": lambda it: it.keep_entry(BLOB, b"content"),
    "fetch": lambda it: it.fetch(BLOB, io.BytesIO()),
    "missing": lambda it: it.missing([BLOB]),
    "keep": lambda it: it.keep(BLOB, io.BytesIO(b"some content")),
}


# What was given up is left as it is, in a thread that nobody waits for.
left_behind = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def ask_all(address: str, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """Ask a store everything, in both ways; return what went wrong, once it is sure that it took no longer than it may.

    An answer is never a file that is not the one that was asked for: that raises.
    """
    monkeypatch.setattr(patience, "IDLE_SECONDS", SHORT)
    troubles = {}
    for name, question in QUESTIONS.items():
        for speed in ("quick", "slow"):
            own = Patience(SHORT)
            store = Store(address, Access(), own)
            try:
                question(store.quick if speed == "quick" else store.slow)
            except CarrierError as error:
                troubles[speed, name] = str(error)
            finally:
                store.close()
            assert own.waited <= SHORT + 2 * TURN, (speed, name)
    return troubles


@left_behind
@pytest.mark.parametrize("kind", WEB)
def test_a_sick_web_server_is_given_up_in_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(WEB[kind]) as (place, _):
        troubles = ask_all(f"http://{place}", monkeypatch)
    assert troubles, "it is not sick at all"
    assert all(len(text) < 200 and "Traceback" not in text for text in troubles.values()), troubles


@pytest.mark.parametrize("kind", GRPC)
def test_a_sick_service_is_given_up_in_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed (the extra `remote`)")
    with grpc_server(kind) as address:
        troubles = ask_all(address, monkeypatch)
    assert troubles, "it is not sick at all"


@pytest.mark.parametrize("kind", ["closes at once", "says nothing", "garbage"])
def test_what_is_no_service_at_all_is_given_up_in_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed (the extra `remote`)")
    with server(WEB[kind]) as (place, _):
        assert len(ask_all(f"grpc://{place}", monkeypatch)) == 2 * len(QUESTIONS)


@pytest.mark.parametrize("kind", FOLDER)
def test_a_sick_folder_gives_nothing_and_holds_nobody(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    well = open_store(str(root), Access())
    well.keep(BLOB, io.BytesIO(b"some content"))
    well.keep_entry(BLOB, b"content")
    FOLDER[kind](root)
    assert Path("/etc/passwd").read_bytes()
    ask_all(str(root), monkeypatch)
    with contextlib.suppress(CarrierError):
        assert not open_store(str(root), Access()).fetch(Digest.of(b"never kept"), io.BytesIO())


def test_a_transfer_that_moves_is_followed_to_its_end_however_long_it_takes() -> None:
    def slow(meter: patience.TransferMeter) -> str:
        for _ in range(20):
            meter.moved(1 << 20)
            time.sleep(2 * TURN)
        return "all"

    own = Patience(0)
    assert own.follow(slow) == "all"
    assert own.waited > 0


ASKS = """
import time
from doit_cargo.sharing.patience import Patience
def slow(_):
    print("asked", flush=True)
    for _ in range(5):
        time.sleep(0.05)
    return "answer"
print(Patience().ask(slow))
"""


def test_a_machine_that_stood_still_has_lost_no_patience() -> None:
    """As a busy one does, or one that was asleep: the store had answered in time."""
    with subprocess.Popen([sys.executable, "-c", ASKS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "answer\n"


def test_a_clock_that_was_far_ahead_leaves_no_store_alone_for_ever(tmp_path: Path) -> None:
    patience.leave_alone(str(tmp_path), "one")
    assert patience.is_left_alone(str(tmp_path), "one")
    assert not patience.is_left_alone(str(tmp_path), "another")
    write(tmp_path / patience.FILE, f'{{"one": {time.time() + 10 * patience.PEACE}}}')
    assert not patience.is_left_alone(str(tmp_path), "one")


# --- what a build says of it -----------------------------------------------------------------------------------------


def within_a_file(sick: Callable[[socket.socket, bytes], None]) -> Callable[[Path], Serve]:
    """Return how to serve a store that is well but for its large files, of which a half has arrived when it fails."""

    def of(store: Path) -> Serve:
        def serve(connection: socket.socket) -> None:
            with connection.makefile("rb") as asked:
                while line := asked.readline():
                    while asked.readline().strip():
                        continue
                    _, kind, name = line.split()[1].decode().split("/")
                    path = store / kind / name[:2] / name
                    content = path.read_bytes() if path.exists() else b""
                    status = "200 OK" if path.exists() else "404 Not Found"
                    half = content[: len(content) // 2] if len(content) > 100_000 else content
                    if half == content or sick is not gone:
                        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode())
                        connection.sendall(half)
                    if half != content:
                        sick(connection, content[len(half) :])
                        break

        return serve

    return of


def gone(*_: object) -> None:
    """A server that has died between the entry and its files."""


def cut(*_: object) -> None:
    """A connection that is lost within a file."""


def drip(connection: socket.socket, rest: bytes) -> None:
    for at in range(len(rest)):
        connection.sendall(rest[at : at + 1])
        time.sleep(PAUSE)


def flip(connection: socket.socket, rest: bytes) -> None:
    connection.sendall(rest[:-1] + bytes([rest[-1] ^ 1]))


def everywhere(serve: Serve) -> Callable[[Path], Serve]:
    return lambda _: serve


SICK: dict[str, tuple[Callable[[Path], Serve], str]] = {
    "silent": (everywhere(WEB["says nothing"]), "does not answer"),
    "header": (everywhere(WEB["a header that trickles"]), "does not answer"),
    "trickle": (everywhere(WEB["a body that trickles"]), "does not answer"),
    "promises": (everywhere(WEB["promises without an end"]), "does not answer"),
    "500": (everywhere(answers("500 Broken")), "answers 500 Broken"),
    "503": (everywhere(WEB["503 for a while"]), "answers 503 Busy"),
    "401": (everywhere(answers("401 Who")), "answers 401 Who"),
    "redirect": (everywhere(answers("302 Elsewhere", "Location: file:///etc/passwd")), "answers 302 Elsewhere"),
    "cut": (everywhere(WEB["less than it said"]), "sends less than it said"),
    "garbage": (everywhere(WEB["garbage"]), "closes the connection"),
    "cut within a file": (within_a_file(cut), "sends less than it said"),
    "silent within a file": (within_a_file(lambda connection, _: left(connection)), "does not answer"),
    "trickle within a file": (within_a_file(drip), "sends only "),
    "gone before the files": (within_a_file(gone), "closes the connection"),
    "another content": (within_a_file(flip), "what 127.0.0.1 has as this result sent something else as"),
}


def test_a_sick_server_costs_one_line_once_and_leaves_what_is_there(shop: Shop) -> None:
    """What the other checkout has built stays the very file that it was; only its receipts are gone."""
    shop.take("SHARE=off")
    program = shop.b / "target/release/app"
    before = program.stat()
    for kind, (serve, says) in SICK.items():
        with server(serve(shop.store)) as (place, met):
            shutil.rmtree(shop.b / ".doit-cargo")
            said = shop.take(DOIT_CARGO_SHARE=f"http://{place}").out
            assert says in said, kind
            assert (said.count("shared cache") + said.count("sent something else"), said.count("built here")) == (1, 1)
            assert all(lost <= SECONDS + ("within" in kind) * IDLE_SECONDS for lost in waited(said)), (kind, said)
            assert len(waited(said)) == ("another" not in kind), said
            assert program.stat() == before, kind
            assert list(shop.b.rglob(".fetched-*")) == [], kind
            count = len(met)
            if kind == "silent":  # from now on it is left alone, and a skip asks nobody in any case
                assert shop.take(DOIT_CARGO_SHARE=f"http://{place}").out.startswith("-- build  up to date")
                again = shop.take("FORCE=1", "SHARE=write", DOIT_CARGO_SHARE=f"http://{place}")
                assert ("shared cache" in again.out, len(met)) == (False, count)


# Call -> the most that it may wait, and what it then says.
CALLS = {
    ("build", "SHARE=write", "FORCE=1"): (SECONDS, "does not answer (waited "),
    ("warm", "build"): (SECONDS, "not fetched"),
    ("share", "why", "build"): (OF_A_PERSON, "not fetched: it does not answer (waited "),
    ("share", "check"): (OF_A_PERSON, "does not answer (waited "),
    ("doctor",): (OF_A_PERSON, "without it all is built here"),
    ("status",): (0, ""),
}


def every_call(shop: Shop, address: str, run: Callable[..., Said]) -> None:
    """Have every call that asks a store ask one that says nothing."""
    for words, (most, says) in CALLS.items():
        (shop.b / ".doit-cargo" / patience.FILE).unlink(missing_ok=True)
        if words[0] == "warm":
            shutil.rmtree(shop.b / "target")
        said = run(*words, DOIT_CARGO_SHARE=address)
        assert (said.status, says in said.out, "Traceback" in said.err) == (words[-1] == "check", True, False), said
        assert all(lost <= most for lost in waited(said.out)), said.out
        assert len(waited(said.out)) == (words[0] not in ("doctor", "status")), said.out


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_no_call_waits_longer_than_it_may_for_a_silent_server(shop: Shop, scheme: str) -> None:
    shop.take("SHARE=off")
    with server(WEB["says nothing"]) as (place, _):
        every_call(shop, f"{scheme}://{place}", lambda *words, **more: call(shop.b, "doit-cargo", *words, **more))


@needs_root
def test_no_call_waits_longer_than_it_may_for_a_folder_that_hangs(shop: Shop, tmp_path: Path) -> None:
    """As one of a network file system does whose server is gone."""
    place = tmp_path / "hanging"
    place.mkdir()
    tried = call(shop.b, "unshare", "-m", sys.executable, "-c", HANGING, str(place), "true")
    if tried.status:
        pytest.skip(f"a file system of one's own cannot be mounted here: {tried.err.strip()}")
    shop.take("SHARE=off")

    def run(*words: str, **variables: str) -> Said:
        return call(shop.b, "unshare", "-m", sys.executable, "-c", HANGING, str(place), PROGRAM, *words, **variables)

    every_call(shop, str(place), run)


def test_a_server_that_is_silent_to_who_writes_costs_a_pause(shop: Shop) -> None:
    shop.take("SHARE=off")
    shutil.rmtree(shop.b / ".doit-cargo")
    with server(silent_on_writing) as (place, _):
        said = shop.take("SHARE=write", DOIT_CARGO_SHARE=f"http://{place}").out
        assert re.search(r"shared cache 127.0.0.1 does not answer \(waited .* s\): not published\n", said), said
        assert waited(said)[0] <= SECONDS + IDLE_SECONDS
        (shop.b / ".doit-cargo" / patience.FILE).unlink()
        said = call(shop.b, "doit-cargo", "warm", "build", "SHARE=write", DOIT_CARGO_SHARE=f"http://{place}").out
        assert "not published" in said
        assert waited(said)[0] <= SECONDS + IDLE_SECONDS


def test_what_a_proxy_variable_names_is_never_asked(shop: Shop) -> None:
    names = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY", "grpc_proxy")
    with server(within_a_file(flip)(shop.store)) as (place, met), server(WEB["says nothing"]) as (proxy, asked):
        said = shop.take(DOIT_CARGO_SHARE=f"http://{place}", **dict.fromkeys(names, f"http://{proxy}")).out
        assert "sent something else" in said
        assert (bool(met), asked) == (True, [])


def test_a_second_store_is_not_blamed_for_the_first(shop: Shop) -> None:
    with server(WEB["says nothing"]) as (place, _):
        said = shop.take(DOIT_CARGO_SHARE=str(shop.store), DOIT_CARGO_SHARE_WRITE_TO=f"http://{place}", SHARE="read")
        assert "shared cache 127.0.0.1 does not answer" in said.out
        assert "fetched, built by" in said.out


def test_an_old_server_that_closes_after_each_answer_is_as_good_as_any(shop: Shop) -> None:
    """HTTP/1.0 without a length: what ends with the connection is known by its content."""

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as asked:
            _, kind, name = asked.readline().split()[1].decode().split("/")
            while asked.readline().strip():
                continue
            path = shop.store / kind / name[:2] / name
            status = "200 OK" if path.exists() else "404 Not Found"
            connection.sendall(f"HTTP/1.0 {status}\r\n\r\n".encode() + (path.read_bytes() if path.exists() else b""))

    with server(serve) as (place, _):
        assert "fetched, built by" in shop.take(DOIT_CARGO_SHARE=f"http://{place}").out


def test_a_server_that_refuses_costs_one_line(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shop.configure(f"http://127.0.0.1:{port}")
    assert "shared cache 127.0.0.1 closes the connection (ConnectionRefusedError)" in shop.take().out


@needs_root
def test_a_full_store_costs_one_line(shop: Shop) -> None:
    (shop.store / "cas").mkdir(exist_ok=True)
    shutil.rmtree(shop.a / ".doit-cargo")
    script = f'mount -t tmpfs -o size=64k none "{shop.store}" && exec "{PROGRAM}" build SHARE=write'
    said = call(shop.a, "unshare", "-m", "sh", "-c", script)
    assert (said.status, said.err.count("Traceback")) == (0, 0)
    assert "says: No space left on device" in said.out
    assert said.out.rstrip().endswith("not published")


def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path) -> None:
    """The files of a result lie beside their places until all are whole."""
    from doit_cargo.sharing.fetched import Fetched

    store = open_store(str(tmp_path / "store"), Access())
    files = [result.File(f"${{target}}/{name}", Digest.of(name.encode()), True) for name in ("one", "two")]
    for one in files:
        store.keep(one.digest, io.BytesIO(one.path.rpartition("/")[2].encode()))
    write(tmp_path / "target/one", "old")
    told = {"machine": "x", "finished": 0, "seconds": 0, "warnings": [], "packages": [], "features": []}
    answer = result.SharedResult("0" * 64, tuple(files), Digest.of(b""), told)
    places = {files[0]: str(tmp_path / "target/one"), files[1]: "/dev/full/two"}
    with pytest.raises(OSError, match="full"):
        Fetched.download(store, answer, places, staleness.empty({}, ()))
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["one"]
    assert (tmp_path / "target/one").read_text() == "old"


@needs_root
def test_a_resolver_that_is_silent_is_given_up_in_time(shop: Shop, tmp_path: Path) -> None:
    shop.configure("http://cache.example.com/rust")
    write(tmp_path / "resolv.conf", "nameserver 127.0.0.1\noptions timeout:10\n")
    listen = "import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.1', 53)); time.sleep(60)"
    script = (
        f"python3 -c 'import fcntl, socket, struct; s = socket.socket(type=socket.SOCK_DGRAM); "
        f'fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0x1))\' && mount --bind "{tmp_path}/resolv.conf" '
        f'/etc/resolv.conf && {{ python3 -c "{listen}" & }} && "{PROGRAM}" build; status=$?; kill $!; exit $status'
    )
    said = call(shop.b, "unshare", "-n", "-m", "sh", "-c", script)
    assert "shared cache cache.example.com does not answer (waited " in said.out, said.out + said.err
    assert waited(said.out)[0] <= SECONDS  # a resolver waits ten seconds
    assert said.status == 0, said.err
