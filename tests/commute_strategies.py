"""Pools, Resizes and Concats beside 1×1 convs, drawn by Hypothesis over all their attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from convc.algebra import geometry_of
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, Dim, Value
from convc.onnx_io import from_bytes, to_bytes
from convc.rewrite import Rule
from passes.commute_linear import CommuteLinear
from passes.commute_linear.concat import rules as concat_rules
from passes.commute_linear.pool import rules as pool_rules
from passes.commute_linear.resize import rules as resize_rules
from tests.affine_strategies import add_link, spread
from tests.strategies import copied, finished, layer, new_graph, seeds

OPSETS = (9, 11, 13, 17, 18, 19, 21)
LINKS = ("Mul", "Add", "Sub", "Div", "From", "Norm")


@dataclass(frozen=True)
class Alone(CommuteLinear):
    """The pass without the rules for layouts and strides, which would add reasons of their own."""

    def rules(self) -> Sequence[Rule]:
        return [*pool_rules(), *resize_rules(), *concat_rules()]


@dataclass(frozen=True)
class Case:
    """A graph to rewrite; its ops have the types that the importer finds.

    Attributes:
        graph: the graph.
        kind: of the op beside the conv.
        conv_first: the order of the two.
        between: what is between them.
    """

    graph: Graph
    kind: str
    conv_first: bool
    between: tuple[str, ...] = ()


def imported(graph: Graph) -> Graph:
    """The graph as it comes from a file: with the types of all values that can be told."""
    named = {dim for value in graph.inputs for dim in value.shape or ()}
    return from_bytes(to_bytes(graph), {d: n for d, n in graph.sizes.items() if d in named})


def pointwise(
    draw: st.DrawFn, build: Builder, data: Value, outputs: int, *, bias: bool | None = None
) -> Value:
    """A 1×1 conv without strides; half of them have a bias, some say auto_pad."""
    rng = draw(seeds())
    assert data.shape is not None
    inputs, rank = data.shape[1], len(data.shape) - 2
    assert isinstance(inputs, int)
    group = draw(st.sampled_from([g for g in (1, 1, 2) if inputs % g == 0 and outputs % g == 0]))
    kernel = rng.standard_normal((outputs, inputs // group, *(1,) * rank))
    with_bias = draw(st.booleans()) if bias is None else bias
    offset = rng.standard_normal(outputs) if with_bias else None
    name = f"conv{len(build.graph)}"
    value = layer(build, data, geometry_of(kernel, group=group), kernel, offset, name=name)
    if draw(st.sampled_from([False, False, True])):
        kept = {k: v for k, v in value.op.attributes.items() if k != "pads"}
        value.op.attributes = {**kept, "auto_pad": draw(st.sampled_from(["SAME_UPPER", "VALID"]))}
    return value


def between(draw: st.DrawFn, build: Builder, data: Value, links: Sequence[str]) -> Value:
    """``data`` through copies, scales and shifts per channel."""
    rng = draw(seeds())
    assert data.shape is not None
    count = data.shape[1]
    assert isinstance(count, int)
    for link in links:
        if link not in LINKS:
            data = copied(build, data, [link])
            continue
        size = count if link == "Norm" or draw(st.booleans()) else 1
        data = add_link(build, data, link, spread(rng, (size,)), 1 - len(data.shape))
    return data


def steps() -> st.SearchStrategy[list[str]]:
    """What may stand between a conv and what it changes places with; mostly nothing."""
    some = st.lists(st.sampled_from([*LINKS, "Identity", "Dropout"]), max_size=2)
    return st.one_of(st.just([]), some)


def opened(shape: Sequence[int], open_: bool) -> tuple[list[Dim], dict[str, int]]:
    """The shape with batch and spatial sizes named, where wanted, and what they are worth."""
    if not open_:
        return list(shape), {}
    names = [f"d{axis}" for axis in range(len(shape))]
    sizes = {name: n for i, (name, n) in enumerate(zip(names, shape, strict=True)) if i != 1}
    return [
        n if i == 1 else name for i, (name, n) in enumerate(zip(names, shape, strict=True))
    ], sizes


@st.composite
def counts(draw: st.DrawFn, conv_first: bool) -> tuple[int, int]:
    """Input and output channels of a conv; mostly the other order leaves fewer to the other op."""
    pair = [2 * draw(st.integers(1, 5)) for _ in range(2)]
    if draw(st.sampled_from([True, True, False])):
        pair.sort(reverse=not conv_first)
    return pair[0], pair[1]


@st.composite
def pool_cases(
    draw: st.DrawFn, conv_first: bool | None = None, *, open_: bool = False, counted: bool = False
) -> Case:
    """A conv and a pool in either order, in 1-D to 3-D, at all opsets.

    ``open_`` names the batch and the sizes; ``counted``: windows that count padding, and a bias.
    """
    opset = draw(st.sampled_from(OPSETS))
    first = draw(st.booleans()) if conv_first is None else conv_first
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    others = [] if counted else ["GlobalAveragePool", "ReduceMean", "ReduceMean"]
    kind = draw(st.sampled_from(["AveragePool"] * 3 + others))
    attributes = draw(windows(ndim, opset, counted)) if kind == "AveragePool" else {}
    size = [_fits(attributes, axis) + draw(st.integers(0, 7)) for axis in range(ndim)]
    inputs, outputs = draw(counts(first))
    dims, sizes = opened((draw(st.integers(1, 2)), inputs, *size), open_)
    build, x = new_graph(dims, opset, sizes=sizes)
    links = [] if counted else draw(steps())
    if first:
        value = pointwise(draw, build, x, outputs, bias=counted or None)
        value = between(draw, build, value, links)
        value = pool(draw, build, value, kind, attributes)
    else:
        value = between(draw, build, pool(draw, build, x, kind, attributes), links)
        value = pointwise(draw, build, value, outputs)
    return Case(imported(finished(build, value)), kind, first, tuple(links))


@st.composite
def windows(draw: st.DrawFn, ndim: int, opset: int, counted: bool = False) -> dict[str, Attribute]:
    """Attributes of an AveragePool that onnxruntime takes."""
    kernel = tuple(draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim)))
    largest = draw(st.sampled_from([1, 3]))
    strides = tuple(draw(st.lists(st.integers(1, largest), min_size=ndim, max_size=ndim)))
    attributes: dict[str, Attribute] = {
        "kernel_shape": kernel,
        "strides": strides,
        "count_include_pad": 1 if counted else draw(st.integers(0, 1)),
    }
    if opset >= 10:
        attributes["ceil_mode"] = draw(st.integers(0, 1))
    if opset >= 19 and draw(st.booleans()):
        attributes["dilations"] = tuple(
            draw(st.lists(st.integers(1, 3), min_size=ndim, max_size=ndim))
        )
    padding = draw(
        st.sampled_from(["none", "explicit", "explicit", "SAME_UPPER", "SAME_LOWER", "VALID"])
    )
    if padding == "explicit" or counted:
        padding = "explicit"
        attributes["pads"] = tuple(draw(st.integers(0, k - 1)) for k in (*kernel, *kernel))
    elif padding != "none":
        attributes["auto_pad"] = padding
    if padding.startswith("SAME"):
        # Negative pads, which a stride beyond the window asks for, onnxruntime refuses.
        attributes["strides"] = tuple(min(s, k) for s, k in zip(strides, kernel, strict=True))
    return attributes


def _fits(attributes: Mapping[str, Attribute], axis: int) -> int:
    """The smallest size that fills the window."""
    kernel, dilations = attributes.get("kernel_shape"), attributes.get("dilations")
    k = kernel[axis] if isinstance(kernel, tuple) else 1
    d = dilations[axis] if isinstance(dilations, tuple) else 1
    return int(d * (k - 1) + 1)


def pool(
    draw: st.DrawFn, build: Builder, data: Value, kind: str, attributes: Mapping[str, Attribute]
) -> Value:
    """The pool; a ReduceMean is over all spatial axes or some, in the opset's form."""
    name = f"pool{len(build.graph)}"
    if kind != "ReduceMean":
        return _shaped(build, build.op(kind, (data,), attributes, name=name))
    assert data.shape is not None
    rank = len(data.shape)
    chosen = draw(st.lists(st.integers(2, rank - 1), min_size=1, unique=True))
    axes = tuple(
        axis - rank if draw(st.booleans()) and build.opset >= 11 else axis for axis in chosen
    )
    if build.opset < 18:
        return _shaped(build, build.op(kind, (data,), {"axes": axes}, name=name))
    return _shaped(build, build.op(kind, (data, build.ints(axes)), name=name))


