"""Convs side by side: of one input, before a Concat, and on the parts of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from convc.algebra.branches import concat_outputs
from convc.build import Builder
from convc.graph import Graph
from convc.ir import Attribute, Op, Value
from convc.opset import constant_ints
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand, require_small
from passes.merge_branches.paths import KINDS, Link, Path, emit, label, read_link, read_path
from passes.merge_branches.sums import Plan, root_of

APART = 1e6
"""How many times larger the weights of one sibling may be than another's."""


@dataclass(frozen=True)
class Piece:
    """The channels from ``start`` to ``stop`` of the ``total`` that ``data`` has."""

    data: Value
    start: int
    stop: int
    total: int


@dataclass(frozen=True)
class Run:
    """Neighbours in a Concat that become one conv on ``data``, in ``parts`` parts."""

    paths: Sequence[Path]
    data: Value
    parts: int


Find = Callable[[Sequence[Path | None]], Run | None]
"""Finds the run with which a list of paths begins."""


@dataclass(frozen=True)
class Others:
    """What else may take a conv: plans of the sums it goes into, runs of a Concat."""

    sums: Sequence[Callable[[Graph, Op], Plan]]
    concats: Sequence[Find]


def merge_siblings(graph: Graph, op: Op, others: Others) -> Rewrite:
    """Proposes one conv and a Split for all convs of the geometry and the input of ``op``.

    Convs that one of the rules ``others`` has a use for are left to it.
    """
    if sum(1 for _ in _convs_on(graph, operand(op))) < 2:
        raise NoMatch
    link = read_link(graph, op.result)
    if next(_alike(graph, link)).op is not op:
        raise NoMatch
    if link.geometry.group != 1:
        raise NoMatch("the sibling convs are grouped")
    found = list(_alike(graph, link))
    if len(found) < 2:
        first = next(_convs_on(graph, link.data)) is op
        raise NoMatch("the sibling convs differ in geometry" if first else "")
    if len({sibling.kernel.dtype for sibling in found}) > 1:
        raise NoMatch("the weights of the sibling convs differ in type")
    links = [sibling for sibling in found if not _has_better_use(graph, sibling.op, others)]
    if len(links) < 2:
        raise NoMatch
    require_small(sum(sibling.kernel.size for sibling in links))
    largest = [float(np.abs(sibling.kernel).max(initial=0.0)) for sibling in links]
    if max(largest) > APART * min((size for size in largest if size), default=0.0):
        # In one layer the small ones would count for dead beside the others.
        raise NoMatch("the weights of the sibling convs are of other magnitudes")
    build = Replacement(graph)
    merged = concat_outputs([sibling.branch for sibling in links])
    whole = emit(build, build.take(link.data), merged, links[0].op)
    olds = [sibling.op.result for sibling in links]
    sizes = [len(sibling.kernel) for sibling in links]
    news = split_channels(build, whole, sizes, olds)
    shape = label(merged.geometry)
    note = f"{len(links)} sibling {shape} → {shape} + Split"
    return build.rewrite(dict(zip(olds, news, strict=True)), note=note)


def merge_concat(graph: Graph, op: Op) -> Rewrite:
    """Proposes one conv for neighbours in a Concat that are convs of one input."""
    return _rewrite(graph, op, plan_concat(graph, op, run_of_one_input), "concatenated")


def group_parts(graph: Graph, op: Op) -> Rewrite:
    """Proposes one grouped conv for neighbours in a Concat that are convs of parts of a value."""
    return _rewrite(graph, op, plan_concat(graph, op, run_of_parts), "grouped")


def plan_concat(graph: Graph, op: Op, find: Find) -> list[Run | Value]:
    """What a Concat joins after the runs that ``find`` sees; declines where it sees none."""
    axis, shape = op.attributes.get("axis", 1), op.result.shape
    if op.domain or (axis != 1 and (shape is None or axis != 1 - len(shape))):
        raise NoMatch
    values = [operand(op, i) for i in range(len(op.operands))]
    paths = [_read(graph, value) for value in values]
    plan: list[Run | Value] = []
    start = 0
    while start < len(values):
        run = find(paths[start:])
        plan.append(values[start] if run is None else run)
        start += 1 if run is None else len(run.paths)
    if len(plan) == len(values):
        raise NoMatch(_why_none(paths, find))
    return plan


def _rewrite(graph: Graph, op: Op, plan: Sequence[Run | Value], kind: str) -> Rewrite:
    build = Replacement(graph)
    values, notes = [], []
    for run in plan:
        if not isinstance(run, Run):
            values.append(build.take(run))
            continue
        require_small(sum(link.kernel.size for path in run.paths for link in path.links))
        merged = concat_outputs([path.branch for path in run.paths], run.parts)
        values.append(emit(build, build.take(run.data), merged, run.paths[0].convs[0]))
        notes.append(f"{len(run.paths)} {kind} {label(merged.geometry)} → one")
    result = build.concat(values, 1)
    result.type = op.result.type or result.type
    result.op.name = op.name
    return build.rewrite({op.result: result}, note="; ".join(notes))


def split_channels(
    build: Builder, data: Value, sizes: Sequence[int], like: Sequence[Value]
) -> tuple[Value, ...]:
    """Adds a Split of the channels; the results have the types of ``like``."""
    attributes: dict[str, Attribute] = {"axis": 1}
    operands = [data]
    if build.opset < 13:
        attributes["split"] = tuple(sizes)
    else:
        operands.append(build.ints(sizes))
    types = [value.type for value in like]
    return build.graph.add("Split", operands, attributes, types=types).results


