"""Sums of branches: those that read one input become one conv, those of several a conv on all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convc.algebra.branches import (
    Branch,
    common_geometry,
    concat_inputs,
    output_key,
    sum_branches,
)
from convc.graph import Graph
from convc.ir import Array, Op, Value, is_real
from convc.rewrite import NoMatch, Replacement, Rewrite
from passes._chains import operand, require_small, sizes
from passes._linear import per_channel
from passes.merge_branches.paths import Path, Reach, emit, label, read_path, weights

KINDS = ("Add", "Sub", "Sum")


@dataclass(frozen=True)
class Term:
    """A value that is added, or with ``sign`` −1 taken away."""

    value: Value
    sign: int


@dataclass(frozen=True)
class Part:
    """A term as a linear map of some value."""

    term: Term
    path: Path

    @property
    def branch(self) -> Branch:
        """The path with its sign, in float64."""
        branch = self.path.branch
        if self.term.sign > 0:
            return branch
        bias = None if branch.bias is None else -branch.bias
        return replace(branch, kernel=-branch.kernel, bias=bias)

    @property
    def conv(self) -> Op:
        """The last conv on the path."""
        return self.path.convs[-1]


@dataclass(frozen=True)
class Plan:
    """Which terms of a sum become one; ``rest`` are the others."""

    groups: tuple[tuple[Part, ...], ...]
    rest: tuple[Term, ...]


def merge_sum(graph: Graph, op: Op, grow: bool) -> Rewrite:
    """Proposes one conv for each group of branches of the sum ``op`` that read one input."""
    plan = plan_sum(graph, op, grow=grow)
    build = Replacement(graph)
    emitted: list[Value] = []
    notes: list[str] = []
    shift, rest = _shift(plan.rest, plan.groups[0][0].path)
    for group in plan.groups:
        for_bias = shift if not emitted else None
        merged = _with_shift(sum_branches([part.branch for part in group]), for_bias)
        path = next(part.path for part in group if part.path.convs)
        emitted.append(_emit(build, build.take(path.base), merged, group))
        labels = " + ".join(part.path.label for part in group)
        notes.append(f"{labels} → {label(merged.geometry)}")
    return _finish(build, op, emitted, rest, "; ".join(notes))


def join_inputs(graph: Graph, op: Op) -> Rewrite:
    """Proposes one conv on the concatenated inputs for convs of one geometry that are added."""
    plan = plan_join(graph, op)
    (group,) = plan.groups
    shift, rest = _shift(plan.rest, group[0].path)
    build = Replacement(graph)
    data = build.concat([build.take(part.path.base) for part in group], 1)
    merged = _with_shift(concat_inputs([part.branch for part in group]), shift)
    result = _emit(build, data, merged, group)
    shape = label(merged.geometry)
    return _finish(build, op, [result], rest, f"sum of {len(group)} {shape} → {shape} on a Concat")


def plan_sum(graph: Graph, op: Op, *, grow: bool) -> Plan:
    """The groups of `merge_sum`; declines where there are none.

    Unless it may ``grow``, paths end where composing them makes the sum dearer than its branches.
    """
    terms = read_terms(graph, op)
    plan = _plan(graph, terms, "any")
    if grow or not any(_is_dearer(group) for group in plan.groups):
        return plan
    return _plan(graph, terms, "cheap")


def _plan(graph: Graph, terms: Sequence[Term], reach: Reach) -> Plan:
    parts = [_read(graph, term, reach) for term in terms]
    buckets: dict[object, list[Part]] = {}
    for part in parts:
        if part is not None:
            buckets.setdefault(_key(part.path), []).append(part)
    groups = [
        tuple(bucket)
        for bucket in buckets.values()
        if len(bucket) > 1 and any(part.path.convs for part in bucket)
    ]
    if not groups:
        raise NoMatch(_why_none([part.path for part in parts if part is not None]))
    for group in groups:
        require_small(_weights(group))
    merged = {id(part.term) for group in groups for part in group}
    return Plan(tuple(groups), tuple(term for term in terms if id(term) not in merged))


def plan_join(graph: Graph, op: Op) -> Plan:
    """The group of `join_inputs`; declines where there is none."""
    terms = read_terms(graph, op)
    read = [_read(graph, term, "one conv") for term in terms]
    parts = [part for part in read if part is not None and part.path.convs]
    if len(parts) < 2 or len({part.path.base for part in parts}) < 2:
        raise NoMatch
    buckets: dict[object, list[Part]] = {}
    for part in parts:
        buckets.setdefault((part.path.geometry, part.path.channels), []).append(part)
    group = max(buckets.values(), key=len)
    if len(group) < 2:
        raise NoMatch("the convs that are added differ in geometry")
    if group[0].path.geometry.group != 1:
        raise NoMatch("the convs that are added are grouped")
    shapes = {_outline(part.path.base) for part in group}
    if None in shapes:
        raise NoMatch("the inputs of the convs that are added may differ in size")
    if len(shapes) > 1:
        raise NoMatch("the inputs of the convs that are added differ in size")
    chosen = {id(part.term) for part in group}
    return Plan((tuple(group),), tuple(term for term in terms if id(term) not in chosen))


def read_terms(graph: Graph, op: Op) -> list[Term]:
    """The terms of the sum of which ``op`` is the last op; declines for an op within a sum."""
    if not _is_sum(op) or not is_real(op.result.dtype):
        raise NoMatch
    if _is_inner(graph, op.result):
        raise NoMatch
    terms: list[Term] = []
    stack = [Term(op.result, 1)]
    while stack:
        term = stack.pop()
        maker = term.value.op
        if maker is not op and not (_is_sum(maker) and _is_inner(graph, term.value)):
            terms.append(term)
            continue
        inner = [operand(maker, i) for i in range(len(maker.operands))]
        signs = [-1 if maker.kind == "Sub" and i else 1 for i in range(len(inner))]
        stack += [Term(v, s * term.sign) for v, s in zip(inner, signs, strict=True)][::-1]
    return terms


def root_of(graph: Graph, value: Value) -> Op | None:
    """The last op of the sum that takes ``value`` in as its only user, None where there is none."""
    op = _sum_of(graph, value)
    outer = op
    while outer is not None:
        op, outer = outer, _sum_of(graph, outer.result)
    return op


def _is_sum(op: Op) -> bool:
    # Before opset 7 a flag makes an Add broadcast, along an axis: that is no plain sum.
    return op.kind in KINDS and not op.domain and not op.attributes.get("broadcast")


def _is_inner(graph: Graph, value: Value) -> bool:
    return _sum_of(graph, value) is not None


def _sum_of(graph: Graph, value: Value) -> Op | None:
    """The sum that alone uses ``value``."""
    use = graph.only_use(value)
    return use[0] if use is not None and _is_sum(use[0]) else None


def _read(graph: Graph, term: Term, reach: Reach) -> Part | None:
    if term.value.array is not None:
        return None
    try:
        return Part(term, read_path(graph, term.value, reach))
    except NoMatch:
        return None


def _weights(group: Sequence[Part]) -> int:
    path = group[0].path
    geometry = common_geometry([part.path.geometry for part in group])
    return weights(path.inputs, path.channels, geometry)


def _is_dearer(group: Sequence[Part]) -> bool:
    return _weights(group) > sum(part.path.parts_cost for part in group)


def _key(path: Path) -> object:
    """What branches share that become one conv: the input, the stride and the output."""
    geometry = path.geometry
    outputs = output_key(geometry, sizes(path.base.shape, geometry.ndim))
    return path.base, path.channels, geometry.strides, outputs


def _why_none(paths: Sequence[Path]) -> str:
    if len(paths) < 2 or not any(path.convs for path in paths):
        return ""
    bases = [path.base for path in paths]
    if len(set(bases)) < len(bases):
        shared = [path for path in paths if bases.count(path.base) > 1]
        if not any(path.convs for path in shared):
            return ""
        return "the branches differ in stride, size or channels"
    reasons = [path.reason for path in paths if path.reason]
    return reasons[0] if reasons else "the branches of the sum have different inputs"


def _outline(value: Value) -> object:
    """The shape but for the channels; None where an entry is not known."""
    shape = value.shape
    if shape is None or None in shape:
        return None
    return shape[0], *shape[2:]


def _shift(terms: Sequence[Term], path: Path) -> tuple[Array | None, list[Term]]:
    """What the constant terms add to each channel, (K,) or None, and the terms that are left."""
    total, ndim = np.zeros(path.channels), path.geometry.ndim
    rest: list[Term] = []
    for term in terms:
        array = term.value.array
        if array is None or array.ndim > ndim + 2:
            rest.append(term)
            continue
        values = per_channel(array, -1 - ndim, path.channels)
        if values is None:
            rest.append(term)
            continue
        total += term.sign * values.astype(np.float64)
    return (total if total.any() else None), rest


def _with_shift(branch: Branch, shift: Array | None) -> Branch:
    if shift is None:
        return branch
    return replace(branch, bias=shift if branch.bias is None else branch.bias + shift)


def _emit(build: Replacement, data: Value, merged: Branch, group: Sequence[Part]) -> Value:
    like = next(part.conv for part in group if part.path.convs)
    if any(
        operand(part.conv, 1).dtype != operand(like, 1).dtype for part in group if part.path.convs
    ):
        raise NoMatch("the weights of the branches differ in type")
    return emit(build, data, merged, like)


def _finish(
    build: Replacement, op: Op, emitted: Sequence[Value], rest: Sequence[Term], note: str
) -> Rewrite:
    result = emitted[0]
    for value in emitted[1:]:
        result = build.op("Add", (result, value))
    for term in rest:
        kind = "Add" if term.sign > 0 else "Sub"
        result = build.op(kind, (result, build.take(term.value)))
    result.type = op.result.type or result.type
    result.op.name = op.name
    return build.rewrite({op.result: result}, note=note)
