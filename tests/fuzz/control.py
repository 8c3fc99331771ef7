"""Bodies, functions of the model, custom ops, and shapes that the network computes itself."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.fuzz import elementwise as ew
from tests.fuzz import layers as ls
from tests.fuzz import layout as lo
from tests.fuzz.layers import need
from tests.fuzz.net import Net, Val, element

LAYERS = (ls.conv, ls.pointwise, ls.batch_norm, ew.affine, ew.activation, ew.neutral, ls.gemm)


def _body(net: Net, x: Val) -> tuple[Net, Val]:
    """A body that captures ``x``, and what it returns."""
    inner = Net(net.style, net.random, net)
    y = x
    for _ in range(net.random.randint(1, 3)):
        y = if_(inner, y) if net.chance(0.05) else net.random.choice(LAYERS)(inner, y)
    if y is x:
        y = inner.op("Identity", y)
    return inner, y


def _graph(
    inner: Net, y: Val, inputs: list[object] | None = None, extra: list[object] | None = None
):  # type: ignore[no-untyped-def]
    result = helper.make_tensor_value_info(y.name, element(y.dtype), y.shape)
    return helper.make_graph(
        inner.nodes, inner.name("body"), inputs or [], [*(extra or []), result],
        initializer=inner.weights,
    )  # fmt: skip


def if_(net: Net, x: Val) -> Val:
    """An If whose branches capture outer values; its condition is a constant or computed."""
    need(net.depth < 2 and x.is_real and net.opset >= 9)
    then, y = _body(net, x)
    other, z = _body(net, x)
    if z.shape != y.shape:
        other = Net(net.style, net.random, net)
        z = other.op("Identity", other.real(net.rng.standard_normal(y.shape)))
    if net.chance(0.5):
        condition = net.constant(np.asarray(net.chance(0.5)))
    else:
        rank = net.op("Shape", net.op("Shape", x))
        half = net.op("Less", rank, net.ints([net.random.choice((1, 99))]))
        condition = lo.squeeze(net, half, 0)
    made = net.add(
        "If", [condition], shapes=[y.shape],
        then_branch=_graph(then, y), else_branch=_graph(other, z),
    )  # fmt: skip
    return Val(made[0].name, y.shape, y.dtype)


def loop(net: Net, x: Val) -> Val:
    """A Loop of fixed or constant trip count that carries ``x``."""
    need(net.depth == 0 and x.is_real and net.opset >= 11)
    inner = Net(net.style, net.random, net)
    carried = Val(net.name("carried"), x.shape, x.dtype)
    y = carried
    for _ in range(net.random.randint(1, 2)):
        layer = net.random.choice((ew.affine, ew.activation, ew.neutral, ls.conv))
        z = layer(inner, y)
        y = z if z.shape == x.shape else y
    if y is carried:
        y = inner.op("Identity", y)
    if net.chance(0.5):  # captures an outer value
        y = inner.op("Add", inner.op("Tanh", y), x)
    number, go_on = net.name("i"), net.name("go")
    kept = net.name("kept")
    inner.nodes.append(helper.make_node("Identity", [go_on], [kept]))
    kind = element(x.dtype)
    inputs = [
        helper.make_tensor_value_info(number, 7, []),
        helper.make_tensor_value_info(go_on, 9, []),
        helper.make_tensor_value_info(carried.name, kind, x.shape),
    ]
    flag = helper.make_tensor_value_info(kept, 9, [])
    body = _graph(inner, y, inputs, [flag])
    trips = net.ints(net.random.choice((1, 2, 3)))
    go = net.constant(np.asarray(True))
    made = net.add("Loop", [trips, go, x], shapes=[x.shape], body=body)
    return Val(made[0].name, x.shape, x.dtype)


def function(net: Net, x: Val) -> Val:
    """A function of the model: a block with its weights as operands, called once or twice."""
    need(net.parent is None and x.is_real and net.style.ir >= 8 and net.opset >= 15)
    n = x.rank - 2
    need(n >= 1 and net.dtype == np.float32)
    name, c = net.name("Block"), x.shape[1]
    relu = net.chance(0.5)
    nodes = [
        helper.make_node("Conv", ["a", "w"], ["c"], pads=[1] * (2 * n)),
        helper.make_node("Relu" if relu else "Identity", ["c"], ["r"]),
        helper.make_node("Add", ["r", "a"], ["y"]),
    ]
    imports = [helper.make_opsetid("", net.opset)]
    net.functions.append(helper.make_function("local", name, ["a", "w"], ["y"], nodes, imports))
    net.domains.add("local")
    w = net.real(net.rng.standard_normal((c, c, *(3,) * n)) / np.sqrt(c * 3**n))
    for _ in range(net.random.randint(1, 2)):
        made = net.add(name, [x, w], shapes=[x.shape], domain="local")
        x = Val(made[0].name, x.shape, x.dtype)
    return x


def foreign(net: Net, x: Val) -> Val:
    """An op of onnxruntime's own, which convc does not know."""
    need(net.parent is None and x.dtype == np.float32)
    net.domains.add("com.microsoft")
    kind = net.random.choice(("Gelu", "QuickGelu"))
    return net.add(kind, [x], shapes=[x.shape], domain="com.microsoft")[0]


