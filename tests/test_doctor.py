"""`doctor`, the check targets and `setup_deps` as a user calls them, on a computer of links and small scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from calling import DODO, Said, environment, program
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.engine.preflight import sccache_report
from doit_cargo.engine.state import footprint
from needing import Crates, Needing, lay_out

pytestmark = [needs_cargo, pytest.mark.skipif(sys.platform != "linux", reason="the answers name Linux's packages")]

LINKED = ("cargo", "rustc", "rustup", "cc", "gcc", "ld", "as", "ar", "sh", "uname", "env", "git", "dirname")

CRATES: Crates = {
    "app": {
        "needs": {"openssl-sys": ""},
        "build": {"prost-build": ""},
        "main": "fn main() {}\n",
    },
    "openssl-sys": {"version": "0.9.109"},
    "prost-build": {"version": "0.13.5"},
    "alone": {},
}


class Site:
    """A workspace and a PATH that a test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root / "ws"
        self.bin = root / "bin"
        made: Needing = lay_out(self.root, CRATES)
        made.lock()
        write(self.root / "dodo.py", DODO)
        for name in LINKED:
            real = shutil.which(name, path=environment()["PATH"])
            if real:
                self.bin.mkdir(exist_ok=True)
                (self.bin / name).symlink_to(real)
        self.pkg_config()

    def pkg_config(self, openssl: str = "") -> None:
        known = f'"--modversion openssl") echo {openssl};; "--variable=pcfiledir openssl") echo /pc;;'
        program(
            self.bin / "pkg-config",
            f'case "$*" in --version) echo 1.8.1;; {known if openssl else ""} *) exit 1;; esac',
        )

    def call(self, *words: str, **variables: str) -> Said:
        said = call(self.root, *words, PATH=str(self.bin), **variables)
        hidden = {str(self.bin): "BIN", str(self.root): "WS"}
        return Said(said.status, _plain(said.out, hidden), _plain(said.err, hidden))


def _plain(text: str, hidden: dict[str, str]) -> str:
    for path, word in hidden.items():
        text = text.replace(path, word)
    return re.sub(r"\d+(\.\d+)? [GM]B free", "N free", re.sub(r" +", " ", text))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_doctor_tells_each_thing_on_a_line_with_who_needs_it_and_how_to_get_it(site: Site) -> None:
    said = site.call("doit-cargo", "doctor", "build", "PACKAGE=app")
    lines = said.out.splitlines()
    assert said.status == 1
    assert [re.sub(r"\d+\.\d+\.\d+", "N", line) for line in lines] == [
        "ok cargo N BIN/cargo for cargo build",
        "ok rustc N BIN/rustc for cargo build",
        "ok linker BIN/cc for rustc",
        "ok pkg-config N BIN/pkg-config for openssl-sys (app)",
        "missing openssl for openssl-sys (app)",
        " openssl-sys (for app) needs openssl >=N, and pkg-config knows no openssl.pc",
        " fix: apt install libssl-dev, or point PKG_CONFIG_PATH at its .pc file",
        "missing protoc for prost-build (app)",
        " prost-build (for app) needs protoc, which is not on PATH",
        " fix: apt install protobuf-compiler libprotobuf-dev",
        "ok disk N free WS/target for build",
        "ok memory N free for build",
        "build: 6 ok, 2 missing",
        "all packages at once: apt install libssl-dev protobuf-compiler libprotobuf-dev",
    ]
    assert not (site.root / "target/release").exists()


def test_doctor_without_a_target_looks_at_the_default_build_and_around(site: Site) -> None:
    said = site.call("doit-cargo", "doctor")
    assert said.status == 1
    assert "ok git" in said.out
    assert said.out.splitlines()[-2].startswith("build: ")


def test_what_a_package_does_not_need_is_not_asked_for(site: Site) -> None:
    said = site.call("doit-cargo", "doctor", "dev", "PACKAGE=alone")
    assert (said.status, "protoc" in said.out, said.out.splitlines()[-1]) == (0, False, "dev: 5 ok")


