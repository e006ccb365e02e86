"""What hints take from a log beside rows of words: facts by grammar, how a program ended, whose code it is, the system
that the log is of; the floor where nothing is known, and what a test printed, which has not happened.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from calling import call, linux, small_workspace
from conftest import SHARED, needs_cargo, write
from doit_cargo.engine import hints
from doit_cargo.engine.hints import Hint, fixes, systems
from hint_logs import KNOWN, read

REGISTRY = "/home/dev/.cargo/registry/src/index.crates.io-6f17d22bba15001f"


def only(log: str, status: int = 0) -> Hint:
    (found,) = hints.read(io.BytesIO(log.encode()), KNOWN, own_system=False, status=status)
    return found


def names(log: str, status: int = 0) -> list[str]:
    return [one.name for one in hints.read(io.BytesIO(log.encode()), KNOWN, own_system=False, status=status)]


# --- grammars --------------------------------------------------------------------------------------------------------

OWNED = [
    ("library", "cudnn_ops", "cudnn-missing"),
    ("library", "anything", "native-lib-missing"),
    ("symbol", "cudnnCreate", "cudnn-missing"),
    ("symbol", "ZSTD_compress", "symbol-of-library"),
    ("symbol", "unheard_of", "native-symbols-missing"),
    ("symbol", "FcInit", "symbol-of-library"),
    ("symbol", "fcheck", "native-symbols-missing"),
    ("program", "x86_64-w64-mingw32-gcc", "cross-compiler-missing"),
    ("program", "frobnicate", "program-missing"),
    ("shared", "libcuda.so.1", "cuda-driver-lib-missing"),
    ("shared", "libcudart.so.12", "cuda-runtime-lib-missing"),
    ("header", "openssl/ssl.h", "openssl-missing"),
    ("header", "zbar.h", "c-header-missing"),
    ("ended", "SIGSEGV", "program-crashed"),
]


@pytest.mark.parametrize(("grammar", "subject", "owner"), OWNED)
def test_the_hint_that_says_most_of_a_subject_tells_of_it(grammar: str, subject: str, owner: str) -> None:
    found = KNOWN.owner(grammar, subject)
    assert found is not None
    assert found.name == owner


WORDINGS = {
    "program": [
        "/bin/sh: 1: frobnicate: not found",
        "bash: line 3: frobnicate: command not found",
        "zsh: command not found: frobnicate",
        "make[1]: frobnicate: No such file or directory",
        "/usr/bin/env: 'frobnicate': No such file or directory",
        "'frobnicate' is not recognized as an internal or external command,",
        'Failed to execute command "frobnicate": No such file or directory (os error 2)',
        "failed to find tool. Is `frobnicate` installed?",
        "FileNotFoundError: [Errno 2] No such file or directory: 'frobnicate'",
        'exec: "frobnicate": executable file not found in $PATH',
        "sh: 1: Some_FROBNICATE_EXECUTABLE-NOTFOUND: not found",
        "frobnicate was not found in PATH",
    ],
    "library": [
        "/usr/bin/ld: cannot find -lfrob: No such file or directory",
        "rust-lld: error: unable to find library -lfrob",
        "ld: library not found for -lfrob",
        "ld: library 'frob' not found",
        "mold: fatal: library not found: frob",
        "error: could not find native static library `frob`, perhaps an -L flag is missing?",
    ],
    "symbol": [
        "x.c:(.text+0x1): undefined reference to `frob_start'",
        "rust-lld: error: undefined symbol: frob_start",
        "mold: error: undefined symbol: frob_start",
        '  "_frob_start", referenced from:',
        "x.obj : error LNK2019: unresolved external symbol frob_start referenced in function f",
    ],
    "shared": [
        "./app: error while loading shared libraries: libfrob.so.2: cannot open shared object file: No such file",
        "Error loading shared library libfrob.so.2: No such file or directory (needed by /app)",
        "dyld[1]: Library not loaded: @rpath/libfrob.2.dylib",
        'Unable to dynamically load the "frob" shared library - searched for library names: ["frob"]',
        "OSError: libfrob.so.2: cannot open shared object file: No such file or directory",
        'CANNOT LINK EXECUTABLE "app": library "libfrob.so" needed by "/data/app" not found',
        "ERROR: Could not find dependency: libfrob.so.2",
        "Could not load library libfrobber_ops.so.8. Error: libfrob.so: cannot open shared object file: No such file",
    ],
    "lookup": [
        "./app: symbol lookup error: ./app: undefined symbol: frob_start",
        "ImportError: /w/a.so: undefined symbol: frob_start",
        "./app: relocation error: /w/liba.so: symbol frob_start version A_1 not defined in file libb.so.1",
        'CANNOT LINK EXECUTABLE "app": cannot locate symbol "frob_start" referenced by "/data/liba.so"...',
    ],
    "header": [
        "x.c:1:10: fatal error: frob.h: No such file or directory",
        "x.c:1:10: fatal error: 'frob.h' file not found",
        "x.c(1): fatal error C1083: Cannot open include file: 'frob.h': No such file or directory",
    ],
}


@pytest.mark.parametrize("grammar", WORDINGS)
def test_every_tool_says_it_in_its_own_words(grammar: str) -> None:
    default = {
        "program": "program-missing",
        "library": "native-lib-missing",
        "symbol": "native-symbols-missing",
        "shared": "shared-library-missing",
        "lookup": "symbol-lookup-error",
        "header": "c-header-missing",
    }[grammar]
    told = {line: (*names(f"error: x\n{line}\n"), "")[0] for line in WORDINGS[grammar]}
    assert told == dict.fromkeys(WORDINGS[grammar], default)


def test_an_item_of_std_tells_since_when_rust_has_it_in_a_dependency_only() -> None:
    message = "error[E0599]: no method named `is_none_or` found for enum `Option` in the current scope\n"
    assert "has since 1.82" in only(f"{message}  --> {REGISTRY}/dep-2.3.0/src/lib.rs:10:20\n").cause
    assert names(f"{message}  --> src/main.rs:10:20\n") == []


# --- how a program ended ---------------------------------------------------------------------------------------------

ENDS = {
    -11: "program-crashed",
    139: "program-crashed",
    -9: "program-killed",
    137: "program-killed",
    132: "illegal-instruction",
    134: "program-aborted",
    126: "program-not-executable",
    127: "program-not-startable",
    0xC0000135: "dll-not-found",
    0xC000007B: "dll-wrong-architecture",
}


@pytest.mark.parametrize("status", ENDS)
def test_a_status_alone_tells(status: int) -> None:
    assert names("", status) == [ENDS[status]]


def test_what_the_log_names_comes_before_what_a_status_may_mean() -> None:
    log = "./app: error while loading shared libraries: libfrob.so.2: cannot open shared object file: No such file\n"
    assert names(log, 127) == ["shared-library-missing"]


def test_a_status_that_means_nothing_shows_the_last_words() -> None:
    found = only("# a log\nreading\nthe end\n", 3)
    assert (found.confidence, found.cause) == ("look here", "Nothing known. The last it said: the end")


def test_what_stands_before_a_finished_build_is_not_why_its_program_failed() -> None:
    built = "warning: dep@1.0.0: Could not find `protoc`\n    Finished `dev` profile target(s) in 1s\n"
    assert names(built + "     Running `target/debug/app`\n") == []
    died = "target/debug/app: error while loading shared libraries: libcuda.so.1: cannot open shared object file\n"
    assert names(built + "     Running `target/debug/app`\n" + died) == ["cuda-driver-lib-missing"]


# --- the floor -------------------------------------------------------------------------------------------------------

SCRIPT = """\
   Compiling dep-sys v1.2.3
