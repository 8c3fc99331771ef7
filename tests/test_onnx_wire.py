"""Reading and writing without copies: the same as the ordinary way, on any order of any fields."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import ml_dtypes
import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

import convc.onnx_io
from convc.digest import graph_digest
from convc.errors import ConvcError
from convc.graph import Graph
from convc.ir import Array
from convc.memory import give_back
from convc.onnx_io import from_bytes, load, save, to_bytes, wire
from convc.onnx_io.exporter import export_model
from tests.conftest import SHARED, sample_models
from tests.onnx_helpers import assert_same, info, model, run, weight

NODE = helper.make_node
RNG = np.random.default_rng(0)
REAL = [*sample_models(), *sorted((SHARED / "models").glob("*.onnx"))]
"""Without the folder of real models (see `tests.conftest`) the project's own alone."""
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def mapping(on: bool, large: int = 64) -> Iterator[None]:
    """Every file is mapped and every weight from ``large`` bytes taken out of it, or none is."""
    with (
        patch.object(convc.onnx_io, "MAPPED_FROM", 0 if on else 2**62),
        patch.object(wire, "LARGE", large),
    ):
        yield


def outcome(path: Path, *, mapped: bool, large: int = 64) -> tuple[str, bytes | str]:
    """What a file reads as (its digest, and itself written again), or why it does not."""
    with mapping(mapped, large):
        try:
            graph = load(path)
        except ConvcError as error:
            return type(error).__name__, str(error)
    graph.verify()
    return graph_digest(graph), to_bytes(graph)


def assert_both_agree(path: Path, large: int = 64) -> None:
    assert outcome(path, mapped=True, large=large) == outcome(path, mapped=False)


def is_mapped(array: Any) -> bool:
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


def weights_of(graph: Graph) -> dict[str, Array]:
    return {op.result.name: op.array for op in graph.ops() if op.array is not None}


# -- models, encoded in every way that protobuf allows -----------------------------------------

FLOATS = RNG.standard_normal((8, 32)).astype(np.float32)
WEIGHTS: list[TensorProto] = [
    weight("raw", FLOATS),
    weight("half", FLOATS.astype(np.float16)),
    weight("brain", FLOATS.astype(ml_dtypes.bfloat16)),
    weight("nibbles", np.arange(256).reshape(8, 32).astype(ml_dtypes.int4)),
    weight("flags", FLOATS > 0),
    weight("complex", FLOATS.astype(np.complex64)),
    weight("small", np.arange(3)),
    weight("scalar", np.float32(2)),
    weight("empty", np.zeros((0, 3), np.float32)),
    weight("text", np.array(["a" * 100, "ü"], object)),
    helper.make_tensor("typed", TensorProto.FLOAT, [8, 32], FLOATS.reshape(-1)),
    helper.make_tensor("typed half", TensorProto.FLOAT16, [256], FLOATS.reshape(-1)),
    helper.make_tensor("typed int", TensorProto.INT64, [64], range(64)),
    weight("axes", np.array([0])),
]


