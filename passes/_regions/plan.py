"""What stays of a region, and what the layers that read the rest do instead, where it is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convc.algebra.channels import Indices, Mask, read_by
from convc.ir import Array, Value
from passes._linear import Linear
from passes._regions.flow import CONSTANT, Channels, Flow
from passes._regions.layers import blocks, keeps
from passes._regions.links import Link
from passes._regions.region import Region


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
    keys = list(merge_keys(state, linear))
    # The largest carries: times a small ratio its weights stay of the size they are.
    order = sorted(np.flatnonzero(kept), key=lambda c: (abs(state.factor[c]), -c))
    carriers = {keys[c]: c for c in order}
    for c in np.flatnonzero(read_channels(linear, rows, state) & ~kept):
        if absorbs and state.signature[c] == CONSTANT:
            constant[c] = state.constant[c]
        elif keys[c] in carriers:
            other = carriers[keys[c]]
            into.append((int(c), int(other), float(state.factor[c] / state.factor[other])))
    return Merge(tuple(into), constant)


def read_channels(linear: Linear, rows: Mask, state: Channels) -> Mask:
    """(C,): the channels that have a weight other than 0 in ``rows``, and are not zero."""
    read = read_by(blocks(linear), rows.reshape(linear.group, -1)).reshape(-1)
    varying: Mask = np.not_equal(state.constant, 0)
    return np.logical_and(read, varying)


def merge_keys(state: Channels, linear: Linear) -> Iterator[tuple[int, int]]:
    """For each channel what it must share with another to be merged into it."""
    inner = linear.inputs // linear.group
    for c, (signature, factor) in enumerate(zip(state.signature, state.factor, strict=True)):
        # A channel that is constantly zero carries nothing.
        yield (int(signature) if factor else -1 - c, c // inner)
