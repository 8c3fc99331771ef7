"""A Slice or Gather of a layer's output channels, done by the layer: it computes no others."""

from __future__ import annotations

import numpy as np

from convc.algebra.channels import rounded_up
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import require_alone
from passes._regions.build import emit
from passes._regions.layers import bias_vector, canonical
from passes._regions.links import channels, read


def pull(graph: Graph, op: Op, block: int) -> Rewrite:
    """The layer before a Slice or Gather with only the filters, in their order, that it picks."""
    link = read(graph, op)
    if link is None or link.form != "pick":
        raise NoMatch("")
    source, pick = link.sources[0], link.picks[0]
    maker = read(graph, source.op)
    if maker is None or maker.form != "linear":
        raise NoMatch("")
    linear = maker.layer
    require_alone(graph, [source])
    if linear.group > 1:
        raise NoMatch("the channels picked are those of a grouped conv")
    count = channels(source) or 0
    if len(pick) > count:
        raise NoMatch("more channels are picked than are made")
    if len(pick) < count and rounded_up(len(pick), count, block) != len(pick):
        raise NoMatch(f"the number of channels picked is no multiple of {block}")
    build = Replacement(graph)
    assert isinstance(op.result.type, TensorType)
    w, bias = canonical(linear)[pick], bias_vector(linear)[pick]
    data = build.take(linear.data)
    result = emit(build, linear, data, w=w, bias=bias, group=1, type_=op.result.type)
    kept = len(np.unique(pick))
    note = f"{op.kind} of channels pulled into a {linear.kind}: {kept} of {count}"
    return build.rewrite({op.result: result}, note=note)
