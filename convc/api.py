"""`optimize`, a model in, a rewritten and verified model out; and `verify`, for any two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from convc.check import Comparison, Subject, compare
from convc.choose import Objective
from convc.concrete import resolve_shapes
from convc.costs import Summary, summarise
from convc.errors import ConvcError, InvalidModelError, UsageError
from convc.feeds import Case, Data, as_cases, data_sizes
from convc.graph import Graph
from convc.instruments import Progress, passes_of, write_reproducer
from convc.judge import Verdict
from convc.latency import Made, optimize_by_clock, signed
from convc.model_files import TEXT, load, read_text
from convc.onnx_io import LARGEST_FILE, to_bytes, weight_bytes
from convc.pipeline import Choose, Context, Instrument, PassError, PassReport, Pipeline
from convc.proof import prove
from convc.runtime import Model, Settings, newest_opset, version
from convc.sizes import load_runnable
from convc.tuning import BUDGET, Measured, Store, Tuner, Tuning

DEFAULT_PIPELINE = (
    "simplify,fold-affine{border=decline copy-shared=false},prune-dead-channels,"
    "choose(fuse-convs,merge-branches{kinds=sums},commute-linear,lower-to-conv2d),"
    "flush-subnormals,simplify"
)
"""Passes that never lose, then those that must pay, then what the new weights need."""

TUNED_PIPELINE = (
    "simplify,fold-affine{border=decline copy-shared=false},prune-dead-channels,"
    "choose(fuse-convs,merge-branches,commute-linear,lower-to-conv2d,"
    "lower-to-winograd{forms=planes,rows tiles=4,6},lower-to-gemm,block-diagonal,"
    "lower-activations),"
    "flush-subnormals,simplify"
)
"""The same where the clock chooses: it can tell which of more rewrites pay."""

Verify = Literal["off", "model", "each"]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What `optimize` made.

    Attributes:
        graph: the rewritten graph.
        pipeline: the passes that ran.
        reports: one for each pass.
        before: cost of the model as it came.
        after: cost of the rewritten one.
        comparison: how the two compare; None where that was switched off.
        culprit: the pass found guilty where they differ.
        reproducer: the file that reproduces it, where one was asked for.
        tuning: what the clock was asked; None where counts chose.
        measured: the result against the original on the clock; None where that was not asked.
    """

    graph: Graph
    pipeline: Pipeline
    reports: Sequence[PassReport]
    before: Summary
    after: Summary
    comparison: Comparison | None
    culprit: str = ""
    reproducer: Path | None = None
    tuning: Tuning | None = None
    measured: Measured | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict; `Verdict.UNVERIFIED` where nothing was compared."""
        return Verdict.UNVERIFIED if self.comparison is None else self.comparison.verdict


def optimize(
    model: str | Path | Graph,
    passes: str | Pipeline | None = None,
    *,
    objective: Objective = "macs",
    data: Data = None,
    sizes: Mapping[str, int] | None = None,
    tolerance: float = 1e-4,
    verify: Verify = "model",
    seed: int = 0,
    keep_initializer_inputs: bool = False,
    threads: int | None = None,
    provider: str = "CPU",
    budget: float = BUDGET,
    on_progress: Say | None = None,
    on_budget: Callable[[float], None] | None = None,
    instruments: Sequence[Instrument] = (),
    reproducer: Path | None = None,
) -> Result:
    """Rewrites a model and verifies that the result computes the same.

    Args:
        model: path of an ONNX file, or a graph (which is not changed).
        passes: a pipeline or its text; by default the one that an .mlir file says it is meant
            for, else `DEFAULT_PIPELINE`.
        objective: what ``choose(...)`` lowers. With ``latency`` the clock is asked, and by default
            the result is the model as it came where it is not clearly faster than that.
        data: inputs to verify on, besides those that are made up: a dict of arrays by input name,
            a list of such dicts, or the path of an .npz, an .npy or a folder of these.
        sizes: sizes for open dims, by name, at which the model is costed and verified.
        tolerance: largest difference, relative to an output's largest magnitude.
        verify: ``model`` compares before and after; ``each`` proves every rewrite in float64 as
            well; ``off`` does neither.
        seed: of the made-up inputs.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs.
        threads: of the sessions that verify and are timed; by default the physical cores.
        provider: onnxruntime's execution provider that verifies and is timed.
        budget: seconds that asking the clock may take.
        on_progress: called with a few words on what is being done.
        on_budget: called with the part of the budget that is used, from 0 to 1.
        instruments: watch the passes.
        reproducer: where the graph before a pass that raises, or whose result differs, is saved
            together with the passes that were still to run; ``convc optimize`` takes that file.

    Raises InvalidModelError and UsageError for bad input, PassError where a pass raises,
    ProofError where a single rewrite's proof fails (``verify="each"``).
    """
    say = on_progress or (lambda _: None)
    say("reading")
    blind = verify == "off" and objective != "latency"
    if blind and not isinstance(model, Graph) and data is None:
        # What need not run need not be tried: onnxruntime is not even loaded.
        original = load(model, sizes, keep_initializer_inputs=keep_initializer_inputs)
        cases: list[Case] = []
    else:
        original, cases = _read(model, data, dict(sizes or {}), keep_initializer_inputs)
        _check_opset(original)
    by_default = passes is None
    text = passes if isinstance(passes, Pipeline) else _text(model, passes, objective)
    pipeline = text if isinstance(text, Pipeline) else Pipeline.parse(text)
    prover = partial(prove, seed=seed) if verify == "each" else None
    settings = Settings(threads=threads, provider=provider)
    watching = [Progress(say), *instruments]
    if objective == "latency":
        source = _source(model, original)
        feeds = cases[0].feeds if cases else None
        tuner = Tuner(
            settings, budget, Store(), feeds=feeds, finish=_rest(pipeline), say=say,
            on_budget=on_budget,
        )  # fmt: skip
        context = Context("macs", prover, tuner)
        attempt = partial(_attempt, original, pipeline, context, watching, reproducer)
        made = optimize_by_clock(original, source, tuner, attempt, may_refuse=by_default)
    else:
        context = Context(objective, prover)
        made = Made(*_attempt(original, pipeline, context, watching, reproducer))
    graph = made.graph
    before = summarise(_sized(original))
    result = Result(
        graph, pipeline, made.reports, before, summarise(graph), None,
        tuning=made.tuning, measured=made.measured,
    )  # fmt: skip
    if verify == "off":
        return result
    say("verifying")
    first = Subject(_source(model, original), original)

    def against(changed: Graph) -> Comparison:
        other = Subject(_serialised(changed), changed)
        return compare(first, other, data=cases, tolerance=tolerance, seed=seed, settings=settings)

    comparison = against(graph)
    if comparison.verdict is not Verdict.DIFFERENT:
        return replace(result, comparison=comparison)
    say("looking for the pass at fault")
    guilty = _find_culprit(original, pipeline, context, against)
    if guilty is None:
        return replace(result, comparison=comparison, culprit="import and export")
    saved = _reproduce(reproducer, original, pipeline, guilty, context)
    culprit = str(pipeline.passes[guilty])
    return replace(result, comparison=comparison, culprit=culprit, reproducer=saved)


def verify(
    a: str | Path | Graph,
    b: str | Path | Graph,
    *,
    data: Data = None,
    sizes: Mapping[str, int] | None = None,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> Comparison:
    """Compares two models; ``a`` is right by definition.

    Args:
        a: path of an ONNX file, or a graph.
        b: the model that should compute the same.
        data: inputs besides those that are made up, as for `optimize`.
        sizes: sizes for open dims, by name.
        tolerance: largest difference, relative to an output's largest magnitude.
        seed: of the made-up inputs.

    Raises InvalidModelError and UsageError for bad input.
    """
    original, cases = _read(a, data, dict(sizes or {}))
    other = b if isinstance(b, Graph) else load(b)
    first, second = (
        Subject(_source(model, graph), graph) for model, graph in ((a, original), (b, other))
    )
    return compare(first, second, data=cases, tolerance=tolerance, seed=seed)


def _read(
    model: str | Path | Graph,
    data: Data,
    sizes: dict[str, int],
    keep_initializer_inputs: bool = False,
) -> tuple[Graph, list[Case]]:
    """The graph at sizes at which it runs (the user's, the data's, or found), and the data."""
    if isinstance(model, Graph):
        if sizes:
            raise UsageError("sizes are set when a model is loaded: convc.load(path, sizes)")
        return model, as_cases(data, model)
    if data is None:
        path = Path(model)
        return load_runnable(path, sizes, keep_initializer_inputs=keep_initializer_inputs), []
    graph = load(model, sizes, keep_initializer_inputs=keep_initializer_inputs)
    cases = as_cases(data, graph)
    sizes = {**data_sizes(cases, graph), **sizes}
    return load(model, sizes, keep_initializer_inputs=keep_initializer_inputs), cases


def _check_opset(graph: Graph) -> None:
    newest = newest_opset()
    if graph.header.opset > newest:
        raise InvalidModelError(
            f"opset {graph.header.opset} is newer than what onnxruntime {version()} runs "
            f"({newest}): upgrade onnxruntime, or export with an older opset"
        )


def default_pipeline(objective: Objective) -> str:
    """The text of the pipeline that runs where none is given."""
    return TUNED_PIPELINE if objective == "latency" else DEFAULT_PIPELINE


def _text(model: str | Path | Graph, passes: str | None, objective: Objective) -> str:
    if passes is not None:
        return passes
    if not isinstance(model, Graph) and Path(model).suffix == TEXT:
        return passes_of(read_text(Path(model))) or default_pipeline(objective)
    return default_pipeline(objective)


def _rest(pipeline: Pipeline) -> Callable[[Graph], object]:
    """What a pipeline does after its last choice: it belongs to what is timed."""
    last = max((i for i, item in enumerate(pipeline.passes) if isinstance(item, Choose)), default=0)
    return Pipeline(pipeline.passes[last + 1 :]).run


def _attempt(
    original: Graph,
    pipeline: Pipeline,
    context: Context,
    watching: Sequence[Instrument],
    reproducer: Path | None,
) -> tuple[Graph, Sequence[PassReport]]:
    """The graph after the pipeline, signed; ``original`` is not changed."""
    graph = original.clone()
    try:
        reports = pipeline.run(graph, context, watching)
    except PassError as error:
        saved = _reproduce(reproducer, original, pipeline, error.number, context)
        hint = "" if saved is None else f"; to reproduce: {saved}"
        raise type(error)(error.number, f"{error}{hint}") from error
    graph.verify()
    return signed(graph, pipeline), reports


def _source(model: str | Path | Graph, graph: Graph) -> Model:
    """What onnxruntime runs as the original: the file itself, if it is one that it reads."""
    if isinstance(model, Graph) or Path(model).suffix == TEXT:
        return _serialised(graph)
    return model


def _reproduce(
    path: Path | None, original: Graph, pipeline: Pipeline, number: int, context: Context
) -> Path | None:
    """Saves the graph before the pass at ``number``, made anew: passes are deterministic.

    None where it cannot be saved: what is to be reproduced is the news, not that.
    """
    if path is None:
        return None
    graph = original.clone()
    Pipeline(pipeline.passes[:number]).run(graph, context)
    try:
        write_reproducer(path, graph, Pipeline(pipeline.passes[number:]))
    except ConvcError:
        return None
    return path


def _serialised(graph: Graph) -> bytes:
    if weight_bytes(graph) > LARGEST_FILE:
        raise InvalidModelError(
            "weights above 2 GB cannot be verified in memory: use --verify off, then convc verify"
        )
    return to_bytes(graph)


def _sized(graph: Graph) -> Graph:
    """The graph, or a copy with the shapes that it computes itself: its cost depends on them."""
    values = (value for op in graph.ops() for value in op.results)
    if all(graph.concrete_shape(value) is not None for value in values):
        return graph
    copy = graph.clone()
    resolve_shapes(copy)
    return copy


def _find_culprit(
    original: Graph,
    pipeline: Pipeline,
    context: Context,
    against: Callable[[Graph], Comparison],
) -> int | None:
    """The first pass after which the model is different, by bisection over the pipeline's prefixes.

    Passes are deterministic, so a prefix run again gives the same graph again. None where the model
    is different before any pass.
    """
    if against(original.clone()).verdict is Verdict.DIFFERENT:
        return None
    good, bad = 0, len(pipeline.passes)
    while bad - good > 1:
        middle = (good + bad) // 2
        graph = original.clone()
        Pipeline(pipeline.passes[:middle]).run(graph, context)
        if against(graph).verdict is Verdict.DIFFERENT:
            bad = middle
        else:
            good = middle
    return bad - 1
