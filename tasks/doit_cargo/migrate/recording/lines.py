"""Whether a line of a recipe always does the same: then what was seen of it once is all that there is to see.

A line that tests, chooses, pipes, redirects or asks may go another way on another day, so it is not for rows. What is
not known here is refused. Runs nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import dropwhile

from doit_cargo.migrate.recording.recorder import STARTERS

# Words that only talk, and those that end a recipe.
TALK = frozenset({"echo", "printf", ":", "true"})
ENDS = frozenset({"exit", "false", "return"})
# Loops over words that are in the line are seen turn by turn; so is a choice by words alone.
CHOICES = frozenset({"if", "elif", "while", "until", "case", "esac", "!"})
ASKS = frozenset({"command", "type", "hash", "which", "read", "eval", "source", ".", "trap", "wait", "ulimit", "umask"})
OPERATORS = ("&&", "||", ";;", "|&", ";", "|", "&", "(", ")", "{", "}", "\n")
TOKEN = re.compile(r"""\s*?(\n|&&|\|\||;;|\|&|[;|&()]|(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;|&()'"\\])+)""", re.DOTALL)
HARMLESS_ENDS = re.compile(r"\d?>&\d|&>\s*/dev/null|\d?>>?\s*/dev/null|</dev/null")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
VALUE = r"""(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;&|'"\\])*"""
QUOTED = r"""'[^']*'|"(?:\\.|[^"\\])*"|\\."""
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
# `$$`, `$@`, `${!NAME}`: of the shell itself, or a name that is made up.
OF_THE_SHELL = re.compile(r"(?<!\\)\$([$!@#-]|\{\W)")
TESTS = frozenset({"[", "[[", "test"})
# What a test may compare and still say the same each time; all else looks at files.
COMPARISONS = frozenset(
    {"=", "==", "!=", "-z", "-n", "-eq", "-ne", "-lt", "-gt", "-le", "-ge", "!", "-a", "-o", "]", "]]"}
)
BEFORE_A_PROGRAM = frozenset({"do", "then", "else", "{", "(", "}"})
# A question whether a tool is on PATH: one that nobody answers differently while the tool is there.
IS_THERE = re.compile(r"(?:(?:if|elif|!)\s+)*(?:command -v|which|hash|type)\s+([A-Za-z0-9][\w.+-]*)\s*$")
# A question that changes nothing; and what a line ends with that fails never.
LOOKS = re.compile(r"\$\(\s*git (?:log|rev-parse|describe)\b(?!.*--output)[^$`;&|<>()]*\)")
NEVER_FAILS = re.compile(r"\|\|\s*(?:true|:)\s*$")
# What a shell finds out by itself, where no stand-in sees it: a random number, files that fit, what is outside.
ASKS_THE_SHELL = re.compile(
    r"\$\{?(?:\$|(?:RANDOM|PPID|SECONDS|UID|EUID|EPOCH\w+|BASHPID)\b)|(?:^|[\s;&|(])(?:echo|printf)\b[^\n;&|)]*[*?<]"
    r"|(?:\btest|\[)\s+(?:!\s+)?-\w\s+[\"']?(?:/|\.\.)"
)
FILE_TEST = re.compile(r"(?:\btest|\[)\s+(?:!\s+)?-[a-mo-yA-Z]\s+[\"']?([\w./-]+)")
PLAIN_PATH = re.compile(r"(?!/)[\w./@+-]+")
LOSES = re.compile(r"-[iu]\b|-$|--(?:unset|ignore-environment)\b")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line, and what is known besides: variables that somebody asks for first, names of files that are watched, tools
    whose absence is looked at too."""

    text: str
    given: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()

    def reads(self, word: str) -> Iterator[str]:
        """Yield the variables of the environment that a word has in it."""
        names = VARIABLE.findall(re.sub(r"'[^']*'", "", word))
        yield from (name for name in names if not self._is_own(name))

    def _is_own(self, name: str) -> bool:
        """Tell whether the line sets a variable itself before it is read: in a loop, or in a statement of its own."""
        used = re.search(rf"\$\{{?{name}\b", self.text)
        before = self.text[: used.start()] if used else self.text
        return bool(re.search(rf"\bfor\s+{name}\s+in\b|(?:^|[\s;&(]){name}={VALUE}\s*(?:;|&&|\n)", before))


def why_not(text: str, given: Collection[str] = (), programs: Collection[str] = (), tools: Collection[str] = ()) -> str:
    """Return why a line may do something else another time; empty if it always does the same."""
    line = _Line(_joined(text), frozenset(given), frozenset(programs), frozenset(tools))
    talk = HARMLESS_ENDS.sub(" ", line.text)
    if _only_talks(talk):
        return ""
    for pattern, reason in (
        (r"\$\(|`", "asks another program"),
        (r"(?<!\|)\|(?!\|)", "has a pipe"),
        (r"<<", "has a text behind <<"),
    ):
        if re.search(pattern, _unquoted(talk, keep_double=pattern.startswith(r"\$"))):
            return reason
    return next((reason for words in _statements(talk) if (reason := _why_not(words, line))), "")


def _only_talks(text: str) -> bool:
    """Tell whether a line says something, or nothing, and ends well whatever it finds."""
    plain = LOOKS.sub("x", text)
    firsts = (words[1:2] for words in _statements(plain))
    is_quiet = not re.search(r"\$\(|`|[<>]|\$\{\w*\W", _unquoted(plain, keep_double=True).replace("\\>", ""))
    return bool(NEVER_FAILS.search(plain)) and is_quiet and all(TALK.union(TESTS).issuperset(each) for each in firsts)


def tested_files(text: str) -> list[str]:
    """Return the files of which a text asks whether, or what, they are."""
    return FILE_TEST.findall(text)


def tools_asked_for(text: str) -> list[str]:
    """Return the tools of which a line asks whether they are there."""
    statements = _statements(HARMLESS_ENDS.sub(" ", _joined(text)))
    return [found[1] for words in statements if (found := IS_THERE.match(" ".join(words[1:])))]


def started_by_path(text: str, folder: str = "") -> Iterator[str]:
    """Yield the programs that a line starts by a path below the checkout; `folder` is where it begins."""
    for statement in _statements(_joined(text)):
        rest = dropwhile(_is_before_a_program, statement[1:])
        word, argument = next(rest, ""), next(rest, "")
        if word == "cd" and argument:
            folder = os.path.join(folder, argument)
        path = os.path.normpath(os.path.join(folder, word))
        if "/" in word and PLAIN_PATH.fullmatch(path) and not path.startswith(".."):
            yield path


def _is_before_a_program(word: str) -> bool:
    return word in BEFORE_A_PROGRAM or word in STARTERS or bool(ASSIGNMENT.match(word))


def read_by(text: str) -> set[str]:
    """Return the variables that a line takes from the environment for more than talk."""
    line = _Line(_joined(text))
    wanted = (words for words in _statements(line.text) if not TALK.intersection(words[1:2]))
    return {name for words in wanted for word in words for name in line.reads(word)}


def _joined(text: str) -> str:
    return re.sub(r"\\\n", " ", text).strip()


def _unquoted(text: str, keep_double: bool) -> str:
    text = re.sub(r"'[^']*'", "''", text)
    return text if keep_double else re.sub(r'"(?:\\.|[^"\\])*"', '""', text)


def _statements(text: str) -> Iterator[list[str]]:
    """Yield the words of each statement, the operator before it first."""
    words = [""]
    for token in TOKEN.findall(text):
        if token in OPERATORS:
            yield words
            words = [token]
        else:
            words.append(token)
    yield words


def _why_not(statement: list[str], line: _Line) -> str:
    before, *words = statement
    if before in ("&", "|", ";;"):
        return "runs something beside it" if before == "&" else "has a pipe"
    while words and (words[0] in BEFORE_A_PROGRAM or ASSIGNMENT.match(words[0])):
        if reason := _of_variables(words.pop(0), line):
            return reason
    asked = IS_THERE.match(" ".join(words))
    if not words or (asked and asked[1] in line.tools and before != "||"):
        return ""
    return _of_program(before, words, line)


def _of_program(before: str, words: list[str], line: _Line) -> str:
    first = words[0]
    is_end = first in ENDS or (first in TALK and bool(re.search(r"\bexit\b|\bfalse\b", line.text)))
    if before == "||" and not is_end:
        return "does something else after a failure (||)"
    test = words[1:] if first in ("if", "elif") else words
    if test and test[0] in TESTS:
        return _of_test(test, line)
    if first in CHOICES or first in ASKS:
        return f"{'chooses' if first in CHOICES else 'asks'} ({first})"
    if first == "unset" or (first == "env" and any(map(LOSES.match, words[1:]))):
        return f"takes variables away ({first})"
    if first in TALK:
        return "writes or reads a file (< >)" if any(map(_redirects, words)) else ""
    return _of_path(words, line) or _of_words(words, line)


def _of_test(words: list[str], line: _Line) -> str:
    """Return why a test may have another answer another time: it looks at more than words that are in the line."""
    options = (word for word in words[1:] if re.match(r"-\w+$|[<>=!]", word))
    if any(word not in COMPARISONS for word in options):
        return f"chooses ({words[0]})"
    return next((reason for word in words[1:] if (reason := _of_variables(word, line))), "")


def _of_path(words: list[str], line: _Line) -> str:
    """Return why a program cannot be watched: what is called by a path is not looked for on PATH."""
    while len(words) > 1 and (words[0].rsplit("/", 1)[-1] in STARTERS or ASSIGNMENT.match(words[0])):
        words = words[1:]
    folder, slash, name = words[0].rpartition("/")
    is_watched = name in STARTERS or (name in line.programs and not folder.startswith("/"))
    return f"starts {words[0]} by its path, which cannot be watched" if slash and not is_watched else ""


def _of_words(words: list[str], line: _Line) -> str:
    for word in words:
        bare = re.sub(QUOTED, "", word)
        if _redirects(word):
            return "writes or reads a file (< >)"
        if re.search(r"[*?]|\[.*\]", bare):
            return "takes the files that are there (* ?)"
        if bare.startswith("~"):
            return "uses the home folder (~)"
        if reason := _of_variables(word, line):
            return reason
    return ""


def _redirects(word: str) -> bool:
    return bool(re.search(r"[<>]", re.sub(QUOTED, "", word)))


def _of_variables(word: str, line: _Line) -> str:
    if found := OF_THE_SHELL.search(re.sub(r"'[^']*'", "", word)):
        return f"reads {found[0]}"
    unknown = [name for name in line.reads(word) if name not in line.given]
    return f"reads ${unknown[0]}" if unknown else ""
