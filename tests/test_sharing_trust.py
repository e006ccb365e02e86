"""A store that is sick, lies or was poisoned: the build goes on as if there were none, and nothing wrong is taken."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from calling import SCRIPTS, Said, call, environment, linux, small_workspace
from conftest import needs_cargo, write
from doit_cargo.engine.state import staleness
from doit_cargo.sharing import action, result, signing, wire
from doit_cargo.sharing.wire import Digest, OutputFile

pytestmark = [needs_cargo, linux, pytest.mark.slow]


class Shop:
    """Two checkouts and a folder as their store; `publish` fills it, `take` has the other one build."""

    def __init__(self, folder: Path) -> None:
        self.store, self.a, self.b = folder / "store", folder / "a", folder / "b"
        for root in (self.a, self.b):
            small_workspace(root)
            subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, env=environment(), check=True)
            write(root / "app/src/bin/app.rs", 'fn main() { println!("right"); }\n')

    def configure(self, store: str = "", more: str = "") -> None:
        for root in (self.a, self.b):
            write(root / "profiles/pack.toml", f'[share]\nstore = "{store or self.store}"\n{more}')

    def publish(self, **variables: str) -> Said:
        return call(self.a, "doit-cargo", "build", "SHARE=write", **variables)

    def refused(self) -> str:
        """Return why the other checkout would fetch nothing, without building anything."""
        said = call(self.b, "doit-cargo", "share", "why", "build")
        assert (said.status, "would be fetched" in said.out) == (0, False), said.out + said.err
        return said.out

    def fresh(self) -> None:
        """Have the other checkout know nothing."""
        for name in ("target", ".doit-cargo", ".logs"):
            shutil.rmtree(self.b / name, ignore_errors=True)

    def take(self, *words: str, **variables: str) -> Said:
        said = call(self.b, "doit-cargo", "build", *words, **variables)
        assert said.status == 0, said.out + said.err
        output = subprocess.run([self.b / "target/release/app"], capture_output=True, text=True, check=True).stdout
        assert output == "right\n", said.out
        return said

    # --- what an attacker who may write to the store would do ---

    def entries(self) -> dict[Path, list[OutputFile]]:
        paths = [path for path in (self.store / "ac").rglob("*") if path.is_file()]
        return {path: wire.read_action_result(path.read_bytes()) for path in paths}

    def the_result(self) -> tuple[Path, list[OutputFile]]:
        [found] = [(path, files) for path, files in self.entries().items() if files[-1].path == result.NAME]
        return found

    def forge(self, change: Callable[[dict[str, object]], None]) -> None:
        """Change what the result says of itself, and keep that as if it were right; the signature stays as it was."""
        path, files = self.the_result()
        data = json.loads(files[-1].content)
        change(data)
        content = action.text(data)
        self.keep(content)
        said = OutputFile(result.NAME, Digest.of(content), content=content)
        path.write_bytes(wire.action_result([*files[:-1], said]))

    def keep(self, content: bytes) -> Digest:
        blob = Digest.of(content)
        write(self.store / "cas" / blob.hash[:2] / blob.hash, "").write_bytes(content)
        return blob


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store that holds one result; tests work on copies of it."""
    shop = Shop(tmp_path_factory.mktemp("trust"))
    shop.configure()
    assert "shared: 1 file" in shop.publish().out
    return shop


@pytest.fixture
def shop(filled: Shop) -> Iterator[Shop]:
    kept = filled.store.with_name("kept")
    shutil.copytree(filled.store, kept)
    filled.fresh()
    yield filled
    shutil.rmtree(filled.store)
    kept.rename(filled.store)
    filled.configure()
    for name in ("signed",):
        shutil.rmtree(filled.store.with_name(name), ignore_errors=True)


# --- poison ----------------------------------------------------------------------------------------------------------


def swap(data: dict[str, object], path: str) -> None:
    files = data["files"]
    assert isinstance(files, list)
    files[0][0] = path


