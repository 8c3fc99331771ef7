"""What ``--help`` says before and after the options; a test runs every example."""

from __future__ import annotations

from collections.abc import Mapping


def _examples(*pairs: tuple[str, str]) -> str:
    """Commands, each below the words that say what it is for."""
    return "examples:\n" + "\n".join(f"  # {what}\n  {command}" for what, command in pairs)


EPILOG = (
    _examples(
        ("make a model faster: writes model.convc.onnx", "convc optimize model.onnx"),
        ("what a model costs, op by op", "convc cost model.onnx"),
        ("all options of a command, with more examples", "convc optimize --help"),
    )
    + "\n\nexit codes: 0 done, 1 the models differ, 2 bad input or usage"
)
"""Of ``convc --help``."""

USAGES: Mapping[str, str] = {
    "optimize": "convc optimize [options] MODEL [MODEL ...]",
    "verify": "convc verify [options] A B",
    "cost": "convc cost [options] MODEL",
    "bench": "convc bench [options] A [B ...]",
}
"""Of commands whose options would fill the page twice."""

EPILOGS: Mapping[str, str] = {
    "optimize": _examples(
        ("writes model.convc.onnx, faster on this machine", "convc optimize model.onnx"),
        (
            "at the size and threads that it will run with",
            "convc optimize model.onnx -o out.onnx --dim height=96 --threads 1",
        ),
        (
            "a folder, by counting alone: the same result everywhere",
            "convc optimize models/ -o faster/ --objective macs",
        ),
        (
            "approximate, within an error measured on your own images",
            "convc optimize model.onnx --max-error safe --data images/",
        ),
        (
            "these passes and no others",
            "convc optimize model.onnx --passes 'simplify,fuse-convs{border=decline}'",
        ),
    ),
    "verify": _examples(
        ("on inputs made to hurt", "convc verify model.onnx faster.onnx"),
        ("on your own as well", "convc verify model.onnx faster.onnx --data images/"),
        (
            "repeat the proof that optimize --proof wrote",
            "convc verify --proof faster.onnx.proof.json model.onnx faster.onnx",
        ),
    )
    + "\n\nexit codes: 0 equal (and the proof holds), 1 different, 2 could not be compared",
    "cost": _examples(
        ("forward and backward", "convc cost model.onnx --backward"),
        ("by the clock, on one thread", "convc cost model.onnx --measure --threads 1"),
        ("with twice the channels", "convc cost model.onnx --scale-channels 2"),
        ("at a size of your own, for scripts", "convc cost model.onnx --dim height=96 --json"),
    ),
    "bench": _examples(
        ("in turn, each against the first", "convc bench model.onnx faster.onnx --threads 1"),
        ("fewer rounds", "convc bench model.onnx faster.onnx --runs 10"),
    ),
    "print": _examples(
        ("to read it", "convc print model.onnx"),
        ("to edit it: optimize takes the file", "convc print model.onnx --weights -o model.mlir"),
    ),
    "passes": _examples(
        ("all of them", "convc passes"),
        ("one: its algebra and its options", "convc passes fuse-convs"),
        ("the pipeline that runs unless --passes says otherwise", "convc passes default"),
    ),
    "cache": _examples(
        ("where it is and what is in it", "convc cache"), ("forget it all", "convc cache --clear")
    ),
    "completion": (
        "for good, add the line to the shell's own start file:\n"
        '  bash  ~/.bashrc                    eval "$(convc completion bash)"\n'
        '  zsh   ~/.zshrc, after compinit     eval "$(convc completion zsh)"\n'
        "  fish  ~/.config/fish/config.fish   convc completion fish | source"
    ),
}
"""Of each command."""
