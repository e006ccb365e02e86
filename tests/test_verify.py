"""verify_profile and verify_strip: what rustc was given, and what a program still holds."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from calling import Said, call, environment, small_workspace
from conftest import make_workspace, needs_cargo, write
from doit_cargo.actions.cargo_settings.binaries import Contents, look
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.preflight.config.rustc_probe import rehearse

PROFILE = "[profile.release]\nlto = 'off'\ncodegen-units = 2\nstrip = true\npanic = 'abort'\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a release profile and build scripts that must not run, its `build` made once."""
    root = small_workspace(tmp_path_factory.mktemp("verify") / "ws", f'metadata.doit-cargo.pack = "base"\n{PROFILE}')
    write(root / "app/build.rs", 'fn main() { std::fs::write("ran", "").unwrap(); }\n')
    return root


def tool(root: Path, *words: str, **variables: str) -> Said:
    return call(root, "doit-cargo", *words, CARGO_HOME=str(root.parent / "no-home"), **variables)


# --- verify_profile --------------------------------------------------------------------------------------------------


@needs_cargo
def test_verify_profile_shows_what_rustc_is_given_and_compiles_nothing(root: Path) -> None:
    said = tool(root, "verify_profile")
    assert (said.status, said.out) == (
        0,
        ".. verify_profile  no successful run is on record\n"
        ".. verify_profile  cargo build --release: 4 calls of rustc, nothing compiled\n"
        "release, as rustc is given it for app (app):\n"
        "  opt-level         3                 cargo's default\n"
        "  debug             0                 cargo's default\n"
        "  split-debuginfo   rustc's default   cargo's default\n"
        "  debug-assertions  false             cargo's default\n"
        "  overflow-checks   false             cargo's default\n"
        "  incremental       false             cargo's default\n"
        "  codegen-units     2                 Cargo.toml:7\n"
        "  rpath             false             cargo's default\n"
        "  panic             abort             Cargo.toml:9\n"
        "  strip             symbols           Cargo.toml:8\n"
        "  lto               off               Cargo.toml:6\n"
        "ok verify_profile  3 calls for members, cargo profile release: rustc is given what check_profiles says\n",
    )
    assert not (root / "target").exists()
    assert not (root / "app/ran").exists()


@needs_cargo
def test_verify_profile_fails_where_another_flag_has_the_last_word(root: Path) -> None:
    said = tool(root, "verify_profile", RUSTFLAGS="-Cpanic=unwind -C opt-level=1")
    assert said.status == 1
    assert [line for line in said.out.splitlines() if line.startswith(("error", "  fix"))] == [
        "error: low, app, app: rustc is given opt-level = 1, not 3 (cargo's default)",
        "  fix: see RUSTFLAGS",
        "error: low, app, app: rustc is given panic = unwind, not abort (Cargo.toml:9)",
        "  fix: see RUSTFLAGS",
    ]
    assert said.err.endswith(
        "3 calls for members, cargo profile release: 2 of the keys differ from what check_profiles says\n"
    )


@needs_cargo
def test_verify_profile_takes_the_variables_of_a_build(root: Path) -> None:
    said = tool(root, "verify_profile", "PROFILE=lto_thin", "PACKAGE=low")
    assert (said.status, "release, as rustc is given it for low (low):" in said.out) == (0, True)
    assert "lto_thin" not in said.err
    wrong = tool(root, "verify_profile", "PROFILE=lto_thn")
    assert (wrong.status, "did you mean 'lto_thin'?" in wrong.err) == (1, True)


@needs_cargo
def test_what_cargo_refuses_is_told_in_its_words(root: Path) -> None:
    said = tool(root, "verify_profile", CARGO_PROFILE_RELEASE_PANIC="never")
    assert (said.status, "`cargo build --release` does not get as far as rustc; cargo says:" in said.err) == (2, True)
    assert "never" in said.err


