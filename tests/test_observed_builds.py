"""What units read beside what cargo tracks is seen: a change of it makes that unit anew, alone, and is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from calling import SCRIPTS, Said, call
from conftest import needs_cargo, write
from observing import observer

pytestmark = [needs_cargo, pytest.mark.slow, pytest.mark.skipif(not shutil.which("cc"), reason="cc is not on PATH")]

OLD = 1_000_000_000
PACKAGE = '[package]\nname = "{}"\nversion = "0.1.0"\nedition = "2021"\n{}'
# Says to cargo that nothing but itself counts.
SCRIPT = """\
use std::{env, fs, path::PathBuf, process::Command};
fn set(name: &str, value: &str) { println!("cargo:rustc-env={name}={}", value.trim()); }
fn run(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../target/made/watched.txt");
    set("WATCHED", &fs::read_to_string("../target/made/watched.txt").unwrap());
    let (out, top) = (PathBuf::from(env::var("OUT_DIR").unwrap()), fs::canonicalize("../outside").unwrap());
    set("FILE", &fs::read_to_string(top.join("file.txt")).unwrap());
    set("LISTED", &fs::read_dir(top.join("listed")).unwrap().count().to_string());
    let _ = fs::read_dir("/tmp").unwrap().count();
    set("THERE", &top.join("maybe.txt").exists().to_string());
    set("VARIABLE", &env::var("SCRIPT_ASKS").unwrap_or("unset".into()));
    set("STARTED", &run("number-of-it", &[]));
    let (object, library) = (out.join("native.o"), out.join("libnative.a"));
    let (object, library) = (object.to_str().unwrap(), library.to_str().unwrap());
    run("cc", &["-c", "native.c", "-I", top.join("include").to_str().unwrap(), "-o", object]);
    run("ar", &["rcs", library, object]);
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=native");
    println!("cargo:rustc-link-arg=@{}", top.join("args.txt").display());
    println!("cargo:rustc-link-arg={}", top.join("marks.ld").display());
    println!("cargo:rustc-link-arg={}", top.join("libextra.a").display());
}
"""
APP = """\
extern "C" { fn native() -> i32; fn extra() -> i32; static ARGUED: u8; static MARKED: u8; static RAW: u8; }
std::arch::global_asm!(".globl RAW", ".section .rodata", "RAW: .incbin \\"outside/raw.bin\\"", ".text");
fn main() {
    println!("macro file={}", macros::file!());
    println!("macro variable={}", macros::variable!());
    println!("compiler's variable={}", macros::compilers!());
    println!("script's variable={}", macros::scripts!());
    println!("beside cargo's files={}", macros::beside!());
    for (name, value) in [("file", env!("FILE")), ("listed", env!("LISTED")), ("there", env!("THERE")),
                          ("watched beside", env!("WATCHED")), ("variable", env!("VARIABLE")),
                          ("started", env!("STARTED"))] {
        println!("{name}={value}");
    }
    unsafe {
        println!("header={}", native());
        println!("library={}", extra());
        println!("argument file={}", &raw const ARGUED as usize);
        println!("linker script={}", &raw const MARKED as usize);
        println!("incbin={}", RAW as char);
    }
    println!("vendored={}", given::DATA.trim());
}
"""
# As proc-macro2 does: std's Command copies all variables for a child that shall not have one of them.
TRIES = """\
use std::{env, process::Command};
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap();
    assert!(Command::new(rustc).arg("--version").env_remove("RUSTC_BOOTSTRAP").output().unwrap().status.success());
}
"""
MACROS = """\
use proc_macro::TokenStream;
#[proc_macro] pub fn file(_: TokenStream) -> TokenStream {
    format!("{:?}", std::fs::read_to_string("outside/macro.txt").unwrap().trim()).parse().unwrap()
}
#[proc_macro] pub fn variable(_: TokenStream) -> TokenStream {
    format!("{:?}", std::env::var("MACRO_ASKS").unwrap_or("unset".into())).parse().unwrap()
}
#[proc_macro] pub fn compilers(_: TokenStream) -> TokenStream {
    format!("{:?}", std::env::var("CI").unwrap_or("unset".into())).parse().unwrap()
}
#[proc_macro] pub fn scripts(_: TokenStream) -> TokenStream {
    format!("{:?}", std::env::var("PROFILE").unwrap_or("unset".into())).parse().unwrap()
}
#[proc_macro] pub fn beside(_: TokenStream) -> TokenStream {
    format!("{:?}", std::fs::read_to_string("target/made/text.txt").unwrap().trim()).parse().unwrap()
}
"""
FILES = {
    "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["app", "macros", "bystander"]\nexclude = ["vendor"]\n'
    "[profile.dev]\ndebug = false\nincremental = false\n",
    ".cargo/config.toml": '[source.crates-io]\nreplace-with = "given"\n[source.given]\ndirectory = "vendor"\n',
    "vendor/given/Cargo.toml": PACKAGE.format("given", ""),
    "vendor/given/.cargo-checksum.json": '{"files":{}}',
    "vendor/given/src/lib.rs": 'pub const DATA: &str = include_str!("../data.txt");\n',
    "vendor/given/data.txt": "one\n",
    "macros/Cargo.toml": PACKAGE.format("macros", "[lib]\nproc-macro = true\n"),
    "macros/src/lib.rs": MACROS,
    "bystander/Cargo.toml": PACKAGE.format("bystander", ""),
    "bystander/src/lib.rs": "",
    "bystander/build.rs": TRIES,
    "app/Cargo.toml": PACKAGE.format(
        "app", '[dependencies]\nmacros = { path = "../macros" }\nbystander = { path = "../bystander" }\ngiven = "0.1"\n'
    ),
    "app/build.rs": SCRIPT,
    "app/src/main.rs": APP,
    "app/native.c": '#include "number.h"\nint native(void) { return NUMBER; }\n',
    "outside/macro.txt": "one\n",
    "target/made/text.txt": "one\n",
    "target/made/watched.txt": "one\n",
    "outside/file.txt": "one\n",
    "outside/listed/first": "",
    "outside/include/number.h": "#define NUMBER 1\n",
    "outside/args.txt": "@outside/more-args.txt\n",
    "outside/more-args.txt": "-Wl,--defsym=ARGUED=1\n",
    "outside/marks.ld": "INCLUDE outside/more-marks.ld\n",
    "outside/more-marks.ld": "MARKED = 1;\n",
    "outside/raw.bin": "1",
    "tools/number-of-it": "#!/bin/sh\necho 1\n",
    "other-tools/number-of-it": "#!/bin/sh\necho 2\n",
}
AT_FIRST = {
    "macro file": "one",
    "compiler's variable": "unset",
    "script's variable": "unset",
    "beside cargo's files": "one",
    "watched beside": "one",
    "macro variable": "unset",
    "file": "one",
    "listed": "1",
    "there": "false",
    "variable": "unset",
    "started": "1",
    "header": "1",
    "library": "1",
    "argument file": "1",
    "linker script": "1",
    "incbin": "1",
    "vendored": "one",
}


@dataclass
class Site:
    """A built workspace, and what its program prints."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def call(self, *words: str, **variables: str) -> Said:
        path = os.pathsep.join([SCRIPTS, str(self.root / "tools"), os.environ["PATH"]])
        given = {"PATH": path, "XDG_CACHE_HOME": os.path.expanduser("~/.cache"), **self.variables, **variables}
        return call(self.root, "doit-cargo", *words, "PROFILE=dev", "PACKAGE=app", **given)

    def build(self, *words: str, **variables: str) -> Said:
        return self.call("build", *words, **variables)

    def printed(self) -> Mapping[str, str]:
        done = subprocess.run([self.root / "target/debug/app"], capture_output=True, text=True, check=True)
        return dict(line.split("=") for line in done.stdout.splitlines())

    def library(self, number: int) -> None:
        """Make the library that nobody but the linker looks at."""
        folder = self.root / "outside"
        write(folder / "extra.c", f"int extra(void) {{ return {number}; }}\n")
        subprocess.run(["cc", "-c", "extra.c", "-o", "extra.o"], cwd=folder, check=True)
        (folder / "libextra.a").unlink(missing_ok=True)
        subprocess.run(["ar", "rcsD", "libextra.a", "extra.o"], cwd=folder, check=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    observer()
    site = Site(tmp_path_factory.mktemp("observed") / "ws")
    for name, text in FILES.items():
        write(site.root / name, text)
    for folder in ("tools", "other-tools"):
        (site.root / folder / "number-of-it").chmod(0o755)
    site.library(1)
    assert site.build().status == 0
    assert site.build().out.startswith("-- "), site.build().out
    return site


@pytest.fixture
def site(built: Site) -> Iterator[Site]:
    yield built
    built.variables.clear()


def put(name: str, text: str, time: int = 0) -> Callable[[Site], object]:
    def change(site: Site) -> None:
        write(site.root / name, text)
        if time:
            os.utime(site.root / name, (time, time))

    return change


def gone(name: str) -> Callable[[Site], object]:
    return lambda site: (site.root / name).unlink()


def variable(name: str, value: str) -> Callable[[Site], object]:
    return lambda site: site.variables.update({name: value})


def without(name: str) -> Callable[[Site], object]:
    return lambda site: site.variables.pop(name)


KINDS = {
    # name of what is printed: (change, its opposite, what is printed then, what is said)
    "macro file": (
        put("outside/macro.txt", "two\n"),
        put("outside/macro.txt", "one\n"),
        "two",
        "app: outside/macro.txt changed, which a macro in it reads, and cargo does not look at it",
    ),
    "macro variable": (
        variable("MACRO_ASKS", "two"),
        without("MACRO_ASKS"),
        "two",
        "app: variable MACRO_ASKS changed, which a macro in it asks for, and cargo does not look at it",
    ),
    "compiler's variable": (
        variable("CI", "two"),
        without("CI"),
        "two",
        "app: variable CI changed, which a macro in it asks for, and cargo does not look at it",
    ),
    "script's variable": (
        variable("PROFILE", "two"),
        without("PROFILE"),
        "two",
        "app: variable PROFILE changed, which a macro in it asks for, and cargo does not look at it",
    ),
    "beside cargo's files": (
        put("target/made/text.txt", "two\n"),
        put("target/made/text.txt", "one\n"),
        "two",
        "app: target/made/text.txt changed, which a macro in it reads, and cargo does not look at it",
    ),
    "watched beside": (
        put("target/made/watched.txt", "two\n", OLD),
        put("target/made/watched.txt", "one\n", OLD),
        "two",
        "target/made/watched.txt: new content under an old time; cargo is made to look at it",
    ),
    "file": (
        put("outside/file.txt", "two\n"),
        put("outside/file.txt", "one\n"),
        "two",
        "app: outside/file.txt changed, which its build script reads without saying so",
    ),
    "listed": (
        put("outside/listed/second", ""),
        gone("outside/listed/second"),
        "2",
        "app: outside/listed holds other files, which its build script lists without saying so",
    ),
    "there": (
        put("outside/maybe.txt", ""),
        gone("outside/maybe.txt"),
        "true",
        "app: outside/maybe.txt is there now, which its build script looks for without saying so",
    ),
    "variable": (
        variable("SCRIPT_ASKS", "two"),
        without("SCRIPT_ASKS"),
        "two",
        "app: variable SCRIPT_ASKS changed, which its build script asks for without saying so",
    ),
    "started": (
        put("tools/number-of-it", "#!/bin/sh\necho 3\n"),
        put("tools/number-of-it", "#!/bin/sh\necho 1\n"),
        "3",
        "app: tools/number-of-it changed, which its build script reads without saying so",
    ),
    "header": (
        put("outside/include/number.h", "#define NUMBER 2\n"),
        put("outside/include/number.h", "#define NUMBER 1\n"),
        "2",
        "app: outside/include/number.h changed, which its build script reads without saying so",
    ),
    "library": (
        lambda site: site.library(2),
        lambda site: site.library(1),
        "2",
        "app: outside/libextra.a changed, which its linker reads, and cargo does not look at it",
    ),
    "argument file": (
        put("outside/more-args.txt", "-Wl,--defsym=ARGUED=2\n"),
        put("outside/more-args.txt", "-Wl,--defsym=ARGUED=1\n"),
        "2",
        "app: outside/more-args.txt changed, which its linker reads, and cargo does not look at it",
    ),
    "linker script": (
        put("outside/more-marks.ld", "MARKED = 2;\n"),
        put("outside/more-marks.ld", "MARKED = 1;\n"),
        "2",
        "app: outside/more-marks.ld changed, which its linker reads, and cargo does not look at it",
    ),
    "incbin": (
        put("outside/raw.bin", "2"),
        put("outside/raw.bin", "1"),
        "2",
        "app: outside/raw.bin changed, which a macro in it reads, and cargo does not look at it",
    ),
    "vendored": (
        put("vendor/given/data.txt", "two\n"),
        put("vendor/given/data.txt", "one\n"),
        "two",
        "given: vendor/given/data.txt changed, which a macro in it reads, and cargo does not look at it",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_unit_reads_unseen_by_cargo_makes_it_anew_and_is_said(site: Site, kind: str) -> None:
    change, back, printed, said = KINDS[kind]
    change(site)
    done = site.build()
    assert (done.status, f".. build  {said}" in done.out.splitlines()) == (0, True), done.out
    assert site.printed() == {**AT_FIRST, kind: printed}
    assert site.build().out.startswith("-- ")
    back(site)
    assert site.build().status == 0
    assert site.printed() == AT_FIRST
    assert site.build().out.startswith("-- ")


def test_times_alone_and_variables_that_nobody_asks_for_rebuild_nothing(site: Site) -> None:
    for name in ("outside/macro.txt", "outside/libextra.a", "outside/include/number.h", "tools/number-of-it"):
        (site.root / name).touch()
    assert site.build().out.startswith("-- ")
    assert site.build(TERM="other", MAKEFLAGS="-j", SSH_TTY="/dev/pts/9").out.startswith("-- ")


def test_what_comes_and_goes_among_temporary_files_rebuilds_nothing(site: Site) -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp"):
        assert site.build().out.startswith("-- ")


def test_another_path_counts_by_the_programs_that_it_leads_to(site: Site) -> None:
    empty = site.root / "no-tools"
    empty.mkdir(exist_ok=True)
    places = [SCRIPTS, str(site.root / "tools"), os.environ["PATH"]]
    assert site.build(PATH=os.pathsep.join([str(empty), *places])).out.startswith("-- ")
    site.variables["PATH"] = os.pathsep.join([str(site.root / "other-tools"), *places])
    done = site.build()
    said = "app: number-of-it is other-tools/number-of-it now, which its build script starts without saying so"
    assert f".. build  {said}" in done.out.replace(f"{site.root}/", "").splitlines(), done.out
    assert site.printed() == {**AT_FIRST, "started": "2"}
    site.variables.clear()
    assert site.build().status == 0
    assert site.printed() == AT_FIRST


def test_a_program_that_takes_all_variables_rests_on_each(site: Site) -> None:
    done = site.build(NOBODY_NAMES_IT="1")  # a shell runs below the build script of app alone
    said = [line for line in done.out.splitlines() if "takes all" in line or line.startswith("ok")]
    assert said[:1] == [".. build  app: NOBODY_NAMES_IT changed, and its build script takes all variables"], done.out
    assert ["compiled 1 of " in line for line in said[1:]] == [True], done.out
    assert site.build().status == 0


def test_a_unit_that_another_cargo_made_is_made_anew_when_it_cannot_be_told_from_what(site: Site) -> None:
    environ = {
        **{name: value for name, value in os.environ.items() if name != "CI"},  # which a macro asks for
        "MACRO_ASKS": "cargo",
        "PATH": os.pathsep.join([str(site.root / "tools"), os.environ["PATH"]]),
    }
    (site.root / "app/src/main.rs").write_text(APP + "// edited\n")
    subprocess.run(["cargo", "build", "--offline", "-p", "app", "--quiet"], cwd=site.root, env=environ, check=True)
    assert site.printed() == {**AT_FIRST, "macro variable": "cargo"}
    (site.root / "app/src/main.rs").write_text(APP)
    write(site.root / "outside/macro.txt", "two\n")
    assert site.build().status == 0
    assert site.printed() == {**AT_FIRST, "macro file": "two"}
    write(site.root / "outside/macro.txt", "one\n")
    assert site.build().status == 0
    assert site.printed() == AT_FIRST


def test_without_observing_what_was_seen_still_counts_and_why_says_what_is_not(site: Site) -> None:
    write(site.root / "outside/file.txt", "two\n")
    assert site.build("OBSERVE=off").status == 0
    assert site.printed() == {**AT_FIRST, "file": "two"}
    why = site.call("why", "build").out
    assert why == "build is up to date\n  unseen    not observed: OBSERVE=off\n"
    write(site.root / "outside/file.txt", "one\n")
    assert site.build().status == 0
    assert site.printed() == AT_FIRST


def test_what_a_wrapper_of_the_compiler_reads_counts_for_what_it_compiles(site: Site) -> None:
    wrapper = write(site.root / "tools/wrap", '#!/bin/sh\nread flag < outside/wrapper.txt\nexec "$@" $flag\n')
    wrapper.chmod(0o755)
    write(site.root / "outside/wrapper.txt", "--cfg=one\n")
    write(site.root / "outside/macro.txt", "two\n")
    site.variables["RUSTC_WRAPPER"] = str(wrapper)
    assert site.build().status == 0
    assert site.build().out.startswith("-- ")
    write(site.root / "outside/wrapper.txt", "--cfg=two\n")
    done = site.build()
    said = "app: outside/wrapper.txt changed, which the wrapper of its compiler reads, and cargo does not look at it"
    assert f".. build  {said}" in done.out.splitlines(), done.out
    site.variables.clear()
    write(site.root / "outside/macro.txt", "one\n")
    assert site.build().status == 0
    assert site.printed() == AT_FIRST


CONNECTS = """\
#!/usr/bin/env python3
import os, socket, sys
socket.socket().connect_ex(("127.0.0.1", 4226))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_a_compiler_that_may_run_elsewhere_is_not_called_observed(site: Site) -> None:
    """As through sccache, whose server does the work."""
    wrapper = write(site.root / "tools/elsewhere", CONNECTS)
    wrapper.chmod(0o755)
    site.variables["RUSTC_WRAPPER"] = str(wrapper)
    write(site.root / "app/src/main.rs", APP + "// elsewhere\n")
    assert site.build().status == 0
    reason = "connects to 127.0.0.1:4226"
    assert site.call("why", "build").out.partition("  unseen    app: ")[2].endswith(f" {reason}\n")
    refused = site.build("OBSERVE=strict")
    assert (refused.status, "OBSERVE=strict: app: " in refused.err, reason in refused.err) == (1, True, True), refused
    site.variables.clear()
    write(site.root / "app/src/main.rs", APP)
    assert site.build().status == 0
    assert site.printed() == AT_FIRST
    assert site.call("why", "build").out == "build is up to date\n"
