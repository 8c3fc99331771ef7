"""`cost`: what a model costs, what it would cost under another shape, and where its time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from convc.blocks.survey import survey
from convc.blocks.table import Blocks
from convc.clock import Clock, clock
from convc.concrete import resolve_shapes
from convc.costs.report import OpCost, Report, report
from convc.costs.strips import Strips, strips
from convc.errors import UsageError
from convc.feeds import Case, Data, as_cases, data_sizes, noise
from convc.graph import Graph
from convc.ir import Op
from convc.machine import caches, machine, vectors
from convc.model_files import load
from convc.profile import profile
from convc.runtime import Settings
from convc.runtime import provider as execution_provider
from convc.scaled import Scaled, scale_channels, scale_padding, with_batch, with_input_sizes
from convc.sizes import load_runnable, open_dims

Say = Callable[[str], None]
MOST_NAMED = 6
"""Names listed in a note."""
STRIP_KINDS = frozenset({"Conv", "ConvTranspose"})


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A model under another shape beside the model as it is.

    Attributes:
        base: the costs of the model as it is.
        pairs: for each op of the changed model its cost in the model as it is.
        changes: what was changed, in words.
        notes: what could not follow the change.
    """

    base: Report
    pairs: Mapping[Op, OpCost]
    changes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def lost(self, changed: Report) -> int:
        """Ops that are known in the model as it is and are not in the changed one.

        Where there are any, the totals of the two are no totals of the same ops.
        """
        known = {id(cost) for cost in self.base.ops if not cost.unknown}
        return sum(id(self.pairs.get(cost.op)) in known for cost in changed.unknown)

    def op_json(self, cost: OpCost) -> dict[str, Any]:
        """What a what-if adds to the entry of an op."""
        before = self.pairs.get(cost.op)
        if before is None:
            return {"before": None, "macs_ratio": None}
        kept = ("output_shape", "macs", "params", "read_bytes", "write_bytes")
        entry = before.as_json()
        return {
            "before": {key: entry[key] for key in kept},
            "macs_ratio": ratio(before.macs, cost.macs),
        }

    def as_json(self, changed: Report) -> dict[str, Any]:
        """The object under ``what_if`` in ``--json``."""
        before, after = self.base.total_json(), changed.total_json()
        counts = {k: v for k, v in before.items() if isinstance(v, int) and not isinstance(v, bool)}
        lost = self.lost(changed)
        return {
            "changes": list(self.changes),
            "notes": list(self.notes),
            "total_before": before,
            "lost_ops": lost,
            "total_ratio": {
                key: None if lost else ratio(value, after[key]) for key, value in counts.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """What `cost` found.

    Attributes:
        report: counts for each op and in total, at ``report.graph.sizes``.
        what_if: the model as it is, where ``report`` is of a changed one.
        clock: bounds and times, where asked for.
        strips: for each conv the table of strip widths, or why there is none.
        blocks: for each dense conv looked at the table of numbers of blocks, or why there is none.
    """

    report: Report
    what_if: WhatIf | None = None
    clock: Clock | None = None
    strips: Mapping[Op, Strips | str] = field(default_factory=dict)
    blocks: Mapping[Op, Blocks | str] = field(default_factory=dict)

    @property
    def ops(self) -> tuple[OpCost, ...]:
        """The cost of each op, in the file's order."""
        return self.report.ops

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each open dim of the inputs."""
        graph = self.report.graph
        return {d.lstrip("?"): graph.sizes[d] for d in open_dims(graph) if d in graph.sizes}

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints; documented in docs/cost.md."""
        document: dict[str, Any] = {
            "sizes": self.sizes,
            "ops": [self._op_json(cost) for cost in self.ops],
            "total": self.report.total_json(),
            "memory": self.report.memory_json(),
        }
        if self.what_if is not None:
            document["what_if"] = self.what_if.as_json(self.report)
        if self.clock is not None:
            document["machine"] = asdict(self.clock.machine)
            document["measured"] = self.clock.measured_json()
        return document

    def _op_json(self, cost: OpCost) -> dict[str, Any]:
        entry = cost.as_json()
        if self.what_if is not None:
            entry |= self.what_if.op_json(cost)
        if self.clock is not None:
            entry |= self.clock.op_json(cost.op)
        if cost.op in self.strips:
            found = self.strips[cost.op]
            entry["strips"] = {"unknown": found} if isinstance(found, str) else found.as_json()
        if cost.op in self.blocks:
            table = self.blocks[cost.op]
            entry["blocks"] = {"unknown": table} if isinstance(table, str) else table.as_json()
        return entry


def cost(
    model: str | Path | Graph,
    *,
    backward: bool = False,
    sizes: Mapping[str, int] | None = None,
    batch: int | None = None,
    channels: float = 1,
    padding: float = 1,
    strips: bool = False,
    blocks: bool = False,
    top: int = 20,
    roofline: bool = False,
    measure: bool = False,
    remeasure: bool = False,
    data: Data = None,
    threads: int | None = None,
    provider: str = "CPU",
    seed: int = 0,
    on_progress: Say | None = None,
) -> Cost:
    """Counts what a model costs; with ``roofline`` and ``measure`` also asks the machine.

    Args:
        model: path of an ONNX or .mlir file, or a graph (which is not changed).
        backward: count the backward pass and a training step.
        sizes: what if: sizes by the name of an open dim, or of any dim by ``input.axis``.
        batch: what if: the size of the first axis of the inputs.
        channels: what if: factor of all channels but those of the model's inputs and outputs.
        padding: what if: factor of all pads of convs and pools.
        strips: the table of strip widths for each conv.
        blocks: what the dense convs with the most MACs save and lose in 2, 4, 8, ... blocks: on
            ``data`` if given, else by their weights alone; timed with ``measure``.
        top: how many convs ``blocks`` looks at; 0: all.
        roofline: the least time each op can take on this machine, whose peak and bandwidth are
            measured once and remembered.
        measure: run the model in onnxruntime and profile it; includes ``roofline``.
        remeasure: measure the machine anew; includes ``roofline``.
        data: inputs to measure on, as for `convc.optimize`; they also give the sizes.
        threads: of the machine and of the session; by default the physical cores.
        provider: onnxruntime's execution provider that is measured.
        seed: of made-up inputs.
        on_progress: called with a few words on what is being done.

    Raises InvalidModelError and UsageError for bad input.
    """
    say = on_progress or (lambda _: None)
    say("reading")
    wanted = dict(sizes or {})
    if measure and (batch is not None or channels != 1 or padding != 1):
        raise UsageError(
            "--measure times the model as it is: it goes with --dim, but not with --batch, "
            "--scale-channels or --scale-padding"
        )
    if blocks and channels != 1:
        raise UsageError("--blocks is about the weights as they are: not with --scale-channels")
    if measure:
        # A name that is wrong is told before anything is timed.
        execution_provider(provider)
    if batch is not None and any(name.rpartition(".")[2] == "0" for name in wanted):
        raise UsageError("--batch and a --dim of axis 0 both say the batch: leave one of them out")
    base, cases = _read(model, data, runnable=measure or (blocks and data is not None))
    graph, fixed = _at_open_sizes(model, base, wanted, measure)
    if measure and fixed:
        raise UsageError(f"--dim {min(fixed)}: the model fixes this size, and --measure needs it")
    changes = [f"{name}={size}" for name, size in wanted.items()]
    pairs = dict(zip(graph.ops(), base.ops(), strict=True))
    notes: list[str] = []
    for scaled, change in _scaled(graph, fixed, batch, channels, padding):
        graph = scaled.graph
        pairs = {scaled.ops[op]: old for op, old in pairs.items() if op in scaled.ops}
        changes += [change] if change else []
        notes += scaled.notes
    say("counting")
    found = Cost(_report(graph, backward))
    if changes:
        before = _report(base, backward)
        known = {new: before.by_op[old] for new, old in pairs.items() if old in before.by_op}
        if channels != 1:
            notes += _unscaled(found.report, known)
        what_if = WhatIf(before, known, tuple(changes), tuple(dict.fromkeys(notes)))
        found = replace(found, what_if=what_if)
    if strips:
        found = replace(found, strips=_strips(graph))
    settings = Settings(threads=threads, provider=provider)
    if blocks:
        samples = [case.feeds for case in cases]
        tables = survey(
            found.report, top, say, samples=samples, settings=settings, measure=measure, seed=seed
        )
        found = replace(found, blocks=tables)
    if not (roofline or measure or remeasure):
        return found
    peaks = machine(threads, fresh=remeasure, on_progress=say)
    times = None
    if measure:
        say("profiling")
        feeds = cases[0].feeds if cases else noise(graph, seed=seed)
        times = profile(graph, feeds, settings)
    return replace(found, clock=clock(found.report, peaks, times))


def ratio(before: int | None, now: int | None) -> float | None:
    """``now / before``; None where either is not known or there was nothing."""
    return now / before if now is not None and before else None


def _read(model: str | Path | Graph, data: Data, *, runnable: bool) -> tuple[Graph, list[Case]]:
    """The model at its default sizes, or at those of the data."""
    if isinstance(model, Graph):
        return model.clone(), as_cases(data, model)
    if data is not None:
        graph = load(model)
        cases = as_cases(data, graph)
        return load(model, data_sizes(cases, graph)), cases
    return (load_runnable(Path(model), {}) if runnable else load(model)), []


def _at_open_sizes(
    model: str | Path | Graph, base: Graph, wanted: Mapping[str, int], measure: bool
) -> tuple[Graph, dict[str, int]]:
    """The model with its open dims at the sizes wanted, and what is wanted of fixed dims."""
    if not wanted:
        return base, {}
    known = set(open_dims(base))
    fixed_dims = {
        f"{value.name}.{axis}"
        for value in base.inputs
        for axis, dim in enumerate(value.shape or ())
        if isinstance(dim, int)
    }
    fixed = {k: v for k, v in wanted.items() if k not in known and k in fixed_dims}
    free = {k: v for k, v in wanted.items() if k not in fixed}
    if not free:
        return base, fixed
    if isinstance(model, Graph):
        raise UsageError("sizes of open dims are set when a model is loaded: load(path, sizes)")
    kept = {d.lstrip("?"): base.sizes[d] for d in known if d in base.sizes}
    # A wrong name is refused with the names that there are.
    sizes = {**{k: v for k, v in kept.items() if f"?{k}" not in free}, **free}
    return (load_runnable(Path(model), sizes) if measure else load(model, sizes)), fixed


def _scaled(
    graph: Graph, fixed: Mapping[str, int], batch: int | None, channels: float, padding: float
) -> Iterator[tuple[Scaled, str]]:
    """Each change in turn, on the graph that the one before it made."""
    if fixed:
        shapes = {value.name: list(graph.concrete_shape(value) or ()) for value in graph.inputs}
        for name, size in fixed.items():
            owner, _, axis = name.rpartition(".")
            shapes[owner][int(axis)] = size
        touched = {name.rpartition(".")[0] for name in fixed}
        scaled = with_input_sizes(graph, {name: tuple(shapes[name]) for name in touched})
        yield scaled, ""
        graph = scaled.graph
    if batch is not None:
        scaled = with_batch(graph, batch)
        yield scaled, f"batch {batch}"
        graph = scaled.graph
    if channels != 1:
        scaled = scale_channels(graph, channels)
        yield scaled, f"inner channels ×{channels:g}"
        graph = scaled.graph
    if padding != 1:
        scaled = scale_padding(graph, padding)
        yield scaled, f"padding ×{padding:g}"


def _unscaled(changed: Report, pairs: Mapping[Op, OpCost]) -> list[str]:
    """Names the layers that kept the channels of their outputs, which may be a surprise."""
    names = [
        cost.name
        for cost in changed.ops
        if cost.macs and cost.op in pairs and pairs[cost.op].shape == cost.shape
    ]
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"outputs kept their channels: {', '.join(names[:MOST_NAMED])}{more}"]


def _report(graph: Graph, backward: bool) -> Report:
    missing = {entry.value: entry.reason for entry in resolve_shapes(graph)}
    return report(graph, training=backward, missing=missing)


def _strips(graph: Graph) -> dict[Op, Strips | str]:
    sizes = caches()
    lanes, registers = vectors()
    known = {"l1": sizes.l1, "l2": sizes.l2}
    given = {key: size for key, size in known.items() if size is not None}
    return {
        op: strips(graph, op, lanes=lanes, registers=registers, **given)
        for op in graph.ops()
        if op.kind in STRIP_KINDS and not op.domain
    }
