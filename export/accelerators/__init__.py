"""Accelerators that integer files are checked against: Ethos-U and NPUs of phones by their compilers, the Edge TPU by
published rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_resnet.config.foreign_words import answer_value
from keras_resnet.errors import ExportError, UsageError, did_you_mean
from keras_resnet.export.accelerators.base import Accelerator, AcceleratorReport
from keras_resnet.export.accelerators.edge_tpu import EdgeTPU
from keras_resnet.export.accelerators.ethos_u import CONFIGURATIONS, EthosU
from keras_resnet.export.accelerators.phone_npu import VENDORS, PhoneNPU
from keras_resnet.export.rockchip import CHIPS
from keras_resnet.progress import Log
from keras_resnet.run import Run

if TYPE_CHECKING:
    from keras_resnet.export.verdict import Verdict

ACCELERATORS: dict[str, Accelerator] = {
    accelerator.name: accelerator for accelerator in (*(EthosU(name) for name in CONFIGURATIONS), EdgeTPU("edgetpu"))
}


def find_accelerator(name: str) -> Accelerator:
    """Return the accelerator called `name`. Raises UsageError for one that is not known."""
    found = ACCELERATORS.get(name) or PhoneNPU.find(name)
    if found is None and (answer := answer_value("--target", name)):
        raise UsageError(f"there is no --target {name}. {answer}.")
    if found is None:
        phones = ", ".join(f"{vendor}-CHIP" for vendor in VENDORS)
        known = (*ACCELERATORS, *CHIPS)
        near = did_you_mean(name, known)
        raise UsageError(
            f"--target must be one of {', '.join(known)}, {phones}. Received: {name!r}{near and '.'}{near}"
        )
    return found


def require_accelerator(name: str) -> None:
    """Raise UsageError for an accelerator that is not known, or whose compiler is not installed."""
    find_accelerator(name).require_installed()


def check_accelerators(
    run: Run, verdicts: Sequence[Verdict], names: Sequence[str], log: Log
) -> list[AcceleratorReport]:
    """Check all integer files of `run` that are within their budget on all accelerators called `names`, and keep the
    reports as targets.json; a compiler that fails on a file refuses it."""
    reports = []
    for name in names:
        accelerator = find_accelerator(name)
        for verdict in verdicts:
            if verdict.all_integer:
                log(f"checking {verdict.file} for {name}")
                file = run.exports / verdict.file
                try:
                    reports.append(accelerator.check(file, run.exports / "targets"))
                except ExportError as error:  # which keeps no other file from being checked
                    reports.append(AcceleratorReport(name, verdict.file, 0.0, (str(error),), {}))
    if reports:
        run.write_json(run.exports / "targets.json", [vars(each) for each in reports])
    return reports
