"""Resize by whole factors as convolution: alone, or with the conv behind it.

Sample ``s·q + r`` of an axis resized by s is phase r at q, and every phase is a convolution of the
axis, padded with copies of its edge (`convc.algebra.resample`). All forms are exact::

    y = conv(resize(x), W) + b          y = interleave(conv(x, W_0) + b, conv(x, W_1) + b, ...)
    y = resize(x)                       y = interleave(conv(edge_pad(x), W_0), ...)

``resize-conv-phases``. One conv for each phase of the output. Taps that fall on copies of one
sample are added: a nearest ×2 before a 3×3 gives four 2×2. Phases that differ in what they read
have pads that differ, and equal outputs; what is too much at the end is sliced off. A conv of
stride σ has ``s / gcd(s, σ)`` phases per axis; where that is one on every axis, one conv is left.

``resize-conv-stacked``. The same as one conv to all phases, with zeros where a phase has no tap.

``resize-conv-transpose``. A plain repetition is a ConvTranspose of stride s with a kernel of ones;
with the conv it makes one of kernel ``k + s − 1``.

``resize-dense``, ``resize-phases``, ``resize-depthwise``, ``resize-separable``. A linear or cubic
Resize as edge padding and a dense conv (few channels), a depthwise conv for each phase, one
depthwise conv to all phases, or one depthwise conv along each axis.

Conditions:

1. The factors are whole numbers, at most 64 phases in all, known from constants or from the types.
   Batch and channels keep their size. The coordinates are periodic: not align_corners, not
   tf_crop_and_resize. No exclude_outside.
2. Before a conv that pads an axis with zeros, the resize must repeat the samples of that axis and
   read nothing beyond the edge. Nearest resizes do in the modes that exporters use.
3. Nothing but copies lies between. The resize may have other users: it stays for them.
4. The phases have no more products than the conv, and the conv has more than one tap: a 1×1 conv
   goes before the resize.
5. Sizes need not be known, except where σ does not divide s, and, for all but one of them, where
   the factors are not equal: DepthToSpace has square blocks, and the rest goes by Reshape. So does
   what is grouped and has its phases last before opset 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from convc.algebra import ConvGeometry
from convc.algebra.resample import Phases
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, rule
from passes._interleave import interleaved
from passes.lower_to_conv2d.resize_conv import (
    resize_conv_as_one_conv,
    resize_conv_as_phases,
    resize_conv_as_transpose,
)
from passes.lower_to_conv2d.resized import (
    KINDS,
    Resized,
    edge_padded,
    read_resize,
    replaced,
    times,
)

DENSEST = 4
"""Channels up to which a depthwise kernel is written as a dense one, with zeros between: it has
this many times the products, and grouped convs of few channels run further below peak than that."""


def resize_as_dense(graph: Graph, op: Op) -> Rewrite:
    """Edge padding and one dense conv to all phases of all channels."""
    resized, channels = _read_alone(graph, op)
    if channels > DENSEST:
        raise NoMatch
    kernel = _phase_kernels(resized.phases)
    whole = np.zeros((len(kernel), channels, channels, *kernel.shape[1:]))
    whole[:, range(channels), range(channels)] = kernel[:, np.newaxis]
    build = Replacement(graph)
    data = edge_padded(build, build.take(resized.data), resized.phases)
    value = _plain_conv(build, data, whole.reshape(-1, *whole.shape[2:]))
    result = interleaved(build, value, resized.factors)
    return _finish(build, resized, result, f"dense {times(kernel.shape[1:])}")


def resize_as_phases(graph: Graph, op: Op) -> Rewrite:
    """Edge padding and a depthwise conv of multiplier one for each phase."""
    resized, channels = _read_alone(graph, op)
    if channels == 1:
        raise NoMatch  # dense and depthwise are the same
    build = Replacement(graph)
    data = edge_padded(build, build.take(resized.data), resized.phases)
    kernels = _phase_kernels(resized.phases)
    parts = [
        _plain_conv(build, data, np.tile(kernel, (channels, 1, *(1,) * kernel.ndim)), channels)
        for kernel in kernels
    ]
    result = interleaved(build, build.concat(parts, 1), resized.factors)
    became = f"{len(parts)} depthwise {times(kernels.shape[1:])}"
    return _finish(build, resized, result, became)


def resize_as_depthwise(graph: Graph, op: Op) -> Rewrite:
    """Edge padding and one depthwise conv to all phases."""
    resized, channels = _read_alone(graph, op)
    if channels == 1:
        raise NoMatch  # dense and depthwise are the same
    build = Replacement(graph)
    data = edge_padded(build, build.take(resized.data), resized.phases)
    kernels = _phase_kernels(resized.phases)
    filters = np.tile(kernels[:, np.newaxis], (channels, 1, *(1,) * (kernels.ndim - 1)))
    value = _plain_conv(build, data, filters, channels)
    result = interleaved(build, value, resized.factors, phases_first=False)
    became = f"depthwise {times(kernels.shape[1:])} to {len(kernels)} phases"
    return _finish(build, resized, result, became)


def resize_as_separable(graph: Graph, op: Op) -> Rewrite:
    """Edge padding and one depthwise conv along each axis; all axes are interleaved at the end."""
    resized, channels = _read_alone(graph, op)
    if sum(factor > 1 for factor in resized.factors) == 1:
        raise NoMatch  # one axis is nothing to separate
    build = Replacement(graph)
    value = edge_padded(build, build.take(resized.data), resized.phases)
    group, names = channels, []
    for axis, phases in enumerate(resized.phases):
        if phases.factor == 1:
            continue
        line = [1] * len(resized.phases)
        line[axis] = phases.taps.shape[1]
        filters = np.tile(phases.taps.reshape(-1, 1, *line), (group, 1, *(1,) * len(line)))
        value = _plain_conv(build, value, filters, group)
        group *= phases.factor
        names.append(times(line))
    result = interleaved(build, value, resized.factors, phases_first=False)
    return _finish(build, resized, result, f"depthwise {' then '.join(names)}")


def _read_alone(graph: Graph, op: Op) -> tuple[Resized, int]:
    resized = read_resize(graph, op)
    if resized.mode == "nearest":
        raise NoMatch
    channels = resized.data.shape[1] if resized.data.shape else None
    if not isinstance(channels, int):
        raise NoMatch("the number of channels is not known")
    return resized, channels


def _phase_kernels(phases: Sequence[Phases]) -> Array:
    """(phases, *taps): the products of the axes' taps, the last axis fastest."""
    kernel = np.ones((1,))
    for axis in phases:
        kernel = np.multiply.outer(kernel, axis.taps)
    # (1, s1, t1, s2, t2, ...): phases before taps.
    ndim = len(phases)
    order = [0, *range(1, 2 * ndim, 2), *range(2, 2 * ndim + 1, 2)]
    taps = [axis.taps.shape[1] for axis in phases]
    return kernel.transpose(order).reshape(-1, *taps)


