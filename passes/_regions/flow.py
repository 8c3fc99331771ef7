"""What is known of each channel of a region: which are tied, constant, or multiples of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convc.algebra.channels import Indices, directions, distinct
from convc.conv import ints, pool_geometry
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.kernels import KernelError, evaluate
from convc.opset import constant_ints
from passes import _linear as linears
from passes._linear import Linear
from passes._regions.layers import bias_vector, dead, keeps, multiples
from passes._regions.links import Link, channels
from passes._regions.region import Region

CONSTANT = 0
"""The signature of constant channels: all are multiples of 1."""
POSITIVE = frozenset({"Relu", "LeakyRelu", "Abs", "PRelu", "MaxPool", "GlobalMaxPool"})
"""``f(m·x) = m·f(x)`` for positive m."""
SCALING = frozenset({"Identity", "Neg", "GlobalAveragePool", "ReduceMean", "ReduceSum"})
"""``f(m·x) = m·f(x)`` for every m."""


@dataclass(frozen=True)
class Channels:
    """The channels of one value, all arrays (C,).

    Attributes:
        labels: channels of one label, here and in other values, stay or go together.
        constant: the value of a channel that is constant, else NaN.
        signature: channels of one signature are multiples of each other:
        factor: by the ratios of these.
    """

    labels: Indices
    constant: Array
    signature: Indices
    factor: Array


class Flow:
    """The channels of all values of a region.

    Attributes:
        at: by value.
        dead: labels of filters that are zero.
    """

    def __init__(self, graph: Graph, region: Region) -> None:
        self.graph = graph
        self.at: dict[Value, Channels] = {}
        self.dead: set[int] = set()
        self._parents: list[int] = []
        self._signatures = 1
        made = {result for link in region.links for result in link.results}
        for value in region.pins:
            if value not in made:
                self.at[value] = self._fresh(channels(value) or 0)
        for link in region.links:
            if region.makes(link):
                self._follow(link)
        self.at = {v: replace(c, labels=self.roots(c.labels)) for v, c in self.at.items()}
        self.dead = {self._root(label) for label in self.dead}

    @property
    def labels(self) -> int:
        """The number of labels given; only roots are used."""
        return len(self._parents)

    def roots(self, labels: Indices) -> Indices:
        """The one that stands for all that are tied to each label."""
        return np.array([self._root(label) for label in labels], np.intp)

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]
        return int(label)

    def _tie(self, one: Indices, other: Indices) -> None:
        for a, b in zip(one, other, strict=True):
            low, high = sorted((self._root(a), self._root(b)))
            self._parents[high] = low

    def _new_labels(self, count: int) -> Indices:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return np.arange(start, start + count)

    def _new_signatures(self, ids: Indices) -> Indices:
        start = self._signatures
        self._signatures += len(ids)
        return ids + start

    def _fresh(self, count: int) -> Channels:
        signature = self._new_signatures(np.arange(count))
        nan = np.full(count, np.nan)
        return Channels(self._new_labels(count), nan, signature, np.ones(count))

    def _known(
        self, labels: Indices, constant: Array, columns: Sequence[Array], factor: Array
    ) -> Channels:
        """Channels with signatures told apart by ``columns``, those of constants known."""
        is_constant = np.isfinite(constant)
        constant = np.where(is_constant, constant, np.nan)
        useful = np.where(np.isfinite(factor) & (factor != 0), 0.0, np.nan)
        signature = self._new_signatures(distinct([*columns, useful]))
        signature = np.where(is_constant, CONSTANT, signature)
        return Channels(labels, constant, signature, np.where(is_constant, constant, factor))

    # -- one op --------------------------------------------------------------------------------

    def _follow(self, link: Link) -> None:
        with np.errstate(all="ignore"):
            match link.form:
                case "linear":
                    self.at[link.op.result] = self._layer(link.layer)
                case "depthwise":
                    self.at[link.op.result] = self._depthwise(link)
                case "pointwise":
                    self.at[link.op.result] = self._pointwise(link)
                case "spatial":
                    self.at[link.op.result] = self._spatial(link)
                case "concat":
                    self.at[link.op.result] = self._concat(link)
                case "reshape":
                    repeated = np.arange(channels(link.sources[0]) or 0).repeat(link.repeat)
                    # Positions of one channel hold different values unless it is constant.
                    place = np.tile(np.arange(link.repeat), len(repeated) // link.repeat)
                    self.at[link.op.result] = self._picked(link.sources[0], repeated, place)
                case "pick":
                    for result, pick in zip(link.results, link.picks, strict=True):
                        self.at[result] = self._picked(link.sources[0], pick)

    def _picked(self, source: Value, pick: Indices, place: Indices | None = None) -> Channels:
        old = self.at[source]
        columns = [old.signature[pick], *([] if place is None else [place])]
        return self._known(old.labels[pick], old.constant[pick], columns, old.factor[pick])

    def _layer(self, linear: Linear) -> Channels:
        bias, zero = bias_vector(linear), dead(linear)
        labels = self._new_labels(len(bias))
        self.dead.update(int(label) for label in labels[zero])
        ids, scale = multiples(linear, zero)
        return self._known(labels, np.where(zero, bias, np.nan), [ids], scale)

    def _depthwise(self, link: Link) -> Channels:
        old, linear = self.at[link.sources[0]], link.layer
        filters, bias = linears.to_filters(linear, linear.array), bias_vector(linear)
        pick = np.arange(len(old.labels)).repeat(len(bias) // len(old.labels))
        zero = dead(linear)
        labels = old.labels[pick]
        self.dead.update(int(label) for label in labels[zero])
        value = old.constant[pick]
        kept, _ = keeps(linear)
        through = value * filters.sum(axis=1, dtype=np.float64) + bias
        constant = np.where((value == 0) | kept, through, np.nan)
        constant = np.where(zero, bias, constant)
        rows, scale = directions(filters, np.zeros(len(bias)))
        factor = old.factor[pick] * scale
        return self._known(labels, constant, [old.signature[pick], rows, bias / factor], factor)

    def _concat(self, link: Link) -> Channels:
        op = link.op
        parts = [self.at.get(v) or self._stored(v) for v in op.inputs if v is not None]
        axis = op.attributes["axis"]
        assert isinstance(axis, int)
        rank = len(op.result.shape or ())
        if axis % rank == 1:
            labels, constant, signature, factor = (
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("labels", "constant", "signature", "factor")
            )
            return Channels(labels, constant, signature, factor)
        for part in parts[1:]:
            self._tie(parts[0].labels, part.labels)
        first = parts[0].constant
        same = np.all([part.constant == first for part in parts], axis=0)
        constant = np.where(same, first, np.nan)
        return self._known(parts[0].labels, constant, [np.arange(len(first))], np.ones(len(first)))

    def _stored(self, value: Value) -> Channels:
        """A constant among the operands of a Concat."""
        array = np.moveaxis(np.asarray(value.array, np.float64), 1, 0)
        flat = array.reshape(len(array), -1)
        constant = np.where((flat == flat[:, :1]).all(axis=1), flat[:, 0], np.nan)
        fresh = self._fresh(len(flat))
        self.at[value] = self._known(fresh.labels, constant, [fresh.signature], fresh.factor)
        return self.at[value]

    # -- one channel at a time -----------------------------------------------------------------

    def _pointwise(self, link: Link) -> Channels:
        op, states = link.op, [self.at[v] for v in link.sources]
        for state in states[1:]:
            self._tie(states[0].labels, state.labels)
        count = len(states[0].labels)
        rank = len(op.result.shape or ())
        arrays = [self._operand(op, i, rank, count) for i in range(len(op.inputs))]
        result = _apply(self.graph, op, arrays, count)
        unknown = np.any([np.isnan(a) for a in arrays if a is not None], axis=0)
        constant = np.where(unknown, np.nan, result)
        if op.kind == "Mul":
            constant = np.where(np.any([a == 0 for a in arrays], axis=0), 0.0, constant)
        if op.kind == "BatchNormalization":
            scale, bias = np.asarray(arrays[1]), np.asarray(arrays[2])
            constant = np.where(scale == 0, bias, constant)
        columns, factor = _signature(op, link.sources, states, arrays)
        return self._known(states[0].labels, constant, columns, factor)

    def _operand(self, op: Op, index: int, rank: int, count: int) -> Array | None:
        """(C,): the operand's value on each channel, NaN where it is not constant."""
        value = op.inputs[index]
        if value is None:
            return None
        if value in self.at and value.array is None and len(self.at[value].labels) == count:
            return self.at[value].constant
        if value.array is None:
            return np.full(count, np.nan)
        array = np.asarray(value.array, np.float64)
        if op.kind == "BatchNormalization":
            return array
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        if array.size not in (1, array.shape[1]):
            return np.full(count, np.nan)
        return np.broadcast_to(array.reshape(-1), (count,))

    def _spatial(self, link: Link) -> Channels:
        op, old = link.op, self.at[link.sources[0]]
        constant = np.where(_passes(op, old.constant), old.constant, np.nan)
        if op.kind == "ReduceSum":
            constant = np.where(old.constant == 0, 0.0, np.nan)
        columns, factor = [old.signature, old.factor], np.ones(len(constant))
        if op.kind in SCALING or _is_linear(op):
            columns, factor = [old.signature], old.factor
        elif op.kind in POSITIVE:
            columns, factor = [old.signature, np.sign(old.factor)], np.abs(old.factor)
        return self._known(old.labels, constant, columns, factor)


