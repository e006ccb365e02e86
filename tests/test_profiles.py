"""Feature profiles: what they may hold, how they compose, and where every value and every mistake stands."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import write
from doit_cargo.engine import toolchain
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import DETECTORS, CargoTarget, Dependency, Package, Profile, Setting, Workspace
from doit_cargo.engine.base.toml.locations import TomlFile
from doit_cargo.engine.plan.profiles import Library, packs
from doit_cargo.engine.plan.profiles import text as profile_text

SHIPPED = packs.shipped_directory()


def a_package(name: str, features: tuple[str, ...] = ()) -> Package:
    cargo_targets: tuple[CargoTarget, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    return Package(
        name, "0.1.0", f"/w/{name}", f"/w/{name}/Cargo.toml", dict.fromkeys(features, ()), cargo_targets, dependencies
    )


def a_workspace(root: Path, *members: str, **settings: str) -> Workspace:
    """Return a workspace; its settings are written to a root manifest, since messages name its lines."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in settings.items())
    write(root / "Cargo.toml", f"[workspace]\n[workspace.metadata.doit-cargo]\n{lines}")
    packages = {name: a_package(name) for name in members}
    metadata: dict[str, object] = {"doit-cargo": settings} if settings else {}
    return Workspace(str(root), str(root / "target"), packages, members, metadata=metadata)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """Return a folder of packs with an empty `base`, for tests that want no other profile around."""
    write(tmp_path / "packs/base/pack.toml", 'doc = "base"\n')
    return tmp_path / "packs"


def library(shipped: Path, overlay: dict[str, str] | None = None, *members: str) -> Library:
    root = shipped.parent / "ws"
    for name, text in (overlay or {}).items():
        write(root / f"profiles/{name}.toml", text)
    return Library.load(a_workspace(root, *members), str(shipped))


def base(shipped: Path, **files: str) -> Library:
    for name, text in files.items():
        write(shipped / f"base/{name}.toml", text)
    return library(shipped)


def message(library: Library, name: str) -> str:
    with pytest.raises(UserError) as caught:
        library.compose(name)
    return str(caught.value)


# --- composition -----------------------------------------------------------------------------------------------------


def test_an_empty_profile_is_cargos_dev_build(shipped: Path) -> None:
    assert base(shipped, plain='doc = "x"\n').compose("plain") == Profile(
        "plain", "x", files=(str(shipped / "base/plain.toml"),)
    )


def test_every_value_knows_the_line_that_set_it(shipped: Path) -> None:
    text = """\
doc = "All keys."
features = [
    "one",  # first
    "two",
]
default-features = false
platforms = ["linux"]

[cargo]
profile = "release"
jobs = 3
target = "x86_64-unknown-linux-gnu"
locked = true
config.profile.release.lto = "fat"

[cargo.config.target.'cfg(unix)']
rustflags = ["-C", "target-cpu=native"]

[env]
"A" = "1"
B = { unset = true }
C = { detect = "cuda_root" }

[needs]
nvcc = ">=12.4"

[inputs]
files = ["a.toml"]
env = ["HF_TOKEN"]
packages = ["core"]
"""
    profile = base(shipped, every=text).compose("every")
    place = "profiles/base/every.toml"
    assert profile.features == (Setting("one", f"{place}:3"), Setting("two", f"{place}:4"))
    assert profile.default_features == Setting(False, f"{place}:6")
    assert profile.platforms == Setting(("linux",), f"{place}:7")
    assert profile.cargo == {
        "profile": Setting("release", f"{place}:10"),
        "jobs": Setting(3, f"{place}:11"),
        "target": Setting("x86_64-unknown-linux-gnu", f"{place}:12"),
        "locked": Setting(True, f"{place}:13"),
    }
    assert profile.config == {
        "profile.release.lto": Setting("fat", f"{place}:14"),
        'target."cfg(unix)".rustflags': Setting(["-C", "target-cpu=native"], f"{place}:17"),
    }
    assert profile.env == {
        "A": Setting("1", f"{place}:20"),
        "B": Setting(None, f"{place}:21"),
        "C": Setting({"detect": "cuda_root"}, f"{place}:22"),
    }
    assert profile.needs == {"nvcc": Setting(">=12.4", f"{place}:25")}
    assert (profile.inputs.files, profile.inputs.env, profile.inputs.packages) == (
        ("a.toml",),
        ("HF_TOKEN",),
        ("core",),
    )


