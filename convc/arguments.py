"""What the command line is parsed with: one-line errors with a hint, examples, typed values."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

LARGEST_FACTOR = 1e6
"""Of channels and pads: beyond it a typing error is likelier than a question."""


class _Formatter(argparse.HelpFormatter):
    """Wraps text, but for what has lines of its own: examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """argparse with errors in one line, and help that keeps the lines of its examples."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=_Formatter)

    def error(self, message: str) -> NoReturn:
        """Ends with what is wrong and where the help is."""
        self.exit(2, f"convc: {message} (see {self.prog} --help)\n")

    @property
    def flags(self) -> list[str]:
        """What can be given, but arguments without a name."""
        return list(self._option_string_actions)

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """Ends where words are left that no argument takes, with the flag that may be meant."""
        flags = [word for word in words if word.startswith("-")]
        if not words:
            return
        if not flags:
            self.error(f"too many arguments: {' '.join(words)}")
        flag = flags[0].partition("=")[0]
        close = get_close_matches(flag, self.flags, n=1, cutoff=0.7)
        self.error(f"unknown option {flag}" + (f": did you mean {close[0]}?" if close else ""))


class Collect(argparse.Action):
    """Collects ``NAME=SIZE`` pairs in a dict."""

    def __call__(self, _parser: object, namespace: object, pair: object, *_: object) -> None:
        """Adds one pair; an earlier one of that name is replaced."""
        assert isinstance(pair, tuple)
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), pair[0]: pair[1]})


def dim(text: str) -> tuple[str, int]:
    """``NAME=SIZE`` with a positive size."""
    name, equals, size = text.rpartition("=")
    if not equals or not name or not size.isdecimal() or int(size) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=SIZE with a positive size, such as height=512"
        )
    return name, int(size)


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def natural(text: str) -> int:
    """A whole number from 0 up."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def factor(text: str) -> float:
    """A factor above 0."""
    value = factor_or_none(text)
    if value == 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a factor above 0, such as 2 or 0.5")
    return value


def factor_or_none(text: str) -> float:
    """A factor from 0 up."""
    value = _number(text)
    if not 0.0 <= value <= LARGEST_FACTOR:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a factor from 0 to {LARGEST_FACTOR:g}, such as 2 or 0.5"
        )
    return value


def seconds(text: str) -> float:
    """Seconds from 0 up."""
    value = _number(text)
    if not value >= 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 30")
    return value


def tolerance(text: str) -> float:
    """A part of 1."""
    value = _number(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1, as 1e-4 is")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
