"""What is told of a failure that no hint knows, and that what was there is not said to be missing."""

from __future__ import annotations

import pytest
from doit_cargo.engine.hints import fixes
from hint_logs import KNOWN, first, read

# --- precision ----------------------------------------------------------------------------------------------------

PROGRAMS = sorted({glob for hint in KNOWN.hints for glob in hint.of.get("program", ()) if "*" not in glob})
RAN = [
    "Error: failed to execute `{}`: exited with exit status: 1\n",
    "error: unable to run {}: it was terminated by signal: 11\n",
    "Caused by: failed to run `/usr/bin/{}`: returned non-zero exit status 2\n",
]


@pytest.mark.parametrize("sentence", RAN)
def test_a_program_that_ran_is_not_called_missing(sentence: str) -> None:
    assert len(PROGRAMS) > 100
    assert [name for name in PROGRAMS if first(sentence.format(name)).endswith("-missing")] == []


@pytest.mark.parametrize(
    "sentence",
    ["Cargo, the package manager, is not installed or is not on PATH", "the manager is not installed", "it: not found"],
)
def test_a_word_of_a_sentence_is_no_program(sentence: str) -> None:
    assert [hint.cause for hint in read(f"error: {sentence}\n") if hint.name == "program-missing"] == []


def test_the_last_cause_of_a_chain_tells() -> None:
    chain = (
        "error: failed to get `a` as a dependency of package `w v0.1.0 (/w)`\n\nCaused by:\n  Unable to update x\n\n"
    )
    chain += "Caused by:\n  failed to update submodule `vendor/b`\n\nCaused by:\n  {}\n"
    gone = "object not found - no match for id (5a10cd20)"
    assert [hint.name for hint in read(chain.format(gone))] == ["git-revision-missing"]
    (found,) = read(chain.format("the moon is full"))
    assert found.confidence == "look here"
    assert found.cause.endswith("It says: the moon is full")
    assert found.lines[-1] == (10, "the moon is full")


def test_the_chain_of_another_error_changes_nothing() -> None:
    link = "  = note: LINK : fatal error LNK1181: cannot open input file 'zbar.lib'\n\n"
    later = "error: failed to compile `a v1.0.0`\n\nCaused by:\n  the moon is full\n"
    assert [hint.confidence for hint in read(link + later)] == ["cause"]


def test_what_a_program_tells_of_its_course_is_no_cause() -> None:
    course = "[2022-07-31T18:06:11Z {} release] failed to acquire username/password from local configuration\n"
    end = "[2022-07-31T18:11:11Z ERROR release] Fatal: the moon is full\n"
    assert [hint.name for hint in read(course.format("DEBUG") + end)] == ["first-error"]
    assert [hint.name for hint in read(course.format("ERROR") + end)] == ["git-dependency-auth"]


def test_what_the_system_said_is_told_with_what_it_was_said_of() -> None:
    chain = (
        "error: failed to load source for `a`\n\nCaused by:\n  failed to read root of directory source: /w/vendor\n\n"
    )
    (found,) = read(chain + "Caused by:\n  No such file or directory (os error 2)\n")
    assert found.cause.endswith(
        "(failed to read root of directory source: /w/vendor: No such file or directory (os error 2))"
    )


# --- what says only where -------------------------------------------------------------------------------------------

SCRIPT = "error: failed to run custom build command for `dep-sys v1.2.3`\n\nCaused by:\n  --- stderr\n{}"


def test_what_says_only_where_shows_the_line_that_says_why() -> None:
    failed = 'error occurred: Command "gcc" "-c" "a.c" did not execute successfully (status code exit status: 1).\n'
    found = read("cargo:warning=cc1: sorry, unimplemented: 64-bit mode\n" + SCRIPT.format(failed))
    assert [hint.name for hint in found] == ["c-compile-failed", "build-script-failed"]
    assert [hint.cause.partition("It says: ")[2] for hint in found] == ["cc1: sorry, unimplemented: 64-bit mode"] * 2


def test_what_a_build_script_ran_is_told_where_it_was_not_there() -> None:
    log = "  Running command: ./configure --a\n  thread 'main' panicked at build.rs:2:1:\n  No such file (os error 2)\n"
    assert "(os error 2) (after: ./configure --a)" in read(SCRIPT.format(log))[0].cause


# --- the sort of a failure ------------------------------------------------------------------------------------------

