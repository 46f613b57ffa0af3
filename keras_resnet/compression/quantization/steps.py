"""A Keras model as a list of steps: what is computed, in which order, of what, and how an 8-bit file treats it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from keras import tree


class Kind(Enum):
    """How a file treats a step."""

    INPUT = "what a model is given"
    IDENTITY = "changes nothing outside of training"
    NORMALIZE = "makes small numbers of pixels, and rounds them itself"
    PASS = "moves values: the result has the range of what was given"
    POOL = "picks or averages values: the same"
    JOIN = "puts several tensors into one, in one range"
    KERNEL = "multiplies by a kernel"
    NORM = "normalizes a batch: part of the kernel before it, or a product and a sum"
    RELU = "cuts off: part of what is before it"
    ARITHMETIC = "sums and products, which may be cut off in the same operator"
    RESULT = "any other values"


@dataclass(eq=False)
class Part:
    """One layer of the copy. make: makes it. dtype: the policy that it computes in. source: the layer whose weights it
    takes, those of the numbers `weights` (all if None). fixed: the range of its results, where the file prescribes one.
    """

    name: str
    kind: Kind
    make: Callable[[], Any]
    dtype: Any
    source: Any = None
    weights: tuple[int, ...] | None = None
    fixed: tuple[float, float] | None = None

    def values(self) -> list[np.ndarray]:
        """The weights that the source gives it."""
        if self.source is None:
            return []
        given = self.source.get_weights()
        return given if self.weights is None else [given[place] for place in self.weights]


@dataclass(eq=False)
class Step:
    """One call of a part. arguments: positional ones, steps where the call takes tensors; inputs: those steps.
    followers: the steps that take the result. is_output: whether the model gives it."""

    part: Part
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    inputs: tuple[Step, ...]
    followers: list[Step] = field(default_factory=list)
    is_output: bool = False

    @property
    def kind(self) -> Kind:
        """That of its part."""
        return self.part.kind


class Steps:
    """All steps of a model, in order. Names are taken once: a name that is not free gets a number."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.inputs: list[Step] = []
        self.outputs: Any = None
        self._names: set[str] = set()
        self._called: dict[int, str] = {}
        self._parts: dict[tuple[int, str], Part] = {}

    def part(self, source: Any, role: str, make: Callable[[], Part]) -> Part:
        """The part that plays `role` for the layer `source`: the same at each of its calls."""
        key = id(source), role
        if key not in self._parts:
            self._parts[key] = make()
        return self._parts[key]

    def name(self, *wishes: str) -> str:
        """The first of `wishes` that is free, or else the last one with a number."""
        numbered = (f"{wishes[-1]}_{number}" for number in range(2, len(self._names) + 3))
        free = next(each for each in (*wishes, *numbered) if each not in self._names)
        self._names.add(free)
        return free

    def name_of(self, operation: Any, parent: str | None) -> str:
        """The name of a layer in the copy: its own, unless it is in another model, `parent`, and has a name of this
        one's."""
        key = id(operation)
        if key not in self._called:
            wishes = (operation.name, f"{parent}_{operation.name}")
            self._called[key] = operation.name if parent is None else self.name(*wishes)
        return self._called[key]

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names for whom they belong to."""
        self._names.update(names)

    def add(self, part: Part, *arguments: Any, **options: Any) -> Step:
        """The step that calls `part`."""
        given = tuple(each for each in tree.flatten(arguments) if isinstance(each, Step))
        step = Step(part, arguments, options, given)
        for each in given:
            each.followers.append(step)
        self.steps.append(step)
        return step
