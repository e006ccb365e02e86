"""Features across a workspace: what turns on what, what is refused, what is half on; the page of all of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import registry
from calling import Said
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, read_workspace, write
from doit_cargo.engine.base.model import Dependency, Package
from doit_cargo.engine.cargo.resolver import FeatureGraph, FeatureState
from doit_cargo.engine.cargo.resolver.half_enabled import misspelt, of_feature

pytestmark = needs_cargo

# server -> core -> quant, engine (outside the workspace); as in mistral.rs, cudnn turns cuda on in the engine alone.
SPEC: Spec = {
    "mistralrs-server": {
        "features": {
            "cuda": ["mistralrs-core/cuda"],
            "cudnn": ["mistralrs-core/cudnn"],
            "flash-attn": ["cuda", "mistralrs-core/flash-attn"],
            "acceleate": ["mistralrs-core/accelerate"],
            "metal": ["mistralrs-core/metal"],
            "nccl": ["mistralrs-core/nccl"],
        },
        "dependencies": {"mistralrs-core": ""},
        "bins": {"gpu": ["cuda"]},
    },
    "mistralrs-core": {
        "features": {
            "default": ["http"],
            "http": [],
            "cuda": ["engine/cuda", "mistralrs-quant/cuda"],
            "cudnn": ["engine/cudnn"],
            "flash-attn": ["cuda"],
            "accelerate": ["engine/accelerate"],
            "metal": [],
            "nccl": ["cuda"],
        },
        "dependencies": {"mistralrs-quant": "optional = true"},
    },
    "mistralrs-quant": {"features": {"cuda": [], "slow": []}},
}
ENGINE = '[package]\nname = "engine"\nversion = "0.1.0"\nedition = "2021"\n[features]\n'


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, with a crate outside it and a lock file."""
    top = tmp_path_factory.mktemp("features")
    root = make_workspace(top / "ws", SPEC)
    core = root / "mistralrs-core/Cargo.toml"
    write(core, core.read_text() + '[dependencies.engine]\npath = "../../engine"\n')
    write(top / "engine/Cargo.toml", ENGINE + 'cuda = []\ncudnn = ["cuda"]\naccelerate = []\n')
    write(top / "engine/src/lib.rs", "")
    write(root / "profiles/half.toml", 'doc = "x"\nfeatures = ["metal"]\n')
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    return root


def tool(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", *words, CARGO_HOME=str(root.parent / "no-home"))


# --- the graph -------------------------------------------------------------------------------------------------------


def graph(tmp_path: Path, spec: Spec) -> FeatureGraph:
    return FeatureGraph.of(read_workspace(make_workspace(tmp_path, spec)))


def on(state: FeatureState) -> dict[str, list[str]]:
    return {name: sorted(features) for name, features in state.features.items()}


WEAK: Spec = {
    "app": {
        "features": {"a": ["low?/x"], "b": ["dep:low"], "c": ["low/x"], "d": ["b", "a"], "e": ["mid/strong"]},
        "dependencies": {"low": "optional = true", "mid": 'default-features = false, features = ["m"]'},
    },
    "low": {"features": {"default": ["y"], "x": [], "y": []}},
    "mid": {"features": {"default": ["z"], "z": [], "m": [], "strong": ["m", "deep"], "deep": []}},
}


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((), {"app": [], "mid": ["m"]}),
        (("a",), {"app": ["a"], "mid": ["m"]}),
        (("b",), {"app": ["b"], "mid": ["m"], "low": ["default", "y"]}),
        (("a", "b"), {"app": ["a", "b"], "mid": ["m"], "low": ["default", "x", "y"]}),
        (("c",), {"app": ["c"], "mid": ["m"], "low": ["default", "x", "y"]}),
        (("d",), {"app": ["a", "b", "d"], "mid": ["m"], "low": ["default", "x", "y"]}),
        (("e",), {"app": ["e"], "mid": ["deep", "m", "strong"]}),
        (("app/a", "mid/deep"), {"app": ["a"], "mid": ["deep", "m"]}),
    ],
)
def test_features_spread_as_in_cargo(tmp_path: Path, features: tuple[str, ...], expected: dict[str, list[str]]) -> None:
    found = graph(tmp_path, WEAK)
    assert on(found.turn_on(("app",), features)) == expected
    assert _of_cargo(tmp_path, features) == expected


