"""Workspaces whose crates bear the names of real ones, with versions, features and edges that a test gives.

Crates with a version stand in for real ones of a registry: cargo finds them in a vendored folder and resolves them
alike, and pre-flight knows them by name and version.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import write
from doit_cargo.engine.base.model import Invocation, Plan, Profile
from doit_cargo.engine.preflight.requirements import inference, rules
from doit_cargo.engine.preflight.requirements.requirement import Inference

LINUX = "x86_64-unknown-linux-gnu"

Crates = Mapping[str, Mapping[str, Any]]
"""Crate -> version, features (a table), needs, build, dev (crate -> text after its path), target (a table of needs),
script (build.rs), lib, main (source texts), metadata, member (it is one though it has a version)."""

VENDORED = '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "vendor"\n'


@dataclass(frozen=True, slots=True)
class Needing:
    """A workspace on disk."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "CARGO_NET_OFFLINE": "true"}

    def lock(self) -> None:
        """Write Cargo.lock as cargo makes it."""
        command = ["cargo", "generate-lockfile", "--offline", "--quiet"]
        subprocess.run(command, cwd=self.root, check=True, env=self.environ)

    def infer(self, *argv: str, overlay: str = "", triple: str = LINUX, **environ: str) -> Inference:
        """Return what pre-flight infers for a cargo call here."""
        plan = plan_of(self.root, argv)
        known = rules.load(overlay, "profiles/sysdeps.toml")
        return inference.infer(plan, str(self.root), {**self.environ, **environ}, known, triple)

    def needs(self, *argv: str, triple: str = LINUX, **environ: str) -> dict[str, list[str]]:
        """Return thing -> crates that need it, for a cargo call in an environment."""
        found: dict[str, list[str]] = {}
        for need in self.infer(*argv, triple=triple).needs:
            if need.is_wanted(environ, triple):
                found.setdefault(need.thing, []).append(need.crate)
        return {thing: sorted(set(crates)) for thing, crates in sorted(found.items())}


def plan_of(root: Path, argv: Sequence[str]) -> Plan:
    return Plan("build", Profile("dev"), (), (), "dev", Invocation(("cargo", *argv), str(root)))


def lay_out(root: Path, crates: Crates, extra: str = "") -> Needing:
    """Write a workspace of crates; those with a version, unless they say `member`, are of a registry."""
    vendored = {name for name, crate in crates.items() if "version" in crate and not crate.get("member")}
    members = ", ".join(f'"crates/{name}"' for name in crates if name not in vendored)
    write(root / "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = [{members}]\n{extra}')
    if vendored:
        write(root / ".cargo/config.toml", VENDORED)
    for name, crate in crates.items():
        folder = root / ("vendor" if name in vendored else "crates") / name
        write(folder / "Cargo.toml", _manifest(name, crate, vendored))
        if name in vendored:
            write(folder / ".cargo-checksum.json", '{"files": {}}')
        write(folder / "src/lib.rs", crate.get("lib", ""))
        if "main" in crate:
            write(folder / "src/main.rs", crate["main"])
        if "script" in crate or crate.get("build"):
            write(folder / "build.rs", _script(crate))
    return Needing(root)


def _script(crate: Mapping[str, Any]) -> str:
    """Return the build script; one that does not say otherwise uses what it is compiled with."""
    script = str(crate.get("script", "fn main() {}\n"))
    names = [name.replace("-", "_") for name in crate.get("build", {})]
    return "".join(f"use {name} as _;\n" for name in names if not re.search(rf"\b{name}::", script)) + script


def _manifest(name: str, crate: Mapping[str, Any], vendored: Collection[str]) -> str:
    lines = ["[package]", f'name = "{name}"', f'version = "{crate.get("version", "0.1.0")}"', 'edition = "2021"']
    lines += ["[features]", *(f"{key} = {values!r}".replace("'", '"') for key, values in _features(crate).items())]
    tables = {"dependencies": "needs", "build-dependencies": "build", "dev-dependencies": "dev"}
    for table, key in tables.items():
        lines += [f"[{table}]", *_edges(crate.get(key, {}), vendored)]
    for target, edges in crate.get("target", {}).items():
        lines += [f"[target.'{target}'.dependencies]", *_edges(edges, vendored)]
    return "\n".join([*lines, crate.get("metadata", "")]) + "\n"


def _features(crate: Mapping[str, Any]) -> Mapping[str, list[str]]:
    features: Mapping[str, list[str]] = crate.get("features", {})
    return features


def _edges(edges: Mapping[str, str], vendored: Collection[str]) -> list[str]:
    places = {name: 'version = "*"' if name in vendored else f'path = "../{name}"' for name in edges}
    return [f"{name} = {{ {places[name]}{', ' if more else ''}{more} }}" for name, more in edges.items()]