SORTS = [
    ("Unknown option '-0z'", "A program gets an option"),
    ("--x can only be specified with --y", "Options or features"),
    ("status code '401 Unauthorized'", "A server refuses"),
    ("got status 404 for https://x.org/a.tgz", "What is fetched is not at that address"),
    ("got 503 for https://x.org/a.tgz", "A server did not accept"),
    ("Invoke-WebRequest : the moon is far", "Something is fetched from the network"),
    ("renaming a: Operation not permitted", "This user may not"),
    ("PAINT_DIR must be set", "A setting is missing"),
    ("no prebuilt paint for this machine", "This is not made for this system"),
    ("expected paint 3 but got paint 2", "Two versions do not fit"),
    ("the brush already exists", "Something stands in the way"),
    ("failed to parse brush.toml", "A file cannot be read"),
    ("the moon does not exist", "What the line names is not there"),
    ("exited with signal: 11", "A program that the build runs crashed"),
    ("JavaScript heap limit reached", "Memory ran out"),
    ("this is a bug, tell us", "A program stopped at a place"),
    ("certificate of the moon: untrusted", "The certificate of a server"),
    ("the brush is too large", "Something is larger"),
    ("the moon actively refused it", "Nothing answers at that address"),
    ("unknown paint name 'x'", "A name is not known there"),
    ("brush.cc:1:2: error: 'paint' was not declared", "C or C++ code does not compile"),
]


@pytest.mark.parametrize(("line", "sort"), SORTS)
def test_an_unknown_error_is_told_with_its_sort(line: str, sort: str) -> None:
    (found,) = read(f"error: {line}\n")
    assert (found.name, found.confidence) == ("first-error", "look here")
    assert found.cause.startswith(sort)
    assert found.cause.endswith(f"The first error is: error: {line}")
    assert "mend what it says" not in found.fix


def test_every_sort_has_an_example() -> None:
    told = {kind.means for line, _ in SORTS if (kind := KNOWN.kind_of(line))}
    assert {kind.means for kind in KNOWN.kinds} == told


# --- logs in which no tool says error -------------------------------------------------------------------------------

STEPS = "step {}\n" * 60


def unknown(log: str) -> list[tuple[str, str]]:
    return [(hint.name, hint.cause.partition("It says: ")[2]) for hint in read(log)]


def test_the_last_words_that_sound_like_an_error_are_told() -> None:
    assert unknown(STEPS + "painter: unable to mix colours\n") == [("unknown-error", "painter: unable to mix colours")]
    assert unknown("bash: ./frob: No such file or directory\n") == [
        ("unknown-error", "bash: ./frob: No such file or directory")
    ]


def test_what_was_overcome_is_no_error() -> None:
    assert unknown("cannot reach the moon\n" + STEPS) == []
    assert unknown("cannot reach the moon\n    Finished `dev` profile target(s) in 1s\n") == []
    assert unknown("warning: cannot reach the moon (2 tries remaining)\n") == []


def test_a_panic_of_a_dependency_after_the_build_is_told() -> None:
    built = "    Finished `dev` profile target(s) in 1s\n     Running `target/debug/app`\n"
    place = "/home/dev/.cargo/registry/src/index.crates.io-6f17d22bba15001f/win-0.2.0/src/lib.rs:9:1"
    panic = f"thread 'main' panicked at {place}:\nno display\nnote: run with `RUST_BACKTRACE=1` environment variable\n"
    assert [hint.cause for hint in read(built + panic)] == ["The first error is: no display"]
    assert read(built + panic + "test result: ok. 1 passed; 0 failed\n") == []
    assert read(built + panic.replace(place, "src/main.rs:9:1")) == []


def test_a_macro_that_asks_the_world_in_vain_is_told_and_one_that_complains_of_code_is_not() -> None:
    macro = "error: {}\n --> src/main.rs:4:1\n  |\n4 | query!()\n  |\n  = note: this error originates in a macro\n"
    assert [hint.name for hint in read(macro.format("no route (os error 99)"))] == ["macro-panicked"]
    assert read(macro.format("expected a comma")) == []
    panicked = "error: proc macro panicked\n --> src/main.rs:4:1\n  = help: message: `../dist` doesn't exist\n"
    assert read(panicked)[0].cause.endswith("It says: `../dist` doesn't exist")


# --- tables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "told"),
    [
        ("sm_120", "sm_120: CUDA 12.8 and newer"),
        ("compute_61", "sm_61: CUDA 8.0 to 12.9"),
        ("8.9", "sm_89: CUDA 11.8 and newer"),
        ("sm_42", ""),
    ],
)
def test_which_toolkits_know_an_architecture(arch: str, told: str) -> None:
    assert fixes.toolkits_of(arch) == told


