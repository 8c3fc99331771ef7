"""The pass ``commute-linear``: linear ops change places where that is cheaper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc.pipeline import Pass
from convc.rewrite import Rule
from passes.commute_linear import concat as concat
from passes.commute_linear import layout as layout
from passes.commute_linear import pool as pool
from passes.commute_linear import resize as resize


@dataclass(frozen=True)
class CommuteLinear(Pass):
    """Linear ops that act on different axes change places, to where they cost less.

    A 1×1 conv mixes channels, the same way at every position; average pooling and resizing mix
    positions, the same way in every channel. So they commute, W for the one and A for the other::

        A(W·x + b) = W·A(x) + b·A(1)

    The work of an order is the MACs of its conv and, for each channel of its pool or Resize, the
    additions of the one or 32 times the products of the other, which runs far below the machine's
    peak. The order with less work is proposed, unless it has more MACs; so no rewrite can be
    undone by another. Batch norms, and Mul, Add, Sub, Div by one value per channel, stand between
    the two without harm; so do Identity and its like. All values that move have one user.
    The class of every rewrite is *exact*.

    **1. Average pools** (AveragePool, GlobalAveragePool, ReduceMean over spatial axes with
    keepdims). Mostly the pool goes first: it leaves fewer positions. A pool of stride 1 goes
    behind a conv that leaves fewer channels.

    1. The conv is 1×1, of any group, without strides and pads. Its weights may be computed.
    2. ``A(1) = 1`` where every window has a real sample and divides by no padding: without pads,
       and with ``count_include_pad=0``. ``ceil_mode`` alone does no harm, for onnxruntime does not
       count what it adds. Elsewhere, at a known size, a constant bias becomes the map ``b·A(1)``
       added behind the conv, of at most 2²⁰ elements. A shift between the two declines, and so
       does a bias where the pool is to go second.

    **2. Resize and Upsample** of spatial axes. One that enlarges goes behind the conv, one that
    shrinks before it.

    1. Conv as above. Mode nearest, linear or cubic: the weights of every sample sum to 1, at the
       border too (it is clamped, or with ``exclude_outside`` and ``antialias`` normalised), so
       ``A(1) = 1``. Not ``tf_crop_and_resize``, which puts a constant outside of the input.
    2. Scales or sizes are constant; what they say of batch and channels changes nothing. Sizes
       that list the channels get the new count. With sizes, the input's size is known.

    **3. Conv on a Concat of channels**::

        conv(concat(a, b)) = conv_a(a) + conv_b(b)

    The conv has one group and constant weights, the Concat no other user, or none but 1×1 convs
    like it. Split off is a part that

    - a Resize enlarges or a pool with ``A(1) = 1`` averages, before a 1×1 conv, on the conditions
      of 1 and 2: its conv moves before that;
    - repeats one position (Expand, Tile, or a Resize of size 1): its conv is of that one position,
      added to all. The conv has no padding; the taps of a larger kernel than 1×1 are summed;
    - is constant: it becomes part of the bias where all positions come out alike, a map of at
      most 2²⁰ elements otherwise; kernel and padding are any;
    - has a number of channels that is no multiple of 4 beside others that are: onnxruntime runs
      the aligned rest in its blocked layout. MACs stay equal, an Add comes: whether this pays
      only the clock can tell.

    **4. Strides, slices, transposes and reshapes**: see `passes.commute_linear.layout`.
    """

    name: ClassVar[str] = "commute-linear"

    def rules(self) -> Sequence[Rule]:
        """Pools, Resizes, Concats, layouts."""
        return [*pool.rules(), *resize.rules(), *concat.rules(), *layout.rules()]
