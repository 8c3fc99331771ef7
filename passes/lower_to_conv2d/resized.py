"""Resize and Upsample by whole factors, as phases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from convc.algebra import DoesNotCompose
from convc.algebra.resample import IDENTITY, Phases, cubic_phases, linear_phases, nearest_phases
from convc.graph import Graph
from convc.ir import Attribute, Dim, Op, TensorType, Value, is_real
from convc.opset import constant_ints
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand

KINDS = ("Resize", "Upsample")

MOST_PHASES = 64
"""Phases beyond which nothing is proposed: 8×8. Larger factors spread a few samples over an image,
where most of the products would be repeated ones."""


@dataclass(frozen=True)
class Resized:
    """A Resize or Upsample by whole factors.

    Attributes:
        op: the op.
        data: what it resizes.
        mode: nearest, linear or cubic.
        phases: of each spatial axis.
    """

    op: Op
    data: Value
    mode: str
    phases: tuple[Phases, ...]

    @property
    def factors(self) -> tuple[int, ...]:
        """The factor of each spatial axis."""
        return tuple(axis.factor for axis in self.phases)

    @property
    def label(self) -> str:
        """The resize for people: nearest 2×2."""
        return f"{self.mode} {times(self.factors)}"


def read_resize(graph: Graph, op: Op) -> Resized:
    """Reads a Resize or Upsample; declines where its axes are no phases."""
    if op.domain or op.kind not in KINDS:
        raise NoMatch
    opset = graph.header.opset
    if opset < 7:
        raise NoMatch("Upsample has scales since opset 7")
    data = operand(op)
    if not is_real(data.dtype):
        raise NoMatch("the resize is not one of floating point")
    factors = _factors(graph, op, data)
    if factors[:2] != (1, 1):
        raise NoMatch("the resize is not one of the spatial axes")
    if max(factors) == 1:
        raise NoMatch
    if prod(factors) > MOST_PHASES:
        raise NoMatch(f"the resize has more than {MOST_PHASES} phases")
    mode = _text(op, "mode", "nearest")
    coordinates, rounding = "asymmetric", "floor"
    if opset >= 11:
        coordinates = _text(op, "coordinate_transformation_mode", "half_pixel")
        rounding = _text(op, "nearest_mode", "round_prefer_floor")
    if mode != "nearest" and op.attributes.get("exclude_outside"):
        raise NoMatch("the resize excludes what is outside")
    try:
        phases = [
            IDENTITY if s == 1 else _phases(op, mode, s, coordinates, rounding) for s in factors[2:]
        ]
    except DoesNotCompose as decline:
        raise NoMatch(str(decline)) from decline
    return Resized(op, data, mode, tuple(phases))


def _phases(op: Op, mode: str, factor: int, coordinates: str, rounding: str) -> Phases:
    match mode:
        case "nearest":
            return nearest_phases(factor, coordinates, rounding)
        case "linear":
            return linear_phases(factor, coordinates)
        case "cubic":
            a = op.attributes.get("cubic_coeff_a", -0.75)
            assert isinstance(a, int | float)
            return cubic_phases(factor, coordinates, a)
    raise NoMatch(f"the resize has the unknown mode {mode}")


def _text(op: Op, name: str, default: str) -> str:
    return str(op.attributes.get(name, default))


def _factors(graph: Graph, op: Op, data: Value) -> tuple[int, ...]:
    """The factor of every axis; declines where one is not whole."""
    scales = _scales(graph, op, data)
    if any(not float(scale).is_integer() or scale < 1 for scale in scales):
        raise NoMatch("the resize is by no whole factor")
    factors = [int(scale) for scale in scales]
    axes = op.attributes.get("axes")
    resized = axes if isinstance(axes, tuple) else data.shape
    if resized is not None and len(factors) != len(resized):
        raise NoMatch("the scales are not one for each axis")
    if not isinstance(axes, tuple):
        return tuple(factors)
    if data.shape is None:
        raise NoMatch("the rank is not known")
    rank = len(data.shape)
    whole = {axis % rank: factor for axis, factor in zip(axes, factors, strict=False)}
    return tuple(whole.get(axis, 1) for axis in range(rank))


def _scales(graph: Graph, op: Op, data: Value) -> list[float]:
    """The scales of the axes that are resized, as the op computes them."""
    if op.kind == "Upsample" and graph.header.opset < 9:
        given = op.attributes.get("scales")
        return [float(scale) for scale in given] if isinstance(given, tuple) else []
    scales = op.operand(1 if graph.header.opset < 11 else 2)
    if scales is not None and scales.array is None:
        raise NoMatch("the scales are not constant")
    if scales is not None and scales.array is not None and scales.array.size:
        if scales.array.ndim != 1:
            raise NoMatch("the scales are no row of numbers")
        return [float(scale) for scale in scales.array]
    return _scales_of_sizes(op, data)


def _scales_of_sizes(op: Op, data: Value) -> list[float]:
    chosen = op.attributes.get("axes")
    before, after = data.shape, op.result.shape
    if before is None:
        raise NoMatch("the size is not known")
    axes = chosen if isinstance(chosen, tuple) else range(len(before))
    wanted = constant_ints(op, 3, "sizes")
    policy = _text(op, "keep_aspect_ratio_policy", "stretch")
    if wanted is None and after is not None and policy == "stretch":
        dims = [after[axis] for axis in axes]
    else:
        dims = list(wanted or ())
    if len(dims) != len(axes):
        raise NoMatch("the sizes are not constant")
    ratios = [_ratio(before[axis], size) for axis, size in zip(axes, dims, strict=True)]
    if policy == "stretch":
        return ratios
    return [min(ratios) if policy == "not_larger" else max(ratios)] * len(ratios)


def _ratio(before: Dim, after: Dim) -> float:
    if before is not None and before == after:
        return 1.0
    if not isinstance(before, int) or not isinstance(after, int) or before < 1:
        raise NoMatch("the size is not known")
    return after / before


# -- what rewrites of them share ---------------------------------------------------------------


def edge_padded(build: Replacement, data: Value, phases: Sequence[Phases]) -> Value:
    """``data`` (N, C, *size) with copies of its edges, as many as the phases of each axis read."""
    begin, end = [axis.before for axis in phases], [axis.after for axis in phases]
    if not any(begin + end):
        return data
    pads = [0, 0, *begin, 0, 0, *end]
    if build.opset < 11:
        attributes: dict[str, Attribute] = {"mode": "edge", "pads": tuple(pads)}
        return build.op("Pad", (data,), attributes)
    return build.op("Pad", (data, build.ints(pads)), {"mode": "edge"})


def replaced(build: Replacement, old: Op, result: Value, note: str) -> Rewrite:
    """The rewrite of ``old`` to ``result``, which takes over its name and the names of its dims."""
    result.op.name = old.name
    before, after = old.result.shape, result.shape
    if before is not None and result.dtype is not None:
        known = before if after is None else _merged(before, after)
        result.type = TensorType(result.dtype, known)
    return build.rewrite({old.result: result}, note=note)


def _merged(dims: Sequence[Dim], others: Sequence[Dim]) -> tuple[Dim, ...]:
    pairs = zip(dims, others, strict=True)
    return tuple(other if dim is None else dim for dim, other in pairs)


def times(numbers: Iterable[int]) -> str:
    """Numbers for people: 3×3."""
    return "×".join(str(number) for number in numbers)
