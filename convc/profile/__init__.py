"""Where the time goes: onnxruntime's own profile, op by op of the graph as it was written.

onnxruntime fuses, renames, folds and re-lays what it is given. Here its kernels' times are given
back to the ops they come from (see `convc.profile.attribution`), and none gets lost: what belongs
to no op is listed by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from convc.feeds import Feeds
from convc.graph import Graph
from convc.ir import CONSTANT, Array, Op, Value
from convc.onnx_io import LARGEST_FILE, load, save, to_bytes, weight_bytes
from convc.profile.attribution import Attribution, attribute, op_name, value_name
from convc.profile.events import Kernels, read_kernels
from convc.runtime import Model, Session, Settings
from convc.timing import WARM_UP

__all__ = ["FOLDED", "OpTime", "Profile", "Unattributed", "profile"]

FOLDED = "folded"
"""The kernel of an op that onnxruntime computes once, or not at all, before the first run."""

LEAST_RUNS = 3
"""Runs that are made however long they take: with fewer there is no median."""

MOST_EVENTS = 200_000
"""Kernels in a profile, beyond which fewer runs are made: onnxruntime stops writing at a million.
"""


@dataclass(frozen=True, slots=True)
class OpTime:
    """What one op takes.

    Attributes:
        seconds: median time of its kernels, those of the ops fused into it included; 0 where it is
            folded; None where it is itself fused into another op.
        layout_seconds: median time of the layout changes made for it, not part of ``seconds``.
        fused_into: the op in whose kernel it is computed.
        kernel: what computes it, by onnxruntime's names; several are joined by ``+``.
    """

    seconds: float | None
    layout_seconds: float
    fused_into: Op | None
    kernel: str


@dataclass(frozen=True, slots=True)
class Unattributed:
    """A node of onnxruntime's that belongs to no op."""

    name: str
    kernel: str
    seconds: float


@dataclass(frozen=True)
class Profile:
    """The times of a graph's ops.

    Attributes:
        times: of every op but weights, inputs and output.
        total_seconds: sum of all kernels: of ``times`` and ``unattributed``.
        wall_seconds: median of a run without profiling.
        unattributed: what belongs to no op.
        runs: over how many runs the medians are.
    """

    times: Mapping[Op, OpTime]
    total_seconds: float
    wall_seconds: float
    unattributed: tuple[Unattributed, ...]
    runs: int

    @property
    def attributed_seconds(self) -> float:
        """Sum of the kernels that belong to an op."""
        return sum((t.seconds or 0.0) + t.layout_seconds for t in self.times.values())

    @property
    def layout_seconds(self) -> float:
        """Sum of the layout changes that belong to an op."""
        return sum(t.layout_seconds for t in self.times.values())


