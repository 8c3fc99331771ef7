"""``convc bench``."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from convc.commands.output import DONE, print_json
from convc.console import make_console, rounds_bar, table
from convc.feeds import Feeds, as_cases, noise
from convc.model_files import load, runnable
from convc.runtime import Model, RunError, Session, Settings, physical_cores, version
from convc.sizes import load_runnable
from convc.timing import Run, in_own_process, interleave, ratio, run_of


def _timed(path: Path, model: Model, settings: Settings, feeds: Feeds, made_for: Path) -> Run:
    """A model that has run once; raises RunError, naming the file, where it does not."""
    try:
        session = Session(model, settings)
    except RunError as error:
        raise RunError(f"{path}: onnxruntime does not run it: {error}") from error
    try:
        session.run(feeds)
    except RunError as error:
        inputs = "" if path == made_for else f" on the inputs of {made_for}"
        raise RunError(f"{path}: onnxruntime does not run it{inputs}: {error}") from error
    return run_of(session, feeds)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def run(args: Namespace) -> int:
    """``convc bench``: times models in turn, each against the first."""
    paths = [Path(path) for path in (args.a, *args.others)]
    graph = load(paths[0], args.dim) if args.data else load_runnable(paths[0], args.dim)
    models = [runnable(path) for path in paths]
    cases = as_cases(args.data, graph)
    feeds = cases[0].feeds if cases else noise(graph, seed=args.seed)
    settings = Settings(threads=args.threads, provider=args.provider)
    flushed = Settings(threads=args.threads, provider=args.provider, denormal_as_zero=True)
    console = make_console()
    names = [str(path) for path in paths]
    with ExitStack() as stack:
        runs = [
            _timed(path, model, settings, feeds, paths[0])
            for path, model in zip(paths, models, strict=True)
        ]
        if args.provider.upper().startswith("CPU"):
            runs.append(stack.enter_context(in_own_process(models[0], flushed, feeds)))
            names.append(f"{paths[0]} with set_denormal_as_zero")
        on_round = stack.enter_context(rounds_bar(console, args.runs, args.quiet))
        times = interleave(runs, rounds=args.runs, seconds=args.budget, on_round=on_round)
    rows = [
        (name, median(spent) * 1e3, ratio(times[0], spent))
        for name, spent in zip(names, times, strict=True)
    ]
    if args.json:
        print_json(
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
    if args.quiet:
        return DONE
    made = table(
        "model", "median ms", "faster than the first", "95 % interval",
        title=f"onnxruntime {version()}, {_count(threads, 'thread')}, "
        f"{_count(len(times[0]), 'round')}",
    )  # fmt: skip
    for name, milliseconds, r in rows:
        made.add_row(name, f"{milliseconds:.3f}", f"{r.ratio:.2f}×", f"{r.low:.2f} to {r.high:.2f}")
    make_console().print(made)
    return DONE
