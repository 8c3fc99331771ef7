"""Max pools over rectangles as max pools over lines: a pass for convc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from convc import Graph, Pass
from convc.conv import ints
from convc.ir import Attribute, Op
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, rule


@dataclass(frozen=True)
class SplitMaxPools(Pass):
    """Max pools over rectangles become two over lines, which compare fewer values.

    Before, for a kernel of k_h × k_w::

        y[i, j] = max over a < k_h and b < k_w of x[i + a, j + b]

    After: ``y = rows(columns(x))`` with::

        columns(x)[i, j] = max over a < k_h of x[i + a, j]
        rows(x)[i, j]    = max over b < k_w of x[i, j + b]

    since a maximum may be taken in any order. Stride, dilation and pads of an axis go to the pool
    along it; what is padded never is the maximum, so the border needs no care. The class is
    *exact*: every value is the same, but perhaps for the sign of a zero.

    Conditions:

    1. There are two spatial axes, and the kernel has ``least`` taps or more on both.
    2. The op does not tell where its maxima are.
    3. Pads are explicit (``simplify`` makes them so), and the size is not rounded up.

    Cost: ``k_h + k_w`` comparisons an output instead of ``k_h·k_w``; a value between is written
    and read.

    Options:
        least: smaller kernels are left alone.
    """

    name: ClassVar[str] = "split-max-pools"
    least: int = 5

    def __post_init__(self) -> None:
        if self.least < 1:
            raise ValueError("least is a number of taps, 1 or more")

    def rules(self) -> Sequence[Rule]:
        """One rule, for max pools."""
        return [rule(split, "MaxPool", least=self.least)]


def split(graph: Graph, op: Op, least: int) -> Rewrite:
    """Proposes two pools over lines for one over a rectangle."""
    data, kernel = op.operand(0), ints(op, "kernel_shape", ())
    if data is None or len(kernel) != 2:
        raise NoMatch("the pool is not over two axes")
    if min(kernel) == 1:
        raise NoMatch  # a line already: nothing to tell
    if min(kernel) < least:
        raise NoMatch(f"the pool has fewer than {least} taps on an axis")
    if len(op.results) > 1:
        raise NoMatch("the pool tells where its maxima are")
    if op.attributes.get("ceil_mode"):
        raise NoMatch("the pool rounds its size up: ceil_mode")
    if op.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise NoMatch("the pads are not explicit: put simplify before this pass")
    build = Replacement(graph)
    columns = build.op("MaxPool", (build.take(data),), along(op, 0), name=f"{op.name}_columns")
    rows = build.op("MaxPool", (columns,), along(op, 1), name=op.name)
    height, width = kernel
    note = f"MaxPool {height}×{width} → {height}×1, 1×{width}"
    return build.rewrite({op.result: rows}, note=note)


def along(op: Op, axis: int) -> dict[str, Attribute]:
    """The attributes of the pool along one axis; on the other axis it does nothing."""
    other = 1 - axis
    attributes = dict(op.attributes)
    for name in ("kernel_shape", "strides", "dilations"):
        if name in attributes:
            numbers = list(ints(op, name, ()))
            numbers[other] = 1
            attributes[name] = tuple(numbers)
    if "pads" in attributes:
        pads = list(ints(op, "pads", ()))
        pads[other] = pads[other + 2] = 0
        attributes["pads"] = tuple(pads)
    return attributes
