"""What was seen becomes states that are the same without an edit, and others after one that matters."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import needs_cargo
from doit_cargo.engine.execution.observe import inputs as observed_inputs
from doit_cargo.engine.execution.observe.inputs import ObservedInputs, Scope, inputs, whole_run
from doit_cargo.engine.execution.observe.observer import Observer
from doit_cargo.engine.execution.observe.units import CARGO, Group, by_unit
from doit_cargo.engine.state import seen
from doit_cargo.engine.state.seen import World
from observing import compiled, observer, watch


@dataclass
class Look:
    """A run's inputs, kept as they would be in a file, and what of them is another now."""

    taken: ObservedInputs
    scope: Scope
    folder: Path

    def changes(self) -> set[str]:
        rows = json.loads(json.dumps(self.taken.rows))
        found = [row[:2] for row in rows if not seen.holds(row, self.scope.world)]
        return {f"{kind} {subject.replace(str(self.folder), '.')}" for kind, subject in found}

    def named(self) -> set[str]:
        here = (f"{item[0]} {item[1]}" for item in self.taken.rows)
        return {item.replace(str(self.folder), ".") for item in here if str(self.folder) in item}

    @property
    def reasons(self) -> list[str]:
        return [reason.replace(str(self.folder), ".") for reason in self.taken.reasons]


@pytest.fixture(scope="module")
def by() -> Observer:
    return observer()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("program"), "observed")


@dataclass
class Looker:
    """Runs programs in a folder, observed, with an environment that a test may change afterwards."""

    by: Observer
    folder: Path
    environ: dict[str, str]

    def __call__(self, *argv: str | Path, variables: Mapping[str, str] | None = None) -> Look:
        self.environ |= variables or {}
        observed = watch(self.by, argv, self.folder, self.environ).observed
        scope = Scope([str(self.folder / "dropped")], World(self.environ))
        return Look(inputs(whole_run(observed), by_unit(observed)[CARGO], scope), scope, self.folder)


@pytest.fixture
def look(by: Observer, tmp_path: Path) -> Looker:
    return Looker(by, tmp_path, dict(os.environ))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def test_a_file_that_is_read_counts_by_content_and_mode(look: Looker, tmp_path: Path) -> None:
    file = write(tmp_path / "read", "one")
    seen = look("cat", file)
    assert (seen.named(), seen.reasons, seen.changes()) == ({"read ./read"}, [], set())
    touch(file)
    assert seen.changes() == set()
    file.chmod(0o600)
    assert seen.changes() == {"read ./read"}
    file.chmod(0o644)
    assert seen.changes() == set()
    write(file, "two")
    assert seen.changes() == {"read ./read"}


def test_a_file_that_is_only_looked_at_counts_by_content(look: Looker, tmp_path: Path) -> None:
    """make, git and cargo learn from its times that it was edited, and need not read it."""
    file = write(tmp_path / "source", "one")
    seen = look("sh", "-c", "test -e source")
    assert (seen.named() >= {"read ./source"}, seen.changes()) == (True, set())
    touch(file)
    assert seen.changes() == set()
    write(file, "two")
    assert "read ./source" in seen.changes()


def test_a_file_that_becomes_a_folder_or_a_link_is_another_entry_of_a_listing(look: Looker, tmp_path: Path) -> None:
    listed = write(tmp_path / "listed/one", "").parent
    write(listed / "deep/two", "")
    seen = look("find", "listed", "-type", "f")
    assert seen.changes() == set()
    (listed / "one").unlink()
    (listed / "one").mkdir()
    assert "list ./listed" in seen.changes()
    (listed / "one").rmdir()
    (listed / "one").symlink_to("deep")
    assert "list ./listed" in seen.changes()