def _apply(graph: Graph, op: Op, arrays: Sequence[Array | None], count: int) -> Array:
    """The op on one sample of one position; NaN where its kernel is missing or refuses."""
    whole = [None if a is None else a.reshape(1, -1) for a in arrays]
    if op.kind == "BatchNormalization":
        whole[1:] = arrays[1:]
    if op.kind == "Clip":
        whole[1:] = [None if a is None else a[0] for a in arrays[1:]]
    try:
        results = evaluate(op.kind, whole, op.attributes, graph.header.opset)
    except KernelError:
        results = None
    return np.full(count, np.nan) if results is None else results[0].reshape(-1)


def _signature(
    op: Op, sources: Sequence[Value], states: Sequence[Channels], arrays: Sequence[Array | None]
) -> tuple[list[Array], Array]:
    """What tells channels apart, and the factor that does not."""
    followed = set(sources)
    first = states[0]
    m = first.factor
    signatures = [state.signature for state in states]
    # A broadcast operand that is not constant is the same for all channels.
    others = [
        a
        for v, a in zip(op.inputs, arrays, strict=True)
        if v is not None and a is not None and v not in followed and v.array is not None
    ]
    shared = any(v is not None and v.array is None and v not in followed for v in op.inputs)
    twice = sum(v in followed for v in op.inputs if v is not None) != len(states)
    if op.kind in SCALING:
        return signatures, m
    if op.kind in POSITIVE and len(states) == 1 and not twice:
        return [*signatures, np.sign(m), *others], np.abs(m)
    if op.kind == "BatchNormalization":
        scale, bias, mean, var = (np.asarray(a) for a in arrays[1:5])
        return [*signatures, var, mean / m, bias / (m * scale)], m * scale
    if op.kind == "Mul" and not twice:
        return signatures, np.prod([*(s.factor for s in states), *others], axis=0)
    if op.kind in ("Add", "Sub", "Sum") and not shared:
        ratios = [state.factor / m for state in states[1:]]
        return [*signatures, *ratios, *(a / m for a in others)], m
    columns = [*signatures, *(state.factor for state in states), *others]
    return columns, np.ones(len(m))


