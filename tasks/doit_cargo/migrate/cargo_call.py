"""A call of cargo reduced to what it asks for: two spellings of one request are equal, and what differs has a name.

Knows cargo's options (Cargo book, "cargo build", "cargo test", ...), not where a call comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

ALIASES = {"b": "build", "c": "check", "d": "doc", "r": "run", "t": "test", "rm": "remove"}
SHORT = {
    "-p": "--package",
    "-F": "--features",
    "-r": "--release",
    "-j": "--jobs",
    "-v": "--verbose",
    "-q": "--quiet",
    "--all": "--workspace",
}
VALUED = frozenset(
    {"--package", "--features", "--profile", "--target", "--exclude", "--config", "--bin", "--test", "--bench"}
    | {"--example", "--target-dir", "--jobs", "--color", "--message-format", "--manifest-path", "-Z", "-C", "--out-dir"}
    | {"--artifact-dir", "--lockfile-path"}
)


@dataclass(frozen=True, slots=True)
class CargoCall:
    """What a cargo call asks for. `rest` are further options, sorted; `passed` stands behind ``--``."""

    command: str
    packages: frozenset[str] = frozenset()
    workspace: bool = False
    excluded: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    default_features: bool = True
    profile: str = ""
    triple: str = ""
    rest: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    folder: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    toolchain: str = ""

    def __str__(self) -> str:
        return " ".join(self.words())

    def words(self) -> list[str]:
        """Return an argument list that asks for the same."""
        profile = {"": [], "release": ["--release"]}.get(self.profile, ["--profile", self.profile])
        return [
            "cargo",
            *([self.toolchain] if self.toolchain else []),
            self.command,
            *profile,
            *(["--workspace"] if self.workspace else []),
            *(word for name in sorted(self.packages) for word in ("--package", name)),
            *(word for name in sorted(self.excluded) for word in ("--exclude", name)),
            *(["--features", ",".join(sorted(self.features))] if self.features else []),
            *([] if self.default_features else ["--no-default-features"]),
            *(["--target", self.triple] if self.triple else []),
            *self.rest,
            *(["--", *self.passed] if self.passed else []),
        ]


def parse(argv: tuple[str, ...], folder: str = "", env: Mapping[str, str] | None = None) -> CargoCall | None:
    """Return what ``cargo ...`` asks for, or None if it asks for nothing that can be compared (``--version``)."""
    words = list(argv[1:])
    toolchain = words.pop(0) if words and words[0].startswith("+") else ""
    position = _position_of_command(words)
    if position < 0:
        return None
    command = ALIASES.get(words[position], words[position])
    own, passed = _split(words[position + 1 :])
    options = list(_options([*words[:position], *own]))
    is_known = command in COMPILING | LIKE_COMPILING
    return CargoCall(
        command=command,
        packages=frozenset(_values(options, "--package")),
        workspace=("--workspace", "") in options,
        excluded=frozenset(_values(options, "--exclude")),
        features=frozenset(name for text in _values(options, "--features") for name in re.findall(r"[^,\s]+", text)),
        default_features=("--no-default-features", "") not in options,
        profile=_profile(options, command),
        triple=next(iter(_values(options, "--target")), ""),
        rest=_rest(options) if is_known else (*words[:position], *_as_written(command, own)),
        passed=passed,
        folder=folder if folder != "." else "",
        env=dict(env or {}),
        toolchain=toolchain,
    )


def _position_of_command(words: list[str]) -> int:
    """Return where the subcommand stands behind cargo's own options, -1 if there is none."""
    is_value = False
    for position, word in enumerate(words):
        if not is_value and not word.startswith(("-", "+")):
            return position
        is_value = not is_value and word in VALUED
    return -1


