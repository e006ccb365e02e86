"""Documentation and tests as results that others fetch: what they rest on, and what is never published."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from calling import TOOL_PROJECT, Said, call, environment, linux, small_workspace
from conftest import needs_cargo, write
from doit_cargo.actions.testing import sharing as of_tests
from doit_cargo.sharing import embedded, warm
from doit_cargo.sharing.path_set import NotShared
from doit_cargo.sharing.result import UnsoundError
from doit_cargo.sharing.roots import Roots
from doit_cargo.sharing.wire import Digest

pytestmark = [needs_cargo, linux, pytest.mark.slow]

LIBRARY = """\
/// One.
pub fn one() -> i32 { 1 }
#[test]
fn passes() { assert_eq!(one(), 1) }
"""
READS = """\
#[test]
fn reads() {
    assert!(std::env::vars().count() > 0); // so all variables count
    assert_eq!(std::fs::read_to_string("data.txt").unwrap(), "data\\n")
}
"""
PASSED = "2 tests in 1 package"


class Two:
    """Two checkouts at different paths; `a` has published documentation, a program and tests of `low`."""

    def __init__(self, folder: Path) -> None:
        self.store, self.a, self.b = folder / "store", folder / "a", folder / "further/b"
        for root in (self.a, self.b):
            small_workspace(root)
            write(root / "profiles/pack.toml", f'[share]\nstore = "{self.store}"\n')
            write(root / "app/src/bin/app.rs", 'fn main() { println!("right"); }\n')
            write(root / "low/src/lib.rs", LIBRARY)
            write(root / "low/tests/it.rs", READS)
            write(root / "low/data.txt", "data\n")
            subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, env=environment(), check=True)

    def run(self, root: Path, *words: str, status: int = 0, environ: Mapping[str, str] | None = None) -> Said:
        said = call(root, "doit-cargo", *words, **{"DOIT_CARGO_SHARE_SECRET": "of the team", **(environ or {})})
        assert said.status == status, said.out + said.err
        return said

    def entries(self) -> list[Path]:
        return sorted((self.store / "ac").rglob("*"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    made = Two(tmp_path_factory.mktemp("kinds"))
    said = made.run(made.a, "doc", "build", "SHARE=write")
    assert said.out.count("  shared: ") == 2, said.out
    said = made.run(made.a, "test", "PACKAGE=low", "SHARE=write")
    assert ".. test  shared: that it passes in" in said.out, said.out
    return made


def test_documentation_is_fetched_whole(two: Two) -> None:
    pages = two.b / "target/doc"
    write(pages / "stranger/index.html", "")
    said = two.run(two.b, "doc", "SHARE=read").out
    assert f".. doc  not shared: {pages} holds the pages of stranger too\n" in said
    for name in ("target", ".doit-cargo"):
        shutil.rmtree(two.b / name)
    assert "ok doc" in (said := two.run(two.b, "doc").out)
    assert "fetched, built by" in said
    here, there = (
        {path.relative_to(root): path.read_bytes() for path in (root / "target/doc").rglob("*.*") if path.is_file()}
        for root in (two.a, two.b)
    )
    here = {path: content for path, content in here.items() if path.name != ".lock"}
    assert there == here
    assert two.run(two.b, "doc").out.startswith("-- doc  up to date")
    (pages / "low/index.html").write_text("another")
    assert "fetched, built by" in two.run(two.b, "doc").out


def test_tests_that_have_passed_elsewhere_do_not_run(two: Two) -> None:
    shutil.rmtree(two.b / ".doit-cargo", ignore_errors=True)
    # A store is named by a variable there, and by the pack here: no result rests on that.
    said = two.run(two.b, "test", "PACKAGE=low", environ={"DOIT_CARGO_SHARE": str(two.store)}).out
    assert "ok test" in said
    assert f"fetched, passed on {said.partition('passed on ')[2].partition(' ')[0]}" in said
    assert PASSED in said
    assert not list(two.b.glob("target/debug/deps/*"))
    assert two.run(two.b, "test", "PACKAGE=low").out.startswith(f"-- test  passed before: {PASSED}")
    assert "test is up to date" in two.run(two.b, "why", "test", "PACKAGE=low").out
    write(two.b / "low/data.txt", "other\n")
    assert "low/data.txt: changed" in two.run(two.b, "why", "test", "PACKAGE=low").out
    write(two.b / "low/data.txt", "data\n")
    assert "fetched" not in two.run(two.b, "share", "why", "test").out  # of all packages nobody has told


def test_what_was_fetched_is_told_and_the_store_is_looked_at(two: Two) -> None:
    said = two.run(two.b, "status").out
    assert re.search(r"\.\. status  \d results? of other machines fetched \(.*\); building them took .* there", said), (
        said
    )
    two.run(two.b, "report")
    page = (two.b / ".logs/report.html").read_text()
    assert re.search("By other machines: .*<tr><td class=.name.>(doc|test)</td>", page, re.DOTALL)
    assert re.search(rf"\nok +shared results +answers in \d+ ms +{two.store}\n", two.run(two.b, "doctor").out)


@pytest.mark.parametrize("name", ["low/data.txt", "low/tests/more.rs"])
def test_tests_count_only_with_the_files_that_they_have_passed_with(two: Two, name: str) -> None:
    path = two.b / name
    before = path.read_text() if path.exists() else None
    try:
        write(path, f"{before or ''}\n")
        said = two.run(two.b, "share", "why", "test", "PACKAGE=low").out
        assert "would be fetched" not in said
        assert " differ" in said or "not shared yet" in said
    finally:
        path.unlink() if before is None else write(path, before)
    assert "would be fetched" in two.run(two.b, "share", "why", "test", "PACKAGE=low").out


def test_tests_that_ask_where_their_package_is_fit_only_there(two: Two) -> None:
    asks = '#[test]\nfn asks() { assert!(std::env::var("CARGO_MANIFEST_DIR").unwrap().contains("/a/")) }\n'
    try:
        for root in (two.a, two.b):
            write(root / "app/tests/asks.rs", asks)
        assert " shared: that it passes" in two.run(two.a, "test", "PACKAGE=app", "SHARE=write").out
        said = two.run(two.b, "share", "why", "test", "PACKAGE=app").out
        assert "the path of the checkout (it is within the result)" in said
        assert "would be fetched" not in said
    finally:
        for root in (two.a, two.b):
            shutil.rmtree(root / "app/tests")


def test_shards_together_are_proven_to_be_all_tests(two: Two, tmp_path: Path) -> None:
    """Each shard on a machine of its own at the same path; a closing call has all of it, or names what lacks."""

    machine: dict[str, str] = {}

    def on_another_machine(shard: str, *more: str, status: int = 0) -> str:
        nonlocal machine
        machine = {
            "DOIT_CARGO_STATE": str(tmp_path / str(len(os.listdir(tmp_path)))),
            "DOIT_CARGO_SHARE": str(tmp_path / "store"),
        }
        said = two.run(two.a, "test", "PACKAGE=low", f"SHARD={shard}", *more, status=status, environ=machine)
        return said.out + said.err

    try:
        on_another_machine("1/2", "SHARE=write")
        said = on_another_machine("all/2", status=1)
        assert "2 of 3 test programs passed on other machines" in said
        assert "not passed with what is here: low doc tests (shard 2/2)" in said
        assert "fix: doit-cargo test SHARD=2/2" in said
        on_another_machine("2/2", "SHARE=write")
        said = on_another_machine("all/2")
        assert "3 of 3 test programs passed on other machines" in said
        assert "2 passed, 0 failed" in said
        said = two.run(two.a, "test", "PACKAGE=low", "SHARE=off", environ=machine).out
        assert "2 passed, 0 failed" in said
        assert "runs the tests" not in said  # what was fetched of each program is kept here too
        write(two.a / "low/data.txt", "wrong\n")  # what a program has read counts for what it is fetched by
        said = on_another_machine("all/2", status=1)
        assert "2 of 3 test programs passed on other machines" in said
        assert "not passed with what is here: low tests/it (shard 1/2)" in said
    finally:
        write(two.a / "low/data.txt", "data\n")


@pytest.mark.parametrize("value", ["3/2", "1"])
def test_a_shard_that_is_none_is_told(two: Two, value: str) -> None:
    said = call(two.b, "doit-cargo", "test", f"SHARD={value}")
    assert said.status == 3
    assert "SHARD" in said.err


def test_a_failure_is_never_published(two: Two) -> None:
    before = two.entries()
    write(two.a / "low/data.txt", "wrong\n")
    try:
        said = two.run(two.a, "test", "PACKAGE=low", "SHARE=write", status=1)
        assert "shared: that" not in said.out
        assert two.entries() == before
    finally:
        write(two.a / "low/data.txt", "data\n")


def test_what_a_test_finds_among_built_files_must_come_from_its_compilation() -> None:
    made, below = {"/ws/target/debug/app"}, ("/ws/target/",)
    rows = [
        ["read", "/ws/data", [], []],
        ["read", "/ws/target/debug/app", [], []],
        ["stat", "/ws/target/debug", [], []],
    ]
    assert list(of_tests.not_made(rows, made, below)) == rows[:1]
    for wrong in (["read", "/ws/target/debug/other", [], []], ["list", "/ws/target/debug", [], []]):
        with pytest.raises(NotShared, match="which its compilation does not make"):
            list(of_tests.not_made([wrong], made, below))


def test_a_program_is_bound_to_the_paths_that_it_knows_when_it_runs(tmp_path: Path) -> None:
    roots = Roots({"ws": str(tmp_path)})
    for text, bound in (('"here"', set[str]()), ('env!("PLACE")', {"ws"})):
        write(tmp_path / "main.rs", f'fn main() {{ println!("{{}}", {text}); }}\n')
        subprocess.run(
            ["rustc", "-g", str(tmp_path / "main.rs"), "-o", str(tmp_path / "main")],
            env=environment(PLACE=f"{tmp_path}/x"),
            check=True,
        )
        assert str(tmp_path).encode() in (tmp_path / "main").read_bytes()  # its debug information has it in any case
        assert embedded.in_loaded([str(tmp_path / "main")], roots) == bound


def test_a_program_whose_debug_information_lies_elsewhere_is_not_shared(tmp_path: Path) -> None:
    write(tmp_path / "main.rs", "fn main() {}\n")
    for how, elsewhere in (("off", False), ("packed", True), ("unpacked", True)):
        words = ["rustc", "-g", f"-Csplit-debuginfo={how}", "main.rs", "-o", f"main-{how}"]
        subprocess.run(words, cwd=tmp_path, env=environment(), check=True)
        with pytest.raises(NotShared, match="split-debuginfo") if elsewhere else contextlib.nullcontext():
            embedded.require_debug_information(str(tmp_path / f"main-{how}"))


def test_a_library_is_known_by_what_it_calls_itself(tmp_path: Path) -> None:
    """The linker reads libx.so; the program that it links asks for libx.so.1."""
    write(tmp_path / "x.c", "int x(void) { return 1; }\n")
    words = ["cc", "-shared", "-Wl,-soname,libx.so.1", "-o", "libx.so", "x.c"]
    subprocess.run(words, cwd=tmp_path, check=True)
    write(tmp_path / "libscript.so", "INPUT(-lx)\n")
    paths = [str(tmp_path / name) for name in ("libx.so", "libscript.so")]
    assert embedded.library_names(paths) == {"libx.so", "libx.so.1", "libscript.so"}


def test_after_warm_only_what_is_edited_is_compiled(two: Two) -> None:
    """At the same path, as in a container: libraries hold paths. Times are those of a fresh clone."""
    assert "snapshot of " in two.run(two.a, "warm", "build", "SHARE=write").out
    assert "holds a build already" in two.run(two.a, "warm", "build").out
    shutil.rmtree(two.b / "target", ignore_errors=True)
    assert "nobody has published a snapshot for this call" in two.run(two.b, "warm", "build").out
    built = two.a.rename(two.a.with_name("built"))
    left_out = shutil.ignore_patterns("target", ".doit-cargo", ".logs", ".testlogs")
    shutil.copytree(built, two.a, ignore=left_out, copy_function=shutil.copy)
    try:
        assert "ok build  warm: " in two.run(two.a, "warm", "build").out
        assert "nothing to compile in 2 packages" in two.run(two.a, "build", "SHARE=off").out
        write(two.a / "low/src/lib.rs", LIBRARY.replace("{ 1 }", "{ 2 - 1 }"))
        assert "compiled 2 of 2 packages" in two.run(two.a, "build", "SHARE=off").out
        for name in ("target", ".doit-cargo"):
            shutil.rmtree(two.a / name)
        os.utime(two.a / "low/src/lib.rs", (1, 1))  # another content, and older than what was built
        two.run(two.a, "warm", "build")
        assert "compiled 2 of 2 packages" in two.run(two.a, "build", "SHARE=off").out
    finally:
        shutil.rmtree(two.a)
        built.rename(two.a)


@pytest.mark.parametrize("path", ["../deps/x", "release/deps/../../x", "release/x", "/release/deps/x", "deps/x"])
def test_a_snapshot_writes_nowhere_but_where_cargo_keeps_its_units(path: str) -> None:
    row = warm.SnapshotRow(path, Digest.of(b""), False, 0)
    with pytest.raises(UnsoundError, match="would write elsewhere"):
        warm.unpack(warm.pack([row], {}))


@pytest.mark.parametrize(
    "change",
    [
        {"mtime": 1 << 80},
        {"mtime": -1},
        {"blob": Digest("0" * 63, 1)},
        {"blob": Digest("0" * 64, -1)},
        {"path": "a/deps/\ud800"},
    ],
)
def test_a_snapshot_that_cannot_be_put_anywhere_is_none(change: dict[str, Any]) -> None:
    row = warm.SnapshotRow("release/deps/x", Digest.of(b""), False, 0)._replace(**change)
    with pytest.raises(UnsoundError):
        warm.unpack(warm.pack([row], {}))


# --- what is told ----------------------------------------------------------------------------------------------------

TAKES_ALL = """\
fn main() {
    std::process::Command::new("sh").args(["-c", "true"]).status().unwrap();
}
"""


def test_what_is_not_shared_is_told_with_what_helps(tmp_path: Path) -> None:
    root, store = small_workspace(tmp_path / "ws"), tmp_path / "store"
    write(root / "low/build.rs", TAKES_ALL)

    def say(*words: str, status: int = 0, secret: str = "one", **variables: str) -> str:
        given = {"DOIT_CARGO_SHARE": str(store), "DOIT_CARGO_SHARE_SECRET": secret, "SOME_TOKEN": "t", "A_KEY": "k"}
        said = call(root, "doit-cargo", *words, **{**given, **variables})
        assert said.status == status, said.out + said.err
        return said.out

    assert say("share", "check") == f"{store}: is not there; who publishes first makes it\n"
    said = say("share", "check", status=1, DOIT_CARGO_SHARE="/proc/none", secret="")
    assert said.startswith("/proc/none: is not there, and cannot be made: No such file or directory (")
    assert "\nDOIT_CARGO_SHARE_SECRET is not set: what rests on a variable whose value may be secret is not" in said
    said = say("check", "SHARE=write", secret="")
    assert "may be a secret: give all machines one DOIT_CARGO_SHARE_SECRET, or name it in [share] ignore" in said
    assert not store.exists()
    assert say("check", "SHARE=write").endswith("; SHARE=write publishes what runs: FORCE=1 runs it\n")
    assert " shared: that it passes" in say("check", "SHARE=write", "FORCE=1")
    write(root / "low/src/lib.rs", "pub fn edited() {}\n")
    known = f"check:\n  {store}: known build 1: low/src/lib.rs"
    assert say("share", "why", "check") == f"{known} differs from the known build\n"
    said = say("share", "why", "check", secret="two")
    assert said == f"{known}, another DOIT_CARGO_SHARE_SECRET differ from the known build\n"
    said = say("share", "why", "check", A_KEY="other")
    assert said == f"{known}, variable A_KEY differ from the known build\n"
    yet = f"check:\n  {store}: not shared yet:"
    said = say("share", "why", "check", RUSTFLAGS="-g")
    assert said == f"{yet} variable RUSTFLAGS differs from the known build\n"
    said = say("share", "why", "check", "NO_DEFAULT_FEATURES=1")
    assert said.startswith(yet)
    assert "--no-default-features" in said
    assert said.endswith(" differ from the known build\n")
    write(root / "Cargo.toml", (root / "Cargo.toml").read_text() + "\n")
    assert say("share", "why", "check") == f"{yet} Cargo.toml differs from the known build\n"


# --- wheels ----------------------------------------------------------------------------------------------------------

WHEEL = {
    "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["py"]\n',
    "note.txt": "one",
    "LICENSE": "words",
    "py/Cargo.toml": '[package]\nname = "tool"\nversion = "0.1.0"\nedition = "2021"\nlicense-file = "../LICENSE"\n',
    "py/pyproject.toml": TOOL_PROJECT
    + """\
