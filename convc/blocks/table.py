"""Blocks: how much cheaper a dense convolution in b groups is, and what is lost.

Exercise 7: a c × c matrix broken into b blocks on its diagonal takes b times fewer products, and
nothing passes from one block to another. Three forms are compared, see
`convc.algebra.block_factors`: the blocks alone, their channels sorted so that most is kept; a dense
1×1 conv behind them; a shuffle and a 1×1 conv in groups behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from math import sqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from convc.algebra.arrays import AnyArray, Array
from convc.algebra.block_factors import (
    BlockFactors,
    missed,
    nearest_diagonal,
    nearest_grouped,
    nearest_shuffled,
)
from convc.algebra.fit.blocks import fit_diagonal, fit_grouped, fit_shuffled
from convc.algebra.moments import Moments
from convc.conv import group_of
from convc.ir import Op, is_real

NEAREST: Mapping[str, Callable[[AnyArray, int], BlockFactors]] = MappingProxyType(
    {"diagonal": nearest_diagonal, "grouped": nearest_grouped, "shuffled": nearest_shuffled}
)
FITTED: Mapping[str, Callable[[Moments, AnyArray, int], BlockFactors]] = MappingProxyType(
    {"diagonal": fit_diagonal, "grouped": fit_grouped, "shuffled": fit_shuffled}
)


@dataclass(frozen=True, slots=True)
class Speedup:
    """How many times faster the layer alone is: the median over rounds and its interval."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a layer.

    Attributes:
        macs_ratio: its MACs over the layer's.
        loss: relative L2 error of the layer's response, its mean removed.
        factors: its weights.
        speedup: measured; None: it was not.
    """

    macs_ratio: float
    loss: float
    factors: BlockFactors
    speedup: Speedup | None = None

    def as_json(self) -> dict[str, Any]:
        """Its entry in ``--json``."""
        speedup = None if self.speedup is None else asdict(self.speedup)
        return {"macs_ratio": self.macs_ratio, "loss": self.loss, "speedup": speedup}


@dataclass(frozen=True, slots=True)
class Row:
    """A layer in b blocks.

    Attributes:
        b: number of blocks.
        forms: ``diagonal``, ``grouped`` and ``shuffled``; those that would take more MACs than the
            layer are left out.
    """

    b: int
    forms: Mapping[str, Form]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A layer in 2, 4, 8, ... blocks.

    Attributes:
        shape: of the weights, (K, C, *taps).
        rows: one for each number of blocks.
        on_data: the loss is that on data, to which the factors are fitted; else that on white
            noise, for which the weights alone count.
    """

    shape: tuple[int, ...]
    rows: tuple[Row, ...]
    on_data: bool

    def as_json(self) -> dict[str, Any]:
        """The object under ``blocks`` in ``--json``."""
        rows = [
            {"b": row.b, **dict.fromkeys(NEAREST)}
            | {name: form.as_json() for name, form in row.forms.items()}
            for row in self.rows
        ]
        return {"loss_on": "data" if self.on_data else "white noise", "rows": rows}

    def timed(self, time: Callable[[BlockFactors], Speedup | None]) -> Blocks:
        """The same with every form timed."""
        rows = []
        for row in self.rows:
            forms = {
                name: replace(form, speedup=time(form.factors)) for name, form in row.forms.items()
            }
            rows.append(replace(row, forms=forms))
        return replace(self, rows=tuple(rows))


def blocks(op: Op, moments: Moments | None = None) -> Blocks | str:
    """The table of a dense conv, or why it has none.

    Args:
        op: a Conv.
        moments: of the layer on data; None: on white noise.
    """
    why = why_no_blocks(op)
    if why:
        return why
    weight = op.operand(1)
    assert weight is not None
    assert weight.array is not None
    kernel = np.asarray(weight.array, np.float64)
    rows = tuple(Row(b, _forms(kernel, b, moments)) for b in numbers(kernel.shape))
    return Blocks(kernel.shape, rows, on_data=moments is not None)


def why_no_blocks(op: Op) -> str:
    """Why a conv has no table; "" where it has one."""
    weight = op.operand(1)
    if group_of(op) != 1:
        return "it is in groups already"
    if weight is None or weight.array is None or not is_real(weight.array.dtype):
        return "its weights are no floating constants"
    if weight.array.ndim < 3 or not np.isfinite(weight.array.astype(np.float64)).all():
        return "its weights are not valid"
    if not list(numbers(weight.array.shape)):
        return "no number of blocks divides its channels"
    return ""


def numbers(shape: tuple[int, ...]) -> Iterator[int]:
    """2, 4, 8, ... as far as they divide both numbers of channels."""
    b = 2
    while min(shape[:2]) and not shape[0] % b and not shape[1] % b:
        yield b
        b *= 2


def _forms(kernel: Array, b: int, moments: Moments | None) -> dict[str, Form]:
    found: dict[str, Form] = {}
    for name, nearest in NEAREST.items():
        if name == "shuffled" and b * b > kernel.shape[0]:
            continue  # a channel for each pair of blocks is more than there are
        factors = nearest(kernel, b) if moments is None else FITTED[name](moments, kernel, b)
        ratio = factors.products / kernel.size
        if ratio < 1:
            found[name] = Form(ratio, _loss(kernel, factors, moments), factors)
    return found


def _loss(kernel: Array, factors: BlockFactors, moments: Moments | None) -> float:
    whole = factors.kernel()
    return sqrt(missed(kernel, whole) if moments is None else moments.loss(whole))
