"""The channels that a layer makes, and all that is tied to them: what makes and what reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.algebra.channels import Indices
from convc.graph import Graph
from convc.ir import Op, Value
from convc.rewrite import NoMatch
from passes._regions.flow import Flow
from passes._regions.layers import alpha
from passes._regions.links import Link, read
from passes._regions.plan import Plan
from passes._regions.region import Region, collect


@dataclass(frozen=True)
class Tied:
    """The channels of a layer's result, by their labels, in the region around it.

    Attributes:
        region: the region.
        flow: the labels of its values.
        labels: (C,), of the channels of the layer's result.
    """

    region: Region
    flow: Flow
    labels: Indices

    @property
    def channels(self) -> int:
        """C."""
        return len(self.labels)

    @property
    def makers(self) -> list[Link]:
        """The layers that make any of the channels."""
        layers = (link for link in self.region.links if self.region.is_layer(link))
        return [link for link in layers if self._has(link.op.result)]

    @property
    def readers(self) -> list[Link]:
        """The layers that read any of the channels."""
        return [
            link
            for link in self.region.links
            if link.form == "linear"
            and link.sources[0] in self.region.values
            and self._has(link.sources[0])
        ]

    def owner(self, value: Value) -> Indices:
        """For each channel of a value the one of the layer's that it belongs to, −1 for none."""
        place = np.full(self.flow.labels, -1)
        place[self.labels] = np.arange(self.channels)
        return place[self.flow.at[value].labels]

    def parts(self) -> Indices:
        """(C,): numbers of the parts of which equally many channels must stay: groups of convs."""
        columns = [np.zeros(self.channels, np.intp)]
        for link in (*self.makers, *self.readers):
            for value, inside in (
                (link.op.result, self.region.makes(link)),
                (link.sources[0], link.sources[0] in self.region.values),
            ):
                if link.layer.group > 1 and inside and self._has(value):
                    columns.append(self._groups(value, link.layer.group))
        parts: Indices = np.unique(np.stack(columns), axis=1, return_inverse=True)[1].reshape(-1)
        return parts

    def plan(self, kept: Indices) -> Plan:
        """What stays of the region where only some of the layer's channels stay."""
        mask = np.ones(self.flow.labels, bool)
        mask[np.delete(self.labels, kept)] = False
        return Plan(self.region, self.flow, mask)

    def _has(self, value: Value) -> bool:
        return bool(np.isin(self.flow.at[value].labels, self.labels).any())

    def _groups(self, value: Value, group: int) -> Indices:
        """(C,): the group that each channel is in, −1 where it is in none."""
        owner = self.owner(value)
        found = np.full(self.channels, -1)
        inside = owner >= 0
        found[owner[inside]] = (np.arange(len(owner)) * group // len(owner))[inside]
        return found


def tied(graph: Graph, op: Op) -> Tied:
    """The channels that a layer makes; declines where it is none, or not the first to make them."""
    link = read(graph, op)
    if link is None or link.form != "linear":
        raise NoMatch("")
    region = collect(graph, op.result, lambda *_: None)
    flow = Flow(graph, region)
    found = Tied(region, flow, flow.at[op.result].labels)
    makers = {maker.op for maker in found.makers}
    if next(one for one in graph.ops() if one in makers) is not op:
        raise NoMatch("")
    return found


def require_free(found: Tied) -> None:
    """Declines where the channels are needed by more than layers that can do without some."""
    for value, why in found.region.pins.items():
        if found.owner(value).max(initial=-1) >= 0:
            raise NoMatch(f"the channels are all needed: {why}")
    if len(np.unique(found.labels)) < found.channels:
        raise NoMatch("channels of the layer are tied to each other")
    if not found.readers:
        raise NoMatch("no layer reads the channels")
    if any(alpha(link.layer) == 0 for link in found.readers):
        raise NoMatch("a Gemm that reads the channels multiplies them by 0")
    if len(set(np.bincount(found.parts()).tolist())) > 1:
        raise NoMatch("the groups of the layers are not the same")


def require_count(found: Tied, count: int) -> None:
    """Declines a count that is not less than all, or that the groups cannot share."""
    if not 0 < count < found.channels:
        raise NoMatch(f"the layer has {found.channels} channels")
    groups = int(found.parts().max()) + 1
    if count % groups:
        raise NoMatch(f"{count} channels are not {groups} equal groups")
