"""`gc`: what of the target directory goes, in which order, and that nothing that is fresh compiles after it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Said, call, environment, posix, small_workspace
from conftest import needs_cargo, write
from doit_cargo.cli.main import main

pytestmark = [needs_cargo, posix, pytest.mark.slow]

INCREMENTAL = "[profile.dev]\nincremental = true\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which `dev` and `check` are fresh."""
    root = small_workspace(tmp_path_factory.mktemp("garbage") / "ws", INCREMENTAL)
    for target in ("dev", "check"):
        assert call(root, "doit-cargo", target).status == 0
    return root


@pytest.fixture
def littered(built: Path) -> Iterator[Path]:
    """The same, with units of another variant beside, which a cargo of nobody here has made."""
    assert call(built, "cargo", "build", "--config", "profile.dev.opt-level=1").status == 0
    assert call(built, "doit-cargo", "dev").status == 0  # the program is this target's again
    yield built
    call(built, "doit-cargo", "dev", "check")


def units(root: Path) -> set[str]:
    return {path.name for path in (root / "target/debug/.fingerprint").iterdir()}


def gc(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", "gc", *words)


def compiled(root: Path, *targets: str) -> list[str]:
    """Return what a cargo that must run has compiled for each target."""
    lines = [call(root, "doit-cargo", target, "FORCE=1").out.splitlines()[-1] for target in targets]
    return [line.partition(" s: ")[2].partition(" in ")[0] for line in lines]


def test_what_no_target_rests_on_goes_and_nothing_fresh_compiles(littered: Path) -> None:
    before = units(littered)
    dry = gc(littered, "--dry-run")
    assert units(littered) == before
    [told] = [line for line in dry.out.splitlines() if line.startswith("..")]
    assert told.startswith(".. gc  would remove of debug: 3 units, ")

    done = gc(littered)
    assert (done.status, done.err) == (0, "")
    assert told.replace("would remove", "removed") in done.out.splitlines()
    assert len(units(littered)) == len(before) - 3
    assert {tuple(line.split()[:4]) for line in done.out.splitlines()[1:3]} == {
        (name, "up", "to", "date") for name in ("check", "dev")
    }
    assert call(littered, "doit-cargo", "dev", "check").out.count("up to date") == 2
    assert compiled(littered, "dev", "check") == ["nothing to compile"] * 2
    assert gc(littered).out.splitlines()[-1].endswith("nothing to remove")


def test_with_a_limit_the_longest_unused_goes_first_and_no_more_than_must(littered: Path) -> None:
    old = next(path for path in (littered / "target/debug/.fingerprint").iterdir() if path.name not in fresh(littered))
    for path in littered.glob(f"target/debug/*/*{old.name.rpartition('-')[2]}*"):
        os.utime(path, (1, 1))
    size = json.loads(gc(littered, "--json", "--dry-run").out)["before"]
    before = units(littered)
    told = json.loads(gc(littered, "--json", "--max-size", str(size - 1)).out)
    assert before - units(littered) == {old.name}
    assert [(one["profile"], one["units"], one["last_used"]) for one in told["removed"]] == [("debug", 1, 1)]
    assert told["after"] < size
    assert gc(littered).status == 0


def fresh(root: Path) -> set[str]:
    """Return the units that stay."""
    copy = root.parent / "copy"
    subprocess.run(["cp", "-a", str(root / "target"), str(copy)], check=True)
    gc(root)
    kept = units(root)
    subprocess.run(["rm", "-rf", str(root / "target")], check=True)
    copy.rename(root / "target")
    return kept


def test_a_limit_out_of_reach_takes_what_is_stale_and_never_what_is_fresh(built: Path) -> None:
    assert call(built, "doit-cargo", "dev", "FEATURES=app/fast").status == 0
    assert call(built, "doit-cargo", "dev").status == 0
    stale = json.loads(gc(built, "--json", "--dry-run").out)["holds"]
    assert {one["target"]: one["fresh"] for one in stale} == {
        "dev": True,
        "check": True,
        "dev FEATURES=app/fast": False,  # its program is another's now
    }
    said = gc(built, "--max-size", "1K")
    assert "given up" in next(line for line in said.out.splitlines() if line.startswith("dev FEATURES=app/fast"))
    assert "1.0 kB is out of reach" in said.out
    assert not list((built / "target/debug/incremental").iterdir())
    assert compiled(built, "dev", "check") == ["nothing to compile"] * 2


def test_a_cargo_that_builds_is_waited_for(littered: Path) -> None:
    with open(littered / "target/debug/.cargo-lock", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = ["doit-cargo", "gc"]
        with subprocess.Popen(command, cwd=littered, env=environment(), stderr=subprocess.PIPE, text=True) as running:
            assert running.stderr
            first = running.stderr.readline()
            before = units(littered)
            time.sleep(0.1)
            after = units(littered)
            fcntl.flock(held, fcntl.LOCK_UN)
    assert (running.returncode, before) == (0, after)
    assert first.startswith("waiting for another cargo that builds in ")
    assert units(littered) < after


def test_a_directory_that_another_workspace_builds_in_is_left_alone(built: Path, tmp_path: Path) -> None:
    place = {"CARGO_TARGET_DIR": str(tmp_path / "shared")}
    other = small_workspace(tmp_path / "other")
    write(other / "app/src/lib.rs", "pub fn other() {}\n")
    for root in (built, other):
        assert call(root, "doit-cargo", "check", **place).status == 0
    said = call(built, "doit-cargo", "gc", **place)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"doit-cargo: {other}/")


@pytest.mark.parametrize("size", ["much", "-1G", "1X", "G"])
def test_a_size_that_is_none_is_told(built: Path, size: str) -> None:
    said = gc(built, f"--max-size={size}")
    fix = "for example: doit-cargo gc --max-size 20G"
    assert said == Said(3, "", f"doit-cargo: '{size}' is no size\n  fix: {fix}\n")


def test_status_warns_before_the_disk_is_full(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("doit_cargo.engine.state.footprint.free_space", lambda _: 300_000_000)
    main(["-w", str(built), "status"])
    warned = "warning: 300.0 MB are free where target is"
    assert [line for line in capsys.readouterr().out.splitlines() if warned in line and "doit-cargo gc" in line]
    monkeypatch.undo()
    monkeypatch.setattr("doit_cargo.engine.state.footprint.free_space", lambda _: 10**13)
    main(["-w", str(built), "status"])
    assert "warning" not in capsys.readouterr().out
