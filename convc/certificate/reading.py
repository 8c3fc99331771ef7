"""Reading a certificate: what is wrong with the file is said in one line, with the place."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn, cast

from convc.certificate.records import (
    FORMAT,
    VERSION,
    Certificate,
    Decisions,
    PassTrail,
    Record,
    Region,
    Rounding,
    digest_of,
)
from convc.errors import UsageError
from convc.model_files import read_text

OBJECTIVES = ("macs", "params")
LARGEST_SIZE = 2**31 - 1
LARGEST_NUMBER = sys.float_info.max
CLASSES = ("exact", "rounding", "approximate")


def read_certificate(path: Path) -> tuple[Certificate, str]:
    """The certificate in a file, and the digest of all that the file says.

    Raises InvalidModelError where there is no such file, UsageError where it is no certificate, or
    one that another version of convc wrote.
    """
    text = read_text(path)
    try:
        document = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: is no JSON: {reason}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UsageError(f"{path}: is no proof of convc (convc optimize --proof writes them)")
    version = document.get("version")
    if version != VERSION:
        raise UsageError(
            f"{path}: is a proof of version {json.dumps(version)[:40]}, and this convc reads "
            f"version {VERSION}: use the convc that made it"
        )
    return _certificate(_Part(document, str(path))), digest_of(document)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_number(text[:40])


@dataclass(frozen=True, slots=True)
class _Part:
    """An object of the document, and where it stands."""

    fields: Mapping[str, Any]
    place: str

    def get(self, key: str, *kinds: type, what: str) -> Any:
        """A field of one of the kinds; None only where ``NoneType`` is among them."""
        value = self.fields.get(key)
        # JSON's true is a number to Python.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.fail(key, what)
        return value

    def fail(self, key: str, what: str) -> NoReturn:
        """Raises UsageError: the field is not what it should be."""
        raise UsageError(f"{self.place}: {key} is not {what}")

    def text(self, key: str) -> str:
        """A string."""
        return cast(str, self.get(key, str, what="a text"))

    def optional_text(self, key: str) -> str:
        """A string, empty for null."""
        return self.get(key, str, type(None), what="a text or null") or ""

    def flag(self, key: str) -> bool:
        """True or false."""
        return cast(bool, self.get(key, bool, what="true or false"))

    def whole(self, key: str) -> int:
        """A whole number from 0 up."""
        value = cast(int, self.get(key, int, what="a whole number"))
        return value if value >= 0 else self.fail(key, "a number from 0 up")

    def size(self, key: str) -> int:
        """A size that an axis may have."""
        value = self.whole(key)
        return value if value <= LARGEST_SIZE else self.fail(key, "a size below 2^31")

    def number(self, key: str) -> float | None:
        """A finite number from 0 up, or null."""
        value = self.get(key, int, float, type(None), what="a number or null")
        # JSON's whole numbers have no end.
        if value is not None and not 0 <= value <= LARGEST_NUMBER:
            self.fail(key, "a finite number from 0 up")
        return None if value is None else float(value)

    def given(self, key: str) -> float:
        """A finite number from 0 up."""
        value = self.number(key)
        return self.fail(key, "a number") if value is None else value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self.get(key, list, what="a list")
        if not all(isinstance(value, str) for value in values):
            self.fail(key, "a list of texts")
        return tuple(values)

    def part(self, key: str) -> _Part:
        """An object."""
        return _Part(self.get(key, dict, what="an object"), f"{self.place}: {key}")

    def parts(self, key: str) -> Iterator[_Part]:
        """A list of objects."""
        for i, value in enumerate(self.get(key, list, what="a list")):
            if not isinstance(value, dict):
                self.fail(f"{key}[{i}]", "an object")
            yield _Part(value, f"{self.place}: {key}[{i}]")


def _certificate(part: _Part) -> Certificate:
    versions, sizes = part.part("versions"), part.part("sizes")
    objective = part.text("objective")
    if objective not in OBJECTIVES:
        part.fail("objective", f"one of {', '.join(OBJECTIVES)}")
    return Certificate(
        versions={name: versions.text(name) for name in versions.fields},
        original=part.text("original"),
        result=part.text("result"),
        sizes={name: sizes.size(name) for name in sizes.fields},
        keep_initializer_inputs=part.flag("keep_initializer_inputs"),
        objective=objective,
        seed=part.whole("seed"),
        pipeline=part.text("pipeline"),
        passes=tuple(map(_trail, part.parts("passes"))),
        verdict=part.optional_text("verdict"),
        notes=part.texts("notes"),
    )


def _trail(part: _Part) -> PassTrail:
    return PassTrail(
        text=part.text("pass"),
        before=part.text("before"),
        after=part.text("after"),
        records=tuple(map(_record, part.parts("records"))),
        decisions=_decisions(part),
        unproved=part.optional_text("unproved"),
        repeatable=part.flag("repeatable"),
    )


def _decisions(part: _Part) -> Decisions | None:
    rounds = part.get("decisions", list, type(None), what="a list or null")
    if rounds is None:
        return None
    if not all(isinstance(steps, list) and all(map(_is_step, steps)) for steps in rounds):
        part.fail("decisions", "a list of rounds of steps [rule, place]")
    return tuple(tuple((step[0], step[1]) for step in steps) for steps in rounds)


def _is_step(step: object) -> bool:
    return (
        isinstance(step, list)
        and len(step) == 2
        and isinstance(step[0], int)
        and isinstance(step[1], str)
    )


def _record(part: _Part) -> Record:
    exactness = part.text("class")
    if exactness not in CLASSES:
        part.fail("class", f"one of {', '.join(CLASSES)}")
    return Record(
        note=part.text("note"),
        exactness=exactness,
        before=_region(part.part("before")),
        after=_region(part.part("after")),
        residual=part.number("residual"),
        allowed=part.given("allowed"),
        rounding=None if part.fields.get("rounding") is None else _rounding(part.part("rounding")),
    )


def _region(part: _Part) -> Region:
    return Region(
        part.texts("inputs"), part.texts("outputs"), part.texts("ops"), part.text("digest")
    )


def _rounding(part: _Part) -> Rounding:
    return Rounding(part.given("worst"), part.given("probable"), part.given("confidence"))
