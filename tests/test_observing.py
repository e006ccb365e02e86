"""The observer sees what a program asks for, in every way that there is to ask, and never disturbs it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from doit_cargo.engine.execution.observe.library import NotHere
from doit_cargo.engine.execution.observe.model import Process
from doit_cargo.engine.execution.observe.observer import Observation, Observer
from observing import Sight, compiled, observer, watch, watch_in

NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def by() -> Observer:
    return observer()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("observed")
    (folder / "own").mkdir()
    (folder / "empty.c").write_text("int empty;\n", encoding="utf-8")
    for library in ("own/libown.so", "libplain.so"):
        compiled(folder, library, "-shared", "-fPIC", source=folder / "empty.c")
    return compiled(folder, "observed", "-Wl,-rpath,$ORIGIN/own")


def filled(folder: Path) -> Path:
    for name in NAMES:
        (folder / f"{name}.txt").write_text(name, encoding="utf-8")
    (folder / "link").symlink_to("one.txt")
    return folder


def named(folder: Path, *names: str) -> set[str]:
    return {str(folder / f"{name}.txt") for name in names}


def test_files_that_are_read_are_seen_in_every_way_of_opening(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "reads", filled(tmp_path)])
    assert named(tmp_path, *NAMES[:-1]) <= seen.subjects("read")
    assert named(tmp_path, "eight") <= seen.subjects("looked_at") - seen.subjects("read")
    assert seen.observed.whole


def test_files_that_are_reached_through_the_kernels_links_are_seen(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "links", filled(tmp_path)])
    assert named(tmp_path, *NAMES[:5]) <= seen.subjects("read")
    assert seen.observed.whole


def test_a_file_that_libc_opens_for_a_program_is_seen(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "hands", filled(tmp_path) / "one.txt"])
    assert named(tmp_path, "one") <= seen.subjects("read")


def test_memory_with_a_name_is_a_file(by: Observer, program: Path) -> None:
    memory = Path(f"/dev/shm/doit-cargo-test-{os.getpid()}")
    memory.write_text("x", encoding="utf-8")
    try:
        seen = watch(by, [program, "remembers", f"/{memory.name}"])
    finally:
        memory.unlink()
    made = {path for path in seen.subjects("written") if path.startswith(f"{memory}-")}
    assert (str(memory) in seen.subjects("read"), len(made), seen.observed.whole) == (True, 1, True)


@pytest.mark.parametrize("others", [(), ("with others",)])
def test_memory_of_system_v_that_others_share_is_noticed(by: Observer, program: Path, others: tuple[str, ...]) -> None:
    reasons = watch(by, [program, "shares", *others]).reasons
    told = "observed: it shares memory, semaphores or messages with others (System V, message queues)"
    assert reasons == ({told} if others else set())


def test_extended_attributes_are_noticed(by: Observer, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    try:
        os.setxattr(file, "user.kind", b"x")
    except OSError:
        pytest.skip("this file system has no attributes")
    asks = f"import os; os.getxattr({str(file)!r}, 'user.kind')"
    seen = watch(by, [os.path.realpath(sys.executable), "-I", "-S", "-c", asks])
    assert {reason.partition(": ")[2] for reason in seen.reasons} == {"it reads extended attributes of files"}


def test_files_that_are_looked_at_or_looked_for_are_seen(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "looks", filled(tmp_path)])
    assert named(tmp_path, *NAMES[:7]) | {str(tmp_path / "link")} <= seen.subjects("looked_at")
    assert named(tmp_path, "gone", "gone-too") <= seen.subjects("absent")
    assert not named(tmp_path, *NAMES) & seen.subjects("read")


def test_folders_that_are_listed_are_seen_though_libc_lists_them_by_itself(
    by: Observer, program: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b", "c/below", "c/empty", "d/deep"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "c/below/x.txt").touch()
    seen = watch(by, [program, "lists", tmp_path])
    expected = {str(tmp_path / name) for name in ("a", "b", "c", "c/below", "c/empty", "d")}
    assert expected <= {os.path.normpath(path) for path in seen.subjects("listed")}


def test_variables_are_seen_by_name_and_a_walk_over_all_as_one(by: Observer, program: Path) -> None:
    asked, walked = watch(by, [program, "asks"]), watch(by, [program, "walks"])
    assert {"ASKED_PLAIN", "ASKED_SECURELY"} <= asked.subjects("asked")
    assert [process.walked_environment for process in asked.observed.processes] == [False]
    assert [process.walked_environment for process in walked.observed.processes] == [True]


def test_each_started_program_is_seen_however_it_is_started(by: Observer, program: Path, tmp_path: Path) -> None:
    file, cat = tmp_path / "file", str(shutil.which("cat"))
    file.write_text("x", encoding="utf-8")
    seen = watch(by, [program, "spawns", cat, file], environ={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert seen.done.stdout == "x" * 6 + "done\n"
    cats = [process for process in seen.observed.processes if process.name == os.path.basename(os.path.realpath(cat))]
    assert len(cats) == 6
    assert all(str(file) in process.read and process.parent is seen.observed.processes[0] for process in cats)
    assert {str(tmp_path / "cat"), str(tmp_path / "no-such-program")} <= seen.subjects("absent")
    assert seen.observed.whole


def test_a_shell_that_libc_starts_is_seen_and_missed_where_it_cannot_be(
    by: Observer, program: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert str(file) in watch(by, [program, "shells", file]).subjects("read")
    assert watch(by, [program, "escapes", file]).reasons == {
        "sh: it left no log of its own, so what it read is not known"
    }


def test_a_fork_that_runs_no_other_program_belongs_to_its_parent(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "forks", filled(tmp_path) / "one.txt"])
    assert [named(tmp_path, "one") <= process.read for process in seen.observed.processes] == [True]


def test_a_daemon_that_outlives_the_run_is_named(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "lingers", filled(tmp_path) / "one.txt", "60"])
    os.kill(int(seen.done.stdout.split()[0]), signal.SIGKILL)
    assert seen.reasons == {"observed: it still runs, and what it reads from now on is not seen"}


def test_64_threads_with_small_stacks_lose_nothing(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "threads", tmp_path])
    expected = {str(tmp_path / f"thread-{number}-{each}") for number in range(64) for each in range(50)}
    assert expected <= seen.subjects("absent")
    assert seen.observed.whole


def test_100_000_files_are_all_seen(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "opens", tmp_path, "100000"])
    assert {str(tmp_path / str(number)) for number in range(100_000)} <= seen.subjects("absent")
    assert seen.observed.whole


def test_signal_handlers_may_ask_as_well(by: Observer, program: Path, tmp_path: Path) -> None:
    seen = watch(by, [program, "signals", tmp_path / "asked-in-handler"])
    assert str(tmp_path / "asked-in-handler") in seen.subjects("absent")


def test_what_a_killed_program_read_is_known(by: Observer, program: Path, tmp_path: Path) -> None:
    with by.start() as observation:
        seen = watch_in(observation, [program, "dies", filled(tmp_path) / "one.txt"], code=-signal.SIGKILL)
    assert named(tmp_path, "one") <= seen.subjects("read")


def test_a_program_without_descriptors_goes_on_and_is_not_called_whole(
    by: Observer, program: Path, tmp_path: Path
) -> None:
    seen = watch(by, [program, "starves", tmp_path])
    assert seen.reasons == {"observed: its log was full, and some of what it read is not known"}


def test_a_limit_of_file_sizes_kills_nobody(by: Observer, program: Path, tmp_path: Path) -> None:
    script = 'ulimit -f 0; exec "$0" reads "$1"'
    seen = watch(by, ["bash", "-c", script, program, filled(tmp_path)])
    assert seen.done.stdout == "done\n"
    assert seen.reasons == {"observed: no log: its limit of file sizes (ulimit -f) is too small for one"}


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few pages."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@as_root
def test_a_full_file_system_kills_nobody(by: Observer, program: Path, tiny: Path, tmp_path: Path) -> None:
    (tiny / "order").write_bytes(bytes(4096))
    with by.start() as started:
        small = Observation(by, (str(tiny),), started.started)
        grown = watch_in(small, [program, "opens", tmp_path, "5000"])
        (tiny / "rest").write_bytes(bytes(len((tiny / "order").read_bytes())))
        none = watch_in(small, [program, "reads", filled(tmp_path)])
    assert (grown.done.stdout, none.done.stdout) == ("done\n", "done\n")
    assert "observed: its log was full, and some of what it read is not known" in grown.reasons
    assert any("log full: no space" in reason for reason in none.reasons)


@as_root
def test_a_nearly_full_memory_disk_is_left_to_the_program(
    by: Observer, program: Path, tiny: Path, tmp_path: Path
) -> None:
    (tiny / "order").write_bytes(bytes(4096))
    (tiny / "users").write_bytes(bytes(40 << 10))
    with by.start() as started:
        seen = watch_in(
            Observation(by, (str(tiny), started.folders[-1]), started.started), [program, "reads", filled(tmp_path)]
        )
    assert {entry.name for entry in tiny.iterdir()} == {"order", "users"}
    assert seen.observed.whole
    assert named(tmp_path, "one") <= seen.subjects("read")


@pytest.mark.parametrize("way", [(), ("by-number",)], ids=["prctl", "seccomp"])
def test_a_program_within_a_filter_of_system_calls_survives(
    by: Observer, program: Path, tmp_path: Path, way: tuple[str, ...]
) -> None:
    seen = watch(by, [program, "seals", filled(tmp_path) / "one.txt", *way])
    assert seen.done.stdout == "done\n"
    assert named(tmp_path, "one") <= seen.subjects("read")
    assert seen.reasons == {"observed: its log was full, and some of what it read is not known"}


@as_root
def test_a_program_in_another_root_is_told_apart(by: Observer, program: Path, tmp_path: Path) -> None:
    (tmp_path / "inside.txt").touch()
    seen = watch(by, [program, "roots", tmp_path])
    assert (seen.done.stdout, seen.done.stderr) == ("done\n", "")
    assert "observed: it changes what paths mean (chroot, mounts or namespaces)" in seen.reasons


def test_a_library_is_found_where_its_loader_would_look(by: Observer, program: Path) -> None:
    plain, own = program.parent / "libplain.so", program.parent / "own/libown.so"
    seen = watch(by, [program, "loads", "libown.so", plain])
    assert {str(plain), str(own)} <= seen.subjects("libraries")
    assert seen.observed.whole


def test_own_servers_are_told_from_others(by: Observer, program: Path, tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as named:
        taken.bind(("127.0.0.1", 0))
        named.bind(os.path.relpath(tmp_path / "socket"))
        port = taken.getsockname()[1]
        seen = watch(by, [program, "connects", str(port), tmp_path / "socket"])
    process: Process = seen.observed.processes[0]
    others = process.connected - process.serving
    assert others == {f"4 7f000001 {port:04x}", f"unix {tmp_path}/socket"}


OWN_CALLS = """
#include <fcntl.h>
#include <sys/syscall.h>
#if defined(__x86_64__)
static long call(long number, long a, const char *b) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(0L) : "rcx", "r11", "memory");
    return result;
}
#else
static long call(long number, long a, const char *b) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = (long)b, x2 __asm__("x2") = 0;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#endif
int main(void) { return call(CALL, AT_FDCWD, "/etc/passwd") < 0; }
"""
# The bytes of a call are in it, but as a number that another instruction loads.
NO_CALL = 'int main(void) { __asm__ volatile("mov $257, %%eax\\n mov $0x01050f00, %%eax" ::: "eax"); return 0; }\n'
CAN_CALL = {"own: by its instructions it can make system calls past libc, where the observer does not look"}


@pytest.mark.parametrize(("number", "told"), [("SYS_openat", True), ("SYS_sched_yield", False)])
def test_system_calls_past_libc_are_noticed_if_they_read(by: Observer, tmp_path: Path, number: str, told: bool) -> None:
    (tmp_path / "own.c").write_text(OWN_CALLS, encoding="utf-8")
    made = compiled(tmp_path, "own", f"-DCALL={number}", source=tmp_path / "own.c")
    assert watch(by, [made]).reasons == (CAN_CALL if told else set())


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="instructions of other machines are all of one length")
def test_a_number_that_looks_like_a_system_call_is_none(
    by: Observer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.c").write_text(NO_CALL, encoding="utf-8")
    made = compiled(tmp_path, "own", source=tmp_path / "own.c")
    assert watch(by, [made]).reasons == set()
    monkeypatch.setenv("PATH", str(tmp_path))  # without objdump the doubt stays
    os.utime(made)
    assert watch(by, [made]).reasons == CAN_CALL


def test_io_uring_is_noticed(by: Observer, program: Path) -> None:
    reasons = watch(by, [program, "ring"]).reasons
    if not reasons:
        pytest.skip("the kernel here refuses io_uring")
    assert reasons == {"observed: it reads and writes through io_uring"}


STATIC = "it is a static program"
MUSL = "it uses another C library (musl)"
SANITIZED = "it is built with a sanitizer, which lets no library come before its own"


# The note that Go's linker leaves in a program, also where it takes libc (cgo).
GO_NOTE = r"""__asm__(".pushsection .note.go.buildid,\"a\",@note\n"
    ".balign 4\n.long 4,8,4\n.asciz \"Go\\0\"\n.quad 7\n.popsection");
