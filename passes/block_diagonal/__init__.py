"""The pass ``block-diagonal``: dense convolutions in groups, narrow groups in wider ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from convc.forms import Form
from convc.graph import Graph
from convc.ir import Op
from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes.block_diagonal.factors import block_factors, block_forms
from passes.block_diagonal.hidden import find_hidden
from passes.block_diagonal.regroup import regroup_depthwise, regroup_narrow

Kind = Literal["hidden", "regroup", "regroup-depthwise", "grouped", "shuffled"]


@dataclass(frozen=True)
class BlockDiagonal(Pass):
    """Convolutions as block-diagonal ones, with as many groups as they have and the runtime likes.

    As a matrix over the channels a conv in g groups is block-diagonal: it takes g times fewer
    products than a dense one. The runtime computes whole blocks of 16 channels: narrower groups
    run many times below its speed. Each kind is a rule of its own.

    ``hidden``, exact. A Conv or ConvTranspose over any number of axes whose weights are zero but
    for blocks, once its channels are sorted: channels k and c are connected where a tap of
    W[k, c] is not zero, and connected components never meet::

        Before: y = W ∗ x                          W[k, c] = 0 unless P W Q is block-diagonal
        After:  y = Pᵀ (diag(W_0 .. W_{g−1}) ∗ Q x), in g groups

    g is the largest number of equal groups that hold whole components and are ``width`` channels
    wide or more; whole multiples of ``width`` where the conv has that now. Where components do not
    add up to equal groups, zeros fill them, if a quarter of the products are saved all the same.
    The dense conv before it takes Q into its filters and the one behind it Pᵀ into its columns,
    through elementwise ops; each must be the only user. Otherwise a Gather sorts the channels.

    ``regroup``, exact. A Conv or ConvTranspose over any number of axes, with fewer than ``width``
    channels of a group in or out, but not depthwise. With b = g / g' groups in each new one::

        Before: group = g, weights W_0 .. W_{g−1} (K/g, C/g, *k)
        After:  group = g', weights diag(W_{b·i}, ..., W_{b·i+b−1}) (K/g', C/g', *k)

    g' is the largest divisor of g whose groups have whole blocks in and out; where there is none,
    the largest whose groups have a block or more; else 1, a dense conv. The weights and the MACs
    grow b-fold, the added ones by zeros. All else stays as it was, sizes may be open.

    ``regroup-depthwise``, only where asked for. The same of one channel in and out a group.

    Zeros add nothing to a finite value; a channel that holds infinity or NaN makes NaN of the
    others of its new group.

    ``grouped``, approximate. A dense Conv of more than one tap, b = ``blocks``::

        Before: W (K, C, *k)
        After:  A (K, C/b, *k) in b groups, then S (K, K, 1..) dense

    ``shuffled``, approximate. A dense Conv, its result's groups are mixed by a permutation::

        After:  A (K, C/b, *k) in b groups, a Gather of channels, then S (K, K/b, 1..) in b groups

    Of a column block of W the first keeps a part of rank K/b, of each of its b × b blocks the
    other one of rank K/b². By the weights alone that is the truncated SVD; with the moments of a
    layer (`approximations`) it is fitted to its responses. The channels are sorted, by Gathers,
    only where that takes a fifth or more off the loss. The bias goes to the last conv.

    Conditions:

    1. The weights are constants of floating dtype. The bias may be any value where no channel
       moves, else a constant.
    2. The new weights have at most 2^28 elements.
    3. Approximate kinds: ``max-error`` is above 0, and ‖W − W'‖ ≤ ``max-error``·‖W‖; C and K are
       multiples of ``blocks``.

    Options:
        kinds: which kinds are proposed.
        width: the channels of a block.
        blocks: the groups of the approximate kinds.
        max_error: the relative error of the weights that an approximate kind may make.
    """

    name: ClassVar[str] = "block-diagonal"
    kinds: tuple[Kind, ...] = ("hidden", "regroup")
    width: int = 16
    blocks: int = 2
    max_error: float = 0.0

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"a width of {self.width}: a block has 1 channel or more")
        if self.blocks < 2:
            raise ValueError(f"{self.blocks} blocks: 2 or more are an approximation")
        if not 0 <= self.max_error < 1:
            raise ValueError(f"a max-error of {self.max_error}: from 0 to below 1")

    def rules(self) -> Sequence[Rule]:
        """One rule for each kind."""
        convs = ("Conv", "ConvTranspose")
        factors = partial(rule, block_factors, "Conv", blocks=self.blocks, max_error=self.max_error)
        known: dict[Kind, Rule] = {
            "hidden": rule(find_hidden, *convs, width=self.width),
            "regroup": rule(regroup_narrow, *convs, width=self.width),
            "regroup-depthwise": rule(regroup_depthwise, *convs, width=self.width),
            "grouped": factors(kind="grouped"),
            "shuffled": factors(kind="shuffled"),
        }
        return [known[kind] for kind in self.kinds]

    def approximations(self, graph: Graph, op: Op) -> Sequence[Form]:
        """Grouped and shuffled forms of 2, 4 and 8 blocks, groups of half a block or more."""
        return block_forms(graph, op, least=self.width // 2)
