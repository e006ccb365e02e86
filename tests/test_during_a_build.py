"""What happens while cargo runs: edits, failures, kills, a second run; and what torn state files do afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from building import BASELINE, FRESH, OLD, Site
from calling import call, environment, program, small_workspace
from conftest import needs_cargo, write

pytestmark = [pytest.mark.slow, needs_cargo]

PART = "crates/kit/src/part.rs"
WATCHED = {"watched": "w2+w9"}
Change = Callable[[Site], object]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for an event; a minute means that it never comes."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "the event did not come"
        time.sleep(0.005)


class Halted:
    """A run of the tool that stands in the middle of its build, at the gate of a build script."""

    def __init__(self, site: Site, process: subprocess.Popen[str], gate: Path) -> None:
        self.site = site
        self.process = process
        self.gate = gate
        wait_for(lambda: (gate / "reached").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        self.script = int((gate / "reached").read_text(encoding="utf-8"))

    def open(self) -> None:
        (self.gate / "open").touch()

    def end(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err

    def script_is_gone(self) -> bool:
        status = Path(f"/proc/{self.script}/stat")
        with suppress(OSError):
            return status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
        return True


@contextmanager
def halted(site: Site, *words: str) -> Iterator[Halted]:
    """Edit a watched file and start the tool; it waits in the build script that the edit makes cargo rerun."""
    gate = site.path("/gate")
    shutil.rmtree(gate, ignore_errors=True)
    gate.mkdir()
    site.edit("crates/watching/watched/one.txt", "w1", "w9")
    site.variables["GATE"] = str(gate)
    process = site.start(*(words or ("dev",)))
    del site.variables["GATE"]
    try:
        yield Halted(site, process, gate)
    finally:
        (gate / "open").touch()
        if process.poll() is None:
            process.kill()
        process.communicate()


def other_library(site: Site) -> None:
    site.edit("native/number.c", "50", "51")
    site.make_library()


def edit_with_another_name(site: Site) -> None:
    site.path("/other").unlink(missing_ok=True)
    os.link(site.path(PART), site.path("/other"))
    site.edit(PART, "20", "23", site.mtime(PART))


EDITS: dict[str, tuple[Change, dict[str, str]]] = {
    "content": (lambda site: site.edit(PART, "20", "21"), {"part": "21"}),
    "content under the same time": (lambda site: site.edit(PART, "20", "22", site.mtime(PART)), {"part": "22"}),
    "content under an older time": (lambda site: site.edit(PART, "20", "2000", OLD), {"part": "2000"}),
    "content under the same time, and another name": (edit_with_another_name, {"part": "23"}),
    "watched file, once more": (
        lambda site: site.edit("crates/watching/watched/one.txt", "w9", "w8"),
        {"watched": "w2+w8"},
    ),
    "new file in a watched folder": (
        lambda site: site.add("crates/watching/watched/deep/x.txt", "w3"),
        {"watched": "w2+w3+w9"},
    ),
    "new data": (lambda site: site.add("crates/trusting/data/x.txt", "d3"), {"data": "d1+d2+d3"}),
    "new old data": (lambda site: site.add("crates/trusting/data/x.txt", "d4", OLD), {"data": "d1+d2+d4"}),
    "manifest": (lambda site: site.edit("crates/kit/Cargo.toml", "of kit", "of it"), {"description": "of it"}),
    "root manifest": (lambda site: site.edit("Cargo.toml", "debug = false", "opt-level = 1"), {"optimised": "1"}),
    "config file": (
        lambda site: site.add(".cargo/config.toml", '[env]\nOPTIONAL = "config"\n'),
        {"optional": "config"},
    ),
    "declared file": (lambda site: site.edit("macro.txt", "text", "word"), {"macro": "macro 1, word, unset"}),
    "linked library": (
        other_library,
        {"native": "51"},
    ),
    "link": (lambda site: site.symlink("crates/kit/src/linked.rs", "../links/two.rs"), {"linked": "31"}),
    "new build script": (
        lambda site: site.add("crates/kit/build.rs", 'fn main() { println!("cargo:rustc-env=MADE_BY_SCRIPT=yes"); }'),
        {"script": "yes"},
    ),
}


@pytest.mark.parametrize(("change", "prints"), EDITS.values(), ids=EDITS)
def test_an_edit_during_a_build_is_built_by_the_next_call(site: Site, change: Change, prints: dict[str, str]) -> None:
    with halted(site) as run:
        change(site)
        run.open()
        assert run.end()[0] == 0
    expected = BASELINE | WATCHED | prints

    assert (site.tool("dev").status, site.printed()) == (0, expected)
    assert (site.tool("dev").status, site.printed()) == (0, expected)
    assert site.tool("dev").summary == FRESH


def test_an_edit_during_a_build_that_is_taken_back_afterwards_is_not_taken_for_a_touch(site: Site) -> None:
    site.edit(PART, "20", "22")
    with halted(site) as run:
        site.edit(PART, "22", "21")
        run.open()
        assert run.end()[0] == 0
    site.edit(PART, "21", "22")

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | WATCHED | {"part": "22"})
    assert site.tool("dev").summary == FRESH


@pytest.mark.parametrize("name", ["crates/watching/watched/deep/x.txt", "crates/trusting/data/x.txt"])
def test_a_file_that_comes_and_goes_during_a_build_leaves_no_trace(site: Site, name: str) -> None:
    site.edit("crates/trusting/data/one.txt", "d1", "d7")
    with halted(site) as run:
        site.add(name, "x9", OLD)
        run.open()
        wait_for(run.script_is_gone)
        site.path(name).unlink()
        assert run.end()[0] == 0

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | WATCHED | {"data": "d2+d7"})


def test_a_file_that_only_gets_another_name_during_a_build_is_unchanged(site: Site) -> None:
    with halted(site) as run:
        os.link(site.path(PART), site.path("/name"))
        run.open()
        assert run.end()[0] == 0

    assert "kit" not in site.tool("dev").compiled
    assert site.tool("dev").summary == FRESH
    site.path("/name").unlink()


def test_an_edit_during_a_build_that_is_taken_back_with_its_old_time(site: Site) -> None:
    then = site.mtime(PART)
    with halted(site) as run:
        site.edit(PART, "20", "21")
        run.open()
        assert run.end()[0] == 0
    site.edit(PART, "21", "20", then)

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | WATCHED)


# --- failures ------------------------------------------------------------------------------------------------------


def break_app(site: Site) -> None:
    site.edit("crates/app/src/main.rs", "fn main() {", "fn main() { error")


def test_a_failed_build_is_not_skipped_and_tried_again(site: Site) -> None:
    break_app(site)
    first, second = site.tool("dev"), site.tool("dev")

    assert [(run.status, run.builds, "error: " in run.err) for run in (first, second)] == [(1, 1, True)] * 2


def test_a_failed_run_leaves_no_proof_for_a_skip(site: Site) -> None:
    sources, times = site.sources(), site.times()
    break_app(site)
    assert site.tool("dev").status == 1, "nothing was made, so the files look as after the last success"
    site.restore(sources, times)
    run = site.tool("dev")

    assert ((run.status, run.builds), site.printed()) == ((0, 1), BASELINE)


def test_after_the_fix_the_truth_is_printed(site: Site) -> None:
    break_app(site)
    site.edit(PART, "20", "21")
    site.tool("dev")
    site.edit("crates/app/src/main.rs", "fn main() { error", "fn main() {")

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE | {"part": "21"})
    assert site.tool("dev").summary == FRESH


def test_sources_that_come_back_with_their_old_times_after_a_failure(site: Site) -> None:
    sources, times = site.sources(), site.times()
    break_app(site)
    site.edit(PART, "20", "21")
    assert site.tool("dev").status == 1, "kit is compiled with 21, app fails"
    site.restore(sources, times)

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE)
    assert site.tool("dev").summary == FRESH


def test_a_failure_of_one_target_leaves_another_alone(site: Site) -> None:
    site.tool("build")
    site.tool("dev", "FEATURES=extra", "PACKAGE=app")
    sources, times = site.sources(), site.times()
    break_app(site)
    site.tool("dev")
    site.restore(sources, times)

    assert site.tool("build").summary == FRESH
    assert site.printed("target/release/app") == BASELINE | {"debug": "false", "optimised": "1"}


# --- interrupted runs ----------------------------------------------------------------------------------------------


def kill_everything(run: Halted) -> None:
    cargo = os.getpgid(run.script)
    assert cargo != os.getpgid(run.process.pid)
    os.killpg(run.process.pid, signal.SIGKILL)
    os.killpg(cargo, signal.SIGKILL)


def kill_the_tool_alone(run: Halted) -> None:
    run.process.kill()
    run.process.wait()
    run.open()  # cargo goes on without us


def send(number: int) -> Callable[[Halted], None]:
    return lambda run: run.process.send_signal(number)


KILLS: dict[str, Callable[[Halted], None]] = {
    "kill -9 of all": kill_everything,
    "kill -9 of the tool": kill_the_tool_alone,
    "SIGINT": send(signal.SIGINT),
    "SIGTERM": send(signal.SIGTERM),
    "SIGHUP": send(signal.SIGHUP),
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_a_killed_run_is_made_good_by_the_next(site: Site, kill: Callable[[Halted], None]) -> None:
    with halted(site) as run:
        kill(run)
        status = run.process.wait(timeout=60)
        wait_for(run.script_is_gone)
    again = site.tool("dev")

    assert (status != 0, again.status, again.builds, site.printed()) == (True, 0, 1, BASELINE | WATCHED), again.text
    assert site.tool("dev").summary == FRESH


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_what_a_killed_run_had_compiled_already_is_not_taken_for_older_sources(
    site: Site, kill: Callable[[Halted], None]
) -> None:
    sources, times = site.sources(), site.times()
    compiled = next(site.path("target/debug/.fingerprint").glob("kit-*/lib-kit")).stat().st_mtime_ns
    site.edit(PART, "20", "21")
    with halted(site) as run:
        wait_for(
            lambda: any(
                path.stat().st_mtime_ns > compiled
                for path in site.path("target/debug/.fingerprint").glob("kit-*/lib-kit")
            )
        )
        kill(run)
        run.process.wait(timeout=60)
        wait_for(run.script_is_gone)
    site.restore(sources, times)

    assert (site.tool("dev").status, site.printed()) == (0, BASELINE)
    assert site.tool("dev").summary == FRESH


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_leaves_no_process(site: Site, number: int) -> None:
    with halted(site) as run:
        run.process.send_signal(number)
        status, text = run.end()
        wait_for(run.script_is_gone)

    assert (status != 0, "interrupted after " in text, "Traceback" in text) == (True, True, False), text


# --- two runs at once ----------------------------------------------------------------------------------------------


def test_a_second_run_waits_says_so_and_goes_on_from_the_work_done(site: Site) -> None:
    with halted(site) as first:
        second = site.start("dev")
        assert second.stderr
        told = second.stderr.readline()
        first.open()
        first_status, _ = first.end()
        out, _ = second.communicate(timeout=60)

    assert told == f"waiting for another doit-cargo run in this workspace (process {first.process.pid})\n"
    # What held the first one up is an input that its build script was seen to read, and another one now.
    assert (first_status, second.returncode) == (0, 0), out
    assert "compiled 2 of 6 packages (watching, app)" in out, out
    assert site.printed() == BASELINE | WATCHED
    assert site.tool("dev").summary == FRESH


def test_a_second_run_of_another_target_waits_and_builds(site: Site) -> None:
    with halted(site) as first:
        second = site.start("build")
        assert second.stderr
        told = second.stderr.readline()
        first.open()
        statuses = first.end()[0], second.communicate(timeout=60) and second.returncode

    assert (told.startswith("waiting for another"), statuses) == (True, (0, 0))
    assert site.printed("target/release/app") == BASELINE | WATCHED | {"debug": "false", "optimised": "1"}


def test_a_lock_of_a_killed_run_blocks_nobody(site: Site) -> None:
    with halted(site) as run:
        kill_everything(run)
        run.process.wait()
    again = site.tool("dev")

    assert (again.status, "waiting for another" in again.err) == (0, False)


# --- torn state ----------------------------------------------------------------------------------------------------


def torn(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def one_bit_off(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


TEARS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": torn,
    "one byte less": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one byte changed": one_bit_off,
    "foreign": lambda path: path.write_bytes(b"\x00\xffnot ours\n" * 10),
    "only a header": lambda path: path.write_bytes(path.read_bytes()[:36]),
    "directory": as_directory,
}


# Of every file alone two of these, in turns: all of them at once are below.
EACH = ("truncated", "one byte changed", "foreign", "directory")


def state_files(site: Site) -> list[Path]:
    """Return every file of the tool that holds a state; there must be a receipt and the ledger among them."""
    stateless = (".gitignore", "lock", "receipts.lock")
    found = [path for path in site.path(".doit-cargo").rglob("*") if path.is_file() and path.stat().st_size]
    found = [path for path in found if path.name not in stateless]
    ledger = site.path("target/.doit-cargo.ledger")
    assert any(path.parent.name == "receipts" for path in found)
    assert ledger.is_file()
    return [*found, ledger]


@pytest.mark.parametrize("turn", [0, 2])
def test_a_damaged_state_file_is_neither_a_traceback_nor_a_false_skip(site: Site, turn: int) -> None:
    outcomes: dict[str, tuple[object, ...]] = {}
    for value, path in enumerate(sorted(state_files(site)), start=70):
        TEARS[EACH[(value + turn) % len(EACH)]](path)
        site.edit("crates/app/src/main.rs", f'"app={{}}", {value}', f'"app={{}}", {value + 1}')
        run = site.tool("dev")
        outcomes[path.name] = (run.status, "Traceback" in run.text, site.printed()["app"] == str(value + 1))
        outcomes[path.name] += (site.tool("dev").status,)
        if path.is_dir():
            path.rmdir()

    assert outcomes == dict.fromkeys(outcomes, (0, False, True, 0))


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_a_damaged_ledger_does_not_make_us_as_blind_as_cargo(site: Site, tear: Callable[[Path], object]) -> None:
    ledger = site.path("target/.doit-cargo.ledger")
    tear(ledger)
    site.edit(PART, "20", "22", site.mtime(PART))
    run = site.tool("dev")
    if ledger.is_dir():
        ledger.rmdir()

    assert (run.status, site.printed()) == (0, BASELINE | {"part": "22"})


@pytest.mark.parametrize("tear", TEARS.values(), ids=TEARS)
def test_all_state_damaged_at_once_is_no_state(site: Site, tear: Callable[[Path], object]) -> None:
    files = state_files(site)
    for path in files:
        tear(path)
    run = site.tool("dev")
    for path in files:
        if path.is_dir():
            path.rmdir()

    assert (run.status, run.builds, "Traceback" in run.text, site.printed()) == (0, 1, False, BASELINE), run.text
    site.tool("dev")
    assert site.tool("dev").summary == FRESH


def test_a_file_in_place_of_the_state_folder_is_told(site: Site) -> None:
    shutil.rmtree(site.path(".doit-cargo"))
    site.path(".doit-cargo").write_text("mine", encoding="utf-8")
    run = site.tool("dev")
    site.path(".doit-cargo").unlink()

    assert (run.status != 0, "Traceback" in run.text, str(site.path(".doit-cargo")) in run.err) == (True, False, True)


@pytest.mark.parametrize("words", [("dev",), ("test", "RUNNER=cargo"), ("deps_tree",)], ids=" ".join)
def test_nothing_stays_open_after_a_program_has_ended(tmp_path: Path, words: tuple[str, ...]) -> None:
    root = small_workspace(tmp_path / "ws")
    write(root / "low/src/lib.rs", "#[test]\nfn holds() {}\n")
    said = call(root, "doit-cargo", *words, PYTHONDEVMODE="1", PYTHONWARNINGS="error::ResourceWarning")
    assert (said.status, "ResourceWarning" in said.out + said.err) == (0, False), said.out + said.err


def test_a_crate_whose_build_script_writes_a_source_compiles_once_after_a_change(site: Site) -> None:
    site.add(
        "crates/kit/build.rs",
        "fn main() {\n"
        '    println!("cargo:rerun-if-changed=proto.txt");\n'
        '    let text = std::fs::read_to_string("proto.txt").unwrap();\n'
        '    std::fs::write("src/part.rs", format!("pub const VALUE: u32 = {};", text.trim())).unwrap();\n'
        "}\n",
    )
    for value in ("21", "22"):
        site.add("crates/kit/proto.txt", value)
        run = site.tool("dev")
        assert (run.status, run.compiled, site.printed()["part"]) == (0, ("app", "kit"), value), run.text
        assert site.tool("dev").summary == FRESH
    site.add("crates/kit/src/part.rs", "pub const VALUE: u32 = 23;")
    run = site.tool("dev")
    assert (run.compiled, site.printed()["part"]) == (("app", "kit"), "23"), run.text


BETWEEN = """\
"{cargo}" "$@"
status=$?
if [ "$1" = build ] && [ -e "$TURNS" ]; then
    [ "$(cat "$TURNS")" = once ] && rm "$TURNS"
    "{cargo}" build -q --features fast
