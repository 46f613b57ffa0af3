"""Evaluation of an exported file, or of a run's model, on a run's data: `kresnet evaluate`, `verify` and `inspect`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from keras_resnet.config import foreign_words
from keras_resnet.config.data import FITS
from keras_resnet.errors import KresnetError, UsageError, require_one_of
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, keras_predictor, load_model, load_task
from keras_resnet.export.formats import find_format
from keras_resnet.export.formats.base import LoadedModel
from keras_resnet.export.kept_verdicts import keep_renewed
from keras_resnet.export.load import file_size, is_exported_file, load_file, require_file, require_labels
from keras_resnet.export.micro_needs import measure_needs
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.tta import NONE, Predict, add_mirror_images, choose_for_run
from keras_resnet.export.verdict import Budget, Verdict
from keras_resnet.export.verify import Reference, verify
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.training_data import load_training_data
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.tflite_model import TFLiteModel

# What data may have; many have no test split.
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class RunLookup:
    """Finds the run that a file is evaluated with: `name`, else the run in whose folder the file stands, else the one
    named inside it. home: the folder of runs."""

    home: Path
    name: str | None = None

    def load(self, file: Path) -> LoadedModel:
        """Load the file; if its run can be found without that, the run has to be there first. Raises RunError or
        ExportError."""
        require_file(file)
        if run := Run.find(self.home, self.name) if self.name else Run.containing(file):
            run.require_finished()
        return load_file(file)

    def find(self, file: Path, model: LoadedModel) -> Run:
        """Return the run of the loaded file. Raises ExportError if the file has other labels, RunError if
        there is no such run, UsageError if none is named."""
        run = None if self.name else Run.containing(file)
        name = self.name or model.card.provenance.get("run")
        if run is None and name is None:
            raise UsageError(
                f"{file} was exported by a script and belongs to no run: name the run to evaluate it on with --run"
            )
        run = run or Run.find(self.home, name)
        require_labels(file, model, run.classes(), f"run {run.name}")
        return run


def evaluate_target(target: str, split: str, lookup: RunLookup, log: Log, tta: str = NONE) -> dict[str, Any]:
    """Return {"model", "run", "split", "metric", "value", "samples", "metrics", "intervals", "tta"} of a run's Keras
    model or of an exported file. metrics: every metric by its name, 0–1. intervals: 95% intervals of some of them. tta:
    one of `tta.KINDS`; of what is returned, whether mirror images were added: "none" or "flip".

    Raises ExportError if the labels differ and UsageError if the data has no such split.
    """
    split = require_split(split, log)
    model = lookup.load(Path(target)) if is_exported_file(target) else None
    run = lookup.find(Path(target), model) if model else Run.find(lookup.home, target)
    run.require_finished()
    tta = choose_for_run(tta, run, log)
    return evaluate_on_run(lambda: model or keras_predictor(load_model(run)), run, split, log, target, tta)


def require_split(name: str, log: Log) -> str:
    """Return the split that `name` means; another tool's word for one is taken for it, which is logged. Raises
    UsageError for what is none."""
    if meant := foreign_words.SPLITS.get(name):
        log(f"--split {name}: taken as --split {meant}")
        return meant
    require_one_of("--split", name, SPLITS)
    return name


def evaluate_on_run(
    load: Callable[[], Predict], run: Run, split: str, log: Log, name: str, tta: str = NONE
) -> dict[str, Any]:
    """Return the same of what `load` returns, called `name`, on the data of `run`. tta: what `tta.choose_tta` has
    chosen. Raises UsageError, before it is loaded, if they have no such split."""
    split = require_split(split, log)
    data = load_training_data(run, log, (split,))
    task = load_task(run, data.classes)
    predict = add_mirror_images(load(), tta)
    result = evaluate(predict, evaluation_batches(data, split), task)
    return {
        "model": name,
        "run": run.name,
        "split": split,
        "metric": result.metric,
        "value": result.value,
        "samples": result.samples,
        "metrics": {**result.metrics.values, **result.metrics.details},
        "intervals": result.metrics.intervals,
        "tta": tta,
    }


def verify_file(file: Path, budget: Budget, lookup: RunLookup, log: Log, samples: int | None = None) -> Verdict:
    """Return a new verdict on an exported file: on this machine, with the data as they are now. That on a run's own
    file which has changed since its verdict is kept.

    samples: how many validation images, None for all.
    """
    run = lookup.find(file, lookup.load(file))
    run.require_finished()
    reference = Reference.from_run(run, load_run_data(run, log), samples)
    log(f"verifying {file} on {counted(reference.evaluation.samples, 'validation image')} of run {run.name}")
    verdict = verify(file, reference, budget)
    changed = [name for name in run.changed_files() if (run.exports / name).resolve() == file.resolve()]
    if changed:
        (verdict,) = keep_renewed(run, [replace(verdict, file=changed[0])], reference, log)
    return verdict


def verify_run(run: Run, budget: Budget, log: Log, samples: int | None = None) -> tuple[list[Verdict], list[str]]:
    """Return new verdicts on the exported files of `run` that passed or have changed since, as `verify_file` has them,
    and why others could not be verified, a sentence each. Raises UsageError if there is no such file."""
    run.require_finished()
    changed, rows = run.changed_files(), run.own_rows()
    names = [row["file"] for row in rows if row["file"] in changed or row["verdict"] in ACCEPTED]
    names = [name for name in names if (run.exports / name).exists()]
    if not names:
        raise UsageError(f"run {run.name} has no exported file that passed; write some with: kresnet export {run.name}")
    reference = Reference.from_run(run, load_run_data(run, log), samples)
    verdicts: dict[str, Verdict] = {}
    failures = []
    for name in names:
        log(f"verifying {name} on {counted(reference.evaluation.samples, 'validation image')}")
        try:
            verdicts[name] = replace(verify(run.exports / name, reference, budget), file=name)
        except KresnetError as error:
            failures.append(f"{name}: {error}")
    renewed = [name for name in verdicts if name in changed]
    kept = keep_renewed(run, [verdicts[name] for name in renewed], reference, log)
    return list((verdicts | dict(zip(renewed, kept, strict=True))).values()), failures


def list_passed_files(run: Run) -> list[Path]:
    """Return the files among a run's exports that passed and are still there."""
    files = [run.exports / row["file"] for row in run.verdicts() if row["verdict"] in ACCEPTED]
    return [file for file in files if file.exists()]


def inspect_file(file: Path) -> dict[str, Any]:
    """Return what an exported file says of itself, as a JSON object. micro: what microcontrollers need for an 8-bit
    file, as in verdicts.json; None of others. Raises ExportError if the file is damaged or not from kresnet."""
    model = load_file(file)
    card = model.card
    own = {
        "file": str(file),
        "bytes": file_size(file),
        "labels": list(card.classes),
        "image_size": card.image_size,
        "resize": card.resize,
        "fit": next(fit for fit, method in FITS.items() if method == card.preprocessing),
        "channels": card.channels,
        **card.confidence.as_dict(),
    }
    # Its provenance comes after these, and may not replace them.
    document = {**own, **card.provenance, **own}
    contents = find_format(file).read_contents(model)
    if contents:
        document |= {"operators": contents.operators, "tensors": contents.dtypes}
    needs = measure_needs(model.content, contents, model.batch) if isinstance(model, TFLiteModel) else None
    return document | {"micro": needs and asdict(needs)}
