"""Transposes moved until they cancel: every region proved, run, and cheaper than before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import convc
from convc.graph import Graph
from convc.ir import Op, TensorType, Value
from convc.pipeline import Context
from convc.proof import prove
from convc.rewrite import Stats
from passes.simplify import Simplify
from tests.helpers import check_pass
from tests.layout_strategies import Layouts, islands
from tests.strategies import finished, new_graph


def of_kind(graph: Graph, kind: str) -> list[Op]:
    return [op for op in graph.ops() if op.kind == kind]


def moved_bytes(graph: Graph) -> int:
    return sum(graph.nbytes(op.result) or 0 for op in of_kind(graph, "Transpose"))


def test_islands() -> None:
    fired = 0

    @settings(max_examples=300)
    @given(islands())
    def run(graph: Graph) -> None:
        nonlocal fired
        stats, after = check_pass(Layouts(), graph, np.random.default_rng(0))
        assert moved_bytes(after) <= moved_bytes(graph)
        assert len(of_kind(after, "Transpose")) <= len(of_kind(graph, "Transpose"))
        fired += sum(n for note, n in stats.notes.items() if "laid out anew" in note)

    run()
    assert fired >= 100, fired


NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
LONELY = {"the Transpose meets no other that would cancel it"}


def start(*shape: int | str | None, opset: int = 17, dtype: type = np.float32) -> tuple[Any, Value]:
    return new_graph(shape or (2, 3, 4, 5), opset, dtype, sizes={"n": 2, "h": 4, "w": 5})


def applied(graph: Graph, *, run: bool = True) -> tuple[Stats, Graph]:
    """Proved, and compared in the runtime; or proved alone."""
    if run:
        return check_pass(Layouts(), graph, np.random.default_rng(0), ({}, {"h": 7, "w": 3}))
    stats = Layouts().run(graph, Context(prove=prove))
    graph.verify()
    return stats, graph


def noise(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("dims", [(2, 3, 4, 5), ("n", 3, "h", "w")])
def test_an_island_is_laid_out_anew(dtype: type, dims: tuple[int | str, ...]) -> None:
    build, x = start(*dims, dtype=dtype)
    y = build.op("Relu", (build.transpose(x, NHWC),))
    y = build.op("Mul", (y, build.constant(noise(3, dtype=dtype))))
    stats, after = applied(finished(build, build.transpose(y, NCHW)))
    assert stats.applied == 1
    assert not of_kind(after, "Transpose")
    (mul,) = of_kind(after, "Mul")
    assert mul.operands[1].shape == (1, 3, 1, 1)
    assert mul.operands[1].dtype == dtype


def test_nothing_of_the_sizes_needs_to_be_known() -> None:
    build, x = start(None, None, None, None)
    y = build.op("Relu", (build.transpose(x, NHWC),))
    graph = finished(build, build.transpose(y, NCHW))
    assert Layouts().run(graph).applied == 1
    assert not of_kind(graph, "Transpose")


def test_without_sizes_no_transpose_is_added() -> None:
    build, x = start(None, None, None, None)
    y = build.slice(build.transpose(x, NHWC), [3], [0], [1])
    graph = finished(build, build.op("Relu", (y,)))
    stats = Layouts().run(graph)
    assert not stats.applied
    assert set(stats.declined) == LONELY


def test_a_transpose_moves_behind_a_slice() -> None:
    build, x = start()
    y = build.slice(build.transpose(x, NHWC), [3], [0], [2])
    stats, after = applied(finished(build, y))
    assert stats.applied == 1
    assert moved_bytes(after) == 2 * 4 * 5 * 2 * 4


def other_domain() -> Graph:
    build, x = start()
    y = build.transpose(x, NHWC)
    op = build.graph.add("Relu", (y,), types=(y.type,), domain="custom")
    return finished(build, build.transpose(op.result, NCHW))


def captured() -> Graph:
    build, x = start()
    y = build.transpose(x, NHWC)
    op = build.graph.add("Relu", (y, y), types=(y.type,), captures=("y",))
    return finished(build, build.transpose(op.result, NCHW))


def axis_bound() -> Graph:
    build, x = start()
    y = build.op("LRN", (build.transpose(x, NHWC),), {"size": 3}, type_=TYPE)
    return finished(build, build.transpose(y, NCHW))


def elements_normalised() -> Graph:
    """Before opset 9 a BatchNormalization may have a value for every element."""
    build, x = start(opset=8)
    parameters = [build.constant(np.abs(noise(3, 5, 4)) + 1) for _ in range(4)]
    y = build.transpose(x, (0, 1, 3, 2))
    z = build.op("BatchNormalization", (y, *parameters), {"spatial": 0})
    return finished(build, build.transpose(z, (0, 1, 3, 2)))


def channels_normalised() -> Graph:
    build, x = start()
    parameters = [build.constant(np.abs(noise(4)) + 1) for _ in range(4)]
    y = build.op("BatchNormalization", (build.transpose(x, NHWC), *parameters), type_=TYPE)
    return finished(build, build.transpose(y, NCHW))


def softmax(opset: int, axis: int) -> Graph:
    build, x = start(opset=opset)
    y = build.op("Softmax", (build.transpose(x, NHWC),), {"axis": axis})
    return finished(build, build.transpose(y, NCHW))


def lower_rank() -> Graph:
    build, x = start()
    other = build.graph.add_input("z", TensorType(np.dtype(np.float32), (3,)))
    y = build.add(build.transpose(x, NHWC), other)
    return finished(build, build.transpose(y, NCHW))


def one_large_for_small_ones() -> Graph:
    """A single channel is transposed for nothing, so three small ones would move fewer bytes."""
    build, x = start(1, 1, 900, 800)
    two = TensorType(np.dtype(np.float32), (1, 2, 900, 800))
    parts = [build.graph.add_input(name, two) for name in "abc"]
    return finished(build, build.transpose(build.concat([x, *parts], 1), NHWC))


TYPE = TensorType(np.dtype(np.float32), (2, 4, 5, 3))


@pytest.mark.parametrize(
    "make",
    [
        other_domain,
        captured,
        axis_bound,
        channels_normalised,
        elements_normalised,
        lambda: softmax(12, 3),
        lambda: softmax(12, 1),
        lower_rank,
        one_large_for_small_ones,
    ],
)
def test_declines(make: Callable[[], Graph]) -> None:
    graph = make()
    before = len(of_kind(graph, "Transpose"))
    stats = Layouts().run(graph)
    assert not stats.applied
    assert set(stats.declined) <= LONELY
    assert len(of_kind(graph, "Transpose")) == before


@pytest.mark.parametrize(("opset", "axis", "fires"), [(13, 3, 1), (13, 1, 1), (12, 3, 0)])
def test_softmax(opset: int, axis: int, fires: int) -> None:
    stats, _ = applied(softmax(opset, axis))
    assert stats.applied == fires


def test_a_transpose_with_other_users_stays_for_them() -> None:
    build, x = start()
    y = build.transpose(x, NHWC)
    back = build.transpose(build.op("Relu", (y,)), NCHW)
    stats, after = applied(finished(build, back, build.op("Sigmoid", (y,))))
    assert stats.applied == 1
    assert len(of_kind(after, "Transpose")) == 1


def test_a_value_from_the_middle_is_transposed_for_its_users() -> None:
    build, x = start()
    y = build.op("Relu", (build.transpose(x, NHWC),))
    back = build.transpose(build.op("Neg", (y,)), NCHW)
    stats, after = applied(finished(build, back, y))
    assert stats.applied == 1
    (left,) = of_kind(after, "Transpose")
    assert after.outputs[1] is left.result


def test_several_entries_and_exits() -> None:
    build, x = start()
    z = build.graph.add_input("z", x.type)
    one, other = build.transpose(x, NHWC), build.transpose(z, NHWC)
    both = build.concat([build.op("Relu", (one,)), other], 3)
    halves = [build.slice(both, [3], [first], [first + 3]) for first in (0, 3)]
    total = build.add(*halves)
    stats, after = applied(
        finished(build, build.transpose(total, NCHW), build.transpose(both, NCHW))
    )
    assert stats.applied == 1
    assert not of_kind(after, "Transpose")


def test_an_entry_without_transpose_is_given_one_where_that_pays() -> None:
    build, x = start()
    z = build.graph.add_input("z", TensorType(np.dtype(np.float32), (2, 4, 5, 1)))
    y = build.add(build.transpose(x, NHWC), build.op("Tanh", (z,)))
    stats, after = applied(finished(build, build.transpose(y, NCHW)))
    assert stats.applied == 1
    assert not of_kind(after, "Transpose")
    assert len(of_kind(after, "Reshape")) == 1


def test_two_transposes_that_are_no_inverses_become_one() -> None:
    """What the Reshape joins is apart in the first layout, so it is entered by another order."""
    build, x = start()
    y = build.reshape(build.transpose(x, (1, 3, 0, 2)), (3, 5, 8))
    stats, after = applied(finished(build, build.transpose(build.op("Relu", (y,)), (1, 0, 2))))
    assert stats.applied == 1
    (left,) = of_kind(after, "Transpose")
    assert left.attributes["perm"] == (3, 1, 0, 2)


def test_axes_of_size_one_move_by_a_reshape() -> None:
    build, x = start("n", 1, 4, 5)
    stats, after = applied(finished(build, build.transpose(x, NHWC)))
    assert stats.applied == 1
    assert [op.operands[1].array.tolist() for op in of_kind(after, "Reshape")] == [[0, 4, 5, 1]]


def test_a_reshape_takes_the_transpose_in_at_any_size() -> None:
    build, x = start("n", 1, "h", "w")
    y = build.reshape(build.transpose(x, NHWC), (-1, 1))
    stats, after = applied(finished(build, y))
    assert stats.applied == 1
    assert not of_kind(after, "Transpose")
    build, x = start("n", 1, "h", "w")
    y = build.reshape(build.transpose(x, NHWC), (0, 0, -1))
    stats = Layouts().run(finished(build, y))
    assert not stats.applied
    assert "the Reshape behind the Transpose copies a dim whose size is not known" in stats.declined


def flattened(kind: str, perm: Sequence[int] = NHWC, **how: Any) -> Graph:
    build, x = start(*how.pop("dims", ("n", 3, 4, 5)))
    y = build.transpose(x, perm)
    if how.pop("flatten", False):
        flat = build.op("Flatten", (y,))
    else:
        flat = build.reshape(y, how.pop("target", (-1, 60)))
    shape = (7, 60) if how.get("transB") else (60, 7)
    weight = build.constant(noise(*shape))
    if how.pop("fed", False):
        weight = build.graph.add_input("w", weight.type)
    extra = {"y": y, "flat": flat, "": None}[how.pop("output", "")]
    results = [build.op(kind, (flat, weight), how)]
    if how.pop("shared", False):
        results = [build.op(kind, (flat, weight))]
        results.append(build.op(kind, (build.op("Relu", (flat,)), weight)))
    return finished(build, *results, *([] if extra is None else [extra]))


@pytest.mark.parametrize("perm", [NHWC, (0, 3, 2, 1), (0, 1, 3, 2)])
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("MatMul", {}),
        ("Gemm", {"transB": 1, "alpha": 0.5}),
        ("Gemm", {"flatten": True}),
        ("MatMul", {"dims": (2, 3, 4, 5), "flatten": True}),
    ],
)
def test_a_product_takes_the_transpose_in(kind: str, how: dict[str, Any], perm: Any) -> None:
    stats, after = applied(flattened(kind, perm, **how))
    assert dict(stats.notes) == {f"Transpose into the weights of the {kind}": 1}
    assert not of_kind(after, "Transpose")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"fed": True}, "the weights behind the flattened Transpose are not constant"),
        ({"output": "y"}, "the flattened Transpose has other users"),
        ({"output": "flat"}, "the flattened Transpose has other users"),
        ({"perm": (1, 0, 2, 3)}, "the Transpose moves axes that are not flattened"),
        ({"dims": (2, 3, "h", 5), "target": (2, -1)}, "the size is not known"),
    ],
)
def test_a_product_declines(how: dict[str, Any], reason: str) -> None:
    stats = Layouts().run(flattened("MatMul", **{"dims": (2, 3, 4, 5), **how}))
    assert not stats.applied
    assert reason in stats.declined


def test_shared_weights_of_a_product_stay() -> None:
    stats = Layouts().run(flattened("MatMul", shared=True))
    assert "the flattened Transpose has other users" in stats.declined


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("audio_basic_pitch_nmp", 21, 1),
        ("audio_gtcrn_simple", 61, 2),
        ("cls_mesonet", 2, 1),
        ("det_fastestdet", 15, 2),
        ("det_yunet_n_320", 12, 6),
        ("feat_xfeat_256x256", 65, 0),
        ("lowlight_agllnet_256x256", 3, 1),
        ("seg_deeplab_v3_1", 2, 2),
    ],
)
def test_real_models(shared: Path, name: str, before: int, after: int) -> None:
    graph = convc.load(shared / "models" / f"{name}.onnx")
    Simplify().run(graph)
    assert len(of_kind(graph, "Transpose")) == before
    Layouts().run(graph)
    graph.verify()
    assert len(of_kind(graph, "Transpose")) == after
