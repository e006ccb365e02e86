"""The other way to observe: strace, which also sees static, setuid and Go programs, and slows a run down.

It cannot tell which variables a program asks for: each is taken to have walked over all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from doit_cargo.engine.execution.observe.model import Event, Op, Process, Unobserved

CALLS = (
    "open,openat,openat2,creat,open_by_handle_at,stat,lstat,newfstatat,statx,statfs,access,faccessat,faccessat2,"
    "readlink,readlinkat,getdents,getdents64,chdir,fchdir,execve,execveat,clone,clone3,fork,vfork,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,"
    "truncate,chmod,fchmod,fchmodat,fchmodat2,connect,bind,sendto,sendmsg,sendmmsg,getsockname,"
    "io_uring_setup,chroot,pivot_root,mount,move_mount,setns,shmget,semget,msgget,mq_open"
)
KEPT = {"CARGO_CRATE_NAME", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "LD_LIBRARY_PATH", "OUT_DIR", "PATH"}
KEPT |= {"NEXTEST_BINARY_ID", "NEXTEST_TEST_NAME"}
LINE = re.compile(r"(\d+) +(?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*)|\+\+\+ (?:exited|killed) .*)$")
RESULT = re.compile(r"^(.*)\) += (-?\d+|\?)(?:<(.*?)>)?(?: (E[A-Z]+))?.*$")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
OLD = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b'"': b'"', b"\\": b"\\"}
ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
RELATIVE_TO = re.compile(r"(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>")


class SystemCall(NamedTuple):
    """One finished system call."""

    order: int
    pid: int
    name: str
    arguments: str
    result: int
    path: str  # of the descriptor that it gave
    error: str


def command(program: str, output: str) -> list[str]:
    """Return what to put before a call."""
    traced = ",".join(f"?{call}" for call in CALLS.split(","))  # ?: not every machine and version has each
    options = ["-f", "-q", "--seccomp-bpf", "-y", "-s", "16384", "-e", f"trace={traced}", "-e", "signal=none"]
    return [program, *options, "-e", "abbrev=!execve,execveat", "-o", output, "--"]


def load(trace: str, directory: str) -> tuple[list[Process], list[Unobserved]]:
    """Return the processes of a trace; nothing of it is unobserved but what io_uring did and the dead ends."""
    try:
        with open(trace, encoding="utf-8", errors="surrogateescape") as file:
            calls = list(_calls(file))
    except FileNotFoundError:
        return [], []
    reader = _Reader(directory, calls)
    for call in calls:
        reader.take(call)
    return reader.processes, reader.unobserved


def _calls(lines: Iterable[str]) -> Iterator[SystemCall]:
    """Join what strace had to split, and order calls by their ends."""
    begun: dict[int, str] = {}
    for order, line in enumerate(lines, 1):
        found = LINE.match(line)
        if not found:
            continue
        pid, name, rest, resumed, more = int(found[1]), found[2], found[3], found[4], found[5]
        if not name and not resumed:
            yield SystemCall(order, pid, "exit", "", 0, "", "")
            continue
        if name and rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
            continue
        ended = RESULT.match(rest if name else begun.pop(pid, "") + more)
        if ended and ended[2] != "?":
            yield SystemCall(
                order, pid, name or resumed, ended[1], int(ended[2]), _plain(ended[3] or ""), ended[4] or ""
            )


def _plain(text: str) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return os.fsdecode(ESCAPE.sub(lambda found: _escaped(found[1]), raw))


def _escaped(code: bytes) -> bytes:
    if code in OLD:
        return OLD[code]
    if code[:1] == b"x":
        return bytes([int(code[1:], 16)])
    return bytes([int(code, 8)]) if code.isdigit() else code


class _Reader:
    def __init__(self, directory: str, calls: Sequence[SystemCall]) -> None:
        self.processes: list[Process] = []
        self.unobserved: list[Unobserved] = []
        self.images: dict[int, Process] = {}
        self.folders: dict[int, str] = {}
        self.directory = directory
        self.births: dict[int, list[int]] = {}
        for call in calls:
            if call.name in FORKS and call.result > 0:
                self.births.setdefault(call.result, []).append(call.pid)

    def take(self, call: SystemCall) -> None:
        if call.name == "exit":
            self.images.pop(call.pid, None)
            self.folders.pop(call.pid, None)
            return
        self._inherit(call.pid)
        if call.name in ("execve", "execveat") and call.result == 0:
            self._begin(call)
            return
        image = self.images.get(call.pid)
        if image:
            image.events += [Event(call.order, op, subject, call.pid) for op, subject in self._events(call)]
            self._blind(call, image)

    def _inherit(self, pid: int) -> None:
        """A child's lines may come before the end of the call that made it."""
        if pid in self.folders:
            return
        parent = self.births[pid].pop(0) if self.births.get(pid) else 0
        self.folders[pid] = self.folders.get(parent, self.directory)
        if parent in self.images:
            self.images[pid] = self.images[parent]

    def _begin(self, call: SystemCall) -> None:
        words = [_plain(word) for word in STRING.findall(call.arguments)]
        path = self._absolute(call.pid, call.arguments, words[0]) if words else ""
        argv, _, environ = call.arguments.partition("], [")
        before = self.images.get(call.pid)
        process = Process(call.pid, call.order, os.path.realpath(path), self.folders[call.pid])
        process.parent = before
        process.argv = tuple(_plain(word) for word in STRING.findall(argv)[1:])
        pairs = (_plain(word).split("=", 1) for word in STRING.findall(environ))
        process.variables = {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[0] in KEPT}
        process.events = [Event(call.order, Op.ENVIRONMENT, ""), Event(call.order, Op.EXECUTE, path)]
        self.images[call.pid] = process
        self.processes.append(process)

    def _absolute(self, pid: int, arguments: str, path: str) -> str:
        at = RELATIVE_TO.match(arguments)
        folder = _plain(at[1]) if at else self.folders[pid]
        return os.path.join(folder, path) if path else folder

    def _events(self, call: SystemCall) -> Iterator[tuple[Op, str]]:
        words = [_plain(word) for word in STRING.findall(call.arguments)]
        if call.name in ADDRESSED:
            yield from self._of_address(call)
        elif call.name in ("getdents", "getdents64", "fchmod"):
            at = RELATIVE_TO.match(call.arguments)
            if at and call.result >= 0:
                yield (Op.UPDATE if call.name == "fchmod" else Op.LIST), _plain(at[1])
        elif call.name == "fchdir":
            self._go(call, "")
        elif words:
            yield from self._of_path(call, words)

    def _of_address(self, call: SystemCall) -> Iterator[tuple[Op, str]]:
        import ipaddress

        op = Op.BIND if call.name in ("bind", "getsockname") else Op.CONNECT
        if op is Op.BIND and call.result:
            return
        if found := UNIX.search(call.arguments):
            path = _plain(found[2])
            if call.error == "ENOENT" and not found[1]:  # as that of a name service: what a missing file tells
                yield Op.ABSENT, os.path.join(self.folders[call.pid], path)
            else:
                yield op, f"unix {found[1]}{path}"
        elif found := INET.search(call.arguments) or INET6.search(call.arguments):
            at = ipaddress.ip_address(found[2])
            yield op, f"{at.version} {at.packed.hex()} {int(found[1]):04x}"

    def _of_path(self, call: SystemCall, words: list[str]) -> Iterator[tuple[Op, str]]:
        path = self._absolute(call.pid, call.arguments, words[0])
        if path.startswith(KERNELS_LINKS) and call.path.startswith("/"):
            path = call.path  # to which a descriptor, a directory or a root leads
        if call.error in ("ENOENT", "ENOTDIR"):
            yield Op.ABSENT, path
            if call.name.startswith("mkdir") or "O_CREAT" in call.arguments:
                yield Op.NOT_MADE, path
        elif call.error in ("EACCES", "EPERM", "ELOOP"):
            yield Op.REFUSED, path
        elif call.error:
            yield Op.STAT, path
        elif call.name.startswith(("rename", "link")):
            rest = call.arguments.split('", ', 1)[-1]
            yield Op.READ, path
            yield (Op.REMOVE if call.name.startswith("rename") else Op.LINKED), path
            made = Op.WRITE if call.name.startswith("rename") else Op.CREATED
            yield made, self._absolute(call.pid, rest, words[-1])
        elif call.name.startswith("symlink"):
            link = self._absolute(call.pid, call.arguments.split('", ', 1)[-1], words[-1])
            yield Op.CREATED, link
            target = os.path.join(os.path.dirname(link), words[0])
            yield (Op.LEADS if os.path.isdir(target) else Op.READ), target
        elif call.name == "chdir":
            self._go(call, words[0])
            yield Op.STAT, path
        else:
            for op in SIMPLE.get(call.name, _opened)(call.arguments):
                yield op, path

    def _go(self, call: SystemCall, path: str) -> None:
        if call.result == 0:
            self.folders[call.pid] = os.path.normpath(self._absolute(call.pid, call.arguments, path))

    def _blind(self, call: SystemCall, image: Process) -> None:
        if call.name == "io_uring_setup" and call.result >= 0:
            self.unobserved.append(Unobserved(image.program, "it reads and writes through io_uring", image))
        elif call.name in ELSEWHERE and call.result == 0:
            self.unobserved.append(Unobserved(image.program, "it changes what paths mean (chroot, mounts)", image))
        elif call.name in WITH_OTHERS and call.result >= 0 and not NEW.search(call.arguments):
            self.unobserved.append(Unobserved(image.program, "it shares memory or messages with others", image))


