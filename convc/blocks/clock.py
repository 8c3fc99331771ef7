"""Blocks against the clock: a layer alone, and its forms in its place."""

from __future__ import annotations

import numpy as np

from convc.algebra.block_factors import BlockFactors
from convc.blocks.convs import emit_factors
from convc.blocks.table import Speedup
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.rewrite import Replacement, apply
from convc.tuning.region import Trial
from convc.tuning.watch import Watch


class LayerClock:
    """Times forms of one Conv, alone: what it costs to leave the runtime's layout is counted."""

    def __init__(self, graph: Graph, op: Op, watch: Watch, seconds: float) -> None:
        """``seconds``: of each comparison, beyond what the least number of rounds takes."""
        self._watch = watch
        self._seconds = seconds
        self._before = _alone(graph, op)

    def __call__(self, factors: BlockFactors) -> Speedup | None:
        """How much faster the form is than the layer; None where it does not run."""
        if self._before is None:
            return None
        after = self._before.clone()
        op = after.outputs[0].op
        bias = op.operand(2)
        vector = None if bias is None else np.asarray(bias.array, np.float64)
        build = Replacement(after)
        value = emit_factors(build, op, build.take(after.inputs[0]), factors, vector)
        apply(after, build.rewrite({op.result: value}))
        found = self._watch.region(Trial(self._before, after), self._seconds)
        if found is None:
            return None
        return Speedup(found.ratio.ratio, found.ratio.low, found.ratio.high)


def _alone(graph: Graph, op: Op) -> Graph | None:
    """The Conv with an input of its own, at the graph's sizes; None where these are not known."""
    data, weight, bias = (op.operand(i) for i in range(3))
    shape = None if data is None else graph.concrete_shape(data)
    if data is None or weight is None or weight.array is None or shape is None:
        return None
    dtype = data.dtype or weight.dtype
    if dtype is None:
        return None
    build = Builder(Graph(graph.header))
    operands = [
        build.graph.add_input("x", TensorType(dtype, shape)),
        build.constant(weight.array, weight.dtype, "weight"),
    ]
    if bias is not None:
        values = np.zeros(weight.array.shape[0]) if bias.array is None else bias.array
        operands.append(build.constant(values, bias.dtype or dtype, "bias"))
    value = build.op("Conv", operands, op.attributes)
    build.graph.set_outputs([value], ["y"])
    return build.graph
