"""Strips: what computing D outputs from one strip of the input saves, and where that ends.

A strip lies across the second to last spatial axis (rows; the only axis of a 1-D conv) and is
scanned along the last one. The D outputs side by side in it share input: with stride 1 and no
dilation they read k + D − 1 rows instead of D·k. The window that slides along the strip keeps what
it will read again, so each value of the strip is loaded once.

Everything is counted away from the border, padded positions as if they were read, and the last
strip as if it were full. The model, its derivation and a worked example are in ``docs/strips.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache
from math import isqrt, sqrt
from typing import Any

from convc.costs.strips.conv import StripConv, axis_of, coprime, positions, strip_conv
from convc.costs.strips.products import ToomCook, one_axis, two_axes, why_no_toom_cook
from convc.graph import Graph
from convc.ir import Op

WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SAVING = Fraction(1, 20)
"""The least part of its reads that one more row must save to be worth a register."""


@dataclass(frozen=True, slots=True)
class Row:
    """Strips of D output rows.

    Attributes:
        d: output rows in a strip.
        rows_read: different input rows that they read.
        reads: input values loaded per output position and input channel.
        weight_reads: weight values loaded per output value and input channel, when a weight is
            loaded once for the D outputs that are summed up together.
        window_bytes: what is kept of the strip while it is scanned.
        one_axis: Toom–Cook across the strip; None where there is none.
        two_axes: Toom–Cook across and along; None where there is none.
    """

    d: int
    rows_read: int
    reads: float
    weight_reads: float
    window_bytes: int
    one_axis: ToomCook | None
    two_axes: ToomCook | None


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest D that something allows.

    Attributes:
        what: what sets the limit.
        d: the largest D within it; 0 where even one row is too many. Of Toom–Cook, the largest of
            the widths in the table, 1 being the direct sum.
        why: in words, with the figures.
        direct: True where it bounds the direct computation and so `Strips.best`.
    """

    what: str
    d: int
    why: str
    direct: bool


