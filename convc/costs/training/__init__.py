"""What one training step costs: MACs, memory, optimiser; and what checkpoints would save.

A step is one forward pass, one backward pass and one update of the weights, at the graph's sizes.
`flow` says what is trained, `tape` how memory is counted. The loss itself costs nothing here;
gradients and the optimiser's state have the dtype of their weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from convc.costs.training.checkpoints import Plan, plans
from convc.costs.training.flow import OpBackward, backward, contributions, trained
from convc.costs.training.tape import record
from convc.graph import Graph
from convc.ir import Op, Value
from convc.opset import Work, macs

__all__ = ["OPTIMIZERS", "OpBackward", "Optimizer", "Plan", "TrainingStep", "Update", "backward",
           "training_step"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An update rule.

    Attributes:
        name: of the rule.
        states: numbers it remembers per weight.
        work: operations per weight and step.
    """

    name: str
    states: int
    work: Work


OPTIMIZERS = (
    # w ← w − η·g
    Optimizer("sgd", 0, Work(multiplications=1, additions=1)),
    # v ← μ·v − η·g, w ← w + v: Polyak 1964, as in Sutskever, Martens, Dahl & Hinton 2013,
    # "On the importance of initialization and momentum in deep learning", equations 1 and 2.
    Optimizer("momentum", 1, Work(multiplications=2, additions=2)),
    # m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g·g, w ← w − α·(m/b₁) / (√(v/b₂) + ε) with
    # b = 1 − βᵗ once a step: Kingma & Ba 2015, "Adam", algorithm 1.
    Optimizer("adam", 2, Work(multiplications=6, additions=4, divisions=3, functions=1)),
)


