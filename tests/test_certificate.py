"""Certificates in Python: what is recorded, and what a replay of it proves again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import convc
import convc.api
from convc.certificate import (
    Certificate,
    Region,
    model_digest,
    recorder,
    replay,
    replaying,
    write_certificate,
)
from convc.certificate.equalities import Equalities
from convc.certificate.reading import read_certificate
from convc.certificate.records import METADATA, digest_of
from convc.errors import CannotProveError, ProofError
from convc.graph import Graph
from convc.ir import Value
from convc.onnx_io import model_metadata
from convc.pipeline import Context, Pipeline
from convc.proof import TOLERANCE, prove
from convc.rewrite import Replacement, Rewrite, Stats, apply
from convc.tuning import Tuner
from passes import FuseConvs, Simplify
from tests.conftest import ROOT
from tests.test_api import Flip, chain
from tests.test_latency import Liar, convs
from tests.tiny import graph_of, kernel, model, node
from tests.tuning_helpers import PricedWatch

FUSE = "simplify,fold-affine,fuse-convs,simplify"


def recorded(graph: Graph, passes: str | Pipeline = FUSE, **options: object) -> convc.Result:
    result = convc.optimize(graph, passes, proof=True, **options)  # type: ignore[arg-type]
    assert result.certificate is not None
    return result


def certificate(graph: Graph, passes: str | Pipeline = FUSE, **options: object) -> Certificate:
    found = recorded(graph, passes, **options).certificate
    assert found is not None
    return found


def test_each_rewrite_leaves_a_record() -> None:
    result = recorded(graph_of(chain()))
    found = result.certificate
    assert found is not None
    applied = {report.text: report.stats.applied for report in result.reports}
    assert applied == {"simplify": 0, "fold-affine": 1, "fuse-convs": 1}
    assert [trail.text for trail in found.passes] == [report.text for report in result.reports]
    (folding, fold), (_, fuse) = found.records()
    assert folding.text == "fold-affine"
    assert (fold.before.inputs, fold.before.outputs) == (("x",), ("m",))
    assert fold.before.ops == ("Conv a", "Mul m")
    assert fold.after.ops == ("Conv a",)
    assert fold.exactness == "exact"
    assert fold.residual is not None
    assert fold.residual <= TOLERANCE
    assert fold.allowed == 0.0
    assert fuse.before.ops == ("Conv a", "Conv c")
    assert fuse.note == "3×3 ∘ 1×1 → 3×3"
    assert found.gaps() == []
    assert found.verdict == "equal"
    assert found.original == model_digest(graph_of(chain()))
    assert found.result == model_digest(result.graph)
    assert model_metadata(result.graph.header)[METADATA] == found.digest


def test_without_being_asked_nothing_is_recorded() -> None:
    result = convc.optimize(graph_of(chain()), FUSE)
    assert result.certificate is None
    assert METADATA not in model_metadata(result.graph.header)


def test_the_digest_is_that_of_the_content() -> None:
    found = certificate(graph_of(chain()))
    document = found.as_json()
    assert digest_of(dict(reversed(document.items()))) == found.digest
    assert replace(found, seed=7).digest != found.digest
    assert certificate(graph_of(chain())).digest == found.digest


def test_the_file_gives_the_certificate_back(tmp_path: Path) -> None:
    found = certificate(graph_of(chain()))
    write_certificate(found, tmp_path / "proof.json")
    again, digest = read_certificate(tmp_path / "proof.json")
    assert again == found
    assert digest == found.digest


def test_a_replay_proves_each_rewrite_on_other_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(chain())
    before = model_digest(graph)
    found = certificate(graph, seed=3)
    seeds: list[int] = []

    def spy(graph: Graph, rewrite: Rewrite, seed: int = 0) -> float:
        seeds.append(seed)
        return prove(graph, rewrite, seed)

    monkeypatch.setattr(replaying, "prove", spy)
    again = replay(found, graph, seed=3)
    assert seeds == [4, 4]
    assert (again.rewrites, again.seed) == (2, 4)
    assert model_digest(again.graph) == found.result
    assert model_digest(graph) == before
    assert 0.0 < again.residual <= TOLERANCE
    assert again.recorded == found.residual


def test_a_proof_that_fails_now_names_pass_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    found = certificate(graph_of(chain()))

    def fail(graph: Graph, rewrite: Rewrite, seed: int = 0) -> float:
        if rewrite.note.startswith("3×3"):
            raise ProofError("it differs by 2.0e-03 of its scale")
        return prove(graph, rewrite, seed)

    monkeypatch.setattr(replaying, "prove", fail)
    with pytest.raises(ProofError, match=r"pass fuse-convs: Conv a, Conv c → c: .*2\.0e-03"):
        replay(found, graph_of(chain()))


def test_what_could_not_be_proved_is_left_alone_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def reluctant(graph: Graph, rewrite: Rewrite, seed: int = 0) -> float:
        if rewrite.note.startswith("3×3"):
            raise CannotProveError("a size is not known")
        return prove(graph, rewrite, seed)

    for room in (recorder, replaying):
        monkeypatch.setattr(room, "prove", reluctant)
    found = certificate(graph_of(chain()))
    assert len(list(found.records())) == 1
    assert replay(found, graph_of(chain())).rewrites == 1


def test_another_graph_is_not_the_original() -> None:
    found = certificate(graph_of(chain()))
    last, another = (kernel(seed, 3, 8, 1, 1).tobytes() for seed in (4, 5))
    other = graph_of(chain().replace(last, another))
    with pytest.raises(ProofError, match="not the one that the proof begins with"):
        replay(found, other)


def test_sharing_and_dead_code_need_no_proof_but_are_followed() -> None:
    """Equal weights become one, and what nobody uses goes: neither is a rewrite."""
    nodes = [
        node("Conv", "x w", "a"),
        node("Conv", "x w_again", "b"),
        node("Add", "a b", "y"),
        node("Abs", "x", "unused"),
    ]
    same = kernel(1, 8, 4, 3, 3)
    graph = graph_of(model(nodes, {"w": same, "w_again": same.copy()}))
    found = certificate(graph, "simplify")
    assert [record.note for _, record in found.records()] == ["equal Conv: shared"]
    assert found.gaps() == []
    assert replay(found, graph).rewrites == 1


@dataclass(frozen=True)
class Unproved(convc.Pass):
    """Does what it likes, and asks nobody."""

    name: ClassVar[str] = "unproved"

    def run(self, graph: Graph, context: Context | None = None) -> Stats:  # noqa: ARG002
        relu = next(op for op in graph.ops() if op.kind == "Relu")
        made = graph.add("Abs", relu.operands, types=[relu.result.type])
        graph.replace_uses(relu.result, made.result)
        graph.erase_dead([relu])
        return Stats(applied=1)


def test_what_a_pass_does_beside_its_proofs_is_a_gap() -> None:
    graph = graph_of(chain())
    pipeline = Pipeline([Simplify(), Unproved(), FuseConvs()])
    found = certificate(graph, pipeline, verify="off")
    assert found.gaps() == ["pass unproved: it changed 'y' by more than its proved rewrites"]
    # What comes after it is judged from there on.
    assert [trail.unproved == "" for trail in found.passes] == [True, False, True]


def test_a_gap_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that hides its gap does not hold: the replay looks for itself."""
    pipeline = Pipeline([Unproved()])
    monkeypatch.setattr(Pipeline, "parse", classmethod(lambda _, __: pipeline))
    graph = graph_of(chain())
    found = certificate(graph, pipeline, verify="off")
    with pytest.raises(ProofError, match="pass unproved: it changed 'y' by more than"):
        replay(found, graph)
    hidden = replace(found, passes=tuple(replace(t, unproved="") for t in found.passes))
    with pytest.raises(ProofError, match="pass unproved: it changed 'y' by more than"):
        replay(hidden, graph)


