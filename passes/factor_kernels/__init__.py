"""The pass ``factor-kernels``: a convolution as a chain of smaller ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from convc.forms import Form
from convc.graph import Graph
from convc.ir import Op
from convc.pipeline import Context, Pass
from convc.rewrite import Exactness, Rewrite, Rule, Stats, rule, size_of
from passes.factor_kernels import weights
from passes.factor_kernels.exact import factor_exactly
from passes.factor_kernels.forms import forms
from passes.factor_kernels.weights import Budget, factor_nearly

Kind = Literal["separable", "terms", "low-rank-out", "low-rank-in", "tucker", "cp", "composed"]
KINDS: tuple[Kind, ...] = (
    "separable",
    "terms",
    "low-rank-out",
    "low-rank-in",
    "tucker",
    "cp",
    "composed",
)


@dataclass(frozen=True)
class FactorKernels(Pass):
    """Replaces a Conv by two to five smaller ones that do the same with fewer MACs, or nearly so.

    Before: one Conv of group g, weights W (K, C/g, *k), any strides, dilations and pads, and a bias
    of any kind. After: convs one after the other with nothing between, whose composed kernel is W;
    of those the last alone has the bias. Written for g = 1; R is a number of channels between, for
    each group::

        separable     W[k,c,y,x] = Σ_r B[k,r,x]·A[r,c,y]       (R, C, k_h, 1), (K, R, 1, k_w)
        terms         W[k,1,y,x] = Σ_t B[k,t,x]·A[k,t,y]       (K·T, 1, k_h, 1), (K, T, 1, k_w)
        low-rank-out  W[k,c,y,x] = Σ_r B[k,r]·A[r,c,y,x]       (R, C, *k), (K, R, 1, 1)
        low-rank-in   W[k,c,y,x] = Σ_r B[k,r,y,x]·A[r,c]       (R, C, 1, 1), (K, R, *k)
        tucker        W[k,c,y,x] = Σ_qr B[k,q]·G[q,r,y,x]·A[r,c]
                                              (R₁, C, 1, 1), (R₂, R₁, *k), (K, R₂, 1, 1)
        cp            W[k,c,y,x] = Σ_r K[k,r]·X[r,x]·Y[r,y]·C[r,c]
                              (R, C, 1, 1), (R, 1, k_h, 1), (R, 1, 1, k_w), (K, R, 1, 1)
        composed      W[k,1] = B[k] ∗ A[k]                     (K, 1, *a), (K, 1, *b)

    The first conv of a separable pair may have either axis, of three any one or two. The groups of
    a grouped conv are factored one by one, to one rank that serves all: for a depthwise conv that
    is a sum of separables for each channel. ``terms`` and ``composed`` want one channel in a group
    and treat each filter for itself: their second conv has K groups.

    The conv that has an axis's taps has its stride, dilation and pads, and the others have none:
    without a bias zeros give zeros, so that each axis may be padded in the conv that reads along
    it. In ``composed`` the first conv has all pads and the second the strides: it reads what the
    first computed and nothing else. So every output is right, at borders as well, for every size.

    Conditions, for an exact chain (class *rounding*):

    1. The weights are constants of floating dtype, finite, not all zero. No pad is negative.
    2. W is a kernel of that form but for the rounding of what is stored: every filter scaled to
       norm 1, ‖W − Ŵ‖ ≤ (4u + n·2⁻⁵²)·‖W‖, with u the unit roundoff, 2⁻²⁴ in float32
       (`convc.algebra.factor.factored`). The factors, rounded in their turn, keep every filter to
       16 u, and the weights that read each input channel to 64 times that: what is read with small
       weights may be large. cp: R is below C/g and K/g.
    3. The chain has fewer MACs at the graph's sizes; sizes that are not known count as large. So
       the factors may be factored again, and that ends.

    The rewrite's bound is ``2¹⁰ · max_k Σ|ΔW_k| / max|W_k|``, for inputs that are a thousand times
    larger where the weights move than where the largest weight is
    (`passes.factor_kernels.bound`).

    With ``max-error`` above 0 a Conv without an exact chain takes a near one (class *approximate*),
    whether that has fewer MACs or not, so that ‖W − Ŵ‖ ≤ max-error·‖W‖; cp and composed have none.
    A conv that reads or feeds another directly, with no bias between, is left as it is: it may be
    a factor, and errors shall not add up.

    At each conv the kind with the fewest MACs is taken, exact ones first.

    In ``approximate(...)`` the weights are fitted to data instead. The forms of a dense layer of 8
    channels or more in and out, and of depthwise ones, are listed in
    `passes.factor_kernels.forms`; they have fewer than 0.95 of the layer's MACs.

    Cost: fewer MACs, more values written and read between. A 1-channel 15×15 runs 4.3 times as
    fast in one thread, a depthwise 7×7 1.2 times.

    Options:
        kinds: which kinds are proposed.
        max_error: the largest relative error of a kernel; 0: exact chains only.
        rank: the rank of near chains; 0: the smallest that keeps the error.
        block: smallest ranks are rounded up to a multiple of it, where that is below full rank, and
            those of fitted forms to the nearest.
        saves: how many times fewer MACs an exact chain has at the least.
    """

    name: ClassVar[str] = "factor-kernels"
    kinds: tuple[Kind, ...] = KINDS
    max_error: float = 0.0
    rank: int = 0
    block: int = 16
    saves: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_error < 1:
            raise ValueError(f"max-error {self.max_error} is not from 0 to below 1")
        if self.rank < 0:
            raise ValueError(f"rank {self.rank} is negative")
        if self.block < 1:
            raise ValueError(f"block {self.block} is not positive")
        if not self.saves >= 1:
            raise ValueError(f"saves {self.saves:g} is below 1")

    def rules(self) -> Sequence[Rule]:
        """One rule for each kind, and one for each that may be approximate."""
        exact = partial(rule, factor_exactly, "Conv", saves=self.saves)
        found = [exact(kind=kind) for kind in self.kinds]
        if self.max_error > 0:
            budget = Budget(self.max_error, self.rank, self.block)
            near = (kind for kind in self.kinds if kind in weights.FINDERS)
            found += [rule(factor_nearly, "Conv", kind=kind, budget=budget) for kind in near]
        return found

    def approximations(self, graph: Graph, op: Op) -> Sequence[Form]:
        """Chains of all kinds but the exact ones, those with the most MACs first."""
        return forms(graph, op, self.kinds, self.block)

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies the pass wherever it is legal: at each conv the kind with the fewest MACs."""
        return self._timed(graph, context or Context(), _cheapest)


def _cheapest(_graph: Graph, proposals: Sequence[Rewrite]) -> Rewrite:
    """The one with the fewest MACs, or weights where these are not known; exact ones first."""

    def cost(rewrite: Rewrite) -> tuple[bool, int, int]:
        size = size_of(rewrite.after, rewrite.after.ops())
        return rewrite.exactness is Exactness.APPROXIMATE, size.macs or 0, size.params

    return min(proposals, key=cost)
