"""Cargo's words on our command line: understood where a variable or a target means the same, else answered with the
line to type. Nothing that would change a result is dropped in silence.

Knows words alone: whether a target takes a variable, or a package is there, is told where it always is.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.targets.commands import CARGO_WORDS, COMMANDS, TARGETS

# Options with a value, and without, and the variable that says it here. Of several values all count.
VALUES = {
    "-p": "PACKAGE",
    "--package": "PACKAGE",
    "-F": "FEATURES",
    "--features": "FEATURES",
    "--target": "TARGET",
    "-j": "JOBS",
    "--jobs": "JOBS",
    "--profile": "PROFILE",
    "--test": "TEST_FILE",
}
FLAGS = {
    "--workspace": "PACKAGE=all",
    "--release": "PROFILE=release",
    "-r": "PROFILE=release",
    "--all-features": "ALL_FEATURES=1",
    "--no-default-features": "NO_DEFAULT_FEATURES=1",
    "-v": "VERBOSE=1",
    "-vv": "VERBOSE=1",
    "--verbose": "VERBOSE=1",
    "--nocapture": "NOCAPTURE=1",
    "--no-capture": "NOCAPTURE=1",
}
# An option that makes another target of one.
OTHER_TARGETS = {
    ("fmt", "--check"): "fmt_check",
    ("doc", "--open"): "doc_open",
    ("lint", "--fix"): "lint_fix",
    ("test", "--lib"): "test_quick",
    ("test", "--doc"): "test_doc",
    ("test", "--examples"): "test_examples",
    ("build", "--timings"): "build_timings",
}
# Optimised already: there `--release` says nothing new.
RELEASED = ("build", "release", "run")
LISTS = ("PACKAGE", "FEATURES", "TEST_FILE")
# Options of ours that have a value.
OURS = ("-w", "-n", "--process", "--color")
ANSWERS = {
    "--offline": "CARGO_NET_OFFLINE=true before the call, or [cargo.config] of a profile",
    "--locked": "locked = true in [cargo] of a profile",
    "--frozen": "locked = true in [cargo] of a profile, and CARGO_NET_OFFLINE=true before the call",
    "--exclude": "name those to build: PACKAGE=one,other",
    "--manifest-path": "-w DIR names the workspace",
    "--target-dir": "CARGO_TARGET_DIR=DIR before the call",
    "--bin": "all programs of a package are built: doit-cargo dev PACKAGE=NAME, then target/debug/NAME",
    "--example": "doit-cargo test_examples compiles all of them",
    "--all-targets": "lint does that; PACKAGE and the targets test, bench and test_examples choose what is compiled",
    "--no-run": "doit-cargo plan test tells what it would compile",
    "--no-fail-fast": "one failure hides no other here, so it can go",
    "--message-format": "the log has cargo's own words; --json is for commands",
    "--config": "[cargo.config] of a profile",
    "-q": "send the output elsewhere; the log has all of it",
    "--quiet": "send the output elsewhere; the log has all of it",
}


class Understood(NamedTuple):
    """The words of a call as ours, and the toolchain that `+NAME` asks for."""

    words: list[str]
    toolchain: str = ""
    told: bool = False

    @property
    def line(self) -> str:
        return shlex.join(["doit-cargo", *self.words])


def understood(words: list[str]) -> Understood:
    """Return a call with cargo's words as ours; raises `UserError` for one that has no counterpart."""
    toolchain = words[0][1:] if words and words[0].startswith("+") else ""
    own = words[1:] if toolchain else words
    first = next((word for word in own if not word.startswith("-") and "=" not in word), "")
    if first in COMMANDS and COMMANDS[first].words != TARGETS:
        return Understood(own, toolchain)
    own, behind = _split(own)
    reading = _Reading(own)
    found = [*reading.words, *_behind(reading.target, behind)]
    plan = ["plan", *found] if reading.dry and first not in COMMANDS else found
    return Understood(plan, toolchain, plan != own or bool(behind))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    place = words.index("--")
    return words[:place], words[place + 1 :]


class _Words:
    """Words one after the other, with a look at the next one."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._place = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._place >= len(self._words):
            raise StopIteration
        self._place += 1
        return self._words[self._place - 1]

    @property
    def following(self) -> str:
        return self._words[self._place] if self._place < len(self._words) else ""


class _Reading:
    """The words before `--`, one after the other."""

    def __init__(self, words: list[str]) -> None:
        self.dry = False
        self.words: list[str] = []
        self._values: dict[str, list[str]] = {}
        self._position: dict[str, int] = {}
        self.target = ""
        rest = _Words(words)
        for word in rest:
            # Cargo's --workspace takes no value, ours a folder.
            if word in OURS or (word == "--workspace" and os.path.isdir(rest.following)):
                self.words += [word, *islice(rest, 1)]
            else:
                self._take(word, rest)
        for name, values in self._values.items():
            self.words.append(f"{name}={','.join(values)}")

    def _take(self, word: str, rest: Iterator[str]) -> None:
        name, equals, value = word.partition("=")
        if word.startswith("-p") and not word.startswith("--") and len(word) > 2:
            name, equals, value = "-p", "=", word[2:]
        elif word.startswith("-j") and word[2:].isdigit():
            name, equals, value = "-j", "=", word[2:]
        if name in VALUES and word.startswith("-"):
            self._add(VALUES[name], value if equals else next(rest, ""), name)
        elif word == "--dry-run":
            self.dry = True
        elif (self.target, word) in OTHER_TARGETS:
            self.words[-1] = self.target = OTHER_TARGETS[self.target, word]
        elif word in FLAGS:
            self._flag(word)
        elif name in ANSWERS:
            raise UserError(Problem(f"{name} is a word of cargo's that doit-cargo does not take", ANSWERS[name]))
        else:
            self._plain(word)

    def _plain(self, word: str) -> None:
        if not word.startswith("-") and "=" not in word and word not in COMMANDS:
            self.target = CARGO_WORDS.get(word, word).replace("-", "_")
        self.words.append(word)

    def _flag(self, word: str) -> None:
        name, _, value = FLAGS[word].partition("=")
        if name != "PROFILE" or self.target.partition("_")[0] not in RELEASED:
            self._add(name, value, word)

    def _add(self, name: str, value: str, option: str) -> None:
        if not value or value.startswith("-"):
            raise UserError(Problem(f"{option} needs a value", f"for example: {name}=..."))
        known = self._values.setdefault(name, [])
        known[:] = [*known, value] if name in LISTS else [value]


def _behind(target: str, words: list[str]) -> Iterator[str]:
    """Yield what follows `--` as variables: a test's name and options of libtest, or the program's arguments."""
    if not words:
        return
    if not target.startswith(("test", "bench")):
        yield f"ARGS={shlex.join(words)}"
        return
    names = [word for word in words if not word.startswith("-")]
    for word in words:
        if word in FLAGS:
            yield FLAGS[word]
        elif word.startswith("-"):
            fix = f"the test's name is TEST=NAME, NOCAPTURE=1 shows what tests print; else: cargo test -- {word}"
            raise UserError(Problem(f"{word} is an option of the test programs that doit-cargo does not pass on", fix))
    if names:
        yield f"TEST={','.join(names)}"
