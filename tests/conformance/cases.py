"""The cases: models of the onnx package with inputs and the outputs that the standard expects.

Node tests are made when they are collected; the stored suites and the light models (real
topologies whose weights are filled with one number each) are files of the installed package.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import (
    GraphProto,
    ModelProto,
    OptionalProto,
    SequenceProto,
    TensorProto,
    TypeProto,
    defs,
)
from onnx import numpy_helper as nh
from onnx.backend.test.loader import DATA_DIR

from convc.onnx_io.importer import OLDEST_OPSET

STORED = ("simple", "pytorch-converted", "pytorch-operator")
"""Suites whose models and data are files."""

LIGHT = "real"
"""The folder that says what the light models are, and within which tolerance they are judged."""

DEFAULT_DOMAIN = ("", "ai.onnx")

GIVEN, WEIGHTS, CONSTANT = "as given", "weights constant", "all constant"
FORMS = (GIVEN, WEIGHTS, CONSTANT)
"""In node tests all operands are inputs of the model. The second form makes constants of all but
the first, so that rewrites see weights; the third of all of them, so that there is only folding."""


@dataclass(frozen=True, slots=True)
class Case:
    """One model with what it is fed and what it has to give.

    Attributes:
        suite: where it is from.
        name: onnx's name for it.
        model: the serialised model.
        data: lists of inputs and outputs, in the order of the model's own.
        rtol: relative tolerance, of each value.
        atol: absolute tolerance, of each value.
        form: one of `FORMS`.
    """

    suite: str
    name: str
    model: bytes
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    rtol: float
    atol: float
    form: str = GIVEN

    @property
    def parsed(self) -> ModelProto:
        """The model as a message of its own."""
        return ModelProto.FromString(self.model)

    @property
    def only_kind(self) -> str:
        """The kind of the model's only node; empty where it has more, or of another domain."""
        nodes = self.parsed.graph.node
        return nodes[0].op_type if len(nodes) == 1 and nodes[0].domain in DEFAULT_DOMAIN else ""

    @property
    def kinds(self) -> set[str]:
        """The kinds of the standard's own domain, those in bodies and functions included."""
        model = self.parsed
        return {*_kinds(model.graph.node), *(k for f in model.functions for k in _kinds(f.node))}


def collect() -> list[Case]:
    """All cases in the form in which onnx has them."""
    stored = [case for suite in STORED for case in stored_cases(suite)]
    return [*node_cases(), *stored, *light_cases()]


def node_cases() -> list[Case]:
    """The tests of single operators, and of the functions that define some of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return [
            Case(
                "node",
                case.name,
                _readable(case.model).SerializeToString(),
                [(_arrays(inputs), _arrays(outputs)) for inputs, outputs in case.data_sets],
                case.rtol,
                case.atol,
            )
            for case in collect_testcases(None)
        ]


def stored_cases(suite: str) -> Iterator[Case]:
    """The cases of one of the `STORED` suites."""
    for folder in sorted(path for path in Path(DATA_DIR, suite).iterdir() if path.is_dir()):
        about = folder / "data.json"
        tolerances = json.loads(about.read_text()) if about.exists() else {}
        data = (folder / "model.onnx").read_bytes()
        graph = onnx.load_from_string(data).graph
        sets = [
            (_stored(sub, "input", graph.input), _stored(sub, "output", graph.output))
            for sub in sorted(folder.glob("test_data_set_*"))
        ]
        rtol, atol = tolerances.get("rtol", 1e-3), tolerances.get("atol", 1e-7)
        yield Case(suite, folder.name, data, sets, rtol, atol)


def light_cases() -> Iterator[Case]:
    """The light models: onnx's runner feeds them a ramp from 0 to 1 and stores what they give."""
    for about in sorted(Path(DATA_DIR, LIGHT).glob("*/data.json")):
        facts = json.loads(about.read_text())
        path = Path(DATA_DIR, "light", Path(facts["url"]).name)
        data = path.read_bytes()
        graph = onnx.load_from_string(data).graph
        inputs = [_ramp(value) for value in _fed(graph)]
        outputs = [
            nh.to_array(onnx.load_tensor(path.with_name(f"{path.stem}_output_{i}.pb")))
            for i in range(len(graph.output))
        ]
        yield Case("light", path.stem, data, [(inputs, outputs)], facts["rtol"], facts["atol"])


def in_form(case: Case, form: str) -> Case | None:
    """The case in another of the `FORMS`; None where that makes no difference.

    Only tensors can be constants of a model; other operands stay inputs.
    """
    if form == GIVEN:
        return case
    model = case.parsed
    fed = _fed(model.graph)
    # Values differ from one set of data to the next, and a constant has only one.
    ((inputs, outputs),) = case.data if len(case.data) == 1 else [((), ())]
    first = 1 if form == WEIGHTS else 0
    fixed = {
        value.name: array
        for value, array in list(zip(fed, inputs, strict=False))[first:]
        if isinstance(array, np.ndarray)
    }
    if not fixed:
        return None
    model.ir_version = max(model.ir_version, 4)  # since then a weight need not be an input
    model.graph.initializer.extend(nh.from_array(array, name) for name, array in fixed.items())
    left = [value for value in model.graph.input if value.name not in fixed]
    given = [array for value, array in zip(fed, inputs, strict=True) if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(left)
    return replace(case, model=model.SerializeToString(), data=[(given, outputs)], form=form)


def feeds(case: Case, inputs: Sequence[Any]) -> dict[str, Any]:
    """The inputs by name; trailing ones may be missing where they have a default."""
    return dict(zip((value.name for value in _fed(case.parsed.graph)), inputs, strict=False))


def _readable(model: ModelProto) -> ModelProto:
    """The model under the oldest opset that convc reads, where its own is older but says the same.

    The few tests concerned are of operators that have not changed since.
    """
    versions = [entry for entry in model.opset_import if entry.domain in DEFAULT_DOMAIN]
    if all(entry.version >= OLDEST_OPSET for entry in versions):
        return model
    made = ModelProto.FromString(model.SerializeToString())
    since = [defs.get_schema(node.op_type, OLDEST_OPSET).since_version for node in made.graph.node]
    for entry in made.opset_import:
        if entry.domain in DEFAULT_DOMAIN and max(since) <= entry.version:
            entry.version = OLDEST_OPSET
    return made


def _fed(graph: GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _ramp(value: onnx.ValueInfoProto) -> np.ndarray:
    shape = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def _arrays(values: Sequence[Any]) -> list[Any]:
    return [_array(value) for value in values]


def _array(value: Any) -> Any:
    if isinstance(value, TensorProto):
        return nh.to_array(value)
    if isinstance(value, list):
        return _arrays(value)
    return None if value is None else np.asarray(value)


def _stored(folder: Path, stem: str, values: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    paths = sorted(folder.glob(f"{stem}_*.pb"), key=lambda p: int(p.stem.rsplit("_", 1)[1]))
    return [_read(path, value.type) for path, value in zip(paths, values, strict=False)]


def _read(path: Path, type_: TypeProto) -> Any:
    data = path.read_bytes()
    if type_.HasField("sequence_type"):
        return nh.to_list(SequenceProto.FromString(data))
    if type_.HasField("optional_type"):
        return nh.to_optional(OptionalProto.FromString(data))
    return nh.to_array(TensorProto.FromString(data))


def _kinds(nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
    for node in nodes:
        if node.domain in DEFAULT_DOMAIN:
            yield node.op_type
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from _kinds(body.node)
