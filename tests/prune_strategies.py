"""Networks with channels to prune: dead, duplicate and unread filters behind all kinds of ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from convc.algebra import ConvGeometry
from convc.build import Builder
from convc.graph import Graph
from convc.ir import TensorType, Value
from tests.strategies import finished, new_graph, seeds

F32 = np.dtype(np.float32)


@dataclass
class Net:
    """A network in the making.

    Attributes:
        build: its builder.
        rng: of its weights.
        used: what it is made of, for counting.
    """

    build: Builder
    rng: np.random.Generator
    used: list[str] = field(default_factory=list)

    def weights(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(F32)

    def constant(self, array: np.ndarray) -> Value:
        return self.build.constant(np.asarray(array, F32))

    def op(
        self, kind: str, operands: Sequence[Value], shape: Sequence[object], **attributes
    ) -> Value:
        """An op whose result shape the builder has no rule for."""
        return self.build.op(kind, operands, attributes, type_=TensorType(F32, tuple(shape)))


def count(value: Value) -> int:
    assert value.shape is not None
    assert isinstance(value.shape[1], int)
    return value.shape[1]


def space(value: Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(value.shape[2:])


def planted(net: Net, w: np.ndarray, b: np.ndarray) -> None:
    """Makes some filters (axis 0) zero, and some multiples of others."""
    for k in range(len(w)):
        fate = net.rng.choice(["live", "live", "zero", "twin"])
        if fate == "zero":
            w[k] = 0
            b[k] *= net.rng.choice([0, 1, 1])
        if fate == "twin":
            other, factor = net.rng.integers(len(w)), net.rng.choice([1.0, 0.5, 2.0])
            w[k], b[k] = factor * w[other], factor * b[other]


def producer(net: Net, x: Value, outputs: int, kind: str = "Conv", group: int = 1) -> Value:
    """A layer of kernel 1 or 3 that keeps the size, with filters to prune."""
    ndim = len(space(x))
    kernel = (int(net.rng.choice([1, 3])),) * ndim
    w, b = net.weights(outputs, count(x) // group, *kernel), net.weights(outputs)
    planted(net, w, b)
    pads = tuple(k // 2 for k in kernel) * 2
    if kind == "ConvTranspose":
        w = np.swapaxes(w, 0, 1)
    bias = [self_bias] if (self_bias := net.constant(b)) and net.rng.random() < 0.8 else []
    return net.build.op(kind, (x, net.constant(w), *bias), {"pads": pads, "group": group})


# -- what stands between ----------------------------------------------------------------------


def unary(kind: str, **attributes: float) -> Callable[[Net, Value], Value]:
    def make(net: Net, x: Value) -> Value:
        return net.op(kind, (x,), x.shape or (), **attributes)

    return make


def affine(kind: str) -> Callable[[Net, Value], Value]:
    def make(net: Net, x: Value) -> Value:
        whole = net.rng.random() < 0.5
        shape = (count(x), *(1 for _ in space(x))) if whole else ()
        array = net.rng.uniform(0.5, 2.0, shape) * net.rng.choice([-1, 1])
        pair = (x, net.constant(array))
        return net.op(kind, pair[:: net.rng.choice([1, -1]) if kind != "Div" else 1], x.shape or ())

    return make


def norm(net: Net, x: Value) -> Value:
    c = count(x)
    scale, bias, mean = (net.constant(net.weights(c)) for _ in range(3))
    var = net.constant(net.rng.uniform(0.5, 2.0, c))
    return net.build.op("BatchNormalization", (x, scale, bias, mean, var))


def slope(net: Net, x: Value) -> Value:
    slopes = net.rng.choice([0.25, 0.5], (count(x), *(1 for _ in space(x))))
    return net.op("PRelu", (x, net.constant(slopes)), x.shape or ())


def pool(kind: str, *, padded: bool = False, include: int = 0) -> Callable[[Net, Value], Value]:
    def make(net: Net, x: Value) -> Value:
        ndim = len(space(x))
        attributes = {"kernel_shape": (3,) * ndim, "pads": (int(padded),) * (2 * ndim)}
        if kind == "AveragePool":
            attributes["count_include_pad"] = include
        return net.build.op(kind, (x,), attributes)

    return make


def global_pool(net: Net, x: Value) -> Value:
    shape = (*(x.shape or ())[:2], *(1 for _ in space(x)))
    pooled = net.op(str(net.rng.choice(["GlobalAveragePool", "GlobalMaxPool"])), (x,), shape)
    return net.op("Add", (x, pooled), x.shape or ())


def gate(net: Net, x: Value) -> Value:
    """Squeeze and excite: a product with what is computed from the channels themselves."""
    c, ones = count(x), tuple(1 for _ in space(x))
    pooled = net.build.op("GlobalAveragePool", (x,))
    layer = (pooled, net.constant(net.weights(c, c, *ones)), net.constant(net.weights(c)))
    weight = net.build.op("Sigmoid", (net.build.op("Conv", layer),))
    return net.op("Mul", (x, weight), x.shape or ())


def resize(net: Net, x: Value) -> Value:
    shape = (*(x.shape or ())[:2], *(2 * size for size in space(x)))
    mode = str(net.rng.choice(["nearest", "linear"]))
    scales = net.constant(np.array([1, 1, *(2 for _ in space(x))]))
    if net.build.opset < 10:
        return net.op("Upsample", (x, scales), shape, mode=mode)
    if net.build.opset < 11:
        return net.op("Resize", (x, scales), shape, mode=mode)
    if net.rng.random() < 0.5:
        empty = net.build.constant(np.zeros(0, F32))
        return net.op("Resize", (x, empty, scales), shape, mode=mode)
    empty, sizes = net.build.constant(np.zeros(0, F32)), net.build.ints(shape)
    return net.op("Resize", (x, empty, empty, sizes), shape, mode=mode)


def pad(net: Net, x: Value) -> Value:
    return net.build.pad(x, (0, 0, *(1 for _ in space(x))) * 2)


def crop(net: Net, x: Value) -> Value:
    return net.build.slice(x, [2], [1], [2**31 - 1])


def depthwise(net: Net, x: Value) -> Value:
    c, many = count(x), int(net.rng.choice([1, 1, 2]))
    w, b = net.weights(c * many, 1, *(3 for _ in space(x))), net.weights(c * many)
    planted(net, w, b)
    padding = (int(net.rng.integers(2)),) * (2 * len(space(x)))
    operands = (x, net.constant(w), net.constant(b))
    return net.build.op("Conv", operands, {"group": c, "pads": padding})


def doubled(net: Net, x: Value) -> Value:
    """Both halves of a Split, the other way round."""
    half = count(x) // 2
    parts = split(net, x, (half, count(x) - half))
    return net.build.concat(parts[::-1], 1)


def split(net: Net, x: Value, sizes: Sequence[int]) -> tuple[Value, ...]:
    shape = x.shape or ()
    types = [TensorType(F32, (shape[0], size, *shape[2:])) for size in sizes]
    newer = net.build.opset >= 13
    operands = (x, net.build.ints(sizes)) if newer else (x,)
    attributes = {"axis": 1} if newer else {"axis": 1, "split": tuple(sizes)}
    # Without a name an unused part would be left out in the file, where onnxruntime crashes.
    names = [f"part{i} of {len(net.build.graph)}" for i in range(len(sizes))]
    return net.build.graph.add("Split", operands, attributes, types=types, names=names).results


def half(net: Net, x: Value) -> Value:
    """Only some of the channels are read."""
    some = max(1, count(x) // 2)
    if net.rng.random() < 0.4:
        return net.build.slice(x, [1], [count(x) - some], [count(x)])
    if net.rng.random() < 0.5:
        return split(net, x, (some, count(x) - some))[0] if count(x) > 1 else x
    chosen = net.rng.permutation(count(x))[:some]
    shape = ((x.shape or ())[0], some, *space(x))
    return net.op("Gather", (x, net.build.ints(chosen)), shape, axis=1)


def beside(net: Net, x: Value) -> Value:
    """Concat with a constant of which one channel is the same everywhere."""
    extra = net.weights((x.shape or ())[0], 2, *space(x))
    extra[:, 0] = net.rng.choice([0.0, 0.75])
    return net.build.concat((x, net.constant(extra)), 1)


BETWEEN: dict[str, Callable[[Net, Value], Value]] = {
    **{
        kind: unary(kind)
        for kind in ("Relu", "Sigmoid", "Tanh", "Elu", "HardSigmoid", "Softplus", "Abs", "Neg")
    },
    "LeakyRelu": unary("LeakyRelu", alpha=0.1),
    **{kind: affine(kind) for kind in ("Mul", "Add", "Sub", "Div")},
    "BatchNormalization": norm,
    "PRelu": slope,
    "MaxPool": pool("MaxPool"),
    "padded MaxPool": pool("MaxPool", padded=True),
    "AveragePool": pool("AveragePool"),
    "padded AveragePool": pool("AveragePool", padded=True),
    "AveragePool with pads counted": pool("AveragePool", padded=True, include=1),
    "global pool": global_pool,
    "gate": gate,
    "resize": resize,
    "pad": pad,
    "crop": crop,
    "depthwise": depthwise,
    "Split": doubled,
    "half": half,
    "beside a constant": beside,
}


# -- what reads -------------------------------------------------------------------------------


def read_by_conv(net: Net, x: Value, group: int = 1) -> Value:
    """A conv of any geometry; some input channels are not read."""
    ndim, outputs = len(space(x)), group * int(net.rng.integers(1, 4))
    kernel = tuple(int(k) for k in net.rng.integers(1, 4, ndim))
    geometry = ConvGeometry(
        kernel,
        strides=tuple(int(s) for s in net.rng.integers(1, 3, ndim)),
        dilations=(1,) * ndim,
        pads_begin=tuple(int(p) for p in net.rng.integers(0, 3, ndim)),
        pads_end=tuple(int(p) for p in net.rng.integers(0, 3, ndim)),
        group=group,
    )
    if net.rng.random() < 0.4:
        geometry = ConvGeometry(
            kernel, geometry.strides, (1,) * ndim, (0,) * ndim, (0,) * ndim, group
        )
    w = net.weights(outputs, count(x) // group, *kernel)
    w[:, net.rng.random(w.shape[1]) < 0.2] = 0
    bias = net.constant(net.weights(outputs)) if net.rng.random() < 0.6 else None
    return net.build.conv(x, net.constant(w), bias, geometry)


def read_by_groups(net: Net, x: Value) -> Value:
    return read_by_conv(net, x, 2 if count(x) % 2 == 0 else 1)


def read_by_transposed(net: Net, x: Value) -> Value:
    w = net.weights(count(x), 3, *(2 for _ in space(x)))
    w[net.rng.random(len(w)) < 0.2] = 0
    return net.build.op("ConvTranspose", (x, net.constant(w)), {"strides": (2,) * len(space(x))})


def read_by_gemm(net: Net, x: Value) -> Value:
    """Flattened, or pooled and flattened, into a Gemm or MatMul."""
    if net.rng.random() < 0.5:
        x = net.build.op("GlobalAveragePool", (x,))
    c = int(np.prod([d for d in (x.shape or ())[1:] if isinstance(d, int)]))
    x = net.build.op("Flatten", (x,)) if net.rng.random() < 0.5 else net.build.reshape(x, (0, -1))
    w = net.weights(c, 3)
    if net.rng.random() < 0.4:
        return net.build.op("MatMul", (x, net.constant(w)))
    turned = bool(net.rng.random() < 0.5)
    operands = [x, net.constant(w.T if turned else w), net.constant(net.weights(3))]
    return net.build.op("Gemm", operands, {"alpha": 0.5, "beta": 2.0, "transB": int(turned)})


READERS: dict[str, Callable[[Net, Value], Value]] = {
    "Conv": read_by_conv,
    "grouped Conv": read_by_groups,
    "ConvTranspose": read_by_transposed,
    "Gemm": read_by_gemm,
}
SHAPES = ("plain", "plain", "residual", "concat", "loop", "grouped", "two readers")


@dataclass(frozen=True)
class Case:
    """A network, what it is made of, and the block to round to."""

    graph: Graph
    used: tuple[str, ...]
    block: int


@st.composite
def networks(draw: st.DrawFn, between: Sequence[str] = (), reader: str | None = None) -> Case:
    """One or two layers, ops between, one or two layers that read."""
    rng = draw(seeds())
    ndim = draw(st.sampled_from([1, 2, 2, 3]))
    opset = draw(st.sampled_from([9, 11, 13, 17, 21]))
    size = [int(s) for s in rng.integers(5, 8 if ndim < 3 else 6, ndim)]
    build, x = new_graph((draw(st.integers(1, 2)), 4, *size), opset)
    net = Net(build, rng)
    shape = draw(st.sampled_from(SHAPES))
    outputs = 2 * draw(st.integers(2, 4))
    names = draw(st.lists(st.sampled_from(list(BETWEEN)), max_size=3))
    names = [*between, *(name for name in names if name != "resize" or ndim == 2)]
    kind = draw(st.sampled_from(["Conv", "Conv", "ConvTranspose"]))
    value = producer(net, x, outputs, kind, group=2 if shape == "grouped" and kind == "Conv" else 1)
    for i, name in enumerate(names):
        if min(space(value)) < 3 or count(value) < 2:
            break
        value = BETWEEN[name](net, value)
        net.used.append(name)
        if i == 0 and shape in ("residual", "concat") and space(value) == tuple(size):
            other = producer(net, x, count(value))
            joined = (value, build.op("Relu", (other,)))
            value = build.add(*joined) if shape == "residual" else build.concat(joined, 1)
    if shape == "loop":
        value = build.add(value, producer(net, value, count(value)))
    wanted = reader or draw(st.sampled_from(list(READERS)))
    results = [READERS[wanted](net, value)]
    if shape == "two readers":
        results.append(read_by_conv(net, build.op("Relu", (value,))))
    block = draw(st.sampled_from([1, 1, 1, 4]))
    return Case(finished(build, *results), (*net.used, shape, wanted), block)


@st.composite
def picked_layers(draw: st.DrawFn) -> Case:
    """A layer of any kind and a Slice or Gather of its channels, in any order, some repeated."""
    rng = draw(seeds())
    ndim, opset = draw(st.integers(0, 3)), draw(st.sampled_from([9, 11, 13, 17, 21]))
    build, x = new_graph((2, 4, *(4 for _ in range(ndim))), opset)
    net = Net(build, rng)
    kind = draw(st.sampled_from(["Conv", "ConvTranspose"] if ndim else ["Gemm", "MatMul"]))
    outputs, taps = draw(st.integers(2, 9)), (2,) * ndim
    shape = (outputs, 4, *taps) if kind == "Conv" else (4, outputs, *taps)
    operands = [x, net.constant(net.weights(*shape))]
    if kind == "Gemm" or (ndim and rng.random() < 0.6):
        operands.append(net.constant(net.weights(outputs)))
    value = build.op(kind, operands)
    few = draw(st.integers(1, outputs))
    name = draw(st.sampled_from(["Slice", "Gather"]))
    if name == "Slice":
        start = draw(st.integers(0, outputs - few))
        value = build.slice(value, [-ndim - 1], [start], [start + few])
    else:
        chosen = draw(st.permutations(range(-outputs, 0)))[:few]
        if draw(st.integers(0, 3)) == 0:
            chosen[0] = chosen[-1] + outputs
        shape = (2, few, *(value.shape or ())[2:])
        value = net.op("Gather", (value, build.ints(chosen)), shape, axis=1)
    repeats = name == "Gather" and len({c % outputs for c in chosen}) < few
    used = (name, kind, *(["repeats"] if repeats else []))
    return Case(finished(build, build.op("Relu", (value,))), used, 1)
