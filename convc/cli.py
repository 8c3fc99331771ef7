"""The command line. Only the parser lives here, so that ``--help`` is there at once."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from convc import arguments
from convc.arguments import Parser
from convc.errors import ConvcError, ProofError
from convc.help_texts import EPILOG, EPILOGS, USAGES
from convc.text import one_line, spell_out
from convc.version import __version__

SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0 done, 1 models differ, 2 bad input or usage."""
    # Graphs are many small objects that live long: collecting them over and over takes a third of
    # the time of a large one.
    gc.set_threshold(200_000, 50, 50)
    if not sys.warnoptions:
        # What numpy says of infinite weights is for programmers: a user gets one line, or none.
        warnings.simplefilter("ignore")
    spell_out(sys.stdout, sys.stderr)
    before = _let_terminate()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except (KeyboardInterrupt, _Terminated) as stop:
        terminated = isinstance(stop, _Terminated)
        word = "terminated" if terminated else "interrupted"
        print(f"convc: {word}; no file is half-written", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _run(words: list[str]) -> int:
    args = _parsed(words)
    try:
        # --help must not wait for onnx and numpy, nor one command for what another needs.
        return int(import_module(f"convc.commands.{args.command}").run(args))
    except ProofError as error:
        return _fail(1, error)
    except ConvcError as error:
        return _fail(2, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return _fail(2, ConvcError(f"{named}{error.strerror or error}"))
    except MemoryError as error:
        return _fail(2, ConvcError(f"out of memory; smaller sizes need less: {error}"))
    except Exception as error:
        if os.environ.get("CONVC_DEBUG"):
            raise
        text = one_line(error) or "no message"
        print(
            f"convc: internal error, {type(error).__name__}: {text[:300]} "
            f"({_versions()}; set CONVC_DEBUG=1 for the traceback, and please report both)",
            file=sys.stderr,
        )
        return 2


def _versions() -> str:
    """What a report of a bug needs, without importing any of it."""
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}, {sys.platform}"
    metadata = import_module("importlib.metadata")
    found = []
    for name in ("onnx", "onnxruntime", "numpy"):
        # onnxruntime comes under other names too, such as onnxruntime-gpu.
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join([f"convc {__version__}", *found, python])


class _Terminated(BaseException):
    """The process was told to end: now, and not with the best so far as Ctrl-C may ask for."""


def _let_terminate() -> signal.Handlers | None:
    """Makes SIGTERM clean up first, as Ctrl-C does, where nobody else has decided what it does.

    Returns what it did before, None where that was left alone.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return None
    signal.signal(signal.SIGTERM, _terminate)
    return signal.SIG_DFL


def _terminate(_signal: int, _frame: object) -> NoReturn:
    raise _Terminated


def _fail(code: int, error: Exception) -> int:
    print("convc: " + one_line(error), file=sys.stderr)
    return code


def _parsed(words: list[str]) -> argparse.Namespace:
    parser, commands = _parser()
    if "_ARGCOMPLETE" in os.environ:
        # The shell asks; it is answered, and the process ends.
        import_module("convc.completion").answer(parser)
    first = words[0] if words else "--help"
    if first not in COMMANDS and not first.startswith("-"):
        close = get_close_matches(first, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
        print(f"convc: unknown command {first!r}: {hint}", file=sys.stderr)
        raise SystemExit(2)
    if first not in COMMANDS and not any(flag.startswith(first) for flag in parser.flags):
        takers = [name for name, command in commands.items() if first in command.flags]
        if takers:
            parser.error(f"{first} goes behind the command, as in convc {takers[0]} {first}")
        parser.refuse_unknown([first])
    args, unknown = parser.parse_known_args(words or ["--help"])
    commands[args.command].refuse_unknown(unknown)
    return args


def _parser() -> tuple[Parser, Mapping[str, Parser]]:
    """The parser, and that of each command."""
    parser = Parser(
        prog="convc",
        description="Rewrites the linear algebra of convolutional networks and proves the result.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"convc {__version__}", help="show the version"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (add, about) in _COMMANDS.items():
        made = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        made.usage, made.epilog = USAGES.get(name), EPILOGS[name]
        add(made)
    return parser, commands.choices


def _add_optimize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="an .onnx or .mlir file, or a folder"
    )
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "-o", "--output", metavar="PATH",
        help="file, or folder for several models (default: NAME.convc.onnx beside each)",
    )  # fmt: skip
    group.add_argument("--dry-run", action="store_true", help="do everything but write")
    group.add_argument(
        "--proof", action="store_true",
        help="prove each rewrite, whatever --verify says, and write a record of all of them beside "
        "the model, for convc verify --proof",
    )  # fmt: skip
    group.add_argument(
        "--external-data", action="store_true", help="put the weights into a file beside the model"
    )
    _add_report(group, " (several models: a folder)")
    group.add_argument(
        "--keep-initializer-inputs", action="store_true",
        help="keep weights that are also graph inputs as inputs (slow in onnxruntime)",
    )  # fmt: skip
    group = parser.add_argument_group("what is rewritten")
    group.add_argument(
        "--objective", choices=("latency", "macs", "params"), default="latency",
        help="what decides on a rewrite: the time on this machine (default); macs: counts and an "
        "estimate of the time, the same everywhere; params: weights, and MACs never grow",
    )  # fmt: skip
    group.add_argument(
        "--budget", type=arguments.seconds, default=60.0, metavar="S",
        help="seconds that asking the clock may take, and as many again that fitting may (60)",
    )  # fmt: skip
    group.add_argument("--passes", metavar="TEXT", help="pipeline (see: convc passes default)")
    _add_error(parser)
    group = parser.add_argument_group("how it is checked")
    group.add_argument(
        "--verify", choices=("off", "model", "each"), default="model",
        help="compare the models (default), prove each rewrite as well, or neither",
    )  # fmt: skip
    _add_tolerance(group)
    _add_inputs(parser)
    _add_runtime(parser)
    group = _add_output(parser)
    group.add_argument("--timing", action="store_true", help="show the time of each pass")
    group.add_argument(
        "--print-after-change", action="store_true",
        help="print the difference each pass makes to the MLIR text, on stderr",
    )  # fmt: skip
    group.add_argument(
        "--dump", metavar="DIR", help="write the MLIR text after each pass that changed it"
    )


def _add_report(place: Place, several: str = "") -> None:
    place.add_argument(
        "--report", metavar="FILE.html",
        help=f"write a page that shows it all{several}; needs convc[report]",
    )  # fmt: skip


def _add_error(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("approximation (none unless --max-error allows it)")
    group.add_argument(
        "--max-error", default="0", metavar="E",
        help="error of the outputs, on inputs that nothing was fitted to: safe (0.3 %%), "
        "balanced (0.6 %%), or a number such as 0.01 (0: exact)",
    )  # fmt: skip
    group.add_argument(
        "--metric", default="", metavar="NAME",
        help="what that error is: relative (L2, default), psnr (dB), top1 or agreement (share "
        "that differs), or file.py:function (a loss of your own)",
    )  # fmt: skip
    group.add_argument(
        "--pareto", action="store_true",
        help="a model each for a quarter, a half, all and twice of that error, and a table",
    )  # fmt: skip
    group.add_argument(
        "--preprocess", default="", metavar="TEXT",
        help="how images given as --data become inputs, for example "
        "'size=224x224 mean=0.485,0.456,0.406 std=0.229,0.224,0.225'",
    )  # fmt: skip


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="the model that is right by definition")
    parser.add_argument("b", metavar="B", help="the model that should compute the same")
    parser.add_argument(
        "--proof", metavar="FILE",
        help="replay the record that optimize --proof wrote: B was made of A by these rewrites and "
        "nothing else, each proved again on other inputs",
    )  # fmt: skip
    _add_tolerance(parser)
    _add_inputs(parser)
    _add_output(parser)


def _add_cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an .onnx or .mlir file")
    group = parser.add_argument_group("what is counted or timed besides")
    group.add_argument(
        "--backward", action="store_true",
        help="also the backward pass, and the memory of a training step",
    )  # fmt: skip
    group.add_argument(
        "--roofline", action="store_true",
        help="the least time of each op on this machine (measured once, remembered)",
    )  # fmt: skip
    group.add_argument(
        "--remeasure", action="store_true",
        help="forget what was measured of this machine (it was busy, say) and measure again",
    )  # fmt: skip
    group.add_argument(
        "--measure", action="store_true",
        help="run the model: the time of each op by onnxruntime's profile, beside its least",
    )  # fmt: skip
    group.add_argument(
        "--strips", action="store_true",
        help="for each conv: what wider strips and Toom-Cook save, and where that ends",
    )  # fmt: skip
    group.add_argument(
        "--blocks", action="store_true",
        help="for each dense conv: what 2, 4, 8 ... groups save and lose, and what mixing them "
        "repairs; on data with --data, by the clock with --measure",
    )  # fmt: skip
    what_if = parser.add_argument_group("what if (totals and ops beside the model as it is)")
    what_if.add_argument(
        "--scale-channels", type=arguments.factor, default=1.0, metavar="K",
        help="times as many channels, but those of the model's inputs and outputs",
    )  # fmt: skip
    what_if.add_argument(
        "--scale-padding", type=arguments.factor_or_none, default=1.0, metavar="K",
        help="times as much padding in convs and pools; 0: none",
    )  # fmt: skip
    what_if.add_argument("--batch", type=arguments.positive, metavar="N", help="inputs at a time")
    _add_inputs(parser)
    _add_runtime(parser)
    group = _add_output(parser)
    group.add_argument(
        "--top", type=arguments.natural, default=20, metavar="N",
        help="ops in each table (20; 0: all)",
    )  # fmt: skip
    _add_report(group)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="the model the others are compared to")
    parser.add_argument("others", nargs="*", metavar="B", help="other models")
    parser.add_argument(
        "--runs", type=arguments.positive, default=50, metavar="N", help="rounds (50)"
    )
    parser.add_argument(
        "--budget", type=arguments.seconds, default=60.0, metavar="S",
        help="seconds to time at the most (60)",
    )  # fmt: skip
    _add_inputs(parser)
    _add_runtime(parser)
    _add_output(parser)


def _add_print(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an .onnx or .mlir file")
    parser.add_argument("-o", "--output", metavar="FILE", help="file (default: stdout)")
    parser.add_argument(
        "--weights", action="store_true", help="all weights, so that the text can be read back"
    )
    _add_dim(parser)


def _add_passes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a pass, or default")


def _add_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="forget it all")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=" or ".join(SHELLS))


Place = argparse.ArgumentParser | argparse._ArgumentGroup
"""Where arguments can be added."""


def _add_tolerance(place: Place) -> None:
    place.add_argument(
        "--tolerance", type=arguments.tolerance, default=1e-4, metavar="R",
        help="largest difference, relative to an output's largest magnitude (1e-4)",
    )  # fmt: skip


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on which inputs")
    group.add_argument("--data", metavar="PATH", help="inputs: .npz, .npy, an image, or a folder")
    _add_dim(group)
    group.add_argument(
        "--seed", type=arguments.natural, default=0, metavar="N", help="of made-up inputs (0)"
    )


def _add_output(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("what is shown")
    group.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    group.add_argument("--quiet", action="store_true", help="no tables, no progress")
    return group


def _add_dim(place: Place) -> None:
    place.add_argument(
        "--dim", type=arguments.dim, action=arguments.Collect, default={}, metavar="NAME=SIZE",
        help="size of an open dim for costs, proof and timing (it stays open); repeatable",
    )  # fmt: skip


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it runs")
    group.add_argument(
        "--threads", type=arguments.positive, metavar="N",
        help="threads (default: the physical cores)",
    )  # fmt: skip
    group.add_argument(
        "--provider", default="CPU", metavar="NAME", help="onnxruntime's execution provider (CPU)"
    )


_COMMANDS: Mapping[str, tuple[Callable[[Parser], None], str]] = {
    "optimize": (_add_optimize, "rewrite models and verify the result"),
    "verify": (_add_verify, "compare two models"),
    "cost": (_add_cost, "count what a model costs, and time it"),
    "bench": (_add_bench, "time models against each other"),
    "print": (_add_print, "print a model as MLIR text"),
    "passes": (_add_passes, "list the passes, or show one"),
    "cache": (_add_cache, "show or clear what was measured on this machine"),
    "completion": (_add_completion, "print what makes the shell complete convc's arguments"),
}
COMMANDS = tuple(_COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
