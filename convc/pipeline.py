"""Passes and pipelines: their text, finding the installed passes, running them.

The text is ``name{option=value other=a,b},name,choose(name,name)``; see `convc.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from time import perf_counter
from typing import ClassVar, Protocol

from convc.choose import Counted, by_count
from convc.errors import ConvcError, ProofError, UsageError
from convc.forms import Form, Forms
from convc.graph import Graph
from convc.ir import Op
from convc.options import make, near, print_options
from convc.rewrite import Prove, Rewrite, Rule, Select, Size, Stats, first, propose, size_of, sweep

ENTRY_POINTS = "convc.passes"


class Chooser(Protocol):
    """Chooses among proposals by more than counts; see `convc.tuning`."""

    def choose(self, graph: Graph, rules: Sequence[Rule], text: str, prove: Prove | None) -> Stats:
        """Rewrites ``graph`` in place; ``text`` names the rules for what is remembered."""


class Approximator(Protocol):
    """Trades accuracy for speed within a budget; see `convc.approximate`."""

    def approximate(self, graph: Graph, forms: Forms) -> Stats:
        """Rewrites ``graph`` in place by some of the forms."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a run of a pass depends on besides the graph and the pass's own options.

    Attributes:
        objective: what ``choose(...)`` lowers.
        prove: proves each proposal before it is applied; None: trust the passes.
        chooser: chooses instead of counts; None: they do.
        approximator: chooses what ``approximate(...)`` does; None: no error is allowed.
    """

    objective: Counted = "macs"
    prove: Prove | None = None
    chooser: Chooser | None = None
    approximator: Approximator | None = None


@dataclass(frozen=True)
class Pass:
    """A rewriting pass: a frozen dataclass whose fields are its options.

    A subclass sets ``name`` and implements `rules`; a pass that works on the whole graph at once
    overrides `run` instead. The subclass's docstring states the algebra.
    """

    name: ClassVar[str] = ""

    def rules(self) -> Sequence[Rule]:
        """The rules, with the options bound."""
        return ()

    def approximations(self, graph: Graph, op: Op) -> Sequence[Form]:  # noqa: ARG002  # for subclasses
        """What ``op`` may become under an error budget, the most exact form first."""
        return ()

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies the pass to ``graph``, in place, wherever it is legal."""
        return self._timed(graph, context or Context(), first)

    def propose(self, graph: Graph) -> list[Rewrite]:
        """All proposals on the graph as it stands; nothing is applied."""
        return propose(graph, self.rules())

    def _timed(
        self, graph: Graph, context: Context, select: Select, *, within: bool = False
    ) -> Stats:
        start = perf_counter()
        stats = sweep(graph, self.rules(), select, context.prove, within=within)
        stats.seconds = perf_counter() - start
        return stats

    def __str__(self) -> str:
        options = print_options(self)
        return f"{self.name}{{{options}}}" if options else self.name


@dataclass(frozen=True)
class Choose(Pass):
    """Passes whose proposals compete: at each place the best that pays wins, or nothing."""

    name: ClassVar[str] = "choose"
    passes: tuple[Pass, ...] = ()

    def rules(self) -> Sequence[Rule]:
        """The rules of all its passes."""
        return [replace(rule, origin=inner.name) for inner in self.passes for rule in inner.rules()]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies, at each place, the proposal that lowers the objective most."""
        context = context or Context()
        if context.chooser is None:
            return self._timed(graph, context, by_count(context.objective), within=True)
        start = perf_counter()
        stats = context.chooser.choose(graph, self.rules(), str(self), context.prove)
        stats.seconds = perf_counter() - start
        return stats

    def __str__(self) -> str:
        return f"choose({','.join(str(inner) for inner in self.passes)})"


@dataclass(frozen=True)
class Approximate(Pass):
    """Passes whose approximate forms compete, within the error that the user allows.

    Where none is allowed, nothing happens.
    """

    name: ClassVar[str] = "approximate"
    passes: tuple[Pass, ...] = ()

    def approximations(self, graph: Graph, op: Op) -> Sequence[Form]:
        """The forms of all its passes."""
        return [form for inner in self.passes for form in inner.approximations(graph, op)]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Puts in those forms that save most time within the budget."""
        approximator = None if context is None else context.approximator
        if approximator is None:
            return Stats()
        start = perf_counter()
        stats = approximator.approximate(graph, self.approximations)
        stats.seconds = perf_counter() - start
        return stats

    def __str__(self) -> str:
        return f"approximate({','.join(str(inner) for inner in self.passes)})"


GROUPS: Mapping[str, type[Choose] | type[Approximate]] = {
    group.name: group for group in (Choose, Approximate)
}
"""What holds passes in parentheses, by name."""


@dataclass(frozen=True, slots=True)
class PassReport:
    """One pass's part of a pipeline's run."""

    text: str
    stats: Stats
    before: Size
    after: Size
    changed: bool


