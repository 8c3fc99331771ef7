"""Certificates as files: written beside their model, and checked against two models."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from convc.certificate.describe import model_digest
from convc.certificate.reading import read_certificate
from convc.certificate.records import METADATA, SUFFIX, Certificate
from convc.certificate.replaying import Replayed, Say, replay
from convc.errors import ProofError, UsageError
from convc.files import write_whole
from convc.graph import Graph
from convc.model_files import load
from convc.onnx_io import model_metadata
from convc.version import __version__


def versions() -> dict[str, str]:
    """The versions of what the figures in a certificate depend on."""
    return {"convc": __version__, "numpy": version("numpy"), "onnx": version("onnx")}


def proof_path(model: Path) -> Path:
    """Where the certificate of a model is written: beside it."""
    return model.with_name(model.name + SUFFIX)


def write_certificate(certificate: Certificate, path: Path) -> None:
    """Writes a certificate, whole or not at all; raises UsageError where that cannot be."""
    write_whole(path, certificate.text().encode())


def check_proof(
    file: str | Path,
    a: str | Path | Graph,
    b: str | Path | Graph,
    *,
    seed: int = 1,
    say: Say | None = None,
) -> Replayed:
    """Replays a certificate: that ``b`` was made of ``a`` by proved rewrites and nothing else.

    Args:
        file: the certificate.
        a: the original, a file or a graph.
        b: what was made of it.
        seed: of the random inputs of the proofs, another one than the recorded.
        say: told what is being done.

    Raises ProofError where the three do not belong together or a proof fails, InvalidModelError and
    UsageError for what cannot be read.
    """
    certificate, digest = read_certificate(Path(file))
    named = _named(b)
    if named != digest:
        swapped = _named(a) == digest
        why = "names no proof in its metadata, as optimize --proof writes it" if not named else (
            f"belongs to another proof, or {file} was changed"
        )  # fmt: skip
        raise ProofError(f"{_name(b)}: {why}" + ("; are A and B swapped?" if swapped else ""))
    original, result = (_load(model, certificate) for model in (a, b))
    if model_digest(result) != certificate.result:
        raise ProofError(f"{_name(b)}: is not the model that the proof ends with")
    if model_digest(original) != certificate.original:
        raise ProofError(f"{_name(a)}: is not the model that the proof begins with")
    try:
        return replay(certificate, original, seed, say)
    except ProofError as error:
        raise ProofError(f"{file}: {error}{_other_versions(certificate)}") from error


def _named(model: str | Path | Graph) -> str | None:
    """The digest of the proof that a model names, before anything the proof says is believed."""
    graph = model if isinstance(model, Graph) else load(model)
    return model_metadata(graph.header).get(METADATA)


def _load(model: str | Path | Graph, certificate: Certificate) -> Graph:
    """A model as it was read when the certificate was made, at the same sizes."""
    if isinstance(model, Graph):
        return model
    try:
        keep = certificate.keep_initializer_inputs
        return load(model, certificate.sizes, keep_initializer_inputs=keep)
    except UsageError as error:  # it has no such open dims
        raise ProofError(f"{model}: is not a model that the proof is about ({error})") from error


def _name(model: str | Path | Graph) -> str:
    return "the model" if isinstance(model, Graph) else str(model)


def _other_versions(certificate: Certificate) -> str:
    """A hint where the figures may differ in their last digits for that reason."""
    here = versions()
    told = [
        f"{name} {made} (here {here.get(name)})"
        for name, made in certificate.versions.items()
        if here.get(name) != made
    ]
    return f"; it was made with {', '.join(told)}" if told else ""
