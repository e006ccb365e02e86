"""How sure a need is: a member's own manifest and build script decide, a crate newer than what was read only warns."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from calling import forked_call as call
from conftest import needs_cargo, write
from needing import Crates, Needing, lay_out

pytestmark = needs_cargo

BEHIND_CFG = (
    '#[cfg(feature = "cuda")]\nmod kernels;\nfn main() {\n    #[cfg(feature = "cuda")]\n    kernels::build();\n}\n'
)
IN_A_BLOCK = 'fn main() { if cfg!(feature = "cuda") { bindgen_cuda::build(); } }\n'
AS_IT_RUNS = (
    "use bindgen_cuda::build;\nfn main() {\n"
    '    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() { return; }\n    build();\n}\n'
)
CRATES: Crates = {
    # The name is that of a row of ours: its manifest has the feature, whatever the row says.
    "mistralrs-flash-attn": {
        "build": {"cudaforge": "optional = true"},
        "features": {"cuda": ["dep:cudaforge"]},
        "script": '#[cfg(feature = "cuda")]\nuse cudaforge::build;\nfn main() { #[cfg(feature = "cuda")] build(); }\n',
    },
    "mistralrs-quant": {"features": {"cuda": []}, "script": 'fn main() { println!("cargo:warning=nvcc and all"); }\n'},
    "mistralrs-core": {"features": {"cuda": []}, "script": "fn main() {} // calls nvcc\n"},
    "behind": {"build": {"bindgen_cuda": ""}, "features": {"cuda": []}, "script": BEHIND_CFG},
    "asking": {"build": {"bindgen_cuda": ""}, "features": {"cuda": []}, "script": AS_IT_RUNS},
    "renamed": {"build": {"bindgen_cuda": ""}, "script": "fn main() { bindgen_cuda::build(); }\n"},
    "later": {"build": {"prost-build": ""}},
    "bindgen_cuda": {"version": "0.1.5", "lib": "pub fn build() {}\n"},
    "cudaforge": {"version": "0.1.4", "lib": "pub fn build() {}\n"},
    "prost-build": {"version": "0.99.0"},
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Needing:
    made = lay_out(tmp_path_factory.mktemp("certainty"), CRATES)
    write(made.root / "crates/behind/build.rs", BEHIND_CFG)
    write(made.root / "crates/behind/kernels.rs", "pub fn build() { bindgen_cuda::build(); }\n")
    made.lock()
    return made


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("-p mistralrs-flash-attn", {}),
        ("-p mistralrs-flash-attn --features cuda", {"nvcc": "", "capability": "", "git": ""}),
        ("-p behind", {}),
        ("-p behind --features cuda", {"nvcc": "", "capability": ""}),
        ("-p renamed", {"nvcc": "", "capability": ""}),
        ("-p mistralrs-core --features cuda", {}),
        ("-p mistralrs-quant", {}),
        ("-p mistralrs-quant --features cuda", {"nvcc": "a guess: its build script has the word nvcc"}),
        ("-p later", {"protoc": "known of prost-build 0.13.5, 0.14.6; this is 0.99.0"}),
        (
            "-p asking",
            dict.fromkeys(
                ("nvcc", "capability"), "only if a build script finds a feature on that is off in the manifest"
            ),
        ),
        ("-p asking --features cuda", {"nvcc": "", "capability": ""}),
    ],
)
def test_what_is_at_hand_decides_and_what_is_unsure_only_warns(
    workspace: Needing, argv: str, expected: dict[str, str]
) -> None:
    found = workspace.infer("build", *argv.split()).needs
    assert {need.thing: need.doubt for need in found} == expected
    assert all(need.only_warn == bool(need.doubt) for need in found)


@pytest.mark.parametrize(
    ("script", "needed"),
    [
        (IN_A_BLOCK, False),
        ("fn main() { bindgen_cuda::build() }", True),
        ('// bindgen_cuda\nfn main() { let _ = "bindgen_cuda"; }', False),
        ('fn main() { #[cfg(not(feature = "cuda"))] bindgen_cuda::build(); }', True),
        (
            '#[cfg(all(feature = "cuda", unix))]\nfn f(_: [u8; 2]) -> (u8, u8) { bindgen_cuda::build(); (1, 2) }',
            False,
        ),
        ('#[cfg(feature = "cuda")]\nuse {bindgen_cuda::build, std::fs};\nfn main() {}', False),
        ('#[cfg(feature = "cuda")]\nuse std::fs;\nfn main() { bindgen_cuda::build(); }', True),
    ],
)
def test_a_build_script_is_read_as_rustc_reads_it(tmp_path: Path, script: str, needed: bool) -> None:
    crates: Crates = {
        "app": {"build": {"bindgen_cuda": ""}, "features": {"cuda": []}, "script": script},
        "bindgen_cuda": {"version": "0.1.5"},
    }
    made = lay_out(tmp_path, crates)
    write(tmp_path / "crates/app/build.rs", script)
    made.lock()
    assert ("nvcc" in made.needs("build")) == needed


def test_the_whole_workspace_is_checked_on_a_machine_without_cuda(workspace: Needing, tmp_path: Path) -> None:
    for name in ("cargo", "rustc", "rustup", "cc", "ld", "sh"):
        real = shutil.which(name)
        if real:
            (tmp_path / name).symlink_to(real)
    here = {"PATH": str(tmp_path), "CARGO_NET_OFFLINE": "true", "PROTOC": ""}
    write(
        workspace.root / "profiles/sysdeps.toml",
        "[crate.renamed.needs]\n[crate.bindgen_cuda.needs]\nnvcc = false\ncapability = false\n",
    )
    said = call(workspace.root, "doit-cargo", "check", CARGO_TARGET_DIR=str(tmp_path / "target"), **here)
    assert said.status == 0, said
    assert (
        "warning: prost-build (for later) needs protoc, which is not on PATH (known of prost-build"
        in said.err + said.out
    )
    write(workspace.root / "profiles/sysdeps.toml", "[crate.behind.needs]\nnvcc = {}\n")
    said = call(workspace.root, "doit-cargo", "check", "PACKAGE=behind", **here)
    assert (said.status, "behind" in said.err and "nvcc" in said.err) == (2, True), said
    os.unlink(workspace.root / "profiles/sysdeps.toml")
