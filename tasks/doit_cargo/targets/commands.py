"""The commands of doit-cargo and their options: a row each. Data only, since the launcher reads it on each call.

A command is a function (session, options) -> exit code; `options.targets` are its words. The same rows make the
parser, the doit commands of the same names, and the tables of docs/reference/commands.md.
"""

# What the words behind a command are: nothing, names (of targets, profiles), names and VAR=value, or free words.
NOTHING, NAMES, TARGETS, FREE = "nothing", "names", "targets", "free"

# What words can stand for, where a row does not list them: `completion` knows the names.
TARGET, FAMILY, PACKAGE, PROFILE, STILL, FILE = "<target>", "<family>", "<package>", "<profile>", "<kept>", "<file>"
SHELLS = ("bash", "zsh", "fish")

# Commands that make sense without an argument, which make has no way to give.
OF_MAKE = ("features", "list", "profiles")

# Names that make users know. `doit-cargo clean` and `make clean` reach them, and so does `doit run clean`; `run` is
# `doit run run` there.
SHARED_WITH_DOIT = frozenset({"clean", "help", "info", "run"})


# What cargo calls it, or what people type who use cargo all day: the target of ours. `cargo build` is a debug build.
CARGO_WORDS = {
    "clippy": "lint",
    "tree": "deps_tree",
    "update": "deps_update",
    "nextest": "test_nextest",
    "b": "dev",
    "c": "check",
    "d": "doc",
    "t": "test",
}


class Command:
    """A row: "module:function", one sentence, what its words are (and how usage calls them), the options it takes, and
    what completion offers; of targets and their variables, what may stand first beside them.
    """

    __slots__ = ("arguments", "doc", "function", "offers", "options", "words")

    def __init__(
        self,
        function: str,
        doc: str,
        words: str = NOTHING,
        arguments: str = "",
        options: tuple[str, ...] = (),
        offers: tuple[str, ...] = (),
    ) -> None:
        self.function = function
        self.doc = doc
        self.words = words
        self.arguments = arguments
        self.options = options
        self.offers = offers


class Option:
    """A row: a switch, or a value if it has a `metavar`: one of `offers`."""

    __slots__ = ("doc", "metavar", "offers")

    def __init__(self, doc: str, metavar: str = "", offers: tuple[str, ...] = ()) -> None:
        self.doc = doc
        self.metavar = metavar
        self.offers = offers


# Options of any call, and those of a call that runs targets.
GENERAL = {
    "help": Option("how it is called; behind a word, all about that"),
    "version": Option("print the version"),
    "workspace": Option("the workspace, or a folder below it", "DIR", (FILE,)),
    "trust": Option("agree for this call to what the checkout runs while one only looks (doit-cargo trust)"),
    "color": Option(
        "when to write colours: auto, always or never; NO_COLOR and FORCE_COLOR are heeded too",
        "WHEN",
        ("always", "never", "auto"),
    ),
}
RUNNING = {
    "process": Option("how many targets run beside each other", "N"),
    "keep-going": Option("go on with the other targets after a failure"),
    "audit": Option("build what is up to date once more elsewhere and compare the programs"),
    "explain": Option("of SINCE: which members are affected, and why"),
}


OPTIONS = {
    "json": Option("print JSON"),
    "all": Option("also the targets that are absent here, and why"),
    "check": Option("fail if the file differs from what it should be"),
    "compare": Option("the build file to record beside the targets here", "FILE", (FILE,)),
    "from-makefile": Option("the build file to migrate too, as `migrate FILE` does", "FILE", (FILE,)),
    "yes": Option("ask nothing"),
    "show": Option("only say what it is, and whether it is trusted"),
    "revoke": Option("trust it no more"),
    "output": Option("the file to write; for makefile Makefile, if not given", "FILE", (FILE,)),
    "agents": Option("for coding agents, in AGENTS.md"),
    "ci": Option("only the file of this build service, github or gitlab", "SERVICE", ("github", "gitlab")),
    "editor": Option("only the files of this editor, vscode", "EDITOR", ("vscode",)),
    "dot": Option("for Graphviz"),
    "mermaid": Option("for Mermaid, as Markdown pages show it"),
    "open": Option("show it in the browser"),
    "svg": Option("as a picture that stands alone"),
    "dry-run": Option("only say what would go"),
    "max-size": Option("remove no more than until the directory is so large", "SIZE"),
    "dismiss": Option("forget these failures instead, such as those of a mistyped word"),
    "force": Option("write over a Makefile that is not ours"),
}

