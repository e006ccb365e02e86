"""`doit-cargo init`: what it writes works, says what was found, and is never written over anything."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
from calling import MAKE, environment, needs_make, posix
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, write
from doit_cargo.engine.plan.profiles.schema import SCHEMAS, schema

pytestmark = needs_cargo

SPEC: Spec = {
    "acme-app": {
        "dependencies": {"acme-engine": ""},
        "bins": {"acme": []},
        "features": {"cuda": [], "metal": [], "extra": []},
    },
    "acme-engine": {},
}
FILES = {"dodo.py", "Makefile", ".gitignore", "profiles/local.toml", "profiles/pack.toml"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "a b"  # people have blanks in their paths
    make_workspace(made, SPEC)
    subprocess.run(["git", "init", "-q", "."], cwd=made, check=True)
    return made


def files(root: Path) -> dict[str, str]:
    """Return the files that git would commit, but for those that the workspace began with."""
    done = subprocess.run(
        ["git", "ls-files", "-o", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
    )
    names = [name for name in done.stdout.splitlines() if not name.startswith(("acme", "Cargo"))]
    return {name: (root / name).read_text() for name in names}


def test_it_writes_five_files_and_tells_each(root: Path) -> None:
    said = call(root, "doit-cargo", "init")
    assert (said.status, said.err, set(files(root))) == (0, "", FILES)
    assert all(any(name in line for line in said.out.splitlines()) for name in FILES)
    assert said.out.splitlines()[-1] == "  doit-cargo build PROFILE=local"


def test_a_second_call_changes_nothing(root: Path) -> None:
    call(root, "doit-cargo", "init")
    before = files(root)
    said = call(root, "doit-cargo", "init")
    assert (said.status, files(root)) == (0, before)
    assert not [line for line in said.out.splitlines() if line.startswith(("wrote", "added"))]


def test_dodo_py_has_three_lines(root: Path) -> None:
    call(root, "doit-cargo", "init")
    assert len((root / "dodo.py").read_text().splitlines()) == 3
    assert "build_<package>" in call(root, "doit", "list").out


def test_the_profile_says_what_was_found_and_can_be_used(root: Path) -> None:
    write(root / "bindings/Cargo.toml", '[package]\nname = "bindings"\nversion = "0.1.0"\n[workspace]\n')
    write(root / "bindings/src/lib.rs", "")
    call(root, "doit-cargo", "init")
    text = (root / "profiles/local.toml").read_text()
    assert "# Programs: acme (acme-app).\n" in text
    assert "# acme-app has: cuda, extra, metal\n" in text
    assert "# Workspaces of their own, which nothing here reaches: bindings.\n" in text
    said = call(root, "doit-cargo", "plan", "build", "PROFILE=local", "--json")
    assert json.loads(said.out)["steps"][0]["argv"] == ["cargo", "build", "--release"]


def test_what_its_comments_offer_is_valid(root: Path) -> None:
    call(root, "doit-cargo", "init")
    path = root / "profiles/local.toml"
    lines = path.read_text().splitlines()
    offered = [
        line.removeprefix("# ") if line.startswith(("# features = ", "# [needs]", "# [env]")) else line
        for line in lines
    ]
    path.write_text("\n".join(offered))
    assert call(root, "doit-cargo", "plan", "build", "PROFILE=local").status == 0
    pack = root / "profiles/pack.toml"
    pack.write_text(
        pack.read_text()
        .replace("# [target.hello]", "[target.hello]")
        .replace("# doc =", "doc =")
        .replace("# run =", "run =")
    )
    assert call(root, "doit-cargo", "hello").out.splitlines()[0] == "hello"


def test_features_that_seem_to_exclude_each_other_are_a_guess(root: Path) -> None:
    said = call(root, "doit-cargo", "init")
    assert "cuda, metal exclude each other (a guess by their names)" in said.out
    assert "# A guess by the names: correct it, or take it out." in (root / "profiles/pack.toml").read_text()
    both = call(root, "doit-cargo", "plan", "build", "PACKAGE=acme-app", "FEATURES=cuda,metal")
    assert (both.status, "cuda and metal exclude each other" in both.err) == (3, True)


@posix
@pytest.mark.parametrize(("answer", "status"), [("n", 0), ("y", 3)])
def test_on_a_terminal_it_asks(root: Path, answer: str, status: int) -> None:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn("doit-cargo", ["init"], cwd=str(root), env=environment(), encoding="utf-8", timeout=30)
    child.expect_exact("Do cuda, metal exclude each other? [Y/n] ")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    both = call(root, "doit-cargo", "plan", "build", "PACKAGE=acme-app", "FEATURES=cuda,metal")
    assert both.status == status


def test_files_that_are_there_stay(root: Path) -> None:
    own = {"dodo.py": "x = 1\n", "Makefile": "all:\n\techo mine\n", "profiles/local.toml": 'extends = "dev"\n'}
    for name, text in own.items():
        write(root / name, text)
    write(root / ".gitignore", "target")
    said = call(root, "doit-cargo", "init")
    now = files(root)
    assert {name: now[name] for name in own} == own
    assert now[".gitignore"] == "target\n.doit-cargo/\n.logs/\n.testlogs/\n"
    assert "Makefile.doit" in now
    assert "wrote Makefile.doit, since Makefile is yours: `make -f Makefile.doit TARGET`." in said.out
    assert 'add `from doit_cargo.api import DOIT_CONFIG, targets_of` and `targets = targets_of(".")`' in said.out


def test_force_replaces_a_makefile(root: Path) -> None:
    write(root / "Makefile", "all:\n\techo mine\n")
    call(root, "doit-cargo", "init", "--force")
    assert (root / "Makefile").read_text().startswith("# Written by doit-cargo")


@needs_make
@pytest.mark.slow
def test_a_newcomer_builds_through_make_and_is_then_skipped(root: Path) -> None:
    call(root, "doit-cargo", "init")
    first, second = call(root, MAKE, "build"), call(root, MAKE, "build")
    assert (first.status, (root / "target/release/acme").exists()) == (0, True)
    assert second.out.startswith("-- build  up to date: ")


def test_a_folder_that_cannot_be_written_is_told(root: Path) -> None:
    (root / "profiles").write_text("a file")
    said = call(root, "doit-cargo", "init")
    assert (said.status, "Traceback" in said.err) == (2, False)
    assert "cannot" in said.err


# --- schemas ---------------------------------------------------------------------------------------------------------

SHIPPED = sorted(Path(__file__).parents[1].glob("profiles/*/*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_files_fit_their_schema(path: Path) -> None:
    kind = "pack" if path.stem == "pack" else "profile"
    jsonschema.validate(tomllib.loads(path.read_text()), schema(kind))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("profile", 'featurs = ["a"]'),
        ("profile", "[cargo]\njobs = 0"),
        ("profile", '[env]\nX = { detect = "nothing" }'),
        ("profile", 'platforms = ["beos"]'),
        ("profile", '[inputs]\nobserve = "maybe"'),
        ("profile", "[inputs]\nignore = 3"),
        ("pack", '[target.a]\ncomand = "build"'),
        ("pack", '[rules.cuda]\nconflicts = "metal"'),
        ("pack", '[target.a]\nlane = "fre"'),
        ("pack", '[target.a]\nkeep-going = "yes"'),
        ("pack", "[duplicates]\nmax = -1"),
        ("pack", '[format]\nlanguages = ["cobol"]'),
    ],
)
def test_what_we_refuse_the_schema_refuses(kind: str, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema(kind))


def test_written_files_name_schemas_that_are_there(root: Path) -> None:
    call(root, "doit-cargo", "init")
    for kind, name in (("profile", "local"), ("pack", "pack")):
        path = root / f"profiles/{name}.toml"
        first = path.read_text().splitlines()[0]
        assert first == f"#:schema ../.doit-cargo/{kind}.schema.json"
        found = json.loads((path.parent / first.removeprefix("#:schema ")).read_text())
        assert found == json.loads(json.dumps(schema(kind)))
        jsonschema.validate(tomllib.loads(path.read_text()), found)


def test_every_schema_is_a_schema() -> None:
    for name in SCHEMAS:
        jsonschema.Draft7Validator.check_schema(schema(name))
