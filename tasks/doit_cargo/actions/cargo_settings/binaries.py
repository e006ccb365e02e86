"""What a program still holds besides its code: symbols and debug information, read from its own tables.

ELF (Linux), Mach-O (macOS) and PE (Windows) through lief, an optional library. Runs nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError

INSTALL = "python -m pip install 'doit-cargo[binaries]'"


class Contents(NamedTuple):
    """`symbols` counts the entries of the table that strip removes (not those that the dynamic linker needs)."""

    format: str
    symbols: int
    debug: bool

    @property
    def stripped(self) -> str:
        """Return what must have been stripped, in the words of cargo's `strip`: symbols, debuginfo or none."""
        return "none" if self.debug else "debuginfo" if self.symbols else "symbols"


def look(path: str) -> Contents:
    """Return what a program holds. Raises `UserError` without lief, or for a file that is no program."""
    try:
        import lief
    except ImportError:
        what = "the tables of a program are read with lief, which is not installed"
        raise UserError(Problem(what, INSTALL), COULD_NOT_RUN) from None
    lief.logging.disable()
    if lief.is_elf(path):
        return _elf(lief, path)
    if lief.is_pe(path):
        return _pe(lief.PE.parse(path))
    if lief.is_macho(path):
        return _mach_o(lief.MachO.parse(path))
    raise UserError(Problem("is no program that can be read: not ELF, Mach-O or PE", "build it again", path))


def _elf(lief: Any, path: str) -> Contents:
    config = lief.ELF.ParserConfig()
    config.parse_relocations = config.parse_dyn_symbols = config.parse_symbol_versions = False
    program = lief.ELF.parse(path, config)
    names = {section.name for section in program.sections}
    debug = any(name.startswith((".debug_", ".zdebug_")) for name in names)
    symbols = sum(1 for symbol in program.symtab_symbols if symbol.name) if ".symtab" in names else 0
    return Contents("ELF", symbols, debug)


def _mach_o(fat: Any) -> Contents:
    """Exported and undefined symbols stay for the dynamic linker; strip takes the local ones and debug entries.

    n_type of <mach-o/nlist.h>: 0xe0 marks a debug entry, 0x01 an external symbol.
    """
    program = fat.at(0)
    types = [symbol.raw_type for symbol in program.symbols]
    debug = any(section.segment_name == "__DWARF" for section in program.sections)
    local = sum(1 for kind in types if not kind & 0xE1)
    return Contents("Mach-O", local, debug or any(kind & 0xE0 for kind in types))


def _pe(program: Any) -> Contents:
    """A PE file of MSVC tells nothing: its symbols are in a PDB file. One of MinGW has a COFF symbol table."""
    debug = any(section.name.startswith((".debug_", "/")) for section in program.sections)
    return Contents("PE", program.header.numberof_symbols, debug)
