"""Padding times a factor."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import floor

from convc.concrete import Fact
from convc.ir import Attribute, Op, Value
from convc.kernels.windows import Window, resolve, resolve_pool

POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})


def padded_attributes(
    op: Op, facts: Mapping[Value, Fact], factor: Fraction
) -> Mapping[str, Attribute]:
    """The attributes of a Conv or a pool that change when its padding is scaled; none for others.

    ``auto_pad`` is made explicit at the present size, unless the padding stays.
    """
    window = _window(op, facts)
    if window is None or factor == 1:
        return {}
    present = (*window.begin, *window.end)
    pads = tuple(floor(pad * factor + Fraction(1, 2)) for pad in present)
    return {} if pads == present else {"pads": pads, "auto_pad": "NOTSET"}


def _window(op: Op, facts: Mapping[Value, Fact]) -> Window | None:
    data = op.operand(0)
    shape = None if data is None else facts[data].shape
    if op.domain or shape is None:
        return None
    try:
        if op.kind in POOLS:
            kernel = op.attributes.get("kernel_shape")
            return (
                resolve_pool(op.attributes, shape[2:], kernel)
                if isinstance(kernel, tuple)
                else None
            )
        weights = op.operand(1)
        kernel = None if weights is None else facts[weights].shape
        if op.kind == "Conv" and kernel is not None:
            return resolve(op.attributes, shape[2:], kernel[2:])
    except ValueError:
        # An op that does not fit its operands has no padding to speak of.
        return None
    return None
