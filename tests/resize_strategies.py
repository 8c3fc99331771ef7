"""Resizes by whole factors in every form of every opset, alone and before a conv."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, Dim, TensorType, Value
from convc.onnx_io import to_bytes
from convc.pipeline import Context, Pass
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import Rule, Stats
from passes.lower_to_conv2d.resize import FORMS, Form, rules
from tests.algebra.strategies import conv_geometries, kernel_for
from tests.helpers import compare, random_feeds
from tests.strategies import copied, finished, layer, new_graph, seeds

OPSETS = (7, 9, 10, 11, 13, 17, 21)
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "asymmetric",
    "tf_half_pixel_for_nn",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class LowerResize(Pass):
    """The rules of this part of lower-to-conv2d alone."""

    name: ClassVar[str] = "lower-resize"
    forms: tuple[Form, ...] = FORMS

    def rules(self) -> Sequence[Rule]:
        return rules(self.forms)


@dataclass(frozen=True)
class Case:
    """A Resize: how it is said, and what it does."""

    opset: int = 17
    mode: str = "nearest"
    factors: tuple[int, ...] = (2, 2)
    coordinates: str = "asymmetric"
    rounding: str = "floor"
    a: float = -0.75
    said: str = "scales"
    """By ``scales`` or ``sizes``, for all axes or, since opset 18, for ``axes``."""
    antialias: bool = False

    @property
    def runs(self) -> bool:
        """Whether onnxruntime has it."""
        known = self.opset >= 19 or self.coordinates != "half_pixel_symmetric"
        return known and (self.mode != "cubic" or len(self.factors) == 2)


@st.composite
def cases(
    draw: st.DrawFn, modes: Sequence[str], ndim: int, *, plain: bool = False, by_sizes: bool = True
) -> Case:
    """A Resize; ``plain`` ones repeat samples and nothing else."""
    opset = draw(st.sampled_from(OPSETS))
    mode = draw(st.sampled_from(modes))
    if mode == "cubic":
        opset = max(opset, 11)
    factors = tuple(draw(st.sampled_from([1, 2, 2, 3, 4])) for _ in range(ndim))
    if max(factors) == 1:
        factors = (2,) * ndim
    if draw(st.booleans()):
        factors = factors[:1] * ndim if factors[0] > 1 else (2,) * ndim
    case = Case(opset, mode, factors)
    if opset < 11:
        return case
    known = COORDINATES if opset >= 19 else COORDINATES[:1] + COORDINATES[2:]
    how = ["scales", *(["sizes"] if by_sizes else [])]
    if opset >= 18:
        how += [f"axes and {name}" for name in how]
    case = replace(
        case,
        coordinates=draw(st.sampled_from(known)),
        rounding=draw(st.sampled_from(ROUNDINGS)),
        a=draw(st.sampled_from([-0.75, -0.5])),
        said=draw(st.sampled_from(how)),
        antialias=opset >= 18 and mode != "nearest" and draw(st.booleans()),
    )
    if not plain:
        return case
    if case.coordinates in {"asymmetric", "tf_half_pixel_for_nn"}:
        return replace(case, rounding="floor")
    return replace(case, rounding=draw(st.sampled_from(ROUNDINGS[:2])))


def resize(build: Builder, data: Value, case: Case, size: Sequence[int] | None = None) -> Value:
    """Adds the Resize or Upsample of ``case``; ``size`` is what ``data`` has, where it is open."""
    assert data.shape is not None
    assert data.dtype is not None
    scales = np.array([1, 1, *case.factors], np.float32)
    known = [int(d) if isinstance(d, int) else 0 for d in data.shape]
    if size is not None:
        known[2:] = size
    dims: list[Dim] = list(data.shape)
    for axis, factor in enumerate(case.factors, start=2):
        dim = dims[axis]
        if isinstance(dim, int):
            dims[axis] = dim * factor
        elif factor > 1:
            dims[axis] = build.graph.new_dim(known[axis] * factor)
    type_ = TensorType(data.dtype, tuple(dims))
    attributes: dict[str, Attribute] = {"mode": case.mode}
    if case.opset < 9:
        attributes["scales"] = tuple(float(scale) for scale in scales)
        return build.op("Upsample", (data,), attributes, type_=type_)
    if case.opset < 11:
        kind = "Upsample" if case.opset < 10 else "Resize"
        return build.op(kind, (data, build.constant(scales)), attributes, type_=type_)
    attributes["coordinate_transformation_mode"] = case.coordinates
    if case.mode == "nearest":
        attributes["nearest_mode"] = case.rounding
    if case.mode == "cubic":
        attributes["cubic_coeff_a"] = case.a
    if case.antialias:
        attributes["antialias"] = 1
    sizes = np.array(known) * scales.astype(np.int64)
    if case.said.startswith("axes"):
        rank = len(known)
        attributes["axes"] = (*range(2, rank - 1), -1)
        scales, sizes = scales[2:], sizes[2:]
    empty = build.constant(np.zeros(0, np.float32))
    if case.said.endswith("scales"):
        return build.op("Resize", (data, empty, build.constant(scales)), attributes, type_=type_)
    operands = [data, empty, empty if case.opset < 13 else None, build.ints(sizes.tolist())]
    return build.op("Resize", operands, attributes, type_=type_)


@dataclass(frozen=True)
class Drawn:
    """A graph with a Resize."""

    graph: Graph
    case: Case


@st.composite
def resizes(draw: st.DrawFn, modes: Sequence[str] = ("linear", "cubic")) -> Drawn:
    """A Resize alone, at a fixed or an open size."""
    ndim = draw(st.sampled_from([1, 2, 2, 2, 2, 3]))
    is_open = draw(st.sampled_from([False, False, True]))
    case = draw(cases(modes, ndim, by_sizes=not is_open))
    size = tuple(draw(st.integers(1, 6 if ndim < 3 else 3)) for _ in range(ndim))
    channels = draw(st.integers(1, 6))
    build, x = _input(draw, channels, size, case.opset, is_open=is_open)
    return Drawn(finished(build, resize(build, x, case, size)), case)


@st.composite
def resize_convs(draw: st.DrawFn, *, plain: bool = True) -> Drawn:
    """A nearest Resize, or where not ``plain`` any, before a Conv without padding there."""
    ndim = draw(st.sampled_from([1, 2, 2, 2, 2, 3]))
    is_open = draw(st.sampled_from([False, False, True]))
    modes = ("nearest",) if plain else ("nearest", "linear", "cubic")
    case = draw(cases(modes, ndim, plain=plain, by_sizes=not is_open))
    group = draw(st.sampled_from([1, 1, 1, 2, 3]))
    geometry = draw(conv_geometries(ndim, group, 0, draw(st.sampled_from([1, 1, 3]))))
    if draw(st.booleans()):
        geometry = replace(geometry, dilations=(1,) * ndim)
    if not plain:
        geometry = replace(geometry, pads_begin=(0,) * ndim, pads_end=(0,) * ndim)
    size = tuple(
        _smallest(geometry, axis, factor) + draw(st.integers(0, 6 if ndim < 3 else 2))
        for axis, factor in enumerate(case.factors)
    )
    rng = draw(seeds())
    inputs, outputs = group * draw(st.integers(1, 2)), group * draw(st.integers(1, 2))
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    build, x = _input(draw, inputs, size, case.opset, is_open=is_open)
    value = resize(build, x, case, size)
    value = copied(build, value, draw(st.sampled_from([(), (), ("Identity",), ("Dropout",)])))
    kernel = kernel_for(geometry, inputs, outputs, rng)
    return Drawn(finished(build, layer(build, value, geometry, kernel, bias, name="conv")), case)


def _input(
    draw: st.DrawFn, channels: int, size: Sequence[int], opset: int, *, is_open: bool
) -> tuple[Builder, Value]:
    batch = draw(st.integers(1, 2))
    if not is_open:
        return new_graph((batch, channels, *size), opset)
    names = [f"d{axis}" for axis in range(len(size))]
    sizes = {"n": batch, **dict(zip(names, size, strict=True))}
    return new_graph(("n", channels, *names), opset, sizes=sizes)


def _smallest(geometry: ConvGeometry, axis: int, factor: int) -> int:
    size = 1
    while geometry.axis_output(axis, factor * size) < 1:
        size += 1
    return size


def check_resize(form: Form, drawn: Drawn, rng: np.random.Generator, found: Counter[str]) -> Stats:
    """Applies one form; every rewrite is proved, and compared where onnxruntime has the resize.

    Of the latter the largest error against float64 is at most four times the original's own, above
    a floor (see `tests.helpers.compare`). Open sizes are tried twice. ``found`` counts.
    """
    after = drawn.graph.clone()
    stats = LowerResize((form,)).run(after, Context(prove=prove))
    after.verify()
    found.update(stats.declined)
    if not stats.applied:
        assert stats.declined or form != FORMS[0]
        return stats
    found["fired"] += stats.applied
    found["open"] += bool(drawn.graph.sizes)
    found[drawn.case.mode] += 1
    found["opset below 11"] += drawn.case.opset < 11
    assert not any(op.kind in ("Resize", "Upsample") for op in after.ops())
    assert LowerResize((form,)).run(after).applied == 0
    for more in (0, 3) if drawn.graph.sizes and drawn.case.runs else (0,):
        feeds = random_feeds(
            drawn.graph, rng, {name: size + more for name, size in drawn.graph.sizes.items()}
        )
        if drawn.case.runs:
            exact = evaluate(drawn.graph, feeds)
            compare(to_bytes(drawn.graph), to_bytes(after), exact, feeds)
            found["compared"] += 1
    return stats
