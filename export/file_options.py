"""Options of the file that a format is to write. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from keras_resnet.export.tflite_options import SCHEMES, Scheme


class FileOptions(Protocol):
    """Options of one file: of a format that can write several kinds."""

    @property
    def name(self) -> str:
        """The kind, in words that a file's name can have."""

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be measured."""

    @property
    def is_integer(self) -> bool:
        """Whether no tensor of the file may be of a floating-point type."""

    def to_dict(self) -> dict[str, object]:
        """Return the options as a JSON object."""


@dataclass(frozen=True)
class SchemeOptions:
    """A quantization scheme; pixels and outputs stay as the float file has them.

    controlled_drop: the fraction of predictions that quantization may change before it leaves layers in float, None
    where it leaves none.
    """

    scheme: Scheme
    controlled_drop: float | None = None

    @property
    def name(self) -> str:
        """The scheme's name, and whether layers may be in float."""
        return self.scheme.name if self.controlled_drop is None else f"{self.scheme.name}-controlled"

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be measured."""
        return self.scheme.needs_calibration

    @property
    def is_integer(self) -> bool:
        """Never: the ends are floats."""
        return False

    def to_dict(self) -> dict[str, object]:
        """Return the options as a JSON object."""
        return {"scheme": self.scheme.name, "controlled_drop": self.controlled_drop}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> SchemeOptions:
        """Return the options that `to_dict` described."""
        drop = document["controlled_drop"]
        assert drop is None or isinstance(drop, float)
        return cls(SCHEMES[str(document["scheme"])], drop)
