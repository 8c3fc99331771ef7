"""A minute of random networks; and that the fuzzer finds what it is there to find."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from convc.graph import Graph
from convc.ir import Array
from convc.onnx_io import from_bytes
from convc.reference import evaluate
from convc.runtime import newest_opset
from tests.fuzz.certify import Certifier
from tests.fuzz.generate import network
from tests.fuzz.oracle import NotRun, Original, judge_result, prepare
from tests.fuzz.plans import Plan
from tests.fuzz.rounding import spreads
from tests.fuzz.runner import Child, fuzz
from tests.fuzz.save import replay
from tests.fuzz.shrink import Failure, as_network, shrink
from tests.fuzz.trial import HangError, judge, time_limit
from tests.onnx_helpers import info, model, weight

SECONDS = float(os.environ.get("CONVC_FUZZ_SECONDS", "60"))
"""Of the run below."""

SEED = 8
"""Of that run, unless CONVC_EXPLORE asks for another one each time.

A red run has to be the doing of the change that it tests; who looks for bugs, or a nightly run,
takes new networks, and the seed is printed with what they find."""

PLAN = Plan("simplify")


def test_a_minute_of_networks() -> None:
    seed = time.time_ns() % 10**9 if os.environ.get("CONVC_EXPLORE") else SEED
    tally = fuzz(seed, seconds=SECONDS)
    print(f"seed {seed}: {tally.networks} networks, {tally.rewrites} rewrites")
    words = [
        f"{len(found)} × {found[0].finding.kind}: {found[0].finding.what}\n  to repeat: "
        f"python -m tests.fuzz --seed {seed} --start {found[0].number} --networks 1 --save findings"
        for found in tally.by_signature().values()
    ]
    assert not words, "\n".join(words)
    assert tally.networks >= 1 or SECONDS < 10
    assert tally.rewrites >= tally.networks


def test_a_network_is_known_by_its_number() -> None:
    for number in range(40):
        first, second = (network(3, number, newest_opset()) for _ in range(2))
        if first is None or second is None:
            assert first is second
            continue
        assert first.model.SerializeToString(deterministic=True) == second.model.SerializeToString(
            deterministic=True
        )
        assert first.shapes == second.shapes


def small_net() -> ModelProto:
    """Two convs with a Relu between."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "w2", "b2"], ["y"], pads=[1] * 4, group=2),
    ]
    weights = {"w1": (4, 3, 3, 3), "b1": (4,), "w2": (6, 2, 3, 3), "b2": (6,)}
    arrays = {name: rng.standard_normal(shape) for name, shape in weights.items()}
    return model(
        nodes,
        [info("x", (1, 3, 7, 8))],
        [info("y", (1, 6, 7, 8))],
        [weight(name, array.astype(np.float32)) for name, array in arrays.items()],
    )


@pytest.fixture(scope="module")
def original() -> Original:
    prepared, wrong = prepare(as_network(small_net()), 0, ("noise", "impulses"))
    assert wrong == []
    return prepared


def change(name: str, how: Callable[[Array], Array]) -> Callable[[ModelProto], None]:
    def apply(made: ModelProto) -> None:
        tensor = next(t for t in made.graph.initializer if t.name == name)
        array = how(numpy_helper.to_array(tensor).copy())
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))

    return apply


def one_weight(array: Array) -> Array:
    array.flat[np.abs(array).argmax()] *= 1.001
    return array


def shift_pads(made: ModelProto) -> None:
    made.graph.node[2].attribute[1].ints[:] = [0, 1, 2, 1]


