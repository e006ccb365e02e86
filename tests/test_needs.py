"""What a build needs from the system, inferred from the crates that it really compiles: cargo resolves them."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import needs_cargo, write
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.cargo.config import target_cfg
from doit_cargo.engine.preflight.requirements import rules
from doit_cargo.engine.preflight.requirements.requirement import from_data, to_data
from needing import LINUX, Crates, Needing, lay_out

pytestmark = needs_cargo

WINDOWS = "x86_64-pc-windows-msvc"

# A server as large workspaces are: TLS by feature, protobuf in a build script, Python and CUDA in members of their own.
CRATES: Crates = {
    "server": {
        "needs": {"native-tls": "optional = true", "zmq-sys": ""},
        "build": {"prost-build": ""},
        "dev": {"alsa-sys": ""},
        "features": {"tls": ["dep:native-tls"], "vendored": ["tls", "native-tls/vendored"]},
    },
    "plain": {"needs": {"protobuf": ""}},
    "glib": {"needs": {"glib-sys": ""}, "features": {"new": ["glib-sys/v2_72"]}},
    "tls": {"needs": {"openssl-sys": ""}, "features": {"vendored": ["openssl-sys/vendored"]}},
    "pure": {"build": {"prost-build": "", "protox": ""}},
    "bindings": {"needs": {"pyo3-ffi": ""}},
    "extension": {"needs": {"pyo3-ffi": 'features = ["extension-module"]'}},
    "gpu": {
        "needs": {"cudarc": ""},
        "features": {
            "cuda": ["cudarc/cuda-version-from-build-system"],
            "anywhere": ["cuda", "cudarc/fallback-latest"],
        },
    },
    "desktop": {"needs": {"wayland-sys": 'features = ["client"]'}, "features": {"lazy": ["wayland-sys/dlopen"]}},
    "native-tls": {
        "version": "0.2.14",
        "features": {"vendored": ["openssl-sys/vendored"]},
        "target": {'cfg(not(any(windows, target_os = "macos")))': {"openssl-sys": ""}},
    },
    "openssl-sys": {
        "version": "0.9.109",
        "needs": {"openssl-src": "optional = true"},
        "features": {"vendored": ["dep:openssl-src"]},
    },
    "openssl-src": {"version": "300.5.2"},
    "zmq-sys": {"version": "0.12.0", "build": {"zeromq-src": "", "system-deps": ""}},
    "zeromq-src": {"version": "0.2.6+4.3.4"},
    "system-deps": {"version": "6.2.2"},
    "prost-build": {"version": "0.13.5"},
    "protox": {"version": "0.7.0"},
    "protobuf": {"version": "3.7.2"},
    "alsa-sys": {"version": "0.3.1"},
    "pyo3-ffi": {
        "version": "0.23.5",
        "build": {"pyo3-build-config": ""},
        "features": {"extension-module": []},
    },
    "pyo3-build-config": {"version": "0.23.5"},
    "cudarc": {
        "version": "0.16.6",
        "features": {"cuda-version-from-build-system": [], "fallback-latest": [], "cudnn": []},
    },
    "wayland-sys": {"version": "0.31.7", "features": {"client": [], "dlopen": []}},
    "glib-sys": {
        "version": "0.20.0",
        "member": True,
        "build": {"system-deps": ""},
        "features": {"v2_72": []},
        "metadata": '[package.metadata.system-deps.glib_2_0]\nname = "glib-2.0"\nversion = "2.56"\n'
        '[package.metadata.system-deps.glib_2_0.v2_72]\nversion = "2.72"\n',
    },
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Needing:
    made = lay_out(tmp_path_factory.mktemp("needing"), CRATES)
    made.lock()
    return made


C_PLUS_PLUS = {"c++": ["zeromq-src", "zmq-sys"]}
OPENSSL = {"openssl": ["openssl-sys"], "pkg-config": ["openssl-sys"]}
ALSA = {"alsa": ["alsa-sys"], "pkg-config": ["alsa-sys"]}
FROM_SOURCE = {"cc": ["openssl-src"], "make": ["openssl-src"], "perl": ["openssl-src"]}


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("build -p plain", {}),
        ("build -p server", {**C_PLUS_PLUS, "protoc": ["prost-build"]}),
        ("build -p server --features tls", {**C_PLUS_PLUS, **OPENSSL, "protoc": ["prost-build"]}),
        ("build -p server --features=vendored", {**C_PLUS_PLUS, **FROM_SOURCE, "protoc": ["prost-build"]}),
        ("test -p server", {**C_PLUS_PLUS, **ALSA, "protoc": ["prost-build"]}),
        ("check --all-targets -p server", {**C_PLUS_PLUS, **ALSA, "protoc": ["prost-build"]}),
        ("clippy -p server -- --all-targets", {**C_PLUS_PLUS, "protoc": ["prost-build"]}),
        ("build -p pure", {}),
        ("build -p extension", {"python": ["pyo3-build-config", "pyo3-ffi"]}),
        ("build -p bindings", {"libpython": ["pyo3-ffi"], "python": ["pyo3-build-config", "pyo3-ffi"]}),
        ("build -p gpu", {}),
        ("build -p gpu --features cuda", {"nvcc": ["cudarc"]}),
        ("build -p gpu --features anywhere", {}),
        ("build -p desktop", {"pkg-config": ["wayland-sys"], "wayland-client": ["wayland-sys"]}),
        ("build -p desktop --all-features", {}),
        ("build -p glib", {"glib-2.0": ["glib-sys"]}),
    ],
)  # fmt: skip
def test_a_build_needs_what_its_own_crates_and_features_need(
    workspace: Needing, argv: str, expected: dict[str, list[str]]
) -> None:
    assert workspace.needs(*argv.split()) == dict(sorted(expected.items()))


def test_another_target_has_other_crates_and_other_needs(workspace: Needing) -> None:
    argv = ("build", "-p", "server", "--features", "tls", "--target", WINDOWS)
    assert workspace.needs(*argv, triple=WINDOWS) == {**C_PLUS_PLUS, "protoc": ["prost-build"]}


def test_variables_take_needs_away_and_bring_them(workspace: Needing) -> None:
    vendored = ("build", "-p", "tls", "--features", "vendored")
    assert workspace.needs(*vendored) == FROM_SOURCE
    assert workspace.needs(*vendored, OPENSSL_NO_VENDOR="1") == OPENSSL
    assert workspace.needs(*vendored, OPENSSL_NO_VENDOR="0") == FROM_SOURCE
    assert workspace.needs("build", "-p", "bindings", PYO3_NO_PYTHON="1") == {}
    assert workspace.needs("build", "-p", "gpu", "--features", "cuda", CUDARC_CUDA_VERSION="12080") == {}
    plain = ("build", "-p", "tls")
    assert workspace.needs(*plain, OPENSSL_DIR="/opt/ssl") == {"openssl": ["openssl-sys"]}
    assert workspace.needs(*plain, X86_64_UNKNOWN_LINUX_GNU_OPENSSL_DIR="/opt/ssl") == {"openssl": ["openssl-sys"]}


def test_a_helper_of_build_scripts_is_called_only_where_one_is_compiled_with_it(tmp_path: Path) -> None:
    crates: Crates = {
        "generator": {"needs": {"prost-build": ""}},  # a program of its own, run by hand
        "app": {"build": {"helpers": ""}},
        "helpers": {"needs": {"prost-build": ""}},
        "prost-build": {"version": "0.13.5"},
    }
    made = lay_out(tmp_path, crates)
    for lock in (made.lock, (tmp_path / "Cargo.lock").unlink):  # by cargo, then by the manifests alone
        lock()
        assert made.needs("build", "-p", "generator") == {}
        assert made.needs("build", "-p", "app") == {"protoc": ["prost-build"]}


def test_a_need_names_the_way_to_its_crate_and_what_it_wants(workspace: Needing) -> None:
    found = workspace.infer("build", "-p", "gpu", "-p", "glib", "--features", "gpu/cuda,glib/new")
    assert [(need.thing, need.version, need.chain, need.feature) for need in found.needs] == [
        ("glib-2.0", ">=2.72", ("glib", "glib-sys"), ""),
        ("nvcc", ">=11.4,<12.10", ("gpu", "cudarc"), "cuda-version-from-build-system"),
    ]
    assert (found.basis, found.why, found.problem) == ("cargo", "", "")
    assert from_data(to_data(found)) == found


def test_the_version_of_a_crate_decides(tmp_path: Path) -> None:
    app = {"app": {"needs": {"prost-build": "", "zmq-sys": ""}}}
    made = lay_out(tmp_path, {**app, "prost-build": {"version": "0.10.4"}, "zmq-sys": {"version": "0.11.0"}})
    made.lock()
    assert made.needs("build") == {}


def test_a_crate_of_the_same_name_with_other_dependencies_is_another_crate(tmp_path: Path) -> None:
    quant = {"version": "0.6.0", "features": {"cuda": []}}
    app = {"app": {"needs": {"mistralrs-quant": 'features = ["cuda"]'}}}
    real: Crates = {
        **app,
        "mistralrs-quant": {**quant, "needs": {"candle-core": ""}},
        "candle-core": {"version": "0.9.1"},
    }
    model: Crates = {**app, "mistralrs-quant": quant}
    for name, crates, expected in (("real", real, "<12.10"), ("model", model, "")):
        made = lay_out(tmp_path / name, crates)
        made.lock()
        versions = [need.version for need in made.infer("build").needs if need.thing == "nvcc"]
        assert max(versions) == expected


# --- the lock alone --------------------------------------------------------------------------------------------------

LOCKED = """\
[[package]]
name = "{name}"
version = "{version}"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"
dependencies = [{dependencies}]
"""

APP = """\
[package]
name = "app"
version = "0.1.0"
edition = "2021"
[features]
tls = ["dep:native-tls"]
cuda = ["candle-core/cuda"]
[dependencies]
candle-core = "0.9"
native-tls = { version = "0.2", optional = true }
onig_sys = "69"
[target.'cfg(windows)'.dependencies]
alsa-sys = "0.3"
[dev-dependencies]
libudev-sys = "0.1"
"""


@pytest.fixture
def undownloaded(tmp_path: Path) -> Needing:
    """A workspace with a lock and no source, as after `git clone` on a train."""
    locked = {
        "candle-core": ("0.9.1", "candle-kernels", "cudarc"),
        "candle-kernels": ("0.9.1", "bindgen_cuda"),
        "bindgen_cuda": ("0.1.5",),
        "cudarc": ("0.16.6",),
        "native-tls": ("0.2.14", "openssl-sys"),
        "openssl-sys": ("0.9.109", "openssl-src"),
        "openssl-src": ("300.5.2+3.5.2",),
        "onig_sys": ("69.9.1", "cc"),
        "cc": ("1.2.0",),
        "alsa-sys": ("0.3.1",),
        "libudev-sys": ("0.1.4",),
    }
    lines = ['version = 4\n\n[[package]]\nname = "app"\nversion = "0.1.0"\ndependencies = [']
    lines += [f' "{name}",' for name in ("alsa-sys", "candle-core", "libudev-sys", "native-tls", "onig_sys")]
    lines += ["]\n"]
    for name, (version, *dependencies) in locked.items():
        listed = ", ".join(f'"{other}"' for other in dependencies)
        lines.append(LOCKED.format(name=name, version=version, dependencies=listed))
    write(tmp_path / "ws/Cargo.toml", '[workspace]\nresolver = "2"\nmembers = ["app"]\n')
    write(tmp_path / "ws/Cargo.lock", "\n".join(lines))
    write(tmp_path / "ws/app/Cargo.toml", APP)
    write(tmp_path / "ws/app/src/lib.rs", "")
    return Needing(tmp_path / "ws")


def test_without_sources_the_lock_and_the_manifests_tell_and_it_is_said(
    undownloaded: Needing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    compiled = {"cc": ["cc", "onig_sys"]}
    assert undownloaded.needs("build") == compiled
    assert undownloaded.needs("build", RUSTONIG_SYSTEM_LIBONIG="1")["oniguruma"] == ["onig_sys"]
    assert undownloaded.needs("test") == {**compiled, "libudev": ["libudev-sys"], "pkg-config": ["libudev-sys"]}
    assert undownloaded.needs("build", "--features", "tls") == {
        **FROM_SOURCE,
        "cc": ["cc", "onig_sys", "openssl-src"],
    }
    assert undownloaded.needs("build", "--features", "cuda") == {
        "capability": ["bindgen_cuda", "candle-kernels"],
        "cc": ["cc", "onig_sys"],
        "nvcc": ["bindgen_cuda", "candle-kernels", "cudarc"],
    }
    found = undownloaded.infer("build")
    assert (found.basis, found.why, found.problem) == ("lock", "sources are not downloaded (cargo fetch gets them)", "")


def test_what_only_stands_in_the_lock_below_a_crate_that_is_not_here_is_not_said_to_be_needed(
    undownloaded: Needing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cargo locks what a weak feature or another target may bring: openssl-src may be off in this native-tls."""
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    found = undownloaded.infer("build", "--features", "tls,cuda").needs
    perhaps = "whether it is built is known after cargo fetch"
    doubts = {(need.crate, need.thing): need.doubt for need in found}
    assert doubts["openssl-src", "perl"] == doubts["cc", "cc"] == perhaps
    assert doubts["onig_sys", "cc"] == doubts["candle-kernels", "nvcc"] == ""
    assert all(need.only_warn == bool(need.doubt) for need in found)


