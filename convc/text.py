"""Text from a model's file on its way to a person: it may hold anything."""

from __future__ import annotations

LONGEST_LINE = 600
"""Characters of an error: the name of a node may have a million."""
LONGEST_END = 200
"""Of these, how many its end keeps."""


def printable(text: str) -> str:
    """The text with all that a terminal would obey (escapes, control characters) written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def one_line(text: object) -> str:
    """A message of any length and content as one printable line of at most `LONGEST_LINE`."""
    line = printable(" ".join(str(text).split()))
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE - LONGEST_END - 1]}…{line[-LONGEST_END:]}"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