@pytest.mark.parametrize(
    ("status", "hint"),
    [("-1073741515", "dll-not-found"), ("3221225781", "dll-not-found"), ("137", "program-killed")],
)
def test_a_status_counts_in_any_form(status: str, hint: str) -> None:
    assert first(f"process didn't exit successfully: `target/app` (exit code: {status})\n") == hint


FAILED = (
    "error: failed to run custom build command for `ring v0.17.8`\n\n"
    "Caused by:\n  process didn't exit successfully: `x` (exit status: 1)\n"
)


def test_what_stands_elsewhere_than_at_the_last_error_may_only_be_behind_it() -> None:
    early = "sh: 1: protoc: not found\n"
    on = "   Compiling a v1.0.0\n" * 200
    last = FAILED + "  --- stderr\n  thread 'main' panicked at /w/build.rs:3:5:\n  the moon is full\n"
    told = [(hint.name, hint.confidence) for hint in read(early + on + last)]
    assert told == [("build-script-failed", "look here"), ("protoc-missing", "likely")]
    assert [hint.confidence for hint in read(on + last + early)] == ["cause"]


def test_a_program_that_went_on_after_an_error_in_its_log_has_not_failed() -> None:
    error = "2026-01-01T10:00:00Z ERROR app: the moon is full\n"
    went_on = "2026-01-01T10:00:01Z  INFO app: connected\n" * 3
    assert [hint.name for hint in read(error)] == ["first-error"]
    assert read(error + went_on) == []


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (
            'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    f()\nKeyError: 1\n',
            "KeyError: 1",
        ),
        (
            "error: builder for '/nix/store/a-b.drv' failed with exit code 1;\n       last 2 log lines:\n"
            "       > unpacking\n       > do not know how to unpack x\n       For full logs, run 'nix log x.drv'.\n",
            "do not know how to unpack x",
        ),
        (
            "npm error code ENOENT\nnpm error errno -2\nnpm error enoent Could not read package.json\n",
            "Could not read package.json",
        ),
        ("* What went wrong:\nExecution failed for task ':app:ndk'.\n> no NDK in /opt\n", "no NDK in /opt"),
        ("#9 ERROR: failed to load the frontend of a: not found\n", "frontend of a: not found"),
        (
            FAILED + "  --- stderr\n  Error: no SDK\n\n  Caused by:\n      0: no venv\n      1: no pip\n",
            "no SDK (no pip)",
        ),
        ("a\n##[error]Process completed with exit code 101.\n", "The last it said: a"),
        (  # a link that begins as an error does
            "error: error in --config: no key `a`\n\nCaused by:\n  error in --config: no key `a.b`\n\n"
            "Caused by:\n  the moon is full\n",
            "(the moon is full)",
        ),
    ],
)
def test_the_line_that_decides_is_shown(log: str, says: str) -> None:
    (hint,) = read(log)
    assert (hint.confidence, says in hint.cause) == ("look here", True)


def test_the_end_of_a_log_counts_that_says_the_same_a_thousand_times() -> None:
    many = "".join(f"error[E0425]: cannot find value `v{number}` in this scope\n\n" for number in range(1000))
    last = FAILED + "  --- stderr\n  Could not find `protoc`.\n"
    assert [(hint.name, hint.confidence) for hint in read(many + last)] == [("protoc-missing", "cause")]


# --- why it happened, by what stands around --------------------------------------------------------------------------