fi
exit $status
"""


@pytest.mark.parametrize("turns", ["once", "always"])
def test_a_program_that_another_cargo_puts_in_its_place_at_the_end_is_not_taken_for_ours(
    tmp_path: Path, turns: str
) -> None:
    root = small_workspace(tmp_path / "ws")
    write(root / "app/src/bin/app.rs", 'fn main() { println!("{}", cfg!(feature = "fast")); }\n')
    cargo = shutil.which("cargo", path=environment()["PATH"])
    program(tmp_path / "bin/cargo", BETWEEN.format(cargo=cargo))
    subprocess.run(["cargo", "build", "-q", "--features", "fast"], cwd=root, env=environment(), check=True)
    write(tmp_path / "turns", turns)
    path = os.pathsep.join([str(tmp_path / "bin"), environment()["PATH"]])
    said = call(root, "doit-cargo", "dev", PATH=path, TURNS=str(tmp_path / "turns"))
    told = "another program wrote target/debug/app as soon as cargo had ended: cargo runs once more" in said.out
    assert (told, said.status) == (True, 0 if turns == "once" else 1), said.out + said.err
    (tmp_path / "turns").unlink(missing_ok=True)
    call(root, "doit-cargo", "dev", PATH=path, TURNS=str(tmp_path / "turns"))
    assert subprocess.run([root / "target/debug/app"], capture_output=True, text=True, check=True).stdout == "false\n"
