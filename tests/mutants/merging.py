"""Mutants of merge-branches."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, after, edited
from tests.mutants.samples import Net, shared

MERGE = "merge-branches"


def subtracted_branches() -> bytes:
    net = Net()
    one = net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 1])
    other = net.conv("x", net.kernel(4, 3, 1, 1), net.vector(4))
    x = net.op("Sub", one, other)
    net.op("Relu", net.by_channel("Sub", x, net.vector(4)))
    return net.model(1, 3, 6, 7)


def scaled_branch() -> bytes:
    """A branch of a conv with a bias and a scale, which merge-branches has to compose itself."""
    net = Net()
    one = net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4), pads=[1, 1, 1, 1])
    other = net.by_channel(
        "Mul", net.conv("x", net.kernel(4, 3, 1, 1), net.vector(4)), net.vector(4)
    )
    net.op("Relu", net.op("Add", one, other))
    return net.model(1, 3, 6, 7)


def grouped_branch() -> bytes:
    net = Net()
    one = net.conv("x", net.kernel(6, 4, 3, 3), net.vector(6), pads=[1, 1, 1, 1])
    other = net.conv("x", net.kernel(6, 2, 3, 3), net.vector(6), pads=[1, 1, 1, 1], group=2)
    net.op("Relu", net.op("Add", one, other))
    return net.model(1, 4, 6, 7)


def pooled_branch() -> bytes:
    net = Net()
    one = net.conv("x", net.kernel(3, 3, 3, 3), net.vector(3), pads=[1, 1, 1, 1])
    other = net.op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    net.op("Relu", net.op("Add", one, other))
    return net.model(1, 3, 6, 7)


def with_identity() -> bytes:
    net = Net()
    x = net.op("Sin", "x")
    net.op("Relu", net.op("Add", net.conv(x, net.kernel(3, 3, 3, 3), pads=[1, 1, 1, 1]), x))
    return net.model(1, 3, 6, 7)


def counted_branch() -> bytes:
    net = Net()
    one = net.conv("x", net.kernel(3, 3, 3, 3), net.vector(3), pads=[1, 1, 1, 1])
    pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}
    net.op("Relu", net.op("Add", one, net.op("AveragePool", "x", **pool)))
    return net.model(1, 3, 6, 7)


def siblings() -> bytes:
    net = Net()
    one, other = (net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4)) for _ in range(2))
    net.op("Mul", net.op("Sin", one), other)
    return net.model(1, 3, 6, 7)


def two_inputs() -> bytes:
    net = Net()
    parts = (net.op("Sin", "x"), net.op("Relu", "x"))
    one, other = (net.conv(part, net.kernel(4, 3, 3, 3), net.vector(4)) for part in parts)
    net.op("Add", one, other)
    return net.model(1, 3, 6, 7)


def concatenated() -> bytes:
    net = Net()
    parts = [net.conv("x", net.kernel(4, 3, 3, 3), net.vector(4)) for _ in range(2)]
    net.op("Relu", net.op("Concat", *parts, axis=1))
    return net.model(1, 3, 6, 7)


MUTANTS = [
    Mutant(
        "merged-corner", "a 1×1 kernel is added at the corner of the 3×3 one", MERGE,
        "convc.algebra.branches:_window",
        edited("(whole.pads_begin[axis] - part.pads_begin[axis])", "0"),
        shared("repvgg_block"),
    ),
    Mutant(
        "merged-identity", "the identity branch is counted twice", MERGE,
        "passes.merge_branches.paths:Path.branch",
        edited("np.ones(self.channels)", "2.0 * np.ones(self.channels)"),
        with_identity,
    ),
    Mutant(
        "merged-sign", "a branch that is subtracted is added", MERGE,
        "passes.merge_branches.sums:Part.branch", edited("if self.term.sign > 0:", "if True:"),
        subtracted_branches,
    ),
    Mutant(
        "merged-bias-sign", "the bias of a branch that is subtracted is added", MERGE,
        "passes.merge_branches.sums:Part.branch", edited("else -branch.bias", "else branch.bias"),
        subtracted_branches,
    ),
    Mutant(
        "merged-constant-sign", "a constant that is subtracted from the sum is added", MERGE,
        "passes.merge_branches.sums:_shift", edited("term.sign * values", "values"),
        subtracted_branches, passes=MERGE,
    ),
    Mutant(
        "merged-bias-dropped", "only the first branch that has a bias adds it", MERGE,
        "convc.algebra.branches:sum_branches",
        edited("sum(given[1:], given[0].copy())", "given[0]"),
        subtracted_branches,
    ),
    Mutant(
        "merged-inner-bias", "a bias before the scale of a branch is dropped", MERGE,
        "convc.algebra.branches:after", edited("if first.bias is not None:", "if False:"),
        scaled_branch, passes=MERGE,
    ),
    Mutant(
        "merged-groups", "a branch in groups is added with its groups in reverse order", MERGE,
        "convc.algebra.branches:_add", edited("kernel[:, part]", "kernel[:, parts - 1 - part]"),
        grouped_branch,
    ),
    Mutant(
        "merged-pool", "an average that does not count its padding merges as if it did", MERGE,
        "passes.merge_branches.paths:_read_pool",
        edited('if any(geometry.pads) and not op.attributes.get("count_include_pad"):',
               "if False:"),
        pooled_branch,
    ),
    Mutant(
        "merged-average", "an average divides by the side of its window", MERGE,
        "convc.algebra.branches:average_branch",
        edited("1.0 / math.prod(geometry.kernel)", "1.0 / geometry.kernel[0]"),
        counted_branch,
    ),
    Mutant(
        "siblings-exchanged", "the two results of the split stand for each other", MERGE,
        "passes.merge_branches.siblings:split_channels", after(lambda results: results[::-1]),
        siblings, passes="merge-branches{kinds=siblings}",
    ),
    Mutant(
        "inputs-order", "the inputs are concatenated in another order than the kernels", MERGE,
        "passes.merge_branches.sums:join_inputs",
        edited("[build.take(part.path.base) for part in group]",
               "[build.take(part.path.base) for part in group[::-1]]"),
        two_inputs, passes="merge-branches{kinds=inputs}",
    ),
    Mutant(
        "concat-bias", "the biases are concatenated in reverse order", MERGE,
        "convc.algebra.branches:concat_outputs",
        edited("channels(branch.bias, branch.outputs) for branch in branches]",
               "channels(branch.bias, branch.outputs) for branch in branches[::-1]]"),
        concatenated, passes="merge-branches{kinds=concat}",
    ),
]  # fmt: skip