def profile(
    graph: Graph,
    feeds: Feeds,
    settings: Settings | None = None,
    *,
    runs: int = 20,
    seconds: float = 5.0,
) -> Profile:
    """Times the ops of ``graph`` in onnxruntime.

    Kernels are timed in whole microseconds, and profiling adds one or two to each: in a graph of
    very small ops ``total_seconds`` may be twice ``wall_seconds``. Where both agree, so do the ops.

    Args:
        graph: what to time; it stays as it is.
        feeds: its inputs, by name.
        settings: of the sessions; the provider's optimisations are on unless they say otherwise.
        runs: how many runs the medians are over, at the most (of very large graphs fewer).
        seconds: after this time no further run begins (with profiling, and as long without), but
            `LEAST_RUNS` are made.

    Raises RunError where onnxruntime refuses the model or fails.
    """
    settings = settings or Settings()
    ops = _numbered(graph)
    runs = max(min(runs, MOST_EVENTS // max(len(ops), 1)), LEAST_RUNS)
    renamed, names = _renamed(graph)
    fed = {names[name]: array for name, array in feeds.items() if name in names}
    with tempfile.TemporaryDirectory(prefix="convc-profile-") as folder:
        place = Path(folder)
        model = _serialised(renamed, place)
        # First and by itself: a second session would hold the weights once more.
        wall, _ = _timed(Session(model, settings), fed, runs, seconds)
        session = Session(model, settings, trace=place)
        _, made = _timed(session, fed, runs, seconds)
        trace = session.end_trace()
        del session
        kernels = read_kernels(trace.events, made)
        optimised = load(trace.optimised)
        _name_nameless(optimised, kernels)
        attribution = attribute(graph, ops, optimised)
    return _profile(ops, kernels, attribution, wall, made)


def _numbered(graph: Graph) -> list[Op]:
    return [op for op in graph.ops() if not op.is_boundary]


def _renamed(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """A copy under names of our own, and the new names of its inputs by the old ones."""
    copy = graph.clone()
    # A copy's ops are added, and so ordered, as the original's are visited.
    for number, op in enumerate(_numbered(copy)):
        op.name = op_name(number)
        for result in op.results:
            if result.name or copy.uses(result):
                result.name = value_name(number, result.index)
    names = {value.name: f"_in{i}_" for i, value in enumerate(copy.inputs)}
    for value in copy.inputs:
        value.name = names[value.name]
    made: set[Value] = set()
    outputs: list[str] = []
    for i, value in enumerate(copy.outputs):
        own = value not in made and not value.op.is_boundary and value.op.kind != CONSTANT
        outputs.append(value.name if own else f"_out{i}_")
        made.add(value)
    copy.set_outputs(copy.outputs, outputs, copy.output_types)
    return copy, names


def _name_nameless(optimised: Graph, kernels: Kernels) -> None:
    """Gives nodes without a name (pieces of an op that was expanded) the one in the profile.

    There they are called after their kind and a number that the file does not have. They run in
    the order of the file, so the first nameless one of a kind is the first that ran.
    """
    nodes = [op for op in optimised.ops() if not op.is_boundary and op.kind != CONSTANT]
    known = {node.name for node in nodes}
    spare: dict[str, list[str]] = {}
    for name, kind in kernels.kinds.items():
        if name not in known:
            spare.setdefault(kind, []).append(name)
    for node in nodes:
        if not node.name and spare.get(node.kind):
            node.name = spare[node.kind].pop(0)


def _serialised(graph: Graph, folder: Path) -> Model:
    if weight_bytes(graph) <= LARGEST_FILE:
        return to_bytes(graph)
    path = folder / "model.onnx"
    save(graph, path)
    return path


def _timed(
    session: Session, feeds: Mapping[str, Array], runs: int, seconds: float
) -> tuple[float, int]:
    """The median seconds of a run after the warm-up, and of how many runs."""
    start = perf_counter()
    for _ in range(WARM_UP):
        session.run(feeds)
        if perf_counter() - start > seconds:
            break
    times: list[float] = []
    start = perf_counter()
    while len(times) < runs:
        begin = perf_counter()
        session.run(feeds)
        times.append(perf_counter() - begin)
        if len(times) >= LEAST_RUNS and perf_counter() - start > seconds:
            break
    return median(times), len(times)


def _profile(
    ops: list[Op], kernels: Kernels, attribution: Attribution, wall: float, runs: int
) -> Profile:
    worked: dict[Op, list[tuple[float, ...]]] = {}
    moved: dict[Op, list[tuple[float, ...]]] = {}
    lost: list[Unattributed] = []
    for name, times in kernels.seconds.items():
        op = attribution.main.get(name)
        if op is None:
            lost.append(Unattributed(name, kernels.kinds[name], median(times)))
        else:
            into = moved if name in attribution.layout else worked
            into.setdefault(op, []).append(times)
    times_of: dict[Op, OpTime] = {}
    for op in ops:
        if op.kind == CONSTANT and not op.domain:
            continue
        main = attribution.fused.get(op)
        kernel = "+".join(dict.fromkeys(attribution.kernels.get(main or op, ()))) or FOLDED
        layout = _median_sum(moved.get(op, []))
        times_of[op] = OpTime(
            None if main is not None else _median_sum(worked.get(op, [])), layout, main, kernel
        )
    total = sum((t.seconds or 0.0) + t.layout_seconds for t in times_of.values())
    total += sum(item.seconds for item in lost)
    lost.sort(key=lambda item: -item.seconds)
    return Profile(times_of, total, wall, tuple(lost), runs)


def _median_sum(kernels: list[tuple[float, ...]]) -> float:
    """The median over the runs of the sum over the kernels."""
    return median(map(sum, zip(*kernels, strict=True))) if kernels else 0.0
