"""What a plan needs from the computer: whole messages, against small scripts that play the tools."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from doit_cargo.engine.base.errors import COULD_NOT_RUN, UserError
from doit_cargo.engine.base.model import Dependency, Invocation, Package, Plan, Profile, Setting, Workspace
from doit_cargo.engine.preflight import preflight
from doit_cargo.engine.preflight.cuda import compiler as cuda_checks
from doit_cargo.engine.toolchain import Machine, version_cache
from hosting import TRIPLE, Host, made, script

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

OLD_ARCHITECTURES = "50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90"
RISK = "or NVCC_APPEND_FLAGS=-allow-unsupported-compiler at your own risk"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return made(tmp_path, monkeypatch)


def test_a_computer_that_has_all_is_not_complained_about(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("gcc", "13.2.0")
    host.tool("protoc", "echo libprotoc 3.21.12")
    plan = host.plan(needs={"nvcc": ">=12.1", "protoc": ">=3.15"}, env={"CUDA_COMPUTE_CAP": "89"})
    assert host.said(plan) == ""
    preflight.require(plan, host.machine(), str(host.work))


def test_all_problems_are_raised_at_once_before_anything_runs(host: Host) -> None:
    (host.bin / "cc").unlink()
    plan = host.plan(needs={"protoc": ">=3.15", "cmake": ""})
    with pytest.raises(UserError) as raised:
        preflight.require(plan, host.machine(), str(host.work))
    assert raised.value.code == COULD_NOT_RUN
    assert (
        str(raised.value)
        == """\
rustc needs the linker cc, which is not on PATH
  fix: sudo apt install build-essential
profiles/base/cuda.toml:7: build_cuda needs protoc >=3.15, which is not on PATH
  fix: sudo apt install protobuf-compiler libprotobuf-dev
