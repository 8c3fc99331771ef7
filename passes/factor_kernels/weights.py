"""Chains that are near a layer, judged by its weights alone.

One function for each kind: it returns the chain of that kind whose kernel is within the given
relative error of the layer's, in the Frobenius norm, with the fewest MACs, be that more than the
layer has; or declines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from types import MappingProxyType

from convc.algebra.factor import distances, separable_terms, smallest_rank
from convc.algebra.factor.unfolding import errors_by_rank
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import Exactness, NoMatch, Rewrite
from passes.factor_kernels.bound import bound
from passes.factor_kernels.chain import Chain, rewrite
from passes.factor_kernels.exact import core, sum_of_terms, unfolding
from passes.factor_kernels.layer import Layer, read
from passes.factor_kernels.outlines import separated, splits, summed

VISIBLE = 1e-7
"""A relative error below it is that of the weights themselves, or less: no number is given."""


@dataclass(frozen=True)
class Budget:
    """What the user allows.

    Attributes:
        error: ‖W − Ŵ‖ / ‖W‖ at most.
        rank: the rank to take, 0 for the smallest that keeps the error.
        block: the smallest rank is rounded up to a multiple of it.
    """

    error: float
    rank: int
    block: int

    def choose(self, least: int, full: int) -> int | None:
        """The rank to take if ``least`` keeps the error; None where it were ``full``."""
        wanted = self.rank or -(-least // self.block) * self.block
        if self.rank == 0 and wanted >= full:
            wanted = least
        return max(wanted, 1) if wanted < full else None


def factor_nearly(graph: Graph, op: Op, kind: str, budget: Budget) -> Rewrite:
    """A Conv as a chain of smaller ones whose kernel is off by no more than the budget allows."""
    layer = read(graph, op)
    if not layer.kernel.any():
        raise NoMatch("the weights are zero")
    _require_whole(graph, op)
    chain = FINDERS[kind](layer, budget)
    kernel = chain.kernel()
    error, _ = distances(layer.kernel, kernel)
    if error > budget.error * (1 + 1e-9):  # it is rounded, too
        raise NoMatch(f"{chain.label} leaves an error of {_percent(error)}")
    note = f"{layer.label} → {chain.text(f'error {_percent(error)}')}"
    moved = bound(layer, kernel)
    return rewrite(layer, chain, Exactness.APPROXIMATE, note=note, bound=moved)


def separable(layer: Layer, budget: Budget) -> Chain:
    """Some of the axes first, the others behind."""
    if len(layer.wide_axes) < 2:
        raise NoMatch
    return _cheapest_unfolding(layer, budget, splits(layer))


def low_rank_out(layer: Layer, budget: Budget) -> Chain:
    """All taps to few channels, and a 1×1 conv to all."""
    if layer.outputs < 2:
        raise NoMatch
    return _cheapest_unfolding(layer, budget, [tuple(range(layer.geometry.ndim))])


def low_rank_in(layer: Layer, budget: Budget) -> Chain:
    """A 1×1 conv to few channels, and all taps from these."""
    if not layer.wide_axes or layer.inputs < 2:
        raise NoMatch  # of one tap it is the same as on the other side
    return _cheapest_unfolding(layer, budget, [()])


def terms(layer: Layer, budget: Budget) -> Chain:
    """Each filter of one channel as a sum of products."""
    if layer.inputs > 1 or len(layer.wide_axes) < 2:
        raise NoMatch
    found: list[tuple[int, int, int]] = []
    for axis in layer.wide_axes:
        taps = layer.geometry.kernel[axis]
        full = min(taps, layer.kernel[0, 0].size // taps)
        few = (n for n in range(1, full) if _terms_error(layer, n, axis) <= budget.error)
        count = replace(budget, block=1).choose(next(few, full), full)
        if count is not None:
            found.append((summed(layer, axis, count).macs(layer.size), axis, count))
    if not found:
        raise NoMatch("fewer terms do not keep the error")
    _, axis, count = min(found)
    return sum_of_terms(layer, axis, count)


def tucker(layer: Layer, budget: Budget) -> Chain:
    """A 1×1 conv to few channels, all taps from few to few, a 1×1 conv to all.

    The squares of what the two sides miss add up to no less than what both miss: each has half.
    """
    if not layer.wide_axes or min(layer.inputs, layer.outputs) < 2:
        raise NoMatch
    half = replace(budget, error=budget.error / sqrt(2))
    every = tuple(range(layer.geometry.ndim))
    ranks = []
    for axes, full in (((), layer.inputs), (every, layer.outputs)):
        errors = errors_by_rank(layer.kernel, axes, layer.group)
        rank = half.choose(smallest_rank(errors, half.error), full)
        if rank is None:
            raise NoMatch("no lower ranks keep the error")
        ranks.append(min(rank, len(errors) - 1))
    return core(layer, (ranks[0], ranks[1]), per_channel=False)


FINDERS: Mapping[str, Callable[[Layer, Budget], Chain]] = MappingProxyType(
    {
        "separable": separable,
        "terms": terms,
        "low-rank-out": low_rank_out,
        "low-rank-in": low_rank_in,
        "tucker": tucker,
    }
)


def _percent(error: float) -> str:
    return f"{100 * error:.2g} %" if error > VISIBLE else "0 %"


def _terms_error(layer: Layer, count: int, axis: int) -> float:
    return separable_terms(layer.kernel, count, axis).error


def _cheapest_unfolding(layer: Layer, budget: Budget, choices: Iterable[tuple[int, ...]]) -> Chain:
    found: list[tuple[int, tuple[int, ...], int]] = []
    for axes in choices:
        errors = errors_by_rank(layer.kernel, axes, layer.group)
        rank = budget.choose(smallest_rank(errors, budget.error), len(errors) - 1)
        if rank is not None:
            found.append((separated(layer, axes, rank).macs(layer.size), axes, rank))
    if not found:
        raise NoMatch("no lower rank keeps the error")
    _, axes, rank = min(found)
    return unfolding(layer, axes, rank, per_channel=False)


def _require_whole(graph: Graph, op: Op) -> None:
    """Declines a Conv that may be a factor: what came of one is not approximated once more.

    A factor reads a Conv without bias that nobody else reads, or is such a Conv and feeds one.
    """
    maker = op.operand(0)
    reads = maker is not None and _is_factor(graph, maker.op)
    if reads or _is_factor(graph, op):
        raise NoMatch("the Conv is one of a chain already")


def _is_factor(graph: Graph, op: Op) -> bool:
    if op.kind != "Conv" or op.domain or op.operand(2) is not None:
        return False
    uses = graph.uses(op.result)
    return len(uses) == 1 and uses[0][0].kind == "Conv" and uses[0][1] == 0
