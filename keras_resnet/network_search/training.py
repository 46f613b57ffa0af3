"""One candidate of a search: trained as an ordinary run, exported, verified, and timed where it will run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_resnet import progress
from keras_resnet.config.given_options import name_options
from keras_resnet.config.provenance import use_provenance
from keras_resnet.errors import ExportError
from keras_resnet.export.device_verdict import DeviceVerdict
from keras_resnet.export.devices.places import UsablePlaces
from keras_resnet.export.pipeline import ExportContext
from keras_resnet.export.run_on_devices import DeviceContext
from keras_resnet.export.verdict import Verdict
from keras_resnet.models.flops import Cost
from keras_resnet.network_search.candidates import Candidate
from keras_resnet.network_search.cost import MIB
from keras_resnet.network_search.target import Target
from keras_resnet.reporting.page import publish_report
from keras_resnet.run import Run
from keras_resnet.tasks.classification import Classification
from keras_resnet.training.spec_request import build_spec, trace_spec
from keras_resnet.training.train import resume, train

# Takes (epoch, the metric of the validation images), and returns whether the training goes on.
GoesOn = Callable[[int, float], bool]
# By what candidates are compared while they are trained, as log.jsonl names it.
MONITOR = f"val_{Classification.train_metric_names[0]}"


@contextmanager
def discard_messages() -> Iterator[None]:
    """Let nothing be logged while the block runs: each training alone logs dozens of lines, which its run keeps."""
    writer = progress.set_writer(_log_nothing)
    try:
        yield
    finally:
        progress.set_writer(writer)


def _log_nothing(message: str) -> None:
    pass


@dataclass(frozen=True)
class Trainer:
    """Trains candidates into the runs folder `home`. shared: the options that all trainings have."""

    home: Path
    shared: Mapping[str, Any]
    target: Target

    def train(self, candidate: Candidate, name: str, goes_on: GoesOn) -> Run:
        """Train `candidate` as the run `name`, or go on with it where it was begun. Raises as `train` does."""
        run = Run(self.home / name)

        def report(row: Mapping[str, Any]) -> bool:
            return goes_on(row["epoch"], row[MONITOR])

        if run.is_finished:
            return run
        with discard_messages():
            if run.spec_file.is_file():
                return resume(run, _log_nothing, goes_on=report)
            options = {**self.shared, **candidate.options()}
            spec = build_spec(options, self.home, _log_nothing)
            with use_provenance(trace_spec(options, self.home)), name_options(options):
                return train(spec, self.home, name, _log_nothing, report)

    def note_end(self, name: str, document: Mapping[str, object]) -> None:
        """Write into the run called `name` that its training was ended early."""
        run = Run(self.home / name)
        run.write_json(run.ended_early_file, document)

    def export(self, run: Run) -> Verdict:
        """Export `run`, verify its file, also where it will run, and return that verdict. Raises ExportError."""
        request, place = self.target.request, self.target.place
        with discard_messages():
            context = ExportContext.prepare(run, request, _log_nothing)
            (verdict,) = context.export_all(request).require_all()
            if place is None:
                publish_report(run)
                return verdict
            devices = DeviceContext(run, context.reference, request.budget, _log_nothing)
            file = (run.exports if verdict.passed else run.rejected) / Path(verdict.file).name
            result = devices.verify({file: ()}, UsablePlaces((place,)))
        if result.failures:
            raise ExportError(result.failures[0])
        return result.verdicts[0]


def list_costs(verdict: Verdict, counted: Cost) -> dict[str, float]:
    """Return what a verdict's file costs where it ran, by the names of budgets."""
    costs = {"size": float(verdict.bytes), "macs": float(counted.multiply_adds)}
    if verdict.latency_ms is not None:
        costs["latency"] = verdict.latency_ms
    if verdict.cost.peak_mib:
        costs["memory"] = verdict.cost.peak_mib * MIB
    arena = verdict.micro.arena_bytes if verdict.micro else None
    if isinstance(verdict, DeviceVerdict):
        arena = verdict.device.arena_bytes or arena
    return costs | ({"arena": float(arena)} if arena else {})
