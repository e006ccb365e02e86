"""check_duplicates, deps_tree, deps_why: from the lock, with who pulls what in, and a gate that can close."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Said
from calling import forked_call as call
from conftest import needs_cargo, write
from needing import Crates, lay_out

pytestmark = needs_cargo

ROOT = '[workspace]\nresolver = "2"\nmembers = ["app", "low"]\nexclude = ["old", "new"]\n'
MANIFEST = '[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n[dependencies]\n{more}'
TWICE = """\
part
  1.0.0        app 0.1.0; also by low 0.1.0
  2.0.0        app 0.1.0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """app -> low -> part 1.0.0, app -> part 1.0.0 and part 2.0.0: one package in two versions."""
    old, new = 'part = { path = "../old" }\n', 'newer = { package = "part", path = "../new" }\n'
    packages = {
        "app": ("app", "0.1.0", 'low = { path = "../low" }\n' + old + new),
        "low": ("low", "0.1.0", old),
        "old": ("part", "1.0.0", ""),
        "new": ("part", "2.0.0", ""),
    }
    root = tmp_path / "workspace"
    write(root / "Cargo.toml", ROOT)
    for folder, (name, version, more) in packages.items():
        write(root / folder / "Cargo.toml", MANIFEST.format(name=name, version=version, more=more))
        write(root / folder / "src/lib.rs", "")
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    return root


def check(root: Path, *words: str) -> Said:
    return call(root, "doit-cargo", "check_duplicates", *words)


def test_without_a_limit_they_are_only_shown(root: Path) -> None:
    said = check(root)
    end = (
        "ok check_duplicates  1 of 3 packages in several versions; nobody has set a limit: DUP_MAX=N, or in "
        "profiles/pack.toml [duplicates] max or allow\n"
    )
    assert (said.status, said.out) == (0, ".. check_duplicates  no successful run is on record\n" + TWICE + end)


def test_a_list_that_does_not_name_one_fails(root: Path) -> None:
    write(root / "profiles/pack.toml", '[duplicates]\nallow = ["other"]\n')
    said = check(root)
    assert (said.status, said.err.splitlines()[0]) == (
        1,
        "!! check_duplicates  1 of 3 packages in several versions, at most 0 (no other than allowed): part",
    )


def test_a_package_in_two_versions_fails_with_who_pulls_each(root: Path) -> None:
    said = check(root, "DUP_MAX=0")
    assert (said.status, said.out) == (1, ".. check_duplicates  no successful run is on record\n" + TWICE)
    first, second = said.err.splitlines()
    assert first == ("!! check_duplicates  1 of 3 packages in several versions, at most 0 (DUP_MAX): part")
    assert second.endswith('DUP_MAX=1, or in profiles/pack.toml [duplicates] allow = ["part"]')


@pytest.mark.parametrize(
    ("pack", "words", "end"),
    [
        ("", ("DUP_MAX=1",), "1 of 3 packages in several versions; at most 1 (DUP_MAX)"),
        ("[duplicates]\nmax = 1\n", (), "1 of 3 packages in several versions; at most 1 (profiles/pack.toml:2)"),
        ('[duplicates]\nallow = ["part"]\n', (), "0 of 3 packages in several versions, 1 more are allowed"),
        ('[duplicates]\nallow = ["part@1.0.0"]\n', (), "0 of 3 packages in several versions, 1 more are allowed"),
    ],
)
def test_a_limit_or_a_list_lets_it_pass(root: Path, pack: str, words: tuple[str, ...], end: str) -> None:
    if pack:
        write(root / "profiles/pack.toml", pack)
    said = check(root, *words)
    assert (said.status, said.out.splitlines()[-1]) == (0, f"ok check_duplicates  {end}")
    again = check(root, *words).out.splitlines()
    assert again[-1].startswith("-- check_duplicates  up to date: ")
    assert again[:-1] == said.out.splitlines()[1:-1]


def test_a_package_from_git_is_told_from_one_of_the_registry(root: Path) -> None:
    git, registry = "git+https://example.org/part.git?rev=17", "registry+https://github.com/rust-lang/crates.io-index"
    lock = "version = 4\n" + "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n{more}\n'
        for name, version, more in (
            ("app", "0.1.0", f'dependencies = ["low", "part 1.0.0 ({registry})"]'),
            ("low", "0.1.0", f'dependencies = ["part 1.0.0 ({git})"]'),
            ("part", "1.0.0", f'source = "{git}#175926c9"'),
            ("part", "1.0.0", f'source = "{registry}"'),
        )
    )
    write(root / "Cargo.lock", lock)
    assert check(root, "DUP_MAX=0").out.splitlines()[1:] == [
        "part",
        "  1.0.0        low 0.1.0",
        "  1.0.0        app 0.1.0",
    ]


def test_a_limit_of_the_call_goes_before_that_of_the_pack(root: Path) -> None:
    write(root / "profiles/pack.toml", "[duplicates]\nmax = 5\n")
    assert [check(root).status, check(root, "DUP_MAX=0").status] == [0, 1]


