"""This machine's CPU, by the runtime of a file's format: LiteRT, onnxruntime or TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from keras_resnet.export.benchmark import Cost, measure_cost
from keras_resnet.export.devices.base import Device
from keras_resnet.export.formats.base import LoadedModel
from keras_resnet.export.load import load_file
from keras_resnet.training.environment import describe_machine


class LocalCPU(Device):
    """The CPU that this process runs on."""

    name = "cpu"

    def describe(self) -> str:
        """Return the machine's name, cores and system."""
        return describe_machine()

    def load(self, file: Path) -> LoadedModel:
        """Return `file`, loaded with all threads."""
        return load_file(file)

    def measure(self, file: Path, images: np.ndarray) -> Cost:
        """Time `file` with 1, 2, 4 … and all threads, in processes of its own."""
        return measure_cost(file, images, self.thread_counts())

    @staticmethod
    def thread_counts() -> list[int]:
        """Return 1, 2, 4 … and the number of this machine's cores."""
        cores = os.cpu_count() or 1
        return [*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]
