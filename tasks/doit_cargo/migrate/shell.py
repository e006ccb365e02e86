"""The programs that a line of a recipe starts, with where and in which environment: enough of the shell to see them.

Reads what people write in Makefiles: ``cd``, assignments, ``&&`` and pipes, ``if``, redirections, ``sh -c``. Runs
nothing. What a substitution (``$(...)``) would give is unknown, so such a word stays as it is written.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

OPERATORS = frozenset({"&&", "||", ";", "|", "&", "|&", ";;", "(", ")", "{", "}"})
KEYWORDS = frozenset(
    {"if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!", "time", "exec", "command"}
)
# Programs that start another one, with the options of theirs that take a value.
STARTERS = {"env": ("-u", "-C", "-S"), "nice": ("-n",), "sudo": ("-u", "-g"), "timeout": ("-s", "-k"), "nohup": ()}
SHELLS = frozenset({"sh", "bash", "dash", "zsh"})
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
REDIRECTION = re.compile(r"\d*(?:>>?|<|>&|&>>?|<<<?)&?\d*")


@dataclass(frozen=True, slots=True)
class Command:
    """A program: its words, the folder it runs in (relative), what is set for it, and what hides its exit status.

    `masked` is how a failure of it is hidden: "| tee log" or "|| true", else empty.
    """

    argv: tuple[str, ...]
    folder: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    masked: str = ""

    @property
    def program(self) -> str:
        return os.path.basename(self.argv[0]) if self.argv else ""


def commands_of(line: str, folder: str = "") -> list[Command]:
    """Return the programs of one line of a recipe, in order."""
    found: list[Command] = []
    env: dict[str, str] = {}
    outer: list[tuple[str, dict[str, str]]] = []
    pieces = _pieces(line)
    for position, (words, operator) in enumerate(pieces):
        if operator == "(":
            outer.append((folder, dict(env)))
        command = _command(words, folder, env)
        if not command.argv:
            env |= command.env
        elif command.program == "cd":
            target = command.argv[1] if len(command.argv) > 1 else ""
            folder = os.path.normpath(os.path.join(folder, target))
        elif command.program == "export":
            env |= dict(word.split("=", 1) for word in command.argv[1:] if ASSIGNMENT.match(word))
        else:
            masked = _mask(pieces, position)
            found += [replace(each, masked=masked or each.masked) for each in _unwrapped(command)]
        if position + 1 < len(pieces) and pieces[position + 1][1] == ")" and outer:
            folder, env = outer.pop()  # what a subshell has set ends with it
    return found


def _pieces(line: str) -> list[tuple[list[str], str]]:
    """Return the words between operators, each with the operator before it; there may be no words."""
    pieces: list[tuple[list[str], str]] = [([], "")]
    for word in _words(line):
        if word in OPERATORS:
            pieces.append(([], word))
        else:
            pieces[-1][0].append(word)
    return pieces


def _words(line: str) -> list[str]:
    """Return words and operators. A quote that never ends makes plain words of what is there."""
    lexer = shlex.shlex(_protected(line), posix=True, punctuation_chars="();|&{}")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    try:
        words = [part for word in lexer for part in _operators(word)]
    except ValueError:
        return line.split()
    return [word.replace("\0", " ").replace("\1", "$(").replace("\2", ")") for word in words]


def _operators(word: str) -> list[str]:
    """Return the operators of a word that is made of nothing else: ``);`` are two."""
    if word and not word.strip("();|&{}"):
        return re.findall(r"&&|\|\||;;|\|&|[();|&{}]", word)
    return [word]


def _protected(line: str) -> str:
    """Return a line in which substitutions and braces of variables are one word without operators."""
    text = re.sub(r"(\d*[<>]&\d+|&>>?)", " ", line.replace("\\\n", " "))
    text = re.sub(r"\$\{(\w+)[^}]*\}", r"$\1", text)
    inner = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
    while found := inner.search(text):
        content = (found[1] if found[1] is not None else found[2]).replace(" ", "\0")
        quiet = re.sub(r"[|&;(){}'\"]", "", content)
        text = f"{text[: found.start()]}\1{quiet}\2{text[found.end() :]}"
    return text


def _command(words: list[str], folder: str, env: Mapping[str, str]) -> Command:
    rest = _without_redirections(words)
    own: dict[str, str] = {}
    while rest and (rest[0] in KEYWORDS or ASSIGNMENT.match(rest[0])):
        word = rest.pop(0)
        if ASSIGNMENT.match(word):
            name, _, value = word.partition("=")
            own[name] = value
    return Command(tuple(rest), folder, {**env, **own})


def _without_redirections(words: list[str]) -> list[str]:
    rest: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif REDIRECTION.fullmatch(word):
            skip = True
        elif not re.match(r"\d*[<>]", word):
            rest.append(word)
    return rest


def _unwrapped(command: Command) -> Iterator[Command]:
    """Yield the command that a starter (``env``, ``sudo``) starts, or those of ``sh -c TEXT``."""
    if command.program in SHELLS and "-c" in command.argv[:-1]:
        text = command.argv[command.argv.index("-c") + 1]
        for inner in commands_of(text, command.folder):
            yield replace(inner, env={**command.env, **inner.env})
        return
    valued = STARTERS.get(command.program)
    if valued is None:
        yield command
        return
    rest = list(command.argv[1:])
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in valued else rest[1:]
    if command.program == "timeout":
        rest = rest[1:]
    inner = _command(rest, command.folder, command.env)
    if inner.argv:
        yield from _unwrapped(inner)


def _mask(pieces: list[tuple[list[str], str]], position: int) -> str:
    """Return what follows a command and hides its failure: a pipe (its own status is lost), or an alternative."""
    rest = pieces[position + 1 :]
    operator = rest[0][1] if rest else ""
    words = [word for piece, _ in rest for word in piece]
    if operator in ("|", "|&"):
        return f"| {words[0]}" if words else ""
    if operator == "||" and words and "exit" not in words and "false" not in words:
        return f"|| {words[0]}"
    return ""
