"""The commands of the command line: each takes parsed arguments and returns an exit code."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import asdict
from inspect import cleandoc
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any

from convc.api import DEFAULT_PIPELINE, Result, optimize, verify
from convc.check import Comparison
from convc.console import make_console, progress, rounds_bar, show_result, show_timing, table
from convc.errors import ConvcError, ProofError, UsageError
from convc.feeds import as_cases, noise
from convc.files import check_writable
from convc.judge import Verdict
from convc.onnx_io import load, save
from convc.pipeline import Pipeline, find_pass, options, pass_names
from convc.runtime import Session, Settings, physical_cores, provider, version
from convc.sizes import load_runnable
from convc.timing import in_own_process, interleave, ratio, run_of

DONE, DIFFERENT, BAD_INPUT = 0, 1, 2

SUFFIX = ".convc.onnx"


def optimize_command(args: Namespace) -> int:
    """``convc optimize``: rewrites models, one after the other."""
    if args.objective == "latency":
        raise UsageError("--objective latency is not built yet; macs (the default) counts instead")
    if args.max_error != "0":
        raise UsageError(
            f"--max-error {args.max_error}: no approximate pass is installed; leave it"
        )
    provider(args.provider)
    pipeline = Pipeline.parse(args.passes if args.passes is not None else DEFAULT_PIPELINE)
    models = _models(args.models)
    targets = _targets(models, args)
    if not args.dry_run:
        for model, target in zip(models, targets, strict=True):
            if model.exists():
                _check_target(target, args)
    documents: list[dict[str, Any]] = []
    worst = DONE
    for model, target in zip(models, targets, strict=True):
        try:
            code, document = _optimize_one(model, target, pipeline, args)
        except ConvcError as error:
            if len(models) == 1:
                raise
            print("convc: " + " ".join(str(error).split()), file=sys.stderr)
            code = DIFFERENT if isinstance(error, ProofError) else BAD_INPUT
            document = {"input": str(model), "error": str(error)}
        worst = max(worst, code)
        documents.append(document)
    if args.json:
        _print_json(documents[0] if len(documents) == 1 else {"models": documents})
    return worst


def _optimize_one(
    model: Path, target: Path, pipeline: Pipeline, args: Namespace
) -> tuple[int, dict[str, Any]]:
    console = make_console()
    with progress(console, model.name, args.quiet) as say:
        result = optimize(
            model,
            pipeline,
            objective=args.objective,
            data=args.data,
            sizes=args.dim,
            tolerance=args.tolerance,
            verify=args.verify,
            seed=args.seed,
            keep_initializer_inputs=args.keep_initializer_inputs,
            on_progress=say,
        )
        refused = result.comparison is not None and result.verdict is Verdict.DIFFERENT
        written = not refused and not args.dry_run
        if written:
            say("writing")
            if _several(args):
                _make_folder(target.parent)
            save(result.graph, target, external_data=args.external_data)
    if not args.quiet:
        outcome = f"written: {target}" if written else "not written (--dry-run)"
        show_result(console, model.name, result, "" if refused else outcome)
    if args.timing:
        show_timing(console, result.reports)
    if refused:
        message = f"{model}: the result differs from the original; not written"
        print(f"convc: {message}; at fault: {result.culprit}", file=sys.stderr)
    elif args.quiet and result.comparison is not None and result.verdict is Verdict.UNVERIFIED:
        why = "; ".join(result.comparison.notes)
        print(f"convc: {model}: unverified: {why}", file=sys.stderr)
    return (DIFFERENT if refused else DONE), _document(model, target if written else None, result)


def _document(model: Path, target: Path | None, result: Result) -> dict[str, Any]:
    return {
        "input": str(model),
        "output": None if target is None else str(target),
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
        "before": result.before.as_json(),
        "after": result.after.as_json(),
        "speedup": None,
        "verify": None if result.comparison is None else result.comparison.as_json(),
        "culprit": result.culprit or None,
    }


def _models(paths: list[str]) -> list[Path]:
    """The files among ``paths``; a folder stands for the models in it, results left out."""
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        inside = [p for p in sorted(path.glob("*.onnx")) if not p.name.endswith(SUFFIX)]
        if not inside:
            raise UsageError(f"{path}: the folder holds no .onnx file")
        found.extend(inside)
    return found


def _several(args: Namespace) -> bool:
    return len(args.models) > 1 or any(Path(path).is_dir() for path in args.models)


def _targets(models: list[Path], args: Namespace) -> list[Path]:
    """Where each model goes: beside itself, to the file of ``-o``, or into the folder of it."""
    output = None if args.output is None else Path(args.output)
    if output is None:
        targets = [m.with_name(m.name.removesuffix(".onnx") + SUFFIX) for m in models]
    elif not _several(args) and not output.is_dir():
        return [output]
    elif output.is_file():
        raise UsageError(f"-o {output}: is a file; several models need a folder")
    else:
        targets = [output / model.name for model in models]
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
        return
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir():
        raise UsageError(f"-o {folder}: {above} is no folder")
    check_writable(above / target.name)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder}: cannot create it: {error.strerror}") from error


def verify_command(args: Namespace) -> int:
    """``convc verify``: compares two models."""
    with progress(make_console(), "verifying", args.quiet):
        comparison = verify(
            args.a,
            args.b,
            data=args.data,
            sizes=args.dim,
            tolerance=args.tolerance,
            seed=args.seed,
        )
    if args.json:
        _print_json({"a": args.a, "b": args.b, "verify": comparison.as_json()})
    elif not args.quiet:
        print(comparison.verdict.value + ("" if comparison.bit_identical else _figures(comparison)))
        for note in comparison.notes:
            print(f"note: {note}")
    if comparison.verdict is Verdict.UNVERIFIED:
        return BAD_INPUT
    return DONE if comparison.verdict.good else DIFFERENT


def _figures(comparison: Comparison) -> str:
    if not isfinite(comparison.max_abs):
        return ""
    return (
        f", not bit-identical: largest difference {comparison.max_abs:.3g} "
        f"({comparison.max_rel:.1e} of the output's scale); error against float64 "
        f"{comparison.error:.1e}, the first model's own {comparison.original_error:.1e}"
    )


def bench_command(args: Namespace) -> int:
    """``convc bench``: times models in turn, each against the first."""
    paths = [Path(path) for path in (args.a, *args.others)]
    graph = load(paths[0], args.dim) if args.data else load_runnable(paths[0], args.dim)
    cases = as_cases(args.data, graph)
    feeds = cases[0].feeds if cases else noise(graph, seed=args.seed)
    settings = Settings(threads=args.threads, provider=args.provider)
    flushed = Settings(threads=args.threads, provider=args.provider, denormal_as_zero=True)
    console = make_console()
    names = [str(path) for path in paths]
    with ExitStack() as stack:
        runs = [run_of(Session(path, settings), feeds) for path in paths]
        if args.provider.upper().startswith("CPU"):
            runs.append(stack.enter_context(in_own_process(paths[0], flushed, feeds)))
            names.append(f"{paths[0]} with set_denormal_as_zero")
        on_round = stack.enter_context(rounds_bar(console, args.runs, args.quiet))
        times = interleave(runs, rounds=args.runs, seconds=args.budget, on_round=on_round)
    rows = [
        (name, median(spent) * 1e3, ratio(times[0], spent))
        for name, spent in zip(names, times, strict=True)
    ]
    if args.json:
        _print_json(
            {
                "runtime": f"onnxruntime {version()}",
                "threads": args.threads or physical_cores(),
                "rounds": len(times[0]),
                "sizes": {k: v for k, v in graph.sizes.items() if not k.startswith("?")},
                "models": [
                    {"model": name, "latency_ms": ms, **asdict(found)} for name, ms, found in rows
                ],
            }
        )
        return DONE
    threads = args.threads or physical_cores()
    made = table(
        "model", "median ms", "faster than the first", "95 % interval",
        title=f"onnxruntime {version()}, {threads} threads, {len(times[0])} rounds",
    )  # fmt: skip
    for name, milliseconds, r in rows:
        made.add_row(name, f"{milliseconds:.3f}", f"{r.ratio:.2f}×", f"{r.low:.2f} to {r.high:.2f}")
    make_console().print(made)
    return DONE


def passes_command(args: Namespace) -> int:
    """``convc passes``: lists the passes, or shows one."""
    if args.name == "default":
        print(Pipeline.parse(DEFAULT_PIPELINE))
        return DONE
    if args.name is None:
        for name in pass_names():
            print(f"{name:20} {_first_sentence(find_pass(name).__doc__)}")
        print(f"{'default':20} The default pipeline: {DEFAULT_PIPELINE}")
        return DONE
    found = find_pass(args.name)
    print(cleandoc(found.__doc__ or "") + "\n")
    for option, (kind, default) in options(found).items():
        print(f"  {option}={default}  ({kind})")
    return DONE


def _first_sentence(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text and text.strip() else ""


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))
