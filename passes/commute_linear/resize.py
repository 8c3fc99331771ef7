"""A Resize or Upsample and a 1×1 conv in the cheaper order."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, prod

import numpy as np

from convc.conv import ints
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Rewrite, Rule, rule
from passes._chains import operand, sizes
from passes.commute_linear.conv import Spatial
from passes.commute_linear.swap import after_conv, assumed, before_conv, spatial_sizes

KINDS = ("Resize", "Upsample")
PRODUCT = 32
"""MACs that weigh as much as one product of a Resize: onnxruntime's convs run near the machine's
peak, its Resize far below it (a bicubic one of 768×768 takes 128 ms)."""

TAPS = {"nearest": 1, "linear": 2, "bilinear": 2, "cubic": 4}


def rules() -> list[Rule]:
    """One rule for each direction."""
    return [rule(resize_before_conv, *KINDS), rule(resize_after_conv, "Conv")]


def resize_before_conv(graph: Graph, op: Op) -> Rewrite:
    """The Resize ``op``, which shrinks, before the 1×1 conv that it follows."""
    return before_conv(graph, op, read_resize)


def resize_after_conv(graph: Graph, op: Op) -> Rewrite:
    """The Resize, which enlarges, after the 1×1 conv ``op`` that it feeds."""
    return after_conv(graph, op, KINDS, read_resize)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a Resize is told: one of ``scales`` and ``sizes``, for each of ``axes``."""

    axes: tuple[int, ...]
    scales: Array | None
    sizes: Array | None


def read_resize(graph: Graph, op: Op) -> Spatial:
    """A Resize of spatial axes whose weights sum to 1; raises NoMatch for any other."""
    data = operand(op)
    size = spatial_sizes(graph, data)
    if op.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise NoMatch("tf_crop_and_resize has values of its own outside of the input")
    target = _target(graph, op, len(size) + 2)
    _require_spatial(op, data, target)
    if target.sizes is not None and None in size:
        raise NoMatch(f"whether the {op.kind} enlarges is not known: a size is open")
    before = assumed(size)
    after = list(before)
    for i, axis in enumerate(target.axes):
        if axis < 2:
            continue
        if target.sizes is not None:
            after[axis - 2] = int(target.sizes[i])
        elif target.scales is not None:
            after[axis - 2] = floor(before[axis - 2] * float(target.scales[i]))
    if min(after) < 1:
        raise NoMatch(f"the {op.kind} has no output at its size")
    taps = TAPS.get(str(op.attributes.get("mode", "nearest")), 1)
    varying = sum(a != b for a, b in zip(before, after, strict=True))
    listed = 3 if target.sizes is not None and 1 in target.axes else None
    work = PRODUCT * prod(after) * taps**varying
    spatial = sizes(data.shape, len(size))
    vanishes = any(n is None and b < a for n, a, b in zip(spatial, before, after, strict=True))
    return Spatial(op, data, before, tuple(after), work, lists_channels=listed, may_vanish=vanishes)


def _target(graph: Graph, op: Op, rank: int) -> _Target:
    axes = tuple(axis % rank for axis in ints(op, "axes", range(rank)))
    opset = graph.header.opset
    if op.kind == "Upsample" and opset < 9:
        given = op.attributes.get("scales")
        return _Target(axes, np.asarray(given) if isinstance(given, tuple) else None, None)
    first = op.operand(1 if op.kind == "Upsample" or opset < 11 else 2)
    scales, wanted = _array(op, first), _array(op, op.operand(3) if opset >= 11 else None)
    policy = op.attributes.get("keep_aspect_ratio_policy", "stretch")
    if wanted is not None and policy != "stretch":
        raise NoMatch("the Resize keeps the aspect ratio")
    return _Target(axes, scales, wanted)


def _array(op: Op, value: Value | None) -> Array | None:
    """A constant operand; None where it is omitted or empty, which is the same."""
    if value is None:
        return None
    if value.array is None:
        raise NoMatch(f"the scales or sizes of the {op.kind} are not constant")
    return value.array if value.array.size else None


def _require_spatial(op: Op, data: Value, target: _Target) -> None:
    told = target.scales if target.scales is not None else target.sizes
    if told is None or told.size != len(target.axes):
        raise NoMatch(f"the {op.kind} is not valid")
    assert data.shape is not None
    for axis, value in zip(target.axes, told, strict=True):
        kept = 1 if target.scales is not None else data.shape[axis]
        if axis < 2 and value != kept:
            raise NoMatch(f"the {op.kind} may change the batch or the channels")
