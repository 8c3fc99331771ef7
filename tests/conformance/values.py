"""What is expected against what came out."""

from __future__ import annotations

from typing import Any

import numpy as np

from convc.ir import is_real

TWO_ULPS_BFLOAT16 = 2.0**-6
"""onnx's own runner allows that much in bfloat16 whatever the case says."""


def difference(
    expected: Any, produced: Any, rtol: float, atol: float, *, widened: bool = False
) -> str:
    """How ``produced`` is not what is ``expected``, empty where it is.

    Floats may differ by ``atol + rtol·|expected|``, each value by itself; everything else must be
    equal, type and shape too. With ``widened`` a float of any width may come as float64.
    """
    if expected is None or produced is None:
        return "" if expected is None and produced is None else "one of the two is no value"
    if isinstance(expected, list):
        return _sequence_difference(expected, produced, rtol, atol, widened)
    expected, produced = np.asarray(expected), np.asarray(produced)
    if expected.shape != produced.shape:
        return f"has shape {list(produced.shape)}, expected {list(expected.shape)}"
    if expected.dtype.kind in "OSU" or produced.dtype.kind in "OSU":
        same = np.array_equal(expected.astype(str), produced.astype(str))
        return "" if same else "has other strings"
    wanted = np.dtype(np.float64) if widened and is_real(expected.dtype) else expected.dtype
    if produced.dtype != wanted:
        return f"is {produced.dtype}, expected {wanted}"
    if expected.dtype.name == "bfloat16":
        rtol = max(rtol, TWO_ULPS_BFLOAT16)
    return _number_difference(expected, produced, rtol, atol)


def _sequence_difference(
    expected: list[Any], produced: Any, rtol: float, atol: float, widened: bool
) -> str:
    if not isinstance(produced, list) or len(produced) != len(expected):
        return f"is no sequence of {len(expected)}"
    for i, (a, b) in enumerate(zip(expected, produced, strict=True)):
        wrong = difference(a, b, rtol, atol, widened=widened)
        if wrong:
            return f"[{i}] {wrong}"
    return ""


def _number_difference(expected: Any, produced: Any, rtol: float, atol: float) -> str:
    if not _has_fraction(expected):
        wrong = int(np.count_nonzero(expected != produced))
        return f"{wrong} of {expected.size} values differ" if wrong else ""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = expected.astype(wide), produced.astype(wide)
    close = np.isclose(b, a, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return ""
    with np.errstate(all="ignore"):
        apart = np.abs(b - a)[~close]
    return f"{(~close).sum()} of {close.size} values differ, by up to {np.max(apart):.3g}"


def _has_fraction(array: Any) -> bool:
    """True for floats of every width, those of ml_dtypes included."""
    return array.dtype.kind in "fc" or "float" in array.dtype.name