@pytest.mark.parametrize(
    "path",
    [
        "${target}/../../outside",
        "/tmp/doit-cargo-outside",
        "../outside",
        "${ws}/app/src/main.rs",
        "${target}",
        "${target}//release/app",
        "${cargo_home}/bin/cargo",
        "${nowhere}/release/app",
    ],
)
def test_a_result_that_would_write_elsewhere_is_not_used(shop: Shop, path: str) -> None:
    shop.forge(lambda data: swap(data, path))
    assert f"not fetched: would write {path}\n" in shop.refused()


def test_a_result_is_not_written_through_a_link(shop: Shop, tmp_path: Path) -> None:
    write(tmp_path / "precious/app", "precious")
    (shop.b / "target").mkdir()
    (shop.b / "target/release").symlink_to(tmp_path / "precious")
    said = call(shop.b, "doit-cargo", "build")
    assert "would write through a link" in said.out
    assert "fetched" not in said.out


def test_a_flipped_bit_is_seen_and_old_outputs_stay(shop: Shop) -> None:
    _, files = shop.the_result()
    blob = shop.store / "cas" / files[0].digest.hash[:2] / files[0].digest.hash
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    assert "sent something else as" in shop.take().out
    assert list(shop.b.rglob(".fetched-*")) == []


def test_a_blob_that_is_gone_is_no_result(shop: Shop) -> None:
    _, files = shop.the_result()
    (shop.store / "cas" / files[0].digest.hash[:2] / files[0].digest.hash).unlink()
    assert "is there no more, or not whole: built here" in shop.take().out


def test_a_result_of_something_else_is_not_used(shop: Shop) -> None:
    shop.forge(lambda data: data.update(action="0" * 64))
    assert "not fetched: was made from something else\n" in shop.refused()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"files": "x"},
        {"told": {}},
        {"told": {"machine": 1}},
        {"log": []},
        {"more": 1},
        {"files": [["${target}/x", "0" * 63, 1, True]]},
    ],
)
def test_a_result_of_another_form_is_not_used(shop: Shop, change: dict[str, object]) -> None:
    shop.forge(lambda data: data.update(change))
    assert re.search("not fetched: (is of another format|is none that can be read)", shop.refused())


def test_a_result_under_the_key_of_another_is_not_used(shop: Shop) -> None:
    """Both are signed by the CI that everybody trusts; so are two that were exchanged."""
    private, public = signing.new_pair()
    shop.configure(str(shop.store.with_name("signed")), f'keys = ["{public}"]\n')
    shop.store, kept = shop.store.with_name("signed"), shop.store
    source = shop.a / "app/src/bin/app.rs"
    right = source.read_text()
    try:
        shutil.rmtree(shop.a / ".doit-cargo")
        assert "shared: 1 file" in shop.publish(DOIT_CARGO_SHARE_SIGNING_KEY=private).out
        place, _ = shop.the_result()
        write(source, right.replace("right", "wrong"))
        assert "shared: 1 file" in shop.publish(DOIT_CARGO_SHARE_SIGNING_KEY=private).out
        results = [path for path, files in shop.entries().items() if files[-1].path == result.NAME]
        [other] = [path for path in results if path != place]
        one, two = place.read_bytes(), other.read_bytes()
        place.write_bytes(two)
        other.write_bytes(one)
        assert "not fetched: was made from something else\n" in shop.refused()
        assert "was made from something else: built here" in shop.take().out
    finally:
        write(source, right)
        shop.store = kept


def test_a_flipped_bit_in_an_entry_makes_no_wrong_result(shop: Shop) -> None:
    """What an entry says beside the result itself is for servers; a bit of that may be another one."""
    for path in shop.entries():
        content = path.read_bytes()
        for at in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
            said = call(shop.b, "doit-cargo", "share", "why", "build")
            assert (said.status, said.err) == (0, ""), f"{path} {at}"
            if "would be fetched" in said.out:
                assert "fetched, built by" in shop.take().out
                shop.fresh()
        path.write_bytes(content)
    assert "fetched, built by" in shop.take().out


def test_garbage_in_the_place_of_entries_is_no_result(shop: Shop) -> None:
    for path in shop.entries():
        path.write_bytes(os.urandom(200))
    assert "not shared yet" in shop.refused()


