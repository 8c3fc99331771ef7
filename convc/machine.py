"""What the machine can do at best: products per second, bytes per second, the sizes of its caches.

Measured once with the runtime's own kernels, since what no kernel of the runtime reaches bounds
nothing; then kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import platformdirs

from convc.algebra.geometry import ConvGeometry
from convc.build import Builder
from convc.errors import ConvcError
from convc.files import make_folder, write_whole
from convc.graph import Graph
from convc.ir import Array, TensorType, Value
from convc.onnx_io import to_bytes
from convc.runtime import Session, Settings, physical_cores, version

CACHE_VARIABLE = "CONVC_CACHE"
"""Environment variable that names the cache folder, instead of the user's own."""

WORKING_SETS = (2**17, 2**20, 2**23, 2**26, 2**28)
"""Bytes read and written by one op, at which the bandwidth is measured."""

SPENT = 0.1
"""Seconds of runs for each kernel, more only where `LEAST` runs take longer."""
LEAST = 3
LONGEST_CHAIN = 64
"""Ops in the longer chain of the smallest working set."""

_FORMAT = 1
_FLOAT = np.dtype(np.float32)
_BYTES = _FLOAT.itemsize

Progress = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Caches:
    """Bytes of one core's data caches, and of the cache that all share; None where not known."""

    l1: int | None
    l2: int | None
    l3: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """What one machine does at best with one runtime and number of threads, in float32.

    Attributes:
        processor: its name.
        threads: intra-op threads that were measured.
        runtime: the runtime's name and version.
        macs_per_second: multiply-adds per second of the best dense kernel.
        bandwidths: pairs (bytes, bytes per second) with rising bytes: what an elementwise op that
            reads and writes so many bytes in all reaches.
        l1: bytes of a core's first data cache, None where not known.
        l2: of its second one.
        l3: of the third one.
        lanes: floats in a vector register.
        registers: vector registers.
    """

    processor: str
    threads: int
    runtime: str
    macs_per_second: float
    bandwidths: tuple[tuple[int, float], ...]
    l1: int | None
    l2: int | None
    l3: int | None
    lanes: int
    registers: int


def machine(
    threads: int | None = None, *, fresh: bool = False, on_progress: Progress | None = None
) -> Machine:
    """This machine, as measured before or now.

    Args:
        threads: intra-op threads, as many as there are physical cores where None.
        fresh: measure again, whatever was measured before.
        on_progress: told what is being measured, in a few words.

    Raises RunError where the runtime cannot run a plain convolution. A cache that is damaged or
    cannot be written is no error.
    """
    threads = threads or physical_cores()
    key = {
        "format": _FORMAT,
        "processor": processor(),
        "runtime": f"onnxruntime {version()}",
        "threads": threads,
    }
    path = cache_folder() / _file_name(key)
    known = None if fresh else _read(path, key)
    if known is not None:
        return known
    found = _measure(threads, str(key["runtime"]), on_progress or (lambda _: None))
    with suppress(ConvcError, OSError):
        make_folder(path.parent)
        write_whole(path, json.dumps({"key": key, **asdict(found)}, indent=1).encode())
    return found


def cache_folder() -> Path:
    """Where what was measured is kept."""
    own = os.environ.get(CACHE_VARIABLE)
    return Path(own) if own else Path(platformdirs.user_cache_dir("convc", appauthor=False))


def caches(folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> Caches:
    """The sizes of the caches as Linux tells them in ``folder``; nothing is measured."""
    sizes: dict[int, int] = {}
    for index in sorted(folder.glob("index*")):
        try:
            level = int((index / "level").read_text())
            kind = (index / "type").read_text().strip()
            found = re.fullmatch(r"(\d+)([KMG]?)", (index / "size").read_text().strip())
        except (OSError, ValueError):
            continue
        if found and kind != "Instruction" and int(found[1]):
            sizes[level] = int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]]
    return Caches(sizes.get(1), sizes.get(2), sizes.get(3))


def processor() -> str:
    """The processor's name, as far as the system tells."""
    name = _cpuinfo().get("model name", "")
    return name or platform.processor() or platform.machine() or "unknown"


def features() -> str:
    """The processor's flags, as the system tells them: the runtime picks its kernels by these."""
    entries = _cpuinfo()
    return entries.get("flags", "") or entries.get("Features", "")


