"""Whose time is it: the nodes onnxruntime runs, attributed to the ops of the source.

The source is run under names of our own: op number 19 is called ``_op19_`` and its results
``_v19.0_``, ``_v19.1_``... onnxruntime keeps such names, or builds its own from them, wherever it
changes something: ``_v12.0__nchwc``, ``_op248_/QuickGeluFusion/``, ``_op208__new_reshape``. So an
optimised node *ends* in the ops that its own name and the names of its results speak of, and
computes all that lies behind them up to where other nodes end, or to weights.

Four things need more than names:

- Layout changes (a reorder into or out of the blocked layout, an inserted Transpose, Cast or
  Reshape) end in no op: they serve the op that reads them, or the one before where that is the
  model's result.
- What the blocked convolution takes up *behind* itself (the residual sum, the activation) leaves no
  name: it is recognised by the form of the convolution.
- Of ops that compute the same (equal digests) onnxruntime keeps one: the others are taken to be in
  its node.
- An anonymous node is part of what the next named one computes (the pieces of an op that
  onnxruntime expands), else of the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from convc.digest import op_digests
from convc.graph import Graph
from convc.ir import CONSTANT, Op, Value
from convc.opset import macs

BLOCKED = "com.microsoft.nchwc"
"""Domain of the kernels in the layout that is blocked by channels."""

_REORDERS = frozenset({"ReorderInput", "ReorderOutput"})
_INSERTED = frozenset({"Transpose", "Cast", "Reshape"})
_SUMS = frozenset({"Add", "Sum"})
_ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Clip"})
_OURS = re.compile(r"_(?:op|v)(\d+)(?:\.\d+)?_")


def op_name(number: int) -> str:
    """The name under which op number ``number`` is run."""
    return f"_op{number}_"


def value_name(number: int, index: int) -> str:
    """The name under which result ``index`` of op number ``number`` is run."""
    return f"_v{number}.{index}_"


@dataclass(frozen=True, slots=True)
class Attribution:
    """The share of each op of the source.

    Attributes:
        main: by the name of each optimised node the op whose time its time is.
        layout: names of the nodes that only change the layout.
        fused: by op the main op in whose node it is computed.
        kernels: by main op what its nodes are called, in their order.
    """

    main: Mapping[str, Op]
    layout: frozenset[str]
    fused: Mapping[Op, Op]
    kernels: Mapping[Op, tuple[str, ...]]


def attribute(source: Graph, ops: Sequence[Op], optimised: Graph) -> Attribution:
    """Attributes each node of ``optimised`` to an op of ``source``.

    Args:
        source: what was meant; its names do not matter.
        ops: its ops by the numbers under which they were run.
        optimised: what is run.
    """
    nodes = [op for op in optimised.ops() if not op.is_boundary and not _is_weight(op)]
    ends = {node: [ops[i] for i in _numbers(node) if i < len(ops)] for node in nodes}
    layout = {node for node in nodes if _is_layout(node, ends[node])}
    _pass_on(nodes, ends, layout)
    weights = {op.result.name for op in optimised.ops() if _is_weight(op)}
    folded = {
        op
        for number, op in enumerate(ops)
        if any(value_name(number, result.index) in weights for result in op.results)
    }
    named = {op for node in nodes for op in ends[node]}
    folded |= _fixed(ops) - named
    working = [node for node in nodes if node not in layout and ends[node]]
    owned = _owned(source, working, ends, folded)
    main: dict[Op, Op] = {}
    fused: dict[Op, Op] = {}
    for node in working:
        # What another node has taken already is still what this one works for.
        chosen = _main(source, node, owned[node] or ends[node])
        main[node] = fused.get(chosen, chosen)
        fused.update({op: main[node] for op in owned[node] if op is not main[node]})
    _spread(optimised, nodes, main)
    kernels: dict[Op, tuple[str, ...]] = {}
    for node in nodes:
        if node in main and node not in layout:
            kernels[main[node]] = (*kernels.get(main[node], ()), kernel_name(node))
    return Attribution(
        {node.name: op for node, op in main.items()},
        frozenset(node.name for node in layout),
        fused,
        kernels,
    )


def kernel_name(node: Op) -> str:
    """What an optimised node is called in tables."""
    return f"{node.kind} NCHWc" if node.domain == BLOCKED else node.kind


def _is_weight(op: Op) -> bool:
    return op.kind == CONSTANT and not op.domain


def _fixed(ops: Sequence[Op]) -> set[Op]:
    """The ops that compute from weights alone: where they leave no name they are folded."""
    weights = {op for op in ops if _is_weight(op)}
    known = set(weights)
    for op in ops:
        makers = {value.op for value in op.operands if value is not None}
        if makers and makers <= known and not op.captures:
            known.add(op)
    return known - weights


def _all_numbers(text: str) -> list[int]:
    return [int(number) for number in _OURS.findall(text)]


def _numbers(node: Op) -> list[int]:
    """The numbers of the ops that a node ends in, without repeats: by its name, by its results."""
    texts = [node.name, *(result.name for result in node.results)]
    return list(dict.fromkeys(number for text in texts for number in _all_numbers(text)))


def _is_layout(node: Op, ends: Sequence[Op]) -> bool:
    if node.domain == BLOCKED:
        return node.kind in _REORDERS
    if node.kind not in _INSERTED or any(op.kind == node.kind for op in ends):
        return False
    # A Reshape that is called after an op stands for it: a Flatten or Squeeze in another form.
    return node.kind != "Reshape" or not _all_numbers(node.name)


def _pass_on(nodes: Sequence[Op], ends: dict[Op, list[Op]], layout: set[Op]) -> None:
    """What leaves a layout change under the name of an op, its maker has computed."""
    for node in reversed(nodes):
        first = node.operand(0)
        if node in layout and first is not None and first.op in ends:
            maker = ends[first.op]
            maker += [op for op in ends[node] if op not in maker]


def _owned(
    source: Graph, nodes: Sequence[Op], ends: Mapping[Op, Sequence[Op]], folded: set[Op]
) -> dict[Op, list[Op]]:
    """The ops that each node computes; an op belongs to the first that does."""
    taken = set(folded)
    owned: dict[Op, list[Op]] = {}
    for node in nodes:
        owned[node] = [op for op in ends[node] if op not in taken]
        taken.update(owned[node])
    for node in nodes:
        for op in _behind_blocked(source, node, ends[node], taken):
            owned[node].append(op)
            taken.add(op)
    digests = op_digests(source)
    keepers = {digests[op]: node for node in reversed(nodes) for op in owned[node]}
    for op in source.ops():
        if op not in taken and not op.is_boundary and digests[op] in keepers:
            owned[keepers[digests[op]]].append(op)
            taken.add(op)
    for node in nodes:
        stack = list(reversed(ends[node]))
        while stack:
            for value in stack.pop().operands:
                if value is None or value.op in taken or value.op.is_boundary:
                    continue
                if not _is_weight(value.op):
                    taken.add(value.op)
                    owned[node].append(value.op)
                    stack.append(value.op)
    return owned


def _behind_blocked(source: Graph, node: Op, ends: Sequence[Op], taken: set[Op]) -> Iterator[Op]:
    """What a blocked conv takes up behind itself: a sum (its fourth input), an activation."""
    if node.domain != BLOCKED or node.kind != "Conv" or not ends:
        return
    wanted = [_SUMS] if node.operand(3) is not None else []
    if "activation" in node.attributes:
        wanted.append(_ACTIVATIONS)
    last = ends[-1]
    for kinds in wanted:
        users = {op for op, _ in source.uses(last.result)}
        found = next(iter(users)) if len(users) == 1 else None
        if found is None or found in taken or found.kind not in kinds:
            continue
        yield found
        last = found


def _main(source: Graph, node: Op, owned: Sequence[Op]) -> Op:
    """The op with the most MACs; where there are none, the one that is called as its node is."""
    costs = {op: macs(source, op) or 0 for op in owned}
    heaviest = max(owned, key=lambda op: costs[op])
    if costs[heaviest]:
        return heaviest
    return next((op for op in owned if op.kind == node.kind), owned[0])


def _spread(graph: Graph, nodes: Sequence[Op], main: dict[Op, Op]) -> None:
    """Gives anonymous nodes and layout changes to the op after them, else to the one before."""
    for node in reversed(nodes):
        if node not in main:
            users = (main.get(user) for result in node.results for user in _users(graph, result))
            found = next((op for op in users if op is not None), None)
            if found is not None:
                main[node] = found
    for node in nodes:
        if node not in main:
            makers = (main.get(v.op) for v in node.operands if v is not None)
            found = next((op for op in makers if op is not None), None)
            if found is not None:
                main[node] = found


def _users(graph: Graph, value: Value) -> Iterator[Op]:
    return (op for op, _ in graph.uses(value))
