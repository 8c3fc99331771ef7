"""What a file that is no ONNX model probably is, and what to do about it."""

from __future__ import annotations

KNOWN = (
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the model with git lfs pull"),
    (0, b"PK\x03\x04", "a zip archive, as PyTorch writes: export the network with torch.onnx"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes: convert it with tf2onnx"),
    (4, b"TFL3", "a TensorFlow Lite model: convert it with tf2onnx"),
    (4, b"ORTM", "onnxruntime's own format: give the .onnx that it was made of"),
    (0, b"<!DOCTYPE", "a web page: the download gave no file"),
    (0, b"<html", "a web page: the download gave no file"),
    (0, b"// passes:", "convc's text: call it .mlir"),
    (0, b"module ", "MLIR text: call it .mlir"),
)
"""Where in a file, which bytes, and what that means."""


def guess(data: bytes) -> str:
    """A hint by the first bytes of a file, as the end of a message; empty where there is none."""
    for start, magic, what in KNOWN:
        if data[start : start + len(magic)] == magic:
            return f": it looks like {what}"
    return ""
