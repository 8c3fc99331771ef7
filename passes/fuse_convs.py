"""The pass ``fuse-convs``: two linear layers in sequence become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes._conv_chains import fuse_conv
from passes._dense_chains import fuse_dense


@dataclass(frozen=True)
class FuseConvs(Pass):
    """Two convolutions or matrix products with nothing nonlinear between become one.

    Before::

        y = conv2(copy(conv1(x, W1) + b1), W2) + b2

    After, per axis, for kernels k1 and k2, strides s1 and s2, dilations d1 and d2, pads p1 and p2::

        y = conv(x, W) + b        stride    s1·s2
                                  dilation  g = gcd(d1, s1·d2), a kernel of one tap dropping out
                                  kernel    1 + (d1(k1 − 1) + s1·d2(k2 − 1)) / g
                                  pads      p1 + s1·p2
                                  groups    gcd(g1, g2)

    W sums the products of the taps over the channels between, and ``b = b2 + Σ W2·b1``. Likewise
    Conv∘ConvTranspose and ConvTranspose∘Conv where the strides compose, products of matrices
    (Gemm, MatMul, with a vector added), and a conv whose whole output is flattened into a matrix
    product.

    Conditions:

    1. The value between has no other use and is no graph output. Nothing lies between but
       Identity, Dropout in inference, a Cast, Reshape or Flatten that changes nothing, and an Add
       of a constant.
    2. Weights, biases and added constants are constants of floating dtype.
    3. The border ring. The second conv pads with zeros what the composed conv would take from
       beyond the first one's output. Nothing of the input is lost there if, per axis,
       ``p2_begin = 0 or p1_begin ≥ e1 − s1`` and ``p2_end = 0 or p1_end ≥ e1 − s1 + r``, with
       ``e1 = d1(k1 − 1) + 1`` and ``r = (H + p1_begin + p1_end − e1) mod s1``; with an unknown
       size, for every r. Nothing of the first bias is lost if it is zero or no padding is read.
       Otherwise, with ``border=exact`` and at a known size:

       - where only the bias is lost, the composed conv without a bias, plus a constant map, whose
         equal rows and columns are stored once;
       - where the input is lost, the composed conv for the interior and the two convs as they
         were for the strips around it.

    4. The composed weights fit their dtype and hold at most 2²⁸ elements.

    Cost: W has K·C/g taps ``k``. That is less than the two have where the first conv widens the
    channels and the second narrows them again; it is far more for a depthwise and a 1×1 conv.
    Inside ``choose(...)`` only the former are taken.

    Options:
        border: ``exact`` keeps the border by a map or strips, ``decline`` leaves such pairs alone.
    """

    name: ClassVar[str] = "fuse-convs"
    border: Literal["exact", "decline"] = "exact"

    def rules(self) -> Sequence[Rule]:
        """One rule for a conv as the second op, one for a matrix product."""
        return [
            rule(fuse_conv, "Conv", "ConvTranspose", border=self.border),
            rule(fuse_dense, "Gemm", "MatMul"),
        ]
