"""Many mutated files, one after the other, each made from its seed and its number alone."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from convc.runtime import newest_opset
from tests.hostile import bytes_changes, data_changes, proto_changes, seeds, text_changes
from tests.hostile.extremes import is_extreme
from tests.hostile.judge import findings
from tests.hostile.sandbox import Outcome, run
from tests.hostile.warrants import warrant
from tests.tiny import kernel, model, node

KINDS = ("protobuf", "mlir", "data")
SHARES = (0.65, 0.25, 0.10)
"""Of the kinds, where all are asked for."""

GOOD = "good.onnx"
"""A sound model beside the hostile file."""


@dataclass(frozen=True)
class Trial:
    """One hostile file and what is done with it.

    Attributes:
        name: seed, kind and number: makes the same file again.
        file: its name.
        data: its bytes.
        arguments: of the command line.
    """

    name: str
    file: str
    data: bytes
    arguments: tuple[str, ...]


@dataclass
class Counts:
    """How a campaign went.

    Attributes:
        files: tried.
        refused: with exit code 2.
        models: exit code 0: still a model, or data that fits.
        different: exit code 1: the comparison found a difference, nothing was written.
        seconds: of processor time in all, with ``slowest`` the most that one took.
        peak: bytes of memory at the most.
        codes: how often a command gave an exit code.
        found: name, what was wrong and the outcome of each finding.
    """

    files: int = 0
    refused: int = 0
    models: int = 0
    different: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    peak: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    found: list[tuple[str, list[str], Outcome]] = field(default_factory=list)

    def add(self, trial: Trial, outcome: Outcome, wrong: list[str]) -> None:
        """Takes one outcome in."""
        self.files += 1
        self.refused += outcome.code == 2
        self.models += outcome.code == 0
        self.different += outcome.code == 1
        self.seconds += outcome.seconds
        self.slowest = max(self.slowest, outcome.seconds)
        self.peak = max(self.peak, outcome.peak)
        self.codes[f"{trial.arguments[0]} {outcome.code}"] += 1
        if wrong:
            self.found.append((trial.name, wrong, outcome))


def trial(seed: int, number: int, kinds: Sequence[str] = KINDS) -> Trial:
    """The file ``number`` of a campaign."""
    name = f"{seed}/{'+'.join(kinds)}/{number}"
    rng = Random(name)
    weights = [share for kind, share in zip(KINDS, SHARES, strict=True) if kind in kinds]
    kind = rng.choices([k for k in KINDS if k in kinds], weights)[0]
    if kind == "data":
        file, data = data_changes.make(rng)
    elif kind == "mlir":
        base, other = rng.choice(seeds.texts()), rng.choice(seeds.texts())
        file, data = "net.mlir", text_changes.change(base, rng, other).encode(errors="replace")
    else:
        file, data = "net.onnx", _protobuf(rng)
    return Trial(name, file, data, _arguments(kind, file, rng))


def _protobuf(rng: Random) -> bytes:
    base, other = rng.choice(seeds.protobufs()), rng.choice(seeds.protobufs())
    if rng.random() < 0.35:
        return bytes_changes.change(base, rng, other)
    changed = proto_changes.change(base, rng)
    return bytes_changes.change(changed, rng, other) if rng.random() < 0.1 else changed


def _arguments(kind: str, file: str, rng: Random) -> tuple[str, ...]:
    plain = rng.choice((("--json", "--quiet"), ()))
    optimise = ("optimize", GOOD if kind == "data" else file, "-o", "result.onnx", *plain)
    counted = (*optimise, "--objective", "macs")
    if kind == "data":
        asked = rng.choice(("optimize", "optimize", "verify", "approximate"))
        if asked == "verify":
            return "verify", GOOD, GOOD, "--data", file
        if asked == "approximate":
            return *counted, "--data", file, "--max-error", "0.01", "--budget", "1"
        return *counted, "--data", file
    what = rng.random()
    if what < 0.55:
        return counted
    if what < 0.7:
        return *counted, "--verify", "off"
    if what < 0.8:
        return "cost", file, *plain, *rng.choice(((), ("--backward",), ("--strips",)))
    if what < 0.9:
        return "print", file, *rng.choice(((), ("--weights",)))
    return "verify", *rng.choice(((file, file), (file, GOOD), (GOOD, file)))


class Ground:
    """A folder for each hostile file in turn, with things nearby that nobody may touch."""

    def __init__(self, set_variable: Callable[[str, str], object] = os.environ.__setitem__) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="convc-hostile-"))
        self.work = self.root / "a" / "b" / "in"
        self.good = model(
            [node("Conv", "x k", "h"), node("Conv", "h j", "y")],
            {"k": kernel(1, 6, 4, 1, 1), "j": kernel(2, 2, 6, 3, 3)},
            inputs={"x": (1, data_changes.SHAPE)},
        )
        self.work.mkdir(parents=True)
        (self.work.parent / "secret.bin").write_bytes(bytes(4096))
        (self.root / "tmp").mkdir()
        set_variable("CONVC_CACHE", str(self.root / "cache"))

    def run(self, file: str, data: bytes, arguments: Sequence[str]) -> Outcome:
        """What a command does with the file."""
        self.clear()
        (self.work / file).write_bytes(data)
        return self.run_here(arguments)

    def clear(self) -> None:
        """Leaves in the folder only what is beside every hostile file."""
        shutil.rmtree(self.work)
        self.work.mkdir()
        (self.work / GOOD).write_bytes(self.good)
        (self.work / "weights.bin").write_bytes(bytes(range(256)) * 16)
        (self.work / "link.bin").symlink_to("../secret.bin")

    def run_here(self, arguments: Sequence[str]) -> Outcome:
        """What a command does with what is in the folder."""
        writable = [self.work / name for name in ("result.onnx", "result.reproducer.mlir")]
        return run(arguments, self.work, writable)

    def findings(self, command: str, outcome: Outcome, file: str) -> list[str]:
        """What is wrong with what a command did with ``file``."""
        path, result = self.work / file, self.work / "result.onnx"
        size = path.stat().st_size if path.is_file() else 0
        return findings(
            command,
            outcome,
            size,
            lambda: warrant(path),
            written=result.exists(),
            extreme=lambda: is_extreme(path),
        )

    def close(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.root)


def prepare() -> None:
    """Imports, and makes once, what every command needs: forks then start from there."""
    import onnx.reference
    import PIL.Image
    import rich.console

    import convc.approximate
    from convc.api import DEFAULT_PIPELINE
    from convc.pipeline import Pipeline

    assert onnx.reference, rich.console
    assert PIL.Image, convc.approximate
    for name in ("optimize", "verify", "cost", "print"):
        importlib.import_module(f"convc.commands.{name}")
    Pipeline.parse(DEFAULT_PIPELINE)
    newest_opset()
    seeds.protobufs()
    # What is here stays: a collection in a fork would copy all the pages it is in.
    gc.collect()
    gc.freeze()


def campaign(
    seed: int,
    numbers: Sequence[int],
    kinds: Sequence[str] = KINDS,
    *,
    save: Path | None = None,
    say: Callable[[Counts], None] = lambda _: None,
) -> Counts:
    """Runs the files of these numbers.

    Args:
        seed: of the campaign.
        numbers: of the files.
        kinds: of files.
        save: a folder that takes the files with a finding.
        say: told after each file.
    """
    counts = Counts()
    ground = Ground()
    try:
        for number in numbers:
            one = trial(seed, number, kinds)
            outcome = ground.run(one.file, one.data, one.arguments)
            wrong = ground.findings(one.arguments[0], outcome, one.file)
            counts.add(one, outcome, wrong)
            if wrong and save is not None:
                _save(save / f"{seed}-{number}", one, outcome, wrong)
            say(counts)
    finally:
        ground.close()
    return counts


def _save(folder: Path, one: Trial, outcome: Outcome, wrong: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / one.file).write_bytes(one.data)
    told = [
        one.name, " ".join(one.arguments), *wrong, f"{outcome.seconds:.1f} s",
        f"{outcome.peak >> 20} MiB", outcome.err, outcome.out[-2000:], outcome.trace,
    ]  # fmt: skip
    (folder / "finding.txt").write_text("\n".join(told))
