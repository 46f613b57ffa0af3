"""A Keras model as a graph of nodes: what is computed, in which order, of what, and how an 8-bit file treats it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from keras import tree

if TYPE_CHECKING:
    import keras

# A tensor, or nested tuples, lists and dicts of them.
Nested: TypeAlias = Any
Range: TypeAlias = tuple[float, float]


class OpKind(Enum):
    """How a file treats a node."""

    INPUT = "an input of the model"
    IDENTITY = "changes nothing outside of training"
    NORMALIZE = "makes small numbers of pixels, and rounds them itself"
    PASS = "moves values: the result has the range of the input"
    POOL = "picks or averages values: the same"
    JOIN = "puts several tensors into one, in one range"
    KERNEL = "multiplies by a kernel"
    NORM = "normalizes a batch: folded into the kernel before it, or a product and a sum"
    RELU = "clips: fused into the operator before it"
    ARITHMETIC = "sums and products, into which a clip can be fused"
    RESULT = "any other values"


@dataclass(eq=False)
class LayerPlan:
    """One layer of the quantized model.

    create: makes it. dtype: the policy that it computes in. source: the layer whose weights it takes, those at
    `weight_indices` (all if None). fixed_range: of its results, where a file prescribes one.
    """

    name: str
    kind: OpKind
    create: Callable[[], keras.Layer | keras.Operation | keras.KerasTensor]
    dtype: keras.DTypePolicy | str
    source: keras.Layer | None = None
    weight_indices: tuple[int, ...] | None = None
    fixed_range: Range | None = None

    def source_weights(self) -> list[np.ndarray]:
        """Return the weights that it takes from its source."""
        if self.source is None:
            return []
        weights = self.source.get_weights()
        return weights if self.weight_indices is None else [weights[index] for index in self.weight_indices]


@dataclass(eq=False)
class Node:
    """One call of a layer. arguments: positional ones, nodes where the call takes tensors; inputs: those nodes.
    consumers: the nodes that take the result. is_output: whether the model returns it."""

    layer: LayerPlan
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: tuple[Node, ...]
    consumers: list[Node] = field(default_factory=list)
    is_output: bool = False

    @property
    def kind(self) -> OpKind:
        """That of its layer."""
        return self.layer.kind


class Graph:
    """All nodes of a model, in order. Names are unique: one that is taken gets a number."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.outputs: Nested = None
        self._names: set[str] = set()
        self._layer_names: dict[int, str] = {}
        self._layers: dict[tuple[int, str], LayerPlan] = {}

    def plan_layer(self, source: keras.Operation, role: str, plan: Callable[[], LayerPlan]) -> LayerPlan:
        """Return the layer that plays `role` for the layer `source`: the same at each of its calls."""
        key = id(source), role
        if key not in self._layers:
            self._layers[key] = plan()
        return self._layers[key]

    def unique_name(self, *candidates: str) -> str:
        """Return the first of `candidates` that is free, or else the last one with a number, and take it."""
        numbered = (f"{candidates[-1]}_{number}" for number in range(2, len(self._names) + 3))
        name = next(name for name in (*candidates, *numbered) if name not in self._names)
        self._names.add(name)
        return name

    def layer_name(self, operation: keras.Operation, parent: str | None) -> str:
        """Return the name of a layer in the quantized model: its own, unless it is in an inner model, `parent`, and the
        name is taken."""
        key = id(operation)
        if key not in self._layer_names:
            candidates = (operation.name, f"{parent}_{operation.name}")
            self._layer_names[key] = operation.name if parent is None else self.unique_name(*candidates)
        return self._layer_names[key]

    def reserve_names(self, names: Iterable[str]) -> None:
        """Take `names` for the layers that they belong to."""
        self._names.update(names)

    def add_node(self, layer: LayerPlan, *arguments: Any, **options: Any) -> Node:
        """Add a node that calls `layer`, and return it."""
        inputs = tuple(each for each in tree.flatten(arguments) if isinstance(each, Node))
        node = Node(layer, arguments, options, inputs)
        for each in inputs:
            each.consumers.append(node)
        self.nodes.append(node)
        return node