profiles/base/cuda.toml:7: build_cuda needs cmake, which is not on PATH
  fix: sudo apt install cmake"""
    )


@pytest.mark.parametrize(
    ("manager", "fix"),
    [
        ("apt", "sudo apt install protobuf-compiler libprotobuf-dev"),
        ("dnf", "sudo dnf install protobuf-compiler protobuf-devel"),
        ("pacman", "sudo pacman -S protobuf"),
        ("brew", "brew install protobuf"),
        ("winget", "winget install Google.Protobuf"),
        ("", "install protoc and put it on PATH"),
    ],
)
def test_the_fix_speaks_the_language_of_this_system(host: Host, manager: str, fix: str) -> None:
    host.manager = manager
    assert host.said(host.plan(needs={"protoc": ""})).splitlines()[1] == f"  fix: {fix}"


# --- Rust


def test_without_rust_the_installer_is_named(host: Host) -> None:
    for name in ("cargo", "rustc", "rustup"):
        (host.bin / name).unlink()
    fix = "  fix: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    assert host.said(host.plan()).splitlines() == [
        "build_cuda needs cargo, which is not on PATH",
        fix,
        "build_cuda needs rustc, which is not on PATH",
        fix,
    ]


def test_a_pinned_toolchain_that_is_missing_names_the_line_of_the_pin(host: Host) -> None:
    (host.work / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "1.85.0"\n')
    assert host.said(host.plan()) == (
        "/work/rust-toolchain.toml:2: the pinned toolchain 1.85.0 is not installed\n"
        "  fix: rustup toolchain install 1.85.0, or set RUSTUP_TOOLCHAIN to an installed one (rustup toolchain list)"
    )


def test_a_toolchain_that_rustup_fetches_by_itself_is_only_a_warning(host: Host) -> None:
    del host.environ["RUSTUP_AUTO_INSTALL"]
    (host.work / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "1.85.0"\n')
    assert host.said(host.plan()) == ""
    rows = preflight.report(host.plan(), host.machine(), str(host.work))
    assert (rows[0].status, rows[0].what) == (
        "warn",
        "the pinned toolchain 1.85.0 is not installed; rustup will fetch it first",
    )
    with (host.root / "rustup" / "settings.toml").open("a") as settings:
        settings.write('auto_install = "disable"\n')
    assert "the pinned toolchain 1.85.0 is not installed\n" in host.said(host.plan())


def test_a_toolchain_asked_for_on_the_command_line_must_be_there(host: Host) -> None:
    assert host.said(host.plan("cargo", "+nightly", "build")).splitlines()[0] == (
        "RUSTUP_TOOLCHAIN: the pinned toolchain nightly is not installed"
    )
    assert host.said(host.plan(env={"RUSTUP_TOOLCHAIN": "nope"})).splitlines()[0] == (
        "RUSTUP_TOOLCHAIN: the pinned toolchain nope is not installed"
    )


def test_a_broken_pin_file_and_a_missing_default_are_told_apart(host: Host) -> None:
    (host.root / "rustup" / "settings.toml").write_text("")
    assert host.said(host.plan()) == (
        "/rustup/settings.toml: rustup cannot choose a toolchain: rustup has no default toolchain\n"
        "  fix: rustup default stable"
    )
    (host.work / "rust-toolchain.toml").write_text("[other]\n")
    assert host.said(host.plan()) == (
        "/work/rust-toolchain.toml: rustup cannot choose a toolchain: it has no [toolchain] table\n"
        "  fix: repair the file"
    )


def package(host: Host, name: str, rust_version: str, *dependencies: Dependency) -> Package:
    directory = host.work / name
    directory.mkdir()
    manifest = directory / "Cargo.toml"
    manifest.write_text(f'[package]\nname = "{name}"\nrust-version = "{rust_version}"\n')
    return Package(name, "1.0.0", str(directory), str(manifest), {}, (), dependencies, rust_version)


def workspace(host: Host, default: str) -> Workspace:
    edges = [
        Dependency("core", str(host.work / "core")),
        Dependency("extra", str(host.work / "extra"), optional=True),
        Dependency("helper", str(host.work / "helper"), kind="dev"),
    ]
    packages = [
        package(host, "app", "1.80", *edges),
        package(host, "core", "1.94"),
        *(package(host, name, "1.99") for name in ("extra", "helper", "alone")),
    ]
    return Workspace(str(host.work), "", {member.name: member for member in packages}, (default,))


def test_rustc_must_be_new_enough_for_what_is_certainly_built(host: Host) -> None:
    members = workspace(host, "app")
    real = f"/rustup/toolchains/stable-{TRIPLE}/bin/rustc"
    expected = (
        f"/work/core/Cargo.toml:3: core needs rustc 1.94 or newer, found 1.90.0 at {real}\n"
        "  fix: rustup update, or: rustup toolchain install 1.94.0, and call doit-cargo +1.94.0 ..."
    )
    assert host.said(host.plan(packages=("app",)), members) == expected
    assert host.said(host.plan(), members) == expected
    assert host.said(host.plan("cargo", "build", "--ignore-rust-version"), members) == ""
    assert host.said(host.plan(packages=("alone",)), members).startswith(
        "/work/alone/Cargo.toml:3: alone needs rustc 1.99"
    )


def test_an_old_pin_is_said_to_be_what_must_change(host: Host) -> None:
    (host.work / "rust-toolchain").write_text("stable\n")
    assert host.said(host.plan(packages=("core",)), workspace(host, "app")).splitlines()[1].replace(
        str(host.root), ""
    ) == ("  fix: rustup toolchain install 1.94.0, and set it in /work/rust-toolchain:1")


def test_fmt_and_clippy_need_their_component_and_fmt_needs_no_linker(host: Host) -> None:
    (host.bin / "cc").unlink()
    for name in ("rustfmt", "cargo-clippy"):
        (host.bin / name).symlink_to("rustup")
    assert host.said(host.plan("cargo", "fmt", "--all")) == (
        f"build_cuda needs rustfmt, which the toolchain stable-{TRIPLE} lacks\n  fix: rustup component add rustfmt"
    )
    host.tool("rustfmt", "echo rustfmt 1.8.0", host.toolchain / "bin")
    assert host.said(host.plan("cargo", "fmt", "--all")) == ""
    assert host.said(host.plan("cargo", "clippy")) == (
        "rustc needs the linker cc, which is not on PATH\n"
        "  fix: sudo apt install build-essential\n"
        f"build_cuda needs clippy, which the toolchain stable-{TRIPLE} lacks\n"
        "  fix: rustup component add clippy"
    )


def test_a_subcommand_that_cargo_lacks_is_needed_as_a_tool(host: Host) -> None:
    plan = host.plan("cargo", "--config", "profile.release.lto=true", "nextest", "run")
    assert host.said(plan) == (
        "build_cuda needs cargo-nextest, which is not on PATH\n  fix: cargo install --locked cargo-nextest"
    )


def test_a_program_that_is_not_cargo_needs_no_rust(host: Host) -> None:
    for name in ("cargo", "rustc", "rustup", "cc"):
        (host.bin / name).unlink()
    assert (
        host.said(host.plan("ruff", "check"))
        == 'build_cuda needs ruff, which is not on PATH\n  fix: pip install "ruff"'
    )
    host.tool("ruff", "echo ruff 0.6.1")
    assert host.said(host.plan("ruff", "check")) == ""


def test_a_plan_without_a_process_needs_only_what_it_names(host: Host) -> None:
    plan = Plan("noop", Profile("x"), (), (), "dev", Invocation((), str(host.work)))
    assert preflight.report(plan, host.machine(), str(host.work)) == []


def test_a_linker_that_the_workspace_names_must_exist(host: Host) -> None:
    (host.work / ".cargo").mkdir()
    (host.work / ".cargo" / "config.toml").write_text(f'[target.{TRIPLE}]\nlinker = "clang"\n')
    assert host.said(host.plan()) == (
        "/work/.cargo/config.toml:2: rustc is told to link with clang, which does not exist or is not on PATH\n"
        "  fix: sudo apt install clang"
    )
    profile = Profile("x", config={f"target.{TRIPLE}.linker": Setting("cc", "profiles/x.toml:4")})
    assert host.said(host.plan(profile=profile)) == ""


# --- tools


def test_a_tool_too_old_says_what_was_found_and_where(host: Host) -> None:
    host.tool("protoc", "echo libprotoc 3.12.4")
    assert host.said(host.plan(needs={"protoc": ">=3.15"})) == (
        "profiles/base/cuda.toml:7: build_cuda needs protoc >=3.15, found 3.12.4 at /bin/protoc\n"
        "  fix: get protoc >=3.15: sudo apt install protobuf-compiler libprotobuf-dev"
    )


def test_rust_itself_may_be_needed_in_a_version_and_is_said_once(host: Host) -> None:
    rows = preflight.report(host.plan(needs={"rustc": "", "cargo": ""}), host.machine(), str(host.work))
    assert [row.name for row in rows] == ["cargo", "rustc", "linker"]
    assert host.said(host.plan(needs={"rustc": ">=1.95"})).splitlines()[0] == (
        "profiles/base/cuda.toml:7: build_cuda needs rustc >=1.95, found 1.90.0 at /bin/rustc"
    )


def test_a_tool_that_hangs_is_said_to_hang(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_cache, "VERSION_SECONDS", 0.1)
    host.tool("protoc", "/bin/sleep 20")
    start = time.monotonic()
    assert host.said(host.plan(needs={"protoc": ">=3.15"})) == (
        "profiles/base/cuda.toml:7: build_cuda needs protoc >=3.15, "
        "but /bin/protoc did not tell its version within 0.1 s\n"
        "  fix: run `/bin/protoc --version` to see why"
    )
    assert time.monotonic() - start < 5


def test_a_variable_that_hides_a_tool_is_named(host: Host) -> None:
    host.tool("protoc", "echo libprotoc 3.21.12")
    assert host.said(host.plan(needs={"protoc": ""}, env={"PROTOC": "/none/protoc"})).splitlines()[0] == (
        "profiles/base/cuda.toml:7: build_cuda needs protoc, but PROTOC=/none/protoc is no program"
    )


def test_the_environment_of_the_plan_counts_and_not_only_ours(host: Host) -> None:
    script(host.root / "more" / "protoc", "echo libprotoc 3.21.12")
    host.environ["PROTOC"] = "/none/protoc"
    plan = host.plan(needs={"protoc": ">=3.15"})
    invocation = Invocation(
        plan.invocation.argv, str(host.work), unset=("PROTOC",), path_prepend=(str(host.root / "more"),)
    )
    changed = Plan("build_cuda", plan.profile, (), (), "dev", invocation, needs=plan.needs)
    assert host.said(plan)
    assert host.said(changed) == ""


# --- CUDA


def test_nvcc_that_is_nowhere_names_the_places_and_both_ways_to_get_it(host: Host) -> None:
    host.environ["CUDA_PATH"] = "/none/cuda"
    assert host.said(host.plan(needs={"nvcc": ">=12.1"})) == (
        "profiles/base/cuda.toml:7: build_cuda needs nvcc >=12.1, which is nowhere "
        "(looked at CUDA_PATH, PATH, the Python packages, /no/usr/local/cuda)\n"
        '  fix: pip install "doit-cargo[cuda]", or sudo apt install nvidia-cuda-toolkit'
    )


def test_pip_is_not_named_for_a_cuda_that_pypi_lacks(host: Host) -> None:
    host.nvcc("13.0")
    host.compiler("gcc", "13.2.0")
    assert host.said(host.plan(needs={"nvcc": ">=12.1,<13"})) == (
        "profiles/base/cuda.toml:7: build_cuda needs nvcc >=12.1,<13, found 13.0.99 at /bin/nvcc\n"
        "  fix: sudo apt install nvidia-cuda-toolkit"
    )
    host.manager = "dnf"
    assert host.said(host.plan(needs={"nvcc": ">=12.1,<13"})).splitlines()[1] == (
        "  fix: NVIDIA's own packages (https://developer.nvidia.com/cuda-downloads)"
    )


def test_a_host_compiler_too_new_for_this_cuda_is_told_with_the_one_to_install(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("gcc", "17.0.1")
    assert host.said(host.plan(needs={"nvcc": ""})) == (
        "nvcc 12.4 accepts gcc up to 13, found gcc 17.0.1 at /bin/gcc\n"
        f"  fix: sudo apt install g++-13 and set NVCC_CCBIN=/usr/bin/g++-13, {RISK}"
    )
    host.manager = "dnf"
    assert host.said(host.plan(needs={"nvcc": ""})).splitlines()[1] == (
        f"  fix: install g++-13 and set NVCC_CCBIN to its path, {RISK}"
    )


def test_a_fitting_compiler_that_is_here_already_is_named(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("gcc", "14.2.0")
    for name in ("g++-14", "g++-12", "g++-11"):
        host.compiler(name, f"{name[-2:]}.1.0")
    assert host.said(host.plan(needs={"nvcc": ""})) == (
        f"nvcc 12.4 accepts gcc up to 13, found gcc 14.2.0 at /bin/gcc\n  fix: set NVCC_CCBIN=/bin/g++-12, {RISK}"
    )
    assert host.said(host.plan(needs={"nvcc": ""}, env={"NVCC_CCBIN": str(host.bin / "g++-12")})) == ""


def test_clang_has_a_ceiling_of_its_own_and_the_setting_is_named(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("clang++", "18.1.3", "clang")
    profile = Profile("cuda", env={"NVCC_CCBIN": Setting("clang++", "profiles/mine/clang.toml:9")})
    plan = host.plan(needs={"nvcc": ""}, profile=profile, env={"NVCC_CCBIN": "clang++"})
    assert host.said(plan) == (
        "profiles/mine/clang.toml:9: nvcc 12.4 accepts clang up to 17, found clang 18.1.3 at /bin/clang++\n"
        f"  fix: sudo apt install clang-17 and set NVCC_CCBIN=/usr/bin/clang++-17, {RISK}"
    )


def test_whoever_allows_any_compiler_is_warned_only(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("gcc", "14.2.0")
    plan = host.plan(needs={"nvcc": ""}, env={"NVCC_APPEND_FLAGS": "-O3 -allow-unsupported-compiler"})
    assert host.said(plan) == ""
    rows = {row.name: row for row in preflight.report(plan, host.machine(), str(host.work))}
    assert rows["host compiler"].status == "warn"


def test_a_cuda_that_the_table_does_not_know_sets_no_ceiling(host: Host) -> None:
    host.nvcc("14.9")
    host.compiler("gcc", "17.0.1")
    assert host.said(host.plan(needs={"nvcc": ""}, env={"CUDA_COMPUTE_CAP": "999"})) == ""


def test_nvcc_without_any_host_compiler_is_told_before_it_fails(host: Host) -> None:
    host.nvcc()
    assert host.said(host.plan(needs={"nvcc": ""})) == (
        "nvcc at /bin/nvcc needs the host compiler gcc, which is not on PATH\n  fix: sudo apt install build-essential"
    )
    host.compiler("gcc", "13.2.0")
    assert host.said(host.plan(needs={"nvcc": ""}, env={"NVCC_CCBIN": "/none/g++"})) == (
        "NVCC_CCBIN: nvcc is told to use the host compiler /none/g++, which is no program\n"
        "  fix: unset NVCC_CCBIN, or name a compiler there that exists"
    )


def test_visual_studio_out_of_range_is_told_in_its_own_numbers(host: Host) -> None:
    host.platform = "windows"
    host.manager = "winget"
    tools = host.root / "VS" / "VC" / "Tools" / "MSVC" / "14.40.33807" / "bin" / "Hostx64" / "x64"
    for name in ("cl.exe", "link.exe"):
        script(tools / name, "")
    host.environ["VCToolsInstallDir"] = str(tools.parents[2])
    host.environ["PATHEXT"] = ".EXE"
    for name in ("cargo", "rustc", "rustup", "nvcc"):
        (host.bin / f"{name}.exe").symlink_to(host.bin / name)
    host.nvcc("12.1")
    for name in ("cargo", "rustc"):
        (host.bin / f"{name}.exe").unlink()
        host.tool(f"{name}.exe", f"echo '{name} 1.90.0'")
    (host.bin / "rustup.exe").unlink()
    assert host.said(host.plan(needs={"nvcc": ""})) == (
        f"nvcc 12.1 accepts Visual C++ from 14.10 to 14.39, found msvc 14.40.33807 at {tools}/cl.exe\n"
        f"  fix: install a Visual C++ that fits and set NVCC_CCBIN to its cl.exe, {RISK}"
    ).replace(str(host.root), "")
    host.nvcc("12.4")
    assert host.said(host.plan(needs={"nvcc": ""})) == ""


@pytest.mark.parametrize(
    ("cuda", "asked", "message"),
    [
        ("12.4", "89", ""),
        ("12.4", "8.9", ""),
        ("12.4", "90a", ""),
        ("12.4", "sm_80;sm_86", ""),
        (
            "12.4",
            "120",
            "asks for 120, nvcc 12.4 makes code for 50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90",
        ),
        ("13.0", "70a", "asks for 70, nvcc 13.0 makes code for 75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121"),
        ("13.0", "80,70", "asks for 70, nvcc 13.0 makes code for 75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121"),
    ],
)
def test_the_compute_capability_must_be_one_that_this_cuda_makes(
    host: Host, cuda: str, asked: str, message: str
) -> None:
    host.nvcc(cuda)
    host.compiler("gcc", "11.4.0")
    span = {"120": "12.8 to 13.5", "80,70": "11.8 to 12.9", "70a": "11.8 to 12.9"}.get(asked)
    fix = f"\n  fix: set CUDA_COMPUTE_CAP to one of these, or use a CUDA from {span}"
    expected = f"CUDA_COMPUTE_CAP: CUDA_COMPUTE_CAP {message}{fix}" if message else ""
    assert host.said(host.plan(needs={"nvcc": ""}, env={"CUDA_COMPUTE_CAP": asked})) == expected


def test_no_gpu_is_a_warning_and_never_an_error(host: Host) -> None:
    host.nvcc("12.4")
    host.compiler("gcc", "13.2.0")
    plan = host.plan(needs={"nvcc": ""})
    assert host.said(plan) == ""
    rows = preflight.report(plan, host.machine(), str(host.work))
    assert [(row.name, row.status) for row in rows] == [
        ("cargo", "ok"),
        ("rustc", "ok"),
        ("linker", "ok"),
        ("nvcc", "ok"),
        ("host compiler", "ok"),
        ("CUDA_COMPUTE_CAP", "warn"),
    ]


def test_a_plan_without_cuda_never_asks_for_a_compute_capability(host: Host) -> None:
    assert host.said(host.plan(env={"CUDA_COMPUTE_CAP": "1"})) == ""


def test_every_cuda_release_is_typed_and_has_evidence() -> None:
    releases = cuda_checks.cuda_releases()
    assert {"11.8", "12.4", "13.5"} <= set(releases)
    for name, row in releases.items():
        assert isinstance(row["max_gcc"], int), name
        assert isinstance(row["max_clang"], int), name
        msvc, architectures = row["msvc"], row["sm"]
        assert isinstance(msvc, list), name
        assert len(msvc) == 2, name
        assert isinstance(architectures, list), name
        assert architectures == sorted(architectures), name
        assert row["evidence"], name
        assert row["min_driver_linux"], name


def _header() -> Path | None:
    import sysconfig

    found = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/cu*/include/crt/host_config.h"))
    return found[0] if found else None


@pytest.mark.cuda
@pytest.mark.skipif(_header() is None, reason="PyPI's nvidia-cuda-crt is not installed beside this Python")
def test_the_table_says_what_the_header_of_the_installed_cuda_says() -> None:
    import re
    from importlib.metadata import version

    header = _header()
    assert header is not None
    text = header.read_text()
    gcc, clang, msvc = (
        re.search(pattern, text)
        for pattern in (r"__GNUC__ > (\d+)", r"unsupported clang version! .* less than (\d+)", r"_MSC_VER >= (\d+)")
    )
    assert gcc
    assert clang
    assert msvc
    row = cuda_checks.cuda_release(version("nvidia-cuda-nvcc"))
    assert row["max_gcc"] == int(gcc[1])
    assert row["max_clang"] == int(clang[1]) - 1
    limits = row["msvc"]
    assert isinstance(limits, list)
    assert limits[1] == int(msvc[1]) - 1


def test_a_warm_check_is_quick_and_runs_nothing(host: Host) -> None:
    def never(argv: Sequence[str]) -> str:
        raise AssertionError(f"{argv} was run although its answer is cached")

    host.nvcc("12.4")
    host.compiler("gcc", "13.2.0")
    host.tool("protoc", "echo libprotoc 3.21.12")
    plan = host.plan(needs={"nvcc": ">=12.1", "protoc": ">=3.15"}, env={"CUDA_COMPUTE_CAP": "89"})
    assert host.said(plan) == ""
    costs = []
    for _ in range(10):
        cold = host.machine()
        machine = Machine(
            cold.environ, directory=str(host.work), cache=cold._cache.path, read_version=never, manager="apt"
        )
        start = time.perf_counter()
        assert preflight.check(plan, machine, str(host.work)) == []
        costs.append(time.perf_counter() - start)
    assert min(costs) < 0.030
