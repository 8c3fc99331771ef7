"""The pass ``fold-affine``: scales and shifts next to a linear op go into its weights and bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

import numpy as np

from convc.algebra import Affine, fold_before_map, keeps_constant
from convc.algebra import affine as algebra
from convc.algebra.geometry import Geometry
from convc.conv import conv_geometry, transpose_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.pipeline import Pass
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, rule
from passes import _elementwise as elementwise
from passes import _linear as linears
from passes._elementwise import Elementwise
from passes._linear import Linear, along, per_channel

Border = Literal["map", "decline"]

LONGEST = 64
"""Links of a chain that are tried together; of a longer one the rest goes in another rewrite."""
USERS = 64
"""Users of a chain that are looked at before each of them takes it in: to look at all of them each
time takes the square of their number. Where a later one needs the chain, it stays: nothing is lost.
"""


@dataclass(frozen=True)
class FoldAffine(Pass):
    """Folds chains of scales and shifts into the linear op after or before them.

    A *chain* is of Mul, Add, Sub, Div by constants and BatchNormalization in inference form; it
    computes ``s·x + t``. The linear op is a Conv, ConvTranspose, Gemm or MatMul with constant
    weights ``W`` and bias ``b``. The class of every rewrite is *exact*.

    **After the op.** Before: ``s·(W∗x + b) + t``. After: ``(s·W)∗x + (s·b + t)``.

    1. The result of the op goes into the chain and nowhere else (the op is never done twice).
    2. ``s`` is one value per output channel: the channel axis of a conv's result, the columns of a
       Gemm or of ``x @ W``, the rows of ``W @ x``.
    3. ``t`` is so too, or it stays behind as one Add, and then the chain had more than one op. A
       MatMul has no bias: its ``t`` always stays. A Gemm's bias may be a matrix.

    **Before the op.** Before: ``W∗(s·x + t) + b``. After: ``(W·s)∗x + (W∗t + b)``.

    1. ``s`` and ``t`` are one value per input channel.
    2. The chain's result goes into linear ops only: with another user it would have to stay, and
       nothing would be saved. Each of several linear ops takes its own copy of the chain. (Of
       very many users the first are looked at.)
    3. A conv pads the *shifted* input with zeros. So with ``t ≠ 0``, and where an output sees
       padding (every ConvTranspose with a stride has such), ``W∗t`` depends on the position: it
       becomes a constant map (1, K, *size), added after the conv. That needs the size, and the
       chain to go into this op alone. Without a shift, or without padding that is read, none of
       this is needed, and the size may be open.
    4. ``W∗t`` of a MatMul stays as an Add, and then the chain had more than one op or another
       chain follows that will take the Add in.

    After is tried first, because it never needs a map. **A chain alone** of more than two ops
    becomes a Mul and an Add, or one BatchNormalization where it held one.

    In all cases new weights are float64, cast once for the whole chain, and the rewrite is
    declined where the stored dtype would overflow or lose a filter to subnormals. A weight or
    bias that other ops share is copied.

    **Cost.** No MACs. One op fewer for each op of the chain, except for the map: it trades a pass
    over the input for one over the output, holds K·size weights, and the runtime can no longer
    fuse the activation into the conv. In onnxruntime it was within noise (0.96 to 1.01 of the
    speed) where the map is no larger than the input, and slower (0.7) on a 3→32 conv of stride 2
    at 224×224. So whoever wants never to lose says ``border=decline``.

    Options:
        border: ``map`` allows the constant map, ``decline`` does not.
        max_map: the largest number of elements of such a map (2²⁰: 4 MiB of float32).
        copy_shared: fold into weights that other ops use as well, by a copy: the model grows.
    """

    name: ClassVar[str] = "fold-affine"
    border: Border = "map"
    max_map: int = 2**20
    copy_shared: bool = True

    def rules(self) -> Sequence[Rule]:
        """After, before, alone: in this order."""
        return [
            rule(fold_after, *elementwise.KINDS, options=self),
            rule(fold_before, *linears.KINDS, options=self),
            rule(merge, *elementwise.KINDS, options=self),
        ]


def fold_after(graph: Graph, op: Op, options: FoldAffine) -> Rewrite:
    """The chain that begins with ``op`` into the linear op before it."""
    first = elementwise.read(graph, op)
    before = first.data.op
    if before.domain or before.kind not in linears.KINDS:
        raise NoMatch(_alone(graph, first))
    linear = linears.read(before)
    if graph.is_shared(first.data):
        raise NoMatch(f"the result of the {linear.kind} has other users or is a graph output")
    _require_own_weights(graph, linear, options)
    chain = [first, *elementwise.following(graph, op.result, LONGEST - 1)]
    decline = NoMatch("")
    for end in range(len(chain), 0, -1):
        try:
            return _after(graph, linear, chain[:end])
        except NoMatch as reason:
            decline = reason
    raise decline


def _after(graph: Graph, linear: Linear, chain: Sequence[Elementwise]) -> Rewrite:
    scale, shift = elementwise.composed(chain)
    factors = per_channel(scale, linear.out_axis, linear.outputs)
    if factors is None:
        raise NoMatch(f"the scale after the {linear.kind} is not one value per output channel")
    old, rest = linears.bias_of(linear), np.zeros(())
    bias, limit = scale * old, max(old.size, shift.size)
    if linears.takes(linear, bias + shift, limit):
        bias = bias + shift
    elif linears.takes(linear, bias, limit):
        rest = shift
    else:
        raise NoMatch(f"the bias of the {linear.kind} would grow")
    if rest.any() and len(chain) == 1:
        raise NoMatch(
            "a MatMul has no bias to take the shift after it"
            if linear.kind == "MatMul"
            else f"the shift after the {linear.kind} is not one value per output channel"
        )
    front = linears.to_front(linear, linear.array)
    scaled, _ = algebra.fold_after(front, None, factors, layout=linear.layout, group=linear.group)
    weights = linears.to_back(linear, scaled)
    return _folded(graph, linear, chain, weights, bias, rest, chain[-1].op.result, "after")


def fold_before(graph: Graph, op: Op, options: FoldAffine) -> Rewrite:
    """The chain that feeds the linear op ``op`` into it."""
    fed = [value.op for value in op.inputs[:2] if value is not None]
    if not any(producer.kind in elementwise.KINDS for producer in fed):
        raise NoMatch("")
    linear = linears.read(op)
    last = _read_quietly(graph, linear.data.op)
    users = islice(graph.iter_users(linear.data.op), USERS)
    if any(user.domain or user.kind not in linears.KINDS for user in users):
        raise NoMatch(f"the {last.op.kind} before the {linear.kind} has users that need it")
    _require_own_weights(graph, linear, options)
    chain = elementwise.preceding(graph, last, LONGEST)
    decline = NoMatch("")
    for start in range(len(chain)):
        try:
            return _before(graph, linear, chain[start:], options)
        except NoMatch as reason:
            decline = reason
    raise decline


def _before(
    graph: Graph, linear: Linear, chain: Sequence[Elementwise], options: FoldAffine
) -> Rewrite:
    scale, shift = elementwise.composed(chain)
    factors = per_channel(scale, linear.in_axis, linear.inputs)
    shifts = per_channel(shift, linear.in_axis, linear.inputs)
    if factors is None or shifts is None:
        raise NoMatch(f"the constants before the {linear.kind} are not one value per input channel")
    front = linears.to_front(linear, linear.array)
    scaled, response = algebra.fold_before(
        front, None, factors, shifts, layout=linear.layout, group=linear.group
    )
    weights, none = linears.to_back(linear, scaled), np.zeros(())
    if not shifts.any():
        return _folded(graph, linear, chain, weights, None, none, linear.op.result, "before")
    bias, rest = linears.bias_of(linear), none
    if linear.is_conv:
        geometry = _geometry(linear)
        if keeps_constant(geometry, _spatial(linear.data, geometry.ndim))[0]:
            bias = bias + along(response, linear.out_axis)
        else:
            whole = _border_map(linear, shifts, geometry, options) + bias
            flat = per_channel(whole, linear.out_axis, linear.outputs) is not None
            bias, rest = (whole, none) if flat else (none, whole)
    elif linear.kind == "Gemm":
        alpha = linear.op.attributes.get("alpha", 1.0)
        assert isinstance(alpha, (int, float))
        bias = bias + alpha * response
    elif linear.array.ndim > 2:
        raise NoMatch("the MatMul is batched: the shift before it would grow")
    else:
        rest = along(response, linear.out_axis)
    if not linears.takes(linear, bias, linears.bias_of(linear).size):
        raise NoMatch(f"the bias of the {linear.kind} would grow")
    if rest.any():
        _require_gain(graph, linear, chain)
    return _folded(graph, linear, chain, weights, bias, rest, linear.op.result, "before")


def _border_map(linear: Linear, shifts: Array, geometry: Geometry, options: FoldAffine) -> Array:
    if options.border == "decline":
        raise NoMatch(
            f"the shift before the padded {linear.kind} needs a border map (border=map makes one)"
        )
    size = _spatial(linear.data, geometry.ndim)
    known = tuple(d for d in size if d is not None)
    if len(known) != len(size):
        raise NoMatch(
            f"the shift before the padded {linear.kind} needs a border map, "
            "but the spatial size is unknown"
        )
    if linear.outputs * int(np.prod(geometry.output_size(known))) > options.max_map:
        raise NoMatch(f"the border map of the shift would exceed {options.max_map} elements")
    return fold_before_map(linear.array, None, shifts, geometry, known)


def _require_gain(graph: Graph, linear: Linear, chain: Sequence[Elementwise]) -> None:
    """Declines an Add behind the op where no op is saved for it."""
    if graph.is_shared(linear.data):
        raise NoMatch(
            f"the shift before the {linear.kind} would stay as an Add, and its op for other users"
        )
    absorbed = elementwise.next_link(graph, linear.op.result) is not None
    if linear.kind == "MatMul" and len(chain) == 1 and not absorbed:
        raise NoMatch("a MatMul has no bias to take the shift before it")


def _folded(  # noqa: PLR0917  # the parts of one formula
    graph: Graph,
    linear: Linear,
    chain: Sequence[Elementwise],
    weights: Array,
    bias: Array | None,
    rest: Array,
    result: Value,
    side: str,
) -> Rewrite:
    """The proposal; a ``bias`` of None keeps the op's own as it is, be it constant or not."""
    linears.require_stored(linear, weights, np.zeros(()) if bias is None else bias)
    dtype = linear.weight.dtype
    assert dtype is not None
    build = Replacement(graph)
    data = build.take(linear.data if side == "after" else chain[0].data)
    value = linears.rebuild(build, linear, data, weights=weights, bias=bias)
    if rest.any():
        value = elementwise.emit_op(build, "Add", value, rest, like=result, dtype=dtype)
    shared = ", a copy of shared weights" if graph.is_shared(linear.weight) else ""
    left = ", an Add left" if rest.any() else ""
    note = f"{elementwise.mentions(chain)} {side} {linear.kind} folded{left}{shared}"
    return build.rewrite({result: value}, note=note)


