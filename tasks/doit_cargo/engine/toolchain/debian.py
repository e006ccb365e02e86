"""Which package of Debian has a library, a header or a .pc file: a table made of Debian's own lists of files.

docs/debian_packages.py makes it. Read only after a failure; knows nothing of why a file is wanted.
"""

from __future__ import annotations

import gzip
import os
import re
from functools import cache

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "debian.txt.gz")


def package_of(name: str) -> str:
    """Return the package of what a log names: `alsa`, `asound`, `alsa/asoundlib.h`, `libasound.so.2`; "" for none."""
    known = _packages()
    base = name.rpartition("/")[2]
    stem = re.sub(r"^lib(?=\w)", "", base)
    asked = (
        [name, base] if re.search(r"\.(?:h|hh|hpp|pc)$|\.so\.\d", base) else [f"{base}.pc", f"-l{base}", f"-l{stem}"]
    )
    soname = re.match(r"(lib.+\.so\.\d+)", base)
    asked += [soname[1]] if soname else []
    folder = f"{name.partition('/')[0]}/" if "/" in name else ""
    return next((known[one] for one in (*asked, folder) if one in known), "")


@cache
def _packages() -> dict[str, str]:
    with gzip.open(TABLE, "rt", encoding="utf-8") as lines:
        rows = (line.split() for line in lines)
        return {what: row[0] for row in rows for what in row[1:]}