def _of_cargo(root: Path, features: tuple[str, ...]) -> dict[str, list[str]]:
    """Return what ``cargo tree`` says is on."""
    words = ("-p", "app", "--offline", "-e", "normal", "--prefix", "none", "-f", "{lib}|{f}", "--features")
    said = call(root, "cargo", "tree", *words, ",".join(features))
    assert said.status == 0, said.err
    lines = (line.removesuffix(" (*)").split("|") for line in said.out.splitlines() if line)
    return {name: sorted(filter(None, listed.split(","))) for name, listed in lines}


def test_a_set_is_half_on_where_a_member_is_left_behind(tmp_path: Path) -> None:
    spec: Spec = {
        "app": {
            "features": {"gpu": ["low/gpu"], "fast": ["low/fast"], "all": ["gpu", "fast"]},
            "dependencies": {"low": ""},
        },
        "low": {"features": {"gpu": [], "fast": ["gpu"]}},
    }
    found = graph(tmp_path, spec)
    told = {name: [str(half) for half in of_feature(found, "app", name)] for name in ("gpu", "fast", "all")}
    assert told == {"gpu": [], "fast": ["gpu is on in low but off in app"], "all": []}


def test_a_feature_that_leads_to_one_of_nearly_its_name_looks_misspelt(tmp_path: Path) -> None:
    features = {"acceleate": ["low/accelerate"], "cuda-12": ["low/cuda"], "fast": ["low/slow"], "cuda": ["low/cuda"]}
    spec: Spec = {
        "app": {"features": features, "dependencies": {"low": ""}},
        "low": {"features": {"accelerate": [], "cuda": [], "slow": []}},
    }
    assert misspelt(graph(tmp_path, spec)) == [("app", "acceleate", "accelerate")]


def test_a_chain_may_be_longer_than_pythons_stack() -> None:
    count = 3000
    packages = {
        f"m{i}": Package(
            f"m{i}",
            "0.1.0",
            f"/ws/m{i}",
            f"/ws/m{i}/Cargo.toml",
            {"gpu": (f"m{i + 1}/gpu", "deep"), "deep": ()},
            (),
            (Dependency(f"m{i + 1}", f"/ws/m{i + 1}"),),
        )
        for i in range(count)
    }
    found = FeatureGraph(packages, packages).turn_on(("m0",), ("gpu",))
    assert (len(found.features), found.of(f"m{count - 1}"), dict(found.outside)) == (
        count,
        frozenset({"gpu", "deep"}),
        {f"m{count}": frozenset({"gpu"})},
    )


# --- the command -----------------------------------------------------------------------------------------------------


def test_features_tells_what_each_turns_on_and_who_uses_it(root: Path) -> None:
    said = tool(root, "features", "mistralrs-server")
    assert (said.status, said.out, said.err) == (
        0,
        "mistralrs-server:\n"
        "  acceleate\n"
        "    turns on  mistralrs-core/accelerate\n"
        "    outside   engine/accelerate\n"
        "    rules     misspelt? accelerate in the packages that it leads to\n"
        "  cuda\n"
        "    turns on  mistralrs-core/cuda, mistralrs-core/mistralrs-quant, mistralrs-quant/cuda\n"
        "    outside   engine/cuda\n"
        "    rules     not with metal; only on linux and windows\n"
        "    profiles  cuda, cuda_full\n"
        "    programs  gpu\n"
        "  cudnn\n"
        "    turns on  mistralrs-core/cudnn\n"
        "    outside   engine/cuda, engine/cudnn\n"
        "    rules     only with cuda; half: cuda is on in engine but off in mistralrs-core\n"
        "    profiles  cuda, cuda_full\n"
        "  flash-attn\n"
        "    turns on  cuda, mistralrs-core/cuda, mistralrs-core/flash-attn, mistralrs-core/mistralrs-quant, "
        "mistralrs-quant/cuda\n"
        "    outside   engine/cuda\n"
        "    rules     only with cuda\n"
        "    profiles  cuda, cuda_full\n"
        "  metal\n"
        "    turns on  mistralrs-core/metal\n"
        "    rules     not with cuda; only on macos\n"
        "    profiles  half, metal\n"
        "  nccl\n"
        "    turns on  mistralrs-core/cuda, mistralrs-core/mistralrs-quant, mistralrs-core/nccl, mistralrs-quant/cuda\n"
        "    outside   engine/cuda\n"
        "    rules     only with cuda; half: cuda is on in mistralrs-core but off in mistralrs-server\n",
        "",
    )


