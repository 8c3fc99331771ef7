"""What each form of each layer saves and costs, measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from math import sqrt

from convc.algebra.moments import Moments
from convc.approximate.fitting import Fitted, find, form_of, layer_name, put
from convc.approximate.judging import Judge
from convc.approximate.layers import is_layer
from convc.approximate.observing import Observer
from convc.approximate.solver import Option
from convc.choose import weigh
from convc.forms import Form, Forms
from convc.graph import Graph
from convc.ir import Op
from convc.opset import macs
from convc.rewrite import NoMatch, Rewrite, Rule, let_go
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
        """The places of a model with what their options save and cost.

        Forms take turns, so that time may end at any: a layer twice as slow has two tried for one.

        Args:
            start: the model.
            times: seconds of its ops; empty: their MACs.
            has_time: whether to go on.
            say: told of each form.
        """
        turns = self._turns(start.graph, times)
        found: dict[str, list[Option]] = {}
        pricing = _Pricing(self, start, self.judge.loss(start.graph))
        for number, (name, form) in enumerate(turns):
            if not has_time():
                break
            say(f"form {number + 1} of {len(turns)}: {form.name}")
            option = pricing.option(name, form.name)
            if option is not None:
                found.setdefault(name, []).append(option)
        return [Place(layer, tuple(options)) for layer, options in found.items()]

    def _turns(self, graph: Graph, times: Mapping[Op, float]) -> list[tuple[str, Form]]:
        weights = {op: times.get(op, 0.0) for op in graph.ops()} if times else _macs(graph)
        total = sum(weights.values())
        layers = [
            op
            for op in graph.ops()
            if is_layer(op) and layer_name(op) and weights[op] > MATTERS * total
        ]
        turns = [
            (-weights[op] / turn, number, turn, layer_name(op), form)
            for number, op in enumerate(layers)
            for turn, form in enumerate(in_turn(self.forms(graph, op)), start=1)
        ]
        turns.sort(key=lambda entry: entry[:3])
        return [(name, form) for *_, name, form in turns]


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


@dataclass
class _Pricing:
    """One model's forms being priced, and what one form's price says of the next.

    Attributes:
        prices: how.
        start: the model.
        base: its own loss.
        moments: those of its layers.
        saved: seconds that a form saves, for layers that look alike.
        scale: for each layer, how much error at the outputs comes of the root of the part of its
            responses' variance that is missed.
    """

    prices: Prices
    start: Fitted
    base: float
    moments: _Known = field(default_factory=_Known)
    saved: dict[str, float] = field(default_factory=dict)
    scale: dict[str, float] = field(default_factory=dict)

    def option(self, layer: str, name: str) -> Option | None:
        """The form's price; None where it declines or saves nothing."""
        trial = self.start.copy()
        op = find(trial.graph, layer)
        form = None if op is None else form_of(self.prices.forms, trial.graph, op, name)
        if op is None or form is None:
            return None
        try:
            rewrite = form.function(trial.graph, op, partial(self._observe, trial))
        except NoMatch:
            return None
        saved = self._saved(trial, op, form, rewrite)
        if saved <= 0:
            let_go([rewrite])
            return None
        return Option(name, saved, self._error(trial, layer, rewrite))

    def _observe(self, trial: Fitted, op: Op) -> Moments:
        observer = self.prices.observer
        return self.moments.get(
            layer_name(op), lambda: observer.moments(trial.graph, op, trial.kept)
        )

    def _saved(self, trial: Fitted, op: Op, form: Form, rewrite: Rewrite) -> float:
        """Seconds, or MACs, that the form saves; not above 0 where it does not stand."""
        weighed = weigh(trial.graph, rewrite)
        if self.prices.watch is None:
            return float(weighed.size.macs or 0) if weighed is not None else 0.0
        if weighed is not None and weighed.seconds <= 0:
            return 0.0
        key = "" if rewrite.kept else f"{form.name} {_look(trial.graph, op)}"
        if key in self.saved:
            return self.saved[key]
        saved = self._timed(trial, op, form, rewrite)
        if key:
            self.saved[key] = saved
        return saved

    def _timed(self, trial: Fitted, op: Op, form: Form, rewrite: Rewrite) -> float:
        assert self.prices.watch is not None

        def function(part: Graph, layer: Op) -> Rewrite:
            return form.function(part, layer, partial(self._observe, trial))

        region = cut_out(trial.graph, op, Rule(function), rewrite)
        found = None if region is None else self.prices.watch.region(region, ONE_FORM)
        if found is None or found.ratio.ratio < WORTH:
            return 0.0
        return found.before - found.after

    def _error(self, trial: Fitted, layer: str, rewrite: Rewrite) -> float:
        """The error at the outputs with this form alone, less what the model has without."""
        missed = None if rewrite.loss is None else sqrt(rewrite.loss)
        if missed is not None and layer in self.scale:
            let_go([rewrite])
            return self.scale[layer] * missed
        put(trial, rewrite)
        error = sqrt(max(self.prices.judge.loss(trial.graph) ** 2 - self.base**2, 0.0))
        if missed:
            self.scale[layer] = error / missed
        return error


def _look(graph: Graph, op: Op) -> str:
    """What the time of a layer depends on, its neighbours apart."""
    shapes = [None if value is None else graph.concrete_shape(value) for value in op.inputs]
    return f"{op.kind} {sorted(op.attributes.items())} {shapes}"


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


def _macs(graph: Graph) -> dict[Op, float]:
    return {op: float(macs(graph, op) or 0) for op in graph.ops()}
