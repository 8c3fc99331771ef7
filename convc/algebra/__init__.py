"""Linear algebra of convolutions on bare numpy arrays; knows no graph.

Two convolutions with nothing nonlinear between are one convolution. Per axis, for kernels k1 and
k2, strides s1 and s2, dilations d1 and d2, pads p1 and p2, it has

    stride     s1·s2
    dilation   g = gcd(d1, s1·d2), where a kernel of one tap drops out
    kernel     1 + (d1(k1 − 1) + s1·d2(k2 − 1)) / g
    pads       p1 + s1·p2, at the begin and at the end
    groups     gcd(g1, g2)

so two undilated kernels of stride 1 give k1 + k2 − 1. Its kernel is the sum over the channels
between of all products of a tap of one with a tap of the other, placed where the two together
read. A 3×3 and a 3×3 are a 5×5:

    >>> import numpy as np
    >>> from convc.algebra import compose
    >>> sobel = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]]).reshape(1, 1, 3, 3)
    >>> kernel, bias, geometry = compose(sobel, sobel, pads=(1, 1))
    >>> kernel.shape, geometry.pads
    ((1, 1, 5, 5), (2, 2, 2, 2))

At the border this is not the sequence. The second conv pads the first one's output with zeros,
and the composed conv has there what the first would give beyond its output:

    >>> from convc.algebra import geometry_of, ring_is_zero
    >>> ring_is_zero(*[geometry_of(sobel, pads=1)] * 2, first_bias_zero=True)
    (False, 'axis 0 begin: first padding 1 < 2, second padding 1 > 0')

``border_strips`` divides the output into the part where the composed conv is right and the strips
where it is not.

The converse fails. Kernels compose as polynomials multiply, one variable per axis. In one variable
a polynomial of degree 4 is a product of two real quadratics: five taps are always three and three
taps. But three taps are two and two taps only if the roots are real, and in two variables hardly
any polynomial is a product at all: the 5×5 kernel of ``1 + x⁴ + y⁴``, three ones in the corners,
is not two 3×3.
"""

from convc.algebra.affine import (
    Affine,
    batch_norm_affine,
    compose_affine,
    fold_after,
    fold_before,
    fold_before_map,
)
from convc.algebra.blocks import regroup, wider_groups
from convc.algebra.border import (
    Ring,
    border_map,
    constant_response,
    keeps_constant,
    ring_condition,
    ring_is_zero,
)
from convc.algebra.compose import (
    compose,
    compose_bias,
    compose_geometry,
    compose_kernels,
    geometry_of,
)
from convc.algebra.dense import compose_gemm, conv_into_gemm
from convc.algebra.errors import DoesNotCompose
from convc.algebra.gemm import to_columns, to_matrix
from convc.algebra.geometry import ConvGeometry, TransposeGeometry, split_crop
from convc.algebra.strips import BorderStrips, Patch, border_strips
from convc.algebra.taps import swap_layout
from convc.algebra.toom_cook import (
    Transforms,
    error_growth,
    multiplications_per_output,
    transforms,
)
from convc.algebra.transpose import (
    compose_conv_then_transpose,
    compose_transpose_then_conv,
    transpose_as_conv,
)

__all__ = [
    "Affine",
    "BorderStrips",
    "ConvGeometry",
    "DoesNotCompose",
    "Patch",
    "Ring",
    "Transforms",
    "TransposeGeometry",
    "batch_norm_affine",
    "border_map",
    "border_strips",
    "compose",
    "compose_affine",
    "compose_bias",
    "compose_conv_then_transpose",
    "compose_gemm",
    "compose_geometry",
    "compose_kernels",
    "compose_transpose_then_conv",
    "constant_response",
    "conv_into_gemm",
    "error_growth",
    "fold_after",
    "fold_before",
    "fold_before_map",
    "geometry_of",
    "keeps_constant",
    "multiplications_per_output",
    "regroup",
    "ring_condition",
    "ring_is_zero",
    "split_crop",
    "swap_layout",
    "to_columns",
    "to_matrix",
    "transforms",
    "transpose_as_conv",
    "wider_groups",
]
