"""What a model file says of itself besides its graph: its metadata, and its local functions."""

from __future__ import annotations

from onnx import ModelProto

from convc.ir import Header


def model_metadata(header: Header) -> dict[str, str]:
    """The entries of the model's metadata, those that the file came with and those added since."""
    model = ModelProto.FromString(header.model_shell)
    return {entry.key: entry.value for entry in model.metadata_props} | dict(header.metadata)


def functions_only(header: Header) -> bytes:
    """The local functions of the model, serialised: what of its shell its ops may call."""
    model = ModelProto.FromString(header.model_shell)
    data: bytes = ModelProto(functions=list(model.functions)).SerializeToString(deterministic=True)
    return data
