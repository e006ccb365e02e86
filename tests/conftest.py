"""Shared fixtures: small generated workspaces, the founders' real manifests, a machine made of data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from building import BASELINE, FRESH, Site
from doit_cargo.engine.base import own_key
from doit_cargo.engine.base.model import Workspace
from doit_cargo.engine.cargo.metadata import from_metadata, read_metadata

EXAMPLE = Path(__file__).parents[1] / "examples/mistralrs"
SHARED = Path(__file__).parents[2] / "shared"

Spec = Mapping[str, Mapping[str, Any]]

needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not on PATH")


# The test files that take longest, by CPU time: a worker that gets one of them last is alone with it in the end.
LONGEST = (
    *("what_rebuilds", "python", "migrate", "during_a_build", "testing", "style", "restored_target", "testing_truth"),
    *("sharing_trust", "doors", "dynamo", "never_blessed", "bad_input", "before_cargo", "cargo_settings"),
    *("observed_builds", "testing_seen", "testing_nextest", "terminal", "testing_pyo3", "why", "hints_provoked"),
    *("groups", "serving", "ci", "package", "security", "formatting", "models", "linting", "agents", "sharing"),
    *("parallel", "fix_profiles", "monorepo", "sharing_stores", "sharing_hosts", "from_doit", "same_meaning"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Let what the tests start hear Ctrl-C and a hang-up, though we may be a background job or run by nohup; and let
    it keep compiled modules whatever the caller's variable says: without, each start compiles hundreds of them anew.

    What is ignored stays ignored in every child; a handler that does nothing is not inherited.
    """
    config.option.loadscopereorder = False  # by the number of tests, which tells little of their time
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    for number in (signal.SIGINT, *((signal.SIGHUP, signal.SIGQUIT) if os.name != "nt" else ())):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the workers begin with what takes longest."""
    if hasattr(config, "workerinput"):
        rank = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


@dataclass
class FakeMachine:
    """A machine that has what a test says; a tool's version is not compared, only noted."""

    platform: str = "linux"
    environ: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/usr/bin"})
    tools: tuple[str, ...] = ()
    detected: Mapping[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def has(self, tool: str, specifier: str = "") -> bool:
        self.asked.append((tool, specifier))
        return tool in self.tools

    def detect(self, name: str) -> str | None:
        return self.detected.get(name)


def make_workspace(root: Path, spec: Spec, extra: str = "") -> Path:
    """Write a Cargo workspace: `spec` maps a package to its features, bins (a list) and dependencies (on packages).

    `features` is a table; `bins` maps a binary to the features it requires; a dependency's value is text after its
    path, such as ``optional = true``. `extra` goes to the end of the root manifest.
    """
    members = json.dumps(list(spec))
    write(root / "Cargo.toml", f'[workspace]\nresolver = "2"\nmembers = {members}\n{extra}')
    for name, package in spec.items():
        write(root / name / "src/lib.rs", "")
        write(root / name / "Cargo.toml", _manifest(name, package))
        for binary in package.get("bins", {}):
            write(root / name / f"src/bin/{binary}.rs", "fn main() {}\n")
    return root


def _manifest(name: str, package: Mapping[str, Any]) -> str:
    lines = [f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n']
    for binary, required in package.get("bins", {}).items():
        lines.append(f'[[bin]]\nname = "{binary}"\nrequired-features = {json.dumps(required)}\n')
    lines.append("[features]")
    lines += [f"{feature} = {json.dumps(enables)}" for feature, enables in package.get("features", {}).items()]
    for table in ("dependencies", "dev-dependencies"):
        lines.append(f"[{table}]")
        for other, more in package.get(table, {}).items():
            lines.append(f'{other} = {{ path = "../{other}"{", " if more else ""}{more} }}')
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def kept() -> Path:
    """Return the folder of what tests keep for the next session of this user, from whichever clone."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "doit-cargo-tests"


def read_workspace(root: Path) -> Workspace:
    """Return what a real cargo says of a workspace."""
    return from_metadata(read_metadata(str(root), os.environ))


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the key of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("own-state")))
        own_key.use(b"")  # one that collecting the tests has read
        yield


@pytest.fixture(autouse=True)
def own_key_again() -> Iterator[None]:
    """Let no test leave its key to the next one: what a process keeps must be read by us, and the other way round."""
    yield
    own_key.use(b"")


@pytest.fixture(scope="session")
def materialise(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that lays out one of the founders' workspaces, once a session."""
    laid_out: dict[str, Path] = {}

    def lay_out(name: str) -> Path:
        if not SHARED.is_dir():
            pytest.skip(f"{SHARED} is absent: the real manifests are not in this repository")
        if name not in laid_out:
            target = tmp_path_factory.mktemp(name)
            subprocess.run([sys.executable, str(SHARED / "workspaces/materialise"), name, str(target)], check=True)
            laid_out[name] = target
        return laid_out[name]

    return lay_out


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the scale model, with its server, its terminal front-end and its MCP server built in debug mode."""
    from calling import environment

    if shutil.which("cargo") is None:
        pytest.skip("cargo is not on PATH")
    root = tmp_path_factory.mktemp("model") / "ws"
    leave_out = shutil.ignore_patterns("target", ".doit-cargo", ".logs", ".testlogs", "mistralrs-pyo3")
    shutil.copytree(EXAMPLE, root, ignore=leave_out)
    manifest = root / "Cargo.toml"
    profile = "[profile.dev]\ndebug = 1\n"
    assert profile in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(profile, "[profile.dev]\ndebug = 0\nincremental = false\n"))
    tool = os.path.join(os.path.dirname(sys.executable), "doit-cargo")
    for which in ((), ("PACKAGE=mistralrs-tui",), ("PACKAGE=mistralrs-agent-tools",)):
        command = [tool, "build", "PROFILE=dev", *which]
        done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture(scope="module")
def built_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A workspace that the tests of a module share, built once; INCREMENTAL of the module says how."""
    site = Site(tmp_path_factory.mktemp("site")).lay_out(getattr(request.module, "INCREMENTAL", False))
    _build_until_fresh(site)
    return site


@pytest.fixture
def site(built_site: Site) -> Iterator[Site]:
    """The shared workspace, freshly built by `doit-cargo dev`; what a test does to it is taken back."""
    sources, times = built_site.sources(), built_site.times()
    yield built_site
    built_site.variables.clear()
    built_site.restore(sources)
    if built_site.times() not in (times, built_site.built_times):
        built_site.tool("dev", "FORCE=1")
    try:
        _build_until_fresh(built_site)
    except (AssertionError, OSError, subprocess.SubprocessError):
        built_site.forget_builds()  # a test failed and left a damaged state behind
        _build_until_fresh(built_site)


def _build_until_fresh(site: Site) -> None:
    run = site.tool("dev")
    for _ in range(2):
        run = run if run.summary == FRESH else site.tool("dev")
    assert (run.summary, site.printed()) == (FRESH, BASELINE), run.text