def test_json_carries_the_same_and_doit_says_it_too(site: Site) -> None:
    words = ("doctor", "--json", "build", "PACKAGE=app")
    said = site.call("doit-cargo", *words)
    found = json.loads(said.out)
    assert said.status == 1
    assert {key: found[key] for key in ("targets", "ok", "basis", "why")} == {
        "targets": ["build"],
        "ok": False,
        "basis": "cargo",
        "why": "",
    }
    assert found["install"] == "apt install libssl-dev protobuf-compiler libprotobuf-dev"
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["protoc"] == {
        "name": "protoc",
        "status": "missing",
        "version": "",
        "path": "",
        "needed_by": "prost-build (app)",
        "what": "prost-build (for app) needs protoc, which is not on PATH",
        "fix": "apt install protobuf-compiler libprotobuf-dev",
        "where": "",
        "packages": "protobuf-compiler libprotobuf-dev",
    }
    assert json.loads(site.call("doit", *words).out)["checks"] == found["checks"]


def test_an_unknown_target_and_a_wrong_variable_are_told(site: Site) -> None:
    said = site.call("doit-cargo", "doctor", "nothing")
    assert (said.status, said.err.splitlines()[0]) == (3, "doit-cargo: unknown target 'nothing'")
    said = site.call("doit-cargo", "doctor", "build", "PACKAGE=ap")
    assert (said.status, said.err.splitlines()[0]) == (3, "doit-cargo: PACKAGE: unknown package 'ap'")


def test_once_all_is_there_doctor_and_check_env_are_content(site: Site) -> None:
    site.pkg_config("3.0.2")
    program(site.bin / "protoc", "echo libprotoc 29.3")
    write(site.bin / "google/protobuf/descriptor.proto", "")
    for words in (("doctor", "build"), ("check_env",), ("check-env",)):
        said = site.call("doit-cargo", *words)
        assert (said.status, "missing" in said.out) == (0, False), said
    assert "ok openssl 3.0.2 /pc/openssl.pc for openssl-sys" in said.out


def test_check_env_fails_like_a_target_where_something_is_missing(site: Site) -> None:
    said = site.call("doit-cargo", "check_env")
    assert (said.status, "missing protoc" in said.out) == (1, True)


def test_without_sources_doctor_says_what_it_knows_and_downloads_nothing(site: Site, tmp_path: Path) -> None:
    manifest = site.root / "crates/alone/Cargo.toml"
    manifest.write_text(manifest.read_text() + '[dependencies.itoa]\nversion = "1"\n')
    lock = (site.root / "Cargo.lock").read_text()
    home = tmp_path / "home"
    rustup = os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")
    said = site.call("doit-cargo", "doctor", "build", "PACKAGE=app", CARGO_HOME=str(home), RUSTUP_HOME=rustup)
    assert said.out.splitlines()[0].startswith("from Cargo.lock and the manifests, without cargo: ")
    assert "prost-build (for app) needs protoc, which is not on PATH (by Cargo.lock alone)" in said.out
    assert (site.root / "Cargo.lock").read_text() == lock
    assert list(home.rglob("*.crate")) == []


def test_without_a_workspace_or_without_cargo_it_looks_at_what_any_build_needs(site: Site, tmp_path: Path) -> None:
    nowhere = site.call("doit-cargo", "doctor", "-w", str(tmp_path))
    assert (nowhere.status, nowhere.out.splitlines()[0].partition(" (")[0]) == (0, "no Cargo.toml here or above")
    assert {"ok cargo", "ok rustc", "ok linker"} <= {" ".join(line.split()[:2]) for line in nowhere.out.splitlines()}
    (site.bin / "cargo").unlink()
    home = tmp_path / "home"
    bare = site.call("doit-cargo", "doctor", CARGO_HOME=str(home))
    first, missing, why, fix = bare.out.splitlines()[:4]
    assert (bare.status, first) == (
        1,
        "cargo is not on PATH (install Rust from https://rustup.rs, then open a new terminal)",
    )
    assert (missing, why) == ("missing cargo for any build", " any build needs cargo, which is not on PATH")
    assert fix.startswith(" fix: ")
    program(home / "bin/cargo", "exit 1")
    there = site.call("doit-cargo", "build", CARGO_HOME=str(home))
    told = f"doit-cargo: cargo is not on PATH\n fix: it is in {home}/bin: open a new terminal, or add that to PATH\n"
    assert (there.status, there.err) == (2, told)


