"""``convc cache``."""

from __future__ import annotations

from argparse import Namespace

from convc.commands.output import DONE, print_json
from convc.errors import UsageError
from convc.tuning.store import Store

KINDS = {
    "sieve": "regions before and after a rewrite",
    "whole": "whole models before and after some rewrites",
    "once": "whole models, one run",
    "choice": "what was chosen for a model",
}


def run(args: Namespace) -> int:
    """``convc cache``: shows what was measured on this machine, or forgets it."""
    store = Store()
    counts = store.counts()
    size = store.path.stat().st_size if store.path.is_file() else 0
    if args.clear:
        try:
            store.path.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{store.path}: cannot remove it: {error.strerror}") from error
    if args.json:
        found = {"path": str(store.path), "bytes": size, "entries": counts, "cleared": args.clear}
        print_json(found)
        return DONE
    print(f"{store.path}: {size} bytes" if size else f"{store.path}: empty")
    for kind, count in counts.items():
        print(f"{count:8} {KINDS.get(kind, kind)}")
    if size and not counts:
        print("damaged, or no file of convc's: nothing is remembered; --clear removes it")
    if args.clear and size:
        print("cleared")
    return DONE
