"""Visual C++ on Windows: where its programs are. Knows neither who links nor who compiles with them."""

import os

from doit_cargo.engine.base.files import read_text
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.tools import Tool
from doit_cargo.engine.toolchain.versions import version_in

VSWHERE_ARGUMENTS = (
    *("-latest", "-products", "*", "-requires", "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"),
    *("-property", "installationPath", "-utf8"),
)
VISUAL_STUDIO_VERSION_FILE = ("VC", "Auxiliary", "Build", "Microsoft.VCToolsVersion.default.txt")


def visual_studio_tools(machine: BareMachine) -> str:
    """Return the directory of Visual C++'s x64 programs: the prompt's, else what vswhere finds; "" elsewhere."""
    if machine.platform != "windows":
        return ""
    on_path = machine.which("cl.exe")
    if on_path:
        return os.path.dirname(on_path)
    root = machine.environ.get("VCToolsInstallDir") or _newest_visual_studio(machine)
    programs = os.path.join(root, "bin", "Hostx64", "x64") if root else ""
    return programs if programs and os.path.isfile(os.path.join(programs, "cl.exe")) else ""


def _newest_visual_studio(machine: BareMachine) -> str:
    """Return the tool directory of the newest Visual Studio with a C++ compiler (github.com/microsoft/vswhere)."""
    programs = machine.environ.get("ProgramFiles(x86)", r"C:\Program Files (x86)")
    vswhere = os.path.join(programs, "Microsoft Visual Studio", "Installer", "vswhere.exe")
    if not os.path.isfile(vswhere):
        return ""
    text = machine.run(vswhere, *VSWHERE_ARGUMENTS).strip()
    installation = text.splitlines()[0].strip() if text else ""
    version = read_text(os.path.join(installation, *VISUAL_STUDIO_VERSION_FILE)).strip() if installation else ""
    return os.path.join(installation, "VC", "Tools", "MSVC", version) if version else ""


def visual_studio_program(machine: BareMachine, program: str) -> Tool | None:
    """Return Visual C++'s own cl.exe or link.exe."""
    directory = visual_studio_tools(machine)
    path = os.path.join(directory, program)
    if not directory or not os.path.isfile(path):
        return None
    return program_at(path, program)


def find_compiler(machine: BareMachine) -> Tool | None:
    """Return Visual C++'s compiler."""
    return visual_studio_program(machine, "cl.exe")


def find_linker(machine: BareMachine) -> Tool | None:
    """Return Visual C++'s linker."""
    return visual_studio_program(machine, "link.exe")


def program_at(path: str, name: str) -> Tool:
    """Return cl.exe or link.exe; its version is the tool set's, which its path tells (.../MSVC/14.40.33807/bin/...)."""
    return Tool(name, path, version_in(path, r"MSVC[\\/](\d+(?:\.\d+)+)"), family="msvc")
