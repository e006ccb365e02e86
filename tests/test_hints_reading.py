"""How a log is read for hints: what stands where, what is told of it, and what a long log may cost."""

from __future__ import annotations

import io

import pytest
from doit_cargo.engine import hints
from doit_cargo.engine.hints import fixes, recogniser, rules
from doit_cargo.engine.hints.reading import BLOCK, candidates, windows
from doit_cargo.engine.hints.rules import HintRules
from doit_cargo.engine.hints.systems import LogSystem
from hint_logs import KNOWN, first, read

PROTOC = "  Error: Could not find `protoc`.\n"


def with_hint(**table: object) -> HintRules:
    """Return what is known with one more hint, "own"."""
    own = {"hint": {"own": {"rank": 1, "cause": "own", "fix": {"any": "mend it"}, **table}}}
    return rules.build(rules.shipped(), own)


def names(log: str, known: HintRules) -> list[str]:
    return [hint.name for hint in hints.read(io.BytesIO(log.encode()), known)]


# --- where a cause stands --------------------------------------------------------------------------------------------

BURIED = {
    "native-lib-missing": "/usr/bin/ld: cannot find -lquux: No such file or directory",
    "linker-missing": "error: linker `cc` not found",
    "protoc-missing": "Error: Could not find `protoc`.",
    "toolchain-missing": "error: toolchain '1.90.0-x86_64-unknown-linux-gnu' is not installed",
}


@pytest.mark.parametrize("hint", BURIED)
def test_a_cause_among_many_lines_of_the_same_words_is_found(hint: str) -> None:
    line = BURIED[hint]
    filler = " ".join(reversed(line.replace("`", "").replace("-l", "").split())) + "\n"
    assert first(filler * 60) == ""
    assert first(filler * 60 + line + "\n" + filler * 60) == hint


def test_a_word_on_most_lines_is_looked_at_where_the_rest_of_a_pattern_is_near() -> None:
    known = with_hint(patterns=["quuxwordlong a.{0,3}bc"])
    filler = "quuxwordlong is everywhere\n" * 60
    assert names(filler + "quuxwordlong a bc\n" + filler, known) == ["own"]


def test_what_must_stand_before_is_found_over_the_border_of_a_block() -> None:
    before = "error: failed to run custom build command for `x v1.0.0`\n"
    filler = "   Compiling part v1.0.0\n"
    fits, rest = divmod(BLOCK - len(before), len(filler))
    log = filler * fits + " " * (rest - 1) + "\n" + before
    assert len(log) == BLOCK
    found, _ = read(log + "  Caused by: No such file or directory (os error 2)\n")
    assert (found.name, [number for number, _ in found.lines]) == ("build-script-file-missing", [fits + 2, fits + 3])


def test_a_progress_bar_behind_a_line_is_not_shown() -> None:
    (found,) = read(PROTOC.rstrip() + "\r    Building [=>   ] 12/40: candle-core\r\n")
    assert [text for _, text in found.lines] == ["Error: Could not find `protoc`."]


@pytest.mark.parametrize("line", ["error: " + mark * 300_000 for mark in ("[", "1", " ", "/a", "x y ")])
def test_a_line_as_long_as_a_log_is_read_to_its_end(line: str) -> None:
    """Patterns that take the square of a line's length would take hours of this one."""
    found = read(f"{line}\nld: cannot find -lfoo\nerror: could not compile `app`\n")
    assert [(one.name, [number for number, _ in one.lines]) for one in found] == [("native-lib-missing", [2])]


def test_a_line_end_within_a_text_belongs_to_no_word() -> None:
    known = with_hint(patterns=["first problem.{0,2}quuxmissing"])
    assert names('{"message":"first problem\\nquuxmissing"}\n', known) == ["own"]


@pytest.mark.parametrize("prefix", ["npm ERR! ", "npm error ", "remote: ", "##[error]", " 3:07.41 ", "> ", "#9 1.5 "])
def test_what_tools_put_before_a_line_is_no_part_of_it(prefix: str) -> None:
    assert first(f"{prefix}/bin/sh: 1: xsltproc: not found\n") == "program-missing"


@pytest.mark.parametrize(("between", "found"), [(1, ["own"]), (3, [])])
def test_near_is_what_the_hint_says(between: int, found: list[str]) -> None:
    known = with_hint(patterns=["quux broke"], also=["quux was asked"], near=1)
    assert names("quux was asked\n" + "nothing\n" * (between - 1) + "quux broke\n", known) == found


# --- what is told ----------------------------------------------------------------------------------------------------


def test_of_one_category_the_root_cause_is_told_wherever_it_stands() -> None:
    pointer, missing = "version https://git-lfs.github.com/spec/v1\n", "git: 'lfs' is not a git command.\n"
    for log in (pointer + missing, missing + pointer):
        assert [hint.name for hint in read(log)] == ["git-lfs-missing"]


def test_two_distributions_with_one_fix_are_one_system() -> None:
    assert set(read("error: profile `relase` is not defined\n")[0].fixes) == {"linux", "macos", "windows"}
    assert set(read(PROTOC)[0].fixes) == {"linux (apt)", "linux (dnf)", "macos", "windows"}


def test_a_library_that_no_table_has_is_looked_for_with_the_package_manager() -> None:
    (found,) = recogniser.recognise(io.BytesIO(b"ld: cannot find -lquux\n"), KNOWN).found
    told = {manager: fixes.fix_of(found, KNOWN, LogSystem("linux", manager)) for manager in ("apt", "dnf")}
    assert told["apt"].startswith("find the package of quux: apt-file search quux.pc; apt-file search libquux.so")
    assert told["dnf"].startswith("find the package of quux: dnf provides '*/quux.pc' '*/libquux.so'")


# --- what it costs ---------------------------------------------------------------------------------------------------


def watched(log: bytes) -> recogniser._Watcher:
    watcher = recogniser._Watcher(KNOWN)
    for window in windows(io.BytesIO(log)):
        for line in candidates(window, watcher.index):
            watcher.take(window, line)
    return watcher


def test_what_a_log_repeats_is_not_looked_at_for_ever() -> None:
    watcher = watched(PROTOC.encode() * (recogniser.TRIED + 50))
    assert watcher._tried["protoc-missing"] == recogniser.TRIED
    still = {owner for _, owner in watcher.index.tried(frozenset({b"protoc", b"find"}), PROTOC.lower().encode())}
    assert "protoc-missing" not in {owner if isinstance(owner, str) else owner.name for owner in still}


def test_lines_that_match_nothing_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recogniser, "REMEMBERED", 20)
    letters = str.maketrans("0123456789", "abcdefghij")  # digits alone do not tell lines apart
    # Long ones: a word that stands on many lines of a part is looked up another way.
    lines = (f"protoc {str(number).translate(letters)} {'.' * 4000}\n" for number in range(100))
    assert 0 < len(watched("".join(lines).encode())._nothing) <= 21