def _shaped(build: Builder, value: Value) -> Value:
    """With the type that the importer finds, where convc has no rule for it."""
    if value.type is None or value.shape is None:
        build.graph.set_outputs([value], ["y"])
        value.type = imported(build.graph).outputs[0].type
    return value


# -- Resize and Upsample --------------------------------------------------------------------------

MODES = ("nearest", "linear", "cubic")
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
)


@st.composite
def resize_cases(draw: st.DrawFn, conv_first: bool | None = None, *, open_: bool = False) -> Case:
    """A conv and a Resize or Upsample in either order, by scales or sizes, at all opsets."""
    opset = draw(st.sampled_from((7, *OPSETS)))
    first = draw(st.booleans()) if conv_first is None else conv_first
    size = draw(st.lists(st.integers(2, 7), min_size=2, max_size=2))
    inputs, outputs = draw(counts(first))
    dims, sizes = opened((draw(st.integers(1, 2)), inputs, *size), open_)
    build, x = new_graph(dims, opset, sizes=sizes)
    links = draw(steps())
    # The scales are multiples of 1/8: every product with a size is exact.
    smaller, larger = [0.5, 0.625, 1], [1, 1.5, 2, 2.375, 3]
    some = draw(st.sampled_from([smaller if first else larger] * 3 + [smaller + larger]))
    scales = tuple(draw(st.sampled_from(some)) for _ in size)
    if first:
        value = between(draw, build, pointwise(draw, build, x, outputs), links)
        value = resize(draw, build, value, scales)
    else:
        value = between(draw, build, resize(draw, build, x, scales), links)
        value = pointwise(draw, build, value, outputs)
    kind = "Upsample" if opset < 10 else "Resize"
    return Case(imported(finished(build, value)), kind, first, tuple(links))