"""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-static",), STATIC),
        (("-static-pie",), STATIC),
        (("-fsanitize=address",), SANITIZED),
        (("-fsanitize=thread",), SANITIZED),
        (("-m32",), "it is a program for another architecture"),
        (("-Wl,--dynamic-linker={folder}/ld-musl.so.1",), MUSL),
        (("-DGO",), "it is a Go program, whose system calls do not pass libc"),
    ],
    ids=["static", "static-pie", "address-sanitizer", "thread-sanitizer", "32-bit", "musl", "go"],
)
def test_a_program_that_cannot_be_observed_runs_as_ever_and_is_named(
    by: Observer, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    text = f'#include <stdio.h>\n#ifdef GO\n{GO_NOTE}#endif\nint main(void) {{ return puts("done") < 0; }}\n'
    (tmp_path / "small.c").write_text(text)
    given = [option.format(folder=tmp_path) for option in options]
    made = compiled(tmp_path, "small", *given, source=tmp_path / "small.c")
    if reason == MUSL:  # whose loader has another name
        shutil.copy(loader(), tmp_path / "ld-musl.so.1")
    (tmp_path / "script").write_text(f"#!{made}\n")
    (tmp_path / "script").chmod(0o755)
    for started in (made, tmp_path / "script"):  # a script is run by what its first line names
        for before in ((), ("sh", "-c", '"$0"; true')):  # also where nobody observed starts it
            seen = watch(by, [*before, started])
            assert (seen.done.stdout, seen.done.stderr) == ("done\n", "")
            assert seen.reasons == {f"{started.name}: {reason}"}


def loader() -> Path:
    """The loader of this machine's programs."""
    return next(path for path in Path("/").glob("lib*/ld-linux-*.so.*"))


