"""What was built here beside what is stored as the same result: which file differs, and whether that can matter.

Two programs that differ only in what is not loaded, such as debug information or a build id, do the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

from doit_cargo.sharing import elf
from doit_cargo.sharing.carriers import Carrier
from doit_cargo.sharing.result import File, SharedResult

FIX = "find out what was not seen (doit-cargo observed), and take the target out of [share] targets until then"


def compare(carrier: Carrier, stored: SharedResult, files: Mapping[File, str]) -> tuple[list[str], str]:
    """Return (differences, what is told where there is none). Raises `CarrierError`."""
    known, here = {one.path: one for one in stored.files}, {one.path: one for one in files}
    found = [f"{path} is stored, and was not built here" for path in known if path not in here]
    found += [f"{path} was built here, and is not stored" for path in here if path not in known]
    others = [path for path in here if path in known and known[path][1:] != here[path][1:]]
    unlike = [path for path in others if not _alike(carrier, known[path], files[here[path]])]
    found += [f"{path} differs from what {stored.told['machine']} built" for path in unlike]
    same = len(here) - len(others)
    count = f"{same} file{'' if same == 1 else 's'} the same" if here else "it passes there too"
    more = f", {len(others)} alike but for debug information or a build id" if others else ""
    return found, f"verified against what {stored.told['machine']} built: {count}{more}"


def _alike(carrier: Carrier, stored: File, path: str) -> bool:
    with tempfile.TemporaryFile() as draft, open(path, "rb") as mine:
        if not carrier.fetch(stored.digest, draft):
            return False
        draft.seek(0)
        try:
            return list(elf.loaded(draft.read())) == list(elf.loaded(mine.read()))
        except elf.UnknownError:
            return False
