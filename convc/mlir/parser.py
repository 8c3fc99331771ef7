"""From MLIR text to a tree of operations, as far as convc prints it, in all forms of syntax.

Modules and functions may be written in their own form or in the generic one, as
`mlir-opt --mlir-print-op-generic` prints them.
"""

from __future__ import annotations

from typing import Any

from convc.mlir.attributes import AttributeParser
from convc.mlir.lexer import Lexer
from convc.mlir.tree import AnyType, Document, FunctionType, Operation, TypeAttribute


def parse_document(source: str) -> Document:
    """The tree of a text; raises InvalidModelError, with line and column, where it is none."""
    return _Parser(Lexer(source)).document()


class _Parser(AttributeParser):
    def document(self) -> Document:
        operations: list[Operation] = []
        resources: dict[str, str] = {}
        while self.lexer.kind != "end":
            if self.lexer.accept("{-#"):
                self._file_metadata(resources)
            else:
                operations.append(self._operation())
        return Document(self.lexer.source, operations, resources)

    # -- operations --------------------------------------------------------------------------

    def _operation(self) -> Operation:
        at = self.lexer.at
        if self.lexer.kind == "word":
            return self._custom(at)
        results: list[tuple[str, int]] = []
        if self.lexer.kind == "value":
            results = self.lexer.listed(self._result)
            self.lexer.expect("=")
        name = self.lexer.string("an operation")
        operation = Operation(name, at, results, self.lexer.between("(", self._operand, ")"))
        if self.lexer.accept("<"):
            operation.attributes.update(self.dictionary())
            self.lexer.expect(">")
        if self.lexer.accept("("):
            self._region(operation)
            self.lexer.expect(")")
        if self.lexer.text == "{":
            operation.attributes.update(self.dictionary())
        self.lexer.expect(":")
        signature = self.function_type()
        operation.operand_types = signature.arguments
        operation.result_types = signature.results
        return operation

    def _custom(self, at: int) -> Operation:
        name = self.lexer.text
        if name in ("module", "builtin.module"):
            self.lexer.advance()
            return self._module(at)
        if name == "func.func":
            self.lexer.advance()
            return self._function(at)
        if name in ("return", "func.return"):
            self.lexer.advance()
            return self._return(at)
        return self.lexer.fail("expected a module, a function or an operation in generic form")

    def _module(self, at: int) -> Operation:
        operation = Operation("builtin.module", at)
        if self.lexer.kind == "symbol":
            self.lexer.advance()
        if self.lexer.accept("attributes"):
            operation.attributes = self.dictionary()
        self._region(operation)
        return operation

    def _function(self, at: int) -> Operation:
        for visibility in ("public", "private"):
            self.lexer.accept(visibility)
        name = self.lexer.expect_kind("symbol", "the function's name")[1:]
        operation = Operation("func.func", at)
        arguments = self.lexer.between("(", self._argument, ")")
        results: list[tuple[AnyType, dict[str, Any]]] = []
        if self.lexer.accept("->"):
            results = (
                self.lexer.between("(", self._function_result, ")") if self.lexer.text == "("
                else [(self.type(), {})]
            )  # fmt: skip
        if self.lexer.accept("attributes"):
            operation.attributes = self.dictionary()
        self._region(operation)
        operation.arguments = [(ssa, type_) for ssa, type_, _ in arguments]
        operation.attributes |= {
            "sym_name": name,
            "function_type": TypeAttribute(
                FunctionType(
                    tuple(type_ for _, type_, _ in arguments), tuple(type_ for type_, _ in results)
                )
            ),
            "arg_attrs": tuple(facts for _, _, facts in arguments),
            "res_attrs": tuple(facts for _, facts in results),
        }
        return operation

    def _argument(self) -> tuple[str, AnyType, dict[str, Any]]:
        ssa, type_ = self._typed_value()
        return ssa, type_, self.dictionary() if self.lexer.text == "{" else {}

    def _function_result(self) -> tuple[AnyType, dict[str, Any]]:
        type_ = self.type()
        return type_, self.dictionary() if self.lexer.text == "{" else {}

    def _return(self, at: int) -> Operation:
        operation = Operation("func.return", at)
        if self.lexer.kind == "value":
            operation.operands = self.lexer.listed(self._operand)
            self.lexer.expect(":")
            operation.operand_types = tuple(self.lexer.listed(self.type))
        return operation

    def _region(self, operation: Operation) -> None:
        self.lexer.open()
        self.lexer.expect("{")
        if self.lexer.kind == "block":
            self.lexer.advance()
            if self.lexer.text == "(":
                operation.arguments = self.lexer.between("(", self._typed_value, ")")
            self.lexer.expect(":")
        operation.body = []
        while not self.lexer.accept("}"):
            operation.body.append(self._operation())
        self.lexer.close()

    def _result(self) -> tuple[str, int]:
        at = self.lexer.at
        name = self.lexer.expect_kind("value", "a result")
        if "#" in name:
            self.lexer.fail_at(at, f"{name} is no name of results")
        if not self.lexer.accept(":"):
            return name, 1
        return name, self.lexer.integer("the number of results")

    def _operand(self) -> str:
        return self.lexer.expect_kind("value", "an operand").removesuffix("#0")

    def _typed_value(self) -> tuple[str, AnyType]:
        name = self.lexer.expect_kind("value", "an argument")
        self.lexer.expect(":")
        return name, self.type()

    # -- resources ---------------------------------------------------------------------------

    def _file_metadata(self, resources: dict[str, str]) -> None:
        while not self.lexer.accept("#-}"):
            section = self.lexer.key()
            self.lexer.expect(":")
            self.lexer.expect("{")
            while not self.lexer.accept("}"):
                self._resource_group(resources if section == "dialect_resources" else {})
                self.lexer.accept(",")
            self.lexer.accept(",")

    def _resource_group(self, resources: dict[str, str]) -> None:
        self.lexer.key()
        self.lexer.expect(":")
        self.lexer.expect("{")
        while not self.lexer.accept("}"):
            key = self.lexer.key()
            self.lexer.expect(":")
            resources[key] = self.lexer.expect_kind("string", "the bytes")[1:-1]
            self.lexer.accept(",")
