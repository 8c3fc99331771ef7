"""Passes, their options as text, and pipelines of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convc.pipeline
from convc.errors import UsageError
from convc.graph import Graph
from convc.ir import Op, TensorType
from convc.options import describe, near
from convc.pipeline import (
    Choose,
    Context,
    Pass,
    PassError,
    PassReport,
    Pipeline,
    find_pass,
    pass_names,
)
from convc.rewrite import NoMatch, Replacement, Rewrite, Rule, Stats, rule

FLOAT = TensorType(np.dtype(np.float32), (2, 3))


@dataclass(frozen=True)
class Plain(Pass):
    """Without options."""

    name: ClassVar[str] = "plain"


@dataclass(frozen=True)
class Rich(Pass):
    """An option of every type."""

    name: ClassVar[str] = "rich-pass"
    number: int = 3
    max_error: float = 0.0
    flag: bool = False
    on: bool = True
    text: str = "t"
    border: Literal["exact", "decline"] = "exact"
    size: Literal[2, 4] = 2
    kinds: tuple[str, ...] = ("a", "b")
    ranks: tuple[int, ...] = ()
    ratios: tuple[float, ...] = field(default_factory=lambda: (0.5,))
    modes: tuple[Literal["x", "y"], ...] = ()


@dataclass(frozen=True)
class Needy(Pass):
    """An option without a default, and one with a range."""

    name: ClassVar[str] = "needy"
    rank: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"scale must be positive, not {self.scale}")


class Entry:
    """What importlib.metadata calls an entry point."""

    def __init__(self, name: str, loaded: object) -> None:
        self.name, self.value, self.loaded = name, f"somewhere:{name}", loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


ENTRIES = [
    Entry("plain", Plain),
    Entry("rich-pass", Rich),
    Entry("needy", Needy),
    Entry("absent", ModuleNotFoundError("No module named 'nowhere'")),
    Entry("unfinished", SyntaxError("invalid syntax\n  line two")),
    Entry("failing", RuntimeError()),
    Entry("no-pass", dict),
    Entry("no-class", 3),
]


def entry_points(group: str, name: str | None = None) -> list[Entry]:
    assert group == "convc.passes"
    return [entry for entry in ENTRIES if name in (None, entry.name)]


@pytest.fixture(autouse=True, scope="module")
def _test_passes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convc.pipeline, "entry_points", entry_points)
        yield


# -- text --------------------------------------------------------------------------------------

WORDS = st.text("abcxyz019_.:/+-", min_size=1, max_size=6)
FLOATS = st.floats(allow_nan=False)
RICH = st.builds(
    Rich,
    number=st.integers(),
    max_error=FLOATS,
    flag=st.booleans(),
    on=st.booleans(),
    text=WORDS | st.just(""),
    border=st.sampled_from(("exact", "decline")),
    size=st.sampled_from((2, 4)),
    kinds=st.lists(WORDS, max_size=3).map(tuple),
    ranks=st.lists(st.integers(), max_size=3).map(tuple),
    ratios=st.lists(FLOATS, max_size=3).map(tuple),
    modes=st.lists(st.sampled_from(("x", "y")), max_size=2).map(tuple),
)
PASSES = st.recursive(
    st.just(Plain()) | RICH | st.builds(Needy, rank=st.integers()),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: Choose(tuple(items))),
    max_leaves=6,
)


@given(st.lists(PASSES, max_size=4))
def test_what_is_printed_parses_to_the_same_passes(passes: list[Pass]) -> None:
    pipeline = Pipeline(passes)
    text = str(pipeline)
    assert Pipeline.parse(text) == pipeline
    assert str(Pipeline.parse(text)) == text
    assert "\n" not in text


@given(st.lists(PASSES, min_size=1, max_size=3), st.data())
def test_spaces_between_passes_do_not_count(passes: list[Pass], data: st.DataObject) -> None:
    spaces = st.text(" \t\n", max_size=2)
    text = ",".join(data.draw(spaces) + str(item) + data.draw(spaces) for item in passes)
    assert Pipeline.parse(text) == Pipeline(passes)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        ("  ", ""),
        (" plain , plain ", "plain,plain"),
        ("plain{}", "plain"),
        ("rich-pass{number=3}", "rich-pass"),
        ("rich-pass{flag on=false}", "rich-pass{flag=true on=false}"),
        ("rich-pass{  max-error=1e-5   number=-7 }", "rich-pass{number=-7 max-error=1e-05}"),
        ("rich-pass{kinds=}", "rich-pass{kinds=}"),
        ("rich-pass{kinds=a,b ranks=1,2}", "rich-pass{ranks=1,2}"),
        ("rich-pass{size=4 border=decline}", "rich-pass{border=decline size=4}"),
        ("choose( plain ,choose(rich-pass{flag}))", "choose(plain,choose(rich-pass{flag=true}))"),
        ("choose()", "choose()"),
        ("needy{rank=2}", "needy{rank=2}"),
    ],
)  # fmt: skip
def test_text_has_one_normal_form(text: str, normal: str) -> None:
    assert str(Pipeline.parse(text)) == normal


def test_values_have_the_types_of_their_fields() -> None:
    text = "rich-pass{number=5 max-error=1 size=4 ratios=1,2 kinds=1,2 modes=y}"
    (found,) = Pipeline.parse(text).passes
    assert isinstance(found, Rich)
    assert (found.number, found.max_error, found.size) == (5, 1.0, 4)
    assert isinstance(found.max_error, float)
    assert isinstance(found.size, int)
    assert found.ratios == (1.0, 2.0)
    assert all(isinstance(r, float) for r in found.ratios)
    assert found.kinds == ("1", "2")
    assert found.modes == ("y",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plan", "unknown pass 'plan': did you mean plain?"),
        ("rich", "unknown pass 'rich': did you mean rich-pass"),
        ("zzz", "unknown pass 'zzz': there are absent, failing, needy, no-class, no-pass, plain,"),
        ("rich-pass{numbr=3}", "pass 'rich-pass' has no option 'numbr': did you mean number?"),
        ("rich-pass{max_error=3}", "did you mean max-error?"),
        ("plain{a=1}", "pass 'plain' has no option 'a': it has none"),
        ("rich-pass{number=x}", "rich-pass{number} takes int, not 'x'"),
        ("rich-pass{number=1.5}", "rich-pass{number} takes int, not '1.5'"),
        ("rich-pass{number}", "rich-pass{number} takes int"),
        ("rich-pass{max-error=1e}", "rich-pass{max-error} takes float, not '1e'"),
        ("rich-pass{flag=yes}", "rich-pass{flag} is true or false, not 'yes'"),
        ("rich-pass{border=exakt}", "rich-pass{border} is one of exact, decline, not 'exakt'"),
        ("rich-pass{size=3}", "rich-pass{size} is one of 2, 4, not '3'"),
        ("rich-pass{ranks=1,b}", "rich-pass{ranks} takes int, not 'b'"),
        ("rich-pass{modes=x,z}", "rich-pass{modes} is one of x, y, not 'z'"),
        ("needy", "pass 'needy' needs the option rank"),
        ("needy{scale=2}", "pass 'needy' needs the option rank"),
        ("needy{rank=1 scale=-1}", "pass 'needy': scale must be positive, not -1.0"),
        ("rich-pass{flag", "position 15: missing '}' in 'rich-pass{flag'"),
        ("plain,", "position 7: expected the name of a pass"),
        (",plain", "position 1: expected the name of a pass"),
        ("plain plain", "position 7: expected ',' between passes"),
        ("plain}", "position 6: expected ',' between passes"),
        ("plain)", "expected ',' between passes"),
        ("choose", "position 7: expected '(' after choose"),
        ("choose(plain", "position 13: expected ',' or ')'"),
        ("choose(plain,)", "expected the name of a pass"),
        ("choose(plain))", "position 14: expected ','"),
        ("absent", "pass 'absent' of somewhere:absent cannot be loaded: No module named 'nowhere'"),
        ("unfinished", "cannot be loaded: invalid syntax line two"),
        ("failing", "cannot be loaded: RuntimeError"),
        ("no-pass", "somewhere:no-pass, listed as pass 'no-pass', is no convc.Pass"),
        ("no-class", "is no convc.Pass"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Pipeline.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text("plain-rich{}()=,: choose123\n", max_size=25))
def test_any_text_parses_or_is_a_usage_error(text: str) -> None:
    try:
        pipeline = Pipeline.parse(text)
    except UsageError:
        return
    assert Pipeline.parse(str(pipeline)) == pipeline


def test_names_types_and_defaults_of_options() -> None:
    assert describe(Rich) == {
        "number": ("int", "3"),
        "max-error": ("float", "0.0"),
        "flag": ("bool", "false"),
        "on": ("bool", "true"),
        "text": ("str", "t"),
        "border": ("exact|decline", "exact"),
        "size": ("2|4", "2"),
        "kinds": ("str,...", "a,b"),
        "ranks": ("int,...", ""),
        "ratios": ("float,...", "0.5"),
        "modes": ("x|y,...", ""),
    }
    assert describe(Plain) == {}
    assert describe(Needy)["rank"] == ("int", "required")


def test_passes_are_found_by_name() -> None:
    assert pass_names() == sorted(entry.name for entry in ENTRIES)
    assert find_pass("plain") is Plain


def test_near_names() -> None:
    assert near("plian", ["plain", "rich"]) == "did you mean plain?"
    assert near("abc", ["abd", "abe", "xyz"]) == "did you mean abe or abd?"
    assert near("q", ["plain", "rich"]) == "there are plain, rich"


# -- running -----------------------------------------------------------------------------------


def drop_identity(graph: Graph, op: Op, *, limit: int) -> Rewrite:
    if len(graph) > limit:
        raise NoMatch("too large")
    build = Replacement(graph)
    assert op.operands[0] is not None
    return build.rewrite({op.result: build.take(op.operands[0])}, note="dropped")


@dataclass(frozen=True)
class Drop(Pass):
    """Identity → nothing."""

    name: ClassVar[str] = "drop"
    limit: int = 100

    def rules(self) -> list[Rule]:
        return [rule(drop_identity, "Identity", limit=self.limit)]


@dataclass(frozen=True)
class Whole(Pass):
    """A pass that works on the graph at once."""

    name: ClassVar[str] = "whole"

    def run(self, graph: Graph, context: Context | None = None) -> Stats:
        assert context is not None
        graph.add("Foo", types=())
        return Stats(applied=1)


def identities(length: int = 2) -> Graph:
    graph = Graph()
    value = graph.add_input("x", FLOAT)
    for _ in range(length):
        value = graph.add("Identity", (value,), types=(FLOAT,)).result
    graph.set_outputs([value], ["y"])
    return graph


def test_a_pass_alone_applies_and_counts() -> None:
    graph = identities()
    stats = Drop().run(graph)
    assert (stats.applied, dict(stats.declined), dict(stats.notes)) == (2, {}, {"dropped": 2})
    assert stats.seconds > 0
    assert graph.outputs == graph.inputs


def test_its_options_reach_its_rules() -> None:
    graph = identities()
    stats = Drop(limit=3).run(graph)
    assert (stats.applied, dict(stats.declined)) == (0, {"too large": 2})


def test_proposals_change_nothing() -> None:
    graph = identities()
    version = graph.version
    proposals = Drop().propose(graph)
    assert [p.note for p in proposals] == ["dropped", "dropped"]
    assert graph.version == version


class Watch:
    """An instrument that writes down when it is called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []

    def before_pass(self, number: int, item: Pass, _graph: Graph) -> None:
        self.seen.append(f"{self.name} before {number} {item.name}")

    def after_pass(self, number: int, item: Pass, _graph: Graph, report: PassReport) -> None:
        assert report.text == str(item)
        self.seen.append(f"{self.name} after {number} {item.name}")


