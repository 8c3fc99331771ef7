"""Each condition of prune-dead-channels, broken alone: nothing goes and the reason says why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import Array, Header, TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from passes._regions import region as _dead_region
from passes.prune_dead_channels import PruneDeadChannels
from tests.strategies import finished, new_graph

F32 = np.dtype(np.float32)
RNG = np.random.default_rng(2)


def weights(*shape: int) -> Array:
    return RNG.uniform(0.5, 1.0, shape).astype(F32)


def dead(build: Builder, x: Value, outputs: int = 4, *, bias: float = 1.0, group: int = 1) -> Value:
    """A conv whose first filter is zero."""
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    w, b = weights(outputs, x.shape[1] // group, 1, 1), weights(outputs)
    w[0], b[0] = 0, bias
    return build.op("Conv", (x, build.constant(w), build.constant(b)), {"group": group})


def reader(build: Builder, x: Value, *, kernel: int = 1, pad: int = 0, group: int = 1) -> Value:
    assert x.shape is not None
    assert isinstance(x.shape[1], int)
    w = build.constant(weights(4, x.shape[1] // group, kernel, kernel))
    return build.op("Conv", (x, w), {"pads": (pad,) * 4, "group": group})


def start(opset: int = 17) -> tuple[Builder, Value]:
    return new_graph((1, 2, 5, 5), opset)


def graph_output() -> Graph:
    build, x = start()
    y = dead(build, x)
    return finished(build, reader(build, y), y)


def output_of_the_middle() -> Graph:
    build, x = start()
    y = build.op("Relu", (dead(build, x),))
    return finished(build, reader(build, build.op("Sigmoid", (y,))), y)


def goes_into(kind: str, **attributes: int) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = start()
        y = dead(build, x)
        z = build.op(kind, (y,), attributes, type_=y.type)
        return finished(build, reader(build, y), z)

    return make


def other_domain() -> Graph:
    build, x = start()
    y = dead(build, x)
    z = build.graph.add("Relu", (y,), types=(y.type,), domain="com.example").result
    return finished(build, reader(build, z))


def added_to_an_input() -> Graph:
    build, x = start()
    other = build.graph.add_input("skip", TensorType(F32, (1, 4, 5, 5)))
    return finished(build, reader(build, build.add(dead(build, x), other)))


def added_to_an_unknown() -> Graph:
    build, x = start()
    other = build.op("Softmax", (x,), {"axis": 2})
    return finished(build, reader(build, build.add(dead(build, x, 2), other)))


def added_to_a_live_channel() -> Graph:
    build, x = start()
    other = build.op("Conv", (x, build.constant(weights(4, 2, 1, 1))))
    return finished(build, reader(build, build.add(dead(build, x), other)))


def meets_padding() -> Graph:
    build, x = start()
    return finished(build, reader(build, dead(build, x), kernel=3, pad=1))


def meets_padding_in_a_pool() -> Graph:
    build, x = start()
    attributes = {"kernel_shape": (3, 3), "pads": (1,) * 4, "count_include_pad": 1}
    pooled = build.op("AveragePool", (dead(build, x),), attributes)
    return finished(build, reader(build, pooled))


def meets_a_pad() -> Graph:
    build, x = start()
    return finished(build, reader(build, build.pad(dead(build, x), (0, 0, 1, 1, 0, 0, 1, 1))))


def meets_padding_in_a_depthwise_conv() -> Graph:
    build, x = start()
    w = build.constant(weights(4, 1, 3, 3))
    y = build.op("Conv", (dead(build, x), w), {"group": 4, "pads": (1,) * 4})
    return finished(build, reader(build, y))


def varies_over_space() -> Graph:
    build, x = start()
    y = build.add(dead(build, x), build.constant(weights(1, 1, 5, 5)))
    return finished(build, reader(build, y))


def dead_in_one_group() -> Graph:
    build, x = start()
    return finished(build, reader(build, dead(build, x), group=2))


def grouped_producer() -> Graph:
    build, x = start()
    return finished(build, reader(build, dead(build, reader(build, x), group=2)))


def all_dead() -> Graph:
    build, x = start()
    w, b = build.constant(np.zeros((1, 2, 1, 1), F32)), build.constant(weights(1))
    return finished(build, reader(build, build.op("Conv", (x, w, b))))


def size_dependent_pads() -> Graph:
    build, x = new_graph((1, 2, "h", "w"), sizes={"h": 8, "w": 8})
    w = build.constant(weights(4, 4, 3, 3))
    y = dead(build, x)
    attributes = {"auto_pad": "SAME_UPPER", "strides": (2, 2)}
    type_ = TensorType(F32, (1, 4, None, None))
    return finished(build, build.op("Conv", (y, w), attributes, type_=type_))


BORDER = "a dead channel stays: it carries constants to the border (axis 0 begin: padding 1 > 0)"
VARIES = "a dead channel stays: it is part of one that varies"
EQUAL = "a dead channel stays: the groups must stay equal"
DECLINES: dict[Callable[[], Graph], str] = {
    graph_output: "a dead channel stays: it is a graph output",
    output_of_the_middle: "a dead channel stays: it is a graph output",
    goes_into("Softmax", axis=1): "a dead channel stays: a Softmax needs it",
    goes_into("Transpose", perm=(0, 1, 3, 2)): "a dead channel stays: a Transpose needs it",
    goes_into("Floor"): "a dead channel stays: a Floor needs it",
    other_domain: "a dead channel stays: a Relu needs it",
    added_to_an_input: "a dead channel stays: it is tied to a graph input",
    added_to_an_unknown: "a dead channel stays: it is tied to a Softmax",
    added_to_a_live_channel: VARIES,
    meets_padding: BORDER,
    meets_padding_in_a_pool: VARIES,
    meets_a_pad: VARIES,
    meets_padding_in_a_depthwise_conv: VARIES,
    varies_over_space: VARIES,
    dead_in_one_group: EQUAL,
    grouped_producer: EQUAL,
    all_dead: "a dead channel stays: it is the last one",
    size_dependent_pads: "a dead channel stays: it carries constants to the border "
    "(the geometry depends on an unknown size)",
}


def declined(graph: Graph, block: int = 1) -> dict[str, int]:
    before = graph.version
    stats = PruneDeadChannels(block).run(graph, Context(prove=prove))
    assert (stats.applied, graph.version) == (0, before)
    return dict(stats.declined)


@pytest.mark.parametrize(
    ("make", "reason"), DECLINES.items(), ids=[f"{i}" for i in range(len(DECLINES))]
)
def test_declines(make: Callable[[], Graph], reason: str) -> None:
    assert declined(make()) == {reason: 1}


def test_a_count_below_the_block_is_odd_already() -> None:
    build, x = start()
    graph = finished(build, reader(build, dead(build, x, 16)))
    reason = "a dead channel stays: the count must be a multiple of 16"
    assert declined(graph, 16) == {reason: 1}
    assert PruneDeadChannels(1).run(graph.clone()).applied == 1
    build, x = start()
    graph = finished(build, reader(build, dead(build, x, 15)))
    assert PruneDeadChannels(16).run(graph).applied == 1


def test_an_unread_channel_may_have_to_stay() -> None:
    build, x = start()
    y = build.op("Conv", (x, build.constant(weights(4, 2, 1, 1))))
    w = weights(4, 4, 1, 1)
    w[:, 2] = 0
    graph = finished(build, build.op("Conv", (y, build.constant(w))))
    reason = "a channel nobody needs stays: the count must be a multiple of 4"
    assert declined(graph, 4) == {reason: 1}


def test_fed_weights_are_not_known() -> None:
    for fed in (1, 2):
        build, x = start()
        y = dead(build, x)
        operands = [y, build.constant(weights(4, 4, 1, 1)), build.constant(weights(4))]
        assert operands[fed].type is not None
        operands[fed] = build.graph.add_input("fed", operands[fed].type)
        graph = finished(build, build.op("Conv", operands))
        assert declined(graph)["a dead channel stays: a Conv needs it"] == 1


def test_integers_are_left_alone() -> None:
    build, x = new_graph((2, 4), dtype=np.int32)
    w = build.constant(np.zeros((4, 4), np.int32))
    assert declined(finished(build, build.op("MatMul", (build.op("MatMul", (x, w)), w)))) == {}


def test_a_norm_in_training_form() -> None:
    build, x = start()
    parameters = [build.constant(weights(4)) for _ in range(4)]
    y = build.op("BatchNormalization", (dead(build, x), *parameters), {"training_mode": 1})
    reason = "a dead channel stays: a BatchNormalization needs it"
    assert declined(finished(build, reader(build, y))) == {reason: 1}


def test_a_region_may_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dead_region, "LARGEST", 2)
    build, x = start()
    y = build.op("Relu", (build.op("Relu", (dead(build, x),)),))
    assert declined(finished(build, reader(build, y))) == {"the region is too large": 1}


def test_old_broadcasts_are_left_alone() -> None:
    build, x = start()
    build.graph.header = Header(ir_version=3, opsets={"": 6})
    y = build.add(dead(build, x), build.constant(weights(1, 4, 5, 5)))
    assert declined(finished(build, reader(build, y))) == {
        "a dead channel stays: a Add needs it": 1
    }


@pytest.mark.parametrize(
    ("reason", "indices", "block", "group"),
    [
        ("more channels are picked than are made", [0, 1, 2, 3, 3], 1, 1),
        ("the number of channels picked is no multiple of 2", [2, 1, 0], 2, 1),
        ("the channels picked are those of a grouped conv", [2, 1, 0], 1, 2),
    ],
)
def test_picks_stay(reason: str, indices: list[int], block: int, group: int) -> None:
    build, x = new_graph((1, 4, 5, 5))
    w = build.constant(weights(4, 4 // group, 1, 1))
    y = build.op("Conv", (x, w), {"group": group})
    type_ = TensorType(F32, (1, len(indices), 5, 5))
    z = build.op("Gather", (y, build.ints(indices)), {"axis": 1}, type_=type_)
    stats = PruneDeadChannels(block).run(finished(build, build.op("Relu", (z,))))
    assert stats.declined[reason] == 1


def test_a_pick_beside_another_user() -> None:
    build, x = start()
    y = build.op("Conv", (x, build.constant(weights(4, 2, 1, 1))))
    z = build.slice(y, [1], [0], [2])
    graph = finished(build, build.op("Relu", (z,)), build.op("Relu", (y,)))
    assert declined(graph) == {"the value between has other users": 1}
