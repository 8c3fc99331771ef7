"""A 3-D convolution as a 2-D one that computes several slices of the depth at once, as channels.

Output depth z reads the slices ``s·z + d·t − p`` by tap t. With ``g = gcd(s, d)`` the outputs z,
``z + d/g``, ``z + 2d/g``, ... read slices at distances of d only, each ``s/g`` further than the one
before. So n of them read ``(n − 1)·s/g + k`` slices in all, which are stacked as channels once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import AnyArray
from convc.algebra.geometry import ConvGeometry

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class DepthGroups:
    """Output depths that are computed together.

    Attributes:
        reads: (groups, slices), the slices that each group stacks; where padding is read, the
            depth of the input: the slice behind the last one.
        taps: (outputs of a group, taps), where in the stack each tap of each output is.
        places: (output depth,), where each output depth is among the groups' outputs one by one.
            The last groups may have outputs too many.
    """

    reads: Indices
    taps: Indices
    places: Indices

    @property
    def phases(self) -> int:
        """Outputs of a group."""
        return int(self.taps.shape[0])

    @property
    def rows(self) -> int:
        """Outputs of all groups."""
        return int(self.reads.shape[0]) * self.phases


def depth_groups(geometry: ConvGeometry, size: int, phases: int) -> DepthGroups:
    """Groups of ``phases`` output depths of a 3-D convolution over a depth of ``size``.

    Raises:
        ValueError: the kernel does not fit into the padded depth.
    """
    count = geometry.axis_output(0, size)
    if count < 1:
        raise ValueError(f"no output: depth {size} is too small for the geometry")
    stride, kernel = geometry.strides[0], geometry.kernel[0]
    dilation = geometry.dilations[0] if kernel > 1 else stride
    apart, step = (distance // gcd(stride, dilation) for distance in (dilation, stride))
    taps = step * np.arange(phases)[:, np.newaxis] + np.arange(kernel)
    # The groups of each residue one after the other.
    first = [np.arange(residue, count, apart * phases) for residue in range(min(apart, count))]
    starts = np.concatenate(first)
    outputs = starts[:, np.newaxis] + apart * np.arange(phases)
    places = np.empty(count, np.int64)
    is_output = outputs.reshape(-1) < count
    places[outputs.reshape(-1)[is_output]] = np.flatnonzero(is_output)
    begins = stride * starts[:, np.newaxis] - geometry.pads_begin[0]
    reads = begins + dilation * np.arange(int(taps.max()) + 1)
    return DepthGroups(np.where((reads >= 0) & (reads < size), reads, size), taps, places)


def stack_groups(w: AnyArray, groups: DepthGroups) -> AnyArray:
    """(K, C, k_d, k_h, k_w) to (phases·K, slices·C, k_h, k_w), zeros where nothing is read."""
    filters, channels, _, *sizes = w.shape
    slices = groups.reads.shape[1]
    stacked = np.zeros((groups.phases, filters, slices, channels, *sizes), w.dtype)
    for output, taps in enumerate(groups.taps):
        stacked[output][:, taps] = w.swapaxes(1, 2)
    return stacked.reshape(groups.phases * filters, slices * channels, *sizes)
