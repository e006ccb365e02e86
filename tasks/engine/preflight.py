"""What one plan needs from this computer, checked before cargo starts, so that a long build does not fail late.

Knows how tools are found (toolchain.py) but not how plans are made; runs nothing but tools that tell their
version, and changes nothing. No GPU is never an error: code for one is built without it.
Every step yields rows; `check` keeps the bad ones. A new check is one function in `STEPS`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from doit_cargo.engine.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.model import Package, Plan, Workspace
from doit_cargo.engine.platform import install_command
from doit_cargo.engine.toolchain import (
    ROWS,
    VERSION_SECONDS,
    Machine,
    Request,
    Tool,
    Toolchain,
    auto_install,
    host_compiler_request,
    how_to_get,
    is_proxy,
    linker_request,
    nvcc_candidates,
    row_of,
    satisfies,
)

OK, MISSING, WRONG, WARN = "ok", "missing", "wrong", "warn"

# Subcommands of cargo that neither compile nor link.
WITHOUT_LINKER = frozenset({"fmt", "metadata", "tree", "update", "fetch", "vendor", "clean", "deny", "audit", "cache"})
# Subcommands that rustup's components bring; any other tool of a subcommand is a row called cargo-NAME.
COMPONENTS = {"fmt": "rustfmt", "clippy": "clippy"}
# Cargo's options whose value is the next word, before the subcommand (cargo --help).
WITH_VALUE = frozenset({"--config", "--color", "--manifest-path", "-Z", "-C"})


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at. `what` and `fix` are empty where nothing is wrong; `where` is its file:line."""

    name: str
    status: str
    version: str = ""
    path: str = ""
    needed_by: str = ""
    what: str = ""
    fix: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A plan before a machine that already sees the plan's own directory and environment."""

    plan: Plan
    machine: Machine
    workspace: Workspace | None

    @property
    def command(self) -> str:
        return _subcommand(self.plan.invocation.argv)

    @property
    def runs_cargo(self) -> bool:
        return os.path.splitext(os.path.basename(self.program))[0] == "cargo"

    @property
    def program(self) -> str:
        return next(iter(self.plan.invocation.argv), "")

    def place(self, variable: str) -> str:
        """Return who set a variable: the profile's line, or the user's environment."""
        setting = self.plan.profile.env.get(variable)
        return setting.where if setting else variable


def check(plan: Plan, machine: Machine, workspace_root: str, workspace: Workspace | None = None) -> list[Problem]:
    """Return all that would stop this plan. With `workspace`, the members' `rust-version` is checked too."""
    rows = report(plan, machine, workspace_root, workspace)
    return [Problem(row.what, row.fix, row.where) for row in rows if row.status in (MISSING, WRONG)]


def require(plan: Plan, machine: Machine, workspace_root: str, workspace: Workspace | None = None) -> None:
    """Raise all problems of this plan at once, if it has any."""
    problems = check(plan, machine, workspace_root, workspace)
    if problems:
        raise UserError(problems, code=COULD_NOT_RUN)


def report(plan: Plan, machine: Machine, workspace_root: str, workspace: Workspace | None = None) -> list[Row]:
    """Return one row for each thing that the plan needs."""
    seen = machine.at(plan.invocation.cwd or workspace_root, effective_environment(plan, machine.environ))
    look = Look(plan, seen, workspace)
    return [row for step in STEPS for row in step(look)]


