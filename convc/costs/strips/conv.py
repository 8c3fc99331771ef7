"""A convolution as strips see it: which inputs its outputs share, and what it keeps of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, prod

from convc.algebra.geometry import ConvGeometry
from convc.conv import conv_geometry
from convc.graph import Graph
from convc.ir import Op, Value

UNIT_ROUNDOFF = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-24, "float64": 2**-53}


@dataclass(frozen=True, slots=True)
class StripConv:
    """What the model knows of a Conv.

    Attributes:
        geometry: of the op.
        outputs: its spatial sizes.
        channels: input channels of one group.
        filters: output channels of one group.
        shared: groups whose outputs fill one register together: 1 unless a group has too few.
        itemsize: bytes of an element.
        roundoff: unit roundoff of the element type.
    """

    geometry: ConvGeometry
    outputs: tuple[int, ...]
    channels: int
    filters: int
    shared: int
    itemsize: int
    roundoff: float

    @property
    def across(self) -> int:
        """Axis on which the outputs of a strip lie side by side."""
        return max(self.geometry.ndim - 2, 0)

    @property
    def along(self) -> int | None:
        """Axis along which the strip is scanned; None in 1-D."""
        return self.geometry.ndim - 1 if self.geometry.ndim > 1 else None

    @property
    def taps(self) -> int:
        """Taps of the kernel, of one channel."""
        return prod(self.geometry.kernel)

    @property
    def other_taps(self) -> int:
        """Taps on the axes that are neither across nor along the strip."""
        return prod(self.geometry.kernel[: self.across])

    @property
    def products(self) -> int:
        """Terms of the sum that an output is."""
        return self.taps * self.channels

    @property
    def operations(self) -> int:
        """Multiplications and additions of an output value, summed directly."""
        return 2 * self.products - 1

    @property
    def weight_bytes(self) -> int:
        """The kernel of all output channels that share the window."""
        return self.products * self.filters * self.shared * self.itemsize

    def window_bytes(self, d: int) -> int:
        """What is kept of a strip of d output rows while it is scanned."""
        width = 1 if self.along is None else window(*axis_of(self.geometry, self.along))
        values = positions(d, *axis_of(self.geometry, self.across)) * width * self.other_taps
        return values * self.channels * self.shared * self.itemsize

    def reads(self, d: int) -> Fraction:
        """Input values loaded per output position and input channel, in strips of d rows."""
        along = 1 if self.along is None else fresh(*axis_of(self.geometry, self.along))
        rows = positions(d, *axis_of(self.geometry, self.across))
        return Fraction(rows, d) * along * self.other_taps


def strip_conv(graph: Graph, op: Op, lanes: int) -> StripConv | str:
    """The Conv at the graph's sizes, or why it has no strips."""
    if op.kind != "Conv" or op.domain:
        return f"{op.kind} is not a Conv"
    weight = op.operand(1)
    if weight is None:
        return "it has no weights"
    shape, outputs = graph.concrete_shape(weight), graph.concrete_shape(op.result)
    if shape is None:
        return f"the size of its weights is not known{_missing(graph, weight)}"
    if outputs is None:
        return f"the size of its output is not known{_missing(graph, op.result)}"
    geometry = conv_geometry(op)
    if geometry is None or len(outputs) != geometry.ndim + 2:
        return "its geometry depends on a size that is not fixed, or is not valid"
    if not prod(shape) or not prod(outputs):
        return "nothing is computed: a size is 0"
    dtype = weight.dtype
    if dtype is None or dtype.name not in UNIT_ROUNDOFF:
        return f"element type {dtype} is not a floating type of a known precision"
    filters = max(shape[0] // geometry.group, 1)
    return StripConv(
        geometry=geometry,
        outputs=outputs[2:],
        channels=shape[1],
        filters=filters,
        shared=min(max(-(-lanes // filters), 1), geometry.group),
        itemsize=dtype.itemsize,
        roundoff=UNIT_ROUNDOFF[dtype.name],
    )


def _missing(graph: Graph, value: Value) -> str:
    """The flag that helps, where a size that is missing is that of a graph input."""
    names = [d for d in value.shape or () if isinstance(d, str) and d not in graph.sizes]
    fed = {d for fed in graph.inputs for d in fed.shape or ()}
    pinned = [name for name in names if name in fed]
    return f" (pin it: --dim {pinned[0]}=SIZE)" if pinned else ""


def positions(d: int, kernel: int, stride: int, dilation: int) -> int:
    """Different positions that d neighbouring outputs read on one axis.

    Output o reads ``s·o + δ·t``. Divide stride and dilation by their common divisor. Then two
    outputs read the same only where they are a multiple of δ apart, and tap t of one is tap
    ``t − s`` of the one δ further. Of the d·k reads, ``(d − δ)(k − s)`` are such repeats (0 where
    a factor is negative), each of them counted from the one before it.
    """
    step, spread = coprime(stride, dilation)
    return d * kernel - max(d - spread, 0) * max(kernel - step, 0)


def fresh(kernel: int, stride: int, dilation: int) -> int:
    """Positions that each output on an axis reads first, of those `positions` counts."""
    return min(kernel, coprime(stride, dilation)[0])


def window(kernel: int, stride: int, dilation: int) -> int:
    """Positions of an axis to keep while scanning it, so that none is read twice.

    A position read first by tap t is read again ``⌊t/s⌋`` times, δ outputs apart. The sum over the
    taps that read something first, the last s, of the outputs it lives for, ``δ·⌊t/s⌋ + 1``, is
    ``s + δ(k − s)``, or k where nothing is read twice. With stride 1 that is the kernel's extent.
    """
    step, spread = coprime(stride, dilation)
    return min(kernel, step) + spread * max(kernel - step, 0)


def coprime(stride: int, dilation: int) -> tuple[int, int]:
    """Stride and dilation on the grid of the positions that are read at all."""
    common = gcd(stride, dilation)
    return stride // common, dilation // common


def axis_of(geometry: ConvGeometry, axis: int) -> tuple[int, int, int]:
    """Kernel, stride and dilation of one axis."""
    return geometry.kernel[axis], geometry.strides[axis], geometry.dilations[axis]
