"""The maintenance family: cleaning, folders and information. Rows only; actions/maintenance.py does the work."""

from __future__ import annotations

from doit_cargo.engine.model import Target


def _action(name: str, doc: str, takes: tuple[str, ...] = ()) -> Target:
    action = f"doit_cargo.actions.maintenance:{name}"
    return Target(name=name, family="maintenance", doc=doc, action=action, takes=takes)


TARGETS: tuple[Target, ...] = (
    _action("setup_dirs", "Create the folders for logs and test logs."),
    _action("clean", "Remove what cargo built; the next build starts from nothing."),
    _action(
        "clean_all",
        "Remove what cargo built, test logs and coverage, but not the log of the last build; CARGO_CACHE=1 empties "
        "cargo's cache of downloads too.",
        takes=("CARGO_CACHE",),
    ),
    _action("clean_tests", "Remove test binaries and test logs, so that tests are built and run again."),
    _action("clean_logs", "Remove all logs."),
    _action("version", "Show the versions of doit-cargo, cargo, rustc and the workspace."),
    _action("info", "Show the workspace, its pack, and the tools and features found here."),
    _action("help", "Show the targets that exist here, each with what it does."),
)