@pytest.mark.parametrize("mark", ["@", "*"])
def test_a_link_is_not_taken_for_a_file_whose_name_ends_as_a_mark(look: Looker, tmp_path: Path, mark: str) -> None:
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed/one").symlink_to("deep")
    seen = look("ls", "listed")
    assert seen.changes() == set()
    (tmp_path / "listed/one").unlink()
    write(tmp_path / f"listed/one{mark}", "")
    assert "list ./listed" in seen.changes()


@pytest.mark.parametrize("links", [("link",), ("link", "second")])
def test_what_is_looked_for_through_a_link_that_leads_nowhere_counts_where_it_comes(
    look: Looker, tmp_path: Path, links: tuple[str, ...]
) -> None:
    for link, target in zip(links, [*links[1:], "../elsewhere/later"], strict=True):
        (tmp_path / "here").mkdir(exist_ok=True)
        (tmp_path / "here" / link).symlink_to(target)
    taken = look("sh", "-c", "test -e here/link/below/file || true").taken
    gone = [row[1] for row in taken.rows if row[0] == "stat" and row[2] == "absent"]
    table = seen.absence(gone)
    assert list(seen.came(table)) == []
    write(tmp_path / "elsewhere/later/below/file", "")
    assert str(tmp_path / "elsewhere/later/below/file") in {change.subject for change in seen.came(table)}


def test_what_is_looked_for_through_links_that_lead_to_each_other_is_absent(look: Looker, tmp_path: Path) -> None:
    for link, target in (("one", "other"), ("other", "one"), ("self", "self")):
        (tmp_path / link).symlink_to(target)
    taken = look("sh", "-c", "test -e one/file || test -e self/below/file || true").taken
    table = seen.absence([row[1] for row in taken.rows if row[0] == "stat" and "file" in row[1]])
    assert list(seen.came(table)) == []
    (tmp_path / "self").unlink()
    write(tmp_path / "self/below/file", "")
    assert {change.subject for change in seen.came(table)} == {str(tmp_path / "self/below/file")}


@pytest.mark.parametrize("kind", ["preload", "strace"])
@pytest.mark.parametrize(
    "script",
    [
        "import os; os.symlink('data', 'own'); open('own').read(); os.unlink('own')",
        "import os; at = os.open('.', os.O_PATH); open(f'/proc/self/fd/{at}/data').read()",
    ],
    ids=["a link of its own", "a descriptor"],
)
def test_what_is_read_through_a_link_counts_under_its_own_name(kind: str, script: str, tmp_path: Path) -> None:
    file = write(tmp_path / "data", "one")
    looked = Looker(observer(kind), tmp_path, {**os.environ, "HOME": str(tmp_path)})
    seen = looked(os.path.realpath(sys.executable), "-I", "-S", "-c", script)
    assert (seen.reasons, seen.changes()) == ([], set())
    write(file, "two")
    assert seen.changes() == {"read ./data"}


def test_what_a_compiler_asks_to_say_its_own_errors_is_no_input(by: Observer, tmp_path: Path) -> None:
    """As rustdoc does for tests in documentation: a CI sets other variables than a colleague."""
    write(tmp_path / "lib.rs", "")
    observed = watch(by, ("rustc", "--crate-type=lib", "lib.rs"), tmp_path, dict(os.environ)).observed
    rows = inputs(whole_run(observed), Group(observed.processes), Scope()).rows
    asked = {row[1] for row in rows if row[0] == "variable"}
    assert "RUSTC_LOG" in asked
    assert not {"CI", "RUST_BACKTRACE"} & asked


def test_a_file_that_is_not_there_counts_as_long_as_it_is_not(look: Looker, tmp_path: Path) -> None:
    seen = look("sh", "-c", "test -e .env; true")
    assert seen.changes() == set()
    write(tmp_path / ".env", "")
    assert seen.changes() == {"stat ./.env"}


