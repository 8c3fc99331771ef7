"""Strips: the counts against brute force, the limits one by one, and the tables in docs."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convc.algebra.toom_cook import Matrix, transforms
from convc.costs.strips import WIDTHS, Limit, Row, Strips, strips
from convc.costs.strips.conv import fresh, positions, window
from convc.graph import Graph
from convc.ir import Op, TensorType
from tests.tiny import DOUBLE, FLOAT, HALF, graph_of, kernel, model, node

DOCS = Path(__file__).parents[2] / "docs" / "strips.md"
AXES = list(product(range(1, 7), range(1, 5), range(1, 5)))


def conv(
    channels: int,
    filters: int,
    taps: tuple[int, ...],
    sizes: tuple[int | str, ...],
    *,
    batch: int | str = 1,
    type_: int = FLOAT,
    **attributes: Any,
) -> tuple[Graph, Op]:
    dtypes = {FLOAT: np.float32, DOUBLE: np.float64, HALF: np.float16}
    weights = np.zeros((filters, channels // attributes.get("group", 1), *taps), dtypes[type_])
    data = model(
        [node("Conv", "x w", "y", **attributes)],
        {"w": weights},
        inputs={"x": (type_, (batch, channels, *sizes))},
        outputs={"y": type_},
    )
    graph = graph_of(data)
    return graph, next(op for op in graph.ops() if op.kind == "Conv")


def table(*arguments: Any, machine: dict[str, Any] | None = None, **options: Any) -> Strips:
    found = strips(*conv(*arguments, **options), **(machine or {}))
    assert isinstance(found, Strips)
    return found


def limits(found: Strips) -> dict[str, Limit]:
    return {limit.what: limit for limit in found.limits}


def row(found: Strips, d: int) -> Row:
    return next(row for row in found.rows if row.d == d)


def read_by(output: int, taps: int, stride: int, dilation: int) -> set[int]:
    return {stride * output + dilation * t for t in range(taps)}


@pytest.mark.parametrize(("taps", "stride", "dilation"), AXES)
def test_one_axis_counted_out(taps: int, stride: int, dilation: int) -> None:
    axis = (taps, stride, dilation)
    reads = [read_by(o, *axis) for o in range(80)]
    for d in range(1, 13):
        assert positions(d, *axis) == len(set().union(*reads[:d]))
    # In the middle of a long axis: what is new, and what is held until its last use.
    new = reads[50] - set().union(*reads[:50])
    assert fresh(*axis) == len(new)
    later = set().union(*reads[50:])
    held = {position for read in reads[:51] for position in read if position in later}
    assert window(*axis) == len(held)


@pytest.mark.parametrize(
    ("taps", "stride", "dilation"),
    [((3, 3), (1, 1), (1, 1)), ((5, 3), (2, 1), (1, 2)), ((3, 4), (3, 2), (2, 3)),
     ((2, 2), (3, 3), (1, 1)), ((1, 3), (1, 2), (1, 1))],
)  # fmt: skip
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_a_strip_scanned(
    taps: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], d: int
) -> None:
    """A whole strip of d rows and 40 columns of outputs, with a window that drops what is done."""
    rows = set().union(*(read_by(o, taps[0], stride[0], dilation[0]) for o in range(d)))
    columns = [read_by(o, taps[1], stride[1], dilation[1]) for o in range(40)]
    loaded, kept, largest = 0, set[tuple[int, int]](), 0
    for o, needed in enumerate(columns):
        cells = set(product(rows, needed))
        loaded += len(cells - kept)
        later = set().union(*columns[o:])
        kept = {cell for cell in kept | cells if cell[1] in later}
        largest = max(largest, len(kept))
    across, along = zip(taps, stride, dilation, strict=True)
    assert loaded == positions(d, *across) * positions(40, *along)
    assert largest == positions(d, *across) * window(*along)
    # The table leaves the ends of the strip out.
    started = positions(40, *along) - 40 * fresh(*along)
    found = table(2, 4, taps, (60, 120), strides=list(stride), dilations=list(dilation))
    if d in WIDTHS:
        assert row(found, d).reads * 40 * d == pytest.approx(
            loaded - started * positions(d, *across)
        )
        assert row(found, d).window_bytes == largest * 2 * 4


def test_three_by_three_by_hand() -> None:
    found = table(8, 16, (3, 3), (34, 34))
    assert [r.d for r in found.rows] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    assert [r.rows_read for r in found.rows] == [3, 4, 5, 6, 8, 10, 14, 18, 26, 34]
    assert [r.reads for r in found.rows[:4]] == pytest.approx([3, 2, 5 / 3, 1.5])
    assert [r.weight_reads for r in found.rows[:4]] == pytest.approx([9, 4.5, 3, 2.25])
    assert row(found, 4).window_bytes == 6 * 3 * 8 * 4
    assert found.weight_bytes == 16 * 8 * 9 * 4
    assert (found.multiplications, found.operations) == (9, 2 * 72 - 1)
    four = row(found, 4)
    assert four.one_axis is not None
    assert four.two_axes is not None
    assert four.one_axis.multiplications == 6 / 4 * 3
    assert four.two_axes.multiplications == 36 / 16
    assert four.one_axis.weight_bytes == 16 * 8 * 18 * 4
    assert four.two_axes.weight_bytes == 16 * 8 * 36 * 4
    assert four.two_axes.error_growth == pytest.approx(four.one_axis.error_growth**2)
    assert found.toom_cook == ""


def test_one_output_is_the_direct_sum() -> None:
    for found in (table(8, 16, (3, 5), (20, 20)), table(8, 16, (1, 5), (20, 20))):
        for form in (found.rows[0].one_axis, found.rows[0].two_axes):
            assert form is not None
            assert form.multiplications == found.multiplications
            assert form.operations == found.operations
            assert form.error_growth == 1
            assert form.weight_bytes == found.weight_bytes


class Counted:
    """A matrix product that counts, and leaves out what a product with 0 or ±1 does not need."""

    def __init__(self) -> None:
        self.operations = 0

    def apply(self, matrix: Matrix, values: Any) -> Any:
        """The matrix on the first axis; every column of ``values`` counts."""
        columns = int(np.prod(values.shape[1:]))
        for r in matrix:
            terms = [entry for entry in r if entry]
            self.operations += columns * (len(terms) - 1 if terms else 0)
            self.operations += columns * len([entry for entry in terms if abs(entry) != 1])
        return np.tensordot(np.array(matrix, float), values, 1)


@pytest.mark.parametrize(("d", "taps"), [(2, (3, 3)), (4, (3, 3)), (3, (5, 2)), (2, (1, 3))])
def test_operations_of_a_tile_counted_out(d: int, taps: tuple[int, int]) -> None:
    """Toom–Cook carried out on one tile of all channels, and compared with the direct sum."""
    channels, filters = 3, 4
    rng = np.random.default_rng(0)
    n = [d + k - 1 for k in taps]
    data, weights = (
        rng.standard_normal((channels, *n)),
        rng.standard_normal((filters, channels, *taps)),
    )
    eye = tuple(tuple(int(i == j) for j in range(d)) for i in range(d))
    ones = tuple((1,) for _ in range(d))
    bt, g, at = zip(
        *((t.bt, t.g, t.at) if k > 1 else (eye, ones, eye)
          for k, t in ((k, transforms(d, k)) for k in taps)),
        strict=True,
    )  # fmt: skip
    counted = Counted()
    v = np.stack([counted.apply(bt[1], counted.apply(bt[0], x).T).T for x in data])
    g0, g1 = (np.array(matrix, float) for matrix in g)
    u = np.einsum("ai,kcij,bj->kcab", g0, weights, g1)
    products = (u * v).sum(1)
    counted.operations += filters * n[0] * n[1] * (2 * channels - 1)
    y = np.stack([counted.apply(at[1], counted.apply(at[0], x).T).T for x in products])
    windows = np.lib.stride_tricks.sliding_window_view(data, taps, axis=(1, 2))
    np.testing.assert_allclose(y, np.einsum("chwij,kcij->khw", windows, weights), atol=1e-9)
    form = row(table(channels, filters, taps, (20, 20)), d).two_axes
    assert form is not None
    assert form.operations == pytest.approx(counted.operations / (filters * d * d))


def test_operations_across_by_hand() -> None:
    """F(2, 3) down the columns of 3×3, 5 channels to 7, per output."""
    form = row(table(5, 7, (3, 3), (20, 20)), 2).one_axis
    assert form is not None
    sums = 4 * (2 * 5 * 3 - 1)  # four products per tap along and channel, for two outputs
    transformed = 4 * 5 / 7  # four operations a column and channel, shared by seven filters
    assert form.operations == pytest.approx((sums + transformed + 4) / 2)


def test_reads_stop_paying() -> None:
    """One row more saves 2/((D + 1)(D + 2)) of the reads of a 3-tap kernel: 1/21 after D = 5."""
    found = limits(table(8, 16, (3, 3), (40, 40)))["reads"]
    assert (found.d, found.direct) == (5, True)
    assert found.why.startswith("1.4 reads per output and channel, one row more 1.33")


@pytest.mark.parametrize(("taps", "stride", "dilation"), AXES)
def test_reads_limit_counted_out(taps: int, stride: int, dilation: int) -> None:
    reads = [positions(d, taps, stride, dilation) / d for d in range(1, 400)]
    paying = [d for d in range(2, 400) if reads[d - 1] <= 0.95 * reads[d - 2] + 1e-12]
    found = limits(table(1, 1, (taps, 1), (600, 3), strides=[stride, 1], dilations=[dilation, 1]))
    assert found["reads"].d == max(paying, default=1)


def test_limits_of_the_machine() -> None:
    sizes = (16, 32, (3, 3), (66, 66))
    free = table(*sizes)
    assert free.best == limits(free)["reads"].d == 5
    tight = table(*sizes, machine={"registers": 6})
    assert (limits(tight)["registers"].d, tight.best) == (4, 4)
    # 3 columns × (D + 2) rows × 16 channels × 4 bytes.
    cache = table(*sizes, machine={"l1": 3 * 5 * 16 * 4})
    assert (limits(cache)["L1"].d, cache.best) == (3, 3)
    assert "with 4 rows" in limits(cache)["L1"].why
    below = table(*sizes, machine={"l1": 3 * 5 * 16 * 4 - 1})
    assert limits(below)["L1"].d == 2
    both = table(*sizes, machine={"l2": 32 * 16 * 9 * 4 + 3 * 6 * 16 * 4})
    assert (limits(both)["L2"].d, both.best) == (4, 4)
    nothing = table(*sizes, machine={"l1": 1, "registers": 0})
    assert (limits(nothing)["L1"].d, limits(nothing)["registers"].d, nothing.best) == (0, 0, 1)
    assert "with 1 row," in limits(nothing)["L1"].why


def test_weights_that_never_fit_set_no_limit() -> None:
    found = table(512, 512, (3, 3), (28, 28), machine={"l1": 1 << 20})
    assert found.weight_bytes > 1 << 20
    assert limits(found)["L2"].d == 26
    assert "pass through anyway" in limits(found)["L2"].why
    assert found.best == 5


def test_limits_of_toom_cook() -> None:
    found = table(64, 64, (3, 3), (58, 58))
    at = limits(found)
    forms = {r.d: r.two_axes for r in found.rows if r.two_axes is not None}
    assert at["operations, two axes"].d == min(forms, key=lambda d: forms[d].operations) == 8
    assert forms[12].operations > forms[8].operations
    # 2⁻²⁴ · √(9·64) · growth: 20.6 for D = 6, 237 for D = 8.
    assert at["error, two axes"].d == 6
    assert 2**-24 * 24 * forms[6].error_growth < 1e-4 < 2**-24 * 24 * forms[8].error_growth
    strict = limits(table(64, 64, (3, 3), (58, 58), machine={"tolerance": 5e-6}))
    assert strict["error, two axes"].d == 2
    assert strict["error, one axis"].d == 4
    assert not any(limit.direct for limit in found.limits if "axes" in limit.what)
    half = limits(table(64, 64, (3, 3), (58, 58), type_=HALF))
    assert half["error, one axis"].d == 0
    assert "direct sum" in half["error, one axis"].why
    double = limits(table(64, 64, (3, 3), (58, 58), type_=DOUBLE))
    assert double["error, two axes"].d == 16
    assert double["error, two axes"].why.endswith("keeps to 1e-04")


def test_depthwise() -> None:
    """A register holds sixteen groups; nobody shares the transform, so tiles never pay."""
    found = table(64, 64, (3, 3), (58, 58), group=64)
    assert row(found, 1).window_bytes == 9 * 16 * 4
    assert found.weight_bytes == 9 * 16 * 4
    assert limits(found)["operations, two axes"].d == 1
    assert limits(found)["operations, two axes"].why.startswith("never below")
    grouped = table(64, 64, (3, 3), (58, 58), group=8)
    assert row(grouped, 1).window_bytes == 9 * 8 * 2 * 4
    few = table(4, 4, (3, 3), (58, 58), group=4)
    assert row(few, 1).window_bytes == 9 * 4 * 4


def test_other_ranks() -> None:
    line = table(4, 4, (9,), (108,))
    assert [r.reads for r in line.rows[:3]] == pytest.approx([9, 5, 11 / 3])
    assert all(r.two_axes is None for r in line.rows)
    assert line.rows[1].one_axis is not None
    assert line.rows[1].window_bytes == 10 * 4 * 4
    solid = table(4, 4, (3, 3, 3), (10, 12, 14))
    assert [r.d for r in solid.rows] == [1, 2, 3, 4, 6, 8]
    assert row(solid, 2).reads == 2 * 3
    assert row(solid, 2).window_bytes == 3 * 4 * 3 * 4 * 4
    form = row(solid, 2).two_axes
    assert form is not None
    assert form.multiplications == 4 * 3


def test_toom_cook_only_where_it_applies() -> None:
    reasons = [
        ({"strides": [1, 2]}, (3, 3), "stride 1"),
        ({"dilations": [2, 2]}, (3, 3), "dilation 1"),
        ({}, (1, 1), "share no input"),
    ]
    for attributes, taps, reason in reasons:
        found = table(4, 4, taps, (20, 20), **attributes)
        assert reason in found.toom_cook
        assert all(r.one_axis is r.two_axes is None for r in found.rows)
        assert {limit.what for limit in found.limits} == {
            "output", "reads", "registers", "L1", "L2",
        }  # fmt: skip
    assert table(4, 4, (1, 3), (20, 20), dilations=[2, 1]).toom_cook == ""


def test_tiles_end_with_the_output() -> None:
    found = table(4, 4, (3, 3), (20, 8))
    assert [r.d for r in found.rows if r.two_axes is not None] == [1, 2, 3, 4, 6]
    assert max(r.d for r in found.rows) == 16
    wide = table(4, 4, (3, 3), (60, 60))
    assert [r.d for r in wide.rows if r.one_axis is None] == [24, 32]


def test_why_there_is_none() -> None:
    graph, op = conv(4, 4, (3, 3), ("h", "w"))
    assert isinstance(strips(graph, op), Strips)
    graph.sizes.clear()
    reason = strips(graph, op)
    assert isinstance(reason, str)
    assert reason == "the size of its output is not known"
    assert "nothing is computed" in str(strips(*conv(4, 4, (3, 3), (9, 9), batch=0)))
    nodes = [node("ConvTranspose", "x w", "t"), node("Relu", "t", "y")]
    other = graph_of(model(nodes, {"w": kernel(1, 4, 2, 3, 3)}))
    found = {op.kind: strips(other, op) for op in other.ops()}
    assert found["ConvTranspose"] == "ConvTranspose is not a Conv"
    assert found["Relu"] == "Relu is not a Conv"
    fed = model(
        [node("Conv", "x w", "y")],
        inputs={"x": (FLOAT, (1, 4, 9, 9)), "w": (FLOAT, (4, 4, "k", 3))},
    )
    graph = graph_of(fed)
    graph.sizes.clear()
    op = next(op for op in graph.ops() if op.kind == "Conv")
    assert strips(graph, op) == "the size of its weights is not known (pin it: --dim k=SIZE)"


def test_one_output_row() -> None:
    found = table(4, 4, (3, 3), (3, 3))
    assert [r.d for r in found.rows] == [1]
    assert found.best == 1


def test_json() -> None:
    for found in (table(4, 4, (3, 3), (20, 20)), table(4, 4, (3,), (20,), strides=[2])):
        plain = found.as_json()
        assert json.loads(json.dumps(plain)) == plain
        assert plain["best"] == found.best
        assert [r["d"] for r in plain["rows"]] == [r.d for r in found.rows]
        assert plain["limits"][0]["what"] == "output"


def as_markdown(found: Strips) -> list[str]:
    """The tables of docs/strips.md."""
    lines = [
        "| D | rows | reads | weight reads | window KiB | products | operations | error growth |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in found.rows:
        pair = [form for form in (r.one_axis, r.two_axes) if form is not None]
        products, operations, growth = (
            " / ".join(f"{getattr(form, name):,.{digits}f}" for form in pair) or "–"
            for name, digits in (("multiplications", 2), ("operations", 0), ("error_growth", 1))
        )
        lines.append(
            f"| {r.d} | {r.rows_read} | {r.reads:.2f} | {r.weight_reads:.2f} "
            f"| {r.window_bytes / 1024:.1f} | {products} | {operations} | {growth} |"
        )
    lines.append("")
    lines += [f"- {limit.what}: {limit.d}; {limit.why}" for limit in found.limits]
    return [*lines, f"- best: {found.best}"]


@pytest.mark.parametrize(
    ("title", "arguments", "pads"),
    [
        ("### 3×3, 64 → 64 channels, 56×56 outputs", (64, 64, (3, 3), (56, 56)), 1),
        ("### 5×5, 32 → 32 channels, 112×112 outputs", (32, 32, (5, 5), (112, 112)), 2),
    ],
)
def test_the_tables_in_docs(title: str, arguments: Any, pads: int) -> None:
    section = DOCS.read_text(encoding="utf-8").split(title)[1].split("\n###")[0]
    wanted = "\n".join(as_markdown(table(*arguments, pads=[pads] * 4)))
    assert wanted in section


def test_an_output_of_another_rank_has_no_strips() -> None:
    graph, op = conv(4, 8, (3, 3), (12, 12))
    op.result.type = TensorType(np.dtype(np.float32), ())
    assert "not valid" in str(strips(graph, op))
