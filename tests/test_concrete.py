"""Shapes at the graph's sizes: by hand, and against what onnxruntime's values really are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from convc.concrete import Unresolved, resolve_shapes, walk
from convc.feeds import noise
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.onnx_io import from_bytes, load, to_bytes
from convc.sizes import load_runnable
from tests.conftest import real_models, sample_models
from tests.onnx_helpers import run
from tests.real_models import cut_down, sizes_of
from tests.tiny import FLOAT, INT64, graph_of, kernel, model, node

F32 = np.dtype(np.float32)
NO_MODELS = "no folder of real models (set CONVC_SHARED)"


def ints(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def forget(graph: Graph) -> Graph:
    """Only the inputs and the constants keep their shapes."""
    for op in graph.ops():
        if not op.is_boundary and op.array is None:
            for value in op.results:
                value.type = None
    return graph


def shapes(graph: Graph) -> dict[str, tuple[int, ...] | None]:
    return {value.name: graph.concrete_shape(value) for op in graph.ops() for value in op.results}


def measured(graph: Graph) -> dict[Value, tuple[int, ...] | None]:
    """The shapes onnxruntime gives every value that an op makes; None for what is no tensor."""
    clone = graph.clone()
    pairs = [
        (value, copy)
        for op, twin in zip(graph.ops(), clone.ops(), strict=True)
        for value, copy in zip(op.results, twin.results, strict=True)
        if op.array is None and not op.is_boundary and (value.name or graph.uses(value))
    ]
    clone.set_outputs(
        [copy for _, copy in pairs],
        [f"value_{i}" for i in range(len(pairs))],
        [None if copy.dtype is None else TensorType(copy.dtype, None) for _, copy in pairs],
    )
    results = run(to_bytes(clone), noise(graph))
    return {
        value: tuple(result.shape) if isinstance(result, np.ndarray) else None
        for (value, _), result in zip(pairs, results, strict=True)
    }


def assert_as_measured(graph: Graph) -> None:
    believed = resolve_shapes(graph)
    found = walk(graph, trust=False)
    unknown = {entry.value for entry in believed}
    for value, shape in measured(graph).items():
        if value not in unknown:
            assert graph.concrete_shape(value) == shape, value
        if found[value].shape is not None:
            assert found[value].shape == shape, value
            assert found[value].dtype == value.dtype


RESHAPED = [
    node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
    node("Shape", "a", "s"),
    node("Gather", "s zero", "n"),
    node("Unsqueeze", "n axis", "n1"),
    node("Concat", "n1 rest", "target", axis=0),
    node("Reshape", "a target", "b"),
    node("Relu", "b", "y"),
]
RESHAPED_WEIGHTS = {
    "w": kernel(0, 6, 4, 3, 3),
    "zero": np.array(0, np.int64),
    "axis": ints(0),
    "rest": ints(-1),
}


def test_shape_computed_by_the_network() -> None:
    graph = forget(graph_of(model(RESHAPED, RESHAPED_WEIGHTS)))
    assert resolve_shapes(graph) == []
    assert shapes(graph)["y"] == (1, 720)
    assert graph.outputs[0].type == TensorType(F32, (1, 720))


def test_what_varies_stays_open() -> None:
    data = model(RESHAPED, RESHAPED_WEIGHTS, inputs={"x": (FLOAT, ("n", 4, "h", 10))})
    graph = forget(from_bytes(data, {"n": 2, "h": 5}))
    assert resolve_shapes(graph) == []
    assert shapes(graph)["a"] == (2, 6, 5, 10)
    assert shapes(graph)["y"] == (2, 300)
    by_name = {v.name: v for op in graph.ops() for v in op.results}
    assert by_name["a"].shape == ("n", 6, "h", 10)
    assert all(isinstance(dim, str) for dim in by_name["b"].shape or (1,))
    assert by_name["y"].shape == by_name["b"].shape


def test_fixed_and_named_dims_stay() -> None:
    data = model(RESHAPED, RESHAPED_WEIGHTS, inputs={"x": (FLOAT, ("n", 4, "h", 10))})
    graph = forget(from_bytes(data, {"n": 2, "h": 5}))
    by_name = {v.name: v for op in graph.ops() for v in op.results}
    by_name["a"].type = TensorType(F32, ("n", 6, None, None))
    by_name["b"].type = TensorType(F32, ("n", "features"))
    by_name["y"].type = TensorType(F32, (None, "features"))
    assert resolve_shapes(graph) == []
    assert by_name["a"].shape == ("n", 6, "h", 10)
    assert by_name["b"].shape == ("n", "features")
    assert by_name["y"].shape == ("n", "features")
    assert graph.sizes["features"] == 300


def test_one_name_for_two_sizes_is_no_promise() -> None:
    nodes = [
        node("MaxPool", "x", "a", kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", "a", "y"),
    ]
    graph = forget(
        from_bytes(model(nodes, inputs={"x": (FLOAT, (1, 4, "h", "w"))}), {"h": 8, "w": 6})
    )
    graph.outputs[0].type = TensorType(F32, (1, 4, "size", "size"))
    assert resolve_shapes(graph) == []
    assert graph.concrete_shape(graph.outputs[0]) == (1, 4, 4, 3)


def test_known_graph_is_left_alone() -> None:
    graph = graph_of(model([node("Relu", "x", "y")]))
    before = (graph.version, dict(graph.sizes))
    assert resolve_shapes(graph) == []
    assert (graph.version, dict(graph.sizes)) == before


def test_sizes_are_rounded_in_float32() -> None:
    """The float32 nearest to 0.7 lies below it: ten times that is 7 in float32, less in float64."""
    nodes = [
        node("Shape", "x", "s"),
        node("Cast", "s", "f", to=FLOAT),
        node("Mul", "f part", "g"),
        node("Floor", "g", "h"),
        node("Cast", "h", "i", to=INT64),
        node("Expand", "one i", "y"),
    ]
    weights = {"part": np.float32([1, 1, 1, 0.7]), "one": np.ones((1,), np.float32)}
    graph = forget(graph_of(model(nodes, weights)))
    assert resolve_shapes(graph) == []
    real = measured(graph)[graph.outputs[0]]
    assert shapes(graph)["y"] == real == (1, 4, 12, 7)


def reasons(found: list[Unresolved]) -> dict[str, str]:
    return {entry.value.name: entry.reason for entry in found}


def test_missing_sizes_of_inputs_are_named() -> None:
    for dims, reason in (
        ((1, 4, "height", 10), 'dim "height" of input "x" is not known: --dim height=SIZE'),
        ((1, 4, None, 10), 'axis 2 of input "x" is not known: --dim x.2=SIZE'),
    ):
        graph = Graph()
        x = graph.add_input("x", TensorType(F32, dims))
        relu = graph.add("Relu", [x], names=["a"])
        again = graph.add("Neg", [relu.result], names=["b"])
        graph.set_outputs([again.result], ["b"])
        found = reasons(resolve_shapes(graph))
        assert list(found) == ["x", "a", "b"]
        assert {f"the size of {reason}"} == set(found.values())


def test_an_input_without_rank() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, None))
    graph.set_outputs([graph.add("Relu", [x], names=["y"]).result], ["y"])
    found = reasons(resolve_shapes(graph))
    assert found == dict.fromkeys(("x", "y"), 'the shape of input "x" is not known')


def test_sizes_that_depend_on_the_data() -> None:
    nodes = [
        node("NonZero", "x", "places"),
        node("Cast", "places", "y", to=FLOAT),
    ]
    found = reasons(resolve_shapes(graph_of(model(nodes))))
    assert found == dict.fromkeys(("places", "y"), "NonZero: the size depends on the data")


def test_first_cause_is_named() -> None:
    """What follows a Reshape by data is unknown because of the data, not of itself."""
    nodes = [node("Reshape", "x target", "a"), node("Relu", "a", "b"), node("Neg", "b", "y")]
    inputs: Mapping[str, tuple[int, tuple[int, ...]]] = {
        "x": (FLOAT, (1, 4, 12, 10)),
        "target": (INT64, (2,)),
    }
    found = reasons(resolve_shapes(forget(graph_of(model(nodes, inputs=inputs)))))
    assert found == dict.fromkeys("aby", "Reshape: the size depends on the data")


def test_other_domains_and_subgraphs_say_so() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (2, 3)))
    mine = graph.add("Twist", [x], domain="ours", names=["a"])
    loop = graph.add("Loop", [x], names=["b"])
    graph.set_outputs([mine.result, loop.result], ["a", "b"])
    assert reasons(resolve_shapes(graph)) == {
        "a": "ours.Twist: an operator that convc does not know",
        "b": "Loop: its subgraphs are not looked into",
    }


def test_operands_that_do_not_fit() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (1, 4, 8, 8)))
    w = graph.add_constant(kernel(0, 6, 3, 3, 3))
    z = graph.add_constant(kernel(0, 1, 4, 7, 8))
    large = graph.add_constant(kernel(0, 2, 4, 9, 9))
    conv = graph.add("Conv", [x, w], names=["conv"])
    add = graph.add("Add", [x, z], names=["add"])
    join = graph.add("Concat", [x, z], {"axis": 1}, names=["join"])
    wide = graph.add("Conv", [x, large], names=["wide"])
    values = [conv.result, add.result, join.result, wide.result]
    graph.set_outputs(values, [v.name for v in values])
    assert reasons(resolve_shapes(graph)) == {
        "conv": "Conv: 4 channels come in, the kernel takes 3",
        "add": "Add: the shapes 1×4×8×8 and 1×4×7×8 do not broadcast",
        "join": "Concat: the shapes 1×4×8×8 and 1×4×7×8 do not join on axis 1",
        "wide": "Conv: a kernel over 9 samples does not fit into 8+0+0",
    }


def test_nothing_large_is_computed() -> None:
    """A Tile of known values would take 40 GB."""
    graph = Graph()
    one = graph.add_constant(np.ones((1, 1), np.float32))
    counts = graph.add_constant(ints(100_000, 100_000))
    tile = graph.add("Tile", [one, counts], names=["y"])
    graph.set_outputs([tile.result], ["y"])
    assert resolve_shapes(graph) == []
    assert graph.concrete_shape(tile.result) == (100_000, 100_000)


def test_random_values_are_no_known_values() -> None:
    graph = Graph()
    drawn = graph.add("RandomUniform", [], {"shape": (2,), "high": 9.0}, names=["a"])
    sizes = graph.add("Cast", [drawn.result], {"to": INT64}, names=["b"])
    filled = graph.add("ConstantOfShape", [sizes.result], names=["y"])
    graph.set_outputs([filled.result], ["y"])
    found = reasons(resolve_shapes(graph))
    assert list(found) == ["y"]


def test_ten_thousand_ops() -> None:
    graph = Graph()
    value = graph.add_input("x", TensorType(F32, (1, 8, 32, 32)))
    weights = graph.add_constant(kernel(0, 8, 8, 3, 3))
    for _ in range(5_000):
        conv = graph.add("Conv", [value, weights], {"pads": (1, 1, 1, 1)})
        value = graph.add("Relu", [conv.result]).result
    graph.set_outputs([value], ["y"])
    start = time.perf_counter()
    assert resolve_shapes(graph) == []
    # 0.1 s on the machine this was written on.
    assert time.perf_counter() - start < 5
    assert graph.concrete_shape(value) == (1, 8, 32, 32)


@pytest.mark.parametrize("path", sample_models(), ids=lambda path: path.stem)
def test_sample_models(path: Path) -> None:
    graph = load(path)
    assert_as_measured(graph)
    assert_as_measured(forget(load(path)))


@pytest.mark.skipif(not real_models(), reason=NO_MODELS)
@pytest.mark.parametrize("path", real_models(), ids=lambda path: path.stem)
def test_real_models(path: Path, tmp_path: Path) -> None:
    path = cut_down(path, tmp_path, size=24)
    graph = load_runnable(path, sizes_of(path))
    assert_as_measured(graph)
    unknown = {entry.reason for entry in resolve_shapes(graph)}
    assert unknown <= {"If: its subgraphs are not looked into"}
