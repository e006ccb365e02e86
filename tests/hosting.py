"""A computer made of small scripts that play the tools, and pre-flight before it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from doit_cargo.engine.base.model import Invocation, Plan, Profile, Setting, Workspace
from doit_cargo.engine.preflight import preflight
from doit_cargo.engine.preflight.check_context import CheckRow
from doit_cargo.engine.preflight.requirements.requirement import Inference, Need
from doit_cargo.engine.toolchain import Machine, finders, platform
from doit_cargo.engine.toolchain.cuda import libraries, nvcc

TRIPLE = platform.host_triple()


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


class Host:
    """A computer made of scripts: rustup with one toolchain and a cc, and what a test adds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.work = root / "work"
        self.work.mkdir()
        self.environ = {"PATH": str(self.bin), "HOME": str(root / "home"), "RUSTUP_HOME": str(root / "rustup")}
        self.environ |= {"RUSTUP_AUTO_INSTALL": "0"}
        self.manager = "apt"
        self.platform = "linux"
        self.tool("rustup", "exit 1")
        for name in ("cargo", "rustc"):
            (self.bin / name).symlink_to("rustup")
            self.tool(name, f"echo '{name} 1.90.0 (0000000 2025-09-01)'", self.toolchain / "bin")
        self.tool("cc", "echo 'cc (Debian 12.2.0-14) 12.2.0'; echo Free Software Foundation")
        (root / "rustup" / "settings.toml").write_text(f'default_toolchain = "stable-{TRIPLE}"\n')

    @property
    def toolchain(self) -> Path:
        return self.root / "rustup" / "toolchains" / f"stable-{TRIPLE}"

    def tool(self, name: str, body: str, directory: Path | None = None) -> str:
        return str(script((directory or self.bin) / name, body))

    def compiler(self, name: str, version: str, family: str = "gcc") -> str:
        text = f"{name} (Debian) {version}" if family == "gcc" else f"Debian clang version {version}"
        return self.tool(name, f"echo '{text}'")

    def nvcc(self, version: str = "12.4") -> str:
        """A toolkit in /opt and a script on PATH that runs it."""
        real = self.root / "opt" / "cuda" / "bin"
        said = f"echo '#$ _HERE_={real}'; echo '#$ TOP={real}/..'"
        told = f"echo 'Cuda compilation tools, release {version}, V{version}.99'"
        self.tool("nvcc", f'if [ "$1" = --version ]; then {told}; else {said}; fi', real)
        return self.tool("nvcc", f'exec "{real}/nvcc" "$@"')

    def machine(self) -> Machine:
        cache = str(self.root / "state" / "tools.json")
        return Machine(self.environ, self.platform, directory=str(self.work), cache=cache, manager=self.manager)

    def plan(
        self,
        *argv: str,
        needs: Mapping[str, str] | None = None,
        profile: Profile | None = None,
        packages: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> Plan:
        needed = dict(needs or {})
        settings = {name: Setting(value, "profiles/base/cuda.toml:7") for name, value in needed.items()}
        invocation = Invocation(argv or ("cargo", "build"), str(self.work), env or {})
        chosen = profile or Profile("cuda", needs=settings)
        return Plan("build_cuda", chosen, packages, (), "release", invocation, needs=needed)

    def rows(self, *needs: Need, triple: str = TRIPLE, **more: Any) -> list[CheckRow]:
        """The rows of a build whose crates need these things."""
        known = preflight.PreflightFacts(inferred=Inference(needs, triple=triple, crates=len(needs)))
        return preflight.report(self.plan(*more.pop("argv", ()), **more), self.machine(), str(self.work), known)

    def found(self, name: str, *needs: Need, **more: Any) -> str:
        """The state, version and place of one row."""
        row = next(row for row in self.rows(*needs, **more) if row.name == name)
        return f"{row.status} {row.version} {row.path}".replace(str(self.root), "")

    def told(self, *needs: Need, triple: str = TRIPLE, **more: Any) -> str:
        """What is wrong, as the user reads it, with warnings marked and the test's own directory left out."""
        rows = self.rows(*needs, triple=triple, **more)
        lines = [f"{row.status}: {row.what}\n  fix: {row.fix}" for row in rows if row.status != "ok"]
        return "\n".join(lines).replace(str(self.root), "")

    def said(self, plan: Plan, workspace: Workspace | None = None) -> str:
        """All problems as the user reads them, with the test's own directory left out."""
        problems = preflight.check(plan, self.machine(), str(self.work), preflight.PreflightFacts(workspace))
        return "\n".join(map(str, problems)).replace(str(self.root), "")


def made(root: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a computer below `root`; what this one has of CUDA is out of sight."""
    for module in (nvcc, libraries):
        monkeypatch.setattr(module, "python_libraries", lambda: [str(root / "site-packages")])
    monkeypatch.setattr(nvcc, "CUDA_DIRECTORY", "/no/usr/local/cuda")
    monkeypatch.setattr(libraries, "SYSTEM", (str(root / "usr/lib"),))
    monkeypatch.setattr(finders, "_llvm_directories", lambda _: [str(root / "llvm/lib")])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return Host(root)
