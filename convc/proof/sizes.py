"""The inputs that a proof tries: sizes for the open dims, and random values of either sign."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product, zip_longest
from math import prod

import numpy as np

from convc.conv import ints
from convc.errors import CannotProveError
from convc.graph import Graph
from convc.ir import CONSTANT, INPUT, OUTPUT, Array, Op, TensorType, Value
from convc.onnx_io.shapes import UNNAMED
from convc.opset import constant_ints, is_linear

MOST = 48
"""Sizes from which the small ones start at the most: float64 shall not take long."""

FARTHEST = 2**14
"""Size beyond which none is chosen for the sake of what reaches so far."""

LARGEST_TRIED = 4_000_000
"""Elements of a value beyond which no size is chosen for open dims, not even the graph's own."""

LARGEST_VARIED = 2**18
"""Elements of a value at the sizes that are tried for the sake of variety: there are many."""

VARIED = ((0.0, 3.0), (8.0, 1.0), (-8.0, 1.0))
"""Mean and deviation of what is fed to a region that is not linear. A Relu must be seen open
everywhere, closed everywhere, and mixed; the three overlap, so that no value between is left out
where there are few."""

TO_THE_END = 2**31 - 1
"""An end of a Slice from which on it means the end of the axis, as exporters write it."""

Volume = tuple[float, Sequence[str]]
"""A number, and open dims of the inputs: elements are the product of it and of their sizes."""


def trials(
    region: Graph, replacement: Graph, largest: int, rng: np.random.Generator
) -> Iterator[dict[str, Array]]:
    """Inputs for a region, at sizes at which no value has more than ``largest`` elements.

    Raises CannotProveError where a type or a size of an input is not known.
    """
    linear = all(is_linear(op) or op.kind in (INPUT, CONSTANT, OUTPUT) for op in region.ops())
    ties = _ties(region)
    for independent in _sizes(region, replacement, largest):
        tied = {name: factor * independent[base] for name, (base, factor) in ties.items()}
        sizes = {**independent, **tied}
        for mean, deviation in ((0.0, 1.0),) if linear else VARIED:
            yield {v.name: _random(v, sizes, mean, deviation, rng) for v in region.inputs}


def _sizes(region: Graph, replacement: Graph, largest: int) -> Iterator[Mapping[str, int]]:
    """Sizes for the open dims: the graph's own, then small ones with every residue and border.

    The small ones run over one period of the region's total stride: from 1, where borders overlap
    and many regions do not run, from the largest kernel, and from the whole receptive field, where
    the borders come apart. All dims take the same size, or alternate between two that differ, or
    differ by a period; but a batch, along which no kernel slides, takes the smallest ones only.
    Where a cut, pad or kernel of either graph reaches beyond these, one size beyond it is tried.
    Where a value would have more than ``largest`` elements, the dims take turns: one has its size,
    the others what is left for them.
    """
    dims = (d for v in region.inputs for d in (v.shape or ()) if isinstance(d, str))
    # In the order of the axes, so that height and width are neighbours and alternate.
    names = list(dict.fromkeys(dims))
    if not names:
        yield {}
        return
    usual = {name: region.sizes.get(name, 8) for name in names}
    volumes = _volumes(region, usual)
    if _elements(volumes, usual) <= LARGEST_TRIED:
        yield usual
    batches = _batches(region)
    period, kernel, field = _geometry(region)
    starts = dict.fromkeys((1, min(kernel, MOST), min(field, MOST)))
    for start, residue in product(starts, range(period)):
        for even, odd in ((0, 0), (0, 1), (1, 0), (period, 0)):
            sizes = {
                name: residue + (1 if name in batches else start) + (odd if i % 2 else even)
                for i, name in enumerate(names)
            }
            yield from _bounded(sizes, volumes, largest)
    far = min(max(map(_far, (region, replacement))), FARTHEST)
    if far >= max(starts):
        beyond = {name: 1 if name in batches else far + 1 for name in names}
        yield from _bounded(beyond, volumes, largest)


