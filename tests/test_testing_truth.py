"""A random walk against plain cargo: never passed what cargo would fail, never run again what nothing has changed for.

After each step `doit-cargo test` and `cargo test`, in a target directory of its own, must fail the same packages.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import needs_cargo
from trying import FILES, Trial

pytestmark = [pytest.mark.slow, needs_cargo]

SWITCHED = ("app", "kit", "plain", "tells", "user")
LIB = "crates/kit/src/lib.rs"


class Walk:
    """A trial and what has been done to it."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self.trial = trial
        self.random = random.Random(seed)
        self.words: tuple[str, ...] = ()
        self.steps: list[str] = []

    def step(self) -> None:
        """Change something, or put something back."""
        edits = [self.switch, self.switch, self.data, self.limit, self.value, self.program, self.new_test]
        others = [self.heal, self.variable, self.features, self.touch, self.comment, self.back]
        self.steps.append(self.random.choice([*edits, *others])())

    def switch(self) -> str:
        package, how = self.random.choice(SWITCHED), self.random.choice(["fail", "abort", "exit", "pass"])
        self.trial.switch(package, how)
        return f"{package} {how}"

    def heal(self) -> str:
        for package in SWITCHED:
            self.trial.switch(package, "pass")
        return "all pass"

    def data(self) -> str:
        text = self.random.choice(["10\n", "10", "11\n"])
        self.trial.write("crates/app/data/expected.txt", text)
        return f"expected {text!r}"

    def limit(self) -> str:
        text = self.random.choice(["10\n", "9\n", "12\n"])
        self.trial.write("common/limit.txt", text)
        return f"limit {text!r}"

    def value(self) -> str:
        value = self.random.choice(["10", "10", "11", "5 + 5"])
        self.trial.write(LIB, FILES[LIB].replace("{ 10 }", f"{{ {value} }}"))
        return f"value {value}"

    def program(self) -> str:
        name = "crates/app/src/main.rs"
        more = self.random.choice(["", "", " + 1"])
        self.trial.write(name, FILES[name].replace("kit::value()", f"kit::value(){more}"))
        return f"program{more}"

    def variable(self) -> str:
        if self.trial.variables.pop("KIT_LIMIT", None) is None:
            self.trial.variables["KIT_LIMIT"] = self.random.choice(["5", "6"])
        return f"variables {self.trial.variables}"

    def features(self) -> str:
        self.words = () if self.words else ("FEATURES=more",)
        return f"words {self.words}"

    def new_test(self) -> str:
        path = self.trial.root / "crates/user/tests/more.rs"
        if path.exists():
            path.unlink()
            return "no more tests"
        text = self.random.choice(["#[test]\nfn more() {}\n", "#[test]\nfn more() { panic!() }\n"])
        self.trial.write("crates/user/tests/more.rs", text)
        return f"more tests {text!r}"

    def touch(self) -> str:
        for name in (LIB, "crates/app/data/expected.txt"):
            (self.trial.root / name).touch()
        return "touch"

    def comment(self) -> str:
        with (self.trial.root / LIB).open("a") as stream:
            stream.write("// a comment\n")
        return "comment"

    def back(self) -> str:
        self.trial.reset()
        return "everything back"


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path / "ws", tmp_path / "trace").lay_out()


@pytest.mark.parametrize("seed", [11, 20])
def test_a_walk_ends_each_step_as_cargo_does_and_repeats_nothing(trial: Trial, seed: int) -> None:
    walk = Walk(trial, seed)
    trial.test()
    for _ in range(12):
        walk.step()
        done = trial.test(*walk.words)
        features = ("--features", "more") if walk.words else ()
        truth = trial.cargo_fails(*features)
        assert (done.failed, done.status) == (truth, 1 if truth else 0), (walk.steps, done.text)
        again = trial.test(*walk.words)
        assert {name.partition("-")[0] for name in again.ran} <= truth, (walk.steps, again.text)
        assert again.compiled == set(), walk.steps
