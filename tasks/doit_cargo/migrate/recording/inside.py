"""Run one program so that nothing it writes stays: started by `box`, inside namespaces of its own where they exist.

Reads a description and prints what came of it, both marshalled: a Python of this very kind is at both ends, and this
one, started hundreds of times for a build file, loads little besides. Everything but the overlaid folders is
read-only, the network has no device, and the layers that take the writes are in memory. What would undo that is taken
from the program: rights over mounts, devices, and sockets, through which a service outside would do its bidding. Knows
nothing of records.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import ctypes
import errno
import marshal
import os
import struct
import sys
import time
from _blake2 import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# linux/mount.h and fcntl.h; the number of mount_setattr is the same on every architecture but alpha.
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_RDONLY = 442, -100, 0x8000, 1
ATTR_NODEV = 4
MS_BIND = 4096
DEVICES = ("null", "zero", "full", "random", "urandom")
# linux/prctl.h, linux/seccomp.h, linux/filter.h, linux/audit.h
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, FILTER = 22, 24, 38, 2
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE, NUMBER, KIND_OF_MACHINE, FIRST_ARGUMENT = 0x7FFF0000, 0x00050000, 0, 4, 16
# Of each machine: its number, that of socket, and of add_key, request_key and keyctl, which no namespace holds.
MACHINES = {
    "x86_64": (0xC000003E, 41, (248, 249, 250)),
    "aarch64": (0xC00000B7, 198, (217, 218, 219)),
    "riscv64": (0xC00000F3, 198, (217, 218, 219)),
}
# It opens sockets that no filter sees; and the calls that only the x32 part of an x86_64 has.
IO_URING_SETUP, X32 = 425, 0x40000000
# The kinds of socket that a namespace of the network holds: IPv4, IPv6, netlink. A socket that is a file is not among.
INSIDE_A_NAMESPACE = (2, 10, 16)
SHOWN = 10_000_000
STREAMS = ("out", "err")


def main() -> int:
    """Run the program of a description; print {status, out, err, changes, calls, left}."""
    job = marshal.load(sys.stdin.buffer)  # noqa: S302 - of who has started us
    before: dict[str, str] = {}
    if job["contained"]:
        _contain(job)
    else:
        before = dict(_listing(job["root"]))
    for name in ("home", "tmp", "log"):
        os.makedirs(os.path.join(job["run"], name), exist_ok=True)
    for path in filter(os.path.lexists, job["gone"]):
        _remove(path)
    moment = time.time_ns()
    for path, text in job["files"].items():
        _write(path, text)
        os.utime(path, ns=(moment, moment))  # none of them is newer than another
    _lay_programs(job)
    for path, content in job["left"].items():
        _write(path, content, "latin-1")
    status = _start(job)
    now = dict(_listing(os.path.join(job["run"], "upper") if job["contained"] else job["root"]))
    changes = now if job["contained"] else _changed(before, now)
    log = os.path.join(job["run"], "log")
    calls = [_bytes(os.path.join(log, name)) for name in sorted(os.listdir(log), key=int)]
    said = {name: _bytes(os.path.join(job["run"], name)) for name in STREAMS}
    left = {path: _bytes(path) for path in job["leaves"] if os.path.isfile(path)}
    marshal.dump({"status": status, "changes": changes, "calls": calls, "left": left, **said}, sys.stdout.buffer)
    return 0


def _lay_programs(job: dict[str, Any]) -> None:
    """Lay a stand-in over each program of the checkout, and the files that are said to be there. A program that is not
    there lies aside, until something has run that may have made it."""
    run, there = job["run"], job["there"]
    os.symlink(job["root"], os.path.join(run, "checkout"))
    for path in job["programs"]:
        is_there = os.path.lexists(path) or any(path == one or path.startswith(one + "/") for one in there)
        place = path if is_there else os.path.join(run, "appear", os.path.relpath(path, job["root"]))
        _write(place, job["program"])
        os.chmod(place, 0o755)  # noqa: S103 - it must run
    for path in there:
        if not os.path.lexists(path):
            _write(path, "")
        if job["is_old"]:
            os.utime(path, (1, 1))


def _contain(job: dict[str, Any]) -> None:
    """Make all that is mounted read-only, lay layers in memory over the folders that may be written, then give up
    what could undo it."""
    libc = ctypes.CDLL(None, use_errno=True)
    _set_attributes(libc, "/", AT_RECURSIVE, ATTR_RDONLY | ATTR_NODEV, 0)
    _devices(libc)
    run = job["run"]
    _mount(libc, "tmpfs", run, "tmpfs", 0, "mode=0755,size=2g")
    memory = os.open(run, os.O_RDONLY | os.O_DIRECTORY)
    # Where somebody has mounted something below the temporary folder, it cannot be a layer, and stays read-only.
    try:  # noqa: SIM105 - contextlib would be loaded for it
        _lay_over(libc, memory, job["temporary"], "upper-tmp", run)
    except OSError:
        pass
    os.makedirs(job["root"], exist_ok=True)
    _lay_over(libc, memory, job["checkout"], "upper", run, job["root"])
    for folder in filter(os.path.isdir, job["hidden"]):
        _mount(libc, "tmpfs", folder, "tmpfs", 0, "mode=0755,size=256m")
    _give_up_rights(libc)
    _refuse_sockets(libc)


def _set_attributes(libc: ctypes.CDLL, path: str, flags: int, on: int, off: int) -> None:
    attributes = (ctypes.c_uint64 * 4)(on, off, 0, 0)
    # As long as a register each: a C function with `...` gets what ctypes would leave undefined above an int.
    words = (MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, attributes, ctypes.sizeof(attributes))
    _check(libc.syscall(*(ctypes.c_long(word) if isinstance(word, int) else word for word in words)))


def _devices(libc: ctypes.CDLL) -> None:
    """Put a folder with the few devices that reach nothing in the place of all others: no disk, no terminal."""
    found = {name: os.open(f"/dev/{name}", os.O_PATH) for name in DEVICES if os.path.exists(f"/dev/{name}")}
    _mount(libc, "tmpfs", "/dev", "tmpfs", 0, "mode=0755,size=64m")
    for name, device in found.items():
        _write(f"/dev/{name}", "")
        _mount(libc, f"/proc/self/fd/{device}", f"/dev/{name}", None, MS_BIND, "")
        _set_attributes(libc, f"/dev/{name}", 0, 0, ATTR_NODEV)
        os.close(device)
    for name, place in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{place}", f"/dev/{name}")
    os.mkdir("/dev/shm")  # noqa: S108 - of this namespace


def _give_up_rights(libc: ctypes.CDLL) -> None:
    """Take from whatever is started the rights of root, by which it could mount what is read-only anew."""
    right = 0
    while libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(right), 0, 0, 0) == 0:
        right += 1
    _check(-1 if right == 0 else 0)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _refuse_sockets(libc: ctypes.CDLL) -> None:
    """Let the kernel refuse sockets that are not the network's: a daemon behind one would act outside.

    Raises `OSError` on a machine whose numbers are not known here.
    """
    if os.uname().machine not in MACHINES:
        raise OSError(errno.ENOSYS, "the calls of this machine are not known")
    machine, socket, keys = MACHINES[os.uname().machine]
    refused, no_such = REFUSE | errno.EAFNOSUPPORT, REFUSE | errno.ENOSYS
    # Each jump is over one instruction: "if it is so, the next; else the one after".
    rules = [(LOAD, 0, 0, KIND_OF_MACHINE), (EQUAL, 1, 0, machine), (RETURN, 0, 0, no_such)]
    rules += [(LOAD, 0, 0, NUMBER), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, no_such)]
    for number in (IO_URING_SETUP, *keys):
        rules += [(EQUAL, 0, 1, number), (RETURN, 0, 0, no_such)]
    rules += [(EQUAL, 1, 0, socket), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, FIRST_ARGUMENT)]
    for kind in INSIDE_A_NAMESPACE:
        rules += [(EQUAL, 0, 1, kind), (RETURN, 0, 0, ALLOW)]
    rules.append((RETURN, 0, 0, refused))
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(filters))
    _check(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(FILTER), program, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _lay_over(libc: ctypes.CDLL, memory: int, folder: str, upper: str, run: str, place: str = "") -> None:
    """Lay a folder of the memory over another folder, there or at another place: what is written there goes into it."""
    here = f"/proc/self/fd/{memory}/{upper}"
    for path in (here, f"{here}-work"):
        os.makedirs(path)
    options = f"lowerdir={_escaped(folder)},upperdir={here},workdir={here}-work,userxattr"
    _mount(libc, "overlay", place or folder, "overlay", 0, options)
    # A layer over a folder above hides the memory; it is shown again at its place.
    if place in ("", folder):
        _mount(libc, f"/proc/self/fd/{memory}", run, None, MS_BIND, "")


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _mount(libc: ctypes.CDLL, source: str, where: str, kind: str | None, flags: int, options: str) -> None:
    words = [None if word is None else word.encode() for word in (source, where, kind)]
    _check(libc.mount(*words, ctypes.c_ulong(flags), options.encode()))


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _start(job: dict[str, Any]) -> int:
    """Run the program in a group of its own; its status, or -1 if its time was over."""
    run, writes = job["run"], os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.chdir(job["cwd"])
    places = ((os.devnull, os.O_RDONLY), *((os.path.join(run, name), writes) for name in STREAMS))
    streams = [(os.POSIX_SPAWN_OPEN, number, path, how, 0o644) for number, (path, how) in enumerate(places)]
    broken = [_signal.SIGPIPE, _signal.SIGXFSZ]  # which Python ignores
    program = _found(job["argv"][0], job["env"])
    pid = os.posix_spawn(program, job["argv"], job["env"], file_actions=streams, setsid=True, setsigdef=broken)
    over: list[int] = []

    def stop(number: int, _: object) -> None:
        over.append(number)
        _end(pid)

    _signal.signal(_signal.SIGALRM, stop)
    _signal.alarm(job["seconds"])
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _signal.alarm(0)
    _end(pid)
    return -1 if over else status


def _end(group: int) -> None:
    """End what a program left running; in a namespace the end of this process ends all of it."""
    try:  # noqa: SIM105 - contextlib would be loaded for it
        os.killpg(group, _signal.SIGKILL)
    except ProcessLookupError:
        pass


def _found(program: str, env: dict[str, str]) -> str:
    """Return where a program is on the PATH of an environment."""
    if "/" in program:
        return program
    places = (os.path.join(folder, program) for folder in env.get("PATH", os.defpath).split(os.pathsep))
    return next((place for place in places if os.access(place, os.X_OK)), program)


def _remove(path: str) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    for name in os.listdir(path):
        _remove(os.path.join(path, name))
    os.rmdir(path)


def _write(path: str, text: str, encoding: str = "utf-8") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w", encoding=encoding, newline="") as stream:
        stream.write(text)


def _listing(root: str) -> Iterator[tuple[str, str]]:
    """Yield each file and folder below a folder with what it is: "folder", "gone", or a digest of its content."""
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted([*names, *files]):
            path = os.path.join(folder, name)
            yield os.path.relpath(path, root), _what(path)


def _what(path: str) -> str:
    if os.path.islink(path):
        return f"link to {os.readlink(path)}"
    if os.path.isdir(path):
        return "folder"
    if os.path.isfile(path):
        return blake2b(_content(path), digest_size=8).hexdigest()
    return "gone"  # a layer marks what was removed by a device


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _changed(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    changed = {path: what for path, what in after.items() if before.get(path) != what}
    return {**changed, **{path: "gone" for path in before if path not in after}}


def _bytes(path: str) -> str:
    """Return a file as text in which each byte is one character."""
    return _content(path)[:SHOWN].decode("latin-1")


if __name__ == "__main__":
    raise SystemExit(main())
