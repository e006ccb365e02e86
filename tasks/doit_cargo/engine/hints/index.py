"""Which patterns a line is tried with: an index of them by one word each, that shrinks as a log tells the same again.

Knows patterns and whose they are, no logs.
"""

from __future__ import annotations

from doit_cargo.engine.hints.rules import HintRules, Owner, Pattern


class Index:
    """Patterns by the words to look for in a log. `words` are those that still lead somewhere."""

    def __init__(self, knowledge: HintRules) -> None:
        self._by_word = {word: list(entries) for word, entries in knowledge.by_word.items()}
        self.words = frozenset(self._by_word)

    def tried(self, words: frozenset[bytes], lower: bytes) -> list[tuple[Pattern, Owner]]:
        """Return the patterns that may match a line (lower case) with these words."""
        entries = {entry: None for word in words for entry in self._by_word.get(word, ()) if entry[0].literal in lower}
        return [entry for entry in entries if entry[0].may_match(lower)]

    def is_possible(self, word: bytes, words: set[bytes], lower: bytes) -> bool:
        """Tell whether any pattern of a word may match within a text (lower case) with these words.

        Cheaper than a look at each line where a common word such as "cannot" stands on most of them.
        """
        literals = {
            entry[0].literal
            for entry in self._by_word.get(word, ())
            if not any(map(words.isdisjoint, entry[0].needs))  # a look-up, where the literal is a search of the text
        }
        return any(literal in lower for literal in literals)

    def drop(self, owner: Owner) -> None:
        """Look no longer for what is known well enough."""
        for word, entries in self._by_word.items():
            self._by_word[word] = [entry for entry in entries if entry[1] != owner]
        self.words = frozenset(word for word, entries in self._by_word.items() if entries)
