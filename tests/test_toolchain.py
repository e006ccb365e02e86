"""The programs of a computer, seen through real rustup, gcc and nvcc, and through small scripts that play them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from doit_cargo.engine import toolchain
from doit_cargo.engine.base import paths
from doit_cargo.engine.base.model import DETECTORS
from doit_cargo.engine.toolchain import (
    Machine,
    Tool,
    active_toolchain,
    platform,
    rustup,
    toolchain_identity,
    version_cache,
)
from doit_cargo.engine.toolchain.cuda import nvcc
from doit_cargo.engine.toolchain.native import linkers
from doit_cargo.engine.toolchain.versions import satisfies

RUSTUP = shutil.which("rustup")
needs_rustup = pytest.mark.skipif(RUSTUP is None, reason="rustup is not on PATH")
posix_only = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
pytestmark = posix_only

TRIPLE = platform.host_triple()


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def no_reading(argv: Sequence[str]) -> str:
    raise AssertionError(f"{argv} was run although its answer is cached")


@pytest.fixture
def bin_directory(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


@pytest.fixture
def environ(tmp_path: Path, bin_directory: Path) -> dict[str, str]:
    return {"PATH": str(bin_directory), "HOME": str(tmp_path / "home")}


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "tools.json")


@pytest.fixture(autouse=True)
def no_cuda_but_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nvcc, "python_libraries", lambda: [str(tmp_path / "site-packages")])
    monkeypatch.setattr(nvcc, "CUDA_DIRECTORY", str(tmp_path / "usr-local-cuda"))


# --- the platform


def test_the_platform_at_hand_has_a_name_cores_and_memory() -> None:
    found = platform.current()
    assert found.os in ("linux", "macos", "windows")
    assert found.arch
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory > 2**20


def test_a_container_cuts_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"/sys/fs/cgroup/cpu.max": "250000 100000", "/sys/fs/cgroup/memory.max": str(2**21)}
    monkeypatch.setattr(platform, "_first_line", lambda path: limits[path])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    assert platform.usable_cores() == 2
    assert platform.usable_memory() == 2**21
    limits |= {"/sys/fs/cgroup/cpu.max": "max 100000", "/sys/fs/cgroup/memory.max": "max"}
    assert platform.usable_cores() == 64
    assert platform.usable_memory() > 2**21


@pytest.mark.parametrize(
    ("release", "manager"),
    [
        ("ID=debian\n", "apt"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf"),
        ("ID=arch\n", "pacman"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper"),
        ("ID=alpine\n", "apk"),
        ("ID=mystery\n", "pacman"),
    ],
)
def test_the_package_manager_follows_os_release_and_then_path(tmp_path: Path, release: str, manager: str) -> None:
    (tmp_path / "os-release").write_text(release)
    on_path = {"pacman": "/usr/bin/pacman"}
    found = platform.package_manager("linux", lambda name: on_path.get(name, ""), str(tmp_path / "os-release"))
    assert found == manager


def test_install_commands_use_sudo_only_for_ordinary_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert platform.install_command("apt", "cmake") == "sudo apt install cmake"
    assert platform.install_command("brew", "cmake") == "brew install cmake"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert platform.install_command("apt", "cmake") == "apt install cmake"
    assert platform.install_command("", "cmake") == "install cmake"


def test_programs_on_windows_are_found_by_pathext(bin_directory: Path) -> None:
    script(bin_directory / "protoc.exe", "")
    environ = {"PATH": str(bin_directory), "PATHEXT": ".EXE;.CMD"}
    assert paths.which("protoc", environ, "windows") == str(bin_directory / "protoc.exe")
    assert paths.which("protoc", environ, "linux") == ""


# --- rustup


@pytest.fixture
def rustup_home(tmp_path: Path) -> Path:
    """A rustup home with three toolchains: 1.90.0, stable and one that was linked as `mine`."""
    home = tmp_path / "rustup"
    for name in (f"1.90.0-{TRIPLE}", f"stable-{TRIPLE}", "mine"):
        for program in ("rustc", "cargo"):
            script(home / "toolchains" / name / "bin" / program, f"echo {program} 1.90.0")
        (home / "toolchains" / name / "lib").mkdir()
        (home / "toolchains" / name / "lib" / "librustc_driver-0123.so").touch()
    (home / "settings.toml").write_text(f'version = "12"\ndefault_toolchain = "stable-{TRIPLE}"\n\n[overrides]\n')
    return home


@pytest.fixture
def rust_environ(environ: dict[str, str], rustup_home: Path, bin_directory: Path) -> dict[str, str]:
    script(bin_directory / "rustup", "exit 1")
    for proxy in ("cargo", "rustc"):
        (bin_directory / proxy).symlink_to("rustup")
    return {**environ, "RUSTUP_HOME": str(rustup_home)}


def test_without_a_pin_the_default_toolchain_is_active(
    rust_environ: dict[str, str], rustup_home: Path, tmp_path: Path
) -> None:
    found = active_toolchain(str(tmp_path), rust_environ)
    assert (found.name, found.where) == (f"stable-{TRIPLE}", str(rustup_home / "settings.toml"))
    assert found.installed
    assert not found.pinned


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("rust-toolchain", "1.90.0\n", 1),
        ("rust-toolchain", '[toolchain]\nchannel = "1.90.0"\n', 2),
        ("rust-toolchain.toml", '# why\n\n[toolchain]\nchannel = "1.90.0"\ncomponents = ["rustfmt"]\n', 4),
        ("rust-toolchain.toml", "toolchain = { channel = '1.90.0' }\n", None),
        ("rust-toolchain.toml", '[toolchain]\nchannel = "1.90.0" # see #12\n', 2),
    ],
)
def test_a_pin_file_above_the_directory_names_its_line(
    rust_environ: dict[str, str], tmp_path: Path, name: str, text: str, line: int | None
) -> None:
    (tmp_path / "work" / "deep").mkdir(parents=True)
    (tmp_path / "work" / name).write_text(text)
    found = active_toolchain(str(tmp_path / "work" / "deep"), rust_environ)
    pin = str(tmp_path / "work" / name)
    assert (found.name, found.where) == (f"1.90.0-{TRIPLE}", f"{pin}:{line}" if line else pin)
    assert found.installed


def test_a_missing_toolchain_is_known_by_the_name_that_was_pinned(rust_environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "1.85.1"\n')
    found = active_toolchain(str(tmp_path), rust_environ)
    assert (found.name, found.installed, found.where) == ("1.85.1", False, f"{tmp_path}/rust-toolchain.toml:2")


def test_a_broken_pin_file_is_a_problem_and_no_traceback(rust_environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rust-toolchain.toml").write_text("1.90.0\n")
    found = active_toolchain(str(tmp_path), rust_environ)
    assert not found.installed
    assert found.problem.startswith("it is no TOML: ")


SCENARIOS = {
    "default": ("", "", "", ""),
    "variable": ("1.95.0", "", "1.95.0\n", ""),
    "empty variable": ("", "", "1.95.0\n", ""),
    "legacy file": (None, "", "1.95.0\n", ""),
    "both files": (None, "", "1.95.0\n", '[toolchain]\nchannel = "nightly"\n'),
    "toml file": (None, "", "", '[toolchain]\nchannel = "nightly"\n'),
    "no channel": (None, "", "", '[toolchain]\ncomponents = ["rustfmt"]\n'),
    "full name": (None, "", "", f'[toolchain]\nchannel = "1.95.0-{TRIPLE}"\n'),
    "override beside a file": (None, "a", "1.95.0\n", ""),
    "override below a file": (None, "a/b", "1.95.0\n", ""),
    "override above a file": (None, "", "1.95.0\n", ""),
}


@needs_rustup
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_rustup_itself_agrees_about_the_active_toolchain(tmp_path: Path, scenario: str) -> None:
    """`rustup show active-toolchain` in the same place, with a home of our own over the real toolchains."""
    variable, override, legacy, toml = SCENARIOS[scenario]
    home = tmp_path / "rustup"
    work = tmp_path / "a" / "b"
    home.mkdir()
    work.mkdir(parents=True)
    store = Path(rustup.rustup_home(os.environ)) / "toolchains"
    if not all((store / f"{name}-{TRIPLE}").is_dir() for name in ("stable", "nightly", "1.95.0")):
        pytest.skip("needs the toolchains stable, nightly and 1.95.0")
    (home / "toolchains").symlink_to(store)
    overrides = f'"{tmp_path / override}" = "nightly-{TRIPLE}"\n' if override else ""
    overrides += f'"{tmp_path}" = "nightly-{TRIPLE}"\n' if scenario == "override above a file" else ""
    (home / "settings.toml").write_text(
        f'version = "12"\ndefault_toolchain = "stable-{TRIPLE}"\nprofile = "minimal"\n\n[overrides]\n{overrides}'
    )
    for name, text in (("rust-toolchain", legacy), ("rust-toolchain.toml", toml)):
        if text:
            (tmp_path / "a" / name).write_text(text)
    environ = {key: value for key, value in os.environ.items() if key != "RUSTUP_TOOLCHAIN"}
    environ |= {"RUSTUP_HOME": str(home)} | ({"RUSTUP_TOOLCHAIN": variable} if variable is not None else {})
    said = subprocess.run(
        ["rustup", "show", "active-toolchain"], cwd=work, env=environ, capture_output=True, text=True, check=True
    )
    found = active_toolchain(str(work), environ)
    assert found.name == said.stdout.split()[0]
    assert found.installed


def test_all_places_of_a_pin_are_candidates_whether_or_not_they_exist(
    rust_environ: dict[str, str], rustup_home: Path, tmp_path: Path
) -> None:
    found = toolchain.pin_candidates(str(tmp_path / "a"), rust_environ)
    assert found[:2] == (f"{tmp_path}/a/rust-toolchain", f"{tmp_path}/a/rust-toolchain.toml")
    assert "/rust-toolchain.toml" in found
    assert str(rustup_home / "settings.toml") in found


def test_the_identity_of_the_toolchain_holds_the_proxies_and_the_real_programs(
    rust_environ: dict[str, str], rustup_home: Path, bin_directory: Path, tmp_path: Path
) -> None:
    root = rustup_home / "toolchains" / f"stable-{TRIPLE}"
    assert toolchain_identity(str(tmp_path), rust_environ) == (
        str(bin_directory / "cargo"),
        str(bin_directory / "rustc"),
        str(bin_directory / "rustup"),
        str(rustup_home / "settings.toml"),
        str(root / "bin" / "rustc"),
        str(root / "bin" / "cargo"),
        str(root / "lib" / "librustc_driver-0123.so"),
    )


def test_another_pin_gives_another_identity(rust_environ: dict[str, str], tmp_path: Path) -> None:
    before = toolchain_identity(str(tmp_path), rust_environ)
    (tmp_path / "rust-toolchain").write_text("1.90.0\n")
    after = toolchain_identity(str(tmp_path), rust_environ)
    assert any("1.90.0" in path for path in after)
    assert not any("1.90.0" in path for path in before)


def test_a_rust_without_rustup_is_identified_by_its_own_root(environ: dict[str, str], tmp_path: Path) -> None:
    for program in ("cargo", "rustc"):
        script(tmp_path / "usr" / "bin" / program, "")
    (tmp_path / "usr" / "lib").mkdir()
    (tmp_path / "usr" / "lib" / "librustc_driver-9.so").touch()
    (tmp_path / "rust-toolchain").write_text("1.90.0\n")  # means nothing without rustup
    found = toolchain_identity(str(tmp_path), {**environ, "PATH": str(tmp_path / "usr" / "bin")})
    assert [os.path.relpath(path, tmp_path / "usr") for path in found] == [
        "bin/cargo",
        "bin/rustc",
        "lib/librustc_driver-9.so",
    ]


def test_rustc_variable_takes_part_in_the_identity(rust_environ: dict[str, str], tmp_path: Path) -> None:
    own = script(tmp_path / "own" / "bin" / "rustc-dev", "")
    assert str(own) in toolchain_identity(str(tmp_path), {**rust_environ, "RUSTC": str(own)})


@needs_rustup
def test_the_identity_of_the_real_toolchain_is_cheap(tmp_path: Path) -> None:
    files = toolchain_identity(str(tmp_path), os.environ)
    assert any("librustc_driver-" in path for path in files)
    costs = []
    for _ in range(20):
        start = time.perf_counter()
        toolchain_identity(str(tmp_path), os.environ)
        costs.append(time.perf_counter() - start)
    assert min(costs) < 0.003


# --- versions and their cache


VERSIONS = {
    "cc": ("cc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software Foundation, Inc.", "12.2.0", "gcc"),
    "gcc": ("g++-13 (Homebrew GCC 13.2.0) 13.2.0\nFree Software Foundation", "13.2.0", "gcc"),
    "clang": ("Ubuntu clang version 14.0.0-1ubuntu1\nTarget: x86_64-pc-linux-gnu", "14.0.0", "clang"),
    "c++": ("Apple clang version 15.0.0 (clang-1500.3.9.4)", "15.0.0", "clang"),
    "protoc": ("libprotoc 3.21.12", "3.21.12", ""),
    "cmake": ("cmake version 3.25.1\n\nCMake suite", "3.25.1", ""),
    "git": ("git version 2.39.5 (Apple Git-154)", "2.39.5", ""),
    "make": ("GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", "4.3", ""),
    "perl": ("This is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64", "5.36.0", ""),
    "rustup": (
        "rustup 1.29.0 (28d1352db 2026-03-05)\ninfo: the active `rustc` version is `rustc 1.95.0`",
        "1.29.0",
        "",
    ),
    "sccache": ("sccache 0.16.0", "0.16.0", ""),
    "some-tool": ("some-tool v2.0.1-beta", "2.0.1", ""),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_the_version_is_read_from_what_tools_really_print(
    environ: dict[str, str], bin_directory: Path, name: str
) -> None:
    text, version, family = VERSIONS[name]
    script(bin_directory / name, f"cat <<'END'\n{text}\nEND")
    tool = Machine({**environ, "PATH": f"{bin_directory}:/bin:/usr/bin"}).tool(name)
    assert tool is not None
    assert (tool.path, tool.version, tool.family) == (str(bin_directory / name), version, family)


def test_a_tool_that_nobody_has_is_none(environ: dict[str, str]) -> None:
    machine = Machine(environ)
    assert machine.tool("protoc") is None
    assert not machine.has("protoc")
    assert machine.detect("no such thing") is None


def test_a_version_is_asked_once_and_then_read_from_disk(
    environ: dict[str, str], bin_directory: Path, cache: str
) -> None:
    script(bin_directory / "protoc", "echo libprotoc 3.21.12")
    assert Machine(environ, cache=cache).has("protoc", ">=3.15")
    again = Machine(environ, cache=cache, read_version=no_reading).tool("protoc")
    assert again is not None
    assert again.version == "3.21.12"


def test_a_tool_that_changed_is_asked_again(environ: dict[str, str], bin_directory: Path, cache: str) -> None:
    script(bin_directory / "protoc", "echo libprotoc 3.21.12")
    Machine(environ, cache=cache).tool("protoc")
    script(bin_directory / "protoc", "echo libprotoc 29.3")
    tool = Machine(environ, cache=cache).tool("protoc")
    assert tool is not None
    assert tool.version == "29.3"


def test_a_script_is_asked_again_for_another_path_and_after_a_while(
    environ: dict[str, str], bin_directory: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(bin_directory / "python", 'echo "Python 3.$NEW"')
    seen = [Machine({**environ, "NEW": "10.1"}, cache=cache).tool("python")]
    seen.append(Machine({**environ, "NEW": "11.1"}, cache=cache).tool("python"))
    seen.append(Machine({**environ, "NEW": "12.1", "PATH": f"{bin_directory}:/x"}, cache=cache).tool("python"))
    later = time.time() + 2 * version_cache.SCRIPT_SECONDS
    monkeypatch.setattr(time, "time", lambda: later)
    seen.append(Machine({**environ, "NEW": "13.1"}, cache=cache).tool("python"))
    assert [tool and tool.version for tool in seen] == ["3.10.1", "3.10.1", "3.12.1", "3.13.1"]


def test_two_names_of_one_dispatcher_keep_their_own_answers(
    environ: dict[str, str], bin_directory: Path, cache: str
) -> None:
    script(bin_directory / "ccache", 'case "$0" in *clang) echo clang version 16.0.1;; *) echo "gcc (X) 13.2.0";; esac')
    for name in ("gcc", "clang"):
        (bin_directory / name).symlink_to("ccache")
    for _ in range(2):
        machine = Machine(environ, cache=cache)
        assert [tool and tool.version for tool in map(machine.tool, ("gcc", "clang"))] == ["13.2.0", "16.0.1"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "answers": {"x": 1}}', '{"format": 9}']
)
def test_a_torn_cache_is_an_empty_one(environ: dict[str, str], bin_directory: Path, cache: str, text: str) -> None:
    script(bin_directory / "protoc", "echo libprotoc 3.21.12")
    Path(cache).parent.mkdir()
    Path(cache).write_text(text)
    assert Machine(environ, cache=cache).has("protoc", "==3.21.12")
    assert json.loads(Path(cache).read_text())["format"] == version_cache.CACHE_FORMAT
    assert [path.name for path in Path(cache).parent.iterdir()] == ["tools.json"]


def test_a_cache_that_cannot_be_written_is_no_error(environ: dict[str, str], bin_directory: Path) -> None:
    script(bin_directory / "protoc", "echo libprotoc 3.21.12")
    assert Machine(environ, cache="/proc/none/tools.json").has("protoc")


def test_a_tool_that_hangs_with_its_children_is_given_up(
    environ: dict[str, str], bin_directory: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_cache, "VERSION_SECONDS", 0.2)
    script(bin_directory / "protoc", "echo libprotoc 3.21.12; /bin/sleep 30 & wait")
    start = time.monotonic()
    tool = Machine(environ, cache=cache).tool("protoc")
    assert time.monotonic() - start < 5
    assert tool is not None
    assert tool.version == ""
    assert not Path(cache).exists()


@pytest.mark.parametrize("body", ["exit 3", "echo libprotoc 9.9; exit 3", "echo no number here", "kill -9 $$"])
def test_a_tool_that_does_not_tell_its_version_fits_no_specifier(
    environ: dict[str, str], bin_directory: Path, body: str
) -> None:
    script(bin_directory / "protoc", body)
    machine = Machine(environ)
    assert machine.has("protoc")
    assert not machine.has("protoc", ">=0")


NUMBERS = ["1", "1.0", "1.0.0", "1.2", "1.10", "2.0.1", "12.4", "13.5.37"]
CLAUSES = [f"{operator}{number}" for operator in (">=", "<=", ">", "<", "==", "!=", "~=") for number in NUMBERS]


def test_specifiers_mean_what_packaging_says() -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for version, clause in itertools.product([*NUMBERS, "1.0rc1"], [*CLAUSES, ">=1, <13", ">1,!=1.2", "==1.*", ""]):
        try:
            expected = SpecifierSet(clause).contains(version, prereleases=True)
        except InvalidSpecifier:
            continue
        assert satisfies(version, clause) == expected, (version, clause)


def test_a_component_is_sought_in_the_active_toolchain_not_among_the_proxies(
    rust_environ: dict[str, str], rustup_home: Path, bin_directory: Path, tmp_path: Path
) -> None:
    (bin_directory / "rustfmt").symlink_to("rustup")
    assert Machine(rust_environ, directory=str(tmp_path / "workspace")).tool("rustfmt") is None
    script(rustup_home / "toolchains" / f"stable-{TRIPLE}" / "bin" / "rustfmt", "echo rustfmt 1.8.0-stable")
    tool = Machine(rust_environ, directory=str(tmp_path / "workspace")).tool("rustfmt")
    assert tool is not None
    assert (tool.version, tool.path) == ("1.8.0", str(bin_directory / "rustfmt"))


def test_a_variable_decides_over_path_even_if_it_names_nothing(environ: dict[str, str], bin_directory: Path) -> None:
    script(bin_directory / "protoc", "echo libprotoc 3.21.12")
    assert Machine({**environ, "PROTOC": "/nowhere/protoc"}).tool("protoc") is None


def test_a_cargo_subcommand_is_found_in_cargo_home(environ: dict[str, str], tmp_path: Path) -> None:
    script(tmp_path / "home" / ".cargo" / "bin" / "cargo-nextest", "echo cargo-nextest 0.9.100")
    assert Machine(environ).has("cargo-nextest", ">=0.9.70")


def test_python_is_found_as_pyo3_finds_it(environ: dict[str, str], bin_directory: Path, tmp_path: Path) -> None:
    script(bin_directory / "python", "echo Python 2.7.18")
    script(bin_directory / "python3", "echo Python 3.12.1")
    script(tmp_path / "venv" / "bin" / "python", "echo Python 3.11.2")
    mine = script(tmp_path / "mine", "echo Python 3.13.0")
    with_venv = {**environ, "VIRTUAL_ENV": str(tmp_path / "venv")}
    found = [Machine(seen).tool("python") for seen in (environ, with_venv, {**with_venv, "PYO3_PYTHON": str(mine)})]
    assert [tool and tool.version for tool in found] == ["3.12.1", "3.11.2", "3.13.0"]


def test_libclang_is_the_c_library_and_not_its_cpp_sister(environ: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "llvm-16" / "lib"
    folder.mkdir(parents=True)
    (folder / "libclang-cpp.so.16").touch()
    seen = {**environ, "LIBCLANG_PATH": str(folder)}
    assert Machine(seen).tool("libclang") is None
    (folder / "libclang-16.so.1").touch()
    tool = Machine(seen).tool("libclang")
    assert tool is not None
    assert (tool.path, tool.version) == (str(folder / "libclang-16.so.1"), "16")


# --- linkers


def test_the_linker_is_cc_unless_the_environment_or_cargo_says_otherwise(
    environ: dict[str, str], bin_directory: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    (work / ".cargo").mkdir(parents=True)
    for name in ("cc", "clang", "mylinker"):
        script(bin_directory / name, "")
    triple = "x86_64-unknown-linux-gnu"
    variable = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER"

    def request(**more: str) -> tuple[str, str, str]:
        found = linkers.linker_request(Machine({**environ, **more}, directory=str(work)), triple)
        return found.asked, found.where, os.path.basename(found.path)

    assert request() == ("cc", "", "cc")
    (work / ".cargo" / "config.toml").write_text(f'[target.{triple}]\nlinker = "clang"\n')
    assert request() == ("clang", f"{work}/.cargo/config.toml:2", "clang")
    assert request(**{variable: "mylinker"}) == ("mylinker", variable, "mylinker")
    assert request(**{variable: "/none/ld"}) == ("/none/ld", variable, "")


@pytest.mark.parametrize(
    ("triple", "linker"),
    [
        ("aarch64-unknown-linux-gnu", "cc"),
        ("x86_64-pc-windows-gnu", "x86_64-w64-mingw32-gcc"),
        ("x86_64-pc-windows-msvc", "link.exe"),
        ("wasm32-unknown-unknown", "rust-lld"),
    ],
)
def test_each_target_has_the_default_linker_of_rustc(environ: dict[str, str], triple: str, linker: str) -> None:
    assert linkers.linker_request(Machine(environ, directory="/"), triple).asked == linker


def test_the_tool_called_linker_is_the_one_that_rustc_takes(
    environ: dict[str, str], bin_directory: Path, tmp_path: Path
) -> None:
    script(bin_directory / "cc", "echo 'cc (Debian 12.2.0-14) 12.2.0'; echo 'Free Software Foundation'")
    script(bin_directory / "ld.lld", "echo 'Debian LLD 14.0.6 (compatible with GNU linkers)'")
    script(bin_directory / "mold", "echo 'mold 2.30.0 (compatible with GNU ld)'")
    variable = f"CARGO_TARGET_{TRIPLE.upper().replace('-', '_')}_LINKER"
    seen = []
    for more in ({}, {variable: "ld.lld"}, {variable: "mold"}, {variable: "/none/ld"}):
        tool = Machine({**environ, **more}, directory=str(tmp_path / "workspace")).tool("linker")
        seen.append((tool.path, tool.version, tool.family) if tool else None)
    assert seen == [
        (str(bin_directory / "cc"), "12.2.0", "gcc"),
        (str(bin_directory / "ld.lld"), "14.0.6", ""),
        (str(bin_directory / "mold"), "2.30.0", ""),
        None,
    ]


def test_the_linker_of_wasm_is_the_one_beside_rustc(environ: dict[str, str], tmp_path: Path) -> None:
    rustc = script(tmp_path / "rust" / "bin" / "rustc", "echo rustc 1.90.0")
    machine = {**environ, "RUSTC": str(rustc), "CARGO_BUILD_TARGET": "wasm32-unknown-unknown"}
    assert Machine(machine, directory=str(tmp_path)).tool("linker") is None
    lld = script(tmp_path / "rust" / "lib" / "rustlib" / TRIPLE / "bin" / "rust-lld", "exit 1")
    tool = Machine(machine, directory=str(tmp_path)).tool("linker")
    assert tool is not None
    assert (tool.path, tool.version) == (str(lld), "")


# --- Visual Studio, played by a script


@pytest.fixture
def visual_studio(environ: dict[str, str], tmp_path: Path) -> Machine:
    programs = tmp_path / "Program Files (x86)"
    installation = tmp_path / "VS"
    tools = installation / "VC" / "Tools" / "MSVC" / "14.40.33807" / "bin" / "Hostx64" / "x64"
    script(tools / "cl.exe", "")
    script(tools / "link.exe", "")
    (installation / "VC" / "Auxiliary" / "Build").mkdir(parents=True)
    version_file = installation / "VC" / "Auxiliary" / "Build" / "Microsoft.VCToolsVersion.default.txt"
    version_file.write_text("14.40.33807\n")
    script(programs / "Microsoft Visual Studio" / "Installer" / "vswhere.exe", f"echo '{installation}'")
    return Machine({**environ, "ProgramFiles(x86)": str(programs)}, "windows")


def test_cl_exe_is_found_through_vswhere(visual_studio: Machine, tmp_path: Path) -> None:
    tools = tmp_path / "VS" / "VC" / "Tools" / "MSVC" / "14.40.33807" / "bin" / "Hostx64" / "x64"
    assert visual_studio.detect("msvc_cl") == str(tools / "cl.exe")
    linker = visual_studio.tool("link.exe")
    assert linker is not None
    assert (linker.version, linker.family) == ("14.40.33807", "msvc")
    assert repr(visual_studio.tool("linker")) == repr(linker)


def test_there_is_no_cl_exe_without_visual_studio(environ: dict[str, str]) -> None:
    assert Machine(environ, "windows").detect("msvc_cl") is None
    assert Machine(environ, "linux").detect("msvc_cl") is None


def test_the_detectors_are_those_that_profiles_may_name() -> None:
    assert sorted(toolchain.DETECTORS) == sorted(DETECTORS)


# --- nvcc


def fake_nvcc(root: Path, version: str = "12.4", patch: str = "131") -> Path:
    """A toolkit that says what a real nvcc says to --version and --dryrun; the dry run wants a gcc."""
    for part in ("nvvm/bin/cicc", "bin/ptxas", "bin/cudafe++"):
        script(root / part, "")
    return script(
        root / "bin" / "nvcc",
        f"""if [ "$1" = --version ]; then
  echo "nvcc: NVIDIA (R) Cuda compiler driver"; echo "Cuda compilation tools, release {version}, V{version}.{patch}"
