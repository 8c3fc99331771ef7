"""Is what convc makes of a network the same network? Two judges that know nothing of convc's own.

1. In float64: the written model, read again, against the original. Only the weights' rounding to
   their stored dtype is between them.
2. In onnxruntime: the written model, with the runtime's optimisations off and on, against the
   original in float64.

What counts as rounding is in `tests.fuzz.measure`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, ValueInfoProto

from convc.api import optimize
from convc.check import Subject, compare
from convc.digest import graph_digest
from convc.errors import ConvcError
from convc.feeds import made_up
from convc.graph import Graph
from convc.ir import Array
from convc.judge import Verdict
from convc.mlir import parse_graph, print_graph
from convc.onnx_io import from_bytes, to_bytes
from convc.pipeline import PassProofError, PassReport
from convc.reference import EvaluationError, evaluate
from convc.runtime import Settings
from tests.fuzz.generate import Network, feeds
from tests.fuzz.measure import ROUNDED_VALUES, ROUNDED_WEIGHTS, TILES, Trial, worst
from tests.fuzz.plans import Plan, parsed
from tests.fuzz.rounding import spreads

FALSE_ALARM = "false alarm"
"""Kind of a finding that is none: convc's comparison calls a network different that is as far off
as rounding takes it. That comparison knows the original's rounding from two runs only."""

INPUTS = ("noise", "large", "impulses", "zeros", "steps")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: which judge says so.
        what: in words, with figures.
    """

    kind: str
    what: str

    @property
    def signature(self) -> str:
        """What two findings of one bug have in common: no names, no numbers."""
        return re.sub(r"'[^']*'|[\d.e+-]*\d[\d.e+-]*", "#", f"{self.kind}: {self.what}")[:160]


@dataclass
class Original:
    """A network that runs: its graph as convc reads it, and what is expected of it."""

    network: Network
    data: bytes
    graph: Graph
    trials: list[Trial] = field(default_factory=list)
    strict: bool = False
    fast: ort.InferenceSession | None = None


class NotRun(Exception):  # noqa: N818  # not an error: the network is not counted
    """onnxruntime or onnx's checker refuses the network: nothing is to be learnt from it."""


def session(data: bytes, *, optimised: bool = False) -> ort.InferenceSession:
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # A MatMul of 8-bit weights that nothing else reads is computed in 8 bits where it is met: that
    # is the user's choice of speed, and no error of who made the graph simple enough for it.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def prepare(network: Network, seed: int, inputs: Sequence[str]) -> tuple[Original, list[Finding]]:
    """Runs the original and reads it with convc.

    Raises NotRun where the network does not count. A finding: convc does not read what onnxruntime
    runs, or its float64 evaluator is further from onnxruntime than rounding goes.
    """
    data = network.model.SerializeToString()
    strict = _checked(network.model)
    try:
        runtime = session(data)
        shapes = [(kind, network.at(network.dims)) for kind in inputs]
        if network.others:
            shapes.append(("noise", network.at(network.others)))
        ran: list[tuple[str, dict[str, Array], list[Any]]] = []
        for i, (kind, sizes) in enumerate(shapes):
            given = feeds(sizes, dtype_of(network.model), kind, seed)
            try:
                ran.append((kind, given, runtime.run(None, given)))
            except Exception:  # onnxruntime's errors share no public base class
                if i == 0:
                    raise
    except Exception as error:
        raise NotRun(f"onnxruntime: {error}") from error
    if any(np.isnan(output).any() for output in ran[0][2] if np.asarray(output).dtype.kind == "f"):
        raise NotRun("it gives NaN")  # 0 · NaN is NaN: where one shows is no property of a network
    try:
        graph = from_bytes(data, network.dims)
        graph.verify()
    except Exception as error:
        return Original(network, data, Graph()), [Finding("import", _said(error))]
    strict = strict and _inferred_rightly(network.model, graph)
    original = Original(network, data, graph, strict=strict, fast=_optimised(data))
    findings = _through_text(graph)
    for kind, given, before in ran:
        trial, wrong = _trial(graph, kind, given, before, seed)
        original.trials.append(trial)
        findings += wrong
    return original, findings[:1]


def _through_text(graph: Graph) -> list[Finding]:
    """Whether convc reads back the MLIR text that it writes."""
    try:
        again = parse_graph(print_graph(graph, weights=True))
        same = graph_digest(again) == graph_digest(graph)
    except Exception as error:
        return [Finding("mlir", _said(error))]
    return [] if same else [Finding("mlir", "the text says another graph")]