def everything(folder: Path) -> ModelProto:
    """Weights of all types and forms, in initialisers, Constant nodes and bodies."""
    (folder / "beside.data").write_bytes(bytes(5) + FLOATS.tobytes())
    outside = TensorProto(name="outside", data_type=1, dims=[8, 32], data_location=1)
    for key, value in (("location", "beside.data"), ("offset", "5")):
        outside.external_data.add(key=key, value=value)
    sparse = helper.make_sparse_tensor(
        weight("sparse", np.arange(1, 65).astype(np.float32)), weight("", np.arange(64)), [8, 32]
    )
    body = helper.make_graph([NODE("Add", ["x", "b"], ["t"])], "b", [], [info("t", None)],
                             [weight("b", FLOATS)])  # fmt: skip
    made = model(
        [
            NODE("Constant", [], ["c"], value=weight("", 2 * FLOATS), doc_string="why"),
            NODE("Constant", [], ["d"], value=weight("inner", 3 * FLOATS)),
            NODE("Constant", [], ["e"], value_floats=FLOATS.reshape(-1)),
            NODE("If", ["cond"], ["i"], then_branch=body, else_branch=body),
            NODE("Sum", ["x", "raw", "c", "d", "outside", "i", "sparse"], ["y"]),
            NODE("Own", ["x"], ["z"], domain="own", table=weight("", FLOATS)),
        ],
        [info("x", ["N", 32]), info("cond", [], TensorProto.BOOL), info("raw", [8, 32])],
        [info("y", ["N", 32]), info("z", None)],
        [*WEIGHTS, outside],
        opset=21, ir=10, domains={"own": 1},
    )  # fmt: skip
    made.graph.sparse_initializer.append(sparse)
    made.metadata_props.add(key="k", value="v" * 100)
    return made


def varint(value: int, random: Random | None = None) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    if random and random.random() < 0.1:
        return bytes([*encoded, value | 128, 0])  # not the shortest way, and allowed
    return bytes([*encoded, value])


def nested(number: int, body: bytes, random: Random | None = None) -> bytes:
    return varint(number << 3 | 2, random) + varint(len(body), random) + body


def scrambled(message: Message, random: Random) -> bytes:
    """The message with its fields in any order, those of one number in their own; noise between."""
    groups: list[list[bytes]] = []
    for descriptor, value in message.ListFields():
        number = descriptor.number
        if descriptor.message_type is not None:
            items = value if descriptor.is_repeated else [value]
            groups.append([nested(number, scrambled(item, random), random) for item in items])
        elif descriptor.name == "dims":
            packed = random.random() < 0.3
            groups.append(
                [nested(number, b"".join(map(varint, value)), random)]
                if packed
                else [varint(number << 3) + varint(item, random) for item in value]
            )
        else:
            alone = type(message)()
            if descriptor.is_repeated:
                getattr(alone, descriptor.name).extend(value)
            else:
                setattr(alone, descriptor.name, value)
            groups.append([alone.SerializeToString()])
    groups += [[unknown(random)] for _ in range(random.randrange(2))]
    order = [i for i, group in enumerate(groups) for _ in group]
    if random.random() < 0.8:
        random.shuffle(order)
    taken = [iter(group) for group in groups]
    return b"".join(next(taken[i]) for i in order)


def unknown(random: Random) -> bytes:
    number = random.randrange(1000, 2000) << 3
    return random.choice(
        [
            varint(number) + varint(random.getrandbits(60)),
            varint(number | 1) + random.randbytes(8),
            varint(number | 2) + varint(100) + random.randbytes(100),
            varint(number | 5) + random.randbytes(4),
        ]
    )


@QUICK
@given(random=st.randoms(use_true_random=False))
def test_both_ways_agree_on_any_order_of_fields(tmp_path: Path, random: Random) -> None:
    made = everything(tmp_path)
    path = tmp_path / "m.onnx"
    data = scrambled(made, random)
    path.write_bytes(data)
    with patch.object(wire, "LARGE", 64):
        rest = wire.shrink(memoryview(data), "m.onnx")
    assert rest is not None
    assert len(rest) < len(data) - 5 * FLOATS.nbytes
    assert_both_agree(path)
    with mapping(True):
        arrays = weights_of(load(path))
    for name in ("raw", "half", "brain", "flags", "complex", "outside", "c", "d"):
        assert is_mapped(arrays[name]), name
        assert not arrays[name].flags.writeable
    np.testing.assert_array_equal(arrays["d"], 3 * FLOATS)
    assert onnx.load(path).graph.initializer[0].raw_data == arrays["raw"].tobytes()