def _plain_conv(build: Replacement, data: Value, filters: Array, group: int = 1) -> Value:
    """A conv without pads or bias; its weights have the dtype of the data."""
    assert data.dtype is not None
    kernel = filters.shape[2:]
    ones, none = (1,) * len(kernel), (0,) * len(kernel)
    geometry = ConvGeometry(kernel, ones, ones, none, none, group)
    weight = build.graph.add_constant(filters.astype(np.float64), "", data.dtype)
    return build.conv(data, weight, None, geometry)


def _finish(build: Replacement, resized: Resized, result: Value, became: str) -> Rewrite:
    return replaced(build, resized.op, result, f"{resized.label} → {became}")


Form = Literal[
    "resize-conv-phases",
    "resize-conv-stacked",
    "resize-conv-transpose",
    "resize-dense",
    "resize-phases",
    "resize-depthwise",
    "resize-separable",
]
FORMS: tuple[Form, ...] = get_args(Form)


def rules(forms: Iterable[Form] = FORMS) -> list[Rule]:
    """One rule for each of ``forms``, in their order: they compete at the same ops."""
    known: Mapping[Form, Rule] = {
        "resize-conv-phases": rule(resize_conv_as_phases, "Conv"),
        "resize-conv-stacked": rule(resize_conv_as_one_conv, "Conv"),
        "resize-conv-transpose": rule(resize_conv_as_transpose, "Conv"),
        "resize-dense": rule(resize_as_dense, *KINDS),
        "resize-phases": rule(resize_as_phases, *KINDS),
        "resize-depthwise": rule(resize_as_depthwise, *KINDS),
        "resize-separable": rule(resize_as_separable, *KINDS),
    }
    return [known[form] for form in forms]
