"""What is answered without cargo of features and dependencies is what ``cargo tree`` says, for workspaces drawn by lot.

Optional, renamed, build and test dependencies, tables of targets, macros, weak and strong features, both resolvers.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from conftest import needs_cargo, write
from doit_cargo.engine.cargo import metadata
from doit_cargo.engine.cargo.resolver import FeatureGraph
from doit_cargo.engine.cargo.resolver.built import Call, built

pytestmark = needs_cargo

LINUX = "x86_64-unknown-linux-gnu"
TABLES = {
    "normal": "dependencies",
    "build": "build-dependencies",
    "dev": "dev-dependencies",
    "windows": "target.'cfg(windows)'.dependencies",
    "unix": "target.'cfg(unix)'.dependencies",
    "windows scripts": "target.'cfg(windows)'.build-dependencies",
}
PACKAGES = [f"p{number}" for number in range(7)]
FEATURES = ("f", "g", "h")


def _manifest(number: int, lot: random.Random) -> str:
    """Write a package that may depend on all with a higher number."""
    below = [name for name in PACKAGES[number + 1 :] if lot.random() < 0.6]
    rows, optional, names = [], [], []
    for name in below:
        kind = lot.choice(["normal"] * 4 + [*TABLES])
        key = f"r{name}" if lot.random() < 0.2 else name
        parts = [f'path = "../{name}"'] + ([f'package = "{name}"'] if key != name else [])
        parts += ["default-features = false"] if lot.random() < 0.4 else []
        parts += [f'features = ["{lot.choice(FEATURES)}"]'] if lot.random() < 0.4 else []
        if kind != "dev" and lot.random() < 0.5:
            parts.append("optional = true")
            optional.append(key)
        if kind != "dev":
            names.append(key)
        rows.append(f"[{TABLES[kind]}.{key}]\n" + "\n".join(parts) + "\n")
    lines = [f"{feature} = {_values(place, names, optional, lot)}" for place, feature in enumerate(FEATURES)]
    default = [name for name in FEATURES if lot.random() < 0.3]
    macro = "[lib]\nproc-macro = true\n" if lot.random() < 0.2 else ""
    head = f'[package]\nname = "{PACKAGES[number]}"\nversion = "0.1.0"\nedition = "2021"\n{macro}'
    return head + f"[features]\ndefault = {default}\n" + "\n".join(lines) + "\n" + "\n".join(rows)


def _values(place: int, names: list[str], optional: list[str], lot: random.Random) -> list[str]:
    """Draw what a feature turns on."""
    values = [name for name in FEATURES[place + 1 :] if lot.random() < 0.3]
    for name in names:
        forms = [f"{name}/{lot.choice(FEATURES)}"]
        forms += [f"dep:{name}", f"{name}?/{lot.choice(FEATURES)}"] if name in optional else []
        values += [form for form in forms if lot.random() < 0.25]
    return values


def _workspace(root: Path, seed: int) -> random.Random:
    lot = random.Random(seed)
    write(root / "Cargo.toml", f'[workspace]\nresolver = "{lot.choice("1223")}"\nmembers = ["p*"]\n')
    for number, name in enumerate(PACKAGES):
        write(root / name / "Cargo.toml", _manifest(number, lot))
        write(root / name / "src/lib.rs", "")
        write(root / name / "build.rs", "fn main() {}")
    return lot


def _cargo_tree(root: Path, *argv: str) -> set[tuple[str, tuple[str, ...]]]:
    """Return each (package, its features) that cargo compiles."""
    command = ["cargo", "tree", "--offline", "--prefix", "none", "--format", "{p}\t{f}", "--target", LINUX, *argv]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(\S+) v\S+.*\t(\S*?)(?: \(\*\))?$", done.stdout, re.MULTILINE)
    return {(name, tuple(sorted(filter(None, features.split(","))))) for name, features in rows}


@pytest.mark.parametrize("seed", range(int(os.environ.get("RESOLVER_SEEDS", "16"))))
def test_features_and_packages_are_those_of_cargo_tree(tmp_path: Path, seed: int) -> None:
    lot = _workspace(tmp_path, seed)
    roots = tuple(lot.sample(PACKAGES, lot.choice([1, 1, 2])))
    features = tuple(name for name in FEATURES if lot.random() < 0.4)
    default, tests = lot.random() < 0.7, lot.random() < 0.4
    argv = [word for name in roots for word in ("-p", name)]
    argv += ["--features", ",".join(features)] if features else []
    argv += [] if default else ["--no-default-features"]
    argv += ["--edges", "normal,build,dev" if tests else "normal,build"]
    workspace = metadata.from_metadata(metadata.read_metadata(str(tmp_path), os.environ))
    call = Call(roots, features, default, tests=tests, triple=LINUX, host=LINUX, resolver=workspace.resolver)
    found = built(FeatureGraph.of(workspace), call)
    ours = {(node.package, tuple(sorted(names))) for node, names in found.features.items()}
    assert ours == _cargo_tree(tmp_path, *argv)