def _optimised(data: bytes) -> ort.InferenceSession | None:
    """A session with all optimisations; None where onnxruntime's own stumble over the model."""
    try:
        return session(data, optimised=True)
    except Exception:
        return None


def _trial(
    graph: Graph, kind: str, given: Mapping[str, Array], before: Sequence[Any], seed: int
) -> tuple[Trial, list[Finding]]:
    try:
        exact = evaluate(graph, given)
        spread = spreads(graph, given, exact, seed)
    except EvaluationError as error:
        trial = Trial(kind, given, before, None, None)
        if "microsoft" in str(graph.header.opsets):
            return trial, []
        return trial, [Finding("reference", f"cannot evaluate: {error}")]
    trial = Trial(kind, given, before, exact, spread)
    off = worst(before, trial, ROUNDED_VALUES)
    return trial, [Finding("reference", f"on {kind}, {off}")] if off else []


def examine(
    original: Original, plan: Plan, *, seed: int
) -> tuple[Sequence[PassReport], list[Finding]]:
    """Does what the plan says, and judges the result; the first finding ends it."""
    reports, data, findings = rewrite(original.graph, plan)
    if data is None:
        return reports, findings
    tiles = tiled(reports)
    findings = judge_result(original, data, tiled=tiles)
    if plan.compared:
        findings += _second_opinion(original, data, seed, wrong=bool(findings), tiled=tiles)
    return reports, findings


def tiled(reports: Sequence[PassReport]) -> bool:
    """Whether convolutions became tiles, which amplify rounding."""
    return any("→ F(" in note for report in reports for note in report.stats.notes)


def rewrite(source: Graph, plan: Plan) -> tuple[Sequence[PassReport], bytes | None, list[Finding]]:
    """Runs the plan's passes on a copy: the reports, the file, or what went wrong."""
    try:
        if plan.whole:
            result = optimize(
                source, parsed(plan.passes), objective=plan.objective,
                verify="each" if plan.proved else "off", threads=1,
            )  # fmt: skip
            reports, graph = result.reports, result.graph
        else:
            graph = source.clone()
            reports = parsed(plan.passes).run(graph, plan.context())
        graph.verify()
    except PassProofError as error:
        return [], None, [Finding("proof", _said(error))]
    except Exception as error:
        return [], None, [Finding("raises", _said(error))]
    try:
        return reports, to_bytes(graph), []
    except Exception as error:
        return reports, None, [Finding("export", _said(error))]


def judge_result(original: Original, data: bytes, *, tiled: bool = False) -> list[Finding]:
    """What is wrong with the file that convc made of a network; at most one thing."""
    try:
        again = from_bytes(data, original.network.dims)
    except Exception as error:
        return [Finding("export", _said(error))]
    return _interface(original, data) or _judge(original, data, again, tiled=tiled)


def _judge(original: Original, data: bytes, again: Graph, *, tiled: bool) -> list[Finding]:
    try:
        runtimes = {"onnxruntime": session(data)}
        if original.fast is not None and not _stumbles(data):
            runtimes["optimised"] = session(data, optimised=True)
    except Exception as error:
        return [Finding("load", f"onnxruntime: {_said(error)}")]
    factor = TILES if tiled else 1.0
    for trial in original.trials:
        if trial.exact is not None:
            try:
                exact = evaluate(again, trial.feeds)
            except EvaluationError as error:
                return [Finding("float64", f"cannot evaluate the result: {error}")]
            off = worst(exact, trial, max(ROUNDED_WEIGHTS, factor), stored=False)
            if off:
                return [Finding("float64", f"on {trial.name}, {off}")]
        for title, runtime in runtimes.items():
            try:
                after = runtime.run(None, dict(trial.feeds))
            except Exception as error:
                if title == "optimised" and _runtime_is_off(original, trial):
                    continue
                return [Finding(f"{title} run", f"on {trial.name}: {_said(error)}")]
            off = worst(after, trial, max(ROUNDED_VALUES, factor))
            if off and title == "optimised" and _runtime_is_off(original, trial):
                continue
            if off:
                return [Finding(title, f"on {trial.name}, {off}")]
    return []


def _stumbles(data: bytes) -> bool:
    """Whether onnxruntime's optimisations are known to get a model wrong.

    1.32 moves a Transpose past a Pad of some axes as if its pads were for all. `simplify` says such
    a Pad for all axes, but a pass alone may put Transposes around it.
    """
    nodes = ModelProto.FromString(data).graph.node
    some_axes = any(node.op_type == "Pad" and len(node.input) > 3 for node in nodes)
    return some_axes and any(node.op_type == "Transpose" for node in nodes)


