"""Outputs that jump: where an argmax, a threshold or a selection turns rounding into a step.

Two models that are equal up to rounding may then give other indices or another number of boxes.
What can be compared is all between the jumps: both models are cut there, the results of the jumps
are fed to both as the original has them, and what the jumps decide on is compared instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from convc.errors import ConvcError
from convc.feeds import Feeds
from convc.graph import Graph
from convc.ir import INPUT, Array, Attribute, Op, Value
from convc.judge import Verdict, worst_of
from convc.onnx_io import to_bytes
from convc.reference import evaluate
from convc.runtime import Session, Settings

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
        "Shrink",
        "Sign",
        "ThresholdedRelu",
        "TopK",
        "Unique",
    }
)
"""Kinds whose result is no continuous function of their operands; see `_is_jump` for others."""

SIZES = frozenset({"Shape", "Size"})
"""Kinds whose result depends on the size of their operand alone."""

Judge = Callable[[Array, Array, Array | None], Verdict]


def has_jumps(graph: Graph, output: str) -> bool:
    """True where a jump stands before an output."""
    return bool(_jumps_above(graph, graph.outputs[graph.output_names.index(output)]))


def agree_between_jumps(
    original: Graph, other: Graph, output: str, feeds: Feeds, judge: Judge
) -> tuple[Verdict, str] | None:
    """Says that an output agrees up to its jumps, or nothing.

    Args:
        original: the model that is right by definition.
        other: the model whose ``output`` came out different.
        output: name of the output.
        feeds: the inputs on which it did.
        judge: the verdict on one value of the two models (onnxruntime's of the original and of the
            other, float64's of the original).

    Returns the worst verdict and a sentence for the report where jumps stand before the output and
    all between them agrees; None where there are none, or something does not, or the other model
    has not the same jumps.
    """
    compared = _between_jumps(original, other, output, feeds, judge)
    if compared is None:
        return None
    verdicts, shown = compared
    if not all(verdict.good for verdict in verdicts):
        return None
    # Other bits in between are why the outputs differ: never better than equal.
    worst = worst_of([Verdict.EQUAL, *verdicts])
    return worst, f"jumps where rounding decides; what decides ({shown}) is {worst.value}"


def decides_otherwise(
    original: Graph, other: Graph, output: str, feeds: Feeds, judge: Judge
) -> str:
    """Why an output came out alike by chance, in words for the report, or nothing.

    Arguments as for `agree_between_jumps`. A class or a mask may be the same on a few inputs though
    what it is taken from is not: that is for outputs all of which goes through jumps.
    """
    if not _is_decision(original, output):
        return ""
    compared = _between_jumps(original, other, output, feeds, judge)
    if compared is None or Verdict.DIFFERENT not in compared[0]:
        return ""
    return f"is the same, but what decides ({compared[1]}) differs"


def _is_decision(graph: Graph, output: str) -> bool:
    """Whether nothing but jumps, and sizes, leads from the inputs to an output."""
    stack = [graph.outputs[graph.output_names.index(output)].op]
    seen, jumps = set(stack), 0
    while stack:
        op = stack.pop()
        if op.kind == INPUT and not op.domain:
            return False
        if _is_jump(op):
            jumps += 1
            continue
        makers = [v.op for v in op.operands if v is not None] if op.kind not in SIZES else []
        stack += [maker for maker in makers if maker not in seen]
        seen.update(makers)
    return jumps > 0


def _between_jumps(
    original: Graph, other: Graph, output: str, feeds: Feeds, judge: Judge
) -> tuple[list[Verdict], str] | None:
    """The verdicts on what the jumps before an output decide on, and on what is made of them.

    And the names of the former. None where there are no jumps, or they cannot be compared.
    """
    result = original.outputs[original.output_names.index(output)]
    last = other.outputs[other.output_names.index(output)]
    jumps = _jumps_above(original, result)
    twins = _twins(jumps, other)
    if not jumps or twins is None:
        return None
    cut = [r for op in jumps for r in op.results if r.name and original.uses(r)]
    pairs = [
        (mine, theirs)
        for op, twin in zip(jumps, twins, strict=True)
        for mine, theirs in zip(op.operands, twin.operands, strict=True)
        if mine is not None and theirs is not None
    ]
    decided = [(mine, theirs) for mine, theirs in pairs if mine.array is None]
    made = {r.name: r for twin in twins for r in twin.results}
    try:
        jumped = dict(zip((v.name for v in cut), _run(original, [], cut, feeds), strict=True))
        given = {**feeds, **jumped}
        mine = [*(value for value, _ in decided), result]
        before = _run(original, cut, mine, given)
        after = _run(other, [made[v.name] for v in cut], [*(v for _, v in decided), last], given)
        exact = evaluate(_part(original, cut, mine), given)
    except ConvcError:
        return None
    verdicts = [judge(a, b, truth) for a, b, truth in zip(before, after, exact, strict=True)]
    return verdicts, ", ".join(dict.fromkeys(value.name for value, _ in decided[:3]))


def _twins(jumps: Sequence[Op], other: Graph) -> list[Op] | None:
    """The same jumps in the other model, found by the names of their results.

    None where one is missing, is of another kind, has other attributes or another constant.
    """
    makers = {r.name: op for op in other.ops() for r in op.results if r.name}
    twins: list[Op] = []
    for op in jumps:
        named = [r.name for r in op.results if r.name]
        twin = makers.get(named[0]) if named else None
        if twin is None or not _same_jump(op, twin):
            return None
        twins.append(twin)
    return twins


def _same_jump(op: Op, twin: Op) -> bool:
    if (op.kind, len(op.operands)) != (twin.kind, len(twin.operands)) or twin.domain:
        return False
    if [r.name for r in op.results] != [r.name for r in twin.results]:
        return False
    if op.attributes.keys() != twin.attributes.keys() or not all(
        _same_attribute(value, twin.attributes[key]) for key, value in op.attributes.items()
    ):
        return False
    return all(map(_may_match, op.operands, twin.operands))


def _same_attribute(a: Attribute, b: Attribute) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    return a == b


def _may_match(mine: Value | None, theirs: Value | None) -> bool:
    """False where two operands are known to differ; computed ones are compared when they run."""
    if mine is None or theirs is None:
        return mine is theirs
    return mine.array is None or (
        theirs.array is not None and np.array_equal(mine.array, theirs.array)
    )


def _is_jump(op: Op) -> bool:
    """Kinds in `JUMPS`; besides, casts of numbers to integers and the positions of maxima."""
    if op.domain:
        return False
    if op.kind == "Cast":
        source, target = op.operands[0], op.result.dtype
        floating = source is not None and source.dtype is not None and source.dtype.kind == "f"
        return floating and target is not None and target.kind in "iub"
    return op.kind in JUMPS or (op.kind == "MaxPool" and len(op.results) > 1)


def _jumps_above(graph: Graph, value: Value) -> list[Op]:
    above = {value.op}
    for op in reversed(graph.ops()):
        if op in above:
            above.update(v.op for v in op.operands if v is not None)
    return [op for op in graph.ops() if op in above and _is_jump(op)]


def _part(graph: Graph, cut: list[Value], values: list[Value]) -> Graph:
    part = graph.extract([*graph.inputs, *cut], values)
    part.set_outputs(part.outputs, [f"compared_{i}" for i in range(len(values))])
    return part


def _run(graph: Graph, cut: list[Value], values: list[Value], feeds: Feeds) -> list[Array]:
    """What onnxruntime computes for ``values``, its optimisations off, with ``cut`` fed."""
    session = Session(to_bytes(_part(graph, cut, values)), Settings(optimised=False))
    return session.run({name: feeds[name] for name in session.input_names})
