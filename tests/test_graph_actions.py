"""Random sequences of changes to a graph, beside a model of plain lists that cannot go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from convc.errors import InvalidGraphError
from convc.graph import Graph
from convc.ir import Op, Value
from tests.graph_strategies import FLOAT


class Changes(RuleBasedStateMachine):
    """Every mutator of `Graph`; ``operands`` is the model: what each op should have."""

    @initialize()
    def start(self) -> None:
        self.graph = Graph()
        self.operands: dict[Op, list[Value | None]] = {self.graph.output: []}
        self.remember(self.graph.add_input("x", FLOAT).op, [])
        self.inputs = 1
        self.version = self.graph.version

    def remember(self, op: Op, operands: list[Value | None]) -> None:
        self.operands[op] = operands

    def values(self) -> list[Value]:
        return [value for op in self.operands for value in op.results]

    def users(self, op: Op) -> list[Op]:
        return [u for u, vs in self.operands.items() if any(v and v.op is op for v in vs)]

    def above(self, op: Op) -> set[Op]:
        """The op and all that depend on it."""
        found, stack = {op}, [op]
        while stack:
            for user in self.users(stack.pop()):
                if user not in found:
                    found.add(user)
                    stack.append(user)
        return found

    def changed(self) -> None:
        assert self.graph.version > self.version
        self.version = self.graph.version

    def unchanged(self) -> None:
        assert self.graph.version == self.version

    @rule()
    def add_input(self) -> None:
        self.remember(self.graph.add_input(f"x{self.inputs}", FLOAT).op, [])
        self.inputs += 1
        self.changed()

    @rule()
    def add_constant(self) -> None:
        self.remember(self.graph.add_constant(np.zeros((2, 4), np.float32)).op, [])
        self.changed()

    @rule(data=st.data(), results=st.integers(0, 3), count=st.integers(0, 3))
    def add(self, data: st.DataObject, results: int, count: int) -> None:
        choice = st.sampled_from([None, *self.values()])
        operands = data.draw(st.lists(choice, min_size=count, max_size=count))
        op = self.graph.add("Foo", operands, types=(FLOAT,) * results)
        self.remember(op, list(operands))
        self.changed()

    @precondition(lambda self: any(self.operands.values()))
    @rule(data=st.data())
    def set_operand(self, data: st.DataObject) -> None:
        op = data.draw(st.sampled_from([o for o, vs in self.operands.items() if vs]))
        index = data.draw(st.integers(0, len(self.operands[op]) - 1))
        above = self.above(op)
        allowed: list[Value | None] = [v for v in self.values() if v.op not in above]
        if op is not self.graph.output:
            allowed.append(None)
        if not allowed:
            return
        value = data.draw(st.sampled_from(allowed))
        same = self.operands[op][index] is value
        self.graph.set_operand(op, index, value)
        self.operands[op][index] = value
        self.unchanged() if same else self.changed()

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        op = data.draw(st.sampled_from(list(self.operands)))
        if op is self.graph.output or self.users(op):
            with pytest.raises(InvalidGraphError):
                self.graph.erase(op)
            self.unchanged()
            return
        self.graph.erase(op)
        del self.operands[op]
        self.changed()

    @precondition(lambda self: self.values())
    @rule(data=st.data())
    def replace_uses(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.values()))
        users = [op for op, vs in self.operands.items() if any(v is old for v in vs)]
        above = {op for user in users for op in self.above(user)}
        allowed = [v for v in self.values() if v.op not in above]
        if not allowed:
            return
        new = data.draw(st.sampled_from(allowed))
        self.graph.replace_uses(old, new)
        for operands in self.operands.values():
            operands[:] = [new if v is old else v for v in operands]
        self.changed() if users and new is not old else self.unchanged()

    @precondition(lambda self: self.values())
    @rule(data=st.data())
    def set_outputs(self, data: st.DataObject) -> None:
        values = data.draw(st.lists(st.sampled_from(self.values()), max_size=3))
        del self.operands[self.graph.output]
        self.graph.set_outputs(values, [f"y{i}" for i in range(len(values))])
        self.operands[self.graph.output] = list(values)
        self.changed()

    @rule(data=st.data())
    def erase_dead(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(list(self.operands)), max_size=3))
        erased = self.graph.erase_dead(chosen)
        stack = list(chosen)
        gone = set()
        while stack:
            op = stack.pop()
            if op in self.operands and not op.is_boundary and not self.users(op):
                stack.extend(v.op for v in self.operands.pop(op) if v is not None)
                gone.add(op)
        assert set(erased) == gone
        assert len(erased) == len(gone)
        self.changed() if gone else self.unchanged()

    @invariant()
    def agrees(self) -> None:
        self.graph.verify()
        order = self.graph.ops()
        assert set(order) == set(self.operands)
        assert len(order) == len(self.operands) == len(self.graph)
        place = {op: i for i, op in enumerate(order)}
        for op, operands in self.operands.items():
            assert list(op.operands) == operands
            assert all(place[v.op] < place[op] for v in operands if v is not None)
            assert set(self.graph.users(op)) == set(self.users(op))
            assert set(self.graph.producers(op)) == {v.op for v in operands if v is not None}
        for value in self.values():
            found = [(op, i) for op, vs in self.operands.items() for i, v in enumerate(vs)
                     if v is value]  # fmt: skip
            assert sorted(map(repr, self.graph.uses(value))) == sorted(map(repr, found))
        assert list(self.graph.outputs) == self.operands[self.graph.output]
        inputs = [op for op in self.operands if op.kind == "Input"]
        assert [value.op for value in self.graph.inputs] == inputs


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
