"""The rules of ``commute-linear`` that move layouts and strides, not sums and products.

**Strides** move up through elementwise ops, sums and Concats to the layers before, where every
user of what is between skips the same positions (`passes.commute_linear.strides`).

**Changes of layout** move until they cancel: Transposes over all ops whose axes can be renamed
(`passes.commute_linear.transpose`), a Reshape and its like over elementwise ops
(`passes.commute_linear.reshape`), DepthToSpace and SpaceToDepth over ops of one value a channel
(`passes.commute_linear.depth`). A region between such ops is computed in the other layout, with new
conversions where its other edges need them. Of all regions around a conversion a minimum cut
finds the cheapest, and it is taken if it moves fewer bytes in fewer or as many conversions
(`region`). With sizes that are not known it is taken if no conversion comes in.

**A Transpose goes into what is behind it**: into a Reshape where it moves nothing but axes of size
one, into the rows of a matrix product where all it moves is flattened
(`passes.commute_linear.product`).
"""

from __future__ import annotations

from collections.abc import Sequence

from convc.rewrite import Rule, rule
from passes.commute_linear.depth import KINDS, cancel_blocks
from passes.commute_linear.product import absorb_transpose
from passes.commute_linear.reshape import VIEWS, cancel_reshapes
from passes.commute_linear.strides import LAYERS, pull_stride
from passes.commute_linear.transpose import cancel_transposes, drop_transpose, transpose_to_reshape


def rules() -> Sequence[Rule]:
    """Strides, blocks of space, Transposes, Reshapes.

    Every one of them lowers a cost that the others do not raise: positions computed, then bytes
    of Transposes and their like and their number, then the number of Reshapes.
    """
    return [
        rule(pull_stride, *LAYERS),
        rule(cancel_blocks, *KINDS),
        rule(absorb_transpose, "MatMul", "Gemm"),
        rule(drop_transpose, "Reshape"),
        rule(transpose_to_reshape, "Transpose"),
        rule(cancel_transposes, "Transpose"),
        rule(cancel_reshapes, *VIEWS),
    ]