def test_a_pass_that_raises_is_named() -> None:
    @dataclass(frozen=True)
    class Broken(Pass):
        name = "broken"

        def run(self, _graph: Graph, _context: Context | None = None) -> Stats:
            raise KeyError("no such thing")

    with pytest.raises(PassError, match="pass broken: KeyError: 'no such thing'") as caught:
        Pipeline([Drop(), Broken(), Drop()]).run(identities())
    assert caught.value.number == 1


def test_a_pipeline_reports_each_pass() -> None:
    graph = identities(3)
    outer, inner = Watch("outer"), Watch("inner")
    seen = outer.seen = inner.seen = []
    reports = Pipeline([Drop(), Drop(), Whole()]).run(graph, instruments=[outer, inner])
    assert seen == [
        f"{when} {number} {name}"
        for number, name in enumerate(["drop", "drop", "whole"])
        for when in ("outer before", "inner before", "inner after", "outer after")
    ]
    assert [r.text for r in reports] == ["drop", "drop", "whole"]
    assert [r.stats.applied for r in reports] == [3, 0, 1]
    assert [r.changed for r in reports] == [True, False, True]
    assert [(r.before.ops, r.after.ops) for r in reports] == [(3, 0), (0, 0), (0, 1)]


def test_a_pipeline_of_no_passes_does_nothing() -> None:
    graph = identities()
    version = graph.version
    assert Pipeline().run(graph) == []
    assert graph.version == version