def test_a_later_extends_wins_and_the_file_itself_wins_over_both(shipped: Path) -> None:
    profile = base(
        shipped,
        a='[cargo]\njobs = 1\nprofile = "release"\n[env]\nX = "a"\nY = "a"\n',
        b='[cargo]\njobs = 2\n[env]\nX = "b"\n',
        c='extends = ["a", "b"]\n[env]\nZ = "c"\n',
    ).compose("c")
    assert profile.cargo["jobs"] == Setting(2, "profiles/base/b.toml:2")
    assert profile.cargo["profile"].value == "release"
    assert {name: setting.value for name, setting in profile.env.items()} == {"X": "b", "Y": "a", "Z": "c"}


def test_what_two_parents_share_counts_once_and_before_them(shipped: Path) -> None:
    """Else `b`, which sets nothing, would bring the value of `root` back over that of `a`."""
    profile = base(
        shipped,
        root="[cargo]\njobs = 1\n",
        a='extends = "root"\n[cargo]\njobs = 2\n',
        b='extends = "root"\n',
        c='extends = ["a", "b"]\n',
    ).compose("c")
    assert profile.cargo["jobs"] == Setting(2, "profiles/base/a.toml:3")
    assert [os.path.basename(path) for path in profile.files] == ["root.toml", "a.toml", "b.toml", "c.toml"]


def test_features_keep_their_order_and_can_be_removed(shipped: Path) -> None:
    profile = base(
        shipped, a='features = ["one", "two", "three"]\n', b='extends = "a"\nfeatures = ["-two", "four", "one"]\n'
    ).compose("b")
    assert profile.feature_names == ("one", "three", "four")


def test_a_config_key_set_again_moves_to_its_new_place(shipped: Path) -> None:
    profile = base(
        shipped,
        a='[cargo.config]\nprofile.x.inherits = "dev"\nprofile.x.lto = true\n',
        b='extends = "a"\n[cargo.config]\nprofile.x.inherits = "release"\n',
    ).compose("b")
    assert list(profile.config) == ["profile.x.lto", "profile.x.inherits"]


# --- layers ----------------------------------------------------------------------------------------------------------


def test_a_file_of_the_user_is_laid_over_the_shipped_one_of_that_name(shipped: Path) -> None:
    write(shipped / "base/release.toml", 'features = ["one"]\n[cargo]\nprofile = "release"\njobs = 4\n')
    profile = library(shipped, {"release": 'features = ["mine"]\n[cargo]\njobs = 1\n'}).compose("release")
    assert profile.features == (
        Setting("one", "profiles/base/release.toml:1"),
        Setting("mine", "profiles/release.toml:1"),
    )
    assert profile.cargo["profile"].value == "release"
    assert profile.cargo["jobs"] == Setting(1, "profiles/release.toml:3")


def test_what_ships_extends_the_users_version_of_a_profile(shipped: Path) -> None:
    write(shipped / "base/root.toml", "[cargo]\njobs = 4\n")
    write(shipped / "base/leaf.toml", 'extends = "root"\n')
    assert library(shipped, {"root": "[cargo]\njobs = 1\n"}).compose("leaf").cargo["jobs"] == Setting(
        1, "profiles/root.toml:2"
    )


def test_a_pack_profile_that_extends_its_own_name_means_the_one_of_base(shipped: Path) -> None:
    write(shipped / "base/cuda.toml", 'features = ["cuda"]\n')
    write(shipped / "special/pack.toml", '[detect]\npackages = ["known"]\n')
    write(shipped / "special/cuda.toml", 'extends = "cuda"\nfeatures = ["extra"]\n')
    assert library(shipped, None, "known").compose("cuda").feature_names == ("cuda", "extra")
    assert library(shipped, None, "other").compose("cuda").feature_names == ("cuda",)


def test_somebody_elses_toml_in_the_folder_is_ignored(shipped: Path) -> None:
    assert library(shipped, {"cargo-deny": "[licenses]\nallow = []\n", "mine": "features = []\n"}).names() == ("mine",)


