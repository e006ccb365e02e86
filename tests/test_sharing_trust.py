"""A store that lies or was poisoned: the build goes on as if there were none, and nothing wrong is taken."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import call, linux
from conftest import needs_cargo, write
from doit_cargo.sharing import action, index, path_set, result, signing, wire
from doit_cargo.sharing.roots import umask
from doit_cargo.sharing.wire import Digest, OutputFile
from shop import Shop, borrowed, opened

pytestmark = [needs_cargo, linux, pytest.mark.slow]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store that holds one result; tests work on copies of it."""
    return opened(tmp_path_factory.mktemp("trust"))


@pytest.fixture
def shop(filled: Shop) -> Iterator[Shop]:
    with borrowed(filled) as lent:
        yield lent


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


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("seconds", float("inf")),
        ("seconds", 10**400),
        ("finished", float("nan")),
        ("finished", -1),
        ("machine", "\ud800"),
        ("warnings", ["\ud800"]),
    ],
)
def test_what_cannot_be_told_is_no_result(shop: Shop, word: str, value: object) -> None:
    def change(data: dict[str, object]) -> None:
        told = data["told"]
        assert isinstance(told, dict)
        told[word] = value

    shop.forge(change)
    assert "not fetched: is none that can be read\n" in shop.refused()
    assert "is none that can be read: built here" in shop.take().out


def test_a_name_of_a_machine_writes_no_line_of_its_own(shop: Shop) -> None:
    def change(data: dict[str, object]) -> None:
        told = data["told"]
        assert isinstance(told, dict)
        told.update(machine="me\nok build  all is well\x1b[2J", warnings=["\x1b[2Jwarned\n"])

    shop.forge(change)
    said = shop.take()
    assert "\x1b" not in said.out + said.err
    assert [line[:2] for line in said.out.splitlines()] == ["..", "ok"]


def more_files(shop: Shop, *paths: str) -> None:
    blob = shop.keep(b"more")

    def change(data: dict[str, object]) -> None:
        files = data["files"]
        assert isinstance(files, list)
        files += [[path, *blob, True] for path in paths]

    shop.forge(change)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("${target}/release/a\nb", "fetched"),
        ("${target}/release/APP", "fetched"),
        ("${target}/release/ä", "fetched"),
        ("${target}/release/" + "x" * 300, "File name too long"),
        ("${target}/" + "x/" * 3000 + "y", "would write ${target}/x/x/"),
        ("${target}/release/app/below", "names a file in a file"),
        ("${target}/release/app", "names a file twice"),
        ("${target}/release/\ud800", "is none that can be read"),
        ("${target}/a\0b", "would write"),
    ],
)
def test_a_file_of_any_name_stays_in_the_target_directory(shop: Shop, path: str, says: str) -> None:
    def there() -> set[Path]:
        ours = ("target", ".doit-cargo", ".logs")
        return {
            *shop.b.parent.iterdir(),
            *(one for one in shop.b.rglob("*") if one.relative_to(shop.b).parts[0] not in ours),
        }

    before = there()
    more_files(shop, path)
    assert says in shop.take().out
    assert there() == before


def test_what_lies_in_the_place_of_a_file_is_replaced_and_never_written_to(shop: Shop, tmp_path: Path) -> None:
    precious = write(tmp_path / "precious", "precious")
    place = shop.b / "target/release/app"
    place.parent.mkdir(parents=True)
    try:
        os.link(precious, place)
    except OSError:
        shutil.copy(precious, place)  # another file system
    _, files = shop.the_result()
    (shop.store / "cas" / files[0].digest.hash[:2] / files[0].digest.hash).chmod(0o6777)
    assert "fetched, built by" in shop.take().out
    assert precious.read_text() == "precious"
    assert (place.stat().st_mode & 0o7777, place.stat().st_nlink) == (0o777 & ~umask(), 1)
    place.unlink()
    os.mkfifo(place)
    shutil.rmtree(shop.b / ".doit-cargo")
    assert "not fetched: would write through a link, to ${target}/release/app" in shop.refused()


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


EMPTY: dict[str, object] = {kind: [] for kind in ("file", "listing", "seen", "absent", "env", "which")}


def known_build(shop: Shop) -> tuple[Path, list[OutputFile]]:
    """Return the entry of the call that was published, and what it holds."""
    [found] = [(path, files) for path, files in shop.entries().items() if files[-1].path == index.MANIFEST]
    return found


def ask_for(shop: Shop, paths: dict[str, object], bound: tuple[str, ...] = ()) -> None:
    """Have the store say that a known build rests on something else."""
    path, files = known_build(shop)
    content = index.pack(index.Known(paths, bound, files[1].digest), action.make([], {}, {}), "")
    path.write_bytes(wire.action_result([OutputFile(index.SET, Digest.of(content), content=content), files[1]]))


def test_a_path_set_without_sources_makes_nothing_fit(shop: Shop) -> None:
    """Whoever may write could ask for less; a result says what it was made from, and nothing was made from less."""
    ask_for(shop, EMPTY)
    assert " differ" in shop.refused()


@pytest.mark.parametrize(
    "change",
    [
        {"file": ["${nowhere}/x"]},
        {"file": ["/dev/zero", "/proc/self/mem", "${ws}/a\nb", "${ws}/" + "x" * 5000, "${ws}/\ud800"]},
        {"listing": [["${ws}", ["matching"]], ["${ws}", ["matching", "", "[z-a]"]]]},
        {"listing": [["${ws}", ["nobody knows this one"]]]},
        {"seen": [["read", "/dev/zero", []], ["list", "/dev/full", []], ["tree", "${ws}/\ud800", []]]},
        {"env": ["A=B", "\ud800", ""], "which": ["/", "\ud800"]},
        {"env": 1},
        {"listing": [["${ws}", [["x"]]]]},
    ],
)
def test_a_hostile_path_set_makes_nothing_fit(shop: Shop, change: dict[str, object]) -> None:
    ask_for(shop, {**EMPTY, **change})
    shop.refused()
    assert "built here" not in shop.take().out  # one entry that is none costs no line of its own, and no store


def test_a_path_set_has_an_end() -> None:
    assert path_set.is_sound({**EMPTY, "file": ["x"]})
    assert not path_set.is_sound({**EMPTY, "file": ["x"] * path_set.MOST})


@pytest.mark.parametrize("content", [b"", b"garbage", b"[1]", b"[" * 100_000, b"{}", b'{"file x": ["y"]}', b"\xff"])
def test_a_manifest_that_is_none_explains_nothing(shop: Shop, content: bytes) -> None:
    write(shop.b / "low/src/lib.rs", "pub fn edited() {}\n")
    path, files = known_build(shop)
    path.write_bytes(wire.action_result([files[0], OutputFile(index.MANIFEST, shop.keep(content))]))
    try:
        assert "known build 1: " in shop.refused()
        assert ".. build  not shared: " in shop.take().out
    finally:
        write(shop.b / "low/src/lib.rs", "")


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
        ask_for(shop, {**EMPTY, "file": ["/etc/shadow"]})  # nobody but who signs has a say in what is looked at
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
