"""What rustc was given: the arguments of one call, read back into the keys of a cargo profile.

The reverse of what cargo does in `build_base_args` and `lto_args`; pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from doit_cargo.engine.cargo.config.effective import Values, normal


@dataclass(frozen=True, slots=True)
class RustcCall:
    """One call of rustc by cargo."""

    package: str
    crate: str
    kinds: tuple[str, ...]
    arguments: tuple[str, ...]
    directory: str = ""

    @property
    def is_test(self) -> bool:
        return "--test" in self.arguments

    @property
    def is_for_host(self) -> bool:
        return self.crate == "build_script_build" or "proc-macro" in self.kinds

    @property
    def is_linked(self) -> bool:
        """Whether link-time optimisation and strip come to bear: not in an rlib."""
        return self.is_test or not set(self.kinds) <= {"lib", "rlib", "proc-macro"}

    def flags(self) -> dict[str, str | None]:
        """Return the `-C` options, each with its value or None."""
        words = self.arguments
        found = [words[i + 1] for i, word in enumerate(words[:-1]) if word in ("-C", "--codegen")]
        found += [word[2:] for word in words if word.startswith("-C") and len(word) > 2]
        pairs = (flag.partition("=") for flag in found)
        return {name: value if equals else None for name, equals, value in pairs}


def read(arguments: Sequence[str], environ: Mapping[str, str]) -> RustcCall | None:
    """Return what a call compiles, or None where rustc was only asked something (``rustc -vV``, ``--print``)."""
    if "--crate-name" not in arguments or "--print" in arguments or "___" in arguments:
        return None
    words = list(arguments)
    kinds = tuple(words[i + 1] for i, word in enumerate(words[:-1]) if word == "--crate-type")
    return RustcCall(
        package=environ.get("CARGO_PKG_NAME", ""),
        crate=words[words.index("--crate-name") + 1],
        kinds=kinds,
        arguments=tuple(words),
        directory=environ.get("CARGO_MANIFEST_DIR", ""),
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A key for which rustc was given something else than the settings say."""

    key: str
    expected: str
    where: str
    given: str


def observed(call: RustcCall) -> dict[str, str]:
    """Return the keys of a cargo profile that this call shows, in the form of `effective.normal`."""
    flags = call.flags()
    level = flags.get("opt-level") or "0"
    assertions = _switch(flags, "debug-assertions", level == "0")
    found = {
        "opt-level": level,
        "debug": flags.get("debuginfo") or "0",
        "split-debuginfo": flags.get("split-debuginfo") or normal("split-debuginfo", None),
        "debug-assertions": _word(assertions),
        "overflow-checks": _word(_switch(flags, "overflow-checks", assertions)),
        "incremental": _word("incremental" in flags),
        "codegen-units": flags.get("codegen-units") or normal("codegen-units", None),
        "rpath": _word("rpath" in flags),
    }
    if not call.is_test:
        found["panic"] = flags.get("panic") or "unwind"
    if call.is_linked:
        found["strip"] = flags.get("strip") or "none"
        found["lto"] = _lto(flags)
    return found


def _lto(flags: Mapping[str, str | None]) -> str:
    return (flags["lto"] or "fat") if "lto" in flags else "false"


def _switch(flags: Mapping[str, str | None], name: str, default: bool) -> bool:
    if name not in flags:
        return default
    return flags[name] in (None, "on", "yes", "y", "true")


def _word(on: bool) -> str:
    return str(on).lower()


def expected(values: Values, call: RustcCall) -> dict[str, str]:
    """Return what `observed` should find for a package that is compiled with these values."""
    found = {key: normal(key, value.value) for key, value in values.items()}
    seen = observed(call)
    if found["debug"] == "0":
        found["split-debuginfo"] = normal("split-debuginfo", None)
        if values["strip"].is_default and seen.get("strip") == "debuginfo":
            # Where nobody sets strip and no debug info is made, cargo drops that of the standard library (1.77).
            found["strip"] = "debuginfo"
    return {key: value for key, value in found.items() if key in seen}


def differences(values: Values, call: RustcCall) -> list[Difference]:
    """Return the keys for which a call and the settings disagree."""
    seen = observed(call)
    return [
        Difference(key, value, values[key].where, seen[key])
        for key, value in expected(values, call).items()
        if seen[key] != value
    ]
