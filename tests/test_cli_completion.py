"""What the shell offers at TAB: asked as its scripts ask, and by the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from convc.cli import COMMANDS, SHELLS
from convc.completion import passes_text, script
from convc.pipeline import pass_names
from tests.cli_helpers import Capture, call
from tests.test_layers import modules_after

FUNCTION = f'convc() {{ {sys.executable} -m convc "$@"; }}'
"""The command in a shell, also where it is not on the path."""

BASH = """
complete_line() {
    COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_CWORD=1 COMPREPLY=()
    read -ra COMP_WORDS <<<"$1"
    _python_argcomplete convc
    printf '%s\\n' "${COMPREPLY[@]}"
}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    for name in ("net.onnx", "text.mlir", "data.npz", "photo.png", "notes.txt", "p.proof.json"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


def offered(line: str, folder: Path) -> list[str]:
    """What is offered at the end of a line."""
    answer = folder / "answer"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    command = [sys.executable, "-m", "convc"]
    subprocess.run(command, env=environment, cwd=folder, check=False, timeout=60)
    words = answer.read_text().split("\n")
    answer.unlink()
    return sorted(word.rstrip() for word in words if word)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("convc ", sorted(COMMANDS)),
        ("convc optimize ", ["folder/", "net.onnx", "text.mlir"]),
        ("convc optimize net.onnx --objective ", ["latency", "macs", "params"]),
        ("convc optimize net.onnx --passes simplify,fuse", ["simplify,fuse-convs"]),
        ("convc optimize net.onnx --data ", ["data.npz", "folder/", "photo.png"]),
        ("convc verify net.onnx net.onnx --proof ", ["folder/", "p.proof.json"]),
        ("convc completion ", sorted(SHELLS)),
    ],
)
def test_what_is_offered(line: str, words: Sequence[str], desk: Path) -> None:
    assert offered(line, desk) == words


def test_a_pipeline_is_completed_word_by_word() -> None:
    assert passes_text("") == [*pass_names(), "choose"]
    assert passes_text("simplify,fold") == ["simplify,fold-affine"]
    assert passes_text("choose(fuse-convs{border=exact},merge") == [
        "choose(fuse-convs{border=exact},merge-branches"
    ]
    assert passes_text("fuse-convs{bor") == []
    assert passes_text("no-such") == []


def test_the_script_is_printed(capsys: Capture) -> None:
    for shell in SHELLS:
        assert call("completion", shell) == 0
        assert capsys.readouterr().out == script(shell) + "\n"


def ask(shell: str, text: str, folder: Path) -> list[str]:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell}")
    done = subprocess.run(
        [path, *(["--no-config"] if shell == "fish" else []), "-c", text],
        cwd=folder, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return sorted(line.split("\t")[0].rstrip() for line in done.stdout.splitlines() if line)


def test_bash_completes(desk: Path) -> None:
    text = f'{FUNCTION}\neval "$(convc completion bash)"\n{BASH}\ncomplete_line '
    assert ask("bash", text + "'convc opt'", desk) == ["optimize"]
    assert ask("bash", text + "'convc cost net'", desk) == ["net.onnx"]


def test_fish_completes(desk: Path) -> None:
    function = f"function convc; {sys.executable} -m convc $argv; end"
    text = f'{function}\nconvc completion fish | source\ncomplete -C "convc passes fold-"'
    assert ask("fish", text, desk) == ["fold-affine"]


def test_zsh_reads_the_script(desk: Path) -> None:
    # The completion itself needs a terminal: only that the function is there for the command.
    text = f"autoload -U compinit; compinit -D -u\n{FUNCTION}\n" + (
        'eval "$(convc completion zsh)"\nprint $_comps[convc]'
    )
    assert ask("zsh", text, desk) == ["_python_argcomplete"]


def test_tab_waits_for_nothing_heavy() -> None:
    loaded = modules_after("import convc.cli, convc.completion; convc.completion.passes_text('')")
    assert "argcomplete" in loaded
    assert not {"numpy", "onnx", "onnxruntime", "networkx", "rich", "passes"} & loaded
