"""Why no known build fits: what differs from the one that is nearest.

Knows lines and their subjects, and nothing of what is behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from doit_cargo.sharing import action, path_set, values
from doit_cargo.sharing.action import Action
from doit_cargo.sharing.carriers import Carrier

if TYPE_CHECKING:
    from doit_cargo.engine.state.staleness import State
    from doit_cargo.sharing.index import Known
    from doit_cargo.sharing.path_set import Here

# So many known builds are compared with.
MOST_COMPARED = 3


class Candidate(NamedTuple):
    """A path set filled with what is here: the state, the key that it gives, its lines.

    What must be absent gets into the state of the one that is used.
    """

    known: Known
    state: State
    key: Action
    lines: Mapping[str, str]
    here: Here


def differences(carrier: Carrier, candidates: list[Candidate]) -> list[list[str]]:
    """Return for each known build the subjects that differ here."""
    found = []
    for candidate in candidates[:MOST_COMPARED]:
        known = action.lines_of(action.small(carrier, candidate.known.manifest))
        found.append(differing(known, candidate.lines) if known else [])
    return found


def differing(known: Mapping[str, str], mine: Mapping[str, str]) -> list[str]:
    """Return the subjects that differ, files first; of another secret only itself, since it hides all that it hides
    otherwise.
    """
    found = [name for name in {**known, **mine} if known.get(name) != mine.get(name)]
    if values.LINE in found:
        hidden = {name for name in found if _is_hidden(known, name) and _is_hidden(mine, name)}
        found = [name for name in found if name not in hidden or name == values.LINE]
    return sorted(found, key=path_set.rank)


def _is_hidden(lines: Mapping[str, str], name: str) -> bool:
    return str(lines.get(name, "")).startswith(values.HIDDEN)


def told(differences: list[list[str]], most: int = 3) -> str:
    """Return why none fits in one line: at most so many subjects that differ from the nearest."""
    known = [names for names in differences if names]
    if not known:
        return "not shared: no known build is made from what is here"
    nearest = min((list(dict.fromkeys(map(path_set.subject_of, names))) for names in known), key=len)
    shown = ", ".join(nearest[:most])
    more = f" and {len(nearest) - most} more" if len(nearest) > most else ""
    verb = "differs" if len(nearest) == 1 else "differ"
    from_what = "the known build" if len(known) == 1 else f"the nearest of {len(known)} known builds"
    return f"not shared: {shown}{more} {verb} from {from_what}"