def merge(graph: Graph, op: Op, options: FoldAffine) -> Rewrite:
    """The chain that ends with ``op`` into fewer ops, where it does not go into a linear op."""
    last = _read_quietly(graph, op)
    if elementwise.next_link(graph, op.result) is not None:
        raise NoMatch("")
    chain = elementwise.preceding(graph, last, LONGEST)
    if len(chain) < 2 or any(_folds(graph, user, options) for user, _ in graph.uses(op.result)):
        raise NoMatch("")
    affine = elementwise.composed(chain)
    build = Replacement(graph)
    data = build.take(chain[0].data)
    norm = any(link.op.kind == "BatchNormalization" for link in chain)
    both = bool((affine.scale != 1).any() and affine.shift.any())
    if norm and both and _is_norm(graph, chain[0].data, affine):
        value = _norm(build, data, affine, op.result, last)
    else:
        if len(chain) <= 1 + both:
            raise NoMatch("")
        value = elementwise.emit(build, data, affine, op.result, last.dtype)
    return build.rewrite({op.result: value}, note=f"{elementwise.mentions(chain)} merged")


def _require_own_weights(graph: Graph, linear: Linear, options: FoldAffine) -> None:
    if not options.copy_shared and graph.is_shared(linear.weight):
        raise NoMatch(f"the weights of the {linear.kind} are shared; a copy would grow the model")


