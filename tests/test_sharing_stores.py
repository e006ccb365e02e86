"""One contract over three kinds of store, each a real one: what goes in comes out, or nothing does."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import call, environment, small_workspace
from conftest import needs_cargo, write
from doit_cargo.sharing import action, index, path_set, wire
from doit_cargo.sharing.carriers import Access, Carrier, CarrierError, RefusedError, WrongContentError, open_store
from doit_cargo.sharing.index import Known
from doit_cargo.sharing.wire import Digest, OutputFile
from sharing import nginx, store

ACCESS = Access(seconds=5)


@pytest.fixture(scope="module", params=["folder", "http", "grpc"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp(request.param)
    with store(request.param, folder) as address:
        yield address, folder


@pytest.fixture
def carrier(place: tuple[str, Path]) -> Iterator[Carrier]:
    found = open_store(place[0], ACCESS)
    yield found
    found.close()


def keep(carrier: Carrier, content: bytes) -> Digest:
    blob = Digest.of(content)
    carrier.keep(blob, io.BytesIO(content))
    return blob


def an_action(carrier: Carrier, name: str) -> Digest:
    made = action.make(["cargo", "build"], {"os": "linux"}, {"name": name})
    action.keep_blobs(carrier, made.blobs)
    return made.digest


def content_of(carrier: Carrier, blob: Digest) -> bytes | None:
    """Return a blob, None for one that is not there or not what its name says."""
    try:
        return action.small(carrier, blob)
    except WrongContentError:
        return None


def test_what_goes_in_comes_out(carrier: Carrier) -> None:
    program, empty = os.urandom(100_000), b""
    blobs = [keep(carrier, program), keep(carrier, empty)]
    name = an_action(carrier, "round trip")
    assert carrier.entry(name) is None
    files = [OutputFile("bin/app", blobs[0], True), OutputFile("märchen", blobs[1])]
    carrier.keep_entry(name, wire.action_result(files))
    assert wire.read_action_result(carrier.entry(name) or b"") == files
    assert [action.small(carrier, blob) for blob in blobs] == [program, empty]
    assert carrier.missing([*blobs, Digest.of(b"never kept")]) == [Digest.of(b"never kept")]


def test_an_entry_whose_blob_is_gone_is_no_result(carrier: Carrier) -> None:
    name, gone = an_action(carrier, "dangling"), Digest.of(os.urandom(10))
    try:
        carrier.keep_entry(name, wire.action_result([OutputFile("app", gone)]))
    except CarrierError:
        return  # a server that looks is welcome to refuse
    assert carrier.entry(name) is None or content_of(carrier, gone) is None


def test_a_blob_that_is_not_what_its_name_says_is_not_kept(carrier: Carrier) -> None:
    content = os.urandom(1000)
    blob, other = Digest.of(content), content[:-1] + bytes([content[-1] ^ 1])
    for wrong in (other, content[:-1], content + b"\0", b""):
        with pytest.raises(WrongContentError):
            carrier.keep(blob, io.BytesIO(wrong))
        assert carrier.missing([blob]) == [blob]
    carrier.keep(blob, io.BytesIO(content))
    assert content_of(carrier, blob) == content


def test_damage_in_the_store_is_seen(carrier: Carrier, place: tuple[str, Path]) -> None:
    content = os.urandom(2000)
    blob = keep(carrier, content)
    [kept] = [path for path in place[1].rglob("*") if path.is_file() and path.read_bytes() == content]
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 0x10]))
    assert content_of(carrier, blob) is None


def test_64_mib_travel_whole(carrier: Carrier, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(1 << 20) * 64)
    blob = Digest.of(source.read_bytes())
    with source.open("rb") as stream:
        carrier.keep(blob, stream)
    with target.open("wb") as stream:
        assert carrier.fetch(blob, stream)
    assert target.read_bytes() == source.read_bytes()


def path_set_of(name: str, manifest: Digest) -> Known:
    none: dict[str, object] = {kind: [] for kind in (*path_set.PATHS, path_set.LISTING, path_set.SEEN, *path_set.NAMES)}
    return Known(none | {path_set.FILE: [name]}, (), manifest)


def names_of(carrier: Carrier, key: action.Action) -> list[str]:
    return [one.paths[path_set.FILE][0] for one in index.read(carrier, key, ())]


def test_of_a_call_the_sixteen_path_sets_are_known_that_were_published_last(carrier: Carrier) -> None:
    call_, manifest = action.make(["cargo", "build"], {}, {}), keep(carrier, b"{}")
    for number in (*range(20), 10):
        index.keep(carrier, call_, path_set_of(str(number), manifest), (), "")
    assert names_of(carrier, call_) == ["10", *(str(number) for number in range(19, 3, -1) if number != 10)]


def test_path_sets_that_are_more_than_a_message_may_hold_are_known_too(carrier: Carrier) -> None:
    call_, manifest = action.make(["cargo", "check"], {}, {}), keep(carrier, b"{}")
    names = [os.urandom(1 << 20).hex() for _ in range(5)]
    for name in names:
        index.keep(carrier, call_, path_set_of(name, manifest), (), "")
    assert names_of(carrier, call_) == names[::-1]


def test_eight_writers_at_once_leave_one_whole_result(place: tuple[str, Path]) -> None:
    content, trouble = os.urandom(300_000), list[BaseException]()

    def write(number: int) -> None:
        own = open_store(place[0], ACCESS)
        try:
            blob, name = keep(own, content), an_action(own, "eight")
            files = [OutputFile("app", blob), OutputFile(f"by-{number}", keep(own, b"%d" % number))]
            own.keep_entry(name, wire.action_result(files))
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            trouble.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trouble == []
    reader = open_store(place[0], ACCESS)
    files = wire.read_action_result(reader.entry(an_action(reader, "eight")) or b"")
    assert [file.path[:3] for file in files] == ["app", "by-"]
    assert [content_of(reader, file.digest) for file in files] == [content, files[1].path[3:].encode()]
    reader.close()


SLOW_WRITER = """
import io, sys, time
from doit_cargo.sharing.carriers import Access, open_store
from doit_cargo.sharing.wire import Digest