@needs_cargo
def test_a_rehearsal_reaches_every_crate_through_proc_macros_and_tests(tmp_path: Path) -> None:
    root = make_workspace(
        tmp_path / "w s", {"app": {"dependencies": {"mac": "", "c": ""}, "bins": {"one": [], "two": []}}}
    )
    write(root / "Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["app", "mac", "c"]\n')
    for name, kind in (("mac", "proc-macro = true"), ("c", 'crate-type = ["cdylib", "staticlib", "lib"]')):
        write(root / name / "src/lib.rs", "")
        write(
            root / name / "Cargo.toml",
            f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n[lib]\n{kind}\n',
        )
    write(root / "c/build.rs", "fn main() { panic!() }")
    found = rehearse(("cargo", "test", "--no-run", "--workspace", "--offline"), str(root), environment())
    assert sorted((one.crate, one.is_test) for one in found) == [
        ("app", False),
        ("app", True),
        ("build_script_build", False),
        ("c", False),
        ("c", True),
        ("mac", False),
        ("mac", True),
        ("one", True),
        ("two", True),
    ]


# --- verify_strip ----------------------------------------------------------------------------------------------------


@needs_cargo
@pytest.mark.slow
def test_verify_strip_builds_and_reads_the_symbol_table(root: Path) -> None:
    said = tool(root, "verify_strip")
    assert (said.status, said.out.splitlines()[-1]) == (
        0,
        "ok verify_strip  target/release/app: ELF, 0 symbols, no debug info, as strip = symbols (Cargo.toml:8) says",
    )
    dev = tool(root, "verify_strip", "PROFILE=dev")
    assert (dev.status, ", with debug info, as strip = none (cargo's default) says" in dev.out) == (0, True)
    # cargo-bloat leaves such a program behind: linked again, with its symbols, under the same name.
    shutil.copy(root / "target/debug/app", root / "target/release/app")
    assert tool(root, "verify_strip").status == 0  # `build` notices another's program, and makes its own again


@needs_cargo
@pytest.mark.slow
def test_verify_strip_fails_on_a_program_that_holds_more_than_it_should(root: Path) -> None:
    variables = {"CARGO_PROFILE_RELEASE_STRIP": "false", "RUSTFLAGS": "-C strip=none -C debuginfo=1"}
    kept = tool(root, "verify_strip", **variables)
    assert (kept.status, "ok verify_strip  target/release/app: ELF, " in kept.out) == (0, True)
    said = tool(root, "verify_strip", RUSTFLAGS="-C strip=none")
    assert (said.status, said.err.splitlines()[-1].partition(" symbols, ")[2]) == (
        1,
        "with debug info, but strip = symbols (Cargo.toml:8); doit-cargo build FORCE=1 makes it again",
    )


def test_without_lief_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "lief.py", "raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "lief", raising=False)
    with pytest.raises(
        UserError, match=r"which is not installed\n  fix: python -m pip install 'doit-cargo\[binaries\]'"
    ):
        look(str(tmp_path / "x"))


# --- the three formats -----------------------------------------------------------------------------------------------

lief = pytest.importorskip("lief", reason="the extra 'binaries' is not installed")
needs_cc = pytest.mark.skipif(shutil.which("cc") is None or shutil.which("strip") is None, reason="needs cc and strip")


@needs_cc
def test_elf_is_told_apart_by_what_was_stripped(tmp_path: Path) -> None:
    write(tmp_path / "a.c", "static int inner(void) { return 0; }\nint main(void) { return inner(); }\n")
    found = {}
    for name, flag in (("none", ""), ("debuginfo", "--strip-debug"), ("symbols", "--strip-all")):
        program = tmp_path / name
        subprocess.run(["cc", "-g", "a.c", "-o", program], cwd=tmp_path, check=True)
        if flag:
            subprocess.run(["strip", flag, program], check=True)
        found[name] = look(str(program))
    assert {name: one.stripped for name, one in found.items()} == {name: name for name in found}
    assert (found["symbols"].symbols, found["none"].debug) == (0, True)


def mach_o(symbols: list[tuple[int, str]]) -> bytes:
    """Return a Mach-O program of nothing but a symbol table; each symbol is (n_type, name)."""
    names, strings = b"\0", []
    for kind, name in symbols:
        strings.append(struct.pack("<IBBHQ", len(names), kind, 1, 0, 0x1000))
        names += name.encode() + b"\0"
    size = 16 * len(symbols) + len(names)
    segment = struct.pack("<II16sQQQQIIII", 0x19, 72, b"__LINKEDIT", 0, 0x4000, 128, size, 7, 1, 0, 0)
    table = struct.pack("<IIIIII", 0x2, 24, 128, len(symbols), 128 + 16 * len(symbols), len(names))
    header = struct.pack("<IIIIIIII", 0xFEEDFACF, 0x0100000C, 0, 2, 2, len(segment) + len(table), 0, 0)
    return header + segment + table + b"".join(strings) + names


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        ([(0x0F, "_main"), (0x01, "_puts")], Contents("Mach-O", 0, debug=False)),
        ([(0x0F, "_main"), (0x0E, "_inner")], Contents("Mach-O", 1, debug=False)),
        ([(0x0F, "_main"), (0x64, "main.c"), (0x66, "main.o")], Contents("Mach-O", 0, debug=True)),
    ],
    ids=["stripped", "with a local symbol", "with entries for the debugger"],
)
def test_mach_o_is_read(tmp_path: Path, symbols: list[tuple[int, str]], expected: Contents) -> None:
    (tmp_path / "program").write_bytes(mach_o(symbols))
    assert look(str(tmp_path / "program")) == expected


def test_pe_says_nothing_of_what_was_stripped(tmp_path: Path) -> None:
    program = _any_windows_program()
    assert look(str(program)) == Contents("PE", 0, debug=False)
    content = bytearray(program.read_bytes())
    start = struct.unpack_from("<I", content, 0x3C)[0]
    struct.pack_into("<I", content, start + 16, 5)  # NumberOfSymbols of the COFF header, which MinGW's linker fills in
    (tmp_path / "mingw.exe").write_bytes(content)
    assert look(str(tmp_path / "mingw.exe")).stripped == "debuginfo"


def _any_windows_program() -> Path:
    """Return one of the launchers that pip carries for Windows on every platform."""
    pip = pytest.importorskip("pip", reason="pip is not installed")
    found = sorted(Path(pip.__file__).parent.glob("_vendor/distlib/t64.exe"))
    if not found:
        pytest.skip("this pip carries no launcher for Windows")
    return found[0]


def test_what_is_no_program_is_told(tmp_path: Path) -> None:
    write(tmp_path / "script", "#!/bin/sh\n")
    with pytest.raises(UserError, match="is no program that can be read: not ELF, Mach-O or PE"):
        look(str(tmp_path / "script"))
