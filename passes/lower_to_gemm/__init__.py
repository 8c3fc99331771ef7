"""The pass ``lower-to-gemm``: convolutions as products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes.lower_to_gemm.forms import lower_columns, lower_full, lower_patches, lower_pointwise
from passes.lower_to_gemm.transposed import lower_transposed

Form = Literal["pointwise", "full", "patches", "columns", "transposed"]


@dataclass(frozen=True)
class LowerToGemm(Pass):
    """Convolutions become one product each, of a constant matrix and what the outputs read.

    With W the kernel flattened to a matrix of K rows and C/group·T columns for T taps, and column p
    of X what output position p reads, y = W·X + b, group by group::

        Conv(x, w, b) → Reshape(Add(MatMul(W, X), b))

    All of it is exact, and but for what is said below of the same number of MACs.
    ``convc.algebra.to_matrix`` gives W, and the whole (block Toeplitz) matrix that acts on the
    flattened input. Kernels of any size, strides, dilations, pads, groups, one to three axes. Each
    way to make X is a rule of its own; where several apply, the first one named in ``forms`` wins,
    or inside ``choose(...)`` the one that pays most.

    ``pointwise``. One tap: X is the input itself, with strides a Slice of it.

    ``full``. One output position reads all of the input: a fully connected layer, Flatten and Gemm
    with a single row of positions of the Toeplitz matrix. Taps that meet nothing but padding drop
    out. The size must be known.

    ``patches``. The stride is the kernel, without dilation: the windows are tiles. One Reshape and
    one Transpose. The size must be known.

    ``columns``. All the others (im2col): axis by axis, the last one first, one Slice for each tap
    of that axis and a Concat, so k_h + k_w slices and not k_h·k_w; of an axis of more than 16 taps
    in two stages of about √k each. X is a temporary of T times the output positions, k_h·k_w times
    the input at stride 1, and is written twice. Sizes may be open.

    ``transposed``. A strided ConvTranspose: one product with the rows of W for all phases of the
    output, which are then interleaved; for strides that differ, or more or less than two axes, at
    most one size may be open. (One of stride 1 is a Conv, to all of the other forms.) It has more
    MACs by the zeros of phases with fewer taps.

    Two open sizes or more are put back by a Shape. Before opset 10 a Slice has no steps: a stride
    is a Gather, or where the size is open, over at most two axes and from opset 7 on, an
    AveragePool of one sample. Before opset 7, when an Add broadcasts otherwise, the bias is a
    column of W, and X has a row of ones.

    Conditions: weights and biases are constants of floating dtype; the geometry does not depend on
    an open size (``auto_pad=SAME_*`` with a stride); ops are ONNX's own.

    Options:
        forms: which forms are proposed, in the order of preference.
    """

    name: ClassVar[str] = "lower-to-gemm"
    forms: tuple[Form, ...] = get_args(Form)

    def rules(self) -> Sequence[Rule]:
        """One rule for each form."""
        known: dict[Form, Rule] = {
            "pointwise": rule(lower_pointwise, "Conv", "ConvTranspose"),
            "full": rule(lower_full, "Conv", "ConvTranspose"),
            "patches": rule(lower_patches, "Conv", "ConvTranspose"),
            "columns": rule(lower_columns, "Conv", "ConvTranspose"),
            "transposed": rule(lower_transposed, "ConvTranspose"),
        }
        return [known[form] for form in self.forms]
