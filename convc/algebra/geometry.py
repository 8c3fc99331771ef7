"""Where a convolution reads and a transposed convolution writes.

Per axis, with tap t of the kernel:

- Conv: output o reads input ``s·o + d·t − p_begin``, zero outside the input;
- ConvTranspose: input i adds to output ``s·i + d·t − p_begin``, dropped outside the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from convc.algebra.arrays import Sizes


@dataclass(frozen=True, slots=True)
class ConvGeometry:
    """The geometry of a Conv: integers per spatial axis, and the number of groups.

    Negative pads crop the input. They are sound here, but onnxruntime's Conv refuses them:
    ``split_crop`` turns them into a slice.

    Attributes:
        kernel: taps.
        strides: positions from one output to the next, 1 or more.
        dilations: positions from one tap to the next, 1 or more.
        pads_begin: zeros before the first position.
        pads_end: zeros behind the last.
        group: number of groups.

    Raises:
        ValueError: the tuples differ in length, or a value is out of its range.
    """

    kernel: Sizes
    strides: Sizes
    dilations: Sizes
    pads_begin: Sizes
    pads_end: Sizes
    group: int = 1

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def extent(self) -> Sizes:
        """Input positions that the kernel spans, per axis: ``d(k−1) + 1``."""
        return _extent(self.kernel, self.dilations)

    @property
    def pads(self) -> Sizes:
        """Pads in ONNX order: all begins, then all ends."""
        return (*self.pads_begin, *self.pads_end)

    def axis_output(self, axis: int, size: int) -> int:
        """Output size on one axis, below 1 where the kernel does not fit."""
        room = size + self.pads_begin[axis] + self.pads_end[axis] - self.extent[axis]
        return room // self.strides[axis] + 1

    def output_size(self, input_size: Sequence[int]) -> Sizes:
        """Spatial output size: ``⌊(H + p_begin + p_end − e) / s⌋ + 1`` per axis.

        Raises:
            ValueError: wrong number of axes, or the kernel does not fit into the padded input.
        """
        return _output_size(self, input_size)


@dataclass(frozen=True, slots=True)
class TransposeGeometry:
    """The geometry of a ConvTranspose; ``output_padding`` adds positions at the end of an axis.

    Negative pads extend the output by positions that no input reaches.

    Attributes:
        kernel: taps.
        strides: positions of the output from one input to the next, 1 or more.
        dilations: positions from one tap to the next, 1 or more.
        pads_begin: positions cut off the output's begin.
        pads_end: positions cut off its end.
        output_padding: positions added at its end, 0 or more.
        group: number of groups.

    Raises:
        ValueError: the tuples differ in length, or a value is out of its range.
    """

    kernel: Sizes
    strides: Sizes
    dilations: Sizes
    pads_begin: Sizes
    pads_end: Sizes
    output_padding: Sizes
    group: int = 1

    def __post_init__(self) -> None:
        _validate(self)
        if len(self.output_padding) != self.ndim:
            raise ValueError(f"output_padding needs {self.ndim} values")
        if min(self.output_padding) < 0:
            raise ValueError(f"output_padding {self.output_padding} must not be negative")

    @property
    def ndim(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def extent(self) -> Sizes:
        """Output positions that one input writes to, per axis: ``d(k−1) + 1``."""
        return _extent(self.kernel, self.dilations)

    @property
    def pads(self) -> Sizes:
        """Pads in ONNX order: all begins, then all ends."""
        return (*self.pads_begin, *self.pads_end)

    @property
    def crop_end(self) -> Sizes:
        """What is cropped at the end of each axis: ``p_end − output_padding``."""
        return tuple(p - o for p, o in zip(self.pads_end, self.output_padding, strict=True))

    def axis_output(self, axis: int, size: int) -> int:
        """Output size on one axis, below 1 where everything is cropped."""
        whole = self.strides[axis] * (size - 1) + self.extent[axis]
        return whole - self.pads_begin[axis] - self.crop_end[axis]

    def output_size(self, input_size: Sequence[int]) -> Sizes:
        """Spatial output size: ``s(H − 1) + e + output_padding − p_begin − p_end`` per axis.

        Raises:
            ValueError: wrong number of axes, or everything is cropped.
        """
        return _output_size(self, input_size)


Geometry: TypeAlias = ConvGeometry | TransposeGeometry


def split_crop(geometry: ConvGeometry) -> tuple[Sizes, Sizes, ConvGeometry]:
    """The crops at begin and end, and the conv that is left, whose pads are not negative.

    Returns:
        Begin and end, per axis, and the conv: the given one of x is this one of
        ``x[begin : H − end]``, for every input larger than the crops.
    """
    begin = tuple(max(0, -p) for p in geometry.pads_begin)
    end = tuple(max(0, -p) for p in geometry.pads_end)
    uncropped = ConvGeometry(
        kernel=geometry.kernel,
        strides=geometry.strides,
        dilations=geometry.dilations,
        pads_begin=tuple(max(0, p) for p in geometry.pads_begin),
        pads_end=tuple(max(0, p) for p in geometry.pads_end),
        group=geometry.group,
    )
    return begin, end, uncropped


def _extent(kernel: Sizes, dilations: Sizes) -> Sizes:
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True))


def _validate(geometry: Geometry) -> None:
    ndim = len(geometry.kernel)
    if ndim < 1:
        raise ValueError("a convolution needs at least one spatial axis")
    for name in ("strides", "dilations", "pads_begin", "pads_end"):
        if len(getattr(geometry, name)) != ndim:
            raise ValueError(f"{name} needs {ndim} values")
    for name in ("kernel", "strides", "dilations"):
        if min(getattr(geometry, name)) < 1:
            raise ValueError(f"{name} {getattr(geometry, name)} must be positive")
    if geometry.group < 1:
        raise ValueError(f"group {geometry.group} must be positive")


def _output_size(geometry: Geometry, input_size: Sequence[int]) -> Sizes:
    if len(input_size) != geometry.ndim:
        raise ValueError(f"size {tuple(input_size)} needs {geometry.ndim} values")
    out = tuple(geometry.axis_output(axis, size) for axis, size in enumerate(input_size))
    if min(out) < 1:
        raise ValueError(f"no output: input {tuple(input_size)} is too small for the geometry")
    return out
