"""Sessions of onnxruntime: running models, timing them. The only room that imports onnxruntime."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeAlias

from convc.errors import ConvcError, UsageError
from convc.ir import Array
from convc.memory import resident_bytes
from convc.onnx_io import identity_model

Model: TypeAlias = bytes | str | Path
"""A serialised model, or the path of a file (needed where it has external data)."""


LONGEST_MESSAGE = 400
"""Characters of onnxruntime's messages that are passed on."""

GLANCE = 0.02
"""Seconds between two looks at a run that has limits."""

OPTIMISED = "optimised.onnx"
"""Name of the file in a trace's folder that the optimised model is saved to."""


@cache
def _onnxruntime() -> Any:
    """The runtime, loaded on first use: who only rewrites a model need not wait for it."""
    import onnxruntime  # noqa: PLC0415

    onnxruntime.set_default_logger_severity(4)
    return onnxruntime


class RunError(ConvcError):
    """onnxruntime refused a model or failed on an input: the message is its first line."""


class StoppedError(RunError):
    """A run was stopped at its limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take at the most: seconds, and bytes of memory besides those before it."""

    seconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session is set up.

    Attributes:
        optimised: everything onnxruntime has switched on; off, nodes run as the file has them.
        threads: intra-op threads; None: as many as there are physical cores.
        provider: execution provider, by onnxruntime's name (with or without ``ExecutionProvider``).
        denormal_as_zero: the runtime's flag against slow subnormals. It binds a process only if its
            first session sets it, so it belongs into a process of its own.
        limits: of every run; None: it may take what it takes.
    """

    optimised: bool = True
    threads: int | None = None
    provider: str = "CPU"
    denormal_as_zero: bool = False
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The files that a traced session leaves in its folder.

    Attributes:
        optimised: the model as onnxruntime runs it; its large weights lie beside it.
        events: what took how long, in the JSON of Chrome's trace viewer; times in microseconds.
    """

    optimised: Path
    events: Path


class Session:
    """One model, ready to run.

    Where a folder ``trace`` is given, the optimised model and onnxruntime's own profile of every
    run are written there; `end_trace` says where.
    """

    def __init__(
        self, model: Model, settings: Settings | None = None, *, trace: Path | None = None
    ) -> None:
        settings = settings or Settings()
        ort = _onnxruntime()
        options = ort.SessionOptions()
        level = ort.GraphOptimizationLevel
        options.graph_optimization_level = (
            level.ORT_ENABLE_ALL if settings.optimised else level.ORT_DISABLE_ALL
        )
        options.intra_op_num_threads = settings.threads or physical_cores()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # Threads that spin after a run take the core from the model that is timed next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if settings.denormal_as_zero:
            options.add_session_config_entry("session.set_denormal_as_zero", "1")
        self._limits = settings.limits
        self._trace = trace
        if trace is not None:
            _write_trace(options, trace)
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = ort.InferenceSession(source, options, [provider(settings.provider)])
        except Exception as error:  # onnxruntime's errors share no public base class
            raise RunError(_one_line(error)) from error

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in the file's order."""
        return [entry.name for entry in self._session.get_inputs()]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the file's order."""
        return [entry.name for entry in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, Array]) -> list[Any]:
        """The outputs for ``feeds``; raises RunError where onnxruntime fails.

        Raises StoppedError where it takes more than the limits of its settings.
        """
        watch = None if self._limits is None else _Watch(self._limits, _onnxruntime().RunOptions())
        try:
            if watch is None:
                return list(self._session.run(None, dict(feeds)))
            with watch:
                return list(self._session.run(None, dict(feeds), watch.options))
        except Exception as error:  # onnxruntime's errors share no public base class
            if watch is not None and watch.reason:
                raise StoppedError(watch.reason) from error
            raise RunError(_one_line(error)) from error

    def end_trace(self) -> Trace:
        """Ends the profile of a session that was given a folder to trace to."""
        if self._trace is None:
            raise ValueError("the session is not traced")
        return Trace(self._trace / OPTIMISED, Path(self._session.end_profiling()))


class _Watch:
    """Looks, while onnxruntime runs, how long and how large that gets; tells it to stop.

    It does so between two nodes: one that takes long by itself is not interrupted.
    """

    def __init__(self, limits: Limits, options: Any) -> None:
        self.options = options
        self.reason = ""
        self._limits = limits
        self._over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        start, before = time.monotonic(), resident_bytes()
        while not self._over.wait(GLANCE):
            grown = resident_bytes() - before
            if time.monotonic() - start > self._limits.seconds:
                self.reason = f"it had not ended after {self._limits.seconds:.0f} s"
            elif grown > self._limits.bytes:
                self.reason = f"it took {grown / 1e9:.1f} GB and did not stop"
            if self.reason:
                self.options.terminate = True
                return


def _write_trace(options: Any, folder: Path) -> None:
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    options.optimized_model_filepath = str(folder / OPTIMISED)
    # A file of its own for the weights: with them a model may exceed what protobuf holds.
    entry = "session.optimized_model_external_initializers_file_name"
    options.add_session_config_entry(entry, f"{OPTIMISED}.data")


def provider(name: str) -> str:
    """The full name of an execution provider; raises UsageError where it is not installed."""
    available = _onnxruntime().get_available_providers()
    for candidate in (name, f"{name}ExecutionProvider"):
        for known in available:
            if candidate.lower() == known.lower():
                return str(known)
    short = ", ".join(p.removesuffix("ExecutionProvider") for p in available)
    raise UsageError(f"--provider {name}: this onnxruntime has {short}")


def version() -> str:
    """The version of onnxruntime."""
    return str(_onnxruntime().__version__)


@cache
def newest_opset() -> int:
    """The newest version of ONNX's operators that the installed onnxruntime runs."""
    low, high = 6, 64  # low runs, high does not
    while high - low > 1:
        middle = (low + high) // 2
        try:
            Session(identity_model(middle), Settings(optimised=False, threads=1))
            low = middle
        except RunError:
            high = middle
    return low


@cache
def physical_cores() -> int:
    """Physical cores this process may use; hyper-threads of one core count once."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if usable is None:
        return os.cpu_count() or 1
    siblings: set[str] = set()
    for cpu in usable:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings.add(path.read_text().strip() if path.exists() else str(cpu))
    return len(siblings)


def _one_line(error: Exception) -> str:
    """The message in one line, without the place in onnxruntime's own source."""
    line = " ".join(str(error).split()) or type(error).__name__
    line = re.sub(r"/\S+\.(?:cc|h):\d+ .*?\)(?: const)? ", "", line)
    return line.removeprefix("[ONNXRuntimeError] : ")[:LONGEST_MESSAGE]
