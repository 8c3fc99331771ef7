"""The pass ``merge-branches``: linear branches side by side become one convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from convc.graph import Graph
from convc.ir import Op
from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes.merge_branches.siblings import (
    Others,
    group_parts,
    merge_concat,
    merge_siblings,
    run_of_one_input,
    run_of_parts,
)
from passes.merge_branches.sums import KINDS, Plan, join_inputs, merge_sum, plan_join, plan_sum


@dataclass(frozen=True)
class MergeBranches(Pass):
    """Sums, lists and concatenations of convolutions become one convolution.

    A *branch* is a path of linear ops from its input to its end: Conv, AveragePool, Mul, Add, Sub,
    Div by one constant per channel, Neg, BatchNormalization in inference form, and no op at all.
    It is one conv: kernels compose as in ``fuse-convs``; a scale and the identity are depthwise
    1×1 convs; an average is a depthwise conv of equal weights. Every rewrite is *exact*.

    **A sum of branches of one input** (RepVGG, ACNet, DBB, MobileOne; a conv plus its own input).
    Before: ``Σ ± branch_i(x) + c``, in any nesting of Add, Sub and Sum. After::

        conv(x, Σ ± W_i) + (Σ ± b_i + c)    pad at the begin  max p
                                            dilation          g = gcd(d_i, p_i − p_j)
                                            kernel            1 + (max(d(k − 1) − p) + max p) / g
                                            groups            gcd of the groups

    with each W_i put among zeros where its taps read. Terms that read something else stay behind
    as they are.

    **A sum of convs of several inputs.** Before: ``Σ conv_i(x_i)``. After: one conv of
    ``Concat(x_1, x_2, ...)`` whose kernels stand side by side.

    **Sibling convs.** Before: ``conv_i(x)``, each with users of its own. After: one conv and a
    Split of its channels, unless one of the other rules has a use for them.

    **Convs of one input before a Concat.** After: one conv for neighbours, in their order.

    **Convs of the parts of a value before a Concat.** Before: ``Concat(conv_i(part_i(x)))`` with
    the parts from a Split or Slices. After: one conv of x with as many times the groups.

    Conditions:

    1. What lies on a branch, its end included, has no other user and is no graph output: nothing
       is computed twice. A path ends where that does not hold.
    2. Weights are constants of one floating dtype, normalisations in inference form, an average
       divides every window by its full size (no padding, or padding that counts; no ceil_mode).
    3. Within a path the border is exact (see ``fuse-convs``), or the path ends there: a shift
       before a padded conv does not go into it.
    4. Unless ``grow``, composing the ops of a branch does not make the sum dearer than they were.
    5. Branches that are added have the same channels, strides and output size; the size may be
       unknown where it is the same for every input. At least one of them has a conv.
    6. For the other rules the geometry is equal (kernel, stride, dilation, pads), without groups
       but for the parts of a value; inputs of several convs have one known shape but for their
       channels; parts cover all channels in their order, with equal counts.
    7. The new weights fit their dtype and hold at most 2²⁸ elements. Those of siblings, which are
       outputs of their own, are within a factor of 10⁶ of each other: ``flush-subnormals`` measures
       a filter by its neighbours.

    It ends: every rewrite leaves fewer convs, or as many convs and fewer additions.

    Cost: a sum saves the passes over its terms. Its MACs fall where one kernel covers the others,
    and grow where a depthwise and a dense branch, kernels that cross, or dilations without a common
    divisor meet. The other rules save no MACs; the grouped conv may be slower than its parts.
    Inside ``choose(...)`` only what saves is taken.

    Options:
        kinds: the rules to use: ``sums`` of branches of one input, sums of convs of several
            ``inputs``, ``siblings``, neighbours before a ``concat``, convs of ``parts``.
        grow: merge branches of one input also where that takes more products, because the ops
            within a branch become one (an identity beside a depthwise and a 1×1 conv); otherwise
            such a branch ends behind those ops.
    """

    name: ClassVar[str] = "merge-branches"
    kinds: tuple[Literal["sums", "inputs", "siblings", "concat", "parts"], ...] = (
        "sums",
        "inputs",
        "siblings",
        "concat",
        "parts",
    )
    grow: bool = False

    def rules(self) -> Sequence[Rule]:
        """One rule for each of ``kinds``."""
        sums: dict[str, Callable[[Graph, Op], Plan]] = {
            "sums": partial(plan_sum, grow=self.grow),
            "inputs": plan_join,
        }
        runs = {"concat": run_of_one_input, "parts": run_of_parts}
        others = Others(
            [plan for name, plan in sums.items() if name in self.kinds],
            [find for name, find in runs.items() if name in self.kinds],
        )
        named = {
            "sums": rule(merge_sum, *KINDS, grow=self.grow),
            "inputs": rule(join_inputs, *KINDS),
            "siblings": rule(merge_siblings, "Conv", others=others),
            "concat": rule(merge_concat, "Concat"),
            "parts": rule(group_parts, "Concat"),
        }
        return [chosen for name, chosen in named.items() if name in self.kinds]