def _opened(arguments: str) -> tuple[Op, ...]:
    flags = arguments.rpartition('", ')[2]
    if "O_PATH" in flags or "O_TMPFILE" in flags:
        return (Op.STAT,)
    if "O_DIRECTORY" in flags:
        return (Op.LIST,)
    if "O_CREAT" in flags and "O_EXCL" in flags:
        return (Op.CREATED,)
    if "O_RDONLY" in flags:
        return (Op.WRITE,) if "O_TRUNC" in flags else (Op.READ,)
    if "O_TRUNC" in flags:
        return (Op.WRITE,)
    return (Op.READ, Op.UPDATE) if "O_RDWR" in flags else (Op.UPDATE,)


def _always(*ops: Op) -> Callable[[str], tuple[Op, ...]]:
    return lambda _: ops


ADDRESSED = ("connect", "bind", "sendto", "sendmsg", "sendmmsg", "getsockname")
KERNELS_LINKS = ("/proc/", "/dev/fd/")
ELSEWHERE = ("chroot", "pivot_root", "mount", "move_mount", "setns")
WITH_OTHERS = ("shmget", "semget", "msgget", "mq_open")
# Of nobody else, or made anew.
NEW = re.compile("^IPC_PRIVATE|IPC_EXCL|O_EXCL")
FORKS = ("clone", "clone3", "fork", "vfork")
SIMPLE: dict[str, Callable[[str], tuple[Op, ...]]] = {
    **dict.fromkeys(("stat", "lstat", "newfstatat", "statx", "statfs"), _always(Op.STAT)),
    **dict.fromkeys(("access", "faccessat", "faccessat2"), _always(Op.STAT)),
    **dict.fromkeys(("readlink", "readlinkat"), _always(Op.LINK)),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), _always(Op.REMOVE)),
    **dict.fromkeys(("mkdir", "mkdirat"), _always(Op.FOLDER)),
    **dict.fromkeys(("truncate", "chmod", "fchmodat", "fchmodat2"), _always(Op.UPDATE)),
    **dict.fromkeys(("mknod", "mknodat"), _always(Op.CREATED)),
    "creat": _always(Op.WRITE),
    **dict.fromkeys(("execve", "execveat", *ELSEWHERE, *WITH_OTHERS), _always()),
}
INET = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)')
INET6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"')
UNIX = re.compile(r'sa_family=AF_UNIX, sun_path=(@?)"((?:[^"\\]|\\.)*)"')
