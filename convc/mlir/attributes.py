"""Types and attributes: the part of the text between the operations' names."""

from __future__ import annotations

import re
from typing import Any

from convc.ir import Array, Opaque, OpaqueType, TensorType, Type
from convc.mlir.lexer import DEEPEST, Lexer
from convc.mlir.literals import (
    float_of,
    from_raw_bytes,
    from_words,
    parse_hex,
    parse_int,
    string_array,
)
from convc.mlir.tree import AnyType, FunctionType, Resource, Scalar, TypeAttribute
from convc.mlir.types import DTYPES, OPAQUE, UNKNOWN, parse_tensor

_FLOATS = {"f16", "bf16", "f32", "f64"}
_INTEGER = re.compile(r"[su]?i[0-9]{1,4}|index")


class AttributeParser:
    """Parses types and attributes at the lexer's place."""

    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer

    # -- types -------------------------------------------------------------------------------

    def type(self) -> AnyType:
        """A type; raises InvalidModelError where none is next that convc knows."""
        if self.lexer.kind == "tensor":
            return self._tensor()
        if self.lexer.kind == "dialect":
            return self._dialect_type()
        if self.lexer.kind == "word":
            return Scalar(self.lexer.advance())
        return self.lexer.fail("expected a type")

    def _tensor(self) -> TensorType:
        at, text = self.lexer.at, self.lexer.expect_kind("tensor", "a tensor type")
        return self.lexer.converted(at, lambda: parse_tensor(text))

    def _dialect_type(self) -> Type:
        if self.lexer.text == UNKNOWN:
            self.lexer.advance()
            return None
        if self.lexer.text != OPAQUE:
            self.lexer.fail("expected a type that convc knows")
        self.lexer.advance()
        return OpaqueType(self._payload())

    def _payload(self) -> bytes:
        self.lexer.expect("<")
        at, text = self.lexer.at, self.lexer.string("the bytes")
        self.lexer.expect(">")
        return self.lexer.converted(at, lambda: parse_hex(text))

    def function_type(self) -> FunctionType:
        """Types of arguments in parentheses, an arrow, types of results."""
        arguments = self.lexer.between("(", self.type, ")")
        self.lexer.expect("->")
        results = (
            self.lexer.between("(", self.type, ")") if self.lexer.text == "(" else [self.type()]
        )
        return FunctionType(tuple(arguments), tuple(results))

    # -- attributes --------------------------------------------------------------------------

    def dictionary(self) -> dict[str, Any]:
        """Attributes by name, in braces; the value of one that is only there is None."""
        at = self.lexer.at
        entries = self.lexer.between("{", self._entry, "}")
        attributes = dict(entries)
        if len(attributes) != len(entries):
            self.lexer.fail_at(at, "two attributes have the same name")
        return attributes

    def _entry(self) -> tuple[str, Any]:
        if self.lexer.kind not in ("word", "string"):
            self.lexer.fail("expected the name of an attribute")
        key = self.lexer.string("") if self.lexer.kind == "string" else self.lexer.advance()
        return key, self.attribute() if self.lexer.accept("=") else None

    def attribute(self) -> Any:
        """A number, str, tuple, dict, array, Opaque, or one of `convc.mlir.tree`; None for unit."""
        match self.lexer.kind:
            case "number":
                return self._number()
            case "string":
                return self.lexer.string("")
            case "tensor":
                return TypeAttribute(self._tensor())
            case "symbol":
                return self.lexer.advance()
            case "dialect":
                return self._dialect_attribute()
            case "word":
                return self._word_attribute()
        self.lexer.open()
        value: Any
        if self.lexer.text == "[":
            value = tuple(self.lexer.between("[", self.attribute, "]"))
        elif self.lexer.text == "{":
            value = self.dictionary()
        elif self.lexer.text == "(":
            value = TypeAttribute(self.function_type())
        else:
            self.lexer.fail("expected an attribute")
        self.lexer.close()
        return value

    def _number(self) -> int | float:
        at, word = self.lexer.at, self.lexer.advance()
        type_ = self.lexer.expect_kind("word", "a type") if self.lexer.accept(":") else ""
        if not type_ and ("." in word or (word.startswith("0x") and len(word) == 18)):
            type_ = "f64"  # MLIR leaves this type out, even after the bits of a NaN
        if type_ in _FLOATS:
            return self.lexer.converted(at, lambda: float_of(word, DTYPES[type_]))
        if type_ and not _INTEGER.fullmatch(type_):
            self.lexer.fail_at(at, f"a number is no {type_}")
        return self.lexer.converted(at, lambda: parse_int(word))

    def _word_attribute(self) -> Any:
        word = self.lexer.text
        if word in ("true", "false"):
            self.lexer.advance()
            return int(word == "true")
        if word == "unit":
            self.lexer.advance()
            return None
        if word == "dense":
            self.lexer.advance()
            return self._dense()
        if word == "dense_resource":
            self.lexer.advance()
            return self._dense_resource()
        return TypeAttribute(self.type())

    def _dialect_attribute(self) -> Any:
        if self.lexer.text == "#onnx.opaque":
            self.lexer.advance()
            return Opaque(self._payload())
        if self.lexer.text == "#onnx.dense":
            self.lexer.advance()
            return self._foreign_dense()
        if self.lexer.text[0] == "!":
            return TypeAttribute(self._dialect_type())
        return self.lexer.fail("expected an attribute that convc knows")

    def _dense(self) -> Array:
        at = self.lexer.at
        self.lexer.expect("<")
        if self.lexer.kind == "string":
            text = self.lexer.string("the bytes")
            self.lexer.expect(">")
            type_ = self._array_type()
            return self.lexer.converted(at, lambda: from_raw_bytes(parse_hex(text), type_))
        words, shape = ([], None) if self.lexer.text == ">" else self._elements()
        self.lexer.expect(">")
        type_ = self._array_type()
        if shape is not None and shape != type_.shape and words:
            self.lexer.fail_at(at, f"elements of shape {shape}, but a type of {type_.shape}")
        return self.lexer.converted(at, lambda: from_words(words, type_, splat=shape is None))

    def _array_type(self) -> TensorType:
        self.lexer.expect(":")
        return self._tensor()

    def _elements(self) -> tuple[list[str], tuple[int, ...] | None]:
        """The elements within brackets, and their shape; None: one element without brackets."""
        words: list[str] = []
        counts: list[int] = []
        shape: dict[int, int] = {}
        leaf = -1
        while True:
            if self.lexer.accept("["):
                counts.append(0)
                if len(counts) > DEEPEST:
                    self.lexer.fail("too many brackets")
                if self.lexer.text != "]":
                    continue
            else:
                words += self._element()
                if leaf not in (-1, len(counts)):
                    self.lexer.fail("the rows have different depths")
                leaf = len(counts)
                if not counts:
                    return words, None
                counts[-1] += 1
            while not self.lexer.accept(","):
                self.lexer.expect("]")
                size = counts.pop()
                if shape.setdefault(len(counts), size) != size:
                    self.lexer.fail("the rows have different lengths")
                if not counts:
                    return words, tuple(shape[i] for i in range(len(shape)))
                counts[-1] += 1

    def _element(self) -> list[str]:
        if self.lexer.accept("("):
            real = self.lexer.expect_kind("number", "a number")
            self.lexer.expect(",")
            imaginary = self.lexer.expect_kind("number", "a number")
            self.lexer.expect(")")
            return [real, imaginary]
        if self.lexer.text in ("true", "false"):
            return [self.lexer.advance()]
        return [self.lexer.expect_kind("number", "an element")]

    def _foreign_dense(self) -> Array:
        at = self.lexer.at
        self.lexer.expect("<")
        if self.lexer.kind == "string":
            text = self.lexer.string("the bytes")
            type_ = self._array_type()
            self.lexer.expect(">")
            return self.lexer.converted(at, lambda: from_raw_bytes(parse_hex(text), type_))
        strings = self.lexer.between("[", self._string_element, "]")
        type_ = self._array_type()
        self.lexer.expect(">")
        return self.lexer.converted(at, lambda: string_array(strings, type_))

    def _string_element(self) -> str | bytes:
        if not self.lexer.accept("bytes"):
            return self.lexer.string("a string")
        at, text = self.lexer.at, self.lexer.string("the bytes")
        return self.lexer.converted(at, lambda: parse_hex(text))

    def _dense_resource(self) -> Resource:
        at = self.lexer.at
        self.lexer.expect("<")
        key = self.lexer.key()
        self.lexer.expect(">")
        return Resource(key, self._array_type(), at)


def resource_array(resource: Resource, digits: str) -> Array:
    """The array of a resource: 4 bytes of alignment, then the elements' bytes.

    Raises ValueError where they are not those of its type.
    """
    data = parse_hex(digits)
    if len(data) < 4:
        raise ValueError("a resource begins with 4 bytes of alignment")
    return from_raw_bytes(memoryview(data)[4:], resource.type, splat=False)
