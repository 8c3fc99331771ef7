"""Through which forms of an op prune-dead-channels follows channels, and through which not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.build import Builder
from convc.ir import Array, TensorType, Value
from passes.prune_dead_channels import PruneDeadChannels
from tests.helpers import check_pass
from tests.strategies import finished, new_graph

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(8)
Between = Callable[[Builder, Value], Value]


def weights(*shape: int) -> Array:
    return RNG.uniform(0.5, 1.0, shape).astype(F32)


def op(kind: str, shape: tuple[int, ...], *more: object, **attributes: object) -> Between:
    """An op on (1, 4, 6, 6) with constants for its other operands; None omits one."""

    def make(build: Builder, x: Value) -> Value:
        others = [None if m is None else build.constant(np.asarray(m)) for m in more]
        return build.op(kind, (x, *others), attributes, type_=TensorType(F32, shape))

    return make


def joined(axis: int, constant: bool = False) -> Between:
    def make(build: Builder, x: Value) -> Value:
        other = build.constant(weights(1, 4, 6, 6)) if constant else build.op("Relu", (x,))
        return build.concat((x, other), axis)

    return make


def two_axes(build: Builder, x: Value) -> Value:
    return build.slice(x, [1, 2], [0, 1], [3, 6])


def backwards(build: Builder, x: Value) -> Value:
    operands = [x, *(build.ints([i]) for i in (-1, -(2**31), 1, -1))]
    return build.op("Slice", operands, type_=TensorType(F32, (1, 4, 6, 6)))


def broadcast_over_space(build: Builder, x: Value) -> Value:
    """An attention map, one for all channels."""
    w = build.constant(weights(1, 4, 1, 1))
    return build.op("Mul", (x, build.op("Sigmoid", (build.op("Conv", (x, w)),))))


def single_channel(build: Builder, x: Value) -> Value:
    """A single channel that is added to all: it is needed whole."""
    return build.add(build.slice(x, [1], [2], [3]), x)


def twice(build: Builder, x: Value) -> Value:
    return build.op("Mul", (x, x))


def doubled(build: Builder, x: Value) -> Value:
    return build.add(x, build.op("Neg", (x,)))


def norm(scale: Array) -> Between:
    def make(build: Builder, x: Value) -> Value:
        parameters = [build.constant(a) for a in (scale, weights(4), weights(4), weights(4))]
        return build.op("BatchNormalization", (x, *parameters))

    return make


SAME, SMALL, EMPTY = (1, 4, 6, 6), (1, 4, 1, 1), np.zeros(0, F32)
TWICE = np.array([1, 1, 2, 2], F32)
CROP = np.array([0, 0, 0.1, 0.1, 1, 1, 0.9, 1.2], F32)
FOLLOWED: dict[str, Between] = {
    "Mul of whole rank": op("Mul", SAME, weights(1, 4, 1, 1)),
    "ReduceMean": op("ReduceMean", SMALL, axes=(2, 3), keepdims=1),
    "ReduceMax": op("ReduceMax", SMALL, axes=(-1, -2), keepdims=1),
    "Resize by scales": op("Resize", (1, 4, 12, 12), EMPTY, TWICE, mode="nearest"),
    "Resize to sizes": op("Resize", (1, 4, 9, 6), EMPTY, EMPTY, [1, 4, 9, 6], mode="linear"),
    "Pad with edges": op("Pad", (1, 4, 8, 8), [0, 0, 1, 1, 0, 0, 1, 1], mode="edge"),
    "Pad with the constant": op(
        "Pad", (1, 4, 8, 8), [0, 0, 1, 1, 0, 0, 1, 1], np.float32(0.5), mode="constant"
    ),
    "Pad that crops": op("Pad", (1, 4, 4, 6), [0, 0, -1, 0, 0, 0, -1, 0], mode="constant"),
    "Clip": op("Clip", SAME, np.float32(-1), np.float32(1)),
    "Gather": op("Gather", SAME, np.array([3, -4, 1, 2]), axis=1),
    "Concat over space": joined(2),
    "Concat of channels": joined(1),
    "a product with itself": twice,
    "a sum of both signs": doubled,
    "Slice backwards": backwards,
    "BatchNormalization": norm(weights(4)),
}
LEFT: dict[str, Between] = {
    "MaxPool that sees pads alone": op(
        "MaxPool", SMALL, kernel_shape=(2, 2), dilations=(7, 7), pads=(1,) * 4
    ),
    "AveragePool that sees pads alone": op(
        "AveragePool", (1, 4, 9, 9), kernel_shape=(2, 2), pads=(2,) * 4
    ),
    "ReduceMean over channels": op("ReduceMean", (1, 1, 6, 6), axes=(1, 2), keepdims=0),
    "ReduceSum": op("ReduceSum", SMALL, [2, 3], keepdims=1),
    "Resize of channels": op(
        "Resize", (1, 8, 6, 6), EMPTY, np.array([1, 2, 1, 1], F32), mode="nearest"
    ),
    "Resize that crops": op(
        "Resize",
        SAME,
        CROP,
        EMPTY,
        [1, 4, 6, 6],
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=2.0,
    ),
    "Pad of channels": op("Pad", (1, 6, 6, 6), [0, 1, 0, 0, 0, 1, 0, 0], mode="constant"),
    "Pad with another value": op(
        "Pad", (1, 4, 8, 8), [0, 0, 1, 1, 0, 0, 1, 1], np.float32(0.25), mode="constant"
    ),
    "Concat with a constant over space": joined(2, constant=True),
    "a map for all channels": broadcast_over_space,
    "one channel added to all": single_channel,
    "Slice of two axes": two_axes,
    "MaxPool with Indices": lambda build, x: (
        build.graph.add(
            "MaxPool",
            (x,),
            {"kernel_shape": (6, 6)},
            types=[TensorType(F32, SMALL), TensorType(np.dtype(np.int64), SMALL)],
            names=["p", "i"],
        ).result
    ),
}


def dropped(between: Between) -> bool:
    """Whether the channel that is 0.5 everywhere goes, behind a conv of (1, 4, 6, 6)."""
    build, x = new_graph((1, 3, 6, 6))
    w, b = weights(4, 3, 1, 1), weights(4)
    w[1], b[1] = 0, 0.5
    y = between(build, build.op("Conv", (x, build.constant(w), build.constant(b))))
    assert y.shape is not None
    reader = build.constant(weights(2, int(y.shape[1] or 0), 1, 1))
    rank = len(y.shape)
    result = build.op("Conv", (y, reader)) if rank == 4 else build.op("Relu", (y,))
    stats, _ = check_pass(PruneDeadChannels(1), finished(build, result), RNG)
    assert stats.applied or stats.declined
    return bool(stats.applied)


@pytest.mark.parametrize("name", list(FOLLOWED))
def test_channels_are_followed(name: str) -> None:
    assert dropped(FOLLOWED[name])


@pytest.mark.parametrize("name", list(LEFT))
def test_channels_are_not_followed(name: str) -> None:
    assert not dropped(LEFT[name])


@pytest.mark.parametrize("kind", ["Squeeze", "Flatten", "Reshape"])
def test_pooled_channels_into_a_product(kind: str) -> None:
    build, x = new_graph((2, 3, 6, 6))
    w, b = weights(4, 3, 1, 1), weights(4)
    w[1] = 0
    y = build.op("Conv", (x, build.constant(w), build.constant(b)))
    y = build.op("GlobalMaxPool", (y,))
    operands = {"Squeeze": [2, 3], "Reshape": [2, 4]}
    more = [build.ints(operands[kind])] if kind in operands else []
    y = build.op(kind, (y, *more), type_=TensorType(F32, (2, 4)))
    graph = finished(build, build.op("MatMul", (y, build.constant(weights(4, 3)))))
    stats, after = check_pass(PruneDeadChannels(1), graph, RNG)
    assert stats.applied == 1
    assert [
        op.array.shape for op in after.ops() if op.array is not None and op.array.ndim == 2
    ] == [(3, 3)]


def test_a_map_of_one_channel_is_unsqueezed() -> None:
    build, x = new_graph((2, 3))
    w, b = weights(4, 3), weights(4)
    w[1] = 0
    y = build.op("Gemm", (x, build.constant(w), build.constant(b)), {"transB": 1})
    y = build.op("Unsqueeze", (y, build.ints([2, 3])), type_=TensorType(F32, (2, 4, 1, 1)))
    graph = finished(build, build.op("Conv", (y, build.constant(weights(2, 4, 1, 1)))))
    assert check_pass(PruneDeadChannels(1), graph, RNG)[0].applied == 1


def test_a_bias_for_each_sample_is_no_constant() -> None:
    build, x = new_graph((2, 3))
    w = weights(3, 4)
    w[:, 1] = 0
    y = build.op("Gemm", (x, build.constant(w), build.constant(weights(2, 4))))
    graph = finished(build, build.op("MatMul", (y, build.constant(weights(4, 3)))))
    assert check_pass(PruneDeadChannels(1), graph, RNG)[0].applied == 0


def test_flattened_positions_are_no_twins() -> None:
    """Positions of one channel differ; positions of equal channels do not."""
    build, x = new_graph((2, 3, 2, 2))
    w = weights(3, 3, 1, 1)
    w[2] = 2 * w[0]
    y = build.op("Flatten", (build.op("Conv", (x, build.constant(w))),))
    graph = finished(build, build.op("MatMul", (y, build.constant(weights(12, 3)))))
    stats, after = check_pass(PruneDeadChannels(1), graph, RNG)
    assert dict(stats.notes) == {"1 duplicate dropped": 1}
    assert any(op.array is not None and op.array.shape == (8, 3) for op in after.ops())


def test_behind_a_scale_of_zero_nothing_is_read() -> None:
    build, x = new_graph((1, 3, 6, 6))
    y = build.op("Conv", (x, build.constant(weights(4, 3, 1, 1))))
    scale = weights(4)
    scale[2] = 0
    y = norm(scale)(build, y)
    graph = finished(build, build.op("Conv", (y, build.constant(weights(2, 4, 1, 1)))))
    stats, _ = check_pass(PruneDeadChannels(1), graph, RNG)
    assert dict(stats.notes) == {"1 unread dropped": 1}


def test_groups_keep_their_own_twins() -> None:
    """Filters that are equal in two groups read different inputs."""
    build, x = new_graph((1, 4, 6, 6))
    w = weights(4, 2, 1, 1)
    w[2:] = w[:2]
    y = build.op("Conv", (x, build.constant(w)), {"group": 2})
    graph = finished(build, build.op("Conv", (y, build.constant(weights(2, 4, 1, 1)))))
    assert check_pass(PruneDeadChannels(1), graph, RNG)[0].applied == 0


def test_twins_in_two_groups_of_the_reader_stay() -> None:
    build, x = new_graph((1, 3, 6, 6))
    w = weights(4, 3, 1, 1)
    w[2:] = w[:2]
    y = build.op("Conv", (x, build.constant(w)))
    graph = finished(
        build, build.op("Conv", (y, build.constant(weights(4, 2, 1, 1))), {"group": 2})
    )
    assert check_pass(PruneDeadChannels(1), graph, RNG)[0].applied == 0


def test_twins_in_two_groups_are_two_pairs() -> None:
    """All four filters are multiples of one, but those of a group read what the others do not."""
    build, x = new_graph((1, 4, 6, 6))
    w = weights(4, 2, 1, 1)
    w[1], w[2], w[3] = 2 * w[0], w[0], 2 * w[0]
    y = build.op("Conv", (x, build.constant(w)), {"group": 2})
    graph = finished(build, build.op("Conv", (y, build.constant(weights(2, 4, 1, 1)))))
    stats, _ = check_pass(PruneDeadChannels(1), graph, RNG)
    assert dict(stats.notes) == {"2 duplicate dropped": 1}


def test_a_layer_that_reads_the_region_and_feeds_it() -> None:
    """What it gives is computed anew: a proof that feeds noise there compares two other things."""
    build, x = new_graph((1, 4, 6, 6))

    def ones(*shape: int) -> Value:
        return build.constant(np.ones(shape, np.float32))

    wide = build.op("Conv", (x, ones(32, 4, 1, 1)))
    halved = {"pads": (1, 1, 1, 1), "strides": (2, 2)}
    small = build.op("Conv", (wide, ones(1, 32, 3, 3)), halved)
    back = build.op("ConvTranspose", (small, ones(1, 4, 2, 2)), {"strides": (2, 2)})
    both = build.op("Concat", (back, wide), {"axis": 1})
    graph = finished(build, build.op("Conv", (both, ones(2, 36, 1, 1))))
    assert check_pass(PruneDeadChannels(1), graph, RNG)[0].applied >= 1


def test_the_largest_constant_carries_the_others() -> None:
    """A padded reader keeps one: its weights may not grow to what makes a tiny one large."""
    build, x = new_graph((1, 2, 6, 6))
    w, b = np.zeros((4, 2, 1, 1), np.float32), np.array([-69.0, 3.0, 2.0, 0.5], np.float32)
    w[3] = 1.0
    hidden = build.op("Softplus", (build.op("Conv", (x, build.constant(w), build.constant(b))),))
    reader = build.constant(weights(3, 4, 3, 3))
    graph = finished(build, build.op("Conv", (hidden, reader), {"pads": (1, 1, 1, 1)}))
    stats, after = check_pass(PruneDeadChannels(1), graph, RNG)
    assert stats.notes == {"2 constant dropped": 1}
    largest = max(
        np.abs(v.array).max() for o in after.ops() for v in o.inputs if v.array is not None
    )
    assert largest <= 69
