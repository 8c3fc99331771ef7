"""Dense convs as grouped ones and what mixes their groups: approximate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from types import MappingProxyType

import numpy as np

from convc.algebra.arrays import AnyArray, Array
from convc.algebra.block_factors import (
    BlockFactors,
    factor_products,
    missed,
    nearest_grouped,
    nearest_shuffled,
)
from convc.algebra.fit.blocks import fit_grouped, fit_shuffled
from convc.algebra.moments import Moments
from convc.blocks.convs import emit_factors
from convc.conv import group_of
from convc.forms import Form, Observe
from convc.graph import Graph
from convc.ir import Op
from convc.rewrite import Exactness, NoMatch, Replacement, Rewrite
from passes._chains import constant, storable
from passes.factor_kernels.bound import bound
from passes.factor_kernels.layer import Layer, read, taps

PAYS = 0.95
"""Part of the layer's products that a form may take at the most to be worth a try."""

BLOCKS = (2, 4, 8)
"""Numbers of groups that are offered."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is done by weights alone, and with moments.

    Attributes:
        mixes: whether the second conv is dense.
    """

    mixes: bool
    nearest: Callable[[AnyArray, int], BlockFactors]
    fitted: Callable[[Moments, AnyArray, int], BlockFactors]
    text: str


KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "grouped": _Kind(True, nearest_grouped, fit_grouped, "dense 1×1"),
        "shuffled": _Kind(False, nearest_shuffled, fit_shuffled, "shuffle + 1×1 in as many"),
    }
)


def block_factors(graph: Graph, op: Op, *, kind: str, blocks: int, max_error: float) -> Rewrite:
    """A dense conv by its weights alone, where the relative error of these is small enough."""
    layer = _read(graph, op)
    _require_blocks(layer, kind, blocks)
    if not max_error > 0:
        raise NoMatch("max-error is 0")
    factors = KINDS[kind].nearest(layer.kernel, blocks)
    kernel = factors.kernel()
    error = sqrt(missed(layer.kernel, kernel))
    if not error <= max_error:
        raise NoMatch("the error of the weights exceeds max-error")
    value = op.operand(2)
    bias = None if value is None else np.asarray(constant(value, "the biases"), np.float64)
    note = f"{_label(layer, kind, blocks)}, error {100 * error:.2g} %"
    return _rewritten(layer, factors, bias, note, bound(layer, kernel))


def block_forms(graph: Graph, op: Op, *, least: int) -> Sequence[Form]:
    """The forms of a dense conv whose groups have ``least`` channels or more, in and out."""
    try:
        layer = _read(graph, op)
    except NoMatch:
        return []
    return [
        Form(f"{kind} {blocks}", partial(_fitted, kind=kind, blocks=blocks))
        for kind in KINDS
        for blocks in BLOCKS
        if _pays(layer, kind, blocks, least)
    ]


def _pays(layer: Layer, kind: str, blocks: int, least: int) -> bool:
    try:
        _require_blocks(layer, kind, blocks)
    except NoMatch:
        return False
    mixing = 1 if KINDS[kind].mixes else blocks
    products = factor_products(layer.kernel.shape, blocks, mixing)
    wide = min(layer.kernel.shape[:2]) >= least * blocks
    return wide and products < PAYS * layer.kernel.size


def _fitted(graph: Graph, op: Op, observe: Observe, *, kind: str, blocks: int) -> Rewrite:
    layer = _read(graph, op)
    moments = observe(op)
    try:
        factors = KINDS[kind].fitted(moments, layer.kernel, blocks)
    except ValueError as error:
        raise NoMatch(str(error)) from error
    effective = factors.kernel()
    made = _rewritten(layer, factors, moments.bias(effective), _label(layer, kind, blocks))
    return replace(made, loss=moments.loss(effective))


def _read(graph: Graph, op: Op) -> Layer:
    if op.kind != "Conv" or op.domain or group_of(op) != 1:
        raise NoMatch
    return read(graph, op)


def _require_blocks(layer: Layer, kind: str, blocks: int) -> None:
    if KINDS[kind].mixes and not layer.wide_axes:
        raise NoMatch("a kernel of one tap is a dense 1×1 already")
    if layer.filters % blocks or layer.channels % blocks:
        raise NoMatch(f"the channels are not {blocks} equal blocks")


def _rewritten(
    layer: Layer, factors: BlockFactors, bias: Array | None, note: str, moved: float = 0.0
) -> Rewrite:
    storable(factors.first, layer.weight)
    build, op = Replacement(layer.graph), layer.op
    value = emit_factors(build, op, build.take(layer.data), factors, bias)
    return build.rewrite({op.result: value}, Exactness.APPROXIMATE, note=note, bound=moved)


def _label(layer: Layer, kind: str, blocks: int) -> str:
    name = taps(layer.kernel.shape)
    return f"dense {name} Conv → {name} in {blocks} groups + {KINDS[kind].text}"