error: failed to run custom build command for `dep-sys v1.2.3`

Caused by:
  process didn't exit successfully: `/w/target/debug/build/dep-sys-1/build-script-build` (exit status: 101)
  --- stdout
  cargo:rerun-if-changed=build.rs
  --- stderr
  {}
  note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
SAID = [
    ("thread 'main' panicked at 'the moon is not full', build.rs:7:9", "the moon is not full"),
    ("thread 'main' panicked at build.rs:7:9:\n  the moon is not full", "the moon is not full"),
    ("the moon is not full", "the moon is not full"),
    (
        "fatal: the moon is missing\n  thread 'main' panicked at build.rs:7:9:\n  explicit panic",
        "fatal: the moon is missing",
    ),
]


@pytest.mark.parametrize(("lines", "why"), SAID, ids=["old panic", "panic", "plain", "hollow panic"])
def test_a_build_script_that_nobody_knows_says_why_itself(lines: str, why: str) -> None:
    found = only(SCRIPT.format(lines))
    assert (found.name, found.confidence) == ("build-script-failed", "look here")
    assert found.cause.endswith(f"The build script of dep-sys v1.2.3 failed. It says: {why}")
    assert "cargo tree -i dep-sys" in found.fix


def test_an_unknown_error_is_shown_with_the_end_of_its_chain() -> None:
    found = only("error: cannot do it\n\nCaused by:\n  first\n\nCaused by:\n  the moon is not full\n")
    assert found.cause == "The first error is: error: cannot do it (the moon is not full)"
    assert [number for number, _ in found.lines] == [1, 7]


