"""Traffic rules: the bytes an op reads and writes, if every operand is read and written once.

That is the least any implementation moves between the op and memory, not what one really does:
windows that overlap are read again, from the cache at best.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from convc.graph import Graph
from convc.ir import Op

TrafficRule: TypeAlias = Callable[[Graph, Op], "int | None"]
"""Bytes an op reads, where that is not all of its operands; None where a size is missing."""

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""Kinds whose result is their first operand under another shape: runtimes move nothing."""

TRAFFIC: Mapping[str, TrafficRule] = MappingProxyType({})
