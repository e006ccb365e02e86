"""Real failures: made here with the real tools, not checked beforehand, and named by the hint afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from calling import call, environment, program
from conftest import needs_cargo, write
from hint_logs import first

pytestmark = [needs_cargo, pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="Linux's tools")]

MANIFEST = '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'
# Build scripts do what those of the real -sys crates do: run the tool, and say what they say.
RUNS = """\
use std::process::Command;
fn run(program: &str, arguments: &[&str]) -> Result<std::process::Output, std::io::Error> {
    Command::new(program).args(arguments).output()
}
fn said(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}
"""


@dataclass
class Case:
    """A crate that fails: the hint, its files, the environment, the words of the call, what must be on the machine."""

    hint: str
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ("dev",)
    needs: tuple[str, ...] = ()
    prepare: Callable[[Path], dict[str, str]] | None = None

    def lay_out(self, root: Path) -> dict[str, str]:
        """Write the workspace; return the environment of the call."""
        files = {"Cargo.toml": MANIFEST, "src/main.rs": "fn main() {}\n", **self.files}
        for name, text in files.items():
            write(root / name, text)
        return {**self.variables, **(self.prepare(root) if self.prepare else {})}


def script(body: str) -> dict[str, str]:
    return {"build.rs": f"{RUNS}fn main() {{\n{body}\n}}\n"}


def manifest(more: str) -> dict[str, str]:
    return {"Cargo.toml": MANIFEST + more}


def only_rust(root: Path) -> dict[str, str]:
    """Return a PATH with Rust and a C compiler, and nothing else that a build script could find."""
    folder = root.parent / "only-rust"
    for name in ("cargo", "rustc", "cc", "gcc", "ld", "as", "sh"):
        found = shutil.which(name)
        if found:
            folder.mkdir(exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(found)
    return {"PATH": os.pathsep.join([os.path.dirname(sys.executable), str(folder)])}


def limited_rustc(limit: str) -> Callable[[Path], dict[str, str]]:
    """Return what runs rustc under a limit of the shell."""

    def prepare(root: Path) -> dict[str, str]:
        wrapper = program(root.parent / "limited", f'case "$*" in *"--crate-name app"*) {limit};; esac\nexec "$@"')
        return {"RUSTC_WRAPPER": str(wrapper)}

    return prepare


CASES = {
    "no protoc": Case(
        "protoc-missing",
        script(
            'let error = run("protoc-is-not-here", &["--version"]).unwrap_err();\n'
            'panic!("failed to invoke protoc (hint: https://docs.rs/prost-build/#sourcing-protoc): '
            '(path: protoc): {error}")'
        ),
        prepare=only_rust,
    ),
    "no libclang": Case(
        "libclang-missing",
        script(
            'let error = std::fs::read_dir(std::env::var("LIBCLANG_PATH").unwrap()).unwrap_err();\n'
            'eprintln!("{error}");\n'
            "panic!(\"Unable to find libclang: \\\"couldn't find any valid shared libraries matching: ['libclang.so'], "
            "set the `LIBCLANG_PATH` environment variable to a path where one of these files can be found "
            '(invalid: [])\\"")'
        ),
        variables={"LIBCLANG_PATH": "/nonexistent"},
    ),
    "no cmake": Case(
        "cmake-missing",
        script(
            'let error = run("cmake", &["--version"]).unwrap_err();\n'
            'panic!("\\nfailed to execute command: {error}\\nis `cmake` not installed?\\n\\n'
            'build script failed, must exit now")'
        ),
        prepare=only_rust,
    ),
    "no nvcc": Case(
        "cuda-toolkit-missing",
        script('run("nvcc", &["--version"]).expect("Failed to execute `nvcc`");'),
        prepare=only_rust,
    ),
    "no nvidia-smi": Case(
        "nvidia-smi-missing",
        script('run("nvidia-smi", &["--query-gpu=compute_cap"]).expect("Failed to get compute cap");'),
        prepare=only_rust,
    ),
    "no git": Case(
        "git-missing-clone",
        script(
            'let error = run("git", &["clone", "x"]).unwrap_err();\n'
            'println!("cargo:warning=cloning");\n'
            'eprintln!("Error: Failed to clone cutlass repository\\n\\nCaused by:\\n    {error}");\n'
            "std::process::exit(1)"
        ),
        prepare=only_rust,
    ),
    "a system library without its .pc file": Case(
        "pkgconfig-lib-missing",
        script('panic!("{}", said(run("pkg-config", &["--libs", "--cflags", "hwloc"]).unwrap()))'),
        variables={"PKG_CONFIG_LIBDIR": "/nonexistent", "PKG_CONFIG_PATH": ""},
        needs=("pkg-config",),
    ),
    "no pkg-config": Case(
        "pkg-config-missing",
        script(
            'let error = run("pkg-config", &["openssl"]).unwrap_err();\n'
            'println!("run pkg_config fail: \\"Failed to run `pkg-config --libs openssl`: {error}\\"");\n'
            'panic!("\\n\\nCould not find directory of OpenSSL installation, and this `-sys` crate cannot")'
        ),
        prepare=only_rust,
    ),
    "a C header that is not there": Case(
        "c-header-missing",
        {
            "native.c": "#include <alsa/no-such/asoundlib.h>\n",
            **script('panic!("{}", said(run("cc", &["-c", "native.c", "-o", "/dev/null"]).unwrap()))'),
        },
        needs=("cc",),
    ),
    "a C compiler without C++": Case(
        "cxx-compiler-missing",
        {
            "native.cpp": "int x;\n",
            **script('panic!("{}", said(run("env", &["GCC_EXEC_PREFIX=/none/", "gcc", "-c", "native.cpp"]).unwrap()))'),
        },
        needs=("gcc", "env"),
    ),
    "a library that the linker does not find": Case(
        "native-lib-missing",
        {"build.rs": 'fn main() { println!("cargo:rustc-link-lib=asound_of_nowhere"); }\n'},
        needs=("cc",),
    ),
    "CUDA's library not on the linker's path": Case(
        "cuda-lib-not-found-linker",
        {"build.rs": 'fn main() { println!("cargo:rustc-link-lib=cublas"); }\n'},
        needs=("cc",),
    ),
    "a native function that nobody defines": Case(
        "native-symbols-missing",
        {"src/main.rs": 'unsafe extern "C" { fn of_nowhere(); }\nfn main() { unsafe { of_nowhere() } }\n'},
        needs=("cc",),
    ),
    "no linker": Case(
        "linker-missing",
        {".cargo/config.toml": "[build]\nrustflags = ['-Clinker=clang-99']\n"},
    ),
    "a fast linker that is not installed": Case(
        "fast-linker-missing-gcc",
        {".cargo/config.toml": "[build]\nrustflags = ['-Clink-arg=-fuse-ld=mold', '-Clink-arg=-B/nonexistent']\n"},
        needs=("cc",),
        prepare=only_rust,
    ),
    "the standard library of another target": Case(
        "rust-target-missing", words=("dev", "TARGET=riscv64gc-unknown-linux-gnu")
    ),
    "a rustc older than a package wants": Case("rustc-too-old", {"Cargo.toml": MANIFEST + 'rust-version = "1.999"\n'}),
    "a feature of a dependency that it does not have": Case(
        "feature-not-found",
        {
            "Cargo.toml": MANIFEST + '[dependencies]\nlow = { path = "low", features = ["acelerate"] }\n',
            "low/Cargo.toml": MANIFEST.replace("app", "low"),
            "low/src/lib.rs": "",
        },
    ),
    "one native library twice": Case(
        "links-conflict",
        {
            "Cargo.toml": MANIFEST + '[dependencies]\none = { path = "one" }\ntwo = { path = "two" }\n',
            **{
                f"{name}/{file}": text
                for name in ("one", "two")
                for file, text in {
                    "Cargo.toml": MANIFEST.replace("app", name) + 'links = "z"\n',
                    "src/lib.rs": "",
                    "build.rs": "fn main() {}\n",
                }.items()
            },
        },
    ),
    "a lock that --locked may not write": Case(
        "lockfile-outdated",
        {
            "Cargo.toml": MANIFEST + '[dependencies]\nlow = { path = "low" }\n',
            "low/Cargo.toml": MANIFEST.replace("app", "low"),
            "low/src/lib.rs": "",
            "Cargo.lock": 'version = 4\n\n[[package]]\nname = "app"\nversion = "0.1.0"\n',
            "profiles/dev.toml": 'extends = "dev"\n[cargo]\nlocked = true\n',
        },
    ),
    "a registry that does not answer": Case(
        "registry-network",
        {
            "Cargo.toml": MANIFEST + '[dependencies]\nanyhow = "1"\n',
            ".cargo/config.toml": "[source.crates-io]\nreplace-with = 'nowhere'\n[source.nowhere]\n"
            "registry = 'sparse+http://127.0.0.1:9/'\n[net]\nretry = 0\n",
        },
    ),
    "sccache that is not installed": Case(
        "sccache-missing", {".cargo/config.toml": "[build]\nrustc-wrapper = 'sccache-99'\n"}
    ),
    "too little memory": Case(
        "out-of-memory",
        {
            "src/main.rs": "const N: usize = 1 << 28;\nstatic BIG: [u64; N] = [7; N];\n"
            "fn main() { std::hint::black_box(&BIG); }\n"
        },
        prepare=limited_rustc("ulimit -v 700000"),
    ),
    "too little memory for rustc's own libraries": Case("out-of-memory", prepare=limited_rustc("ulimit -v 150000")),
    "too few open files": Case("too-many-open-files", prepare=limited_rustc("ulimit -n 12")),
    "a nightly feature on stable": Case(
        "cargo-feature-unstable", {"src/main.rs": "#![feature(never_type)]\nfn main() {}\n"}
    ),
    "an option that rustc does not know": Case(
        "rustc-option-unknown", {".cargo/config.toml": "[target.'cfg(all())']\nrustflags = ['-Ctarget-cpus=native']\n"}
    ),
    "sources without their repository": Case(
        "git-repository-missing",
        script('panic!("{}", said(run("git", &["rev-parse", "HEAD"]).unwrap()))'),
        needs=("git",),
        variables={"GIT_CEILING_DIRECTORIES": "/", "GIT_DIR": "/nonexistent/.git"},
    ),
    "a lock that git left behind": Case(
        "git-lock-race",
        script(
            'run("git", &["init", "-q", "checkout"]).unwrap();\n'
            'std::fs::write("checkout/.git/index.lock", "").unwrap();\n'
            'std::fs::write("checkout/file", "").unwrap();\n'
            'panic!("{}", said(run("git", &["-C", "checkout", "add", "file"]).unwrap()))'
        ),
        needs=("git",),
    ),
    "metal elsewhere": Case(
        "metal-on-other-platform",
        {"src/main.rs": '#[link(name = "Metal", kind = "framework")]\nunsafe extern "C" {}\nfn main() {}\n'},
    ),
}


# --- nvcc ------------------------------------------------------------------------------------------------------------

NVCC = next(iter(sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/nvcc"))), None)
KERNEL = "__global__ void scale(float *x) { x[0] *= 2; }\n"
# What Ampere brought: an asynchronous copy.
AMPERE = '__global__ void wait_for_copies() { asm volatile("cp.async.wait_all;"); }\n'


def nvcc(hint: str, *arguments: str, kernel: str = KERNEL) -> Case:
    """Return a crate whose build script compiles a kernel, as candle-kernels does."""
    told = ", ".join(json.dumps(word) for word in (*arguments, "-c", "kernel.cu", "-o", "kernel.o"))
    body = f'let out = run(&std::env::var("NVCC").unwrap(), &[{told}]).unwrap();\nassert!(!out.status.success());\n'
    body += 'panic!("nvcc error while compiling \\"kernel.cu\\":\\n\\n# stderr\\n{}", said(out))'
    return Case(hint, {"kernel.cu": kernel, **script(body)}, {"NVCC": str(NVCC)}, needs=("g++",))


NVCC_CASES = {
    "a host compiler that is not there": nvcc("nvcc-host-compiler-missing", "-ccbin", "/nonexistent/g++"),
    "a host compiler that is too new": nvcc("nvcc-host-compiler-too-new", "-ccbin", "./g++-99"),
    "an architecture that this nvcc does not know": nvcc("unsupported-gpu-arch", "-arch=compute_200"),
    "an architecture that nvcc has dropped": nvcc("unsupported-gpu-arch", "-arch=sm_35"),
    "a compute capability with a dot": nvcc("compute-cap-format", "-arch=sm_8.6"),
    "a language version that this nvcc does not know": nvcc("nvcc-too-old", "-std=c++99"),
    "an option that this nvcc does not know": nvcc("nvcc-too-old", "--no-such-option"),
    "a path with a blank": nvcc("nvcc-arguments-broken", "C:/Program", "Files/nvidia"),
    "a GPU older than the kernel": nvcc("cuda-arch-too-old", "-arch=sm_75", kernel=AMPERE),
    "a kernel without CUTLASS": nvcc("cutlass-missing", kernel="#include <cute/tensor.hpp>\n" + KERNEL),
    "a mistake in a kernel": nvcc("nvcc-compile-failed", kernel="__global__ void f() { missing(); }\n"),
}


@pytest.mark.cuda
@pytest.mark.skipif(NVCC is None, reason="PyPI's nvidia-cuda-nvcc is not installed")
@pytest.mark.parametrize("title", NVCC_CASES)
def test_a_cause_in_nvcc_beats_its_build_script(title: str, tmp_path: Path) -> None:
    # A g++ that says it is version 99: what a distribution newer than the toolkit has.
    program(tmp_path / "app/g++-99", 'exec g++ -U__GNUC__ -D__GNUC__=99 -Wno-builtin-macro-redefined "$@"')
    require_named(NVCC_CASES[title], tmp_path)


# --- a small disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of a few blocks; only root may."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(place)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("options", "hint"),
    [("size=600k", "disk-full"), ("size=1m,ro", "read-only-file-system")],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_no_more_is_named(
    options: str, hint: str, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    case = Case(hint, variables={"CARGO_TARGET_DIR": str(small_disk(options))})
    log = failed_log(case, tmp_path)
    # A linker that writes through a memory map dies of a full disk by SIGBUS, and may say nothing else.
    died = hint == "disk-full" and "Bus error" in log and "No space left" not in log
    assert first(log) == ("linker-bus-error" if died else hint), log


# --- what is asked of each -------------------------------------------------------------------------------------------


def lacks(case: Case) -> str:
    path = environment(**case.variables)["PATH"]
    return next((name for name in case.needs if shutil.which(name, path=path) is None), "")


def failed_log(case: Case, tmp_path: Path) -> str:
    """Let it fail without the checks before; return the log."""
    root = tmp_path / "app"
    call(root, "doit-cargo", *case.words, "WITHOUT_PREFLIGHT=1", **case.lay_out(root))
    return (root / ".logs/dev.log").read_text()


def require_named(case: Case, tmp_path: Path) -> None:
    """Let it fail without the checks before, and require that the first hint is the right one, said and asked for."""
    if lacks(case):
        pytest.skip(f"{lacks(case)} is not on PATH")
    root = tmp_path / "app"
    said = call(root, "doit-cargo", *case.words, "WITHOUT_PREFLIGHT=1", **case.lay_out(root))
    assert said.status == 1, said.err
    log = (root / ".logs/dev.log").read_text()
    assert (first(log), case.hint) == (case.hint, case.hint), said.err
    assert re.search(rf"^!! {case.words[0]}  (?:cause|likely|look here): ", said.err, re.MULTILINE)
    assert "fix: " in said.err


@pytest.mark.parametrize("title", CASES)
def test_the_cause_is_named_after_the_failure(title: str, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    require_named(CASES[title], tmp_path)


# --- what stops before there is a log --------------------------------------------------------------------------------

# Calls that our own checks refuse; cargo's and rustup's words are what a CI's log has of them.
CALLS = {
    "a pinned toolchain that is not installed": (
        "toolchain-missing",
        ("cargo", "build"),
        {"RUSTUP_TOOLCHAIN": "1.11.0"},
    ),
    "a target that rustup does not know": ("rust-target-unknown", ("rustup", "target", "add", "x86_64-of-nowhere"), {}),
    "an unknown feature": ("feature-not-found", ("cargo", "build", "--features", "cudda"), {}),
    "an unknown feature of a workspace": (
        "feature-not-found",
        ("cargo", "build", "--workspace", "--features", "cudda"),
        {},
    ),
    "an unknown package": ("package-not-found", ("cargo", "build", "-p", "mistralrs-sever"), {}),
    "an unknown cargo profile": ("cargo-profile-unknown", ("cargo", "build", "--profile", "relase"), {}),
    "an unknown binary": ("cargo-target-not-found", ("cargo", "build", "--bin", "server"), {}),
    "a command that cargo lacks": ("cargo-subcommand-missing", ("cargo", "no-such-command"), {}),
    "no manifest": ("cargo-toml-not-found", ("cargo", "build", "--manifest-path", "../Cargo.toml"), {}),
    "a linker flag for RUSTFLAGS in two words": ("rustc-option-unknown", ("cargo", "build"), {"RUSTFLAGS": "-C -C x"}),
    # doit-cargo takes sccache out of such a call; a plain cargo fails.
    "sccache whose storage does not answer": (
        "sccache-server-failed",
        ("cargo", "build"),
        {"RUSTC_WRAPPER": "sccache", "SCCACHE_ENDPOINT": "http://127.0.0.1:9", "SCCACHE_BUCKET": "none"}
        | {"SCCACHE_SERVER_PORT": "48711", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        | {"SCCACHE_REGION": "none", "CARGO_INCREMENTAL": "0"},
    ),
    "sccache with incremental compilation": (
        "sccache-incremental",
        ("cargo", "build"),
        {"RUSTC_WRAPPER": "sccache", "CARGO_INCREMENTAL": "1", "SCCACHE_SERVER_PORT": "48712"},
    ),
    "a registry behind a dead proxy": (
        "proxy-failed",
        ("cargo", "install", "itoa-of-nowhere"),
        {"CARGO_HTTP_PROXY": "http://proxy.invalid:1", "CARGO_NET_RETRY": "0"},
    ),
}


@pytest.mark.parametrize("title", CALLS)
def test_what_cargo_and_rustup_refuse_is_named(title: str, tmp_path: Path) -> None:
    hint, words, variables = CALLS[title]
    if shutil.which("rustup") is None and "rustup" in (words[0], *map(str.lower, variables)):
        pytest.skip("rustup is not on PATH")
    if variables.get("RUSTC_WRAPPER") and shutil.which("sccache", path=environment()["PATH"]) is None:
        pytest.skip("sccache is not on PATH")
    Case(hint).lay_out(tmp_path)
    said = call(tmp_path, *words, RUSTUP_AUTO_INSTALL="0", **variables)
    assert said.status != 0
    assert (first(said.err), hint) == (hint, hint), said.err