def test_features_as_json(root: Path) -> None:
    found: list[dict[str, Any]] = json.loads(tool(root, "features", "--json").out)["features"]
    by_name = {(one["package"], one["feature"]): one for one in found}
    assert by_name["mistralrs-core", "http"]["default"] is True
    assert by_name["mistralrs-core", "cudnn"] == {
        "package": "mistralrs-core",
        "feature": "cudnn",
        "default": False,
        "own": [],
        "members": [],
        "outside": ["engine/cuda", "engine/cudnn"],
        "brings": [],
        "requires": ["cuda"],
        "conflicts": [],
        "platforms": [],
        "rule": "profiles/mistralrs/pack.toml:73",
        "half": ["cuda is on in engine but off in mistralrs-core"],
        "likely": "",
        "profiles": ["cuda", "cuda_full"],
        "binaries": [],
    }
    # The feature that cargo makes of an optional dependency is nobody's to choose.
    assert ("mistralrs-core", "mistralrs-quant") not in by_name


def test_an_unknown_package_is_named_with_the_nearest(root: Path) -> None:
    said = tool(root, "features", "mistralrs-sever")
    assert (said.status, "did you mean 'mistralrs-server'?" in said.err) == (3, True)


def test_without_sources_of_dependencies_it_says_what_it_does_not_know(tmp_path: Path) -> None:
    make_workspace(tmp_path, {"app": {"features": {"gpu": ["serde/std"]}}})
    write(
        tmp_path / "app/Cargo.toml", (tmp_path / "app/Cargo.toml").read_text() + '[dependencies.serde]\nversion = "1"\n'
    )
    said = tool(tmp_path, "features")
    assert (said.status, "Features of dependencies are not known here: " in said.out) == (0, True)
    assert "    outside   serde/std\n" in said.out
    assert not (tmp_path / "Cargo.lock").exists()


@pytest.mark.slow
def test_what_only_another_system_needs_does_not_hide_the_dependencies_of_this_one(tmp_path: Path) -> None:
    with registry.running() as served:
        served.publish("here", "1.0.0")
        served.publish("there", "1.0.0")
        root, home = tmp_path / "ws", tmp_path / "home"
        make_workspace(root, {"app": {"features": {"more": []}}})
        elsewhere = '[target.\'cfg(target_os = "none")\'.dependencies.there]\nversion = "1"\n'
        manifest = root / "app/Cargo.toml"
        write(manifest, manifest.read_text() + f'[dependencies.here]\nversion = "1"\n{elsewhere}')
        source = f'[source.crates-io]\nreplace-with = "own"\n[source.own]\nregistry = "{served.index}"\n'
        write(home / "config.toml", source)
        rustup = os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")
        variables = {"CARGO_HOME": str(home), "RUSTUP_HOME": rustup}
        assert call(root, "cargo", "build", **variables).status == 0
        assert not list(home.glob("registry/cache/*/there-*"))
        said = call(root, "doit-cargo", "features", **variables)
    assert (said.status, "not known here" in said.out) == (0, False), said


