"""Is a kernel a product of smaller ones, and if not, how far is the nearest that is?

Kernels are (K, C/group, *taps) as in ONNX. Each form has a rank, which is the number of channels
between the smaller convs that give the same kernel but for the rounding of stored weights, and
factors: the kernels of these convs for any rank, with the distance to the given kernel. The rank
weighs every filter alike, whatever its scale; so do the factors with ``per_channel``, while without
they are the nearest in the Frobenius norm.

    >>> import numpy as np
    >>> from convc.algebra.factor import separable_factors, separable_rank
    >>> binomial = np.outer([1, 2, 1], [1, 2, 1]).reshape(1, 1, 3, 3)
    >>> separable_rank(binomial)
    1
    >>> column, row = separable_factors(binomial, rank=1).kernels
    >>> column.shape, row.shape
    ((1, 1, 3, 1), (1, 1, 1, 3))

The convs of a chain have no bias but the last, so that zero padding of each factor on its own axes
is the padding of the whole. ``factored`` says what *exact* means for stored weights.

One kernel of one channel may also be a composition of two smaller ones that are no line each:

    >>> from convc.algebra.factor import decompose
    >>> decompose(np.outer([1, 2, 1], [1, 2, 1]) + 0.0).factors[0].shape
    (1, 3)
    >>> corners = np.zeros((5, 5)); corners[0, 0] = corners[4, 0] = corners[0, 4] = 1.0
    >>> found = decompose(corners)
    >>> found.factors, round(found.distance, 3)
    ((), 0.029)
"""

from convc.algebra.factor.cp import cp_factors, cp_rank
from convc.algebra.factor.factored import Factored, distances, exact_bound, recompose
from convc.algebra.factor.low_rank import (
    input_errors,
    input_factors,
    input_rank,
    output_errors,
    output_factors,
    output_rank,
)
from convc.algebra.factor.polynomial import Composition, decompose, nearest_composition
from convc.algebra.factor.separable import (
    Terms,
    recompose_terms,
    separable_errors,
    separable_factors,
    separable_rank,
    separable_terms,
    terms_rank,
)
from convc.algebra.factor.tucker import tucker_factors, tucker_ranks
from convc.algebra.factor.unfolding import smallest_rank

__all__ = [
    "Composition",
    "Factored",
    "Terms",
    "cp_factors",
    "cp_rank",
    "decompose",
    "distances",
    "exact_bound",
    "input_errors",
    "input_factors",
    "input_rank",
    "nearest_composition",
    "output_errors",
    "output_factors",
    "output_rank",
    "recompose",
    "recompose_terms",
    "separable_errors",
    "separable_factors",
    "separable_rank",
    "separable_terms",
    "smallest_rank",
    "terms_rank",
    "tucker_factors",
    "tucker_ranks",
]
