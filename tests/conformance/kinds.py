"""The op kinds that convc touches, found in the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from onnx import defs

from convc.kernels import KERNELS
from convc.opset import OPS
from convc.pipeline import find_pass, pass_names
from tests.conformance.outcome import Outcome, Status
from tests.conformance.routes import DEFAULT

PASSES = Path(__file__).parents[2] / "passes"


def touched_kinds() -> set[str]:
    """Kinds with a kernel, with an entry in the opset table, or that some pass speaks of.

    A rule says at which kinds it looks, but not which ones it then wants around them: so every
    string in the source of the passes that is the name of an operator counts.
    """
    return {*KERNELS, *OPS, *rewritten_kinds(*pass_names()), *_spoken_of()} & standard_kinds()


def standard_kinds() -> set[str]:
    """All kinds of the standard's own domain."""
    return {schema.name for schema in defs.get_all_schemas() if schema.domain == ""}


def rewritten_kinds(*names: str) -> set[str]:
    """Kinds at which the rules of some passes look."""
    rules = (rule for name in names for rule in find_pass(name)().rules())
    return {kind for rule in rules for kind in rule.kinds}


def _spoken_of() -> Iterator[str]:
    for path in PASSES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


RANDOM = "random, so that there is nothing to expect; convc leaves it alone"
WITHOUT_TEST: Mapping[str, str] = {
    "Bernoulli": RANDOM,
    "GlobalLpPool": "onnx has no test of it; tests/kernels holds its kernel to onnxruntime",
    "Multinomial": RANDOM,
    "RandomNormal": RANDOM,
    "RandomNormalLike": RANDOM,
    "RandomUniform": RANDOM,
    "RandomUniformLike": RANDOM,
}
"""Kinds that convc touches and onnx has no test of that could pass, with the reason."""


def untested(outcomes: Iterable[Outcome]) -> tuple[list[str], str]:
    """Touched kinds of which no node test passed on the default pipeline and no reason is given.

    And how many have one, in words.
    """
    outcomes = list(outcomes)
    touched = touched_kinds()
    run = _passed(outcomes, Status.PASSED)
    passed = run | _passed(outcomes, Status.BY_REFERENCE)
    missing = sorted(touched - passed - set(WITHOUT_TEST))
    words = (
        f"{len(touched & passed)} of the {len(touched)} op kinds that convc touches have a node "
        f"test that passed, {len(touched & run)} in onnxruntime"
    )
    return missing, words


def _passed(outcomes: Iterable[Outcome], status: Status) -> set[str]:
    """The kinds of the node tests that ended so on the default pipeline."""
    return {
        outcome.case.only_kind
        for outcome in outcomes
        if (outcome.route, outcome.case.suite, outcome.status) == (DEFAULT, "node", status)
    }
