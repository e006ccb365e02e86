"""The commands of doit-cargo and their options: a row each. Data only, since the launcher reads it on each call.

A command is a function (session, options) -> exit code; `options.targets` are its words. The same rows make the
parser, the doit commands of the same names, and the tables of docs/commands.md.
"""

# What the words behind a command are: nothing, names (of targets, profiles), names and VAR=value, or free words.
NOTHING, NAMES, TARGETS, FREE = "nothing", "names", "targets", "free"

# Names that make users know. `doit-cargo clean` and `make clean` reach them, and so does `doit run clean`; `run` is
# `doit run run` there.
SHARED_WITH_DOIT = frozenset({"clean", "help", "info", "run"})


class Command:
    """A row: "module:function", one sentence, what its words are (and how usage calls them), the options it takes."""

    __slots__ = ("arguments", "doc", "function", "options", "words")

    def __init__(
        self, function: str, doc: str, words: str = NOTHING, arguments: str = "", options: tuple[str, ...] = ()
    ) -> None:
        self.function = function
        self.doc = doc
        self.words = words
        self.arguments = arguments
        self.options = options


class Option:
    """A row: a switch, or a value if it has a `metavar`."""

    __slots__ = ("doc", "metavar")

    def __init__(self, doc: str, metavar: str = "") -> None:
        self.doc = doc
        self.metavar = metavar


OPTIONS = {
    "json": Option("print JSON"),
    "all": Option("also the targets that are absent here, and why"),
    "check": Option("fail if the file differs from what it should be"),
    "compare": Option("the build file to record beside the targets here", "FILE"),
    "from-makefile": Option("the build file to migrate too, as `migrate FILE` does", "FILE"),
    "yes": Option("ask nothing"),
    "show": Option("only say what it is, and whether it is trusted"),
    "revoke": Option("trust it no more"),
    "output": Option("the file to write; for makefile Makefile, if not given", "FILE"),
    "force": Option("write over a Makefile that is not ours"),
}

# Targets of the same name as a command: with nothing but variables (`profile MODEL=x`) a call means the target.
ALSO_TARGETS = frozenset({"profile"})

COMMANDS = {
    "doctor": Command(
        "doit_cargo.cli.doctor:doctor",
        "What this computer has, lacks and has wrong for a target, or for the default build and in general.",
        TARGETS,
        "[TARGET...] [VAR=value...]",
        ("json",),
    ),
    "hint": Command(
        "doit_cargo.cli.hint:hint",
        "The cause that a failing log shows and what mends it; of the latest build if no log is named.",
        FREE,
        "[FILE|-]",
        ("json",),
    ),
    "init": Command(
        "doit_cargo.cli.init:init",
        "Write dodo.py, a first profile, rules, the Makefile shim and ignore lines, whatever of it is not there yet.",
        options=("force", "from-makefile", "yes"),
    ),
    "list": Command(
        "doit_cargo.cli.commands:list_targets", "The targets of this workspace by family.", options=("json", "all")
    ),
    "features": Command(
        "doit_cargo.actions.features:show",
        "Every feature of every member: what it turns on, its rules, and the profiles that use it.",
        NAMES,
        "[PACKAGE...]",
        ("json", "output", "check"),
    ),
    "makefile": Command(
        "doit_cargo.cli.commands:makefile",
        "Write the shim, check that the file on disk is the one that would be written, or compare an old Makefile.",
        options=("check", "compare", "force", "json", "output", "yes"),
    ),
    "migrate": Command(
        "doit_cargo.migrate.command:migrate",
        "Record what an old build file does, take over what is proven equal, keep the rest with it.",
        FREE,
        "[FILE]",
        ("json", "yes"),
    ),
    "plan": Command(
        "doit_cargo.cli.planning:plan_target",
        "What a target would run, without running it.",
        TARGETS,
        "TARGET... [VAR=value...]",
        ("json",),
    ),
    "profile": Command(
        "doit_cargo.cli.commands:show_profile",
        "A composed profile as TOML, each value with the file and line that set it; with variables, the target.",
        NAMES,
        "[NAME...]",
    ),
    "share": Command(
        "doit_cargo.cli.sharing:share",
        "Why a result is or is not fetched from other machines; `check`: does it answer; `key`: keys to sign with.",
        TARGETS,
        "why TARGET... [VAR=value...]",
        ("json",),
    ),
    "trust": Command(
        "doit_cargo.cli.trust:trust",
        "Agree to what this checkout would run while one only looks at it, as it is now.",
        options=("show", "revoke"),
    ),
    "why": Command(
        "doit_cargo.cli.why:why_target",
        "What makes a target stale, roots first; or that it is fresh.",
        TARGETS,
        "TARGET... [VAR=value...]",
        ("json",),
    ),
}
