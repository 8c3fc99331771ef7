"""Windows counted in closed form against windows counted one by one."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convc.graph import Graph
from convc.ir import Dim, TensorType
from convc.opset.work import WORK, Work
from tests.opset.counted import work_of

MODES = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Case:
    """A window op, all of it drawn; ``output`` by the formulas of the ONNX specification."""

    mode: str
    batch: int
    group: int
    inputs: int  # channels of the input, per group
    outputs: int  # channels of the output, per group
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    extra: tuple[int, ...]
    output: tuple[int, ...]
    bias: bool
    open: bool
    attributes: dict[str, Any] = field(compare=False)

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def sizes(self) -> dict[str, int]:
        return {f"d{i}": n for i, n in enumerate(self.size)} if self.open else {}

    @property
    def shape(self) -> tuple[Dim, ...]:
        spatial: tuple[Dim, ...] = tuple(self.sizes) if self.open else self.size
        return (self.batch, self.group * self.inputs, *spatial)

    @property
    def result(self) -> tuple[int, ...]:
        return (self.batch, self.group * self.outputs, *self.output)


def same_split(total: int, mode: str) -> tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (small, large) if mode == "SAME_UPPER" else (large, small)


@st.composite
def cases(draw: st.DrawFn, kind: str) -> Case:
    rank = draw(st.sampled_from((1, 2, 2, 3)))
    ints = {
        name: tuple(draw(st.integers(low, high)) for _ in range(rank))
        for name, low, high in (
            ("size", 0, 6 if rank < 3 else 4),
            ("kernel", 1, 3),
            ("strides", 1, 3),
            ("dilations", 1, 2),
            ("begin", 0, 4),
            ("end", 0, 4),
            ("extra", 0, 2),
        )
    }
    mode = draw(st.sampled_from(MODES))
    conv, transposed = kind == "Conv", kind == "ConvTranspose"
    ceil = not conv and not transposed and mode == "NOTSET" and draw(st.booleans())
    if mode.startswith("SAME"):
        # Where a stride exceeds the kernel, or a pool is dilated, SAME is the runtime's own.
        ints["strides"] = tuple(map(min, ints["strides"], ints["kernel"]))
        ints["dilations"] = ints["dilations"] if conv else (1,) * rank
    if mode != "NOTSET" or not transposed:
        ints["extra"] = (0,) * rank
    output = []
    for axis in range(rank):
        n, k, s, d, e = (
            ints[name][axis] for name in ("size", "kernel", "strides", "dilations", "extra")
        )
        extent = d * (k - 1) + 1
        pads = (ints["begin"][axis], ints["end"][axis])
        if mode == "VALID":
            pads = (0, 0)
        if mode.startswith("SAME"):
            n = max(1, n)
            total = extent - s if transposed else max(0, (-(-n // s) - 1) * s + extent - n)
            pads = same_split(total, mode)
        if transposed:
            n = max(1, n)
            out = max(0, s * (n - 1) + extent + e - sum(pads))
        else:
            n = max(n, extent - sum(pads))
            room = n + sum(pads) - extent
            out = (-(-room // s) if ceil else room // s) + 1
        for name, value in (("size", n), ("begin", pads[0]), ("end", pads[1])):
            ints[name] = (*ints[name][:axis], value, *ints[name][axis + 1 :])
        output.append(out)
    attributes: dict[str, Any] = {
        "strides": ints["strides"],
        "dilations": ints["dilations"],
        "kernel_shape": ints["kernel"],
    }
    group = draw(st.integers(1, 2)) if conv or transposed else 1
    if mode == "NOTSET":
        attributes["pads"] = (*ints["begin"], *ints["end"])
    else:
        attributes["auto_pad"] = mode
    if group > 1:
        attributes["group"] = group
    if any(ints["extra"]):
        attributes["output_padding"] = ints["extra"]
    if ceil:
        attributes["ceil_mode"] = 1
    channels = draw(st.integers(0, 2))
    return Case(
        mode=mode,
        batch=draw(st.integers(0, 2)),
        group=group,
        inputs=channels,
        outputs=draw(st.integers(1, 2)) if conv or transposed else channels,
        output=tuple(output),
        bias=draw(st.booleans()),
        open=draw(st.booleans()),
        attributes=attributes,
        **ints,
    )


def real_taps(case: Case, output: tuple[int, ...]) -> int:
    """Taps of one window that lie on the input."""
    return sum(
        all(
            0 <= s * o + d * t - p < n
            for s, o, d, t, p, n in zip(
                case.strides, output, case.dilations, tap, case.begin, case.size, strict=True
            )
        )
        for tap in itertools.product(*map(range, case.kernel))
    )


def windows(case: Case) -> list[int]:
    """Taps on the input of each window of one image and channel."""
    return [real_taps(case, o) for o in itertools.product(*map(range, case.output))]


def sums(terms: list[int], bias: bool) -> int:
    """Additions of sums with so many terms each; a sum of nothing takes none."""
    return sum(m - 1 + bias for m in terms if m)


def conv_by_hand(case: Case) -> Work:
    planes = case.batch * case.group * case.outputs
    taps = prod(case.kernel)
    real = [case.inputs * m for m in windows(case)]
    dense = [case.inputs * taps for _ in real]
    return Work(
        multiplications=planes * sum(dense),
        additions=planes * sums(dense, case.bias),
        padded_multiplications=planes * (sum(dense) - sum(real)),
        padded_additions=planes * (sums(dense, case.bias) - sums(real, case.bias)),
    )


def transpose_by_hand(case: Case) -> Work:
    planes = case.batch * case.group * case.outputs
    written: Counter[tuple[int, ...]] = Counter()
    for position in itertools.product(*map(range, case.size)):
        for tap in itertools.product(*map(range, case.kernel)):
            place = tuple(
                s * i + d * t
                for s, i, d, t in zip(case.strides, position, case.dilations, tap, strict=True)
            )
            written[place] += case.inputs
    dense = list(written.values())
    real = [
        terms
        for place, terms in written.items()
        if all(0 <= q - p < n for q, p, n in zip(place, case.begin, case.output, strict=True))
    ]
    return Work(
        multiplications=planes * sum(dense),
        additions=planes * sums(dense, case.bias),
        padded_multiplications=planes * (sum(dense) - sum(real)),
        padded_additions=planes * (sums(dense, case.bias) - sums(real, case.bias)),
    )


def check_kind(kind: str, by_hand: Any, weights: Any, **attributes: Any) -> None:
    """Runs the property and says how often each mode and rank was drawn."""
    ran: Counter[object] = Counter()

    @settings(max_examples=300)
    @given(cases(kind))
    def check(case: Case) -> None:
        operands: list[Any] = [case.shape, *weights(case)]
        made = {**case.attributes, **attributes}
        assert work_of(kind, operands, case.result, made, sizes=case.sizes) == by_hand(case)
        ran.update((case.mode, case.rank))
        ran["padded"] += any((*case.begin, *case.end)) and bool(prod(case.result))
        ran["open SAME"] += case.open and case.mode.startswith("SAME")

    check()
    assert sum(ran[mode] for mode in MODES) >= 250
    assert min(ran[key] for key in (*MODES, 1, 2, 3, "padded", "open SAME")) >= 20, ran


def test_convs() -> None:
    def weights(case: Case) -> list[Any]:
        outputs = case.group * case.outputs
        return [(outputs, case.inputs, *case.kernel), (outputs,) if case.bias else None]

    check_kind("Conv", conv_by_hand, weights)


def test_transposed_convs() -> None:
    def weights(case: Case) -> list[Any]:
        outputs = case.group * case.outputs
        kernel = (case.group * case.inputs, case.outputs, *case.kernel)
        return [kernel, (outputs,) if case.bias else None]

    check_kind("ConvTranspose", transpose_by_hand, weights)


def no_weights(_case: Case) -> list[Any]:
    return []


def test_a_transposed_conv_of_a_shape_that_contradicts_itself() -> None:
    graph = Graph()
    float32 = np.dtype(np.float32)
    data = graph.add_input("x", TensorType(float32, (1, 2, 5, 5)))
    weight = graph.add_constant(np.ones((2, 3, 3, 3), np.float32))
    types = (TensorType(float32, (9, 9)),)
    op = graph.add("ConvTranspose", (data, weight), {"output_shape": (9, 9)}, types=types)
    assert WORK["ConvTranspose"](graph, op) is None


def test_max_pools() -> None:
    def by_hand(case: Case) -> Work:
        planes = case.batch * case.inputs
        return Work(comparisons=planes * sums(windows(case), bias=False))

    check_kind("MaxPool", by_hand, no_weights)


def test_average_pools() -> None:
    def by_hand(case: Case) -> Work:
        planes, seen = case.batch * case.inputs, windows(case)
        return Work(additions=planes * sums(seen, bias=False), divisions=planes * len(seen))

    check_kind("AveragePool", by_hand, no_weights)
    check_kind("AveragePool", by_hand, no_weights, count_include_pad=1)


def test_power_pools() -> None:
    def by_hand(case: Case) -> Work:
        planes, seen = case.batch * case.inputs, windows(case)
        return Work(
            multiplications=planes * sum(seen),
            additions=planes * sums(seen, bias=False),
            functions=planes * len(seen),
        )

    check_kind("LpPool", by_hand, no_weights, p=2)
