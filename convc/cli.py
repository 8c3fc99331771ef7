"""The command line. Only the parser lives here, so that ``--help`` is there at once."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from convc.errors import ConvcError, ProofError
from convc.text import one_line
from convc.version import __version__

COMMANDS = ("optimize", "verify", "cost", "bench", "print", "passes", "cache")


LARGEST_FACTOR = 1e6
"""Of channels and pads: beyond it a typing error is likelier than a question."""


class _Parser(argparse.ArgumentParser):
    """argparse with errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"convc: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0 done, 1 models differ, 2 bad input or usage."""
    # Graphs are many small objects that live long: collecting them over and over takes a third of
    # the time of a large one.
    gc.set_threshold(200_000, 50, 50)
    if not sys.warnoptions:
        # What numpy says of infinite weights is for programmers: a user gets one line, or none.
        warnings.simplefilter("ignore")
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


def _run(arguments: list[str]) -> int:
    args = _parser().parse_args(_known_command(arguments))
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
            "(set CONVC_DEBUG=1 for the traceback, and please report it)",
            file=sys.stderr,
        )
        return 2


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


def _known_command(arguments: list[str]) -> list[str]:
    first = arguments[0] if arguments else "--help"
    if first not in COMMANDS and not first.startswith("-"):
        close = get_close_matches(first, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
        print(f"convc: unknown command {first!r}: {hint}", file=sys.stderr)
        raise SystemExit(2)
    return arguments or ["--help"]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="convc",
        description="Rewrites the linear algebra of convolutional networks and proves the result.",
        epilog="example: convc optimize model.onnx -o faster.onnx",
    )
    parser.add_argument("--version", action="version", version=f"convc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_optimize(commands.add_parser("optimize", help="rewrite models and verify the result"))
    _add_verify(commands.add_parser("verify", help="compare two models"))
    _add_cost(commands.add_parser("cost", help="count what a model costs, and time it"))
    _add_bench(commands.add_parser("bench", help="time models against each other"))
    _add_print(commands.add_parser("print", help="print a model as MLIR text"))
    cache = commands.add_parser("cache", help="show or clear what was measured on this machine")
    cache.add_argument("--clear", action="store_true", help="forget it all")
    cache.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    passes = commands.add_parser("passes", help="list the passes, or show one")
    passes.add_argument("name", nargs="?", metavar="NAME", help="a pass, or default")
    return parser


def _add_optimize(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples: convc optimize model.onnx; "
        "convc optimize models/ -o faster/ --json; "
        "convc optimize model.onnx --passes 'simplify,fuse-convs{border=decline}'; "
        "convc optimize model.onnx --max-error safe --data images/"
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="an .onnx or .mlir file, or a folder"
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="file (or folder, for several models)"
    )
    parser.add_argument("--passes", metavar="TEXT", help="pipeline (see: convc passes default)")
    parser.add_argument(
        "--objective", choices=("latency", "macs", "params"), default="latency",
        help="what a rewrite must lower: the time on this machine (default), or a count",
    )  # fmt: skip
    _add_error(parser)
    _add_verification(parser)
    _add_runtime(parser)
    parser.add_argument(
        "--verify", choices=("off", "model", "each"), default="model",
        help="compare the models (default), prove each rewrite as well, or neither",
    )  # fmt: skip
    parser.add_argument(
        "--proof", action="store_true",
        help="prove each rewrite, whatever --verify says, and write a record of all of them beside "
        "the model, for convc verify --proof",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=_seconds, default=60.0, metavar="S",
        help="seconds that asking the clock may take, and as many again that fitting may (60)",
    )  # fmt: skip
    parser.add_argument("--timing", action="store_true", help="show the time of each pass")
    parser.add_argument(
        "--print-after-change", action="store_true",
        help="print the difference each pass makes to the MLIR text, on stderr",
    )  # fmt: skip
    parser.add_argument(
        "--dump", metavar="DIR", help="write the MLIR text after each pass that changed it"
    )
    parser.add_argument("--dry-run", action="store_true", help="do everything but write")
    parser.add_argument(
        "--external-data", action="store_true", help="put the weights into a file beside the model"
    )
    parser.add_argument(
        "--keep-initializer-inputs", action="store_true",
        help="keep weights that are also graph inputs as inputs (slow in onnxruntime)",
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
    parser.epilog = (
        "exit code: 0 equal (and the proof holds), 1 different, 2 could not be compared; "
        "example: convc verify --proof faster.onnx.proof.json model.onnx faster.onnx"
    )
    parser.add_argument("a", metavar="A", help="the model that is right by definition")
    parser.add_argument("b", metavar="B", help="the model that should compute the same")
    parser.add_argument(
        "--proof", metavar="FILE",
        help="replay the record that optimize --proof wrote: B was made of A by these rewrites and "
        "nothing else, each proved again on other inputs",
    )  # fmt: skip
    _add_verification(parser)


def _add_cost(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "examples: convc cost model.onnx --backward; "
        "convc cost model.onnx --measure --threads 1; "
        "convc cost model.onnx --scale-channels 2; "
        "convc cost model.onnx --dim height=512 --dim width=512 --json"
    )
    parser.add_argument("model", metavar="MODEL", help="an .onnx or .mlir file")
    parser.add_argument(
        "--backward", action="store_true",
        help="also the backward pass, and the memory of a training step",
    )  # fmt: skip
    parser.add_argument(
        "--roofline", action="store_true",
        help="the least time of each op on this machine (measured once, remembered)",
    )  # fmt: skip
    parser.add_argument(
        "--remeasure", action="store_true",
        help="forget what was measured of this machine (it was busy, say) and measure again",
    )  # fmt: skip
    parser.add_argument(
        "--measure", action="store_true",
        help="run the model: the time of each op by onnxruntime's profile, beside its least",
    )  # fmt: skip
    parser.add_argument(
        "--strips", action="store_true",
        help="for each conv: what wider strips and Toom-Cook save, and where that ends",
    )  # fmt: skip
    parser.add_argument(
        "--blocks", action="store_true",
        help="for each dense conv: what 2, 4, 8 ... groups save and lose, and what mixing them "
        "repairs; on data with --data, by the clock with --measure",
    )  # fmt: skip
    what_if = parser.add_argument_group("what if (totals and ops beside the model as it is)")
    what_if.add_argument(
        "--scale-channels", type=_factor, default=1.0, metavar="K",
        help="times as many channels, but those of the model's inputs and outputs",
    )  # fmt: skip
    what_if.add_argument(
        "--scale-padding", type=_factor_or_none, default=1.0, metavar="K",
        help="times as much padding in convs and pools; 0: none",
    )  # fmt: skip
    what_if.add_argument("--batch", type=_positive, metavar="N", help="inputs at a time")
    parser.add_argument(
        "--top", type=_natural, default=20, metavar="N", help="ops in each table (20; 0: all)"
    )
    _add_data(parser)
    _add_runtime(parser)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="the model the others are compared to")
    parser.add_argument("others", nargs="*", metavar="B", help="other models")
    parser.add_argument("--runs", type=_positive, default=50, metavar="N", help="rounds (50)")
    parser.add_argument(
        "--budget",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds to time at the most (60)",
    )
    _add_data(parser)
    _add_runtime(parser)


def _add_print(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="an .onnx or .mlir file")
    parser.add_argument("-o", "--output", metavar="FILE", help="file (default: stdout)")
    parser.add_argument(
        "--weights", action="store_true", help="all weights, so that the text can be read back"
    )
    _add_dim(parser)


def _add_verification(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument(
        "--tolerance", type=_tolerance, default=1e-4, metavar="R",
        help="largest difference, relative to an output's largest magnitude (1e-4)",
    )  # fmt: skip


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="PATH", help="inputs: .npz, .npy, an image, or a folder")
    _add_dim(parser)
    parser.add_argument(
        "--seed", type=_natural, default=0, metavar="N", help="of made-up inputs (0)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--quiet", action="store_true", help="no tables, no progress")


def _add_dim(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dim", type=_dim, action=_Collect, default={}, metavar="NAME=SIZE",
        help="size of an open dim for costs, proof and timing (it stays open); repeatable",
    )  # fmt: skip


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="threads (default: the physical cores)"
    )
    parser.add_argument(
        "--provider", default="CPU", metavar="NAME", help="onnxruntime's execution provider (CPU)"
    )


class _Collect(argparse.Action):
    """Collects ``NAME=SIZE`` pairs in a dict."""

    def __call__(self, _parser: object, namespace: object, pair: object, *_: object) -> None:
        assert isinstance(pair, tuple)
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), pair[0]: pair[1]})


def _dim(text: str) -> tuple[str, int]:
    name, equals, size = text.rpartition("=")
    if not equals or not name or not size.isdecimal() or int(size) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=SIZE with a positive size")
    return name, int(size)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def _factor(text: str) -> float:
    value = _factor_or_none(text)
    if value == 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a factor above 0")
    return value


def _factor_or_none(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= LARGEST_FACTOR:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a factor from 0 to {LARGEST_FACTOR:g}, such as 2 or 0.5"
        )
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