def test_a_lock_that_does_not_fit_is_a_problem_only_where_the_build_insists_on_it(tmp_path: Path) -> None:
    made = lay_out(tmp_path, {"app": {"build": {"prost-build": ""}}, "prost-build": {"version": "0.13.5"}})
    found = made.infer("build")
    assert (found.basis, found.why, found.problem) == (
        "lock",
        "Cargo.lock is absent or out of date (cargo generate-lockfile writes it anew)",
        "",
    )
    assert made.needs("build") == {"protoc": ["prost-build"]}
    assert "--locked was passed" in made.infer("build", "--locked").problem
    assert not (tmp_path / "Cargo.lock").exists()


@pytest.mark.parametrize("triple", [LINUX, WINDOWS, "aarch64-apple-darwin", "i686-unknown-linux-musl"])
def test_what_a_triple_means_is_what_rustc_says_of_it(triple: str) -> None:
    done = subprocess.run(["rustc", "--print", "cfg", "--target", triple], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this rustc does not know {triple}")
    assert target_cfg.facts(triple) - {'target_env=""'} <= set(done.stdout.splitlines())


@pytest.mark.parametrize(
    ("target", "on"),
    [
        ("", (LINUX, WINDOWS)),
        (WINDOWS, (WINDOWS,)),
        ("cfg(unix)", (LINUX,)),
        ("cfg(not(unix))", (WINDOWS,)),
        ('cfg(any(windows, target_os = "macos"))', (WINDOWS,)),
        ('cfg(not(any(windows, target_os = "macos")))', (LINUX,)),
        ('cfg(all(unix, target_arch = "x86_64", not(target_env = "musl")))', (LINUX,)),
        ('cfg(all(unix, target_arch = "aarch64"))', ()),
        ("cfg(tokio_unstable)", ()),
    ],
)
def test_a_target_table_counts_where_cargo_lets_it_count(target: str, on: tuple[str, ...]) -> None:
    assert tuple(triple for triple in (LINUX, WINDOWS) if target_cfg.applies(target, triple)) == on


# --- the user's own knowledge ----------------------------------------------------------------------------------------

OVERLAY = """\
[library.aurora]
pkg-config = ["aurora-core"]
get = "apt libaurora-dev"

[crate.plain.needs]
aurora = { version = ">=2.0" }

[crate.prost-build.needs]
protoc = false

[crate.zmq-sys.needs]
"c++" = { only-warn = true }
"""


def test_a_repository_adds_to_what_is_known_and_takes_away(workspace: Needing, tmp_path: Path) -> None:
    overlay = write(tmp_path / "sysdeps.toml", OVERLAY)
    found = workspace.infer("build", "-p", "plain", "-p", "server", overlay=str(overlay))
    assert [(need.crate, need.thing, need.version, need.modules, need.get, need.only_warn) for need in found.needs] == [
        ("plain", "aurora", ">=2.0", ("aurora-core",), "apt libaurora-dev", False),
        ("zmq-sys", "c++", "", (), "", True),
        ("zeromq-src", "c++", "", (), "", False),
    ]


def test_every_mistake_in_it_is_told_with_its_line(tmp_path: Path) -> None:
    text = '[crate.a]\nneed.x = {}\n[crate.b.needs]\ny = { feature = ["z"], version = "new" }\nw = true\n[crates]\n'
    overlay = write(tmp_path / "sysdeps.toml", text)
    with pytest.raises(UserError) as raised:
        rules.load(str(overlay), "profiles/sysdeps.toml")
    heads = [str(problem).splitlines()[0] for problem in raised.value.problems]
    assert heads == [
        "profiles/sysdeps.toml:2: unknown key of [crate.a] 'need'",
        "profiles/sysdeps.toml:4: unknown key of [crate.b.needs.y] 'feature'",
        "profiles/sysdeps.toml:4: crate.b.needs.y.version = 'new' is not a version specifier",
        "profiles/sysdeps.toml:5: crate.b.needs.w must be a table, not a boolean (true)",
        "profiles/sysdeps.toml:6: unknown key 'crates'",
    ]


# --- the shipped file ------------------------------------------------------------------------------------------------


def test_what_ships_is_well_formed_and_says_where_each_row_comes_from() -> None:
    file = TomlFile.read(rules.shipped_path(), "sysdeps.toml")
    assert [str(problem) for problem in rules.problems_of(file)] == []
    known = rules.load()
    assert [name for name, entry in known.crates.items() if not entry.evidence] == []
    assert [name for name, entry in known.crates.items() if bool(entry.rules) == bool(entry.nothing)] == []


def test_each_thing_that_ships_is_a_library_a_tool_or_has_a_look_of_its_own() -> None:
    from doit_cargo.engine.preflight.requirements.checks import LOOKS
    from doit_cargo.engine.toolchain.tools import ROWS

    known = rules.load()
    things = {rule.thing for entry in known.crates.values() for rule in entry.rules}
    assert things - known.libraries.keys() - LOOKS.keys() - ROWS.keys() == set()
    assert known.libraries.keys() - things == set()
    assert [name for name, library in known.libraries.items() if not library.get] == []


def test_systems_are_those_that_the_product_knows() -> None:
    from doit_cargo.engine.toolchain.platform import INSTALL

    with open(rules.shipped_path(), "rb") as stream:
        libraries = tomllib.load(stream)["library"]
    ways = {entry.split()[0] for table in libraries.values() for entry in table["get"].split(";")}
    assert ways - {*INSTALL, "any", "*"} == set()