class Slow(io.RawIOBase):
    def __init__(self): self.given = 0
    def read(self, size=-1):
        if self.given >= 500_000:
            print("half", flush=True)
            time.sleep(60)
        self.given += 100_000
        return b"x" * 100_000

open_store(sys.argv[1], Access(5)).keep(Digest.of(b"x" * 1_000_000), Slow())
"""


def test_a_writer_that_is_killed_leaves_nothing_that_looks_whole(place: tuple[str, Path], carrier: Carrier) -> None:
    blob = Digest.of(b"x" * 1_000_000)
    command = [sys.executable, "-c", SLOW_WRITER, place[0]]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    assert carrier.missing([blob]) == [blob]
    assert content_of(carrier, blob) is None


@needs_cargo
def test_a_success_travels_through_the_store_to_another_checkout(place: tuple[str, Path], tmp_path: Path) -> None:
    roots = [small_workspace(tmp_path / name) for name in ("a", "further/b")]
    for root in roots:
        subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, env=environment(), check=True)
    said = call(roots[0], "doit-cargo", "check", "SHARE=write", DOIT_CARGO_SHARE=place[0])
    assert ".. check  shared: that it passes" in said.out, said.out + said.err
    said = call(roots[1], "doit-cargo", "check", DOIT_CARGO_SHARE=place[0])
    assert re.search("ok check  .* s: fetched, built by .*; it passes", said.out), said.out + said.err
    assert call(roots[1], "doit-cargo", "check").out.startswith("-- check  up to date")


def test_a_reader_may_not_write_where_the_server_forbids_it(tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", "limit_except GET { deny all; }") as address:
        reader = open_store(address, ACCESS)
        with pytest.raises(RefusedError, match="403"):
            keep(reader, b"mine")
        assert content_of(reader, Digest.of(b"mine")) is None
        reader.close()


def test_a_reader_may_not_write_where_the_service_forbids_it(place: tuple[str, Path]) -> None:
    if not place[0].startswith("grpc"):
        pytest.skip("HTTP is tried above, and a folder has the rights of its files")
    reader = open_store(place[0].replace("/main", "/reader"), ACCESS)
    name = an_action(reader, "mine")
    with pytest.raises(CarrierError):
        reader.keep_entry(name, wire.action_result([OutputFile("app", keep(reader, b"mine"))]))
    reader.close()


# --- TLS and tokens --------------------------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[str, str]:
    """Make an authority of one's own and what it says of 127.0.0.1; return (what nginx takes, the authority)."""
    openssl = shutil.which("openssl")
    if not openssl:
        pytest.skip("openssl is not on PATH")
    name, authority = folder / "server", folder / "ca"
    write(folder / "names", "subjectAltName=IP:127.0.0.1\n")
    new = [openssl, "req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    steps = (
        [*new, "/CN=ours", "-x509", "-keyout", f"{authority}.key", "-out", f"{authority}.pem"],
        [*new, "/CN=store", "-keyout", f"{name}.key", "-out", f"{name}.csr"],
        [openssl, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"],
    )
    signed = ["-CAcreateserial", "-extfile", str(folder / "names"), "-out", f"{name}.pem"]
    for step, more in zip(steps, ([], [], signed), strict=True):
        subprocess.run([*step, *more], check=True, capture_output=True)
    return str(name), f"{authority}.pem"


@needs_cargo
def test_a_store_behind_tls_and_a_token_is_used_by_those_who_name_it(tmp_path: Path) -> None:
    name, authority = certificate(tmp_path)
    guard = 'if ($http_authorization != "Bearer sesame") { return 401; }'
    root = small_workspace(tmp_path / "ws")
    with nginx(tmp_path / "nginx", guard, certificate=name) as address:
        write(root / "profiles/pack.toml", f'[share]\nstore = "{address}"\n')

        def check(**variables: str) -> str:
            return call(root, "doit-cargo", "share", "check", **variables).out

        token = {"DOIT_CARGO_SHARE_TOKEN": "sesame", "DOIT_CARGO_SHARE": address}
        trusted = {**token, "SSL_CERT_FILE": authority}
        assert re.match(r"127.0.0.1: answers in \d+ ms; read only, as configured\n", check(**trusted))
        assert "certificate verify failed" in check(**token)
        # A token goes to a store that the user named, never to one that only the checkout names.
        only_the_checkout = {"DOIT_CARGO_SHARE_TOKEN": "sesame", "SSL_CERT_FILE": authority}
        assert "answers 401 Unauthorized" in check(**only_the_checkout)
        said = call(root, "doit-cargo", "check", "SHARE=write", **trusted)
        assert ".. check  shared: that it passes" in said.out, said.out + said.err
        assert "sesame" not in said.out + said.err


# --- another client as the referee -----------------------------------------------------------------------------------


def test_bazel_reads_what_we_write_and_we_read_what_it_writes(tmp_path: Path) -> None:
    """Debian's bazel-bootstrap, with our folder as its disk cache; what it takes from us is not what it would build."""
    bazel = shutil.which("bazel")
    if not bazel:
        pytest.skip("bazel is not on PATH: apt-get install bazel-bootstrap")
    write(tmp_path / "ws/WORKSPACE", "")
    write(tmp_path / "ws/BUILD", 'genrule(name = "word", outs = ["word.txt"], cmd = "echo theirs > $@")\n')

    def build(store: Path) -> str:
        options = [f"--disk_cache={store}", "--spawn_strategy=local"]
        for words in ([["clean"]] if store.name == "ours" else []) + [["build", *options, "//:word"]]:
            command = [bazel, "--batch", f"--output_user_root={tmp_path}/root", *words]
            subprocess.run(
                command, cwd=tmp_path / "ws", env=environment(HOME=str(tmp_path)), check=True, capture_output=True
            )
        return (tmp_path / "ws/bazel-bin/word.txt").read_text()

    assert build(tmp_path / "theirs") == "theirs\n"
    [entry] = [path for path in (tmp_path / "theirs/ac").rglob("*") if path.is_file()]
    name = Digest(entry.name, 0)
    theirs, ours = (open_store(str(tmp_path / folder), ACCESS) for folder in ("theirs", "ours"))
    [output] = wire.read_action_result(theirs.entry(name) or b"")
    assert content_of(theirs, output.digest) == b"theirs\n"
    ours.keep_entry(name, wire.action_result([OutputFile(output.path, keep(ours, b"ours\n"))]))
    assert build(tmp_path / "ours") == "ours\n"
