"""What the file of a network costs where it runs, measured before any training: with random weights."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.atomic_write import write_atomically
from keras_resnet.config.spec import DataSpec, Spec
from keras_resnet.errors import ExportError
from keras_resnet.evaluation.gpu_memory import share_gpu_memory
from keras_resnet.export.benchmark import count_threads, measure_cost
from keras_resnet.export.convert import convert
from keras_resnet.export.devices.base import CPU
from keras_resnet.export.devices.places import UsablePlaces
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.load import file_size, load_file
from keras_resnet.export.micro_needs import measure_needs
from keras_resnet.export.verify import TIMING_IMAGES
from keras_resnet.models.flops import Cost
from keras_resnet.network_search.budget import Budget, format_costs
from keras_resnet.network_search.candidates import Architecture
from keras_resnet.network_search.target import Target
from keras_resnet.progress import Log, show_activity
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.tasks.metadata import build_metadata

if TYPE_CHECKING:
    import keras

MIB = 2.0**20
# Calibration images of a probe: neither time nor size depends on the ranges that they give.
PROBE_IMAGES = 8


@dataclass(frozen=True)
class Finding:
    """Whether a network is within the budget. reason: why, in words. costs: what is known of it."""

    is_within: bool
    reason: str
    costs: Mapping[str, float]


@dataclass
class CostProbe:
    """Finds out what networks cost, each once, and keeps that in `file`.

    counted: what can be counted of each network of the space. spec: resolved; of any network. failed: why the files of
    others could not be made or run.
    """

    counted: Mapping[Architecture, Cost]
    spec: Spec
    classes: tuple[str, ...]
    target: Target
    budget: Budget
    file: Path
    log: Log
    measured: dict[Architecture, dict[str, float]] = field(default_factory=dict)
    failed: dict[Architecture, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.is_file():
            rows = json.loads(self.file.read_text(encoding="utf-8"))
            self.measured = {Architecture.from_options(row["architecture"]): row["costs"] for row in rows}

    def find(self, architecture: Architecture) -> Finding:
        """Return whether `architecture` is within the budget: as is evident, or else by a measurement. Raises
        ExportError where the device has gone, or not even the file of the first network can be made and run there."""
        return self.find_evident(architecture) or self._decide(architecture)

    def find_evident(self, architecture: Architecture) -> Finding | None:
        """Return the same where nothing has to be measured for it, else None.

        Counted multiply-adds are exact, and no file is smaller than its weights. A network of the same kind that counts
        no more of anything than one that is within the budget is so too, and the reverse.
        """
        if architecture not in self.counted:
            return Finding(False, "there is no such network for images of that size", {})
        counted = self.counted[architecture]
        known = {"macs": float(counted.multiply_adds)}
        least = {**known, "size": float(self.target.weight_bytes * counted.kernel_values)}
        if violations := self.budget.find_violations(least):
            return Finding(False, f"{' and '.join(violations)} or more, as counted", known)
        if set(self.budget.names) <= set(known):
            return Finding(True, f"{format_costs(known)}, as counted", known)
        if architecture in self.failed:
            return Finding(False, self.failed[architecture], known)
        if architecture in self.measured:
            return self._decide(architecture)
        for other, costs in self.measured.items():
            if other.kind != architecture.kind or other not in self.counted:
                continue
            is_within = not self.budget.find_violations(costs)
            if is_within and _is_covered(counted, self.counted[other]):
                return Finding(True, f"{other}, which is larger, has {format_costs(costs, self.budget.names)}", known)
            if not is_within and _is_covered(self.counted[other], counted):
                violations = self.budget.find_violations(costs)
                return Finding(False, f"{other}, which is smaller, has {' and '.join(violations)}", known)
        return None

    def _decide(self, architecture: Architecture) -> Finding:
        costs = self.try_to_measure(architecture)
        if costs is None:
            return Finding(False, self.failed[architecture], {})
        violations = self.budget.find_violations(costs)
        return Finding(not violations, " and ".join(violations) or format_costs(costs, self.budget.names), costs)

    def measure(self, architecture: Architecture) -> Mapping[str, float]:
        """Return the costs of the file of `architecture` with random weights; measured once."""
        if architecture not in self.measured:
            with show_activity(f"measuring {architecture} with random weights"):
                self.measured[architecture] = self._measure(architecture)
            costs = format_costs(self.measured[architecture])
            self.log(f"measured before training, with random weights: {architecture}: {costs}")
            self.save()
        return self.measured[architecture]

    def try_to_measure(self, architecture: Architecture) -> Mapping[str, float] | None:
        """Return the same; None where the file cannot be made, or not be run where others can, as `failed` then says.
        Raises ExportError where the device has gone, or no other network has been measured."""
        try:
            return self.measure(architecture)
        except ExportError as error:
            self.target.require_usable(self.log)
            if not self.measured:
                raise
            self.failed[architecture] = f"its file could not be measured: {error}"
            return None

    def require_accelerator(self) -> None:
        """Raise ExportError where the device lacks the accelerator that was asked for, by the file of the smallest
        network: a budget of size or macs alone would show that only after a training."""
        place = self.target.place
        if place is None or place.settings.accelerator == CPU:
            return
        with tempfile.TemporaryDirectory() as scratch:
            model = load_file(self._write(next(iter(self.counted)), Path(scratch)))
            assert isinstance(model, TFLiteModel)
            UsablePlaces((place,)).with_accelerators(model, self.log)

    def save(self) -> None:
        """Write what has been measured."""
        rows = [{"architecture": each.options(), "costs": costs} for each, costs in self.measured.items()]
        with write_atomically(self.file) as temporary:
            temporary.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")

    def _measure(self, architecture: Architecture) -> dict[str, float]:
        costs = {"macs": float(self.counted[architecture].multiply_adds)}
        with tempfile.TemporaryDirectory() as scratch:
            file = self._write(architecture, Path(scratch))
            costs["size"] = float(file_size(file))
            return costs | self._run(file, architecture)

    def _write(self, architecture: Architecture, folder: Path) -> Path:
        """Write the file of `architecture` with random weights into `folder`, and return it."""
        import keras

        from keras_resnet.models.layers import Layers
        from keras_resnet.tasks import get_task

        share_gpu_memory()
        data, size = self.spec.data, architecture.image_size
        normalization = DataSpec().normalization.adapt(architecture.channels)
        data = replace(data, image_size=size, resize=size, channels=architecture.channels, normalization=normalization)
        spec = replace(self.spec, network=architecture.network, data=data)
        task, file = get_task(spec, self.classes), self.target.file
        keras.utils.set_random_seed(spec.training.seed)
        model = task.build_model(Layers(keras), spec)
        _randomize_vectors(model)
        model.save(folder / "model.keras")
        keras.utils.clear_session()
        metadata = build_metadata(self.classes, data, file.format.provenance(file.options), task.output_metadata())
        images = _random_images(PROBE_IMAGES, architecture) if file.needs_calibration else None
        written = folder / file.name
        convert(
            folder / "model.keras", file.format, Conversion(metadata, file.options, images), written, folder / "log"
        )
        return written

    def _run(self, file: Path, architecture: Architecture) -> dict[str, float]:
        """Return what the budget asks for of the written `file`, where it will run."""
        asked = {name for name in self.budget.names if name in ("latency", "memory", "arena")}
        if not asked:
            return {}
        costs: dict[str, float] = {}
        images, place = _random_images(TIMING_IMAGES, architecture), self.target.place
        if place is None and asked & {"latency", "memory"}:
            cost = measure_cost(file, images, count_threads()[-1:])
            costs = {"latency": cost.latencies[-1].p50, "memory": cost.peak_mib * MIB}
        elif place is not None:
            model = load_file(file)
            assert isinstance(model, TFLiteModel)
            with place.device.open(model, place.settings, lambda message: None) as session:
                measurement = session.measure(images)
            costs["memory"] = measurement.cost.peak_mib * MIB
            if measurement.cost.latencies:
                costs["latency"] = measurement.cost.latencies[-1].p50
        if "arena" in asked:
            costs["arena"] = float(self._measure_arena(file))
        return costs

    def _measure_arena(self, file: Path) -> int:
        model = load_file(file)
        contents = self.target.file.format.read_contents(model)
        needs = measure_needs(file.read_bytes(), contents, 1)
        if needs is None or needs.arena_bytes is None:
            why = needs.arena_unknown if needs else "it holds floats"
            raise ExportError(f"the arena of {file.name} cannot be measured: {why}")
        return needs.arena_bytes


def _is_covered(smaller: Cost, larger: Cost) -> bool:
    """Return whether `larger` counts no less than `smaller` of anything that costs depend on."""
    return all(
        getattr(smaller, name) <= getattr(larger, name)
        for name in ("multiply_adds", "kernel_values", "channels", "kernels", "largest_layer")
    )


def _randomize_vectors(model: keras.Model) -> None:
    """Give scales, offsets and biases of `model` random values. Residual units begin as identities, with scales of 0;
    folded into weights they make these all 0, and of kernels that are alike a file holds one alone."""
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def _random_images(count: int, architecture: Architecture) -> np.ndarray[Any, Any]:
    """Return uint8 images (count, H, W, C) of noise, from black to white."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, *architecture.input_shape), np.uint8)
    pixels[0], pixels[1] = 0, 255
    return pixels