def _is_linear(op: Op) -> bool:
    """Whether an op sums positions with the same weights for all channels."""
    return op.kind in ("AveragePool", "Resize", "Upsample", "Slice", "Squeeze", "Unsqueeze") and (
        op.attributes.get("coordinate_transformation_mode") != "tf_crop_and_resize"
    )


def _passes(op: Op, constant: Array) -> Array:
    """Where a channel that is constant before the op is the same constant behind it."""
    same = np.ones(len(constant), bool)
    match op.kind:
        case "MaxPool":
            return same if _sees_samples(op) else ~same
        case "AveragePool":
            padded = op.attributes.get("count_include_pad", 0) and not _is_unpadded(op)
            zero: Array = constant == 0
            return zero if padded or not _sees_samples(op) else same
        case "Pad":
            return np.equal(constant, _pad_value(op)) if _adds(op) else same
        case "Resize" | "Upsample":
            crops = op.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
            return ~same if crops else same
    return same


def _adds(op: Op) -> bool:
    pads = constant_ints(op, 1, "pads") or ()
    return op.attributes.get("mode", "constant") == "constant" and any(pad > 0 for pad in pads)


def _pad_value(op: Op) -> float:
    value = op.operand(2)
    if value is not None and value.array is not None:
        return float(value.array.reshape(-1)[0]) if value.array.size else 0.0
    attribute = op.attributes.get("value", 0.0)
    assert isinstance(attribute, (int, float))
    return float(attribute)


def _is_unpadded(op: Op) -> bool:
    geometry = pool_geometry(op)
    return geometry is not None and not any(geometry.pads)


def _sees_samples(op: Op) -> bool:
    """Whether every window of a pool has a sample of the input in it."""
    geometry = pool_geometry(op)
    if geometry is None:
        return False
    dense = all(d == 1 for d in ints(op, "dilations", (1,) * geometry.ndim))
    sides = zip(geometry.pads_begin, geometry.pads_end, geometry.kernel, strict=True)
    inside = all(max(begin, end) < kernel for begin, end, kernel in sides)
    return inside and (dense or not any(geometry.pads)) and min(geometry.pads, default=0) >= 0