def vectors() -> tuple[int, int]:
    """Floats in a vector register, and how many of these there are."""
    flags = set(_cpuinfo().get("flags", "").split())
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 4, 32
    if "avx512f" in flags:
        return 16, 32
    return (8, 16) if "avx2" in flags else (4, 16)


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries in /proc/cpuinfo; none where there is no such file."""
    entries: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            entries.setdefault(name.strip(), value.strip())
    return entries


# -- the cache -----------------------------------------------------------------------------------


def _file_name(key: Mapping[str, object]) -> str:
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8)
    return f"machine-{digest.hexdigest()}.json"


def _read(path: Path, key: Mapping[str, object]) -> Machine | None:
    """What was measured under ``key``; None where there is nothing, or nothing that makes sense."""
    try:
        entries = json.loads(path.read_bytes())
        if entries.pop("key") != key:
            return None
        entries["bandwidths"] = tuple((int(n), float(b)) for n, b in entries["bandwidths"])
        found = Machine(**entries)
        return found if _is_sound(found) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_sound(found: Machine) -> bool:
    speeds: list[Any] = [found.macs_per_second, *(speed for _, speed in found.bandwidths)]
    counts: list[Any] = [found.threads, found.lanes, found.registers]
    sizes: list[Any] = [size for size in (found.l1, found.l2, found.l3) if size is not None]
    return (
        bool(found.bandwidths)
        and list(found.bandwidths) == sorted(found.bandwidths)
        and all(isinstance(text, str) for text in (found.processor, found.runtime))
        and all(isinstance(speed, float) and isfinite(speed) and speed > 0 for speed in speeds)
        and all(type(count) is int and count > 0 for count in [*counts, *sizes])
    )


# -- measuring -----------------------------------------------------------------------------------


def _measure(threads: int, runtime: str, say: Progress) -> Machine:
    settings = Settings(threads=threads)
    say("measuring the machine's peak")
    peak = max(macs / _best(model, feeds, settings) for model, feeds, macs in _dense_kernels())
    bandwidths = []
    overhead = _seconds_per_op(1, settings)
    for size in WORKING_SETS:
        say(f"measuring its bandwidth at {size // 1024} KiB")
        # Where memory does not suffice for a working set, the smaller ones have to do.
        with suppress(ConvcError, MemoryError):
            whole = _seconds_per_op(size // (2 * _BYTES), settings)
            bandwidths.append((size, size / max(whole - overhead, 0.1 * whole)))
    sizes, (lanes, registers) = caches(), vectors()
    return Machine(
        processor(), threads, runtime, peak, tuple(bandwidths), sizes.l1, sizes.l2, sizes.l3,
        lanes, registers,
    )  # fmt: skip


def _best(model: bytes, feeds: Mapping[str, Array], settings: Settings) -> float:
    """Seconds of the fastest of several runs."""
    session = Session(model, settings)
    session.run(feeds)
    best, count, start = float("inf"), 0, perf_counter()
    while count < LEAST or perf_counter() - start < SPENT:
        begin = perf_counter()
        session.run(feeds)
        best = min(best, perf_counter() - begin)
        count += 1
    return best


def _dense_kernels() -> list[tuple[bytes, Mapping[str, Array], int]]:
    """Models that a runtime runs near the processor's peak, their inputs and MACs."""
    return [_product(1024), _convs(64, 4), _convs(128, 3)]


def _product(n: int) -> tuple[bytes, Mapping[str, Array], int]:
    """One product of two n×n matrices, n³ MACs."""
    build, x = _start((n, n))
    y = build.op("MatMul", (x, build.constant(_weights(n, n))))
    return _finish(build, y), {"x": _weights(n, n)}, n**3


def _convs(channels: int, count: int) -> tuple[bytes, Mapping[str, Array], int]:
    """A chain of 3×3 convs on 56×56: layout changes at its ends are a small part of it."""
    size = 56
    geometry = ConvGeometry((3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1)
    build, value = _start((1, channels, size, size))
    for _ in range(count):
        weight = build.constant(_weights(channels, channels, 3, 3))
        value = build.conv(value, weight, None, geometry)
    feeds = {"x": _weights(1, channels, size, size)}
    return _finish(build, value), feeds, count * size * size * channels * channels * 9


def _seconds_per_op(elements: int, settings: Settings) -> float:
    """Seconds of one elementwise op that reads and writes ``elements`` floats in place.

    The difference between a long chain and a short one: what is before and behind drops out.
    """
    long = max(4, min(LONGEST_CHAIN, WORKING_SETS[2] // (2 * _BYTES * elements)))
    short = long // 4
    times = [
        _best(_chain(elements, count), {"x": np.ones(1, np.float32)}, settings)
        for count in (short, long)
    ]
    # On a machine that is busy the difference may be noise: the whole chain bounds it from above.
    difference = (times[1] - times[0]) / (long - short)
    return difference if difference > 0 else times[1] / long


def _chain(elements: int, count: int) -> bytes:
    build, x = _start((1,))
    value = build.op("Expand", (x, build.ints((elements,))), type_=TensorType(_FLOAT, (elements,)))
    for i in range(count):
        value = build.op("Abs" if i % 2 else "Neg", (value,))
    return _finish(build, build.slice(value, (0,), (0,), (1,)))


def _start(shape: tuple[int, ...]) -> tuple[Builder, Value]:
    graph = Graph()
    return Builder(graph), graph.add_input("x", TensorType(_FLOAT, shape))


def _finish(build: Builder, result: Value) -> bytes:
    build.graph.set_outputs((result,), ("y",))
    return to_bytes(build.graph)


def _weights(*shape: int) -> Array:
    """Signed values that keep the variance of what they are multiplied with."""
    fan = int(np.prod(shape[1:]))
    values = np.random.default_rng(0).standard_normal(shape) / np.sqrt(fan)
    return np.asarray(values, np.float32)