def _ties(region: Graph) -> dict[str, tuple[str, int]]:
    """Open dims that convc named, as multiples of the one that another input has on that axis.

    What a Reshape moved into an axis (slices of a volume into the batch, say) varies with what was
    there before: at a size of its own it would stand beside what it never meets.
    """
    ties: dict[str, tuple[str, int]] = {}
    for dims in zip_longest(*(value.shape or () for value in region.inputs)):
        named = [dim for dim in dims if isinstance(dim, str) and not dim.startswith(UNNAMED)]
        made = [dim for dim in dims if isinstance(dim, str) and dim.startswith(UNNAMED)]
        base = region.sizes.get(named[0], 0) if named else 0
        for dim in made:
            size = region.sizes.get(dim, 0)
            # Equal ones may be so by chance: open dims are taken for 224 where nobody says more.
            if base and size > base and size % base == 0:
                ties.setdefault(dim, (named[0], size // base))
    return ties


def _bounded(
    sizes: Mapping[str, int], volumes: Sequence[Volume], largest: int
) -> Iterator[Mapping[str, int]]:
    """``sizes`` if no value exceeds ``largest`` there, else for each dim what fits beside it."""
    if _elements(volumes, sizes) <= largest:
        yield sizes
        return
    for name in sizes:
        parts = [_cut(sizes, name, most) for most in range(1, max(sizes.values()))]
        fitting = bisect_right(parts, largest, key=partial(_elements, volumes))
        yield from parts[:fitting][-1:]


def _cut(sizes: Mapping[str, int], kept: str, most: int) -> dict[str, int]:
    """``sizes``, those but the one of ``kept`` limited to ``most``."""
    return {name: size if name == kept else min(size, most) for name, size in sizes.items()}


def _batches(region: Graph) -> set[str]:
    """Open dims that are the first of four or more, and nothing else."""
    shapes = [value.shape or () for value in region.inputs]
    first = {shape[0] for shape in shapes if len(shape) > 3}
    others = {dim for shape in shapes for dim in (shape[1:] if len(shape) > 3 else shape)}
    return {dim for dim in first - others if isinstance(dim, str)}


def _geometry(region: Graph) -> tuple[int, int, int]:
    """Total stride (at most 12), extent of the largest kernel, and the receptive field."""
    total, largest, field = 1, 1, 1
    for op in region.ops():
        extent, stride = _extent(op), max(ints(op, "strides", (1,)), default=1)
        largest = max(largest, extent)
        field += (extent - 1) * total
        total *= stride
    return min(total, 12), largest, field


def _extent(op: Op) -> int:
    """How many positions an op's kernel reaches over along its longest axis, dilation included."""
    weight = op.operand(1) if op.kind in ("Conv", "ConvTranspose") else None
    shape = () if weight is None or weight.shape is None else weight.shape[2:]
    kernel = [k for k in shape if isinstance(k, int)] or ints(op, "kernel_shape", (1,))
    dilations = ints(op, "dilations", (1,) * len(kernel))
    return max((d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=False)), default=1)


def _far(graph: Graph) -> int:
    """How far from a border positions lie that cuts, pads and kernels tell apart from it."""
    total, far = 1, 0
    for op in graph.ops():
        far += total * max((abs(n) for n in _marks(op)), default=0)
        total *= max(ints(op, "strides", (1,)), default=1)
    return far


def _marks(op: Op) -> Iterable[int]:
    if op.kind == "Slice":
        cuts = (constant_ints(op, 1, "starts") or ()) + (constant_ints(op, 2, "ends") or ())
        return [n for n in cuts if abs(n) < TO_THE_END]
    if op.kind == "Pad":
        return constant_ints(op, 1, "pads") or ()
    return (_extent(op) - 1, *ints(op, "pads", ()))


def _volumes(region: Graph, usual: Mapping[str, int]) -> list[Volume]:
    """What the elements of the region's values are products of.

    A dim that an op made keeps its proportion to what the inputs have on that axis.
    """
    on_axis = {i: d for v in region.inputs[::-1] for i, d in enumerate(v.shape or ())}
    volumes: list[Volume] = []
    for value in (v for op in region.ops() if op.array is None for v in op.results):
        factor, names = 1.0, list[str]()
        for axis, dim in enumerate(value.shape or ()):
            given = dim if dim in usual else on_axis.get(axis)
            if isinstance(dim, int):
                factor *= dim
            elif isinstance(given, str):
                names.append(given)
                factor *= region.sizes.get(dim or "", usual[given]) / max(usual[given], 1)
        volumes.append((factor, names))
    return volumes


def _elements(volumes: Iterable[Volume], sizes: Mapping[str, int]) -> int:
    """Elements of the largest value, roughly."""
    return max(int(factor * prod(sizes[name] for name in names)) for factor, names in volumes)


def _random(
    value: Value,
    sizes: Mapping[str, int],
    mean: float,
    deviation: float,
    rng: np.random.Generator,
) -> Array:
    type_ = value.type
    if not isinstance(type_, TensorType) or type_.shape is None:
        raise CannotProveError(f"the type of {value!r} is not known")
    shape = []
    for dim in type_.shape:
        size = sizes.get(dim) if isinstance(dim, str) else dim
        if size is None:
            raise CannotProveError(f"a size of {value!r} is not known")
        shape.append(size)
    if type_.dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if type_.dtype.kind in "iu":
        return rng.integers(0, 3, shape).astype(type_.dtype)
    if type_.dtype == np.dtype(object):
        raise CannotProveError(f"{value!r} holds strings")
    return mean + deviation * rng.standard_normal(shape)