@QUICK
@given(random=st.randoms(use_true_random=False), parts=st.integers(2, 4))
def test_a_graph_in_several_parts_is_one(tmp_path: Path, random: Random, parts: int) -> None:
    made = everything(tmp_path)
    pieces = [onnx.GraphProto() for _ in range(parts)]
    for descriptor, value in made.graph.ListFields():
        items = list(value) if descriptor.is_repeated else [value]
        places = sorted(random.randrange(parts) for _ in items)
        for place, item in zip(places, items, strict=True):
            if descriptor.is_repeated:
                getattr(pieces[place], descriptor.name).append(item)
            else:
                setattr(pieces[place], descriptor.name, item)
    made.ClearField("graph")
    path = tmp_path / "m.onnx"
    shell = made.SerializeToString()
    path.write_bytes(
        b"".join([nested(7, scrambled(piece, random)) for piece in pieces[:1]])
        + shell
        + b"".join([nested(7, scrambled(piece, random)) for piece in pieces[1:]])
    )
    assert_both_agree(path)


@settings(QUICK, max_examples=300)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=3),
    cut=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_both_ways_agree_on_broken_files(
    tmp_path: Path, changes: list[tuple[float, int]], cut: tuple[float, float] | None
) -> None:
    data = bytearray(everything(tmp_path).SerializeToString())
    for place, byte in changes:
        data[int(place * (len(data) - 1))] = byte
    if cut is not None:
        start, end = sorted(int(place * len(data)) for place in cut)
        del data[start:end]
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    assert_both_agree(path)


HEADS = [i for i, tensor in enumerate(WEIGHTS) if len(tensor.raw_data) >= 64]


@settings(QUICK, max_examples=300)
@given(which=st.sampled_from(HEADS), place=st.integers(0, 30), byte=st.integers(0, 255), after=...)
def test_both_ways_agree_on_a_tensor_whose_head_is_broken(
    tmp_path: Path, which: int, place: int, byte: int, after: bool
) -> None:
    """Where the fields of a tensor stand, not its data, which most of the bytes above hit."""
    made = model([NODE("Identity", [WEIGHTS[which].name], ["y"])], [], [info("y", None)])
    tensor = WEIGHTS[which].SerializeToString()
    data = bytearray(scrambled(WEIGHTS[which], Random(place)) if after else tensor)
    data[place] = byte
    shell = made.SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(shell + nested(7, nested(5, bytes(data))))
    assert_both_agree(path)


def raw(name: str) -> bytes:
    return next(t for t in WEIGHTS if t.name == name).SerializeToString()


def with_field(number: int, body: bytes) -> bytes:
    return raw("raw") + nested(number, body)


ODD: dict[str, bytes] = {
    "raw data twice: the last one counts": with_field(9, (2 * FLOATS).tobytes()),
    "typed data, too": with_field(4, FLOATS.tobytes()),
    "external data, too": with_field(13, nested(1, b"location") + nested(2, b"beside.data")),
    "a segment": with_field(3, b"\x08\x00\x10\x01"),
    "dims that go on": with_field(1, b"\x01"),
    "another shape": raw("raw") + b"\x08\x02",
    "a negative size": raw("raw") + b"\x08" + b"\xff" * 9 + b"\x01",
    "another type": raw("raw") + b"\x10\x0b",
    "a type unknown to onnx": raw("raw") + b"\x10\x63",
    "strings": raw("raw") + b"\x10\x08",
    "a name that is no text": with_field(8, b"\xff\xfe"),
    "an empty group": raw("raw") + varint(99 << 3 | 3) + varint(99 << 3 | 4),
    "an open group": raw("raw") + varint(99 << 3 | 3),
    "field number 0": raw("raw") + b"\x00\x01",
    "an unknown kind of field": raw("raw") + varint(99 << 3 | 7),
    "a number without end": raw("raw") + b"\x10" + b"\x80" * 11,
    "a length beyond the end": raw("raw") + varint(99 << 3 | 2) + varint(1000),
    "raw data that is a number": raw("raw") + b"\x48\x01",
}


