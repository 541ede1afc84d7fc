"""Text out of a file, made safe to print: one line, no control characters, no more than a reader wants."""

from __future__ import annotations

import unicodedata

LONGEST = 120  # characters; the longest name in any known checkpoint has about 90
# Control characters, invisible ones that change the order of the text, halves of characters, line and paragraph ends.
_UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def is_plain(text: str) -> bool:
    """Whether a terminal shows this text as one line that is what it seems."""
    return text.isprintable() or not any(unicodedata.category(character) in _UNSAFE for character in text)


def printable(text: object) -> str:
    """Escape what cannot be printed and cut the rest: ``"a\\nsafe"`` -> ``"a\\\\nsafe"``."""
    line = str(text)[: LONGEST + 1]
    if not is_plain(line):
        line = line.encode("unicode_escape").decode("ascii")
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
