"""Work rules: how many operations an op computes, exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import Op


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of one op, each a count of scalars, in the dense convention: padded zeros count.

    Attributes:
        multiplications: products.
        additions: sums and differences; a sum of n terms is n − 1 of them.
        divisions: quotients and remainders.
        comparisons: of two values: max, min, clip, relu, sort, select.
        functions: evaluated exp, log, sqrt, tanh, erf, pow ...; one each.
        padded_multiplications: those of ``multiplications`` in which a padded zero is a factor.
        padded_additions: those of ``additions`` that vanish with them.
    """

    multiplications: int = 0
    additions: int = 0
    divisions: int = 0
    comparisons: int = 0
    functions: int = 0
    padded_multiplications: int = 0
    padded_additions: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.multiplications + other.multiplications,
            self.additions + other.additions,
            self.divisions + other.divisions,
            self.comparisons + other.comparisons,
            self.functions + other.functions,
            self.padded_multiplications + other.padded_multiplications,
            self.padded_additions + other.padded_additions,
        )

    @property
    def operations(self) -> int:
        """All of them, each counted as one: the FLOPs."""
        return (
            self.multiplications
            + self.additions
            + self.divisions
            + self.comparisons
            + self.functions
        )


WorkRule: TypeAlias = Callable[[Graph, Op], "Work | None"]
"""The work of an op at the graph's ``sizes``; None where a size is missing."""

WORK: Mapping[str, WorkRule] = MappingProxyType({})
