"""Models of the world and of the project go in and come out computing the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from convc.onnx_io import from_bytes, load, save, to_bytes
from convc.sizes import load_runnable
from tests.conftest import real_models, sample_models
from tests.helpers import random_feeds
from tests.onnx_helpers import assert_same, assert_same_interface, run

VOLUME = 256
"""Side of the volumes that two of the real models are exported for: too large for a test."""


@pytest.mark.parametrize("path", [*sample_models(), *real_models()], ids=lambda p: p.stem)
def test_a_model_goes_through_bit_identical(path: Path, tmp_path: Path) -> None:
    before = ModelProto.FromString(path.read_bytes())
    if path.stem.startswith("conv3d"):
        path = tmp_path / path.name
        path.write_bytes(shrink(before).SerializeToString())
    graph = load_runnable(path, {})
    graph.verify()
    result = tmp_path / "result.onnx"
    save(graph, result)
    after = ModelProto.FromString(result.read_bytes())
    assert_same_interface(before, after)
    assert after.metadata_props == before.metadata_props
    assert after.producer_name == before.producer_name
    assert after.doc_string == before.doc_string
    feeds = random_feeds(graph, np.random.default_rng(0))
    assert_same(run(path, feeds), run(result, feeds))


@pytest.mark.parametrize("path", [*sample_models(), *real_models()], ids=lambda p: p.stem)
def test_a_second_trip_changes_nothing_and_most_types_are_known(path: Path) -> None:
    graph = load(path)
    once = to_bytes(graph)
    # A type that the file says may let inference find the type of another value.
    assert without_types(to_bytes(from_bytes(once))) == without_types(once)
    values = [value for op in graph.ops() for value in op.results]
    ranked = [value for value in values if value.shape is not None]
    assert len(ranked) > 0.8 * len(values)
    named = [dim for value in graph.inputs for dim in value.shape or () if isinstance(dim, str)]
    assert all(graph.sizes[dim] > 0 for dim in named)


def without_types(data: bytes) -> ModelProto:
    model = ModelProto.FromString(data)
    del model.graph.value_info[:]
    return model


def shrink(model: ModelProto) -> ModelProto:
    """Volumes of side 32 in the interface and in what the file says of values between."""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value == VOLUME:
                dim.dim_value = 32
    return model


def test_the_real_models_were_tried(shared: Path) -> None:
    assert len(real_models()) == len(list((shared / "models").glob("*.onnx"))) > 0
