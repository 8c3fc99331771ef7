"""What hands multiples of channels through in prune-dead-channels, and by which factor."""

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
RNG = np.random.default_rng(21)
Between = Callable[[Builder, Value], Value]
MAP = TensorType(F32, (1, 1, 6, 6))


def weights(*shape: int) -> Array:
    return (RNG.uniform(0.5, 1.0, shape) * RNG.choice([-1, 1], shape)).astype(F32)


def twins(build: Builder, x: Value, factor: float = 2.0, **attributes: int) -> Value:
    """A conv of four filters; the last one, with its bias, is a multiple of the second one."""
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    w, b = weights(4, x.shape[1] // attributes.get("group", 1), 1, 1), weights(4)
    w[3], b[3] = factor * w[1], factor * b[1]
    return build.op("Conv", (x, build.constant(w), build.constant(b)), attributes)


def read_by(y: Value) -> Value:
    """The input of the layer that makes a value."""
    x = y.op.operand(0)
    assert x is not None
    return x


def norm(**wrong: float) -> Between:
    """A norm that keeps a channel and its double multiples, but for what is made wrong."""
    scale, bias, mean, var = (weights(4) for _ in range(4))
    var = np.abs(var)
    var[3], scale[3], mean[3], bias[3] = var[1], 4 * scale[1], 2 * mean[1], 8 * bias[1]
    arrays = {"scale": scale, "bias": bias, "mean": mean, "var": var}
    for name, factor in wrong.items():
        arrays[name][3] *= factor

    def make(build: Builder, y: Value) -> Value:
        return build.op("BatchNormalization", (y, *(build.constant(a) for a in arrays.values())))

    return make


def with_constant(kind: str, *values: float) -> Between:
    def make(build: Builder, y: Value) -> Value:
        array = np.array(values, F32).reshape(-1, 1, 1)
        return build.op(kind, (y, build.constant(array)), type_=y.type)

    return make


def with_other(kind: str, factor: float) -> Between:
    """With what another layer makes of the same input."""

    def make(build: Builder, y: Value) -> Value:
        return build.op(kind, (y, twins(build, read_by(y), factor)), type_=y.type)

    return make


def with_itself(kind: str) -> Between:
    return lambda build, y: build.op(kind, (y, y), type_=y.type)


def with_a_map(kind: str) -> Between:
    """With one varying channel, the same for all."""

    def make(build: Builder, y: Value) -> Value:
        one = build.op("Conv", (read_by(y), build.constant(weights(1, 3, 1, 1))), type_=MAP)
        return build.op(kind, (y, one), type_=y.type)

    return make


def depthwise(kernel: float, bias: float) -> Between:
    """Kernels of two taps; the last kernel and bias as multiples of the second ones."""
    w, b = weights(4, 1, 2, 1), weights(4)
    w[3], b[3] = kernel * w[1], bias * b[1]

    def make(build: Builder, y: Value) -> Value:
        return build.op("Conv", (y, build.constant(w), build.constant(b)), {"group": 4})

    return make


def pooled(kind: str) -> Between:
    return lambda build, y: build.op(kind, (y,), {"kernel_shape": (2, 2)})


def resized(**attributes: object) -> Between:
    def make(build: Builder, y: Value) -> Value:
        box = np.array([0, 0, 0.1, 0.1, 1, 1, 0.9, 1.2], F32)
        operands = [build.constant(a) for a in (box, np.zeros(0, F32), np.array([1, 4, 5, 5]))]
        type_ = TensorType(F32, (1, 4, 5, 5))
        return build.op("Resize", (y, *operands), {"mode": "linear", **attributes}, type_=type_)

    return make


CROP = "tf_crop_and_resize"
CASES: dict[str, tuple[Between, int]] = {
    "norm": (norm(), 1),
    "norm, other scale and bias": (norm(scale=-0.5, bias=-0.5), 1),
    "norm, other bias": (norm(bias=1.5), 0),
    "norm, other mean": (norm(mean=0.5), 0),
    "norm, other variance": (norm(var=2.0), 0),
    "Mul": (with_constant("Mul", 1, 2, 3, 5), 1),
    "Div": (with_constant("Div", 1, 2, 2, 2), 0),
    "Add of the double": (with_constant("Add", 1, 2, 3, 4), 1),
    "Add of the same": (with_constant("Add", 1, 2, 3, 2), 0),
    "Sub of the double": (with_constant("Sub", 1, 2, 3, 4), 1),
    "PRelu": (with_constant("PRelu", 0.5, 0.25, 0.5, 0.25), 1),
    "PRelu, other slope": (with_constant("PRelu", 0.5, 0.25, 0.5, 0.5), 0),
    "Add of doubles": (with_other("Add", 2.0), 1),
    "Add of other multiples": (with_other("Add", 4.0), 0),
    "Mul of other multiples": (with_other("Mul", 4.0), 1),
    "Mul with itself": (with_itself("Mul"), 0),
    "Add to itself": (with_itself("Add"), 1),
    "Mul by a map": (with_a_map("Mul"), 1),
    "Add of a map": (with_a_map("Add"), 0),
    "PRelu by a map": (with_a_map("PRelu"), 1),
    "PRelu by other multiples": (with_other("PRelu", 4.0), 0),
    "PRelu by itself": (with_itself("PRelu"), 0),
    "depthwise": (depthwise(0.5, 1.0), 1),
    "depthwise, other bias": (depthwise(0.5, 2.0), 0),
    "depthwise, other sign": (depthwise(-0.5, -1.0), 0),
    "average": (pooled("AveragePool"), 1),
    "maximum": (pooled("MaxPool"), 1),
    "Resize": (resized(), 1),
    "Resize beyond the edge": (
        resized(coordinate_transformation_mode=CROP, extrapolation_value=2.0),
        0,
    ),
}


def dropped(make: Between, factor: float) -> int:
    """How many channels are dropped as duplicates between two layers."""
    build, x = new_graph((1, 3, 6, 6))
    y = make(build, twins(build, x, factor))
    graph = finished(build, build.op("Conv", (y, build.constant(weights(2, 4, 1, 1)))))
    stats, _ = check_pass(PruneDeadChannels(1), graph, RNG)
    return sum(int(note.split()[0]) for note in stats.notes)


@pytest.mark.parametrize("name", list(CASES))
def test_doubles(name: str) -> None:
    make, expected = CASES[name]
    assert dropped(make, 2.0) == expected


@pytest.mark.parametrize("name", ["Sigmoid", "Exp"])
def test_only_what_is_equal_stays_so_behind_any_op(name: str) -> None:
    def make(build: Builder, y: Value) -> Value:
        return build.op(name, (y,))

    assert (dropped(make, 1.0), dropped(make, 2.0)) == (1, 0)


def test_equal_channels_and_a_map() -> None:
    assert dropped(with_a_map("Add"), 1.0) == 1
    assert dropped(with_itself("Mul"), 1.0) == 1


def test_maxima_of_multiples_of_different_sign() -> None:
    """A depthwise kernel of one tap turns the sign: the maximum of -x is not that of x."""

    def make(build: Builder, y: Value) -> Value:
        scale = np.array([1, 1, 1, -1], F32).reshape(4, 1, 1)
        turned = build.op("Mul", (y, build.constant(scale)), type_=y.type)
        return build.op("MaxPool", (turned,), {"kernel_shape": (2, 2)})

    assert dropped(make, 2.0) == 0
