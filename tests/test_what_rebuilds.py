"""The differential test: after any change, what the tool leaves is what a plain cargo builds from nothing.

One row for each kind of change that cargo or we must notice, or may ignore. Every row is made and taken back; both
times the binary must print the truth, exactly the named packages are compiled, and a further call starts no cargo.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest
from building import BASELINE, FRESH, MANIFEST, OLD, PACKAGES, Site
from conftest import needs_cargo

pytestmark = [pytest.mark.slow, needs_cargo]

Change = Callable[[Site], object]
Packages = tuple[str, ...]
Summary = tuple[int, bool, Packages]


@dataclass(frozen=True)
class Row:
    """A kind of change. `compiled` and `back` are None where cargo must not even be started."""

    name: str
    change: Change
    compiled: Packages | None
    prints: Mapping[str, str] = field(default_factory=dict)
    back: Packages | str | None = "as compiled"
    binary: str = "target/debug/app"
    old_times_back: bool = False

    @property
    def after(self) -> Summary:
        return summary(self.compiled)

    @property
    def taken_back(self) -> Summary:
        return summary(self.compiled if isinstance(self.back, str) else self.back)


def summary(compiled: Packages | None) -> Summary:
    return FRESH if compiled is None else (0, True, compiled)


def variables(**values: str) -> Change:
    return lambda site: site.variables.update(values)


def edit(name: str, old: str, new: str, mtime_ns: int | None = None) -> Change:
    return lambda site: site.edit(name, old, new, mtime_ns)


def edit_keeping_time(name: str, old: str, new: str) -> Change:
    return lambda site: site.edit(name, old, new, site.mtime(name))


def add(name: str, text: str, mtime_ns: int | None = None) -> Change:
    return lambda site: site.add(name, text, mtime_ns)


def delete(name: str) -> Change:
    return lambda site: site.path(name).unlink()


def rename(old: str, new: str) -> Change:
    def change(site: Site) -> None:
        site.path(new).parent.mkdir(exist_ok=True)
        site.path(old).rename(site.path(new))

    return change


def all_of(*changes: Change) -> Change:
    def change(site: Site) -> None:
        for each in changes:
            each(site)

    return change


def flags(name: str) -> str:
    """Return flags that no other row gives, so that nothing is compiled with them already."""
    return f"--cfg marked --cfg {name}"


def flags_file(name: str, head: str = "[build]") -> str:
    return f"{head}\nrustflags = {flags(name).split()!r}\n"


def config(text: str, place: str = ".cargo/config.toml") -> Change:
    return add(place, text)


def replace_by_rename(site: Site) -> None:
    """Save as many editors do: a new file takes the name of the old one."""
    site.add("crates/kit/src/part.rs~", "pub const VALUE: u32 = 25;\n", OLD)
    site.path("crates/kit/src/part.rs~").rename(site.path("crates/kit/src/part.rs"))


def rewrite_everything(site: Site) -> None:
    """What a branch switch there and back does: every file is a new one of the same content."""
    for name in site.sources():
        if not os.path.islink(name):
            shutil.copy(name, name + "~")
            os.replace(name + "~", name)


def there_and_back(site: Site) -> None:
    site.edit("crates/kit/src/part.rs", "20", "21")
    site.edit("crates/kit/src/part.rs", "21", "20")


def retarget_to_an_older_file(site: Site) -> None:
    os.utime(site.path("crates/kit/links/two.rs"), ns=(OLD, OLD))
    site.symlink("crates/kit/src/linked.rs", "../links/two.rs")


def link_becomes_an_old_file(site: Site) -> None:
    site.path("crates/kit/src/linked.rs").unlink()
    site.add("crates/kit/src/linked.rs", "pub const VALUE: u32 = 32;\n", OLD)


def other_library(site: Site) -> None:
    site.edit("native/number.c", "50", "51")
    site.make_library()


def other_library_of_the_same_time(site: Site) -> None:
    then = site.mtime("native/libnumber.a")
    other_library(site)
    os.utime(site.path("native/libnumber.a"), ns=(then, then))


def wrapper(variable: str) -> Change:
    def change(site: Site) -> None:
        site.write("bin/wrap", '#!/bin/sh\nexec "$@"\n').chmod(0o755)
        site.variables[variable] = str(site.path("/bin/wrap"))

    return change


def linker(site: Site) -> None:
    site.write("bin/other-gcc", '#!/bin/sh\nexec cc "$@"\n').chmod(0o755)
    site.add(".cargo/config.toml", f"[target.'cfg(all())']\nlinker = '{site.path('/bin/other-gcc')}'\n")


def new_member(site: Site) -> None:
    site.add("crates/guest/Cargo.toml", MANIFEST.format(name="guest", tables=""))
    site.add("crates/guest/src/main.rs", 'fn main() { println!("guest=1"); }\n')


def longer_path(site: Site) -> None:
    site.path("/empty").mkdir(exist_ok=True)
    site.variables["PATH"] = os.pathsep.join([str(site.path("/empty")), site.environment()["PATH"]])


KIT = ("app", "kit")
PART = "crates/kit/src/part.rs"
WATCHED = "crates/watching/watched"
DATA = "crates/trusting/data"
SCRIPT = 'fn main() { println!("cargo:rustc-env=MADE_BY_SCRIPT=yes"); }\n'
FLAG = {"flag": "true"}
HELLO = 'fn main() { println!("hello=1"); }\n'
TOMORROW = time.time_ns() + 86_400_000_000_000

SOURCES = (
    Row("content", edit(PART, "20", "21"), KIT, {"part": "21"}),
    Row("content, taken back with the old time", edit(PART, "20", "21"), KIT, {"part": "21"}, old_times_back=True),
    Row("comment", edit(PART, "1st", "2nd"), KIT),
    Row("touch", lambda site: os.utime(site.path(PART)), None),
    Row("older time", lambda site: os.utime(site.path(PART), ns=(OLD, OLD)), None),
    Row("content under the same time and size", edit_keeping_time(PART, "20", "22"), KIT, {"part": "22"}),
    Row("content under an older time", edit(PART, "20", "2000", OLD), KIT, {"part": "2000"}),
    Row("content under a time of tomorrow", edit(PART, "20", "23", TOMORROW), KIT, {"part": "23"}),
    Row("an older file renamed over it", replace_by_rename, KIT, {"part": "25"}),
    Row("there and back between two calls", there_and_back, None),
    Row("every file written anew", rewrite_everything, None),
    Row("executable bit", lambda site: site.path(PART).chmod(0o755), None),
    Row("module moved to mod.rs", rename(PART, "crates/kit/src/part/mod.rs"), KIT),
    Row(
        "file renamed",
        all_of(
            rename(PART, "crates/kit/src/piece.rs"),
            edit("crates/kit/src/lib.rs", "pub mod part;", '#[path = "piece.rs"]\npub mod part;'),
        ),
        KIT,
    ),
    Row("new module that nobody names", add("crates/kit/src/unused.rs", "never read"), None),
    Row("text outside the package", edit("/parent/shared/note.txt", "a note", "b note"), KIT, {"note": "b note"}),
    Row(
        "text outside the package, same time",
        edit_keeping_time("/parent/shared/note.txt", "a note", "c note"),
        KIT,
        {"note": "c note"},
    ),
    Row("what a link leads to", edit("crates/kit/links/one.rs", "30", "33"), KIT, {"linked": "33"}),
    Row("link leads to an older file", retarget_to_an_older_file, KIT, {"linked": "31"}),
    Row("link becomes an older file", link_becomes_an_old_file, KIT, {"linked": "32"}),
    Row(
        "macro crate",
        edit("crates/mac/src/lib.rs", "macro 1", "macro 2"),
        ("app", "mac"),
        {"macro": "macro 2, text, unset"},
    ),
    Row(
        "crate outside the workspace",
        edit("/parent/outside/src/lib.rs", "60 }", "61 }"),
        ("app", "outside"),
        {"outside": "61"},
    ),
    Row(
        "crate outside the workspace, older time",
        edit("/parent/outside/src/lib.rs", "60 }", "62 }", OLD),
        ("app", "outside"),
        {"outside": "62"},
    ),
    Row("README of the workspace", edit("README.md", "workspace", "work space"), None),
    Row("README of a package whose script watches files", add("crates/watching/README.md", "x"), None),
)

TARGETS = (
    Row(
        "new src/bin/hello.rs",
        add("crates/kit/src/bin/hello.rs", HELLO),
        ("kit",),
        {"hello": "1"},
        (),
        "target/debug/hello",
    ),
    Row(
        "new src/bin/hello/main.rs",
        add("crates/kit/src/bin/hello/main.rs", HELLO),
        ("kit",),
        {"hello": "1"},
        (),
        "target/debug/hello",
    ),
    Row("new member", new_member, ("guest",), {"guest": "1"}, (), "target/debug/guest"),
    Row("new build script", add("crates/kit/build.rs", SCRIPT), KIT, {"script": "yes"}, ()),
    Row("new build script of an old time", add("crates/kit/build.rs", SCRIPT, OLD), KIT, {"script": "yes"}, ()),
    Row("new library in a package of a binary", add("crates/app/src/lib.rs", "pub fn nothing() {}"), ("app",), {}, ()),
    Row("new test", add("crates/kit/tests/new.rs", "#[test] fn passes() {}"), None),
    Row("new example", add("crates/kit/examples/new.rs", HELLO), None),
    Row("new bench", add("crates/kit/benches/new.rs", HELLO), None),
)

SCRIPTS = (
    Row("watched file", edit(f"{WATCHED}/one.txt", "w1", "w9"), ("app", "watching"), {"watched": "w2+w9"}),
    Row(
        "watched file, same time",
        edit_keeping_time(f"{WATCHED}/one.txt", "w1", "w8"),
        ("app", "watching"),
        {"watched": "w2+w8"},
    ),
    Row("watched file touched", lambda site: os.utime(site.path(f"{WATCHED}/one.txt")), None),
    Row(
        "new file in a watched folder",
        add(f"{WATCHED}/deep/er/x.txt", "w3"),
        ("app", "watching"),
        {"watched": "w1+w2+w3"},
    ),
    Row(
        "new old file in a watched folder",
        add(f"{WATCHED}/deep/x.txt", "w4", OLD),
        ("app", "watching"),
        {"watched": "w1+w2+w4"},
    ),
    Row("deleted file in a watched folder", delete(f"{WATCHED}/deep/two.txt"), ("app", "watching"), {"watched": "w1"}),
    Row("script itself", edit("crates/watching/build.rs", '"+"', '"*"'), ("app", "watching"), {"watched": "w1*w2"}),
    Row("variable of a script", variables(SCRIPT_VARIABLE="yes"), ("app", "watching"), {"asked": "yes"}),
    Row(
        "data of a script that names no inputs",
        edit(f"{DATA}/one.txt", "d1", "d9"),
        ("app", "trusting"),
        {"data": "d2+d9"},
    ),
    Row("data, same time", edit_keeping_time(f"{DATA}/one.txt", "d1", "d8"), ("app", "trusting"), {"data": "d2+d8"}),
    Row("new data", add(f"{DATA}/three.txt", "d3"), ("app", "trusting"), {"data": "d1+d2+d3"}),
    Row("new data of an old time", add(f"{DATA}/three.txt", "d4", OLD), ("app", "trusting"), {"data": "d1+d2+d4"}),
    Row("deleted data", delete(f"{DATA}/one.txt"), ("app", "trusting"), {"data": "d2"}),
    Row("deleted newest data", delete(f"{DATA}/two.txt"), ("app", "trusting"), {"data": "d1"}),
    Row("README beside a script that names no inputs", add("crates/trusting/README.md", "x"), ("app", "trusting")),
    Row("linked library", other_library, ("app", "watching"), {"native": "51"}),
    Row("linked library of the same time", other_library_of_the_same_time, ("app", "watching"), {"native": "51"}),
    Row(
        "declared file that a macro reads",
        edit("macro.txt", "text", "word"),
        ("app",),
        {"macro": "macro 1, word, unset"},
    ),
    Row("declared file, older time", edit("macro.txt", "text", "old", OLD), ("app",), {"macro": "macro 1, old, unset"}),
    Row(
        "declared variable that a macro reads",
        variables(MACRO_VARIABLE="yes"),
        ("app",),
        {"macro": "macro 1, text, yes"},
    ),
)

VARIABLES = (
    Row("variable that code asks for", variables(OPTIONAL="yes"), KIT, {"optional": "yes"}),
    Row("empty variable that code asks for", variables(OPTIONAL=""), KIT, {"optional": ""}),
    Row("variable that nobody asks for", variables(UNRELATED="yes"), None),
    Row("RUSTFLAGS", variables(RUSTFLAGS=flags("one")), PACKAGES, FLAG, ()),
    Row(
        "CARGO_ENCODED_RUSTFLAGS",
        variables(CARGO_ENCODED_RUSTFLAGS=flags("two").replace(" ", "\x1f")),
        PACKAGES,
        FLAG,
        (),
    ),
    Row("CARGO_BUILD_RUSTFLAGS", variables(CARGO_BUILD_RUSTFLAGS=flags("three")), PACKAGES, FLAG, ()),
    Row("CARGO_PROFILE_DEV_OPT_LEVEL", variables(CARGO_PROFILE_DEV_OPT_LEVEL="1"), PACKAGES, {"optimised": "1"}, ()),
    Row(
        "CARGO_PROFILE_DEV_DEBUG_ASSERTIONS",
        variables(CARGO_PROFILE_DEV_DEBUG_ASSERTIONS="false"),
        PACKAGES,
        {"debug": "false"},
        (),
    ),
    Row("CARGO_INCREMENTAL", variables(CARGO_INCREMENTAL="1"), PACKAGES, {}, ()),
    Row("RUSTC_WRAPPER", wrapper("RUSTC_WRAPPER"), ()),
    Row(
        "RUSTC_WORKSPACE_WRAPPER",
        wrapper("RUSTC_WORKSPACE_WRAPPER"),
        tuple(name for name in PACKAGES if name != "outside"),
        {},
        (),
    ),
    Row("CARGO_TARGET_DIR", variables(CARGO_TARGET_DIR="other"), PACKAGES, {}, (), "other/debug/app"),
    Row("CARGO_BUILD_JOBS", variables(CARGO_BUILD_JOBS="1"), None),
    Row("CARGO_TERM_COLOR", variables(CARGO_TERM_COLOR="never"), None),
    Row("LANG", variables(LANG="de_DE.UTF-8"), None),
    Row("a longer PATH with the same programs", longer_path, None),
)

MANIFESTS = (
    Row("comment in a member's manifest", edit("crates/kit/Cargo.toml", "[package]", "# why\n[package]"), None),
    Row("comment in the root manifest", edit("Cargo.toml", "[workspace]", "# why\n[workspace]"), None),
    Row("touched manifest", lambda site: os.utime(site.path("crates/kit/Cargo.toml")), None),
    Row("description that code reads", edit("crates/kit/Cargo.toml", "of kit", "of it"), KIT, {"description": "of it"}),
    Row("description that nobody reads", edit("crates/mac/Cargo.toml", "of mac", "of it"), ()),
    Row(
        "default feature",
        edit("crates/kit/Cargo.toml", "extra = []", 'extra = []\ndefault = ["extra"]'),
        KIT,
        {"feature": "true"},
        (),
    ),
    Row("version", edit("crates/kit/Cargo.toml", "0.1.0", "0.2.0"), KIT, {"version": "0.2.0"}, ()),
    Row("lints", edit("crates/kit/Cargo.toml", '"allow"', '"allow"\ndead_code = "allow"'), KIT),
    Row(
        "default feature of a crate outside",
        edit("/parent/outside/Cargo.toml", "big = []", 'big = []\ndefault = ["big"]'),
        ("app", "outside"),
        {"outside": "6000"},
        (),
    ),
    Row(
        "cargo profile",
        edit("Cargo.toml", "debug = false", "debug = false\nopt-level = 2"),
        PACKAGES,
        {"optimised": "2"},
        (),
    ),
    Row("Cargo.lock deleted", delete("Cargo.lock"), (), {}, None),
    Row("comment in Cargo.lock", edit("Cargo.lock", "version = 4", "# why\nversion = 4"), ()),
)

CONFIGS = (
    Row("rustflags in a config file", config(flags_file("four")), PACKAGES, FLAG, ()),
    Row(
        "rustflags in a parent's config file",
        config(flags_file("five"), "/parent/.cargo/config.toml"),
        PACKAGES,
        FLAG,
        (),
    ),
    Row(
        "rustflags in the config file of CARGO_HOME",
        config(flags_file("six"), "/home/.cargo/config.toml"),
        PACKAGES,
        FLAG,
        (),
    ),
    Row("rustflags in a legacy config file", config(flags_file("seven"), ".cargo/config"), PACKAGES, FLAG, ()),
    Row(
        "rustflags in an included file",
        all_of(
            config(flags_file("eight"), ".cargo/more.toml"),
            config('include = ["more.toml"]\n'),
            variables(DOIT_CARGO_TRUST="1"),
        ),
        PACKAGES,
        FLAG,
        (),
    ),
    Row("rustflags for a platform", config(flags_file("nine", "[target.'cfg(all())']")), PACKAGES, FLAG, ()),
    Row(
        "profile in a config file",
        config("[profile.dev]\ndebug-assertions = false\ncodegen-units = 7\n"),
        PACKAGES,
        {"debug": "false"},
        (),
    ),
    Row("[env] in a config file", config('[env]\nOPTIONAL = "config"\n'), KIT, {"optional": "config"}),
    Row(
        "[env] in a parent's config file",
        config('[env]\nOPTIONAL = "up"\n', "/parent/.cargo/config.toml"),
        KIT,
        {"optional": "up"},
    ),
    Row("[env] for a script", config('[env]\nSCRIPT_VARIABLE = "config"\n'), ("app", "watching"), {"asked": "config"}),
    Row("config file of a member", config(flags_file("ten"), "crates/kit/.cargo/config.toml"), None),
    Row("comment in a config file", config("# nothing\n"), None),
    Row("number of jobs in a config file", config("[build]\njobs = 1\n"), None),
    Row("linker", linker, PACKAGES),
)

ROWS = (*SOURCES, *TARGETS, *SCRIPTS, *VARIABLES, *MANIFESTS, *CONFIGS)
# Of each printed result the first row, so that no two of them say another thing of one line.
COMPARED = tuple(
    {tuple(row.prints.items()): row for row in reversed(ROWS) if row.prints and row.binary.endswith("/app")}.values()
)


def together(rows: Iterable[Row]) -> list[list[Row]]:
    """Put rows that can be made at once into groups: each concerns lines of its own."""
    groups: list[list[Row]] = []
    for row in rows:
        fits = (group for group in groups if not any(row.prints.keys() & other.prints.keys() for other in group))
        group = next(fits, None)
        if group is None:
            groups.append(group := [])
        group.append(row)
    return groups


@pytest.mark.parametrize("rows", together(COMPARED), ids=lambda rows: f"{rows[0].name} and {len(rows) - 1} more")
def test_what_the_rows_print_is_what_a_plain_cargo_builds_from_nothing(site: Site, rows: list[Row]) -> None:
    expected = BASELINE | {key: value for row in rows for key, value in row.prints.items()}
    for row in rows:
        row.change(site)
    assert (site.tool("dev").status, site.printed(), site.truth()) == (0, expected, expected)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_change_and_its_way_back_leave_what_cargo_would_build_from_nothing(site: Site, row: Row) -> None:
    sources, times = site.sources(), site.times()
    expected = BASELINE | dict(row.prints) if row.binary.endswith("/app") else dict(row.prints)
    row.change(site)

    _expect(site, row.after, row.binary, expected)
    _expect(site, FRESH, row.binary, expected)

    site.variables.clear()
    site.restore(sources, times if row.old_times_back else None)
    _expect(site, row.taken_back, "target/debug/app", BASELINE)
    _expect(site, FRESH, "target/debug/app", BASELINE)


def _expect(site: Site, outcome: Summary, binary: str, prints: Mapping[str, str]) -> None:
    run = site.tool("dev")
    assert (run.summary, site.printed(binary)) == (outcome, prints), run.text


def test_the_untouched_workspace_prints_what_a_plain_cargo_builds(site: Site) -> None:
    assert (site.printed(), site.truth()) == (BASELINE, BASELINE)


def other_toolchain(site: Site) -> str:
    """Return an installed toolchain with another compiler than the one in use; skip where there is none."""
    if shutil.which("rustup") is None:
        pytest.skip("rustup is not here")
    names = _said(site, "rustup", "toolchain", "list").split()
    ours = _said(site, "rustc", "--version")
    others = [name for name in names if "-" in name and _said(site, "rustc", f"+{name}", "--version") not in ("", ours)]
    return others[0] if others else pytest.skip("only one toolchain is installed")


def _said(site: Site, *argv: str) -> str:
    return subprocess.run(argv, cwd=site.ws, env=site.environment(), capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "place", ["rust-toolchain.toml", "rust-toolchain", "/parent/rust-toolchain.toml", "RUSTUP_TOOLCHAIN"]
)
def test_another_toolchain_compiles_everything_and_the_way_back_nothing(site: Site, place: str) -> None:
    sources, name = site.sources(), other_toolchain(site)
    if place == "RUSTUP_TOOLCHAIN":
        site.variables[place] = name
    else:
        site.add(place, f'[toolchain]\nchannel = "{name}"\n')
    there, again = site.tool("dev"), site.tool("dev")
    used = site.path("target/debug/app").read_bytes()
    site.variables.clear()
    site.restore(sources)
    back, settled = site.tool("dev"), site.tool("dev")

    # The second place finds the units of the first.
    assert (there.status, there.builds, there.compiled in (PACKAGES, ())) == (0, 1, True), there.text
    assert (again.summary, back.summary, settled.summary) == (FRESH, (0, True, ()), FRESH)
    assert site.path("target/debug/app").read_bytes() != used
    assert site.printed() == BASELINE