@pytest.mark.parametrize("sanitizer", ["leak", "undefined"])
def test_a_sanitizer_that_suffers_company_hides_nothing(by: Observer, tmp_path: Path, sanitizer: str) -> None:
    made = compiled(tmp_path, "sanitized", f"-fsanitize={sanitizer}")
    seen = watch(by, ["sh", "-c", '"$0" reads "$1"', made, filled(tmp_path)])
    assert (seen.done.stdout, seen.done.stderr) == ("done\n", "")
    assert named(tmp_path, "one") <= seen.subjects("read")


@as_root
def test_a_setuid_program_of_another_user_is_named(by: Observer, program: Path, tmp_path: Path) -> None:
    copy = tmp_path / "privileged"
    shutil.copy(program, copy)
    os.chown(copy, 65534, 65534)
    copy.chmod(0o4755)
    seen = watch(by, ["sh", "-c", '"$0" asks; true', copy])
    assert seen.done.stdout == "done\n"
    assert seen.reasons == {
        "privileged: it has more rights than its caller (setuid), so the loader ignores the observer"
    }


def test_the_users_own_preloaded_library_stays_the_first(by: Observer, program: Path) -> None:
    own = str(program.parent / "libplain.so")
    seen = watch(by, ["sh", "-c", 'echo "$LD_PRELOAD"; exec env -i "$0" asks', program], environ={"LD_PRELOAD": own})
    assert seen.done.stdout.splitlines() == [f"{own}:{by.program}", "done"]
    assert own in seen.subjects("libraries")
    assert seen.observed.whole


