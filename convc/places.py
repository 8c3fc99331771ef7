"""Where values stand among the operands of ops that have very many of them.

To look through all operands of one op for each of them takes the square of their number, and a
model may have as many results, or a Concat as many operands, as there are ops.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from convc.ir import Op, Value

MANY = 32
"""Operands from which on their places are remembered."""


class Places:
    """The places of values among operands, remembered where there are `MANY`."""

    def __init__(self) -> None:
        self._known: dict[Op, dict[Value, list[int]]] = {}

    def of(self, value: Value, op: Op) -> Sequence[int]:
        """At which operands of ``op`` the value is, in order."""
        if len(op.operands) < MANY:
            return [i for i, operand in enumerate(op.operands) if operand is value]
        if op not in self._known:
            self._known[op] = _places(op)
        return self._known[op].get(value, ())

    def uses_any(self, op: Op, producer: Op) -> bool:
        """Whether any operand of ``op`` is a result of ``producer``."""
        if len(op.operands) < MANY:
            return any(value is not None and value.op is producer for value in op.operands)
        return any(self.of(value, op) for value in producer.results)

    def change(self, op: Op, index: int, value: Value | None) -> None:
        """Keeps up with the operand at ``index`` becoming ``value``; called before it does."""
        known = self._known.get(op)
        if known is None:
            return
        old = op.operands[index]
        if old is not None:
            known[old].remove(index)
        if value is not None:
            insort(known.setdefault(value, []), index)

    def forget(self, op: Op) -> None:
        """Drops what is known of an op that goes."""
        self._known.pop(op, None)


def _places(op: Op) -> dict[Value, list[int]]:
    places: dict[Value, list[int]] = {}
    for index, value in enumerate(op.operands):
        if value is not None:
            places.setdefault(value, []).append(index)
    return places