def _runtime_is_off(original: Original, trial: Trial) -> bool:
    """Whether onnxruntime's own optimisations take the original away from float64, too."""
    assert original.fast is not None
    try:
        after = original.fast.run(None, dict(trial.feeds))
    except Exception:
        return True
    return bool(worst(after, trial, ROUNDED_VALUES))


def _interface(original: Original, data: bytes) -> list[Finding]:
    """Names, types and dims of inputs and outputs, and whether the file is valid."""
    made = ModelProto.FromString(data)
    before = original.network.model
    weights = {t.name for t in before.graph.initializer}
    kept = {t.name for t in made.graph.initializer}
    for what, old, new in (
        ("inputs", [v for v in before.graph.input if v.name not in weights],
         [v for v in made.graph.input if v.name not in kept]),
        ("outputs", _possible(original, before), _possible(original, made)),
    ):  # fmt: skip
        if [v.SerializeToString() for v in old] != [v.SerializeToString() for v in new]:
            names = [[v.name for v in side] for side in (old, new)]
            return [Finding("interface", f"other {what}: {names[0]} and {names[1]}")]
    try:
        onnx.checker.check_model(made, full_check=original.strict)
    except Exception as error:
        return [Finding("checker", _said(error))]
    return []


def _possible(original: Original, model: ModelProto) -> list[ValueInfoProto]:
    """The outputs; without a shape where the network was drawn with one that it does not have."""
    entries = []
    wanted = [np.shape(output) for output in original.trials[0].before]
    drawn = original.network.model.graph.output
    for entry, first, shape in zip(model.graph.output, drawn, wanted, strict=False):
        copy = ValueInfoProto()
        copy.CopyFrom(entry)
        said = first.type.tensor_type.shape.dim
        sizes = zip((dim.dim_value for dim in said), shape, strict=False)
        if said and (len(said) != len(shape) or any(a not in (0, b) for a, b in sizes)):
            copy.type.tensor_type.ClearField("shape")
        entries.append(copy)
    return entries


def _second_opinion(
    original: Original, data: bytes, seed: int, *, wrong: bool, tiled: bool
) -> list[Finding]:
    """convc's own comparison: it must see what is wrong, and nothing else."""
    again = from_bytes(data, original.network.dims)
    subjects = Subject(original.data, original.graph), Subject(data, again)
    try:
        found = compare(*subjects, seed=seed, settings=Settings(threads=1))
    except ConvcError as error:
        return [Finding("compare", _said(error))]
    if wrong and found.verdict.good:
        return [Finding("missed", f"compare says {found.verdict.value}")]
    if wrong or found.verdict is not Verdict.DIFFERENT or tiled:
        return []
    # What it tried was harder than what was tried here: judge that, too.
    harder = _trials_of_compare(original, seed)
    return _judge(replace(original, trials=harder), data, again, tiled=tiled) or [
        Finding(FALSE_ALARM, "; ".join(found.notes))
    ]


def _trials_of_compare(original: Original, seed: int) -> list[Trial]:
    """The inputs that `convc.check.compare` makes up at the usual sizes."""
    runtime = session(original.data)
    trials = []
    for case in made_up(original.graph, original.graph.sizes, seed):
        before = runtime.run(None, dict(case.feeds))
        trials.append(_trial(original.graph, case.name, case.feeds, before, seed)[0])
    return trials


def _checked(model: ModelProto) -> bool:
    """Whether the strict check takes it; raises NotRun where not even the plain one does."""
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise NotRun(f"checker: {error}") from error
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception:
        return False
    return True


def _inferred_rightly(model: ModelProto, graph: Graph) -> bool:
    """Whether onnx's inference finds the sizes that convc does, which knows its mistakes.

    Where it does not, the strict check calls wrong what says the right sizes, as a Reshape does.
    """
    known = {value.name: value.shape for op in graph.ops() for value in op.results}
    told = onnx.shape_inference.infer_shapes(model).graph
    for entry in (*told.value_info, *told.output):
        dims = entry.type.tensor_type.shape.dim
        for dim, size in zip(dims, known.get(entry.name) or (), strict=False):
            if dim.HasField("dim_value") and isinstance(size, int) and dim.dim_value != size:
                return False
    return True


def dtype_of(model: ModelProto) -> np.dtype[Any]:
    kind = model.graph.input[0].type.tensor_type.elem_type
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))


def _said(error: BaseException) -> str:
    line = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {line}"[:400]
