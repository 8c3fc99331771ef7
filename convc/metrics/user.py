"""A measure that the user writes in Python: ``file.py:function``."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from convc.errors import UsageError
from convc.ir import Array

Loss = Callable[[Sequence[Mapping[str, Array]], Sequence[Mapping[str, Array]]], float]


def load_function(file: str, name: str) -> Loss:
    """The function of that name in a Python file, made safe to call.

    It is called with two lists, of the original's outputs and of the other model's, one dict of
    arrays by output name for each input, and returns a number: a loss, infinity allowed.

    Raises UsageError, in one line, where the file or the function is missing or the file raises;
    so does the function returned where the user's raises, or returns NaN or no number.
    """
    where = f"--metric {file}:{name}"
    function = getattr(_load(Path(file), where), name, None)
    if not callable(function):
        raise UsageError(f"{where}: the file has no function {name!r}")

    def loss(
        reference: Sequence[Mapping[str, Array]], other: Sequence[Mapping[str, Array]]
    ) -> float:
        try:
            value = function([dict(outputs) for outputs in reference], [dict(o) for o in other])
        except Exception as error:
            raise UsageError(f"{where}: raised {_said(error)}") from error
        return _number(value, where)

    return loss


def _load(path: Path, where: str) -> ModuleType:
    if not os.path.isfile(path):  # unlike Path.is_file, quiet where a folder may not be read
        raise UsageError(f"{where}: no such file: {path}")
    # A name of its own, known to sys.modules, as dataclasses expect of a module.
    name = f"convc_metric_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"{where}: the file raised {_said(error)}") from error
    return module


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where}: returned {type(value).__name__}, no number") from error
    if math.isnan(number):
        raise UsageError(f"{where}: returned NaN")
    return number


def _said(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
