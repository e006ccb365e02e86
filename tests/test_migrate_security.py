"""What a build file of others may try while it is recorded, and what a table [migrated] of others may hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import MAKE, needs, needs_make, posix, program
from calling import forked_call as call
from conftest import Spec, make_workspace, needs_cargo, write

pytestmark = [needs_cargo, needs_make, posix]

SPEC: Spec = {"server": {"bins": {"server": []}}, "engine": {}}

# --- while a file is recorded ----------------------------------------------------------------------------------------

HOSTILE = """\
A := $(shell touch {outside}/a; rm -rf server; echo x)
B != touch {outside}/b
$(shell echo gone > $(HOME)/c)
$(eval D := $(shell rm -f Cargo.toml {home}/kept))
-include {outside}/made.mk
{outside}/made.mk:
	touch {outside}/e $@
include $(shell touch {outside}/g)
$(shell /bin/mount -o remount,bind,rw / && /bin/touch {outside}/l)
$(shell /bin/umount -l $(CURDIR) && /bin/rm -rf $(CURDIR)/engine)
$(shell /usr/bin/unshare -Urm /bin/sh -c '/bin/mount -o remount,bind,rw / && /bin/touch {outside}/m')
$(shell {python} -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("{outside}/daemon"); s.send(b"x")')
$(shell {python} -c 'import os; os.kill({pid}, 9)')
$(shell ls /dev/pts /dev/sd* /dev/mem > $(CURDIR)/devices; {python} -c 'import os; os.mknod("{outside}/n")')
$(shell echo > /proc/{pid}/root{outside}/o)
$(shell /bin/ln -s {outside} link && /bin/touch link/p; /bin/ln {outside}/kept hard && echo changed > hard)
$(shell echo >> $(firstword $(MAKEFILE_LIST)); echo changed >> {home}/.profile)
$(shell /usr/bin/setsid /bin/sh -c 'trap "" HUP TERM; /bin/sleep 3; /bin/touch {outside}/q' > /dev/null 2>&1 &)
$(shell git config core.fsmonitor '/bin/touch {outside}/r' && git status; git config --global alias.x '!touch {home}/s')
$(shell {python} -c 'open("/proc/self/mem"); open("/proc/{pid}/mem", "w")'; echo x > /proc/sysrq-trigger)
$(shell {python} -c 'import ctypes; ctypes.CDLL(None).ptrace(16, {pid}, 0, 0)')
export BASH_ENV := {outside}/sourced
export ENV := {outside}/sourced
.ONESHELL:
all:
	+touch {outside}/h
	$(MAKE) -n nothing; touch {outside}/i
	/bin/rm -rf server engine {outside}/kept
	/bin/sh -c 'echo > {outside}/j'; cd /; rm -rf {home}/kept
	git push --force; curl http://127.0.0.1:9 ; cargo publish
	(sleep 600; touch {outside}/k) &
	chmod -R 000 {outside} {home}
nothing:
	rm -rf $(CURDIR) ~/kept
last:
	$(file >{outside}/f,x)
"""

HOSTILE_JUST = """\
set dotenv-load
a := `touch {outside}/a; rm -rf server {home}/kept; echo x`
export B := shell('touch {outside}/b; echo $1', a)
all: (with a)
    #!/usr/bin/env {python}
    open("{outside}/c", "w")
with what:
    /bin/touch {outside}/d; /bin/rm -rf {home}/kept
"""
HOSTILE_TASKS = """\
[config]
default_to_workspace = false
load_script = "touch {outside}/a"
[env]
A = {{ script = ["touch {outside}/b; rm -rf server {home}/kept"] }}
[tasks.all]
condition_script = ["touch {outside}/c"]
install_script = "touch {outside}/d"
script_runner = "@shell"
script = "/bin/touch {outside}/e; /bin/rm -rf {home}/kept"
[tasks.python]
script_runner = "{python}"
script = "open('{outside}/f', 'w')"
[tasks.duck]
script = ["#!@duckscript", "writefile {outside}/g x", "rm -r {home}/kept"]
"""


def contents(*folders: Path) -> dict[str, str]:
    """Return a digest of every file below some folders, and the mode of each."""
    files = (path for folder in folders for path in folder.rglob("*") if ".doit-cargo" not in path.parts)
    return {
        str(path): f"{path.stat().st_mode} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''}"
        for path in files
    }


def namespaces() -> bool:
    words = ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not namespaces(), reason="the kernel gives this user no namespaces")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that is a file, on which nobody should call."""
    path = tmp_path / "outside/daemon"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        # The name of a socket may be short only.
        here = os.open(path.parent, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/daemon")
        os.close(here)
        listening.listen()
        listening.setblocking(False)
        yield listening


@needs_namespaces
@pytest.mark.parametrize(
    "words",
    [
        ("makefile", "--compare", "Makefile"),
        ("migrate", "Makefile"),
        pytest.param(("migrate", "justfile"), marks=needs("just")),
        pytest.param(("migrate", "Makefile.toml"), marks=needs("cargo-make")),
    ],
)
def test_a_hostile_file_changes_nothing_outside_of_the_box(
    words: tuple[str, ...], tmp_path: Path, daemon: socket.socket
) -> None:
    places = {"RUSTUP_HOME": Path.home() / ".rustup", "CARGO_HOME": Path.home() / ".cargo"}
    tools = {name: os.environ.get(name, str(path)) for name, path in places.items()}
    # Not above `outside`: what lies below the temporary folder is covered by a layer.
    tools["TMPDIR"] = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    root = make_workspace(tmp_path / "ws", SPEC)
    home, outside = tmp_path / "home", tmp_path / "outside"
    for folder in (home, outside):
        write(folder / "kept", "x")
    write(outside / "sourced", f"echo > {outside}/t")
    sleeping = subprocess.Popen(["sleep", "600"])
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"
    file = words[-1]
    text = {"justfile": HOSTILE_JUST, "Makefile.toml": HOSTILE_TASKS}.get(file, HOSTILE)
    write(root / file, text.format(outside=outside, home=home, pid=sleeping.pid, python=python))
    call(root, "doit-cargo", "list", HOME=str(home), **tools)
    before = contents(root, home, outside)
    said = call(root, "doit-cargo", *words, HOME=str(home), **tools)
    assert said.status == ("--compare" in words), said
    written = {str(root / name) for name in ("GNUmakefile", "profiles", "profiles/pack.toml")}
    assert {path: what for path, what in contents(root, home, outside).items() if path not in written} == before
    with pytest.raises(BlockingIOError):
        daemon.accept()
    assert sleeping.poll() is None
    sleeping.kill()
    sleeping.wait()


def test_without_namespaces_nothing_is_recorded_until_somebody_says_yes(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", f"$(shell touch {tmp_path}/ran)\nall:\n\tcargo build\n")
    program(tmp_path / "bin/unshare", "exit 1")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    said = call(root, "doit-cargo", "migrate", PATH=path)
    assert (said.status, (tmp_path / "ran").exists()) == (2, False)
    assert "  fix: --yes, if you trust this file\n" in said.err


# --- what comes with a clone -----------------------------------------------------------------------------------------

TABLE = """\
[migrated]
kind = "make; touch ran"
file = "-f/dev/stdin"
default = "all\\n\\ttouch ran"
variables = ["X", "$(shell touch ran)"]
kept = ["fine", "a b", "$(shell touch ran)", ".PHONY"]
secret = 1

[migrated.taken]
"x:;touch ran" = { target = "build", variables = [] }
"all" = { target = "build; touch ran", variables = ["A#"], environment = ["doit_run"] }
"../up" = { target = "build" }
".SHELLFLAGS" = { target = "build" }
"""
PROBLEMS = (
    (2, "unknown kind of build file 'make; touch ran'"),
    (3, "migrated.file holds '-f/dev/stdin', which is no plain name of a file of the checkout"),
    (4, "migrated.default holds 'all\\n\\ttouch ran', which is no plain name of a goal of make"),
    (5, "migrated.variables holds '$(shell touch ran)', which is no plain name of a variable"),
    (6, "migrated.kept holds 'a b', which is no plain name of a goal of make"),
    (6, "migrated.kept holds '$(shell touch ran)', which is no plain name of a goal of make"),
    (7, "unknown key of [migrated] 'secret'"),
    (10, "migrated.taken holds 'x:;touch ran', which is no plain name of a goal of make"),
    (11, "migrated.taken.all.target holds 'build; touch ran', which is no plain name of a target"),
    (11, "migrated.taken.all.variables holds 'A#', which is no plain name of a variable"),
    (11, "migrated.taken.all.environment holds 'doit_run', which is no plain name of a variable"),
    (12, "migrated.taken holds '../up', which is no plain name of a goal of make"),
    (13, "migrated.taken holds '.SHELLFLAGS', which is no plain name of a goal of make"),
)


def test_a_table_that_make_would_act_on_is_refused_line_by_line(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "profiles/pack.toml", TABLE)
    said = call(root, "doit-cargo", "makefile")
    assert (said.status, (root / "GNUmakefile").exists(), (root / "Makefile").exists()) == (3, False, False)
    lines = [line.removeprefix("doit-cargo: ") for line in said.err.splitlines() if "fix: " not in line]
    missing = [(line, what) for line, what in PROBLEMS if f"profiles/pack.toml:{line}: {what}" not in lines]
    assert missing == [], said.err


PLAIN = """\
[migrated]
file = "Makefile"
default = "all"
kept = ["x/y@1+2"]
[migrated.taken]
all = { target = "build" }
"""


def test_a_plain_table_makes_a_shim_that_make_reads(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "ws", SPEC)
    write(root / "Makefile", "all:\n\techo old\nx/y@1+2:\n\techo other\n")
    write(root / "profiles/pack.toml", PLAIN)
    assert call(root, "doit-cargo", "makefile").status == 0
    assert call(root, MAKE, "-s", "x/y@1+2").out == "other\n"
