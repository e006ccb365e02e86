"""TOML as rustup and cargo's users write it, read without importing a parser where it is plain.

Knows no key and no file: it gets text and gives a document. Whatever is not plain goes to `tomllib`.
"""

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Mapping


def read_toml(text: str) -> "dict[str, object]":
    """Return a TOML document. Plain ones, as rustup writes them, are read without importing a parser (4 ms)."""
    plain = _read_plain_toml(text)
    if plain is not None:
        return plain
    from doit_cargo.engine.base.toml import toml

    return toml.loads(text)


def _read_plain_toml(text: str) -> "dict[str, object] | None":
    """Return a document of nothing but [section], comments and `key = "text"`, else None. Other values are left out."""
    document: dict[str, object] = {}
    table = document
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            name = line[1:-1].strip()
            if not line.endswith("]") or not _is_bare(name) or name in document:
                return None
            table = {}
            document[name] = table
            continue
        pair = _plain_pair(line)
        if pair is None or pair[0] in table:
            return None
        if pair[1] is not None:
            table[pair[0]] = pair[1]
    return document


def _plain_pair(line: str) -> tuple[str, str | None] | None:
    """Return the key and the text of `key = "text"`; the text is None for a list of texts on one line."""
    if "\\" in line or "'" in line or "#" in line:
        return None
    left, equals, right = line.partition(' = "') if line.startswith('"') else line.partition("=")
    key, value = left.strip(), ('"' + right if line.startswith('"') else right).strip()
    if key.startswith('"'):
        key = key[1:-1] if key.endswith('"') and key.count('"') == 2 else ""
    elif not _is_bare(key):
        return None
    if not equals or not key:
        return None
    if value.startswith('"') and value.endswith('"') and value.count('"') == 2:
        return key, value[1:-1]
    return (key, None) if value.startswith('["') and value.endswith('"]') and "[" not in value[1:] else None


def _is_bare(key: str) -> bool:
    return key.replace("-", "").replace("_", "").isalnum() and key.isascii()


def text_at(table: "Mapping[str, object]", key: str) -> str:
    """Return the text under a key, "" where there is none or another kind of value."""
    value = table.get(key)
    return value if isinstance(value, str) else ""
