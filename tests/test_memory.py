"""Too little memory: said before cargo starts, by what an earlier build took, and named after a real failure."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Said, call, program
from conftest import needs_cargo, write
from doit_cargo.engine.toolchain import memory

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Linux's files and limits")

# --- what is free ----------------------------------------------------------------------------------------------------

GIGABYTE = 10**9
MACHINE = {"proc/meminfo": "MemTotal: 32000000 kB\nMemAvailable: 16000000 kB\n"}
VERSION_2 = {
    "proc/self/cgroup": "0::/user.slice/build.scope\n",
    "sys/fs/cgroup/user.slice/build.scope/memory.max": "4000000000\n",
    "sys/fs/cgroup/user.slice/build.scope/memory.current": "3500000000\n",
    "sys/fs/cgroup/user.slice/build.scope/memory.stat": "anon 500000000\ninactive_file 2500000000\n",
}
VERSION_1 = {
    "proc/self/cgroup": "5:devices:/\n4:cpu,memory:/docker/0a1b\n",
    "sys/fs/cgroup/memory/docker/0a1b/memory.limit_in_bytes": "2000000000\n",
    "sys/fs/cgroup/memory/docker/0a1b/memory.usage_in_bytes": "1500000000\n",
    "sys/fs/cgroup/memory/docker/0a1b/memory.stat": "total_inactive_file 0\n",
}
# Within a container the path of the group is the host's; what is mounted is the container's own.
CONTAINER = {
    "proc/self/cgroup": "0::/system.slice/docker-0a1b.scope\n",
    "sys/fs/cgroup/memory.max": "1000000000\n",
    "sys/fs/cgroup/memory.current": "400000000\n",
}
AROUND = {
    **VERSION_2,
    "sys/fs/cgroup/user.slice/memory.max": "1200000000\n",
    "sys/fs/cgroup/user.slice/memory.current": "1000000000\n",
}
UNLIMITED = {**VERSION_2, "sys/fs/cgroup/user.slice/build.scope/memory.max": "max\n"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 0),
        (MACHINE, 16.384),
        (MACHINE | UNLIMITED, 16.384),
        (MACHINE | VERSION_2, 3.0),
        (MACHINE | VERSION_1, 0.5),
        (MACHINE | CONTAINER, 0.6),
        (MACHINE | AROUND, 0.2),
    ],
    ids=["nothing is said", "the machine", "no limit", "version 2", "version 1", "a container", "a group around it"],
)
def test_the_tightest_limit_counts_and_files_in_the_cache_do_not(
    tmp_path: Path, files: dict[str, str], free: float
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    assert memory.available(str(tmp_path)) == round(free * GIGABYTE)


# --- real limits -----------------------------------------------------------------------------------------------------

# The compiler works out an array: it takes some 36 bytes an element, and nothing of it stays in the program.
HUNGRY = """\
const N: usize = 1 << 23;
const BIG: [u64; N] = [{fill}; N];
fn main() {{ std::hint::black_box(BIG.len()); }}
"""
MANIFEST = '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'
# The same for a C++ compiler, in a build script.
BUILD_SCRIPT = """\
use std::process::Command;
fn main() {
    let source = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/table.cpp";
    let arguments = ["-std=c++17", "-fconstexpr-ops-limit=99999999", "-fconstexpr-loop-limit=9999999", "-c"];
    let out = Command::new("g++").args(arguments).arg(source).args(["-o", "/dev/null"]).output().unwrap();
    if !out.status.success() { panic!("g++ failed:\\n{}", String::from_utf8_lossy(&out.stderr)) }
}
"""
TABLE = """\
#include <array>
template <int N> constexpr auto table() {
    std::array<long, N> made{};
    for (int place = 0; place < N; ++place) made[place] = place * 3L;
    return made;
}
constexpr auto numbers = table<1000000>();
int first() { return numbers[0]; }
"""


def build(root: Path, before: str = "", **variables: str) -> Said:
    """Build under what a shell says before: a limit, a control group."""
    shell = program(root.parent / "limited", f'{before}\nexec doit-cargo "$@"')
    return call(root, str(shell), "dev", CARGO_INCREMENTAL="0", **variables)


def hints(root: Path) -> list[str]:
    return [hint["name"] for hint in json.loads(call(root, "doit-cargo", "hint", "--json").out)["hints"]]


@pytest.fixture
def hungry(tmp_path: Path) -> Path:
    """A workspace whose compiler takes some 350 MB, built once, and edited."""
    root = tmp_path / "app"
    write(root / "Cargo.toml", MANIFEST)
    write(root / "src/main.rs", HUNGRY.format(fill=7))
    assert build(root).status == 0
    write(root / "src/main.rs", HUNGRY.format(fill=8))
    return root


@pytest.mark.slow
@needs_cargo
@linux_only
def test_a_limit_of_the_shell_is_told_before_and_named_after(hungry: Path) -> None:
    # Room enough for us and for cargo, whose threads take addresses too.
    said = build(hungry, "ulimit -v 300000")
    assert "warning: 307.2 MB of memory are free, and one process of the last build took " in said.out
    assert (said.status, hints(hungry)) == (1, ["out-of-memory"]), said
    assert "!! dev  cause: A compiler was killed or failed for lack of memory" in said.err


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of this test; only root may make one, and only where its files are mounted to be written."""
    top = Path("/sys/fs/cgroup/memory")
    group = top / f"doit-cargo-test-{os.getpid()}"
    if not (top / "memory.limit_in_bytes").is_file():
        pytest.skip("no control groups of version 1 are mounted here")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    group.rmdir()


@pytest.mark.slow
@needs_cargo
@linux_only
def test_a_compiler_that_the_kernel_kills_is_told_before_and_named_after(hungry: Path, memory_group: Path) -> None:
    write(memory_group / "memory.limit_in_bytes", str(200_000_000))  # room for us
    said = build(hungry, f"echo $$ > {memory_group}/cgroup.procs")
    assert " MB of memory are free, and one process of the last build took " in said.out
    assert "SIGKILL" in (hungry / ".logs/dev.log").read_text()
    assert (said.status, hints(hungry)) == (1, ["out-of-memory"])


@pytest.mark.slow
@needs_cargo
@linux_only
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on PATH")
def test_a_cpp_compiler_without_memory_is_named(tmp_path: Path) -> None:
    root = tmp_path / "app"
    for name, text in {"Cargo.toml": MANIFEST, "src/main.rs": "fn main() {}\n", "table.cpp": TABLE}.items():
        write(root / name, text)
    write(root / "build.rs", BUILD_SCRIPT)
    compiler = program(root.parent / "tools/g++", f'ulimit -v 120000\nexec {shutil.which("g++")} "$@"')
    path = os.pathsep.join([str(compiler.parent), os.environ["PATH"]])
    said = build(root, f'PATH="{compiler.parent}:$PATH"', PATH=os.pathsep.join([os.path.dirname(sys.executable), path]))
    assert (said.status, hints(root)) == (1, ["out-of-memory"])