def resize(draw: st.DrawFn, build: Builder, data: Value, scales: Sequence[float]) -> Value:
    """Resizes the two spatial axes; in the form of the opset, with attributes that it has."""
    name, full = f"resize{len(build.graph)}", (1.0, 1.0, *scales)
    opset = build.opset
    # Modes linear and cubic of onnxruntime want the scales of an Upsample to be 1 or more.
    mode = draw(st.sampled_from(MODES if opset >= 11 else MODES[:2]))
    if opset < 10:
        grown = tuple(max(1.0, s) for s in full)
        if opset < 9:
            return _shaped(
                build, build.op("Upsample", (data,), {"mode": mode, "scales": grown}, name=name)
            )
        scale = build.constant(np.array(grown, np.float32))
        return _shaped(build, build.op("Upsample", (data, scale), {"mode": mode}, name=name))
    coordinates = COORDINATES if opset >= 19 else [c for c in COORDINATES if "symmetric" not in c]
    attributes: dict[str, Attribute] = {
        "mode": mode,
        "coordinate_transformation_mode": draw(st.sampled_from(coordinates)),
        "nearest_mode": draw(
            st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        ),
    }
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5]))
        attributes["exclude_outside"] = draw(st.integers(0, 1))
    axes: tuple[int, ...] = (0, 1, 2, 3)
    if opset >= 18:
        attributes["antialias"] = int(mode != "nearest" and draw(st.booleans()))
        axes = draw(st.sampled_from([axes, (2, 3), (-1, 2)]))
        attributes["axes"] = axes
    picked = [full[axis] for axis in axes]
    assert data.shape is not None
    known = [d for d in data.shape if isinstance(d, int)]
    if len(known) == 4 and draw(st.booleans()):
        whole = [int(n * s) for n, s in zip(known, full, strict=True)]
        operands = [data, None, None, build.ints([whole[axis] for axis in axes])]
    else:
        operands = [data, None, build.constant(np.array(picked, np.float32))]
    if opset < 13:
        operands[1] = build.constant(np.zeros(0, np.float32))
    if opset < 13 and len(operands) == 4:
        operands[2] = build.constant(np.zeros(0, np.float32))
    return _shaped(build, build.op("Resize", operands, attributes, name=name))