KNOWN = frozenset(
    {"--package", "--workspace", "--exclude", "--features", "--no-default-features"}
    | {"--release", "--profile", "--target"}
)
# Subcommands that share the options above; those of others are compared as they are written.
COMPILING = frozenset({"build", "check", "test", "clippy", "doc", "bench", "run", "rustc", "rustdoc", "fix"})
# Programs of others that take them too.
LIKE_COMPILING = frozenset({"llvm-cov", "bloat", "nextest"})
# Of these, what doit-cargo skips where it is proven to be up to date.
PROVABLE = frozenset({"build", "check", "test", "clippy", "doc"})
OF_ALL = frozenset({"--workspace", "--all"})
# What the other subcommands call their options in short (cargo tree --help).
SHORT_OF = {"tree": {"-d": "--duplicates", "-i": "--invert"}}


def _as_written(command: str, words: list[str]) -> Iterator[str]:
    short = SHORT_OF.get(command, {})
    yield from (short.get(word, word) for word in words if word not in OF_ALL)


def _rest(options: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return the words that no field holds, in their order: each option with its value."""
    triples = [option for option in options if option[0] == "--target"]
    others = [option for option in options if option[0] not in KNOWN] + triples[1:]
    return tuple(word for name, value in others for word in ((name, value) if value or name in VALUED else (name,)))


def _split(words: list[str]) -> tuple[list[str], tuple[str, ...]]:
    if "--" not in words:
        return words, ()
    position = words.index("--")
    return words[:position], tuple(words[position + 1 :])


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (option, value); a word that is no option has an empty value."""
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        name = SHORT.get(name, name)
        if equals and name.startswith("--"):
            yield name, value
        elif re.fullmatch(r"-j\d+", word):
            yield "--jobs", word[2:]
        elif name in VALUED:
            yield name, next(rest, "")
        else:
            yield SHORT.get(word, word), ""


def _values(options: list[tuple[str, str]], name: str) -> list[str]:
    return [value for option, value in options if option == name and value]


# The cargo profiles that a subcommand takes without being told; "dev" those that are not named here.
OWN_PROFILES = {"bench": ("bench",), "test": ("dev", "test")}


def _profile(options: list[tuple[str, str]], command: str) -> str:
    named = next(iter(_values(options, "--profile")), "")
    release = "release" if ("--release", "") in options else ""
    return "" if named in OWN_PROFILES.get(command, ("dev",)) else named or release


def fits_a_row(call: CargoCall) -> bool:
    """Tell whether the keys of a row for cargo can say all that a call asks for."""
    is_here = any("{root}" in word for word in (*call.words(), *call.env.values()))
    return not (
        is_here or call.toolchain or call.folder or {"-Z", "-C", "--manifest-path", "--config"} & set(call.rest)
    )


def differences(old: CargoCall, new: CargoCall) -> list[str]:
    """Return in words how `new` differs from `old`: what is lost first. Empty if they ask for the same."""
    found = []
    for name in ("toolchain", "command", "profile", "triple", "folder"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found.append(f"{name} {before or _default(name)} -> {after or _default(name)}")
    for name in ("packages", "excluded", "features"):
        lost, gained = getattr(old, name) - getattr(new, name), getattr(new, name) - getattr(old, name)
        found += [f"{name} lost: {', '.join(sorted(lost))}"] if lost else []
        found += [f"{name} added: {', '.join(sorted(gained))}"] if gained else []
    if old.workspace != new.workspace:
        found.append("the whole workspace -> fewer packages" if old.workspace else "now the whole workspace")
    if old.default_features != new.default_features:
        found.append("default features are on now" if new.default_features else "default features are off now")
    unset = {name: value for name, value in old.env.items() if new.env.get(name) != value}
    found += [f"environment lost: {name}={value}" for name, value in unset.items()]
    added = {name: value for name, value in new.env.items() if name not in old.env}
    found += [f"environment added: {name}={value}" for name, value in added.items()]
    for name, is_same in (("rest", sorted(old.rest) == sorted(new.rest)), ("passed", old.passed == new.passed)):
        if not is_same:
            found.append(f"{_shown(getattr(old, name))} -> {_shown(getattr(new, name))}")
    return found


def _default(name: str) -> str:
    return {"profile": "dev", "triple": "the host", "folder": "the root", "toolchain": "the default"}.get(name, "none")


def _shown(words: tuple[str, ...]) -> str:
    return repr(" ".join(words)) if words else "nothing"
