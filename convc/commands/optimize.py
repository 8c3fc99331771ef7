"""``convc optimize``."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

from convc.api import Result, optimize
from convc.approximate import parse_allowance
from convc.certificate import Certificate, proof_path, write_certificate
from convc.commands.output import BAD_INPUT, DIFFERENT, DONE, print_json
from convc.commands.pareto import several
from convc.console import make_console, progress
from convc.errors import ConvcError, ProofError, UsageError
from convc.files import check_writable, make_folder
from convc.instruments import Dump, PrintAfterChange
from convc.judge import Verdict
from convc.model_files import save
from convc.pipeline import Instrument, Pipeline
from convc.report.write import Means, report_paths, write_compared
from convc.runtime import Settings, provider
from convc.tables.summary import entry, show_closing, show_result, show_timing
from convc.text import one_line
from convc.tuning import Measured

SUFFIX = ".convc.onnx"


def run(args: Namespace) -> int:
    """``convc optimize``: rewrites models, one after the other."""
    allowed = parse_allowance(args.max_error, args.metric)
    if args.pareto and allowed is None:
        raise UsageError("--pareto: around which error? give --max-error")
    if args.metric and allowed is None:
        raise UsageError(f"--metric {args.metric}: of which error? give --max-error")
    if args.proof and args.dry_run:
        raise UsageError("--proof writes a file, and --dry-run writes none: leave one of them out")
    if args.verify != "off" or args.objective == "latency":
        provider(args.provider)
    pipeline = None if args.passes is None else Pipeline.parse(args.passes)
    models = _models(args.models)
    targets = _targets(models, args)
    if not args.dry_run:
        for model, target in zip(models, targets, strict=True):
            if model.exists():
                _check_target(target, args)
    pages = report_paths(args.report, models, several=_many(args), taken=targets)
    documents: list[dict[str, Any]] = []
    worst = DONE
    for number, (model, target, page) in enumerate(
        zip(models, targets, pages, strict=True), start=1
    ):
        args.report = page
        title = model.name if len(models) == 1 else f"{number} of {len(models)}, {model.name}"
        try:
            if args.pareto and allowed is not None:
                one = partial(_optimize_one, pipeline=pipeline, summary=False)
                code, document = several(model, target, args, allowed, title=title, optimize=one)
            else:
                code, document = _optimize_one(model, target, args, title, pipeline=pipeline)
        except ConvcError as error:
            if len(models) == 1:
                raise
            print("convc: " + one_line(error), file=sys.stderr)
            code = DIFFERENT if isinstance(error, ProofError) else BAD_INPUT
            document = {"input": str(model), "error": str(error)}
        worst = max(worst, code)
        documents.append(document)
        if len(models) > 1 and not args.quiet:
            make_console().print()
    if len(models) > 1 and not args.quiet and not args.pareto:
        show_closing(make_console(), documents)
    if args.json:
        print_json(documents[0] if len(documents) == 1 else {"models": documents})
    return worst


def _optimize_one(
    model: Path,
    target: Path,
    args: Namespace,
    title: str,
    *,
    pipeline: Pipeline | None,
    summary: bool = True,
) -> tuple[int, dict[str, Any]]:
    """Optimises a model; ``title`` says which one while that lasts."""
    console = make_console()
    silent = args.quiet or not summary
    with progress(console, title, args.quiet) as steps:
        result = optimize(
            model,
            pipeline,
            objective=args.objective,
            data=args.data,
            preprocess=args.preprocess,
            sizes=args.dim,
            tolerance=args.tolerance,
            max_error=args.max_error,
            metric=args.metric,
            verify=args.verify,
            seed=args.seed,
            keep_initializer_inputs=args.keep_initializer_inputs,
            threads=args.threads,
            provider=args.provider,
            budget=args.budget,
            on_progress=steps.say,
            on_budget=steps.part,
            instruments=_instruments(args, model),
            reproducer=None if args.dry_run else target.with_suffix(".reproducer.mlir"),
            proof=args.proof,
            history=args.report is not None,
        )
        refused = result.comparison is not None and result.verdict is Verdict.DIFFERENT
        written = not refused and not args.dry_run
        if written:
            steps.say("writing")
            if _several(args):
                make_folder(target.parent)
            if result.certificate is not None:
                # First: no model shall name a proof that is not there.
                write_certificate(result.certificate, proof_path(target))
            save(result.graph, target, external_data=args.external_data)
        if args.report is not None:
            write_compared(args.report, model.name, result, _means(args, steps.say))
    if not silent:
        outcome = str(target) if written else "no: --dry-run"
        show_result(console, model.name, result, "" if refused else outcome)
        if written and result.certificate is not None:
            entry(console, "proof", _proof_line(result.certificate, proof_path(target)))
        if args.report is not None:
            entry(console, "report", str(args.report), whole=True)
    if args.timing:
        show_timing(console, result.reports)
    if refused:
        message = f"{model}: the result differs from the original; not written"
        print(f"convc: {message}; at fault: {result.culprit}{_saved(result)}", file=sys.stderr)
    elif silent and result.comparison is not None and result.verdict is Verdict.UNVERIFIED:
        why = "; ".join(result.comparison.notes)
        print("convc: " + one_line(f"{model}: unverified: {why}"), file=sys.stderr)
    return (DIFFERENT if refused else DONE), _document(
        model, target if written else None, args.report, result
    )


def _proof_line(certificate: Certificate, path: Path) -> str:
    """How many rewrites were proved, and what was not."""
    count = sum(1 for _ in certificate.records())
    gaps = certificate.gaps()
    number = "1 rewrite" if count == 1 else f"{count} rewrites"
    told = f"{number}, largest residual {certificate.residual:.1e}: {path}"
    if not gaps:
        return told
    return f"{told}; not proved: {gaps[0]}" + (f" (and {len(gaps) - 1} more)" if gaps[1:] else "")


def _saved(result: Result) -> str:
    return "" if result.reproducer is None else f"; to reproduce: {result.reproducer}"


def _instruments(args: Namespace, model: Path) -> list[Instrument]:
    watching: list[Instrument] = []
    if args.print_after_change:
        watching.append(PrintAfterChange(sys.stderr.write))
    if args.dump is not None:
        folder = Path(args.dump)
        watching.append(Dump(folder / model.stem if _several(args) else folder))
    return watching


def _document(
    model: Path, target: Path | None, page: Path | None, result: Result
) -> dict[str, Any]:
    return {
        "input": str(model),
        "output": None if target is None else str(target),
        "report": None if page is None else str(page),
        "passes": [
            {
                "pass": report.text,
                "seconds": round(report.stats.seconds, 6),
                "applied": report.stats.applied,
                "declined": dict(report.stats.declined),
                "residual": report.stats.residual,
            }
            for report in result.reports
        ],
        "before": result.before.as_json() | {"latency_ms": _milliseconds(result, "before")},
        "after": result.after.as_json() | {"latency_ms": _milliseconds(result, "after")},
        "speedup": None if result.measured is None else result.measured.ratio.ratio,
        "speedup_interval": None if result.measured is None else _interval(result.measured),
        "tuning": None if result.tuning is None else asdict(result.tuning),
        "approximation": None if result.approximation is None else result.approximation.as_json(),
        "verify": None if result.comparison is None else result.comparison.as_json(),
        "proof": _proof_document(target, result),
        "culprit": result.culprit or None,
        "reproducer": None if result.reproducer is None else str(result.reproducer),
    }


def _proof_document(target: Path | None, result: Result) -> dict[str, Any] | None:
    certificate = result.certificate
    if certificate is None:
        return None
    return {
        "file": None if target is None else str(proof_path(target)),
        "digest": certificate.digest,
        "rewrites": sum(1 for _ in certificate.records()),
        "largest_residual": certificate.residual,
        "gaps": certificate.gaps(),
    }


def _interval(measured: Measured) -> list[float]:
    return [measured.ratio.low, measured.ratio.high]


def _milliseconds(result: Result, side: Literal["before", "after"]) -> float | None:
    return None if result.measured is None else 1e3 * getattr(result.measured, side)


def _models(paths: list[str]) -> list[Path]:
    """The files among ``paths``; a folder stands for the models in it, results left out."""
    if "" in paths:
        raise UsageError("a model's name is empty: is a variable of your shell not set?")
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        files = [p for p in sorted(path.glob("*.onnx")) if not p.is_dir()]
        inside = [p for p in files if not p.name.endswith(SUFFIX)]
        if not inside:
            raise UsageError(f"{path}: the folder holds no .onnx file (folders in it are left out)")
        found.extend(inside)
    return found


def _several(args: Namespace) -> bool:
    """True where ``-o`` is a folder: several models, a folder of them, or a name that says so."""
    return (args.output or "").endswith(os.sep) or _many(args)


def _many(args: Namespace) -> bool:
    """True for several models, or a folder of them."""
    return len(args.models) > 1 or any(map(os.path.isdir, args.models))


def _means(args: Namespace, say: Callable[[str], None]) -> Means:
    """How the models of a report are run."""
    return Means(
        Settings(threads=args.threads, provider=args.provider),
        timed=args.objective == "latency",
        run=args.objective == "latency" or args.verify != "off",
        data=args.data,
        preprocess=args.preprocess,
        seed=args.seed,
        say=say,
    )


def _targets(models: list[Path], args: Namespace) -> list[Path]:
    """Where each model goes: beside itself, to the file of ``-o``, or into the folder of it."""
    if args.output == "":
        raise UsageError("-o: the name is empty: is a variable of your shell not set?")
    output = None if args.output is None else Path(args.output)
    if output is None:
        targets = [m.with_name(m.stem + SUFFIX) for m in models]
    elif not _several(args) and not output.is_dir():
        return [output]
    elif output.is_file():
        raise UsageError(f"-o {output}: is a file; several models need a folder")
    elif output.suffix == ".onnx" and not output.is_dir() and not args.output.endswith(os.sep):
        raise UsageError(f"-o {output}: names a file; several models need a folder")
    else:
        targets = [output / f"{model.stem}.onnx" for model in models]
    repeated = {str(target) for target in targets if targets.count(target) > 1}
    if repeated:
        raise UsageError(f"two of the models would be written to {min(repeated)}")
    replaced = [m for m, t in zip(models, targets, strict=True) if t.resolve() == m.resolve()]
    if replaced:
        raise UsageError(f"-o {output}: would replace {replaced[0]} itself; name another folder")
    return targets


def _check_target(target: Path, args: Namespace) -> None:
    """Raises UsageError where the target cannot be written; a missing folder of ``-o`` is made."""
    folder = target.parent
    if not _several(args) or folder.exists():
        check_writable(target)
        if args.proof:
            check_writable(proof_path(target))
        return
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir():
        raise UsageError(f"-o {folder}: {above} is no folder")
    check_writable(above / target.name)