def _read_quietly(graph: Graph, op: Op) -> Elementwise:
    """As `elementwise.read`; why an op is none is told once, by `fold_after`."""
    try:
        return elementwise.read(graph, op)
    except NoMatch as decline:
        raise NoMatch("") from decline


def _folds(graph: Graph, op: Op, options: FoldAffine) -> bool:
    """Whether ``op`` takes the chain before it, or some of it, in."""
    if op.domain or op.kind not in linears.KINDS:
        return False
    try:
        fold_before(graph, op, options)
    except NoMatch:
        return False
    return True


def _is_norm(graph: Graph, data: Value, affine: Affine) -> bool:
    if data.shape is None or graph.header.opset < 7:
        return False
    axis, size = 1 - len(data.shape), max(part.size for part in affine)
    return all(per_channel(part, axis, size) is not None for part in affine)


def _norm(build: Replacement, data: Value, affine: Affine, like: Value, last: Elementwise) -> Value:
    """One BatchNormalization of mean 0 and variance 1 that says ``affine``."""
    size = max(part.size for part in affine)
    scale, shift = (np.broadcast_to(part.reshape(-1), (size,)) for part in affine)
    named = {"scale": scale, "bias": shift, "mean": np.zeros(size), "var": np.ones(size)}
    for array in named.values():
        elementwise.require_finite(array, last.dtype)
    parameters = [
        build.constant(array, last.dtype, f"{like.name}_{name}") for name, array in named.items()
    ]
    attributes = {"epsilon": 0.0}
    operands = (data, *parameters)
    return build.op("BatchNormalization", operands, attributes, type_=like.type, name=like.name)


def _alone(graph: Graph, first: Elementwise) -> str:
    """The reason for a chain that follows no linear op; empty where another rule speaks for it."""
    result = first.op.result
    users = {user.kind for user, _ in graph.uses(result)}
    if first.data.op.kind in elementwise.KINDS or elementwise.next_link(graph, result) is not None:
        return ""
    # A lone Mul or Add is arithmetic of the network's own; a lone normalisation is worth a word.
    if users & set(linears.KINDS) or first.op.kind != "BatchNormalization":
        return ""
    return f"no Conv, ConvTranspose, Gemm or MatMul is next to the {first.op.kind}"


def _geometry(linear: Linear) -> Geometry:
    op = linear.op
    geometry = conv_geometry(op) if op.kind == "Conv" else transpose_geometry(op)
    if geometry is None:
        raise NoMatch(
            f"the shift before the {op.kind} needs its pads, but the spatial size is unknown"
        )
    return geometry


def _spatial(data: Value, rank: int) -> tuple[int | None, ...]:
    if data.shape is None:
        return (None,) * rank
    return tuple(d if isinstance(d, int) else None for d in data.shape[2:])
