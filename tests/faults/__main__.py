"""Provokes faults, and looks that there is always the old file or the new one, never half.

    python -m tests.faults [--rounds 200] [--only TEXT] [--seed 0] [--folder DIR] [--json FILE]

Full disks, kill -9 at random moments of writing, several processes writing one output, protected
folders and files, links, odd names, Ctrl-C and SIGTERM at random moments, and a cache that is
damaged. Linux only. Exit code 1 where something was found.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from convc.version import __version__
from tests.faults.caches import caches
from tests.faults.disk_full import full, limited
from tests.faults.kills import kills
from tests.faults.places import places
from tests.faults.races import races
from tests.faults.signals import signals
from tests.faults.tally import Tally


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200, help="of kills, races and signals")
    parser.add_argument("--only", default="", help="groups whose name has this in it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the files go (default: the temporary)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    rounds, seed = args.rounds, args.seed
    groups: dict[str, Callable[[Path], Iterator[Tally]]] = {
        "limits": limited,
        "disks": full,
        "kills": lambda folder: kills(folder, rounds, seed),
        "races": lambda folder: races(folder, rounds),
        "places": places,
        "signals": lambda folder: signals(folder, max(1, rounds // 4), seed),
        "caches": lambda folder: caches(folder, max(1, rounds // 20)),
    }
    print(f"convc {__version__}, Python {platform.python_version()}, {platform.platform()}")
    tallies: list[Tally] = []
    begin = time.monotonic()
    for name, group in groups.items():
        if args.only not in name:
            continue
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            for tally in group(Path(folder)):
                tallies.append(tally)
                print(f"{time.monotonic() - begin:7.1f} s  {tally}", flush=True)
                for finding in tally.findings[:5]:
                    print(f"           FINDING {finding}", flush=True)
    found = sum(len(tally.findings) for tally in tallies)
    done = sum(tally.rounds for tally in tallies)
    print(f"{len(tallies)} tests, {done} rounds, {found} findings")
    if args.json:
        args.json.write_text(json.dumps([tally.as_json() for tally in tallies], indent=2) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
