"""Least-squares fits of a layer, or of the convs in its place, to what it reads and should give.

All that a fit knows are the `Moments` of the layer: no samples. For centred moments G (D, D),
c (D, K) and the responses' variance v, a kernel W (K, D) misses v − 2 tr(W c) + tr(W G Wᵀ) of it.
Every fit draws towards the original weights by a ridge, and starts from what the weights alone
would give (moments of `white`), so it never misses more than that does.

The factors are kernels in ONNX layout, first conv first. Only the last one carries a bias,
``moments.bias(effective(...))``: then zero padding of the first stays exact at the border.
"""

from convc.algebra.fit.activation import adjusted_targets
from convc.algebra.fit.common import default_ridge, effective, ridged
from convc.algebra.fit.low_rank import fit_low_rank_in, fit_low_rank_out
from convc.algebra.fit.refit import refit
from convc.algebra.fit.separable import fit_separable, fit_separable_depthwise
from convc.algebra.fit.tucker import fit_tucker

__all__ = [
    "adjusted_targets",
    "default_ridge",
    "effective",
    "fit_low_rank_in",
    "fit_low_rank_out",
    "fit_separable",
    "fit_separable_depthwise",
    "fit_tucker",
    "refit",
    "ridged",
]
