"""The mend: every cargo profile in one place, the workspace's Cargo.toml, without a change of what rustc is given.

Edits the texts with tomlkit, so that comments and order stay, and checks the result against the composition before
anything is written. Values that acted stay: what config.toml overrode goes to Cargo.toml. Changed on purpose are only
misspelt keys, and `strip` where a package's override loses it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any

from doit_cargo.engine.base import atomic
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.cargo.config.effective import CargoProfile, normal, profiles
from doit_cargo.engine.cargo.config.layers import ConfigLayer, ConfigLayers, shown
from doit_cargo.engine.preflight.config.findings import SettingsCase, losing_strip, own_layers
from doit_cargo.engine.preflight.config.lints import is_read_by_cargo
from doit_cargo.engine.preflight.config.unknown_keys import renamed

Tables = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fix:
    """New texts by path, beside the old ones; what was done; and which values change, on purpose."""

    old: Mapping[str, str]
    new: Mapping[str, str]
    steps: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def difference(self, root: str) -> str:
        """Return a unified diff, empty where there is nothing to mend."""
        return "".join(
            line if line.endswith("\n") else line + "\n"
            for path, text in self.new.items()
            for line in difflib.unified_diff(
                self.old[path].replace("\r\n", "\n").splitlines(True),
                text.replace("\r\n", "\n").splitlines(True),
                f"a/{shown(path, root)}",
                f"b/{shown(path, root)}",
            )
        )


def mend(case: SettingsCase) -> Fix:
    """Return the mend of a workspace. Raises `UserError` where it would change more than it should."""
    work = _Work(case)
    for layer in reversed(own_layers(case.settings)):  # the strongest last, so that it wins
        work.move_profiles(layer)
        work.drop_dead_variables(layer)
    work.correct(work.profiles(), ("profile",))
    work.drop_member_profiles()
    work.repeat_strip()
    new = work.changed()
    changes = _changes(case, new)
    unwanted = [f"profile.{change[0]}.{change[1]}: {change[2]}" for change in changes if change[1] not in work.intended]
    if unwanted:
        what = f"the profiles cannot be moved without a change of {'; '.join(unwanted)}"
        raise UserError(Problem(what, "move them by hand; nothing was written"), COULD_NOT_RUN)
    told = dict.fromkeys(f"profile.{name}.{key}: {text}" for name, key, text in changes)
    return Fix({path: work.old[path] for path in new}, new, tuple(work.steps), tuple(told))


@dataclass
class _Work:
    """The documents under the knife."""

    case: SettingsCase
    old: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    intended: set[str] = field(default_factory=set)

    def document(self, path: str) -> Any:
        import tomlkit

        if path not in self.documents:
            with open(path, encoding="utf-8", newline="") as stream:
                self.old[path] = stream.read()
            self.documents[path] = tomlkit.parse(self.old[path])
        return self.documents[path]

    def profiles(self) -> Any:
        """Return the table of profiles of the workspace's manifest; an empty one where it has none yet."""
        return self.document(self.case.workspace.manifest).get("profile", {})

    def move_profiles(self, layer: ConfigLayer) -> None:
        import tomlkit

        assert layer.file
        source = self.document(layer.file.path)
        if not source.get("profile"):
            return
        manifest = self.document(self.case.workspace.manifest)
        if "profile" not in manifest:
            manifest["profile"] = tomlkit.table(is_super_table=True)
        for name, table in list(source["profile"].items()):
            self.steps.append(f"{layer.label}: profile.{name} goes to Cargo.toml")
            _merge(manifest["profile"], name, table)
        del source["profile"]
        # What tomlkit thinks of a document after many edits is not always what it would read: let it read again.
        self.documents[self.case.workspace.manifest] = tomlkit.parse(tomlkit.dumps(manifest))

    def drop_dead_variables(self, layer: ConfigLayer) -> None:
        assert layer.file
        document = self.document(layer.file.path)
        for name in [name for name in document.get("env", {}) if is_read_by_cargo(str(name))]:
            self.steps.append(f"{layer.label}: [env] {name} goes, cargo never saw it")
            del document["env"][name]
        if "env" in document and not document["env"]:
            del document["env"]

    def correct(self, tables: Any, path: tuple[str, ...]) -> None:
        """Give misspelt keys of profiles the name that they surely mean."""
        for name, table in list(tables.items()):
            if not isinstance(table, MutableMapping):
                continue
            for wrong, right in renamed({str(key): _plain(table[key]) for key in table}).items():
                self.steps.append(f"Cargo.toml: {'.'.join((*path, str(name), wrong))} becomes {right}")
                self.intended.add(right)
                table[right] = table[wrong]
                del table[wrong]
            self.correct(table.get("package", {}), (*path, str(name), "package"))

    def drop_member_profiles(self) -> None:
        for file in self.case.members.values():
            self.steps.append(f"{file.label}: its profiles go, cargo ignores them")
            del self.document(file.path)["profile"]

    def repeat_strip(self) -> None:
        for profile, package in losing_strip(self._case_now()):
            overrides = self.profiles().get(profile.name, {}).get("package", {})
            if package in overrides:
                overrides[package]["strip"] = profile.keys["strip"].value
                self.intended.add("strip")
                self.steps.append(f"Cargo.toml: profile.{profile.name}.package.{package} repeats strip")

    def _case_now(self) -> SettingsCase:
        """Return the case of the workspace's own files as they are by now, on a machine that sets nothing."""
        settings, composed = _own(self.case.workspace.root, self.changed())
        return replace(self.case, settings=settings, profiles=composed)

    def changed(self) -> dict[str, str]:
        """Return the new texts of the files that differ, the manifest first."""
        import tomlkit

        texts = {
            path: _as_written(tomlkit.dumps(document), self.old[path]) for path, document in self.documents.items()
        }
        found = {path: text for path, text in texts.items() if text != self.old[path]}
        first = self.case.workspace.manifest
        return {path: found[path] for path in sorted(found, key=lambda path: (path != first, path))}


