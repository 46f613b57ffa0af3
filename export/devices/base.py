"""The Device interface: where a written file is run, and what it tells of the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from keras_resnet.export.benchmark import Cost, Latency
from keras_resnet.export.formats.base import LoadedModel
from keras_resnet.runtime.predictions import Outputs


@dataclass(frozen=True)
class DeviceRun:
    """What a device made of a file.

    outputs: of all images, float32 logits (N, classes) or a dict of outputs by name. cost: time and memory of one
    image. accelerated: names of the operators that something other than the CPU computed.
    """

    outputs: Outputs
    cost: Cost
    accelerated: frozenset[str]

    @property
    def latencies(self) -> tuple[Latency, ...]:
        """Milliseconds of one image, for each number of threads that was tried."""
        return self.cost.latencies


class Device(ABC):
    """Something that runs exported files."""

    name: ClassVar[str]

    @abstractmethod
    def describe(self) -> str:
        """Return what the device is, in words for people."""

    @abstractmethod
    def load(self, file: Path) -> LoadedModel:
        """Return `file` as a callable that computes on the device. Raises ExportError if it cannot be run there."""

    @abstractmethod
    def measure(self, file: Path, images: np.ndarray) -> Cost:
        """Time `file` on uint8 images (N, H, W, C), one at a time. Raises ExportError if it fails."""

    def accelerated(self, file: Path) -> frozenset[str]:
        """Return the names of the operators of `file` that something other than the device's CPU computes."""
        return frozenset()

    def run(self, file: Path, images: np.ndarray) -> DeviceRun:
        """Run `file` on uint8 images (N, H, W, C) and time it on them. Raises ExportError if it cannot be run."""
        return DeviceRun(self.load(file)(images), self.measure(file, images), self.accelerated(file))
