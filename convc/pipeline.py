"""Passes and pipelines: options, the pipeline's text, finding passes, running them.

The text is ``name{option=value other=a,b},name,choose(name,name)``: options are separated by
spaces, the items of a list by commas, and values are converted by the type of the pass's field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from importlib.metadata import entry_points
from time import perf_counter
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from convc.choose import Objective, by_count
from convc.errors import ProofError, UsageError
from convc.graph import Graph
from convc.rewrite import Prove, Rewrite, Rule, Select, Size, Stats, first, propose, size_of, sweep

ENTRY_POINTS = "convc.passes"


@dataclass(frozen=True, slots=True)
class Context:
    """What a run of a pass depends on besides the graph and the pass's own options.

    Attributes:
        objective: what ``choose(...)`` lowers.
        prove: proves each proposal before it is applied; None: trust the passes.
    """

    objective: Objective = "macs"
    prove: Prove | None = None


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

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies the pass to ``graph``, in place, wherever it is legal."""
        return self._timed(graph, context or Context(), first)

    def propose(self, graph: Graph) -> list[Rewrite]:
        """All proposals on the graph as it stands; nothing is applied."""
        return propose(graph, self.rules())

    def _timed(self, graph: Graph, context: Context, select: Select) -> Stats:
        start = perf_counter()
        stats = sweep(graph, self.rules(), select, context.prove)
        stats.seconds = perf_counter() - start
        return stats

    def __str__(self) -> str:
        options = " ".join(
            f"{_kebab(f.name)}={_print_value(getattr(self, f.name))}"
            for f in fields(self)
            if getattr(self, f.name) != _default(f)
        )
        return f"{self.name}{{{options}}}" if options else self.name


@dataclass(frozen=True)
class Choose(Pass):
    """Passes whose proposals compete: at each place the best that pays wins, or nothing."""

    name: ClassVar[str] = "choose"
    passes: tuple[Pass, ...] = ()

    def rules(self) -> Sequence[Rule]:
        """The rules of all its passes."""
        return [rule for inner in self.passes for rule in inner.rules()]

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        """Applies, at each place, the proposal that lowers the objective most."""
        context = context or Context()
        return self._timed(graph, context, by_count(context.objective))

    def __str__(self) -> str:
        return f"choose({','.join(str(inner) for inner in self.passes)})"


@dataclass(frozen=True, slots=True)
class PassReport:
    """One pass's part of a pipeline's run."""

    text: str
    stats: Stats
    before: Size
    after: Size
    changed: bool


OnPass = Callable[[int, Pass], None]


@dataclass(frozen=True)
class Pipeline:
    """Passes one after the other."""

    passes: tuple[Pass, ...] = field(default=())

    def __init__(self, passes: Sequence[Pass] = ()) -> None:
        object.__setattr__(self, "passes", tuple(passes))

    def run(
        self, graph: Graph, context: Context | None = None, on_pass: OnPass | None = None
    ) -> list[PassReport]:
        """Applies the passes to ``graph``, in place.

        Args:
            graph: the graph to change.
            context: objective and proofs.
            on_pass: called before each pass with its position and the pass (progress).

        Raises ProofError, naming the pass, where a proof fails; ``graph`` is then as far as it got.
        """
        context = context or Context()
        reports: list[PassReport] = []
        for i, item in enumerate(self.passes):
            if on_pass is not None:
                on_pass(i, item)
            version, before = graph.version, size_of(graph, graph.ops())
            try:
                stats = item.run(graph, context)
            except ProofError as error:
                raise ProofError(f"pass {item}: {error}") from error
            changed = graph.version != version
            after = size_of(graph, graph.ops()) if changed else before
            reports.append(PassReport(str(item), stats, before, after, changed))
        return reports

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """Reads the pipeline's text; raises UsageError that names what is near."""
        return cls(_Parser(text).pipeline())

    def __str__(self) -> str:
        return ",".join(str(item) for item in self.passes)


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


def near(word: str, words: Sequence[str]) -> str:
    """A hint that names what the user may have meant."""
    close = get_close_matches(word, words, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(words)}"


def options(pass_type: type[Pass]) -> dict[str, tuple[str, str]]:
    """The options of a pass: name → (type, default), as text."""
    hints = get_type_hints(pass_type)
    return {
        _kebab(f.name): (
            _print_type(hints[f.name]),
            "required" if _is_required(f) else _print_value(_default(f)),
        )
        for f in fields(pass_type)
    }


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
        if name == Choose.name:
            return self._choose()
        pass_type = find_pass(name)
        values: dict[str, Any] = {}
        if self._peek() == "{":
            self.at += 1
            body = self._while(lambda c: c != "}")
            if self._peek() != "}":
                self._fail("missing '}'")
            self.at += 1
            values = _convert_options(pass_type, body)
        missing = [f.name for f in fields(pass_type) if _is_required(f) and f.name not in values]
        if missing:
            raise UsageError(f"pass {name!r} needs the option {_kebab(missing[0])}")
        try:
            return pass_type(**values)
        except ValueError as error:  # a value out of the range that the pass itself knows
            raise UsageError(f"pass {name!r}: {error}") from error

    def _choose(self) -> Pass:
        if self._peek() != "(":
            self._fail("expected '(' after choose")
        self.at += 1
        self._spaces()
        passes = () if self._peek() == ")" else tuple(self._list(end=")"))
        self.at += 1
        return Choose(passes)

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


def _convert_options(pass_type: type[Pass], body: str) -> dict[str, Any]:
    hints = get_type_hints(pass_type)
    names = {_kebab(f.name): f.name for f in fields(pass_type)}
    values: dict[str, Any] = {}
    for word in body.split():
        key, equals, text = word.partition("=")
        if key not in names:
            known = near(key, sorted(names)) if names else "it has none"
            raise UsageError(f"pass {pass_type.name!r} has no option {key!r}: {known}")
        values[names[key]] = _convert(
            hints[names[key]], text if equals else "true", f"{pass_type.name}{{{key}}}"
        )
    return values


def _convert(hint: Any, text: str, where: str) -> Any:
    if get_origin(hint) is Literal:
        choices = {_print_value(choice): choice for choice in get_args(hint)}
        if text not in choices:
            raise UsageError(f"{where} is one of {', '.join(choices)}, not {text!r}")
        return choices[text]
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(_convert(inner, item, where) for item in text.split(",") if item)
    if hint is bool:
        if text not in ("true", "false"):
            raise UsageError(f"{where} is true or false, not {text!r}")
        return text == "true"
    try:
        return hint(text)
    except ValueError as error:
        raise UsageError(f"{where} takes {hint.__name__}, not {text!r}") from error


def _print_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(_print_value(item) for item in value)
    return repr(value) if isinstance(value, float) else str(value)


def _print_type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(_print_value(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"{_print_type(get_args(hint)[0])},..."
    return str(getattr(hint, "__name__", hint))


def _is_required(option: Field[Any]) -> bool:
    return option.default is MISSING and option.default_factory is MISSING


def _default(option: Field[Any]) -> Any:
    return option.default_factory() if option.default_factory is not MISSING else option.default


def _kebab(name: str) -> str:
    return name.replace("_", "-")
