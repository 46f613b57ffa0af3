"""Verification on other devices: the same images, the same evaluator, the same budget, wherever a file runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.export.benchmark import Cost
from keras_resnet.export.device_verdict import DeviceVerdict
from keras_resnet.export.devices.base import CPU, UNKNOWN, Device, DeviceFacts, Measurement, RunSettings
from keras_resnet.export.flatbuffer import Contents
from keras_resnet.export.formats import find_format
from keras_resnet.export.formats.base import LoadedModel
from keras_resnet.export.given_outputs import DrawnImages, GivenOutputs
from keras_resnet.export.load import load_file, require_file, require_labels
from keras_resnet.export.output_order import find_swapped_row
from keras_resnet.export.verdict import Budget
from keras_resnet.export.verify import Comparison, MeasuredFile, Reference
from keras_resnet.metrics.outcome import FAILED
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import Log
from keras_resnet.run.verified_files import hash_file
from keras_resnet.runtime.predictions import Outputs
from keras_resnet.runtime.tflite_model import TFLiteModel

Predict = Callable[..., Outputs]


@dataclass(frozen=True)
class FileOnDevices:
    """One TFLite file, run on devices and compared with its model and with this machine's CPU."""

    file: Path
    sha256: str
    model: TFLiteModel
    reference: Reference

    @classmethod
    def load(cls, file: Path, reference: Reference) -> FileOnDevices:
        """Load `file`. Raises ExportError if it has other labels, UsageError if it is no TFLite file."""
        require_file(file)
        sha256 = hash_file(file)
        model = require_tflite(file, load_file(file))
        require_labels(file, model, reference.task.classes, "the model")
        return cls(file, sha256, model, reference)

    @cached_property
    def on_this_cpu(self) -> Evaluation:
        """The file's evaluation on this machine's CPU."""
        return self.evaluate(self.model, "this machine's CPU")

    @cached_property
    def contents(self) -> Contents | None:
        """The operators and tensor types."""
        return find_format(self.file).read_contents(self.model)

    def evaluate(self, predict: Predict, where: str) -> Evaluation:
        """Score whatever computes the file's outputs on all images."""
        reference = self.reference
        return evaluate(predict, reference.batches(), reference.task, f"verifying {self.file.name} on {where}")

    def verify(self, device: Device, settings: RunSettings, budget: Budget, log: Log) -> DeviceVerdict:
        """Run the file on `device`. Raises ExportError if it cannot be run there."""
        settings = replace(settings, file=self.file.name, images=self.reference.evaluation.samples)
        with device.open(self.model, settings, log) as session:
            after = self.evaluate(session, device.where)
            measurement = session.measure(self.reference.timing_images)
        return self.decide(after, measurement, budget, settings.allow_fallback)

    def verify_outputs(self, given: GivenOutputs, budget: Budget, log: Log) -> DeviceVerdict:
        """Verify outputs that something else computed of the file. Raises ExportError if they are not of the file, or
        not of all images in their order."""
        images = DrawnImages(self.reference.evaluation.samples, self.reference.available)
        checked = given.check(self.model, self.file, images, log)
        checked.require_unchanged(self.on_this_cpu.outputs)
        after = self.evaluate(checked.replay(), given.where)
        if swapped := find_swapped_row(after.outputs, self.on_this_cpu.outputs):
            raise ExportError(
                f"{given.path} has its rows in another order than the images: row {swapped[0]} is what this machine's"
                f" CPU computes of image {swapped[1]} (counted from 0)"
            )
        return self.decide(after, _describe_origin(given), budget)

    def decide(
        self, after: Evaluation, measurement: Measurement, budget: Budget, allow_fallback: bool = False
    ) -> DeviceVerdict:
        """Return the verdict on what a device computed. allow_fallback: see `RunSettings`."""
        facts, comparison = measurement.facts, Comparison(self.reference, after, budget)
        provenance = self.model.card.provenance
        measured = MeasuredFile(self.file, self.sha256, provenance, self.contents, measurement.cost, facts.machine)
        problems = tuple(_list_problems(self.file.name, facts, allow_fallback))
        verdict = measured.decide(comparison)
        known = {field.name: getattr(verdict, field.name) for field in fields(verdict)}
        return DeviceVerdict(
            **{**known, "verdict": FAILED if problems else verdict.verdict},
            device=facts,
            cpu_agreement=comparison.agreement(self.on_this_cpu),
            cpu_difference=comparison.relative_difference(self.on_this_cpu),
            problems=problems,
        )


def require_tflite(file: Path, model: LoadedModel) -> TFLiteModel:
    """Return the loaded `file`. Raises UsageError unless it is a TFLite file: devices run no others."""
    if not isinstance(model, TFLiteModel):
        raise UsageError(
            f"devices run TFLite files alone. Received: {file.name}; without --on and its options, kresnet verify runs"
            " it on this machine's CPU"
        )
    return model


def _describe_origin(given: GivenOutputs) -> Measurement:
    """Return what is known of outputs from elsewhere: where they come from; no times."""
    facts = DeviceFacts(
        where=given.where,
        accelerator=UNKNOWN,
        unit=f"outputs of {given.path.name}",
        machine="",
        system="",
        runtime="",
        emulated=False,
        fully_accelerated=False,
        accelerated=None,
        partitions=None,
        load_ms=0.0,
        repeat_difference=0.0,
        largest_output=0.0,
    )
    return Measurement(Cost((), 0.0, 0.0), facts)


def _list_problems(file: str, facts: DeviceFacts, allow_fallback: bool) -> list[str]:
    """List what makes a file fail on a device whatever it loses, a sentence each."""
    problems, asked = [], facts.accelerator.upper()
    if facts.accelerator not in (CPU, UNKNOWN) and not facts.fully_accelerated and not allow_fallback:
        share = "not all" if facts.accelerated is None else f"only {facts.accelerated:.0%}"
        problems.append(
            f"{share} of the operators of {file} run on the {asked} of {facts.where}, the others on its CPU;"
            " --allow-fallback accepts that"
        )
    if not facts.repeats_agree:
        problems.append(
            f"{file} on the {asked} of {facts.where} gives other outputs each time for the same image: they differ by"
            f" {facts.repeat_difference:.3g}, and none is larger than {facts.largest_output:.3g}"
        )
    return problems
