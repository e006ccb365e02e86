"""Makes the table of the files of Debian's packages: which package has a library, a header or a .pc file.

    python docs/debian_packages.py Contents-amd64.gz Contents-all.gz

The two files are those of dists/stable/main of a Debian mirror. Writes tasks/doit_cargo/data/debian.txt.gz: a line a
package, its name and then what it has: `alsa.pc`, `-lasound`, `libasound.so.2`, a header below an include folder, or
`openssl/` for a folder of headers that is its alone.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TABLE = Path(__file__).parents[1] / "tasks/doit_cargo/data/debian.txt.gz"
MULTIARCH = r"(?:x86_64-linux-gnu/)?"
# What is wanted of a path: the group is the name, the text how the table has it.
KINDS = {
    re.compile(rf"usr/(?:lib|share)/{MULTIARCH}pkgconfig/([^/]+\.pc)$"): "{}",
    re.compile(rf"(?:usr/)?lib/{MULTIARCH}lib([^/]+)\.(?:so|a)$"): "-l{}",
    re.compile(rf"(?:usr/)?lib/{MULTIARCH}(lib[^/]+\.so\.\d+)$"): "{}",
    re.compile(rf"usr/include/{MULTIARCH}([^/]+\.h[ph]?p?|[^/]+/[^/]+\.h[ph]?p?)$"): "{}",
}
# Compilers and libraries for other machines, and what is no development package.
OTHERS = re.compile(
    r"-(?:cross|mingw-w64|avr|dbg|doc)\b|^(?:android|mingw|avr|gcc-|g\+\+-|libc6-dev-|linux-headers|dietlibc|musl"
    r"|syslinux|libklibc|newlib|picolibc)"
)
SHARED = 8  # a folder of headers that more packages fill tells nothing


def wanted(path: str) -> str:
    """Return what the table says of a path, or nothing."""
    matches = ((pattern.match(path), text) for pattern, text in KINDS.items())
    return next((text.format(found[1]) for found, text in matches if found), "")


def read(contents: Path) -> Iterator[tuple[str, str]]:
    """Yield (what, package) of a Contents file of main."""
    with gzip.open(contents, "rt", errors="replace") as lines:
        for line in lines:
            path, _, places = line.rstrip("\n").rpartition(" ")
            what = wanted(path.rstrip())
            for place in places.split(",") if what else ():
                section, _, package = place.rpartition("/")
                develops = "-dev" in package or section in ("libdevel", "devel")
                if (develops or ".so." in what) and not OTHERS.search(package):
                    yield what, package


def best(what: str, packages: set[str]) -> str:
    """Return the package to name of several: one that is called like it, then the one with the shortest name."""
    name = re.sub(r"^(?:-l|lib)", "", what.lower())[:5]
    return min(packages, key=lambda package: (name not in package, len(package), package))


def table(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return package -> what it has."""
    folders: dict[str, set[str]] = defaultdict(set)
    for what, packages in found.items():
        if "/" in what:
            folders[what.partition("/")[0]] |= packages
    rows: dict[str, set[str]] = defaultdict(set)
    for what, packages in found.items():
        folder = what.partition("/")[0] if "/" in what else ""
        if folder and len(folders[folder]) == 1:
            rows[best(what, packages)].add(f"{folder}/")
        elif not folder or len(folders[folder]) <= SHARED:
            rows[best(what, packages)].add(what)
    return rows


def main() -> None:
    """Read the Contents files that are named and write the table."""
    found: dict[str, set[str]] = defaultdict(set)
    for contents in sys.argv[1:]:
        for what, package in read(Path(contents)):
            found[what].add(package)
    lines = (f"{package} {' '.join(sorted(whats))}\n" for package, whats in sorted(table(found).items()))
    TABLE.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
