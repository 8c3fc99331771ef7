"""Each condition of merge-branches, broken alone: nothing is merged and the reason says why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes.merge_branches import MergeBranches
from tests.strategies import finished, new_graph, random_conv

F32 = np.dtype(np.float32)


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(F32)


def start(*shape: int | str, opset: int = 17) -> tuple[Builder, Value]:
    return new_graph(shape or (1, 4, 9, 9), opset, sizes={"h": 9, "w": 9, "n": 2})


def same(build: Builder, x: Value, kernel: int = 3, outputs: int = 4, **more: int) -> Value:
    """A conv that keeps the size."""
    return random_conv(build, x, outputs, (kernel, kernel), pads=kernel // 2, **more)


def norm(build: Builder, x: Value, **attributes: int) -> Value:
    operands = [x, *(build.constant(np.abs(array(4))) for _ in range(4))]
    return build.op("BatchNormalization", operands, attributes, type_=x.type)


# -- sums -----------------------------------------------------------------------------------------


def a_branch_is_an_output() -> Graph:
    build, x = start()
    y = same(build, x)
    return finished(build, build.add(y, same(build, x, 1)), y)


def a_branch_has_other_users() -> Graph:
    build, x = start()
    y = same(build, x)
    return finished(build, build.add(y, same(build, x, 5)), build.op("Relu", (y,)))


def within_a_branch_are_other_users() -> Graph:
    build, x = start()
    y = same(build, x)
    return finished(build, build.add(norm(build, y), same(build, x, 1)), build.op("Relu", (y,)))


def weights_are_fed() -> Graph:
    build, x = start()
    w = build.graph.add_input("w", TensorType(F32, (4, 4, 1, 1)))
    return finished(build, build.add(same(build, x), build.op("Conv", (x, w))))


def bias_is_fed() -> Graph:
    build, x = start()
    b = build.graph.add_input("b", TensorType(F32, (4,)))
    y = build.op("Conv", (x, build.constant(array(4, 4, 1, 1)), b))
    return finished(build, build.add(same(build, x), y))


def shift_before_padding() -> Graph:
    build, x = start()
    return finished(build, build.add(same(build, norm(build, x)), same(build, x, 1)))


def bias_between_meets_padding() -> Graph:
    build, x = start()
    y = same(build, norm(build, same(build, x, 1, bias=False)), 3)
    return finished(build, build.add(y, same(build, x, 5)))


def padding_after_padding() -> Graph:
    build, x = start()
    y = same(build, same(build, x, 3, bias=False), 3)
    return finished(build, build.add(y, same(build, x, 1)))


def dearer_together() -> Graph:
    build, x = start()
    y = random_conv(build, same(build, x, group=4), 4, (1, 1))
    return finished(build, build.add(y, x))


def training_form() -> Graph:
    build, x = start()
    y = norm(build, same(build, x), training_mode=1)
    return finished(build, build.add(y, same(build, x, 1)))


def scale_by_position() -> Graph:
    build, x = start()
    y = build.op("Mul", (same(build, x), build.constant(array(9, 9))))
    return finished(build, build.add(y, same(build, x, 1)))


def pool(**attributes: object) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start()
        whole = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), **attributes}
        y = build.op("AveragePool", (x,), whole, type_=x.type)
        return finished(build, build.add(y, same(build, x)))

    return make


def sizes_differ() -> Graph:
    build, x = start(1, 4, 9, 1)
    y = random_conv(build, x, 4, (1, 1))
    return finished(build, build.add(y, random_conv(build, x, 4, (1, 2), pads=1, bias=False)))


def sizes_may_differ() -> Graph:
    # Equal for every odd size, not for even ones.
    build, x = start("n", 4, "h", "w")
    y = random_conv(build, x, 4, (1, 1), strides=2)
    z = random_conv(build, x, 4, (2, 2), strides=2)
    return finished(build, build.op("Add", (y, z), type_=y.type))


def channels_broadcast() -> Graph:
    build, x = start()
    return finished(build, build.add(same(build, x), same(build, x, 5, outputs=1)))


def size_dependent_pads() -> Graph:
    build, x = start("n", 4, "h", "w")
    attributes = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}
    type_ = TensorType(F32, ("n", 4, None, None))
    y = build.op("Conv", (x, build.constant(array(4, 4, 3, 3))), attributes, type_=type_)
    z = random_conv(build, x, 4, (1, 1), strides=2)
    return finished(build, build.op("Add", (y, z), type_=type_))


def overflow() -> Graph:
    build, x = new_graph((1, 1, 4, 4), dtype=np.float16)
    w = build.constant(np.full((1, 1, 1, 1), 60000, np.float16))
    return finished(build, build.add(build.op("Conv", (x, w)), build.op("Conv", (x, w))))


def too_large() -> Graph:
    # Taps as far apart as their paddings are, on a grid of one.
    build, x = start(1, 128, 600, 600)
    near, far = (build.constant(array(128, 128, 2, 2)) for _ in range(2))
    y = build.op("Conv", (x, near), {"pads": (0, 0, 200, 200)})
    return finished(build, build.add(y, build.op("Conv", (x, far), {"pads": (200, 200, 0, 0)})))


def would_crop() -> Graph:
    # Of a stride beyond the kernel, SAME skips samples at both ends.
    build, x = start(1, 4, 10, 10)
    attributes = {"auto_pad": "SAME_UPPER", "strides": (5, 5)}
    weights = [build.constant(array(4, 4, 1, 1)) for _ in range(2)]
    y, z = (build.op("Conv", (x, w), attributes) for w in weights)
    return finished(build, build.add(y, z))


# -- the other rules ------------------------------------------------------------------------------


def inputs(shape: tuple[int | str, ...], kernel: int = 3, **more: int) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start("n", 4, 9, 9) if "n" in shape else start()
        other = build.graph.add_input("z", TensorType(F32, shape))
        y = same(build, x, **more)
        z = random_conv(build, other, 4, (kernel, kernel), pads=kernel // 2, **more)
        return finished(build, build.op("Add", (y, z), type_=y.type))

    return make


def concat(kernels: tuple[int, int], **more: int) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start()
        values = [same(build, x, kernel, **more) for kernel in kernels]
        return finished(build, build.concat(values, 1))

    return make


def parts(order: int = 1, kernels: tuple[int, int] = (3, 3), cut: int = 2) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start()
        pieces = build.slice(x, [1], [0], [cut]), build.slice(x, [1], [cut], [4])
        values = [same(build, p, k) for p, k in zip(pieces, kernels, strict=True)]
        return finished(build, build.concat(values[::order], 1))

    return make


def siblings(kernels: tuple[int, int] = (3, 3), **more: int) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start()
        return finished(build, *(same(build, x, kernel, **more) for kernel in kernels))

    return make


def siblings_with_fed_weights() -> Graph:
    build, x = start()
    weights = [build.graph.add_input(f"w{i}", TensorType(F32, (4, 4, 1, 1))) for i in range(2)]
    return finished(build, *(build.op("Conv", (x, w)) for w in weights))


BORDER = "first bias meets the border: axis 0 begin: padding 1 > 0"
PARTS = "the convs of the parts differ in geometry, or the parts in channels or order"
CONCAT = "the convs before the Concat differ in geometry, are grouped or not neighbours"
DECLINES = [
    (a_branch_is_an_output, "the value between is a graph output"),
    (a_branch_has_other_users, "the value between has other users"),
    (within_a_branch_are_other_users, "the value between has other users"),
    (weights_are_fed, "the weights are not constant"),
    (bias_is_fed, "the biases are not constant"),
    (shift_before_padding, f"border: {BORDER}"),
    (bias_between_meets_padding, f"border: {BORDER}"),
    (padding_after_padding, "border: axis 0 begin: first padding 1 < 2, second padding 1 > 0"),
    (
        dearer_together,
        "composing the ops of a branch would cost more than is saved (grow=true)",
    ),
    (training_form, "the BatchNormalization is in training form"),
    (scale_by_position, "the constant of the Mul is not one value per channel"),
    (pool(), "the AveragePool does not count its padding"),
    (pool(ceil_mode=1, count_include_pad=1), "the AveragePool rounds its size up"),
    (sizes_differ, "the branches differ in stride, size or channels"),
    (sizes_may_differ, "the branches differ in stride, size or channels"),
    (channels_broadcast, "the branches differ in stride, size or channels"),
    (size_dependent_pads, "the geometry depends on an unknown size"),
    (overflow, "the composed weights overflow float16"),
    (too_large, "the composed weights would be too large"),
    (would_crop, "the merged conv would crop its input"),
    (inputs((1, 4, 9, 9), kernel=5), "the convs that are added differ in geometry"),
    (inputs((1, 4, 9, 9), group=2), "the convs that are added are grouped"),
    (inputs((1, 4, 9, 1)), "the inputs of the convs that are added differ in size"),
    (inputs((2, 4, 9, 9)), "the inputs of the convs that are added differ in size"),
    (inputs(("n", 4, 9, None)), "the inputs of the convs that are added may differ in size"),
    (concat((3, 5)), CONCAT),
    (concat((3, 3), group=2), CONCAT),
    (parts(order=-1), PARTS),
    (parts(kernels=(3, 1)), PARTS),
    (parts(cut=1), PARTS),
    (siblings((3, 5)), "the sibling convs differ in geometry"),
    (siblings(group=2), "the sibling convs are grouped"),
    (siblings_with_fed_weights, "the weights are not constant"),
]


@pytest.mark.parametrize(
    ("make", "reason"), DECLINES, ids=[f"{i} {reason}" for i, (_, reason) in enumerate(DECLINES)]
)
def test_declines(make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = MergeBranches().run(graph, Context(prove=prove))
    assert stats.applied == 0
    assert reason in stats.declined, stats.declined
    assert graph.version == version


@pytest.mark.parametrize("kind", ["Relu", "MaxPool", "Sigmoid"])
def test_nothing_crosses_a_nonlinearity(kind: str) -> None:
    build, x = start()
    y = same(build, x)
    attributes = {"kernel_shape": (1, 1)} if kind == "MaxPool" else {}
    y = build.op(kind, (y,), attributes, type_=y.type)
    stats = MergeBranches().run(finished(build, build.add(y, same(build, x, 1))))
    assert stats.applied == 0
    assert stats.declined["the branches of the sum have different inputs"] == 1


def test_a_gate_is_left_alone() -> None:
    # Squeeze and excitation multiplies by what it computes: that is not linear.
    build, x = start()
    y = same(build, x)
    gate = build.op("Sigmoid", (build.op("GlobalAveragePool", (x,)),))
    y = build.op("Mul", (y, gate), type_=y.type)
    stats = MergeBranches().run(finished(build, build.add(y, x)))
    assert stats.applied == 0


def test_sums_without_a_conv_and_of_integers_are_left_without_a_word() -> None:
    build, x = start()
    stats = MergeBranches().run(finished(build, build.add(norm(build, x), x)))
    assert (stats.applied, dict(stats.declined)) == (0, {})
    build, x = new_graph((1, 4, 9, 9), dtype=np.int32)
    stats = MergeBranches().run(finished(build, build.add(x, x)))
    assert (stats.applied, dict(stats.declined)) == (0, {})


def test_other_domains_are_not_looked_at() -> None:
    build, x = start()
    y, z = same(build, x), same(build, x, 1)
    total = build.graph.add("Add", (y, z), types=(y.type,), domain="custom").result
    assert MergeBranches().run(finished(build, total)).applied == 0


def test_siblings_of_other_magnitudes_are_not_joined() -> None:
    """A sibling of 1e-24 is no dead filter of the other."""
    build, x = start()
    values = [same(build, x), same(build, x)]
    weights = values[1].op.operands[1]
    assert weights is not None
    build.graph.set_operand(values[1].op, 1, build.constant(weights.array * np.float32(1e-24)))
    graph = finished(build, *values)
    assert MergeBranches().run(graph).declined == {
        "the weights of the sibling convs are of other magnitudes": 1
    }


def test_weights_of_two_types_are_not_joined() -> None:
    build, x = start()
    values = [same(build, x), same(build, x)]
    doubled = values[1].op.operands[1]
    new = build.constant(np.asarray(doubled.array, np.float64))
    build.graph.set_operand(values[1].op, 1, new)
    graph = finished(build, *values)
    stats = MergeBranches().run(graph)
    assert stats.declined == {"the weights of the sibling convs differ in type": 1}
    graph = finished(build, build.add(*values))
    stats = MergeBranches().run(graph)
    assert stats.declined["the weights of the branches differ in type"] == 1