# -- a conv on a Concat ---------------------------------------------------------------------------

PARTS = ("plain", "enlarged", "broadcast", "constant", "uneven")


@dataclass(frozen=True)
class Sum:
    """A conv on a Concat, and what kinds of parts that has."""

    graph: Graph
    parts: tuple[str, ...]


@st.composite
def concat_cases(draw: st.DrawFn) -> Sum:
    """A conv on a Concat of two to four parts; 1×1 without strides where a part is enlarged."""
    opset = draw(st.sampled_from(OPSETS))
    kinds = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3))
    parts = draw(st.permutations(["plain", *kinds]))
    size = 2 * draw(st.integers(2, 4)), 2 * draw(st.integers(2, 4))
    batch = draw(st.integers(1, 2))
    build, x = new_graph((batch, 8, *size), opset)
    rng = draw(seeds())
    values = [_part(draw, build, x, kind, rng) for kind in parts]
    value = build.concat(values, draw(st.sampled_from([1, -3] if opset >= 11 else [1])), "concat")
    value = copied(build, value, draw(st.sampled_from([[], [], ["Identity"]])))
    outputs, count = draw(st.integers(1, 6)), value.shape[1] if value.shape else 0
    assert isinstance(count, int)
    point = draw(st.sampled_from([True, True, False]))
    padded = not point and draw(st.booleans())
    kernel = (1, 1) if point else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    w = rng.standard_normal((outputs, count, *kernel))
    geometry = geometry_of(
        w, pads=1 if padded else 0, strides=1 if point else draw(st.integers(1, 2))
    )
    bias = rng.standard_normal(outputs) if draw(st.booleans()) else None
    value = layer(build, value, geometry, w, bias, name="conv")
    return Sum(imported(finished(build, value)), tuple(parts))


def _part(draw: st.DrawFn, build: Builder, x: Value, kind: str, rng: np.random.Generator) -> Value:
    """One operand of the Concat."""
    assert x.shape is not None
    batch, _, *size = [d for d in x.shape if isinstance(d, int)]
    name = f"{kind}{len(build.graph)}"
    if kind == "plain":
        return build.op("Relu", (x,), name=name)
    if kind == "uneven":
        return build.slice(x, (1,), (0,), (draw(st.sampled_from([1, 3, 6])),), name=name)
    if kind == "constant":
        shape = (batch, draw(st.integers(1, 4)), *size)
        array = rng.standard_normal(shape if draw(st.booleans()) else (1, shape[1], 1, 1))
        return build.constant(np.broadcast_to(array, shape).astype(np.float32), name=name)
    if kind == "broadcast":
        point = build.op("GlobalAveragePool", (x,), name=f"{name}_mean")
        return _repeat(draw, build, point, (batch, 8, *size), name)
    attributes: dict[str, Attribute] = {"kernel_shape": (2, 2), "strides": (2, 2)}
    small = build.op("MaxPool", (x,), attributes, name=f"{name}_small")
    return _grown(draw, build, small, (2.0, 2.0), name)


def _repeat(
    draw: st.DrawFn, build: Builder, point: Value, shape: Sequence[int], name: str
) -> Value:
    way = draw(st.sampled_from(["Expand", "Tile", "Resize"]))
    if way == "Expand":
        return _shaped(build, build.op("Expand", (point, build.ints(shape)), name=name))
    if way == "Tile":
        repeats = build.ints((1, 1, *shape[2:]))
        return _shaped(build, build.op("Tile", (point, repeats), name=name))
    return _grown(draw, build, point, [float(n) for n in shape[2:]], name)


def _grown(
    draw: st.DrawFn, build: Builder, data: Value, scales: Sequence[float], name: str
) -> Value:
    mode = draw(st.sampled_from(["nearest", "linear"]))
    factors = build.constant(np.array([1, 1, *scales], np.float32))
    if build.opset < 10:
        return _shaped(build, build.op("Upsample", (data, factors), {"mode": mode}, name=name))
    none = build.constant(np.zeros(0, np.float32)) if build.opset < 13 else None
    return _shaped(build, build.op("Resize", (data, none, factors), {"mode": mode}, name=name))
