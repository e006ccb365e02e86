"""The serve family: rows only. How a program is started is in the packs ([serve.PACKAGE]), what is done with it in
actions/serving.
"""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import Target
from doit_cargo.engine.base.variables import CARGO

_ACTIONS = "doit_cargo.actions.serving"
_MODEL = ("MODEL", "MODEL_DIR", "MODEL_FILE", "MCP_CONFIG", "ARGS", "MISTRALRS_DEBUG")
_TALK = (*_MODEL, *CARGO)
_SERVE = (*_MODEL, "PORT", *CARGO)

_built = partial(
    Target,
    family="serve",
    package="server",
    after=("build",),
    check=f"{_ACTIONS}.program:require",
    profile=("release",),
    equivalent_command=("cargo", "run"),
    packs=("mistralrs",),
)
_talks = partial(_built, action=f"{_ACTIONS}.foreground:talk", takes=_TALK)
_serves = partial(_built, action=f"{_ACTIONS}.foreground:serve", takes=_SERVE)
_starts = partial(_built, check=f"{_ACTIONS}.background:require", takes=(*_SERVE, "TIMEOUT"))
# They stay in cargo's lane, as test_server_start does: it is before test_api that a server must have started.
_alone = partial(Target, family="serve", packs=("mistralrs",))

TARGETS: tuple[Target, ...] = (
    _talks(
        name="run",
        doc="Build {package} and talk with a model on this terminal.",
    ),
    _talks(
        name="run_debug",
        doc="Build {package} and talk with a model, with debug output.",
    ),
    _serves(
        name="run_server",
        doc="Build {package} and run it on this terminal, on 127.0.0.1 and PORT, or 8080.",
    ),
    _serves(
        name="run_with_mcp",
        doc="Build {package} and run it with the MCP servers of MCP_CONFIG.",
    ),
    _starts(
        name="test_server_start",
        doc="Build {package}, start it in the background and wait until it answers.",
        action=f"{_ACTIONS}.background:start",
    ),
    _alone(
        name="test_api",
        doc="Test the HTTP API of a running server: health, models, chat, streams, errors, 50 requests at once.",
        action=f"{_ACTIONS}.api:test",
        check=f"{_ACTIONS}.api:require",
        takes=("PORT", "BASE_URL", "TIMEOUT"),
    ),
    _alone(
        name="test_server_stop",
        doc="Stop the test server.",
        action=f"{_ACTIONS}.background:stop",
        check=f"{_ACTIONS}.background:require_library",
    ),
    _starts(
        name="test_server_api",
        doc="Build {package}, start it, test its HTTP API, and stop it whatever the outcome.",
        action=f"{_ACTIONS}.api:start_test_stop",
    ),
    _built(
        name="test_tui",
        doc="Build {package} and hand this terminal over to it, or to the program of PACKAGE, for a test by hand.",
        action=f"{_ACTIONS}.foreground:talk",
        check=f"{_ACTIONS}.terminal:require_terminal",
        takes=_TALK,
    ),
    _built(
        name="test_tui_auto",
        doc="Build {package} and type the lines of SCRIPT into it, or into the program of PACKAGE, on a terminal.",
        action=f"{_ACTIONS}.terminal:by_script",
        check=f"{_ACTIONS}.terminal:require_script",
        takes=(*_TALK, "SCRIPT", "TIMEOUT"),
    ),
)
