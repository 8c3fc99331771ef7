"""What each form of each layer saves and costs, measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from convc.algebra.moments import Moments, white
from convc.approximate.fitting import Fitted, find, form_of, layer_name, put
from convc.approximate.judging import Judge
from convc.approximate.layers import is_layer, read_layer
from convc.approximate.observing import Observer
from convc.approximate.solver import Option
from convc.forms import Form, Forms
from convc.graph import Graph
from convc.ir import Op
from convc.opset import macs
from convc.rewrite import NoMatch, Rewrite, Rule, gain, let_go
from convc.tuning.region import cut_out
from convc.tuning.watch import Watch

MATTERS = 0.01
"""Part of the whole time below which a layer's forms are not worth trying."""

WORTH = 1.03
"""How much faster a form must be alone."""

ONE_FORM = 0.25
"""Seconds that the clock gives to one form."""

KEPT = 2**29
"""Bytes of moments that are kept between the forms of one layer and the next."""


@dataclass(frozen=True)
class Place:
    """A layer and its options."""

    layer: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Prices:
    """Measures forms.

    Attributes:
        forms: the forms there are.
        observer: gathers the moments.
        judge: measures the error at the model's outputs, on the inputs that are fitted to.
        watch: the clock; None: MACs are what is saved.
    """

    forms: Forms
    observer: Observer
    judge: Judge
    watch: Watch | None

    def of(
        self,
        start: Fitted,
        times: Mapping[Op, float],
        *,
        has_time: Callable[[], bool],
        say: Callable[[str], None],
    ) -> list[Place]:
        """The places of a model with what their options save and cost, the slowest layer first.

        Args:
            start: the model.
            times: seconds of its ops; empty: their MACs.
            has_time: whether to go on.
            say: told of each layer.
        """
        graph = start.graph
        weights = {op: times.get(op, 0.0) for op in graph.ops()} if times else _macs(graph)
        total = sum(weights.values())
        layers = [
            op
            for op in graph.ops()
            if is_layer(op) and layer_name(op) and weights[op] > MATTERS * total
        ]
        turns = [
            (turn, -weights[op], number, op, form)
            for number, op in enumerate(layers)
            for turn, form in enumerate(in_turn(self.forms(graph, op)))
        ]
        turns.sort(key=lambda entry: entry[:3])
        found: dict[str, list[Option]] = {}
        known = _Known()
        for number, (*_, op, form) in enumerate(turns):
            if not has_time():
                break
            say(f"form {number + 1} of {len(turns)}: {form.name}")
            saved = self._saved(graph, op, form)
            error = self._error(start, layer_name(op), form.name, known) if saved > 0 else None
            if error is not None:
                found.setdefault(layer_name(op), []).append(Option(form.name, saved, error))
        return [Place(layer, tuple(options)) for layer, options in found.items()]

    def _saved(self, graph: Graph, op: Op, form: Form) -> float:
        """Seconds, or MACs, that the form saves; 0 where it does not stand."""

        def function(part: Graph, layer: Op) -> Rewrite:
            return form.function(part, layer, by_weights)

        try:
            rewrite = function(graph, op)
        except NoMatch:
            return 0.0
        if self.watch is None:
            saved = float(gain(graph, rewrite).macs or 0)
            let_go([rewrite])
            return saved
        trial = cut_out(graph, op, Rule(function), rewrite)
        let_go([rewrite])
        found = None if trial is None else self.watch.region(trial, ONE_FORM)
        if found is None or found.ratio.ratio < WORTH:
            return 0.0
        return found.before - found.after

    def _error(self, start: Fitted, layer: str, name: str, known: _Known) -> float | None:
        """The error at the outputs with this form alone; None where it declines.

        ``known`` keeps the moments: the model before the form is the same for all forms.
        """
        trial = start.copy()

        def observe(op: Op) -> Moments:
            return known.get(
                layer_name(op), lambda: self.observer.moments(trial.graph, op, trial.kept)
            )

        op = find(trial.graph, layer)
        form = None if op is None else form_of(self.forms, trial.graph, op, name)
        if op is None or form is None:
            return None
        try:
            put(trial, form.function(trial.graph, op, observe))
        except NoMatch:
            return None
        return self.judge.loss(trial.graph)


class _Known:
    """Moments by layer; the oldest go where they take too much memory."""

    def __init__(self) -> None:
        self._moments: dict[str, Moments] = {}

    def get(self, layer: str, gather: Callable[[], Moments]) -> Moments:
        """The moments of a layer, gathered where they are not known."""
        if layer not in self._moments:
            self._moments[layer] = gather()
            while len(self._moments) > 1 and self._bytes() > KEPT:
                del self._moments[next(iter(self._moments))]
        return self._moments[layer]

    def _bytes(self) -> int:
        return sum(moments.xx.nbytes for moments in self._moments.values())


def in_turn(forms: Sequence[Form]) -> list[Form]:
    """The forms in an order whose beginnings are spread over all: time may end at any of them.

    Kinds (the first word of a name) take turns; each begins with its middle.
    """
    kinds: dict[str, list[Form]] = {}
    for form in forms:
        kinds.setdefault(form.name.split()[0], []).append(form)
    spread = [_from_the_middle(kind) for kind in kinds.values()]
    return [form for turn in zip_longest(*spread) for form in turn if form is not None]


def _from_the_middle(forms: Sequence[Form]) -> list[Form]:
    middle = len(forms) // 2
    return sorted(forms, key=lambda form: abs(forms.index(form) - middle))


def by_weights(op: Op) -> Moments:
    """The moments of a layer on white noise: enough where only the structure matters."""
    layer = read_layer(op)
    return white(layer.kernel, layer.group)


def _macs(graph: Graph) -> dict[Op, float]:
    return {op: float(macs(graph, op) or 0) for op in graph.ops()}