def effective_environment(plan: Plan, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the plan's process will see."""
    call = plan.invocation
    seen = {name: value for name, value in environ.items() if name not in call.unset} | dict(call.env)
    if call.path_prepend:
        seen["PATH"] = os.pathsep.join([*call.path_prepend, seen.get("PATH", "")])
    if len(call.argv) > 1 and call.argv[1].startswith("+"):
        seen["RUSTUP_TOOLCHAIN"] = call.argv[1][1:]  # `cargo +nightly` is the strongest choice of all
    return seen


def _subcommand(argv: Sequence[str]) -> str:
    """Return cargo's subcommand: the first word that is no option, no option's value and no +toolchain."""
    words = iter(argv[1:])
    for word in words:
        if word in WITH_VALUE:
            next(words, None)
        elif not word.startswith(("-", "+")):
            return word
    return ""


# --- Rust -------------------------------------------------------------------------------------------------------------


def _rust(look: Look) -> Iterator[Row]:
    """Look at cargo, rustc and the toolchain behind them."""
    if not look.runs_cargo:
        return
    proxies = [path for path in map(look.machine.locate, (ROWS["cargo"], ROWS["rustc"])) if path and is_proxy(path)]
    toolchain = look.machine.toolchain() if proxies else None
    if toolchain is not None and not toolchain.installed:
        yield _absent_toolchain(look, toolchain)
        return
    for name in ("cargo", "rustc"):
        yield _tool_row(look, name, "", f"cargo {look.command}".strip())
    yield from _rust_version(look)


def _absent_toolchain(look: Look, toolchain: Toolchain) -> Row:
    if toolchain.problem:
        what = f"rustup cannot choose a toolchain: {toolchain.problem}"
        fix = "repair the file" if toolchain.pinned else "rustup default stable"
        return Row(
            "toolchain", WRONG, what=what, fix=fix, where=look.place(toolchain.where), needed_by=look.plan.target
        )
    # A toolchain given by its path comes from no channel: nothing can fetch it.
    local = os.path.isabs(toolchain.name)
    kind = "pinned toolchain" if toolchain.pinned else "default toolchain"
    what = f"the {kind} {toolchain.name} is not installed"
    fix = "" if local else f"rustup toolchain install {toolchain.name}, or "
    fix += "set RUSTUP_TOOLCHAIN to an installed one (rustup toolchain list)"
    status = WARN if auto_install(look.machine.environ) and not local else MISSING
    what += "; rustup will fetch it first" if status == WARN else ""
    return Row(
        "toolchain",
        status,
        path=toolchain.directory,
        needed_by=look.plan.target,
        what=what,
        fix=fix,
        where=look.place(toolchain.where),
    )


def _rust_version(look: Look) -> Iterator[Row]:
    """Look whether rustc is new enough for the packages that this plan certainly builds."""
    rustc = look.machine.tool("rustc")
    if (
        rustc is None
        or not rustc.version
        or look.workspace is None
        or "--ignore-rust-version" in look.plan.invocation.argv
    ):
        return
    for package in _certain_packages(look.plan, look.workspace):
        if package.rust_version and not satisfies(rustc.version, f">={package.rust_version}"):
            needed = f"{package.name} needs rustc {package.rust_version} or newer"
            what = f"{needed}, found {rustc.version} at {rustc.real_path}"
            where = _line_naming(package.manifest, "rust-version")
            fix = _newer_rust(look.machine, package.rust_version)
            yield Row("rust-version", WRONG, rustc.version, rustc.real_path, package.name, what, fix, where)


def _newer_rust(machine: Machine, version: str) -> str:
    """Return how to get a newer Rust: a pinned toolchain stays old however often rustup updates."""
    full = version if version.count(".") > 1 else f"{version}.0"
    if not is_proxy(machine.locate(ROWS["rustc"])):
        return f"install Rust {version} or newer: {how_to_get('rustc', machine.package_manager)}"
    toolchain = machine.toolchain()
    if toolchain.pinned:
        return f"rustup toolchain install {full}, and set it in {toolchain.where}"
    return f"rustup update, or: rustup toolchain install {full} and RUSTUP_TOOLCHAIN={full}"


def _certain_packages(plan: Plan, workspace: Workspace) -> list[Package]:
    """Return the plan's packages and their path dependencies, but those that a feature or a test run may leave out.

    Cargo compares the versions of what it compiles only (cargo's ops/cargo_compile, `unit_graph`).
    """
    by_directory = {package.directory: package for package in workspace.packages.values()}
    names = plan.packages or workspace.default_members
    pending = [workspace.packages[name] for name in names if name in workspace.packages]
    found: dict[str, Package] = {}
    while pending:
        package = pending.pop()
        if package.name not in found:
            found[package.name] = package
            needed = (edge for edge in package.dependencies if not edge.optional and edge.kind != "dev")
            pending += [by_directory[edge.path] for edge in needed if edge.path in by_directory]
    return sorted(found.values(), key=lambda package: package.name)


def _line_naming(path: str, key: str) -> str:
    """Return ``path:line`` of the first line that begins with `key`, else the path."""
    try:
        with open(path, encoding="utf-8") as file:
            return next((f"{path}:{number}" for number, line in enumerate(file, 1) if line.startswith(key)), path)
    except OSError:
        return path


def _linker(look: Look) -> Iterator[Row]:
    """Look at the program that rustc links with: even `cargo check` links build scripts and proc macros."""
    if not look.runs_cargo or look.command in WITHOUT_LINKER or not look.command:
        return
    request = _linker_request(look)
    if request.path:
        yield Row("linker", OK, path=request.path, needed_by="rustc")
        return
    what = f"rustc needs the linker {request.asked}, which is not on PATH"
    if request.where:
        what = f"rustc is told to link with {request.asked}, which does not exist or is not on PATH"
    name = "cc" if request.asked.endswith("gcc") else os.path.basename(request.asked)
    fix = how_to_get(name, look.machine.package_manager)
    yield Row("linker", MISSING, needed_by="rustc", what=what, fix=fix, where=request.where)


def _linker_request(look: Look) -> Request:
    """Return rustc's linker; the profile's own cargo configuration goes before the workspace's."""
    triple = str(look.plan.profile.triple.value) if look.plan.profile.triple else ""
    request = linker_request(look.machine, triple)
    setting = look.plan.profile.config.get(f"target.{request.triple}.linker")
    if setting is None or request.where.startswith("CARGO_TARGET_"):
        return request
    asked = str(setting.value)
    return Request(asked, setting.where, look.machine.which(asked), request.triple)


# --- tools ------------------------------------------------------------------------------------------------------------


def _needs(look: Look) -> Iterator[Row]:
    """Look at every tool that the plan names or that its command is."""
    needs = {**_implied(look), **look.plan.needs}
    for name, specifier in needs.items():
        if name in ("cargo", "rustc") and look.runs_cargo and not specifier:
            continue  # `_rust` has said it
        setting = look.plan.profile.needs.get(name)
        needed_by = setting.where if setting and name in look.plan.needs else look.plan.target
        yield _nvcc_row(look, specifier, needed_by) if name == "nvcc" else _tool_row(look, name, specifier, needed_by)


def _implied(look: Look) -> dict[str, str]:
    """Return the tool that the command itself is: a component, a subcommand that cargo lacks, or another program."""
    if not look.runs_cargo:
        return {look.program: ""} if look.program else {}
    if look.command in COMPONENTS:
        return {COMPONENTS[look.command]: ""}
    return {f"cargo-{look.command}": ""} if f"cargo-{look.command}" in ROWS else {}


def _tool_row(look: Look, name: str, specifier: str, needed_by: str) -> Row:
    """Return the row of one tool against its specifier."""
    tool = look.machine.tool(name)
    fix = how_to_get(name, look.machine.package_manager)
    where = needed_by if re.search(r":\d+$", needed_by) else ""
    if tool is None:
        what = _absence(look.machine, name, specifier, look.plan.target)
        return Row(name, MISSING, needed_by=needed_by, what=what, fix=fix, where=where)
    if satisfies(tool.version, specifier):
        return Row(name, OK, tool.version, tool.path, needed_by)
    fix = f"get {name} {specifier}: {fix}" if tool.version else f"run `{_version_command(tool)}` to see why"
    what = _misfit(tool, specifier, look.plan.target)
    return Row(name, WRONG, tool.version, tool.path, needed_by, what, fix, where)


def _version_command(tool: Tool) -> str:
    return " ".join((tool.path, *row_of(tool.name).argv))


def _misfit(tool: Tool, specifier: str, target: str) -> str:
    if not tool.version:
        seconds = f"{VERSION_SECONDS:g} s"
        return f"{target} needs {tool.name} {specifier}, but {tool.path} did not tell its version within {seconds}"
    return f"{target} needs {tool.name} {specifier}, found {tool.version} at {tool.path}"


def _absence(machine: Machine, name: str, specifier: str, target: str) -> str:
    """Return that a tool is missing, and the variable that hides it if one does."""
    asked = f"{name} {specifier}".strip()
    row = row_of(name)
    for variable in row.environment:
        if machine.environ.get(variable):
            return f"{target} needs {asked}, but {variable}={machine.environ[variable]} is no program"
    if row.component and machine.which(row.executables[0]):
        return f"{target} needs {asked}, which the toolchain {machine.toolchain().name} lacks"
    return f"{target} needs {asked}, which is not on PATH"


# --- CUDA -------------------------------------------------------------------------------------------------------------


def _nvcc_row(look: Look, specifier: str, needed_by: str) -> Row:
    """Return nvcc's row; where it is missing, the message tells all the places."""
    row = _tool_row(look, "nvcc", specifier, needed_by)
    if row.status == OK:
        return row
    what = row.what
    if row.status == MISSING:
        places = ", ".join(dict.fromkeys(place for place, _path in nvcc_candidates(look.machine)))
        what = f"{look.plan.target} needs {f'nvcc {specifier}'.strip()}, which is nowhere (looked at {places})"
    fix = row.fix if row.status == WRONG and not row.version else _get_nvcc(look.machine, specifier)
    return Row("nvcc", row.status, row.version, row.path, needed_by, what, fix, row.where)


def _get_nvcc(machine: Machine, specifier: str) -> str:
    """Return how to get nvcc. PyPI has it for CUDA 13 only (facts/cargo.md, G3)."""
    if machine.platform == "macos":
        return "build this on Linux or Windows: CUDA does not exist for macOS"
    newest = max(cuda_releases(), key=_release_key)
    ways = ['pip install "doit-cargo[cuda]"'] if satisfies(newest, specifier) else []
    packages = {"apt": "nvidia-cuda-toolkit", "pacman": "cuda", "winget": "Nvidia.CUDA"}
    if machine.package_manager in packages:
        ways.append(install_command(machine.package_manager, packages[machine.package_manager]))
    else:
        ways.append("NVIDIA's own packages (https://developer.nvidia.com/cuda-downloads)")
    return ", or ".join(ways)


def _host_compiler(look: Look) -> Iterator[Row]:
    """Look whether nvcc has a host compiler that it accepts."""
    nvcc = look.machine.tool("nvcc") if "nvcc" in look.plan.needs else None
    if nvcc is None:
        return
    host = look.machine.tool("nvcc-host")
    if host is None:
        yield _no_host_compiler(look, nvcc)
        return
    release = cuda_release(nvcc.version)
    limit = _limit(release, host)
    found = f"{host.family or host.name} {host.version}".strip()
    if not host.version or not limit or limit[0] <= _measure(host) <= limit[1]:
        yield Row("host compiler", OK, host.version, host.path, "nvcc")
        return
    accepts = _accepts(host.family, limit)
    status = WARN if _allows_any(look.machine.environ) else WRONG
    what = f"nvcc {_major_minor(nvcc.version)} accepts {accepts}, found {found} at {host.path}"
    where = look.place(host_compiler_request(look.machine, nvcc).where)
    fix = _fitting_compiler(look.machine, host, limit[1])
    yield Row("host compiler", status, host.version, host.path, "nvcc", what, fix, where)


def _no_host_compiler(look: Look, nvcc: Tool) -> Row:
    request = host_compiler_request(look.machine, nvcc)
    what = f"nvcc at {nvcc.path} needs the host compiler {request.asked}, which is not on PATH"
    if request.where:
        what = f"nvcc is told to use the host compiler {request.asked or '(nothing)'}, which is no program"
    wanted = "cl.exe" if look.machine.platform == "windows" else "c++"
    fix = how_to_get(wanted, look.machine.package_manager)
    fix = f"unset {request.where}, or name a compiler there that exists" if request.where else fix
    return Row("host compiler", MISSING, needed_by="nvcc", what=what, fix=fix, where=look.place(request.where))


def _limit(release: Mapping[str, object], host: Tool) -> tuple[int, int] | None:
    """Return the versions of this family that a CUDA release lets through, None if that is not known."""
    if host.family == "msvc":
        span = release.get("msvc")
        return (int(span[0]), int(span[1])) if isinstance(span, list) else None
    ceiling = release.get(f"max_{host.family}")
    return (0, ceiling) if isinstance(ceiling, int) else None


def _measure(host: Tool) -> int:
    """Return what the limit counts: the major version, or _MSC_VER (tool set 14.40 = _MSC_VER 1940)."""
    numbers = [int(part) for part in re.findall(r"\d+", host.version)[:2]]
    return 1900 + numbers[1] if host.family == "msvc" and len(numbers) > 1 else numbers[0]


def _accepts(family: str, limit: tuple[int, int]) -> str:
    if family == "msvc":
        return f"Visual C++ from 14.{limit[0] - 1900} to 14.{limit[1] - 1900}"
    return f"{family} up to {limit[1]}"


def _allows_any(environ: Mapping[str, str]) -> bool:
    """Return whether the user has taken the risk (nvcc reads these two variables on every call)."""
    flags = f"{environ.get('NVCC_PREPEND_FLAGS', '')} {environ.get('NVCC_APPEND_FLAGS', '')}".split()
    return bool({"-allow-unsupported-compiler", "--allow-unsupported-compiler"} & set(flags))


def _fitting_compiler(machine: Machine, host: Tool, ceiling: int) -> str:
    """Return how to give nvcc a compiler that it takes: one that is here already, else one to install."""
    risk = "NVCC_APPEND_FLAGS=-allow-unsupported-compiler at your own risk"
    if host.family == "msvc":
        return f"install a Visual C++ that fits and set NVCC_CCBIN to its cl.exe, or {risk}"
    name = "clang++" if host.family == "clang" else "g++"
    # Six versions back is as far as any distribution goes, and 1 ms of looking.
    here = next(filter(None, (machine.which(f"{name}-{major}") for major in range(ceiling, ceiling - 6, -1))), "")
    if here:
        return f"set NVCC_CCBIN={here}, or {risk}"
    wanted = f"{name}-{ceiling}"
    if machine.package_manager == "apt":
        package = f"clang-{ceiling}" if host.family == "clang" else wanted
        return f"{install_command('apt', package)} and set NVCC_CCBIN=/usr/bin/{wanted}, or {risk}"
    return f"install {wanted} and set NVCC_CCBIN to its path, or {risk}"


def _compute_capability(look: Look) -> Iterator[Row]:
    """Look whether this CUDA makes code for the asked architectures."""
    nvcc = look.machine.tool("nvcc") if "nvcc" in look.plan.needs else None
    asked = look.machine.environ.get("CUDA_COMPUTE_CAP", "")
    if nvcc is None:
        return
    if not asked:
        yield from _unknown_capability(look)
        return
    known = cuda_release(nvcc.version).get("sm")
    for architecture in _architectures(asked):
        if isinstance(known, list) and architecture not in known:
            yield _impossible_capability(look, nvcc, architecture, known)


def _unknown_capability(look: Look) -> Iterator[Row]:
    """Warn where the build scripts of candle and mistral.rs cannot guess: they ask nvidia-smi, and stop without it."""
    if not look.machine.which("nvidia-smi"):
        what = "CUDA_COMPUTE_CAP is not set and nvidia-smi is not on PATH: build scripts that ask for the GPU will stop"
        fix = "set CUDA_COMPUTE_CAP to the compute capability of the GPU that will run this, 80 or 89 say"
        yield Row("CUDA_COMPUTE_CAP", WARN, needed_by="build scripts", what=what, fix=fix)


def _impossible_capability(look: Look, nvcc: Tool, architecture: int, known: list[object]) -> Row:
    listed = ", ".join(map(str, known))
    what = f"CUDA_COMPUTE_CAP asks for {architecture}, nvcc {_major_minor(nvcc.version)} makes code for {listed}"
    makers = sorted(
        (name for name, row in cuda_releases().items() if architecture in _list(row, "sm")), key=_release_key
    )
    fix = "set CUDA_COMPUTE_CAP to one of these"
    fix += f", or use a CUDA from {makers[0]} to {makers[-1]}" if makers else ""
    where = look.place("CUDA_COMPUTE_CAP")
    return Row("CUDA_COMPUTE_CAP", WRONG, nvcc.version, nvcc.path, "build scripts", what, fix, where)


def _architectures(text: str) -> list[int]:
    """Return the architectures of ``80``, ``8.9``, ``sm_90a`` or several of them."""
    words = re.split(r"[,;\s]+", text.strip())
    found = [re.fullmatch(r"(?:sm_|compute_)?(\d+)\.?(\d?)[af]?", word) for word in words]
    return [int(match[1] + match[2]) for match in found if match]


def _list(row: Mapping[str, object], key: str) -> list[object]:
    value = row.get(key)
    return value if isinstance(value, list) else []


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _release_key(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def cuda_release(version: str) -> Mapping[str, object]:
    """Return the facts of the CUDA release that nvcc's version belongs to; none for one that the table lacks."""
    return cuda_releases().get(_major_minor(version), {})


@lru_cache(maxsize=1)
def cuda_releases() -> Mapping[str, Mapping[str, object]]:
    """Return the table of CUDA releases (data/cuda.toml), read once and only for a plan that needs nvcc."""
    import tomllib

    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data", "cuda.toml")
    with open(path, "rb") as file:
        return tomllib.load(file)


STEPS = (_rust, _linker, _needs, _host_compiler, _compute_capability)