def test_approximate_rewrites_are_gaps() -> None:
    """Named passes with an error of their own: repeated, but no proof that they are the same."""
    graph = graph_of(model([node("Conv", "x w", "y")], {"w": kernel(1, 32, 4, 5, 5)}))
    found = certificate(
        graph, "factor-kernels{kinds=separable max-error=0.9 block=4}", verify="off"
    )
    ((_, record),) = found.records()
    assert (record.exactness, record.residual) == ("approximate", None)
    assert len(found.gaps()) == 1
    with pytest.raises(ProofError, match="Conv y → y: approximate"):
        replay(found, graph)


@pytest.mark.parametrize("name", ["redundant_ops", "dead_filters", "repvgg_block"])
def test_on_the_models_of_the_project(name: str) -> None:
    path = ROOT / "models" / f"{name}.onnx"
    found = convc.optimize(path, objective="macs", verify="off", proof=True).certificate
    assert found is not None
    count = len(list(found.records()))
    assert count >= 1
    assert replay(found, convc.load(path, found.sizes)).rewrites == count


# -- the clock ------------------------------------------------------------------------------------


@pytest.fixture
def with_watch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[PricedWatch], PricedWatch]:
    """Makes the tuner ask a watch of the test's own, which remembers nothing from other tests."""
    monkeypatch.setenv("CONVC_CACHE", str(tmp_path / "cache"))

    def use(watch: PricedWatch) -> PricedWatch:
        monkeypatch.setattr(convc.api, "Tuner", partial(Tuner, watch=watch))
        return watch

    return use


