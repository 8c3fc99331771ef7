"""Plants every mutant and says which are caught: ``python -m tests.mutants``.

Without a mutant a sample comes out right; with it something else comes out, else it is no evidence.
``caught``: the default check of `convc.optimize` finds the models different, or no model came out
at all; ``named``: it names the guilty pass. ``proof``: with ``verify="each"`` the proof of a
rewrite stops it before any model is compared, unless the mutant says why that cannot be. Exit code
1 where any of this is not so.
"""

from __future__ import annotations

import argparse
import json
import sys
from math import isfinite
from pathlib import Path
from typing import Any

from tests.mutants.every import MUTANTS
from tests.mutants.run import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser("tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose name or pass holds this text")
    parser.add_argument("--no-proofs", action="store_true", help="leave the second column out")
    parser.add_argument("--json", type=Path, help="write what was found there, too")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if options.only in f"{m.guilty} {m.name}"]
    outcomes: list[Outcome] = []
    stale: list[str] = []
    for number, mutant in enumerate(chosen, 1):
        print(f"\r{number} of {len(chosen)} {mutant.name:<40}", end="", file=sys.stderr, flush=True)
        try:
            outcomes.append(run(mutant, proofs=not options.no_proofs))
        except (AttributeError, ValueError) as error:
            stale.append(f"{mutant.name} has to follow the code: {error}")
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    print(*map(line, outcomes), *stale, closing(outcomes), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(as_json(outcomes), indent=1) + "\n")
    good = all(o.evidence and o.caught and o.named for o in outcomes)
    if not options.no_proofs:
        good &= all(o.by_proof != bool(o.mutant.unproved) for o in outcomes)
    return 0 if outcomes and good and not stale else 1


def line(outcome: Outcome) -> str:
    """One row of the table."""
    mutant = outcome.mutant
    check = "caught" if outcome.caught else "SURVIVES"
    if not outcome.evidence:
        check = "NO EVIDENCE"
    named = "named" if outcome.named else "-"
    proof = "proof" if outcome.by_proof else "-"
    where = f"{outcome.max_rel:.0e} on {outcome.shown_by}" if outcome.shown_by else outcome.verdict
    columns = f"{mutant.guilty:<20} {mutant.name:<23} {check:<11} {named:<5} {proof:<5}"
    why = f" (unproved: {mutant.unproved})" if mutant.unproved else ""
    return f"{columns} {where[:30]:<30} {mutant.words}{why}"


def closing(outcomes: list[Outcome]) -> str:
    """The counts."""
    caught, named, proved = (
        sum(getattr(o, what) for o in outcomes) for what in ("caught", "named", "by_proof")
    )
    return (
        f"{len(outcomes)} wrong rewrites, {caught} caught by the check ({named} with the pass "
        f"named), {proved} by the proofs"
    )


def as_json(outcomes: list[Outcome]) -> dict[str, Any]:
    """The counts and what became of each."""
    return {
        "mutants": len(outcomes),
        "caught": sum(o.caught for o in outcomes),
        "named": sum(o.named for o in outcomes),
        "by_proof": sum(o.by_proof for o in outcomes),
        "outcomes": [
            {
                "pass": o.mutant.guilty,
                "name": o.mutant.name,
                "words": o.mutant.words,
                "target": o.mutant.target,
                "evidence": o.evidence,
                "verdict": o.verdict,
                "caught": o.caught,
                "named": o.named,
                "by_proof": o.by_proof,
                "unproved": o.mutant.unproved,
                "max_rel": o.max_rel if isfinite(o.max_rel) else None,
                "shown_by": o.shown_by,
            }
            for o in outcomes
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
