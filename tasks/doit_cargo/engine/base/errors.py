"""Every message to the user about bad input is made here: where, what, and the fix.

Knows nothing of cargo, profiles or doit. Imports stay light: the launcher loads this module on each call.
"""

from doit_cargo.engine.base.plain_text import lines, one_line, shortened, without_passwords

# Exit codes are doit's own (doit_cmd.DoitMain.run): scripts may rely on them.
DONE = 0
FAILED = 1
COULD_NOT_RUN = 2
BAD_INPUT = 3


class Problem:
    """One thing that is wrong: where it stands, what is wrong, what to do about it."""

    __slots__ = ("fix", "what", "where")

    def __init__(self, what: str, fix: str = "", where: str = "") -> None:
        self.what = what
        self.fix = fix
        self.where = where

    def __str__(self) -> str:
        head = f"{one_line(self.where)}: {self.what}" if self.where else self.what
        return lines(without_passwords(f"{head}\n  fix: {self.fix}" if self.fix else head))

    def __repr__(self) -> str:
        return f"Problem({self.what!r}, fix={self.fix!r}, where={self.where!r})"


class UserError(Exception):
    """Problems that end the command with a message and an exit code, never with a traceback."""

    def __init__(self, problems: "Problem | list[Problem]", code: int = BAD_INPUT) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        self.code = code
        super().__init__("\n".join(str(problem) for problem in self.problems))


def as_user_error(error: BaseException) -> UserError:
    """Return what a user can do about an error of the system, or of input beyond all measure, that nobody has met."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError):
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return UserError(Problem(reason, "make it readable or writable, or name another place"), COULD_NOT_RUN)
    if isinstance(error, MemoryError):
        return UserError(
            Problem("there is not enough memory", "raise the limit (ulimit -v) or free some"), COULD_NOT_RUN
        )
    return UserError(Problem("an input file is nested too deeply", "a TOML file with less depth"))


class Absent(UserError):  # noqa: N818 - a state of a target, not a fault
    """This checkout lacks what a target needs (a role, a feature, a platform): the target is absent, not broken."""


class NoWorkspaceError(UserError):
    """There is no workspace here, or no cargo to ask about it: what needs neither can still be told."""


class Collector:
    """Gather every problem of one input, so that all are reported at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, what: str, fix: str = "", where: str = "") -> None:
        self.problems.append(Problem(what, fix, where))

    def raise_if_any(self) -> None:
        """Raise `UserError` with all that was added, if anything was."""
        if self.problems:
            raise UserError(self.problems)


def nearest(name: str, known: "list[str] | tuple[str, ...]", likeness: float = 0.6) -> str:
    """Return the known name most like `name`, or an empty string."""
    import difflib

    plain = {candidate.replace("-", "_").lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.replace("-", "_").lower(), plain, n=1, cutoff=likeness)
    return plain[found[0]] if found else ""


def unknown(kind: str, name: str, known: "list[str] | tuple[str, ...]", where: str = "", shown: int = 12) -> Problem:
    """Return the problem of a name that nobody knows: the nearest one first, then what is known."""
    names = sorted(known)
    guess = nearest(name, names)
    fix = f"did you mean {guess!r}? " if guess else ""
    fix += f"known: {shortened(names, shown)}" if names else f"there is no {kind} here"
    return Problem(f"unknown {kind} {name!r}", fix, where)
