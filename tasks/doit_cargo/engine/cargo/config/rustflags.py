"""Which rustflags count: four sources that exclude each other, the first that is set wins.

CARGO_ENCODED_RUSTFLAGS, RUSTFLAGS, `target.*.rustflags`, `build.rustflags` (Cargo book, "build.rustflags"). Inside one
source the layers are joined. Pure over `ConfigLayers`; the facts of a target come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from doit_cargo.engine.base.model import Setting
from doit_cargo.engine.cargo.config.cfg import holds
from doit_cargo.engine.cargo.config.layers import ConfigLayers

VARIABLES = ("CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS")


@dataclass(frozen=True, slots=True)
class FlagSource:
    """One of the four: its name, its flags, and the places that set them."""

    name: str
    flags: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def of_environment(self) -> bool:
        return self.name in VARIABLES


@dataclass(frozen=True, slots=True)
class Rustflags:
    """What rustc gets for one target, and what is set but silenced by it."""

    triple: str
    active: FlagSource | None
    silenced: tuple[FlagSource, ...] = ()

    @property
    def lost(self) -> tuple[str, ...]:
        """Return the silenced flags that rustc does not get from the active source either."""
        given = self.active.flags if self.active else ()
        return tuple(flag for source in self.silenced for flag in pairs(source.flags) if flag not in pairs(given))


def pairs(flags: Iterable[str]) -> list[str]:
    """Return flags as people read them: ``-C`` and its value are one.

    >>> pairs(("--cfg", "tokio_unstable", "-Ctarget-cpu=native", "-Dwarnings"))
    ['--cfg tokio_unstable', '-C target-cpu=native', '-Dwarnings']
    """
    found: list[str] = []
    waiting = ""
    for flag in flags:
        if waiting:
            found.append(f"{waiting} {flag}")
            waiting = ""
        elif flag in ("-C", "-Z", "-W", "-A", "-D", "-F", "-L", "-l", "--cfg", "--codegen", "--check-cfg", "--extern"):
            waiting = flag
        else:
            found.append(f"-C {flag[2:]}" if flag.startswith("-C") else flag)
    return [*found, waiting] if waiting else found


def resolve(settings: ConfigLayers, triple: str, facts: Callable[[], Iterable[str]]) -> Rustflags:
    """Return what counts for a target. `facts` gives the lines of ``rustc --print cfg``, asked only if a section
    ``target.'cfg(...)'`` has flags.
    """
    sources = [*_of_variables(settings), *_of_target(settings, triple, facts), *_of_build(settings)]
    return Rustflags(triple, sources[0] if sources else None, tuple(source for source in sources[1:] if source.flags))


def _of_variables(settings: ConfigLayers) -> list[FlagSource]:
    found = []
    for name, separator in zip(VARIABLES, ("\x1f", " "), strict=True):
        if name in settings.environ:  # an empty variable clears all others
            words = settings.environ[name].split(separator)
            found.append(FlagSource(name, tuple(word for word in map(str.strip, words) if word), (name,)))
    return found


def _of_target(settings: ConfigLayers, triple: str, facts: Callable[[], Iterable[str]]) -> list[FlagSource]:
    found = settings.joined(("target", triple, "rustflags"))
    conditions = [key for key in settings.keys(("target",)) if key.startswith("cfg(")]
    conditional = [key for key in conditions if settings.all(("target", key, "rustflags"))]
    lines = list(facts()) if conditional else []
    names = [triple] if found else []
    for key in conditional:
        if holds(key, lines):
            found += settings.joined(("target", key, "rustflags"))
            names.append(f"'{key}'")
    source = _joined(f"target.{' and target.'.join(names)}.rustflags", found)
    return [source] if source.flags else []


def _of_build(settings: ConfigLayers) -> list[FlagSource]:
    found = settings.joined(("build", "rustflags"))
    return [_joined("build.rustflags", found)] if found else []


def _joined(name: str, settings: list[Setting]) -> FlagSource:
    flags = tuple(word for setting in settings for word in words(setting.value))
    return FlagSource(name, flags, tuple(dict.fromkeys(setting.where for setting in settings)))


def words(value: object) -> list[str]:
    """Return the flags of a value: a list of texts, or one text with blanks between."""
    return value.split() if isinstance(value, str) else [str(item) for item in value] if isinstance(value, list) else []
