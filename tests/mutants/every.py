"""All mutants."""

from __future__ import annotations

from tests.mutants import (
    activations,
    approximating,
    blind_spots,
    factoring,
    folding,
    fusing,
    layouts,
    lowering,
    merging,
    products,
    simplifying,
)

MUTANTS = [
    *simplifying.MUTANTS,
    *folding.MUTANTS,
    *fusing.MUTANTS,
    *merging.MUTANTS,
    *factoring.MUTANTS,
    *layouts.MUTANTS,
    *lowering.MUTANTS,
    *products.MUTANTS,
    *activations.MUTANTS,
    *blind_spots.MUTANTS,
    *approximating.MUTANTS,
]
