"""The pass ``select-channels``: layers keep the channels that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import ClassVar

from convc.forms import Form
from convc.graph import Graph
from convc.ir import Op
from convc.pipeline import Context, Pass
from convc.rewrite import NoMatch, Rewrite, Stats, apply
from passes.select_channels.selecting import select_by_data, select_by_weights
from passes.select_channels.tied import require_free, tied

SHARES = (7 / 8, 3 / 4, 5 / 8, 1 / 2, 1 / 4)
"""Parts of a layer's channels that are offered, rounded up."""


@dataclass(frozen=True)
class SelectChannels(Pass):
    """Keeps the channels of a layer that matter most, and drops the others on both sides.

    Before: a layer (Conv, ConvTranspose, Gemm, MatMul with constant weights) makes C channels x;
    they pass ops that keep channels apart (see `passes._regions.links`); layers read them,
    ``y = W x + b`` for each patch. After: the layer has ``count`` filters, what is between has as
    many channels, and the layers that read have as many input channels, with other weights.

    *Which stay*: with the second moments G of what each of the reading layers reads, and W the
    weights that give its responses in the original model best, to drop a channel's block c of
    columns and to solve for the others anew costs ``tr(W_c ([G⁻¹]_cc)⁻¹ W_cᵀ)``
    (`convc.algebra.selection`). Losses are taken relative to the variance of the layer's responses
    and added over the layers; the channel that costs least goes, the rest is solved anew, until
    ``count`` are left. Without data G is the identity: the channels with the largest weights on
    them stay.

    *What the readers do*: their weights on what is left give the responses of the original best by
    least squares, with a ridge towards the old weights; their biases make the means right. Without
    data they only do what is exact: constants go into biases, multiples into each other, as
    `passes.prune_dead_channels` has it.

    Channels that are added to each other, or otherwise tied, are selected together, where the first
    of the layers that make them stands, and all of these lose the filters. In a Concat each part is
    selected alone.

    Conditions:

    1. No channel reaches a graph output or an op that does not keep channels apart, and none is
       tied to a channel that no layer makes.
    2. Groups of convs that make or read the channels divide them alike: each keeps equally many.
    3. A layer that reads them can be observed, and reads no more than 4608 numbers at once.

    A zero padding of a reading layer sees 0 before and after; what it read of a dropped channel is
    made up for on the average only.

    Cost: MACs of the layers that make the channels and of those that read them fall by the share
    that goes. The class is approximate.

    Within ``choose(...)`` it proposes nothing: it would select again from what it selected.

    Options:
        block: counts are multiples of it, rounded up. A layer of no more channels than that may
            keep half a block.
        share: part of its channels that each layer keeps where the pass is named in a pipeline and
            there are no data; 1 leaves all.
    """

    name: ClassVar[str] = "select-channels"
    block: int = 16
    share: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError where there is no such share or block."""
        if not 0 < self.share <= 1:
            raise ValueError(f"share is above 0 and at most 1, not {self.share}")
        if self.block < 1:
            raise ValueError(f"block is at least 1, not {self.block}")

    def approximations(self, graph: Graph, op: Op) -> Sequence[Form]:
        """Up to five counts of channels, for the first of the layers that make them."""
        try:
            found = tied(graph, op)
        except NoMatch:
            return ()
        parts = int(found.parts().max()) + 1
        offered = (rounded(found.channels, share, self.block) for share in SHARES)
        return [
            Form(f"select {count}", partial(select_by_data, count=count))
            for count in dict.fromkeys(offered)
            if count is not None and count % parts == 0
        ]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:  # noqa: ARG002
        """Selects once from each layer, the last one first: those before it find it as it was.

        Approximate rewrites are not proved.
        """
        start, stats = perf_counter(), Stats()
        for op in reversed(graph.ops()) if self.share < 1 else ():
            try:
                rewrite = self._select(graph, op)
            except NoMatch as decline:
                stats.declined.update([decline.reason] if decline.reason else [])
                continue
            apply(graph, rewrite)
            stats.applied += 1
            stats.notes[rewrite.note] += 1
        stats.seconds = perf_counter() - start
        return stats

    def propose(self, graph: Graph) -> list[Rewrite]:
        """What a run would select from each layer of the graph as it stands."""
        found = []
        for op in graph.ops() if self.share < 1 else ():
            try:
                found.append(self._select(graph, op))
            except NoMatch:
                continue
        return found

    def _select(self, graph: Graph, op: Op) -> Rewrite:
        if op not in graph:
            raise NoMatch("")
        found = tied(graph, op)
        require_free(found)
        count = rounded(found.channels, self.share, self.block)
        if count is None:
            raise NoMatch(f"counts are multiples of {self.block}: all {found.channels} stay")
        return select_by_weights(graph, found, count)


def rounded(channels: int, share: float, block: int) -> int | None:
    """The least count to keep of ``share`` of the channels or more, below all; None: there is none.

    Counts are multiples of the block; of no more channels than a block half a block may stay.
    """
    if channels <= block:
        counts = [block // 2] if 0 < block // 2 < channels else []
    else:
        counts = list(range(block, channels, block))
    return next((count for count in counts if count >= share * channels), None)
