"""From a target and its variables to a plan: packages, features, arguments, environment, and every refusal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FakeMachine, Spec, make_workspace, needs_cargo, read_workspace, write
from doit_cargo.engine.base import variables
from doit_cargo.engine.base.errors import Absent, UserError
from doit_cargo.engine.base.model import Plan, Target, Workspace
from doit_cargo.engine.plan import plan as planning
from doit_cargo.engine.plan import render
from doit_cargo.engine.plan.profiles import Library
from doit_cargo.targets import catalogue

pytestmark = needs_cargo

# As mistral.rs: the pack of that name is detected by the names, and cargo says the rest.
FORK: Spec = {
    "mistralrs-server": {
        "bins": {"mistralrs-server": [], "tuner": ["tune"]},
        "features": {
            "cuda": ["mistralrs-core/cuda"],
            "cudnn": ["mistralrs-core/cudnn"],
            "flash-attn": ["cuda"],
            "mkl": [],
            "metal": ["mistralrs-core/metal"],
            "acceleate": [],
            "tune": [],
            "all-of-it": ["tune"],
        },
        "dependencies": {"mistralrs-core": ""},
    },
    "mistralrs-core": {"features": {"cuda": [], "cudnn": [], "metal": [], "nccl": ["cuda"]}},
    "mistralrs-pyo3": {"dependencies": {"mistralrs-core": ""}, "bins": {"stubs": []}},
    "mistralrs-bench": {"bins": {"mistralrs-bench": []}},
}
ROWS = {target.name: target for target in catalogue.rows()}
PYTHON = FakeMachine(tools=("python",))
CUDA = FakeMachine(
    environ={"PATH": "/usr/bin"},
    tools=("python", "nvcc"),
    detected={"cuda_root": "/opt/cuda", "nvcc_directory": "/opt/cuda/bin"},
)


@pytest.fixture(scope="module")
def fork(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return read_workspace(make_workspace(tmp_path_factory.mktemp("fork"), FORK))


def make(workspace: Workspace, target: str | Target, machine: FakeMachine = PYTHON, **raw: str) -> Plan:
    row = ROWS[target] if isinstance(target, str) else target
    values = variables.parse(raw, {row.name: row.takes})
    return planning.make(row, values, workspace, Library.load(workspace), machine)


def arguments(workspace: Workspace, target: str | Target, machine: FakeMachine = PYTHON, **raw: str) -> str:
    return " ".join(make(workspace, target, machine, **raw).invocation.argv)


def refusal(workspace: Workspace, target: str | Target, machine: FakeMachine = PYTHON, **raw: str) -> str:
    with pytest.raises(UserError) as caught:
        make(workspace, target, machine, **raw)
    assert not isinstance(caught.value, Absent)
    return str(caught.value)


def absence(workspace: Workspace, target: str | Target, machine: FakeMachine = PYTHON, **raw: str) -> str:
    with pytest.raises(Absent) as caught:
        make(workspace, target, machine, **raw)
    return str(caught.value)


def with_overlay(root: Path, spec: Spec, **profiles: str) -> Workspace:
    for name, text in profiles.items():
        write(root / f"profiles/{name}.toml", text)
    return read_workspace(make_workspace(root, spec))


# --- arguments -------------------------------------------------------------------------------------------------------


ARGUMENTS = {
    "build": "build --release --package mistralrs-server",
    "build_server": "build --release --package mistralrs-server",
    "build_all": "build --release --workspace",
    "dev": "build --package mistralrs-server",
    "dev_fast": "build --package mistralrs-server",
    "build_cuda": "build --release --package mistralrs-server --features cuda,flash-attn,cudnn",
    "build_cuda_full": "build --release --package mistralrs-server --features cuda,flash-attn,cudnn,mkl",
    "build_low_memory": "build --profile low-memory --package mistralrs-server "
    '--config profile.low-memory.inherits="release" --config profile.low-memory.lto="off" '
    "--config profile.low-memory.codegen-units=16 --jobs 2",
    "build_profiled": "build --profile release-with-debug --package mistralrs-server "
    '--config profile.release-with-debug.inherits="release" --config profile.release-with-debug.debug=true '
    "--config profile.release-with-debug.strip=false",
    "build_lto_thin": 'build --release --package mistralrs-server --config profile.release.lto="thin"',
    "build_lto_fat": 'build --release --package mistralrs-server --config profile.release.lto="fat"',
    "build_release_fast": "build --profile release-fast --package mistralrs-server "
    '--config profile.release-fast.inherits="release" --config profile.release-fast.lto="thin" '
    "--config profile.release-fast.codegen-units=4",
    "release": 'build --release --package mistralrs-server --config profile.release.lto="fat" '
    "--config profile.release.opt-level=3 --config profile.release.codegen-units=1 "
    "--config profile.release.strip=true --config profile.release.debug=false",
    "check": "check --workspace",
    "check_server": "check --package mistralrs-server",
}


@pytest.mark.parametrize("target", ARGUMENTS)
def test_a_target_renders_these_arguments(fork: Workspace, target: str) -> None:
    assert arguments(fork, target, CUDA) == f"cargo {ARGUMENTS[target]}"


def test_variables_add_their_arguments(fork: Workspace) -> None:
    text = arguments(fork, "build", JOBS="3", VERBOSE="1", TARGET="x86_64-unknown-linux-musl", FEATURES="tune")
    assert text == (
        "cargo build --release --package mistralrs-server --features tune --target x86_64-unknown-linux-musl "
        "--jobs 3 -vv"
    )


def test_jobs_of_the_user_win_over_those_of_the_profile(fork: Workspace) -> None:
    assert arguments(fork, "build_low_memory", JOBS="1").endswith(" --jobs 1")


def test_packages_of_the_user_replace_the_targets_own(fork: Workspace) -> None:
    assert arguments(fork, "build", PACKAGE="mistralrs-core mistralrs-bench") == (
        "cargo build --release --package mistralrs-core --package mistralrs-bench"
    )
    assert arguments(fork, "build", PACKAGE="all") == "cargo build --release --workspace"


def test_locked_and_no_default_features_come_from_a_profile(tmp_path: Path) -> None:
    profile = 'default-features = false\n[cargo]\nlocked = true\ntarget = "wasm32-unknown-unknown"\n'
    workspace = with_overlay(tmp_path, {"app": {"bins": {"app": []}}}, dev=profile)
    plan = make(workspace, "dev")
    assert " ".join(plan.invocation.argv) == (
        "cargo build --no-default-features --target wasm32-unknown-unknown --locked"
    )
    assert plan.outputs == (f"{tmp_path}/target/wasm32-unknown-unknown/debug/app.wasm",)


def test_flags_and_what_is_passed_on_stand_at_the_end(fork: Workspace) -> None:
    row = Target(
        "lint", "lint", "x", "clippy", ("--all-targets",), ("-D", "warnings"), ("dev",), "all", takes=variables.CARGO
    )
    assert arguments(fork, row, JOBS="2") == "cargo clippy --workspace --jobs 2 --all-targets -- -D warnings"


# --- values are data -------------------------------------------------------------------------------------------------


def rendered(**changes: object) -> tuple[str, ...]:
    context = {
        "command": "build", "cargo_profile": "dev", "whole_workspace": False, "excluded": (), "packages": (),
        "features": (), "all_features": False, "default_features": True,
        "triple": "", "switches": [], "config": [], "jobs": None,
        "verbose": False, "flags": (), "passed": (),
    }  # fmt: skip
    return render.arguments(render.CARGO, {**context, **changes})


def test_a_value_keeps_its_blanks_and_stays_one_argument() -> None:
    assert rendered(passed=("  two  words ", "", "  ", "{{ command }}", "-", "a\tb"))[2:] == (
        "--", "  two  words ", "", "  ", "{{ command }}", "-", "a\tb",
    )  # fmt: skip
    assert rendered(passed=(" $HOME; `x` && 'y' \"z\" \\",))[-1] == " $HOME; `x` && 'y' \"z\" \\"


def test_a_value_with_a_line_break_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        rendered(packages=("a\n--release",))
    assert str(caught.value) == (
        "an argument cannot hold a line break: 'a\\n--release'\n"
        "  fix: take it out of the profile or variable that it comes from"
    )


def test_a_config_value_is_written_as_toml_on_one_line() -> None:
    config = [
        ("a", 'say "x"\n\\'),
        ("b", True),
        ("c", [1, "two", 3.5]),
        ('target."cfg(unix)".rustflags', ["-C", "x"]),
        ("d", [{"k": 1}]),
    ]
    assert [argument for argument in rendered(config=config) if "=" in argument] == [
        'a="say \\"x\\"\\n\\\\"',
        "b=true",
        'c=[1, "two", 3.5]',
        'target."cfg(unix)".rustflags=["-C", "x"]',
        'd=[{ "k" = 1 }]',
    ]


def test_cargo_takes_the_config_arguments(tmp_path: Path) -> None:
    """The real cargo reads what we write, a profile defined only by --config included."""
    make_workspace(tmp_path, {"app": {"bins": {"app": []}}})
    plan = make(read_workspace(tmp_path), "build_low_memory")
    done = subprocess.run(
        [*plan.invocation.argv, "--offline", "-v"], cwd=plan.invocation.cwd, capture_output=True, text=True, check=True
    )
    assert "-C lto=off" in done.stderr
    assert "-C codegen-units=16" in done.stderr
    assert all(os.path.isfile(path) for path in plan.outputs)


# --- environment -----------------------------------------------------------------------------------------------------


def test_dev_fast_sets_the_wrapper_to_empty_and_does_not_unset_it(fork: Workspace) -> None:
    invocation = make(fork, "dev_fast").invocation
    assert invocation.env == {"CARGO_INCREMENTAL": "1", "RUSTC_WRAPPER": ""}
    assert invocation.unset == ()


def test_a_detector_fills_in_what_the_user_left_unset(fork: Workspace) -> None:
    assert make(fork, "build_cuda", CUDA).invocation.env == {"CUDA_PATH": "/opt/cuda"}
    own = replace(CUDA, environ={"PATH": "/usr/bin", "CUDA_PATH": "/my/cuda"})
    assert make(fork, "build_cuda", own).invocation.env == {}


def test_microsofts_compiler_is_set_on_windows_only(fork: Workspace) -> None:
    windows = replace(CUDA, platform="windows", detected={"msvc_cl": "C:/VS/cl.exe"})
    assert make(fork, "build_windows", windows).invocation.env == {"NVCC_CCBIN": "C:/VS/cl.exe"}


def test_nvcc_outside_path_is_put_on_path(fork: Workspace) -> None:
    assert make(fork, "build_cuda", CUDA).invocation.path_prepend == ("/opt/cuda/bin",)
    on_path = replace(CUDA, environ={"PATH": f"/opt/cuda/bin{os.pathsep}/usr/bin"})
    assert make(fork, "build_cuda", on_path).invocation.path_prepend == ()
    assert make(fork, "build", CUDA).invocation.path_prepend == ()


def test_env_values_can_name_the_workspace(tmp_path: Path) -> None:
    text = '[env]\nA = "{{ root }}/x"\nB = { unset = true }\nC = "{{ platform }}-{{ profile }}"\n'
    invocation = make(with_overlay(tmp_path, {"app": {}}, mine=text), "build", PROFILE="mine").invocation
    assert invocation.env == {"A": f"{tmp_path}/x", "C": "linux-mine"}
    assert invocation.unset == ("B",)


def test_an_env_value_that_names_nothing_known_is_refused(tmp_path: Path) -> None:
    workspace = with_overlay(tmp_path, {"app": {}}, mine='[env]\nA = "{{ rot }}"\n')
    assert refusal(workspace, "build", PROFILE="mine") == (
        "profiles/mine.toml:2: '{{ rot }}' cannot be filled in: 'rot' is undefined\n"
        "  fix: known in env values: platform, profile, root, target, target_directory"
    )


# --- packages --------------------------------------------------------------------------------------------------------


def test_a_package_whose_tool_is_missing_is_left_out_with_a_note(fork: Workspace) -> None:
    plan = make(fork, "build_all", FakeMachine())
    assert " ".join(plan.invocation.argv) == "cargo build --release --workspace --exclude mistralrs-pyo3"
    assert plan.notes == ("mistralrs-pyo3 is left out: it needs python, which is not here",)
    assert "mistralrs-pyo3" not in plan.packages
    assert not [path for path in plan.outputs if path.endswith("stubs")]


def test_a_package_asked_for_by_name_is_never_left_out(fork: Workspace) -> None:
    plan = make(fork, "build", FakeMachine(), PACKAGE="mistralrs-pyo3")
    assert plan.packages == ("mistralrs-pyo3",)
    assert plan.needs == {"python": ""}


def test_an_unknown_package_names_the_nearest(fork: Workspace) -> None:
    assert refusal(fork, "build", PACKAGE="mistralrs_sever") == (
        "PACKAGE: unknown package 'mistralrs_sever'\n  fix: did you mean 'mistralrs-server'? "
        "known: mistralrs-bench, mistralrs-core, mistralrs-pyo3, mistralrs-server"
    )


def test_the_second_name_of_a_role_is_taken_where_the_first_is_gone(tmp_path: Path) -> None:
    workspace = read_workspace(
        make_workspace(tmp_path, {"mistralrs-core": {}, "mistralrs-cli": {"bins": {"mistralrs": []}}})
    )
    plan = make(workspace, "build")
    assert plan.packages == ("mistralrs-cli",)
    assert plan.outputs == (f"{tmp_path}/target/release/mistralrs",)


def test_a_role_without_a_package_makes_a_target_absent(tmp_path: Path) -> None:
    workspace = read_workspace(make_workspace(tmp_path, {"mistralrs-core": {}, "mistralrs-quant": {}}))
    assert absence(workspace, "build") == (
        "build needs the package mistralrs-server or mistralrs-cli, which this checkout lacks"
    )
    assert arguments(workspace, "build", PACKAGE="mistralrs-core") == "cargo build --release --package mistralrs-core"


def test_a_role_that_the_pack_does_not_know_makes_a_target_absent(fork: Workspace, tmp_path: Path) -> None:
    row = Target("x", "x", "x", "build", profile=("dev",), package="core")
    assert arguments(fork, row) == "cargo build --package mistralrs-core"
    other = read_workspace(make_workspace(tmp_path, {"app": {}}))
    assert absence(other, row) == "x needs a package in the role core; the pack base has none"


def test_without_a_pack_cargo_selects(tmp_path: Path) -> None:
    make_workspace(
        tmp_path, {"app": {"bins": {"app": []}}, "tool": {"bins": {"tool": []}}}, 'default-members = ["app"]\n'
    )
    plan = make(read_workspace(tmp_path), "build")
    assert " ".join(plan.invocation.argv) == "cargo build --release"
    assert plan.packages == ("app",)
    assert plan.outputs == (f"{tmp_path}/target/release/app",)


# --- features --------------------------------------------------------------------------------------------------------


def test_features_are_added_and_removed(fork: Workspace) -> None:
    assert make(fork, "build_cuda_full", CUDA, FEATURES="tune,-mkl").features == ("cuda", "flash-attn", "cudnn", "tune")


def test_a_feature_of_a_selected_package_or_a_dependency_can_be_named(fork: Workspace) -> None:
    assert make(fork, "build", FEATURES="mistralrs-core/nccl,mistralrs-core/cuda").features == (
        "mistralrs-core/nccl",
        "mistralrs-core/cuda",
    )


def test_a_feature_that_a_package_lacks_names_it_and_the_nearest(fork: Workspace) -> None:
    assert refusal(fork, "build", FEATURES="accelerate,tune", TARGET="aarch64-apple-darwin") == (
        "mistralrs-server/Cargo.toml: the package mistralrs-server has no feature 'accelerate', asked for by FEATURES\n"
        "  fix: did you mean 'acceleate'? "
        "known: acceleate, all-of-it, cuda, cudnn, flash-attn, metal, mkl, tune"
    )


def test_a_feature_that_no_selected_package_has(fork: Workspace) -> None:
    assert refusal(fork, "check", FEATURES="tun") == (
        f"Cargo.toml: none of the selected packages ({', '.join(fork.packages)}) has "
        "the feature 'tun', asked for by FEATURES\n  fix: did you mean 'tune'? "
        "known: acceleate, all-of-it, cuda, cudnn, flash-attn, metal, mkl, nccl, tune"
    )


def test_a_feature_of_a_package_that_is_not_reached(fork: Workspace) -> None:
    assert refusal(fork, "build", FEATURES="mistralrs-bench/x") == (
        "FEATURES: mistralrs-bench/x names neither a selected package nor a dependency of one\n"
        "  fix: did you mean 'mistralrs-core'? known: mistralrs-core, mistralrs-server"
    )


def test_a_profiles_feature_that_the_checkout_lacks_makes_a_target_absent(tmp_path: Path) -> None:
    spec: Spec = {"mistralrs-core": {}, "mistralrs-cli": {"features": {"cuda": [], "flash-attn": []}}}
    assert absence(read_workspace(make_workspace(tmp_path, spec)), "build_cuda", CUDA) == (
        "mistralrs-cli/Cargo.toml: the package mistralrs-cli has no feature 'cudnn', asked for by "
        "profiles/mistralrs/cuda.toml:4\n  fix: did you mean 'cuda'? known: cuda, flash-attn"
    )


def test_removing_a_feature_that_is_not_set(fork: Workspace) -> None:
    assert refusal(fork, "build_cuda", CUDA, FEATURES="-mkl") == (
        "FEATURES: the feature 'mkl' cannot be removed, it is not set\n"
        "  fix: leave it out; the profile cuda sets cuda, flash-attn, cudnn"
    )


# --- rules -----------------------------------------------------------------------------------------------------------


def test_flash_attention_requires_cuda(fork: Workspace) -> None:
    assert refusal(fork, "build", FEATURES="flash-attn").startswith("FEATURES: flash-attn requires the feature cuda\n")


def test_a_rule_counts_whole_names(fork: Workspace) -> None:
    assert refusal(fork, "build", FEATURES="flash-attn,mistralrs-core/cudnn").count("requires the feature cuda") == 2


def test_removing_what_another_feature_requires(fork: Workspace) -> None:
    lines = refusal(fork, "build_cuda", CUDA, FEATURES="-cuda").splitlines()
    assert lines[0] == "profiles/mistralrs/cuda.toml:4: flash-attn requires the feature cuda"
    assert lines[1].startswith(
        "  fix: add cuda to FEATURES, or take flash-attn out (the rule: profiles/mistralrs/pack.toml:"
    )


def test_cuda_and_metal_exclude_each_other_and_say_so_once(fork: Workspace) -> None:
    text = refusal(fork, "build", FEATURES="cuda,metal", TARGET="x86_64-unknown-freebsd")
    assert [line for line in text.splitlines() if not line.startswith("  ")] == [
        "FEATURES: cuda and metal exclude each other",
        "FEATURES: the feature cuda is only for linux and windows; the target x86_64-unknown-freebsd is not",
        "FEATURES: the feature metal is only for macos; the target x86_64-unknown-freebsd is not",
    ]


def test_a_feature_of_another_platform_is_refused(fork: Workspace) -> None:
    assert refusal(fork, "build", FEATURES="metal").startswith(
        "FEATURES: the feature metal is only for macos; this is linux\n"
    )


# --- profiles and platforms ------------------------------------------------------------------------------------------


def test_the_first_profile_whose_needs_are_met_is_taken(fork: Workspace) -> None:
    plan = make(fork, "build_linux", CUDA)
    assert (plan.profile.name, plan.notes) == ("cuda_full", ("profile cuda_full: this machine has what it needs",))
    plan = make(fork, "build_linux")
    assert (plan.profile.name, plan.features) == ("release", ())
    assert plan.notes == ("profile release: cuda_full needs nvcc, which this machine lacks",)


def test_a_profile_that_does_not_fit_the_checkout_is_passed_over(tmp_path: Path) -> None:
    workspace = read_workspace(make_workspace(tmp_path, {"mistralrs-core": {}, "mistralrs-cli": {}}))
    plan = make(workspace, "build_linux", CUDA)
    assert plan.profile.name == "release"
    assert plan.notes[0].startswith(
        "profile release: cuda_full does not fit this checkout (the package mistralrs-cli has no"
    )


def test_a_profile_alone_is_taken_though_its_needs_are_not_met(fork: Workspace) -> None:
    """What is missing is for the checks before the run to say, with how to get it."""
    assert make(fork, "build_cuda").needs == {"nvcc": ""}


def test_a_feature_profile_of_the_user_replaces_the_targets_own(fork: Workspace) -> None:
    assert make(fork, "build", PROFILE="low-memory").cargo_profile == "low-memory"
    plan = make(fork, "build_cuda", CUDA, PROFILE="low_memory", FEATURES="cuda")
    assert plan.features == ("cuda",)
    assert plan.notes == ("PROFILE=low_memory replaces the profile cuda: without flash-attn, cudnn",)


def test_a_cargo_profile_of_the_user_keeps_the_targets_features(tmp_path: Path) -> None:
    make_workspace(tmp_path, FORK, '[profile.slim]\ninherits = "release"\n')
    plan = make(read_workspace(tmp_path), "build_cuda", CUDA, PROFILE="slim")
    assert (plan.cargo_profile, plan.features) == ("slim", ("cuda", "flash-attn", "cudnn"))
    assert plan.invocation.argv[2:4] == ("--profile", "slim")
    assert plan.outputs == (f"{tmp_path}/target/slim/mistralrs-server",)


def test_an_unknown_profile_names_the_nearest_of_both_kinds(fork: Workspace) -> None:
    assert refusal(fork, "build", PROFILE="relaese") == (
        "PROFILE: unknown profile 'relaese'\n  fix: did you mean 'release'? known: bench, check, cuda, cuda_full, dev, "
        "dev_fast, low_memory, lto_fat, lto_thin, metal, optimised, profiled, release, release_fast, test"
    )


def test_an_unknown_cargo_profile_is_found_before_cargo_starts(tmp_path: Path) -> None:
    workspace = with_overlay(tmp_path, {"app": {}}, mine='[cargo]\nprofile = "relaese"\n')
    assert refusal(workspace, "build", PROFILE="mine") == (
        "profiles/mine.toml:2: unknown cargo profile 'relaese'\n"
        "  fix: did you mean 'release'? known: bench, dev, release, test"
    )


def test_a_target_of_another_platform_is_absent(fork: Workspace) -> None:
    assert absence(fork, "build_metal") == "build_metal builds only on macos; this is linux"
    assert absence(fork, "build_windows") == "build_windows builds only on windows; this is linux"
    macos = FakeMachine(platform="macos", tools=("python",))
    assert absence(fork, "build_cuda", macos) == "build_cuda builds only on linux and windows; this is macos"
    assert make(fork, "build_metal", macos).features == ("metal",)


def test_a_triple_decides_the_platform(fork: Workspace) -> None:
    plan = make(fork, "build_windows", CUDA, TARGET="x86_64-pc-windows-msvc")
    assert plan.outputs == (f"{fork.target_directory}/x86_64-pc-windows-msvc/release/mistralrs-server.exe",)
    assert absence(fork, "build_linux", TARGET="x86_64-pc-windows-msvc") == (
        "build_linux builds only on linux; the target x86_64-pc-windows-msvc is not"
    )


def test_all_problems_come_at_once(fork: Workspace) -> None:
    text = refusal(fork, "build", FEATURES="-tune,nothing,flash-attn")
    assert [line for line in text.splitlines() if not line.startswith("  ")] == [
        "FEATURES: the feature 'tune' cannot be removed, it is not set",
        "mistralrs-server/Cargo.toml: the package mistralrs-server has no feature 'nothing', asked for by FEATURES",
        "FEATURES: flash-attn requires the feature cuda",
    ]
    text = refusal(fork, "build", PACKAGE="nothing", PROFILE="nothing")
    assert [line for line in text.splitlines() if not line.startswith("  ")] == [
        "PACKAGE: unknown package 'nothing'",
        "PROFILE: unknown profile 'nothing'",
    ]


# --- outputs, files, JSON --------------------------------------------------------------------------------------------


def test_a_binary_counts_only_with_its_required_features(fork: Workspace) -> None:
    folder = f"{fork.target_directory}/release"
    assert make(fork, "build").outputs == (f"{folder}/mistralrs-server",)
    assert make(fork, "build", FEATURES="all-of-it").outputs == (f"{folder}/mistralrs-server", f"{folder}/tuner")


def test_a_check_leaves_no_binaries(fork: Workspace) -> None:
    assert make(fork, "check").outputs == ()


def test_the_environment_can_move_outputs(fork: Workspace) -> None:
    moved = FakeMachine(environ={"CARGO_BUILD_TARGET": "aarch64-unknown-linux-gnu"})
    assert make(fork, "build", moved).outputs == (
        f"{fork.target_directory}/aarch64-unknown-linux-gnu/release/mistralrs-server",
    )


def test_the_files_that_shaped_a_plan_are_named(fork: Workspace) -> None:
    names = {"/".join(path.split("/")[-2:]) for path in make(fork, "build_cuda", CUDA).files}
    assert {"base/cuda.toml", "base/release.toml", "mistralrs/cuda.toml", "mistralrs/pack.toml"} <= names
    assert {"mistralrs-core/Cargo.toml", "templates/cargo.j2"} <= names
    assert fork.manifest in make(fork, "build").files


def test_a_plan_as_json(fork: Workspace) -> None:
    assert planning.to_json(make(fork, "build_cuda", CUDA)) == {
        "target": "build_cuda",
        "profile": "cuda",
        "packages": ["mistralrs-server"],
        "features": ["cuda", "flash-attn", "cudnn"],
        "cargo_profile": "release",
        "steps": [
            {
                "argv": [
                    "cargo", "build", "--release", "--package", "mistralrs-server",
                    "--features", "cuda,flash-attn,cudnn",
                ],
                "env": {"CUDA_PATH": "/opt/cuda"},
                "unset": [],
                "path_prepend": ["/opt/cuda/bin"],
                "cwd": fork.root,
            }
        ],
        "outputs": [f"{fork.root}/target/release/mistralrs-server"],
        "needs": {"nvcc": ""},
        "log": f"{fork.root}/.logs/build-cuda.log",
        "notes": [],
    }  # fmt: skip


# --- the real manifests ----------------------------------------------------------------------------------------------


WHOLE_CUDA = ("cuda", "flash-attn", "cudnn", "mkl")
SERVER = ("mistralrs-server",)
PLANS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "build": (SERVER, (), "release"),
    "release": (SERVER, (), "release"),
    "build_server": (SERVER, (), "release"),
    "dev": (SERVER, (), "dev"),
    "dev_fast": (SERVER, (), "dev"),
    "build_cuda": (SERVER, ("cuda", "flash-attn", "cudnn"), "release"),
    "build_cuda_full": (SERVER, WHOLE_CUDA, "release"),
    "build_metal": (SERVER, ("metal",), "release"),
    "build_windows": (SERVER, WHOLE_CUDA, "release"),
    "build_linux": (SERVER, WHOLE_CUDA, "release"),
    "build_low_memory": (SERVER, (), "low-memory"),
    "build_profiled": (SERVER, (), "release-with-debug"),
    "build_lto_thin": (SERVER, (), "release"),
    "build_lto_fat": (SERVER, (), "release"),
    "build_release_fast": (SERVER, (), "release-fast"),
    "check_server": (SERVER, (), "dev"),
}


@pytest.mark.shared
@pytest.mark.parametrize("target", PLANS)
def test_every_build_target_plans_on_the_fork(materialise: Callable[[str], Path], target: str) -> None:
    platform = {"build_metal": "macos", "build_windows": "windows"}.get(target, "linux")
    plan = make(read_workspace(materialise("mistralrs-fork")), target, replace(CUDA, platform=platform))
    assert (plan.packages, plan.features, plan.cargo_profile) == PLANS[target]
    ending = ".exe" if platform == "windows" else ""
    binaries = [f"mistral-rs{ending}", f"mistralrs-server{ending}"]
    assert [os.path.basename(path) for path in plan.outputs] == ([] if target == "check_server" else binaries)


@pytest.mark.shared
@pytest.mark.parametrize("target", ["build_all", "check"])
def test_whole_workspace_targets_on_the_fork(materialise: Callable[[str], Path], target: str) -> None:
    workspace = read_workspace(materialise("mistralrs-fork"))
    assert make(workspace, target).packages == tuple(workspace.packages)
    without_python = make(workspace, target, FakeMachine())
    assert set(workspace.packages) - set(without_python.packages) == {"mistralrs-pyo3"}
