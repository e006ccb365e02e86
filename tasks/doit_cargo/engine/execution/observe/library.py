"""The observer's library, compiled by the user's C compiler when it is first wanted and kept in their cache folder.

Its name holds the digest of the sources and the compiler's own identity. Knows nothing of what it will observe.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from doit_cargo.engine.base import atomic, own_key
from doit_cargo.engine.base.paths import which
from doit_cargo.engine.base.process.processes import answer

SOURCES = os.path.join(os.path.dirname(__file__), "native")
OPTIONS = ("-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-builtin")
SECONDS = 120


class NotHere(Exception):  # noqa: N818 - a state of the machine, not a fault
    """This machine cannot observe in this way: why, and what would help."""

    def __init__(self, why: str, fix: str = "") -> None:
        self.why = why
        self.fix = fix
        super().__init__(f"{why}; {fix}" if fix else why)


def build(environ: Mapping[str, str], cache: str = "") -> str:
    """Return the path of the compiled library. Raises `NotHere` without a compiler, or if it cannot compile this."""
    compiler = which(environ.get("CC", "") or "cc", environ)
    if not compiler:
        raise NotHere("there is no C compiler (cc) on PATH, and the observer is compiled here", "install gcc or clang")
    folder = cache or cache_folder(environ)
    path = os.path.join(folder, f"observe-{_key(compiler)}.so")
    if not os.path.exists(path):
        _compile(compiler, environ, path)
    return path


def unseen(library: str, program: str) -> tuple[str, bool]:
    """Return why a program cannot be observed, "" if it can, and whether the library would break it."""
    try:
        import ctypes

        judge, is_harmful = ctypes.CDLL(library).doit_cargo_unseen, ctypes.c_bool()
    except (ImportError, OSError):
        return "the observer's library cannot be loaded", True
    judge.restype = ctypes.c_char_p
    reason: bytes = judge(os.fsencode(program), ctypes.byref(is_harmful))
    return reason.decode(), is_harmful.value


def cache_folder(environ: Mapping[str, str]) -> str:
    """Return the user's folder for what can be made again."""
    home = environ.get("HOME") or os.path.expanduser("~")
    return os.path.join(environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "doit-cargo")


def _key(compiler: str) -> str:
    """Sources, options, and the compiler by the file that it is: asking its version would start it each time."""
    digest = own_key.blake2b(digest_size=12)
    for name in sorted(os.listdir(SOURCES)):
        with open(os.path.join(SOURCES, name), "rb") as source:
            digest.update(name.encode() + b"\0" + source.read())
    real = os.path.realpath(compiler)
    found = os.stat(real)
    digest.update(repr((OPTIONS, real, found.st_size, found.st_mtime_ns, os.confstr("CS_GNU_LIBC_VERSION"))).encode())
    return digest.hexdigest()


def _compile(compiler: str, environ: Mapping[str, str], path: str) -> None:
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        import tempfile

        handle, draft = tempfile.mkstemp(dir=folder, prefix=".observe-", suffix=".so")
        os.close(handle)
    except OSError as error:
        raise NotHere(f"{folder} cannot be written: {error.strerror}", "set XDG_CACHE_HOME") from error
    try:
        sources = [os.path.join(SOURCES, name) for name in sorted(os.listdir(SOURCES)) if name.endswith(".c")]
        _run([compiler, *OPTIONS, "-o", draft, *sources, "-ldl"], environ)
        os.chmod(draft, 0o500)
        atomic.put(draft, path)
    finally:
        if os.path.exists(draft):
            os.unlink(draft)


def _run(argv: list[str], environ: Mapping[str, str]) -> None:
    done = answer(argv, environ, SECONDS)
    if not done.started or not done.in_time:
        raise NotHere(f"{argv[0]} could not be run: {done.err.strip()}")
    if not done.ok:
        said = next((line for line in done.err.splitlines() if "error" in line), done.err.strip()[:200])
        raise NotHere(f"{argv[0]} cannot compile the observer: {said}", "install the C library's headers (libc6-dev)")
