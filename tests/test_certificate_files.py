"""``convc optimize --proof`` and ``convc verify --proof``: files, forgeries, wrong inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import convc
from convc.certificate.records import METADATA, digest_of
from tests.approximate.test_fitting import network, smooth
from tests.certificate_helpers import (  # noqa: F401  # two fixtures
    PASSES,
    Document,
    Files,
    caught,
    change,
    check,
    files_fixture,
    made_fixture,
    record,
)
from tests.cli_helpers import Capture, call, refused
from tests.conftest import ROOT
from tests.test_api import chain, wrong_pass  # noqa: F401  # a fixture
from tests.tiny import FLOAT, kernel, model, node, write


def test_the_proof_lies_beside_the_model_and_holds(files: Files, capsys: Capture) -> None:
    proof, _, result = files
    document = json.loads(proof.read_text())
    assert document["format"] == "convc-proof"
    assert document["rewrites"] == 2
    assert record(document)["before"]["ops"] == ["Conv a", "Mul m"]
    (entry,) = [e for e in onnx.load(result).metadata_props if e.key == METADATA]
    assert entry.value == digest_of(document)
    code, out, _ = check(files, capsys)
    assert code == 0
    first, second = out.splitlines()[:2]
    assert first.startswith("the proof holds: 2 rewrites found, proved and applied again; ")
    assert second.startswith("equal")
    code, out, _ = check(files, capsys, "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["verify"]["verdict"] == "equal"
    assert answer["proof"]["holds"] is True
    assert answer["proof"]["rewrites"] == 2
    assert answer["proof"]["seed"] != document["seed"]


def test_python_reads_the_same_files(files: Files) -> None:
    proof, original, result = files
    assert convc.replay(proof, original, result).rewrites == 2
    assert convc.replay(proof, convc.load(original), convc.load(result)).rewrites == 2


def test_the_layout_of_the_file_does_not_matter(files: Files, capsys: Capture) -> None:
    change(files, dict, sign=False)  # only the white space
    assert check(files, capsys)[0] == 0


def test_names_of_the_models_do_not_matter(files: Files, capsys: Capture, tmp_path: Path) -> None:
    proof, original, result = files
    moved = (tmp_path / "p.json", tmp_path / "x.onnx", tmp_path / "y.onnx")
    for old, new in zip(files, moved, strict=True):
        old.rename(new)
    assert check(moved, capsys)[0] == 0
    assert {path.exists() for path in (proof, original, result)} == {False}


def test_the_text_form_of_a_model_has_a_proof_too(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path / "a.onnx", chain())
    assert call("print", tmp_path / "a.onnx", "--weights", "-o", tmp_path / "a.mlir") == 0
    a, b = tmp_path / "a.mlir", tmp_path / "b.mlir"
    assert call("optimize", a, "-o", b, "--proof", *PASSES) == 0
    assert check((tmp_path / "b.mlir.proof.json", a, b), capsys)[0] == 0


def test_open_sizes_are_those_of_the_proof(tmp_path: Path) -> None:
    """What pays may depend on the sizes, which only the user knows."""
    a, b = ROOT / "models" / "sesr_m5_x2.onnx", tmp_path / "b.onnx"
    sizes = ("--dim", "height=40", "--dim", "width=48", "--verify", "off")
    assert call("optimize", a, "-o", b, "--proof", *sizes) == 0
    proof = tmp_path / "b.onnx.proof.json"
    assert json.loads(proof.read_text())["sizes"] == {"batch": 1, "height": 40, "width": 48}
    assert json.loads(proof.read_text())["verdict"] is None
    assert convc.replay(proof, a, b).rewrites > 5


def test_local_functions_and_the_digest_of_the_proof_are_both_in_the_shell(
    tmp_path: Path, capsys: Capture
) -> None:
    """The digest of a model with functions does not depend on the metadata beside them."""
    body = onnx.helper.make_function(
        "own", "Twice", ["v"], ["w"], [node("Add", "v v", "w")],
        [onnx.helper.make_opsetid("", 17)],
    )  # fmt: skip
    nodes = [node("Identity", "x", "i"), node("Twice", "i", "y", domain="own")]
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    write(a, model(nodes, domains=["own"], functions=[body]))
    assert call("optimize", a, "-o", b, "--proof", "--passes", "simplify") == 0
    files = (tmp_path / "b.onnx.proof.json", a, b)
    assert check(files, capsys)[0] == 0
    other = onnx.load(b)
    other.functions[0].node[0].op_type = "Mul"
    onnx.save(other, b)
    caught(files, capsys, "b.onnx: is not the model that the proof ends with")


def test_functions_that_only_a_subgraph_calls_count(tmp_path: Path, capsys: Capture) -> None:
    """The branch that calls one is hardly ever taken: no comparison would see the difference."""
    twice = onnx.helper.make_function(
        "own", "Twice", ["v"], ["w"], [node("Add", "v v", "w")],
        [onnx.helper.make_opsetid("", 17)],
    )  # fmt: skip
    result = onnx.helper.make_tensor_value_info("r", FLOAT, None)
    then, otherwise = (
        onnx.helper.make_graph([made], "branch", [], [result])
        for made in (node("Twice", "i", "r", domain="own"), node("Identity", "i", "r"))
    )
    nodes = [
        node("Mul", "x two", "i"),
        node("ReduceMax", "i", "most", keepdims=0),
        node("Greater", "most limit", "large"),
        node("If", "large", "y", then_branch=then, else_branch=otherwise),
    ]
    weights = {"two": np.float32([2]), "limit": np.array(1e30, np.float32)}
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    write(a, model(nodes, weights, domains=["own"], functions=[twice]))
    assert call("optimize", a, "-o", b, "--proof", "--passes", "simplify") == 0
    files = (tmp_path / "b.onnx.proof.json", a, b)
    assert check(files, capsys)[0] == 0
    other = onnx.load(b)
    other.functions[0].node[0].op_type = "Mul"
    onnx.save(other, b)
    caught(files, capsys, "b.onnx: is not the model that the proof ends with")


# -- wrong inputs ---------------------------------------------------------------------------------


def test_wrong_inputs_are_told_in_one_line(files: Files, capsys: Capture, tmp_path: Path) -> None:
    _, original, result = files
    bad = tmp_path / "bad.json"
    deep = "[" * 100_000
    for text, says in (
        ("", "is no JSON"),
        ("{", "is no JSON"),
        (deep, "is no JSON"),
        ('{"version": ' + 5000 * "1" + "}", "is no JSON"),
        ("[1, 2]", "is no proof of convc"),
        ("null", "is no proof of convc"),
        ('{"input": "x.onnx"}', "is no proof of convc"),
        ('{"format": "convc-proof", "version": 2}', "version 2, and this convc reads version 1"),
        ('{"format": "convc-proof"}', "of version null"),
        ('{"format": "convc-proof", "version": 1}', "versions is not an object"),
        ('{"format": "convc-proof", "version": NaN}', "NaN is no number"),
        ('{"format": "convc-proof", "extra": 1e999}', "1e999 is no number"),
    ):
        bad.write_text(text)
        line = refused(capsys, "verify", "--proof", bad, original, result, says=says)
        assert "bad.json" in line
    bad.write_bytes(b"\xff\xfe\x00")
    refused(capsys, "verify", "--proof", bad, original, result, says="is no text")
    refused(capsys, "verify", "--proof", tmp_path, original, result, says="is a folder")
    missing = tmp_path / "missing.json"
    refused(capsys, "verify", "--proof", missing, original, result, says="no such file")
    refused(capsys, "verify", "--proof", "", original, result, says="the name is empty")
    refused(capsys, "verify", "--proof", files[0], missing, result, says="no such file")


WRONG: list[tuple[Callable[[Document], object], str]] = [
    (lambda d: d.pop("passes"), "passes is not a list"),
    (lambda d: d.update(passes=[1]), "passes[0] is not an object"),
    (lambda d: d["passes"][1].pop("records"), "passes[1]: records is not a list"),
    (lambda d: record(d).pop("before"), "passes[1]: records[0]: before is not an object"),
    (lambda d: record(d)["after"].update(ops="Conv"), "records[0]: after: ops is not a list"),
    (lambda d: record(d)["after"].update(ops=[3]), "after: ops is not a list of texts"),
    (lambda d: record(d).update(residual="0"), "residual is not a number or null"),
    (lambda d: record(d).update(residual=-1), "residual is not a finite number from 0 up"),
    (lambda d: record(d).update(residual=True), "residual is not a number or null"),
    (lambda d: record(d).update(residual=10**400), "residual is not a finite number from 0 up"),
    (lambda d: record(d).update(allowed=None), "allowed is not a number"),
    (lambda d: record(d).update({"class": "true"}), "class is not one of exact, rounding"),
    (lambda d: record(d).update(rounding={"worst": "x"}), "rounding: worst is not a number"),
    (lambda d: d.update(seed=-1), "seed is not a number from 0 up"),
    (lambda d: d.update(seed=True), "seed is not a whole number"),
    (lambda d: d.update(objective="latency"), "objective is not one of macs, params"),
    (lambda d: d.update(sizes={"n": "one"}), "sizes: n is not a whole number"),
    (lambda d: d.update(sizes={"n": 10**30}), "sizes: n is not a size below 2^31"),
    (lambda d: d["passes"][0].update(decisions=[[1]]), "decisions is not a list of rounds"),
    (lambda d: d["passes"][0].update(decisions=3), "decisions is not a list or null"),
    (lambda d: d.update(pipeline="no-such-pass"), "unknown pass"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_fields_of_the_wrong_kind_are_named(number: int, files: Files, capsys: Capture) -> None:
    edit, says = WRONG[number]
    change(files, edit, sign=True)
    refused(capsys, "verify", "--proof", *files, says=says)


def test_sizes_that_the_model_has_not(files: Files, capsys: Capture) -> None:
    change(files, lambda d: d.update(sizes={"width": 5}), sign=True)
    caught(files, capsys, "is not a model that the proof is about", "no such open dim")


def test_a_proof_is_of_one_step_only(files: Files, capsys: Capture, tmp_path: Path) -> None:
    """What is made of a result without a proof does not name the result's own proof."""
    proof, original, result = files
    again = tmp_path / "again.onnx"
    assert call("optimize", result, "-o", again, "--passes", "simplify") == 0
    caught((proof, original, again), capsys, "again.onnx: names no proof in its metadata")
    assert call("optimize", result, "-o", again, "--passes", "simplify", "--proof") == 0
    assert check((tmp_path / "again.onnx.proof.json", result, again), capsys)[0] == 0


