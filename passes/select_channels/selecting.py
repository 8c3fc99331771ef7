"""Fewer channels of a layer: which stay, and the region without the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from convc.algebra.moments import Moments
from convc.algebra.selection import Reader, compensated, readers_of, readers_of_weights, select
from convc.forms import Observe
from convc.graph import Graph
from convc.ir import Array, Op
from convc.rewrite import Exactness, NoMatch, Rewrite
from passes._regions.build import Rebuilt, Weights, rebuild
from passes._regions.layers import alpha, canonical
from passes._regions.links import Link
from passes._regions.plan import Plan
from passes.select_channels.tied import Tied, require_count, require_free, tied

LARGEST = 4608
"""Numbers in a patch of a layer beyond which it is too large to invert its moments."""


def select_by_data(graph: Graph, op: Op, observe: Observe, count: int) -> Rewrite:
    """Keeps ``count`` channels by what the layers that read them observe, which make up for it."""
    found = tied(graph, op)
    require_free(found)
    require_count(found, count)
    _require_small(found)
    moments = {link.op: _observed(observe, link) for link in found.readers}

    def reader(link: Link) -> list[Reader]:
        return readers_of(moments[link.op], effective(link), found.owner(link.sources[0]))

    plan = _plan(graph, found, count, reader)
    fitted = {link.op: _fitted(plan, link, moments[link.op]) for link in found.readers}
    return _rewrite(graph, found, plan, fitted)


def select_by_weights(graph: Graph, found: Tied, count: int) -> Rewrite:
    """Keeps the ``count`` channels that have the largest weights on them; they must be free."""
    require_count(found, count)

    def reader(link: Link) -> list[Reader]:
        owner = found.owner(link.sources[0])
        return readers_of_weights(effective(link), link.layer.group, owner)

    return _rewrite(graph, found, _plan(graph, found, count, reader), {})


def effective(link: Link) -> Array:
    """The weights (K, C/group, *taps) in float64, with what a Gemm multiplies them by."""
    return alpha(link.layer) * np.asarray(canonical(link.layer), np.float64)


def _require_small(found: Tied) -> None:
    for link in found.readers:
        width = link.layer.array.size // link.layer.outputs
        if width > LARGEST:
            raise NoMatch(f"a {link.op.kind} reads {width} numbers at once")


def _observed(observe: Observe, link: Link) -> Moments:
    try:
        moments = observe(link.op)
    except NoMatch as decline:
        why = f"a {link.op.kind} that reads the channels cannot be observed"
        raise NoMatch(decline.reason or why) from decline
    linear = link.layer
    if moments.xy.shape != (
        linear.group,
        linear.array.size // linear.outputs,
        linear.outputs // linear.group,
    ):
        raise NoMatch(f"a {link.op.kind} that reads the channels was another one when observed")
    return moments


def _plan(graph: Graph, found: Tied, count: int, read: Callable[[Link], list[Reader]]) -> Plan:
    try:
        readers = [reader for link in found.readers for reader in read(link)]
        kept = select(readers, found.channels, count, found.parts())
    except np.linalg.LinAlgError as error:
        raise NoMatch("what the layers read is too dependent to choose by") from error
    except ValueError as error:
        raise NoMatch(str(error)) from error
    plan = found.plan(kept)
    for value in found.region.values:
        if graph.uses(value) and not plan.stays(value).size:
            raise NoMatch("a value would have no channel left")
    return plan


def _fitted(plan: Plan, link: Link, moments: Moments) -> Weights:
    kept = plan.kept[plan.flow.at[link.sources[0]].labels]
    kernel, bias = compensated(moments, effective(link), kept)
    return kernel / alpha(link.layer), bias


def _rewrite(graph: Graph, found: Tied, plan: Plan, fitted: Mapping[Op, Weights]) -> Rewrite:
    rebuilt = rebuild(graph, plan, fitted)
    kept = _kept(plan)
    _hand_on_names(rebuilt)
    left = int(plan.kept[found.labels].sum())
    rewrite = rebuilt.build.rewrite(
        rebuilt.results,
        Exactness.APPROXIMATE,
        frontier=plan.region.inputs,
        note=f"{found.channels} → {left} channels",
    )
    return replace(rewrite, kept=kept)


def _kept(plan: Plan) -> Mapping[str, Sequence[int]]:
    """By the names of the results of layers with fewer channels: which are left."""
    made = (link for link in plan.region.links if link.linear and plan.region.makes(link))
    results = (link.op.result for link in made)
    return {v.name: plan.stays(v).tolist() for v in results if v.name and plan.shrinks(v)}


def _hand_on_names(rebuilt: Rebuilt) -> None:
    """Gives the results of layers the names that they are known by."""
    for link in rebuilt.plan.region.links:
        new = rebuilt.new.get(link.op.result)
        if new is not None and link.linear is not None:
            new.name = link.op.result.name
