"""Work of reductions and normalisations, counted by hand in the line that states it."""

from __future__ import annotations

import numpy as np
import pytest

from convc.opset.work import Work
from tests.opset.counted import Operand, work_of

REDUCED = {
    # (2, 3, 4) to (2, 1, 4): 8 results of 3 elements.
    "ReduceSum": Work(additions=16),
    "ReduceMean": Work(additions=16, divisions=8),
    "ReduceMax": Work(comparisons=16),
    "ReduceMin": Work(comparisons=16),
    "ReduceProd": Work(multiplications=16),
    "ReduceL1": Work(additions=16, comparisons=24),
    "ReduceL2": Work(multiplications=24, additions=16, functions=8),
    "ReduceSumSquare": Work(multiplications=24, additions=16),
    "ReduceLogSum": Work(additions=16, functions=8),
    # max; minus it, exp; sum; log, plus the max.
    "ReduceLogSumExp": Work(additions=24 + 16 + 8, comparisons=16, functions=24 + 8),
    "ArgMax": Work(comparisons=16),
    "ArgMin": Work(comparisons=16),
}


OF_NONE = {
    "ReduceMean": Work(divisions=8),
    "ReduceL2": Work(functions=8),
    "ReduceLogSum": Work(functions=8),
    "ReduceLogSumExp": Work(additions=8, functions=8),
}


@pytest.mark.parametrize("kind", REDUCED)
def test_reductions(kind: str) -> None:
    for result in ((2, 1, 4), (2, 4)):
        assert work_of(kind, [(2, 3, 4)], result, {"axes": (1,)}) == REDUCED[kind]
    # Of nothing there are 8 results with nothing to combine: what is done to each is left.
    assert work_of(kind, [(2, 0, 4)], (2, 1, 4), {"axes": (1,)}) == OF_NONE.get(kind, Work())


def test_reductions_of_no_axes() -> None:
    keep = {"noop_with_empty_axes": 1}
    assert work_of("ReduceMean", [(2, 3)], (2, 3), keep, opset=18) == Work()
    assert work_of("ReduceSumSquare", [(2, 3)], (2, 3), keep, opset=18) == Work(multiplications=6)
    # A scalar has one element: nothing to add, one quotient.
    assert work_of("ReduceMean", [()], ()) == Work(divisions=1)


def test_softmax() -> None:
    # 8 lines of 3: max, minus it, exp, sum, quotients.
    lines = Work(additions=24 + 16, divisions=24, comparisons=16, functions=24)
    assert work_of("Softmax", [(2, 3, 4)], (2, 3, 4), {"axis": 1}) == lines
    assert work_of("Softmax", [(2, 3, 4)], (2, 3, 4), {"axis": -2}) == lines
    # No quotients but a logarithm a line, subtracted.
    logs = Work(additions=24 + 16 + 24, comparisons=16, functions=24 + 8)
    assert work_of("LogSoftmax", [(2, 3, 4)], (2, 3, 4), {"axis": 1}) == logs
    assert work_of("Hardmax", [(2, 3, 4)], (2, 3, 4), {"axis": 1}) == Work(comparisons=16)
    # Before opset 13 all axes from one on are a line: 2 of 12.
    old = Work(additions=24 + 22, divisions=24, comparisons=22, functions=24)
    assert work_of("Softmax", [(2, 3, 4)], (2, 3, 4), opset=11) == old
    assert work_of("Softmax", [(2, 0)], (2, 0)) == Work()
    assert work_of("Softmax", [()], ()) == Work(additions=1, divisions=1, functions=1)


def test_normalisations() -> None:
    def group(n: int, scale: bool = True, shift: bool = True) -> Work:
        """Mean: n − 1, a quotient; deviations: n; their squares: n, n − 1, a quotient; ε, root,
        inverse; times that: n; scale, shift: n each."""
        return Work(
            multiplications=2 * n + n * scale,
            additions=(n - 1) + n + (n - 1) + 1 + n * shift,
            divisions=3,
            functions=1,
        )

    data = (2, 6, 4, 5)
    affine: list[Operand] = [data, (6,), (6,)]
    assert work_of("InstanceNormalization", affine, data) == group(20).times(12)
    three = {"num_groups": 3}
    assert work_of("GroupNormalization", affine, data, three) == group(40).times(6)
    rows: list[Operand] = [data, (5,), (5,)]
    assert work_of("LayerNormalization", rows, data) == group(5).times(48)
    unshifted = group(20, shift=False).times(12)
    assert work_of("LayerNormalization", [data, (4, 5)], data, {"axis": 2}) == unshifted
    whole = group(2 * 4 * 5, scale=False, shift=False).times(6)
    assert work_of("MeanVarianceNormalization", [data], data) == whole
    # Without the mean: n − 1 and n additions and a quotient less.
    root = Work(multiplications=15, additions=4 + 1, divisions=2, functions=1).times(48)
    assert work_of("RMSNormalization", [data, (5,)], data) == root
    assert work_of("InstanceNormalization", affine, (2, 6, 0, 5)) == group(20).times(12)
    assert work_of("InstanceNormalization", [(2, 6, 0), (6,), (6,)], (2, 6, 0)) == Work()


def test_other_reductions() -> None:
    # 12 lines of 5: squares, sums, a root a line, quotients.
    euclid = Work(multiplications=60, additions=48, divisions=60, functions=12)
    assert work_of("LpNormalization", [(3, 4, 5)], (3, 4, 5)) == euclid
    taxicab = Work(additions=48, divisions=60, comparisons=60)
    assert work_of("LpNormalization", [(3, 4, 5)], (3, 4, 5), {"p": 1}) == taxicab
    assert work_of("CumSum", [(3, 5), np.array(1)], (3, 5)) == Work(additions=3 * 4)
    assert work_of("CumSum", [(3, 5), np.array(0)], (3, 5)) == Work(additions=2 * 5)
    one_less = work_of("CumSum", [(3, 5), np.array(1)], (3, 5), {"exclusive": 1})
    assert one_less == Work(additions=3 * 3)
    assert work_of("CumSum", [(3, 5), ()], (3, 5)) is None
    # 5 channels, 3 wide: sums of 2, 3, 3, 3, 2 squares; · α/n, + bias, power, quotient.
    local = Work(multiplications=10 + 10, additions=2 * (13 - 5) + 10, divisions=10, functions=10)
    assert work_of("LRN", [(1, 5, 2)], (1, 5, 2), {"size": 3}) == local
    # 3 lines of 8: the best of each; then heaps of 4, 3 levels high.
    assert work_of("TopK", [(3, 8), (1,)], (3, 1)) == Work(comparisons=3 * 7)
    assert work_of("TopK", [(3, 8), (1,)], (3, 4)) == Work(comparisons=3 * 8 * 3)
    assert work_of("TopK", [(3, 8), (1,)], (3, 0)) == Work()