def _shape_part(net: Net, x: Val, axis: int) -> Val:
    """The size of an axis as a tensor of one element."""
    shape = net.op("Shape", x)
    form = net.random.choice(("gather", "slice", "scalar"))
    if form == "slice":
        return lo.slice_of(net, shape, [0], [axis], [axis + 1])
    if form == "gather":
        return net.op("Gather", shape, net.ints([axis]), axis=0)
    return lo.unsqueeze(net, net.op("Gather", shape, net.ints(axis), axis=0), 0)


def computed_reshape(net: Net, x: Val) -> Val:
    """Reshape by Shape, Gather, Mul and Concat: ``x.view(n, c, -1)`` as exporters write it."""
    need(x.rank >= 2)
    first = _shape_part(net, x, 0)
    form = net.random.choice(("flat", "rows", "same"))
    if form == "flat":
        target, shape = [first, net.ints([-1])], (x.shape[0], -1)
    elif form == "rows":
        need(x.rank >= 3)
        rest = net.op("Mul", _shape_part(net, x, 1), _shape_part(net, x, 2))
        target = [first, rest, net.ints([-1])]
        shape = (x.shape[0], x.shape[1] * x.shape[2], -1)
    else:
        target, shape = [net.op("Shape", x)], x.shape
    operand = net.op("Concat", *target, axis=0) if len(target) > 1 else target[0]
    known = -int(np.prod(x.shape) // np.prod([d for d in shape if d > 0])) if -1 in shape else 0
    full = tuple(-known if d < 0 else d for d in shape)
    made = net.add("Reshape", [x, operand], shapes=[full])[0]
    return Val(made.name, full, x.dtype)


def computed_resize(net: Net, x: Val) -> Val:
    """Resize to twice the size that is read from the input's shape."""
    need(x.rank == 4 and net.opset >= 11 and net.dtype == np.float32)
    need(np.prod(x.shape) * 4 <= 20_000)
    sizes = lo.slice_of(net, net.op("Shape", x), [0], [2], [4])
    doubled = net.op("Mul", sizes, net.ints([2, 2]))
    kept = lo.slice_of(net, net.op("Shape", x), [0], [0], [2])
    target = net.op("Concat", kept, doubled, axis=0)
    empty = net.constant(np.zeros(0, np.float32))
    shape = (*x.shape[:2], x.shape[2] * 2, x.shape[3] * 2)
    mode = net.random.choice(("nearest", "linear"))
    place = net.random.choice(("asymmetric", "half_pixel"))
    rounding = "floor" if mode == "nearest" else None
    made = net.add(
        "Resize", [x, empty, empty, target], shapes=[shape], mode=mode,
        coordinate_transformation_mode=place, nearest_mode=rounding,
    )[0]  # fmt: skip
    y = Val(made.name, shape, x.dtype)
    return ls.conv(net, y) if net.chance(0.6) else y


def filled(net: Net, x: Val) -> Val:
    """Zeros or ones of the input's own shape, added."""
    need(net.opset >= 9 and x.rank >= 1 and x.is_real)
    fill = helper.make_tensor("fill", element(net.dtype), [1], [net.random.choice((0.0, 1.0))])
    made = net.add("ConstantOfShape", [net.op("Shape", x)], shapes=[x.shape], value=fill)[0]
    return net.op("Add", x, Val(made.name, x.shape, net.dtype))


def expanded(net: Net, x: Val) -> Val:
    """A per-channel constant expanded to the input's own shape."""
    need(net.opset >= 8 and x.rank >= 2 and x.is_real)
    scale = net.real(net.rng.standard_normal((x.shape[1], *(1,) * (x.rank - 2))))
    made = net.add("Expand", [scale, net.op("Shape", x)], shapes=[x.shape])[0]
    return net.op("Mul", x, Val(made.name, x.shape, x.dtype))
