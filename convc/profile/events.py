"""onnxruntime's profile: how long each kernel took in each run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convc.runtime import RunError

MICRO = 1e-6
"""The profile's times are whole microseconds."""

_SUFFIX = "_kernel_time"


@dataclass(frozen=True, slots=True)
class Kernels:
    """Seconds of each kernel, run by run.

    Attributes:
        seconds: by the name of the node, one number for each run (0 where it did not run).
        kinds: the op type of each node.
    """

    seconds: Mapping[str, tuple[float, ...]]
    kinds: Mapping[str, str]


def read_kernels(path: Path, runs: int) -> Kernels:
    """The kernels of the last ``runs`` runs in a profile.

    A kernel that runs inside another one (a body's, in an If or a Loop) is left out: its time is
    part of the outer one's. Raises RunError where the file cannot be understood.
    """
    try:
        events = json.loads(path.read_bytes().decode(errors="replace"), strict=False)
        nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith(_SUFFIX)]
        spans = sorted(_span(e) for e in events if e.get("name") == "model_run")[-runs:]
        if not spans:
            raise ValueError("there is no run in it")
        return _by_run(_outermost(nodes), spans)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunError(f"onnxruntime's profile cannot be read: {error}") from error


def _span(event: Mapping[str, Any]) -> tuple[int, int]:
    start = int(event["ts"])
    return start, start + int(event["dur"])


def _outermost(nodes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events that lie in no other one; of two that begin together the longer one is outside."""
    found: list[Mapping[str, Any]] = []
    ends: dict[Any, int] = defaultdict(lambda: -1)
    for event in sorted(nodes, key=lambda e: (_span(e)[0], -_span(e)[1])):
        start, end = _span(event)
        thread = event.get("tid")
        # What lasts no microsecond and begins when the one before ends is beside it, not inside.
        if end <= ends[thread] and start < ends[thread]:
            continue
        ends[thread] = max(ends[thread], end)
        found.append(event)
    return found


def _by_run(nodes: Iterable[Mapping[str, Any]], spans: list[tuple[int, int]]) -> Kernels:
    seconds: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in nodes:
        start, end = _span(event)
        run = next((i for i, (low, high) in enumerate(spans) if low <= start <= high), None)
        if run is None:
            continue
        name = event["name"].removesuffix(_SUFFIX)
        seconds.setdefault(name, [0.0] * len(spans))[run] += (end - start) * MICRO
        kinds[name] = str(event.get("args", {}).get("op_name", ""))
    return Kernels({name: tuple(times) for name, times in seconds.items()}, kinds)