@pytest.mark.parametrize("kind", ["preload", "strace"])
def test_a_socket_that_is_not_there_counts_as_absent_and_one_that_is_there_as_a_connection(
    kind: str, tmp_path: Path
) -> None:
    asks = f"import os, socket; os.chdir({str(tmp_path)!r}); socket.socket(socket.AF_UNIX).connect_ex('at')"
    look = Looker(observer(kind), tmp_path, {**os.environ, "HOME": str(tmp_path)})
    python = os.path.realpath(sys.executable)
    seen = look(python, "-I", "-c", asks)
    assert (seen.reasons, seen.changes()) == ([], set())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "at"))
        assert seen.changes() == {"stat ./at"}
        assert [reason.partition(" ")[2] for reason in look(python, "-I", "-c", asks).reasons] == ["connects to at"]


MAKES_ANEW = (
    "os.close(os.open('new', os.O_CREAT | os.O_EXCL | os.O_RDWR)); open('created', 'x').close();"
    "os.symlink('nowhere', 'link'); os.link('file', 'name'); os.mkfifo('pipe')"
)
MADE = ("new", "created", "link", "name", "pipe")


@pytest.mark.parametrize("kind", ["preload", "strace"])
def test_what_can_only_be_made_where_nothing_is_counts_as_absent(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "file", "")
    script = f"import os; os.chdir({str(tmp_path)!r}); {MAKES_ANEW}; [os.unlink(name) for name in {MADE}]"
    seen = Looker(observer(kind), tmp_path, dict(os.environ))("python3", "-S", "-c", script)
    assert (seen.reasons, seen.changes()) == ([], set())
    for name in MADE:
        write(tmp_path / name, "")
    assert seen.changes() >= {f"stat ./{name}" for name in MADE}


def test_a_large_file_that_is_only_looked_at_counts_by_size_and_mode(
    look: Looker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_inputs, "LOOKED_AT_MOST", 2)
    write(tmp_path / "looked", "one")
    seen = look("sh", "-c", "test -e looked")
    write(tmp_path / "looked", "two")
    assert seen.changes() == set()
    write(tmp_path / "looked", "three")
    assert seen.changes() == {"stat ./looked"}


def test_a_listing_counts_without_the_names_of_the_run_itself(look: Looker, tmp_path: Path) -> None:
    write(tmp_path / "folder/one", "")
    seen = look("sh", "-c", "touch folder/own; ls folder > /dev/null")
    assert "list ./folder" in seen.named()
    (tmp_path / "folder/own").unlink()
    write(tmp_path / "folder/one", "another content")
    assert seen.changes() == set()
    write(tmp_path / "folder/two", "")
    assert seen.changes() == {"list ./folder"}


def test_a_resolved_path_counts_by_where_it_leads(look: Looker, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "file", "same")
    (tmp_path / "link").symlink_to("one")
    seen = look("realpath", "link/file")
    (tmp_path / "link").unlink()
    assert seen.changes()
    (tmp_path / "link").symlink_to("two")
    assert seen.changes()
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("one")
    assert seen.changes() == set()


def test_a_file_in_memory_counts_as_any_and_a_device_does_not(look: Looker) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("/dev/shm is not there")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        seen = look("cat", file.name, "/dev/null")
        Path(file.name).write_text("edited", encoding="utf-8")
        assert (seen.reasons, seen.changes()) == ([], {f"read {file.name}"})
        assert [row for row in seen.taken.rows if row[1] == "/dev/null"] == []


def test_a_file_that_is_read_through_a_link_of_the_run_itself_counts(look: Looker, tmp_path: Path) -> None:
    file = write(tmp_path / "folder/read", "one")
    seen = look(
        "sh", "-c", "cd folder; ln -s read own; cat own; ln -sf ../folder/read ../own; cat ../own; rm own ../own"
    )
    assert (seen.reasons, "read ./folder/read" in seen.named(), seen.changes()) == ([], True, set())
    write(file, "two")
    assert seen.changes() == {"read ./folder/read"}
    seen = look("sh", "-c", "ln -s folder own; ln -s ./own another; cat another/read; rm own another")
    assert (seen.reasons, seen.changes()) == ([], set())
    write(file, "three")
    assert seen.changes() == {"read ./folder/read"}