Use = Callable[[PricedWatch], PricedWatch]
TIMED = "simplify,fold-affine,choose(fuse-convs,lower-to-gemm),simplify"


def test_choices_of_the_clock_are_repeated_without_it(with_watch: Use) -> None:
    watch = with_watch(PricedWatch(convs, convs))
    graph = graph_of(chain())
    result = recorded(graph, TIMED, objective="latency")
    found = result.certificate
    assert found is not None
    choice = found.passes[2]
    assert choice.text == "choose(fuse-convs,lower-to-gemm)"
    assert choice.decisions is not None
    assert choice.records
    asked = len(watch.asked)
    assert asked > 0
    again = replay(found, graph)
    assert model_digest(again.graph) == model_digest(result.graph)
    assert len(watch.asked) == asked
    # Other decisions do not give the recorded rewrites.
    forged = replace(choice, decisions=((),))
    passes = tuple(forged if trail is choice else trail for trail in found.passes)
    with pytest.raises(ProofError, match=r"pass choose.* is not rewritten again"):
        replay(replace(found, passes=passes), graph)
    nonsense = replace(choice, decisions=(((99, choice.decisions[0][0][1]),),))
    passes = tuple(nonsense if trail is choice else trail for trail in found.passes)
    with pytest.raises(ProofError, match="pass choose"):
        replay(replace(found, passes=passes), graph)


def test_only_the_run_that_made_the_result_is_recorded(with_watch: Use) -> None:
    """The last check takes a choice back: the certificate is of what is left."""
    with_watch(Liar(lambda graph: 10.0 - convs(graph), lambda graph: 10.0 - convs(graph)))
    graph = graph_of(chain())
    result = recorded(graph, FUSE.replace("fuse-convs", "choose(fuse-convs)"), objective="latency")
    assert result.after.convs == 2
    found = result.certificate
    assert found is not None
    assert [len(trail.records) for trail in found.passes] == [0, 1, 0, 0]
    assert replay(found, graph).rewrites == 1


def test_where_the_model_stays_as_it_was_no_rewrite_is_recorded(with_watch: Use) -> None:
    with_watch(Liar(lambda graph: 10.0 - convs(graph), lambda graph: 10.0 - convs(graph)))
    graph = graph_of(chain())
    result = convc.optimize(graph, objective="latency", proof=True)
    found = result.certificate
    assert found is not None
    assert list(found.records()) == []
    assert found.pipeline == ""
    assert "the model stays as it was" in found.notes[0]
    assert found.result == found.original
    assert replay(found, graph).rewrites == 0


# -- what follows from what -----------------------------------------------------------------------


def branches() -> Graph:
    """y = Neg(Relu(x)) + Neg(Abs(x))."""
    nodes = [
        node("Relu", "x", "r"), node("Neg", "r", "nr"),
        node("Abs", "x", "a"), node("Neg", "a", "na"),
        node("Add", "nr na", "y"),
    ]  # fmt: skip
    return graph_of(model(nodes))


def named(graph: Graph, name: str) -> Value:
    return next(v for op in graph.ops() for v in op.results if v.name == name)


def learn(equalities: Equalities, graph: Graph, rewrite: Rewrite) -> None:
    region = graph.extract(rewrite.cut, (*rewrite.inputs, *rewrite.outputs))
    equalities.learn(rewrite, region, rewrite.after)


