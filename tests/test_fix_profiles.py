"""fix_profiles: one place for all cargo profiles, the same flags for rustc, nothing lost."""

from __future__ import annotations

import os
import pty
import random
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from calling import Said, call, environment, small_workspace
from conftest import make_workspace, needs_cargo, read_workspace, write
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.cargo.config.effective import normal
from doit_cargo.engine.cargo.config.rustc_args import observed
from doit_cargo.engine.preflight.config import report
from doit_cargo.engine.preflight.config.fix import Fix, mend
from doit_cargo.engine.preflight.config.fix import write as write_mend
from test_cargo_settings import VALUES, WHOLE_PROFILE, calls_in

pytestmark = needs_cargo

MANIFEST = """\
# How we build.
[profile.release]
lto = true  # whole program
opt-level = 3

# Debugging counts here.
[profile.dev]
opt-level = 1
"""
CONFIG = """\
[build]
jobs = 4  # our servers

# Fast to link.
[profile.release]
# none is fast
lto = "off"
# one is slow
codegen-units = 8  # cores
opt-level = 3

[profile.fast]
inherits = "release"
opt_level = 2

[env]
CARGO_INCREMENTAL = "0"
TOOLS = "here"
"""


def workspace(root: Path) -> Path:
    small_workspace(root, 'metadata.doit-cargo.pack = "base"\n' + MANIFEST)
    write(root / ".cargo/config.toml", CONFIG)
    return root


def tool(root: Path, *words: str, **variables: str) -> Said:
    return call(root, "doit-cargo", *words, CARGO_HOME=str(root.parent / "no-home"), **variables)


def texts(root: Path) -> dict[str, str]:
    paths = (root / "Cargo.toml", root / ".cargo/config.toml", root / "low/Cargo.toml")
    return {str(path.relative_to(root)): path.read_text() for path in paths}


# --- what is written -------------------------------------------------------------------------------------------------


