"""A model approximated layer by layer: forms put in, and all that follows fitted again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from convc.algebra.fit import adjusted_targets, default_ridge, refit
from convc.algebra.moments import Moments, joined
from convc.approximate.layers import is_layer, read_layer, slope_behind, with_weights
from convc.approximate.observing import Observer
from convc.forms import Form, Forms
from convc.graph import Graph
from convc.ir import Array, Op
from convc.rewrite import NoMatch, Rewrite, apply, let_go

Sweep = Mapping[str, str]
"""For the names of layers the names of their forms."""


STRENGTHS = (1.0, 10.0, 100.0, 1e6)
"""Ridges that are tried, in units of the usual one: the last leaves all but the bias."""

WIDEST = 2560
"""Numbers in a patch beyond which a layer keeps its weights: moments take their square in memory,
a solve their cube in time."""

ROUNDS = 2
"""How often a layer before a rectifier is fitted again."""


@dataclass
class Fitted:
    """An approximated model.

    Attributes:
        graph: the model.
        kept: the channels that are left of layers that have fewer, by the result's name.
        applied: the forms put in, by layer, in their order.
    """

    graph: Graph
    kept: dict[str, Array] = field(default_factory=dict)
    applied: list[tuple[str, str]] = field(default_factory=list)

    def copy(self) -> Fitted:
        """A copy that can be changed."""
        return Fitted(self.graph.clone(), dict(self.kept), list(self.applied))


def fit(
    start: Fitted,
    sweep: Sweep,
    forms: Forms,
    observer: Observer,
    *,
    say: Callable[[str], None],
    aware: bool = False,
) -> Fitted:
    """The model after one sweep; ``start`` is not changed.

    Layer by layer, from the input on: the layer takes the form that the sweep names for it, fitted
    to what it reads now and to what it gave in the original; a layer behind it that keeps its form
    is fitted to these as well. So errors do not add up: each layer sees those before it and
    corrects what it can.

    Args:
        start: the model before it.
        sweep: which form which layer takes; one that does not take its form stays as it is.
        forms: the forms there are.
        observer: gathers the moments.
        say: told of each layer.
        aware: fit to what is left of the responses behind a rectifier.
    """
    made = start.copy()
    changed = bool(start.applied)
    names = [layer_name(op) for op in made.graph.ops() if is_layer(op) and layer_name(op)]
    for number, name in enumerate(names):
        if name not in sweep and not changed:
            continue
        say(f"layer {number + 1} of {len(names)}: {sweep.get(name, 'fitted')}")
        change = _form(sweep[name], forms) if name in sweep else _refit
        after = _changed(made, name, change, observer, aware=aware)
        if after is not None:
            made, changed = after, True
    return made


def layer_name(op: Op) -> str:
    """What a layer is known by."""
    return op.result.name


def find(graph: Graph, name: str) -> Op | None:
    """The layer of that name."""
    return next((op for op in graph.ops() if is_layer(op) and op.result.name == name), None)


def form_of(forms: Forms, graph: Graph, op: Op, name: str) -> Form | None:
    """The form of that name among those that a layer may take."""
    return next((form for form in forms(graph, op) if form.name == name), None)


def put(made: Fitted, rewrite: Rewrite) -> None:
    """Applies a rewrite and keeps track of the channels."""
    apply(made.graph, rewrite)
    let_go([rewrite])
    for name, indices in rewrite.kept.items():
        left = np.asarray(indices, np.intp)
        made.kept[name] = made.kept[name][left] if name in made.kept else left


Apart = Callable[[Op], tuple[Moments, Moments]]
"""The moments of a layer: of the inputs to fit to, and of those that check the fit."""

Change = Callable[[Fitted, Op, Apart], None]
"""Changes a layer of a model in place; raises NoMatch where it does not."""


def _changed(
    made: Fitted, name: str, change: Change, observer: Observer, *, aware: bool
) -> Fitted | None:
    """The model with one layer changed; None where it cannot be."""

    def attempt(wanted: Sequence[Array] | None) -> Fitted | None:
        trial = made.copy()
        op = find(trial.graph, name)
        if op is None:
            return None

        def apart(layer: Op) -> tuple[Moments, Moments]:
            targets = wanted if layer is op else None
            return observer.apart(trial.graph, layer, trial.kept, targets)

        try:
            change(trial, op, apart)
        except NoMatch:
            return None
        return trial

    after = attempt(None)
    for _ in range(ROUNDS if aware else 0):
        targets = None if after is None else _behind_rectifier(after, name, observer)
        again = None if targets is None else attempt(targets)
        if again is None:
            break
        after = again
    return after


def _behind_rectifier(after: Fitted, name: str, observer: Observer) -> list[Array] | None:
    """The targets for a layer that a rectifier follows, given what it gives now; else None."""
    op = find(after.graph, name)
    slope = None if op is None else slope_behind(after.graph, op)
    if op is None or slope is None:
        return None
    pairs = zip(observer.wanted(op, after.kept), observer.given(after.graph, op), strict=True)
    return [adjusted_targets(wanted, given, slope) for wanted, given in pairs]


def _form(name: str, forms: Forms) -> Change:
    def change(made: Fitted, op: Op, apart: Apart) -> None:
        form = form_of(forms, made.graph, op, name)
        if form is None:
            raise NoMatch("the form is not offered any more")
        rewrite = form.function(made.graph, op, lambda layer: joined(*apart(layer)))
        made.applied.append((layer_name(op), name))
        put(made, rewrite)

    return change


def _refit(made: Fitted, op: Op, apart: Apart) -> None:
    """Fits a layer as strongly as inputs that it was not fitted to say is right, if at all."""
    if op.kind == "MatMul":
        raise NoMatch("a MatMul has no bias")
    layer = read_layer(op)
    if layer.width > WIDEST:
        raise NoMatch("the layer is too wide to fit in time")
    first, second = apart(op)
    old = np.zeros(layer.outputs) if layer.bias is None else layer.bias
    ridges = [strength * default_ridge(first) for strength in STRENGTHS]
    fits = [refit(first, layer.kernel, ridge) for ridge in ridges]
    misses = [second.misses(kernel, first.bias(kernel)) for kernel in fits]
    best = int(np.argmin(misses))
    if misses[best] >= second.misses(layer.kernel, old):
        raise NoMatch("no fit is better than what there is")
    every = joined(first, second)
    kernel = refit(every, layer.kernel, ridges[best])
    put(made, with_weights(made.graph, layer, kernel, every.bias(kernel)))
