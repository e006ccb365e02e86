"""Asking a program a question: within a time, and once. The answers are kept on disk with what makes them good.

Knows no tool and no version: an answer is a dict of the asker's, good while its files keep their stamps.
"""

import contextlib
import os

from doit_cargo.engine.base import atomic, own_key
from doit_cargo.engine.base.process import processes

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION_SECONDS = 5.0
# A script may hand over to another program tomorrow without a change of its own: its answer is believed so long.
SCRIPT_SECONDS = 3600.0
CACHE_FORMAT = 1
# One program under many names: its own version says nothing of the compiler behind it.
DISPATCHERS = frozenset({"ccache", "sccache", "distcc", "icecc", "busybox", "pyenv", "asdf", "mise"})


class VersionCache:
    """Answers of tools on disk, each good while the files that gave it stay the same. A torn file is an empty one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._answers: dict[str, dict[str, object]] | None = None

    def get(self, key: str) -> dict[str, object] | None:
        """Return the answer kept under `key` if its files still have their stamps."""
        answer = self._all().get(key)
        if not isinstance(answer, dict) or _has_expired(answer):
            return None
        stamps = answer.get("stamps")
        if not isinstance(stamps, dict) or not stamps:
            return None
        return answer if all(stamp_of(path) == kept for path, kept in stamps.items()) else None

    def put(self, key: str, answer: dict[str, object]) -> None:
        """Keep an answer, and write all of them; a cache that cannot be written is no error."""
        self._answers = {**self._load(), **self._all(), key: answer}
        if self.path:
            import json

            sealed = own_key.sealed({"format": CACHE_FORMAT, "answers": self._answers})
            with contextlib.suppress(OSError):
                atomic.write(self.path, json.dumps(sealed), closed=True)

    def _all(self) -> dict[str, dict[str, object]]:
        if self._answers is None:
            self._answers = self._load()
        return self._answers

    def _load(self) -> dict[str, dict[str, object]]:
        import json

        try:
            with open(self.path, encoding="utf-8") as file:
                kept = own_key.unsealed(json.load(file)) or {}
        except (OSError, ValueError):
            return {}
        answers = kept.get("answers")
        return answers if kept.get("format") == CACHE_FORMAT and isinstance(answers, dict) else {}


def _has_expired(answer: "Mapping[str, object]") -> bool:
    import time

    until = answer.get("until")
    return isinstance(until, int | float) and time.time() > until


def stamp_of(path: str) -> list[int]:
    """Return size, mtime and inode of a file, [] where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def key_of(name: str, path: str, real: str, environ: "Mapping[str, str]", directory: str) -> str:
    """Return the cache's key. What a script answers may hang on PATH and on the directory (pyenv's shims do)."""
    key = f"{name}|{path}|{real}"
    return f"{key}|{environ.get('PATH', '')}|{directory}" if _is_indirect(real) else key


def validity_of(*paths: str) -> dict[str, object]:
    """Return what keeps an answer good: the stamps of its files, and a time for what stands for another."""
    import time

    stamps = {path: stamp_of(path) for path in paths}
    indirect = any(_is_indirect(path) for path in paths)
    return {"stamps": stamps, "until": time.time() + SCRIPT_SECONDS} if indirect else {"stamps": stamps}


def _is_indirect(path: str) -> bool:
    """Return whether a program only stands for another: a script, or a dispatcher such as ccache."""
    if os.path.splitext(os.path.basename(path))[0] in DISPATCHERS:
        return True
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def ask(argv: "Sequence[str]", environ: "Mapping[str, str]", directory: str = "") -> str:
    """Return all that a program prints, "" if it fails or takes longer than `VERSION_SECONDS`."""
    done = processes.answer(argv, environ, VERSION_SECONDS, directory if os.path.isdir(directory) else None)
    return f"{done.out}{done.err}" if done.ok else ""
