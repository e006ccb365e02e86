"""Who says that a result is right: Ed25519 over all that it says, the action that it answers included.

As soon as a pack names public keys, an unsigned result is none. Only that needs cryptography (the extra ``remote``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TYPE_CHECKING

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX = "ed25519:"
SIZE = 32


def is_key(text: str) -> bool:
    """Tell whether a text is a public key as a pack writes it."""
    try:
        return text.startswith(PREFIX) and len(base64.b64decode(text.removeprefix(PREFIX), validate=True)) == SIZE
    except binascii.Error:
        return False


def _private(text: str) -> Ed25519PrivateKey:
    _require_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text.removeprefix(PREFIX), validate=True))
    except ValueError:
        what = "DOIT_CARGO_SHARE_SIGNING_KEY is no Ed25519 key"
        raise UserError(Problem(what, "make one: doit-cargo share key")) from None


def new_pair() -> tuple[str, str]:
    """Return a new private key and its public one, as text."""
    _require_library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    return (
        PREFIX + base64.b64encode(private.private_bytes_raw()).decode(),
        PREFIX + base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    )


def sign(content: bytes, private: str) -> str:
    """Return the signature of bytes. Raises `UserError` for a key that is none."""
    return base64.b64encode(_private(private).sign(content)).decode()


def is_signed(content: bytes, signature: str, keys: Iterable[str]) -> bool:
    """Tell whether one of these keys has signed bytes."""
    _require_library()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        signed = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    for key in keys:
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix(PREFIX)))
            public.verify(signed, content)
        except (InvalidSignature, ValueError):
            continue
        return True
    return False


def _require_library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        what = "signatures need cryptography, which is not installed"
        raise UserError(Problem(what, "pip install 'doit-cargo[remote]'"), COULD_NOT_RUN) from None
