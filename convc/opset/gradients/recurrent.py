"""Gradients of RNN, GRU and LSTM: backpropagation through time.

With L steps, N sequences, D directions, I inputs, H units and G gates (1, 3, 4), each step and
direction takes N·GH·I MACs for the gradient of its input and for that of W, and N·GH·H for the
gradient of the state before and for that of R; a state of zeros counts like any other. The
formulas per unit are the derivatives of those in the ONNX operator specification with the default
activation functions (Werbos 1990, "Backpropagation through time"; Greff et al. 2017, "LSTM: a
search space odyssey", section II).

All gates and states of all steps are kept, as extra bytes: h (RNN); z, r, h̃, h and, with
``linear_before_reset``, the candidate's recurrent part (GRU); i, o, f, c̃, c, h (LSTM).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op
from convc.opset.gradients.parts import (
    CountedRule,
    Gradient,
    NotKnownError,
    count,
    gradient,
    summed,
)
from convc.opset.products import GATES, Recurrence, recurrence
from convc.opset.work.counts import Work


@dataclass(frozen=True, slots=True)
class Cell:
    """One unit at one step.

    Attributes:
        states: numbers that are kept.
        work: operations of its backward pass besides the products with W and R.
        activations: functions the formulas hold for.
    """

    states: int
    work: Work
    activations: tuple[str, ...]


CELLS: Mapping[str, Cell] = MappingProxyType(
    {
        # dh of above and of the next step added; dh·(1 − h²).
        "RNN": Cell(1, Work(multiplications=2, additions=2), ("Tanh",)),
        # dz = dh·(h − h̃)·z(1 − z), dh̃ = dh·(1 − z)·(1 − h̃²), dr = d·h·r(1 − r) with d = d(r·h),
        # and dh·z + d·r for the step before; 1 − z once.
        "GRU": Cell(4, Work(multiplications=11, additions=6), ("Sigmoid", "Tanh")),
        # do = dh·t·o(1 − o) with t = tanh(c); dc += dh·o·(1 − t²); di = dc·c̃·i(1 − i);
        # dc̃ = dc·i·(1 − c̃²); df = dc·c·f(1 − f); dc·f for the step before.
        "LSTM": Cell(
            6, Work(multiplications=16, additions=7, functions=1), ("Sigmoid", "Tanh", "Tanh")
        ),
    }
)


def recurrent(graph: Graph, op: Op, wanted: frozenset[int]) -> Gradient:
    """RNN, GRU, LSTM; sequences are taken to be of full length."""
    cell, data, found = CELLS[op.kind], op.operand(0), recurrence(graph, op)
    if found is None or data is None or data.dtype is None or not _is_default(op, cell, found):
        raise NotKnownError
    linear = op.kind == "GRU" and bool(op.attributes.get("linear_before_reset", 0))
    units = found.units
    outer, inner = (units * GATES[op.kind] * size for size in (found.inputs, found.hidden))
    # Backpropagation through the states, whatever gradient is asked for.
    works = {0: cell.work.times(units) + _sums(inner, units)}
    macs = {0: inner}
    if 0 in wanted:
        works[0] += _sums(outer, count(graph, data))
        macs[0] += outer
    if 1 in wanted:
        works[1], macs[1] = _sums(outer, count(graph, op.operand(1))), outer
    if 2 in wanted:
        works[2], macs[2] = _sums(inner, count(graph, op.operand(2))), inner
    if 3 in wanted:
        # The biases of W and R have the same gradient, but for the part behind the reset gate.
        parts = GATES[op.kind] + linear
        sums = found.directions * found.hidden * parts
        works[3] = Work(additions=summed(units * parts, sums))
    return gradient(
        op,
        works,
        macs=macs,
        keeps=[
            data if 1 in wanted else None,
            op.operand(1) if 0 in wanted else None,
            op.operand(2),
            op.operand(5) if 2 in wanted or op.kind == "GRU" else None,
        ],
        keeps_bytes=units * (cell.states + linear) * data.dtype.itemsize,
    )


def _is_default(op: Op, cell: Cell, found: Recurrence) -> bool:
    """True for the activation functions that the formulas are for, and no peepholes."""
    default = cell.activations * found.directions
    if op.attributes.get("activations", default) != default or "clip" in op.attributes:
        return False
    return op.kind != "LSTM" or op.operand(7) is None


def _sums(macs: int, sums: int) -> Work:
    return Work(multiplications=macs, additions=summed(macs, sums))


RECURRENT: Mapping[str, CountedRule] = MappingProxyType(dict.fromkeys(CELLS, recurrent))
