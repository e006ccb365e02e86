"""The needs of mistral.rs (a fork of 2025-10) and NVIDIA Dynamo (2026-02) by their real locks and manifests.

No source is downloaded: this is what a user is told right after `git clone`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from conftest import needs_cargo
from doit_cargo.engine.preflight.requirements import rules
from needing import Needing

pytestmark = [needs_cargo, pytest.mark.shared]

# In the locks, and yet nothing to install for them: features, other platforms, other members, leftovers.
NEVER_NEEDED = {
    "dynamo-2026-02": {
        "protobuf",
        "libfuzzer-sys",
        "rav1e",
        "symphonia",
        "system-deps",
        "cbindgen",
        "windows-sys",
        "metal",
    },
    "mistralrs-fork": {"symphonia", "wayland-sys", "khronos-egl", "x11-dl", "metal", "windows-sys", "esaxx-rs"},
}


@pytest.fixture(scope="module")
def checkout(materialise: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Needing]:
    """Return a function that gives a checkout without its toolchain pin, and with an empty CARGO_HOME."""

    @cache
    def lay_out(name: str) -> Needing:
        root = tmp_path_factory.mktemp(name) / "ws"
        shutil.copytree(materialise(name), root)
        (root / "rust-toolchain.toml").unlink(missing_ok=True)
        return Needing(root)

    return lay_out


@pytest.fixture
def dynamo(checkout: Callable[[str], Needing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Needing:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    return checkout("dynamo-2026-02")


@pytest.fixture
def fork(checkout: Callable[[str], Needing], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Needing:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    return checkout("mistralrs-fork")


COMPILERS = {
    "c++": ["esaxx-rs", "zeromq-src", "zmq-sys"],
    "cc": ["aws-lc-sys", "cc", "onig_sys", "ring"],
}
# What the members' own build scripts call is for those to say, and only their manifests are here.
PROTOC = {"protoc": ["etcd-client", "tonic-build", "tonic-prost-build"]}


def test_dynamo_needs_compilers_and_protoc_and_nothing_else_of_its_guides_list(dynamo: Needing) -> None:
    """The guide asks for libhwloc-dev, libudev-dev, pkg-config, libclang-dev, python3-dev and cmake too.

    No crate of the lock looks for hwloc or udev. The crates behind the others (nixl-sys and ffmpeg-sys-next for
    libclang and pkg-config, aws-lc-sys' second way for cmake, the Python bindings) are not in the default build.
    """
    assert dynamo.needs("build") == {**COMPILERS, **PROTOC}
    found = dynamo.infer("build")
    assert (found.basis, found.why) == ("lock", "sources are not downloaded (cargo fetch gets them)")


@pytest.mark.parametrize(
    ("argv", "more"),
    [
        ("-p dynamo-llm --features cuda", {}),  # cudarc with a fixed CUDA version asks nothing at build time
        (
            "-p dynamo-llm --features block-manager",
            {"libclang": ["bindgen", "nixl-sys"], "nixl": ["nixl-sys"]},
        ),
        (
            "-p dynamo-llm --features media-ffmpeg",
            {
                "ffmpeg": ["ffmpeg-sys-next"],
                "libclang": ["bindgen", "ffmpeg-sys-next", "nixl-sys"],
                "nixl": ["nixl-sys"],
                "pkg-config": ["ffmpeg-sys-next"],
            },
        ),
        ("-p dynamo-run", {}),
        ("-p dynamo-run --features mistralrs,cuda", {}),
    ],
)
def test_features_of_dynamo_bring_their_own_needs(dynamo: Needing, argv: str, more: dict[str, list[str]]) -> None:
    found = dynamo.needs("build", *argv.split())
    expected = {**PROTOC, **more}
    assert {
        thing: crates for thing, crates in found.items() if thing not in ("cc", "c++", "nvcc", "capability")
    } == expected
    assert set(found["c++"]) >= {"esaxx-rs", "zeromq-src"}


def test_members_of_dynamo_without_native_crates_need_nothing(dynamo: Needing) -> None:
    assert dynamo.needs("build", "-p", "dynamo-tokens") == {}
    assert dynamo.needs("build", "-p", "dynamo-config") == {}


def test_nobody_in_dynamo_looks_for_hwloc_or_udev_with_any_feature(dynamo: Needing) -> None:
    found = dynamo.needs("test", "--workspace", "--all-features")
    assert {"hwloc", "libudev", "alsa", "openssl", "python"} & found.keys() == set()


CPU = {"cc": ["cc", "ring"], "openssl": ["openssl-sys"], "pkg-config": ["openssl-sys"]}


def test_the_fork_needs_openssl_on_linux_only(fork: Needing) -> None:
    assert fork.needs("build", "-p", "mistralrs-server") == CPU
    windows = "x86_64-pc-windows-msvc"
    argv = ("build", "-p", "mistralrs-server", "--target", windows)
    assert fork.needs(*argv, triple=windows) == {"cc": ["cc", "ring"]}


def test_the_fork_with_cuda_needs_a_cuda_that_all_its_crates_know(fork: Needing) -> None:
    argv = ("build", "-p", "mistralrs-server", "--features", "cuda,flash-attn,cudnn,mkl")
    cuda = ["candle-flash-attn", "candle-kernels"]
    assert fork.needs(*argv) == {
        **CPU,
        "capability": ["bindgen_cuda", "candle-flash-attn", "candle-kernels"],
        "cudnn": ["cudarc"],
        "mkl": ["intel-mkl-src"],
        "nvcc": sorted(["bindgen_cuda", "cudarc", *cuda]),
    }
    versions = {need.version for need in fork.infer(*argv).needs if need.thing == "nvcc"}
    assert versions == {"", ">=11.4,<12.10", ">=11.4,<13.1"}


def test_python_is_needed_where_the_bindings_are_built(fork: Needing) -> None:
    python = ["pyo3-build-config", "pyo3-ffi"]
    assert fork.needs("build", "-p", "mistralrs-pyo3")["python"] == python
    assert "python" not in fork.needs("build", "--workspace", "--exclude", "mistralrs-pyo3")


@pytest.mark.parametrize("name", NEVER_NEEDED)
def test_crates_that_only_stand_in_the_lock_bring_no_need(name: str, request: pytest.FixtureRequest) -> None:
    workspace: Needing = request.getfixturevalue("dynamo" if name.startswith("dynamo") else "fork")
    crates = {crate for crates in workspace.needs("build").values() for crate in crates}
    assert crates & NEVER_NEEDED[name] == set()
    assert NEVER_NEEDED[name] <= rules.load().crates.keys()
