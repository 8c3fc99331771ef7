"""Text from a model's file on its way to a person: it may hold anything."""

from __future__ import annotations

import codecs
import unicodedata
from io import TextIOWrapper
from typing import TextIO

LONGEST_LINE = 600
"""Characters of an error: the name of a node may have a million."""
LONGEST_END = 200
"""Of these, how many its end keeps."""

SPELLED = {
    "×": "x", "∘": "o", "→": "->", "…": "...", "–": "-", "−": "-", "·": "*", "∗": "*", "≤": "<=",
    "≥": ">=", "²": "^2", "³": "^3", "√": "sqrt ", "‖": "||", "±": "+-", "≈": "~", "∞": "infinity",
}  # fmt: skip
"""What stands for the characters of convc's own messages where they cannot be written."""


def spell_out(*streams: TextIO) -> None:
    """Lets streams that are not Unicode (those of an old terminal) spell out what they lack."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            codecs.register_error("convc", _spelled)
            stream.reconfigure(errors="convc")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(char: str) -> str:
    name = unicodedata.name(char, "")
    if char in SPELLED:
        return SPELLED[char]
    if name.startswith("GREEK"):
        return name.rpartition(" ")[2].lower()
    return unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode() or _escaped(char)


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
