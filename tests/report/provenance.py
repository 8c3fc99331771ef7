"""Checks what `convc.report.history` says of a run; ``python -m tests.report.provenance MODEL...``.

The long form of `tests.report.test_history`: every model under the default pipelines and under each
pass alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from convc.api import TUNED_PIPELINE, Result, optimize
from convc.ir import Op
from convc.pipeline import pass_names
from convc.report.history import History, computing, name_of

GENTLE = ("annotate-cost", "select-channels")
"""Passes that rewrite nothing by themselves."""


def history_of(model: object, passes: str | None = None, **options: object) -> History:
    """The history of a run that counts; nothing is verified."""
    given = {"objective": "macs", "verify": "off", "history": True, **options}
    result: Result = optimize(model, passes, **given)  # type: ignore[arg-type]
    assert result.history is not None
    check(result.history)
    return result.history


def check(history: History) -> None:
    """Every op of the result has its sources, and what is unchanged is what it was."""
    original = set(computing(history.original.ops()))
    result = computing(history.result.ops())
    assert list(history.origins) == result
    position = {op: i for i, op in enumerate(computing(history.original.ops()))}
    for op, origin in history.origins.items():
        assert origin.sources, f"{op} comes of nothing"
        assert original >= {*origin.sources, *origin.absorbed}
        assert not {*origin.sources} & {*origin.absorbed}
        assert list(origin.sources) == sorted(origin.sources, key=position.__getitem__)
        assert list(origin.changes) == sorted(set(origin.changes))
        if not origin.changes:
            assert len(origin.sources) == 1
            assert (origin.sources[0].kind, origin.sources[0].domain) == (op.kind, op.domain)
        for number in origin.changes:
            touched = {*history.changes[number].sources}
            assert touched & {*origin.sources, *origin.absorbed} or not touched
    assert history.result.witness is None
    for change in history.changes:
        assert change.region
        assert 0 <= change.number < len(history.passes)


def names(ops: tuple[Op, ...]) -> list[str]:
    """The names of ops."""
    return [name_of(op) for op in ops]


def main(paths: list[str]) -> None:
    """Checks each model, and prints how many rewrites there were."""
    alone = [name for name in pass_names() if name not in GENTLE]
    for path in map(Path, paths):
        counts = [
            len(history_of(path, passes).changes)
            for passes in (None, TUNED_PIPELINE, *(f"{name},simplify" for name in alone))
        ]
        print(f"{path.name}: {counts}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
