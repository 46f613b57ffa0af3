"""Print what devices made of exported files as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_resnet.cli import console
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import describe_noise
from keras_resnet.reporting.device_rows import DROP, FIRST, VERDICT, list_device_remarks, show_devices
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    from keras_resnet.export.device_verdict import DeviceVerdict
    from keras_resnet.export.verdict import Verdict


def print_device_verdicts(
    run: str, verdicts: list[DeviceVerdict], as_json: bool, shown: Sequence[Verdict] = ()
) -> None:
    """Print the verdicts on files of `run` on devices as a table with its remarks, or as JSON. shown: verdicts on the
    same files on this machine that were printed before: their remarks are not repeated."""
    rows = [verdict.as_dict() for verdict in verdicts]
    if as_json:
        console.emit_json(rows)
        return
    first, spare = verdicts[0], ["memory", FIRST, "as the model"]
    title = f"{run} on devices: {counted(first.samples, 'validation image')}"
    console.print_table(title, *show_devices(rows), prose=["where", VERDICT, DROP], spare=spare)
    console.emit(f"the Keras model on the same images: {metric_label(first.metric)} {first.model_value:.2%}")
    for remark in list_device_remarks(rows, [verdict.as_dict() for verdict in shown]):
        console.emit(remark)
    if noise := describe_noise(rows):
        console.emit(noise)
