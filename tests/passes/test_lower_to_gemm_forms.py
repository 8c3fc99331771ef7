"""lower-to-gemm by hand: what each form looks like, and why a conv is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from convc.algebra import ConvGeometry, TransposeGeometry, geometry_of, to_matrix
from convc.graph import Graph
from convc.ir import Dim, TensorType
from convc.onnx_io import to_bytes
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from convc.reference import evaluate
from convc.rewrite import size_of
from passes.lower_to_gemm import LowerToGemm
from tests.helpers import check_pass, compare, random_feeds
from tests.strategies import finished, layer, new_graph, random_conv

RNG = np.random.default_rng(8)
SIZES = {"n": 2, "h": 9, "w": 7}
WIDE = (1, 4, 9, 7)
FLOAT = np.dtype(np.float32)


def conv(
    shape: Sequence[Dim] = WIDE,
    kernel: tuple[int, ...] = (3, 3),
    opset: int = 17,
    dtype: type = np.float32,
    *,
    bias: bool = True,
    **geometry: int,
) -> Graph:
    """A conv of four channels to six."""
    build, x = new_graph(shape, opset, dtype, sizes={k: v for k, v in SIZES.items() if k in shape})
    return finished(build, random_conv(build, x, 6, kernel, bias=bias, **geometry))


def transposed(shape: Sequence[Dim], strides: tuple[int, ...], *, bias: bool = True) -> Graph:
    build, x = new_graph(shape, sizes={k: v for k, v in SIZES.items() if k in shape})
    ndim = len(strides)
    none, ones = (0,) * ndim, (1,) * ndim
    geometry = TransposeGeometry((3,) * ndim, strides, ones, none, none, none)
    w = RNG.standard_normal((4, 6, *geometry.kernel))
    return finished(build, layer(build, x, geometry, w, np.arange(6.0) if bias else None))


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops() if op.array is None and not op.is_boundary]


def lowered(graph: Graph, *forms: str) -> Graph:
    """The graph with its conv lowered, proved and compared in onnxruntime at open sizes too."""
    more = {name: size + 3 for name, size in graph.sizes.items()}
    pass_ = LowerToGemm(forms) if forms else LowerToGemm()
    stats, after = check_pass(pass_, graph, RNG, ({}, more) if more else ({},))
    assert stats.applied == 1, stats.declined
    return after


def weights(graph: Graph) -> np.ndarray:
    (product,) = [op for op in graph.ops() if op.kind in ("MatMul", "Gemm")]
    array = product.operands[1 if product.kind == "Gemm" else 0].array
    assert array is not None
    return array


# -- what it looks like -------------------------------------------------------------------------


def test_pointwise_is_one_product() -> None:
    after = lowered(conv(kernel=(1, 1)))
    assert kinds(after) == ["Reshape", "MatMul", "Add", "Reshape"]
    assert kinds(lowered(conv(("n", 4, "w"), (1,), bias=False))) == ["MatMul"]


def test_strided_pointwise_slices_once() -> None:
    after = lowered(conv(kernel=(1, 1), strides=2, bias=False))
    assert kinds(after) == ["Slice", "Reshape", "MatMul", "Reshape"]


def test_columns_are_cut_axis_by_axis() -> None:
    after = lowered(conv(kernel=(3, 2), pads=1))
    slices = ["Slice"] * 2 + ["Concat"] + ["Slice"] * 3 + ["Concat"]
    tail = ["Reshape", "MatMul", "Add", "Reshape"]
    assert kinds(after) == ["Pad", "Unsqueeze", *slices, *tail]


def test_patches_are_a_reshape_and_a_transpose() -> None:
    after = lowered(conv((2, 4, 9, 6), strides=3))
    tail = ["Reshape", "MatMul", "Add", "Reshape"]
    assert kinds(after) == ["Reshape", "Transpose", *tail]
    cropped = lowered(conv((2, 4, 10, 7), strides=3))
    assert kinds(cropped) == ["Pad", "Reshape", "Transpose", *tail]


def test_full_extent_is_a_gemm_with_the_bias() -> None:
    after = lowered(conv(("n", 4, 3, 3)))
    assert kinds(after) == ["Flatten", "Gemm", "Reshape"]
    assert after.outputs[0].type == TensorType(FLOAT, ("n", 6, 1, 1))


def test_taps_in_the_padding_drop_out() -> None:
    graph = conv((1, 4, 1, 1), pads=1)
    after = lowered(graph)
    assert weights(after).shape == (6, 4)
    before = size_of(graph, graph.ops())
    assert before.macs == 9 * (size_of(after, after.ops()).macs or 0)
    by_count = Pipeline.parse("choose(lower-to-gemm)").run(graph)
    assert by_count[0].stats.applied == 1, "that pays by any count"


def test_products_are_those_of_the_conv() -> None:
    for graph in (conv(pads=1), conv(kernel=(1, 1)), conv((1, 4, 9, 6), strides=3)):
        after = lowered(graph)
        assert size_of(after, after.ops()).macs == size_of(graph, graph.ops()).macs
        assert size_of(after, after.ops()).params >= size_of(graph, graph.ops()).params


@pytest.mark.parametrize("group", [1, 2])
def test_weights_are_the_matrix_of_the_algebra(group: int) -> None:
    graph = conv(pads=1, group=group)
    w = next(op.operands[1].array for op in graph.ops() if op.kind == "Conv")
    assert w is not None
    matrix = to_matrix(w, geometry_of(w, pads=1, group=group)).astype(np.float32)
    after = weights(lowered(graph, "columns"))
    assert after.shape == ((6, 36) if group == 1 else (2, 3, 18))
    np.testing.assert_array_equal(after.reshape(matrix.shape), matrix)


def test_the_gemm_has_a_row_of_the_toeplitz_matrix() -> None:
    graph = conv((1, 4, 2, 3), (4, 5), pads=1)
    w = next(op.operands[1].array for op in graph.ops() if op.kind == "Conv")
    assert w is not None
    matrix = to_matrix(w, geometry_of(w, pads=1), (2, 3)).astype(np.float32)
    np.testing.assert_array_equal(weights(lowered(graph)), matrix)


def test_depthwise_is_a_batch_of_products() -> None:
    build, x = new_graph(("n", 4, "h", "w"), sizes=SIZES)
    graph = finished(build, random_conv(build, x, 4, (3, 3), pads=1, group=4))
    assert weights(lowered(graph)).shape == (4, 1, 9)


@pytest.mark.parametrize(("opset", "slices"), [(11, 1), (15, 0), (21, 0)])
def test_two_open_sizes_come_back_from_a_shape(opset: int, slices: int) -> None:
    after = Counter(kinds(lowered(conv(("n", 4, "h", "w"), (1, 1), opset))))
    assert after["Shape"] == after["Concat"] == 1
    assert after["Slice"] == slices
    one_open = Counter(kinds(lowered(conv(("n", 4, "h", 7), (1, 1), opset))))
    assert one_open["Shape"] == 0


def test_a_rank_that_is_not_known_is_no_obstacle() -> None:
    graph = conv(pads=1)
    open_rank = graph.clone()
    open_rank.inputs[0].type = TensorType(FLOAT, None)
    (op,) = [op for op in open_rank.ops() if op.kind == "Conv"]
    op.result.type = TensorType(FLOAT, None)
    after = open_rank.clone()
    assert LowerToGemm().run(after).applied == 1
    feeds = random_feeds(graph, RNG)
    compare(to_bytes(open_rank), to_bytes(after), evaluate(graph, feeds), feeds)


def test_before_opset_7_the_bias_is_a_column() -> None:
    after = lowered(conv(("n", 4, 9, 7), pads=1, opset=6))
    assert "Add" not in kinds(after)
    assert weights(after).shape == (6, 37)
    assert kinds(lowered(conv((2, 4, 3, 3), opset=6)))[-3:] == ["Pad", "MatMul", "Reshape"]
    assert kinds(lowered(conv((2, 4, 3), (3,), 6, bias=False))) == ["Reshape", "MatMul"]


def test_before_opset_10_a_stride_is_a_gather() -> None:
    after = Counter(kinds(lowered(conv(opset=9, strides=2))))
    assert after["Gather"] == 6
    assert after["Slice"] == 0


def test_before_opset_10_a_stride_over_an_open_size_is_a_pool_of_one_sample() -> None:
    after = Counter(kinds(lowered(conv((1, 4, "h", 7), opset=9, strides=2))))
    assert after["AveragePool"] == after["Gather"] == 3
    after = Counter(kinds(lowered(conv(("n", 4, "h", "w"), (1, 1), 8, strides=2))))
    assert after["AveragePool"] == 2


def test_before_opset_11_a_gemm_has_a_bias() -> None:
    (gemm,) = [
        op for op in lowered(conv((1, 4, 3, 3), opset=9, bias=False)).ops() if op.kind == "Gemm"
    ]
    assert gemm.operands[2] is not None
    assert not gemm.operands[2].array.any()


def test_two_by_two_at_stride_two_is_one_pointwise_product() -> None:
    build, x = new_graph(("n", 4, "h", "w"), sizes=SIZES)
    geometry = TransposeGeometry((2, 2), (2, 2), (1, 1), (0, 0), (0, 0), (0, 0))
    graph = finished(build, layer(build, x, geometry, RNG.standard_normal((4, 6, 2, 2))))
    after = lowered(graph)
    assert weights(after).shape == (24, 4)
    shaped = ["Reshape", "MatMul", "Shape", "Concat", "Reshape"]
    assert sorted(kinds(after)) == sorted([*shaped, "DepthToSpace"])


def test_a_transposed_conv_of_stride_one_is_a_conv() -> None:
    after = lowered(transposed(("n", 4, "h", "w"), (1, 1)), "columns")
    assert "DepthToSpace" not in kinds(after)
    assert weights(after).shape == (6, 36)


def test_transposed_with_open_sizes() -> None:
    after = kinds(lowered(transposed(("n", 4, "h", "w"), (2, 2))))
    assert after[-2:] == ["DepthToSpace", "Pad"]
    assert kinds(lowered(transposed(("n", 4, "h", 7), (2, 3), bias=False)))[-1] == "Pad"


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_kept(dtype: type) -> None:
    for graph in (conv(dtype=dtype), conv((1, 4, 3, 3), dtype=dtype)):
        after = graph.clone()
        assert LowerToGemm().run(after, Context(prove=prove)).applied == 1
        assert weights(after).dtype == np.dtype(dtype)
        assert after.outputs[0].type == graph.outputs[0].type
        feeds = random_feeds(graph, RNG)
        # onnxruntime has no Conv in float64, but it has a MatMul.
        first = after if dtype == np.float64 else graph
        compare(to_bytes(first), to_bytes(after), evaluate(graph, feeds), feeds)


def test_several_users_and_a_result_from_the_middle() -> None:
    build, x = new_graph((1, 4, 9, 7))
    y = random_conv(build, x, 6, (3, 3))
    relu = build.op("Relu", (y,))
    graph = finished(build, build.add(relu, y), y)
    after = lowered(graph)
    assert after.output_names == graph.output_names
    assert Counter(kinds(after))["Relu"] == 1


def test_the_conv_passes_its_name_on() -> None:
    build, x = new_graph(WIDE)
    w = RNG.standard_normal((6, 4, 3, 3))
    after = lowered(finished(build, layer(build, x, geometry_of(w), w, name="stem")))
    last = after.outputs[0].op
    assert (last.kind, last.name) == ("Reshape", "stem")


# -- which one ----------------------------------------------------------------------------------


def test_forms_compete() -> None:
    graph = conv((1, 4, 3, 3), strides=3)
    notes = [rewrite.note for rewrite in LowerToGemm().propose(graph)]
    assert notes == [
        "Conv 3×3 of full extent → Gemm",
        "Conv 3×3 → tiles and MatMul",
        "Conv 3×3 → columns and MatMul",
    ]
    pointwise = [rewrite.note for rewrite in LowerToGemm().propose(conv((1, 4, 1, 1), (1, 1)))]
    assert pointwise == ["Conv 1×1 → MatMul", "Conv 1×1 of full extent → Gemm"]
    assert kinds(lowered(graph, "columns", "full"))[0] == "Unsqueeze"


def test_forms_are_named_in_the_text() -> None:
    text = "lower-to-gemm{forms=columns,pointwise}"
    pipeline = Pipeline.parse(text)
    assert str(pipeline) == text
    assert [rule.name for rule in pipeline.passes[0].rules()] == [
        "lower_columns",
        "lower_pointwise",
    ]


# -- conditions ---------------------------------------------------------------------------------


def fed(index: int, kind: str = "Conv", strides: tuple[int, ...] = (1, 1)) -> Graph:
    """A conv whose weights or biases are an input."""
    build, x = new_graph(WIDE)
    operands = [x, build.constant(np.ones((6, 4, 3, 3), np.float32)), build.constant(np.ones(6))]
    if kind == "ConvTranspose":
        operands[1] = build.constant(np.ones((4, 6, 3, 3), np.float32))
    shape = operands[index].shape
    operands[index] = build.graph.add_input("fed", TensorType(FLOAT, shape))
    return finished(build, build.op(kind, operands, {"strides": strides}))


def whole_numbers() -> Graph:
    build, x = new_graph(WIDE)
    w = build.constant(np.ones((6, 4, 3, 3), np.int32))
    return finished(build, build.op("Conv", (x, w)))


def pads_by_an_open_size() -> Graph:
    build, x = new_graph((1, 4, "h", 7), sizes={"h": 9})
    w = build.constant(np.ones((6, 4, 3, 3), np.float32))
    attributes = {"strides": (2, 2), "auto_pad": "SAME_UPPER"}
    type_ = TensorType(FLOAT, (1, 6, "o", 4))
    return finished(build, build.op("Conv", (x, w), attributes, type_=type_))


def unknown_rank() -> Graph:
    graph = transposed((1, 4, 9, 7), (2, 2))
    graph.inputs[0].type = TensorType(FLOAT, None)
    return graph


NO_STEPS = "the size is not known, and before opset 10 a Slice has no steps"
DECLINES: list[tuple[Callable[[], Graph], str]] = [
    (lambda: fed(1), "the weights are not constant"),
    (lambda: fed(2), "the biases are not constant"),
    (whole_numbers, "the weights are not floating point"),
    (pads_by_an_open_size, "the geometry depends on an unknown size"),
    (lambda: conv((1, 4, 2, 7)), "the convs have no output at their size"),
    (lambda: conv((1, 4, "h", 5, 5), (3, 3, 3), 9, strides=2), NO_STEPS),
    (lambda: conv((1, 4, "h", 7), (1, 1), 6, strides=2), NO_STEPS),
    (lambda: fed(1, "ConvTranspose", (1, 1)), "the weights are not constant"),
    (lambda: fed(1, "ConvTranspose", (2, 2)), "the weights are not constant"),
    (unknown_rank, "the rank of what the ConvTranspose takes is unknown"),
    (
        lambda: transposed((1, 4, "h", "w"), (2, 3)),
        "the size is not known",
    ),
]


@pytest.mark.parametrize(("make", "reason"), DECLINES, ids=[reason for _, reason in DECLINES])
def test_declines(make: Callable[[], Graph], reason: str) -> None:
    graph = make()
    version = graph.version
    stats = LowerToGemm().run(graph)
    assert stats.declined == {reason: 1}
    assert graph.version == version


def test_patches_alone_need_the_size() -> None:
    graph = conv((1, 4, "h", 6), strides=3)
    assert LowerToGemm(("patches",)).run(graph).declined == {"the size is not known": 1}
    assert "Transpose" not in kinds(lowered(graph))


@pytest.mark.parametrize(
    ("graph", "forms"),
    [
        (conv(), ("pointwise", "patches", "full", "transposed")),
        (conv(kernel=(1, 1)), ("patches", "columns", "full")),
        (conv(strides=3, dilations=2), ("patches",)),
        (conv((1, 4, 4, 4), strides=2), ("full",)),
        (transposed(WIDE, (2, 2)), ("pointwise", "patches", "full", "columns")),
        (transposed(WIDE, (1, 1)), ("transposed",)),
    ],
)
def test_what_does_not_fit_is_left_without_a_word(graph: Graph, forms: tuple[str, ...]) -> None:
    stats = LowerToGemm(forms).run(graph.clone())
    assert (stats.applied, stats.declined) == (0, {})


def test_other_domains_are_left_alone() -> None:
    build, x = new_graph(WIDE)
    w = build.constant(np.ones((6, 4, 3, 3), np.float32))
    op = build.graph.add("Conv", (x, w), types=(x.type,), domain="other")
    assert LowerToGemm().run(finished(build, op.result)).applied == 0


def test_negative_pads_crop() -> None:
    """onnxruntime's Conv refuses them, but with auto_pad they occur."""
    build, x = new_graph(WIDE)
    w = RNG.standard_normal((6, 4, 3, 3))
    geometry = ConvGeometry((3, 3), (1, 1), (1, 1), (-1, 1), (2, -2))
    graph = finished(build, layer(build, x, geometry, w))
    assert LowerToGemm().run(graph.clone(), Context(prove=prove)).applied == 1


@pytest.mark.parametrize("geometry", [{}, {"strides": 3}, {"dilations": 2, "pads": 5}])
@pytest.mark.parametrize(("taps", "slices"), [(16, 16), (18, 3 + 6), (17, 17), (64, 8 + 8)])
def test_many_taps_are_cut_in_two_stages(taps: int, slices: int, geometry: dict[str, int]) -> None:
    build, x = new_graph(("n", 2, "l"), sizes={"n": 2, "l": 130})
    graph = finished(build, random_conv(build, x, 3, (taps,), **geometry))
    after = Counter(kinds(lowered(graph)))
    assert after["Slice"] == slices
    assert after["Concat"] == (2 if slices < taps else 1)
