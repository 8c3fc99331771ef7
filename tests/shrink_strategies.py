"""Pairs of graphs for `convc.proof.shrink`: drawn, alike but for a part, and large enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import Array
from convc.proof import TOLERANCE, difference
from convc.proof.shrink import shrunk
from convc.reference import EvaluationError, evaluate
from tests.tiny import FLOAT, graph_of, kernel, model, node

PHOTO = (1, 4, 301, 432)
Layer = tuple[str, Mapping[str, Any], Mapping[str, Array]]
"""Kind, attributes, and the constant operands behind the first one."""


def chain(*layers: tuple[str, Mapping[str, Any], Mapping[str, Array]], shape: Any = PHOTO) -> Graph:
    """Ops one after the other: kind, attributes, constant operands behind the first."""
    nodes, weights, value = [], dict[str, Array](), "x"
    for i, (kind, attributes, constants) in enumerate(layers):
        names = {name: f"{name}{i}" for name in constants if name != "-"}
        operands = " ".join([value, *(names.get(name, "-") for name in constants)])
        value = "y" if i == len(layers) - 1 else f"v{i}"
        nodes.append(node(kind, operands, value, **attributes))
        weights |= {names[name]: array for name, array in constants.items() if name != "-"}
    return graph_of(model(nodes, weights, inputs={"x": (FLOAT, shape)}, opset=18))


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def both(graph: Graph, other: Graph, seed: int = 0) -> float:
    """How far two graphs lie apart on random values, at the sizes that they say."""
    rng = np.random.default_rng(seed)
    shapes = ([int(size or 0) for size in value.shape or ()] for value in graph.inputs)
    given = [rng.standard_normal(shape) for shape in shapes]
    old, new = (
        evaluate(part, {v.name: x for v, x in zip(part.inputs, given, strict=True)})[0]
        for part in (graph, other)
    )
    return difference(old, new)


def _pads(draw: Any, most: int) -> list[int]:
    return [draw(st.integers(0, most)) for _ in range(4)]


def _layer(draw: Any, kind: str) -> Layer:
    if kind == "Conv":
        size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        attributes = {
            "pads": _pads(draw, 2), "strides": [stride, draw(st.integers(1, 2))],
            "dilations": [draw(st.integers(1, 2)), 1],
        }  # fmt: skip
        return kind, attributes, {"w": kernel(draw(st.integers(0, 3)), 2, 2, size, 2)}
    if kind == "AveragePool":
        attributes = {
            "kernel_shape": [3, 2], "pads": [draw(st.integers(0, 1)) for _ in range(4)],
            "strides": [draw(st.integers(1, 3)), 1], "ceil_mode": draw(st.integers(0, 1)),
            "count_include_pad": draw(st.integers(0, 1)),
        }  # fmt: skip
        return kind, attributes, {}
    if kind == "ConvTranspose":
        stride = draw(st.integers(1, 3))
        attributes = {"strides": [stride, 1], "pads": [draw(st.integers(0, 1)) for _ in range(4)]}
        return kind, attributes, {"w": kernel(draw(st.integers(0, 3)), 2, 2, 3, 3)}
    if kind == "Pad":
        mode = draw(st.sampled_from(["constant", "edge", "reflect"]))
        begin_h, begin_w, end_h, end_w = _pads(draw, 4)
        return kind, {"mode": mode}, {"p": ints(0, 0, begin_h, begin_w, 0, 0, end_h, end_w)}
    if kind == "Slice":
        start, end, step = (
            draw(st.integers(0, 3)),
            draw(st.integers(-3, -1)),
            draw(st.integers(1, 2)),
        )
        return kind, {}, {"b": ints(start), "e": ints(end), "a": ints(2), "s": ints(step)}
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    coordinates = draw(st.sampled_from(["asymmetric", "half_pixel"]))
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    scales = np.array([1, 1, 2, draw(st.sampled_from([1, 2]))], np.float32)
    return "Resize", attributes, {"-": ints(), "s": scales}


KINDS = ("Conv", "AveragePool", "ConvTranspose", "Pad", "Slice", "Resize")


@st.composite
def two_chains(draw: Any) -> tuple[Graph, Graph]:
    """Two chains of the same kinds, some layers of which differ."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3))
    shape = (1, 2, draw(st.integers(150, 170)), draw(st.integers(90, 100)))
    first = [_layer(draw, kind) for kind in kinds]
    changed = draw(st.integers(0, len(kinds)))
    second = [_layer(draw, kinds[i]) if i == changed else layer for i, layer in enumerate(first)]
    return chain(*first, shape=shape), chain(*second, shape=shape)