def test_the_folder_can_be_named_in_the_manifest(shipped: Path, tmp_path: Path) -> None:
    workspace = a_workspace(tmp_path / "ws", profiles="build/ours")
    write(tmp_path / "ws/build/ours/x.toml", "features = [3]\n")
    assert message(Library.load(workspace, str(shipped)), "x") == (
        'build/ours/x.toml:1: features must be a list of strings, not a list\n  fix: write it like ["cuda", "-mkl"]'
    )


def test_a_folder_that_is_named_must_be_there(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Library.load(a_workspace(tmp_path / "ws", profiles="gone"), str(shipped))
    assert str(caught.value) == "Cargo.toml:3: there is no folder 'gone'\n  fix: create it, or leave the key out"


# --- packs -----------------------------------------------------------------------------------------------------------


def test_the_pack_with_most_members_is_taken(shipped: Path) -> None:
    write(shipped / "one/pack.toml", '[detect]\npackages = ["a", "z"]\n')
    write(shipped / "two/pack.toml", '[detect]\npackages = ["a", "b"]\n')
    assert library(shipped, None, "a", "b").pack.name == "two"
    assert library(shipped, None, "c").pack.name == "base"


def test_a_manifest_can_name_the_pack(shipped: Path, tmp_path: Path) -> None:
    write(shipped / "one/pack.toml", '[detect]\npackages = ["a"]\n')
    assert Library.load(a_workspace(tmp_path / "ws", "a", pack="base"), str(shipped)).pack.name == "base"
    with pytest.raises(UserError) as caught:
        Library.load(a_workspace(tmp_path / "ws", "a", pack="onne"), str(shipped))
    assert str(caught.value) == "Cargo.toml:3: unknown pack 'onne'\n  fix: did you mean 'one'? known: base, one"


def test_a_setting_that_nobody_knows_names_the_nearest(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Library.load(a_workspace(tmp_path / "ws", "a", pck="one"), str(shipped))
    assert str(caught.value) == (
        "Cargo.toml:3: unknown key of [workspace.metadata.doit-cargo] 'pck'\n"
        "  fix: did you mean 'pack'? known: pack, profiles, sccache, size-growth"
    )


@pytest.mark.parametrize("folder", [".", "..", "../.."])
def test_a_folder_of_profiles_does_not_hold_the_workspace(shipped: Path, tmp_path: Path, folder: str) -> None:
    with pytest.raises(UserError) as caught:
        Library.load(a_workspace(tmp_path / "ws", "a", profiles=folder), str(shipped))
    assert str(caught.value) == (
        f"Cargo.toml:3: {folder!r} holds the workspace itself\n  fix: name a folder for profiles alone"
    )


def test_settings_that_are_no_table_are_told(shipped: Path, tmp_path: Path) -> None:
    write(tmp_path / "ws/Cargo.toml", "[workspace]\nmetadata.doit-cargo = 5\n")
    found = a_workspace(tmp_path / "other", "a")
    wrong = found._replace(root=str(tmp_path / "ws"), metadata={"doit-cargo": 5})
    with pytest.raises(UserError) as caught:
        Library.load(wrong, str(shipped))
    assert str(caught.value) == (
        "Cargo.toml:2: [workspace.metadata] doit-cargo is no table\n  fix: write [workspace.metadata.doit-cargo]"
    )


def test_a_pack_toml_of_the_user_is_laid_over_that_of_the_pack(shipped: Path) -> None:
    write(shipped / "base/pack.toml", '[roles]\nserver = ["a"]\ncore = ["b"]\n[rules.x]\nrequires = ["y"]\n')
    overlay = '[roles]\nserver = ["mine"]\n[rules.z]\nplatforms = ["macos"]\n[packages.py]\nneeds = "python"\n'
    pack = library(shipped, {"pack": overlay}).pack
    assert pack.roles == {"server": ("mine",), "core": ("b",)}
    assert (pack.rules["x"].requires, pack.rules["x"].where) == (("y",), "profiles/base/pack.toml:4")
    assert (pack.rules["z"].platforms, pack.rules["z"].where) == (("macos",), "profiles/pack.toml:3")
    assert pack.optional_packages == {"py": "python"}


def test_a_broken_pack_toml_names_its_lines(shipped: Path) -> None:
    with pytest.raises(UserError) as caught:
        library(shipped, {"pack": '[roles]\nserver = "a"\n[rules.x]\nrequire = []\nplatforms = ["macosx"]\n'})
    assert str(caught.value) == (
        "profiles/pack.toml:2: roles.server must be a list of strings, not a string\n"
        '  fix: write it like ["one", "two"]\n'
        "profiles/pack.toml:4: unknown key of [rules.x] 'require'\n"
        "  fix: did you mean 'requires'? known: conflicts, platforms, requires\n"
        "profiles/pack.toml:5: unknown platform 'macosx'\n  fix: did you mean 'macos'? known: linux, macos, windows"
    )


# --- messages --------------------------------------------------------------------------------------------------------


def test_an_unknown_profile_names_the_nearest(shipped: Path) -> None:
    assert message(base(shipped, release="", dev=""), "relaese") == (
        "unknown profile 'relaese'\n  fix: did you mean 'release'? known: dev, release"
    )


def test_a_circle_prints_its_path_with_every_line(shipped: Path) -> None:
    files = {"a": 'doc = "x"\nextends = "b"\n', "b": 'extends = ["c"]\n', "c": 'extends = "b"\n'}
    assert message(base(shipped, **files), "a") == (
        "profiles/base/c.toml:1: profiles extend each other in a circle: "
        "b -> c (profiles/base/b.toml:1) -> b (profiles/base/c.toml:1)\n  fix: remove one of these extends"
    )


def test_a_profile_that_extends_itself_is_a_circle(shipped: Path) -> None:
    assert message(base(shipped, a='extends = "a"\n'), "a").startswith(
        "profiles/base/a.toml:1: profiles extend each other in a circle: a -> a (profiles/base/a.toml:1)\n"
    )


def test_removing_a_feature_that_is_not_set_names_the_place(shipped: Path) -> None:
    assert message(base(shipped, a='features = ["one", "-two"]\n'), "a") == (
        "profiles/base/a.toml:1: the feature 'two' cannot be removed, it is not set\n"
        "  fix: leave '-two' out; set so far: one"
    )


MISTAKES: dict[str, tuple[str, str]] = {
    "a key": (
        'feature = ["x"]',
        "1: unknown key 'feature'\n  fix: did you mean 'features'? known: cargo, default-features, doc, env, extends, "
        "features, inputs, needs, platforms",
    ),
    "a key of a table": (
        '[cargo]\nprofil = "release"',
        "2: unknown key of [cargo] 'profil'\n"
        "  fix: did you mean 'profile'? known: config, jobs, locked, profile, target",
    ),
    "a table of cargo in quotes": (
        '[cargo.config]\nnet.retry = 2\n"profile.release.lto" = true',
        "3: cargo.config names a table 'profile.release.lto', which cargo ignores\n"
        "  fix: write profile.release.lto without quotes",
    ),
    "a key of a cargo profile": (
        "[cargo]\nconfig.profile.release.debgu = 1",
        "2: cargo.config.profile.release.debgu is unknown: cargo ignores it\n"
        "  fix: did you mean 'debug'? A newer cargo's key belongs in .cargo/config.toml",
    ),
    "a key for one package": (
        "[cargo.config]\nprofile.dev.package.'a@0.1'.opt_levl = 1",
        '2: cargo.config.profile.dev.package."a@0.1".opt_levl is unknown: cargo ignores it\n'
        "  fix: did you mean 'opt-level'? A newer cargo's key belongs in .cargo/config.toml",
    ),
    "a table of cargo": (
        "[cargo.config.bild]\njobs = 1",
        "1: cargo.config.bild is unknown: cargo ignores it\n"
        "  fix: did you mean 'build'? A newer cargo's key belongs in .cargo/config.toml",
    ),
    "a key below a table of cargo": (
        '[cargo]\nconfig.term.progress.whn = "auto"',
        "2: cargo.config.term.progress.whn is unknown: cargo ignores it\n"
        "  fix: did you mean 'when'? A newer cargo's key belongs in .cargo/config.toml",
    ),
    "a string for a list": (
        'features = "cuda"',
        '1: features must be a list of strings, not a string\n  fix: write it like ["cuda", "-mkl"]',
    ),
    "a boolean for a number": (
        "[cargo]\njobs = true",
        "2: cargo.jobs must be a whole number above 0, not a boolean (true)\n  fix: write it like 4",
    ),
    "no jobs": (
        "[cargo]\njobs = 0",
        "2: cargo.jobs must be a whole number above 0, not a number (0)\n  fix: write it like 4",
    ),
    "a table for a string": (
        "[doc]",
        '1: doc must be a string, not a table\n  fix: write it like "text"',
    ),
    "a string for a table": ('cargo = "release"', "1: cargo must be a table, not a string\n  fix: write [cargo]"),
    "a number in the environment": (
        "[env]\nJOBS = 4",
        "2: env.JOBS must be a string, { unset = true } or { detect = NAME }, not a number (4)\n"
        '  fix: write it like "4"',
    ),
    "a detector": (
        '[env]\nA = { detect = "cuda_rot" }',
        "2: unknown detector 'cuda_rot'\n"
        "  fix: did you mean 'cuda_root'? known: cuda_root, msvc_cl, nvcc_directory, pyo3_python, python, sccache",
    ),
    "a specifier": (
        '[needs]\nnvcc = "12.4 or so"',
        "2: needs.nvcc = '12.4 or so' is not a version specifier\n"
        '  fix: a PEP 440 specifier such as ">=12.4,<14", or "" for any version',
    ),
    "a platform": ('platforms = ["osx"]', "1: unknown platform 'osx'\n  fix: known: linux, macos, windows"),
    "a profile": ('extends = "nothing"', "1: unknown profile 'nothing'\n  fix: known: wrong"),
    "a feature's name": (
        'features = ["a b"]',
        "1: features holds 'a b', which is no name of a feature\n"
        "  fix: a name of Cargo's, PACKAGE/FEATURE, or -FEATURE to remove one",
    ),
    "no TOML": ("features = [\n\n", "3: is not TOML: Invalid value\n  fix: correct that line"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_its_line_what_is_known_and_the_nearest(shipped: Path, mistake: str) -> None:
    text, expected = MISTAKES[mistake]
    assert message(base(shipped, wrong=text), "wrong") == f"profiles/base/wrong.toml:{expected}"


def test_the_problems_of_all_files_come_at_once(shipped: Path) -> None:
    files = {"a": 'extends = ["b", "c", "gone"]\nfeatures = 1\n', "b": "docs = 1\n", "c": "= 1\n"}
    lines = message(base(shipped, **files), "a").splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "profiles/base/a.toml:1: unknown profile 'gone'",
        "profiles/base/c.toml:1: is not TOML: Invalid statement",
        "profiles/base/b.toml:1: unknown key 'docs'",
        "profiles/base/a.toml:2: features must be a list of strings, not a number (1)",
    ]


def test_a_file_that_is_not_text_is_named(shipped: Path) -> None:
    (shipped / "base/wrong.toml").write_bytes(b"\xff\xfe")
    assert message(library(shipped), "wrong") == "profiles/base/wrong.toml: is not UTF-8 text\n  fix: save it as UTF-8"


# --- where things stand ----------------------------------------------------------------------------------------------


TRICKY = '''\
# [not.a.table]
a = """
b = 1 ]
""" # and a = 2
c.d."e.f" = [ [1, 2],
  ["]", '#'], # comment ]
  { x = 1, y.z = "}" },
]
"quoted key" = { one = 1,  "t\\u0077o" = [3] }

  [table . 'sub table']
bare-key_1 = 1979-05-27 07:32:00
[[list]]
k = 1
[[list]]
'''


def test_lines_are_right_in_tricky_toml() -> None:
    tomllib.loads(TRICKY)
    file = TomlFile("x.toml", "x.toml", TRICKY)
    expected: dict[tuple[str | int, ...], int] = {
        ("a",): 2,
        ("c",): 5,
        ("c", "d", "e.f"): 5,
        ("c", "d", "e.f", 0, 1): 5,
        ("c", "d", "e.f", 1, 1): 6,
        ("c", "d", "e.f", 2, "y", "z"): 7,
        ("quoted key", "one"): 9,
        ("quoted key", "two", 0): 9,
        ("table", "sub table"): 11,
        ("table", "sub table", "bare-key_1"): 12,
        ("list",): 13,
        ("list", "k"): 14,
        ("list", "unknown", "deep"): 13,
        ("table",): 11,
    }
    assert {path: file.where(*path) for path in expected} == {path: f"x.toml:{line}" for path, line in expected.items()}


def test_lines_are_right_with_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b'a = 1\r\n\r\n[b]\r\nc = """\r\n"""\r\nd = 1\r\n')
    file = TomlFile.read(str(tmp_path / "x.toml"), "x.toml")
    assert (file.where("a"), file.where("b", "c"), file.where("b", "d")) == ("x.toml:1", "x.toml:4", "x.toml:6")


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [leaf for key in value for leaf in leaves(value[key], (*path, key))] if isinstance(value, dict) else [path]


# --- what ships ------------------------------------------------------------------------------------------------------


SHIPPED_FILES = sorted(Path(SHIPPED).glob("*/*.toml"))
SHIPPED_PROFILES = [(path.parent.name, path.stem) for path in SHIPPED_FILES if path.name != "pack.toml"]


@pytest.mark.parametrize("path", SHIPPED_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_key_that_ships_stands_where_we_say(path: Path) -> None:
    file = TomlFile.read(str(path), path.name)
    lines = path.read_text(encoding="utf-8").splitlines()
    for leaf in leaves(file.values):
        assert leaf[-1] in lines[int(file.where(*leaf).rpartition(":")[2]) - 1]


@pytest.mark.parametrize(("pack", "name"), SHIPPED_PROFILES)
def test_every_profile_that_ships_composes_and_has_a_sentence(pack: str, name: str, tmp_path: Path) -> None:
    profile = Library.load(a_workspace(tmp_path, pack=pack), SHIPPED).compose(name)
    assert profile.doc[0].isupper()
    assert profile.doc.endswith(".")


@pytest.mark.parametrize(("pack", "name"), SHIPPED_PROFILES)
def test_no_path_of_a_machine_ships(pack: str, name: str) -> None:
    text = (Path(SHIPPED) / pack / f"{name}.toml").read_text(encoding="utf-8")
    assert not [value for key, value in tomllib.loads(text).get("env", {}).items() if "/" in value or "\\" in value]


def test_profiles_know_the_same_detectors_as_the_machine() -> None:
    assert set(DETECTORS) == set(toolchain.DETECTORS)


# --- as text ---------------------------------------------------------------------------------------------------------


def test_a_composed_profile_is_shown_with_the_place_of_each_value(tmp_path: Path) -> None:
    profile = Library.load(a_workspace(tmp_path, pack="mistralrs"), SHIPPED).compose("cuda_full")
    assert (
        profile_text.to_toml(profile)
        == """\
doc = "Release build with CUDA, Flash Attention, cuDNN and Intel MKL."
features = [
    "cuda", # set by profiles/base/cuda.toml:3
    "flash-attn", # set by profiles/mistralrs/cuda.toml:4
    "cudnn", # set by profiles/mistralrs/cuda.toml:4
    "mkl", # set by profiles/mistralrs/cuda_full.toml:3
]
default-features = true # default
platforms = ["linux", "windows"] # set by profiles/base/cuda.toml:4

[cargo]
profile = "release" # set by profiles/base/release.toml:4
locked = false # default

[env]
CUDA_PATH = {detect = "cuda_root"} # set by profiles/base/cuda.toml:11
NVCC_CCBIN = {detect = "msvc_cl"} # set by profiles/base/cuda.toml:13

[needs]
nvcc = "" # set by profiles/base/cuda.toml:7
"""
    )


@pytest.mark.parametrize(("pack", "name"), SHIPPED_PROFILES)
def test_what_is_shown_is_a_profile_again(pack: str, name: str, tmp_path: Path, shipped: Path) -> None:
    profile = Library.load(a_workspace(tmp_path / "ws", pack=pack), SHIPPED).compose(name)
    again = base(shipped, again=profile_text.to_toml(profile)).compose("again")
    assert plain(again) == plain(profile)


def plain(profile: Profile) -> dict[str, Any]:
    """Return the values of a profile without their places."""
    singles = (
        profile.default_features,
        profile.platforms,
        *(setting for _, setting in sorted(profile.cargo.items())),
    )
    tables = {"config": profile.config, "env": profile.env, "needs": profile.needs}
    return {
        "features": profile.feature_names,
        "singles": [setting and setting.value for setting in singles],
        **{name: {key: setting.value for key, setting in table.items()} for name, table in tables.items()},
    }