def test_the_linkers_own_words_are_shown() -> None:
    command = '  = note: "cc" "-m64" "/w/a.o" "-o" "/w/app"\n'
    log = f"error: linking with `cc` failed: exit status: 1\n  |\n{command}  = note: ld: frobs do not mix\n"
    assert only(log).cause == "The link failed. The linker says: ld: frobs do not mix"


def test_code_that_does_not_compile_is_told_of_a_dependency_only() -> None:
    message = "error[E0308]: mismatched types\n"
    for compiled, told in (
        ("   Compiling dep v1.2.3\n", ["crate-broken-by-new-rustc"]),
        ("   Compiling dep v1.2.3 (/home/dev/w/dep)\n", []),
    ):
        assert names(f"{compiled}{message}error: could not compile `dep` (lib) due to 1 previous error\n") == told


def test_the_workspace_tells_who_pulls_a_crate_in(tmp_path: Path) -> None:
    package = '[[package]]\nname = "{}"\nversion = "1.0.0"\n{}\n'
    source = 'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
    lock = "version = 4\n\n" + package.format("app", 'dependencies = ["net"]')
    lock += package.format("net", source + 'dependencies = ["openssl-sys"]') + package.format("openssl-sys", source)
    write(tmp_path / "Cargo.lock", lock)
    told = fixes.about("openssl-sys", "1.0.0", str(tmp_path))
    assert told.startswith("pulled in by app -> net; it needs ")
    assert "pkg-config" in told
    assert fixes.about("net", "9.9.9", str(tmp_path)) == ""


# --- no false alarm --------------------------------------------------------------------------------------------------

PRINTED = {
    "libtest": "---- io::full stdout ----\n{}\n\nfailures:\n    io::full\n\ntest result: FAILED. 0 passed; 1 failed\n",
    "nextest": "        FAIL [   0.011s] app io::full\n--- STDERR:              app io::full ---\n{}\n"
    "     Summary [   0.012s] 1 test run: 0 passed, 1 failed, 0 skipped\nerror: test run failed\n",
    "pytest": "E       {}\nFAILED tests/test_io.py::test_full\n",
}
TEXTS = [
    "error: No space left on device (os error 28) is what we expected, got nothing",
    'called `Result::unwrap()` on an `Err` value: "failed to run custom build command: could not find `protoc`"',
    "assert 'error: linker `cc` not found' in output",
]


@pytest.mark.parametrize("harness", PRINTED)
@pytest.mark.parametrize("text", TEXTS)
def test_what_a_test_prints_has_not_happened(harness: str, text: str) -> None:
    assert names(PRINTED[harness].format(text)) == []


def test_the_typed_error_of_a_library_in_a_test_has_happened() -> None:
    text = 'called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device")'
    assert names(PRINTED["libtest"].format(text)) == ["gpu-not-found"]


# --- the system ------------------------------------------------------------------------------------------------------

PLACES = [
    ("/usr/lib/gcc/x86_64-alpine-linux-musl/13/ld: cannot find -lz\n", "apk add zlib-dev"),
    ("#5 [2/4] RUN dnf install -y gcc\n/usr/bin/ld: cannot find -lz\n", "dnf install zlib-devel"),
    ("/home/dev/w: cannot find -lz\n", "apt install zlib1g-dev"),
    ('ld: library not found for -lpq\n"_f", referenced from: /Users/dev/a.o\n', "brew install libpq"),
]


@linux
@pytest.mark.parametrize(("log", "command"), PLACES, ids=["Alpine", "Fedora", "Debian", "macOS"])
def test_the_command_fits_the_system_of_the_log(log: str, command: str) -> None:
    assert read(log)[0].fix.startswith(command)


@linux
def test_a_cross_build_gets_no_package_of_this_computer() -> None:
    found = read("/w/target/aarch64-unknown-linux-gnu/debug/deps/app.o\n/usr/bin/ld: cannot find -lz\n")[0]
    assert found.fix.startswith(
        "the library must be there for aarch64-unknown-linux-gnu: dpkg --add-architecture arm64"
    )
    assert "zlib1g-dev:arm64" in found.fix


@linux
def test_the_host_compiler_is_one_that_the_cuda_of_the_log_takes() -> None:
    error = "#error -- unsupported GNU version! gcc versions later than 13 are not supported!\n"
    assert "g++-13" in read(f"/usr/local/cuda-12.4/include/crt/host_config.h:143:2: error: {error}")[0].fix
    assert "g++-13" in read(f"/usr/include/crt/host_config.h:143:2: error: {error}")[0].fix, "nvcc says it itself"


