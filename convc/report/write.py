"""``--report``: what is checked before the work, and the page that is written after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from convc.analysis import Cost, cost
from convc.api import Result
from convc.errors import ConvcError, UsageError
from convc.feeds import Data, as_cases
from convc.files import check_writable, make_folder, write_whole
from convc.graph import Graph
from convc.limits import limits_of, too_large
from convc.report.measures import Images, image_cases, image_outputs, tradeoff
from convc.runtime import Settings
from convc.text import one_line

NEEDED = ("igraph", "jinja2", "matplotlib")
"""What the extra ``report`` installs."""


@dataclass(frozen=True)
class Means:
    """How the models of a report are run.

    Attributes:
        settings: of the sessions.
        timed: whether the ops of both models are timed.
        run: whether the models may be run at all.
        data: the user's inputs.
        preprocess: how images become inputs.
        seed: of made-up inputs.
        say: told what is being done.
    """

    settings: Settings
    timed: bool = False
    run: bool = True
    data: Data = None
    preprocess: str = ""
    seed: int = 0
    say: Callable[[str], None] = lambda _: None


def check_report(path: Path) -> None:
    """Raises UsageError where no report can be written to ``path``: before long work, not after."""
    _require_extra()
    if path.is_dir():
        raise UsageError(f"--report {path}: is a folder; name a file, such as report.html")
    try:
        check_writable(path)
    except UsageError as error:
        raise UsageError(f"--report {error}") from error


def report_paths(
    given: str | None, models: Sequence[Path], *, several: bool, taken: Sequence[Path] = ()
) -> list[Path | None]:
    """Where the report of each model goes: to the file, or of several models into the folder.

    A folder that is missing is made. Raises UsageError where a report cannot be written, or would
    replace a model or one of the files in ``taken``.
    """
    if given is None:
        return [None for _ in models]
    if not given:
        raise UsageError("--report: the name is empty: is a variable of your shell not set?")
    path = Path(given)
    if not several:
        if given.endswith(os.sep):
            raise UsageError(f"--report {given}: names a folder; name a file, such as report.html")
        check_report(path)
        if path.resolve() in {other.resolve() for other in (*models, *taken)}:
            raise UsageError(f"--report {path}: is the model; name another file")
        return [path]
    if path.exists() and not path.is_dir():
        raise UsageError(f"--report {path}: is a file; the reports of several models need a folder")
    paths = [path / f"{model.stem}.html" for model in models]
    repeated = [one for one in paths if paths.count(one) > 1]
    if repeated:
        raise UsageError(f"--report {path}: two of the models would have {min(repeated)}")
    _require_extra()
    make_folder(path)
    for one in paths:
        check_report(one)
    return [*paths]


def write_compared(path: Path, model: str, result: Result, means: Means) -> None:
    """Writes the page on a model and what was made of it; the file appears whole or not at all.

    Args:
        path: the file.
        model: the model's name, for people.
        result: of `convc.optimize`, with its history.
        means: how to run both models.

    Raises UsageError where the file cannot be written.
    """
    from convc.report.page import Comparison, compared_page  # noqa: PLC0415  # needs the extra

    history = result.history
    if history is None:
        raise UsageError("the report needs the history: optimize(..., history=True)")
    notes: list[str] = []
    means.say("costs of both models")
    before = _cost(history.original, means, notes)
    after = _cost(history.result, means, notes)
    means.say("writing the report")
    found = Comparison(
        result,
        before,
        after,
        _images(history.original, history.result, means),
        tradeoff(result),
        tuple(dict.fromkeys(notes)),
    )
    write_whole(path, _encoded(compared_page(model, found)))


def write_cost(path: Path, model: str, found: Cost) -> None:
    """Writes the page on what one model costs; the file appears whole or not at all."""
    from convc.report.page import cost_page  # noqa: PLC0415  # needs the extra

    write_whole(path, _encoded(cost_page(model, found)))


def _encoded(page: str) -> bytes:
    """UTF-8; halves of surrogate pairs, which a name may hold, have none."""
    return page.encode("utf-8", "replace")


def _require_extra() -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"--report needs {', '.join(missing)}: pip install 'convc[report]'")


def _cost(graph: Graph, means: Means, notes: list[str]) -> Cost:
    """The costs, by the clock where that is wanted and can be."""
    if not means.timed:
        return cost(graph)
    try:
        cases = as_cases(means.data, graph, means.preprocess)
        return cost(
            graph,
            measure=True,
            data=[case.feeds for case in cases[:1]] or None,
            threads=means.settings.threads,
            provider=means.settings.provider,
            seed=means.seed,
            on_progress=means.say,
        )
    except (ConvcError, MemoryError) as error:
        notes.append(f"the ops could not be timed: {one_line(error) or 'out of memory'}")
        return cost(graph)


def _images(before: Graph, after: Graph, means: Means) -> Images:
    reason = too_large(before) if means.run else "the models were not run (--verify off)"
    if reason:
        return Images(reason=reason)
    settings = replace(means.settings, limits=limits_of(before))
    try:
        cases = image_cases(before, means.data, means.preprocess, seed=means.seed)
        made_up = means.data is None
        return image_outputs(before, after, cases, made_up=made_up, settings=settings)
    except (ConvcError, MemoryError) as error:
        return Images(reason=f"no images: {one_line(error) or 'out of memory'}")
