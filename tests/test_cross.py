"""Builds for other platforms: which triples, through what, what is told of those that cannot be built, which flags."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from calling import Said, bare_python, environment, linux, small_workspace
from calling import forked_call as call
from conftest import FakeMachine, needs_cargo, read_workspace, write
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.plan import plan as planning
from doit_cargo.engine.plan.cross_cpu import portable
from doit_cargo.engine.plan.profiles import Library
from doit_cargo.engine.toolchain import triples
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.targets import catalogue

needs_zig = pytest.mark.skipif(
    shutil.which("cargo-zigbuild", path=environment()["PATH"]) is None,
    reason="cargo-zigbuild is not here: the extra cross brings it",
)
pytestmark = needs_cargo
# No computer of ours has the standard library of this one.
ABSENT = "aarch64-unknown-linux-musl"


def host() -> str:
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return str(re.findall(r"^host: (\S+)", told, re.MULTILINE)[0])


def old_glibc() -> str:
    return f"{host()}.2.17"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = small_workspace(tmp_path_factory.mktemp("cross"))
    write(root / "app/src/bin/app.rs", 'fn main() { println!("{}", cfg!(target_feature = "sse4.2")) }\n')
    write(root / ".cargo/config.toml", '[build]\nrustflags = ["-C", "target-cpu=native"]\n')
    write(root / "profiles/pack.toml", f'platform-triples = ["{ABSENT}"]\n')
    return root


def table(said: Said) -> dict[str, tuple[str, str]]:
    """Return triple -> (result, what) of the table at the end."""
    lines = said.out.partition("\ntriple ")[2].splitlines()[1:]
    cells = [re.split(r" {2,}", line) for line in lines if not line.startswith(("ok", "!!"))]
    return {row[0].removesuffix(" (this computer)"): (row[-2], row[-1]) for row in cells}


# --- building --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_not_installed_is_told_and_the_rest_is_built(workspace: Path) -> None:
    said = call(workspace, "doit-cargo", "build_all_platforms")
    assert said.status == 0, said.err
    assert table(said) == {
        host(): (table(said)[host()][0], "target/release/app 0.4 MB"),
        ABSENT: ("skipped", f"its standard library is not installed: rustup target add {ABSENT}"),
    }
    assert said.out.endswith(f"ok build_all_platforms  1 of 2 platforms done; skipped: {ABSENT}\n")
    again = call(workspace, "doit-cargo", "build_all_platforms")
    assert table(again)[host()][0] == "up to date"


@pytest.mark.slow
def test_what_was_asked_for_by_name_must_be_built(workspace: Path) -> None:
    said = call(workspace, "doit-cargo", "build_all_platforms", f"TARGETS={ABSENT},{host()}")
    assert said.status == 1
    assert said.err.endswith(f"!! build_all_platforms  1 of 2 platforms done; skipped: {ABSENT}\n")


@pytest.mark.slow
@linux
@needs_zig
def test_an_old_glibc_is_built_for_through_zig_and_without_this_computers_cpu(workspace: Path) -> None:
    asked = ("doit-cargo", "build_all_platforms", f"TARGETS={old_glibc()}")
    said = call(workspace, *asked)
    assert said.status == 0, said.err
    folder = workspace / "target" / host() / "release"
    assert "target-cpu=native of .cargo/config.toml is for this computer: left out of this cross build" in said.out
    assert newest_glibc(folder / "app") <= (2, 17)
    assert subprocess.run([folder / "app"], capture_output=True, text=True, check=True).stdout == "false\n"
    call(workspace, *asked)  # its first call of all writes the linker's wrapper while it is watched
    assert table(call(workspace, *asked))[old_glibc()][0] == "up to date"
    write(workspace / "low/src/lib.rs", "pub fn edited() {}\n")
    assert table(call(workspace, *asked))[old_glibc()][0].startswith("done in ")


def newest_glibc(program: Path) -> tuple[int, ...]:
    names = re.findall(rb"GLIBC_(\d+(?:\.\d+)+)", program.read_bytes())
    return max(tuple(map(int, name.split(b"."))) for name in names)


@pytest.mark.slow
@linux
def test_a_missing_builder_is_told_with_its_install_line(workspace: Path, tmp_path: Path) -> None:
    python = bare_python(tmp_path / "bare")
    folders = environment()["PATH"].split(os.pathsep)
    path = os.pathsep.join(name for name in folders if not os.path.exists(os.path.join(name, "cargo-zigbuild")))
    asked = (str(python), "-m", "doit_cargo.cli.main", "build_all_platforms", f"TARGETS={host()},{old_glibc()}")
    said = call(workspace, *asked, PATH=path)
    assert said.status == 1
    assert table(said)[old_glibc()] == ("skipped", 'needs cargo-zigbuild: pip install "doit-cargo[cross]"')


@pytest.mark.slow
def test_the_matrix_checks_the_whole_workspace_for_each_triple(workspace: Path) -> None:
    said = call(workspace, "doit-cargo", "cross_matrix")
    assert said.status == 0, said.err
    assert [row[0] for row in table(said).values()][1:] == ["skipped"]
    write(workspace / "low/src/lib.rs", "compile_error!();\n")
    broken = call(workspace, "doit-cargo", "cross_matrix")
    write(workspace / "low/src/lib.rs", "")
    log = f".logs/cross-matrix-{host()}.log"
    assert (broken.status, table(broken)[host()]) == (1, ("failed", f"cargo ended with status 101; log: {log}"))


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["TARGETS=x86_64-unknown-linx-gnu"], "TARGETS: unknown target triple 'x86_64-unknown-linx-gnu'"),
        (["TARGETS=linux"], "TARGETS=linux is not a target triple"),
        (["FEATURES=fats"], "(app, low) has the feature 'fats', asked for by FEATURES"),
        (["TARGET=x86_64-unknown-linux-gnu"], "build_all_platforms takes no TARGET"),
    ],
)
def test_bad_input_is_told_before_anything_starts(workspace: Path, words: list[str], message: str) -> None:
    said = call(workspace, "doit-cargo", "build_all_platforms", *words)
    assert (said.status, message in said.err, said.out) == (3, True, "")


def test_a_triple_of_the_pack_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    small_workspace(tmp_path)
    write(tmp_path / "profiles/pack.toml", '# ours\nplatform-triples = ["windows"]\n')
    said = call(tmp_path, "doit-cargo", "build_all_platforms")
    assert said.status == 3
    assert "profiles/pack.toml:2: platform-triples holds 'windows', which is no target triple" in said.err


# --- through what ----------------------------------------------------------------------------------------------------

LINUX, MAC, MSVC = "x86_64-unknown-linux-gnu", "x86_64-apple-darwin", "x86_64-pc-windows-msvc"
ARM, MINGW = "aarch64-unknown-linux-gnu", "x86_64-pc-windows-gnu"


@pytest.mark.parametrize(
    ("platform", "home", "triple", "programs", "expected"),
    [
        ("linux", LINUX, LINUX, (), ("cargo", "")),
        ("linux", LINUX, f"{LINUX}.2.17", (), ("cargo-zigbuild", "")),
        ("linux", LINUX, "i686-unknown-linux-gnu", (), ("cargo", "")),
        ("linux", LINUX, ARM, (), ("cargo-zigbuild", "")),
        ("linux", LINUX, ARM, ("aarch64-linux-gnu-gcc",), ("cargo", "/bin/aarch64-linux-gnu-gcc")),
        ("linux", LINUX, ARM, ("aarch64-linux-gnu-gcc", "cargo-zigbuild"), ("cargo-zigbuild", "")),
        ("linux", LINUX, MSVC, (), ("cargo-xwin", "")),
        ("linux", LINUX, MINGW, (), ("cargo-zigbuild", "")),
        ("linux", LINUX, MINGW, ("x86_64-w64-mingw32-gcc",), ("cargo", "")),
        ("linux", LINUX, "aarch64-apple-darwin", (), ("cargo-zigbuild", "")),
        ("linux", LINUX, "wasm32-unknown-unknown", (), ("cargo", "")),
        ("macos", MAC, "aarch64-apple-darwin", (), ("cargo", "")),
        ("windows", MSVC, "aarch64-pc-windows-msvc", (), ("cargo", "")),
        ("windows", MSVC, ARM, (), ("cargo-zigbuild", "")),
    ],
)
def test_the_way_to_a_triple(
    tmp_path: Path, platform: str, home: str, triple: str, programs: tuple[str, ...], expected: tuple[str, str]
) -> None:
    machine = BareMachine(
        {"CARGO_HOME": str(tmp_path)},
        platform,
        directory=str(tmp_path),
        which=lambda name: f"/bin/{name}" if name in programs else "",
        read_version=lambda _: "1.0",
        manager="",
    )
    way = triples.way_to_build(machine, triple, home)
    assert (way.through, way.linker) == expected


def test_a_configured_linker_is_the_way_to_a_triple(tmp_path: Path) -> None:
    write(tmp_path / ".cargo/config.toml", f'[target.{ARM}]\nlinker = "my-gcc"\n')
    environ = {"CARGO_HOME": str(tmp_path / "home")}
    machine = BareMachine(environ, "linux", directory=str(tmp_path), which=lambda _: "", manager="")
    assert triples.way_to_build(machine, ARM, LINUX).through == "cargo"


def test_a_standard_library_is_found_in_the_toolchain_in_use(tmp_path: Path) -> None:
    rustc = write(tmp_path / "bin/rustc", "")
    write(tmp_path / f"lib/rustlib/{ARM}/lib/libcore-1.rlib", "")
    write(tmp_path / "lib/rustlib/src/lib/README", "")
    machine = BareMachine(
        {}, "linux", directory=str(tmp_path), which=lambda name: str(rustc) if name == "rustc" else "", manager="",
        read_version=lambda _: "rustc 1.95.0",
    )  # fmt: skip
    assert [triples.has_std(machine, name) for name in (ARM, f"{ARM}.2.17", LINUX, "src")] == [True, True, False, False]


# --- the CPU ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "environ", "triple", "expected"),
    [
        ("", {}, ARM, ([], {})),
        ('build.rustflags = ["-C", "target-cpu=v3"]', {}, ARM, ([], {})),
        (
            'build.rustflags = ["-Ctarget-cpu=native"]',
            {},
            ARM,
            ([("build.rustflags", ["-C", "target-cpu=generic"])], {}),
        ),
        (
            'build.rustflags = "--cfg x -C target-cpu=native"',
            {},
            LINUX,
            ([("build.rustflags", "--cfg x -C target-cpu=x86-64")], {}),
        ),
        (
            f'target.{ARM}.rustflags = ["-C", "target-cpu=native"]',
            {},
            f"{ARM}.2.28",
            ([(f"target.'{ARM}'.rustflags", ["-C", "target-cpu=generic"])], {}),
        ),
        (f'target.{LINUX}.rustflags = ["-C", "target-cpu=native"]', {}, ARM, ([], {})),
        (
            'target.\'cfg(unix)\'.rustflags = ["-C", "target-cpu=native"]',
            {},
            "aarch64-apple-darwin",
            ([("target.'cfg(unix)'.rustflags", ["-C", "target-cpu=apple-m1"])], {}),
        ),
        (
            "",
            {"RUSTFLAGS": "-g -C target-cpu=native"},
            "i686-unknown-linux-gnu",
            ([], {"RUSTFLAGS": "-g -C target-cpu=pentium4"}),
        ),
        (
            "",
            {"CARGO_ENCODED_RUSTFLAGS": "-C\x1ftarget-cpu=native\x1f-g"},
            ARM,
            ([], {"CARGO_ENCODED_RUSTFLAGS": "-C\x1ftarget-cpu=generic\x1f-g"}),
        ),
    ],
)
def test_native_is_taken_out_where_it_stands(
    tmp_path: Path,
    config: str,
    environ: Mapping[str, str],
    triple: str,
    expected: tuple[list[tuple[str, object]], dict[str, str]],
) -> None:
    write(tmp_path / ".cargo/config.toml", config)
    found = portable(str(tmp_path), {"CARGO_HOME": str(tmp_path / "home"), **environ}, triple)
    assert (found.config, found.env) == expected


def test_every_plan_for_another_triple_leaves_native_out_and_says_so(tmp_path: Path) -> None:
    root = small_workspace(tmp_path)
    write(root / ".cargo/config.toml", 'build.rustflags = ["-C", "target-cpu=native"]\n')
    facts = read_workspace(root)
    target = next(row for row in catalogue.rows() if row.name == "build")
    machine = FakeMachine(environ={"CARGO_HOME": str(tmp_path / "home"), "PATH": "/bin"})

    def argv(**values: str) -> tuple[str, ...]:
        return planning.make(target, Values(values), facts, Library.load(facts), machine).invocation.argv

    assert [word for word in argv(TARGET=ARM) if "cpu" in word] == ['build.rustflags=["-C", "target-cpu=generic"]']
    assert [word for word in argv() if "cpu" in word] == []
