"""One call of a layer or operator of the original model, and what builds the nodes that replace it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from keras_resnet.compression.quantization.graph import Graph, LayerPlan, Node, OpKind, Range

if TYPE_CHECKING:
    import keras


class UnsupportedCall(Exception):
    """Why a call cannot be converted to an 8-bit file, in a few words."""


@dataclass(frozen=True)
class LayerCall:
    """A call. arguments, options: with nodes in place of tensors. inputs: those nodes. shapes: of these. shape, dtype:
    of the result. name: of the layer in the quantized model. base: the layer class of Keras that it computes as; None
    for an operator.
    """

    operation: keras.Operation
    name: str
    base: type[keras.Layer] | None
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: list[Node]
    shapes: list[tuple[int | None, ...]]
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def policy(self) -> keras.DTypePolicy | str:
        """The dtype policy that its layers compute in."""
        return getattr(self.operation, "dtype_policy", self.dtype)

    def config(self, **changes: Any) -> dict[str, Any]:
        """Return the configuration of the layer as Keras' own class has it, with changes."""
        assert self.base is not None, "an operator has no configuration"
        return {**self.base.get_config(self.operation), **changes}


# Adds the nodes of a call to the graph and returns the one that gives its result. Raises UnsupportedCall.
Converter = Callable[[LayerCall, Graph], Node]


def require_attributes(call: LayerCall, **expected: Any) -> None:
    """Raise UnsupportedCall unless the layer's attributes are these."""
    for name, value in expected.items():
        actual = getattr(call.operation, name)
        if actual != value:
            raise UnsupportedCall(f"with {name}={actual!r}")


def require_same_rank(call: LayerCall) -> None:
    """Raise UnsupportedCall for tensors that Keras gives further axes first."""
    if len({len(shape) for shape in call.shapes}) > 1:
        raise UnsupportedCall("of tensors with different numbers of axes")


@dataclass(frozen=True)
class NodeBuilder:
    """Adds nodes beside a layer, or in place of it: their layers are named after it and what they do."""

    call: LayerCall
    graph: Graph
    role: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        role: str,
        kind: OpKind,
        layer: type[keras.Layer],
        *arguments: Any,
        fixed_range: Range | None = None,
        **options: Any,
    ) -> Node:
        """Add a node that calls a new `layer`; an empty role makes it the one that gives the result."""
        full_role = "_".join(filter(None, (self.role, role)))
        layer_options = {**options, **({} if role else self.options)}

        def plan() -> LayerPlan:
            name = self.graph.unique_name(f"{self.call.name}_{full_role}") if full_role else self.call.name
            create = lambda: layer(**layer_options, dtype=self.call.policy, name=name)  # noqa: E731
            return LayerPlan(name, kind, create, self.call.policy, fixed_range=fixed_range)

        return self.graph.add_node(self.graph.plan_layer(self.call.operation, full_role, plan), *arguments)