@st.composite
def two_necks(draw: Any) -> tuple[Graph, Graph]:
    """Two encoder-decoders with a skip, some parts of which differ."""
    shape = (1, 4, 2 * draw(st.integers(100, 120)), 2 * draw(st.integers(60, 70)))
    two = draw(st.booleans())
    first = {name: draw(values) for name, values in PARTS.items()}
    changed = draw(st.lists(st.sampled_from(sorted(PARTS)), max_size=2))
    second = {name: draw(PARTS[name]) if name in changed else first[name] for name in PARTS}
    return _neck(first, shape, two=two), _neck(second, shape, two=two)


PARTS: Mapping[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 1),
    "down": st.sampled_from(["MaxPool", "AveragePool", "Conv", "SpaceToDepth"]),
    "up": st.sampled_from(["Resize", "ConvTranspose", "DepthToSpace"]),
    "mode": st.sampled_from(["nearest", "linear", "cubic"]),
    "coordinates": st.sampled_from(["half_pixel", "asymmetric"]),
    "order": st.sampled_from(["DCR", "CRD"]),
    "skip": st.sampled_from([[1, 1, 1, 1], [2, 1, 0, 1], [0, 1, 2, 1], [1, 2, 1, 0]]),
    "between": st.sampled_from(["Relu", "Identity"]),
    "padding": st.sampled_from(["constant", "edge", "reflect"]),
    "pads": st.lists(st.integers(0, 3), min_size=4, max_size=4),
    "start": st.integers(0, 2),
    "end": st.sampled_from([-1, -2, 2**40]),
    "stride": st.integers(1, 3),
}


def _neck(part: Mapping[str, Any], shape: tuple[int, ...], *, two: bool) -> Graph:
    """y = conv(slice(pad(up(conv(down(x))) ++ conv(x)))); ``two``: down(x) is an input."""
    seed, nodes = part["seed"], []
    if not two:
        nodes += _down(part)
    nodes.append(node("Conv", "low w0", "m", pads=[1] * 4))
    nodes += _up(part)
    nodes += [
        node("Conv", "x w2", "skip", pads=part["skip"]),
        node("Concat", "up skip", "joined", axis=1),
        node(part["between"], "joined", "active"),
        node("Pad", "active p", "padded", mode=part["padding"]),
        node("Slice", "padded b e a", "cut"),
        node("Conv", "cut w3", "y", strides=[part["stride"], 1]),
    ]
    left, right = part["pads"][:2], part["pads"][2:]
    weights = {
        "w0": kernel(seed, 4, 4, 3, 3), "w1": kernel(seed + 1, 4, 4, 2, 2),
        "w2": kernel(seed + 2, 4, 4, 3, 3), "w3": kernel(seed + 3, 4, 8, 3, 3),
        "s": np.array([1, 1, 2, 2], np.float32), "p": ints(0, 0, *left, 0, 0, *right),
        "b": ints(part["start"]), "e": ints(part["end"]), "a": ints(2),
    }  # fmt: skip
    inputs = {"x": (FLOAT, shape)}
    if two:
        inputs["low"] = FLOAT, (1, 4, shape[2] // 2, shape[3] // 2)
    return graph_of(model(nodes, weights, inputs=inputs, opset=18))


def _down(part: Mapping[str, Any]) -> list[Any]:
    kind = part["down"]
    if kind == "Conv":
        return [node("Conv", "x w1", "low", strides=[2, 2])]
    if kind == "SpaceToDepth":
        blocks = node("SpaceToDepth", "x", "blocks", blocksize=2)
        return [blocks, node("Split", "blocks", "low l1 l2 l3", axis=1, num_outputs=4)]
    pads = [0, 0, 0, 0] if kind == "MaxPool" else [0, 0, 1, 1]
    size = [2, 2] if kind == "MaxPool" else [3, 3]
    return [node(kind, "x", "low", kernel_shape=size, strides=[2, 2], pads=pads)]


def _up(part: Mapping[str, Any]) -> list[Any]:
    if part["up"] == "ConvTranspose":
        return [node("ConvTranspose", "m w1", "up", strides=[2, 2])]
    if part["up"] == "DepthToSpace":
        four = node("Concat", "m m m m", "four", axis=1)
        return [four, node("DepthToSpace", "four", "up", blocksize=2, mode=part["order"])]
    coordinates = part["coordinates"]
    given = {"mode": part["mode"], "coordinate_transformation_mode": coordinates}
    return [node("Resize", "m - s", "up", **given)]


# -- what the two sizes say -----------------------------------------------------------------------


def says_the_same(graph: Graph, other: Graph) -> bool | None:
    """Whether the small size says of two graphs what the large one does; None: it cannot shrink."""
    found = shrunk(graph.extract(graph.inputs, (*graph.inputs, *graph.outputs)), other)
    if found is None:
        return None
    small = found[0].extract(found[0].inputs, found[0].outputs[len(graph.inputs) :])
    try:
        there = both(graph, other) <= TOLERANCE
    except EvaluationError:
        return None
    return (both(small, found[1]) <= TOLERANCE) == there