def test_nothing_is_left_behind(by: Observer, program: Path) -> None:
    with by.start() as observation:
        watch_in(observation, [program, "asks"])
        assert all(os.path.isdir(folder) for folder in observation.folders)
    assert not any(os.path.exists(folder) for folder in observation.folders)


def test_without_a_compiler_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotHere, match=r"there is no C compiler \(cc\) on PATH"):
        Observer.find({"PATH": str(tmp_path), "HOME": str(tmp_path)})


def test_a_library_that_others_can_write_is_refused(by: Observer, tmp_path: Path) -> None:
    cache = tmp_path / "doit-cargo"
    shutil.copytree(Path(by.program).parent, cache)
    assert cache.stat().st_mode & 0o777 == 0o700
    copy = cache / os.path.basename(by.program)
    assert Observer.find(os.environ, cache=str(cache)).program == str(copy)
    copy.chmod(0o522)
    with pytest.raises(NotHere, match="can be written by others"):
        Observer.find(os.environ, cache=str(cache))


def test_it_works_is_proven_by_a_program(by: Observer) -> None:
    by.works(os.environ)
    with pytest.raises(NotHere, match="was not seen"):
        Observer(by.kind, "/nonexistent/observe.so").works(os.environ)


def seen_by_strace(argv: list[str | Path]) -> Sight:
    return watch(observer("strace"), argv)


def test_strace_sees_a_static_program(tmp_path: Path) -> None:
    static = compiled(tmp_path, "static", "-static")
    seen = seen_by_strace([static, "reads", filled(tmp_path)])
    assert named(tmp_path, *NAMES[:7]) <= seen.subjects("read")
    assert seen.observed.whole
