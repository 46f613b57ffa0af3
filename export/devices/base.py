"""The Device interface: where a written file is run, and what is known of the run besides its outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
from pydantic.dataclasses import dataclass as settings_dataclass

from keras_resnet.config.section import STRICT
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.benchmark import Cost
from keras_resnet.export.device_settings import Accelerator, DeviceSettings, Runtime
from keras_resnet.progress import Log
from keras_resnet.runtime.predictions import Outputs, name_outputs
from keras_resnet.runtime.tflite_model import TFLiteModel

CPU, GPU, NPU = "cpu", "gpu", "npu"
ACCELERATORS: tuple[str, ...] = get_args(Accelerator)
# Of outputs that came back from elsewhere.
UNKNOWN = ""
# What runs a file on a device: LiteRT's interpreter, which all have, what it compiles the file into, or OpenVINO.
INTERPRETER = "interpreter"
RUNTIMES: tuple[str, ...] = get_args(Runtime)
# Outputs for the same image may differ by so much of the largest one: GPUs add in another order.
REPEAT_TOLERANCE = 1e-3


@settings_dataclass(frozen=True, config=STRICT)
class RunSettings(DeviceSettings):
    """How a file is run on one device.

    accelerator: that of this one. file, images: what a browser's page shows of the work, the name of the file and how
    many images come.
    """

    file: str = ""
    images: int = 0


@dataclass(frozen=True)
class DeviceFacts:
    """What is known of a file's run on a device.

    where: as --on has it. accelerator: UNKNOWN of outputs from elsewhere. unit: name of what computed, a processor or a
    GPU. accelerated: share of the file's operators that the accelerator computed; None where the runtime does not say.
    emulated: its times mean nothing. windows: medians of each ten seconds of a long measurement, milliseconds.
    repeat_difference: the largest difference of outputs of the same image, of outputs up to largest_output.
    arena_bytes: of TensorFlow Lite Micro. warnings: of the runtime's log.
    """

    where: str
    accelerator: str
    unit: str
    machine: str
    system: str
    runtime: str
    emulated: bool
    fully_accelerated: bool
    accelerated: float | None
    partitions: int | None
    load_ms: float
    repeat_difference: float
    largest_output: float
    windows: tuple[float, ...] = ()
    arena_bytes: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def repeats_agree(self) -> bool:
        """Whether outputs of the same image are the same each time."""
        return self.repeat_difference <= REPEAT_TOLERANCE * self.largest_output


@dataclass(frozen=True)
class Measurement:
    """What a session has measured: time and memory, and the rest."""

    cost: Cost
    facts: DeviceFacts


class UnusableDeviceError(ExportError):
    """No file can be run on the device: it cannot be reached, has gone, or lacks what every file needs."""


class NoAcceleratorError(UnusableDeviceError):
    """The device has not the accelerator that was asked for: files can only be run there without it."""


class UnreachableDeviceError(UnusableDeviceError):
    """Nothing answers there; the message says what came instead."""


class Session(ABC):
    """A file that a device has opened."""

    @abstractmethod
    def __call__(self, images: np.ndarray) -> Outputs:
        """Run uint8 images (N, H, W, C) → float32 logits (N, classes), or several outputs by name. Raises ExportError
        if the device fails."""

    @abstractmethod
    def measure(self, images: np.ndarray) -> Measurement:
        """Time the file on uint8 images (N, H, W, C), one at a time, after all others. Raises ExportError."""


class OutputShapes:
    """The outputs that a file has on this machine's CPU, for what comes from elsewhere."""

    def __init__(self, model: TFLiteModel) -> None:
        black = np.zeros((1, *model.card.input_shape), np.uint8)
        self._shapes = {name: each.shape[1:] for name, each in name_outputs(model(black)).items()}

    def require(self, outputs: Outputs) -> None:
        """Raise ExportError unless `outputs` have the names and shapes of the file's, for any number of images."""
        shapes = {name: each.shape[1:] for name, each in name_outputs(outputs).items()}
        if shapes != self._shapes:
            raise ExportError(f"outputs are {_describe(shapes)}; those of the file are {_describe(self._shapes)}")


def _describe(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} ({' × '.join(map(str, shape))})" for name, shape in shapes.items())


class Device(ABC):
    """Something that runs exported files.

    where: as --on has it. accelerators, runtimes: those that it has. own_settings: names of `RunSettings` that not all
    devices have. is_microcontroller: whether it computes as firmware does.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    accelerators: ClassVar[tuple[str, ...]] = ACCELERATORS
    runtimes: ClassVar[tuple[str, ...]] = RUNTIMES
    own_settings: ClassVar[tuple[str, ...]] = ()
    is_microcontroller: ClassVar[bool] = False

    def __init__(self, where: str) -> None:
        self.where = where

    @classmethod
    def recognizes(cls, where: str) -> bool:
        """Return whether `where` names such a device: by its own name, unless it has others."""
        return where == cls.name

    @contextmanager
    @abstractmethod
    def open(self, model: TFLiteModel, settings: RunSettings, log: Log) -> Iterator[Session]:
        """Open the file of `model` on the device, and close it afterwards. Raises ExportError if it cannot be run
        there."""

    @property
    def is_emulated(self) -> bool:
        """Whether times and memory of this device mean nothing."""
        return False

    def require_usable(self, settings: RunSettings, log: Log) -> None:  # noqa: B027 (not all can know)
        """Raise UnusableDeviceError where it is known beforehand that no file can be run there; log what else is
        noticed."""

    def require_accelerator(self, model: TFLiteModel, settings: RunSettings) -> None:  # noqa: B027 (as above)
        """Raise NoAcceleratorError where the file of `model` cannot be run on the accelerator of `settings`, because
        the device has none. Needs no images, so that nobody waits for these in vain."""

    def close(self) -> None:  # noqa: B027 (most devices have nothing to do)
        """End what serves all files of a command."""

    def refuses(self, model: TFLiteModel) -> str:
        """Return why a file is left out where all files of a run are asked for; "" where it is not."""
        return ""

    def require_possible(self, settings: RunSettings) -> None:
        """Raise UsageError for settings that the device does not have."""
        for option, value, allowed in (
            ("--accelerator", settings.accelerator, self.accelerators),
            ("--runtime", settings.runtime, self.runtimes),
        ):
            if value not in allowed:
                raise UsageError(f"{option} of {self.where} must be one of {', '.join(allowed)}. Received: {value}")