[tool.maturin]
bindings = "bin"
python-source = "python"
""",
    "py/python/tool/__init__.py": 'WORD = "right"\n',
    "py/build.rs": """\
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=SAID={}", std::fs::read_to_string("unsaid.txt").unwrap().trim());
}
""",
    "py/unsaid.txt": "unsaid\n",
    "py/src/main.rs": 'fn main() { println!("{} {}", include_str!("../../note.txt"), env!("SAID")) }\n',
    "profiles/own.toml": 'extends = "release"\n',
}
WHEEL_BUILD = ("build_python", "PROFILE=own")
# What is in a wheel or shapes it -> another text of it.
WHEEL_FILES = {
    "py/src/main.rs": 'fn main() { println!("other") }\n',
    "py/pyproject.toml": WHEEL["py/pyproject.toml"] + "strip = true\n",
    "py/python/tool/__init__.py": 'WORD = "other"\n',
    "py/unsaid.txt": "other\n",
    "note.txt": "other",
    "LICENSE": "other",
    "profiles/own.toml": 'extends = "release"\n[cargo.config.profile.release]\nopt-level = 1\n',
}


class Wheels:
    """Two checkouts with a Python crate, each with an active environment of its own; `a` has published its wheel."""

    def __init__(self, folder: Path, maturin: str) -> None:
        self.a, self.b = folder / "a", folder / "further/b"
        for root in (self.a, self.b):
            for name, text in {**WHEEL, "profiles/pack.toml": f'[share]\nstore = "{folder}/store"\n'}.items():
                write(root / name, text)
            subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, env=environment(), check=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
            (root / ".venv/bin/maturin").symlink_to(maturin)

    def run(self, root: Path, *words: str, **variables: str) -> str:
        path = os.pathsep.join([f"{root}/.venv/bin", environment()["PATH"]])
        said = call(root, "doit-cargo", *words, **{"VIRTUAL_ENV": f"{root}/.venv", "PATH": path, **variables})
        assert said.status == 0, said.out + said.err
        return said.out

    def is_hit(self, *words: str, **variables: str) -> bool:
        said = self.run(self.b, "share", "why", *(words or WHEEL_BUILD), **variables)
        assert ("would be fetched" in said) != (" differ" in said or "nobody has built" in said), said
        return "would be fetched" in said

    def content(self, root: Path) -> bytes:
        [wheel] = (root / "target/wheels").glob("tool-0.1.0-*.whl")
        return wheel.read_bytes()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    maturin = shutil.which("maturin", path=environment()["PATH"])
    if maturin is None:
        pytest.skip("maturin is not here: the extra python brings it")
    made = Wheels(tmp_path_factory.mktemp("wheels"), maturin)
    said = made.run(made.a, *WHEEL_BUILD, "SHARE=write")
    assert ".. build_python  shared: 1 file" in said, said
    return made


def test_a_wheel_is_fetched_at_another_path_installed_and_imported(wheels: Wheels) -> None:
    b = wheels.b
    said = wheels.run(b, *WHEEL_BUILD)
    assert re.search(r"ok build_python  [\d.]+ s: fetched, built by .*; 1 file [\d.]+ MB", said), said
    assert wheels.content(b) == wheels.content(wheels.a)
    assert not list(b.glob("target/release"))
    assert wheels.run(b, *WHEEL_BUILD).startswith("-- build_python  up to date: 1 package, ")
    assert "1 result of other machines fetched" in wheels.run(b, "status")
    assert "ok install_python" in wheels.run(b, "install_python", "PROFILE=own")
    asked = [f"{b}/.venv/bin/python", "-c", "import tool; print(tool.WORD)"], [f"{b}/.venv/bin/tool"]
    answers = [subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in asked]
    assert answers == ["right\n", "one unsaid\n"]
    write(b / "note.txt", "two")  # what only the compiler knows counts for what was fetched too
    assert ".. build_python  file note.txt: changed" in wheels.run(b, *WHEEL_BUILD)
    assert subprocess.run([b / "target/release/tool"], capture_output=True, check=True).stdout == b"two unsaid\n"
    write(b / "note.txt", "one")
    assert "fetched, built by" in wheels.run(b, *WHEEL_BUILD)
    assert wheels.content(b) == wheels.content(wheels.a)


def test_no_wheel_fits_where_something_differs_that_shapes_it(wheels: Wheels) -> None:
    for name, other in WHEEL_FILES.items():
        path = wheels.b / name
        write(path, other)
        assert not wheels.is_hit(), name
        write(path, WHEEL[name])
    assert wheels.is_hit()
    assert not wheels.is_hit(RUSTFLAGS="-C opt-level=1")
    assert not wheels.is_hit(PYO3_CROSS_PYTHON_VERSION="3.9")
    assert not wheels.is_hit("build_python", "PROFILE=release")


def test_no_wheel_fits_another_maturin_or_python_at_the_same_place(wheels: Wheels) -> None:
    maturin, environment_of_b = wheels.b / ".venv/bin/maturin", wheels.b / ".venv"
    program = maturin.read_bytes()
    maturin.unlink()
    maturin.write_bytes(program + b"\0")
    maturin.chmod(0o755)
    assert not wheels.is_hit()
    maturin.write_bytes(program)
    assert wheels.is_hit()
    python = another_python()
    if python is None:
        pytest.skip("there is no other Python here")
    environment_of_b.rename(wheels.b / "kept")
    subprocess.run([python, "-m", "venv", "--without-pip", environment_of_b], check=True)
    shutil.copy(wheels.b / "kept/bin/maturin", maturin)
    try:
        assert not wheels.is_hit()
    finally:
        shutil.rmtree(environment_of_b)
        (wheels.b / "kept").rename(environment_of_b)


def another_python() -> str | None:
    """Return a Python of another version, None where there is none."""
    beside = Path(sys.base_prefix).parent.glob("*/bin/python3")  # where pyenv and uv install
    others = [shutil.which(f"python3.{minor}") for minor in range(9, 15)] + [str(path) for path in beside]
    asked = f"import sys, venv; sys.exit(sys.version_info[:2] == {sys.version_info[:2]})"
    works = (one for one in others if one and subprocess.run([one, "-c", asked], check=False).returncode == 0)
    return next(works, None)


def test_a_wheel_of_which_not_all_was_seen_is_not_published(wheels: Wheels, tmp_path: Path) -> None:
    """Units that maturin's cargo finds already compiled, while nobody looked."""
    store = str(tmp_path / "store")
    write(wheels.a / "py/src/main.rs", WHEEL["py/src/main.rs"] + "// edited\n")
    try:
        subprocess.run(["cargo", "build", "--release", "--offline"], cwd=wheels.a, env=environment(), check=True)
        said = wheels.run(wheels.a, *WHEEL_BUILD, "SHARE=write", DOIT_CARGO_SHARE=store)
        assert "not shared: tool was compiled while nobody observed it, so that nobody knows all that it" in said, said
        assert not list(Path(store).rglob("ac/*/*"))
    finally:
        write(wheels.a / "py/src/main.rs", WHEEL["py/src/main.rs"])