def _merge(target: Tables, name: str, source: Any) -> None:
    """Lay a table over the one of the same name, key by key; new keys bring their comments along."""
    import tomlkit

    if name not in target:
        target[name] = tomlkit.table()
    table = target[name]
    for comments, key, item in _entries(source):
        if isinstance(item, Mapping) and not (key in table and not isinstance(table[key], Mapping)):
            _merge(table, key, item)
        elif key in table:
            if normal(key, _plain(table[key])) != normal(key, _plain(item)):
                table[key] = _plain(item)
        else:
            _insert(table, comments, key, item)


def _insert(table: Any, comments: list[str], key: str, item: Any) -> None:
    """Put a key behind the last plain one: what follows that, such as a comment, belongs to the next header."""
    from tomlkit.items import AoT, Table

    if hasattr(item, "trivia") and not isinstance(item, Table):
        item.trivia.indent = "".join(f"# {comment}\n" for comment in comments)
    container = getattr(table, "value", None)
    body = getattr(container, "body", ())
    plain = [known for known, value in body if known is not None and not isinstance(value, Table | AoT)]
    # tomlkit has no public way to put a key in the middle; where this one is gone, the end will do.
    insert_after = getattr(container, "_insert_after", None)
    if plain and insert_after and not isinstance(item, Table | AoT):
        insert_after(plain[-1], key, item)
    else:
        table[key] = item


def _entries(table: Any) -> Iterator[tuple[list[str], str, Any]]:
    """Yield (comments above, key, item) of a table, in order."""
    from tomlkit.items import Comment

    body = table.value.body if hasattr(table, "value") and hasattr(table.value, "body") else None
    if body is None:
        yield from (([], str(key), table[key]) for key in table)
        return
    waiting: list[str] = []
    for key, item in body:
        if isinstance(item, Comment):
            waiting.append(item.trivia.comment.lstrip("#").strip())
        elif key is not None:
            yield waiting, key.key, table[key.key]
            waiting = []


def _plain(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _as_written(text: str, old: str) -> str:
    """Return a text with the line ends of the old one, and without blank lines that a removed table left at the end."""
    import re

    if text == old:
        return text
    text = re.sub(r"(\r?\n){2,}\Z", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\r\n", "\n")) if "\n\n\n" not in old.replace("\r\n", "\n") else text
    text = text.replace("\r\n", "\n")
    return text.replace("\n", "\r\n") if "\r\n" in old else text


def _changes(case: SettingsCase, new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (profile, key, old -> new) for all that differs in what the workspace's own files come to."""
    root = case.workspace.root
    found = []
    before, after = (_own(root, texts)[1] for texts in ({}, new))
    for name in dict.fromkeys([*before, *after]):
        old, now = _flat(before.get(name), case), _flat(after.get(name), case)
        for key in dict.fromkeys([*old, *now]):
            if old.get(key) != now.get(key):
                change = f"{old.get(key, 'unset')} -> {now.get(key, 'unset')}"
                found += [(name, key[-1], change)]
    return list(dict.fromkeys(found))


def _own(root: str, texts: Mapping[str, str]) -> tuple[ConfigLayers, dict[str, CargoProfile]]:
    """Return the settings and profiles as the files of the workspace alone make them."""
    settings = ConfigLayers(root, {}, texts=texts)
    settings.layers = [layer for layer in settings.layers if layer.ours]
    return settings, profiles(settings)[0]


def _flat(profile: CargoProfile | None, case: SettingsCase) -> dict[tuple[str, str], str]:
    if profile is None:
        return {}
    found = {("", key): normal(key, value.value) for key, value in profile.keys.items()}
    for package in case.workspace.packages:
        for host in (False, True):
            values = profile.of(package, host=host)
            found |= {(f"{package} {host}", key): normal(key, value.value) for key, value in values.items()}
    outside = profile.of("", member=False)
    return found | {("outside", key): normal(key, value.value) for key, value in outside.items()}


def write(found: Fix) -> None:
    """Write the new texts, the manifest first: in between, both places hold the same. Each file is written whole.

    Raises `UserError` if a file has changed since it was read; then nothing is written.
    """
    for path, old in found.old.items():
        with open(path, encoding="utf-8", newline="") as stream:
            if stream.read() != old:
                raise UserError(
                    Problem("changed while the mend was made", "run fix_profiles again", path), COULD_NOT_RUN
                )
    for path, text in found.new.items():
        atomic.write(path, text, durable=True, makes_folder=False)


def summary(found: Fix) -> list[str]:
    """Return what the mend does, a line each."""
    return [*found.steps, *(f"changes on purpose: {change}" for change in found.changes)]
