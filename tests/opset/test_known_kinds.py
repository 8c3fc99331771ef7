"""Which kinds have a work rule: all that models are made of, but for those that cannot have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from convc.graph import Graph
from convc.ir import Op
from convc.onnx_io import load
from convc.opset import macs
from convc.opset.work import WORK, Work
from tests.conftest import real_models, sample_models

NOT_KNOWN = {
    "If": "which of its bodies runs depends on the data",
    "Loop": "how often its body runs depends on the data",
    "Scan": "it runs a body",
    "NonMaxSuppression": "how many boxes are compared depends on the data",
}


def checked(paths: Iterable[Path]) -> tuple[Counter[str], Counter[str]]:
    """Kinds that have no rule, and products whose MACs were compared, in some models."""
    missing: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    for path in paths:
        graph = load(path)
        for op in graph.ops():
            if op.is_boundary or op.array is not None or op.domain:
                continue
            rule = WORK.get(op.kind)
            if rule is None:
                missing[op.kind] += 1
                continue
            compared[op.kind] += same_as_macs(graph, op, rule(graph, op))
    return missing, compared


def same_as_macs(graph: Graph, op: Op, work: Work | None) -> bool:
    """Multiplications are MACs in the dense convention, but for Gemm's factors α and β."""
    if op.kind not in ("Conv", "ConvTranspose", "Gemm", "MatMul") or work is None:
        return False
    if {op.attributes.get(name, 1.0) for name in ("alpha", "beta")} != {1.0}:
        return False
    assert work.multiplications == macs(graph, op)
    assert 0 <= work.padded_multiplications <= work.multiplications
    assert 0 <= work.padded_additions <= work.additions
    return True


def test_all_kinds_of_the_sample_models_are_known() -> None:
    missing, compared = checked(sample_models())
    assert not missing
    assert compared["Conv"] >= 50
    assert min(compared[kind] for kind in ("ConvTranspose", "Gemm", "MatMul")) >= 1


def test_all_kinds_of_the_real_models_are_known(shared: Path) -> None:
    assert shared.is_dir()
    missing, compared = checked(real_models())
    assert set(missing) <= set(NOT_KNOWN)
    assert compared["Conv"] >= 1000


def test_what_is_not_known_is_not_in_the_table() -> None:
    assert not set(NOT_KNOWN) & set(WORK)
