"""Mutants that aim at what a check by examples may overlook: sizes, small values, decisions."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.ir import Array
from tests.mutants.merging import siblings, two_inputs
from tests.mutants.mutant import Function, Mutant, after, edited
from tests.mutants.samples import Net, shared
from tests.mutants.simplifying import NO_REWRITE
from tests.tiny import INT64

FUSE = "fuse-convs"
DRIVER = "what applies a rewrite comes after its proof"


def unless(remainder: int, stride: int) -> bytes:
    """Two convs that compose at every border, unless a size leaves ``remainder`` by ``stride``."""
    net = Net()
    begin, end = (1, 1) if stride == 3 else (3, 1)
    assert (stride, remainder) in ((3, 0), (4, 2))
    pads = [begin, begin, end, end]
    x = net.conv("x", net.kernel(4, 1, 3, 3), strides=[stride] * 2, pads=pads)
    net.conv(x, net.kernel(1, 4, 3, 3), net.vector(1), pads=[1, 1, 1, 1])
    return net.model(1, 1, "height", "width")


def multiples_of_eight() -> bytes:
    """As `even_only` behind three halvings, and nothing but multiples of eight is taken."""
    net = Net()
    low = net.op("AveragePool", "x", kernel_shape=[8, 8], strides=[8, 8])
    scales = net.constant(np.float32([1, 1, 8, 8]))
    whole = net.op("Add", "x", net.op("Resize", low, "-", scales, mode="nearest"))
    x = net.conv(low, net.kernel(4, 1, 3, 3), strides=[2, 2], pads=[2, 2, 1, 1])
    x = net.conv(x, net.kernel(1, 4, 3, 3), net.vector(1), pads=[1, 1, 1, 1])
    net.op("Add", x, net.op("GlobalAveragePool", whole))
    return net.model(1, 1, "height", "width")


def classifier() -> bytes:
    """One class out of ten, and nothing else to look at."""
    net = Net()
    x = net.conv("x", net.kernel(10, 3, 3, 3), net.vector(10))
    x = net.op("GlobalAveragePool", net.by_channel("Mul", x, net.vector(10, 0.9, 1.1)))
    net.op("Cast", net.op("ArgMax", x, axis=1), to=1)
    return net.model(1, 3, 8, 9)


def boxes_and_scores() -> bytes:
    """Numbers up to a thousand beside numbers below one, as detectors have them."""
    net = Net()
    boxes = net.by_channel("Mul", net.op("Sigmoid", net.conv("x", net.kernel(4, 3, 3, 3))),
                           np.full(4, 2000.0))  # fmt: skip
    scores = net.conv("x", net.kernel(2, 3, 3, 3), net.vector(2))
    scores = net.op("Sigmoid", net.by_channel("Mul", scores, net.vector(2, 0.5, 1)))
    net.op("Concat", boxes, scores, axis=1)
    return net.model(1, 3, 8, 9)


def flattened_batch() -> bytes:
    """A Reshape to a batch that is computed."""
    net = Net()
    size = net.op("Gather", net.op("Shape", "x"), net.constant([0]), axis=0)
    target = net.op("Concat", size, net.constant([-1]), axis=0)
    net.op("Reshape", net.op("Sin", "x"), target)
    return net.model("batch", 3, 4, 5)


def two_tables() -> bytes:
    """Rows of two tables that differ in one number of one row."""
    net = Net()
    table = net.kernel(40, 10)
    other = table.copy()
    other[7, 1] += 0.5
    rows = [net.op("Gather", net.constant(array), "x", axis=0) for array in (table, other)]
    net.op("Sub", *rows)
    return net.model(200, dtype=INT64)


def open_image() -> bytes:
    net = Net()
    net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 1])
    return net.model(1, 3, "height", "width")


def sizes_exchanged(right: Function) -> Function:
    def wrong(build: Any, value: Any, ndim: int) -> Any:
        sizes = right(build, value, ndim)
        order = build.ints(range(ndim)[::-1])
        return build.op("Gather", (sizes, order), {"axis": 0}, type_=sizes.type)

    return wrong


def one_score_off(right: Function) -> Function:
    """The bias of the last of few filters, a little too large."""

    def wrong(*args: Any, bias: Array | None, **rest: Any) -> Any:
        if bias is not None and len(bias) == 2:
            bias = np.array(bias)
            bias[-1] += 0.2
        return right(*args, bias=bias, **rest)

    return wrong


def one_class_off(right: Function) -> Function:
    def wrong(*args: Any, bias: Array | None, **rest: Any) -> Any:
        if bias is not None:
            bias = np.array(bias)
            bias[bias.reshape(len(bias), -1)[:, 0].argmin()] += 0.05
        return right(*args, bias=bias, **rest)

    return wrong


def largest_off(right: Function) -> Function:
    def wrong(*args: Any, weights: Array, **rest: Any) -> Any:
        weights = np.array(weights)
        weights[np.unravel_index(np.abs(weights).argmax(), weights.shape)] *= 1.01
        return right(*args, weights=weights, **rest)

    return wrong


MUTANTS = [
    Mutant(
        "residue-of-three", "one remainder by the stride is forgotten: wrong at sizes 3n only",
        FUSE, "convc.algebra.border:_standing_for",
        edited("return range(apart, apart + period)",
               "return [n for n in range(apart, apart + period) if n % 3]"),
        lambda: unless(0, 3), passes=FUSE,
    ),
    Mutant(
        "residue-of-four", "one remainder by the stride is forgotten: wrong at sizes 4n + 2 only",
        FUSE, "convc.algebra.border:_standing_for",
        edited("return range(apart, apart + period)",
               "return [n for n in range(apart, apart + period) if n % 4 != 2]"),
        lambda: unless(2, 4), passes=FUSE,
    ),
    Mutant(
        "residue-of-eights", "one remainder by the stride is forgotten: wrong at 16n + 8 only",
        FUSE, "convc.algebra.border:_standing_for",
        edited("return range(apart, apart + period)",
               "return range(apart + apart % 2, apart + apart % 2 + 1)"),
        multiples_of_eight, passes=FUSE,
    ),
    Mutant(
        "size-folded", "an open size is folded as the one that the model was costed at",
        "simplify", "passes.simplify.folding:fold_dim",
        edited("taken = [dims[int(place)]", "dims = [graph.sizes.get(d, d) for d in dims]\n"
               "    taken = [dims[int(place)]"),
        flattened_batch,
    ),
    Mutant(
        "sizes-exchanged", "height and width are exchanged: wrong unless they are equal",
        "lower-to-gemm", "passes.lower_to_gemm.product:_last_sizes", sizes_exchanged,
        open_image, passes="lower-to-gemm", options={"sizes": {"height": 16, "width": 16}},
    ),
    Mutant(
        "tables-equal", "tables count as equal where only a sample of them was compared",
        "simplify", "passes.simplify.sharing:_digest",
        edited("if array.size <= SAMPLE:", "if array.size:"),
        two_tables, unproved=NO_REWRITE,
    ),
    Mutant(
        "class-bias", "the bias of one class is 0.05 too large, and the classes are all one sees",
        "fold-affine", "passes._linear:rebuild", one_class_off,
        classifier,
    ),
    Mutant(
        "score-bias", "scores below 1 are a tenth off, and stand beside boxes of up to 2000",
        "fold-affine", "passes._linear:rebuild", one_score_off,
        boxes_and_scores,
    ),
    Mutant(
        "largest-weight", "one weight is 1 % too large",
        "fold-affine", "passes._linear:rebuild", largest_off,
        shared("conv_affine"),
    ),
    Mutant(
        "results-exchanged", "two results of a rewrite are put in each other's place",
        "merge-branches", "convc.rewrite:_apply",
        edited("results = graph.inline(rewrite.after, rewrite.inputs)",
               "results = graph.inline(rewrite.after, rewrite.inputs)[::-1]"),
        siblings, passes="merge-branches{kinds=siblings}", unproved=DRIVER,
    ),
    Mutant(
        "inputs-exchanged", "two inputs of a rewrite are put in each other's place",
        "merge-branches", "convc.rewrite:_apply",
        edited("graph.inline(rewrite.after, rewrite.inputs)",
               "graph.inline(rewrite.after, rewrite.inputs[::-1])"),
        two_inputs, passes="merge-branches{kinds=inputs}", unproved=DRIVER,
    ),
    Mutant(
        "dilations-unsaid", "new convs do not say their dilations",
        FUSE, "convc.conv:geometry_attributes",
        after(lambda said: {k: v for k, v in said.items() if k != "dilations"}),
        shared("chain_dilated"), passes=FUSE,
    ),
    Mutant(
        "pads-interleaved", "new convs say their pads axis by axis and not side by side",
        FUSE, "convc.conv:geometry_attributes",
        edited("(*geometry.pads_begin, *geometry.pads_end)",
               "tuple(p for pair in zip(geometry.pads_begin, geometry.pads_end) for p in pair)"),
        shared("chain_strided_dilated"), passes=FUSE,
    ),
]  # fmt: skip
