"""What a layer may become under an error budget: chains whose weights are fitted to its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from types import MappingProxyType

from convc.algebra.fit import (
    fit_low_rank_in,
    fit_low_rank_out,
    fit_separable,
    fit_separable_depthwise,
    fit_tucker,
)
from convc.algebra.moments import Moments
from convc.forms import Form, Observe
from convc.graph import Graph
from convc.ir import Array, Op
from convc.rewrite import Exactness, NoMatch, Rewrite
from passes.factor_kernels.chain import Chain, Outline, rewrite
from passes.factor_kernels.layer import Layer, read
from passes.factor_kernels.outlines import separated, through_core

NARROW = 8
"""Dense layers of fewer channels in or out are left alone: the runtime computes whole blocks."""
LONG = 5
"""Taps of a depthwise kernel below which two smaller ones read and write more than they save."""
PAYS = 0.95
"""Part of the layer's MACs that a form may have at the most."""
SEPARABLE = (2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 6)
LOW_RANK_OUT = (3 / 4, 1 / 2, 1 / 3)
LOW_RANK_IN = (1 / 2, 1 / 3)
"""Parts of the layer's MACs that ranks are chosen for."""
TUCKER = (3 / 4, 1 / 2, 1 / 4)
"""Parts of the channels on either side that are left between."""
LARGE = 2**18
"""Weights beyond which Tucker-2 is not offered: its fit takes many seconds, and on such layers it
won nowhere."""
POINTWISE = 0.4
"""Part of the channels that may be left between two 1×1 convs: it takes 0.8 of the MACs."""


@dataclass(frozen=True)
class Plan:
    """One form: its name, the shapes and geometries of its chain, and what fits the weights."""

    name: str
    outline: Outline
    fit: Callable[[Moments, Array], Sequence[Array]]


def forms(graph: Graph, op: Op, kinds: Iterable[str], block: int) -> list[Form]:
    """The chains that a Conv may become, those with the most MACs first."""
    if op.kind != "Conv" or op.domain:
        return []
    try:
        layer = read(graph, op)
    except NoMatch:
        return []
    plans = [plan for kind in kinds if kind in PLANS for plan in PLANS[kind](layer, block)]
    costs = {plan.name: plan.outline.macs(layer.size) for plan in plans}
    cheap = [plan for plan in plans if costs[plan.name] < PAYS * layer.macs]
    cheap.sort(key=lambda plan: -costs[plan.name])
    return [Form(plan.name, partial(_fitted, plan=plan)) for plan in cheap]


def _fitted(graph: Graph, op: Op, observe: Observe, *, plan: Plan) -> Rewrite:
    layer = read(graph, op)
    moments = observe(op)
    try:
        kernels = plan.fit(moments, layer.kernel)
    except ValueError as error:
        raise NoMatch(str(error)) from error
    chain = Chain(tuple(kernels), plan.outline.geometries, plan.name)
    effective = chain.kernel()
    made = rewrite(
        layer,
        chain,
        Exactness.APPROXIMATE,
        note=f"{layer.label} → {chain.text()}",
        bias=moments.bias(effective),
    )
    return replace(made, loss=moments.loss(effective))


def _separable(layer: Layer, block: int) -> Iterator[Plan]:
    """One axis first, that which costs least."""
    if not _is_dense(layer) or len(layer.wide_axes) < 2:
        return
    axis = _first_axis(layer)
    outlined = partial(separated, layer, [axis])
    for rank in _ranks(layer, outlined, SEPARABLE, block):
        fit = partial(fit_separable, rank=rank, axis=axis)
        yield Plan(f"separable {rank}", outlined(rank), fit)


def _terms(layer: Layer, _block: int) -> Iterator[Plan]:
    """Depthwise: so many pairs of kernels along the axes for each channel."""
    least = min((layer.geometry.kernel[axis] for axis in layer.wide_axes), default=0)
    if layer.inputs > 1 or layer.group < 2 or len(layer.wide_axes) < 2 or least < LONG:
        return
    axis = _first_axis(layer)
    for terms in range(1, least):
        fit = partial(fit_separable_depthwise, terms=terms, axis=axis)
        yield Plan(f"terms {terms}", separated(layer, [axis], terms), fit)


def _low_rank_out(layer: Layer, block: int) -> Iterator[Plan]:
    if not _is_dense(layer):
        return
    most = POINTWISE * min(layer.inputs, layer.outputs) + block / 2
    outlined = partial(separated, layer, range(layer.geometry.ndim))
    for rank in _ranks(layer, outlined, LOW_RANK_OUT, block):
        if layer.wide_axes or rank <= most:
            yield Plan(f"low-rank-out {rank}", outlined(rank), partial(fit_low_rank_out, rank=rank))


def _low_rank_in(layer: Layer, block: int) -> Iterator[Plan]:
    if not _is_dense(layer) or not layer.wide_axes:
        return
    outlined = partial(separated, layer, ())
    for rank in _ranks(layer, outlined, LOW_RANK_IN, block):
        yield Plan(f"low-rank-in {rank}", outlined(rank), partial(fit_low_rank_in, rank=rank))


def _tucker(layer: Layer, block: int) -> Iterator[Plan]:
    if not _is_dense(layer) or not layer.wide_axes or layer.kernel.size > LARGE:
        return
    sides = layer.inputs, layer.outputs
    pairs = ([_rounded(part * side, block) for side in sides] for part in TUCKER)
    for inner, outer in dict.fromkeys((first, last) for first, last in pairs):
        if inner < sides[0] and outer < min(sides[1], inner * prod(layer.geometry.kernel)):
            fit = partial(fit_tucker, ranks=(inner, outer))
            yield Plan(f"tucker {inner},{outer}", through_core(layer, (inner, outer)), fit)


PLANS: Mapping[str, Callable[[Layer, int], Iterator[Plan]]] = MappingProxyType(
    {
        "separable": _separable,
        "terms": _terms,
        "low-rank-out": _low_rank_out,
        "low-rank-in": _low_rank_in,
        "tucker": _tucker,
    }
)


def _is_dense(layer: Layer) -> bool:
    return layer.group == 1 and min(layer.inputs, layer.outputs) >= NARROW


def _first_axis(layer: Layer) -> int:
    """The axis that costs least as the first; of equals the first."""
    return min(layer.wide_axes, key=lambda axis: separated(layer, [axis], 1).macs(layer.size))


def _ranks(
    layer: Layer, outlined: Callable[[int], Outline], shares: Sequence[float], block: int
) -> list[int]:
    """Ranks with about these shares of the layer's MACs; full rank would have them all."""
    share = outlined(1).macs(layer.size) / layer.macs
    return list(dict.fromkeys(_rounded(part / share, block) for part in shares))


def _rounded(rank: float, block: int) -> int:
    """The nearest multiple of ``block``, or half of one block."""
    blocks = round(rank / block)
    return blocks * block if rank >= 0.75 * block else max(block // 2, 1)
