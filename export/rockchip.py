"""Rockchip's chips with an NPU, and the options of a file for one. Needs no TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from keras_resnet.export.tflite_options import SCHEMES, Scheme

# The names that rknn-toolkit2 2.5 has for `target_platform`.
CHIPS = (
    "rk3588",
    "rk3576",
    "rk3568",
    "rk3566",
    "rk3562",
    "rk2118",
    "rv1126b",
    "rv1106b",
    "rv1106",
    "rv1103b",
    "rv1103",
)
# Names the Python that has rknn-toolkit2: its packages do not go with ours.
PYTHON_VARIABLE = "KRESNET_RKNN_PYTHON"


@dataclass(frozen=True)
class RknnOptions:
    """A quantization scheme, float16 or int8, and the chip, of CHIPS."""

    scheme: Scheme
    chip: str

    @property
    def name(self) -> str:
        """The chip and the scheme: rk3588-int8."""
        return f"{self.chip}-{self.scheme.name}"

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be measured."""
        return self.scheme.needs_calibration

    @property
    def is_integer(self) -> bool:
        """Never: outputs are floats."""
        return False

    def to_dict(self) -> dict[str, object]:
        """Return the options as a JSON object."""
        return {"scheme": self.scheme.name, "chip": self.chip}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> RknnOptions:
        """Return the options that `to_dict` described."""
        return cls(SCHEMES[str(document["scheme"])], str(document["chip"]))


@contextmanager
def use_python(python: str | None) -> Iterator[None]:
    """Let `python` be what PYTHON_VARIABLE names, for this process and its children; None leaves that as it is."""
    former = os.environ.get(PYTHON_VARIABLE)
    if python is not None:
        os.environ[PYTHON_VARIABLE] = python
    try:
        yield
    finally:
        if former is not None:
            os.environ[PYTHON_VARIABLE] = former
        else:
            os.environ.pop(PYTHON_VARIABLE, None)