def stands_for(graph: Graph, old: str, kind: str, operand: str) -> Rewrite:
    """Proposes ``kind`` of a value for another value; true or not."""
    made = Replacement(graph)
    return made.rewrite({named(graph, old): made.op(kind, (made.take(named(graph, operand)),))})


def test_an_equality_holds_wherever_its_terms_stand() -> None:
    """What is said of Relu(x) holds for Neg(Relu(x)), and for a copy of it made later."""
    graph = branches()
    equalities = Equalities(graph)
    learn(equalities, graph, stands_for(graph, "r", "Abs", "x"))
    # Now Relu(x) and Abs(x) are the same: so are the two Negs, though nobody said so.
    for use, index in graph.uses(named(graph, "na")):
        graph.set_operand(use, index, named(graph, "nr"))
    assert equalities.check(graph) == ""
    graph.erase_dead(graph.ops())
    assert equalities.check(graph) == ""
    copy = graph.add("Neg", (named(graph, "r"),), types=[named(graph, "r").type])
    graph.replace_uses(named(graph, "nr"), copy.result)
    assert equalities.check(graph) == ""


def test_what_was_not_said_does_not_follow() -> None:
    graph = branches()
    equalities = Equalities(graph)
    learn(equalities, graph, stands_for(graph, "nr", "Neg", "a"))
    # Neg(Relu(x)) = Neg(Abs(x)) says nothing about Relu(x) and Abs(x).
    for use, index in graph.uses(named(graph, "nr")):
        graph.set_operand(use, index, named(graph, "na"))
    assert equalities.check(graph) == ""
    graph.set_operand(named(graph, "na").op, 0, named(graph, "r"))
    assert equalities.check(graph) == ""  # Neg(Relu(x)) again
    graph.set_operand(named(graph, "na").op, 0, graph.inputs[0])
    assert equalities.check(graph) == "y"


def test_other_weights_attributes_and_outputs_are_seen() -> None:
    weights = {"w": kernel(1, 8, 4, 3, 3)}
    graph = graph_of(model([node("Conv", "x w", "y", pads=[1] * 4)], weights))
    equalities = Equalities(graph)
    conv = named(graph, "y").op
    assert equalities.check(graph) == ""
    w = graph.add_constant(np.asarray(weights["w"] * np.float32(1.0000001)), "w")
    old = conv.operands[1]
    graph.set_operand(conv, 1, w)
    assert equalities.check(graph) == "y"
    graph.set_operand(conv, 1, old)
    assert equalities.check(graph) == ""
    conv.attributes = {**conv.attributes, "pads": (1, 1, 1, 2)}
    assert equalities.check(graph) == "y"


def test_two_random_draws_are_not_the_same() -> None:
    nodes = [node("RandomNormalLike", "x", "a"), node("RandomNormalLike", "x", "b")]
    graph = graph_of(model([*nodes, node("Sub", "a b", "y")]))
    equalities = Equalities(graph)
    assert equalities.check(graph) == ""
    graph.set_operand(named(graph, "y").op, 1, named(graph, "a"))
    assert equalities.check(graph) == "y"


def test_a_rewrite_of_a_graph_that_was_changed_unseen_does_not_hide_the_change() -> None:
    """The proof is of the region as it is; that the region was another one shows all the same."""
    graph = branches()
    equalities = Equalities(graph)
    graph.set_operand(named(graph, "nr").op, 0, named(graph, "a"))
    rewrite = stands_for(graph, "nr", "Neg", "a")
    learn(equalities, graph, rewrite)
    apply(graph, rewrite)
    assert equalities.check(graph) == "y"


def test_wrong_passes_leave_no_certificate() -> None:
    with pytest.raises(ProofError, match="pass flip"):
        certificate(graph_of(chain()), Pipeline([Flip()]))


def test_regions_of_many_ops_are_told_in_few_words() -> None:
    ops = tuple(f"Conv c{i}" for i in range(60))
    assert (
        str(Region((), ("y",), ops, ""))
        == "Conv c0, Conv c1, Conv c2, … (60 in all) …, Conv c59 → y"
    )
    assert str(Region((), ("y",), (), "")) == "nothing → y"
