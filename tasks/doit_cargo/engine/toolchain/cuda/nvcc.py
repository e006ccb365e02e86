"""nvcc: where it is, the toolkit behind it, and the host compiler that it will run. Tried with CUDA 13.5.

Knows no CUDA release and makes no message: cuda_checks.py says what fits.
"""

import os

from doit_cargo.engine.base.files import named_like
from doit_cargo.engine.base.paths import is_executable, which
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.native.visual_studio import program_at, visual_studio_tools
from doit_cargo.engine.toolchain.tools import ROWS, Tool, ToolRequest
from doit_cargo.engine.toolchain.version_cache import validity_of
from doit_cargo.engine.toolchain.versions import version_in

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CUDA_DIRECTORY = "/usr/local/cuda"  # where NVIDIA's installer for Linux puts it


def nvcc_candidates(machine: BareMachine) -> list[tuple[str, str]]:
    """Return the places of nvcc in their order, each with the name that a message gives it."""
    name = "nvcc.exe" if machine.platform == "windows" else "nvcc"
    places = [("NVCC", machine.which(machine.environ["NVCC"]))] if machine.environ.get("NVCC") else []
    roots = {variable: machine.environ.get(variable) for variable in ("CUDA_PATH", "CUDA_HOME", "CUDA_ROOT")}
    places += [(variable, os.path.join(root, "bin", name)) for variable, root in roots.items() if root]
    if machine.environ.get("CONDA_PREFIX"):
        below = ("Library", "bin") if machine.platform == "windows" else ("bin",)
        places.append(("CONDA_PREFIX", os.path.join(machine.environ["CONDA_PREFIX"], *below, name)))
    places.append(("PATH", machine.which("nvcc")))
    places += [("the Python packages", path) for path in _nvcc_wheels(name)]
    return [*places, (CUDA_DIRECTORY, os.path.join(CUDA_DIRECTORY, "bin", name))]


def _nvcc_wheels(name: str) -> list[str]:
    """Return where PyPI's nvidia-cuda-nvcc puts nvcc beside this Python: cu13 and later, and the older layout."""
    found = []
    for library in python_libraries():
        nvidia = os.path.join(library, "nvidia")
        folders = [*named_like(nvidia, ("cu1", "cu2"))[::-1], os.path.join(nvidia, "cuda_nvcc")]
        found += [os.path.join(folder, "bin", name) for folder in folders]
    return found


def python_libraries() -> list[str]:
    """Return the folders that hold this Python's packages."""
    import sysconfig

    return list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))


def find_nvcc(machine: BareMachine) -> Tool | None:
    """Return nvcc with the toolkit's true root: what PATH has may be a script that runs the real one elsewhere."""
    path = next((path for _place, path in nvcc_candidates(machine) if path and is_executable(path)), "")
    if not path:
        return None
    kept = machine.remember("nvcc", path, os.path.realpath(path), lambda: _ask_nvcc(machine, path))
    tool = Tool("nvcc", path, str(kept["version"]), real_path=str(kept["real"]), root=str(kept["root"]))
    tool.companions = _nvcc_companions(machine, tool)
    return tool


def _ask_nvcc(machine: BareMachine, path: str) -> dict[str, object]:
    """Return version, root and real path. The dry run needs a host compiler, but no file of that name."""
    row = ROWS["nvcc"]
    version = version_in(machine.run(path, *row.argv), row.pattern)
    said = dict(_nvcc_variables(machine.run(path, "--dryrun", "x.cu")))
    here = said.get("_HERE_") or os.path.dirname(os.path.realpath(path))
    real = os.path.join(here, os.path.basename(path))
    real = os.path.realpath(real if os.path.isfile(real) else path)
    root = os.path.normpath(said.get("TOP") or os.path.dirname(here))
    # A root that is only guessed has nothing that keeps it good, so it is asked for again.
    return {"version": version, "root": root, "real": real, **(validity_of(path, real) if "TOP" in said else {})}


def _nvcc_variables(text: str) -> "Iterator[tuple[str, str]]":
    for line in text.splitlines():
        name, equals, value = line.removeprefix("#$ ").partition("=")
        if line.startswith("#$ ") and equals and name.isidentifier():
            yield name, value.strip()


def _nvcc_companions(machine: BareMachine, nvcc: Tool) -> tuple[str, ...]:
    """Return the parts of the toolkit that make code, and the host compiler."""
    here = os.path.dirname(nvcc.real_path)
    ending = ".exe" if machine.platform == "windows" else ""
    parts = [
        os.path.join(nvcc.root, "nvvm", "bin", "cicc"),
        os.path.join(here, "ptxas"),
        os.path.join(here, "cudafe++"),
    ]
    request = host_compiler_request(machine, nvcc)
    host = [request.path, os.path.realpath(request.path)] if request.path else []
    return tuple(path for path in (*(part + ending for part in parts), *host) if os.path.isfile(path))


def host_compiler_request(machine: BareMachine, nvcc: Tool | None) -> ToolRequest:
    """Return the host compiler that nvcc takes (facts/cargo.md, G2): flags, then NVCC_CCBIN, then gcc or cl.exe."""
    asked, where = _ccbin(machine.environ)
    if not where:
        if machine.platform == "windows":
            directory = visual_studio_tools(machine)
            return ToolRequest("cl.exe", "", os.path.join(directory, "cl.exe") if directory else "")
        return ToolRequest("gcc", "", _on_nvcc_path(machine, nvcc, "gcc"))
    program = "cl.exe" if machine.platform == "windows" else "gcc"
    if os.path.isdir(asked):
        asked = os.path.join(asked, program)  # a directory must hold one of this name, g++ is not enough
    if not os.path.dirname(asked):
        return ToolRequest(asked, where, _on_nvcc_path(machine, nvcc, asked) if asked else "")
    return ToolRequest(asked, where, machine.which(asked))


def _on_nvcc_path(machine: BareMachine, nvcc: Tool | None, name: str) -> str:
    """Return a program by nvcc's PATH, which begins with the toolkit's own directories (Debian keeps a gcc there)."""
    own = (os.path.join(nvcc.root, "nvvm", "bin"), os.path.dirname(nvcc.real_path)) if nvcc else ()
    return which(name, {"PATH": ""}, machine.platform, own) or machine.which(name)


def _ccbin(environ: "Mapping[str, str]") -> tuple[str, str]:
    """Return the asked host compiler and the variable that asks. Tried: flags beat NVCC_CCBIN; an empty one counts."""
    for variable in ("NVCC_APPEND_FLAGS", "NVCC_PREPEND_FLAGS"):
        asked = _flag_value(environ.get(variable, ""), ("-ccbin", "--compiler-bindir"))
        if asked:
            return asked, variable
    return (environ["NVCC_CCBIN"], "NVCC_CCBIN") if "NVCC_CCBIN" in environ else ("", "")


def _flag_value(flags: str, names: tuple[str, ...]) -> str:
    words = flags.split()
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else " ".join(words[position + 1 : position + 2])
    return ""


def find_host_compiler(machine: BareMachine) -> Tool | None:
    """Return nvcc's host compiler under the name of its family."""
    path = host_compiler_request(machine, machine.tool("nvcc")).path
    if not path:
        return None
    if machine.platform == "windows" and os.path.basename(path).lower() == "cl.exe":
        return program_at(path, "cl.exe")
    return machine.ask_version(ROWS["gcc"], path)
