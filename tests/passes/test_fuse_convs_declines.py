"""Each condition of fuse-convs, broken alone: nothing is fused and the reason says why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.fuse_convs import FuseConvs
from tests.strategies import finished, new_graph, random_conv

F32 = np.dtype(np.float32)


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


def start(*shape: int | str, opset: int = 17) -> tuple[Builder, Value]:
    return new_graph(shape or (1, 2, 9, 9), opset, sizes={"h": 9, "w": 9, "n": 2})


def transposed(build: Builder, x: Value, stride: int = 2) -> Value:
    operands = (x, build.constant(array(2, 2, 3, 3)))
    return build.op("ConvTranspose", operands, {"strides": (stride, stride)})


def other_user() -> Graph:
    build, x = start()
    y = random_conv(build, x, 3, (3, 3))
    return finished(build, random_conv(build, y, 2, (1, 1)), build.op("Relu", (y,)))


def other_user_of_a_copy() -> Graph:
    build, x = start()
    y = random_conv(build, x, 3, (3, 3))
    z = random_conv(build, build.op("Identity", (y,)), 2, (1, 1))
    return finished(build, z, build.op("Relu", (y,)))


def graph_output() -> Graph:
    build, x = start()
    y = random_conv(build, x, 3, (3, 3))
    return finished(build, random_conv(build, y, 2, (1, 1)), y)


def weights_are_fed(first: bool) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start()
        w = build.graph.add_input("w", TensorType(F32, (2, 2, 1, 1)))
        fixed = build.constant(array(2, 2, 1, 1))
        y = build.op("Conv", (x, w if first else fixed))
        return finished(build, build.op("Conv", (y, fixed if first else w)))

    return make


def bias_is_fed() -> Graph:
    build, x = start()
    b = build.graph.add_input("b", TensorType(F32, (2,)))
    y = build.op("Conv", (x, build.constant(array(2, 2, 1, 1)), b))
    return finished(build, random_conv(build, y, 2, (1, 1)))


def integers() -> Graph:
    build, x = new_graph((2, 3), dtype=np.int32)
    w = build.constant(np.ones((3, 3), np.int32))
    return finished(build, build.op("MatMul", (build.op("MatMul", (x, w)), w)))


def size_dependent_pads() -> Graph:
    build, x = start("n", 2, "h", "w")
    w = build.constant(array(2, 2, 3, 3))
    attributes = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}
    type_ = TensorType(F32, ("n", 2, None, None))
    y = build.op("Conv", (x, w), attributes, type_=type_)
    return finished(build, random_conv(build, y, 2, (1, 1)))


def ring_at_open_size() -> Graph:
    build, x = start("n", 2, "h", "w")
    y = random_conv(build, x, 3, (3, 3), pads=1, bias=False)
    return finished(build, random_conv(build, y, 2, (3, 3), pads=1))


def ring_at_some_residues() -> Graph:
    # Fine for every odd size: r = (H + 2·2 − 3) mod 2 = 0; an even one has r = 1.
    build, x = start("n", 2, "h", "w")
    y = random_conv(build, x, 3, (3, 3), pads=1, strides=2, bias=False)
    return finished(build, random_conv(build, y, 2, (3, 3), pads=1))


def bias_at_open_size() -> Graph:
    build, x = start("n", 2, "h", "w")
    y = random_conv(build, x, 3, (1, 1))
    return finished(build, random_conv(build, y, 2, (3, 3), pads=1))


def no_interior() -> Graph:
    build, x = start(1, 2, 2, 9)
    y = random_conv(build, x, 3, (3, 3), pads=1)
    return finished(build, random_conv(build, y, 2, (3, 3), pads=1))


def map_meets_ring() -> Graph:
    build, x = start()
    y = random_conv(build, x, 3, (3, 3), pads=1)
    y = build.add(y, build.constant(array(1, 3, 9, 9)))
    return finished(build, random_conv(build, y, 2, (3, 3), pads=1))


def added_by_sample() -> Graph:
    build, x = start(2, 2, 9, 9)
    y = build.add(random_conv(build, x, 3, (1, 1)), build.constant(array(2, 1, 1, 1)))
    return finished(build, random_conv(build, y, 2, (1, 1)))


def added_grows_the_value() -> Graph:
    build, x = start(1, 2, 1, 1)
    y = build.add(random_conv(build, x, 3, (1, 1)), build.constant(array(1, 3, 5, 5)))
    return finished(build, random_conv(build, y, 2, (1, 1)))


def too_large() -> Graph:
    build, x = start(1, 16400, 1, 1)
    return finished(build, random_conv(build, random_conv(build, x, 1, (1, 1)), 16400, (1, 1)))


def overflow() -> Graph:
    build, x = new_graph((1, 1, 4, 4), dtype=np.float16)
    w = build.constant(np.full((1, 1, 1, 1), 300, np.float16))
    return finished(build, build.op("Conv", (build.op("Conv", (x, w)), w)))


def no_output() -> Graph:
    build, x = start(1, 2, 4, 4)
    y = random_conv(build, x, 2, (3, 3))
    return finished(build, random_conv(build, y, 2, (3, 3)))


def channels_do_not_fit() -> Graph:
    build, x = start()
    y = random_conv(build, x, 3, (1, 1))
    return finished(build, build.op("Conv", (y, build.constant(array(2, 4, 1, 1)))))


def two_transposed() -> Graph:
    build, x = start()
    return finished(build, transposed(build, transposed(build, x)))


def strides_do_not_divide() -> Graph:
    build, x = start()
    return finished(build, random_conv(build, transposed(build, x, 2), 2, (1, 1), strides=3))


def ring_of_a_transposed_conv() -> Graph:
    build, x = start()
    w = build.constant(array(2, 2, 3, 3))
    y = build.op("ConvTranspose", (x, w), {"strides": (2, 2), "pads": (1, 1, 1, 1)})
    return finished(build, random_conv(build, y, 2, (3, 3), pads=1))


def unknown_crop() -> Graph:
    # Crops two at the begin and pads at the end: at size 1 nothing would be left to slice.
    build, x = start("n", 2, "h", "w")
    operands = (x, build.constant(array(2, 2, 1, 2)))
    y = build.op("ConvTranspose", operands, {"pads": (0, 2, 0, 0)})
    return finished(build, random_conv(build, y, 2, (1, 1)))


def gemm_offset_by_row() -> Graph:
    build, x = new_graph((3, 4))
    y = build.op("Gemm", (x, build.constant(array(4, 5)), build.constant(array(3, 5))))
    return finished(build, build.op("MatMul", (y, build.constant(array(5, 2)))))


def gemm_transposes() -> Graph:
    build, x = new_graph((3, 4))
    y = build.op("MatMul", (x, build.constant(array(4, 5))))
    return finished(build, build.op("Gemm", (y, build.constant(array(3, 2))), {"transA": 1}))


def stack_of_matrices() -> Graph:
    build, x = new_graph((2, 3, 4))
    y = build.op("MatMul", (x, build.constant(array(2, 4, 5))))
    return finished(build, build.op("MatMul", (y, build.constant(array(5, 2)))))


def flattened_at_open_size() -> Graph:
    build, x = start("n", 2, "h", "w")
    y = build.op("Flatten", (random_conv(build, x, 2, (1, 1)),), {"axis": 1})
    return finished(build, build.op("MatMul", (y, build.constant(array(162, 3)))))


def flattened_otherwise() -> Graph:
    build, x = start(2, 2, 3, 3)
    y = build.op("Flatten", (random_conv(build, x, 2, (1, 1)),), {"axis": 2})
    return finished(build, build.op("MatMul", (y, build.constant(array(9, 3)))))


def biases_of_another_length() -> Graph:
    build, x = start()
    operands = (x, build.constant(array(3, 2, 1, 1)), build.constant(array(5)))
    y = build.op("Conv", operands, type_=TensorType(F32, (1, 3, 9, 9)))
    return finished(build, random_conv(build, y, 2, (1, 1)))


def pads_without_end() -> Graph:
    build, x = start()
    pads = {"pads": (1, 1, 2**31 - 1, 1)}
    y = random_conv(build, x, 3, (3, 3))
    weights = build.constant(array(2, 3, 3, 3))
    type_ = TensorType(F32, (1, 2, 2**31 + 5, 7))
    return finished(build, build.op("Conv", (y, weights), pads, type_=type_))


DECLINES = [
    (biases_of_another_length, "the Conv is not valid: its biases are not one for each filter"),
    (pads_without_end, "the convs reach too far"),
    (other_user, "the value between has other users"),
    (other_user_of_a_copy, "the value between has other users"),
    (graph_output, "the value between is a graph output"),
    (weights_are_fed(first=True), "the weights are not constant"),
    (weights_are_fed(first=False), "the weights are not constant"),
    (bias_is_fed, "the biases are not constant"),
    (integers, "the weights are not floating point"),
    (size_dependent_pads, "the geometry depends on an unknown size"),
    (
        ring_at_open_size,
        "border: axis 0 begin: first padding 1 < 2, second padding 1 > 0; the size is not known",
    ),
    (
        ring_at_some_residues,
        "border: axis 0 end: first padding 1 < 2, second padding 1 > 0; the size is not known",
    ),
    (
        bias_at_open_size,
        "first bias meets the border: axis 0 begin: padding 1 > 0; the size is not known",
    ),
    (no_interior, "border: axis 0: no interior at size 2"),
    (map_meets_ring, "border: a constant map is added between"),
    (added_by_sample, "the constant added between is no bias and no map"),
    (added_grows_the_value, "the constant added between is no bias and no map"),
    (too_large, "the composed weights would be too large"),
    (overflow, "the composed weights overflow float16"),
    (no_output, "the convs have no output at their size"),
    (channels_do_not_fit, "the shapes of the two convs do not fit"),
    (two_transposed, "both are strided transposed convs"),
    (strides_do_not_divide, "strides of the transposed conv and the conv do not divide"),
    (ring_of_a_transposed_conv, "border: there are no strips for a strided transposed conv"),
    (unknown_crop, "the composed conv crops more than the input may have"),
    (gemm_offset_by_row, "the added constant differs from row to row"),
    (gemm_transposes, "the second Gemm transposes the value between"),
    (stack_of_matrices, "the weights are no matrix"),
    (flattened_at_open_size, "the size of the flattened value is not known"),
    (flattened_otherwise, "the flattened value is not one row for each sample"),
]


@pytest.mark.parametrize(("make", "reason"), DECLINES, ids=[reason for _, reason in DECLINES])
def test_declines(make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = FuseConvs().run(graph, Context(prove=prove))
    assert stats.applied == 0
    assert stats.declined == {reason: 1}
    assert graph.version == version


@pytest.mark.parametrize(
    ("bias", "kernel", "reason"),
    [
        (False, 3, "border: axis 0 begin: first padding 1 < 2, second padding 1 > 0"),
        (True, 1, "first bias meets the border: axis 0 begin: padding 1 > 0"),
    ],
)
def test_declines_the_border_on_request(bias: bool, kernel: int, reason: str) -> None:
    build, x = start()
    x = random_conv(build, x, 3, (kernel, kernel), pads=kernel // 2, bias=bias)
    graph = finished(build, random_conv(build, x, 2, (3, 3), pads=1))
    assert FuseConvs(border="decline").run(graph).declined == {reason: 1}
    assert FuseConvs().run(graph, Context(prove=prove)).applied == 1


@pytest.mark.parametrize("kind", ["Relu", "MaxPool", "Dropout", "Cast", "Softmax"])
def test_what_is_no_chain_is_left_without_a_word(kind: str) -> None:
    build, x = start()
    x = random_conv(build, x, 3, (3, 3))
    operands = [x]
    attributes: dict[str, object] = {}
    if kind == "MaxPool":
        attributes = {"kernel_shape": (2, 2)}
    if kind == "Cast":
        attributes = {"to": 10}
    if kind == "Dropout":
        operands += [build.constant(np.array(0.5, F32)), build.constant(np.array(True))]
    type_ = TensorType(np.dtype(np.float16), x.shape) if kind == "Cast" else None
    x = build.op(kind, operands, attributes, type_=type_ or (x.type if kind == "Dropout" else None))
    w = build.constant(array(2, 3, 1, 1).astype(np.float16 if kind == "Cast" else F32))
    stats = FuseConvs().run(finished(build, build.op("Conv", (x, w))))
    assert stats.applied == 0
    assert not stats.declined


def test_a_reshape_is_no_copy_unless_it_keeps_the_shape() -> None:
    for target, applied in (((0, 0, 9, 9), 1), ((0, 0, 3, 27), 0)):
        build, x = start("n", 2, 9, 9)
        x = build.reshape(random_conv(build, x, 3, (1, 1)), target)
        graph = finished(build, random_conv(build, x, 2, (3, 3)))
        assert FuseConvs().run(graph, Context(prove=prove)).applied == applied


def test_a_dropout_whose_mask_is_used_is_no_copy() -> None:
    build, x = start()
    y = random_conv(build, x, 3, (1, 1))
    types = (y.type, TensorType(np.dtype(bool), y.shape))
    dropout = build.graph.add("Dropout", (y,), types=types)
    z = random_conv(build, dropout.results[0], 2, (3, 3))
    assert FuseConvs().run(finished(build, z, dropout.results[1])).applied == 0
