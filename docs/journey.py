"""Our modules in the order in which a call first enters them: `python docs/journey.py dev`, `... doit test`.

A function that is called counts, what runs while a module is imported does not. `--all` shows the small ones of
`base` too. Run it in a workspace; the journeys of docs/design.md were seen with it.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from types import FrameType

import doit_cargo

OURS = os.path.join(os.path.dirname(str(doit_cargo.__file__)), "")
HAS_OWN_LOCALS = 0x2  # inspect.CO_NEWLOCALS; the body of a class has none
SMALL = ("engine/base/", "engine/toolchain/", "engine/console/streams", "cli/own_environment")


def main(words: list[str]) -> None:
    """Run a call of doit-cargo, or of doit, and tell its journey."""
    entered: dict[str, None] = {}

    def enter(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        is_function = code.co_flags & HAS_OWN_LOCALS and not code.co_name.startswith("<")
        if event == "call" and is_function and code.co_filename.startswith(OURS):
            entered.setdefault(code.co_filename.removeprefix(OURS).removesuffix(".py"))

    def tell(status: int) -> None:
        sys.setprofile(None)
        shown = [name for name in entered if everything or not name.startswith(SMALL)]
        sys.stderr.write(f"{', '.join(shown)}\n{len(shown)} of {len(entered)} modules; {len(sys.modules)} loaded\n")
        sys.stdout.flush()
        leave(status)

    everything, leave = "--all" in words, os._exit
    words = [word for word in words if word != "--all"]
    os._exit = tell  # type: ignore[assignment] # how the launcher ends
    sys.argv = words if words[:1] == ["doit"] else ["doit-cargo", *words]
    call = importlib.import_module("doit.__main__" if words[:1] == ["doit"] else "doit_cargo.cli.main").main
    threading.setprofile(enter)
    sys.setprofile(enter)
    try:
        tell(int(call() or 0))
    except SystemExit as end:
        tell(int(end.code or 0))


if __name__ == "__main__":
    main(sys.argv[1:])