@dataclass(frozen=True, slots=True)
class Update:
    """One optimiser on one network.

    Attributes:
        name: of the optimiser.
        state_bytes: what it remembers.
        work: operations of one update of all trained weights.
        total_bytes: weights, their gradients, the optimiser's state, and the peak of activations
            and their gradients.
    """

    name: str
    state_bytes: int
    work: Work
    total_bytes: int


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What one training step costs; lower bounds where it is not complete.

    Attributes:
        forward_macs: MACs of the forward pass, in the dense convention.
        input_gradient_macs: MACs for the gradients of activations.
        weight_gradient_macs: MACs for the gradients of weights.
        bias_gradient_additions: additions for the gradients of biases.
        backward_work: all operations of the backward pass, ``accumulated_additions`` among them.
        accumulated_additions: sums of the gradients of values (and weights) used more than once.
        trained_params: elements of the trained weights, shared ones once.
        weight_bytes: of all weights, trained or not.
        gradient_bytes: of the gradients of the trained weights.
        kept_activation_bytes: kept from the forward for the backward pass, each value once, with
            masks, indices and statistics.
        peak_activation_bytes: the most that activations and their gradients take at once.
        updates: for each optimiser its state and the memory in total.
        checkpoints: the step with and without checkpoints.
        unknown: ops whose backward pass is not known; nothing of theirs is counted.
        unsized: values left out of the memory because their size is not known.
        forward_unknown: ops whose forward MACs are not known.
    """

    forward_macs: int
    input_gradient_macs: int
    weight_gradient_macs: int
    bias_gradient_additions: int
    backward_work: Work
    accumulated_additions: int
    trained_params: int
    weight_bytes: int
    gradient_bytes: int
    kept_activation_bytes: int
    peak_activation_bytes: int
    updates: tuple[Update, ...]
    checkpoints: tuple[Plan, ...]
    unknown: tuple[OpBackward, ...] = ()
    unsized: tuple[Value, ...] = ()
    forward_unknown: tuple[Op, ...] = ()

    @property
    def backward_macs(self) -> int:
        """MACs of the backward pass."""
        return self.input_gradient_macs + self.weight_gradient_macs

    @property
    def step_macs(self) -> int:
        """MACs of both passes; an update has none."""
        return self.forward_macs + self.backward_macs

    @property
    def is_complete(self) -> bool:
        """False where something is not known: then the numbers are lower bounds."""
        return not (self.unknown or self.unsized or self.forward_unknown)

    def total_json(self) -> dict[str, Any]:
        """What `--backward` adds to ``total`` in ``--json``."""
        return {
            "input_gradient_macs": self.input_gradient_macs,
            "weight_gradient_macs": self.weight_gradient_macs,
            "bias_gradient_additions": self.bias_gradient_additions,
            "backward_macs": self.backward_macs,
            "backward_operations": self.backward_work.operations,
            "step_macs": self.step_macs,
            "trained_params": self.trained_params,
            "gradient_bytes": self.gradient_bytes,
            "kept_activation_bytes": self.kept_activation_bytes,
            "peak_training_activation_bytes": self.peak_activation_bytes,
            "optimizers": {
                update.name: {
                    "state_bytes": update.state_bytes,
                    "operations": update.work.operations,
                    "total_bytes": update.total_bytes,
                }
                for update in self.updates
            },
            "checkpoints": [asdict(plan) for plan in self.checkpoints],
            "unknown_backward_ops": len(self.unknown),
            "unsized_values": len(self.unsized),
            "training_complete": self.is_complete,
        }


def training_step(
    graph: Graph,
    gradients: Mapping[Op, OpBackward] | None = None,
    unknown: Iterable[Op] = (),
) -> TrainingStep:
    """Counts one training step of ``graph`` at its sizes.

    Args:
        graph: the graph.
        gradients: what `backward` says of it, where that is known already.
        unknown: ops of which it is known that their work is not.
    """
    found = backward(graph) if gradients is None else gradients
    known = [step.gradient for step in found.values() if step.gradient is not None]
    costs = {op: macs(graph, op) for op in graph.ops()}
    forward = {op: cost for op, cost in costs.items() if cost}
    params = _trained_bytes(graph, found)
    weights = sum(_bytes_of(graph, value) for value in _weights(graph))
    gradient_bytes = sum(params.values())
    added, unsized = _accumulated(graph, found)
    tape = record(graph, found)
    checkpoints = plans(tape, forward)
    peak = checkpoints[0].peak_bytes
    elements = sum(prod(graph.concrete_shape(value) or ()) for value in params)
    return TrainingStep(
        forward_macs=sum(forward.values()),
        input_gradient_macs=sum(gradient.input_macs for gradient in known),
        weight_gradient_macs=sum(gradient.weight_macs for gradient in known),
        bias_gradient_additions=sum(gradient.bias.additions for gradient in known),
        backward_work=sum((gradient.work for gradient in known), Work(additions=added)),
        accumulated_additions=added,
        trained_params=elements,
        weight_bytes=weights,
        gradient_bytes=gradient_bytes,
        kept_activation_bytes=checkpoints[0].kept_bytes,
        peak_activation_bytes=peak,
        updates=tuple(
            Update(
                optimizer.name,
                optimizer.states * gradient_bytes,
                optimizer.work.times(elements),
                weights + (1 + optimizer.states) * gradient_bytes + peak,
            )
            for optimizer in OPTIMIZERS
        ),
        checkpoints=checkpoints,
        unknown=tuple(step for step in found.values() if step.reason),
        unsized=tuple(dict.fromkeys((*tape.unsized, *unsized))),
        forward_unknown=tuple(
            dict.fromkeys((*(op for op, cost in costs.items() if cost is None), *unknown))
        ),
    )


def _trained_bytes(graph: Graph, found: Mapping[Op, OpBackward]) -> dict[Value, int]:
    """Bytes of the trained weights that the loss depends on, shared ones once."""
    given = {value for step in found.values() for value in step.given}
    return {value: _bytes_of(graph, value) for value in trained(graph) if value in given}


def _weights(graph: Graph) -> list[Value]:
    return list({id(op.array): op.result for op in graph.ops() if op.array is not None}.values())


def _bytes_of(graph: Graph, value: Value) -> int:
    return graph.nbytes(value) or 0


def _accumulated(graph: Graph, found: Mapping[Op, OpBackward]) -> tuple[int, list[Value]]:
    """Additions that sum the gradients of values used more than once; values of unknown size."""
    additions, unsized = 0, []
    for value, uses in contributions(graph, found).items():
        if uses < 2:
            continue
        shape = graph.concrete_shape(value)
        if shape is None:
            unsized.append(value)
        else:
            additions += (uses - 1) * prod(shape)
    return additions, unsized
