"""Proposals: how they are asked for, selected, proved and counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convc.errors import CannotProveError, ProofError
from convc.graph import Graph
from convc.ir import Op, TensorType, Value
from convc.rewrite import (
    NoMatch,
    Replacement,
    Rewrite,
    Rule,
    propose,
    rule,
    sweep,
)

F32 = np.dtype(np.float32)
FLOAT = TensorType(F32, (2, 3))


def chain(*kinds: str) -> Graph:
    graph = Graph()
    value = graph.add_input("x", FLOAT)
    for i, kind in enumerate(kinds):
        value = graph.add(kind, (value,), types=(FLOAT,), names=(f"v{i}",), name=f"n{i}").result
    graph.set_outputs([value], ["y"])
    return graph


def kinds_of(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops() if not op.is_boundary and op.array is None]


def source(op: Op) -> Value:
    assert op.operands[0] is not None
    return op.operands[0]


def drop(graph: Graph, op: Op) -> Rewrite:
    """Identity(x) → x."""
    build = Replacement(graph)
    return build.rewrite({op.result: build.take(source(op))}, note="dropped")


def merge(graph: Graph, op: Op) -> Rewrite:
    """Neg(Neg(x)) → x, for a Neg that only the other one uses."""
    inner = source(op).op
    if inner.kind != "Neg":
        raise NoMatch(f"after {inner.kind}")
    if len(graph.uses(inner.result)) > 1:
        raise NoMatch("the inner Neg has other users")
    build = Replacement(graph)
    return build.rewrite({op.result: build.take(source(inner))}, note="cancelled")


def decline(_graph: Graph, op: Op) -> Rewrite:
    raise NoMatch(f"not for {op.kind}")


def be_silent(_graph: Graph, _op: Op) -> Rewrite:
    raise NoMatch


# -- sweep -------------------------------------------------------------------------------------


def test_a_rule_is_applied_wherever_it_matches_and_counted() -> None:
    graph = chain("Identity", "Relu", "Identity", "Identity")
    stats = sweep(graph, [rule(drop, "Identity")])
    graph.verify()
    assert kinds_of(graph) == ["Relu"]
    assert stats.applied == 3
    assert dict(stats.notes) == {"dropped": 3}
    assert dict(stats.declined) == {}


@given(st.lists(st.sampled_from(("Neg", "Relu", "Identity")), max_size=12))
def test_a_sweep_ends_where_no_rule_has_more_to_give(kinds: list[str]) -> None:
    rules = [rule(drop, "Identity"), rule(merge, "Neg")]
    graph = chain(*kinds)
    stats = sweep(graph, rules)
    graph.verify()
    assert propose(graph, rules) == []
    left: list[str] = []
    for kind in kinds:
        if kind == "Identity":
            continue
        if kind == "Neg" and left and left[-1] == "Neg":
            left.pop()
        else:
            left.append(kind)
    assert kinds_of(graph) == left
    assert (
        stats.applied
        == kinds.count("Identity") + (len(kinds) - kinds.count("Identity") - len(left)) // 2
    )


def test_a_change_is_seen_by_the_ops_around_it() -> None:
    # The first round visits the outer Neg before the Identities between are gone.
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    outer = graph.add("Neg", (x,), types=(FLOAT,))
    late = graph.add("Neg", (x,), types=(FLOAT,))
    middle = graph.add("Identity", (late.result,), types=(FLOAT,))
    graph.set_operand(outer, 0, middle.result)
    graph.set_outputs([outer.result], ["y"])
    stats = sweep(graph, [rule(merge, "Neg"), rule(drop, "Identity")])
    assert graph.outputs == graph.inputs
    assert stats.applied == 2
    assert dict(stats.declined) == {}


def spread(graph: Graph, op: Op) -> Rewrite:
    """Abs(x) → five ops, an Identity in the middle."""
    build = Replacement(graph)
    value = build.take(source(op))
    for kind in ("Exp", "Exp", "Identity", "Exp", "Exp"):
        value = build.op(kind, (value,))
    return build.rewrite({op.result: value}, note="spread")


@pytest.mark.parametrize("within", [False, True])
def test_the_inside_of_a_replacement_is_visited_where_asked_for(within: bool) -> None:
    graph = chain("Abs")
    sweep(graph, [rule(drop, "Identity"), rule(spread, "Abs")], within=within)
    assert ("Identity" not in kinds_of(graph)) is within
    assert kinds_of(graph).count("Exp") == 4


def test_reasons_are_those_at_the_end_once_for_each_op() -> None:
    graph = chain("Neg", "Identity", "Relu", "Neg", "Identity", "Neg", "Identity", "Neg")
    stats = sweep(graph, [rule(merge, "Neg"), rule(drop, "Identity")])
    assert kinds_of(graph) == ["Neg", "Relu", "Neg"]
    assert stats.applied == 4
    # "after Identity" was said on the way and is true of no op that is left.
    assert dict(stats.declined) == {"after Input": 1, "after Relu": 1}


def test_every_rule_that_declines_is_counted_and_silent_ones_are_not() -> None:
    graph = chain("Relu", "Neg", "Relu")
    stats = sweep(graph, [rule(decline, "Relu"), rule(decline), rule(be_silent)])
    assert dict(stats.declined) == {
        "not for Relu": 4, "not for Neg": 1, "not for Input": 1, "not for Output": 1,
    }  # fmt: skip
    assert stats.applied == 0


def test_rules_of_a_kind_do_not_see_ops_of_other_domains() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOAT)
    op = graph.add("Identity", (x,), types=(FLOAT,), domain="other")
    graph.set_outputs([op.result], ["y"])
    asked: list[Op] = []

    def ask(_graph: Graph, op: Op) -> Rewrite:
        asked.append(op)
        raise NoMatch

    sweep(graph, [rule(ask, "Identity")])
    assert asked == []
    sweep(graph, [rule(ask)])
    assert op in asked


def test_a_selection_may_refuse() -> None:
    graph = chain("Identity", "Relu")
    version = graph.version
    offered: list[int] = []

    def refuse(given: Graph, proposals: Sequence[Rewrite]) -> Rewrite | None:
        assert given is graph
        offered.append(len(proposals))
        return None

    stats = sweep(graph, [rule(drop, "Identity"), rule(drop, "Identity")], refuse)
    assert offered == [2]
    assert graph.version == version
    assert stats.applied == 0
    assert dict(stats.declined) == {"does not pay by the objective": 1}


@pytest.mark.parametrize("declines_first", [True, False])
def test_only_the_last_word_on_an_op_counts(declines_first: bool) -> None:
    graph = chain("Relu", "Identity")
    visits: list[Op] = []

    def waver(graph: Graph, op: Op) -> Rewrite:
        visits.append(op)
        if (len(visits) == 1) is declines_first:
            raise NoMatch("not now")
        return drop(graph, op)

    def refuse_relu(_: Graph, proposals: Sequence[Rewrite]) -> Rewrite | None:
        return proposals[0] if proposals[0].outputs[0].op.kind == "Identity" else None

    stats = sweep(graph, [rule(waver, "Relu"), rule(drop, "Identity")], refuse_relu)
    assert len(visits) == 2
    last = "does not pay by the objective" if declines_first else "not now"
    assert dict(stats.declined) == {last: 1}


def test_the_first_proposal_is_taken_unless_another_is_selected() -> None:
    def keep(graph: Graph, op: Op) -> Rewrite:
        build = Replacement(graph)
        return build.rewrite({op.result: build.op("Abs", [build.take(source(op))])}, note="kept")

    rules = [rule(keep, "Identity"), rule(drop, "Identity")]
    graph = chain("Identity")
    assert dict(sweep(graph, rules).notes) == {"kept": 1}
    graph = chain("Identity")
    assert dict(sweep(graph, rules, lambda _, proposals: proposals[-1]).notes) == {"dropped": 1}


def test_a_proposal_is_proved_before_it_is_applied() -> None:
    graph = chain("Identity", "Identity")
    versions: list[int] = []

    def prove(given: Graph, rewrite: Rewrite) -> float:
        given.verify()
        assert all(value.op in given for value in rewrite.outputs)
        versions.append(given.version)
        return 0.5 / len(versions)

    start = graph.version
    stats = sweep(graph, [rule(drop, "Identity")], prove=prove)
    assert versions[0] == start < versions[1] < graph.version
    assert stats.residual == 0.5


def test_a_failed_proof_stops_everything_with_the_graph_sound() -> None:
    graph = chain("Identity", "Relu")

    def refuse(_graph: Graph, _rewrite: Rewrite) -> float:
        raise ProofError("no")

    with pytest.raises(ProofError):
        sweep(graph, [rule(drop, "Identity")], prove=refuse)
    graph.verify()
    assert kinds_of(graph) == ["Identity", "Relu"]


def test_what_cannot_be_proved_is_left_alone_and_said() -> None:
    graph = chain("Identity", "Relu")

    def shrug(_graph: Graph, _rewrite: Rewrite) -> float:
        raise CannotProveError("a size is not known")

    stats = sweep(graph, [rule(drop, "Identity")], prove=shrug)
    assert (stats.applied, dict(stats.declined)) == (0, {"not proved: a size is not known": 1})
    assert kinds_of(graph) == ["Identity", "Relu"]


def test_an_op_that_an_earlier_change_erased_is_not_visited() -> None:
    graph = chain("Neg", "Neg")
    first, second = (op for op in graph.ops() if op.kind == "Neg")
    asked: list[Op] = []

    def ask(given: Graph, op: Op) -> Rewrite:
        assert op in given
        asked.append(op)
        if op is first:
            build = Replacement(given)
            return build.rewrite({second.result: build.take(source(first))}, note="both")
        raise NoMatch("late")

    stats = sweep(graph, [rule(ask, "Neg")])
    assert asked == [first]
    assert stats.applied == 1
    assert dict(stats.declined) == {}


def test_options_are_bound_to_the_rule() -> None:
    def limited(_graph: Graph, op: Op, *, limit: int) -> Rewrite:
        raise NoMatch(f"{op.kind} {limit}")

    bound = rule(limited, "Relu", "Neg", limit=7)
    assert bound.name == "limited"
    assert bound.kinds == frozenset({"Relu", "Neg"})
    stats = sweep(chain("Relu", "Neg", "Abs"), [bound])
    assert dict(stats.declined) == {"Relu 7": 1, "Neg 7": 1}


def test_propose_finds_everything_and_changes_nothing() -> None:
    graph = chain("Identity", "Neg", "Neg", "Identity")
    version, ops = graph.version, graph.ops()
    found = propose(graph, [rule(drop, "Identity"), rule(merge, "Neg")])
    assert [r.note for r in found] == ["dropped", "cancelled", "dropped"]
    assert (graph.version, graph.ops()) == (version, ops)
    assert not sweep(graph, [Rule(be_silent)]).declined


def test_the_reason_of_a_decline() -> None:
    assert NoMatch("why").reason == "why"
    assert NoMatch().reason == ""


def test_sizes_beyond_64_bits_are_declined() -> None:
    graph = Graph()
    build = Replacement(graph)
    assert build.ints([2**63 - 1]).array == 2**63 - 1
    with pytest.raises(NoMatch, match="a size is beyond 64 bits"):
        build.ints([0, 2**63])
