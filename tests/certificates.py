"""Certificates of real models: made, replayed, forged. ``python -m tests.certificates --help``.

Each model is optimised with a proof of every rewrite, written, and the proof replayed on the files
with another seed. Then the proof is forged in several ways, with its new digest in the result's
metadata, and the replay must refuse each. With ``--pairs N``, N pairs of chains and N of branched
networks are drawn, and compared at a large size and at the small one at which proofs are made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

import convc
from convc.certificate import METADATA, proof_path, versions, write_certificate
from convc.certificate.records import digest_of
from convc.errors import ProofError
from convc.pipeline import pass_names
from tests.conftest import real_models, sample_models
from tests.real_models import cut_down, sizes_of
from tests.shrink_strategies import says_the_same, two_chains, two_necks

Document = dict[str, Any]
Forgery = Callable[[Document, np.random.Generator], bool]
"""Edits a proof; False where there is nothing of the kind to forge."""


def run(arguments: argparse.Namespace) -> int:
    """Makes, replays and forges; returns 1 where something is not as it must be."""
    paths = [Path(name) for name in arguments.models] or [*sample_models(), *real_models()]
    if arguments.none:
        paths = []
    texts = [f"simplify,{name}" for name in pass_names()] if arguments.each_pass else [None]
    entries: list[Document] = []
    for number, (path, passes) in enumerate(product(paths, texts)):
        with tempfile.TemporaryDirectory() as folder:
            entry = examine(cut_down(path, Path(folder)), Path(folder), passes, arguments)
        entries.append(entry)
        print(f"{number + 1}/{len(paths) * len(texts)} {describe(entry)}", flush=True)
    total = summary(entries)
    if paths:
        print(closing(total))
    pairs = drawn(arguments.pairs, arguments.seed)
    total["findings"] += pairs["disagree"]
    if arguments.pairs:
        print(
            f"{pairs['agree']} pairs of graphs are said to be equal, or not, alike at both sizes; "
            f"{pairs['disagree']} are not; {pairs['large']} cannot shrink or do not run"
        )
    if arguments.json:
        document = {"versions": versions(), **total, "pairs": pairs, "models": entries}
        Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")
    return 1 if total["findings"] else 0


def examine(
    path: Path, folder: Path, passes: str | None, arguments: argparse.Namespace
) -> Document:
    """What one model's certificate holds, whether it holds, and which forgeries were caught."""
    entry: Document = {"model": path.name, "passes": passes, "findings": []}
    start = perf_counter()
    try:
        result = convc.optimize(
            path, passes, objective=arguments.objective, budget=arguments.budget,
            sizes={} if path in sample_models() else sizes_of(path),
            verify=arguments.verify, threads=1, proof=True,
        )  # fmt: skip
    except convc.ConvcError as error:
        entry["findings"].append(f"not optimised: {error}")
        return entry
    certificate = result.certificate
    assert certificate is not None
    target = folder / f"result_{path.name}"
    write_certificate(certificate, proof_path(target))
    convc.save(result.graph, target)
    entry["seconds"] = round(perf_counter() - start, 2)
    records = [record for _, record in certificate.records()]
    entry |= {
        "rewrites": len(records),
        "classes": dict(Counter(record.exactness for record in records)),
        "bounded": sum(record.rounding is not None for record in records),
        "largest_residual": certificate.residual,
        "gaps": certificate.gaps(),
        "bytes": proof_path(target).stat().st_size,
        "left_alone": unproved(result),
    }
    entry["findings"] += [f"a gap: {gap}" for gap in certificate.gaps()]
    start = perf_counter()
    try:
        again = convc.replay(proof_path(target), path, target)
        entry["replayed_residual"] = again.residual
    except ProofError as error:
        entry["findings"].append(f"does not hold: {error}")
    entry["replay_seconds"] = round(perf_counter() - start, 2)
    entry["forgeries"] = dict(forged(path, target, arguments.forgeries, arguments.seed))
    entry["findings"] += [f"passed: {name}" for name, held in entry["forgeries"].items() if held]
    return entry


def drawn(count: int, number: int) -> dict[str, int]:
    """Of so many pairs of each kind, for how many the small size says what the large one says."""
    counts: Counter[bool | None] = Counter()
    rules = settings(
        max_examples=max(count, 1), deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=False,
    )  # fmt: skip
    for strategy in (two_chains(), two_necks()) if count else ():

        @seed(number)
        @rules
        @given(pair=strategy)
        def look(pair: tuple[convc.Graph, convc.Graph]) -> None:
            counts[says_the_same(*pair)] += 1

        look()
    return {"agree": counts[True], "disagree": counts[False], "large": counts[None]}


def unproved(result: convc.Result) -> int:
    """Proposals that were left alone because they could not be proved."""
    return sum(
        count
        for report in result.reports
        for reason, count in report.stats.declined.items()
        if reason.startswith("not proved")
    )


# -- forgeries ------------------------------------------------------------------------------------


