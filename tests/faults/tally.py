"""What a fault test did and found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """One test: how often it tried, what happened how often, and what should not have happened."""

    name: str
    rounds: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def require(self, good: bool, finding: str) -> None:
        """Notes a finding where something is not ``good``."""
        if not good:
            self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {**vars(self), "seen": dict(self.seen)}

    def __str__(self) -> str:
        seen = ", ".join(f"{number} {what}" for what, number in sorted(self.seen.items()))
        verdict = f"{len(self.findings)} FINDINGS" if self.findings else "no finding"
        return f"{self.name:34} {self.rounds:5} rounds, {verdict}" + (f" ({seen})" if seen else "")
