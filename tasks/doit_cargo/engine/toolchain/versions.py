"""What a program says of its version, and whether that fits a PEP 440 specifier. Knows text only."""


def version_in(text: str, pattern: str) -> str:
    """Return the last group of `pattern` that matched: patterns name the more exact version last."""
    import re

    found = re.search(pattern, text, re.MULTILINE)
    groups = found.groups() if found else ()
    return str(next((group for group in reversed(groups) if group), "")).rstrip(".,")


def family_in(text: str) -> str:
    """Return the family of a compiler, "" for any other program."""
    lowered = text.lower()
    if "clang version" in lowered:
        return "clang"
    return "gcc" if "free software foundation" in lowered or "gcc" in lowered or "g++" in lowered else ""


def satisfies(version: str, specifier: str) -> bool:
    """Return whether a version fits a PEP 440 specifier; an unknown version fits only the empty one.

    `packaging` costs 25 ms to import, so bounds between plain numbers, nearly all there is, are compared here.
    """
    if not specifier.strip():
        return True
    if not version:
        return False
    plain = [_fits_bound(version, clause.strip()) for clause in specifier.split(",")]
    if None not in plain:
        return all(plain)
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def _fits_bound(version: str, clause: str) -> bool | None:
    """Return whether plain numbers fit one bound, None if that is for `packaging` to say."""
    operator = clause.rstrip("0123456789. ")
    left, right = _numbers(version), _numbers(clause[len(operator) :].strip())
    if left is None or right is None:
        return None
    length = max(len(left), len(right))
    left, right = left + [0] * (length - len(left)), right + [0] * (length - len(right))
    known = {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right, "==": left == right}
    return known.get(operator)


def _numbers(version: str) -> list[int] | None:
    parts = version.split(".")
    return [int(part) for part in parts] if all(part.isdecimal() and part.isascii() for part in parts) else None


def major_minor(version: str) -> str:
    """Return 3.14 of 3.14.0."""
    return ".".join(version.split(".")[:2])


def split_need(need: str) -> tuple[str, str]:
    """Return (name, specifier) of a tool that a row needs.

    >>> split_need("maturin>=1.4"), split_need("cl.exe")
    (('maturin', '>=1.4'), ('cl.exe', ''))
    """
    import re

    name = re.split(r"[<>=!~]", need, maxsplit=1)[0]
    return name.strip(), need[len(name) :].strip()