COMMANDS = {
    "completion": Command(
        "doit_cargo.cli.shell.completion:completion",
        "The script that lets bash, zsh or fish complete the words of doit-cargo, and of make for its Makefile.",
        NAMES,
        "SHELL",
        offers=SHELLS,
    ),
    "doctor": Command(
        "doit_cargo.cli.doctor:doctor",
        "What this computer has, lacks and has wrong for a target, or for the default build and in general.",
        TARGETS,
        "[TARGET...] [VAR=value...]",
        ("json",),
    ),
    "gc": Command(
        "doit_cargo.actions.maintenance.garbage:gc",
        "Remove from the target directory what no target's last success rests on; what each target holds.",
        options=("dry-run", "json", "max-size"),
    ),
    "graph": Command(
        "doit_cargo.actions.report.graph:graph",
        "The parts of a group, or the crates that a target is built from, as a picture; Mermaid, if no form is named.",
        NAMES,
        "TARGET",
        ("dot", "mermaid", "output", "svg"),
        offers=(TARGET,),
    ),
    "guide": Command(
        "doit_cargo.actions.guide:guide",
        "Write BUILDING.md: which target for what, features and their rules, needs, pitfalls, times.",
        options=("agents", "check", "output"),
    ),
    "hint": Command(
        "doit_cargo.cli.hint:hint",
        "The cause that a failing log shows and what mends it; of what failed last, else of the latest build.",
        FREE,
        "[FILE|-]",
        ("json",),
        offers=(FILE,),
    ),
    "init": Command(
        "doit_cargo.cli.init:init",
        "Write dodo.py, a first profile, rules, the Makefile shim and ignore lines, whatever of it is not there yet.",
        options=("ci", "editor", "force", "from-makefile", "yes"),
    ),
    "kept": Command(
        "doit_cargo.cli.kept:kept",
        "What an older build file still does after `migrate`, and how to call it; with names, call them.",
        NAMES,
        "[NAME...]",
        offers=(STILL,),
    ),
    "list": Command(
        "doit_cargo.cli.commands:list_targets",
        "The targets that mean something in this workspace, by family; or those of a family alone.",
        NAMES,
        "[FAMILY...]",
        ("json", "all"),
        offers=(FAMILY, TARGET),
    ),
    "features": Command(
        "doit_cargo.actions.features:show",
        "Every feature of every member: what it turns on, its rules, and the profiles that use it.",
        NAMES,
        "[PACKAGE...]",
        ("json", "output", "check"),
        offers=(PACKAGE,),
    ),
    "makefile": Command(
        "doit_cargo.cli.commands:makefile",
        "Write the shim, check that the file on disk is the one that would be written, or compare an old Makefile.",
        options=("check", "compare", "force", "json", "output", "yes"),
    ),
    "matrix": Command(
        "doit_cargo.actions.ci.matrix:matrix",
        "The jobs of a build service, from the feature sets and triples of the pack.",
        options=("json",),
    ),
    "mcp": Command(
        "doit_cargo.cli.agents:serve",
        "Serve list, plan, why, run, status, hint and doctor to a coding agent, as an MCP server on standard input.",
    ),
    "migrate": Command(
        "doit_cargo.migrate.command:migrate",
        "Record what an old build file does, take over what is proven equal, keep the rest with it.",
        FREE,
        "[FILE]",
        ("json", "yes"),
        offers=(FILE,),
    ),
    "observe": Command(
        "doit_cargo.actions.observed:observe_target",
        "What a target was seen to read and ask that nobody declared, and the lines that declare it.",
        TARGETS,
        "TARGET... [VAR=value...]",
        ("json",),
    ),
    "plan": Command(
        "doit_cargo.cli.planning:plan_target",
        "What a target would run, without running it.",
        TARGETS,
        "TARGET... [VAR=value...]",
        ("json",),
    ),
    "profiles": Command(
        "doit_cargo.cli.commands:show_profiles",
        "The feature profiles; of those named, the composed TOML, each value with the file and line that set it.",
        NAMES,
        "[NAME...]",
        offers=(PROFILE,),
    ),
    "share": Command(
        "doit_cargo.cli.sharing:share",
        "Why a result is or is not fetched from other machines; `check`: does it answer; `key`: keys to sign with.",
        TARGETS,
        "why TARGET... [VAR=value...]",
        ("json",),
        offers=("why", "check", "key"),
    ),
    "report": Command(
        "doit_cargo.actions.report.page:report",
        "Write one page about this workspace: states, build times, sizes, crates, tests; .logs/report.html.",
        options=("open", "output"),
    ),
    "rerun": Command(
        "doit_cargo.cli.loop.rerun:rerun",
        "Run again what failed, could not start or was interrupted, with its variables; of tests those that failed.",
        NAMES,
        "[TARGET...]",
        ("dismiss",),
        offers=(TARGET,),
    ),
    "trust": Command(
        "doit_cargo.cli.trust:trust",
        "Agree to what this checkout would run while one only looks at it, as it is now.",
        options=("show", "revoke"),
    ),
    "warm": Command(
        "doit_cargo.cli.sharing:warm",
        "Start from what another machine has compiled: the first edit is a small build; SHARE=write publishes that.",
        TARGETS,
        "TARGET... [VAR=value...]",
    ),
    "watch": Command(
        "doit_cargo.cli.loop.watch:watch",
        "Run targets, and again whenever a file has changed that they rest on.",
        TARGETS,
        "TARGET... [VAR=value...]",
    ),
    "why": Command(
        "doit_cargo.cli.why:why_target",
        "What makes a target stale, roots first; or that it is fresh.",
        TARGETS,
        "TARGET... [VAR=value...]",
        ("json",),
    ),
}
