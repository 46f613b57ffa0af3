"""Keep the verdict on an exported file of a run, in the place of what was known of the file before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keras_resnet.export.artifacts import write_artifacts
from keras_resnet.export.unverified import keep_unverified
from keras_resnet.export.verdict import Verdict
from keras_resnet.export.verify import Reference
from keras_resnet.progress import Log
from keras_resnet.reporting import fitted, robustness
from keras_resnet.reporting.page import publish_report
from keras_resnet.run import Run


def keep_verdict(run: Run, verdict: Verdict) -> None:
    """Put `verdict` into the verdicts.json of `run`; what was measured of the former file of that name, also on
    devices, is gone. Raises RunError where that cannot be written; verdicts.json is then as it was."""
    name = Path(verdict.file).name
    others = [row for row in run.verdict_rows() if Path(row["file"]).name != name]
    keep_unverified(run, verified=[name])
    robustness.forget_file(run, name)
    fitted.forget_file(run, name)
    run.write_json(run.verdicts_file, [*others, verdict.as_dict()])


def keep_renewed(run: Run, verdicts: Sequence[Verdict], reference: Reference, log: Log) -> list[Verdict]:
    """Keep new `verdicts` on files of `run` that had changed, by their names in verdicts.json, and bring what stands
    beside the files and the report up to them. Each file goes where its verdict says, unless another one is there;
    returns the verdicts with its name then."""
    placed = [_place(run, verdict, log) for verdict in verdicts]
    if placed:
        write_artifacts(run, reference)
        publish_report(run)
    return placed


def _place(run: Run, verdict: Verdict, log: Log) -> Verdict:
    """Keep the verdict and move its file to where it says."""
    file = run.exports / verdict.file
    target = (run.exports if verdict.passed else run.rejected) / file.name
    if target == file or target.exists():
        stays = "" if target == file else f"; it stays where it is, as there is a {target}"
        keep_verdict(run, verdict)
        log(f"{verdict.file} had changed since it was verified; its new verdict is kept{stays}")
        return verdict
    target.parent.mkdir(exist_ok=True)
    # First: a file without its verdict has none, and a verdict without its file would still say that it passed.
    moved = replace(verdict, file=target.relative_to(run.exports).as_posix())
    keep_verdict(run, moved)
    os.replace(file, target)
    within = "is" if verdict.passed else "is not"
    log(f"{verdict.file} had changed since it was verified, and {within} within its budget: it is now {target}")
    return moved
