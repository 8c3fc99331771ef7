"""Outputs that jump: where an argmax, a threshold or a selection turns rounding into a step.

Two models that are equal up to rounding may then give other indices or another number of boxes.
What can be compared is all between the jumps: both models are cut there, the results of the jumps
are fed to both as the original has them, and what the jumps decide on is compared instead.
"""

from __future__ import annotations

from collections.abc import Callable

from convc.feeds import Feeds
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.onnx_io import to_bytes
from convc.reference import EvaluationError, evaluate
from convc.runtime import RunError, Session, Settings

JUMPS = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Ceil",
        "DynamicQuantizeLinear",
        "Equal",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "Hardmax",
        "Less",
        "LessOrEqual",
        "NonMaxSuppression",
        "NonZero",
        "QuantizeLinear",
        "Round",
        "Sign",
        "TopK",
        "Unique",
    }
)
"""Kinds whose result is no continuous function of their operands."""

Judge = Callable[[Array, Array, Array], bool]


def agree_between_jumps(
    original: Graph, other: Graph, output: str, feeds: Feeds, judge: Judge
) -> str:
    """Says that an output agrees up to its jumps, or nothing.

    Args:
        original: the model that is right by definition.
        other: the model whose ``output`` came out different.
        output: name of the output.
        feeds: the inputs on which it did.
        judge: whether one value of the two models (onnxruntime's of the original and of the other,
            float64's of the original) is the same function.

    Returns a sentence for the report where jumps stand before the output and all between them
    agrees; "" where there are none, or something does not, or the other model lost one of them.
    """
    result = original.outputs[original.output_names.index(output)]
    jumps = _jumps_above(original, result)
    names = {r.name: r for op in other.ops() for r in op.results if r.name}
    cut = [r for op in jumps for r in op.results if original.uses(r)]
    decided = [v for op in jumps for v in op.operands if v is not None and _is_computed(v)]
    mine = [names.get(v.name) for v in (*cut, *decided)]
    theirs = [v for v in mine if v is not None]
    if not jumps or len(theirs) != len(mine):
        return ""
    last = other.outputs[other.output_names.index(output)]
    try:
        jumped = dict(zip((v.name for v in cut), _run(original, [], cut, feeds), strict=True))
        given = {**feeds, **jumped}
        before = _run(original, cut, [*decided, result], given)
        after = _run(other, theirs[: len(cut)], [*theirs[len(cut) :], last], given)
        exact = evaluate(_part(original, cut, [*decided, result]), given)
    except (RunError, EvaluationError):
        return ""
    if not all(map(judge, before, after, exact)):
        return ""
    shown = ", ".join(dict.fromkeys(v.name for v in decided[:3]))
    return f"jumps where rounding decides; what decides ({shown}) is equal"


def _jumps_above(graph: Graph, value: Value) -> list[Op]:
    above = {value.op}
    for op in reversed(graph.ops()):
        if op in above:
            above.update(v.op for v in op.operands if v is not None)
    return [op for op in graph.ops() if op in above and op.kind in JUMPS and not op.domain]


def _is_computed(value: Value) -> bool:
    return value.array is None and value.dtype is not None and value.dtype.kind == "f"


def _part(graph: Graph, cut: list[Value], values: list[Value]) -> Graph:
    part = graph.extract([*graph.inputs, *cut], values)
    part.set_outputs(part.outputs, [f"compared_{i}" for i in range(len(values))])
    return part


def _run(graph: Graph, cut: list[Value], values: list[Value], feeds: Feeds) -> list[Array]:
    """What onnxruntime computes for ``values``, its optimisations off, with ``cut`` fed."""
    session = Session(to_bytes(_part(graph, cut, values)), Settings(optimised=False))
    return session.run({name: feeds[name] for name in session.input_names})
