"""`convc.cost`: counts, what-ifs and the seed exercises, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import convc
from convc.analysis import Cost
from convc.clock import _bound, _moved
from convc.costs.report import OpCost, Report, report
from convc.errors import UsageError
from convc.machine import Machine
from tests.conftest import ROOT
from tests.tiny import FLOAT, IMAGE, STRING, graph_of, kernel, model, node, write

MODELS = ROOT / "models"


def by_name(found: Cost) -> dict[str, OpCost]:
    """The cost of each op, by the name of its first result."""
    return {cost.op.results[0].name: cost for cost in found.ops}


def ratios(found: Cost) -> dict[str, float | None]:
    return {entry["output"]: entry["macs_ratio"] for entry in found.as_json()["ops"]}


def network(shape: Sequence[int | str] = IMAGE) -> bytes:
    """Three dense 3×3 convs and one depthwise conv: 4 → 8 → 8 → 8 → 5 channels."""
    pads = [1] * 4
    nodes = [
        node("Conv", "x w1", "first", pads=pads),
        node("Relu", "first", "r"),
        node("Conv", "r w2", "dense", pads=pads),
        node("Conv", "dense w3", "depthwise", pads=pads, group=8),
        node("Conv", "depthwise w4", "last", pads=pads),
    ]
    weights = {
        "w1": kernel(1, 8, 4, 3, 3),
        "w2": kernel(2, 8, 8, 3, 3),
        "w3": kernel(3, 8, 1, 3, 3),
        "w4": kernel(4, 5, 8, 3, 3),
    }
    return model(nodes, weights, inputs={"x": (FLOAT, shape)}, outputs={"last": FLOAT})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "net.onnx", network())


# -- exercise 2: one convolution, (c_i, h, w), kernel (c_o, c_i, k_h, k_w), padding, stride ----


def test_exercise_2(tmp_path: Path) -> None:
    c_i, h, w, c_o, k_h, k_w, p_h, p_w, s_h, s_w = 3, 15, 11, 7, 5, 3, 2, 1, 2, 3
    o_h, o_w = (h + 2 * p_h - k_h) // s_h + 1, (w + 2 * p_w - k_w) // s_w + 1
    data = model(
        [
            node("Conv", "x u", "inner"),
            node("Conv", "inner w b", "y", pads=[p_h, p_w] * 2, strides=[s_h, s_w]),
        ],
        {
            "u": kernel(1, c_i, c_i, 1, 1),
            "w": kernel(2, c_o, c_i, k_h, k_w),
            "b": kernel(3, c_o),
        },
        inputs={"x": (FLOAT, (1, c_i, h, w))},
    )
    found = by_name(convc.cost(write(tmp_path / "conv.onnx", data), backward=True))["y"]
    outputs, taps = c_o * o_h * o_w, c_i * k_h * k_w
    assert found.work is not None
    assert found.work.multiplications == outputs * taps == found.macs
    # taps − 1 to sum up the products, one for the bias.
    assert found.work.additions == outputs * taps
    # Memory of the forward pass: input, weights with bias, output.
    weights = c_o * taps + c_o
    assert found.read_bytes == 4 * (c_i * h * w + weights)
    assert found.write_bytes == 4 * outputs
    # Backward: the input's gradient and the weights' each take the same products again; the
    # bias's sums each channel's gradient; the input is kept for the weights' gradient.
    assert found.backward is not None
    assert found.backward.gradient is not None
    assert found.backward.gradient.input_macs == outputs * taps
    assert found.backward.gradient.weight_macs == outputs * taps
    assert found.backward.gradient.bias.additions == outputs - c_o
    assert found.backward.kept_bytes == 4 * c_i * h * w


# -- exercise 3: channels doubled, padding doubled -------------------------------------------


def test_exercise_3_channels(path: Path) -> None:
    found = convc.cost(path, channels=2)
    assert ratios(found) == {"first": 2, "r": None, "dense": 4, "depthwise": 2, "last": 2}
    dense = by_name(found)["dense"]
    assert dense.shape == (1, 16, 12, 10)
    assert dense.params == 16 * 16 * 9


def test_exercise_3_padding(path: Path) -> None:
    found = convc.cost(path, padding=2)
    # Each of the four convs adds two rows and two columns; x is 12 × 10.
    shapes = [cost.shape for cost in found.ops if cost.kind == "Conv"]
    assert shapes == [(1, 8, 14, 12), (1, 8, 16, 14), (1, 8, 18, 16), (1, 5, 20, 18)]
    assert ratios(found)["first"] == pytest.approx(14 * 12 / (12 * 10))
    assert ratios(found)["last"] == pytest.approx(20 * 18 / (12 * 10))


# -- exercises 1, 4 and 5, 7: two kernels and their composition, a matrix product, blocks -------


def test_exercise_1(tmp_path: Path) -> None:
    """k₁ × k₁ and k₂ × k₂ after another, and the (k₁ + k₂ − 1)² kernel that they compose to."""
    data = model(
        [node("Conv", "x u", "a"), node("Conv", "a v", "y")],
        {"u": kernel(1, 1, 1, 3, 3), "v": kernel(2, 1, 1, 5, 5)},
        inputs={"x": (FLOAT, (1, 1, 20, 16))},
    )
    source = write(tmp_path / "two.onnx", data)
    assert convc.cost(source).report.macs == 18 * 14 * 9 + 14 * 10 * 25
    composed = convc.optimize(source, "fuse-convs").graph
    assert convc.cost(composed).report.macs == 14 * 10 * 49


def test_exercises_4_and_5() -> None:
    """A 1×1 convolution, 192 to 96 channels at 14 × 14, and the same as a matrix product."""
    for name in ("pointwise_conv", "pointwise_matmul"):
        assert convc.cost(MODELS / f"{name}.onnx").report.macs == 14 * 14 * 192 * 96


@pytest.mark.parametrize("blocks", [1, 2, 4, 8])
def test_exercise_7(tmp_path: Path, blocks: int) -> None:
    """A c × c matrix in b blocks on the diagonal: b times fewer products and weights."""
    data = model(
        [node("Conv", "x w", "y", group=blocks)],
        {"w": kernel(1, 64, 64 // blocks, 1, 1)},
        inputs={"x": (FLOAT, (1, 64, 1, 1))},
    )
    found = convc.cost(write(tmp_path / "blocks.onnx", data)).report
    assert found.macs == found.params == 64 * 64 // blocks


# -- the other what-ifs ----------------------------------------------------------------------


def test_batch(path: Path) -> None:
    found = convc.cost(path, batch=3)
    assert set(ratios(found).values()) == {3, None}
    assert found.what_if is not None
    assert found.what_if.changes == ("batch 3",)
    assert found.report.params == found.what_if.base.params


def test_what_ifs_combine(path: Path) -> None:
    found = convc.cost(path, batch=3, channels=2)
    assert ratios(found)["dense"] == 12


def test_size_of_a_fixed_dim(path: Path) -> None:
    found = convc.cost(path, sizes={"x.2": 24})
    assert by_name(found)["first"].shape == (1, 8, 24, 10)
    assert set(ratios(found).values()) == {2, None}


def test_size_of_an_open_dim(tmp_path: Path) -> None:
    data = network((1, 4, "height", 10))
    found = convc.cost(write(tmp_path / "open.onnx", data), sizes={"height": 112})
    assert found.sizes == {"height": 112}
    # 224 is what an open image size is worth where nothing is said.
    assert set(ratios(found).values()) == {0.5, None}


def test_the_model_itself_is_not_changed(path: Path) -> None:
    graph = convc.load(path)
    before = [(result.name, result.type) for op in graph.ops() for result in op.results]
    version = graph.version
    convc.cost(graph, channels=2, batch=4, padding=0, backward=True, strips=True)
    assert graph.version == version
    assert [(r.name, r.type) for op in graph.ops() for r in op.results] == before


# -- strips, unknown things, odd tensors -----------------------------------------------------


def test_strips(path: Path) -> None:
    found = convc.cost(path, strips=True).as_json()["ops"]
    first = next(entry for entry in found if entry["output"] == "first")
    assert first["strips"]["multiplications"] == 9
    assert first["strips"]["rows"][1]["d"] == 2
    assert first["strips"]["rows"][1]["reads"] == 2
    assert "strips" not in next(entry for entry in found if entry["kind"] == "Relu")


def test_an_open_size_of_unknown_worth_says_what_pins_it(tmp_path: Path) -> None:
    data = network((1, 4, "height", 10))
    graph = convc.load(write(tmp_path / "open.onnx", data))
    graph.sizes.clear()
    found = convc.cost(graph)
    assert len(found.report.unknown) == 5
    assert all("--dim height=" in cost.unknown for cost in found.report.unknown)
    assert found.report.macs == 0
    assert all(entry["macs"] is None for entry in found.as_json()["ops"])


def test_what_convc_does_not_know(tmp_path: Path) -> None:
    nodes = [node("Mystery", "x", "m", domain="com.example"), node("Relu", "m", "y")]
    data = model(nodes, domains=["com.example"])
    found = convc.cost(write(tmp_path / "custom.onnx", data))
    assert [bool(cost.unknown) for cost in found.ops] == [True, True]
    assert found.as_json()["total"]["unknown_ops"] == 2


@pytest.mark.parametrize("shape", [(0, 4, 12, 10), (1, 4, 0, 10)])
def test_empty_tensors(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nodes = [node("Conv", "x w", "c", pads=[1] * 4), node("Relu", "c", "y")]
    data = model(nodes, {"w": kernel(1, 2, 4, 3, 3)}, inputs={"x": (FLOAT, shape)})
    found = convc.cost(write(tmp_path / "empty.onnx", data), backward=True)
    assert found.report.macs == 0
    assert not found.report.unknown


def test_scalars_and_strings(tmp_path: Path) -> None:
    nodes = [node("Mul", "x x", "y"), node("Identity", "s", "t")]
    data = model(
        nodes,
        inputs={"x": (FLOAT, ()), "s": (STRING, (2,))},
        outputs={"y": FLOAT, "t": STRING},
    )
    found = by_name(convc.cost(write(tmp_path / "odd.onnx", data)))
    assert found["y"].work is not None
    assert found["y"].work.multiplications == 1
    assert found["y"].read_bytes == found["y"].write_bytes == 4


def test_counts_do_not_overflow(path: Path) -> None:
    found = convc.cost(path, batch=10**15)
    assert found.report.macs == convc.cost(path).report.macs * 10**15 > 2**63


def test_an_empty_graph(tmp_path: Path) -> None:
    data = model([], inputs={"x": (FLOAT, (2, 3))}, outputs={"x": FLOAT})
    found = convc.cost(write(tmp_path / "nothing.onnx", data), backward=True)
    assert found.ops == ()
    assert found.as_json()["total"]["macs"] == 0
    # The input is held by the caller.
    assert found.report.memory.file_peak == 24


# -- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"channels": 0}, {"channels": -1}, {"padding": -1}])
def test_factors_below_zero_are_refused(path: Path, options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--scale-"):
        convc.cost(path, **options)  # type: ignore[arg-type]


def test_a_dim_that_is_not_there(path: Path) -> None:
    with pytest.raises(UsageError, match="no such open dim"):
        convc.cost(path, sizes={"depth": 3})


def test_measuring_what_is_not_there(path: Path) -> None:
    with pytest.raises(UsageError, match="--measure times the model as it is"):
        convc.cost(path, channels=2, measure=True)
    with pytest.raises(UsageError, match=r"--dim x\.2"):
        convc.cost(path, sizes={"x.2": 24}, measure=True)


# -- the clock -------------------------------------------------------------------------------


def test_every_kernel_has_a_time_and_a_bound(path: Path) -> None:
    found = convc.cost(path, measure=True, threads=1)
    assert found.clock is not None
    entries = {entry["output"]: entry for entry in found.as_json()["ops"]}
    assert entries["first"]["seconds"] > 0
    assert entries["first"]["bound_seconds"] > 0
    assert entries["first"]["bound_by"] in ("compute", "memory")
    # The Relu is computed in the conv's kernel.
    assert entries["r"]["seconds"] is None
    assert entries["r"]["fused_into"] == entries["first"]["name"]
    document = found.as_json()
    assert document["machine"]["macs_per_second"] > 0
    assert document["measured"]["kernel_seconds"] > 0


def test_a_fused_op_moves_less(path: Path) -> None:
    """What passes from the conv to the Relu in its kernel is not moved."""
    apart = convc.cost(path, roofline=True, threads=1).clock
    fused = convc.cost(path, measure=True, threads=1).clock
    assert apart is not None
    assert fused is not None
    relu_apart = [t for op, t in apart.timings.items() if op.kind == "Relu"]
    relu_fused = [t for op, t in fused.timings.items() if op.kind == "Relu"]
    assert len(relu_apart) == 1
    assert relu_fused == []
    first = next(t for op, t in fused.timings.items() if op.results[0].name == "first")
    assert [op.kind for op in first.ops] == ["Conv", "Relu"]
    assert first.bound is not None
    # x, the weights and the Relu's result, over the fastest bandwidth.
    moved = 4 * (4 * 120 + 8 * 4 * 9 + 8 * 120)
    speed = max(speed for _, speed in fused.machine.bandwidths)
    assert first.bound.memory == pytest.approx(moved / speed)


@pytest.mark.parametrize("name", ["sesr_m5_x2", "separable_two", "repvgg_block"])
def test_sample_models_are_known(name: str) -> None:
    found = convc.cost(MODELS / f"{name}.onnx", backward=True)
    assert not found.report.unknown
    assert found.report.training is not None
    assert found.report.training.is_complete


def test_ops_that_kernels_share_are_bounded_once() -> None:
    """Three equal convs are computed once, and a value that two ops of a kernel read once."""
    x = 4 * 4 * 12 * 10
    nodes = [node("Conv", "x w", name) for name in "abc"]
    nodes += [node("Mul", "a b", "m"), node("Add", "m c", "y")]
    weights = {"w": kernel(1, 4, 4, 1, 1)}
    group = report(graph_of(model(nodes, weights)))
    assert moved_by(group) == x + 4 * 16 + x
    machine = Machine("one", 1, "none", 0.5, ((1, 1.0),), None, None, None, 16, 32)
    found = _bound(group, group.ops, machine)
    assert found is not None
    # 480 outputs, 4 multiplications and 3 additions each, once; one operation a second.
    assert found.compute == 480 * 7 + 480 + 480
    silu = report(graph_of(model([node("Sigmoid", "x", "s"), node("Mul", "x s", "y")])))
    assert moved_by(silu) == 2 * x
    views = [node("Relu", "x", "r"), node("Flatten", "r", "f"), node("Tanh", "f", "y")]
    assert moved_by(report(graph_of(model(views)))) == 2 * x


def moved_by(found: Report) -> int:
    """Bytes that all ops move when they are one kernel."""
    return _moved(found, found.ops)


def test_a_total_of_other_ops_has_no_ratio(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "c", pads=[1] * 4),
        node("Conv", "x v", "d"),
        node("Add", "c d", "y"),
    ]
    weights = {"w": kernel(1, 4, 4, 3, 3), "v": kernel(2, 4, 4, 1, 1)}
    found = convc.cost(write(tmp_path / "skip.onnx", model(nodes, weights)), padding=2)
    assert found.what_if is not None
    assert found.what_if.lost(found.report) == 1
    document = found.as_json()["what_if"]
    assert document["lost_ops"] == 1
    assert set(document["total_ratio"].values()) == {None}


def test_layers_that_keep_their_channels_are_named(path: Path) -> None:
    found = convc.cost(path, channels=2)
    assert found.what_if is not None
    assert found.what_if.notes == ("outputs kept their channels: last",)


def test_a_step_with_unknown_work_is_not_complete(tmp_path: Path) -> None:
    nodes = [
        node("Mystery", "x", "m", domain="com.example"),
        node("Conv", "x w", "c"),
        node("Relu", "c", "y"),
    ]
    data = model(
        nodes,
        {"w": kernel(1, 4, 4, 1, 1)},
        outputs={"y": FLOAT, "m": FLOAT},
        domains=["com.example"],
    )
    found = convc.cost(write(tmp_path / "part.onnx", data), backward=True)
    assert found.as_json()["total"]["training_complete"] is False


def test_a_conv_that_does_not_fit_has_no_cost() -> None:
    graph = graph_of(model([node("Conv", "x w", "y")], {"w": kernel(1, 4, 3, 3, 3)}))
    (cost,) = convc.cost(graph).ops
    assert cost.work is cost.macs is None
    assert "do not fit" in cost.unknown


def test_the_batch_is_said_once(path: Path) -> None:
    with pytest.raises(UsageError, match="both say the batch"):
        convc.cost(path, sizes={"x.0": 3}, batch=4)
