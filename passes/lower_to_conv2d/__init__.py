"""The pass ``lower-to-conv2d``: other linear ops over positions as 2-D convolutions of stride 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from convc.graph import Graph
from convc.pipeline import Context, Pass
from convc.rewrite import Rule, Stats, first, rule
from passes.lower_to_conv2d import resize as resize
from passes.lower_to_conv2d.depthwise import lower_average_pool, repeat_inputs, split_multiplier
from passes.lower_to_conv2d.rank import lower_1d, lower_3d
from passes.lower_to_conv2d.transpose import lower_phases, lower_stacked, lower_stride_one
from passes.lower_to_conv2d.wide import widen

Own = Literal[
    "conv1d",
    "conv3d-aligned",
    "conv3d",
    "conv3d-sum",
    "conv3d-deep",
    "transpose",
    "phases",
    "stacked-phases",
    "pool",
    "split",
    "repeat",
    "wide",
    "wide-rows",
    "wide-columns",
]
Form = Literal[Own, resize.Form]


@dataclass(frozen=True)
class LowerToConv2d(Pass):
    """Convolutions that a runtime computes on a slow path become those that it computes fast.

    All of it is exact. Each form is a rule of its own; where several apply, the first one named in
    ``forms`` wins, or inside ``choose(...)`` the one that pays most.

    ``transpose``. A ConvTranspose of stride 1 is a Conv: kernel flipped, pads ``e − 1 − p`` and
    ``e − 1 − p_end + output_padding`` with ``e = d(k − 1) + 1``. Where a pad would be negative,
    zeros at that end of the kernel make up for it, so that nothing depends on the size.

    ``phases``. A ConvTranspose of stride s sends input i by tap t to output ``s·i + d·t − p``. The
    outputs ``s·q + r`` of one phase are a Conv of stride 1, with every ``s/gcd(s, d)``-th tap::

        y = interleave(conv(x, W_0), ..., conv(x, W_{s·s−1}))

    Interleaving is a Concat and a DepthToSpace for equal strides in two dimensions, otherwise a
    Reshape, a Transpose and a Reshape, for which at most one spatial size may be open (and then the
    batch must not be empty when it runs). What is too much at the end is sliced off. As many MACs
    as the ConvTranspose has, apart from phases without a tap. Not proposed where the next form has
    no more.

    ``stacked-phases``. All phases by one Conv to s·s·K channels whose kernel covers them all, with
    zeros where a phase has no tap. Two by two taps at stride two are a 1×1 Conv. It has more MACs
    by the zeros, but fewer ops, and fills the runtime's blocks of channels where K is small. In
    ONNX before opset 11 grouped ones interleave by Reshape and Transpose.

    ``pool``. An AveragePool without padding, or that counts it (``count_include_pad=1``), is a
    depthwise Conv with all weights 1/(k_h·k_w). Not with ceil_mode, nor where the number of
    channels is not known.

    ``conv1d``. Convs, pools and transposed convs over one axis, with the elementwise ops, batch
    norms and concats between them, become 2-D over (N, C, 1, L): one Unsqueeze where the whole
    region is entered, one Squeeze where it is left. Only the ranks have to be known.

    ``conv3d``. A Conv over three axes is a 2-D one over the k_d slices of the depth that it reads,
    stacked as channels::

        y[:, :, z] = Σ_t conv2d(x[:, :, s·z + d·t − p], W[:, :, t])

    In a whole region of such convs, elementwise ops and batch norms the values stay
    (N·D, C, H, W); one Gather stacks the slices, and padding is a slice of zeros that it picks.
    The stack is a temporary of k_d times the input. The depth must be known, and all but one of
    N, H and W. ``conv3d-aligned`` is the same with channel counts in the region rounded up to
    multiples of 16 where that adds at most an eighth: the runtime's fast layout asks for that.
    ``conv3d-sum`` adds k_d 2-D convs instead of stacking: it needs no large temporary, but makes
    k_d results. ``conv3d-deep`` computes n slices of the output at once as channels, those that
    share slices of the input::

        (y[:, :, z], y[:, :, z + g], ...) = conv2d(x[:, :, s·z − p + d·(0, 1, ...)], V)

    with ``g = d / gcd(s, d)`` and V the filters with zeros around, so that few filters fill the
    runtime's blocks. n is the one of least estimated time. Where a slice lies is told by indices;
    only what leaves the region is put in order. A stack of more than 1 GiB is made in parts. Not
    with groups.

    ``split`` and ``repeat``. A depthwise Conv with m filters for each channel becomes m depthwise
    Convs of one filter each; the order of channels that this gives is taken by the next Conv's
    weights where only elementwise ops and batch norms lie between, otherwise a Gather restores it.
    Or the input's channels are repeated m times by a Gather, and one depthwise Conv follows.

    ``resize-conv-phases``, ``resize-conv-stacked`` and ``resize-conv-transpose``. A Resize by whole
    factors and the Conv that reads it: a sample of the large image is a sum of samples of the
    small one, so each phase of the Conv's output is a smaller Conv of the small image, a 3×3 after
    nearest ×2 one of 2×2::

        y = interleave(conv(pad(x), V_0), ..., conv(pad(x), V_{s·s−1}))

    or one Conv for all phases, or, of a repetition, one ConvTranspose. Linear and cubic
    interpolation continue the edge, where a padded Conv reads zeros: such a pair stays.

    ``resize-dense``, ``resize-phases``, ``resize-depthwise`` and ``resize-separable``. A Resize
    alone, nearest, linear or cubic, in every coordinate mode that repeats itself from sample to
    sample: the image is padded with copies of its edge, and a dense Conv (of few channels), a
    depthwise one for each phase, one for all or one for each axis gives the phases.

    ``wide``, ``wide-rows`` and ``wide-columns``. The runtime computes filters in blocks of 16,
    whatever their number, and two blocks at a time faster than one. A Conv of at most 10 filters,
    or of 17 to 24, becomes one that computes p_h × p_w neighbouring outputs at once as channels,
    with stride ``s·p``, and kernels of ``k + s(p − 1)`` that hold each filter at p_h × p_w places::

        y = interleave(conv(x, (W at (0, 0), ..., W at (s(p_h − 1), s(p_w − 1)))))

    More MACs by the zeros around the filters. p is the one of least work at the rate that its
    number of filters reaches. Elementwise ops that alone follow are computed before the
    interleaving, where the runtime computes them along with the Conv. What the last blocks have
    too many is sliced off; of an open size only at stride 1, where it is read off the input. Both
    sizes open ask for a square. Not where the larger kernel takes more than the blocks gain.

    Conditions of all forms: weights (and where they change, biases) are constants of floating
    dtype; ops are ONNX's own.

    Options:
        forms: which forms are proposed, in the order of preference.
    """

    name: ClassVar[str] = "lower-to-conv2d"
    forms: tuple[Form, ...] = get_args(Form)

    def rules(self) -> Sequence[Rule]:
        """One rule for each form."""
        known: dict[Form, Rule] = {
            "conv1d": rule(lower_1d, "Conv", "ConvTranspose"),
            "conv3d-aligned": rule(lower_3d, "Conv", form="aligned"),
            "conv3d": rule(lower_3d, "Conv", form="stacked"),
            "conv3d-sum": rule(lower_3d, "Conv", form="sum"),
            "conv3d-deep": rule(lower_3d, "Conv", form="deep"),
            "transpose": rule(lower_stride_one, "ConvTranspose"),
            "phases": rule(lower_phases, "ConvTranspose"),
            "stacked-phases": rule(lower_stacked, "ConvTranspose"),
            "pool": rule(lower_average_pool, "AveragePool"),
            "split": rule(split_multiplier, "Conv"),
            "repeat": rule(repeat_inputs, "Conv"),
            "wide": rule(widen, "Conv", direction="both"),
            "wide-rows": rule(widen, "Conv", direction="rows"),
            "wide-columns": rule(widen, "Conv", direction="columns"),
        }
        known.update(zip(resize.FORMS, resize.rules(), strict=True))
        return [known[form] for form in self.forms]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies the pass, to what it makes of an op, too.

        A ConvTranspose over one axis becomes one over two, which may match another form.
        """
        return self._timed(graph, context or Context(), first, within=True)
