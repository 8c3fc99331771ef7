"""Inputs: those that are made up hurt, those of the user fit or are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from convc.errors import UsageError
from convc.feeds import CannotFeedError, as_cases, as_samples, data_sizes, load_data, made_up, noise
from convc.graph import Graph
from convc.onnx_io import load
from convc.reference import evaluate
from tests.tiny import BOOL, FLOAT, HALF, IMAGE, INT64, STRING, graph_of, kernel, model, node


def one_input(shape: tuple[int | str | None, ...] = IMAGE, type_: int = FLOAT) -> Graph:
    return graph_of(
        model([node("Identity", "x", "y")], inputs={"x": (type_, shape)}, outputs={"y": type_})
    )


TWO = graph_of(
    model(
        [node("Add", "x z", "y")],
        inputs={"x": (FLOAT, (1, 4, "h", "w")), "z": (FLOAT, (1, 4, 1, 1))},
    )
)


def test_made_up_inputs_are_signed_and_have_their_structure() -> None:
    shape = (2, 4, 16, 14)
    cases = {case.name: case for case in made_up(one_input(shape), {}, seed=3)}
    assert list(cases) == ["noise", "borders", "large", "constants", "image"]
    arrays = {name: case.feeds["x"] for name, case in cases.items()}
    assert all(a.shape == shape and a.dtype == np.float32 for a in arrays.values())
    for name in ("noise", "borders", "large", "constants"):
        assert arrays[name].min() < 0 < arrays[name].max()
    assert 0.8 < arrays["noise"].std() < 1.2
    assert 80 < arrays["large"].std() < 120
    inside = arrays["borders"][:, :, 2:-2, 2:-2]
    assert not inside.any()
    edges = [arrays["borders"][:, :, i] for i in (0, 1, -2, -1)]
    edges += [arrays["borders"][..., i] for i in (0, 1, -2, -1)]
    # About half of each border is a spike: neither all nor nothing.
    assert all(0.2 < (edge != 0).mean() < 0.8 for edge in edges)
    left, right = arrays["constants"][..., :7], arrays["constants"][..., 7:]
    for side in (left, right):
        assert (side == side[:, :, :1, :1]).all()
    levels = np.concatenate([left[:, :, 0, 0].ravel(), right[:, :, 0, 0].ravel()])
    assert len(np.unique(levels)) == 16
    assert arrays["image"].min() >= 0
    assert arrays["image"].max() < 1
    assert [case.varied for case in cases.values()] == [True, True, True, False, True]


def test_made_up_inputs_depend_on_the_seed_alone() -> None:
    graph = one_input()
    first, again, other = (made_up(graph, {}, seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.feeds["x"], b.feeds["x"])
        assert (a.feeds["x"] != c.feeds["x"]).any()


@pytest.mark.parametrize("shape", [(), (5,), (1, 5), (3, 1), (1, 1, 1), (1, 2, 1, 1), (0, 3, 4)])
def test_small_and_empty_shapes(shape: tuple[int, ...]) -> None:
    for case in made_up(one_input(shape), {}, 0):
        assert case.feeds["x"].shape == shape


def test_open_sizes_and_dtypes() -> None:
    graph = one_input(("n", 3, "h", None), HALF)
    sizes = {"n": 2, "h": 5, **{k: v for k, v in graph.sizes.items() if k.startswith("?")}}
    array = noise(graph, sizes)["x"]
    assert np.array_equal(array, made_up(graph, sizes, 0)[0].feeds["x"])
    assert array.shape == (2, 3, 5, 224)
    assert array.dtype == np.float16
    assert noise(graph)["x"].shape == (1, 3, 224, 224)


def test_integer_inputs() -> None:
    for type_ in (INT64, TensorProto.INT32, BOOL):
        for case in made_up(one_input((2, 3), type_), {}, 0):
            assert (case.feeds["x"] == 1).all()
    pixels = noise(one_input((1, 8, 8, 3), TensorProto.UINT8))["x"]
    assert pixels.dtype == np.uint8
    assert pixels.min() < 64
    assert pixels.max() > 192


def test_inputs_that_cannot_be_made_up() -> None:
    for graph in (one_input((3,), STRING), one_input(("n",))):
        graph.sizes.clear()
        with pytest.raises(CannotFeedError, match="--data"):
            made_up(graph, {}, 0)


def test_weights_that_are_inputs_keep_their_values(tmp_path: Path) -> None:
    w = kernel(1, 1, 4, 1, 1)
    inputs = {"x": (FLOAT, IMAGE), "w": (FLOAT, (1, 4, 1, 1))}
    file = tmp_path / "m.onnx"
    file.write_bytes(model([node("Mul", "x w", "y")], {"w": w}, inputs=inputs))
    graph = load(file, keep_initializer_inputs=True)
    assert [v.name for v in graph.inputs] == ["x", "w"]
    for case in made_up(graph, {}, 0):
        assert set(case.feeds) == {"x"}
        (y,) = evaluate(graph, case.feeds)
        np.testing.assert_array_equal(y, case.feeds["x"].astype(float) * w)


X = kernel(1, 1, 4, 6, 5)
Z = kernel(2, 1, 4, 1, 1)


def test_data_from_npz_npy_and_folders(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", x=X, z=Z)
    np.savez_compressed(tmp_path / "a.npz", x=2 * X, z=Z, unused=np.ones(3))
    (tmp_path / "notes.txt").write_text("not data")
    cases = load_data(tmp_path, TWO)
    assert [case.name for case in cases] == ["a.npz", "b.npz"]
    np.testing.assert_array_equal(cases[0].feeds["x"], 2 * X)
    assert set(cases[0].feeds) == {"x", "z"}
    np.save(tmp_path / "x.npy", kernel(1, *IMAGE).astype(np.float64))
    (single,) = load_data(tmp_path / "x.npy", one_input())
    assert single.feeds["x"].dtype == np.float32
    assert data_sizes(cases, TWO) == {"h": 6, "w": 5}
    assert data_sizes([], TWO) == {}


def test_data_as_arrays() -> None:
    (one,) = as_cases({"x": X, "z": Z}, TWO)
    assert one.feeds["x"] is X
    assert len(as_cases([{"x": X, "z": Z}, {"x": X, "z": Z}], TWO)) == 2
    assert as_cases(None, TWO) == []
    assert as_cases([], TWO) == []


BAD_ARRAYS = {
    "missing": ({"x": X}, "'z' is missing"),
    "nothing": ({}, "'x' is missing; given: nothing"),
    "other names": ({"image": X}, "'x' is missing; given: image"),
    "shape": ({"x": X[:, :3], "z": Z}, "must be 1x4xhxw, given 1x3x6x5"),
    "rank": ({"x": X[0], "z": Z}, "must be 1x4xhxw, given 4x6x5"),
    "dtype": ({"x": X.astype(np.int32), "z": Z}, "must be float32, given int32"),
    "text": ({"x": np.full(X.shape, "a"), "z": Z}, "must be float32"),
    "NaN": ({"x": np.where(X > 0, np.nan, X), "z": Z}, "NaN or infinity"),
    "infinity": ({"x": X, "z": Z * np.inf}, "'z' holds NaN or infinity"),
    "too large": ({"x": X.astype(float) * 1e300, "z": Z}, "NaN or infinity"),
}


@pytest.mark.parametrize("bad", BAD_ARRAYS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_data_that_does_not_fit(bad: str, tmp_path: Path) -> None:
    arrays, message = BAD_ARRAYS[bad]
    file = tmp_path / "data.npz"
    np.savez(file, **{name: np.asarray(a, None) for name, a in arrays.items()})
    for data in (dict(arrays), file):
        with pytest.raises(UsageError, match="data") as caught:
            as_cases(data, TWO)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_unnamed_sizes_are_question_marks() -> None:
    graph = one_input((1, None, 4))
    with pytest.raises(UsageError, match=r"must be 1x\?x4, given 1x3x5"):
        as_cases({"x": np.zeros((1, 3, 5), np.float32)}, graph)


def bad_file(kind: str, folder: Path) -> Path:
    file = folder / "data.npz"
    if kind == "empty":
        file.touch()
    elif kind == "text":
        file.write_text("1 2 3\n")
    elif kind == "random":
        file.write_bytes(np.random.default_rng(0).bytes(4000))
    elif kind == "objects":
        np.savez(file, x=np.array([{}, 1], object), z=Z)
    elif kind == "truncated":
        np.savez(file, x=X, z=Z)
        file.write_bytes(file.read_bytes()[:300])
    elif kind == "flipped":
        np.savez_compressed(file, x=X, z=Z)
        data = bytearray(file.read_bytes())
        data[120:160] = bytes(40)
        file.write_bytes(bytes(data))
    elif kind == "truncated npy":
        file = folder / "data.npy"
        np.save(file, X)
        file.write_bytes(file.read_bytes()[:-40])
    return file


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "random", "objects", "truncated", "flipped", "truncated npy", "missing"],
)
def test_files_that_are_no_arrays(kind: str, tmp_path: Path) -> None:
    file = bad_file(kind, tmp_path)
    with pytest.raises(UsageError, match="--data") as caught:
        load_data(file, TWO)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    wanted = "no such file" if kind == "missing" else "not a file of numpy arrays"
    assert wanted in str(caught.value)


def test_empty_folder_and_one_array_for_two_inputs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no .npz or .npy"):
        load_data(tmp_path, TWO)
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(UsageError, match=r"inputs x, z; give an .npz"):
        load_data(tmp_path / "x.npy", TWO)


def many(count: int, *shape: int) -> Any:
    return np.arange(count * np.prod(shape), dtype=np.float32).reshape(count, *shape)


def test_arrays_of_many_samples_for_a_fixed_batch(tmp_path: Path) -> None:
    x, z = many(3, 4, 6, 5), many(3, 4, 1, 1)
    np.savez(tmp_path / "a.npz", x=x, z=z)
    cases = load_data(tmp_path / "a.npz", TWO)
    assert [case.name for case in cases] == ["a.npz[0]", "a.npz[1]", "a.npz[2]"]
    for i, case in enumerate(cases):
        np.testing.assert_array_equal(case.feeds["x"], x[i : i + 1])
        np.testing.assert_array_equal(case.feeds["z"], z[i : i + 1])
    assert len(as_cases([{"x": x, "z": z}, {"x": X, "z": Z}], TWO)) == 4
    pairs = as_cases({"x": many(6, 4)}, one_input((2, 4)))
    assert [case.feeds["x"].shape for case in pairs] == [(2, 4)] * 3
    with pytest.raises(UsageError, match="must be 2x4, given 5x4"):
        as_cases({"x": many(5, 4)}, one_input((2, 4)))


@pytest.mark.parametrize(("x", "z"), [(3, 2), (3, 1), (0, 0)])
def test_inputs_of_other_counts_are_not_split(x: int, z: int) -> None:
    with pytest.raises(UsageError, match=f"must be 1x4xhxw, given {x}x4x6x5"):
        as_cases({"x": many(x, 4, 6, 5), "z": many(z, 4, 1, 1)}, TWO)


def test_one_bad_sample_of_many_is_found() -> None:
    x = many(3, 4, 6, 5)
    x[2, 1] = np.nan
    with pytest.raises(UsageError, match="data 0: input 'x' holds NaN"):
        as_cases({"x": x, "z": many(3, 4, 1, 1)}, TWO)


def test_an_open_batch_is_one_case_and_many_samples() -> None:
    graph = one_input(("n", 4, "h", "w"))
    cases = as_cases({"x": many(5, 4, 6, 6)}, graph)
    assert len(cases) == 1
    samples = as_samples(cases, graph)
    assert [case.name for case in samples] == [f"data 0[{i}]" for i in range(5)]
    np.testing.assert_array_equal(
        np.concatenate([case.feeds["x"] for case in samples]), cases[0].feeds["x"]
    )
    assert as_samples([], graph) == []
    singles = as_cases([{"x": many(1, 4, 6, 6)}] * 3, graph)
    assert as_samples(singles, graph) == singles


@pytest.mark.parametrize(
    ("shape", "split"),
    [
        (("n", 4), True),
        (("n", 4, 3), True),
        (("n", "c", "h", "w"), True),
        # These may be time, or the rows of an image.
        (("n",), False),
        (("n", "t"), False),
        (("h", "w", 3), False),
        ((2, "t"), False),
    ],
)
def test_only_what_must_be_a_batch_is_split(shape: tuple[int | str, ...], split: bool) -> None:
    graph = one_input(shape)
    array = np.zeros([d if isinstance(d, int) else 3 for d in shape], np.float32)
    samples = as_samples(as_cases({"x": array}, graph), graph)
    assert len(samples) == (3 if split else 1)


def test_open_batches_that_do_not_agree_stay_whole() -> None:
    graph = graph_of(
        model(
            [node("Add", "x z", "y")],
            inputs={"x": (FLOAT, ("n", 4, 6, 5)), "z": (FLOAT, ("m", 4, 6, 5))},
        )
    )
    for m, count in ((3, 3), (1, 1)):
        cases = as_cases({"x": many(3, 4, 6, 5), "z": many(m, 4, 6, 5)}, graph)
        assert len(as_samples(cases, graph)) == count


def test_what_is_neither_arrays_nor_an_image(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    with pytest.raises(UsageError, match=r"not a file of numpy arrays \(.npz or .npy\) or image"):
        load_data(tmp_path / "data.csv", one_input())


def picking(*more: Any) -> Graph:
    table = {"table": kernel(1, 9, 4)}
    return graph_of(
        model(
            [node("Gather", "table i", "y", axis=0), *more],
            table,
            inputs={"i": (INT64, (200,))},
            outputs={"y": FLOAT, **({"z": INT64} if more else {})},
        )
    )


def test_rows_of_a_table_are_picked_at_random() -> None:
    (case, *_) = made_up(picking(), {}, seed=0)
    assert set(case.feeds["i"].tolist()) == set(range(9))


def test_integers_that_are_more_than_rows_stay_ones() -> None:
    (case, *_) = made_up(picking(node("Neg", "i", "z")), {}, seed=0)
    assert set(case.feeds["i"].tolist()) == {1}


def test_empty_inputs_are_made_at_once() -> None:
    """Their other axes may be of any length: nothing is made along these."""
    for case in made_up(one_input((0, 4, 1000, 2**31 - 1)), {}, 0):
        assert case.feeds["x"].shape == (0, 4, 1000, 2**31 - 1)


def test_only_as_many_inputs_are_made_up_as_asked_for() -> None:
    graph = one_input((2, 3, 8, 8))
    first, every = made_up(graph, {}, 0, 2), made_up(graph, {}, 0)
    assert [case.name for case in first] == [case.name for case in every[:2]]
    for few, many in zip(first, every, strict=False):
        assert np.array_equal(few.feeds["x"], many.feeds["x"])
