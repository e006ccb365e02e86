"""What of the environment and of command lines may be shown and kept; all else is shown as `***`, kept as a digest.

A value is shown if its name is on the list of harmless ones, and nowhere a password within a URL. Imports nothing
that costs start-up time.
"""

from __future__ import annotations

from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.plain_text import HIDDEN, without_passwords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_DIGEST = "hidden:"
# What ends a word of a name that speaks of a secret, and whole words that do.
ENDS = ("TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY")
WORDS = frozenset(
    {"KEY", "KEYS", "PAT", "PASS", "AUTH", "AUTHORIZATION", "COOKIE", "PIN", "DSN", "CREDENTIAL", "CREDENTIALS"}
)

# Names whose values say how something is built or shown, and nothing that has to be kept from anybody.
_BEGINNINGS = """
AR_ BINDGEN_ CANDLE_ CARGO_ CC_ CFLAGS_ CLANG CMAKE_ CONDA_ CUDA_ CUDNN_ CXXFLAGS_ CXX_ DOIT_CARGO_ LC_ LIBCLANG_ LLVM_
MISTRALRS_METAL_ MKL NCCL_ NEXTEST_ NVCC_ PKG_CONFIG_ PYO3_ PYTHON RUST XDG_
"""
_NAMES = """
AR CARGO CC CCACHE_DIR CFLAGS CI COLUMNS CPATH CPPFLAGS CUDA CXX CXXFLAGS DEBUG DEVELOPER_DIR DOCS_RS DYLD_LIBRARY_PATH
FORCE HF_HOME HOME HOST INCLUDE JOBS LANG LANGUAGE LD LDFLAGS LD_LIBRARY_PATH LIB LIBRARY_PATH LIBTORCH LINES LOGNAME
MACOSX_DEPLOYMENT_TARGET MAKEFLAGS NO_COLOR NUM_JOBS NVCC NVTE_CUDA_ARCHS OMP_NUM_THREADS OPENSSL_DIR OPT_LEVEL OUT_DIR
PATH PROFILE PROTOC PWD RAYON_NUM_THREADS SCCACHE_CACHE_SIZE SCCACHE_DIR SCCACHE_IDLE_TIMEOUT SCCACHE_SERVER_PORT
SDKROOT SHELL SOURCE_DATE_EPOCH TARGET TEMP TERM TMP TMPDIR TORCH_CUDA_ARCH_LIST TZ USER VERBOSE VIRTUAL_ENV
"""
HARMLESS_BEGINNINGS = tuple(_BEGINNINGS.split())
HARMLESS = frozenset(_NAMES.split())


def is_secret(name: str) -> bool:
    """Tell whether a name, of a variable or an option, speaks of a secret."""
    words = name.upper().replace("-", "_").replace(".", "_").split("_")
    return any(word in WORDS or word.endswith(ENDS) for word in words)


def is_harmless(name: str) -> bool:
    """Tell whether everybody may see the value of a variable."""
    return (name in HARMLESS or name.startswith(HARMLESS_BEGINNINGS)) and not is_secret(name)


def masked(name: str, value: str) -> str:
    """Return a variable's value as it may be shown and logged."""
    return _without_login(name, value) if is_harmless(name) else HIDDEN


def _without_login(name: str, value: str) -> str:
    """Return a value without passwords; a proxy's needs no scheme before its `user:password@`."""
    if "PROXY" in name and "@" in value and "://" not in value:
        return f"{HIDDEN}@{value.rpartition('@')[2]}"
    return without_passwords(value)


def shown_words(words: Iterable[str]) -> list[str]:
    """Return arguments without the values of those whose name speaks of a secret, and without URLs' passwords.

    >>> shown_words(["x", "--token", "1", "--api-key=2", "--config", 'registries.a.token="3"', "Authorization: 4"])
    ['x', '--token', '***', '--api-key=***', '--config', 'registries.a.token=***', 'Authorization: ***']
    """
    found: list[str] = []
    hide = False
    for word in words:
        shown = HIDDEN if hide else _shown_word(word)
        found.append(shown)
        hide = not hide and word.startswith("-") and "=" not in word and is_secret(word)
    return found


def _shown_word(word: str) -> str:
    head, colon, _ = word.partition(": ")
    if colon and is_secret(head):
        return f"{head}: {HIDDEN}"
    pieces = word.split("=")
    for count in range(1, len(pieces)):
        if is_secret(pieces[count - 1]):
            return f"{'='.join(pieces[:count])}={HIDDEN}"
    return without_passwords(word)


def kept(value: str) -> str:
    """Return a value as it may be kept: one that holds a password as a digest, which still tells it from others."""
    return value if "://" not in value or without_passwords(value) == value else digest(value)


def kept_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return arguments as they may be kept."""
    return tuple(word if word == shown else digest(word) for word, shown in zip(words, shown_words(words), strict=True))


def digest(value: str) -> str:
    """Return what stands for a value that nobody shall read."""
    return _DIGEST + own_key.fingerprint(value)


def kept_value(name: str, value: str) -> str:
    """Return a variable's value as it may be kept."""
    return value if masked(name, value) == value else digest(value)


def shown_digest(value: str) -> str:
    """Return a kept value as it may be shown."""
    return HIDDEN if value.startswith(_DIGEST) else value