@dataclass(frozen=True, slots=True)
class Strips:
    """The table of one convolution.

    Attributes:
        multiplications: of the direct sum, per output and input channel: the number of taps.
        operations: of the direct sum, multiplications and additions per output value.
        weight_bytes: the kernel of all output channels that share the window.
        rows: by growing D, up to the number of output rows.
        limits: where more stops paying, and why.
        best: the largest D within all limits of the direct computation, at least 1.
        toom_cook: why there is no Toom–Cook; "" where there is.
    """

    multiplications: int
    operations: int
    weight_bytes: int
    rows: tuple[Row, ...]
    limits: tuple[Limit, ...]
    best: int
    toom_cook: str

    def as_json(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and strings."""
        fields = asdict(self)
        return {**fields, "rows": list(fields["rows"]), "limits": list(fields["limits"])}


def strips(
    graph: Graph,
    op: Op,
    *,
    l1: int = 32 << 10,
    l2: int = 1 << 20,
    lanes: int = 16,
    registers: int = 32,
    tolerance: float = 1e-4,
) -> Strips | str:
    """The table of strip widths of a Conv at the graph's sizes, or why there is none.

    Args:
        graph: whose ``sizes`` are used.
        op: any op of it.
        l1: bytes of the first cache (by default those of a common x86 core with AVX-512).
        l2: bytes of the second cache.
        lanes: values of the op's element type in a vector register.
        registers: vector registers.
        tolerance: the largest error of Toom–Cook, relative to the size of an output.
    """
    conv = strip_conv(graph, op, lanes)
    return conv if isinstance(conv, str) else _table(conv, l1, l2, registers, tolerance)


# Networks repeat their layers.
@lru_cache(maxsize=256)
def _table(conv: StripConv, l1: int, l2: int, registers: int, tolerance: float) -> Strips:
    declined = why_no_toom_cook(conv.geometry)
    height = conv.outputs[conv.across]
    rows = tuple(_row(conv, d, plain=bool(declined)) for d in WIDTHS if d <= height)
    limits = (*_direct_limits(conv, l1, l2, registers), *_toom_cook_limits(conv, rows, tolerance))
    return Strips(
        multiplications=conv.taps,
        operations=conv.operations,
        weight_bytes=conv.weight_bytes,
        rows=rows,
        limits=limits,
        best=max(1, min(limit.d for limit in limits if limit.direct)),
        toom_cook=declined,
    )


def _row(conv: StripConv, d: int, *, plain: bool) -> Row:
    return Row(
        d=d,
        rows_read=positions(d, *axis_of(conv.geometry, conv.across)),
        reads=float(conv.reads(d)),
        weight_reads=conv.taps / d,
        window_bytes=conv.window_bytes(d),
        one_axis=None if plain else one_axis(conv, d),
        two_axes=None if plain else two_axes(conv, d),
    )


def _direct_limits(conv: StripConv, l1: int, l2: int, registers: int) -> Iterator[Limit]:
    height = conv.outputs[conv.across]
    yield Limit("output", height, f"the output has {height} rows", True)
    paying = _paying(conv)
    yield Limit("reads", paying, _why_reads(conv, paying), True)
    why = f"one register per output row; of {registers}, one for the weights, one for the input"
    yield Limit("registers", max(registers - 2, 0), why, True)
    yield _cache_limit("L1", "the window takes", conv.window_bytes, height, l1)
    if conv.weight_bytes > l2:
        # No D makes them fit. The wider the strip, the fewer times they are fetched.
        what = f"the weights' {_kib(conv.weight_bytes)} pass through anyway, the window takes"
        yield _cache_limit("L2", what, conv.window_bytes, height, l2)
        return

    def together(d: int) -> int:
        return conv.window_bytes(d) + conv.weight_bytes

    yield _cache_limit("L2", "window and weights take", together, height, l2)


def _cache_limit(
    cache: str, what: str, bytes_of: Callable[[int], int], height: int, size: int
) -> Limit:
    d = _largest(lambda d: bytes_of(d) <= size, height)
    shown = min(d + 1, height)
    rows = "1 row" if shown == 1 else f"{shown} rows"
    why = f"{what} {_kib(bytes_of(shown))} with {rows}, {cache} holds {_kib(size)}"
    return Limit(cache, d, why, True)


def _paying(conv: StripConv) -> int:
    """The largest D whose last row still saved `SAVING` of the reads."""
    kernel, stride, dilation = axis_of(conv.geometry, conv.across)
    step, spread = coprime(stride, dilation)
    shared = spread * max(kernel - step, 0)
    # Reads per output are k − (k − s)(1 − δ/D) ≥ min(k, s), so a row saves at most
    # shared / (D(D − 1)) of at least one: beyond this bound too little.
    bound = spread + 1 + isqrt(int(shared / SAVING)) + 1
    return max(
        (d for d in range(2, bound + 1) if conv.reads(d) <= (1 - SAVING) * conv.reads(d - 1)),
        default=1,
    )


def _why_reads(conv: StripConv, d: int) -> str:
    if d == 1:
        return "rows side by side share no input"
    now, more = float(conv.reads(d)), float(conv.reads(d + 1))
    return (
        f"{now:.3g} reads per output and channel, one row more {more:.3g}: "
        f"less than {float(SAVING):.0%} saved"
    )


def _kib(count: int) -> str:
    return f"{count / 1024:.4g} KiB"


def _largest(holds: Callable[[int], bool], upper: int) -> int:
    """The largest d up to ``upper`` for which ``holds``, which stays false once false; else 0."""
    low, high = 0, upper
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _toom_cook_limits(conv: StripConv, rows: tuple[Row, ...], tolerance: float) -> Iterator[Limit]:
    forms = (
        ("one axis", [(row.d, row.one_axis) for row in rows]),
        ("two axes", [(row.d, row.two_axes) for row in rows]),
    )
    for name, form in forms:
        known = [(d, found) for d, found in form if found is not None]
        if not known:
            continue
        yield _operations_limit(name, conv, known)
        yield _error_limit(name, conv, known, tolerance)


def _operations_limit(name: str, conv: StripConv, known: list[tuple[int, ToomCook]]) -> Limit:
    d, least = min(known, key=lambda pair: pair[1].operations)
    what = f"operations, {name}"
    if d == 1:
        return Limit(what, 1, f"never below the {conv.operations} of the direct sum", False)
    saved = f"{least.operations:.4g} operations per output, direct {conv.operations}"
    more = next((pair for pair in known if pair[0] > d), None)
    if more is None:
        return Limit(what, d, saved, False)
    why = f"{saved}, with D = {more[0]} {more[1].operations:.4g}: the transforms take it back"
    return Limit(what, d, why, False)


def _error_limit(
    name: str, conv: StripConv, known: list[tuple[int, ToomCook]], tolerance: float
) -> Limit:
    """A sum of N rounded products errs by √N unit roundoffs, with random signs of the errors."""
    direct = conv.roundoff * sqrt(conv.products)
    within = [(d, found) for d, found in known if direct * found.error_growth <= tolerance]
    what = f"error, {name}"
    if not within:
        return Limit(what, 0, f"the direct sum's {direct:.1e} exceeds {tolerance:.0e}", False)
    d, last = within[-1]
    more = next((pair for pair in known if pair[0] > d), None)
    figures = f"{last.error_growth:.3g} times the direct sum's {direct:.1e}"
    if more is None:
        return Limit(what, d, f"{figures} keeps to {tolerance:.0e}", False)
    excess = f"{more[1].error_growth:.3g} times with D = {more[0]} exceeds {tolerance:.0e}"
    return Limit(what, d, f"{figures}; {excess}", False)
