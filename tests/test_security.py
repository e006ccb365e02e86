"""What a checkout cannot do to whoever looks at it, and what is kept of the caller's environment."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from calling import MAKE, environment, needs_make, posix, small_workspace
from calling import forked_call as call
from conftest import needs_cargo, write
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.state import trust
from doit_cargo.targets import project_targets

pytestmark = needs_cargo

PROJECT = """\
from pathlib import Path
from doit_cargo.api import Target

Path(__file__).with_name("ran").touch()
TARGETS = (Target(name="answer", family="project", doc="Print the answer.", action="project:answer"),)


def answer(session, values):
    print(42)
"""
LOOKS = (
    "list",
    "list --all",
    "plan dev",
    "why dev",
    "doctor",
    "help",
    "help dev",
    "features",
    "hint",
    "makefile",
    "info",
)
CI_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    small_workspace(tmp_path / "ws")
    return tmp_path / "ws"


def look(root: Path, **variables: str) -> None:
    for words in LOOKS:
        call(root, "doit-cargo", *words.split(), **variables)


# --- trust -----------------------------------------------------------------------------------------------------------


def test_looking_runs_no_python_of_a_checkout(root: Path) -> None:
    write(root / "tasks/project.py", PROJECT)
    look(root)
    assert not (root / "tasks/ran").exists()
    rows = {row["name"]: row for row in json.loads(call(root, "doit-cargo", "list", "--json").out)}
    assert (rows["answer"]["available"], "doit-cargo trust" in rows["answer"]["reason"]) == (False, True)
    said = call(root, "doit-cargo", "answer")
    assert (said.status, said.out, "doit-cargo trust" in said.err) == (3, "", True)


def test_trust_holds_for_the_content_that_was_read(root: Path) -> None:
    write(root / "tasks/project.py", PROJECT)
    assert call(root, "doit-cargo", "trust", "--show").status == 1
    assert call(root, "doit-cargo", "trust").status == 0
    assert call(root, "doit-cargo", "trust", "--show").status == 0
    assert call(root, "doit-cargo", "answer").out == "42\n"
    write(root / "tasks/more.py", "")
    assert call(root, "doit-cargo", "answer").status == 3
    call(root, "doit-cargo", "trust")
    write(root / "tasks/project.py", PROJECT + "# changed\n")
    assert call(root, "doit-cargo", "answer").status == 3
    assert call(root, "doit-cargo", "answer", "--trust").out == "42\n"
    assert call(root, "doit-cargo", "answer", DOIT_CARGO_TRUST="1").out == "42\n"
    call(root, "doit-cargo", "trust")
    call(root, "doit-cargo", "trust", "--revoke")
    assert call(root, "doit-cargo", "answer").status == 3


def test_rows_that_changed_since_they_were_found_trusted_do_not_run(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root / "tasks/project.py", PROJECT)
    monkeypatch.setattr(trust, "is_python_trusted", lambda *_: True)
    with pytest.raises(UserError, match="not trusted"):
        project_targets.load(str(root), {})
    assert not (root / "tasks/ran").exists()


def test_a_compiled_file_beside_the_rows_never_runs(root: Path) -> None:
    write(root / "tasks/project.py", PROJECT.replace("42", "666"))
    compile_unchecked = (
        "import py_compile; "
        "py_compile.compile('tasks/project.py', invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
    )
    subprocess.run([sys.executable, "-c", compile_unchecked], cwd=root, check=True)
    write(root / "tasks/project.py", PROJECT)
    call(root, "doit-cargo", "trust")
    assert call(root, "doit-cargo", "answer").out == "42\n"


# Needs no program on PATH, which may lead nowhere else.
WRAPPER = '#!/bin/sh\n: > "${0%/*}/ran"\nexec "$@"\n'
SETTINGS = {
    ".cargo/config.toml": '[build]\nrustc-wrapper = "./tool"\n',
    ".cargo/config": '[build]\nrustc = "./tool"\n',
    "rust-toolchain.toml": '[toolchain]\npath = "./chain"\n',
    ".cargo/config.toml ": '[registry]\nglobal-credential-providers = ["cargo:token", "./tool"]\n',
    ".cargo/config.toml   ": 'include = ["more/one.toml"]\n',
    ".cargo/config.toml  ": '[env]\nLD_PRELOAD = { value = "tool", relative = true }\n',
}


@posix
@pytest.mark.parametrize("name", SETTINGS, ids=range(len(SETTINGS)))
def test_looking_runs_no_program_that_a_checkout_names(root: Path, name: str) -> None:
    for program in ("tool", "chain/bin/cargo", "chain/bin/rustc"):
        write(root / program, WRAPPER).chmod(0o755)
    write(root / name.strip(), SETTINGS[name])
    write(root / ".cargo/more/one.toml", '[build]\nrustc-wrapper = "../tool"\n')
    said = call(root, "doit-cargo", "list")
    assert (said.status, said.out) == (2, "")
    assert "not trusted it yet\n  fix: read it, then: doit-cargo trust" in said.err
    look(root)
    assert list(root.rglob("ran")) == []


@posix
def test_a_file_that_settings_include_asks_only_if_it_is_there_and_names_a_program(root: Path) -> None:
    include = 'include = [{ path = "mine.toml", optional = true }, { path = "more.toml", optional = true }]\n'
    write(root / ".cargo/config.toml", include)
    assert call(root, "doit-cargo", "trust", "--show").out == f"{root}: nothing here runs while one only looks\n"
    assert call(root, "doit-cargo", "list").status == 0
    write(root / ".cargo/mine.toml", "[build]\njobs = 2\n")
    assert call(root, "doit-cargo", "list").status == 0
    write(root / "tool", WRAPPER).chmod(0o755)
    write(root / ".cargo/more.toml", '[build]\nrustc = "./tool"\n')
    look(root)
    assert list(root.rglob("ran")) == []
    said = call(root, "doit-cargo", "list")
    assert (said.status, f"{root}/.cargo/more.toml:2: cargo runs build.rustc" in said.err) == (2, True)
    call(root, "doit-cargo", "trust")
    write(root / ".cargo/more.toml", '[build]\nrustc = "./tool"\n# changed\n')
    assert call(root, "doit-cargo", "list").status == 2


@posix
def test_settings_from_outside_of_the_checkout_ask(root: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere.toml", "")
    write(root / ".git/HEAD", "")
    write(root / ".cargo/config.toml", f'include = "{elsewhere}"\n')
    said = call(root, "doit-cargo", "list")
    told = f".cargo/config.toml:1: it includes {elsewhere}, which lies elsewhere" in said.err
    assert (said.status, told) == (2, True)


@posix
@pytest.mark.parametrize("form", ["{chain}\n", '[toolchain]\nchannel = "{chain}"\n'], ids=["legacy", "channel"])
def test_looking_runs_no_toolchain_that_is_named_by_a_whole_path(root: Path, form: str) -> None:
    for program in ("cargo", "rustc"):
        write(root / "chain/bin" / program, WRAPPER).chmod(0o755)
    write(root / "rust-toolchain", form.format(chain=root / "chain"))
    look(root)
    assert list(root.rglob("ran")) == []


@posix
@pytest.mark.parametrize("mark", ["", ".git/HEAD"], ids=["an archive", "a submodule"])
def test_looking_runs_nothing_that_lies_around_the_workspace(root: Path, mark: str) -> None:
    around = root.parent
    write(around / "tool", WRAPPER).chmod(0o755)
    write(around / ".cargo/config.toml", '[build]\nrustc = "./tool"\n')
    if mark:
        write(root / mark, "")
    look(root)
    assert list(around.rglob("ran")) == []


@posix
def test_looking_runs_no_cargo_to_which_the_path_of_a_profile_leads(root: Path) -> None:
    write(root / "bin/cargo", WRAPPER).chmod(0o755)
    write(root / "profiles/mine.toml", '[env]\nPATH = "{{ root }}/bin"\n')
    for words in ("doctor", "plan dev", "why dev", "features"):
        call(root, "doit-cargo", *words.split(), "PROFILE=mine")
    assert list(root.rglob("ran")) == []


@posix
def test_a_program_that_came_after_the_trust_waits_for_another_word(root: Path) -> None:
    write(root / "tasks/project.py", PROJECT)
    write(root / "profiles/mine.toml", '[env]\nPATH = "{{ root }}/bin"\n')
    assert call(root, "doit-cargo", "trust").status == 0
    write(root / "bin/cargo", WRAPPER).chmod(0o755)
    call(root, "doit-cargo", "doctor", "PROFILE=mine")
    assert list(root.rglob("bin/ran")) == []
    assert call(root, "doit-cargo", "trust").status == 0
    call(root, "doit-cargo", "doctor", "PROFILE=mine")
    assert list(root.rglob("bin/ran")) == [root / "bin/ran"]


def test_an_included_file_that_names_no_program_stops_nothing(root: Path) -> None:
    write(root / ".cargo/config.toml", 'include = ["more.toml", { path = "absent.toml", optional = true }]\n')
    write(root / ".cargo/more.toml", '[term]\nverbose = false\ninclude = "more.toml"\n')
    assert call(root, "doit-cargo", "list").status == 0


@posix
def test_a_trusted_wrapper_that_changes_is_asked_for_again(root: Path) -> None:
    tool = write(root / "tool", WRAPPER)
    tool.chmod(0o755)
    write(root / ".cargo/config.toml", '[build]\nrustc-wrapper = "./tool"\n')
    call(root, "doit-cargo", "trust")
    assert call(root, "doit-cargo", "list").status == 0
    write(tool, WRAPPER + "#\n")
    assert call(root, "doit-cargo", "list").status == 2


@posix
def test_a_program_below_a_folder_that_env_names_is_not_asked(root: Path) -> None:
    write(root / "cuda/bin/nvcc", WRAPPER).chmod(0o755)
    write(root / ".cargo/config.toml", '[env]\nCUDA_HOME = { value = "cuda", relative = true }\n')
    look(root)
    call(root, "doit-cargo", "check_cuda_env")
    assert list(root.rglob("ran")) == []


@posix
def test_a_cargo_of_the_checkout_is_not_found_through_a_dot_on_path(root: Path) -> None:
    write(root / "cargo", WRAPPER).chmod(0o755)
    path = os.pathsep.join([".", "", environment()["PATH"]])
    look(root, PATH=path)
    assert list(root.rglob("ran")) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ root.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__.os.getcwd() }}",
        "{{ lipsum.__globals__['os'].getcwd() }}",
    ],
)
def test_a_template_of_a_profile_reaches_no_python(root: Path, text: str) -> None:
    write(root / "profiles/dev.toml", f'[env]\nRUSTX = "{text}"\n')
    said = call(root, "doit-cargo", "plan", "dev")
    assert (said.status, "profiles/dev.toml:2" in said.err) == (3, True), said


# --- state -----------------------------------------------------------------------------------------------------------


def modes(folder: Path) -> set[str]:
    kept = [path for path in folder.rglob("*") if path.name not in (".gitignore", "lock", "receipts.lock")]
    return {f"{stat.S_IMODE(path.stat().st_mode):o}" for path in (folder, *kept)}


@pytest.mark.slow
def test_what_is_kept_holds_no_secret_proves_nothing_elsewhere_and_is_closed(root: Path, tmp_path: Path) -> None:
    mine = {"DATABASE_URL": "postgres://me:hush1@db/x", "GH_PAT": "hush2", "RUSTX": "https://me:hush3@host/"}
    mine["CUSTOMER"] = "hush5"  # a name that speaks of nothing is on no list either
    read = ", ".join(f'option_env!("{name}")' for name in mine)
    write(root / "app/src/bin/app.rs", f'fn main() {{ println!("{{:?}}", ({read})); }}\n')
    (root / ".logs").mkdir()
    (root / ".doit-cargo").mkdir(mode=0o755)
    says = "echo https://x/?token=hush6; echo 'https://x/?sig=hush7' >&2"
    write(root / "profiles/pack.toml", f'[target.says]\ndoc = "Prints addresses."\nrun = ["sh", "-c", "{says}"]\n')
    assert call(root, "doit-cargo", "says").status == 0
    mirror = "REGISTRY=https://me:hush4@127.0.0.1:9/index"
    assert call(root, "doit-cargo", "dev", mirror, **mine, CARGO_NET_OFFLINE="true").status == 0
    assert call(root, "doit-cargo", "dev", mirror, **mine).out.startswith("-- dev  up to date")
    changed = {name: value.replace("hush", "hash") for name, value in mine.items()}
    words = [
        ("why", "dev"),
        ("why", "dev", "--json"),
        ("plan", "dev", mirror),
        ("plan", "dev", mirror, "--json"),
        ("dev",),
    ]
    said = "".join(f"{one.out}{one.err}" for one in (call(root, "doit-cargo", *each, **changed) for each in words))
    assert "env       GH_PAT: changed\n" in said
    places = [root / ".doit-cargo", root / ".logs", root / "target/.doit-cargo.ledger"]
    kept = b"".join(path.read_bytes() for place in places for path in (place, *place.rglob("*")) if path.is_file())
    assert [secret for secret in ("hush", "hash") if secret in said or secret.encode() in kept] == []
    if os.name != "nt":
        assert (modes(root / ".doit-cargo") | modes(root / ".logs")) == {"700", "600"}

    theirs = {"XDG_STATE_HOME": str(tmp_path / "theirs")}
    assert call(root, "doit-cargo", "why", "dev", **changed, **theirs).out == (
        "dev is stale:\n  run       dev: no successful run is on record\n"
    )
    assert call(root, "doit-cargo", "dev", DOIT_CARGO_KEY=CI_KEY).status == 0
    again = call(root, "doit-cargo", "dev", DOIT_CARGO_KEY=CI_KEY, **theirs)
    assert again.out.startswith("-- dev  up to date"), again


@pytest.mark.skipif(os.name == "nt", reason="modes are those of Unix")
@pytest.mark.parametrize("target", ["fmt_check", "setup_dirs", "deps_tree"])
def test_what_an_action_writes_down_is_closed_to_others_whatever_the_umask(root: Path, target: str) -> None:
    old = os.umask(0)
    try:
        call(root, "doit-cargo", target)
    finally:
        os.umask(old)
    folders = [root / name for name in (".doit-cargo", ".logs", ".testlogs") if (root / name).exists()]
    assert set().union(*map(modes, folders)) == {"700", "600"}


def test_a_state_that_others_have_written_is_not_even_read(root: Path) -> None:
    rows = call(root, "doit-cargo", "list").out
    catalogue = root / ".doit-cargo/catalogue"
    catalogue.write_bytes(catalogue.read_bytes().replace(b"Build", b"Evil!"))
    said = call(root, "doit-cargo", "list")
    assert (said.status, said.out, said.err) == (0, rows, "")


@posix
def test_two_first_calls_at_once_make_one_key(root: Path, tmp_path: Path) -> None:
    variables = {**environment(), "XDG_STATE_HOME": str(tmp_path / "new")}
    tool = shutil.which("doit-cargo", path=variables["PATH"])
    assert tool
    calls = [
        subprocess.Popen([tool, "list"], cwd=root, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    said = [(process.communicate()[1], process.returncode) for process in calls]
    assert said == [(b"", 0)] * 6
    assert [path.name for path in (tmp_path / "new/doit-cargo").iterdir()] == ["key"]
    assert stat.S_IMODE((tmp_path / "new/doit-cargo/key").stat().st_mode) == 0o600


def test_without_a_place_for_a_key_everything_works_and_it_is_said_once(root: Path, tmp_path: Path) -> None:
    place = write(tmp_path / "file", "")
    said = call(root, "doit-cargo", "list", XDG_STATE_HOME=str(place))
    assert (said.status, said.err.count("no key can be kept")) == (0, 1), said


def test_the_key_of_a_ci_is_shown_to_nobody(root: Path) -> None:
    write(root / "profiles/pack.toml", '[target.shows]\ndoc = "Show."\nrun = ["env"]\n')
    said = [call(root, "doit-cargo", name, DOIT_CARGO_KEY=CI_KEY) for name in ("shows", "diagnose")]
    assert [one for one in said if CI_KEY in one.out + one.err or "DOIT_CARGO_KEY" in one.out] == []
    assert call(root, "doit-cargo", "list", DOIT_CARGO_KEY="short").status == 3


# --- texts of files --------------------------------------------------------------------------------------------------

HOSTILE = [
    r"x\nY := $(shell touch ran)",
    r"x\r\n\t@touch ran",
    r"$(shell touch ran) `touch ran` $$(touch ran)",
    r"\u001b]0;title\u0007\u001b[2J",
    r"\u202egnp.exe",
    r"ends with a backslash \\",
    r"a\u2028b\u0085c",
    r"\u009b31m",
    r"\u0008\u0008\u0008ok",
    r"$(error stop) #",
]


@needs_make
def test_a_text_of_a_file_reaches_terminal_and_make_as_text(root: Path) -> None:
    rows = [
        f'[target.row{number}]\ndoc = "{text}"\nfamily = "{text}"\ncommand = "check"\n'
        for number, text in enumerate(HOSTILE)
    ]
    write(root / "profiles/pack.toml", "\n".join(rows))
    assert call(root, "doit-cargo", "makefile").status == 0
    makefile = (root / "Makefile").read_text()
    said = [call(root, MAKE, "list"), call(root, "doit-cargo", "help"), call(root, "doit-cargo", "help", "row0")]
    assert [one.status for one in said] == [0, 0, 0]
    text = "".join(one.out + one.err for one in said) + makefile
    assert [one for one in text if not one.isprintable() and one not in "\n\t"] == []
    assert not (root / "ran").exists()
    assert [line for line in makefile.splitlines() if line.startswith("row")] == [
        line for line in makefile.splitlines() if line.startswith("row") and "## " in line
    ]
    # The line behind each holds the variables that it takes.
    assert ["'nope'" in call(root, MAKE, f"row{number}", PROFILE="nope").err for number in (0, 5)] == [True, True]


@posix
def test_a_name_of_a_file_is_one_line_of_text(root: Path) -> None:
    evil = "app/src/bin/a\nok dev  1.0 s\x1b[2J.rs"
    assert call(root, "doit-cargo", "dev").status == 0
    write(root / evil, "fn main() {}\n")
    said = call(root, "doit-cargo", "why", "dev")
    assert ("\x1b" in said.out, "\nok dev" in said.out, r"a\nok dev  1.0 s\x1b[2J.rs" in said.out) == (
        False,
        False,
        True,
    )
    assert json.loads(call(root, "doit-cargo", "why", "dev", "--json").out)["target"] == "dev"


# --- errors as JSON --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["list", "plan nope", "why nope", "doctor nope", "features nope", "hint nope.log", "plan", "list --nope"]
)
def test_an_error_is_json_where_json_is_asked_for(root: Path, words: str) -> None:
    if words == "list":
        write(root / "profiles/pack.toml", "x = [")
    said = call(root, "doit-cargo", *words.split(), "--json")
    error = json.loads(said.out)["error"]
    assert (said.err, error["code"]) == ("", said.status)
    assert [sorted(problem) for problem in error["problems"]] == [["fix", "what", "where"]] * len(error["problems"])
    assert all(problem["what"] for problem in error["problems"])
