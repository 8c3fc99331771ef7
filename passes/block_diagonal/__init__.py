"""The pass ``block-diagonal``: convolutions in groups, with as many groups as the runtime likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes.block_diagonal.regroup import regroup_depthwise, regroup_narrow

Kind = Literal["regroup", "regroup-depthwise"]


@dataclass(frozen=True)
class BlockDiagonal(Pass):
    """Grouped convolutions of few channels a group get fewer and wider groups.

    As a matrix over the channels a conv in g groups is block-diagonal. The runtime computes whole
    blocks of 16 channels: narrower groups run many times below its speed. Each kind is a rule of
    its own, and exact.

    ``regroup``. A Conv or ConvTranspose over any number of axes, with fewer than ``width`` channels
    of a group in or out, but not depthwise. With b = g / g' groups in each new one::

        Before: group = g, weights W_0 .. W_{g−1} (K/g, C/g, *k)
        After:  group = g', weights diag(W_{b·i}, ..., W_{b·i+b−1}) (K/g', C/g', *k)

    g' is the largest divisor of g whose groups have whole blocks in and out; where there is none,
    the largest whose groups have a block or more; else 1, a dense conv. The weights and the MACs
    grow b-fold, the added ones by zeros. All else stays as it was, sizes may be open.

    ``regroup-depthwise``, only where asked for. The same of one channel in and out a group.

    The zeros add nothing to a finite value; a channel that holds infinity or NaN makes NaN of the
    others of its new group.

    Conditions:

    1. The weights are constants of floating dtype. The bias may be any value.
    2. The new weights have at most 2^28 elements.

    Options:
        kinds: which kinds are proposed.
        width: the channels of a block.
    """

    name: ClassVar[str] = "block-diagonal"
    kinds: tuple[Kind, ...] = ("regroup",)
    width: int = 16

    def rules(self) -> Sequence[Rule]:
        """One rule for each kind."""
        convs = ("Conv", "ConvTranspose")
        known: dict[Kind, Rule] = {
            "regroup": rule(regroup_narrow, *convs, width=self.width),
            "regroup-depthwise": rule(regroup_depthwise, *convs, width=self.width),
        }
        return [known[kind] for kind in self.kinds]
