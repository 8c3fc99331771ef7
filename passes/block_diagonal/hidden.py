"""Convs whose weights are block-diagonal once their channels are permuted."""

from __future__ import annotations

import numpy as np

from convc.algebra import swap_layout
from convc.algebra.hidden_blocks import NONE, HiddenBlocks, Index, hidden_blocks
from convc.blocks.convs import channels_at, with_channels
from convc.conv import group_of
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import constant, operand
from passes.block_diagonal.neighbours import before, behind, with_columns, with_filters


def find_hidden(graph: Graph, op: Op, *, width: int) -> Rewrite:
    """A conv in more groups, the order of its channels taken by its neighbours or by Gathers."""
    group, weight = group_of(op), constant(operand(op, 1))
    if weight.ndim < 3 or weight.shape[0] % group or not weight.size:
        raise NoMatch(f"the {op.kind} is not valid")
    kernel = swap_layout(weight, group) if op.kind == "ConvTranspose" else weight
    narrowest = min(kernel.shape[0] // group, kernel.shape[1])
    if narrowest == 1:
        raise NoMatch
    if narrowest <= width:
        raise NoMatch(f"two blocks of {width} channels do not fit into a group")
    found = hidden_blocks(kernel, group, width)
    if found is None:
        raise NoMatch(f"no blocks of {width} channels are hidden")
    bias = op.operand(2)
    build = Replacement(graph)
    data, before_ = _read(graph, build, op, found, kernel.shape[1] * group)
    blocks = found.kernel(kernel, group)
    if op.kind == "ConvTranspose":
        blocks = swap_layout(blocks, found.groups)
    operands = [data, build.constant(blocks, operand(op, 1).dtype, operand(op, 1).name)]
    if bias is not None:
        vector = _placed(constant(bias, "the biases"), found.rows)
        operands.append(build.constant(vector, bias.dtype, bias.name))
    type_ = with_channels(op.result.type, found.rows.size)
    attributes = {**op.attributes, "group": found.groups}
    value = build.op(op.kind, operands, attributes, type_=type_, name=op.name)
    old, new, behind_ = _given(graph, build, op, found.rows, value)
    if new is not value:
        value.name = ""  # its channels are in an order of their own
    notes = [f"{op.kind} → {found.groups} blocks hidden in its channels", before_, behind_]
    return build.rewrite({old: new}, note=", ".join(filter(None, notes)))


def _read(
    graph: Graph, build: Replacement, op: Op, found: HiddenBlocks, channels: int
) -> tuple[Value, str]:
    """What the conv reads, its channels sorted, and what sorts them."""
    data, order = operand(op), found.inputs
    if np.array_equal(order, np.arange(channels)):
        return build.take(data), ""
    neighbour = before(graph, data)
    # As many or fewer: no channel is there twice.
    if neighbour is not None and order.size <= channels:
        return with_filters(build, neighbour, order), "inputs sorted by the conv before"
    return channels_at(build, build.take(data), order, op.result.name), "Gather before"


def _given(
    graph: Graph, build: Replacement, op: Op, rows: Index, value: Value
) -> tuple[Value, Value, str]:
    """The value that is replaced, what replaces it, and what sorts the channels back."""
    order = rows.reshape(-1)
    if np.array_equal(order, np.arange(order.size)):
        return op.result, value, ""
    neighbour = behind(graph, op.result)
    if neighbour is not None and NONE not in order:
        value = with_columns(build, neighbour, order, value)
        return neighbour.conv.result, value, "outputs sorted by the conv behind"
    places = np.flatnonzero(order != NONE)
    back = places[np.argsort(order[places])]
    return op.result, channels_at(build, value, back, op.result.name), "Gather behind"


def _placed(vector: Array, rows: Index) -> Array:
    """The bias of every filter, 0 of those that give no channel."""
    return np.where(rows == NONE, 0, vector[rows]).astype(vector.dtype).reshape(-1)
