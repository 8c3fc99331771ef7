"""The attributes of convolutions and pools, as far as they can be wrong by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CONVS = frozenset({"Conv", "ConvTranspose"})
POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})

LARGEST = 2**31 - 1
"""Of a kernel, stride, dilation or pad: beyond it the arithmetic of runtimes overflows."""


def check_window(
    kind: str, lists: Mapping[str, tuple[int, ...]], group: int, weight: tuple[int, ...] | None
) -> None:
    """Raises ValueError, in words, where a window is none.

    Args:
        kind: one of `CONVS` and `POOLS`.
        lists: the attributes that are lists of integers.
        group: that attribute.
        weight: shape of a convolution's weights, None where it is not known or there are none.
    """
    kernel = lists.get("kernel_shape", ())
    if weight is not None and kind in CONVS:
        _check_weight(kind, kernel, group, weight)
        kernel = kernel or weight[2:]
    for name in ("kernel_shape", "strides", "dilations"):
        if min(lists.get(name, (1,)), default=1) < 1:
            raise ValueError(f"{name} {_text(lists[name])} must be positive")
    rank = len(kernel)
    for name, values in lists.items():
        wanted = 2 * rank if name == "pads" else rank
        if name in _BY_AXIS and rank and len(values) not in (0, wanted):
            raise ValueError(f"{name} {_text(values)} are not {wanted}, for {rank} axes")
        if name in _BY_AXIS and max(map(abs, values), default=0) > LARGEST:
            raise ValueError(f"{name} {_text(values)} are too large")


def check_bias(
    kind: str, group: int, weight: tuple[int, ...], bias: tuple[int, ...] | None
) -> None:
    """Raises ValueError where a convolution's biases are not one for each filter."""
    filters = weight[0] if kind == "Conv" else weight[1] * group
    if bias is not None and bias != (filters,):
        raise ValueError(f"biases of shape {_text(bias)} for {filters} filters")


def check_vectors(vectors: Sequence[tuple[int, ...]]) -> None:
    """Raises ValueError where the vectors of a normalisation are not of one length."""
    for vector in vectors:
        if len(vector) != 1 or vector != vectors[0]:
            told = " and ".join(map(_text, dict.fromkeys(vectors)))
            raise ValueError(f"its vectors are of the shapes {told}")


_BY_AXIS = frozenset({"kernel_shape", "strides", "dilations", "pads", "output_padding"})


def _check_weight(kind: str, kernel: tuple[int, ...], group: int, weight: tuple[int, ...]) -> None:
    if len(weight) < 3:
        raise ValueError(f"weights of shape {_text(weight)} are of no convolution")
    if kernel and kernel != weight[2:]:
        raise ValueError(f"kernel_shape {_text(kernel)}, but weights of shape {_text(weight)}")
    if group < 1 or weight[0] % group:
        what = "filters" if kind == "Conv" else "channels"
        raise ValueError(f"{weight[0]} {what} do not divide into {group} groups")


def _text(values: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return f"({shown}{', …' if len(values) > 8 else ''})"
