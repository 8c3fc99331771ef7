"""Files that are no models: one line that says so, and never another kind of error."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from convc.errors import ConvcError, InvalidModelError
from convc.onnx_io import from_bytes, load, to_bytes
from tests.conftest import sample_models
from tests.onnx_helpers import info, model, weight

NODE = helper.make_node


def small() -> ModelProto:
    """A bit of everything that the importer looks into."""
    then = helper.make_graph([NODE("Add", ["h", "w"], ["t"])], "then", [], [info("t", None)])
    other = helper.make_graph(
        [NODE("Neg", ["h"], ["e"])], "else", [], [info("e", None)], [weight("z", np.ones(2))]
    )
    sparse = helper.make_sparse_tensor(
        weight("s", np.array([5, 7], np.float32)), weight("", np.array([1, 2])), [2, 2]
    )
    made = model(
        [
            NODE("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1], strides=[1, 1]),
            NODE("Constant", [], ["shape"], value_ints=[2, 2]),
            NODE("Reshape", ["c", "shape"], ["h"], name="reshape"),
            NODE("If", ["b"], ["i"], then_branch=then, else_branch=other),
            NODE("Add", ["i", "s"], ["y"], doc_string="doc"),
        ],
        [info("x", ["N", 1, 2, 2]), info("b", [], TensorProto.BOOL), info("w", [2, 2])],
        [info("y", ["M", 2])],
        [
            weight("k", np.ones((1, 1, 3, 3), np.float32)),
            weight("w", np.ones((2, 2), np.float32)),
            helper.make_tensor("typed", TensorProto.INT32, [2], [1, 2]),
        ],
        ir=8,
    )
    made.graph.sparse_initializer.append(sparse)
    made.metadata_props.add(key="k", value="v")
    return made


DATA = small().SerializeToString(deterministic=True)
REAL = next(path for path in sample_models() if path.stem == "repvgg_block")


def refuse(path: Path) -> str:
    with pytest.raises(InvalidModelError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def written(folder: Path, data: bytes) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(data)
    return path


def test_the_model_that_is_broken_below_is_sound() -> None:
    graph = from_bytes(DATA)
    graph.verify()
    assert len(graph) > 10


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such file" in refuse(tmp_path / "absent.onnx")
    assert "is a folder" in refuse(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    assert "the file is empty" in refuse(written(tmp_path, b""))


@pytest.mark.parametrize(
    "text", ["hello\n", "<html>Not found</html>", "version https://git-lfs.github.com/spec/v1\n"]
)
def test_text(tmp_path: Path, text: str) -> None:
    assert "not an ONNX model" in refuse(written(tmp_path, text.encode()))


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes(tmp_path: Path, seed: int) -> None:
    refuse(written(tmp_path, random.Random(seed).randbytes(10 + 97 * seed)))


@pytest.mark.parametrize("part", range(30))
def test_a_truncated_file(tmp_path: Path, part: int) -> None:
    whole = REAL.read_bytes()
    message = refuse(written(tmp_path, whole[: len(whole) * part // 30]))
    assert "truncated" in message or "empty" in message or "no graph" in message


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, DATA)

    def fail(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "cannot read it: Permission denied" in refuse(path)


# -- well-formed, but no network ---------------------------------------------------------------


def cycle(made: ModelProto) -> None:
    made.graph.node[0].input[0] = "y"


def self_loop(made: ModelProto) -> None:
    made.graph.node[0].input[0] = "c"


def cycle_through_a_body(made: ModelProto) -> None:
    for attribute in made.graph.node[3].attribute:
        attribute.g.node[0].input[0] = "y"


def dangling(made: ModelProto) -> None:
    made.graph.node[2].input[0] = "nobody"


def dangling_in_a_body(made: ModelProto) -> None:
    made.graph.node[3].attribute[0].g.node[0].input[0] = "nobody"


def dangling_output(made: ModelProto) -> None:
    made.graph.output[0].name = "nobody"


def same_result_twice(made: ModelProto) -> None:
    made.graph.node[4].output[0] = "c"


def result_named_like_an_input(made: ModelProto) -> None:
    made.graph.node[2].output[0] = "x"


def result_named_like_a_weight(made: ModelProto) -> None:
    made.graph.node[2].output[0] = "k"


def two_inputs(made: ModelProto) -> None:
    made.graph.input[1].name = "x"


def unnamed_input(made: ModelProto) -> None:
    made.graph.input[0].name = ""


def two_weights(made: ModelProto) -> None:
    made.graph.initializer[0].name = "w"


def two_weights_one_sparse(made: ModelProto) -> None:
    made.graph.initializer[0].name = "s"


def internal_kind(made: ModelProto) -> None:
    made.graph.node[2].op_type = "Input"


def no_kind(made: ModelProto) -> None:
    made.graph.node[2].op_type = ""


def short_weight(made: ModelProto) -> None:
    made.graph.initializer[0].raw_data = b"123"


def negative_weight(made: ModelProto) -> None:
    made.graph.initializer[0].dims[0] = -1


def unknown_type(made: ModelProto) -> None:
    made.graph.initializer[0].data_type = 77


def undefined_type(made: ModelProto) -> None:
    made.graph.initializer[0].data_type = 0


def unknown_input_type(made: ModelProto) -> None:
    made.graph.input[0].type.tensor_type.elem_type = 77


def no_text(made: ModelProto) -> None:
    data = made.SerializeToString().replace(b"reshape", b"re\xff\xfeape")
    made.ParseFromString(data)


def empty_constant(made: ModelProto) -> None:
    del made.graph.node[1].attribute[:]


BREAKS: dict[Callable[[ModelProto], None], str] = {
    cycle: "the graph has a cycle through node",
    self_loop: r"the graph has a cycle through node 'c' \(Conv\)",
    cycle_through_a_body: "the graph has a cycle through node",
    dangling: r"node 'reshape' \(Reshape\) uses 'nobody', made by no node, input or weight",
    dangling_in_a_body: r"node 'i' \(If\) uses 'nobody'",
    dangling_output: "output 'nobody' is made by no node",
    same_result_twice: "two nodes or inputs make 'c'",
    result_named_like_an_input: "two nodes or inputs make 'x'",
    result_named_like_a_weight: "two nodes or inputs make 'k'",
    two_inputs: "two inputs are named 'x'",
    unnamed_input: "one has no name",
    two_weights: "two weights are named 'w'",
    two_weights_one_sparse: "two weights are named 's'",
    internal_kind: r"node 'reshape' \(Input\) is of no kind that ONNX knows",
    no_kind: "is of no kind",
    short_weight: "weight 'k' is broken",
    negative_weight: "weight 'k' is broken: a negative size",
    unknown_type: "element type 77|weight 'k' is broken",
    undefined_type: "weight 'k' is broken",
    unknown_input_type: "element type 77 is not known to onnx",
    no_text: "it holds names that are no text",
    empty_constant: r"node 'shape' \(Constant\) holds no value",
}


@pytest.mark.parametrize("change", BREAKS, ids=lambda f: f.__name__)
def test_what_is_no_network_is_refused(
    tmp_path: Path, change: Callable[[ModelProto], None]
) -> None:
    made = small()
    change(made)
    message = refuse(written(tmp_path, made.SerializeToString()))
    with pytest.raises(InvalidModelError, match=BREAKS[change]):
        raise InvalidModelError(message)


def test_a_long_chain_in_reverse_order_needs_no_recursion() -> None:
    nodes = [NODE("Relu", [f"v{i}"], [f"v{i + 1}"]) for i in range(5000)]
    made = model(nodes[::-1], [info("v0", [1])], [info("v5000", [1])])
    assert len(from_bytes(made.SerializeToString())) == 5002


# -- anything at all ---------------------------------------------------------------------------


def survive(data: bytes) -> None:
    """Reads; whatever can be read has to be sound and go out and in again."""
    try:
        graph = from_bytes(data)
    except ConvcError:
        return
    graph.verify()
    from_bytes(to_bytes(graph)).verify()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=4)
)
@example([(0, 0)])
def test_changed_bytes_never_raise_anything_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(DATA)
    for place, byte in changes:
        data[place] = byte
    survive(bytes(data))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(DATA)), st.integers(0, len(DATA)), st.binary(max_size=6))
def test_cut_and_pasted_bytes_never_raise_anything_else(start: int, end: int, new: bytes) -> None:
    survive(DATA[:start] + new + DATA[end:])
