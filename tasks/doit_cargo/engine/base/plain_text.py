"""Names and texts of others as they may be written: to a terminal, into a Makefile, into Markdown.

A file name, a package's text or a row's `doc` may hold anything: control sequences, line breaks that fake another line,
marks that turn the direction of writing, what make or Markdown would act on, a password. Imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HIDDEN = "***"


def one_line(text: str) -> str:
    """Return a text whose every character is seen: all others stand there as their escapes.

    >>> one_line("a\\x1b[2Jb\\n\\u202ec")
    'a\\\\x1b[2Jb\\\\n\\\\u202ec'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def lines(text: str) -> str:
    """Return a text of several lines in the same way; line breaks and tabs are its own."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\n\t" else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def phrase(text: str) -> str:
    """Return a description as one line: its line breaks are blanks."""
    return one_line(" ".join(text.split()))


def shortened(names: Sequence[str], most: int) -> str:
    """Return names in one line that can be read: of many the first ones, and how many more.

    >>> shortened(["a", "b"], 2), shortened(["a", "b", "c"], 2)
    ('a, b', 'a, b and 1 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def for_make(text: str) -> str:
    """Return one line as a comment of a Makefile: a backslash at its end would draw the next line into it."""
    return text.rstrip("\\")


def for_markdown(text: str) -> str:
    """Return a description that ends no cell of a table and begins no markup of its own."""
    return phrase(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def without_passwords(text: str) -> str:
    """Return a text without who logs in at its URLs, and without what their queries give as a key.

    >>> without_passwords("https://me:pw@host/x https://token@host ssh://git@host http://host/?sig=1&x=2")
    'https://***@host/x https://***@host ssh://git@host http://host/?sig=***&x=2'
    """
    if "://" not in text:
        return text
    import re

    return re.sub(r"://\S+", lambda url: _without_password(url[0]), text)


def _without_password(url: str) -> str:
    import re

    shown = re.sub(r"(://)(?!git@)[^/\s?#]*@", rf"\1{HIDDEN}@", url)
    return re.sub(r"(?i)([?&](?:[\w-]*(?:token|key|secret|password|auth)|sig\w*)=)[^&\s\"']+", rf"\1{HIDDEN}", shown)


# The few weights and colours that we write ourselves; in a name of others they could do no more than that.
STYLES = ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[1;31m")


class Terminal:
    """A text stream that shows what would steer a terminal instead of sending it there."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        shown = lines(without_passwords(text))
        if "\x1b" in text:
            for style in STYLES:
                shown = shown.replace(_escaped(style), style)
        return self._stream.write(shown)  # type: ignore[attr-defined, no-any-return]

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