def _has_better_use(graph: Graph, op: Op, others: Others) -> bool:
    """Whether one of ``others`` merges the conv ``op`` with what it is added to or joined with."""
    value = op.result
    while True:
        users = [user for user, _ in graph.uses(value)]
        root = root_of(graph, value)
        if root is not None and _takes(graph, root, op, others):
            return True
        if root is not None or len(users) != 1 or users[0].domain:
            return False
        if users[0].kind == "Concat":
            return _joins(graph, users[0], op, others)
        if users[0].kind not in (*KINDS, "Identity", "Dropout", "Cast") or not users[0].results:
            return False
        value = users[0].result if len(users[0].results) == 1 else users[0].results[0]


def _convs_on(graph: Graph, data: Value) -> Iterator[Op]:
    for user in graph.iter_users(data.op):
        if user.kind == "Conv" and not user.domain and user.operand(0) is data:
            yield user


def _alike(graph: Graph, link: Link) -> Iterator[Link]:
    """The convs that read what ``link`` reads with the same geometry, itself included."""
    for user in _convs_on(graph, link.data):
        try:
            other = read_link(graph, user.result)
        except NoMatch:
            continue
        if other.geometry == link.geometry:
            yield other


def _takes(graph: Graph, root: Op, op: Op, others: Others) -> bool:
    for plan in others.sums:
        try:
            groups = plan(graph, root).groups
        except NoMatch:
            continue
        if any(op in part.path.convs for group in groups for part in group):
            return True
    return False


def _joins(graph: Graph, concat: Op, op: Op, others: Others) -> bool:
    for find in others.concats:
        try:
            plan = plan_concat(graph, concat, find)
        except NoMatch:
            continue
        runs = [run for run in plan if isinstance(run, Run)]
        if any(op in path.convs for run in runs for path in run.paths):
            return True
    return False


def _read(graph: Graph, value: Value) -> Path | None:
    try:
        path = read_path(graph, value, "one conv")
    except NoMatch:
        return None
    return path if path.convs else None


def run_of_one_input(paths: Sequence[Path | None]) -> Run | None:
    """The convs of one input and one geometry that come first."""
    first, run = paths[0], list[Path]()
    if first is None or first.geometry.group != 1:
        return None
    for path in paths:
        if path is None or (path.base, path.geometry) != (first.base, first.geometry):
            break
        if not _same_dtype(path, first):
            break
        run.append(path)
    return Run(run, first.base, 1) if len(run) > 1 else None


def run_of_parts(paths: Sequence[Path | None]) -> Run | None:
    """The convs of one geometry that come first, if they read the parts of a value in order."""
    first, run, end = paths[0], list[Path](), 0
    whole = None if first is None else piece_of(first.base)
    if first is None or whole is None:
        return None
    for path in paths:
        piece = None if path is None else piece_of(path.base)
        if path is None or piece is None or piece.data is not whole.data or piece.start != end:
            break
        if piece.stop - piece.start != whole.stop or not _same_form(path, first):
            break
        run.append(path)
        end = piece.stop
        if end == whole.total:
            return Run(run, whole.data, len(run)) if len(run) > 1 else None
    return None


def _same_form(path: Path, other: Path) -> bool:
    same = (path.geometry, path.channels) == (other.geometry, other.channels)
    return same and _same_dtype(path, other)


def _same_dtype(path: Path, other: Path) -> bool:
    one, two = (p.convs[0].operand(1) for p in (path, other))
    return one is not None and two is not None and one.dtype == two.dtype


def piece_of(value: Value) -> Piece | None:
    """The value as channels of another one, None where it is no Split or Slice of them."""
    op, data = value.op, value.op.operand(0)
    shape = None if data is None else data.shape
    if op.domain or op.kind not in ("Split", "Slice") or data is None or shape is None:
        return None
    if len(shape) < 2 or not isinstance(shape[1], int):
        return None
    source = data
    if op.kind == "Split":
        counts = [
            r.shape[1] if r.shape is not None and len(r.shape) > 1 else None for r in op.results
        ]
        known = [count for count in counts if isinstance(count, int)]
        if op.attributes.get("axis", 0) not in (1, 1 - len(shape)) or sum(known) != shape[1]:
            return None
        if len(known) != len(counts):
            return None
        start = sum(known[: value.index])
        return Piece(source, start, start + known[value.index], shape[1])
    starts, ends = constant_ints(op, 1, "starts"), constant_ints(op, 2, "ends")
    axes, steps = constant_ints(op, 3, "axes"), constant_ints(op, 4, "steps")
    if starts is None or ends is None or len(starts) != 1 or axes not in ((1,), (1 - len(shape),)):
        return None
    if steps not in (None, (1,)):
        return None
    begin, stop, _ = slice(starts[0], ends[0]).indices(shape[1])
    return Piece(source, begin, stop, shape[1])


def _why_none(paths: Sequence[Path | None], find: Find) -> str:
    bases = [path.base for path in paths if path is not None]
    if find is run_of_one_input and len(set(bases)) < len(bases):
        return "the convs before the Concat differ in geometry, are grouped or not neighbours"
    pieces = [piece for piece in map(piece_of, bases) if piece is not None]
    if find is run_of_parts and len({piece.data for piece in pieces}) < len(pieces):
        return "the convs of the parts differ in geometry, or the parts in channels or order"
    return ""