def test_cargo_is_asked_once_and_again_when_the_lock_has_changed(site: Site) -> None:
    (site.bin / "cargo").unlink()
    program(site.bin / "cargo", f'echo "$@" >> {site.root}/calls\nexec {shutil.which("cargo")} "$@"')
    calls = site.root / "calls"
    for _ in range(2):
        site.call("doit-cargo", "doctor", "build")
    assert [line.split()[0] for line in calls.read_text().splitlines()].count("tree") == 1
    (site.root / "Cargo.lock").unlink()
    said = site.call("doit-cargo", "doctor", "build")
    assert said.out.splitlines()[0] == (
        "from Cargo.lock and the manifests, without cargo: Cargo.lock is absent or out of date "
        "(cargo generate-lockfile writes it anew)"
    )


# --- installing ------------------------------------------------------------------------------------------------------


def test_setup_deps_prints_one_line_and_runs_it_only_when_told(site: Site) -> None:
    program(site.bin / "apt-get", f'echo "$@" > {site.root}/installed')
    program(site.bin / "sudo", 'exec "$@"')
    line = "apt install libssl-dev protobuf-compiler libprotobuf-dev"
    said = site.call("doit-cargo", "setup_deps")
    assert (said.status, said.out.splitlines()[0].removeprefix("sudo ")) == (0, line)
    assert not (site.root / "installed").exists()
    assert site.call("doit-cargo", "setup_deps", "YES=1").status == 0
    assert (site.root / "installed").read_text() == "install -y libssl-dev protobuf-compiler libprotobuf-dev\n"
    program(site.bin / "apt-get", "exit 100")
    assert site.call("doit-cargo", "setup_deps", "YES=1").status == 1


def test_setup_deps_for_a_package_that_needs_nothing_installs_nothing(site: Site) -> None:
    said = site.call("doit-cargo", "setup_deps", "PACKAGE=alone", "YES=1")
    assert (said.status, said.out) == (0, ".. setup_deps nothing is missing\n")


# --- the other checks ------------------------------------------------------------------------------------------------


def test_check_cuda_env_always_reports_and_fails_only_without_nvcc(site: Site) -> None:
    said = site.call("doit-cargo", "check_cuda_env", CUDA_PATH="/none/cuda", CUDA_COMPUTE_CAP="90")
    first = said.out.splitlines()[0].split()
    assert (said.status, first[:2]) in ((0, ["ok", "nvcc"]), (1, ["missing", "nvcc"]))
    if said.status:
        assert "check_cuda_env needs nvcc, which is nowhere (looked at CUDA_PATH, PATH, the Python packages" in said.out
    assert "no GPU is here by nvidia-smi: code for one is built all the same, and runs elsewhere" in said.out
    assert "cudnn" in said.out


def test_check_cuda_paths_tells_variables_that_disagree(site: Site) -> None:
    real = site.bin.parent / "cuda"
    said = f"echo '#$ _HERE_={real}/bin'; echo '#$ TOP={real}/bin/..'"
    told = "echo 'Cuda compilation tools, release 12.4, V12.4.131'"
    program(real / "bin/nvcc", f'if [ "$1" = --version ]; then {told}; else {said}; fi')
    (site.bin / "nvcc").symlink_to(real / "bin/nvcc")
    write(real / "include/cuda_runtime.h", "")
    write(real / "lib64/libcudart_static.a", "")
    other = site.bin.parent / "other"
    other.mkdir()
    found = site.call("doit-cargo", "check_cuda_paths", CUDA_ROOT=str(other), CUDNN_PATH="/none/cudnn")
    assert found.status == 1
    lines = [line.replace(str(site.bin.parent), "") for line in found.out.splitlines()]
    assert lines[:5] == [
        "ok CUDA toolkit 12.4.131 /cuda",
        "ok headers /cuda/include/cuda_runtime.h",
        "ok libraries /cuda/lib64",
        "warn CUDA_ROOT /other",
        " CUDA_ROOT=/other is not the toolkit that nvcc at BIN/nvcc belongs to, /cuda",
    ]
    assert " CUDNN_PATH: CUDNN_PATH=/none/cudnn does not exist" in lines


