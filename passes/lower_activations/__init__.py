"""The pass ``lower-activations``: slow activation functions as ops that a runtime computes fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from convc.pipeline import Pass
from convc.rewrite import Rule, rule
from passes.lower_activations.prelu import (
    lower_depthwise,
    lower_depthwise_relu,
    lower_depthwise_sum,
    lower_leaky,
    lower_max,
    lower_split,
)
from passes.lower_activations.softmax import lower_softmax

Form = Literal["leaky", "depthwise", "depthwise-relu", "depthwise-sum", "max", "split", "softmax"]


@dataclass(frozen=True)
class LowerActivations(Pass):
    """Activation functions on a slow path of the runtime become ops that it computes fast.

    All of it is exact. Each form is a rule of its own; where several apply, the first one named in
    ``forms`` wins, or inside ``choose(...)`` the one that pays most. Below, ``a`` are the slopes
    of a PRelu, constant, one for all channels or one for each, and ``dw_a`` is a depthwise 1×1
    Conv, which multiplies each channel by its own number::

        PRelu(x, a) = x where x > 0, else a·x

    ``leaky``. Equal slopes: LeakyRelu, or Relu where they are zero. The runtime computes either
    along with the Conv before it.

    ``depthwise``. On data with two spatial axes, any slopes::

        y = dw_{−a}(Relu(dw_{−1}(x))) + Relu(dw_1(x))

    One of the two terms is always zero, so that nothing is rounded which PRelu does not round.
    All of this is computed in the runtime's own blocked layout, where a PRelu does not exist: the
    layout between Convs is not left, and data of another layout enters it here. Both Relus and
    the Add are computed along with the Convs before them.

    ``depthwise-relu``. The same without ``dw_1``, which saves a product for each element but leaves
    data in the layout that it has.

    ``depthwise-sum``. As ``depthwise``, of slopes that all lie between 0 and 1, in one Conv less::

        y = dw_a(x) + Relu(dw_{1−a}(x))

    Below zero this is what PRelu computes; above, ``a·x + (1 − a)·x`` is x but for at most
    3 units of roundoff (1 − a is rounded, both products, and the sum). With other slopes infinity
    would meet its opposite, or zero, and is left to the other forms.

    ``max``. Slopes of at most 1, none of them zero (zero times infinity is NaN, also where
    PRelu does not multiply): ``y = Max(x, a·x)``. Nothing is rounded that PRelu does not round.

    ``split``. Any slopes: ``y = Relu(x) + a·Min(x, 0)``, before opset 8
    ``Relu(x) + (−a)·Relu(−x)``. Nothing is rounded that PRelu does not round.

    ``softmax``. A Softmax over any axis but the last, or over the last one behind a Transpose that
    put it there, which moves behind::

        y = e / ReduceSum(e),  e = Exp(x − ReduceMax(x))

    NaN stays NaN and infinity what PRelu makes of it, in all forms but one: of minus infinity
    times a slope of zero, which is NaN, ``leaky`` makes zero. The sign of a zero may differ.

    Conditions:

    1. Slopes are constant (or an Expand of a constant), finite, and vary along the channels only.
       Before opset 7 they are equal and go into ``leaky``.
    2. ``leaky`` keeps its slope as a float32 attribute: in float64 it must be one.
    3. For the depthwise forms the number of channels is known, and the dtype is not float64, in
       which the runtime has a PRelu but no Conv.
    4. A Softmax runs over one axis, as before opset 13 only one over the last axis does, whose
       size is known. A Transpose that moves has no other users.

    Options:
        forms: which forms are proposed, in the order of preference.
    """

    name: ClassVar[str] = "lower-activations"
    forms: tuple[Form, ...] = get_args(Form)

    def rules(self) -> Sequence[Rule]:
        """One rule for each form."""
        known: dict[Form, Rule] = {
            "leaky": rule(lower_leaky, "PRelu"),
            "depthwise": rule(lower_depthwise, "PRelu"),
            "depthwise-relu": rule(lower_depthwise_relu, "PRelu"),
            "depthwise-sum": rule(lower_depthwise_sum, "PRelu"),
            "max": rule(lower_max, "PRelu"),
            "split": rule(lower_split, "PRelu"),
            "softmax": rule(lower_softmax, "Softmax"),
        }
        return [known[form] for form in self.forms]
