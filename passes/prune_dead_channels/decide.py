"""Which channels of a region stay: those that a user needs, rounded up."""

from __future__ import annotations

import numpy as np

from convc.algebra.channels import Indices, rounded_up
from convc.graph import Graph
from convc.rewrite import NoMatch
from passes._regions.flow import CONSTANT, Flow
from passes._regions.layers import keeps
from passes._regions.links import Link
from passes._regions.plan import Plan, made_labels, merge_keys, read_channels
from passes._regions.region import Region

LARGEST_RATIO = 2.0**10
"""How many times larger than the channel that stays one may be that its weights carry. A softplus
far below zero gives 1e-27; weights of 1e27 are no good, even where they are right."""


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
    read = read_channels(linear, rows, state)
    if absorbs:
        read &= state.signature != CONSTANT
    keys = list(merge_keys(state, linear))
    size = np.abs(state.factor)
    carried: dict[tuple[int, int], float] = {}  # the largest channel that stays, by its key
    for c in np.flatnonzero(needs.mask[state.labels]):
        carried[keys[c]] = max(carried.get(keys[c], 0.0), size[c])
    for c in sorted(np.flatnonzero(read), key=lambda c: (-size[c], int(state.labels[c]))):
        if not size[c] <= LARGEST_RATIO * carried.get(keys[c], -1.0):
            carried[keys[c]] = size[c]
            carries = state.signature[c] == CONSTANT
            border = f"it carries constants to the border ({why})"
            reason = border if carries else "it is part of one that varies"
            needs.add(state.labels[[c]], reason)


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
        if value in region.values and graph.is_used(value):
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