AROUND = {
    "the last of numbered links": (
        "Error failed to flash /w/app\n\nCaused by:\n    0: Error while flashing\n    1: no paint in the range 1..2\n",
        "no paint in the range 1..2",
    ),
    "a chain without the head's own word": (
        "ERROR \u274c error\nerror from pipeline\n\nCaused by:\n    0: no asset\n    1: the moon is full\n",
        "error from pipeline (the moon is full)",
    ),
    "what rustup calls a cause": (
        "error: could not paint a\ninfo: caused by: failed to paint\ninfo: caused by: the moon is full\n",
        "the moon is full",
    ),
    "what the caller shows of the program that failed": (
        "Error: Painter /opt/brush failed: exit status: 1\n  STDERR OUTPUT:\n  /opt/brush: the canvas must be white\n"
        "  bye\n",
        "(brush: the canvas must be white)",
    ),
    "what a program said before it said nothing": (
        "brush: canvas is not supported\nbrush: bye\nError: brush exited with exit status: 1\n",
        "(brush: canvas is not supported)",
    ),
    "what a library said before it stopped": (
        "The canvas [3] is invalid, 1 to 2 are not\n"
        "thread 'main' panicked at /r/.cargo/registry/src/x/a-1/src/lib.rs:2:1:\n"
        "assertion failed: !api.is_null()\nnote: run with `RUST_BACKTRACE=1` environment variable to display it\n",
        "The canvas [3] is invalid",
    ),
    "the warning right above": (
        "warning: a.profraw: paint mismatch, brush 9\nerror: nothing can be merged\n",
        "nothing can be merged (warning: a.profraw: paint mismatch, brush 9)",
    ),
    "a warning of two lines": (
        "warning: a.raw: paint mismatch: brush 9, wanted 8\nUse another brush.\nerror: nothing can be merged\n",
        "nothing can be merged (warning: a.raw: paint mismatch: brush 9, wanted 8)",
    ),
    "what a tool demands before its caller stops": (
        FAILED + "  --- stderr\n  Provide a BRUSH_SIZE, please\n  thread 'main' panicked at 'Painting', build.rs:8:5\n",
        "It says: Provide a BRUSH_SIZE, please",
    ),
    "the inner tool behind what its caller failed to run": (
        "Error failed to bundle: `failed to run /w/target/paint.sh`\n\n$ sh paint.sh\n+ brush -o out\n"
        "ERROR: brush call failed: canvas [0x13] is full\n",
        "(ERROR: brush call failed: canvas [0x13] is full)",
    ),
    "a macro whose folder is not there, before what follows from it": (
        "error: #[derive(Embed)] folder '/w/web/dist' does not exist. cwd: '/w'\n --> src/main.rs:4:1\n  |\n"
        "4 | #[derive(Embed)]\n\nerror[E0599]: no function named `get` found for struct `A` in the current scope\n"
        "  --> src/main.rs:9:5\n   |\n9  | A::get(1)\n",
        "folder '/w/web/dist' does not exist",
    ),
    "a program without its folders": (
        "error: linking with `cc` failed: exit status: 1\n  = note: /opt/very/long/bin/ld: undefined thing\n",
        "says: ld: undefined thing",
    ),
}


@pytest.mark.parametrize("shape", AROUND)
def test_why_it_happened_is_found_around_the_line_that_says_that_it_did(shape: str) -> None:
    log, says = AROUND[shape]
    (hint,) = read(log)
    assert (hint.confidence, says in hint.cause) == ("look here", True), hint.cause


@pytest.mark.parametrize(
    "log",
    [
        # A lint of one's own code, under a caller whose last words say nothing.
        "error: unused import: `a`\n --> src/main.rs:1:5\n\nerror: aborting due to previous error\n\n"
        "make: *** [check] Error 1\n",
        # A file that only the code names.
        "error: file not found for module `a`\n --> src/main.rs:1:1\n  |\n1 | mod a;\n",
        "error: path 'a/b' does not exist\n --> src/main.rs:1:1\n  |\n1 | paint!(\"a/b\");\n",
    ],
)
def test_last_words_that_say_nothing_and_ones_own_mistakes_are_not_told(log: str) -> None:
    assert read(log) == []


@pytest.mark.parametrize(
    ("log", "first"),
    [
        ("/usr/include/stdint.h:26:10: fatal error: 'bits/paint.h' file not found\n", "libc-headers-missing"),
        ("  = note: ld: cannot find -lpython3.12\n  = note: ld: cannot find -lz\n", "python-lib-missing"),
        ("error: no bin target named `a`\n", "cargo-target-not-found"),
        ("error: failed to parse manifest at `/w/Cargo.toml`\n\nCaused by:\n  no targets specified in the manifest\n",
         "cargo-target-not-found"),
    ],
)  # fmt: skip
def test_what_the_log_does_not_show_is_not_claimed(log: str, first: str) -> None:
    assert [hint.name for hint in read(log)][:1] == [first]


def test_run_times_that_do_not_fit_name_no_crate_that_is_not_in_the_log() -> None:
    log = "liba.rlib(a.o) : error LNK2038: mismatch detected for 'RuntimeLibrary': value 'MT' differs\n"
    (hint,) = read(log)
    assert ("esaxx" in hint.cause + hint.fix, hint.system) == (False, "windows")


def test_what_stands_above_the_last_link_and_is_another_matter_is_no_cause() -> None:
    chain = "error: could not download file from 'https://static.rust-lang.org/a' to 'b'\n\nCaused by:\n  {}\n"
    assert [hint.name for hint in read(chain.format("the disk of the moon is too large"))] == ["first-error"]
    (same,) = read(chain.format("failed to connect: the moon is far"))
    assert (same.category, same.confidence) == ("toolchain-download-failed", "look here")
