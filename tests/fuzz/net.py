"""A network under construction: nodes, weights and values of known shape.

Nothing of convc is used here: what is drawn goes through convc's import like anybody's file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

Array = np.ndarray[Any, np.dtype[Any]]

LARGEST = 20_000
"""Elements of a value, at most: many small networks find more than a few large ones."""

ODD = ("Reshape_", "Conv_", "x_copy_", "a/b:0 ", "ß", "w_captured_", "0.", "?")
"""Beginnings of odd names: those that convc gives, and what is no identifier."""

FLOATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(np.float64))


class Skip(Exception):  # noqa: N818  # not an error: what was drawn does not fit here
    """A layer does not fit the value it was to be put behind; another one is drawn."""


@dataclass(frozen=True)
class Val:
    """A value of the network: its name, its shape at the usual sizes, its dtype.

    ``array`` is what it holds where it is a constant.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Array | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_real(self) -> bool:
        return self.dtype in FLOATS


@dataclass(frozen=True)
class Style:
    """What holds for a whole network.

    Attributes:
        opset: version of ONNX's operators.
        ir: version of the file format.
        dtype: of activations and weights.
        as_inputs: weights are also listed as inputs, as files below IR 4 have it.
        constants: part of the weights that are Constant nodes.
        computed: part of the weights that ops compute from others.
        shared: part of the weights that are taken from another op.
        odd: values have names that an exporter may give its own.
    """

    opset: int = 17
    ir: int = 8
    dtype: np.dtype[Any] = FLOATS[0]
    as_inputs: bool = False
    constants: float = 0.1
    computed: float = 0.03
    shared: float = 0.08
    odd: bool = False


