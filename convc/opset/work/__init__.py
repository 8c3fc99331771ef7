"""Work rules: how many operations an op computes, exactly; what they count says `Work`.

One table, in parts by what the kinds compute. Kinds that are not in it are not known: those that
run a body (If, Loop, Scan), those whose work depends on the data (NonMaxSuppression, NonZero) and
those of other domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from convc.opset.work.counts import Work, WorkRule
from convc.opset.work.matrices import MATRICES
from convc.opset.work.pointwise import POINTWISE
from convc.opset.work.reductions import REDUCTIONS
from convc.opset.work.windows import WINDOWS

__all__ = ["WORK", "Work", "WorkRule"]

WORK: Mapping[str, WorkRule] = MappingProxyType({**POINTWISE, **WINDOWS, **REDUCTIONS, **MATRICES})
