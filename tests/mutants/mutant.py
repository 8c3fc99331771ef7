"""A mutant: one function of the compiler replaced by a wrong one, while one model is optimised.

The wrong function is the right one with some of its source text exchanged, or a function that does
something to what the right one returns. It stands for the right one wherever that was imported.
"""

from __future__ import annotations
import __future__

import functools
import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from tests.mutants.samples import Sample

Function = Callable[..., Any]
ROOMS = ("convc", "passes")


@dataclass(frozen=True)
class Mutant:
    """A mistake that somebody might make.

    Attributes:
        name: short, unique.
        words: what is wrong, for people.
        guilty: the pass at fault.
        target: ``module:function`` or ``module:Class.method``.
        wrong: makes the wrong function of the right one.
        sample: the model that is optimised.
        passes: the pipeline; None for the default one.
        options: further keywords of `convc.optimize`.
        unproved: why the proof of each rewrite cannot see it; empty where it does.
    """

    name: str
    words: str
    guilty: str
    target: str
    wrong: Callable[[Function], Function]
    sample: Sample
    passes: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    unproved: str = ""

    @property
    def pipeline(self) -> str | None:
        """The text of the pipeline: a pass alone stands between two others that may be blamed."""
        return None if self.passes is None else f"simplify,{self.passes},flush-subnormals"


def edited(*pairs: str) -> Callable[[Function], Function]:
    """The function with each odd one of ``pairs`` replaced, in its source, by the next one.

    Raises ValueError where a text is not there just once: then the function has changed, and the
    mutant has to follow it.
    """

    def wrong(right: Function) -> Function:
        text = textwrap.dedent(inspect.getsource(right))
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            if text.count(old) != 1:
                raise ValueError(f"{right.__qualname__} has {text.count(old)} times: {old}")
            text = text.replace(old, new)
        made: dict[str, Any] = {}
        code = compile(text, "<mutant>", "exec", __future__.annotations.compiler_flag)
        exec(code, right.__globals__, made)
        return _plain(made[right.__name__])

    return wrong


def after(change: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """The function whose result is changed."""
    return lambda right: lambda *args, **options: change(right(*args, **options))


@contextmanager
def planted(mutant: Mutant) -> Iterator[list[str]]:
    """The compiler with the mutant in it; yields a list that grows with every call."""
    module, _, path = mutant.target.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    found = inspect.getattr_static(owner, name)
    right = _plain(found)
    wrong = mutant.wrong(right)
    calls: list[str] = []

    @functools.wraps(right)
    def counted(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return wrong(*args, **options)

    with ExitStack() as stack:
        if outer:
            stack.enter_context(mock.patch.object(owner, name, _like(found, counted, name)))
        for other in _rooms() if not outer else ():
            for known in [key for key, value in vars(other).items() if value is right]:
                stack.enter_context(mock.patch.object(other, known, counted))
        yield calls


def _rooms() -> list[Any]:
    named = [(name, module) for name, module in sys.modules.items() if module is not None]
    return [module for name, module in named if name.partition(".")[0] in ROOMS]


def _plain(found: Any) -> Function:
    """The function behind a property."""
    if isinstance(found, property):
        assert found.fget is not None
        return found.fget
    if isinstance(found, functools.cached_property):
        return found.func
    assert callable(found)
    return found


def _like(found: Any, function: Function, name: str) -> Any:
    """``function`` as a property, if ``found`` is one."""
    if isinstance(found, property):
        return property(function)
    if isinstance(found, functools.cached_property):
        made = functools.cached_property(function)
        made.__set_name__(None, name)  # type: ignore[arg-type]  # it keeps the name only
        return made
    return function