def test_the_difference_is_shown_and_nothing_written_without_a_yes(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws")
    before = texts(root)
    said = tool(root, "fix_profiles")
    assert (said.status, texts(root)) == (0, before)
    assert said.out.partition(".. fix_profiles")[0] == (
        "--- a/Cargo.toml\n"
        "+++ b/Cargo.toml\n"
        "@@ -4,9 +4,15 @@\n"
        ' metadata.doit-cargo.pack = "base"\n'
        " # How we build.\n"
        " [profile.release]\n"
        "-lto = true  # whole program\n"
        '+lto = "off"  # whole program\n'
        " opt-level = 3\n"
        "+# one is slow\n"
        "+codegen-units = 8  # cores\n"
        " \n"
        " # Debugging counts here.\n"
        " [profile.dev]\n"
        " opt-level = 1\n"
        "+\n"
        "+[profile.fast]\n"
        '+inherits = "release"\n'
        "+opt-level = 2\n"
        "--- a/.cargo/config.toml\n"
        "+++ b/.cargo/config.toml\n"
        "@@ -2,17 +2,5 @@\n"
        " jobs = 4  # our servers\n"
        " \n"
        " # Fast to link.\n"
        "-[profile.release]\n"
        "-# none is fast\n"
        '-lto = "off"\n'
        "-# one is slow\n"
        "-codegen-units = 8  # cores\n"
        "-opt-level = 3\n"
        "-\n"
        "-[profile.fast]\n"
        '-inherits = "release"\n'
        "-opt_level = 2\n"
        "-\n"
        " [env]\n"
        '-CARGO_INCREMENTAL = "0"\n'
        ' TOOLS = "here"\n'
    )
    assert said.out.splitlines()[-2:] == [
        ".. fix_profiles  changes on purpose: profile.fast.opt-level: 3 -> 2",
        ".. fix_profiles  nothing was written; YES=1 writes it",
    ]


def test_with_a_yes_it_is_written_once_and_check_profiles_has_nothing_left_to_say(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws")
    (root / "Cargo.toml").chmod(0o640)
    write(root / "low/Cargo.toml", (root / "low/Cargo.toml").read_text() + "[profile.dev]\nlto = true\n")
    assert tool(root, "check_profiles").status == 1
    assert tool(root, "fix_profiles", "YES=1").status == 0
    after = texts(root)
    assert "profile" not in after[".cargo/config.toml"] + after["low/Cargo.toml"]
    assert tool(root, "check_profiles").status == 0
    again = tool(root, "fix_profiles", "YES=1")
    assert (again.out, texts(root)) == (
        "ok fix_profiles  nothing to mend: all cargo profiles are in Cargo.toml\n",
        after,
    )
    assert (root / "Cargo.toml").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in root.rglob("*.new")] == []


@pytest.mark.parametrize(("answer", "written"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_at_a_terminal_is_asked(tmp_path: Path, answer: str, written: bool) -> None:
    root = workspace(tmp_path / "ws")
    before = texts(root)
    leader, follower = pty.openpty()
    os.write(leader, answer.encode())
    variables = environment(CARGO_HOME=str(tmp_path / "no-home"))
    command = ["doit-cargo", "fix_profiles"]
    child = subprocess.Popen(command, cwd=root, env=variables, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 65536):
            said += chunk
    except OSError:
        pass  # the other end is closed
    assert (child.wait(timeout=60), b"Write this? [y/N]" in said, texts(root) != before) == (0, True, written)


def test_line_ends_of_windows_stay(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws")
    for name in ("Cargo.toml", ".cargo/config.toml"):
        path = root / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert tool(root, "fix_profiles", "YES=1").status == 0
    for name in ("Cargo.toml", ".cargo/config.toml"):
        content = (root / name).read_bytes()
        assert content.count(b"\n") == content.count(b"\r\n") > 5


def test_an_override_that_loses_strip_repeats_it(tmp_path: Path) -> None:
    extra = "[profile.release]\nstrip = true\n[profile.release.package.app]\nopt-level = 1\n"
    root = small_workspace(tmp_path / "ws", extra)
    said = tool(root, "fix_profiles", "YES=1")
    assert ".. fix_profiles  changes on purpose: profile.release.strip: none -> symbols\n" in said.out
    table = tomllib.loads((root / "Cargo.toml").read_text())["profile"]["release"]
    assert table["package"]["app"] == {"opt-level": 1, "strip": True}


# --- nothing is lost -------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = workspace(tmp_path / "ws")
    before = texts(root)
    found = _mend(root)
    written: list[str] = []

    def replace(source: str, target: str) -> None:
        if written:
            raise OSError(28, "No space left on device", target)
        written.append(target)
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="No space left"):
        write_mend(found)
    # The manifest was first: the config file still says the same, so nothing has changed for cargo.
    assert written == [str(root / "Cargo.toml")]
    assert texts(root)[".cargo/config.toml"] == before[".cargo/config.toml"]
    assert [path.name for path in root.rglob("*.new")] == []


def test_a_file_that_changes_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws")
    found = _mend(root)
    write(root / ".cargo/config.toml", "# mine\n")
    before = texts(root)
    with pytest.raises(UserError, match="changed while the mend was made"):
        write_mend(found)
    assert texts(root) == before


def _mend(root: Path) -> Fix:
    return mend(report.gather(read_workspace(root), {}))


# --- the same flags --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rustc_is_given_the_same_before_and_after_except_for_what_is_told(tmp_path: Path) -> None:
    root = workspace(tmp_path / "ws")
    before = {profile: _given(root, profile) for profile in ("release", "fast", "dev")}
    assert tool(root, "fix_profiles", "YES=1").status == 0
    after = {profile: _given(root, profile) for profile in ("release", "fast", "dev")}
    assert (after["release"], after["dev"]) == (before["release"], before["dev"])
    assert before["release"]["app"]["lto"] == "off"
    changed = {crate: {**keys, "opt-level": "2"} for crate, keys in before["fast"].items()}
    assert after["fast"] == changed


def _given(root: Path, profile: str) -> dict[str, dict[str, str]]:
    """Return the keys that a real ``cargo build -v`` shows."""
    command = ["cargo", "build", "-v", "--offline", "--profile", profile, "--target-dir", str(root.parent / "target")]
    variables = {**environment(), "CARGO_HOME": str(root.parent / "no-home")}
    for source in root.rglob("*.rs"):
        source.touch()
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {one.crate: observed(one) for one in calls_in(done.stderr)}


# --- any file --------------------------------------------------------------------------------------------------------


class Drawn:
    """Profiles in Cargo.toml, config.toml and what that includes, drawn by chance, with comments and odd orders."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.comments: list[str] = []
        head = '[workspace]\nresolver = "2"\nmembers = ["app", "low"]\n'
        write(root / "Cargo.toml", head + self._document(manifest=True))
        own = len(self.comments)
        includes = self.chance.random() < 0.4
        first = 'include = ["more.toml"]\n' if includes else ""
        write(root / ".cargo/config.toml", first + self._document(manifest=False))
        write(root / ".cargo/more.toml", self._document(manifest=False) if includes else "")
        self.comments = self.comments[:own]

    def _document(self, manifest: bool) -> str:
        tables = [] if manifest else ["[build]\njobs = 3\n", '[env]\nRUSTC_WRAPPER = "x"\nTOOLS = "here"\n']
        for name in ("dev", "release", "fast"):
            first = 'inherits = "release"\n' if manifest and name == "fast" else ""
            tables.append(self._table(f"profile.{name}", first))
            if self.chance.random() < 0.3:
                tables.append(self._table(f"profile.{name}.package.{self.chance.choice(['app', 'low'])}", whole=False))
            if self.chance.random() < 0.2:
                tables.append(self._table(f"profile.{name}.build-override", whole=False))
        if self.chance.random() < 0.4:
            self.chance.shuffle(tables)  # tomlkit calls such tables out of order
        return "\n".join(filter(None, tables))

    def _table(self, header: str, first: str = "", whole: bool = True) -> str:
        keys = [key for key in VALUES if (whole or key not in WHOLE_PROFILE) and self.chance.random() < 0.3]
        lines = [first] if first else []
        for key in keys:
            value = self.chance.choice(VALUES[key])
            text = str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else value
            lines.append(f"{self._comment()}{key} = {text}{'  # tail' if self.chance.random() < 0.2 else ''}\n")
        return f"[{header}]\n{''.join(lines)}" if lines else ""

    def _comment(self) -> str:
        if self.chance.random() < 0.85:
            return ""
        self.comments.append(f"# comment {len(self.comments)}")
        return self.comments[-1] + "\n"


def _values(facts: Workspace) -> dict[str, dict[str, Mapping[str, str]]]:
    found = report.gather(facts, {}).profiles
    return {
        name: {
            package: {key: normal(key, value.value) for key, value in profile.of(package).items()}
            for package in ("app", "low")
        }
        for name, profile in found.items()
    }


def test_whatever_is_written_comes_to_the_same_and_keeps_its_comments(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", {"app": {}, "low": {}})
    facts = read_workspace(root)
    for seed in range(60):
        drawn = Drawn(root, seed)
        before = _values(facts)
        found = mend(report.gather(facts, {}))
        write_mend(found)
        assert (seed, _without_strip(_values(facts))) == (seed, _without_strip(before))
        text = (root / "Cargo.toml").read_text()
        assert (seed, [one for one in drawn.comments if one not in text]) == (seed, [])
        assert "profile" not in tomllib.loads((root / ".cargo/config.toml").read_text())
        again = mend(report.gather(facts, {}))
        assert (seed, again.new, again.steps) == (seed, {}, ())


def _without_strip(values: dict[str, dict[str, Mapping[str, str]]]) -> object:
    """Leave out strip, which the mend changes on purpose where an override loses it."""
    return {
        name: {package: {key: value for key, value in keys.items() if key != "strip"} for package, keys in own.items()}
        for name, own in values.items()
    }


@pytest.mark.shared
def test_a_real_fork_is_mended(materialise: object, tmp_path: Path) -> None:
    import shutil

    fork = shutil.copytree(materialise("mistralrs-fork"), tmp_path / "fork")  # type: ignore[operator]
    facts = read_workspace(fork)
    before = report.gather(facts, {}).profiles
    assert tool(fork, "fix_profiles", "YES=1").status == 0
    after = report.gather(facts, {}).profiles
    for name, profile in before.items():
        assert {key: value.value for key, value in after[name].keys.items()} == {
            key: value.value for key, value in profile.keys.items()
        }
    left = [one for one in report.look(report.gather(facts, {})) if one.severity == "error"]
    assert left == []