def test_a_program_and_those_before_it_on_path_count(look: Looker, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    script = write(tmp_path / "second/tool", "#!/bin/sh\necho one\n")
    script.chmod(0o755)
    path = f"{tmp_path}/first:{tmp_path}/second:{os.environ['PATH']}"
    seen = look("sh", "-c", "tool", variables={"PATH": path})
    assert seen.changes() == set()
    write(tmp_path / "first/tool", "")
    assert seen.changes() == {"stat ./first/tool"}
    (tmp_path / "first/tool").unlink()
    write(script, "#!/bin/sh\necho two\n")
    assert "read ./second/tool" in seen.changes()


def test_a_variable_counts_by_name_and_a_walk_by_all_but_the_terminals(look: Looker, program: Path) -> None:
    asked, walked, printed = look(program, "asks"), look(program, "walks"), look("printenv")
    look.environ |= {"TERM": "another", "SSH_TTY": "/dev/pts/1", "DOIT_CARGO_SHARE": "/store"}
    assert (asked.changes(), walked.changes(), printed.changes()) == (set(), set(), set())
    look.environ["DOIT_CARGO_LIKE"] = "1"  # somebody's own
    assert (asked.changes(), walked.changes(), printed.changes()) == (set(), {"environment "}, {"environment "})
    look.environ["ASKED_PLAIN"] = "1"
    assert asked.changes() == {"variable ASKED_PLAIN"}


AT_START = """
type Texts = *const *const std::ffi::c_char;
static mut ALL: Texts = std::ptr::null();
#[used] #[unsafe(link_section = ".init_array")] static START: extern "C" fn(i32, Texts) = start;
extern "C" fn start(count: i32, words: Texts) { unsafe { ALL = words.add(count as usize + 1) } }
"""
COUNTS = 'println!("{}", std::env::vars_os().count());'
WALKS_IN_RUST: dict[str, tuple[str, ...]] = {
    "hands-on": ("", ""),
    "counts": ("", COUNTS),
    "in-std-as-a-library": ("", COUNTS, "-Cprefer-dynamic", "-Crpath"),
    "from-far-away": ("", COUNTS, "-Ccode-model=large"),
    "at-a-fixed-address": ("", COUNTS, "-Crelocation-model=static"),
    "handed-on-from-far-away": ("", "", "-Ccode-model=large"),
    "through-the-kernel": ("", 'println!("{:?}", std::fs::read("/proc/self/environ").unwrap());'),
    "from-what-main-is-given": (AT_START, 'println!("{:?}", unsafe { std::ffi::CStr::from_ptr(*ALL) });'),
    "reads-text": ("", 'println!("{}", std::env::vars().count());'),
    "through-a-pointer": (
        "static WALK: [fn() -> std::env::VarsOs; 1] = [std::env::vars_os];",
        'println!("{}", WALK[std::env::args().count() - 1]().count());',
    ),
    "through-libc": (
        'unsafe extern "C" { static environ: *const *const std::ffi::c_char; }',
        'println!("{:?}", unsafe { std::ffi::CStr::from_ptr(*environ) });',
    ),
}


@needs_cargo
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="of other machines the instructions are not known")
@pytest.mark.parametrize("way", WALKS_IN_RUST)
def test_a_walk_of_a_rust_program_counts_unless_all_that_it_can_do_is_hand_on(
    way: str, look: Looker, tmp_path: Path
) -> None:
    item, does, *options = WALKS_IN_RUST[way]
    child = 'std::process::Command::new("/bin/cat").arg("/dev/null").env_remove("NOBODY").status().unwrap();'
    source = write(tmp_path / "dropped/walker.rs", f"{item}\nfn main() {{ {child} {does} }}\n")
    made = tmp_path / "dropped/walker"
    subprocess.run(["rustc", "--edition=2024", "-Cdebuginfo=0", *options, "-o", made, source], check=True)
    seen = look(made)
    look.environ["ANYTHING"] = "1"
    assert (seen.reasons, seen.changes()) == ([], set() if way.startswith("hand") else {"environment "})


