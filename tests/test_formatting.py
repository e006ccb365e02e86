"""fmt and fmt_check: files of three languages are named, formatted, left alone or skipped, and each is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import SCRIPTS, Said, environment, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write

BAD_RUST, GOOD_RUST = "pub fn f( ) {}\n", "pub fn f() {}\n"
BAD_PYTHON, GOOD_PYTHON = "x = {  'a':1 }\n", 'x = {"a": 1}\n'
BAD_C, GOOD_C = "int  main( ){return 0;}\n", "int main() { return 0; }\n"
CONFIGURED = {"ruff.toml": "line-length = 100\n", ".clang-format": "BasedOnStyle: LLVM\n"}

TOOLS = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}

needs_formatters = pytest.mark.skipif(
    any(shutil.which(tool, path=environment()["PATH"]) is None for tool in ("ruff", "clang-format", "rustfmt")),
    reason="ruff, clang-format (extra format) or rustfmt is not on PATH",
)
pytestmark = [needs_cargo, needs_formatters]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with badly formatted files, a satellite, and formatters chosen."""
    root = small_workspace(tmp_path / "workspace", 'exclude = ["side"]\n')
    files = {"app/src/lib.rs": GOOD_RUST, "low/src/lib.rs": BAD_RUST, "tool.py": BAD_PYTHON}
    files |= {"low/kernel.cu": BAD_C, "side/src/lib.rs": BAD_RUST, **CONFIGURED}
    files["side/Cargo.toml"] = '[package]\nname = "side"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
    files["profiles/pack.toml"] = 'satellites = ["side"]\n'
    for name, text in files.items():
        write(root / name, text)
    (root / "dodo.py").unlink()
    return root


def unformatted(said: Said) -> list[str]:
    return [line.split()[2] for line in said.err.splitlines() if line.endswith(" is not formatted")]


def without(*tools: str) -> str:
    """Return a PATH on which some tools are missing: every other program of its folders by a link."""
    return os.pathsep.join(folder for folder in environment()["PATH"].split(os.pathsep) if not _has(folder, tools))


def _has(folder: str, tools: tuple[str, ...]) -> bool:
    return any(os.path.exists(os.path.join(folder, tool)) for tool in tools)


def test_the_check_names_every_file_of_every_language_and_of_satellites(root: Path) -> None:
    said = call(root, "doit-cargo", "fmt_check")
    assert (said.status, unformatted(said)) == (1, ["low/src/lib.rs", "side/src/lib.rs", "tool.py", "low/kernel.cu"])
    assert "4 of 6 files are not formatted: doit-cargo fmt" in said.err
    assert "low/src/lib.rs" in (root / ".logs/fmt-check.log").read_text()
    assert (root / "tool.py").read_text() == BAD_PYTHON


def test_formatting_names_what_it_changed_and_then_the_check_passes(root: Path) -> None:
    said = call(root, "doit-cargo", "fmt")
    assert said.status == 0, said.err
    assert "ok fmt  4 of 6 files formatted anew: 4 Rust, 1 Python, 1 C and CUDA" in said.out
    assert ".. fmt  formatted side/src/lib.rs" in said.out
    texts = [(root / name).read_text() for name in ("low/src/lib.rs", "side/src/lib.rs", "tool.py", "low/kernel.cu")]
    assert texts == [GOOD_RUST, GOOD_RUST, GOOD_PYTHON, GOOD_C]
    checked = call(root, "doit-cargo", "fmt_check")
    assert (checked.status, "ok fmt_check  all formatted: 4 Rust, 1 Python" in checked.out) == (0, True)


def test_what_was_formatted_once_is_formatted_again_when_it_is_as_bad_again(root: Path) -> None:
    assert call(root, "doit-cargo", "fmt").status == 0  # all the others are well from here on
    for _ in range(2):
        write(root / "low/src/lib.rs", BAD_RUST)
        assert call(root, "doit-cargo", "fmt").status == 0
        assert (root / "low/src/lib.rs").read_text() == GOOD_RUST
    assert call(root, "doit-cargo", "fmt").out.splitlines()[-1].startswith("ok fmt  0 of 6 files formatted anew")
    assert call(root, "doit-cargo", "fmt").out.startswith("-- fmt  up to date: ")


@pytest.mark.parametrize("name", ["low/src/lib.rs", "side/src/lib.rs", "tool.py", "low/kernel.cu", "rustfmt.toml"])
def test_the_check_is_skipped_until_a_file_changes(root: Path, name: str) -> None:
    call(root, "doit-cargo", "fmt")
    assert call(root, "doit-cargo", "fmt_check").out.splitlines()[-1].startswith("ok fmt_check")
    write(root / "README.md", "Not formatted.")
    assert call(root, "doit-cargo", "fmt_check").out.startswith("-- fmt_check  up to date: ")
    with (root / name).open("a") as stream:
        stream.write("hard_tabs = true\n" if name == "rustfmt.toml" else "\n\n\n\n")
    assert call(root, "doit-cargo", "fmt_check").status == (0 if name == "rustfmt.toml" else 1)


def hidden_module(root: Path, _: Path) -> None:
    write(root / "low/.made/x.rs", BAD_RUST)


def outside_module(root: Path, _: Path) -> None:
    write(root.parent / "x.rs", BAD_RUST)


