"""Float64 kernels of ONNX operators: pure numpy, no graph, no onnx.

`KERNELS` maps an op kind of the default domain to a function `(inputs, attributes, opset)`
that returns all results the operator can give. Floating inputs are float64 (the caller
promotes them) and so are floating results; integer and boolean arrays keep their type.
Attributes are decoded to Python: int, float, str, tuples of these, arrays for tensors; a
missing one means the default of that opset. Results may be views of the inputs.

Opsets 6 to 26 are meant, with the attribute forms of each. Where onnxruntime and the reference
implementation of onnx differ, the kernels follow onnxruntime, and say so in their docstring.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from . import binary, conv, elementwise, linear, norm, pad, pool, reduce, resize, shape
from .elementwise import unary
from .special import erf
from .support import Array, Attributes, Inputs, Kernel, KernelError

__all__ = ["KERNELS", "Array", "Attributes", "Inputs", "Kernel", "KernelError", "evaluate"]

KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "Abs": unary(np.abs),
        "Add": binary.ADD,
        "And": binary.AND,
        "ArgMax": reduce.ARG_MAX,
        "ArgMin": reduce.ARG_MIN,
        "AveragePool": pool.average_pool,
        "BatchNormalization": norm.batch_normalization,
        "Ceil": unary(np.ceil),
        "Celu": elementwise.celu,
        "Clip": elementwise.clip,
        "Concat": shape.concat,
        "ConstantOfShape": shape.constant_of_shape,
        "Conv": conv.conv,
        "ConvTranspose": conv.conv_transpose,
        "Cos": unary(np.cos),
        "DepthToSpace": shape.depth_to_space,
        "DequantizeLinear": linear.dequantize_linear,
        "Div": binary.DIV,
        "Dropout": elementwise.dropout,
        "Elu": elementwise.elu,
        "Equal": binary.EQUAL,
        "Erf": unary(erf),
        "Exp": unary(np.exp),
        "Expand": shape.expand,
        "Flatten": shape.flatten,
        "Floor": unary(np.floor),
        "Gather": shape.gather,
        "Gelu": elementwise.gelu,
        "Gemm": linear.gemm,
        "GlobalAveragePool": pool.global_average_pool,
        "GlobalLpPool": pool.global_lp_pool,
        "GlobalMaxPool": pool.global_max_pool,
        "Greater": binary.GREATER,
        "GreaterOrEqual": binary.GREATER_OR_EQUAL,
        "GroupNormalization": norm.group_normalization,
        "HardSigmoid": elementwise.hard_sigmoid,
        "HardSwish": unary(elementwise.hard_swish),
        "Identity": elementwise.identity,
        "InstanceNormalization": norm.instance_normalization,
        "LRN": norm.local_response_normalization,
        "LayerNormalization": norm.layer_normalization,
        "LeakyRelu": elementwise.leaky_relu,
        "Less": binary.LESS,
        "LessOrEqual": binary.LESS_OR_EQUAL,
        "Log": unary(np.log),
        "LogSoftmax": elementwise.log_softmax,
        "LpPool": pool.lp_pool,
        "MatMul": linear.matmul,
        "Max": binary.MAX,
        "MaxPool": pool.max_pool,
        "Mean": binary.mean,
        "Min": binary.MIN,
        "Mish": unary(elementwise.mish),
        "Mul": binary.MUL,
        "Neg": unary(np.negative),
        "Not": unary(np.logical_not),
        "Or": binary.OR,
        "PRelu": elementwise.prelu,
        "Pad": pad.pad,
        "Pow": binary.POW,
        "Range": shape.range_,
        "Reciprocal": unary(np.reciprocal),
        "ReduceL1": reduce.REDUCE_L1,
        "ReduceL2": reduce.REDUCE_L2,
        "ReduceLogSum": reduce.REDUCE_LOG_SUM,
        "ReduceLogSumExp": reduce.REDUCE_LOG_SUM_EXP,
        "ReduceMax": reduce.REDUCE_MAX,
        "ReduceMean": reduce.REDUCE_MEAN,
        "ReduceMin": reduce.REDUCE_MIN,
        "ReduceProd": reduce.REDUCE_PROD,
        "ReduceSum": reduce.REDUCE_SUM,
        "ReduceSumSquare": reduce.REDUCE_SUM_SQUARE,
        "Relu": unary(elementwise.relu),
        "Reshape": shape.reshape,
        "Resize": resize.resize,
        "Round": unary(np.rint),
        "Selu": elementwise.selu,
        "Shape": shape.shape,
        "Sigmoid": unary(elementwise.sigmoid),
        "Sign": unary(np.sign),
        "Sin": unary(np.sin),
        "Size": shape.size,
        "Slice": shape.slice_,
        "Softmax": elementwise.softmax,
        "Softplus": unary(elementwise.softplus),
        "Softsign": unary(elementwise.softsign),
        "SpaceToDepth": shape.space_to_depth,
        "Split": shape.split,
        "Sqrt": unary(np.sqrt),
        "Squeeze": shape.squeeze,
        "Sub": binary.SUB,
        "Sum": binary.SUM,
        "Tanh": unary(np.tanh),
        "Tile": shape.tile,
        "Transpose": shape.transpose,
        "Unsqueeze": shape.unsqueeze,
        "Upsample": resize.upsample,
        "Where": binary.where,
        "Xor": binary.XOR,
    }
)


def evaluate(
    kind: str,
    inputs: Inputs,
    attributes: Attributes,
    opset: int,
    num_outputs: int | None = None,
) -> list[Array] | None:
    """Results of one op, or None when there is no kernel for `kind`.

    `num_outputs`, how many results the op has, is what Split without sizes needs before
    opset 18 and what spares MaxPool its Indices. Raises KernelError on invalid attributes
    or shapes, and where more results are wanted than the inference form has. Invalid values
    give NaN or infinity without a warning, as in a runtime.
    """
    kernel = KERNELS.get(kind)
    if kernel is None:
        return None
    if num_outputs is not None:
        attributes = {"num_outputs": num_outputs, **attributes}
    try:
        with np.errstate(all="ignore"):
            results = kernel(inputs, attributes, opset)
    except ValueError as error:
        raise KernelError(f"{kind}: {error}") from error
    if num_outputs is None:
        return results
    if len(results) < num_outputs:
        raise KernelError(f"{kind}: {num_outputs} results wanted, {len(results)} known")
    return results[:num_outputs]
