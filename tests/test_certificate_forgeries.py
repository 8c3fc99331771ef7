"""Forged certificates: each is refused, with the new digest in the result's metadata, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.certificate_helpers import (  # noqa: F401  # two fixtures
    Document,
    Files,
    caught,
    change,
    check,
    files_fixture,
    made_fixture,
    record,
)
from tests.cli_helpers import Capture, call
from tests.conftest import ROOT
from tests.tiny import model, node, write


def drop(document: Document, number: int) -> None:
    """Removes a record, and what else counts it."""
    entry = record(document, number)
    for part in document["passes"]:
        if entry in part["records"]:
            part["records"].remove(entry)
    document["rewrites"] -= 1


def swap(document: Document) -> None:
    """Exchanges what two passes did."""
    folded, fused = document["passes"][1], document["passes"][2]
    folded["records"], fused["records"] = fused["records"], folded["records"]


FORGERIES: dict[str, tuple[Callable[[Document], object], str]] = {
    "the residual is too large": (
        lambda d: record(d).update(residual=1e-3), "pass fold-affine: Conv a, Mul m → m: "
        "the recorded residual 1.0e-03 is no proof",
    ),
    "the residual is missing": (
        lambda d: record(d).update(residual=None), "pass fold-affine: Conv a, Mul m → m: ",
    ),
    "a region's op": (
        lambda d: record(d, 1)["before"]["ops"].pop(), "pass fuse-convs: Conv a → c: "
        "one of the ops of the region before is not the recorded one",
    ),
    "a region's output": (
        lambda d: record(d, 1)["after"].update(outputs=["z"]), "pass fuse-convs: Conv a, Conv c",
    ),
    "the digest of a region before": (
        lambda d: record(d)["before"].update(digest="0" * 40), "the digest of the region before",
    ),
    "the digest of a region after": (
        lambda d: record(d)["after"].update(digest="0" * 40), "the digest of the region after",
    ),
    "the class": (
        lambda d: record(d).update({"class": "rounding"}), "pass fold-affine: Conv a, Mul m → m",
    ),
    "the class, with an allowance": (
        lambda d: record(d).update({"class": "rounding", "allowed": 1e-3}), "pass fold-affine: ",
    ),
    "the allowance": (
        lambda d: record(d).update(allowed=0.5), "it allows 0.0e+00, recorded: 5.0e-01",
    ),
    "a rounding bound": (
        lambda d: record(d)["rounding"].update(worst=1e-12),
        "pass fold-affine: Conv a, Mul m → m: the rounding bounds are not the recorded ones",
    ),
    "no rounding bound": (
        lambda d: record(d).update(rounding=None), "the rounding bounds are not the recorded ones",
    ),
    "the first record dropped": (
        lambda d: drop(d, 0), "Conv a, Mul m → m: is rewritten, which is not recorded",
    ),
    "the last record dropped": (
        lambda d: drop(d, 1), "pass fuse-convs: Conv a, Conv c → c: is rewritten, which is not",
    ),
    "a record made up": (
        lambda d: d["passes"][2]["records"].append(record(d, 0)),
        "pass fuse-convs: Conv a, Mul m → m: is not rewritten again",
    ),
    "records of two passes exchanged": (swap, "pass fold-affine: Conv a, Conv c → c: "),
    "the graph before a pass": (
        lambda d: d["passes"][1].update(before="0" * 40), "pass fold-affine: the graph before it",
    ),
    "the graph after a pass": (
        lambda d: d["passes"][1].update(after="0" * 40), "pass fold-affine: the graph after it",
    ),
    "a pass dropped": (lambda d: d["passes"].pop(1), "not those of the pipeline"),
    "another pipeline": (
        lambda d: d.update(pipeline=d["pipeline"].replace("fuse-convs", "lower-to-gemm")),
        "not those of the pipeline",
    ),
    "another original": (
        lambda d: d.update(original="0" * 40), "a.onnx: is not the model that the proof begins",
    ),
    "another result": (
        lambda d: d.update(result="0" * 40), "b.onnx: is not the model that the proof ends with",
    ),
    "a pass that is said not to be repeatable": (
        lambda d: d["passes"][2].update(repeatable=False), "pass fuse-convs: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgeries_are_caught_by_the_digest(forgery: str, files: Files, capsys: Capture) -> None:
    change(files, FORGERIES[forgery][0], sign=False)
    caught(files, capsys, "b.onnx: belongs to another proof, or", "was changed")


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forgeries_with_a_new_digest_are_caught_by_the_replay(
    forgery: str, files: Files, capsys: Capture
) -> None:
    edit, says = FORGERIES[forgery]
    change(files, edit, sign=True)
    caught(files, capsys, says)


def test_all_else_is_held_by_the_digest(files: Files, capsys: Capture) -> None:
    """Notes, versions, the verdict: nothing of the file can be changed unseen."""
    proof = files[0]
    text = proof.read_text()
    edits: list[Callable[[Document], object]] = [
        lambda d: d.update(verdict="identical"),
        lambda d: d["notes"].append("made by hand"),
        lambda d: d["versions"].update(convc="9.9"),
        lambda d: d.update(seed=5),
        lambda d: d.update(extra=1),
        lambda d: record(d).update(note="nothing"),
        lambda d: record(d).update(residual=0.0),
    ]
    for edit in edits:
        proof.write_text(text)
        change(files, edit, sign=False)
        caught(files, capsys, "belongs to another proof")


def test_another_result_with_the_digest_is_caught(files: Files, capsys: Capture) -> None:
    """One weight of the result changed by hand; the metadata is still there."""
    result = files[2]
    found = onnx.load(result)
    weight = next(w for w in found.graph.initializer if len(w.dims) == 4)
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[7] *= 1.0000001
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(found, result)
    caught(files, capsys, "b.onnx: is not the model that the proof ends with")


def test_models_swapped_or_of_another_pair(files: Files, capsys: Capture, tmp_path: Path) -> None:
    proof, original, result = files
    caught((proof, result, original), capsys, "names no proof", "are A and B swapped?")
    caught((proof, result, result), capsys, "b.onnx: is not the model that the proof begins with")
    other = write(tmp_path / "other.onnx", model([node("Relu", "x", "y")]))
    caught((proof, other, result), capsys, "other.onnx: is not the model that the proof begins")
    caught((proof, original, other), capsys, "other.onnx: names no proof")
    again = tmp_path / "again.onnx"
    assert call("optimize", original, "-o", again, "--proof", "--passes", "fold-affine") == 0
    caught((proof, original, again), capsys, "again.onnx: belongs to another proof")


def test_other_versions_are_named_where_it_fails(files: Files, capsys: Capture) -> None:
    def edit(document: Document) -> None:
        document["versions"]["numpy"] = "1.0"
        record(document)["after"]["digest"] = "0" * 40

    change(files, edit, sign=True)
    caught(files, capsys, "it was made with numpy 1.0 (here ")


def test_a_residual_within_the_allowance_is_compared_too(tmp_path: Path, capsys: Capture) -> None:
    """A rewrite of class rounding may change something: by as much as is recorded, to a percent."""
    original, result = ROOT / "models" / "separable_full.onnx", tmp_path / "b.onnx"
    proof = tmp_path / "b.onnx.proof.json"
    assert call("optimize", original, "-o", result, "--proof", "--verify", "off", "--quiet") == 0
    known = record(json.loads(proof.read_text()))
    assert known["class"] == "rounding"
    assert 1e-9 < known["residual"] < known["allowed"] / 100
    files = (proof, original, result)
    for forged in (0.0, known["residual"] / 2, known["residual"] * 1.1, known["allowed"]):
        change(files, lambda d, r=forged: record(d).update(residual=r), sign=True)
        caught(files, capsys, "pass choose(", "the residual is ", "recorded: ")
    change(files, lambda d: record(d).update(residual=known["residual"]), sign=True)
    assert check(files, capsys)[0] == 0
