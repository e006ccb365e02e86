"""The keys of profile files and pack.toml as JSON Schema, for editors (Taplo, Even Better TOML).

Made from the same tables as the check (files.py), so that an editor and doit-cargo agree.
"""

from __future__ import annotations

from doit_cargo.engine.base.model import DETECTORS, PLATFORMS, POOLS
from doit_cargo.engine.plan.profiles import files
from doit_cargo.engine.plan.profiles.files import ANY, Kind, Section

DRAFT = "http://json-schema.org/draft-07/schema#"
TEXTS: dict[str, object] = {"type": "array", "items": {"type": "string"}}
ENV: dict[str, object] = {
    "oneOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"unset": {"const": True}},
            "required": ["unset"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"detect": {"enum": list(DETECTORS)}},
            "required": ["detect"],
            "additionalProperties": False,
        },
    ]
}
# By identity: kinds are few, each defined once in files.py.
KINDS: tuple[tuple[Kind, dict[str, object]], ...] = (
    (files.TEXT, {"type": "string"}),
    (files.SPECIFIER, {"type": "string"}),
    (files.FLAG, {"type": "boolean"}),
    (files.POSITIVE, {"type": "integer", "minimum": 1}),
    (files.LIST, TEXTS),
    (files.FEATURES, TEXTS),
    (files.NAMES, {"oneOf": [{"type": "string"}, TEXTS]}),
    (files.ON_PLATFORMS, {"type": "array", "items": {"enum": list(PLATFORMS)}}),
    (files.SHA256, {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    (files.TRIPLES, TEXTS),
    (files.LANGUAGES, {"type": "array", "items": {"enum": list(files.FORMATTED)}}),
    (files.DUPLICATES, TEXTS),
    (files.COUNT, {"type": "integer", "minimum": 0}),
    (files.LANE, {"enum": list(POOLS)}),
    (files.CONFIG, {"type": "object"}),
    (files.ENV, ENV),
    (files.BUILD_FILE, {"enum": list(files.BUILD_FILES)}),
    (files.PLAIN_FILE, {"type": "string"}),
    (files.PLAIN_GOAL, {"type": "string"}),
    (files.PLAIN_GOALS, TEXTS),
    (files.PLAIN_VARIABLES, TEXTS),
    (files.PLAIN_TARGET, {"type": "string"}),
)
SCHEMAS = {"profile": files.PROFILE, "pack": files.PACK}


def schema(name: str) -> dict[str, object]:
    """Return the schema of ``profile`` or ``pack`` files."""
    title = {"profile": "A feature profile of doit-cargo", "pack": "A pack of doit-cargo"}[name]
    return {"$schema": DRAFT, "title": title, **_table(SCHEMAS[name])}


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
    return next((form for known, form in KINDS if known is kind), {})