def test_a_path_set_without_sources_makes_nothing_fit(shop: Shop) -> None:
    """Whoever may write could ask for less; a result says what it was made from, and nothing was made from less."""
    from doit_cargo.sharing import index

    [(path, files)] = [(path, files) for path, files in shop.entries().items() if files[-1].path == index.MANIFEST]
    empty: dict[str, object] = {kind: [] for kind in ("file", "listing", "seen", "absent", "env", "which")}
    content = index.pack(index.Known(empty, (), files[1].digest))
    path.write_bytes(wire.action_result([OutputFile(index.SET, Digest.of(content), content=content), files[1]]))
    assert " differ" in shop.refused()


def test_verify_builds_and_names_what_differs_from_what_is_stored(shop: Shop) -> None:
    for _ in range(2):  # also where all is up to date
        said = shop.take("SHARE=verify").out
        assert re.search(r"verified against what .* built: (1 file the same|0 files the same, 1 alike)", said), said
    _, files = shop.the_result()
    content = (shop.store / "cas" / files[0].digest.hash[:2] / files[0].digest.hash).read_bytes()
    other = shop.keep(content.replace(b"right", b"wrong"))
    shop.forge(lambda data: data.update(files=[["${target}/release/app", *other, True]]))
    failed = call(shop.b, "doit-cargo", "build", "SHARE=verify")
    assert failed.status == 1
    assert "SHARE=verify: ${target}/release/app differs from what" in failed.out + failed.err


# --- signatures ------------------------------------------------------------------------------------------------------


def test_only_what_a_key_of_the_pack_has_signed_is_used(shop: Shop) -> None:
    (private, public), (other, _) = signing.new_pair(), signing.new_pair()
    shop.configure(str(shop.store.with_name("signed")), f'keys = ["{public}"]\n')
    shop.store, kept = shop.store.with_name("signed"), shop.store
    try:
        for root in (shop.a,):
            shutil.rmtree(root / ".doit-cargo")
        assert "shared: 1 file" in shop.publish(DOIT_CARGO_SHARE_SIGNING_KEY=other).out
        assert "is not signed by a key of the pack: built here" in shop.take().out
        shutil.rmtree(shop.a / ".doit-cargo")
        assert "shared: 1 file" in shop.publish(DOIT_CARGO_SHARE_SIGNING_KEY=private).out
        shop.fresh()
        assert "fetched, built by" in shop.take().out
        shop.forge(lambda data: data.update(files=[]))
        shop.fresh()
        assert "is not signed by a key of the pack\n" in shop.refused()
    finally:
        shop.store = kept


