"""Rows: all of them right, and which of them exist in a checkout."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from conftest import SHARED, FakeMachine, Spec, make_workspace, needs_cargo, read_workspace, write
from doit_cargo.engine.base import variables
from doit_cargo.engine.base.errors import UserError
from doit_cargo.engine.base.model import PLATFORMS, Target
from doit_cargo.engine.plan.profiles import Library
from doit_cargo.engine.plan.selection import ROLES_OF_CARGO
from doit_cargo.targets import catalogue
from doit_cargo.targets.catalogue import Entry

CUDA = FakeMachine(tools=("nvcc", "python"))
SERVER: Spec = {
    "mistralrs-core": {},
    "mistralrs-server": {
        "bins": {"serve": []},
        "features": {"cuda": [], "flash-attn": [], "cudnn": [], "mkl": [], "metal": []},
    },
}


def entries(root: Path, spec: Spec, machine: FakeMachine = CUDA) -> dict[str, Entry]:
    workspace = read_workspace(make_workspace(root, spec))
    return {entry.target.name: entry for entry in catalogue.load(workspace, Library.load(workspace), machine)}


WITHOUT_DENY = {"deny", "deny_advisories"}


def absent(found: dict[str, Entry]) -> dict[str, str]:
    """Return the absent targets but for those of single roles, which these workspaces lack on purpose."""
    assert all(bool(entry.reason) != (entry.available and entry.listed) for entry in found.values())
    entries = {name: entry for name, entry in found.items() if entry.target.family not in ("test", "python")}
    return {name: entry.reason for name, entry in entries.items() if not entry.available}


# --- rows ------------------------------------------------------------------------------------------------------------


def test_every_row_names_only_what_is_there() -> None:
    packs, rows = catalogue.shipped_packs(), catalogue.rows()
    catalogue.require_good_names(rows)
    known = {
        "package": {"", *ROLES_OF_CARGO, *(role for pack in packs.values() for role in pack.roles)},
        "profile": {profile for pack in packs.values() for profile in pack.profiles},
        "takes": set(variables.BY_NAME),
        "after": {row.name for row in rows},
        "packs": set(packs),
        "platforms": set(PLATFORMS),
    }
    named = [(row.name, kind, getattr(row, kind)) for row in rows for kind in known]
    one_by_one = [
        (row, kind, name) for row, kind, names in named for name in ((names,) if kind == "package" else names)
    ]
    assert [(row, kind, name) for row, kind, name in one_by_one if name not in known[kind]] == []


def test_every_row_says_in_one_sentence_what_it_does() -> None:
    docs = [target.doc for target in catalogue.rows()]
    assert [doc for doc in docs if not (doc[0].isupper() and doc.endswith(".") and ". " not in doc)] == []
    assert len(set(docs)) == len(docs)


def test_every_function_that_a_row_names_is_there() -> None:
    named = {name for row in catalogue.rows() for name in (row.action, row.watch, row.check, row.absence) if name}
    modules = {name: importlib.import_module(name.partition(":")[0]) for name in named}
    assert [name for name in named if not callable(getattr(modules[name], name.partition(":")[2], None))] == []


def test_every_family_holds_its_own_rows() -> None:
    assert {target.family for target in catalogue.rows()} == set(catalogue.FAMILIES)


def test_doits_commands_are_known() -> None:
    from doit.doit_cmd import DoitMain

    assert {command.get_name() for command in DoitMain.DOIT_CMDS} <= catalogue.DOIT_COMMANDS


def row(name: str, **more: object) -> Target:
    fields = {"name": name, "family": "build", "doc": "x", "command": "build", **more}
    return Target(**fields)  # type: ignore[arg-type]


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(UserError) as caught:
        catalogue.require_good_names((row("a"), row("b"), row("a", family="check")))
    assert str(caught.value) == "tasks: build, check: 2 targets are called a\n  fix: rename all but one"


@pytest.mark.parametrize("name", ["build-all", "Build", "_build", "build:all", "a=b", "a b", "", "1a", "a__b", "*"])
def test_a_name_that_doit_or_make_could_misread_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="cannot be the name of a target"):
        catalogue.require_good_names((row(name),))


def test_a_name_of_a_doit_command_is_refused_but_for_those_that_we_answer() -> None:
    with pytest.raises(UserError, match="'forget' is a command of doit"):
        catalogue.require_good_names((row("forget"),))
    catalogue.require_good_names((row("clean"), row("run")))


@pytest.mark.parametrize("fields", [{"action": "x:y"}, {"command": ""}])
def test_a_row_is_a_cargo_call_or_an_action_or_a_group(fields: dict[str, str]) -> None:
    with pytest.raises(UserError, match="a must have a command, an action or parts"):
        catalogue.require_good_names((row("a", **fields),))


def test_a_group_only_has_parts() -> None:
    catalogue.require_good_names((row("a", command="", after=("b",)), row("b")))


# --- what exists here ------------------------------------------------------------------------------------------------


@needs_cargo
def test_in_a_full_checkout_only_other_platforms_targets_are_absent(tmp_path: Path) -> None:
    assert absent(entries(tmp_path, SERVER)) == {
        "build_metal": "build_metal builds only on macos; this is linux",
        "build_windows": "build_windows builds only on windows; this is linux",
        "check_msvc": "check_msvc runs only on windows; this is linux",
        "check_tokio_cfg": "check_tokio_cfg is for the pack dynamo; this workspace uses mistralrs",
        "deny": "deny needs deny.toml in the root of the workspace",
        "deny_advisories": "deny_advisories needs deny.toml in the root of the workspace",
    }


@needs_cargo
def test_a_checkout_without_the_features_lacks_their_targets(tmp_path: Path) -> None:
    found = absent(
        entries(tmp_path, {"mistralrs-core": {}, "mistralrs-server": {"features": {"cuda": []}, "bins": {"serve": []}}})
    )
    builds = {"build_cuda", "build_cuda_full", "build_metal", "build_windows", "full_build"}
    assert set(found) - WITHOUT_DENY == builds | {"check_tokio_cfg", "check_msvc"}
    assert found["build_cuda"] == (
        "the package mistralrs-server has no feature 'flash-attn', asked for by profiles/mistralrs/cuda.toml:4; "
        "the package mistralrs-server has no feature 'cudnn', asked for by profiles/mistralrs/cuda.toml:4"
    )


@needs_cargo
def test_a_checkout_without_a_server_lacks_its_targets_but_has_the_others(tmp_path: Path) -> None:
    found = entries(tmp_path, {"mistralrs-core": {}})
    assert (
        found["build"].reason == "build needs the package mistralrs-server or mistralrs-cli, which this checkout lacks"
    )
    assert [name for name in ("build_all", "check", "clean", "help") if not found[name].available] == []
    # An action that builds packages of a role exists only where a package plays it.
    assert absent(found)["profile_memory"].startswith("profile_memory needs the package mistralrs-server or ")


@needs_cargo
def test_any_workspace_has_the_common_targets(tmp_path: Path) -> None:
    found = entries(tmp_path, {"app": {}})
    assert [
        name for name in ("build", "dev", "release", "check", "build_all", "build_linux") if name in absent(found)
    ] == []
    assert absent(found)["build_cuda_full"] == "build_cuda_full is for the pack mistralrs; this workspace uses base"
    assert absent(found)["build_cuda"].startswith("the package app has no feature 'cuda'")


@needs_cargo
def test_any_workspace_with_the_feature_cuda_has_build_cuda(tmp_path: Path) -> None:
    assert entries(tmp_path, {"app": {"features": {"cuda": []}}, "other": {}})["build_cuda"].available


@needs_cargo
def test_a_broken_profile_of_the_user_hides_no_target(tmp_path: Path) -> None:
    write(tmp_path / "profiles/release.toml", "features = 1\n")
    assert entries(tmp_path, {"app": {}})["build"].available


# --- names -----------------------------------------------------------------------------------------------------------


@needs_cargo
def test_a_target_is_found_by_both_of_its_names(tmp_path: Path) -> None:
    found = entries(tmp_path, SERVER)
    for name in ("build_cuda_full", "build-cuda-full", "build-cuda_full"):
        assert catalogue.find(name, found.values()) is found["build_cuda_full"]


@needs_cargo
def test_an_absent_target_is_found_with_its_reason(tmp_path: Path) -> None:
    found = catalogue.find("build-metal", entries(tmp_path, SERVER).values())
    assert (found.available, found.reason) == (False, "build_metal builds only on macos; this is linux")


@needs_cargo
def test_an_unknown_target_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        catalogue.find("biuld-cuda", entries(tmp_path, SERVER).values())
    first, second = str(caught.value).splitlines()
    assert first == "unknown target 'biuld-cuda'"
    assert second.startswith("  fix: did you mean 'build_cuda'? known: ")


def test_what_rows_call_is_there() -> None:
    for target in catalogue.rows():
        for name in filter(None, (target.action, target.watch, target.check)):
            module, _, function = name.partition(":")
            assert callable(getattr(importlib.import_module(module), function, None)), f"{target.name}: {name}"
        if target.handler:
            way = importlib.import_module(target.handler)
            assert {"run", "explain"} <= vars(way).keys(), f"{target.name}: {target.handler}"


@pytest.mark.shared
def test_every_row_of_the_guides_catalogue_is_a_target_of_that_name() -> None:
    table = SHARED / "mission/catalogue.tsv"
    if not table.is_file():
        pytest.skip(f"{table} is absent: the catalogue of the guides is not in this repository")
    lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    wanted = {name: make for name, make, pack, *_ in lines if pack in ("mistralrs", "any")}
    here = {row.name: row.make_name for row in catalogue.rows()}
    assert len(wanted) == 103
    # A mirror is a variable of every target, REGISTRY.
    assert wanted.keys() - here.keys() == {"use_mirror"}
    assert {name: make for name, make in wanted.items() if make and here[name] != make} == {}