# --- validate_features -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ("flash-attn", "FEATURES: flash-attn requires the feature cuda\n  fix: add cuda to FEATURES"),
        ("cuda,metal", "FEATURES: cuda and metal exclude each other\n"),
        ("cudnn", "FEATURES: cudnn requires the feature cuda\n"),
        ("accelerate", "the package mistralrs-server has no feature 'accelerate', asked for by FEATURES\n"),
        ("flash-attn,cuda-12090", "the package mistralrs-server has no feature 'cuda-12090'"),
        ("acceleate", ""),
        ("flash-attn,cuda,cudnn", ""),
    ],
)
def test_validate_features_tells_why_a_set_is_refused(root: Path, features: str, reason: str) -> None:
    said = tool(root, "validate_features", f"FEATURES={features}")
    assert (said.status, reason in said.err) == (1 if reason else 0, True)
    assert bool(said.err) is bool(reason)


def test_validate_features_finds_half_a_set_that_no_rule_names(tmp_path: Path) -> None:
    make_workspace(
        tmp_path,
        {
            "app": {"features": {"gpu": ["low/gpu"], "fast": ["low/fast"]}, "dependencies": {"low": ""}},
            "low": {"features": {"gpu": [], "fast": ["gpu"]}},
        },
    )
    said = tool(tmp_path, "validate_features", "FEATURES=fast")
    assert (said.status, said.err) == (
        1,
        "!! validate_features  FEATURES: half a set: gpu is on in low but off in app\n  fix: add gpu beside fast\n",
    )
    assert tool(tmp_path, "validate_features", "FEATURES=fast,gpu").status == 0


HALF = (
    "!! validate_features  half (nccl): profiles/half.toml:2: nccl requires the feature cuda\n"
    "  fix: add cuda to FEATURES, or take nccl out (the rule: profiles/mistralrs/pack.toml:76)\n"
)


def test_validate_features_without_a_set_judges_every_feature_profile(root: Path) -> None:
    profile = root / "profiles/half.toml"
    write(profile, 'doc = "x"\nfeatures = ["nccl"]\n')
    try:
        said = tool(root, "validate_features")
    finally:
        write(profile, 'doc = "x"\nfeatures = ["metal"]\n')
    assert (said.status, said.err) == (1, HALF)
    assert ".. validate_features  cuda (cuda, flash-attn, cudnn): valid\n" in said.out


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_is_written_and_compared(root: Path) -> None:
    page = root / "docs/features.md"
    assert tool(root, "features", "--output", "docs/features.md", "--check").status == 1
    said = tool(root, "feature_docs")
    assert (said.status, said.out) == (0, "ok feature_docs  wrote docs/features.md\n")
    assert tool(root, "features", "--output", "docs/features.md", "--check").status == 0
    text = page.read_text()
    assert "| `cuda_full` | `cuda`, `flash-attn`, `cudnn`, `mkl` |" in text
    assert "| `cudnn` without `cuda` | profiles/mistralrs/pack.toml:73 |\n" in text
    assert "## mistralrs-quant\n\n| Feature | Turns on here |" in text
    assert "this is " not in text  # nothing of this machine
    tool(root, "feature_docs", "OUTPUT=other.md")
    assert (root / "other.md").read_text() == text
    manifest = root / "mistralrs-quant/Cargo.toml"
    write(manifest, manifest.read_text().replace("slow = []", "slow = []\nfast = []"))
    assert tool(root, "features", "--output", "docs/features.md", "--check").status == 1


@pytest.mark.shared
def test_the_features_of_a_real_fork(materialise: Any) -> None:
    found = json.loads(tool(materialise("mistralrs-fork"), "features", "--json").out)["features"]
    by_name = {(one["package"], one["feature"]): one for one in found}
    assert [key for key, one in by_name.items() if one["likely"]] == [("mistralrs-server", "acceleate")]
    assert by_name["mistralrs-core", "cudnn"]["requires"] == ["cuda"]
    assert {key for key, one in by_name.items() if one["half"]} == {
        (package, "nccl")
        for package in ("mistralrs", "mistralrs-bench", "mistralrs-pyo3", "mistralrs-server", "mistralrs-server-core")
    } | {("mistralrs-web-chat", "nccl")}