def test_check_linker_names_the_linker_and_a_faster_one(site: Site) -> None:
    said = site.call("doit-cargo", "check_linker")
    assert (said.status, said.out.splitlines()[0]) == (0, "ok linker BIN/cc for rustc")
    assert re.search(r"^(ok|warn) (lld|mold)", said.out, re.MULTILINE)


def test_check_python_tells_what_is_here_where_no_crate_needs_one(site: Site) -> None:
    program(site.bin / "python3", "echo Python 3.12.4")
    assert site.call("doit-cargo", "check_python").out.splitlines()[0] == "ok python 3.12.4 BIN/python3"


def test_check_msvc_is_for_windows(site: Site) -> None:
    said = site.call("doit-cargo", "check_msvc")
    assert (said.status, said.err) == (3, "doit-cargo: check_msvc runs only on windows; this is linux\n")


# --- builds ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_there_at_the_last_success_and_is_gone_is_told_before_the_next_build(site: Site) -> None:
    site.pkg_config("3.0.2")
    program(site.bin / "protoc", "echo libprotoc 29.3")
    write(site.bin / "google/protobuf/descriptor.proto", "")
    assert site.call("doit-cargo", "dev", "PACKAGE=app").status == 0
    (site.bin / "protoc").unlink()
    assert site.call("doit-cargo", "dev", "PACKAGE=app").status == 0  # nothing to do: nothing is needed
    write(site.root / "crates/app/src/main.rs", "fn main() { println!(); }\n")
    said = site.call("doit-cargo", "dev", "PACKAGE=app")
    assert (said.status, said.err.splitlines()[0]) == (
        2,
        "!! dev prost-build (for app) needs protoc, which is not on PATH",
    )
    took = footprint.past(str(site.root / ".doit-cargo"), ("dev", "PACKAGE=app"))
    assert took.memory > 1_000_000


# --- sccache ---------------------------------------------------------------------------------------------------------


@contextmanager
def scheduler(status: str) -> Iterator[str]:
    """Answer as a scheduler of sccache-dist does; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/v1/scheduler/status" else 404)
            self.end_headers()
            self.wfile.write(status.encode())

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def looked_at(tmp_path: Path, settings: str, **variables: str) -> list[tuple[str, str, str]]:
    conf = write(tmp_path / "sccache.conf", settings)
    rows = sccache_report.rows({"SCCACHE_CONF": str(conf), **variables})
    return [(row.name, row.status, row.version or row.what) for row in rows]


def test_it_tells_what_an_sccache_set_up_shares(tmp_path: Path) -> None:
    cache = "sccache cache"
    assert looked_at(tmp_path, "") == [(cache, "ok", "disk")]
    assert looked_at(tmp_path, '[cache.redis]\nurl = "redis://:secret@host"\n') == [(cache, "ok", "redis")]
    assert looked_at(tmp_path, "", SCCACHE_BUCKET="ours") == [(cache, "ok", "s3")]
    assert [status for _, status, _ in looked_at(tmp_path, "[cache")] == ["warn"]
    rows = sccache_report.rows(
        {"SCCACHE_CONF": str(write(tmp_path / "c", '[cache.redis]\nurl = "redis://:secret@host"\n'))}
    )
    assert not any("secret" in str(row) for row in rows)


@pytest.mark.parametrize(
    ("auth", "status", "told"),
    [
        ("", "{}", ("warn", "it has no [dist.auth]: no builder takes its work")),
        ("token", '{"num_servers": 0}', ("warn", "its scheduler knows no builder")),
        ("token", '{"num_servers": 2, "num_cpus": 64, "in_progress": 0}', ("ok", "2 builders")),
        ("token", "[]", ("warn", "its scheduler does not tell how it is (no status): sccache compiles here instead")),
    ],
)
def test_it_asks_the_scheduler_of_sccache_dist(tmp_path: Path, auth: str, status: str, told: tuple[str, str]) -> None:
    with scheduler(status) as address:
        more = f'[dist.auth]\ntype = "{auth}"\ntoken = "x"\n' if auth else ""
        found = looked_at(tmp_path, f'[dist]\nscheduler_url = "{address}"\n{more}')
    assert found[1:] == [("sccache-dist", *told)]
