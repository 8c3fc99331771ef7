"""lower-to-winograd: what it declines, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import TensorType
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from passes.lower_to_winograd import LowerToWinograd
from tests.strategies import finished, new_graph, random_conv

F32 = np.dtype(np.float32)
SIZE = "the size is not known"
ROUNDING = "rounding errors could reach {} of the output"


def conv(
    *size: int | str,
    kernel: tuple[int, ...] = (3, 3),
    channels: int = 4,
    dtype: type = np.float32,
    opset: int = 17,
    **geometry: int,
) -> Callable[[], Graph]:
    def make() -> Graph:
        shape = (1, channels, *(size or (12, 12)))
        sizes = {d: 12 for d in size if isinstance(d, str)}
        build, x = new_graph(shape, opset, dtype, sizes)
        return finished(build, random_conv(build, x, 8, kernel, **geometry))

    return make


def fed(what: str) -> Callable[[], Graph]:
    def make() -> Graph:
        build, x = new_graph((1, 4, 12, 12))
        w = build.constant(np.ones((8, 4, 3, 3), F32))
        b = build.constant(np.ones(8, F32))
        if what == "weights":
            w = build.graph.add_input("w", TensorType(F32, (8, 4, 3, 3)))
        else:
            b = build.graph.add_input("b", TensorType(F32, (8,)))
        return finished(build, build.op("Conv", (x, w, b), {}))

    return make


def unknown_pads() -> Graph:
    build, x = new_graph((1, 4, "h", 12), sizes={"h": 12})
    y = random_conv(build, x, 8, (3, 3), strides=2)
    attributes = {"strides": (2, 2), "auto_pad": "SAME_UPPER"}
    type_ = TensorType(F32, (1, 8, None, 6))
    again = build.op("Conv", y.op.operands, attributes, type_=type_)
    build.graph.erase(y.op)
    return finished(build, again)


DECLINES = [
    ("tiles", 4, fed("weights"), "the weights are not constant"),
    ("tiles", 4, fed("biases"), "the biases are not constant"),
    ("tiles", 4, conv("h", 12), SIZE),
    ("tiles", 4, conv(12, "w"), SIZE),
    ("rows", 4, conv(12, "w"), SIZE),
    ("tiles", 4, unknown_pads, "the geometry depends on an unknown size"),
    ("tiles", 4, conv(2, 12), "the conv has no output at its size"),
    ("tiles", 4, conv(dilations=2), "the conv is dilated"),
    ("tiles", 4, conv(kernel=(8, 3)), "the kernel has more than 7 taps on an axis"),
    ("rows", 4, conv(kernel=(1, 3)), "the kernel has one tap on the axis of the tiles"),
    ("tiles", 4, conv(5, 5), "the output is smaller than the tile"),
    ("rows", 4, conv(5, 12), "the output is smaller than the tile"),
    (
        "tiles",
        6,
        conv(12, 12, 12, kernel=(7, 7, 7)),
        "a tile takes 1728 products, more than 512",
    ),
    ("tiles", 4, conv(strides=3), "tiles have no fewer products than the conv"),
    ("tiles", 2, conv(strides=2), "tiles have no fewer products than the conv"),
    (
        "planes",
        6,
        conv(15, 15, kernel=(4, 4), dtype=np.float64),
        "there would be more than 64 planes",
    ),
    (
        "rows",
        4,
        conv(kernel=(5, 5), group=2, strides=2),
        "the phases of a strided conv in groups are apart",
    ),
    ("tiles", 4, conv(dtype=np.float16), "the sums of a tile go beyond float16"),
    ("tiles", 2, conv(dtype=ml_dtypes.bfloat16), ROUNDING.format("7e-02")),
    ("tiles", 6, conv(kernel=(7, 7)), ROUNDING.format("2e-03")),
    ("tiles", 4, conv(opset=6), "before opset 7 an Add does not broadcast"),
]


@pytest.mark.parametrize(("form", "tile", "make", "reason"), DECLINES)
def test_declines(form: str, tile: int, make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    version = graph.version
    pass_ = LowerToWinograd((form,), (tile,))  # type: ignore[arg-type]
    assert pass_.run(graph, Context(prove=prove)).declined == {reason: 1}
    assert graph.version == version


@pytest.mark.parametrize(
    "make", [conv(kernel=(1, 1)), conv(group=4)], ids=["one tap", "one channel a group"]
)
def test_nothing_to_save_is_left_without_a_word(make: Callable[[], Graph]) -> None:
    stats = LowerToWinograd().run(make())
    assert (stats.applied, stats.declined) == (0, {})


def test_another_domain_is_left_alone() -> None:
    graph = conv()()
    (op,) = (op for op in graph.ops() if op.kind == "Conv")
    op.domain = "com.example"
    assert LowerToWinograd().run(graph).applied == 0


def test_the_tolerance_decides() -> None:
    """The smaller tile is taken where the larger one could err by more."""
    make = conv(16, 16, kernel=(5, 5))
    for tolerance, tile in ((1e-3, "6×6"), (1e-4, "4×4"), (2e-5, "2×2")):
        stats = LowerToWinograd(("tiles",), (6, 4, 2), tolerance).run(make())
        assert list(stats.notes) == [f"Conv 5×5 → F({tile}, 5×5) (tiles)"]
    assert LowerToWinograd(("tiles",), (6, 4, 2), 1e-7).run(make()).applied == 0


@pytest.mark.parametrize("tile", [0, 1, 9])
def test_tiles_have_a_range(tile: int) -> None:
    with pytest.raises(UsageError, match="a tile has 2 to 8 outputs on an axis"):
        Pipeline.parse(f"lower-to-winograd{{tiles={tile}}}")
