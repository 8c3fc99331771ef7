"""Gradient rules, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.opset import OPS, Gradient, Work
from convc.opset.gradients.parts import NotKnownError, guarded, sizes, source, weights_of
from tests.opset.gradient_helpers import F16, F32, I64, Operand, built, gradient, ones

# -- products --------------------------------------------------------------------------------------


def test_gemm_by_hand() -> None:
    graph, op = built("Gemm", [(3, 4), ones(4, 5), ones(5)], (3, 5))
    found = gradient(graph, op, 0, 1, 2)
    assert found.input == Work(multiplications=60, additions=60 - 12)
    assert found.weight == Work(multiplications=60, additions=60 - 20)
    assert found.bias == Work(additions=15 - 5)
    assert found.keeps == (op.operand(0),)


def test_gemm_scales_and_transposes() -> None:
    graph, op = built(
        "Gemm", [(4, 3), ones(5, 4), ones(5)], (3, 5), transA=1, transB=1, alpha=0.5, beta=2.0
    )
    found = gradient(graph, op, 0, 1, 2)
    assert found.input == Work(multiplications=60 + 12, additions=48)
    assert found.weight == Work(multiplications=60 + 20, additions=40)
    assert found.bias == Work(multiplications=5, additions=10)
    assert (found.input_macs, found.weight_macs) == (60, 60)


def test_a_product_of_activations_keeps_both() -> None:
    graph, op = built("MatMul", [(2, 3, 4), (2, 4, 5)], (2, 3, 5))
    found = gradient(graph, op, 0, 1)
    assert (found.input_macs, found.weight_macs) == (2 * 120, 0)
    assert set(found.keeps) == set(op.operands)
    assert gradient(graph, op, 0).keeps == (op.operand(1),)


def test_a_broadcast_factor_is_summed_over_the_batch() -> None:
    graph, op = built("MatMul", [(7, 3, 4), ones(4, 5)], (7, 3, 5))
    assert gradient(graph, op, 1).weight == Work(multiplications=420, additions=420 - 20)
    graph, op = built("MatMul", [(4,), ones(4, 5)], (5,))
    assert gradient(graph, op, 0).input == Work(multiplications=20, additions=16)


# -- elementwise -----------------------------------------------------------------------------------

RESULT, OPERAND, NONE = "result", "operand", "none"
N = 24


@pytest.mark.parametrize(
    ("kind", "attributes", "wanted", "keeps"),
    [
        ("Relu", {}, Work(comparisons=N), RESULT),
        ("LeakyRelu", {"alpha": 0.2}, Work(multiplications=N, comparisons=N), RESULT),
        ("LeakyRelu", {"alpha": -0.2}, Work(multiplications=N, comparisons=N), OPERAND),
        ("Elu", {}, Work(multiplications=N, additions=N, comparisons=N), RESULT),
        ("Elu", {"alpha": -1.0}, Work(multiplications=N, additions=N, comparisons=N), OPERAND),
        ("Selu", {}, Work(multiplications=N, additions=N, comparisons=N), RESULT),
        ("Sigmoid", {}, Work(multiplications=2 * N, additions=N), RESULT),
        ("Tanh", {}, Work(multiplications=2 * N, additions=N), RESULT),
        ("Exp", {}, Work(multiplications=N), RESULT),
        ("Log", {}, Work(divisions=N), OPERAND),
        ("Sqrt", {}, Work(multiplications=N, divisions=N), RESULT),
        ("Reciprocal", {}, Work(multiplications=2 * N), RESULT),
        ("Abs", {}, Work(comparisons=N), OPERAND),
        ("Neg", {}, Work(additions=N), NONE),
        ("Identity", {}, Work(), NONE),
        ("Cast", {}, Work(), NONE),
        ("Floor", {}, Work(), NONE),
        ("HardSigmoid", {}, Work(multiplications=N, comparisons=2 * N), RESULT),
        ("HardSwish", {}, Work(multiplications=2 * N, additions=N, comparisons=2 * N), OPERAND),
        ("Softplus", {}, Work(multiplications=N, additions=N, functions=N), RESULT),
        ("Erf", {}, Work(multiplications=3 * N, functions=N), OPERAND),
        ("Mish", {}, Work(multiplications=4 * N, additions=3 * N, divisions=N, functions=3 * N),
         OPERAND),
        ("Gelu", {}, Work(multiplications=7 * N, additions=2 * N, functions=2 * N), OPERAND),
        ("Gelu", {"approximate": "tanh"},
         Work(multiplications=11 * N, additions=5 * N, functions=N), OPERAND),
        ("Clip", {"min": 0.0, "max": 6.0}, Work(comparisons=2 * N), RESULT),
        ("Clip", {"max": 6.0}, Work(comparisons=N), RESULT),
        ("Softmax", {}, Work(multiplications=2 * N, additions=2 * N - 6), RESULT),
        ("Softmax", {"axis": 1}, Work(multiplications=2 * N, additions=2 * N - 8), RESULT),
        ("LogSoftmax", {}, Work(multiplications=N, additions=2 * N - 6, functions=N), RESULT),
        ("Reshape", {}, Work(), NONE),
        ("Transpose", {}, Work(), NONE),
    ],
)  # fmt: skip
def test_one_operand(kind: str, attributes: Any, wanted: Work, keeps: str) -> None:
    graph, op = built(kind, [(2, 3, 4)], (2, 3, 4), **attributes)
    found = gradient(graph, op, 0)
    assert found == Gradient(
        input=wanted,
        keeps={RESULT: (op.result,), OPERAND: (op.operand(0),), NONE: ()}[keeps],
    )


def test_softmax_of_old_opsets_sums_over_all_axes_from_one() -> None:
    graph, op = built("Softmax", [(2, 3, 4)], (2, 3, 4), opset=11)
    assert gradient(graph, op, 0).input.additions == 2 * 24 - 2


def test_broadcasts_are_summed() -> None:
    graph, op = built("Add", [(2, 3, 4), (3, 1)], (2, 3, 4))
    assert gradient(graph, op, 0).input == Work()
    assert gradient(graph, op, 1).input == Work(additions=24 - 3)
    assert gradient(graph, op, 0, 1).keeps == ()
    graph, op = built("Mul", [(2, 3, 4), (3, 1)], (2, 3, 4))
    assert gradient(graph, op, 0) == Gradient(
        input=Work(multiplications=24),
        keeps=(op.operand(1),),
    )
    both = gradient(graph, op, 0, 1)
    assert both.input == Work(multiplications=48, additions=21)
    assert set(both.keeps) == set(op.operands)


def test_a_product_with_a_constant_keeps_nothing() -> None:
    graph, op = built("Mul", [(2, 3, 4), ones(3, 1)], (2, 3, 4))
    assert gradient(graph, op, 0) == Gradient(input=Work(multiplications=24))


def test_the_constant_of_a_sum_is_a_bias() -> None:
    graph, op = built("Add", [(2, 3, 4), ones(4)], (2, 3, 4))
    assert gradient(graph, op, 1) == Gradient(bias=Work(additions=20))


def test_a_quotient() -> None:
    graph, op = built("Div", [(2, 3), (3,)], (2, 3))
    assert gradient(graph, op, 0) == Gradient(
        input=Work(divisions=6),
        keeps=(op.operand(1),),
    )
    both = gradient(graph, op, 0, 1)
    assert both.input == Work(multiplications=6, additions=3, divisions=6)
    assert set(both.keeps) == {op.operand(1), op.result}


def test_powers() -> None:
    graph, op = built("Pow", [(2, 3), np.array(2, np.float32)], (2, 3))
    assert gradient(graph, op, 0) == Gradient(
        input=Work(multiplications=12),
        keeps=(op.operand(0),),
    )
    graph, op = built("Pow", [(2, 3), np.array(0.5, np.float32)], (2, 3))
    assert gradient(graph, op, 0).input == Work(multiplications=12, functions=6)
    graph, op = built("Pow", [(2, 3), ()], (2, 3))
    both = gradient(graph, op, 0, 1)
    assert both.input == Work(multiplications=24, additions=6 + 5, functions=12)
    assert set(both.keeps) == {*op.operands, op.result}


def test_extrema_selections_and_means() -> None:
    graph, op = built("Max", [(2, 3), (2, 3), ones(1)], (2, 3))
    found = gradient(graph, op, 0, 1)
    assert found.input == Work(comparisons=12)
    assert set(found.keeps) == set(op.operands[:2])
    graph, op = built("Where", [(2, 3), (2, 3), (3,)], (2, 3))
    found = gradient(graph, op, 1, 2)
    assert found.input == Work(comparisons=12, additions=3)
    assert found.keeps == (op.operand(0),)
    graph, op = built("Mean", [(2, 3), (2, 3)], (2, 3))
    assert gradient(graph, op, 0, 1).input == Work(divisions=6)


def test_prelu() -> None:
    graph, op = built("PRelu", [(2, 3, 4), ones(3, 1)], (2, 3, 4))
    found = gradient(graph, op, 0, 1)
    assert found.input == Work(multiplications=24, comparisons=24)
    assert found.weight == Work(multiplications=24, comparisons=24, additions=21)
    assert found.keeps == (op.operand(0),)


def test_a_bound_that_is_computed_gets_the_sum_of_what_it_cuts_off() -> None:
    graph, op = built("Clip", [(2, 3), ()], (2, 3))
    found = gradient(graph, op, 0, 1)
    assert found.input == Work(comparisons=6, additions=5)
    assert set(found.keeps) == {op.result, op.operand(1)}


def test_dropout_keeps_a_mask_unless_it_drops_nothing() -> None:
    graph, op = built("Dropout", [(2, 3)], (2, 3), opset=10, ratio=0.3)
    assert gradient(graph, op, 0) == Gradient(input=Work(multiplications=6), keeps_bytes=6)
    graph, op = built("Dropout", [(2, 3), np.array(0, np.float32)], (2, 3))
    assert gradient(graph, op, 0) == Gradient()


# -- movement, pools, resampling -------------------------------------------------------------------


def test_a_max_pool_keeps_an_index_for_each_result() -> None:
    graph, op = built("MaxPool", [(2, 3, 4, 4)], (2, 3, 2, 2), kernel_shape=(2, 2), strides=(2, 2))
    assert gradient(graph, op, 0) == Gradient(keeps_bytes=8 * 24)
    graph, op = built("MaxPool", [(2, 3, 4, 4)], (2, 3, 3, 3), kernel_shape=(2, 2))
    assert gradient(graph, op, 0) == Gradient(input=Work(additions=54), keeps_bytes=8 * 54)


def test_an_average_pool_adds_where_windows_overlap() -> None:
    graph, op = built("AveragePool", [(1, 2, 4)], (1, 2, 2), kernel_shape=(2,), strides=(2,))
    assert gradient(graph, op, 0) == Gradient(input=Work(divisions=4))
    # 4 windows of 3 on 4 inputs and 2 zeros: 12 products into 6 sums, 10 of them into 4 inside.
    graph, op = built("AveragePool", [(1, 2, 4)], (1, 2, 4), kernel_shape=(3,), pads=(1, 1))
    assert gradient(graph, op, 0).input == Work(
        divisions=8, additions=2 * (12 - 6), padded_additions=2 * (12 - 6 - (10 - 4))
    )


def test_global_pools_and_reductions() -> None:
    graph, op = built("GlobalAveragePool", [(2, 3, 4, 4)], (2, 3, 1, 1))
    assert gradient(graph, op, 0) == Gradient(input=Work(divisions=6))
    graph, op = built("GlobalMaxPool", [(2, 3, 4, 4)], (2, 3, 1, 1))
    assert gradient(graph, op, 0) == Gradient(keeps_bytes=48)
    graph, op = built("ReduceMean", [(2, 3, 4)], (2, 3, 1), axes=(2,))
    assert gradient(graph, op, 0) == Gradient(input=Work(divisions=6))
    graph, op = built("ReduceSum", [(2, 3, 4)], (2, 3, 1))
    assert gradient(graph, op, 0) == Gradient()
    graph, op = built("ReduceMax", [(2, 3, 4)], (2, 3, 1))
    found = gradient(graph, op, 0)
    assert found.input == Work(comparisons=24)
    assert set(found.keeps) == {op.operand(0), op.result}


@pytest.mark.parametrize(
    ("mode", "size", "wanted"),
    [
        ("nearest", 8, Work(additions=8 * 8 - 16)),
        ("nearest", 2, Work()),
        ("linear", 8, Work(multiplications=4 * 64, additions=4 * 64 - 16)),
        ("cubic", 8, Work(multiplications=16 * 64, additions=16 * 64 - 16)),
        ("linear", 4, Work()),
    ],
)
def test_resize(mode: str, size: int, wanted: Work) -> None:
    graph, op = built("Resize", [(1, 1, 4, 4)], (1, 1, size, size), mode=mode)
    assert gradient(graph, op, 0).input == wanted


def test_copies_that_overlap() -> None:
    graph, op = built("Expand", [(1, 3), np.array([4, 3])], (4, 3))
    assert gradient(graph, op, 0).input == Work(additions=9)
    graph, op = built("Tile", [(2, 3), np.array([2, 2])], (4, 6))
    assert gradient(graph, op, 0).input == Work(additions=18)
    pads = np.array([0, 1, 0, 2])
    graph, op = built("Pad", [(2, 3), pads], (2, 6), mode="reflect")
    assert gradient(graph, op, 0).input == Work(additions=6)
    graph, op = built("Pad", [(2, 3), np.array([0, -1, 0, 2])], (2, 4), mode="edge")
    assert gradient(graph, op, 0).input == Work(additions=8 - 4)
    graph, op = built("Pad", [(2, 3), pads], (2, 6))
    assert gradient(graph, op, 0) == Gradient()


def test_gather_adds_what_is_gathered_twice() -> None:
    graph, op = built("Gather", [(5, 3), np.array([0, 2, -5])], (3, 3), axis=0)
    assert gradient(graph, op, 0) == Gradient(input=Work(additions=9 - 6))
    graph, op = built("Gather", [(5, 3), np.array([1])], (5, 1), axis=-1)
    assert gradient(graph, op, 0) == Gradient()
    graph, op = built("Gather", [(5, 3), ("N",)], (2, 3), axis=0)
    assert gradient(graph, op, 0) == Gradient(
        input=Work(additions=6),
        keeps=(op.operand(1),),
    )


# -- normalisation ---------------------------------------------------------------------------------


def test_batch_normalization_in_training_form() -> None:
    """n = 2·3·4 elements, C = 3: the sums with dβ and dγ, the rest with dX."""
    weights = [ones(3) for _ in range(4)]
    graph, op = built("BatchNormalization", [(2, 3, 4), *weights], (2, 3, 4))
    found = gradient(graph, op, 0, 1, 2)
    assert found.bias == Work(additions=24 - 3)
    assert found.weight == Work(multiplications=48, additions=48 - 3)
    assert found.input == Work(multiplications=48 + 3, additions=48, divisions=6)
    assert found.keeps == (op.operand(0),)
    assert found.keeps_bytes == 2 * 3 * 4
    # Where dγ and dβ are not asked for, dX needs their sums all the same.
    assert gradient(graph, op, 0).work == found.work
    assert gradient(graph, op, 2).keeps == ()
    half, op = built("BatchNormalization", [(2, 3, 4), *weights], (2, 3, 4), dtype=F16)
    assert gradient(half, op, 0).keeps_bytes == 2 * 3 * 2


def test_instance_normalization_has_a_mean_per_map() -> None:
    graph, op = built("InstanceNormalization", [(2, 3, 4), ones(3), ones(3)], (2, 3, 4))
    found = gradient(graph, op, 0, 1, 2)
    assert found.bias == Work(additions=(24 - 6) + (6 - 3))
    assert found.weight == Work(multiplications=48, additions=48 - 6 + 3)
    assert found.input == Work(multiplications=48 + 6, additions=48, divisions=12)
    assert found.keeps_bytes == 2 * 6 * 4


def test_layer_and_group_normalization() -> None:
    graph, op = built("LayerNormalization", [(2, 3, 4), ones(4), ones(4)], (2, 3, 4))
    found = gradient(graph, op, 0, 1, 2)
    assert found.input == Work(multiplications=5 * 24, additions=5 * 24 - 12, divisions=12)
    assert found.weight == Work(multiplications=24, additions=20)
    assert found.bias == Work(additions=20)
    assert found.keeps_bytes == 2 * 6 * 4
    graph, op = built("GroupNormalization", [(2, 4, 5), ones(4), ones(4)], (2, 4, 5), num_groups=2)
    found = gradient(graph, op, 1)
    assert found.weight == Work(multiplications=80, additions=40 + 36)
    assert found.keeps_bytes == 2 * 4 * 4


# -- recurrence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "gates", "states", "each", "attributes"),
    [
        ("RNN", 1, 1, Work(multiplications=2, additions=2), {}),
        ("GRU", 3, 4, Work(multiplications=11, additions=6), {}),
        ("GRU", 3, 5, Work(multiplications=11, additions=6), {"linear_before_reset": 1}),
        ("LSTM", 4, 6, Work(multiplications=16, additions=7, functions=1), {}),
    ],
)
def test_recurrence(kind: str, gates: int, states: int, each: Work, attributes: Any) -> None:
    steps, batch, inputs, units, directions = 5, 2, 3, 4, 2
    rows = gates * units
    graph, op = built(
        kind,
        [
            (steps, batch, inputs),
            ones(directions, rows, inputs),
            ones(directions, rows, units),
            ones(directions, 2 * rows),
        ],
        (steps, directions, batch, units),
        hidden_size=units,
        direction="bidirectional",
        **attributes,
    )
    vectors = directions * steps * batch
    outer, inner = vectors * rows * inputs, vectors * rows * units
    found = gradient(graph, op, 0, 1, 2, 3)
    assert (found.input_macs, found.weight_macs) == (outer + inner, outer + inner)
    assert found.input == each.times(vectors * units) + Work(
        multiplications=outer + inner,
        additions=outer - steps * batch * inputs + inner - vectors * units,
    )
    assert found.weight.additions == outer + inner - directions * rows * (inputs + units)
    parts = gates + attributes.get("linear_before_reset", 0)
    assert found.bias == Work(additions=(vectors - directions) * units * parts)
    assert found.keeps == (op.operand(0),)
    assert found.keeps_bytes == 4 * vectors * units * states
    # Weights alone: the states go backward all the same, the input does not.
    assert gradient(graph, op, 1, 2).input_macs == inner


def test_recurrence_with_other_functions_is_not_known() -> None:
    operands: list[Operand] = [(5, 2, 3), ones(1, 4, 3), ones(1, 4, 4)]
    graph, op = built("RNN", operands, (5, 1, 2, 4), activations=("Relu",))
    rule = OPS["RNN"].gradient
    assert rule is not None
    assert rule(graph, op, frozenset({1})) is None


# -- what all share --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "operands", "result", "attributes"),
    [
        ("Conv", [(1, 3, None, 8), ones(4, 3, 3, 3)], (1, 4, None, 6), {}),
        ("Conv", [(1, 3, 8, 8), ones(4, 3, 3, 3)], None, {}),
        ("MatMul", [(3, None), ones(4, 5)], None, {}),
        ("Relu", [None], None, {}),
        ("Add", [("K", 3), (3,)], ("K", 3), {}),
        ("ScatterND", [(4,), (1, 1), (1,)], (4,), {"reduction": "mul"}),
        ("Resize", [(1, 1, 4, 4)], (1, 1, 8, 8), {"mode": "linear", "antialias": 1}),
    ],
)
def test_what_is_not_known_is_none(
    kind: str, operands: list[Operand], result: Any, attributes: Any
) -> None:
    graph, op = built(kind, operands, result, **attributes)
    rule = OPS[kind].gradient
    assert rule is not None
    assert rule(graph, op, frozenset({0})) is None


ZERO: list[tuple[str, list[Operand], tuple[int, ...], dict[str, Any]]] = [
    ("Conv", [(0, 3, 8, 8), ones(4, 3, 3, 3), ones(4)], (0, 4, 6, 6), {}),
    ("ConvTranspose", [(0, 3, 8), ones(3, 4, 3), ones(4)], (0, 4, 10), {}),
    ("Gemm", [(0, 4), ones(4, 5), ones(5)], (0, 5), {}),
    ("MatMul", [(0, 4), ones(4, 5)], (0, 5), {}),
    ("Add", [(0, 3), (3,)], (0, 3), {}),
    ("BatchNormalization", [(0, 3, 4), *(ones(3) for _ in range(4))], (0, 3, 4), {}),
    ("LayerNormalization", [(0, 4), ones(4), ones(4)], (0, 4), {}),
    ("Softmax", [(2, 0)], (2, 0), {}),
    ("AveragePool", [(0, 3, 4)], (0, 3, 3), {"kernel_shape": (2,)}),
    ("MaxPool", [(0, 3, 4)], (0, 3, 3), {"kernel_shape": (2,)}),
    ("Resize", [(0, 1, 4)], (0, 1, 8), {"mode": "linear"}),
    ("Gather", [(0, 3), np.array([1])], (0, 1), {"axis": 1}),
]


@pytest.mark.parametrize(("kind", "operands", "result", "attributes"), ZERO)
def test_of_nothing_comes_nothing(
    kind: str, operands: list[Operand], result: tuple[int, ...], attributes: Any
) -> None:
    graph, op = built(kind, operands, result, **attributes)
    wanted = [i for i, v in enumerate(op.operands) if v is not None and v.dtype != I64][:3]
    found = gradient(graph, op, *wanted)
    assert found.work == Work()
    assert (found.macs, found.keeps_bytes) == (0, 0)


def test_scalars() -> None:
    graph, op = built("Mul", [(), ()], ())
    assert gradient(graph, op, 0, 1).input == Work(multiplications=2)
    graph, op = built("Softmax", [()], ())
    assert gradient(graph, op, 0).input == Work(multiplications=2, additions=1)


def test_what_is_kept_is_found_behind_views() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(F32, (2, 6)))
    flat = graph.add("Reshape", (x, None), types=[TensorType(F32, (12,))])
    same = graph.add("Identity", (flat.result,), types=[TensorType(F32, (12,))])
    kept = graph.add("Dropout", (same.result,), {"ratio": 0.5}, types=[TensorType(F32, (12,))])
    assert source(same.result) is x
    assert source(kept.result) is kept.result
    square = graph.add("Mul", (flat.result, same.result), types=[TensorType(F32, (12,))])
    assert gradient(graph, square, 0, 1).keeps == (x,)


def test_weights_are_weights_in_any_layout() -> None:
    graph = Graph()
    first, second = (graph.add_constant(ones(2, 3)) for _ in range(2))
    joined = graph.add("Concat", (first, second), {"axis": 0}).result
    turned = graph.add("Transpose", (joined,)).result
    assert weights_of(turned) == (second, first)
    x = graph.add_input("x", TensorType(F32, (2, 3)))
    assert weights_of(graph.add("Concat", (first, x)).result) == ()
    assert weights_of(graph.add("Relu", (first,)).result) == ()
    assert weights_of(graph.add_constant(np.array([1]))) == ()
    assert weights_of(None) == ()


def test_a_rule_that_does_not_know_says_none() -> None:
    def rule(graph: Graph, op: Op, _wanted: frozenset[int]) -> Gradient:
        sizes(graph, op.operand(0))
        return Gradient()

    graph, op = built("Relu", [(2, None)], (2, None))
    assert guarded(rule)(graph, op, frozenset({0})) is None
    with pytest.raises(NotKnownError):
        rule(graph, op, frozenset({0}))


KINDS = [
    "Conv", "Relu", "Add", "Mul", "Transpose", "Unsqueeze", "Concat", "Reshape", "Slice",
    "Sigmoid", "BatchNormalization", "Clip", "Gather", "Pad", "Div", "Cast", "Sub", "MaxPool",
    "ConvTranspose", "Resize", "PRelu", "Expand", "LeakyRelu", "ReduceMean", "AveragePool",
    "Max", "ScatterND", "HardSigmoid", "Pow", "MatMul", "GRU", "GlobalAveragePool", "ReduceSum",
    "Squeeze", "Neg", "Sqrt", "Abs", "Where", "Elu", "Split", "ReduceMax", "Softmax",
    "ReduceMin", "Log", "Tanh", "Tile", "LSTM", "Upsample", "Exp", "InstanceNormalization",
    "Min", "DepthToSpace", "Gemm", "Identity", "Dropout", "Flatten", "SpaceToDepth", "Sum",
    "Mean", "HardSwish", "Softplus", "Erf", "Gelu", "Mish", "Selu", "LogSoftmax",
    "GlobalMaxPool", "LayerNormalization", "GroupNormalization", "Reciprocal", "Floor",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_has_a_rule(kind: str) -> None:
    assert OPS[kind].gradient is not None


def test_a_softmax_over_no_axis_has_no_gradient() -> None:
    for axis in (2, -3, -33554433):
        graph, op = built("Softmax", [(2, 3)], (2, 3), axis=axis)
        rule = OPS["Softmax"].gradient
        assert rule is not None
        assert rule(graph, op, frozenset({0})) is None
