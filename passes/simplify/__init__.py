"""Constants folded, identities dropped, equal things shared, pads made explicit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from convc.graph import Graph
from convc.onnx_io import refresh_types
from convc.pipeline import Context, Pass
from convc.rewrite import Rule, Stats, rule, sweep
from passes.simplify import folding, identities, padding, pairs
from passes.simplify.sharing import share

__all__ = ["Simplify"]


@dataclass(frozen=True)
class Simplify(Pass):
    """Rewrites that never lose: the same function from fewer ops and weights.

    - constants folded, sizes that are known among them (`passes.simplify.folding`);
    - ops that do nothing dropped (`passes.simplify.identities`), two in a row merged into one
      (`passes.simplify.pairs`);
    - ``auto_pad`` made explicit, Pad folded into Conv and pools (`passes.simplify.padding`);
    - equal weights and equal subexpressions shared (`passes.simplify.sharing`);
    - what nobody uses erased.

    Every value stays the same to the sign of zero; arithmetic on constants is rounded once, to
    the dtype it is stored in. Types that become known on the way (sizes computed from shapes)
    are inferred anew, and the rules run until nothing changes.

    Attributes:
        max_fold: elements that a folded constant may have although its operands are smaller (a
            Tile, an Expand): folding these would make the file grow.
    """

    name: ClassVar[str] = "simplify"
    max_fold: int = 1024

    def rules(self) -> Sequence[Rule]:
        """The local rules. Sharing and dead code need the whole graph: see `run`."""
        one, pool = identities, padding
        return [
            rule(folding.fold_constants, *folding.FOLDABLE, max_fold=self.max_fold),
            rule(folding.fold_shape, "Shape", "Size"),
            rule(folding.fold_dim, "Gather", "Slice"),
            rule(one.drop_identity, "Identity", "Concat", "Sum", "Max", "Min", "Mean", "Split"),
            rule(one.drop_dropout, "Dropout"),
            rule(one.drop_batch_norm, "BatchNormalization"),
            rule(one.drop_pad, "Pad"),
            rule(one.drop_slice, "Slice"),
            rule(one.drop_reshape, "Reshape"),
            rule(one.drop_transpose, "Transpose"),
            rule(one.drop_cast, "Cast"),
            rule(one.drop_expand, "Expand", "Tile"),
            rule(one.drop_neutral, *one.NEUTRAL),
            rule(one.drop_pool, "AveragePool", "MaxPool"),
            rule(one.drop_relu, "Relu"),
            rule(one.drop_clip, "Clip"),
            rule(one.drop_flatten, "Flatten"),
            rule(one.drop_squeezed, "Squeeze", "Unsqueeze"),
            rule(pairs.merge_transposes, "Transpose"),
            rule(pairs.merge_reshapes, "Reshape"),
            rule(pairs.merge_casts, "Cast"),
            rule(pool.explicit_pads, "Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool"),
            rule(pool.pad_of_all_axes, "Pad"),
            rule(pool.pad_into_conv, "Conv"),
            rule(pool.pad_into_average, "AveragePool"),
            rule(pool.pad_into_max, "MaxPool"),
        ]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies local rules, sharing and dead code until nothing changes."""
        prove = None if context is None else context.prove
        total = Stats()
        start = perf_counter()
        rules = self.rules()
        while True:
            version = graph.version
            _erase_unused(graph, total)
            swept = _add(total, sweep(graph, rules, prove=prove))
            while graph.version != version and refresh_types(graph):
                swept = _add(total, sweep(graph, rules, prove=prove))
            shared = _add(total, share(graph, prove))
            if graph.version == version:
                break
        total.declined = swept.declined + shared.declined
        total.seconds = perf_counter() - start
        return total


def _erase_unused(graph: Graph, total: Stats) -> None:
    erased = graph.erase_dead(graph.ops())
    if erased:
        total.applied += len(erased)
        total.notes["unused: erased"] += len(erased)


def _add(total: Stats, stats: Stats) -> Stats:
    total.add(stats)
    return stats