def grow(graph: Graph, op: Op) -> Rewrite:
    build = Replacement(graph)
    assert op.operands[0] is not None
    value = build.op("Identity", [build.take(op.operands[0])])
    return build.rewrite({op.result: build.op("Identity", [value])}, note="grown")


@dataclass(frozen=True)
class Grow(Pass):
    """One Identity → two: never pays."""

    name: ClassVar[str] = "grow"

    def rules(self) -> list[Rule]:
        return [rule(grow, "Identity")]


def test_choose_takes_what_pays_and_says_of_the_rest_that_it_does_not() -> None:
    graph = identities()
    stats = Choose((Grow(),)).run(graph)
    assert stats.applied == 0
    assert dict(stats.declined) == {"does not pay by the objective": 2}
    stats = Choose((Grow(), Drop())).run(graph)
    assert (stats.applied, dict(stats.notes)) == (2, {"dropped": 2})
    assert len(graph) == 2


def test_proofs_are_asked_for_before_a_change() -> None:
    graph = identities()
    lengths: list[int] = []

    def prove(given: Graph, rewrite: Rewrite) -> float:
        assert given is graph
        assert rewrite.note == "dropped"
        lengths.append(len(given))
        return 0.25 * len(lengths)

    stats = Drop().run(graph, Context(prove=prove))
    assert lengths == [4, 3]
    assert stats.residual == 0.5
    assert Drop().run(identities()).residual is None


def test_passes_are_values() -> None:
    assert Rich(number=1) == Rich(number=1) != Rich(number=2)
    assert {Plain(), Plain()} == {Plain()}
    assert Pipeline([Plain()]) == Pipeline((Plain(),))
    with pytest.raises(AttributeError):
        Rich().number = 4  # type: ignore[misc]


def test_context_has_an_objective() -> None:
    seen: list[Any] = []

    @dataclass(frozen=True)
    class Spy(Pass):
        name: ClassVar[str] = "spy"

        def run(self, graph: Graph, context: Context | None = None) -> Stats:
            assert len(graph)
            seen.append(context)
            return Stats()

    context = Context("params")
    Pipeline([Spy()]).run(identities(), context)
    assert seen == [context]
