"""The help pages: they fit a terminal, and every example in them runs."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from convc.cli import COMMANDS, SHELLS, main
from convc.help_texts import EPILOG, EPILOGS, USAGES
from tests.cli_helpers import Capture, call, refused
from tests.tiny import FLOAT, kernel, model, node, write

EXAMPLES = [
    line.strip()
    for page in (EPILOG, *EPILOGS.values())
    for line in page.splitlines()
    if line.startswith("  convc ")
]


def network() -> bytes:
    """Two convolutions that compose, over images of open height."""
    nodes = [node("Conv", "x w", "a"), node("Conv", "a v", "b"), node("Relu", "b", "y")]
    weights = {"w": kernel(1, 8, 3, 3, 3), "v": kernel(2, 4, 8, 1, 1)}
    return model(nodes, weights, inputs={"x": (FLOAT, (1, 3, "height", 12))})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the examples name."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("desk")
    for name in ("model.onnx", "models/one.onnx", "models/two.onnx"):
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / name, network())
    (folder / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 12, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        image.fromarray(picture).save(folder / "images" / f"{number}.png")
    arguments = (folder / "model.onnx", "-o", folder / "faster.onnx", "--proof", "--quiet")
    assert call("optimize", *arguments) == 0
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(
    example: str, desk: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    _, *words = shlex.split(example)
    # The clock is asked, though not for long.
    short = ["--budget", "0.3"] if words[0] == "optimize" and "--help" not in words else []
    with contextlib.suppress(SystemExit):  # of --help
        assert main([*words, *short]) == 0
    captured = capsys.readouterr()
    if "-o" in words:
        assert (desk / words[words.index("-o") + 1]).exists()
    else:
        assert captured.out or captured.err
    assert "Traceback" not in captured.err


def test_there_are_examples_of_every_command() -> None:
    shown = {example.split()[1] for example in EXAMPLES}
    assert shown == set(COMMANDS) - {"completion"}
    assert set(EPILOGS) == set(COMMANDS)
    assert set(USAGES) <= set(COMMANDS)


@pytest.mark.parametrize("columns", ["60", "80", "120"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_the_terminal(
    command: str, columns: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert call(*([command] if command else []), "--help") == 0
    page = capsys.readouterr().out
    head = page.partition("\nexamples:")[0].partition("\nfor good")[0]
    assert max(map(len, head.splitlines())) <= int(columns)
    # Examples are copied: they are not broken.
    assert max(map(len, page.removeprefix(head).splitlines())) <= 80
    assert page.startswith("usage: convc")


def test_no_option_is_left_without_a_group(capsys: Capture) -> None:
    assert call("optimize", "--help") == 0
    (options,) = re.findall(r"\noptions:\n(.*?)\n\n", capsys.readouterr().out, re.DOTALL)
    assert [word for word in options.split() if word.startswith("-")] == ["-h,", "--help"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--objectve", "macs"], "unknown option --objectve: did you mean --objective?"),
        (["--max-eror=safe"], "unknown option --max-eror: did you mean --max-error?"),
        (["--frobnicate"], "unknown option --frobnicate (see convc optimize --help)"),
        (["--objective", "time"], "latency"),
        (["--dim", "height"], "such as height=512"),
        (["--threads", "many"], "not a positive number"),
        (["--budget", "soon"], "such as 30"),
        (["--tolerance", "2"], "as 1e-4 is"),
        (["--passes"], "expected one argument"),
    ],
)
def test_a_wrong_option_is_told_with_the_right_one(
    words: list[str], says: str, capsys: Capture
) -> None:
    assert "(see convc optimize --help)" in refused(
        capsys, "optimize", "model.onnx", *words, says=says
    )


def test_too_many_arguments_are_told(capsys: Capture) -> None:
    refused(capsys, "cost", "a.onnx", "b.onnx", says="too many arguments: b.onnx")
    refused(capsys, "verify", "a", "b", "c", "--sede", "1", says="did you mean --seed")


def test_completion_knows_its_shells(capsys: Capture) -> None:
    line = refused(capsys, "completion", "tcsh", says="tcsh")
    assert all(shell in line for shell in SHELLS)
