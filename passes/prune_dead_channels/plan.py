"""Which channels of a region stay, and what the layers that read the others do instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convc.algebra.channels import Indices, Mask, read_by, rounded_up
from convc.graph import Graph
from convc.ir import Array, Value
from convc.rewrite import NoMatch
from passes._linear import Linear
from passes.prune_dead_channels.flow import CONSTANT, Channels, Flow
from passes.prune_dead_channels.layers import blocks, keeps
from passes.prune_dead_channels.links import Link
from passes.prune_dead_channels.region import Region


@dataclass(frozen=True)
class Merge:
    """How one layer does without channels of its data.

    Attributes:
        into: (channel, other, ratio): its weights go, times the ratio, to the other's.
        constant: (C,), the value of the channels that go into the bias, 0 for the others.
    """

    into: tuple[tuple[int, int, float], ...]
    constant: Array


@dataclass(frozen=True)
class Plan:
    """The decision on a region: ``kept`` is true for the labels that stay."""

    region: Region
    flow: Flow
    kept: Mask

    def stays(self, value: Value) -> Indices:
        """The channels of a value that stay, sorted."""
        return np.flatnonzero(self.kept[self.flow.at[value].labels])

    def shrinks(self, value: Value | None) -> bool:
        """Whether any channel of the value goes."""
        state = None if value is None else self.flow.at.get(value)
        return state is not None and not self.kept[state.labels].all()


class _Needs:
    """Labels that are needed, with the first reason for each."""

    def __init__(self, flow: Flow) -> None:
        self.mask = np.zeros(flow.labels, bool)
        self.why: dict[int, str] = {}

    def add(self, labels: Indices, why: str) -> None:
        for label in labels:
            self.mask[label] = True
            self.why.setdefault(int(label), why)


def decide(graph: Graph, region: Region, flow: Flow, block: int) -> Plan:
    """What stays: the least that all users need, rounded up; declines where that is everything."""
    needs = _Needs(flow)
    for value, why in region.pins.items():
        needs.add(flow.at[value].labels, why)
    labels = made_labels(region, flow)
    if not labels.size:
        raise NoMatch("")
    _read_by_layers(region, flow, needs)
    spare = labels[~needs.mask[labels]]
    size = -1
    while needs.mask.sum() > size:
        size = int(needs.mask.sum())
        _read_by_layers(region, flow, needs)
        _grow(graph, region, flow, needs, block)
    if needs.mask[labels].all():
        dead = [label for label in labels if int(label) in flow.dead]
        if dead:
            raise NoMatch(f"a dead channel stays: {needs.why[int(dead[0])]}")
        if spare.size:
            raise NoMatch(f"a channel nobody needs stays: {needs.why[int(spare[0])]}")
        raise NoMatch("")
    return Plan(region, flow, needs.mask)


def made_labels(region: Region, flow: Flow) -> Indices:
    """The labels of what layers make in the region: those it pays to drop."""
    made = [link.op.result for link in region.links if region.is_layer(link)]
    labels = [flow.at[value].labels for value in made]
    return np.unique(np.concatenate(labels)) if labels else np.zeros(0, np.intp)


def merge(plan: Plan, link: Link) -> Merge:
    """How the layer does without the channels of its data that go."""
    state, linear = plan.flow.at[link.sources[0]], link.layer
    constant = np.zeros(linear.inputs)
    into: list[tuple[int, int, float]] = []
    if link.form == "depthwise":
        return Merge((), constant)
    kept = plan.kept[state.labels]
    rows = np.ones(linear.outputs, bool)
    absorbs, _ = keeps(linear)
    keys = list(_keys(state, linear))
    carriers = {keys[c]: c for c in reversed(np.flatnonzero(kept))}
    for c in np.flatnonzero(_read(linear, rows, state) & ~kept):
        if absorbs and state.signature[c] == CONSTANT:
            constant[c] = state.constant[c]
        elif keys[c] in carriers:
            other = carriers[keys[c]]
            into.append((int(c), int(other), float(state.factor[c] / state.factor[other])))
    return Merge(tuple(into), constant)


def _read_by_layers(region: Region, flow: Flow, needs: _Needs) -> None:
    for link in reversed(region.links):
        if link.form == "linear" and link.sources[0] in region.values:
            _read_by(region, flow, needs, link)


def _read_by(region: Region, flow: Flow, needs: _Needs, link: Link) -> None:
    linear, state = link.layer, flow.at[link.sources[0]]
    rows = np.ones(linear.outputs, bool)
    if region.makes(link):
        rows = needs.mask[flow.at[link.op.result].labels]
    absorbs, why = keeps(linear)
    read = _read(linear, rows, state)
    if absorbs:
        read &= state.signature != CONSTANT
    keys = list(_keys(state, linear))
    kept = {keys[c] for c in np.flatnonzero(needs.mask[state.labels])}
    for c in sorted(np.flatnonzero(read), key=lambda c: int(state.labels[c])):
        if keys[c] not in kept:
            kept.add(keys[c])
            carries = state.signature[c] == CONSTANT
            border = f"it carries constants to the border ({why})"
            reason = border if carries else "it is part of one that varies"
            needs.add(state.labels[[c]], reason)


def _read(linear: Linear, rows: Mask, state: Channels) -> Mask:
    """(C,): the channels that have a weight other than 0 in ``rows``, and are not zero."""
    read = read_by(blocks(linear), rows.reshape(linear.group, -1)).reshape(-1)
    varying: Mask = np.not_equal(state.constant, 0)
    return np.logical_and(read, varying)


def _keys(state: Channels, linear: Linear) -> Iterator[tuple[int, int]]:
    """For each channel what it must share with another to be merged into it."""
    inner = linear.inputs // linear.group
    for c, (signature, factor) in enumerate(zip(state.signature, state.factor, strict=True)):
        # A channel that is constantly zero carries nothing.
        yield (int(signature) if factor else -1 - c, c // inner)


def _grow(graph: Graph, region: Region, flow: Flow, needs: _Needs, block: int) -> None:
    """Keeps more where a count must not be odd, or a value would have no channel left."""
    for link in region.links:
        if region.is_layer(link):
            labels = flow.at[link.op.result].labels
            wanted = rounded_up(int(needs.mask[labels].sum()), len(labels), block)
            why = f"the count must be a multiple of {block}"
            _keep_some(needs, labels, wanted, why if block > 1 else "it is the last one")
        if link.form == "linear" and link.layer.group > 1:
            _balance(region, flow, needs, link)
    ends = (value for link in region.links for value in (*link.sources, *link.results))
    for value in dict.fromkeys(ends):
        if value in region.values and graph.uses(value):
            _keep_some(needs, flow.at[value].labels, 1, "it is the last one")


def _balance(region: Region, flow: Flow, needs: _Needs, link: Link) -> None:
    """The groups that are left must have equally many channels, on either side."""
    group, sides = link.layer.group, []
    ends = (link.sources[0], link.op.result)
    for value, count in zip(ends, (link.layer.inputs, link.layer.outputs), strict=True):
        labels = flow.at[value].labels if value in region.values else None
        sides.append((labels, count // group))
    counts = np.array(
        [
            [width] * group if labels is None else needs.mask[labels].reshape(group, -1).sum(1)
            for labels, width in sides
        ]
    )
    most = counts.max(axis=1)
    for g in np.flatnonzero(counts.any(axis=0)):
        for (labels, width), wanted in zip(sides, most, strict=True):
            if labels is not None:
                part = labels[g * width : (g + 1) * width]
                _keep_some(needs, part, max(int(wanted), 1), "the groups must stay equal")


def _keep_some(needs: _Needs, labels: Indices, wanted: int, why: str) -> None:
    for label in labels:
        if int(needs.mask[labels].sum()) >= wanted:
            return
        needs.add(np.array([label]), why)
