"""The blocks that merge-branches is for, written by hand; opsets, dtypes, names and other users."""

from __future__ import annotations

from collections import Counter

import ml_dtypes
import numpy as np
import pytest

from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from convc.pipeline import Context, Pipeline
from convc.proof import prove
from convc.rewrite import Stats
from passes.merge_branches import MergeBranches
from tests.helpers import check_pass
from tests.strategies import finished, new_graph, random_conv

RNG = np.random.default_rng(3)
F32 = np.dtype(np.float32)


def kinds(graph: Graph) -> Counter[str]:
    return Counter(op.kind for op in graph.ops() if op.kind not in ("Input", "Constant", "Output"))


def merged(graph: Graph, **options: object) -> tuple[Stats, Graph]:
    return check_pass(MergeBranches(**options), graph, RNG)  # type: ignore[arg-type]


def the_conv(graph: Graph) -> tuple[tuple[int, ...], int]:
    """The shape of the kernel and the groups of the only conv."""
    (conv,) = [op for op in graph.ops() if op.kind == "Conv"]
    return conv.operands[1].shape, conv.attributes["group"]


def norm(build: Builder, x: Value, *, shift: bool = True) -> Value:
    count = x.shape[1]
    arrays = [RNG.standard_normal(count), *RNG.standard_normal((2, count)) * shift]
    arrays.append(RNG.uniform(0.3, 2, count))
    operands = [x, *(build.constant(array.astype(x.dtype)) for array in arrays)]
    return build.op("BatchNormalization", operands, type_=x.type)


def conv(build: Builder, x: Value, kernel: tuple[int, int], **more: int) -> Value:
    """A conv of as many channels, and its normalisation."""
    return norm(build, random_conv(build, x, x.shape[1], kernel, bias=False, **more))


# -- blocks ---------------------------------------------------------------------------------------


def test_repvgg() -> None:
    build, x = new_graph((2, 4, 9, 8))
    total = build.add(conv(build, x, (3, 3), pads=1), conv(build, x, (1, 1)))
    stats, after = merged(finished(build, build.add(norm(build, x), total)))
    assert stats.notes == {"scale + 3×3 + 1×1 → 3×3": 1}
    assert kinds(after) == {"Conv": 1}
    assert the_conv(after) == ((4, 4, 3, 3), 1)


def test_acnet() -> None:
    build, x = new_graph(("n", 4, "h", "w"), sizes={"n": 2, "h": 7, "w": 8})
    square = conv(build, x, (3, 3), pads=1, strides=2)
    row = conv(build, x, (1, 3), pads=(0, 1, 0, 1), strides=2)
    column = conv(build, x, (3, 1), pads=(1, 0, 1, 0), strides=2)
    total = build.op("Sum", (square, row, column), type_=square.type)
    stats, after = merged(finished(build, total))
    assert stats.notes == {"3×3 + 1×3 + 3×1 → 3×3": 1}
    assert kinds(after) == {"Conv": 1}
    assert the_conv(after) == ((4, 4, 3, 3), 1)


@pytest.mark.parametrize("early", [True, False])
def test_dbb_needs_the_padding_before_the_first_bias(early: bool) -> None:
    build, x = new_graph((1, 4, 9, 8))
    first = conv(build, x, (1, 1), pads=int(early))
    sequence = conv(build, first, (3, 3), pads=int(not early))
    pooled = conv(build, x, (1, 1), pads=int(early))
    attributes = {"kernel_shape": (3, 3), "count_include_pad": 1, "pads": (int(not early),) * 4}
    averaged = norm(build, build.op("AveragePool", (pooled,), attributes))
    total = build.add(conv(build, x, (3, 3), pads=1), conv(build, x, (1, 1)))
    total = build.add(build.add(total, sequence), averaged)
    stats, after = merged(finished(build, total), kinds=("sums",))
    if early:
        assert stats.notes == {"3×3 + 1×1 + 3×3 ∘ 1×1 + avg 3×3 ∘ 1×1 → 3×3": 1}
        assert kinds(after) == {"Conv": 1}
        return
    # What is exact becomes one; the two sequences stay, each behind its first normalisation.
    assert stats.notes == {"3×3 + 1×1 → 3×3": 1}
    assert kinds(after)["Conv"] == 4


