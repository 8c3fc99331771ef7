"""Work of the matrix products and of the recurrent layers that are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from convc.graph import Graph
from convc.ir import Op
from convc.opset.products import GATES, Recurrence, inner_size, recurrence
from convc.opset.work.counts import Work, WorkRule, elements
from convc.opset.work.pointwise import ELEMENTS

ACTIVATIONS: Mapping[str, Work] = MappingProxyType(
    {
        "affine": Work(multiplications=1, additions=1),
        "elu": ELEMENTS["Elu"],
        "hardsigmoid": ELEMENTS["HardSigmoid"],
        "leakyrelu": ELEMENTS["LeakyRelu"],
        "relu": ELEMENTS["Relu"],
        "scaledtanh": Work(multiplications=2, functions=1),
        "sigmoid": ELEMENTS["Sigmoid"],
        "softplus": ELEMENTS["Softplus"],
        "softsign": ELEMENTS["Softsign"],
        "tanh": Work(functions=1),
        "thresholdedrelu": ELEMENTS["ThresholdedRelu"],
    }
)
"""What one element costs, by the name of the activation in lower case, as runtimes read it."""

DEFAULT_ACTIVATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
)

ACTIVATED: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"RNN": (1,), "GRU": (2, 1), "LSTM": (3, 1, 1)}
)
"""How often a unit evaluates each of its activations in a step."""

STATE: Mapping[str, Work] = MappingProxyType(
    {
        "RNN": Work(),
        # r ∘ h, then (1 − z) ∘ h̃ + z ∘ h.
        "GRU": Work(multiplications=3, additions=2),
        # f ∘ c + i ∘ c̃, then o ∘ h(c).
        "LSTM": Work(multiplications=3, additions=1),
    }
)
"""What a unit does to its state in a step."""


def _product(graph: Graph, op: Op) -> Work | None:
    """K products and K − 1 additions per output, as `numpy.matmul` on any ranks."""
    count, inner = elements(graph, op.result), inner_size(graph, op)
    if count is None or inner is None:
        return None
    return Work(multiplications=inner, additions=max(0, inner - 1)).times(count)


def _gemm(graph: Graph, op: Op) -> Work | None:
    """``α·AB + β·C``: factors of 1 cost nothing, β is multiplied into C before it is broadcast."""
    work, count, inner = _product(graph, op), elements(graph, op.result), inner_size(graph, op)
    if work is None or count is None or inner is None:
        return None
    if op.attributes.get("alpha", 1.0) != 1.0 and inner:
        work += Work(multiplications=count)
    beta = op.attributes.get("beta", 1.0)
    if op.operand(2) is None or beta == 0.0:
        return work
    added = elements(graph, op.operand(2))
    if added is None:
        return None
    scaled = Work(multiplications=added if beta != 1.0 else 0)
    return work + scaled + Work(additions=count if inner else 0)


def _recurrent(graph: Graph, op: Op) -> Work | None:
    """RNN, GRU and LSTM by the formulas of the specification, over all time steps.

    Per gate and unit the products with the input and with the state and their sum, both biases
    added, clipped where ``clip`` says so, and its activation; then what happens to the state.
    Sequences count at full length whatever ``sequence_lens`` says. An LSTM with ``input_forget``
    and activations of other names are not known.
    """
    sizes = recurrence(graph, op)
    activations = _activations(op)
    if sizes is None or activations is None or op.attributes.get("input_forget"):
        return None
    per_unit = _gates(op, sizes) + STATE[op.kind]
    for count, activation in zip(ACTIVATED[op.kind], activations, strict=True):
        per_unit += activation.times(count)
    if op.operand(7) is not None:
        # Peepholes see the cell state in three gates.
        per_unit += Work(multiplications=3, additions=3)
    return per_unit.times(sizes.units)


def _gates(op: Op, sizes: Recurrence) -> Work:
    terms = sizes.inputs + sizes.hidden
    biases = 2 if op.operand(3) is not None else 0
    clipped = 2 if "clip" in op.attributes else 0
    return Work(
        multiplications=terms, additions=max(0, terms - 1) + biases, comparisons=clipped
    ).times(GATES[op.kind])


def _activations(op: Op) -> Sequence[Work] | None:
    """What the activations of one direction cost; None where the directions differ."""
    defaults = DEFAULT_ACTIVATIONS[op.kind]
    names = op.attributes.get("activations", defaults)
    if not isinstance(names, tuple):
        return None
    known = [ACTIVATIONS.get(str(name).lower()) for name in names]
    found = [work for work in known if work is not None]
    first = found[: len(defaults)]
    repeats = len(found) // len(defaults)
    return first if first and len(found) == len(known) and found == first * repeats else None


MATRICES: Mapping[str, WorkRule] = MappingProxyType(
    {
        "GRU": _recurrent,
        "Gemm": _gemm,
        "LSTM": _recurrent,
        "MatMul": _product,
        "RNN": _recurrent,
    }
)
