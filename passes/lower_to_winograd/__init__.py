"""The pass ``lower-to-winograd``: convs by Toom–Cook, with fewer products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes.lower_to_winograd.planes import lower_planes, lower_rows, lower_rows_apart
from passes.lower_to_winograd.tiles import lower_grouped, lower_tiles, lower_tiles_last

Form = Literal["tiles", "tiles-last", "grouped", "planes", "rows", "rows-apart"]

MOST_OUTPUTS = 8
"""Largest tile on an axis: beyond it errors grow faster than products fall."""


@dataclass(frozen=True)
class LowerToWinograd(Pass):
    """Convolutions become tiles of outputs that take fewer products than the sums they are.

    A tile of m outputs of a kernel of r taps takes ``n = m + r − 1`` products on each axis, where
    the sum takes m·r (Toom–Cook; Winograd 1980): with a tile's inputs d_c and filters g_kc

        y_k = Aᵀ · Σ_c [(G·g_kc) ∘ (Bᵀ·d_c)]

    and F(4×4, 3×3) has 36 products for 16 outputs, a quarter of 144. A conv of stride s is the sum
    of s convs of stride 1, one for each phase of the input, with ⌈r/s⌉ taps each. It is exact; see
    `convc.algebra.winograd`.

    Bᵀ is applied by convs of stride m·s whose padding is the conv's own, more at the end where
    tiles are ragged; G at compile time, in float64; Aᵀ by a MatMul. The outputs of tiles are then
    interleaved, and those beyond the size cut off. What differs is how the products are made:

    ``tiles``. Every channel is an image (N·C, 1, H, W), and one Conv gives all rows of Bᵀ of all of
    them. A MatMul with filters (products, K, C) follows, Aᵀ from the left, DepthToSpace (for tiles
    that are not square Reshape, Transpose, Reshape), and an Add of the bias.

    ``tiles-last``. Aᵀ from the right: the outputs of a tile are neighbours, and only their rows
    have to be put in order.

    ``grouped``. The products are one 1×1 Conv with a group for each, which holds the bias.

    ``planes``. Bᵀ by depthwise convs, one axis after the other, then as ``grouped``: all of it in
    the runtime's own layout where the channels fill its blocks.

    ``rows``. Tiles on the first axis only, by depthwise convs; one Conv with a group for each
    product does the other axes. The products fall by ``m·r/n`` only, 2 for F(4, 3), but the
    weights grow by as little, and whole rows are interleaved. A bias is in the Conv.

    ``rows-apart``. The same with a Conv for each product instead of groups.

    Rounding errors grow: with 4 to 512 channels 4 to 13 times for F(4×4, 3×3), 30 to 80 times for
    F(6×6, 3×3). They are bounded as `convc.algebra.winograd_error` derives, and where the probable
    bound exceeds ``tolerance`` the conv stays.

    Conditions, besides that:
        1. weights and bias are constants of floating dtype; two to seven taps on an axis of the
           tile, undilated, and more than one channel a group;
        2. the spatial size is known (the batch need not be), the output no smaller than the tile
           on some axis;
        3. tiles have fewer products than the conv;
        4. ``planes``: 64 of them at most; ``planes`` and ``rows``: no stride together with groups.

    It costs weights, n/r times on each axis of the tile, and temporaries n/m times the input.

    Options:
        forms: which forms are proposed, in the order of preference.
        tiles: outputs of a tile on each axis, in the order of preference before forms; fewer where
            as many tiles of fewer do.
        tolerance: largest error, relative to the output's largest magnitude.
    """

    name: ClassVar[str] = "lower-to-winograd"
    forms: tuple[Form, ...] = get_args(Form)
    tiles: tuple[int, ...] = (4, 2, 6)
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        """Raises ValueError for a tile that is none."""
        if any(not 2 <= tile <= MOST_OUTPUTS for tile in self.tiles):
            raise ValueError(f"a tile has 2 to {MOST_OUTPUTS} outputs on an axis")

    def rules(self) -> Sequence[Rule]:
        """One rule for each tile and form."""
        known = {
            "tiles": lower_tiles,
            "tiles-last": lower_tiles_last,
            "grouped": lower_grouped,
            "planes": lower_planes,
            "rows": lower_rows,
            "rows-apart": lower_rows_apart,
        }
        return [
            rule(known[form], "Conv", tile=tile, tolerance=self.tolerance)
            for tile in self.tiles
            for form in self.forms
        ]
