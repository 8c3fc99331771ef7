"""What a certificate holds: a record of each applied rewrite, by pass, and what they began with.

All of it is plain data that goes to JSON and comes back the same (`convc.certificate.reading`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

FORMAT, VERSION = "convc-proof", 1
"""What the file says that it is. The version grows when a field changes its meaning."""

METADATA = "convc.proof"
"""Entry of the model's metadata that holds the digest of its certificate."""

SUFFIX = ".proof.json"
"""What the name of a certificate has more than that of its model."""

MOST_NAMED = 4
"""Ops and values that are named in a line."""

Decisions = tuple[tuple[tuple[int, str], ...], ...]
"""What the clock chose: rounds of (rule, place), see `convc.tuning.steps`."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a graph, for people by its names, for the replay by its digest.

    Attributes:
        inputs: names of the values that it is fed.
        outputs: names of the values that it makes.
        ops: kind and name of each op that is no weight.
        digest: see `convc.digest.graph_digest`; weights as they are stored.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ops: tuple[str, ...]
    digest: str

    def __str__(self) -> str:
        return f"{_few(self.ops) or 'nothing'} → {_few(self.outputs)}"


def _few(names: Sequence[str]) -> str:
    """The names, of many only the first and the last."""
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[: MOST_NAMED - 1])}, … ({len(names)} in all) …, {names[-1]}"


@dataclass(frozen=True, slots=True)
class Rounding:
    """Bounds of the rounding errors of a replacement in the stored dtype; see `convc.rounding`.

    Attributes:
        worst: what no error exceeds, relative to the largest that an output can be.
        probable: what none exceeds with that confidence, relative to the output's deviation.
        confidence: the probability.
    """

    worst: float
    probable: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Record:
    """One applied rewrite.

    Attributes:
        note: what became what.
        exactness: the class: exact, rounding or approximate.
        before: the region as it was.
        after: what replaced it.
        residual: of the proof in float64, relative to each channel's scale; None where the rewrite
            is approximate, of which nothing is proved but shapes and types.
        allowed: what the rewrite itself says that it changes; 0 but for class rounding.
        rounding: bounds for the stored dtype; None where none are known.
    """

    note: str
    exactness: str
    before: Region
    after: Region
    residual: float | None
    allowed: float
    rounding: Rounding | None = None


@dataclass(frozen=True, slots=True)
class PassTrail:
    """What one pass did.

    Attributes:
        text: the pass with its options.
        before: digest of the graph that it was given.
        after: digest of the graph that it made.
        records: its rewrites, in their order.
        decisions: what the clock chose for it; None where it was not asked.
        unproved: why its records do not account for all that it changed; "" where they do.
        repeatable: False where it depends on data, so that it cannot be done again.
    """

    text: str
    before: str
    after: str
    records: tuple[Record, ...] = ()
    decisions: Decisions | None = None
    unproved: str = ""
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Certificate:
    """How a model was made of another one, rewrite by rewrite.

    Attributes:
        versions: of convc and of the libraries that computed with it, by name.
        original: digest of the graph as it came.
        result: digest of the graph that was made of it.
        sizes: of the open dims of the inputs, by name, at which costs were counted.
        keep_initializer_inputs: how the original was read.
        objective: the count that ``choose(...)`` lowered where the clock was not asked.
        seed: of the proofs' random inputs.
        pipeline: its text.
        passes: what each of its passes did.
        verdict: of the comparison of the two models; "" where none was made.
        notes: what a reader has to know besides.
    """

    versions: Mapping[str, str]
    original: str
    result: str
    sizes: Mapping[str, int]
    keep_initializer_inputs: bool
    objective: str
    seed: int
    pipeline: str
    passes: tuple[PassTrail, ...]
    verdict: str = ""
    notes: tuple[str, ...] = field(default=())

    def records(self) -> Iterator[tuple[PassTrail, Record]]:
        """All records, each with its pass."""
        for trail in self.passes:
            for record in trail.records:
                yield trail, record

    @property
    def residual(self) -> float:
        """The largest residual of all proofs; 0 where there was none."""
        return max((record.residual or 0.0 for _, record in self.records()), default=0.0)

    def gaps(self) -> list[str]:
        """What is not proved, in words; empty where all is."""
        found = [f"pass {trail.text}: {trail.unproved}" for trail in self.passes if trail.unproved]
        found += [
            f"pass {trail.text}: {record.before}: approximate"
            for trail, record in self.records()
            if record.residual is None
        ]
        return found

    @property
    def digest(self) -> str:
        """SHA-256 of the certificate, whatever the layout of its file."""
        return digest_of(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The certificate as the file holds it; documented in docs/proof.md."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "versions": dict(self.versions),
            "original": self.original,
            "result": self.result,
            "sizes": dict(self.sizes),
            "keep_initializer_inputs": self.keep_initializer_inputs,
            "objective": self.objective,
            "seed": self.seed,
            "verdict": self.verdict or None,
            "rewrites": sum(len(trail.records) for trail in self.passes),
            "largest_residual": self.residual,
            "notes": list(self.notes),
            "pipeline": self.pipeline,
            "passes": [_trail_json(trail) for trail in self.passes],
        }

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.as_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of the document's canonical form: keys sorted, no white space, ASCII."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(canonical.encode()).hexdigest()


def _trail_json(trail: PassTrail) -> dict[str, Any]:
    return {
        "pass": trail.text,
        "before": trail.before,
        "after": trail.after,
        "decisions": trail.decisions,
        "unproved": trail.unproved or None,
        "repeatable": trail.repeatable,
        "records": [_record_json(record) for record in trail.records],
    }


def _record_json(record: Record) -> dict[str, Any]:
    rounding = None if record.rounding is None else asdict(record.rounding)
    return {
        "note": record.note,
        "class": record.exactness,
        "before": _region_json(record.before),
        "after": _region_json(record.after),
        "residual": record.residual,
        "allowed": record.allowed,
        "rounding": rounding,
    }


def _region_json(region: Region) -> dict[str, Sequence[str] | str]:
    return {
        "inputs": region.inputs,
        "outputs": region.outputs,
        "ops": region.ops,
        "digest": region.digest,
    }
