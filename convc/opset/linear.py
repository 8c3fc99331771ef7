"""Which op kinds are linear (affine) maps, and of which operands."""

from __future__ import annotations

from convc.ir import Op

LINEAR = frozenset(
    {
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "AveragePool",
        "GlobalAveragePool",
        "BatchNormalization",
        "Identity",
        "Dropout",
        "Neg",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Sum",
        "Concat",
        "Pad",
        "Slice",
        "Reshape",
        "Flatten",
        "Transpose",
    }
)

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Mul"})
JOINTLY_LINEAR = frozenset({"Add", "Sub", "Sum", "Concat"})


def is_linear(op: Op) -> bool:
    """True when the op is known to be a linear (affine) map of its operands.

    Sums and Concat are one of all operands together, products of any one of them, the other kinds
    of the first alone.
    """
    if op.domain or op.kind not in LINEAR:
        return False
    varying = [v for v in op.operands if v is not None and v.array is None]
    if op.kind in JOINTLY_LINEAR:
        return True
    return not varying or (
        len(varying) == 1 and (op.kind in PRODUCTS or varying[0] is op.operand(0))
    )