class Instrument(Protocol):
    """Watches a pipeline: called before and after each pass, and when one fails."""

    def before_pass(self, number: int, item: Pass, graph: Graph) -> None:
        """Called with the pass's position, from 0, and the graph as it is before it."""

    def after_pass(self, number: int, item: Pass, graph: Graph, report: PassReport) -> None:
        """Called with the graph as the pass left it."""


class PassError(ConvcError):
    """A pass raised: ``number`` is its position from 0, the cause what it raised."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class PassProofError(PassError, ProofError):
    """The proof of a rewrite of a pass failed."""


@dataclass(frozen=True)
class Pipeline:
    """Passes one after the other."""

    passes: tuple[Pass, ...] = field(default=())

    def __init__(self, passes: Sequence[Pass] = ()) -> None:
        object.__setattr__(self, "passes", tuple(passes))

    def run(
        self,
        graph: Graph,
        context: Context | None = None,
        instruments: Sequence[Instrument] = (),
    ) -> list[PassReport]:
        """Applies the passes to ``graph``, in place.

        Args:
            graph: the graph to change.
            context: objective and proofs.
            instruments: are told of each pass, the first one first before it and last after it.

        Raises PassError where a pass does, a failed proof included; ``graph`` is then as far as
        it got.
        """
        context = context or Context()
        reports: list[PassReport] = []
        before = size_of(graph, graph.ops())
        for number, item in enumerate(self.passes):
            for instrument in instruments:
                instrument.before_pass(number, item, graph)
            version = graph.version
            try:
                stats = item.run(graph, context)
            except ProofError as error:
                raise PassProofError(number, f"pass {item}: {error}") from error
            except Exception as error:  # a pass may be somebody else's
                raise PassError(number, f"pass {item}: {_describe(error)}") from error
            changed = graph.version != version
            after = size_of(graph, graph.ops()) if changed else before
            reports.append(PassReport(str(item), stats, before, after, changed))
            for instrument in reversed(instruments):
                instrument.after_pass(number, item, graph, reports[-1])
            before = after
        return reports

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Reads the pipeline's text; raises UsageError that names what is near."""
        return cls(_Parser(text).pipeline())

    def __str__(self) -> str:
        return ",".join(str(item) for item in self.passes)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"


def pass_names() -> list[str]:
    """Names of the installed passes, from the entry-point group ``convc.passes``."""
    return sorted(entry.name for entry in entry_points(group=ENTRY_POINTS))


def find_pass(name: str) -> type[Pass]:
    """The installed pass of that name; imports its package.

    Raises UsageError where there is none (naming what is near), it cannot be imported, or it is no
    `Pass`.
    """
    entries = entry_points(group=ENTRY_POINTS, name=name)
    if not entries:
        raise UsageError(f"unknown pass {name!r}: {near(name, pass_names())}")
    entry = next(iter(entries))
    try:
        loaded = entry.load()
    except Exception as error:  # somebody else's module may raise anything while it is imported
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"pass {name!r} of {entry.value} cannot be loaded: {reason}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Pass)):
        raise UsageError(f"{entry.value}, listed as pass {name!r}, is no convc.Pass")
    return loaded


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def pipeline(self) -> list[Pass]:
        if not self.text.strip():
            return []
        return list(self._list(end=""))

    def _list(self, end: str) -> Iterator[Pass]:
        while True:
            yield self._pass()
            self._spaces()
            if self._peek() == ",":
                self.at += 1
            elif self._peek() == end:
                return
            else:
                self._fail(f"expected ',' or {end!r}" if end else "expected ',' between passes")

    def _pass(self) -> Pass:
        self._spaces()
        name = self._while(lambda c: c.isalnum() or c in "-_")
        if not name:
            self._fail("expected the name of a pass")
        if name in GROUPS:
            return self._group(name)
        pass_type = find_pass(name)
        body = ""
        if self._peek() == "{":
            self.at += 1
            body = self._while(lambda c: c != "}")
            if self._peek() != "}":
                self._fail("missing '}'")
            self.at += 1
        return make(pass_type, name, body)

    def _group(self, name: str) -> Pass:
        if self._peek() != "(":
            self._fail(f"expected '(' after {name}")
        self.at += 1
        self._spaces()
        passes = () if self._peek() == ")" else tuple(self._list(end=")"))
        self.at += 1
        return GROUPS[name](passes)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _while(self, accept: Callable[[str], bool]) -> str:
        start = self.at
        while self.at < len(self.text) and accept(self.text[self.at]):
            self.at += 1
        return self.text[start : self.at]

    def _spaces(self) -> None:
        self._while(str.isspace)

    def _fail(self, what: str) -> None:
        raise UsageError(f"pipeline text, position {self.at + 1}: {what} in {self.text!r}")
