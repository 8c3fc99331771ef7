"""Files: weights kept beside the model, and writing that leaves the old file or the new one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import convc.onnx_io
from convc.errors import InvalidModelError, UsageError
from convc.files import check_writable, write_whole
from convc.graph import Graph
from convc.ir import Array
from convc.onnx_io import EXTERNAL_FROM, from_bytes, load, save, to_bytes, weight_bytes
from tests.onnx_helpers import assert_same, info, model, run, weight

NODE = helper.make_node
RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((32, 32)).astype(np.float32)
SMALL = RNG.standard_normal(32).astype(np.float32)
X = RNG.standard_normal((2, 32)).astype(np.float32)


def inside() -> ModelProto:
    return model(
        [NODE("MatMul", ["x", "w"], ["h"]), NODE("Add", ["h", "b"], ["y"])],
        [info("x", ["N", 32])], [info("y", ["N", 32])], [weight("w", LARGE), weight("b", SMALL)],
    )  # fmt: skip


def outside(folder: Path, **entries: object) -> Path:
    """The model with ``w`` in a file beside it, at an offset."""
    made = inside()
    (folder / "w.data").write_bytes(bytes(7) + LARGE.tobytes())
    point_out(made.graph.initializer[0], {"location": "w.data", "offset": 7, **entries})
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def point_out(tensor: TensorProto, entries: dict[str, object]) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))


def weight_of(graph: Graph, name: str) -> Array:
    (array,) = (op.array for op in graph.ops() if op.array is not None and op.result.name == name)
    return array


def is_mapped(array: object) -> bool:
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [LARGE.nbytes, None])
def test_external_weights_are_mapped_not_read(tmp_path: Path, length: int | None) -> None:
    path = outside(tmp_path, length=length)
    graph = load(path)
    array = weight_of(graph, "w")
    assert is_mapped(array)
    assert not is_mapped(weight_of(graph, "b"))
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, LARGE)
    assert graph.outputs[0].shape == ("N", 32)
    assert_same(run(to_bytes(graph), {"x": X}), run(inside().SerializeToString(), {"x": X}))


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("../secret.data", "points outside the model's folder: '../secret.data'; refused"),
        ("sub/../../secret.data", "points outside the model's folder"),
        ("link.data", "points outside the model's folder: 'link.data'; refused"),
        ("linked/secret.data", "points outside the model's folder"),
        ("ABSOLUTE", "points outside the model's folder"),
        ("", "points outside the model's folder: ''"),
        ("absent.data", "is missing: put 'absent.data' beside the model"),
        (".", "is missing"),
        ("a\0b", "is broken"),
        ("n" * 5000, "is broken"),
    ],
)  # fmt: skip
def test_external_data_that_is_not_beside_the_model_is_refused(
    tmp_path: Path, location: str, words: str
) -> None:
    secret = tmp_path / "secret.data"
    secret.write_bytes(bytes(7) + LARGE.tobytes())
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.data").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    path = outside(folder, location=str(secret) if location == "ABSOLUTE" else location)
    with pytest.raises(InvalidModelError, match="weight 'w'") as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"length": 4}, "length 4 does not fit shape (32, 32) of float32"),
        ({"length": -1}, "length -1 does not fit"),
        ({"length": 5000}, "length 5000 does not fit"),
        ({"length": "many"}, "is broken: invalid literal"),
        ({"offset": -4}, "does not fit"),
        ({"offset": 8}, "'w.data' ends before byte 4104"),
        ({"offset": 10**30}, "ends before"),
    ],
)
def test_external_data_of_the_wrong_size_is_refused(
    tmp_path: Path, entries: dict[str, object], words: str
) -> None:
    path = outside(tmp_path, **entries)
    with pytest.raises(InvalidModelError, match="weight 'w'") as caught:
        load(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_link_within_the_folder_and_a_subfolder_are_fine(tmp_path: Path) -> None:
    path = outside(tmp_path, location="sub/again.data")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "again.data").symlink_to(tmp_path / "w.data")
    np.testing.assert_array_equal(weight_of(load(path), "w"), LARGE)


def test_a_model_from_memory_has_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="a model from memory has no folder"):
        from_bytes(outside(tmp_path).read_bytes())


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.bool_, ml_dtypes.bfloat16,
                                   ml_dtypes.int4, ml_dtypes.uint4])  # fmt: skip
@pytest.mark.parametrize("shape", [(3, 5), (), (0, 2)], ids=str)
def test_external_weights_of_other_types(
    tmp_path: Path, dtype: np.dtype[np.generic], shape: tuple[int, ...]
) -> None:
    array = RNG.integers(0, 2, shape).astype(dtype)
    tensor = weight("w", array)
    (tmp_path / "w.data").write_bytes(tensor.raw_data)
    raw = tensor.raw_data
    point_out(tensor, {"location": "w.data", "length": len(raw)})
    made = model([NODE("Identity", ["w"], ["y"])], [], [info("y", None, tensor.data_type)],
                 [tensor], opset=21, ir=10)  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    graph = load(path)
    assert weight_of(graph, "w").dtype == array.dtype
    np.testing.assert_array_equal(weight_of(graph, "w"), array)
    assert ModelProto.FromString(to_bytes(graph)).graph.initializer[0].raw_data == raw


def test_external_strings_are_refused(tmp_path: Path) -> None:
    path = outside(tmp_path)
    made = ModelProto.FromString(path.read_bytes())
    made.graph.initializer[0].data_type = TensorProto.STRING
    del made.graph.node[:]  # which take no strings
    made.graph.node.append(NODE("Identity", ["w"], ["y"]))
    path.write_bytes(made.SerializeToString())
    with pytest.raises(InvalidModelError, match="strings are not read from outside"):
        load(path)


def test_external_data_in_a_constant_node_is_mapped(tmp_path: Path) -> None:
    tensor = weight("", LARGE)
    (tmp_path / "c.data").write_bytes(tensor.raw_data)
    point_out(tensor, {"location": "c.data"})
    made = model([NODE("Constant", [], ["w"], value=tensor), NODE("MatMul", ["x", "w"], ["y"])],
                 [info("x", [2, 32])], [info("y", [2, 32])])  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    graph = load(path)
    assert is_mapped(weight_of(graph, "w"))
    np.testing.assert_array_equal(weight_of(graph, "w"), LARGE)


# -- writing weights beside the model ----------------------------------------------------------


def test_weights_go_beside_the_model_on_request(tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    save(from_bytes(inside().SerializeToString()), target, external_data=True)
    onnx.checker.check_model(target)
    (data,) = tmp_path.glob("*.data")
    assert data.name.startswith("out.")
    assert data.stat().st_size == LARGE.nbytes
    after = ModelProto.FromString(target.read_bytes())
    large, small = after.graph.initializer
    assert large.data_location == TensorProto.EXTERNAL
    assert small.HasField("raw_data")
    assert SMALL.nbytes < EXTERNAL_FROM <= LARGE.nbytes
    assert_same(run(target, {"x": X}), run(inside().SerializeToString(), {"x": X}))
    again = load(target)
    assert is_mapped(weight_of(again, "w"))
    assert to_bytes(again) == to_bytes(from_bytes(inside().SerializeToString()))


def test_above_the_limit_they_go_there_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = from_bytes(inside().SerializeToString())
    monkeypatch.setattr(convc.onnx_io, "LARGEST_FILE", weight_bytes(graph))
    save(graph, tmp_path / "fits.onnx")
    assert not list(tmp_path.glob("*.data"))
    assert to_bytes(graph)
    monkeypatch.setattr(convc.onnx_io, "LARGEST_FILE", weight_bytes(graph) - 1)
    save(graph, tmp_path / "large.onnx")
    assert len(list(tmp_path.glob("*.data"))) == 1
    with pytest.raises(UsageError, match="exceed 2 GB"):
        to_bytes(graph)


def test_without_large_weights_there_is_no_data_file(tmp_path: Path) -> None:
    made = model([NODE("Add", ["x", "b"], ["y"])], [info("x", [32])], [info("y", [32])],
                 [weight("b", SMALL)])  # fmt: skip
    save(from_bytes(made.SerializeToString()), tmp_path / "m.onnx", external_data=True)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_several_weights_lie_one_after_the_other(tmp_path: Path) -> None:
    other = RNG.standard_normal((32, 40))
    made = inside()
    made.graph.initializer.append(weight("unused", other))
    graph = from_bytes(made.SerializeToString())
    save(graph, tmp_path / "m.onnx", external_data=True)
    again = load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(weight_of(again, "w"), LARGE)
    np.testing.assert_array_equal(weight_of(again, "unused"), other)


def test_a_second_version_leaves_the_weights_of_the_first_alone(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    graph = from_bytes(inside().SerializeToString())
    save(graph, target, external_data=True)
    (data,) = tmp_path.glob("*.data")
    before = data.read_bytes()
    first = load(target)
    changed = first.clone()
    old = next(op for op in changed.ops() if op.array is not None and op.result.name == "w").result
    changed.replace_uses(old, changed.add_constant(2 * LARGE, "w2"))
    changed.erase_dead([old.op])
    save(changed, target, external_data=True)
    assert data.read_bytes() == before
    assert len(list(tmp_path.glob("*.data"))) == 2
    np.testing.assert_array_equal(weight_of(first, "w"), LARGE)
    np.testing.assert_array_equal(weight_of(load(target), "w2"), 2 * LARGE)


def test_a_model_can_be_saved_over_the_one_it_was_read_from(tmp_path: Path) -> None:
    path = outside(tmp_path)
    expected = run(inside().SerializeToString(), {"x": X})
    for external in (True, False, True):
        save(load(path), path, external_data=external)
        assert_same(run(path, {"x": X}), expected)
    assert (tmp_path / "w.data").read_bytes() == bytes(7) + LARGE.tobytes()


# -- the old file or the new one ---------------------------------------------------------------


def fail(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


BREAKAGES: list[tuple[str, Callable[..., None], type[BaseException]]] = [
    ("fsync", fail, UsageError),
    ("chmod", fail, UsageError),
    ("replace", fail, UsageError),
    ("fsync", interrupt, KeyboardInterrupt),
    ("replace", interrupt, KeyboardInterrupt),
]


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize(("call", "breakage", "error"), BREAKAGES)
def test_a_failure_in_the_middle_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, call: str, breakage: Callable[..., None],
    error: type[BaseException], external: bool,
) -> None:  # fmt: skip
    target = tmp_path / "m.onnx"
    target.write_bytes(b"the old one")
    graph = from_bytes(inside().SerializeToString())
    monkeypatch.setattr(os, call, breakage)
    with pytest.raises(error) as caught:
        save(graph, target, external_data=external)
    monkeypatch.undo()
    if error is UsageError:
        assert "No space left on device" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_failure_after_the_weights_were_written_takes_them_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.onnx"
    graph = from_bytes(inside().SerializeToString())
    real = convc.onnx_io.write_whole

    def second_fails(path: Path, *chunks: bytes) -> None:
        if path == target:
            raise UsageError("full")
        real(path, *chunks)

    monkeypatch.setattr(convc.onnx_io, "write_whole", second_fails)
    with pytest.raises(UsageError, match="full"):
        save(graph, target, external_data=True)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    save(graph, target, external_data=True)
    files = sorted(tmp_path.iterdir())
    monkeypatch.setattr(convc.onnx_io, "write_whole", second_fails)
    with pytest.raises(UsageError, match="full"):
        save(graph, target, external_data=True)
    assert sorted(tmp_path.iterdir()) == files, "weights that another model uses stay"
    np.testing.assert_array_equal(weight_of(load(target), "w"), LARGE)


def test_a_broken_graph_is_not_written(tmp_path: Path) -> None:
    graph = from_bytes(inside().SerializeToString())
    graph.output.attributes = {"names": ("",), "types": ()}
    with pytest.raises(convc.ConvcError, match="an output has no name"):
        save(graph, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_the_mode_of_a_replaced_file_is_kept(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "m.bin"
    target.write_bytes(b"old")
    target.chmod(mode)
    write_whole(target, b"ne", b"w")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_gets_the_mode_that_new_files_get(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_whole(tmp_path / "mine", b"")
    modes = [(tmp_path / name).stat().st_mode for name in ("usual", "mine")]
    assert modes[0] == modes[1]


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    write_whole(target, b"x")
    assert target.read_bytes() == b"x"


def test_what_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UsageError, match="is a folder; name a file"):
        check_writable(folder)
    with pytest.raises(UsageError, match="does not exist; create it first"):
        check_writable(tmp_path / "absent" / "m.onnx")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="no regular file"):
        check_writable(pipe)
    with pytest.raises(UsageError, match="no regular file"):
        save(from_bytes(inside().SerializeToString()), os.devnull)
    check_writable(tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_found_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UsageError, match="cannot write there: Permission denied"):
            check_writable(tmp_path / "m.onnx")
        with pytest.raises(UsageError, match="cannot write there: Permission denied"):
            write_whole(tmp_path / "m.onnx", b"")
    finally:
        tmp_path.chmod(0o700)


def test_the_same_without_being_anybody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(UsageError, match=r"m\.onnx: cannot write there: Permission denied"):
        check_writable(tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"m\.onnx: cannot write there: Permission denied"):
        write_whole(tmp_path / "m.onnx", b"")


def test_numpy_helper_reads_what_was_written(tmp_path: Path) -> None:
    save(from_bytes(inside().SerializeToString()), tmp_path / "m.onnx", external_data=True)
    loaded = onnx.load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(loaded.graph.initializer[0]), LARGE)
