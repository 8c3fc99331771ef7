"""What a layer reads in an approximated model, beside what it gave in the original one."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from convc.algebra.moments import Gathering, Moments, joined
from convc.approximate.layers import Layer, is_layer, patches, places, read_layer, responses
from convc.feeds import Feeds
from convc.graph import Graph
from convc.ir import Array, Op, Value
from convc.onnx_io import to_bytes
from convc.rewrite import NoMatch
from convc.runtime import Session, Settings

LEAST, MOST = 16_000, 24_000
"""Patches that a fit is made from: enough for the layer's width between these."""

OVERSAMPLED = 8
"""Patches for each number in a patch: the means of a fit's moments are that many times as sure."""

CHECKED = 4
"""Of so many inputs one checks what the others make."""

HELD = 2**30
"""Bytes of responses that are held for all layers together: of large models fewer positions."""

AT_ONCE = 2**28
"""Bytes of responses that one run of the model hands out."""


@dataclass(frozen=True)
class Sampled:
    """The responses of a layer of the original at some positions of one input.

    Attributes:
        shape: of the whole response.
        where: (n,), the positions; see `places`.
        wanted: (n, K).
    """

    shape: tuple[int, ...]
    where: Array
    wanted: Array


@dataclass
class Observer:
    """Gathers moments of layers.

    Attributes:
        reference: the original; every layer's result has a name of its own.
        samples: inputs to gather on.
        settings: of the sessions.
        seed: of the positions.
    """

    reference: Graph
    samples: Sequence[Feeds]
    settings: Settings
    seed: int = 0
    _known: dict[str, list[Sampled]] = field(default_factory=dict, init=False)

    def moments(
        self,
        graph: Graph,
        op: Op,
        kept: Mapping[str, Array],
        wanted: Sequence[Array] | None = None,
    ) -> Moments:
        """The moments of a layer of ``graph``: its patches there, the original's responses.

        Args:
            graph: the original as far as it has been approximated.
            op: a layer of it.
            kept: the channels that are left of results that have fewer.
            wanted: other responses than the original's, as `wanted` gives these.

        Raises NoMatch where the layer cannot be observed.
        """
        return joined(*self.apart(graph, op, kept, wanted))

    def apart(
        self,
        graph: Graph,
        op: Op,
        kept: Mapping[str, Array],
        wanted: Sequence[Array] | None = None,
    ) -> tuple[Moments, Moments]:
        """As `moments`, those of every `CHECKED`-th input apart.

        What is fitted to the others can be checked on these; of one input both are the same.
        """
        layer = read_layer(op)
        targets = self.wanted(op, kept) if wanted is None else wanted
        gathering = [Gathering(layer.group, layer.width, layer.outputs) for _ in range(2)]
        run = running(graph, [layer.data], self.settings)
        sampled = self._sampled(op.result.name)
        checked = min(CHECKED, len(self.samples))
        some = zip(self.samples, sampled, targets, strict=True)
        for number, (feeds, known, target) in enumerate(some, start=1):
            if target.shape[1] != layer.outputs:
                raise NoMatch("the layer has other channels than the original")
            if known.where.size:
                (data,) = run(feeds)
                read = patches(layer, data, known.shape, known.where)
                gathering[number % checked == 0].add(read, target)
        found = []
        for one in gathering:
            with suppress(ValueError):  # a model may leave a layer out for some inputs
                found.append(one.moments())
        if not found:
            raise NoMatch("the layer has no responses")
        return found[0], found[-1]

    def wanted(self, op: Op, kept: Mapping[str, Array]) -> list[Array]:
        """What a layer gave in the original: (n, K) for each of the samples.

        Raises NoMatch where it is not in the original.
        """
        name = op.result.name
        found = [known.wanted for known in self._sampled(name)]
        return [array[:, kept[name]] for array in found] if name in kept else found

    def given(self, graph: Graph, op: Op) -> list[Array]:
        """What a layer gives in ``graph``, at the same positions as `wanted`.

        ``op`` may be the last of a chain that has come into the layer's place.
        """
        layer = read_layer(op)
        run = running(graph, [op.result], self.settings)
        sampled = self._sampled(op.result.name)
        return [
            responses(layer, run(feeds)[0], known.where)
            for feeds, known in zip(self.samples, sampled, strict=True)
        ]

    def _sampled(self, name: str) -> list[Sampled]:
        if not self._known:
            self._known = self._sample()
        if name not in self._known:
            raise NoMatch("the layer is not in the original")
        return self._known[name]

    def _sample(self) -> dict[str, list[Sampled]]:
        layers = list(layers_of(self.reference))
        wanted = sum(_patches(layer) * layer.outputs * BYTES for layer in layers)
        part = min(1.0, HELD / max(wanted, 1))
        found: dict[str, list[Sampled]] = {layer.op.result.name: [] for layer in layers}
        for chunk in _chunks(self.reference, layers):
            run = running(self.reference, [layer.op.result for layer in chunk], self.settings)
            for number, feeds in enumerate(self.samples):
                for layer, array in zip(chunk, run(feeds), strict=True):
                    name = layer.op.result.name
                    found[name].append(self._pick(layer, array, number, part))
        return found

    def _pick(self, layer: Layer, array: Array, number: int, part: float) -> Sampled:
        name = layer.op.result.name
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode()), number])
        share = ceil(part * _patches(layer) / len(self.samples))
        every = places(layer, array.shape)
        where = np.arange(every) if every <= share else np.sort(rng.choice(every, share, False))
        return Sampled(array.shape, where, responses(layer, array, where).copy())


BYTES = 4
"""Of a response."""


def _patches(layer: Layer) -> int:
    return min(MOST, max(LEAST, OVERSAMPLED * layer.width))


def layers_of(graph: Graph) -> Iterable[Layer]:
    """The layers of a graph that can be fitted, in its order."""
    for op in graph.ops():
        if not is_layer(op):
            continue
        try:
            yield read_layer(op)
        except NoMatch:
            continue


def running(graph: Graph, values: Sequence[Value], settings: Settings) -> Running:
    """The part of ``graph`` that computes ``values``, ready to run."""
    part = graph.extract(graph.inputs, values)
    part.set_outputs(part.outputs, [f"value_{i}" for i in range(len(values))])
    return Running(Session(to_bytes(part), settings))


@dataclass(frozen=True)
class Running:
    """A session that is fed all of a model's inputs and takes those it needs."""

    session: Session

    def __call__(self, feeds: Feeds) -> list[Array]:
        """The outputs in their order; raises RunError."""
        names = set(self.session.input_names)
        return self.session.run({name: array for name, array in feeds.items() if name in names})


def _chunks(graph: Graph, layers: Iterable[Layer]) -> Iterable[list[Layer]]:
    chunk: list[Layer] = []
    size = 0
    for layer in layers:
        needed = graph.nbytes(layer.op.result) or AT_ONCE
        if chunk and size + needed > AT_ONCE:
            yield chunk
            chunk, size = [], 0
        chunk.append(layer)
        size += needed
    if chunk:
        yield chunk
