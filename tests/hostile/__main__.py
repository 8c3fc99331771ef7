"""``python -m tests.hostile``: thousands of hostile files; exit code 1 where one does harm."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import onnx
import onnxruntime

from tests.hostile.campaign import KINDS, Counts, campaign, prepare


def main() -> int:
    """Runs a campaign and prints what was found."""
    args = _arguments()
    start = time.monotonic()
    prepare()
    numbers = [args.only] if args.only is not None else range(args.start, args.start + args.files)

    def say(counts: Counts) -> None:
        if counts.files % args.every == 0:
            each = (time.monotonic() - start) / counts.files
            found = f"{len(counts.found)} findings"
            print(f"{counts.files} files, {found}, {each:.3f} s each", file=sys.stderr, flush=True)

    kinds = KINDS if args.kind is None else (args.kind,)
    counts = campaign(args.seed, numbers, kinds, save=args.save, say=say)
    for name, wrong, outcome in counts.found:
        print(f"{name}: {', '.join(wrong)[:300]}: {outcome.err.strip()[:300]}")
    if args.json is not None:
        args.json.write_text(
            json.dumps(_document(args, counts, time.monotonic() - start), indent=2)
        )
    print(
        f"{counts.files} files: {counts.refused} refused, {counts.models} still models, "
        f"{counts.different} found to differ, {len(counts.found)} findings"
    )
    return 1 if counts.found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="number of the first")
    parser.add_argument("--only", type=int, metavar="N", help="one file by its number")
    parser.add_argument("--kind", choices=KINDS, help="of the files (default: all)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep the files with a finding")
    parser.add_argument("--every", type=int, default=500, metavar="N", help="files per line told")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _document(args: argparse.Namespace, counts: Counts, seconds: float) -> dict[str, object]:
    return {
        "seed": args.seed,
        "kind": args.kind or "all",
        "files": counts.files,
        "refused": counts.refused,
        "still_models": counts.models,
        "found_to_differ": counts.different,
        "findings": [{"file": name, "wrong": wrong} for name, wrong, _ in counts.found],
        "codes": dict(sorted(counts.codes.items())),
        "seconds": round(seconds, 1),
        "slowest_cpu_seconds": round(counts.slowest, 2),
        "peak_mib": counts.peak >> 20,
        "versions": {
            "python": platform.python_version(),
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }


if __name__ == "__main__":
    sys.exit(main())
