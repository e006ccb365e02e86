"""`doit-cargo share`: why a result is or is not fetched, whether the store answers, keys; and `doit-cargo warm`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from doit_cargo.engine.base.errors import DONE, FAILED, Problem, UserError, unknown
from doit_cargo.engine.base.plain_text import one_line
from doit_cargo.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from doit_cargo.engine.execution.request import BuildRequest
    from doit_cargo.sharing.share import Sharing


STORE = "name a store: [share] store = ... in profiles/pack.toml, or DOIT_CARGO_SHARE"


def share(session: Session, options: argparse.Namespace) -> int:
    """`share why TARGET...`, `share check`, `share key`."""
    words = list(options.targets)
    if not words:
        raise UserError(Problem("share needs a word", "doit-cargo share why TARGET, share check or share key"))
    if words[0] not in WORDS:
        raise UserError(unknown("word of share", words[0], tuple(WORDS)))
    return WORDS[words[0]](session, words[1:], options.json)


def warm(session: Session, options: argparse.Namespace) -> int:
    """`warm TARGET...`: have the next build start from what another machine has compiled, or publish that."""
    from doit_cargo.sharing import warm as snapshot

    if not options.targets:
        raise UserError(Problem("warm needs a target", "for example: doit-cargo warm build"))
    session.prepare(options.targets)
    for name in options.targets:
        request, sharing = _sharing(session, name)
        snapshot.run(sharing, request)
    return DONE


def _why(session: Session, names: list[str], as_json: bool) -> int:
    """Tell of each target whether its result would be fetched, and if not, what differs from each known build."""
    if not names:
        raise UserError(Problem("share why needs a target", "for example: doit-cargo share why build"))
    session.prepare(names)
    found = {session.row(name)["name"]: _explained(session, name) for name in names}
    if as_json:
        print(json.dumps(found, indent=2))
        return DONE
    for name, lines in found.items():
        print(f"{name}:")
        for line in lines:
            print(one_line(f"  {line}"))
    return DONE


def _explained(session: Session, name: str) -> list[str]:
    request, sharing = _sharing(session, name)
    from doit_cargo.engine.execution.same_plan import plan_state_of

    return sharing.explained(request.plan, plan_state_of(request, request.plan))


def _sharing(session: Session, name: str) -> tuple[BuildRequest, Sharing]:
    request = session.shared_request(name)
    if request.shared is None:
        raise UserError(Problem(f"nothing is shared of {name}", STORE))
    from doit_cargo.sharing.share import Sharing

    assert isinstance(request.shared, Sharing)
    return request, request.shared


def _check(session: Session, names: list[str], as_json: bool) -> int:
    """Tell of each store whether it answers, how fast, and whether it keeps what is written."""
    from doit_cargo.sharing import check, settings

    _refuse(names, "check")
    found = settings.of(session.library.pack.share, session.root, session.environ, "")
    if found is None:
        raise UserError(Problem("no store is configured", STORE))
    said = [check.of(address, found) for address in found.reads]
    if as_json:
        print(json.dumps([one._asdict() for one in said], indent=2))
    else:
        print("\n".join([*map(str, said), *check.of_secret()]))
    return DONE if all(one.answers for one in said) else FAILED


def _key(session: Session, names: list[str], as_json: bool) -> int:
    """Print a new pair of keys."""
    from doit_cargo.sharing import signing

    del session
    _refuse(names, "key")
    private, public = signing.new_pair()
    if as_json:
        print(json.dumps({"private": private, "public": public}, indent=2))
    else:
        print(f"a secret of the CI that publishes: DOIT_CARGO_SHARE_SIGNING_KEY={private}")
        print(f'for everybody, in profiles/pack.toml:  [share] keys = ["{public}"]')
    return DONE


def _refuse(names: list[str], word: str) -> None:
    if names:
        raise UserError(Problem(f"share {word} does not take {names[0]!r}", "leave it out"))


WORDS: dict[str, Callable[[Session, list[str], bool], int]] = {"why": _why, "check": _check, "key": _key}
