"""Files that are none: folders, pipes, devices, and data in the place of a model."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.hostile import data_changes, seeds
from tests.hostile.campaign import GOOD, Ground

COMMANDS = {
    "optimize": ("optimize", "FILE", "-o", "result.onnx", "--objective", "macs"),
    "cost": ("cost", "FILE"),
    "print": ("print", "FILE"),
    "verify": ("verify", "FILE", GOOD),
    "data": ("optimize", GOOD, "-o", "result.onnx", "--objective", "macs", "--data", "FILE"),
}


def unreadable(path: Path) -> None:
    path.write_bytes(seeds.loop())
    path.chmod(0)


def huge(path: Path) -> None:
    """A file of 64 GB, of which the disk holds nothing."""
    with path.open("wb") as file:
        file.truncate(2**36)


PLACES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "an empty file": lambda path: path.write_bytes(b""),
    "a packed file": lambda path: path.write_bytes(gzip.compress(seeds.loop())),
    "an archive of arrays": lambda path: path.write_bytes(
        data_changes.npz({"a.npy": data_changes.npy(np.ones(3))})
    ),
    "64 GB of nothing": huge,
    "one byte": lambda path: path.write_bytes(b"\xff"),
    "nothing but zeros": lambda path: path.write_bytes(bytes(1 << 20)),
}


@pytest.mark.parametrize("suffix", [".onnx", ".mlir"])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_of_a_model(place: str, suffix: str, ground: Ground) -> None:
    name = f"net{suffix}"
    for command in ("optimize",):
        ground.clear()
        PLACES[place](ground.work / name)
        arguments = [name if word == "FILE" else word for word in COMMANDS[command]]
        outcome = ground.run_here(arguments)
        assert not ground.findings(command, outcome, name), outcome
        assert outcome.code == 2, outcome
        assert name in outcome.err


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_of_data(place: str, ground: Ground) -> None:
    ground.clear()
    PLACES[place](ground.work / "data.npy")
    outcome = ground.run_here([w.replace("FILE", "data.npy") for w in COMMANDS["data"]])
    assert not ground.findings("optimize", outcome, "data.npy"), outcome
    assert outcome.code == 2, outcome


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(ground: Ground) -> None:
    ground.clear()
    unreadable(ground.work / "net.onnx")
    outcome = ground.run_here([w.replace("FILE", "net.onnx") for w in COMMANDS["cost"]])
    assert outcome.code == 2
    assert "cannot read it" in outcome.err


def bomb() -> bytes:
    """300 MB of zeros in 300 kB."""
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (75000000,), }"
    return data_changes.npz({"x.npy": data_changes.header(text, bytes(300_000_000))}, level=9)


DATA: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a bomb": ("data.npz", bomb, "refused"),
    "a pickle": (
        "data.npy",
        lambda: data_changes.npy(np.array([data_changes.Touch()], object)),
        "not a file of numpy arrays",
    ),
    "a pickle in an archive": (
        "data.npz",
        lambda: data_changes.npz(
            {"x.npy": data_changes.npy(np.array([data_changes.Touch()], object))}
        ),
        "not a file of numpy arrays",
    ),
    "a name above the folder": (
        "data.npz",
        lambda: data_changes.npz({"../x.npy": data_changes.npy(np.ones(data_changes.SHAPE))}),
        "'x' is missing",
    ),
    "a header of brackets": (
        "data.npy",
        lambda: data_changes.header("(" * 3000),
        "not a file of numpy arrays",
    ),
    "elements without a size": (
        "data.npy",
        lambda: data_changes.header(
            "{'descr': '|S0', 'fortran_order': False, 'shape': (99999999999,), }"
        ),
        "not a file of numpy arrays",
    ),
    "a header of petabytes": (
        "data.npy",
        lambda: data_changes.header(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999,), }"
        ),
        "",
    ),
    "a picture of 40000 by 40000": ("data.png", lambda: _picture(40_000), ""),
}


def _picture(size: int) -> bytes:
    """A PNG whose header lies."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    data = stream.getvalue()
    return data[:16] + size.to_bytes(4, "big") * 2 + data[24:]


@pytest.mark.parametrize("kind", DATA)
def test_data_that_is_none(kind: str, ground: Ground) -> None:
    name, make, says = DATA[kind]
    arguments = [w.replace("FILE", name) for w in COMMANDS["data"]]
    outcome = ground.run(name, make(), arguments)
    assert not ground.findings("optimize", outcome, name), outcome
    assert outcome.code == 2, outcome
    assert says in outcome.err
