"""Files that settings hand to rustc, rustdoc or the linker: wrappers, linkers, linker scripts, a header of pages.

Cargo looks at their names alone. Knows where such names stand, and nothing of what they mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from doit_cargo.engine.cargo.config.files import read_tables

KEYS = ("rustc", "rustc-wrapper", "rustc-workspace-wrapper", "rustdoc", "rustflags", "rustdocflags", "linker")
VARIABLES = re.compile(
    r"RUSTC|RUSTDOC|RUSTC_(WORKSPACE_)?WRAPPER|RUST(DOC)?FLAGS|CARGO_ENCODED_RUST(DOC)?FLAGS"
    r"|CARGO_BUILD_RUST\w+|CARGO_TARGET_\w+_(LINKER|RUST(DOC)?FLAGS)"
)
# It compiles as rustc itself would, so that another release of it changes no result.
HARMLESS = ("sccache", "sccache.exe")


def of_settings(root: str, environ: Mapping[str, str], chosen: Iterable[str]) -> list[str]:
    """Return the files that config files, the environment and `chosen` (values of ``--config``) name."""
    found: list[str] = []
    for path, table in read_tables(root, environ):
        # Programs are named relative to the folder that holds .cargo, what is in flags to where rustc runs.
        above = os.path.dirname(os.path.dirname(path))
        found += in_words(_words(table), (above, root))
    for name, value in environ.items():
        if VARIABLES.fullmatch(name):
            found += in_words(re.split(r"[\s\x1f]+", value), (root,))
    for text in chosen:
        found += in_words((word for quoted in re.findall(r"[\"']([^\"']+)", text) for word in quoted.split()), (root,))
    return [path for path in dict.fromkeys(found) if os.path.basename(path) not in HARMLESS]


def _words(table: Mapping[str, Any]) -> Iterator[str]:
    targets = table.get("target")
    sections = [table.get("build"), *(targets.values() if isinstance(targets, Mapping) else ())]
    for section in sections:
        for value in (section.get(key) for key in KEYS) if isinstance(section, Mapping) else ():
            texts = value if isinstance(value, list) else [value]
            yield from (word for text in texts if isinstance(text, str) for word in (text, *text.split()))


def in_words(words: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return the files among words such as ``x.ld``, ``link-arg=-Tx.ld`` or ``-Wl,--script=x.ld``."""
    parts = [part for word in words for part in (word, *re.split(r"[=,]", word)) if part]
    names = [
        name for part in parts for name in (part, re.sub(r"^-[A-Za-z]", "", part)) if "." in name or os.sep in name
    ]
    paths = [os.path.normpath(os.path.join(folder, name)) for folder in folders for name in dict.fromkeys(names)]
    return [path for path in dict.fromkeys(paths) if os.path.isfile(path)]
