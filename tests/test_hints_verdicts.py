"""The last verdict of a log decides: after a good one nothing is told, and a bad one stands."""

from __future__ import annotations

import io

import pytest
from doit_cargo.engine.hints import read as read_log
from hint_logs import KNOWN, first, read

PROBLEM = "/usr/bin/ld: cannot find -lzbar\n"

# tool -> its good end, its bad end (as the tools print them)
VERDICTS = {
    "cargo": (
        "    Finished `dev` profile [unoptimized + debuginfo] target(s) in 2.1s\n",
        'error: could not compile `app` (bin "app") due to 1 previous error\n',
    ),
    "libtest": (
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
    ),
    "nextest": (
        "     Summary [   4.608s] 11 tests run: 11 passed (1 flaky), 1 skipped\n",
        "     Summary [   4.608s] 11 tests run: 10 passed, 1 failed, 1 skipped\n",
    ),
    "pytest": (
        "====== 6 passed, 1 skipped, 1 xfailed in 0.93s ======\n",
        "====== 1 failed, 5 passed in 0.93s ======\n",
    ),
    "pytest -q": ("6 passed, 1 warning in 0.93s\n", "6 passed, 1 error in 0.93s\n"),
    "cmake": ("-- Build files have been written to: /w/b\n", "-- Configuring incomplete, errors occurred!\n"),
    "ctest": ("100% tests passed, 0 tests failed out of 3\n", "67% tests passed, 1 tests failed out of 3\n"),
    "unittest": ("OK (skipped=1, expected failures=1)\n", "FAILED (failures=1, errors=2)\n"),
    "go": ("ok  \texample.com/x\t0.004s\n", "FAIL\texample.com/x\t0.004s\n"),
    "tap": ("# fail 0\n", "# fail 2\n"),
    "pip": ("Successfully installed app-0.1.0\n", "ERROR: Failed building wheel for app\n"),
    "npm": ("added 12 packages, and audited 13 packages in 2s\n", "npm error code ENOENT\n"),
    "gradle": ("BUILD SUCCESSFUL in 12s\n", "BUILD FAILED in 12s\n"),
    "msbuild": ("Build succeeded.\n", "Build FAILED.\n"),
    "github": (
        "2026-02-03T10:11:12.1234567Z Cleaning up orphan processes\n",
        "2026-02-03T10:11:12.1234567Z ##[error]Process completed with exit code 1.\n",
    ),
}
GOOD = {tool: good for tool, (good, _) in VERDICTS.items()}
BAD = {tool: bad for tool, (_, bad) in VERDICTS.items()}


@pytest.mark.parametrize("tool", VERDICTS)
def test_after_a_good_end_nothing_is_told_and_a_bad_one_stands(tool: str) -> None:
    told = {
        "no end": first(PROBLEM),
        "good": first(PROBLEM + GOOD[tool]),
        "bad": first(PROBLEM + BAD[tool]),
        "bad, then good": first(PROBLEM + BAD[tool] + GOOD[tool]),
        "bad, then good of another": [first(PROBLEM + BAD[tool] + good) for good in GOOD.values()],
        "good, then a failure": first(GOOD[tool] + "error: the program failed\n" + PROBLEM),
    }
    missing = "native-lib-missing"
    assert told == {
        "no end": missing,
        "good": "",
        "bad": missing,
        "bad, then good": missing,
        "bad, then good of another": [missing] * len(VERDICTS),
        "good, then a failure": missing,
    }


def test_each_tool_whose_verdict_is_known_is_tried() -> None:
    tools = {verdict.name for verdict in KNOWN.verdicts}
    assert tools - {"make", "docker", "apt", "bundler"} == {tool.partition(" ")[0] for tool in VERDICTS}


@pytest.mark.parametrize("tool", VERDICTS)
def test_the_exit_status_of_a_target_counts_more_than_a_good_end(tool: str) -> None:
    log = io.BytesIO((PROBLEM + GOOD[tool]).encode())
    assert [hint.name for hint in read_log(log, KNOWN, status=1)] == ["native-lib-missing"]


def test_a_bad_end_that_a_test_prints_is_its_text() -> None:
    log = "running 1 test\n" + BAD["cargo"] + PROBLEM + "test prints ... ok\n\n" + GOOD["libtest"]
    assert read(log) == []
    shown = (
        "  stdout \u2500\u2500\u2500\n\n    running 1 test\n" + BAD["cargo"] + "\n        PASS [   0.1s] app prints\n"
    )
    assert read(shown + GOOD["nextest"]) == []


