"""The user's own key: what is kept between calls is sealed with it, and values of variables are hidden with it.

State lies in the checkout, and a checkout comes from anywhere: only what carries a seal of this key was written by
this user. The key is made at first use in the user's state folder; a CI gives it as the secret variable
DOIT_CARGO_KEY. Imports nothing that costs start-up time, and knows nothing of what is sealed.
"""

from __future__ import annotations

import os
import sys

from doit_cargo.engine.base.errors import Problem, UserError

try:
    from _blake2 import blake2b as blake2b  # noqa: PLC0414 - for others too: hashlib loads OpenSSL, 4 ms of each call
except ImportError:
    from hashlib import blake2b as blake2b  # noqa: PLC0414

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VARIABLE = "DOIT_CARGO_KEY"
# Secrets of sharing: who we are to a store, what results are signed with, what values are hidden with.
SHARE_TOKEN, SHARE_SIGNING_KEY, SHARE_SECRET = (
    "DOIT_CARGO_SHARE_TOKEN",
    "DOIT_CARGO_SHARE_SIGNING_KEY",
    "DOIT_CARGO_SHARE_SECRET",
)
SHORTEST = 16  # characters of a key that is given
SIZE = 32
SEAL_SIZE = 16
SEAL = "doit-cargo seal"  # the name of a seal within JSON


class _Held:
    """The key of this process, and why it will not be there for the next one."""

    __slots__ = ("given", "key", "trouble")

    def __init__(self) -> None:
        self.given: dict[str, str] = {}
        self.key = b""
        self.trouble = ""


_held = _Held()


def adopt() -> None:
    """Take the secrets that the environment gives, also from all children. Raises `UserError` for a weak key."""
    for name in (SHARE_TOKEN, SHARE_SIGNING_KEY, SHARE_SECRET):
        if name in os.environ:
            _held.given[name] = os.environ.pop(name)
    given = os.environ.pop(VARIABLE, "")
    if not given:
        return
    if len(given) < SHORTEST:
        fix = f"give at least {SHORTEST} characters, for example from: openssl rand -hex 32"
        raise UserError(Problem(f"{VARIABLE} is too short to be a key", fix))
    use(blake2b(os.fsencode(given), digest_size=SIZE).digest())


def given_secret(name: str) -> str:
    """Return another secret that the environment gave, and that no child gets."""
    return _held.given.get(name, "")


def given_secrets() -> dict[str, str]:
    """Return all of them by their names."""
    return dict(_held.given)


def use(key: bytes) -> None:
    """Have this process use a key, such as that of the process that it works for."""
    _held.key = key


def key() -> bytes:
    """Return the key: the one that was given, else the user's, made at first use; where it cannot be kept, any."""
    if not _held.key:
        try:
            _held.key = _kept(folder())
        except OSError as error:
            _held.key = os.urandom(SIZE)
            _held.trouble = f"{error.filename or folder()}: {error.strerror or error}"
    return _held.key


def folder(environ: Mapping[str, str] = os.environ) -> str:
    """Return the user's own state folder. Raises OSError where a user has none."""
    named = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(named) and os.name == "nt":
        named = environ.get("LOCALAPPDATA", "")
    if not os.path.isabs(named):
        named = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
    if not os.path.isabs(named):
        raise FileNotFoundError(2, "HOME names no folder", named)
    return os.path.join(named, "doit-cargo")


def tell_trouble() -> None:
    """Say once a process that what it keeps is worth nothing to the next one."""
    if _held.trouble:
        sys.stderr.write(
            f"doit-cargo: no key can be kept, so that nothing is remembered for the next call: {_held.trouble}\n"
            f"  fix: make it writable, set XDG_STATE_HOME to a folder that is, or give the key in {VARIABLE}\n"
        )
        _held.trouble = ""


def _kept(place: str) -> bytes:
    path = os.path.join(place, "key")
    found = _read(path)
    if not found:
        from doit_cargo.engine.base import private

        private.folder(place)
        _write(path)
        found = _read(path)
    if not found:
        raise OSError(5, "it holds no key", path)
    return found


def _read(path: str) -> bytes:
    """Return the key in a file, nothing for a missing or broken one. Raises OSError for one that is not ours to use."""
    try:
        with open(path, "rb") as stream:
            found = os.fstat(stream.fileno())
            if os.name != "nt":
                if os.geteuid() not in (found.st_uid, 0):
                    raise PermissionError(1, "it belongs to another user", path)
                if found.st_mode & 0o077:
                    os.chmod(path, 0o600)
            content = stream.read(SIZE + 1)
    except FileNotFoundError:
        return b""
    return content if len(content) == SIZE else b""


def _write(path: str) -> None:
    """Make the key, whole and under its name at once: of two processes that do, both get the same."""
    from doit_cargo.engine.base import atomic, private

    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "wb", opener=private.opener) as stream:
        stream.write(os.urandom(SIZE))
    try:
        if _is_broken(path):
            atomic.put(temporary, path)
        else:
            os.link(temporary, path)
    except FileExistsError:
        pass  # another process was faster
    except OSError:
        atomic.put(temporary, path)  # a file system without links
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _is_broken(path: str) -> bool:
    return os.path.exists(path) and not _read(path)


def seal(*parts: bytes) -> bytes:
    """Return the seal of some bytes, which nobody makes without the key."""
    made = blake2b(digest_size=SEAL_SIZE, key=key(), person=b"state")
    for part in parts:
        made.update(part)
    return made.digest()


def fingerprint(text: str) -> str:
    """Return what tells a text from another one and cannot be turned back, nor guessed without the key."""
    content = text.encode("utf-8", "surrogateescape")
    return blake2b(content, digest_size=SEAL_SIZE, key=key(), person=b"variable").hexdigest()


def sealed(data: Mapping[str, object]) -> dict[str, object]:
    """Return data that goes into a JSON file, with its seal."""
    return {**data, SEAL: _seal_of(data)}


def unsealed(data: object) -> dict[str, Any] | None:
    """Return what `sealed` was given, or None for what others wrote."""
    if not isinstance(data, dict) or SEAL not in data:
        return None
    content = {name: value for name, value in data.items() if name != SEAL}
    return content if data[SEAL] == _seal_of(content) else None


def _seal_of(data: Mapping[str, object]) -> str:
    import json

    return seal(json.dumps(data, sort_keys=True).encode()).hex()
