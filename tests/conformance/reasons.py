"""Why some cases say nothing about convc: written down one by one, or told from the message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase

RANDOM = "random: nobody draws the numbers that are expected"
TRAINING = "training form, which convc leaves alone and its evaluator refuses"
ROUNDED = "the expectation is rounded to fewer bits on the way, float64 is not"
TIE = "x/scale is a tie in real numbers, in the expectation's float32 it is none"
FRACTIONAL = (
    "align_corners by the fractional output size, where onnxruntime (and convc, which follows it) "
    "takes the size that the output has"
)
NESTED = "onnx.reference, which evaluates If, wraps an optional sequence once more"
SUMS = "off by less than 1e-6 of the output's scale; the case allows 1e-7 for values near zero"
LOWEST = "masked scores are the lowest float32 in onnxruntime, and −∞ in the expectation"
HALF = "one value is off by one unit in the last place of float16"
UNPOOL = "onnxruntime reads the indices in output_shape, the expectation in the size without it"
VECTORS = (
    "onnxruntime: the model gives Range vectors of one element where the standard has scalars, "
    "and onnxruntime takes those only whose values it cannot see; behind constant folding it sees "
    "more of them (the original with constant sizes it refuses as well)"
)

RANGE = "onnxruntime: refuses a Range of vectors of one element"
"""As `of_onnxruntime` tells it from the message."""

RANDOM_CASES = ("test_bernoulli*", "test_training_dropout*")
"""Of these only that convc brings them through is tested."""

EVALUATOR: Mapping[str, str] = {
    "test_attention_4d_gqa_with_past_and_present_fp16*": ROUNDED,
    "test_dft_inverse*": ROUNDED,
    "test_dynamicquantizelinear": TIE,
    "test_dynamicquantizelinear_expanded": TIE,
    "test_if_opt": NESTED,
    "test_resize_downsample_scales_cubic_align_corners": FRACTIONAL,
    "test_resize_downsample_scales_linear_align_corners": FRACTIONAL,
    "test_batchnorm_*_training_mode": TRAINING,
}
"""Cases whose expectation is not what the evaluator gives, or that it refuses although it has
kernels for all of their ops."""

REFUSED_AFTERWARDS: Mapping[str, str] = {
    "test_affine_grid_2d_expanded": VECTORS,
    "test_affine_grid_2d_align_corners_expanded": VECTORS,
}
"""Cases that onnxruntime runs as they come and refuses (see `RANGE`) behind convc, though nothing
is wrong."""

ONNXRUNTIME: Mapping[str, str] = {
    "test_attention_4d_causal_fp16": HALF,
    "test_attention_4d_with_past_and_present_qk_matmul_bias_?d_mask_causal": LOWEST,
    "test_dft*": SUMS,
    "test_stft*": SUMS,
    "test_maxunpool_export_with_output_shape": UNPOOL,
    "test_resize_downsample_scales_*_align_corners": FRACTIONAL,
}
"""Cases for which onnxruntime gives other outputs than the standard expects, convc or not."""


def written_down(table: Mapping[str, str], name: str) -> str:
    """The reason that a table has for a case; empty where it has none."""
    return next((why for pattern, why in table.items() if fnmatchcase(name, pattern)), "")


UNKNOWN = "onnxruntime: refuses the model"
MESSAGES: Mapping[str, str] = {
    r"Could not find an implementation|Failed to find kernel": (
        "onnxruntime: no kernel for this operator, opset or element type"
    ),
    r"is not a registered function/op": "onnxruntime: does not know the operator",
    r"only supported from non-string": (
        "onnxruntime: its Python takes no strings beside types that numpy lacks"
    ),
    r"Failed to construct locale": "onnxruntime: wants a locale that the machine does not have",
    r"Batchwise recurrent": "onnxruntime: no recurrent operator with the batch first",
    r"should be scalars": RANGE,
    r"while running": "onnxruntime: fails on these attributes or operands",
}


def of_onnxruntime(message: str) -> str:
    """The reason, for a table, that a message of onnxruntime's gives."""
    return next((why for pattern, why in MESSAGES.items() if re.search(pattern, message)), UNKNOWN)


def is_random(name: str) -> bool:
    """True for a case whose expectation is one draw of random numbers."""
    return any(fnmatchcase(name, pattern) for pattern in RANDOM_CASES)
