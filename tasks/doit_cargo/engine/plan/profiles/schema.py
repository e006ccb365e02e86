"""The keys of profile files and pack.toml as JSON Schema, for editors (Taplo, Even Better TOML).

Made from the tables of the check itself (`keys`), so that an editor and doit-cargo agree.
"""

from __future__ import annotations

import re

from doit_cargo.engine.plan.profiles.keys import PACK, PROFILE
from doit_cargo.engine.plan.profiles.kinds import ANY, Kind, Section

DRAFT = "http://json-schema.org/draft-07/schema#"
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # to a page of the documentation
SCHEMAS = {"profile": ("A feature profile of doit-cargo", PROFILE), "pack": ("A pack of doit-cargo", PACK)}


def schema(name: str) -> dict[str, object]:
    """Return the schema of ``profile`` or ``pack`` files."""
    title, section = SCHEMAS[name]
    return {"$schema": DRAFT, "title": title, **_table(section)}


def _table(section: Section) -> dict[str, object]:
    rest = section.get(ANY)
    return {
        "type": "object",
        "properties": {key: _value(kind) for key, kind in section.items() if key != ANY},
        "additionalProperties": _value(rest) if rest is not None else False,
    }


def _value(kind: Kind | Section) -> dict[str, object]:
    if not isinstance(kind, Kind):
        return _table(kind)
    return {**kind.schema, "description": LINK.sub(r"\1", kind.meaning)}
