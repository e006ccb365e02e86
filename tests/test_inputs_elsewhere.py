"""What cargo, rustc or a build script reads elsewhere: in the user's home, through settings, in folders that a package
from a registry watches, and what a profile declares by folders and patterns. A change reaches the program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from calling import Said, call, linux, program
from conftest import make_workspace, needs_cargo, write
from doit_cargo.engine.state.dir_listing import MOST_FILES

pytestmark = [needs_cargo, linux, pytest.mark.slow]

OLD = 1_000_000_000
PACKAGE = '[package]\nname = "{name}"\nversion = "1.0.0"\nedition = "2021"\n'
# Reads without saying so, as a procedural macro does.
READER = """\
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-no-pie");
    println!("cargo:rustc-link-arg=-Wl,-Tsymbols.ld");
    let mut found = vec![];
    for folder in ["../schema", "../schema/deep", "../data"] {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        found.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    found.sort();
    let texts: Vec<_> = found.iter().map(|path| std::fs::read_to_string(path).unwrap().trim().to_owned()).collect();
    println!("cargo:rustc-env=DECLARED={}", texts.join("+"));
}
"""
APP = """\
extern "C" { static SYMBOL: u8; }
fn main() {
    let symbol = unsafe { &SYMBOL as *const u8 as usize };
    let home = cfg!(home);
    println!("declared={} wrapped={} seen={} symbol={symbol} home={home}", env!("DECLARED"), env!("WRAPPED"), vx::SEEN);
}
"""
WATCHER = """\
fn main() {{
    println!("cargo:rerun-if-changed={watched}");
    let mut names: Vec<_> = std::fs::read_dir("{watched}").unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let texts: Vec<_> = names.iter().map(|path| std::fs::read_to_string(path).unwrap().trim().to_owned()).collect();
    println!("cargo:rustc-env=SEEN={{}}", texts.join("+"));
}}
"""
PROFILE = """\
extends = "dev"
[inputs]
files = [
    "schema/**/*.json",
    "data",
]
packages = ["app"]
"""
CONFIG = """\
[build]
rustc-wrapper = "tools/wrapper.sh"
rustflags = ["-C", "relocation-model=static", "--check-cfg", "cfg(home)"]
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "vendor"
"""
FIRST = {"declared": "d+s", "wrapped": "1", "seen": "w", "symbol": "17", "home": "false"}


@dataclass
class Place:
    """A workspace, a home for its user, and a folder that a vendored package watches."""

    top: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.top / "ws"

    def lay_out(self) -> Place:
        watched = self.top / "watched"
        profile = "[profile.dev]\ndebug = 0\nincremental = false\n"
        write(self.root / "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = ["app"]\n{profile}')
        write(self.root / "app/Cargo.toml", PACKAGE.format(name="app") + '[dependencies]\nvx = "1"\n')
        write(self.root / "app/src/main.rs", APP)
        write(self.root / "app/build.rs", READER)
        write(self.root / "vendor/vx/Cargo.toml", PACKAGE.format(name="vx"))
        write(self.root / "vendor/vx/src/lib.rs", 'pub const SEEN: &str = env!("SEEN");\n')
        write(self.root / "vendor/vx/build.rs", WATCHER.format(watched=watched))
        write(self.root / "vendor/vx/.cargo-checksum.json", '{"files":{},"package":null}')
        write(self.root / ".cargo/config.toml", CONFIG)
        write(self.root / "profiles/dev.toml", PROFILE)
        for name, text in {"schema/one.json": "s", "data/one.txt": "d", "symbols.ld": "SYMBOL = 0x11;"}.items():
            write(self.root / name, text + "\n")
        program(self.root / "tools/wrapper.sh", 'WRAPPED=1 exec "$@"')
        write(watched / "one.txt", "w\n")
        (self.top / "home").mkdir()
        write(self.top / "other/.cargo/config.toml", '[build]\nrustflags = ["--cfg", "home"]\n')
        return self

    def call(self, *words: str) -> Said:
        toolchains = os.environ.get("RUSTUP_HOME") or os.path.expanduser("~/.rustup")
        home = {"HOME": str(self.top / "home"), "CARGO_HOME": "", "RUSTUP_HOME": toolchains}
        trust = {"DOIT_CARGO_TRUST": "1"}  # the compiler's wrapper lies in the checkout
        return call(self.root, "doit-cargo", *words, **{**home, **trust, **self.variables})

    def printed(self) -> dict[str, str]:
        done = subprocess.run([self.root / "target/debug/app"], capture_output=True, text=True, check=True)
        return dict(word.split("=", 1) for word in done.stdout.split())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("elsewhere")).lay_out()
    said = place.call("dev")
    assert (said.status, place.printed()) == (0, FIRST), said.out + said.err
    place.call("dev")  # the first call has written the lock
    return place


@pytest.fixture
def place(built: Place) -> Iterator[Place]:
    """The place; what a test does to it is taken back."""
    kept = built.top.with_name("kept")
    skip = shutil.ignore_patterns("target", ".doit-cargo", ".logs")
    shutil.copytree(built.top, kept, ignore=skip)
    yield built
    built.variables.clear()
    for folder in ("watched", "other", "ws/schema", "ws/data", "ws/tools", "ws/profiles"):
        shutil.rmtree(built.top / folder)
        shutil.copytree(kept / folder, built.top / folder)
    shutil.copy(kept / "ws/symbols.ld", built.root)
    shutil.rmtree(kept)
    built.call("dev")
    assert built.printed() == FIRST


def put(name: str, text: str, time: int = 0) -> Callable[[Place], None]:
    """Return a change: a file with a new content, under an old time where one is given, also of its folder."""

    def change(place: Place) -> None:
        path = place.root / name
        write(path, text + "\n")
        if time:
            os.utime(path, (time, time))
            os.utime(path.parent, (time, time))

    return change


def take(name: str) -> Callable[[Place], None]:
    return lambda place: (place.root / name).unlink()


def other_home(place: Place) -> None:
    place.variables["HOME"] = str(place.top / "other")


CHANGES: dict[str, tuple[Callable[[Place], None], dict[str, str]]] = {
    "HOME leads to other settings of cargo": (other_home, {"home": "true"}),
    "a file below a declared folder": (put("data/two.txt", "e"), {"declared": "d+e+s"}),
    "an old file below a declared folder": (put("data/one.txt", "f", OLD), {"declared": "f+s"}),
    "a new file that a pattern matches": (put("schema/two.json", "t", OLD), {"declared": "d+s+t"}),
    "a new file deeper that a pattern matches": (put("schema/deep/a.json", "t"), {"declared": "d+t+s"}),
    "a file that a pattern matches goes": (take("data/one.txt"), {"declared": "s"}),
    "the script that wraps the compiler": (put("tools/wrapper.sh", '#!/bin/sh\nWRAPPED=2 exec "$@"'), {"wrapped": "2"}),
    "the linker's script": (put("symbols.ld", "SYMBOL = 0x12;"), {"symbol": "18"}),
    "a file in a folder that a vendored package watches": (put("../watched/one.txt", "x", OLD), {"seen": "x"}),
    "a new file in that folder": (put("../watched/two.txt", "y", OLD), {"seen": "w+y"}),
}


@pytest.mark.parametrize(("change", "printed"), CHANGES.values(), ids=CHANGES)
def test_a_change_makes_stale_and_reaches_the_program(
    place: Place, change: Callable[[Place], None], printed: dict[str, str]
) -> None:
    assert place.call("dev").out.startswith("-- dev  up to date")
    change(place)
    said = place.call("dev")
    assert (said.status, place.printed()) == (0, FIRST | printed), said.out + said.err
    assert place.call("dev").out.startswith("-- dev  up to date")


def test_what_no_declaration_matches_changes_nothing(place: Place) -> None:
    put("elsewhere/readme.md", "s")(place)  # in `schema`, its build script would be seen to list it
    assert place.call("dev").out.startswith("-- dev  up to date")


def test_a_home_that_leads_to_nothing_of_cargos_is_no_input(place: Place) -> None:
    place.variables.update(CARGO_HOME=str(place.top / "home/.cargo"))
    place.call("dev")
    other_home(place)
    assert place.call("dev").out.startswith("-- dev  up to date")


def test_a_vendored_package_that_watches_what_is_not_there_never_skips(place: Place) -> None:
    absent = place.top / "watched/absent"
    vendored = place.root / "vendor/vx"
    script, manifest = vendored / "build.rs", vendored / "Cargo.toml"
    text = script.read_text()
    write(script, text.replace("fn main() {", f'fn main() {{\n    println!("cargo:rerun-if-changed={absent}");'))
    write(manifest, manifest.read_text() + '[features]\nother = []\ndefault = ["other"]\n')  # compiles it anew
    place.call("dev")
    said = place.call("dev")
    write(script, text)
    write(manifest, PACKAGE.format(name="vx"))
    reason = f"the build script of vx watches {absent}, which does not exist: cargo reruns it each time"
    assert (said.status, f".. dev  always cargo: {reason}" in said.out) == (0, True), said.out


def test_what_has_no_end_is_never_read_and_what_is_too_much_is_said(tmp_path: Path) -> None:
    tool = ("timeout", "100", "doit-cargo")
    root = make_workspace(tmp_path / "ws", {"pipes": {}, "many": {}, "large": {}})
    for package in ("pipes", "many", "large"):
        write(root / package / "build.rs", "fn main() {}\n")  # names nothing: all files of its package are its inputs
    for place in ("pipes/pipe", "pipes/src/x.rs", "profiles/x.toml", "tasks/more.py"):
        (root / place).parent.mkdir(exist_ok=True)
        os.mkfifo(root / place)
    (root / "pipes/zero").symlink_to("/dev/zero")
    one = write(root / "many/data/0", "")
    for number in range(MOST_FILES):
        os.link(one, root / f"many/data/_{number}")
    with (root / "large/data").open("wb") as file:
        file.truncate(5 << 30)  # takes no place

    write(root / "tasks/project.py", "TARGETS = ()\n")
    assert "profiles/x.toml: cannot be read: this is no ordinary file" in call(root, *tool, "profiles").err
    (root / "profiles/x.toml").unlink()
    for words in ("dev_pipes", "dev_many", "dev_large", "doc PACKAGE=pipes"):
        assert call(root, *tool, *words.split()).status == 0
    assert call(root, *tool, "dev_pipes").out.startswith("-- dev_pipes  up to date: ")
    os.utime(root / "pipes/pipe", ns=(OLD, OLD))
    assert "pipes/pipe" in call(root, *tool, "why", "dev_pipes").out
    text = "  always    cargo: {0}: {1}/{0} holds more than {2}, which is not looked through\n"
    for package, much in ("many", "50000 files"), ("large", "4 GiB"):
        assert call(root, *tool, "why", f"dev_{package}").out.endswith(text.format(package, root, much))
        assert f"ok dev_{package} " in call(root, *tool, f"dev_{package}").out


UNKNOWN = {
    "schema/**/*.jsn": "no file matches 'schema/**/*.jsn'\n  fix: did you mean 'schema/**/*.json'? ",
    "shema/*.json": "no file matches 'shema/*.json'\n  fix: did you mean 'schema/*.json'? ",
    "symbols.lt": "there is no file or folder 'symbols.lt'\n  fix: did you mean 'symbols.ld'? ",
    "dat": "there is no file or folder 'dat'\n  fix: did you mean 'data'? ",
    "?": "no file matches '?'\n  fix: names are relative ",
    "huge": "'huge' is more than 4 GiB or 50,000 files, which is not looked through\n  fix: declare what tells of its ",
    "": "'' holds the target directory, so each build would change it",
    "..": "'..' holds the target directory, so each build would change it",
}


def test_what_a_declaration_does_not_find_is_told_with_its_line_and_the_nearest_name(place: Place) -> None:
    names = "".join(f"    {name!r},\n" for name in UNKNOWN)
    write(place.root / "profiles/dev.toml", PROFILE.replace('    "data",\n', names))
    with (place.root / "huge").open("wb") as file:
        file.truncate(5 << 30)  # takes no place
    said = place.call("dev")
    (place.root / "huge").unlink()
    told = [f"profiles/dev.toml:{line}: [inputs] files: {text}" for line, text in enumerate(UNKNOWN.values(), start=5)]
    assert (said.status, [text for text in told if text not in said.err]) == (3, []), said.err
    assert place.call("plan", "dev").status == 3