WRONG: dict[str, Callable[[ModelProto], None]] = {
    "one weight by a thousandth": change("w1", one_weight),
    "all by a ten-thousandth": change("w2", lambda w: w * np.float32(1.0001)),
    "a kernel flipped": change("w1", lambda w: w[..., ::-1]),
    "two filters swapped": change("w2", lambda w: w[[1, 0, 2, 3, 4, 5]]),
    "groups swapped": change("w2", lambda w: np.roll(w, 3, axis=0)),
    "a filter lost": change("w1", lambda w: w * (np.arange(4) > 0).reshape(-1, 1, 1, 1)),
    "a bias lost": change("b1", np.zeros_like),
    "pads moved": shift_pads,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(original: Original, name: str) -> None:
    made = small_net()
    WRONG[name](made)
    (finding,) = judge_result(original, made.SerializeToString())
    assert finding.kind == "float64"
    assert "of its scale" in finding.what


def test_what_is_right_is_not(original: Original) -> None:
    assert judge_result(original, original.data) == []
    made = small_net()
    # One unit in the last place is what any rounding may do.
    change("w1", lambda w: np.nextafter(w, np.float32(9)))(made)
    assert judge_result(original, made.SerializeToString()) == []


def test_another_interface_is_found(original: Original) -> None:
    made = small_net()
    made.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    (finding,) = judge_result(original, made.SerializeToString())
    assert finding.kind == "interface"


def test_what_the_runtime_refuses_is_found(original: Original) -> None:
    made = small_net()
    for node in made.graph.node:
        node.name = "same"
    (finding,) = judge_result(original, made.SerializeToString())
    assert finding.kind == "load"


def test_onnxsim_agrees() -> None:
    certifier = Certifier()
    if not certifier.available():
        pytest.skip("onnxsim with z3-solver is not installed")
    right = small_net().SerializeToString()
    assert certifier.ask(right, right, 1e-4) == "proved"
    for name in ("one weight by a thousandth", "groups swapped", "pads moved"):
        made = small_net()
        WRONG[name](made)
        assert certifier.ask(right, made.SerializeToString(), 1e-4).startswith("refuted")
    certifier.stop()


def test_a_failure_shrinks_to_what_it_needs() -> None:
    """Here a failure is to run and hold an AveragePool, whatever else there is."""

    def fails(failure: Failure) -> bool:
        kinds = {node.op_type for node in failure.network.model.graph.node}
        if "AveragePool" not in kinds or failure.plan is None:
            return False
        try:
            prepare(failure.network, 0, ("noise",))
        except NotRun:
            return False
        return True

    drawn = (network(6, number, newest_opset()) for number in range(10**6))
    large = next(
        found for found in drawn
        if found is not None and fails(Failure(found, PLAN)) and len(found.model.graph.node) > 20
    )  # fmt: skip
    plan = Plan(
        "choose(simplify,fuse-convs),lower-to-gemm{forms=columns,patches}", chance=3, proved=True
    )
    small = shrink(Failure(large, plan), fails, seconds=20)
    assert [n.op_type for n in small.network.model.graph.node] == ["AveragePool"]
    assert small.plan in [Plan(name) for name in ("simplify", "fuse-convs", "lower-to-gemm")]


def test_a_dead_child_is_a_finding() -> None:
    child = Child()
    child.give((0, 0))
    child.process.kill()
    (found,) = child.answer().findings
    child.stop()
    assert found[1].kind == "crash"


def test_a_hang_is_a_finding() -> None:
    def never_ends() -> None:
        with time_limit(0.05):
            while True:
                pass

    with pytest.raises(HangError, match="never_ends"):
        never_ends()


def test_a_saved_network_is_judged_again(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(small_net().SerializeToString())
    assert replay(path, Plan("simplify,lower-to-gemm", proved=True, compared=True)) == []


def test_import_is_under_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What convc does not read though onnxruntime runs it is a finding."""

    def refuse(data: bytes, sizes: object) -> Graph:
        raise ValueError(f"{len(data)} bytes, {sizes}: too many")

    monkeypatch.setattr("tests.fuzz.oracle.from_bytes", refuse)
    (found,) = judge(as_network(small_net()), PLAN, 0).findings
    assert found[1].kind == "import"


def test_a_value_beyond_its_dtype_is_judged_by_nobody() -> None:
    """4 · 30000 is infinite in float16 where it is stored, and a number where it is not."""
    weights = [weight("w", np.float16([4.0])), weight("z", np.float16([0.0]))]
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"]), helper.make_node("Mul", ["y", "z"], ["o"])]
    half = TensorProto.FLOAT16
    made = model(nodes, [info("x", [1, 2], half)], [info("o", [1, 2], half)], weights)
    graph = from_bytes(made.SerializeToString())
    for largest, allowed in ((30000.0, np.inf), (3000.0, 0.0)):
        given = {"x": np.array([[1.0, largest]], np.float16)}
        (spread,) = spreads(graph, given, evaluate(graph, given), seed=0)
        assert (spread == allowed).all()