def test_what_is_tried_again_or_only_shown_as_a_command_is_no_cause() -> None:
    again = "warning: spurious network error (9 tries remaining): [56] (Proxy CONNECT aborted)\n"
    assert first(again) == ""
    assert first(again + "error: failed to get `a`\n  [56] (Proxy CONNECT aborted)\n") == "proxy-failed"
    assert first("[command]/usr/bin/git config --global --add safe.directory /w\n") == ""


@pytest.mark.parametrize("end", ["\u2705 ALL SYSTEMS GO", "All checks passed.", "build: SUCCESS", "release done"])
def test_the_last_words_of_a_success_silence_what_only_sounds_like_an_error(end: str) -> None:
    doubt = "All failed? The paint was refused\n"
    assert [hint.name for hint in read(doubt)] == ["unknown-error"]
    assert read(f"{doubt}{end}\n") == []


# --- lines that a console has broken ----------------------------------------------------------------------------------


def broken(text: str, width: int, words: bool) -> str:
    """Break lines as a console does: at its width, or where a word has no room, with the blank left behind."""
    out = []
    for line in text.splitlines():
        rest = line
        while len(rest) > width:
            at = rest.rfind(" ", 0, width) + 1 if words else 0
            at = at if rest[:at].strip() else width
            out.append(rest[:at])
            rest = rest[at:]
        out.append(rest)
    return "\n".join(out) + "\n"


FULL = (
    "   Compiling tokenizers v0.21.4\n   Compiling app v0.1.0 (C:\\Users\\paint\\Documents\\brush\\src)\n"
    "warning: unused variable `of_a_long_name` in a function that is also long\n"
    "error: failed to build archive at `C:\\Users\\paint\\Documents\\brush\\target\\debug\\deps\\app_lib.lib`: "
    "There is not enough space on the disk. (os error 112)\n\n"
    "error: could not compile `app` (lib) due to 1 previous error; 7 warnings emitted in this long line\n"
)


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("width", [22, 37, 55, 80])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_a_console_has_broken_is_one_line(width: int, words: bool, end: str) -> None:
    log = broken(FULL * 3, width, words)
    (found, *_) = read(log.replace("\n", end))
    number, shown = found.lines[0]
    assert found.name == "disk-full"
    assert shown in FULL
    assert shown.startswith(log.splitlines()[number - 1].strip())


def test_lines_of_one_width_that_are_whole_stay_so() -> None:
    rule = "=" * 80
    dots = "test_errors.py::test_one PASSED".ljust(73) + "[ 12%]"
    log = f"{rule}\n{dots}\n{dots}\n{rule}\n{dots}\n{dots}\n" + "x" * 80 + "\n/usr/bin/ld: cannot find -lzbar\n"
    assert [hint.lines for hint in read(log)] == [((8, "/usr/bin/ld: cannot find -lzbar"),)]


# --- what a log says in any case -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "Jan 02 15:35:23.162 ERRO the moon must be full to paint",
        "moon-52.2.0/src/paint.rs:90 \u2014 E0034: multiple applicable items in scope",
    ],
)
def test_a_mark_of_an_error_is_told_where_nothing_else_is(line: str) -> None:
    assert [hint.cause for hint in read(f"paint begins\n\n{line}\n")] == [f"Nothing known. It says: {line}"]


def test_what_stands_behind_a_prefix_of_rustwide_is_read() -> None:
    (found, *_) = read(f"[INFO] [stdout] error: linking with `cc` failed: exit status: 1\n[INFO] [stdout] {PROBLEM}")
    assert found.name == "native-lib-missing"


def test_a_dependency_that_refuses_to_be_compiled_says_why() -> None:
    place = "/home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/paint-1.0.0/src/lib.rs"
    refuses = (
        f'error: one of `red` or `blue` must be on\n --> {place}:1:1\n  |\n1 | compile_error!("one");\n  | ^^^\n\n'
    )
    after = f"error[E0432]: unresolved import `crate::Paint`\n --> {place}:7:5\n  |\n7 | use crate::Paint;\n\n"
    assert first(after) == "crate-broken-by-new-rustc"
    assert [hint.cause for hint in read(refuses + after)] == [
        "A dependency does not let itself be built like this. It says: one of `red` or `blue` must be on"
    ]


def test_of_a_link_the_lacking_symbol_is_shown_before_what_is_only_mixed() -> None:
    link = (
        "error: linking with `link.exe` failed: exit code: 1120\n  = note: libx.rlib(a.o) : error LNK2038: mismatch "
        "detected for 'RuntimeLibrary': value 'MD_DynamicRelease' doesn't match value 'MT_StaticRelease' in liby.rlib\n"
        "          libx.rlib(b.o) : error LNK2019: unresolved external symbol paint_start referenced in function b\n"
    )
    (found, *_) = read(link)
    assert found.name != "msvc-crt-mismatch"
    assert "paint_start" in str(found.lines)
