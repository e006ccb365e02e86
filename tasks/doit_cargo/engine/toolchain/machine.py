"""The machine as one directory and environment see it: where a row's program is, and what it tells of itself.

Knows no tool that needs more than its row: `Machine` in toolchain.py, made from this, adds those.
"""

import os
import sys

from doit_cargo.engine.base import paths
from doit_cargo.engine.toolchain.platform import operating_system, package_manager
from doit_cargo.engine.toolchain.rustup import Toolchain, active_toolchain, cargo_home, is_proxy
from doit_cargo.engine.toolchain.tools import Tool, ToolRow, row_of
from doit_cargo.engine.toolchain.version_cache import VersionCache, ask, key_of, validity_of
from doit_cargo.engine.toolchain.versions import family_in, satisfies, version_in

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    Which = Callable[[str], str]
    VersionReader = Callable[[Sequence[str]], str]


class BareMachine:
    """The tools that one directory and environment see. Everything from outside can be injected."""

    def __init__(
        self,
        environ: "Mapping[str, str] | None" = None,
        platform: str = "",
        *,
        directory: str = "",
        cache: "str | VersionCache" = "",
        which: "Which | None" = None,
        read_version: "VersionReader | None" = None,
        manager: "str | None" = None,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.platform = platform or operating_system()
        self.directory = directory or os.getcwd()
        self._cache = cache if isinstance(cache, VersionCache) else VersionCache(cache)
        self._which = which
        self._read_version = read_version
        self._manager = manager
        self._tools: dict[str, Tool | None] = {}

    def at(self, directory: str, environ: "Mapping[str, str]") -> "Self":
        """Return the same machine as another directory and environment see it."""
        if directory == self.directory and dict(environ) == dict(self.environ):
            return self
        return type(self)(
            environ,
            self.platform,
            directory=directory,
            cache=self._cache,
            which=self._which,
            read_version=self._read_version,
            manager=self.package_manager,
        )

    @property
    def package_manager(self) -> str:
        if self._manager is None:
            self._manager = package_manager(self.platform, self.which)
        return self._manager

    def which(self, name: str) -> str:
        """Return where PATH has a program, "" if nowhere."""
        return self._which(name) if self._which else paths.which(name, self.environ, self.platform)

    def tool(self, name: str) -> Tool | None:
        """Return a tool with its version, or None if this machine lacks it."""
        if name not in self._tools:
            self._tools[name] = self.find(name)
        return self._tools[name]

    def forget(self, name: str) -> None:
        """Look anew for a tool that has been installed meanwhile."""
        self._tools.pop(name, None)

    def find(self, name: str) -> Tool | None:
        """Look for a tool, each time anew: `tool` remembers. `Machine` overrides it for what no row can find."""
        row = row_of(name)
        path = self.locate(row)
        if not path:
            return None
        program = path
        if row.component and is_proxy(path):
            program = self.toolchain().program(row.executables[0])
            if not paths.is_executable(program):
                return None
        return self.ask_version(row, path, program)

    def has(self, tool: str, specifier: str = "") -> bool:
        """Return whether a tool is there in a version that fits a PEP 440 specifier."""
        found = self.tool(tool)
        return found is not None and satisfies(found.version, specifier)

    def toolchain(self) -> Toolchain:
        """Return the Rust toolchain that rustup takes in this directory."""
        return active_toolchain(self.directory, self.environ, self.platform)

    def locate(self, row: ToolRow) -> str:
        """Return where a row's program is: by its variables, else on PATH; a variable that names nothing wins too."""
        for variable in row.environment:
            asked = self.environ.get(variable)
            if asked:
                # "ccache gcc" is a launcher with its compiler; a path may hold a space.
                return self.which(asked) or self.which(asked.split()[0])
        found = next(filter(None, map(self.which, row.executables)), "")
        if not found and row.name.startswith("cargo-"):
            # Cargo looks for its subcommands there too, on PATH or not.
            found = self.which(os.path.join(cargo_home(self.environ), "bin", row.executables[0]))
        if not found and row.extra and self._which is None:
            found = self.which(os.path.join(os.path.dirname(sys.executable), row.executables[0]))
        return found

    def ask_version(self, row: ToolRow, path: str, program: str = "") -> Tool:
        """Return the tool at `path`; `program` is what answers for it, if not itself."""
        real = os.path.realpath(program or path)
        kept = self.remember(row.name, path, real, lambda: self._answer(row, program or path, real))
        return Tool(row.name, path, str(kept["version"]), real_path=real, family=str(kept["family"]))

    def _answer(self, row: ToolRow, program: str, real: str) -> dict[str, object]:
        text = self.run(program, *row.argv)
        return {"version": version_in(text, row.pattern), "family": family_in(text), **validity_of(program, real)}

    def remember(self, name: str, path: str, real: str, answer: "Callable[[], dict[str, object]]") -> dict[str, object]:
        """Return what is known of a program, else its `answer`, kept if it has a version and stamps."""
        key = key_of(name, path, real, self.environ, self.directory)
        known = self._cache.get(key)
        if known is None:
            known = answer()
            if known["version"] and known.get("stamps"):
                self._cache.put(key, known)
        return known

    def run(self, *argv: str) -> str:
        """Return what a program prints, "" if it fails."""
        if self._read_version:
            return self._read_version(argv)
        from doit_cargo.engine.state.trust import may_ask

        return ask(argv, self.environ, self.directory) if may_ask(argv[0], self.directory, self.environ) else ""
