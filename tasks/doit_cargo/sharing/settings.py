"""Which store, what of it, and what of the user's own word: from the pack's ``[share]``, variables and SHARE=.

A pack may name a store to read from; a token goes only to a store that the user named, and results are written only
where a CI or the user says so. Knows nothing of results.
"""

from __future__ import annotations

import base64
import netrc
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.errors import Problem, UserError
from doit_cargo.engine.base.launch import Share
from doit_cargo.sharing import signing
from doit_cargo.sharing.carriers import Access

OFF, READ, WRITE, VERIFY = "off", "read", "write", "verify"
STORE, WRITE_TO = "DOIT_CARGO_SHARE", "DOIT_CARGO_SHARE_WRITE_TO"
NOT_SET = ("", "0", "false", "no")
# What is shipped is built, unless a pack names the target by its whole name.
ONLY_BY_NAME = ("release",)


class ShareSettings(NamedTuple):
    """What sharing may do in this call. `reads` are tried in order; `writes` is empty where nothing is published."""

    reads: tuple[str, ...]
    writes: str
    keys: tuple[str, ...]
    ignored: tuple[str, ...]
    is_named_by_user: bool
    verifies: bool = False


def takes(share: Share, target: str) -> bool:
    """Tell whether a pack shares the results of a target."""
    if target in ONLY_BY_NAME:
        return target in share.targets
    return any(fnmatchcase(target, pattern.replace("-", "_")) for pattern in share.targets or ("*",))


def of(share: Share, root: str, environ: Mapping[str, str], word: str) -> ShareSettings | None:
    """Return what may be done; None for nothing. `word` is that of SHARE=. Raises `UserError` for a bad pack."""
    store, elsewhere = environ.get(STORE, "") or share.store, environ.get(WRITE_TO, "")
    if word == OFF or not store:
        return None
    bad = [key for key in share.keys if not signing.is_key(key)]
    if bad:
        raise UserError(
            Problem(f"[share] keys: {bad[0]!r} is no public key", "as doit-cargo share key prints it", share.where)
        )
    in_ci = share.write == "ci" and environ.get("CI", "").lower() not in NOT_SET
    by_user = bool(environ.get(STORE))
    may_write = word == WRITE or (word not in (READ, VERIFY) and (in_ci or bool(elsewhere)))
    reads = tuple(dict.fromkeys(_place(name, root) for name in (elsewhere, store) if name))
    return ShareSettings(reads, reads[0] if may_write else "", share.keys, share.ignore, by_user, word == VERIFY)


def _place(address: str, root: str) -> str:
    """Return an address; a folder counts from the workspace's root."""
    return address if "://" in address else os.path.join(root, os.path.expanduser(address))


def signing_key() -> str:
    """Return the key that results are signed with, or an empty string."""
    return own_key.given_secret(own_key.SHARE_SIGNING_KEY)


def access(address: str, settings: ShareSettings) -> Access:
    """Return what a store is told of who we are: the user's token for one that the user named, else what netrc has."""
    token = own_key.given_secret(own_key.SHARE_TOKEN)
    if token and settings.is_named_by_user:
        return Access(authorization=f"Bearer {token}")
    return Access(authorization=_of_netrc(urlsplit(address).hostname or ""))


def _of_netrc(host: str) -> str:
    if not host:
        return ""
    try:
        found = netrc.netrc().hosts.get(host)
    except (OSError, netrc.NetrcParseError):
        return ""
    if not found:
        return ""
    login, _, password = found
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def shown(address: str) -> str:
    """Return a store as a message names it: its host, or the folder."""
    return urlsplit(address).hostname or address