def test_mobileone() -> None:
    build, x = new_graph((1, 6, 9, 8))
    branches = [conv(build, x, (3, 3), pads=1, group=6) for _ in range(4)]
    branches += [conv(build, x, (1, 1), group=6), norm(build, x)]
    total = branches[0]
    for branch in branches[1:]:
        total = build.add(total, branch)
    stats, after = merged(finished(build, total))
    assert stats.applied == 1
    assert kinds(after) == {"Conv": 1}
    assert the_conv(after) == ((6, 1, 3, 3), 6)


def test_a_conv_and_its_own_input() -> None:
    for group, columns in ((1, 4), (2, 2), (4, 1)):
        build, x = new_graph((1, 4, 9, 8))
        y = random_conv(build, x, 4, (5, 3), pads=(2, 1, 2, 1), group=group)
        stats, after = merged(finished(build, build.add(y, x)))
        assert stats.notes == {"5×3 + identity → 5×3": 1}
        assert the_conv(after) == ((4, columns, 5, 3), group)


def test_signs() -> None:
    # −(W₁x + b₁) − (W₂x + b₂) + c − x, with a constant taken away as well.
    build, x = new_graph((1, 4, 9, 8))
    y, z = (random_conv(build, x, 4, (k, k), pads=k // 2) for k in (3, 1))
    minus = build.op("Neg", (y,), type_=y.type)
    shift = [build.constant(RNG.standard_normal((4, 1, 1)).astype(F32)) for _ in range(2)]
    total = build.op("Sub", (build.op("Sub", (minus, z)), x))
    total = build.op("Sub", (build.add(shift[0], total), shift[1]))
    stats, after = merged(finished(build, total))
    assert stats.notes == {"3×3 + 1×1 + identity → 3×3": 1}
    assert kinds(after) == {"Conv": 1}


def test_fewer_groups_where_they_differ() -> None:
    build, x = new_graph((1, 12, 5, 6))
    y = random_conv(build, x, 12, (3, 3), pads=1, group=4)
    graph = finished(build, build.add(y, random_conv(build, x, 12, (1, 1), group=6)))
    _, after = merged(graph)
    assert the_conv(after) == ((12, 6, 3, 3), 2)


def test_a_depthwise_and_a_pointwise_conv_stay_unless_it_may_grow() -> None:
    build, x = new_graph((1, 8, 9, 8))
    y = random_conv(build, x, 8, (3, 3), pads=1, group=8)
    graph = finished(build, build.add(random_conv(build, y, 8, (1, 1)), x))
    stats, _ = merged(graph)
    assert stats.applied == 0
    stats, after = merged(graph, grow=True)
    assert stats.notes == {"1×1 ∘ 3×3 + identity → 3×3": 1}
    assert kinds(after) == {"Conv": 1}
    # What does not need the composition is merged nevertheless.
    build, x = new_graph((1, 8, 9, 8))
    y = random_conv(build, x, 8, (3, 3), pads=1, group=8)
    total = build.add(random_conv(build, y, 8, (1, 1)), random_conv(build, x, 8, (1, 1)))
    stats, after = merged(finished(build, build.add(total, x)))
    assert stats.notes == {"1×1 + identity → 1×1": 1, "sum of 2 1×1 → 1×1 on a Concat": 1}
    assert kinds(after) == {"Conv": 2, "Concat": 1}


def test_a_narrow_middle_and_a_wide_one_cost_as_they_do() -> None:
    # Products per output: 9·8·32 + 32·8 apart, 9·8·8 together; and 9·8·2 + 2·8 against 9·8·8.
    for middle, applied in ((32, 1), (2, 0)):
        build, x = new_graph((1, 8, 9, 8))
        y = random_conv(build, x, middle, (3, 3), pads=1)
        graph = finished(build, build.add(random_conv(build, y, 8, (1, 1)), x))
        assert merged(graph)[0].applied == applied


def test_what_a_stride_throws_away_is_counted() -> None:
    build, x = new_graph((1, 8, 9, 9))
    # 9·8·2 at four times as many positions and 2·8: 592 products, 9·8·8 = 576 together.
    y = random_conv(build, random_conv(build, x, 2, (3, 3), pads=1), 8, (1, 1), strides=2)
    # 25·8 + 8·8 = 264 apart, 25·8·8 together: with this one the sum would be dearer.
    z = random_conv(build, x, 8, (5, 5), pads=2, strides=2, group=8)
    z = random_conv(build, z, 8, (1, 1))
    total = build.add(build.add(y, random_conv(build, x, 8, (1, 1), strides=2)), z)
    stats, _ = merged(finished(build, total), kinds=("sums",))
    assert stats.notes == {"1×1 ∘ 3×3 + 1×1 → 3×3": 1}


def test_nested_blocks_become_one_conv() -> None:
    build, x = new_graph((1, 4, 9, 8))
    inner = build.add(
        random_conv(build, x, 4, (3, 3), pads=2), random_conv(build, x, 4, (1, 1), pads=1)
    )
    outer = random_conv(build, inner, 4, (3, 3))
    stats, after = merged(finished(build, build.op("Sub", (outer, x))), grow=True)
    assert stats.applied == 2
    assert kinds(after) == {"Conv": 1}
    assert the_conv(after)[0] == (4, 4, 5, 5)


def test_terms_of_something_else_stay() -> None:
    build, x = new_graph((1, 4, 9, 8))
    y, z = (random_conv(build, x, 4, (k, k), pads=k // 2) for k in (3, 1))
    other = build.op("Relu", (x,))
    total = build.op("Sub", (build.op("Sub", (y, other)), z), type_=y.type)
    total = build.add(total, build.constant(RNG.standard_normal((9, 8)).astype(F32)))
    total = build.add(total, build.constant(RNG.standard_normal((4, 1, 1)).astype(F32)))
    stats, after = merged(finished(build, total))
    assert stats.applied == 1
    assert kinds(after) == {"Conv": 1, "Relu": 1, "Sub": 1, "Add": 1}


def test_two_inputs_of_several_branches_each() -> None:
    build, x = new_graph((1, 4, 9, 8))
    other = build.graph.add_input("z", TensorType(F32, (1, 2, 9, 8)))
    terms = [random_conv(build, v, 4, (k, k), pads=k // 2) for v in (x, other) for k in (3, 1)]
    total = build.add(build.add(terms[0], terms[2]), build.add(terms[1], terms[3]))
    total = build.add(total, build.constant(RNG.standard_normal((4, 1, 1)).astype(F32)))
    stats, after = merged(finished(build, total))
    assert list(stats.notes) == [
        "3×3 + 1×1 → 3×3; 3×3 + 1×1 → 3×3",
        "sum of 2 3×3 → 3×3 on a Concat",
    ]
    assert kinds(after) == {"Conv": 1, "Concat": 1}
    _, kept = merged(finished(build, total), kinds=("sums",))
    assert kinds(kept) == {"Conv": 2, "Add": 1}


# -- which rule takes a conv ----------------------------------------------------------------------


def test_siblings_are_left_to_the_sum_or_the_concat_they_go_into() -> None:
    build, x = new_graph((1, 4, 9, 8))
    y = [norm(build, random_conv(build, x, 4, (3, 3), pads=1)) for _ in range(6)]
    total = build.add(y[0], y[1])
    joined = build.concat(y[2:4], 1)
    ends = [build.op("Relu", (value,)) for value in y[4:]]
    stats, after = merged(finished(build, total, joined, *ends))
    assert list(stats.notes) == [
        "2 sibling 3×3 → 3×3 + Split",
        "3×3 + 3×3 → 3×3",
        "2 concatenated 3×3 → one",
        "3 sibling 3×3 → 3×3 + Split",
    ]
    assert kinds(after)["Conv"] == 1


def test_siblings_with_users_of_every_kind() -> None:
    build, x = new_graph((1, 4, 9, 8))
    y, z = (random_conv(build, x, k, (3, 3)) for k in (4, 2))
    graph = finished(build, y, build.op("Relu", (y,)), z, build.op("Sigmoid", (z,)), y)
    stats, after = merged(graph)
    assert stats.applied == 1
    assert kinds(after) == {"Conv": 1, "Split": 1, "Relu": 1, "Sigmoid": 1}
    assert [value.name for value in after.outputs] == [value.name for value in graph.outputs]
    assert [value.type for value in after.outputs] == [value.type for value in graph.outputs]


def test_a_split_of_siblings_that_is_joined_again_becomes_groups() -> None:
    build, x = new_graph((1, 4, 9, 8))
    parts = [build.op("Relu", (random_conv(build, x, 3, (1, 1)),)) for _ in range(2)]
    pooled = [random_conv(build, part, 5, (3, 3)) for part in parts]
    stats, after = merged(finished(build, build.concat(pooled, 1)))
    # The Relu of each part lies between the Split and the convs: they are no parts of one value.
    assert stats.notes == {"2 sibling 1×1 → 1×1 + Split": 1}
    assert kinds(after) == {"Conv": 3, "Split": 1, "Relu": 2, "Concat": 1}


def test_parts_with_other_users_and_neighbours() -> None:
    build, x = new_graph((1, 6, 9, 8))
    parts = [build.slice(x, [1], [i], [i + 3]) for i in (0, 3)]
    convs = [
        random_conv(build, part, 4, (3, 3), pads=1, bias=bool(i)) for i, part in enumerate(parts)
    ]
    tail = build.op("Relu", (x,))
    graph = finished(build, build.concat([tail, *convs, tail], 1), parts[0])
    stats, after = merged(graph)
    assert stats.notes == {"2 grouped 3×3 → one": 1}
    assert kinds(after) == {"Slice": 1, "Conv": 1, "Relu": 1, "Concat": 1}
    assert the_conv(after) == ((8, 3, 3, 3), 2)


def test_a_concat_along_another_axis_and_slices_with_a_step_are_left_alone() -> None:
    build, x = new_graph((1, 4, 9, 8))
    y, z = (random_conv(build, x, 4, (3, 3)) for _ in range(2))
    assert merged(finished(build, build.concat([y, z], 2)), kinds=("concat",))[0].applied == 0
    build, x = new_graph((1, 8, 9, 8))
    type_ = TensorType(F32, (1, 2, 9, 8))
    ranges = ((0, 4, 1, 2), (4, 8, 1, 2))
    operands = [[build.ints([value]) for value in range_] for range_ in ranges]
    parts = [build.op("Slice", (x, *constants), type_=type_) for constants in operands]
    convs = [random_conv(build, part, 4, (3, 3)) for part in parts]
    assert merged(finished(build, build.concat(convs, 1)))[0].applied == 0


def test_parts_that_leave_channels_out_are_no_parts() -> None:
    build, x = new_graph((1, 7, 9, 8))
    parts = [build.slice(x, [1], [i], [i + 3]) for i in (0, 3)]
    convs = [random_conv(build, part, 4, (3, 3)) for part in parts]
    stats, _ = merged(finished(build, build.concat(convs, 1)))
    assert stats.applied == 0


def test_a_constant_without_channels_stays_in_the_concat() -> None:
    build, x = new_graph((1, 3, 9, 8))
    none = build.constant(np.zeros((1, 0, 9, 8), np.float32))
    convs = [random_conv(build, x, 2, (1, 1)) for _ in range(2)]
    stats, after = merged(finished(build, build.concat([none, *convs], 1)))
    assert stats.notes == {"2 concatenated 1×1 → one": 1}
    assert kinds(after) == {"Conv": 1, "Concat": 1}


# -- types, opsets, names, options ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_types_are_kept(dtype: type) -> None:
    # onnxruntime's CPU has no double or bfloat16 conv: the proof in float64 judges.
    build, x = new_graph((1, 4, 9, 8), dtype=dtype)
    y = conv(build, x, (3, 3), pads=1)
    graph = finished(build, build.add(build.add(y, conv(build, x, (1, 1))), x))
    stats = MergeBranches().run(graph, Context(prove=prove))
    assert stats.applied == 1
    graph.verify()
    assert kinds(graph) == {"Conv": 1}
    dtypes = {value.dtype for op in graph.ops() for value in op.results}
    assert dtypes == {np.dtype(dtype)}


@pytest.mark.parametrize("opset", [6, 9, 11, 13, 17, 18, 21])
def test_the_form_that_the_opset_has(opset: int) -> None:
    build, x = new_graph((1, 4, 9, 8), opset)
    y, z = (random_conv(build, x, k, (3, 3)) for k in (4, 2))
    stats, after = merged(finished(build, build.op("Relu", (y,)), build.op("Relu", (z,))))
    assert stats.applied == 1
    (split,) = [op for op in after.ops() if op.kind == "Split"]
    assert ("split" in split.attributes) == (opset < 13)
    assert len(split.operands) == (1 if opset < 13 else 2)


def test_an_add_that_broadcasts_by_attribute_is_no_sum() -> None:
    for attributes, applied in (({"broadcast": 1}, 0), ({}, 1)):
        build, x = new_graph((1, 4, 9, 8), opset=6)
        y, z = (random_conv(build, x, 4, (k, k), pads=k // 2) for k in (3, 1))
        total = build.op("Add", (y, z), attributes, type_=y.type)
        assert MergeBranches().run(finished(build, total), Context(prove=prove)).applied == applied


def test_names_and_types_are_kept() -> None:
    build, x = new_graph(("n", 4, "h", "w"), sizes={"n": 2, "h": 9, "w": 8})
    y, z = (random_conv(build, x, 4, (k, k), pads=k // 2) for k in (3, 1))
    graph = finished(build, build.add(y, z, name="total"))
    _, after = merged(graph)
    (result,) = after.outputs
    assert (result.name, result.op.name) == ("total", "total")
    assert result.type == graph.outputs[0].type


def test_weights_that_others_share_stay() -> None:
    build, x = new_graph((1, 4, 9, 8))
    w = build.constant(RNG.standard_normal((4, 4, 1, 1)).astype(F32), name="shared")
    y = build.op("Conv", (x, w))
    other = build.op("Conv", (build.op("Relu", (x,)), w))
    total = build.add(y, random_conv(build, x, 4, (3, 3), pads=1))
    stats, after = merged(finished(build, total, other))
    assert stats.applied == 1
    assert any(
        op.array is w.array or op.result.name == "shared" for op in after.ops() if op.results
    )


def test_copies_on_the_way_change_nothing() -> None:
    build, x = new_graph((1, 4, 9, 8))
    y = build.op("Identity", (random_conv(build, x, 4, (3, 3), pads=1),))
    z = build.op("Identity", (x,))
    stats, after = merged(finished(build, build.add(y, z)))
    assert stats.notes == {"3×3 + identity → 3×3": 1}
    assert kinds(after) == {"Conv": 1}


def test_proposals_change_nothing_and_options_have_a_text() -> None:
    build, x = new_graph((1, 4, 9, 8))
    y, z = (random_conv(build, x, 4, (k, k), pads=k // 2) for k in (3, 1))
    graph = finished(build, build.add(y, z))
    version = graph.version
    (proposal,) = MergeBranches().propose(graph)
    assert proposal.note == "3×3 + 1×1 → 3×3"
    assert graph.version == version
    text = "merge-branches{kinds=siblings,concat}"
    assert str(Pipeline.parse(text)) == text
    assert MergeBranches(kinds=("siblings", "concat")).propose(graph) == []