def test_a_secret_within_a_result_keeps_it_from_being_published(shop: Shop) -> None:
    secret = "a-secret-that-nobody-shall-see"
    write(shop.a / "app/src/bin/app.rs", f'fn main() {{ println!("{secret}"); }}\n')
    try:
        said = shop.publish(MY_TOKEN=secret)
        assert "not shared: app holds the value of MY_TOKEN" in said.out
        held = [path for path in shop.store.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert held == []
    finally:
        write(shop.a / "app/src/bin/app.rs", 'fn main() { println!("right"); }\n')


def test_no_child_gets_the_secrets_of_sharing(shop: Shop) -> None:
    script = 'fn main() { assert!(std::env::vars().all(|(name, _)| !name.starts_with("DOIT_CARGO_SHARE_"))); }\n'
    write(shop.b / "low/build.rs", script)
    try:
        key = signing.new_pair()[0]
        said = shop.take(DOIT_CARGO_SHARE_SIGNING_KEY=key, DOIT_CARGO_SHARE_TOKEN="x", DOIT_CARGO_SHARE_SECRET="y")
        assert said.status == 0
    finally:
        (shop.b / "low/build.rs").unlink()


def test_nothing_is_written_unless_somebody_says_so(shop: Shop) -> None:
    before = sorted(shop.store.rglob("*"))
    write(shop.b / "low/src/lib.rs", "pub fn edited() {}\n")
    try:
        assert ".. build  shared:" not in shop.take().out
        assert sorted(shop.store.rglob("*")) == before
    finally:
        write(shop.b / "low/src/lib.rs", "")


# --- sick servers ----------------------------------------------------------------------------------------------------

Serve = Callable[[socket.socket], None]


def silent(_: socket.socket) -> None:
    time.sleep(5)


def trickle(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b"x")
        time.sleep(0.1)


def answer(status: str) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    return serve


def cut(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 500)


def garbage(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x00\xff" * 500)


@contextmanager
def server(serve: Serve) -> Iterator[tuple[str, list[float]]]:
    """Serve each connection in this way; yield the address and the moments of all connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        moments: list[float] = []

        def one(connection: socket.socket) -> None:
            with connection:
                try:
                    serve(connection)
                except OSError:
                    return

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                moments.append(time.monotonic())
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", moments
        listener.shutdown(socket.SHUT_RDWR)


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
                    connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n".encode())
                    half = content[: len(content) // 2] if len(content) > 100_000 else content
                    connection.sendall(half)
                    if half != content:
                        sick(connection, content[len(half) :])
                        break

        return serve

    return of


def drip(connection: socket.socket, rest: bytes) -> None:
    for at in range(200):
        connection.sendall(rest[at : at + 1])
        time.sleep(0.05)


def flip(connection: socket.socket, rest: bytes) -> None:
    connection.sendall(rest[:-1] + bytes([rest[-1] ^ 1]))


def everywhere(serve: Serve) -> Callable[[Path], Serve]:
    return lambda _: serve


SICK: dict[str, tuple[Callable[[Path], Serve], str]] = {
    "silent": (everywhere(silent), "does not answer"),
    "trickle": (everywhere(trickle), "does not answer"),
    "500": (everywhere(answer("500 Broken")), "answers 500 Broken"),
    "401": (everywhere(answer("401 Who")), "answers 401 Who"),
    "redirect": (everywhere(answer("302 Elsewhere")), "answers 302 Elsewhere"),
    "cut": (everywhere(cut), "sends less than it said"),
    "garbage": (everywhere(garbage), "closes the connection"),
    "cut within a file": (within_a_file(lambda *_: None), "sends less than it said"),
    "silent within a file": (within_a_file(lambda *_: time.sleep(8)), "does not answer"),
    "trickle within a file": (within_a_file(drip), "sends only "),
    "another content": (within_a_file(flip), "what 127.0.0.1 has as this result sent something else as"),
}


def test_a_sick_server_costs_one_line_once_and_leaves_what_is_there(shop: Shop) -> None:
    """What the other checkout has built stays the very file that it was; only its receipts are gone."""
    shop.take("SHARE=off")
    program = shop.b / "target/release/app"
    before = program.stat()
    for kind, (serve, says) in SICK.items():
        with server(serve(shop.store)) as (address, moments):
            shutil.rmtree(shop.b / ".doit-cargo")
            said = shop.take(DOIT_CARGO_SHARE=address).out
            assert says in said, kind
            assert (said.count("shared cache") + said.count("sent something else"), said.count("built here")) == (1, 1)
            if "s): built here" in said:
                lost = float(said.partition(" s): built here")[0].rpartition("(")[2])
                # 0.8 s of waiting, in a file 3 s, and our own work on a busy machine; without an end it would be more.
                assert lost < (8 if "within" in kind else 4), kind
            assert program.stat() == before, kind
            assert list(shop.b.rglob(".fetched-*")) == [], kind
            count = len(moments)
            if kind == "silent":  # from now on it is left alone, and a skip asks nobody in any case
                assert shop.take(DOIT_CARGO_SHARE=address).out.startswith("-- build  up to date")
                again = shop.take("FORCE=1", "SHARE=write", DOIT_CARGO_SHARE=address)
                assert ("shared cache" in again.out, len(moments)) == (False, count)


ASKS = """
import time
from doit_cargo.sharing.patience import Patience
def slow():
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


def test_a_server_that_refuses_costs_one_line(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shop.configure(f"http://127.0.0.1:{port}")
    assert "shared cache 127.0.0.1 closes the connection (ConnectionRefusedError)" in shop.take().out


needs_root = pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="namespaces of one's own need root and unshare"
)
PROGRAM = os.path.join(SCRIPTS, "doit-cargo")


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
    from doit_cargo.sharing.carriers import Access, open_store
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
    assert "shared cache cache.example.com does not answer (" in said.out, said.out + said.err
    assert float(said.out.partition(" s): built here")[0].rpartition("(")[2]) < 8  # a resolver waits ten seconds
    assert said.status == 0, said.err
