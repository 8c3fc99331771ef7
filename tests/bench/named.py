"""Names each approximate pass alone on a folder of models and prints what it did.

python -m tests.bench.named FOLDER
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.named import TEXTS, run_named
from tests.real_models import cut_down, sizes_of


def main() -> int:
    print("| model | " + " | ".join(TEXTS) + " |")
    for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
        with tempfile.TemporaryDirectory() as folder:
            smaller = cut_down(path, Path(folder), 24)
            found = [run_named(smaller, text, sizes_of(path)) for text in TEXTS]
        cells = [f"{one.applied}, {one.error:.2g}" if one.applied else "–" for one in found]
        print(f"| {path.stem} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
