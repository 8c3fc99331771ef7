"""The search and the whole: forms priced, picked, fitted and held to the limit."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import convc
from convc.approximate import BudgetApproximator, parse_allowance
from convc.approximate.pricing import in_turn
from convc.approximate.search import LARGEST, _next
from convc.errors import UsageError
from convc.feeds import Case
from convc.forms import Form
from convc.graph import Graph
from convc.judge import Verdict
from convc.metrics import relative_error
from convc.pipeline import Approximate, Context, Pipeline
from convc.runtime import Settings
from convc.samples.split import Split
from tests.approximate.test_fitting import forms, halved, network, smooth

ONE = Settings(threads=1)
COUNTED = "simplify,approximate(factor-kernels,select-channels,block-diagonal),simplify"


def approximator(limit: float | str, metric: str = "", held_back: int = 6) -> BudgetApproximator:
    allowed = parse_allowance(limit, metric)
    assert allowed is not None
    split = Split(
        [Case("fit", feeds) for feeds in smooth(48, 1)],
        [Case("held back", feeds) for feeds in smooth(held_back, 2)],
    )
    return BudgetApproximator(split, allowed, settings=ONE, seconds=60)


@pytest.mark.parametrize("limit", [0.02, 0.2, 0.5])
def test_more_error_saves_more_and_the_limit_is_kept(limit: float) -> None:
    graph = network()
    original = graph.clone()
    found = approximator(limit)
    stats = found.approximate(graph, forms)
    judge = found.judge(original)
    assert judge.loss(graph) <= limit
    assert stats.applied == len(found.approximation.forms)
    if limit == 0.5:
        assert stats.applied > 0
        assert judge.loss(graph) > 0.02


def test_it_does_the_same_again() -> None:
    first, second = network(), network()
    found = approximator(0.5)
    found.approximate(first, forms)
    found.approximate(second, forms)
    feeds = smooth(1, 3)[0]
    from convc.reference import evaluate

    np.testing.assert_array_equal(evaluate(first, feeds)[0], evaluate(second, feeds)[0])


def test_a_limit_that_nothing_meets_leaves_the_model() -> None:
    graph = network()
    version = graph.version
    found = approximator(1e-9)
    assert found.approximate(graph, forms).applied == 0
    assert graph.version == version
    assert found.model is None
    assert found.approximation.notes == ["nothing within the error saves time: the result is exact"]


def test_too_few_decisions_are_said() -> None:
    graph = network()
    found = approximator("1%", "top1", held_back=1)
    assert found.approximate(graph, forms).applied == 0
    (note,) = found.approximation.notes
    assert note.startswith("1 inputs held back cannot show less than")


def test_without_an_allowance_nothing_happens() -> None:
    graph = network()
    version = graph.version
    stats = Approximate().run(graph, Context())
    assert (stats.applied, graph.version) == (0, version)


def test_the_text_of_a_group_of_approximations_is_read_back() -> None:
    text = "approximate(select-channels,block-diagonal{width=8}),choose(fuse-convs)"
    assert str(Pipeline.parse(text)) == text
    with pytest.raises(UsageError, match=r"expected '\(' after approximate"):
        Pipeline.parse("approximate")


def test_forms_take_turns_by_kind_from_the_middle() -> None:
    named = [Form(name, partial(halved, rank=1)) for name in ("a 1", "a 2", "a 3", "b 1")]
    assert [form.name for form in in_turn(named)] == ["a 2", "b 1", "a 1", "a 3"]


def test_budgets_grow_by_steps_and_then_lie_between() -> None:
    assert _next(1.0, 1.0, float("inf"), 100.0) == LARGEST
    assert _next(1.0, 1.0, float("inf"), 1.0) == pytest.approx(1.1)
    assert _next(4.0, 1.0, 4.0, 0.5) == 2.0
    assert _next(4.0, 3.0, 4.0, 0.5) == pytest.approx(12**0.5)


def test_optimize_says_what_it_gave_up() -> None:
    graph = network()
    inputs = smooth(12, 1)
    result = convc.optimize(graph, COUNTED, data=inputs, max_error=0.6)
    assert result.verdict is Verdict.WITHIN_BUDGET
    found = result.approximation
    assert found is not None
    assert found.forms
    assert 0 < found.value <= 0.6
    assert result.after.macs < result.before.macs
    assert result.comparison is not None
    assert "inputs held back" in result.comparison.notes[-1]
    assert found.data == "12 samples of 1×3×10×10"


def test_a_named_pass_is_held_to_the_error_allowed() -> None:
    named = "factor-kernels{max-error=0.6}"
    refused = convc.optimize(network(), named, data=smooth(12, 1), max_error=0.01)
    assert refused.verdict is Verdict.DIFFERENT
    assert refused.culprit.startswith("factor-kernels")
    taken = convc.optimize(network(), named, data=smooth(12, 1), max_error=0.99)
    assert taken.verdict is Verdict.WITHIN_BUDGET


def test_an_error_in_the_exact_passes_is_still_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from passes.simplify import Simplify

    plain = Simplify.run

    def lying(self: Simplify, graph: Graph, context: Context | None = None) -> convc.Stats:
        if any(op.kind == "Conv" and len(op.inputs) > 2 for op in graph.ops()):
            wrong = next(op for op in graph.ops() if op.kind == "Conv")
            graph.set_operand(wrong, 1, graph.add_constant(wrong.inputs[1].array * 1.5))
        return plain(self, graph, context)

    monkeypatch.setattr(Simplify, "run", lying)
    result = convc.optimize(network(), COUNTED, data=smooth(12, 1), max_error=0.6)
    assert result.verdict is Verdict.DIFFERENT
    assert result.culprit == "simplify"


def test_the_curve_holds_what_no_other_model_beats() -> None:
    found = approximator(0.5)
    found.approximate(network(), forms)
    curve = found.approximation.curve
    assert curve
    assert set(curve) <= set(found.approximation.tried)
    assert [saved for saved, _ in curve] == sorted(saved for saved, _ in curve)
    assert [loss for _, loss in curve] == sorted(loss for _, loss in curve)


def test_an_approximation_that_is_refused_is_not_claimed() -> None:
    found = approximator(0.5)
    found.approximate(network(), forms)
    assert found.approximation.forms
    found.give_up()
    found.give_up()
    assert (found.approximation.forms, found.approximation.loss, found.model) == ([], 0.0, None)
    assert found.approximation.notes == ["the approximated model was not clearly faster in the end"]


def test_too_little_data_is_said() -> None:
    with pytest.raises(UsageError, match="too little data"):
        convc.optimize(network(), COUNTED, data=smooth(2, 1), max_error=0.1)


def test_relative_errors_are_zero_for_the_original() -> None:
    found = approximator(0.1).judge(network())
    assert found.least == relative_error(found.wanted, found.wanted) == 0.0
