"""Whether a line of a recipe always does the same: then what was seen of it once is all that there is to see.

A line that tests, chooses, pipes, redirects or asks may go another way on another day, so it is not for rows. What is
not known here is refused. Runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Words that only talk, and those that end a recipe.
TALK = frozenset({"echo", "printf", ":", "true"})
ENDS = frozenset({"exit", "false", "return"})
# Builtins and words of the grammar that change nothing but the shell itself; loops over written words are unrolled.
QUIET = frozenset({"cd", "export", "set", "for", "do", "done", "pushd", "popd"})
CHOICES = frozenset({"if", "then", "else", "elif", "fi", "while", "until", "case", "esac", "!", "[", "[[", "test"})
ASKS = frozenset({"command", "type", "hash", "which", "read", "eval", "source", ".", "trap", "wait", "ulimit", "umask"})
OPERATORS = ("&&", "||", ";;", "|&", ";", "|", "&", "(", ")", "{", "}", "\n")
TOKEN = re.compile(r"""\s*?(\n|&&|\|\||;;|\|&|[;|&()]|(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;|&()'"\\])+)""", re.DOTALL)
HARMLESS_ENDS = re.compile(r"\d?>&\d|&>\s*/dev/null|\d?>>?\s*/dev/null|</dev/null")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def why_not(text: str) -> str:
    """Return why a line may do something else another time; empty if it always does the same."""
    text = re.sub(r"\\\n", " ", text).strip()
    talk = _without_talk(text)
    for pattern, reason in (
        (r"\$\(|`", "asks another program"),
        (r"(?<!\|)\|(?!\|)", "has a pipe"),
        (r"<<", "has a text behind <<"),
    ):
        if re.search(pattern, _unquoted(talk, keep_double=pattern.startswith(r"\$"))):
            return reason
    return next((reason for words in _statements(talk) if (reason := _why_not(words, text))), "")


def _without_talk(text: str) -> str:
    """Return a line without the words of an echo that nothing hears; its substitutions are still there to be seen."""
    return HARMLESS_ENDS.sub(" ", text)


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


def _why_not(statement: list[str], text: str) -> str:
    before, *words = statement
    if before in ("&", "|", ";;"):
        return "runs something beside it" if before == "&" else "has a pipe"
    while words and (words[0] in ("do", "{", "(", "}") or ASSIGNMENT.match(words[0])):
        words = words[1:]
    return _of_program(before, words, text) if words else ""


def _of_program(before: str, words: list[str], text: str) -> str:
    first = words[0]
    is_end = first in ENDS or (first in TALK and bool(re.search(r"\bexit\b|\bfalse\b", text)))
    if before == "||" and not is_end:
        return "does something else after a failure (||)"
    if first in CHOICES:
        return f"chooses ({first})"
    if first in ASKS:
        return f"asks ({first})"
    return "" if first in TALK else _of_words(words, text)


def _of_words(words: list[str], text: str) -> str:
    for word in words:
        bare = re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", "", word)
        if re.search(r"[<>]", bare):
            return "writes or reads a file (< >)"
        if re.search(r"[*?]|\[.*\]", bare):
            return "takes the files that are there (* ?)"
        if bare.startswith("~"):
            return "uses the home folder (~)"
        unknown = [name for name in VARIABLE.findall(re.sub(r"'[^']*'", "", word)) if not _is_own(name, text)]
        if unknown:
            return f"reads ${unknown[0]}"
    return ""


def _is_own(name: str, text: str) -> bool:
    """Tell whether a line sets a variable itself, in a loop over words or by an assignment."""
    return bool(re.search(rf"\bfor\s+{name}\s+in\b|(?:^|[\s;&(]){name}=", text))
