"""`optimize`, a model in, a rewritten and verified model out; and `verify`, for any two models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from convc.approximate import (
    Approximation,
    BudgetApproximator,
    parse_allowance,
    samples_of,
)
from convc.certificate import (
    METADATA,
    Certificate,
    Recorder,
    Replayed,
    check_proof,
    model_digest,
    versions,
)
from convc.check import Comparison, Subject, compare
from convc.choose import Counted, Objective
from convc.concrete import resolve_shapes
from convc.costs import Summary, summarise
from convc.culprit import reproduce
from convc.errors import UsageError
from convc.feeds import Case, Data
from convc.graph import Graph
from convc.instruments import Progress, passes_of
from convc.judge import Verdict
from convc.latency import Made, optimize_by_clock, signed
from convc.limits import limits_of, may_be_endless, too_large
from convc.model_files import TEXT, load, read_text
from convc.pipeline import Choose, Context, Instrument, PassError, PassReport, Pipeline
from convc.proof import prove
from convc.reading import check_opset, read_runnable, source_of
from convc.report.history import Historian, History
from convc.runtime import Settings
from convc.samples.describe import describe
from convc.sizes import open_dims
from convc.tuning import BUDGET, Measured, Store, Tuner, Tuning, remembering
from convc.verification import Verification, after_approximation

DEFAULT_PIPELINE = (
    "simplify,fold-affine{border=decline copy-shared=false},prune-dead-channels,"
    "choose(fuse-convs,merge-branches{kinds=sums},factor-kernels{kinds=terms saves=3.0},"
    "commute-linear,lower-to-conv2d),"
    "flush-subnormals,simplify"
)
"""Passes that never lose, then those that must pay, then what the new weights need."""

TUNED_PIPELINE = (
    "simplify,fold-affine{border=decline copy-shared=false},prune-dead-channels,"
    "choose(fuse-convs,merge-branches,factor-kernels,commute-linear,lower-to-conv2d,"
    "lower-to-winograd{forms=planes,rows tiles=4,6},lower-to-gemm,block-diagonal,"
    "lower-activations),"
    "flush-subnormals,simplify"
)
"""The same where the clock chooses: it can tell which of more rewrites pay."""

APPROXIMATIONS = "approximate(factor-kernels,select-channels,block-diagonal)"
"""What goes before the choice where an error is allowed."""

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
        approximation: what was approximated; None where no error is allowed.
        certificate: how the graph was made, for `check_proof`; None where that was not asked. Its
            digest is in the graph's metadata.
        history: which op comes of which, by which rewrites; None where that was not asked.
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
    approximation: Approximation | None = None
    certificate: Certificate | None = None
    history: History | None = None

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
    preprocess: str = "",
    sizes: Mapping[str, int] | None = None,
    tolerance: float = 1e-4,
    max_error: float | str = 0,
    metric: str = "",
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
    proof: bool = False,
    history: bool = False,
) -> Result:
    """Rewrites a model and verifies that the result computes the same.

    Args:
        model: path of an ONNX file, or a graph (which is not changed).
        passes: a pipeline or its text; by default the one that an .mlir file says it is meant
            for, else `DEFAULT_PIPELINE`.
        objective: what ``choose(...)`` lowers. With ``latency`` the clock is asked, and by default
            the result is the model as it came where it is not clearly faster than that.
        data: inputs to verify on, besides those that are made up: a dict of arrays by input name,
            a list of such dicts, or the path of an .npz, an .npy, an image or a folder of these.
            Where an error is allowed, approximations are fitted to two thirds of them and judged
            by the rest.
        preprocess: how images become inputs; see `convc.samples.preprocess.Preprocess`.
        sizes: sizes for open dims, by name, at which the model is costed and verified.
        tolerance: largest difference, relative to an output's largest magnitude.
        max_error: error that ``approximate(...)`` may make, on data that nothing was fitted to: a
            number, ``safe`` or ``balanced``; see `convc.metrics.parse_max_error`. 0: none.
        metric: what that error is; see `convc.metrics.parse_metric`.
        verify: ``model`` compares before and after; ``each`` proves every rewrite in float64 as
            well; ``off`` does neither.
        seed: of the made-up inputs.
        keep_initializer_inputs: keep weights that are also graph inputs as inputs.
        threads: of the sessions that verify and are timed; by default the physical cores.
        provider: onnxruntime's execution provider that verifies and is timed.
        budget: seconds that asking the clock may take, and as many again that fitting may.
        on_progress: called with a few words on what is being done.
        on_budget: called with the part of the budget that is used, from 0 to 1.
        instruments: watch the passes.
        reproducer: where the graph before a pass that raises, or whose result differs, is saved
            together with the passes that were still to run; ``convc optimize`` takes that file.
        proof: prove every rewrite, whatever ``verify`` says, and record it: `Result.certificate`.
        history: keep which op comes of which, by which rewrites: `Result.history`.

    Raises InvalidModelError and UsageError for bad input, PassError where a pass raises,
    ProofError where a single rewrite's proof fails (``verify="each"``).
    """
    say = on_progress or (lambda _: None)
    say("reading")
    allowed = parse_allowance(max_error, metric)
    blind = verify == "off" and objective != "latency" and allowed is None
    if blind and not isinstance(model, Graph) and data is None and not preprocess:
        # What need not run need not be tried: onnxruntime is not even loaded.
        original = load(model, sizes, keep_initializer_inputs=keep_initializer_inputs)
        cases: list[Case] = []
    else:
        original, cases = read_runnable(
            model, data, sizes or {}, preprocess=preprocess, apart=allowed is not None,
            keep_initializer_inputs=keep_initializer_inputs,
        )  # fmt: skip
        check_opset(original)
    reason = too_large(original) if objective == "latency" else ""
    if reason:
        raise UsageError(f"{reason}, or --objective macs")
    by_default = passes is None
    default = default_pipeline(objective, approximate=allowed is not None)
    text = passes if isinstance(passes, Pipeline) else _text(model, passes, default)
    pipeline = text if isinstance(text, Pipeline) else Pipeline.parse(text)
    prover = partial(prove, seed=seed) if verify == "each" or proof else None
    # A watched run takes a little longer: only what may never end is watched while it is timed.
    watched = objective == "latency" and may_be_endless(original)
    limits = limits_of(original) if watched else None
    settings = Settings(threads=threads, provider=provider, limits=limits)
    watching = [Progress(say, len(pipeline.passes)), *instruments]
    approximator: BudgetApproximator | None = None
    if allowed is not None:
        split = samples_of(original, cases, seed)
        words = describe([*split.fit, *split.held_back], original, data, preprocess)
        approximator = BudgetApproximator(
            split, allowed, settings=settings, seconds=budget, seed=seed, say=say, data=words,
            made_up=not cases,
            watch=remembering(settings, budget) if objective == "latency" else None,
        )  # fmt: skip
    tuner: Tuner | None = None
    if objective == "latency":
        feeds = cases[0].feeds if cases else None
        tuner = Tuner(
            settings, budget, Store(), feeds=feeds, finish=_rest(pipeline), say=say,
            on_budget=on_budget,
        )  # fmt: skip
    counted: Counted = "macs" if objective == "latency" else objective
    context = Context(counted, prover, tuner, approximator)
    attempt = partial(
        _attempt, original, pipeline, context, watching, reproducer,
        record_with=seed if proof else None, history=history,
    )  # fmt: skip
    if tuner is not None:
        source = source_of(model, original)
        made = optimize_by_clock(original, source, tuner, attempt, may_refuse=by_default)
    else:
        made = attempt()
    graph = made.graph
    if approximator is not None and not after_approximation(pipeline, made.reports):
        approximator.give_up()
    before = summarise(_sized(original))
    result = Result(
        graph, pipeline, made.reports, before, summarise(graph), None,
        tuning=made.tuning, measured=made.measured,
        approximation=None if approximator is None else approximator.approximation,
        history=made.history,
    )  # fmt: skip
    if verify != "off":
        check = Verification(cases, tolerance, seed, settings, context, reproducer, say)
        first = Subject(source_of(model, original), original)
        verified = check.of(first, graph, pipeline, made.reports, approximator)
        result = replace(
            result,
            comparison=verified.comparison,
            culprit=verified.culprit,
            reproducer=verified.reproducer,
        )
    if made.trails is None:
        return result
    certificate = Certificate(
        versions(),
        model_digest(original),
        model_digest(graph),
        {dim: original.sizes[dim] for dim in open_dims(original)},
        keep_initializer_inputs,
        counted,
        seed,
        ",".join(trail.text for trail in made.trails),
        tuple(made.trails),
        "" if result.comparison is None else result.verdict.value,
        () if result.tuning is None else tuple(result.tuning.notes),
    )
    graph.header = graph.header.with_metadata({METADATA: certificate.digest})
    return replace(result, certificate=certificate)


def verify(
    a: str | Path | Graph,
    b: str | Path | Graph,
    *,
    data: Data = None,
    sizes: Mapping[str, int] | None = None,
    tolerance: float = 1e-4,
    seed: int = 0,
    on_progress: Say | None = None,
) -> Comparison:
    """Compares two models; ``a`` is right by definition.

    Args:
        a: path of an ONNX file, or a graph.
        b: the model that should compute the same.
        data: inputs besides those that are made up, as for `optimize`.
        sizes: sizes for open dims, by name.
        tolerance: largest difference, relative to an output's largest magnitude.
        seed: of the made-up inputs.
        on_progress: called with a few words on what is being done.

    Raises InvalidModelError and UsageError for bad input.
    """
    original, cases = read_runnable(a, data, sizes or {})
    other = b if isinstance(b, Graph) else load(b)
    first, second = (
        Subject(source_of(model, graph), graph) for model, graph in ((a, original), (b, other))
    )
    return compare(first, second, data=cases, tolerance=tolerance, seed=seed, say=on_progress)


def replay(
    proof: str | Path,
    a: str | Path | Graph,
    b: str | Path | Graph,
    *,
    seed: int = 0,
    on_progress: Say | None = None,
) -> Replayed:
    """Replays a certificate: makes ``b`` of ``a`` again, and proves each rewrite on other inputs.

    Args:
        proof: the file, ``<model>.proof.json``.
        a: the model as it came, a file or a graph.
        b: what was made of it.
        seed: of the proofs' random inputs, the next one where that is the recorded one.
        on_progress: called with a few words on what is being done.

    Raises ProofError, with the pass and the region, where anything is not as recorded;
    InvalidModelError and UsageError for bad input.
    """
    return check_proof(proof, a, b, seed=seed, say=on_progress)


def default_pipeline(objective: Objective, *, approximate: bool = False) -> str:
    """The text of the pipeline that runs where none is given."""
    text = TUNED_PIPELINE if objective == "latency" else DEFAULT_PIPELINE
    return text.replace("choose(", f"{APPROXIMATIONS},choose(", 1) if approximate else text


def _text(model: str | Path | Graph, passes: str | None, default: str) -> str:
    if passes is not None:
        return passes
    if not isinstance(model, Graph) and Path(model).suffix == TEXT:
        return passes_of(read_text(Path(model))) or default
    return default


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
    *,
    record_with: int | None,
    history: bool,
) -> Made:
    """The graph after the pipeline, signed; ``original`` is not changed.

    With a seed to ``record_with`` every rewrite is proved on its random inputs and recorded;
    ``history``: which op comes of which is recorded.
    """
    graph = original.clone()
    historian = Historian(original, graph) if history else None
    if historian is not None:
        watching = [*watching, historian]
    recorder = None if record_with is None else Recorder(graph, record_with)
    if recorder is not None:
        context, watching = replace(context, prove=recorder.prove), [*watching, recorder]
    try:
        reports = pipeline.run(graph, context, watching)
    except PassError as error:
        saved = reproduce(reproducer, original, pipeline, error.number, context)
        hint = "" if saved is None else f"; to reproduce: {saved}"
        raise type(error)(error.number, f"{error}{hint}") from error
    graph.verify()
    trails = None if recorder is None else tuple(recorder.passes)
    told = None if historian is None else historian.finish()
    return Made(signed(graph, pipeline), reports, trails=trails, history=told)


def _sized(graph: Graph) -> Graph:
    """The graph, or a copy with the shapes that it computes itself: its cost depends on them."""
    values = (value for op in graph.ops() for value in op.results)
    if all(graph.concrete_shape(value) is not None for value in values):
        return graph
    copy = graph.clone()
    resolve_shapes(copy)
    return copy