def test_nothing_is_made_up_about_an_empty_log() -> None:
    assert systems.of("") == systems.LogSystem()


# --- the second set of founders' excerpts ----------------------------------------------------------------------------

RIGHT = {
    "funes5-isoc23": "glibc-too-old",
    "bindgen3383-opaque": "bindgen-opaque-types",
    "dockerrust68-crti": "libc-dev-missing",
    "cross1436-glibc": "glibc-of-build-script",
    "tauri8492-glib-old": "pkgconfig-lib-missing-or-old",
    "cargo11320-framework": "framework-missing",
    "mistral548-std-function": "nvcc-gcc-11-headers",
    "muslbuilder26-perm": "permission-denied-in-image",
    "bellperson236-sm86": "unsupported-gpu-arch",
    "zigbuild248-libcxx": "cxx-libraries-mixed",
    "maturin1214-pypy": "python-other-interpreter",
    "modelexpress16-rustup-conflict": "toolchain-broken",
    "opence1260-e0554": "cargo-feature-unstable",
    "llamacpp8488-glslc": "build-tool-missing",
    "zed32731-failifmismatch": "msvc-crt-mismatch",
    "tari3533-http2": "registry-http2",
    "xprite5-submodule-manifest": "path-dependency-missing",
    "napi2000-tls": "tls-model",
    "mistral941-m-log2e": "msvc-math-defines",
    "candle2112-libnvrtc": "cuda-runtime-lib-missing",
    "loop59-lock-twice": "lockfile-broken",
    "ort548-cublaslt12": "onnxruntime-cuda-version",
    "dxos12539-rustup-init": "rustup-proxy-broken",
}


@pytest.mark.shared
def test_the_excerpts_that_rows_of_words_got_wrong_are_right_now() -> None:
    path = SHARED / "facts/build-errors-2.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is absent: the excerpts are not in this repository")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {row["id"]: (*names(row["excerpt"] + "\n"), "")[0] for row in rows} == RIGHT


# --- after a target of one's own -------------------------------------------------------------------------------------

ROWS = {
    "gone": ('"sh", "-c", "frobnicate --all"', "cause: The build runs frobnicate, which is not on PATH."),
    "crashes": ('"sh", "-c", "kill -SEGV $$"', "likely: The program crashed (sigsegv)"),
    "loads": (
        '"PYTHON", "-c", "import ctypes; ctypes.CDLL(\'libfrob.so.2\')"',
        "cause: A program cannot start: the shared library libfrob.so.2 is not installed",
    ),
    "says": (
        '"sh", "-c", "echo error: out of paint; exit 3"',
        "look here: The first error is: error: out of paint",
    ),
    "mumbles": ('"sh", "-c", "echo out of paint; exit 3"', "look here: Nothing known. The last it said: out of paint"),
}


@linux
@needs_cargo
@pytest.mark.slow
def test_a_program_of_ones_own_that_fails_is_explained(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    rows = [f'[target.{name}]\ndoc = "It fails."\nrun = [{run}]\n' for name, (run, _) in ROWS.items()]
    write(workspace / "profiles/pack.toml", "\n".join(rows).replace("PYTHON", sys.executable))
    for name, (_, told) in ROWS.items():
        said = call(workspace, "doit-cargo", name)
        assert f"!! {name}  {told}" in said.err
        assert f"!! {name}    fix: " in said.err


@pytest.mark.parametrize(
    ("log", "fix"),
    [
        ("ld: cannot find -lXrandr\n", "apt install libx11-dev"),
        ("ld: cannot find -lgraphene-1.0\n", "apt install libgraphene-1.0-dev"),
        ("fatal error: boost/asio.hpp: No such file or directory\n", "apt install libboost1.74-dev"),
        (
            "app: error while loading shared libraries: libxdo.so.3: cannot open shared object file\n",
            "apt install libxdo3",
        ),
        ('error: failed to find tool "x86_64-linux-gnu-gcc": program not found\n', "apt install gcc-x86-64-linux-gnu"),
        ("error: linker `riscv64-linux-gnu-gcc` not found\n", "apt install gcc-riscv64-linux-gnu"),
        ("error: linker `x86_64-w64-mingw32-gcc` not found\n", "apt install gcc-mingw-w64-x86-64"),
    ],
)
def test_the_package_is_the_one_that_debian_says(log: str, fix: str) -> None:
    debian = "Get:1 http://deb.debian.org/debian bookworm InRelease: Debian\n"
    assert [hint.fix.partition(",")[0].startswith(fix) for hint in read(debian + log)[:1]] == [True]
