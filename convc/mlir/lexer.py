"""The tokens of MLIR text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from convc.errors import InvalidModelError
from convc.mlir.literals import parse_int, parse_string

T = TypeVar("T")

DEEPEST = 64
"""Brackets within brackets: no text that convc prints comes near."""

# A tensor type is one token: "1x3xf32" would otherwise be a number and a word.
_TOKEN = re.compile(
    r"""
    (?: [ \t\r\n] | //[^\n]*+ )*+
    (?: (?P<tensor> tensor\s*+< [^<>"]*+ (?:< [^<>"]*+ > [^<>"]*+)?+ > )
      | (?P<string> " [^"\\\n]*+ (?: \\. [^"\\\n]*+ )*+ " )
      | (?P<value>  % [A-Za-z0-9_$.\-]++ (?: \# [0-9]+ )?+ )
      | (?P<number> 0x[0-9A-Fa-f]++ | -?[0-9]++ (?: \.[0-9]*+ (?: [eE][-+]?[0-9]++ )?+ )?+ )
      | (?P<word>   [A-Za-z_] [A-Za-z0-9_$.]*+ )
      | (?P<symbol> @ [A-Za-z0-9_$.\-]++ )
      | (?P<block>  \^ [A-Za-z0-9_$.\-]++ )
      | (?P<dialect> [!\#] [A-Za-z_] [A-Za-z0-9_$.]*+ )
      | (?P<mark>   \{-\# | \#-\} | -> | [(){}<>\[\]=,:@] )
      | (?P<end>    \Z )
    )
    """,
    re.VERBOSE,
)


class Lexer:
    """One token at a time, with one of lookahead: ``kind``, ``text``, and where it starts, ``at``.

    ``kind`` is "" for the marks, which are told apart by their text.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.kind = ""
        self.text = ""
        self.at = 0
        self.depth = 0
        self._next = 0
        self.advance()

    def advance(self) -> str:
        """Goes on to the next token; returns the text of the old one."""
        old = self.text
        match = _TOKEN.match(self.source, self._next)
        if match is None:
            self._fail_on_rest()
        kind = match.lastgroup
        assert kind is not None
        self.kind = kind if kind != "mark" else ""
        self.text = match[kind]
        self.at = match.start(kind)
        self._next = match.end()
        return old

    def accept(self, mark: str) -> bool:
        """Goes past the mark or word if it is next."""
        if self.text != mark or self.kind not in ("", "word"):
            return False
        self.advance()
        return True

    def expect(self, mark: str) -> None:
        """Goes past the mark or word; raises InvalidModelError where another token is next."""
        if not self.accept(mark):
            self.fail(f"expected {mark!r}")

    def expect_kind(self, kind: str, what: str) -> str:
        """Goes past a token of that kind and returns its text; raises InvalidModelError."""
        if self.kind != kind:
            self.fail(f"expected {what}")
        return self.advance()

    def listed(self, item: Callable[[], T]) -> list[T]:
        """One item or more, with commas between."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def between(self, begin: str, item: Callable[[], T], end: str) -> list[T]:
        """Items with commas between them and brackets around; there may be none."""
        self.expect(begin)
        if self.accept(end):
            return []
        items = self.listed(item)
        self.expect(end)
        return items

    def string(self, what: str) -> str:
        """Goes past a string; returns what it says."""
        at, quoted = self.at, self.expect_kind("string", what)
        return self.converted(at, lambda: parse_string(quoted))

    def integer(self, what: str) -> int:
        """Goes past an integer."""
        at, word = self.at, self.expect_kind("number", what)
        return self.converted(at, lambda: parse_int(word))

    def key(self) -> str:
        """Goes past a name, which may stand in quotes."""
        return (
            self.string("a name") if self.kind == "string" else self.expect_kind("word", "a name")
        )

    def open(self) -> None:
        """Counts a bracket in which there may be others; raises InvalidModelError at too many."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail("too many brackets within brackets")

    def close(self) -> None:
        """Counts the end of such a bracket."""
        self.depth -= 1

    def converted(self, at: int, convert: Callable[[], T]) -> T:
        """What ``convert`` returns; its ValueError becomes an error at ``at``."""
        try:
            return convert()
        except (ValueError, MemoryError) as error:
            self.fail_at(at, str(error) or "too large")

    def fail(self, message: str) -> NoReturn:
        """Raises InvalidModelError with the place of the next token, and the token."""
        found = "the end of the text" if self.kind == "end" else repr(self.text[:40])
        self.fail_at(self.at, f"{message}, found {found}")

    def fail_at(self, at: int, message: str) -> NoReturn:
        """Raises InvalidModelError with line and column of ``at``."""
        raise error_at(self.source, at, message)

    def _fail_on_rest(self) -> NoReturn:
        skipped = re.compile(r"(?:[ \t\r\n]|//[^\n]*+)*+").match(self.source, self._next)
        assert skipped is not None
        rest = self.source[skipped.end() : skipped.end() + 20]
        what = "a string without an end" if rest[:1] == '"' else "unexpected text"
        self.fail_at(skipped.end(), f"{what}: {rest!r}")


def error_at(source: str, at: int, message: str) -> InvalidModelError:
    """The error with line and column of ``at``, in one line."""
    line = source.count("\n", 0, at) + 1
    column = at - (source.rfind("\n", 0, at) + 1) + 1
    one_line = " ".join(message.split())
    return InvalidModelError(f"line {line}, column {column}: {one_line}")
