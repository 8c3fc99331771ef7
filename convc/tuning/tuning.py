"""What the clock was asked and what it answered, for people."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tuning:
    """What the clock was asked and what it answered.

    Attributes:
        timed: comparisons made.
        remembered: comparisons answered by the store.
        seconds: spent.
        gained: how much faster the chosen rewrites make the model, as the judge saw it.
        notes: what a user should know: fell back to counts, ran out of time, was interrupted.
    """

    timed: int = 0
    remembered: int = 0
    seconds: float = 0.0
    gained: float = 1.0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keeps what a user should know, once and in one line."""
        line = " ".join(text.split())
        if line not in self.notes:
            self.notes.append(line)