def forged(path: Path, target: Path, most: int, number: int) -> Iterator[tuple[str, bool]]:
    """Each forgery by its name, and whether the replay was taken in."""
    proof = proof_path(target)
    text = proof.read_text()
    rng = np.random.default_rng([number, crc32(path.name.encode())])  # others for each model
    for name in rng.permutation(list(FORGERIES))[:most]:
        document = json.loads(text)
        if not FORGERIES[name](document, rng):
            continue
        proof.write_text(json.dumps(document))
        signed = convc.load(target).clone()
        signed.header = signed.header.with_metadata({METADATA: digest_of(document)})
        try:
            convc.replay(proof, path, signed)
            yield str(name), True
        except ProofError:
            yield str(name), False
    proof.write_text(text)


def some(document: Document, rng: np.random.Generator) -> tuple[list[Document], int] | None:
    """The records of a pass, and the number of one of them."""
    lists = [entry["records"] for entry in document["passes"] if entry["records"]]
    if not lists:
        return None
    records = lists[rng.integers(len(lists))]
    return records, int(rng.integers(len(records)))


def edit(change: Callable[[list[Document], int], object]) -> Forgery:
    """A forgery of one record."""

    def forgery(document: Document, rng: np.random.Generator) -> bool:
        found = some(document, rng)
        if found is not None:
            change(*found)
        return found is not None

    return forgery


def reverse(document: Document, rng: np.random.Generator) -> bool:
    """Two neighbouring records of a pass change places."""
    found = some(document, rng)
    if found is None or len(found[0]) < 2:
        return False
    records, number = found
    other = number - 1 if number else 1
    if records[number] == records[other]:
        return False
    records[number], records[other] = records[other], records[number]
    return True


FORGERIES: dict[str, Forgery] = {
    "a record dropped": edit(lambda records, i: records.pop(i)),
    "a record twice": edit(lambda records, i: records.insert(i, records[i])),
    "records exchanged": reverse,
    "a residual too large": edit(lambda records, i: records[i].update(residual=1e-4)),
    "another class": edit(
        lambda records, i: records[i].update({"class": "rounding", "allowed": 1e-3})
    ),
    "another region": edit(lambda records, i: records[i]["before"]["outputs"].append("other")),
    "other weights": edit(lambda records, i: records[i]["after"].update(digest="0" * 40)),
}


# -- words ----------------------------------------------------------------------------------------


def describe(entry: Document) -> str:
    name = entry["model"] + (f" {entry['passes']}" if entry["passes"] else "")
    if "rewrites" not in entry:
        return f"{name}: {'; '.join(entry['findings'])}"
    caught = sum(not held for held in entry["forgeries"].values())
    told = (
        f"{name}: {entry['rewrites']} rewrites, residual "
        f"{entry['largest_residual']:.1e}, replayed "
        f"{entry.get('replayed_residual', float('nan')):.1e}, {caught} forgeries caught"
    )
    return "; ".join([told, *entry["findings"]])


def summary(entries: list[Document]) -> Document:
    """Totals over all models."""
    made = [entry for entry in entries if "rewrites" in entry]
    classes: Counter[str] = Counter()
    for entry in made:
        classes.update(entry["classes"])
    return {
        "examined": len(entries),
        "certificates": len(made),
        "rewrites": sum(entry["rewrites"] for entry in made),
        "classes": dict(classes),
        "bounded": sum(entry["bounded"] for entry in made),
        "largest_residual": max((entry["largest_residual"] for entry in made), default=0.0),
        "left_alone": sum(entry["left_alone"] for entry in made),
        "forgeries": sum(len(entry["forgeries"]) for entry in made),
        "findings": sum(len(entry["findings"]) for entry in entries),
    }


def closing(total: Document) -> str:
    classes = ", ".join(f"{count} {name}" for name, count in total["classes"].items())
    return (
        f"{total['certificates']} certificates of {total['examined']} models, "
        f"{total['rewrites']} rewrites ({classes}), "
        f"{total['bounded']} of them with rounding bounds; largest residual "
        f"{total['largest_residual']:.1e}; {total['forgeries']} forgeries; "
        f"{total['left_alone']} proposals left alone that could not be proved; "
        f"{total['findings']} findings"
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m tests.certificates", description=__doc__)
    made.add_argument("models", nargs="*", help="files (default: the project's and the real ones)")
    made.add_argument("--each-pass", action="store_true", help="each pass alone, behind simplify")
    made.add_argument("--none", action="store_true", help="no models: only what is drawn")
    made.add_argument("--objective", choices=("macs", "params", "latency"), default="macs")
    made.add_argument("--budget", type=float, default=5.0, help="seconds of the clock (5)")
    made.add_argument("--verify", choices=("off", "model"), default="off")
    made.add_argument("--forgeries", type=int, default=3, help="tried of each proof (3)")
    made.add_argument("--pairs", type=int, default=0, help="of graphs at two sizes (0)")
    made.add_argument("--seed", type=int, default=0, help="of what is forged and drawn (0)")
    made.add_argument("--json", metavar="FILE", help="all figures")
    return made


if __name__ == "__main__":
    sys.exit(run(parser().parse_args()))
