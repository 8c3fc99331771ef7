"""``convc optimize --pareto``: a model for each of several errors, and a table of the gains."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convc.approximate import Allowance
from convc.console import human, make_console, table

STEPS = (0.25, 0.5, 1.0, 2.0)
"""Times the error that is allowed."""

One = Callable[[Path, Path, Namespace, str], tuple[int, dict[str, Any]]]
"""Optimises one model; see `convc.commands.optimize`."""


def several(
    model: Path, target: Path, args: Namespace, allowed: Allowance, *, title: str, optimize: One
) -> tuple[int, dict[str, Any]]:
    """Optimises a model at each of `STEPS`; the worst exit code and one document for all.

    The results lie beside ``target``, with the error in their names: ``net.0.3%.onnx``. So do the
    reports.
    ``title`` says what is being optimised while that lasts.
    """
    worst, documents = 0, []
    steps = list(thresholds(allowed))
    for number, (threshold, label) in enumerate(steps, start=1):
        at = Namespace(**{**vars(args), "max_error": repr(threshold)})
        if args.report is not None:
            at.report = args.report.with_name(f"{args.report.stem}.{label}{args.report.suffix}")
        named = target.with_name(f"{target.stem}.{label}{target.suffix}")
        run = f"{title}, error {label} ({number} of {len(steps)})"
        code, document = optimize(model, named, at, run)
        worst = max(worst, code)
        documents.append(document | {"max_error": threshold})
    if not args.quiet:
        _show(model, documents, allowed)
    return worst, {"input": str(model), "pareto": documents}


def thresholds(allowed: Allowance) -> Iterator[tuple[float, str]]:
    """The errors as the metric has them, the least first, and how files are called after them."""
    metric = allowed.metric
    for step in STEPS:
        loss = step * allowed.limit
        if loss >= 1 and metric.unit in ("relative", "share", "psnr"):
            continue
        threshold = metric.from_loss(loss)
        yield threshold, metric.show(threshold).split(" differ")[0].replace(" ", "")


def _show(model: Path, documents: list[dict[str, Any]], allowed: Allowance) -> None:
    metric = allowed.metric
    made = table("allowed", metric.name, "speed", "MACs", "file", title=model.name)
    for document in documents:
        found, speed = document["approximation"], document["speedup"]
        value = found["value"] if found is not None and found["forms"] else None
        made.add_row(
            metric.show(document["max_error"]),
            "exact" if value is None else metric.show(value),
            "–" if speed is None else f"{speed:.2f}×",
            human(document["after"]["macs"]),
            Path(document["output"]).name if document["output"] else "not written",
        )
    make_console().print(made)
