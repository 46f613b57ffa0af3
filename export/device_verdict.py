"""The verdict on one written file on a device, as verdicts.json has it."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.export.devices.base import DeviceFacts
from keras_resnet.export.verdict import Verdict
from keras_resnet.metrics import outcome
from keras_resnet.metrics.labels import metric_label
from keras_resnet.runtime.plurals import counted


@dataclass(frozen=True, repr=False)
class DeviceVerdict(Verdict):
    """What is known of one file on one device, beside what a `Verdict` says; its cost is that of the device, without
    latencies where these mean nothing.

    device: where it ran. cpu_agreement: the fraction of predictions that are those of this machine's CPU.
    cpu_difference: how far its raw outputs are from those of that CPU, see `Comparison`. problems:
    what makes it fail besides its drop, a sentence each.
    """

    device: DeviceFacts
    cpu_agreement: float
    cpu_difference: float | None
    problems: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where the file ran, in words: "local, GPU"."""
        return ", ".join(filter(None, [self.device.where, self.device.accelerator.upper()]))

    @property
    def summary(self) -> str:
        """The line that it begins with."""
        latency = "" if self.latency_ms is None else f", {self.latency_ms:.2f} ms"
        return (
            f"{self.words}: {self.file} on {self.place}, {metric_label(self.metric)} {self.value:.2%} of"
            f" {counted(self.samples, 'image')}, {outcome.describe_drop(self.as_dict())},"
            f" agreement with this machine's CPU {self.cpu_agreement:.2%}{latency}"
        )

    @property
    def has_lost_accuracy(self) -> bool:
        """Whether it lost more than it may."""
        return self.drop - self.max_drop > outcome.ROUNDING

    def list_reasons(self) -> list[str]:
        """List why it failed, a sentence each that names the file and the place; empty where it did not."""
        if self.passed:
            return []
        reasons, unit = list(self.problems), self.device.unit
        if self.has_lost_accuracy:
            warning = f"; its log says: {self.device.warnings[0]}" if self.device.warnings else ""
            reasons.append(
                f"{self.file} lost {100 * self.drop:.2f} points of {metric_label(self.drop_metric)} on {self.place}"
                f" ({unit}), of at most {100 * self.max_drop:g}: it predicts as on this machine's CPU for"
                f" {self.cpu_agreement:.2%} of the images{warning}"
            )
        elif not reasons:
            reasons.append(
                f"{self.file} on {self.place} is not proven to be within {100 * self.max_drop:g} points"
                " (--require-proof)"
            )
        return reasons
