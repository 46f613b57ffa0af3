"""One call of a layer or operator, and what helps to put steps in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keras_resnet.compression.quantization.steps import Kind, Part, Step, Steps


class Refusal(Exception):
    """Why a call cannot be a part of an 8-bit file, in a few words."""


@dataclass(frozen=True)
class Call:
    """A layer or operator at work. arguments, options: with steps where it takes tensors. inputs: those steps.
    shapes: of these. shape, dtype: of the result. name: its layer's in the copy. base: the layer of Keras that it
    computes as; None for an operator.
    """

    operation: Any
    name: str
    base: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: list[Step]
    shapes: list[tuple[int | None, ...]]
    shape: tuple[int | None, ...]
    dtype: Any

    @property
    def policy(self) -> Any:
        """What its parts compute in."""
        return getattr(self.operation, "dtype_policy", self.dtype)

    def config(self, **changes: Any) -> dict[str, Any]:
        """The configuration of the layer as Keras' own class has it, with changes."""
        return {**self.base.get_config(self.operation), **changes}


Lower = Callable[[Call, Steps], Step]


def require(call: Call, **attributes: Any) -> None:
    """Raises Refusal unless the layer's attributes are these."""
    for name, value in attributes.items():
        found = getattr(call.operation, name)
        if found != value:
            raise Refusal(f"with {name}={found!r}")


def require_same_rank(call: Call) -> None:
    """Raises Refusal for tensors that Keras gives further axes first."""
    if len({len(shape) for shape in call.shapes}) > 1:
        raise Refusal("of tensors with different numbers of axes")


@dataclass(frozen=True)
class Maker:
    """Makes parts beside a layer, or instead of it: named after the layer and what they do."""

    call: Call
    steps: Steps
    role: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    def step(
        self,
        role: str,
        kind: Kind,
        layer: Any,
        *arguments: Any,
        fixed: tuple[float, float] | None = None,
        **options: Any,
    ) -> Step:
        """A step by a new `layer`; an empty role makes it the one that gives the result."""
        whole = "_".join(filter(None, (self.role, role)))
        own = {**options, **({} if role else self.options)}

        def part() -> Part:
            name = self.steps.name(f"{self.call.name}_{whole}") if whole else self.call.name
            make = lambda: layer(**own, dtype=self.call.policy, name=name)  # noqa: E731
            return Part(name, kind, make, self.call.policy, fixed=fixed)

        return self.steps.add(self.steps.part(self.call.operation, whole, part), *arguments)