def rustfmt_of_the_user(_: Path, home: Path) -> None:
    write(home / ".config/rustfmt/rustfmt.toml", "hard_tabs = true\n")


def rustfmt_at_home(_: Path, home: Path) -> None:
    write(home / ".rustfmt.toml", "hard_tabs = true\n")


def extended_settings(root: Path, _: Path) -> None:
    write(root.parent / "lines.toml", "line-length = 9\n")


@pytest.mark.parametrize(
    "change", [hidden_module, outside_module, rustfmt_of_the_user, rustfmt_at_home, extended_settings]
)
def test_what_is_read_elsewhere_counts(root: Path, tmp_path: Path, change: Callable[[Path, Path], None]) -> None:
    home = tmp_path / "home"
    module = '#[path = "../../{}/x.rs"]\nmod {};\n'
    indented = "pub fn g() {\n    f()\n}\n"
    modules = module.format("low/.made", "one") + module.format("..", "two")
    write(root / "low/src/lib.rs", modules + "use one::f;\n" + indented)
    write(root / "low/.made/x.rs", GOOD_RUST)
    write(root.parent / "x.rs", GOOD_RUST)
    write(root / "ruff.toml", 'extend = "tools/base.toml"\n')
    write(root / "tools/base.toml", 'extend = "../../lines.toml"\n')
    write(root.parent / "lines.toml", "line-length = 100\n")
    keep = {name: os.environ.get(name) or os.path.expanduser(f"~/{below}") for name, below in TOOLS.items()}
    known = {"HOME": str(home), "XDG_CONFIG_HOME": "", **keep}
    assert call(root, "doit-cargo", "fmt", **known).status == 0
    assert call(root, "doit-cargo", "fmt_check", **known).status == 0
    assert call(root, "doit-cargo", "fmt_check", **known).out.startswith("-- fmt_check  up to date: ")
    change(root, home)
    said = call(root, "doit-cargo", "fmt_check", **known)
    assert (said.status, len(unformatted(said))) == (1, 1), said.err


def test_what_git_ignores_is_left_alone(root: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    write(root / ".gitignore", "made.py\n")
    write(root / "made.py", BAD_PYTHON)
    assert "made.py" not in unformatted(call(root, "doit-cargo", "fmt_check"))
    write(root / ".gitignore", "")
    assert "made.py" in unformatted(call(root, "doit-cargo", "fmt_check"))


def test_a_language_that_the_project_has_not_chosen_is_left_alone(root: Path) -> None:
    for name in CONFIGURED:
        (root / name).unlink()
    said = call(root, "doit-cargo", "fmt")
    assert said.status == 0
    assert "1 Python file left alone: nothing here configures ruff (ruff.toml or .ruff.toml)" in said.out
    assert "1 C and CUDA file left alone: nothing here configures clang-format" in said.out
    assert [(root / name).read_text() for name in ("tool.py", "low/kernel.cu")] == [BAD_PYTHON, BAD_C]
    write(root / "profiles/pack.toml", '[format]\nlanguages = ["python", "c"]\n')
    assert call(root, "doit-cargo", "fmt").status == 0
    assert (root / "tool.py").read_text() == GOOD_PYTHON


def test_a_missing_optional_formatter_is_said_with_the_way_to_get_it(root: Path, tmp_path: Path) -> None:
    call(root, "doit-cargo", "fmt")
    write(root / "tool.py", BAD_PYTHON)
    path = without("ruff", "clang-format")
    program = os.path.join(SCRIPTS, "doit-cargo")
    said = call(root, program, "fmt_check", PATH=path)
    assert said.status == 0, said.err
    assert '1 Python file skipped: ruff is not installed, get it with: pip install "ruff"' in said.out
    assert "1 C and CUDA file skipped: clang-format is not installed, get it with: " in said.out
    assert call(root, program, "fmt_check", PATH=path).out.startswith("-- fmt_check  up to date: ")
    later = tmp_path / "later"
    path_with_later = f"{later}{os.pathsep}{path}"
    assert call(root, program, "fmt_check", PATH=path_with_later).status == 0
    later.mkdir()
    (later / "ruff").symlink_to(os.path.join(SCRIPTS, "ruff"))
    assert unformatted(call(root, program, "fmt_check", PATH=path_with_later)) == ["tool.py"]


def test_a_file_that_no_formatter_can_read_is_a_failure_with_its_message(root: Path) -> None:
    write(root / "low/src/lib.rs", "fn broken(\n")
    for target in ("fmt", "fmt_check"):
        said = call(root, "doit-cargo", target)
        assert (said.status, "Traceback" in said.err) == (1, False)
        assert "unclosed delimiter" in said.err
    assert (root / "low/src/lib.rs").read_text() == "fn broken(\n"


def test_verbose_shows_the_differences(root: Path) -> None:
    said = call(root, "doit-cargo", "fmt_check", "VERBOSE=1")
    assert "-pub fn f( ) {}" in said.out
    assert "-x = {  'a':1 }" in said.out


def test_an_unknown_language_in_a_pack_is_told_with_its_place(root: Path) -> None:
    write(root / "profiles/pack.toml", '[format]\nlanguages = ["pyton"]\n')
    said = call(root, "doit-cargo", "fmt_check")
    assert said == Said(
        3,
        "",
        "doit-cargo: profiles/pack.toml:2: unknown language 'pyton'\n  fix: did you mean 'python'? known: c, python\n",
    )
