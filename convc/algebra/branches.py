"""Sums of convolutions of one input: one kernel on the union of their taps.

Per axis a conv gives ``y[o] = Σ_t w[t]·x[s·o + d·t − p]``: its taps read at the offsets −p, d − p,
..., R with ``R = d(k − 1) − p``. Two convs of one stride add up tap by tap on the grid that holds
the offsets of both. So the sum has

    pad at the begin   max p, the first offset of all
    dilation           g = gcd of the dilations (a kernel of one tap drops out) and of the
                       differences of the pads
    kernel             1 + (max R + max p) / g
    groups             gcd of the groups, zeros between the blocks of the finer ones

Everything else that is linear, sees a window and does the same everywhere is a conv, too: the
identity and a scale per channel are depthwise 1×1 convs, and an average over windows that all
count alike is a depthwise conv of equal weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convc.algebra.arrays import AnyArray, Array, MaybeSizes, as_float64, channels
from convc.algebra.compose import compose_bias, compose_geometry, compose_kernels
from convc.algebra.geometry import ConvGeometry


@dataclass(frozen=True, slots=True)
class Branch:
    """A convolution as numbers: kernel (K, C/group, *k), bias (K,) or None, geometry."""

    kernel: Array
    bias: Array | None
    geometry: ConvGeometry

    @property
    def outputs(self) -> int:
        """Output channels."""
        return len(self.kernel)

    @property
    def inputs(self) -> int:
        """Input channels."""
        return int(self.kernel.shape[1]) * self.geometry.group


def pointwise_geometry(ndim: int, group: int) -> ConvGeometry:
    """Of a conv whose kernel is one tap, at the position itself."""
    ones, zeros = (1,) * ndim, (0,) * ndim
    return ConvGeometry(ones, ones, ones, zeros, zeros, group)


def scale_branch(scale: AnyArray, shift: AnyArray | None, ndim: int) -> Branch:
    """``scale·x + shift`` with one value a channel as a depthwise 1×1 conv.

    Args:
        scale: (C,); ones for the identity.
        shift: (C,) or None for zero.
        ndim: spatial axes.
    """
    kernel = as_float64(scale).reshape(-1, 1, *(1,) * ndim)
    bias = None if shift is None or not np.any(shift) else channels(shift, len(kernel))
    return Branch(kernel, bias, pointwise_geometry(ndim, len(kernel)))


def average_branch(count: int, geometry: ConvGeometry) -> Branch:
    """An average over windows as a depthwise conv whose weights are all ``1 / Π k``.

    Exact where every window divides by its full size: without padding, or with padding that
    counts. ``geometry`` is the pool's, its group is ignored.
    """
    kernel = np.full((count, 1, *geometry.kernel), 1.0 / math.prod(geometry.kernel))
    return Branch(kernel, None, _with_group(geometry, count))


def after(first: Branch, second: Branch) -> Branch:
    """``second`` after ``first``, equal to the sequence where `border.ring_is_zero` says so."""
    bias = second.bias
    if first.bias is not None:
        bias = compose_bias(first.bias, second.kernel, second.bias, second.geometry.group)
    return Branch(
        compose_kernels(first.kernel, second.kernel, first.geometry, second.geometry),
        bias,
        compose_geometry(first.geometry, second.geometry),
    )


def output_key(geometry: ConvGeometry, size: MaybeSizes) -> tuple[tuple[bool, int], ...]:
    """What two convs of one stride share, per axis, exactly if their outputs have one size.

    The size itself where ``size`` is known, else ``p_end − R``: the number of outputs is
    ``⌊(H − 1 + p_end − R) / s⌋ + 1``, and for all H that is the same only for the same sum.
    """
    return tuple(
        (False, _overhang(geometry, axis))
        if known is None
        else (True, geometry.axis_output(axis, known))
        for axis, known in enumerate(size)
    )


def common_geometry(geometries: Sequence[ConvGeometry]) -> ConvGeometry:
    """The geometry of the sum of convs of one input, one stride and one output size.

    Where the output sizes are equal only because the stride rounds them down, the least padding
    at the end is taken.

    Raises:
        ValueError: the numbers of axes or the strides differ.
    """
    one = geometries[0]
    if any((g.ndim, g.strides) != (one.ndim, one.strides) for g in geometries):
        raise ValueError("the convs of a sum have one stride")
    begin = tuple(max(g.pads_begin[axis] for g in geometries) for axis in range(one.ndim))
    reach = tuple(max(_reach(g, axis) for g in geometries) for axis in range(one.ndim))
    grid = tuple(_grid(geometries, axis) for axis in range(one.ndim))
    overhang = [min(_overhang(g, axis) for g in geometries) for axis in range(one.ndim)]
    return ConvGeometry(
        kernel=tuple(1 + (r + b) // d for r, b, d in zip(reach, begin, grid, strict=True)),
        strides=one.strides,
        dilations=grid,
        pads_begin=begin,
        pads_end=tuple(o + r for o, r in zip(overhang, reach, strict=True)),
        group=math.gcd(*(g.group for g in geometries)),
    )


def sum_branches(branches: Sequence[Branch]) -> Branch:
    """One conv that gives the sum of ``branches``, all of one input and one output size.

    Raises:
        ValueError: the channels or the strides differ.
    """
    one = branches[0]
    if any((b.outputs, b.inputs) != (one.outputs, one.inputs) for b in branches):
        raise ValueError("the convs of a sum have the same channels")
    geometry = common_geometry([branch.geometry for branch in branches])
    total = np.zeros((one.outputs, one.inputs // geometry.group, *geometry.kernel))
    for branch in branches:
        _add(total, geometry, branch)
    given = [branch.bias for branch in branches if branch.bias is not None]
    bias = sum(given[1:], given[0].copy()) if given else None
    return Branch(total, bias, geometry)


def concat_inputs(branches: Sequence[Branch]) -> Branch:
    """The sum of convs of one geometry without groups, each of its own input, on all inputs.

    Its kernel is theirs side by side, for the inputs concatenated in the same order.
    """
    kernel = np.concatenate([branch.kernel for branch in branches], axis=1)
    given = [branch.bias for branch in branches if branch.bias is not None]
    bias = sum(given[1:], given[0].copy()) if given else None
    return Branch(kernel, bias, branches[0].geometry)


def concat_outputs(branches: Sequence[Branch], parts: int = 1) -> Branch:
    """The concatenated results of convs of one geometry.

    Args:
        branches: in the order of the results. Of one input without groups (``parts`` 1), or each
            of its own part of the input's channels (``parts`` as many as there are), with the same
            number of input and of output channels.
        parts: into how many the input is cut.
    """
    geometry = branches[0].geometry
    kernel = np.concatenate([branch.kernel for branch in branches])
    bias = None
    if any(branch.bias is not None for branch in branches):
        bias = np.concatenate([channels(branch.bias, branch.outputs) for branch in branches])
    return Branch(kernel, bias, _with_group(geometry, geometry.group * parts))


def _add(total: Array, geometry: ConvGeometry, branch: Branch) -> None:
    """Adds a kernel to ``total`` (K, C/G, *k), whose G groups each hold whole groups of it."""
    group, own = branch.geometry.group, branch.geometry
    parts = group // geometry.group
    rows, columns = branch.outputs // group, branch.inputs // group
    blocks = total.reshape(geometry.group, parts, rows, parts, columns, *geometry.kernel)
    kernel = branch.kernel.reshape(geometry.group, parts, rows, columns, *own.kernel)
    window = tuple(_window(geometry, own, axis) for axis in range(own.ndim))
    all_ = slice(None)
    for part in range(parts):
        diagonal: tuple[int | slice, ...] = (all_, part, all_, part, all_, *window)
        blocks[diagonal] += kernel[:, part]


def _window(whole: ConvGeometry, part: ConvGeometry, axis: int) -> slice:
    """Where on the common grid the taps of ``part`` lie."""
    step = max(1, part.dilations[axis] // whole.dilations[axis])
    start = (whole.pads_begin[axis] - part.pads_begin[axis]) // whole.dilations[axis]
    return slice(start, start + step * (part.kernel[axis] - 1) + 1, step)


def _grid(geometries: Sequence[ConvGeometry], axis: int) -> int:
    steps = [g.dilations[axis] for g in geometries if g.kernel[axis] > 1]
    pads = [g.pads_begin[axis] - geometries[0].pads_begin[axis] for g in geometries]
    return math.gcd(*steps, *pads) or 1


def _reach(geometry: ConvGeometry, axis: int) -> int:
    """The offset of the last tap."""
    return geometry.extent[axis] - 1 - geometry.pads_begin[axis]


def _overhang(geometry: ConvGeometry, axis: int) -> int:
    return geometry.pads_end[axis] - _reach(geometry, axis)


def _with_group(geometry: ConvGeometry, group: int) -> ConvGeometry:
    return replace(geometry, group=group)