WALKING_MACRO = """
extern crate proc_macro;
#[proc_macro] pub fn count(_: proc_macro::TokenStream) -> proc_macro::TokenStream {
    std::env::vars_os().count().to_string().parse().unwrap()
}
"""


@needs_cargo
def test_a_walk_of_a_macro_counts_and_not_the_compilers_own_for_its_linker(by: Observer, tmp_path: Path) -> None:
    sysroot = subprocess.run(["rustc", "--print=sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    rustc = [f"{sysroot}/bin/rustc", "--edition=2024", f"--out-dir={tmp_path}/dropped", f"-L{tmp_path}/dropped"]
    macro = write(tmp_path / "dropped/counting.rs", WALKING_MACRO)
    subprocess.run([*rustc, "--crate-type=proc-macro", macro], check=True)
    for text, counts in (("fn main() {}", False), ('fn main() { println!("{}", counting::count!()) }', True)):
        source = write(tmp_path / "dropped/use.rs", text)
        observed = watch(by, [*rustc, "--extern=counting", source], tmp_path, dict(os.environ)).observed
        rows = inputs(whole_run(observed), Group(observed.processes), Scope()).rows
        assert (["environment", ""] in [row[:2] for row in rows]) is counts, text


def test_a_library_put_before_the_one_that_was_loaded_counts(look: Looker, program: Path, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    seen = look(program, "asks", variables={"LD_LIBRARY_PATH": f"{tmp_path}/first"})
    write(tmp_path / "first/libc.so.6", "")
    assert "stat ./first/libc.so.6" in seen.changes()


def test_what_the_run_makes_is_no_input(look: Looker, tmp_path: Path) -> None:
    write(tmp_path / "replaced", "before")
    seen = look("sh", "-c", "echo new > replaced; cat replaced; t=$(mktemp -p .); cat $t; rm $t; mkdir d; rmdir d")
    assert seen.reasons == []
    assert "read ./replaced" not in seen.named()
    write(tmp_path / "replaced", "edited")
    assert seen.changes() == set()


def test_a_file_of_the_run_is_known_under_a_name_that_it_got_past_libc(
    look: Looker, program: Path, tmp_path: Path
) -> None:
    write(tmp_path / "read.txt", "one")
    seen = look(program, "saves", tmp_path, "read.txt")
    assert (seen.reasons, "read ./read.txt" in seen.named(), seen.changes()) == ([], True, set())
    for name in ("saved.txt", "looked-at.txt"):
        write(tmp_path / name, "of somebody else, and replaced whole")
    assert (seen.changes(), look(program, "saves", tmp_path).reasons) == (set(), [])
    write(tmp_path / "read.txt", "two")
    assert seen.changes() == {"read ./read.txt"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("cat file; echo new > file", "./file is read and also written by the run itself"),
        ("echo more >> file; cat file", "./file is read and also written by the run itself"),
        ("cat file; rm file", "./file is read and then removed by the run itself"),
        ("test -e new || touch new", "./new is read and also written by the run itself"),
        ("python3 -S -c \"open('new', 'x')\"", "./new is read and also written by the run itself"),
        ("mkdir stays", "mkdir makes the folder ./stays, which stays"),
    ],
)
def test_what_is_read_and_written_proves_nothing(look: Looker, tmp_path: Path, script: str, reason: str) -> None:
    write(tmp_path / "file", "before")
    assert look("sh", "-c", script).reasons == [reason]


def edited(file: Path) -> None:
    write(file, "after")


def replaced_by_an_equal_one(file: Path) -> None:
    shutil.copy2(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


def edited_under_its_old_time(file: Path) -> None:
    found = file.stat()
    write(file, "AFTER!")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def got_another_name(file: Path) -> None:
    os.link(file, file.with_name("name"))


@pytest.mark.parametrize("was_read", [False, True])
@pytest.mark.parametrize("change", [edited, replaced_by_an_equal_one, edited_under_its_old_time, got_another_name])
def test_a_file_that_somebody_changes_meanwhile_proves_nothing_unless_it_is_the_very_one_that_was_read_before(
    by: Observer, tmp_path: Path, change: Callable[[Path], None], was_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "SYSTEM", (f"{tmp_path}/",))
    file = write(tmp_path / "file", "before")
    os.utime(file, ns=(10**18, 10**18))
    time.sleep(0.05)  # so that a later change must show
    before = {str(file): seen.take("read", str(file), (), World({}))} if was_read else {}
    with by.start() as observation:
        argv, environ = observation.call([str(shutil.which("cat")), str(file)], os.environ)
        subprocess.run(argv, env=environ, check=True, capture_output=True)
        change(file)
        observed = observation.read()
    taken = inputs(whole_run(observed), by_unit(observed)[CARGO], Scope(world=World(dict(os.environ), before)))
    same = was_read and change is got_another_name
    assert taken.reasons == ([] if same else [f"{file} was changed by something else while the run was going on"])


def test_connections_to_others_prove_nothing(look: Looker, program: Path, tmp_path: Path) -> None:
    assert look(program, "connects").reasons == []
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.path.relpath(tmp_path / "socket"))
        assert look(program, "connects", "1", tmp_path / "socket").reasons == [
            "observed connects to ./socket",
            "observed connects to 127.0.0.1:1",
        ]


def test_what_others_prove_is_dropped(look: Looker, tmp_path: Path) -> None:
    write(tmp_path / "dropped/file", "one")
    assert look("sh", "-c", "cat dropped/file /proc/self/stat /dev/null").named() == {"stat ."}


def test_two_runs_without_an_edit_have_the_same_states(look: Looker, tmp_path: Path) -> None:
    write(tmp_path / "file", "x")
    script = ("sh", "-c", "cat file; ls; python3 -S -c 'import json'; git --version; mktemp -u")
    first, second = look(*script), look(*script)
    assert (first.reasons, first.changes(), second.changes()) == ([], set(), set())
    names = {tuple(item[:2]) for item in first.taken.rows} ^ {tuple(item[:2]) for item in second.taken.rows}
    assert {os.path.dirname(str(name)) for _, name in names} == {tempfile.gettempdir()}  # mktemp's random ones


NODE = """\
const fs = require("fs");
fs.readFileSync("read.txt");
fs.readdirSync("listed");
fs.existsSync("gone.txt");
fs.promises.readFile("later.txt").then(() => console.log("done"));
"""
JAVA = """\
import java.nio.file.*;
public class Looks {
    public static void main(String[] given) throws Exception {
        Files.readString(Path.of("read.txt"));
        new java.io.FileInputStream("later.txt").read();
        Files.list(Path.of("listed")).count();
        System.out.println(new java.io.File("gone.txt").exists() ? "" : "done");
    }
}
"""


@pytest.mark.parametrize(("program", "source", "text"), [("node", "looks.js", NODE), ("java", "Looks.java", JAVA)])
def test_what_runs_in_a_machine_of_its_own_is_seen(tmp_path: Path, program: str, source: str, text: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not on PATH")
    for name in ("read.txt", "later.txt", "listed/one"):
        write(tmp_path / name, "")
    seen = watch(observer(), [program, write(tmp_path / source, text)], tmp_path)
    assert (seen.done.stdout, seen.reasons) == ("done\n", set())
    found = {
        kind: {os.path.normpath(path).removeprefix(f"{tmp_path}/") for path in seen.subjects(kind)}
        for kind in ("read", "listed", "absent")
    }
    assert {"read.txt", "later.txt", source} <= found["read"]
    assert "listed" in found["listed"]
    assert "gone.txt" in found["absent"]
