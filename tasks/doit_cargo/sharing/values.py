"""What stands for the value of a variable in a key that others may read: nothing secret is ever published.

A value that everybody may see stands there as it is. Another one is hidden with a secret that a team shares
(DOIT_CARGO_SHARE_SECRET); without that, what rests on it is not shared.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from typing import NoReturn

from doit_cargo.engine.base import own_key, secrets
from doit_cargo.sharing.path_set import NotShared

SHORTEST = 8  # characters of a value that is looked for in what is published
SECRET = own_key.SHARE_SECRET
HIDDEN = "hidden "
LINE = "secret"


def value_of(name: str, environ: Mapping[str, str]) -> str:
    """Return what stands for a variable's value. Raises `NotShared`."""
    value = environ.get(name)
    if value is None:
        return "unset"
    if secrets.masked(name, value) == value:
        return f"= {value}"
    key = own_key.given_secret(SECRET)
    if not key:
        fix = f"give all machines one {SECRET}, or name it in [share] ignore if it changes no result"
        raise NotShared(f"it rests on the variable {name}, which may be a secret: {fix}")
    return HIDDEN + hmac.new(os.fsencode(key), os.fsencode(f"{name}={value}"), hashlib.sha256).hexdigest()


def of_secret(lines: Mapping[str, str]) -> dict[str, str]:
    """Return a line that tells one secret from another, where lines are hidden by it: all of them differ with it."""
    key = own_key.given_secret(SECRET)
    if not key or not any(value.startswith(HIDDEN) for value in lines.values()):
        return {}
    return {LINE: HIDDEN + hmac.new(os.fsencode(key), LINE.encode(), hashlib.sha256).hexdigest()}


def published(name: str, kept: str, environ: Mapping[str, str]) -> str:
    """Return what is published for a value that is kept here, if it is that of a variable now: hidden by the team's
    secret instead of this machine's own.
    """
    value = environ.get(name)
    if value is None or secrets.shown_digest(kept) == kept or secrets.kept_value(name, value) != kept:
        return kept
    try:
        return value_of(name, environ)
    except NotShared:
        return kept


def taken(name: str, shared: str, environ: Mapping[str, str]) -> str:
    """Return what is kept here for a value that was published, if it is that of a variable here."""
    value = environ.get(name)
    if value is None or not shared.startswith(HIDDEN):
        return shared
    kept = secrets.kept_value(name, value)
    return kept if published(name, kept, environ) == shared else shared


def secret_values(environ: Mapping[str, str]) -> dict[bytes, str]:
    """Return the values that must not be published, each with the name of its variable."""
    found = {os.fsencode(value): name for name, value in environ.items() if secrets.is_secret(name)}
    found |= {os.fsencode(value): name for name, value in own_key.given_secrets().items()}
    return {value: name for value, name in found.items() if len(value) >= SHORTEST}


def require_no_secret(content: bytes, known: Mapping[bytes, str], what: str) -> None:
    """Raise `NotShared` where something that would be published holds a secret."""
    for value, name in known.items():
        if value in content:
            refuse(what, name)


def refuse(what: str, name: str) -> NoReturn:
    """Raise `NotShared` for something that holds a secret."""
    raise NotShared(f"{what} holds the value of {name}")


def is_ignored(name: str, ignored: Iterable[str]) -> bool:
    """Tell whether a variable is one of these; ``CI_*`` names all that begin so."""
    return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in ignored)