elif command -v gcc >/dev/null; then
  echo '#$ _HERE_={root}/bin' >&2; echo '#$ TOP={root}/bin/..' >&2; echo '#$ gcc -E "x.cu"' >&2
else
  echo 'gcc: No such file or directory' >&2; exit 1
fi""",
    )


def test_nvcc_is_sought_in_the_documented_order(environ: dict[str, str], bin_directory: Path, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("own", "path-variable", "home-variable", "root-variable")]
    wheel = tmp_path / "site-packages" / "nvidia" / "cu13"
    for root in (*places, wheel, tmp_path / "usr-local-cuda"):
        fake_nvcc(root)
    script(bin_directory / "nvcc", f'exec "{places[0]}/bin/nvcc" "$@"')
    seen = {
        **environ,
        "NVCC": str(places[0] / "bin" / "nvcc"),
        **{name: str(root) for name, root in zip(("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT"), places[1:], strict=True)},
    }
    found = []
    for removed in ("NVCC", "CUDA_PATH", "CUDA_HOME", "CUDA_ROOT", None):
        tool = Machine(seen).tool("nvcc")
        assert tool is not None
        found.append(tool.path)
        seen.pop(removed or "", None)
    for gone in (bin_directory / "nvcc", wheel / "bin" / "nvcc"):
        gone.unlink()
        tool = Machine(seen).tool("nvcc")
        assert tool is not None
        found.append(tool.path)
    expected = [*(root / "bin" / "nvcc" for root in places), bin_directory / "nvcc", wheel / "bin" / "nvcc"]
    assert found == [*map(str, expected), str(tmp_path / "usr-local-cuda" / "bin" / "nvcc")]


def test_a_wrapper_on_path_gives_the_true_root(
    environ: dict[str, str], bin_directory: Path, tmp_path: Path, cache: str
) -> None:
    root = tmp_path / "opt" / "cuda-12.4"
    fake_nvcc(root)
    gcc = script(bin_directory / "gcc", "echo 'gcc (X) 13.2.0'")
    wrapper = script(bin_directory / "nvcc", f'exec "{root}/bin/nvcc" "$@"')
    for reader in (None, no_reading):
        machine = Machine(environ, cache=cache, read_version=reader)
        tool = machine.tool("nvcc")
        assert tool is not None
        assert (tool.path, tool.real_path, tool.version) == (str(wrapper), str(root / "bin" / "nvcc"), "12.4.131")
        assert machine.detect("cuda_root") == str(root)
        assert machine.detect("nvcc_directory") == str(bin_directory)
        parts = ("nvvm/bin/cicc", "bin/ptxas", "bin/cudafe++")
        assert toolchain.identity_of(tool) == (str(wrapper), tool.real_path, *(f"{root}/{p}" for p in parts), str(gcc))


def test_a_new_toolkit_behind_an_old_wrapper_is_noticed(
    environ: dict[str, str], bin_directory: Path, tmp_path: Path, cache: str
) -> None:
    root = tmp_path / "opt" / "cuda"
    script(bin_directory / "gcc", "echo 'gcc (X) 13.2.0'")
    script(bin_directory / "nvcc", f'exec "{root}/bin/nvcc" "$@"')
    for version in ("12.4", "13.0"):
        fake_nvcc(root, version)
        assert Machine(environ, cache=cache).has("nvcc", f">={version},<{version}.999")


def test_a_root_that_the_dry_run_could_not_tell_is_not_remembered(
    environ: dict[str, str], bin_directory: Path, tmp_path: Path, cache: str
) -> None:
    root = tmp_path / "opt" / "cuda"
    fake_nvcc(root)
    script(bin_directory / "nvcc", f'exec "{root}/bin/nvcc" "$@"')
    assert Machine(environ, cache=cache).detect("cuda_root") == str(tmp_path)
    script(bin_directory / "gcc", "echo 'gcc (X) 13.2.0'")
    assert Machine(environ, cache=cache).detect("cuda_root") == str(root)


def _real_nvcc() -> str:
    import glob
    import sysconfig

    found = glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "cu*", "bin", "nvcc"))
    return found[0] if found else ""


needs_nvcc = pytest.mark.skipif(not _real_nvcc(), reason="PyPI's nvidia-cuda-nvcc is not installed beside this Python")


@pytest.mark.cuda
@needs_nvcc
def test_the_real_nvcc_of_the_wheel_is_found_with_its_root(monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    monkeypatch.undo()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "NVCC"))}
    machine = Machine({**environ, "CUDA_PATH": os.path.dirname(os.path.dirname(_real_nvcc()))}, cache=cache)
    tool = machine.tool("nvcc")
    assert tool is not None
    assert tool.path == _real_nvcc()
    assert tool.root == os.path.dirname(os.path.dirname(_real_nvcc()))
    assert satisfies(tool.version, ">=13")
    names = [os.path.basename(path) for path in toolchain.identity_of(tool)]
    assert {"nvcc", "cicc", "ptxas", "cudafe++"} <= set(names)


HOST_REQUESTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a file": {"NVCC_CCBIN": "{real}/g++"},
    "a bare name": {"NVCC_CCBIN": "g++"},
    "an unknown bare name": {"NVCC_CCBIN": "g++-99"},
    "a missing file": {"NVCC_CCBIN": "/nonexistent/g++"},
    "a directory with gcc": {"NVCC_CCBIN": "{with_gcc}"},
    "a directory with g++ only": {"NVCC_CCBIN": "{with_gxx}"},
    "an empty variable": {"NVCC_CCBIN": ""},
    "a flag before": {"NVCC_PREPEND_FLAGS": "-O2 -ccbin {real}/g++", "NVCC_CCBIN": "/nonexistent"},
    "a flag after": {"NVCC_APPEND_FLAGS": "--compiler-bindir=/nonexistent/x", "NVCC_CCBIN": "{real}/g++"},
    "no gcc on PATH": {"PATH": "{empty}"},
}


@pytest.mark.cuda
@needs_nvcc
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on PATH")
@pytest.mark.parametrize("name", HOST_REQUESTS)
def test_the_real_nvcc_agrees_about_its_host_compiler(tmp_path: Path, name: str) -> None:
    folders = {key: tmp_path / key for key in ("with_gcc", "with_gxx", "empty")}
    for folder in folders.values():
        folder.mkdir()
    for key, program in (("with_gcc", "gcc"), ("with_gxx", "g++")):
        (folders[key] / program).symlink_to(os.path.realpath(str(shutil.which(program))))
    values = {
        **{key: str(folder) for key, folder in folders.items()},
        "real": os.path.dirname(str(shutil.which("g++"))),
    }
    more = {key: value.format(**values) for key, value in HOST_REQUESTS[name].items()}
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **more}
    ran = subprocess.run([_real_nvcc(), "--dryrun", "x.cu"], env=environ, capture_output=True, text=True, check=False)
    root = os.path.dirname(os.path.dirname(_real_nvcc()))
    request = nvcc.host_compiler_request(Machine(environ), Tool("nvcc", _real_nvcc(), "13", root=root))
    assert bool(request.path) == (ran.returncode == 0), ran.stderr
    if request.path:
        line = next(line for line in ran.stderr.splitlines() if " -E -x c++ " in line)
        assert os.path.basename(request.path) in line.split()[1]


@pytest.fixture(scope="module")
def real_machine_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("tools") / "tools.json")


@needs_rustup
def test_all_tools_of_this_machine_cost_a_few_stats_the_second_time(
    real_machine_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    names = ["cargo", "rustc", "rustup", "cc", "nvcc", "python", "sccache", "git", "make", "pkg-config", "protoc"]
    environ: Mapping[str, str] = dict(os.environ)
    first = Machine(environ, cache=real_machine_cache)
    versions = [tool and tool.version for tool in map(first.tool, names)]
    costs = []
    for _ in range(10):
        start = time.perf_counter()
        again = Machine(environ, cache=real_machine_cache, read_version=no_reading)
        assert [tool and tool.version for tool in map(again.tool, names)] == versions
        costs.append(time.perf_counter() - start)
    assert min(costs) < 0.005