def test_a_proof_without_a_file_is_refused(made: Path, capsys: Capture) -> None:
    says = "--proof writes a file, and --dry-run writes none"
    refused(capsys, "optimize", made / "a.onnx", "--proof", "--dry-run", says=says)


@pytest.mark.usefixtures("wrong_pass")
def test_a_proof_that_fails_leaves_neither_model_nor_proof(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path / "a.onnx", chain())
    target = tmp_path / "b.onnx"
    passes = ("--passes", "fold-affine,flip", "--quiet")
    assert call("optimize", tmp_path / "a.onnx", "-o", target, "--proof", *passes) == 1
    line = capsys.readouterr().err
    assert "pass flip: " in line
    assert "differs by" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.reproducer.mlir"]


def test_a_proof_that_cannot_be_written_is_told_before_the_work(
    made: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "b.onnx"
    (tmp_path / "b.onnx.proof.json").mkdir()
    refused(capsys, "optimize", made / "a.onnx", "-o", target, "--proof", says="is a folder")
    assert not target.exists()


def test_no_model_names_a_proof_that_is_not_there(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof is written first; where that fails there is no model."""
    import convc.commands.optimize

    def fail(*_: object) -> None:
        raise convc.ConvcError("the disk is full")

    target = tmp_path / "b.onnx"
    command = ("optimize", made / "a.onnx", "-o", target, "--proof", "--quiet", *PASSES)
    monkeypatch.setattr(convc.commands.optimize, "write_certificate", fail)
    assert call(*command) == 2
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr(convc.commands.optimize, "save", fail)
    assert call(*command) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["b.onnx.proof.json"]


def test_the_summary_and_the_json_tell_of_the_proof(
    made: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "b.onnx"
    command = ("optimize", made / "a.onnx", "-o", target, "--proof", *PASSES)
    assert call(*command) == 0
    assert "proof 2 rewrites, largest residual" in " ".join(capsys.readouterr().err.split())
    assert call(*command, "--json", "--quiet") == 0
    told = json.loads(capsys.readouterr().out)["proof"]
    assert told["file"] == f"{target}.proof.json"
    assert told["rewrites"] == 2
    assert told["gaps"] == []
    assert call("optimize", made / "a.onnx", "-o", target, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["proof"] is None


def test_each_of_several_models_has_its_proof(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path / "one.onnx", chain())
    write(tmp_path / "two.onnx", model([node("Relu", "x", "y")]))
    out = tmp_path / "out"
    assert call("optimize", tmp_path, "-o", out, "--proof", "--quiet", *PASSES) == 0
    for name in ("one", "two"):
        files = (out / f"{name}.onnx.proof.json", tmp_path / f"{name}.onnx", out / f"{name}.onnx")
        assert check(files, capsys)[0] == 0


def test_what_is_fitted_to_data_cannot_be_repeated(tmp_path: Path, capsys: Capture) -> None:
    """What comes before it is replayed; then the line says where it ends, and why."""
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    convc.save(network(), a)
    np.savez(tmp_path / "data.npz", x=np.concatenate([feeds["x"] for feeds in smooth(24, 1)]))
    options = ("--max-error", "0.6", "--data", tmp_path / "data.npz", "--proof", "--quiet")
    passes = "simplify,approximate(factor-kernels,select-channels),simplify"
    assert call("optimize", a, "-o", b, *options, "--passes", passes) == 0
    says = "fitted to data, within the error that was allowed: it cannot be done again; 0 rewrites"
    files = (tmp_path / "b.onnx.proof.json", a, b)
    caught(files, capsys, "pass approximate(factor-kernels,select-channels): ", says)
    # Who hides that finds that the graph behind it is another one.
    change(files, lambda d: d["passes"][1].update(repeatable=True, unproved=None), sign=True)
    caught(files, capsys, "pass approximate(factor-kernels,select-channels): the graph after it")
    # Where no form was good enough the model is the exact one, and its proof is whole.
    options = ("--max-error", "1e-7", *options[2:])
    assert call("optimize", a, "-o", b, *options, "--passes", passes) == 0
    assert check(files, capsys)[0] == 0


def test_an_approximation_is_told_and_not_called_proved(tmp_path: Path, capsys: Capture) -> None:
    weights = {"w": kernel(1, 32, 4, 5, 5)}
    a, b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    write(a, model([node("Conv", "x w", "y")], weights, inputs={"x": (FLOAT, (1, 4, 12, 10))}))
    passes = "factor-kernels{kinds=separable max-error=0.9 block=4}"
    options = ("--passes", passes, "--verify", "off")
    assert call("optimize", a, "-o", b, "--proof", *options) == 0
    assert "not proved: pass factor-kernels" in " ".join(capsys.readouterr().err.split())
    caught((tmp_path / "b.onnx.proof.json", a, b), capsys, "Conv y → y: approximate")
