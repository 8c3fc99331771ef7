"""The pass ``prune-dead-channels``: channels that give nothing new are not computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convc.algebra.channels import may_be_negligible, negligible
from convc.graph import Graph
from convc.ir import Op, Value
from convc.pipeline import Context, Pass
from convc.rewrite import Exactness, NoMatch, Replacement, Rewrite, Rule, Stats, rule
from passes import _linear as linears
from passes._regions.build import rebuild
from passes._regions.flow import Flow
from passes._regions.layers import alpha, bias_vector, blocks, dead
from passes._regions.links import LINEAR, read
from passes._regions.plan import Plan, made_labels
from passes._regions.region import collect
from passes.prune_dead_channels.clues import (
    MAKERS,
    READERS,
    Answer,
    leaves_unread,
    makes_redundant,
)
from passes.prune_dead_channels.decide import decide
from passes.prune_dead_channels.pull import pull


@dataclass(frozen=True)
class PruneDeadChannels(Pass):
    """Drops channels that are constant, multiples of others, or read by nobody.

    Before: layers (Conv, ConvTranspose, Gemm, MatMul with constant weights) that make channels,
    ops that keep channels apart (activations, batch norm, elementwise ops, pools, Resize, Pad,
    Concat, Split, Slice, Gather, Flatten, depthwise convs), and layers that read them. After: the
    same with fewer channels: fewer filters, shorter vectors, fewer input channels. For a reading
    layer with weights w and bias b, and input channels x_c:

    - *dead*: a filter of zeros makes ``x_c = bias`` everywhere; ops between keep it a constant a,
      computed in float64. ``w[:, c]`` goes, ``b += a · Σ_taps w[:, c]``.
    - *duplicate*: ``x_c = m·x_d``: two filters and their biases are equal up to a factor m > 0.
      Linear ops and products with constants hand that through; Relu, LeakyRelu, PRelu, Abs and max
      pools do, being positively homogeneous; an addend or a mean must be m times as large as well;
      behind any other op m must be 1. ``w[:, d] += m · w[:, c]``.
    - *unread*: every weight on x_c is zero, or only other channels are chosen by a Slice, Gather or
      Split.
    - A Slice or Gather that directly follows a layer (group 1, one user) picks its filters instead.

    A filter that is not zero but negligible is made zero first, a rewrite of its own and of class
    *rounding*: if ``2¹⁰ · Σ|w_k| ≤ u · max(|b_k|, M·1e-6)`` with M the largest magnitude of the
    layer, at most 10⁶, and u the unit roundoff, 2⁻²⁴ in float32
    (`convc.algebra.channels.negligible`); the bound is the largest ratio of the left side to the
    maximum. It is the condition of `passes.flush_subnormals` for whole filters. All else is exact.

    Conditions, for a channel to go:

    1. Every user lets it go: what is added, multiplied or otherwise tied to it goes as well. Zero
       times anything is zero; else a sum is constant only where all its parts are.
    2. Zero padding of the reading layer sees 0 and not the constant: ``b`` takes a only where every
       output sees every tap. Where not, the constant channels are multiples of each other, and one
       of them stays to carry all: exact at the border for every size. (a = 0 needs neither.)
    3. A padded average pool that counts its pads, and a Pad, keep a constant of the padded value.
    4. It reaches no graph output and no op but these, and is not added to what others make.
    5. Groups of a conv that stay keep equally many channels.

    Cost: never more MACs, nor weights but a bias. Runtimes compute channels in blocks, and counts
    that fill none cost more than they save: on a face-landmark network with 45 % dead filters odd
    counts brought nothing, counts rounded up to 16 gave 1.7×.

    To look costs little: a region is collected only where one of its ops tells, by its own weights
    or picks, that a channel may go (`passes.prune_dead_channels.clues`), and then once.

    Options:
        block: a layer of at least that many channels keeps a multiple of it, with some of those
            that could go. 1 drops all.
    """

    name: ClassVar[str] = "prune-dead-channels"
    block: int = 16

    def rules(self) -> Sequence[Rule]:
        """Negligible filters; the channels of a region; a Slice or Gather behind a layer."""
        return [
            rule(zero, *LINEAR),
            rule(prune, *MAKERS, block=self.block),
            rule(unread, *READERS, block=self.block),
            rule(pull, "Slice", "Gather", block=self.block),
        ]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Sweeps until nothing goes any more.

        What a region loses may leave channels unread, or be what another op of a region waited
        for, far from the ops that a sweep visits again.
        """
        total = Stats()
        while True:
            swept = super().run(graph, context)
            total.add(swept)
            if not swept.applied:
                return total


def zero(graph: Graph, op: Op) -> Rewrite:
    """The op with its negligible filters set to zero."""
    if all(value is None or value.array is None for value in op.inputs[:2]):
        raise NoMatch("")
    linear = linears.read(op)
    offset = linears.per_channel(linears.bias_of(linear), linear.out_axis, linear.outputs)
    batched = not linear.is_conv and linear.array.size != linear.inputs * linear.outputs
    if offset is None or batched or alpha(linear) == 0:
        raise NoMatch("")
    bias = bias_vector(linear) / alpha(linear)
    roundoff = float(linears.precision(linear).eps) / 2
    if not (may_be_negligible(blocks(linear), bias, roundoff) & ~dead(linear)).any():
        raise NoMatch("")
    filters = linears.to_filters(linear, linear.array)
    small, ratio = negligible(filters, bias, roundoff)
    small &= ratio > 0
    if not small.any():
        raise NoMatch("")
    weights = linears.from_filters(linear, np.where(small[:, np.newaxis], 0.0, filters))
    build = Replacement(graph)
    result = linears.rebuild(build, linear, build.take(linear.data), weights=weights, bias=None)
    note = f"{int(small.sum())} negligible filters of a {op.kind} zeroed"
    bound = float(ratio[small].max())
    return build.rewrite({op.result: result}, Exactness.ROUNDING, note=note, bound=bound)


def prune(graph: Graph, op: Op, block: int) -> Rewrite:
    """The region of the channels that the op makes without those that are not needed."""
    link = read(graph, op)
    if link is None or not makes_redundant(link):
        raise NoMatch("")
    return _shrunk(graph, op, op.result, block)


def unread(graph: Graph, op: Op, block: int) -> Rewrite:
    """As `prune`, the region of the channels that the op reads."""
    link = read(graph, op)
    if link is None or not leaves_unread(graph, link):
        raise NoMatch("")
    return _shrunk(graph, op, link.sources[0], block)


def _shrunk(graph: Graph, op: Op, value: Value, block: int) -> Rewrite:
    answer = Answer(graph, op, value)
    region = collect(graph, value, answer.meet)
    answer.require_first()
    plan = decide(graph, region, Flow(graph, region), block)
    rebuilt = rebuild(graph, plan)
    if not rebuilt.results:
        raise NoMatch("")  # dead code: nobody would read what replaces it either
    note = _note(plan, rebuilt.merged)
    return rebuilt.build.rewrite(rebuilt.results, frontier=region.inputs, note=note)


def _note(plan: Plan, merged: set[int]) -> str:
    region, flow = plan.region, plan.flow
    gone = {int(label) for label in made_labels(region, flow) if not plan.kept[label]}
    twins = (gone & merged) - flow.dead
    counts = {
        "constant": len(gone & flow.dead),
        "duplicate": len(twins),
        "unread": len(gone - twins - flow.dead),
    }
    return ", ".join(f"{n} {what}" for what, n in counts.items() if n) + " dropped"