def test_a_new_lock_or_pack_makes_it_run_again(root: Path) -> None:
    assert check(root, "DUP_MAX=1").status == 0
    write(root / "profiles/pack.toml", '[duplicates]\nallow = ["other"]\n')
    said = check(root, "DUP_MAX=1")
    assert ".. check_duplicates  profiles/pack.toml:2: other is no duplicate any more: take it out" in said.out
    lock = (root / "Cargo.lock").read_text()
    write(
        root / "Cargo.lock", lock.replace('version = "2.0.0"', 'version = "3.0.0"').replace("part 2.0.0", "part 3.0.0")
    )
    assert "  3.0.0        app 0.1.0" in check(root, "DUP_MAX=1").out


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        (
            '[duplicates]\nallow = ["part 1.0"]\n',
            "profiles/pack.toml:2: duplicates.allow holds 'part 1.0', which is no package of a Cargo.lock",
        ),
        (
            "[duplicates]\nallow = 3\n",
            "profiles/pack.toml:2: duplicates.allow must be a list of strings, not a number (3)",
        ),
        ("[duplicates]\nmax = -1\n", "profiles/pack.toml:2: duplicates.max must be a whole number, not a number (-1)"),
        ('[duplicates]\nalow = ["part"]\n', "profiles/pack.toml:2: unknown key of [duplicates] 'alow'"),
    ],
)
def test_a_wrong_list_is_told_with_its_place(root: Path, pack: str, message: str) -> None:
    write(root / "profiles/pack.toml", pack)
    said = check(root)
    assert (said.status, said.err.splitlines()[0]) == (3, f"doit-cargo: {message}")


def test_a_limit_that_is_no_number_is_refused(root: Path) -> None:
    assert check(root, "DUP_MAX=few").status == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no Cargo.lock"),
        ("[[package]]\nname = ", "this is no Cargo.lock"),
        ("package = 1\n", "no Cargo.lock"),
    ],
)
def test_a_lock_that_is_missing_or_torn_is_told(root: Path, text: str | None, message: str) -> None:
    (root / "Cargo.lock").unlink()
    if text is not None:
        write(root / "Cargo.lock", text)
    said = check(root)
    assert (said.status, message in said.err, "Traceback" in said.err) == (2, True, False)


def test_trees_are_cargos_own(root: Path) -> None:
    tree = call(root, "doit-cargo", "deps_tree", "PACKAGE=low")
    assert (tree.status, "└── part v1.0.0" in tree.out) == (0, True)
    twice = call(root, "doit-cargo", "deps_duplicates")
    assert (twice.status, twice.out.count("part v")) == (0, 2)


def test_why_shows_each_version_from_below(root: Path) -> None:
    said = call(root, "doit-cargo", "deps_why", "PACKAGE=part")
    assert said.status == 0, said.err
    trees = [line for line in said.out.splitlines() if not line.startswith(("ok ", ".. "))]
    assert trees == [
        f"part v1.0.0 ({root}/old)",
        f"├── app v0.1.0 ({root}/app)",
        f"└── low v0.1.0 ({root}/low)",
        f"    └── app v0.1.0 ({root}/app)",
        f"part v2.0.0 ({root}/new)",
        f"└── app v0.1.0 ({root}/app)",
    ]
    one = call(root, "doit-cargo", "deps_why", "PACKAGE=part@2")
    assert ("part v2.0.0" in one.out, "part v1.0.0" in one.out) == (True, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "deps_why needs one PACKAGE"),
        (("PACKAGE=all",), "deps_why needs one PACKAGE"),
        (("PACKAGE=prat",), "PACKAGE: unknown package 'prat'\n  fix: did you mean 'part'?"),
        (("PACKAGE=part@9",), "PACKAGE: unknown version '9'\n  fix: known: 1.0.0, 2.0.0"),
    ],
)
def test_why_without_a_known_package_is_bad_input(root: Path, words: tuple[str, ...], message: str) -> None:
    said = call(root, "doit-cargo", "deps_why", *words)
    assert (said.status, said.out, message in said.err) == (3, "", True)


@pytest.mark.parametrize("target", ["deps_tree", "deps_duplicates"])
@pytest.mark.parametrize("word", ["PACKAGE=lwo", "FEATURES=none"])
def test_a_tree_of_what_is_not_here_is_refused_before_anything_starts(root: Path, target: str, word: str) -> None:
    said = call(root, "doit-cargo", target, word)
    assert (said.status, said.out, word.partition("=")[2] in said.err) == (3, "", True), said


def test_a_workspace_without_duplicates_says_so(root: Path) -> None:
    write(root / "app/Cargo.toml", MANIFEST.format(name="app", version="0.1.0", more='low = { path = "../low" }\n'))
    assert call(root, "cargo", "generate-lockfile", "--offline").status == 0
    said = call(root, "doit-cargo", "deps_duplicates")
    answer = "no package is in Cargo.lock in several versions\n"
    expected = (
        f".. deps_duplicates  no successful run is on record\n{answer}ok deps_duplicates  nothing is there twice\n"
    )
    assert (said.status, said.out, said.err) == (0, expected, "")


def test_an_optional_dependency_is_found_over_all_features_or_those_that_are_named(tmp_path: Path) -> None:
    crates: Crates = {
        "app": {"needs": {"itoa": "optional = true"}, "features": {"numbers": ["dep:itoa"], "other": []}},
        "itoa": {"version": "1.0.1"},
    }
    made = lay_out(tmp_path, crates)
    made.lock()
    said = call(tmp_path, "doit-cargo", "deps_why", "PACKAGE=itoa")
    assert (said.status, "app v0.1.0" in said.out) == (0, True), said
    assert "app v0.1.0" in call(tmp_path, "doit-cargo", "deps_why", "PACKAGE=itoa", "FEATURES=numbers").out
    none = call(tmp_path, "doit-cargo", "deps_why", "PACKAGE=itoa", "FEATURES=other")
    assert (none.status, "no member depends on it with FEATURES=other" in none.out) == (0, True), none
