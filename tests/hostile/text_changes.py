"""Mutations of MLIR text."""

# ruff: noqa: ARG001  # all changes take the same arguments
from __future__ import annotations

import re
from random import Random

from tests.hostile.proto_changes import INTS, KINDS, LISTS, NUMBERS

_NUMBER = re.compile(r"-?\d+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_STRING = re.compile(r'"[^"\n]*"')
_TYPE = re.compile(r"tensor<[^>\n]*>")
_HEX = re.compile(r"0x[0-9A-Fa-f]{4,}")
_DENSE = re.compile(r"dense<[^>\n]*>")

TYPES = (
    "tensor<*xf32>", "tensor<f32>", "tensor<2147483648x2147483648xf32>", "tensor<0xf32>",
    "tensor<-1xf32>", "tensor<1x4x12x10xi64>", "tensor<9223372036854775807xf32>", "tensor<?x?xf32>",
    "tensor<4x!onnx.String>", "tensor<99999999999999999999999xf32>", "tensor<1xf31>", "none",
    "!onnx.unknown", '!onnx.opaque<"0xFF">', "tensor<" + "1x" * 100 + "f32>", "index", "i1",
    "tensor<8000000000xi8>", "tensor<65536x65536xf32>",
)  # fmt: skip
JUNK = (
    "{", "}", "<", ">", "(", ")", "[", "]", '"', ",", ":", "%0", "%x", "@a", "^bb0", "-> ", "//",
    "\x00", "\x1b[31m", "\u202e", "\U0001f600", "{-#", "#-}", "\\", "\\FF", "1e999", "nan", "0x",
    "dense<0.0> : tensor<1099511627776xf32>", "dense_resource<w> : tensor<4xf32>", "[" * 200,
    "{a = " * 200, "(" * 5000, "1" * 5000, '"' + "s" * 5000 + '"', "true", "unit", "loc(unknown)",
)  # fmt: skip


def _one(pattern: re.Pattern[str], text: str, rng: Random, new: str) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    match = rng.choice(found)
    return text[: match.start()] + new + text[match.end() :]


def number(text: str, rng: Random, other: str) -> str:
    return _one(_NUMBER, text, rng, str(rng.choice(NUMBERS)))


def word(text: str, rng: Random, other: str) -> str:
    words = (*INTS, *LISTS, "value", "f32", "onnx", "func.func", "module", "return", "attributes")
    return _one(_WORD, text, rng, rng.choice(words))


def string(text: str, rng: Random, other: str) -> str:
    names = ("x", "", "\\00", "\\1B[31m", "0xZZ", "0xFF00", "a" * 5000, "\\FF", "1:a,2:b")
    kinds = (f"onnx.{rng.choice(KINDS)}", "onnx.NoValue", "func.return", "arith.addf")
    return _one(_STRING, text, rng, f'"{rng.choice((*names, *kinds))}"')


def kind(text: str, rng: Random, other: str) -> str:
    return _one(re.compile(r'"onnx\.\w+"'), text, rng, f'"onnx.{rng.choice(KINDS)}"')


def type_(text: str, rng: Random, other: str) -> str:
    return _one(_TYPE, text, rng, rng.choice(TYPES))


def type_everywhere(text: str, rng: Random, other: str) -> str:
    """The same wrong type wherever one is: the text stays consistent."""
    found = _TYPE.findall(text)
    return text.replace(rng.choice(found), rng.choice(TYPES)) if found else text


def number_in_types(text: str, rng: Random, other: str) -> str:
    found = sorted(set(re.findall(r"(?<=[<x])\d+(?=x)", text)))
    if not found:
        return text
    old, new = rng.choice(found), rng.choice((0, 1, 3, 100, 10**5, 2**31, 2**40, 2**63 - 1))
    return re.sub(rf"(?<=[<x]){old}(?=x)", str(new), text)


def payload(text: str, rng: Random, other: str) -> str:
    """Bytes of what is kept as bytes: weights, shells, subgraphs."""
    found = list(_HEX.finditer(text))
    if not found:
        return text
    match = rng.choice(found)
    digits = list(match[0])
    for _ in range(rng.choice((1, 2, 8))):
        digits[rng.randrange(2, len(digits))] = rng.choice("0123456789abcdefF")
    new = "".join(digits)[: rng.choice((len(digits), len(digits), rng.randrange(2, len(digits))))]
    return text[: match.start()] + new + text[match.end() :]


def dense(text: str, rng: Random, other: str) -> str:
    values = ("", "1.0", "[[[[1]]]]", "0x7F", "true", '"0x00"', '"0x0000803F"', "[" * 100, "1, 2")
    return _one(_DENSE, text, rng, f"dense<{rng.choice(values)}>")


def line(text: str, rng: Random, other: str) -> str:
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(4)
    if what == 0:
        del lines[i]
    elif what == 1:
        lines.insert(j, lines[i] * rng.choice((1, 1, 20)))
    elif what == 2:
        lines[i], lines[j] = lines[j], lines[i]
    else:
        lines.insert(i, rng.choice(other.splitlines(keepends=True)))
    return "".join(lines)


def junk(text: str, rng: Random, other: str) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(JUNK) + text[place:]


def characters(text: str, rng: Random, other: str) -> str:
    changed = list(text)
    for _ in range(rng.choice((1, 2, 5))):
        i = rng.randrange(len(changed))
        changed[i] = rng.choice((chr(rng.randrange(32, 127)), "", changed[i] * 2, "\x00", "é"))
    return "".join(changed)


def cut(text: str, rng: Random, other: str) -> str:
    if rng.random() < 0.4:
        return text[: rng.randrange(len(text))]
    start = rng.randrange(len(text))
    end = start + 2 ** rng.randint(0, 10)
    if rng.random() < 0.5:
        return text[:start] + text[end:]
    return text[:start] + text[start:end] * rng.choice((2, 3, 50)) + text[end:]


def splice(text: str, rng: Random, other: str) -> str:
    return text[: rng.randrange(len(text))] + other[rng.randrange(len(other)) :]


CHANGES = (
    number, number, word, string, kind, type_, type_everywhere, number_in_types, number_in_types,
    payload, payload, dense, line, line, junk, characters, cut, splice,
)  # fmt: skip


def change(text: str, rng: Random, other: str) -> str:
    """One to three of the changes above."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if text:
            text = rng.choice(CHANGES)(text, rng, other)
    return text
