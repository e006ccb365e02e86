"""Whether a target table of a manifest counts for a triple, without asking rustc: a triple's own words tell enough.

Knows no package. Flags that only RUSTFLAGS set are off.
"""

from __future__ import annotations

from doit_cargo.engine.cargo.config.cfg import holds

_ARCHITECTURES = {"i586": "x86", "i686": "x86", "arm64": "aarch64", "armv7": "arm", "thumbv7em": "arm"}
_SYSTEMS = {"darwin": "macos"}
_FAMILIES = {"windows": "windows", "unknown": "wasm", "wasi": "wasm", "none": ""}


def applies(target: str, triple: str) -> bool:
    """Return whether ``[target.'TARGET'.dependencies]`` counts; an empty target is the plain table."""
    return not target or target == triple or (target.startswith("cfg(") and holds(target, facts(triple)))


def facts(triple: str) -> frozenset[str]:
    """Return what `rustc --print cfg` says of a triple, as far as its name tells: ``unix``, ``target_os="linux"``."""
    words = [*triple.split("-"), "", ""]
    arch = _ARCHITECTURES.get(words[0], words[0])
    system = next(
        (word for word in ("windows", "darwin", "linux", "android", "ios", "wasi") if word in words), words[2]
    )
    system = _SYSTEMS.get(system, system)
    family = _FAMILIES.get(system, "unix")
    environment = next((word for word in ("gnu", "musl", "msvc") if words[3].startswith(word)), "")
    width = "32" if arch in ("x86", "arm", "wasm32") else "64"
    found = {f'target_arch="{arch}"', f'target_os="{system}"', f'target_env="{environment}"'}
    found |= {f'target_pointer_width="{width}"', 'target_endian="little"', f'target_family="{family}"'}
    return frozenset(found | ({family} if family in ("unix", "windows") else set()))
