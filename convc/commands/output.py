"""What the commands share: exit codes, and JSON on stdout."""

from __future__ import annotations

import json
from typing import Any

DONE, DIFFERENT, BAD_INPUT = 0, 1, 2
"""Exit codes: done; the models differ or a proof failed; bad input or usage."""


def print_json(document: dict[str, Any]) -> None:
    """Prints one object on stdout."""
    print(json.dumps(document, indent=2, allow_nan=False))
