"""How onnxruntime's CPU kernels cut long sums: in runs, each summed from nothing, added up after.

Read from the source of its kernels for float32 (``onnxruntime/core/mlas/lib``: ``sgemm.cpp``,
``convolve.cpp``, ``snchwc.cpp``). A matrix product, which convs outside of the blocked layout are
too, cuts its K products into runs of 128 (256 where the constant operand is packed), twice as many
for each halving of 128 columns down to 16 that holds them all; a product of one row or column is
not cut. A conv in the blocked layout adds up to 16 channels times its taps, or 128 channels of a
1×1, and adds the bias last. That is how one thread computes; where threads share the columns, runs
may be longer.
"""

from __future__ import annotations

from convc.rounding.state import Sizes

RUN, PACKED_RUN = 128, 256
COLUMNS, FEWEST_COLUMNS = 128, 16
BLOCK = 16
"""Channels of the blocked layout, on the widest processors."""


def conv_run(taps: int, places: int | None) -> int:
    """The longest run of a conv with ``taps`` on outputs of so many places; 0: it is not known."""
    if places is None:
        return 0
    return max(_widened(RUN, places), BLOCK * taps)


def product_run(rows: int | None, columns: int | None) -> int:
    """The longest run of a matrix product; 0: it is not known, or not cut."""
    if rows is None or columns is None or 1 in (rows, columns):
        return 0
    return _widened(PACKED_RUN, columns)


def _widened(run: int, columns: int) -> int:
    """Runs are longer where there are few columns."""
    width = COLUMNS
    while width > FEWEST_COLUMNS and width // 2 >= columns:
        width, run = width // 2, run * 2
    return run


def places(shape: Sizes) -> int | None:
    """Of a value (N, C, ...), how many places it has."""
    found = 1
    for size in shape[2:]:
        if size is None:
            return None
        found *= size
    return found