class Net:
    """Collects nodes; every value that is added has a known shape and can be used at once."""

    def __init__(self, style: Style, random: Random, parent: Net | None = None) -> None:
        self.style = style
        self.random = random
        self.rng = np.random.default_rng(random.getrandbits(64))
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self.functions: list[Any] = []
        self.inputs: list[Val] = []
        self.domains: set[str] = set()
        self.parent = parent
        self._constants: list[Val] = []
        self._names = 0
        self._imports = [helper.make_opsetid("", style.opset)]

    @property
    def opset(self) -> int:
        return self.style.opset

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.style.dtype

    @property
    def depth(self) -> int:
        """Bodies around this one."""
        return 0 if self.parent is None else self.parent.depth + 1

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def name(self, stem: str) -> str:
        """A new name, unique in the network and its bodies."""
        if self.parent is not None:
            return self.parent.name(stem)
        self._names += 1
        if self.style.odd:
            return f"{self.random.choice(ODD)}{self._names}"
        return f"{stem}{self._names}"

    def input(self, shape: Sequence[int], dtype: Any = None) -> Val:
        value = Val(self.name("x"), tuple(shape), np.dtype(dtype or self.dtype))
        self.inputs.append(value)
        return value

    def add(
        self,
        kind: str,
        inputs: Sequence[Val | None],
        *,
        results: int = 1,
        shapes: Sequence[tuple[int, ...]] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> list[Val]:
        """Adds a node; attributes that are None are left out.

        Shapes are inferred by onnx unless they are given (then the results are like the first
        input). Raises Skip where the node does not fit or its result is empty or too large.
        """
        names = ["" if value is None else value.name for value in inputs]
        while names and not names[-1]:
            names.pop()
        given = {name: value for name, value in attributes.items() if value is not None}
        made = [self.name("v") for _ in range(results)]
        node = helper.make_node(kind, names, made, self.name("n"), domain=domain, **given)
        if shapes is None:
            values = self._infer(node, [value for value in inputs if value is not None])
        else:
            first = next(value for value in inputs if value is not None)
            values = [Val(n, s, first.dtype) for n, s in zip(made, shapes, strict=True)]
        if any(prod(v.shape) > LARGEST or min(v.shape, default=1) < 1 for v in values):
            raise Skip
        self.nodes.append(node)
        return values

    def op(self, kind: str, *inputs: Val | None, **attributes: Any) -> Val:
        """Adds a node of one result."""
        return self.add(kind, inputs, **attributes)[0]

    def _infer(self, node: NodeProto, inputs: Sequence[Val]) -> list[Val]:
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
            types = shape_inference.infer_node_outputs(
                schema,
                node,
                {v.name: _type(v) for v in inputs},
                {v.name: _tensor(v) for v in inputs if v.array is not None and v.array.size < 64},
                opset_imports=self._imports,
                ir_version=self.style.ir,
            )
        except (
            onnx.defs.SchemaError,
            onnx.checker.ValidationError,
            shape_inference.InferenceError,
            RuntimeError,  # onnx raises it for some wrong shapes
        ) as error:
            raise Skip from error
        values = []
        for name in node.output:
            found = types.get(name)
            if found is None or not found.tensor_type.HasField("shape"):
                raise Skip
            dims = found.tensor_type.shape.dim
            if any(not d.HasField("dim_value") for d in dims):
                raise Skip
            dtype = helper.tensor_dtype_to_np_dtype(found.tensor_type.elem_type)
            values.append(Val(name, tuple(d.dim_value for d in dims), dtype))
        return values

    def real(self, array: Any) -> Val:
        """A weight of the network's dtype, in one of the forms that files have."""
        array = np.asarray(np.asarray(array), self.dtype)
        if self.parent is not None and self.chance(0.5):
            return self.parent.real(array)  # a body captures it
        if self._constants and self.chance(self.style.shared):
            alike = [v for v in self._constants if v.shape == array.shape and v.dtype == self.dtype]
            if alike:
                return self.random.choice(alike)
        value = self._weight(array)
        self._constants.append(value)
        return value

    def ints(self, numbers: Any, dtype: Any = np.int64) -> Val:
        """Axes, shapes, sizes: a constant operand."""
        return self.constant(np.asarray(numbers, dtype))

    def constant(self, array: Array) -> Val:
        """A constant of any dtype, as initialiser or Constant node."""
        value = Val(self.name("w"), array.shape, array.dtype, array)
        tensor = _tensor(value)
        if self.parent is not None or self.chance(self.style.constants):
            self.nodes.append(helper.make_node("Constant", [], [value.name], value=tensor))
        else:
            self.weights.append(tensor)
        return value

    def _weight(self, array: Array) -> Val:
        if array.ndim == 0 or not self.chance(self.style.computed):
            return self.constant(array)
        form = self.random.choice(("identity", "transpose", "reshape", "product", "quantised"))
        if form == "identity":
            made = self.op("Identity", self.constant(array))
        elif form == "transpose":
            order = list(range(array.ndim))
            self.random.shuffle(order)
            back = [int(i) for i in np.argsort(order)]
            made = self.op("Transpose", self.constant(array.transpose(order).copy()), perm=back)
        elif form == "reshape":
            made = self.op("Reshape", self.constant(array.reshape(-1)), self.ints(array.shape))
        elif form == "product":
            half = np.asarray(0.5, self.dtype)
            made = self.op("Mul", self.constant(array * 2), self.constant(half))
        else:
            made = self._quantised(array)
        return Val(made.name, made.shape, made.dtype, None)

    def _quantised(self, array: Array) -> Val:
        """The weight as int8 and a DequantizeLinear, as quantised files have it."""
        if self.opset < 10 or self.dtype != np.float32:
            raise Skip
        scale = np.asarray(max(float(np.abs(array).max()) / 127, 1e-8), np.float32)
        steps = np.clip(np.round(array / scale), -127, 127).astype(np.int8)
        return self.op("DequantizeLinear", self.constant(steps), self.constant(scale))

    def model(self, outputs: Sequence[Val], dims: dict[tuple[str, int], str]) -> ModelProto:
        """The model; ``dims`` names the open dims of inputs, by name and axis."""
        entries = [_info(value, dims) for value in self.inputs]
        if self.style.as_inputs or self.style.ir < 4:
            entries += [
                helper.make_tensor_value_info(w.name, w.data_type, list(w.dims))
                for w in self.weights
            ]
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            entries,
            [_result_info(value, open_shape=bool(dims)) for value in outputs],
            initializer=self.weights,
        )
        opsets = [helper.make_opsetid(name, 1) for name in sorted(self.domains)]
        return helper.make_model(
            graph,
            opset_imports=[*self._imports, *opsets],
            ir_version=self.style.ir,
            functions=self.functions,
        )


def element(dtype: np.dtype[Any]) -> int:
    """ONNX's number of a dtype."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _type(value: Val) -> Any:
    return helper.make_tensor_type_proto(element(value.dtype), value.shape)


def _tensor(value: Val) -> TensorProto:
    assert value.array is not None
    return numpy_helper.from_array(value.array, value.name)


def _info(value: Val, dims: dict[tuple[str, int], str]) -> Any:
    shape = [dims.get((value.name, axis), size) for axis, size in enumerate(value.shape)]
    return helper.make_tensor_value_info(value.name, element(value.dtype), shape)


def _result_info(value: Val, *, open_shape: bool) -> Any:
    shape = [None] * value.rank if open_shape else value.shape
    return helper.make_tensor_value_info(value.name, element(value.dtype), shape)