@pytest.mark.parametrize("tensor", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("place", ["initialiser", "constant"])
def test_both_ways_agree_on_odd_tensors(tmp_path: Path, tensor: bytes, place: str) -> None:
    everything(tmp_path)
    name = "raw" if place == "initialiser" else "c"
    shell = model([NODE("Identity", [name], ["y"])], [], [info("y", None)]).SerializeToString()
    if place == "initialiser":
        part = nested(5, tensor)
    else:
        attribute = nested(1, b"value") + nested(5, tensor) + b"\xa0\x01\x04"
        node = nested(2, b"c") + nested(4, b"Constant") + nested(5, attribute)
        part = nested(1, node)
    path = tmp_path / "m.onnx"
    path.write_bytes(shell + nested(7, part))
    assert_both_agree(path)


@pytest.mark.parametrize(
    "extra",
    [b"", nested(5, b"\x08\x02"), b"\xa0\x01\x01", nested(21, b"outer"), nested(13, b"doc")],
    ids=["plain", "the tensor in two parts", "another kind", "a reference", "a doc string"],
)
@pytest.mark.parametrize("kind", [b"\xa0\x01\x04", b"\xa0\x01\x01", b""])
def test_both_ways_agree_on_odd_attributes(tmp_path: Path, extra: bytes, kind: bytes) -> None:
    shell = model([NODE("Neg", ["x"], ["y"])], [info("x", [1])], [info("y", None)],
                  domains={"own": 1}).SerializeToString()  # fmt: skip
    attribute = nested(1, b"value") + nested(5, raw("raw")) + kind + extra
    own = nested(2, b"z") + nested(4, b"Own") + nested(7, b"own") + nested(5, attribute)
    constant = nested(2, b"c") + nested(4, b"Constant") + nested(5, attribute)
    path = tmp_path / "m.onnx"
    for node in (own, constant):
        path.write_bytes(shell + nested(7, nested(1, node)))
        assert_both_agree(path)


def test_the_data_of_a_tensor_may_stand_before_everything_else(tmp_path: Path) -> None:
    tensor = nested(9, FLOATS.tobytes()) + nested(8, b"raw") + b"\x10\x01" + nested(1, b"\x08\x20")
    shell = model([NODE("Identity", ["raw"], ["y"])], [], [info("y", None)]).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(nested(7, nested(5, tensor)) + shell)
    assert_both_agree(path)
    with mapping(True):
        array = weights_of(load(path))["raw"]
    assert is_mapped(array)
    np.testing.assert_array_equal(array, FLOATS)


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_both_ways_agree_on_real_models(path: Path) -> None:
    assert_both_agree(path, large=4096)


@pytest.mark.parametrize("name", ["m.onnx", "ü.onnx", "a b", "\udcff.onnx"])
def test_a_file_of_any_name_and_behind_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / name
    path.write_bytes(everything(tmp_path / "folder").SerializeToString())
    (tmp_path / "folder" / "link.onnx").symlink_to(path)
    for target in (path, tmp_path / "folder" / "link.onnx"):
        with mapping(True):
            arrays = weights_of(load(target))
        assert is_mapped(arrays["raw"]) == ("\udcff" not in target.name)
        np.testing.assert_array_equal(arrays["raw"], FLOATS)


def test_a_small_file_and_what_is_no_file_are_read_the_ordinary_way(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(everything(tmp_path).SerializeToString())
    assert not is_mapped(weights_of(load(path))["raw"])


# -- writing -----------------------------------------------------------------------------------

DTYPES = [
    np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8,
    np.uint16, np.uint32, np.uint64, np.bool_, np.complex64, np.complex128, ml_dtypes.bfloat16,
    ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2,
]  # fmt: skip


def ordinary(graph: Graph) -> bytes:
    """The file as onnx writes it, weights made by onnx's own helper."""
    made, large = export_model(graph)
    arrays = {name: array for name, array in weights_of(graph).items() if array.nbytes >= 1024}
    assert len(large) <= len(arrays)
    for i in large:
        tensor = made.graph.initializer[i]
        tensor.CopyFrom(weight(tensor.name, arrays[tensor.name]))
    data: bytes = made.SerializeToString(deterministic=True)
    return data


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("order", ["contiguous", "transposed", "strided", "broadcast", "reversed"])
def test_what_is_written_is_what_onnx_would_write(tmp_path: Path, dtype: Any, order: str) -> None:
    array = RNG.integers(0, 2, (64, 66)).astype(dtype)
    views = {"contiguous": array, "transposed": array.T, "strided": array[:, ::2],
             "broadcast": np.broadcast_to(array[0], (64, 66)), "reversed": array[::-1]}  # fmt: skip
    graph = from_bytes(model([NODE("Identity", ["s"], ["y"])], [], [info("y", [1])],
                             [weight("s", np.ones(1, np.float32))], opset=21, ir=10)
                       .SerializeToString())  # fmt: skip
    graph.add_constant(views[order], "w")
    graph.add_constant(np.arange(1000), "v")
    data = to_bytes(graph)
    assert data == ordinary(graph)
    save(graph, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == data
    save(graph, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == data
    for external in (False, True):
        save(graph, tmp_path / "m.onnx", external_data=external)
        with mapping(True):
            read = weights_of(load(tmp_path / "m.onnx"))
        assert read["w"].dtype == array.dtype
        assert read["w"].tobytes() == views[order].tobytes()


@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_real_models_are_written_as_onnx_would_write_them(path: Path) -> None:
    graph = load(path)
    assert to_bytes(graph) == ordinary(graph)


def big(folder: Path) -> Path:
    """A model of 6 MiB."""
    k1 = RNG.standard_normal((512, 256, 3, 3)).astype(np.float32)
    k2 = RNG.standard_normal((16, 512, 1, 1)).astype(np.float32)
    made = model(
        [NODE("Conv", ["x", "k1"], ["h"], pads=[1, 1, 1, 1]), NODE("Relu", ["h"], ["r"]),
         NODE("Conv", ["r", "k2"], ["y"])],
        [info("x", ["N", 256, 6, 6])], [info("y", ["N", 16, 6, 6])],
        [weight("k1", k1), weight("k2", k2)],
    )  # fmt: skip
    path = folder / "big.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_checker_and_runtime_take_what_was_written(tmp_path: Path) -> None:
    path = big(tmp_path)
    save(load(path), tmp_path / "out.onnx")
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)
    feeds = {"x": RNG.standard_normal((2, 256, 6, 6)).astype(np.float32)}
    assert_same(run(tmp_path / "out.onnx", feeds), run(path, feeds))


def test_no_weight_is_copied_on_its_way(tmp_path: Path) -> None:
    graph = load(big(tmp_path))
    kernel = weights_of(graph)["k1"]
    assert is_mapped(kernel)
    chunks: list[bytes | memoryview] = []
    with patch.object(convc.onnx_io, "write_whole", lambda _, *parts: chunks.extend(parts)):
        save(graph, tmp_path / "out.onnx")
    held = [np.frombuffer(chunk, np.uint8) for chunk in chunks if len(chunk) == kernel.nbytes]
    assert len(held) == 1
    assert np.shares_memory(held[0], kernel)


def test_the_file_may_be_replaced_or_deleted_while_its_weights_are_in_use(tmp_path: Path) -> None:
    path = big(tmp_path)
    old = path.read_bytes()
    graph = load(path)
    kernel = weights_of(graph)["k1"]
    expected = kernel.copy()
    other = from_bytes(model([NODE("Neg", ["x"], ["y"])], [info("x", [1])], [info("y", [1])])
                       .SerializeToString())  # fmt: skip
    save(other, path)
    np.testing.assert_array_equal(kernel, expected)
    save(graph, path)
    assert weights_of(load(path))["k1"].tobytes() == expected.tobytes()
    save(load(path), path)
    assert ModelProto.FromString(path.read_bytes()) == ModelProto.FromString(to_bytes(graph))
    path.unlink()
    np.testing.assert_array_equal(kernel, expected)
    path.write_bytes(old)


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")


def resident(path: Path) -> int:
    """Kilobytes of a mapped file that this process holds in memory."""
    text = Path("/proc/self/smaps").read_bytes().decode(errors="replace")
    lines = text.partition(str(path))[2].splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


@ON_LINUX
def test_pages_that_are_given_back_are_read_again(tmp_path: Path) -> None:
    path = big(tmp_path)
    kernel = weights_of(load(path))["k1"]
    expected = np.array(kernel)
    before = resident(path)
    give_back(kernel)
    assert before - resident(path) > 0.9 * kernel.nbytes / 1024
    np.testing.assert_array_equal(kernel, expected)
    for array in (expected, kernel.T, kernel[:0], kernel[0, 0], np.float32(1) * kernel[0]):
        copy = np.array(array)
        give_back(array)
        np.testing.assert_array_equal(array, copy)


PEAK = """
import json, re, sys
import convc
def peak():  # not getrusage's: that one counts from the size of the parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
convc.load, convc.save
before = peak()
graph = convc.load(sys.argv[1])
if sys.argv[3:]:
    graph = convc.optimize(graph, verify="off").graph
convc.save(graph, sys.argv[2])
print(json.dumps([before, peak()]))
"""


def peak_of(*arguments: object) -> tuple[int, int]:
    """Peak memory in bytes of a process that reads and writes, before and after it does."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    before, after = json.loads(done.stdout)
    return before, after


@ON_LINUX
def test_reading_and_writing_takes_the_memory_of_the_mapped_file_alone(tmp_path: Path) -> None:
    """Ten copies of one array are 96 MiB of weights; one copy more of them would be seen."""
    array = RNG.standard_normal((512, 512, 3, 3)).astype(np.float32)
    names = [f"w{i}" for i in range(10)]
    made = model([NODE("Sum", names, ["y"])], [], [info("y", None)],
                 [weight(name, array) for name in names])  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    before, after = peak_of(path, tmp_path / "out.onnx")
    weights = 10 * array.nbytes
    assert after - before < 1.3 * weights
    assert (tmp_path / "out.onnx").stat().st_size > weights


@ON_LINUX
def test_optimising_takes_little_more_than_the_weights(tmp_path: Path) -> None:
    """All 126 MiB of weights are scaled in float64: twice that, were it all kept for a while."""
    nodes, weights, value = [], [], "x"
    for i in range(14):
        kernel = RNG.standard_normal((512, 512, 3, 3), dtype=np.float32) * 0.02
        scales = [weight(f"{name}{i}", np.full(512, 1.5, np.float32)) for name in "pqrs"]
        names = [scale.name for scale in scales]
        weights += [weight(f"k{i}", kernel), *scales]
        nodes += [
            NODE("Conv", [value, f"k{i}"], [f"c{i}"], pads=[1, 1, 1, 1]),
            NODE("BatchNormalization", [f"c{i}", *names], [f"b{i}"]),
            NODE("Relu", [f"b{i}"], [f"y{i}"]),
        ]
        value = f"y{i}"
    made = model(nodes, [info("x", [1, 512, 8, 8])], [info(value, [1, 512, 8, 8])], weights)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    _, peak = peak_of(path, tmp_path / "out.onnx", "optimise")
    assert not any(
        node.op_type == "BatchNormalization" for node in onnx.load(tmp_path / "out.onnx").graph.node
    )
    assert peak < 1.3 * path.stat().st_size + 200 * 2**20
