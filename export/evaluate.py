"""`kresnet evaluate` and `kresnet verify`: an exported file, or a run's model, on a run's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_resnet.data.load import load_dataset
from keras_resnet.errors import RunError, UsageError, require_one_of
from keras_resnet.evaluation.evaluate import evaluate, evaluation_batches, keras_predictor, load_model
from keras_resnet.export.flatbuffer import contents_of
from keras_resnet.export.load import Model, is_file, open_file, require_file, size_of
from keras_resnet.export.pipeline import data_of
from keras_resnet.export.verify import Reference, Verdict, verify
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.tflite_model import TFLiteModel
from keras_resnet.tasks import get_task

# What data may have; many have no test split.
SPLITS = ("train", "validation", "test")


def score(target: str, of_run: str | None, split: str, home: Path, log: Log) -> dict[str, Any]:
    """{"model", "run", "split", "metric", "value", "samples"} of a run's Keras model or an exported file.

    A file is scored on the data of `of_run`, else of the run in whose folder it stands, else of the one named inside
    it. Raises RunError if the labels differ and UsageError if the data has no such split.
    """
    require_one_of("--split", split, SPLITS)
    model = _open(Path(target), of_run, home) if is_file(target) else None
    run = _run_of(target, model, of_run, home) if model else Run.find(home, target)
    run.require_finished()
    data = load_dataset(run.spec().data, log, (split,))
    predict = model or keras_predictor(load_model(run))
    result = evaluate(predict, evaluation_batches(data, split), get_task(run.spec(), data.classes))
    return {
        "model": target,
        "run": run.name,
        "split": split,
        "metric": result.metric,
        "value": result.value,
        "samples": result.samples,
    }


def verify_file(
    file: Path,
    of_run: str | None,
    max_drop: float,
    samples: int | None,
    home: Path,
    log: Log,
    require_proof: bool = False,
) -> Verdict:
    """The verdict on an exported file, made anew: on this machine, against `of_run` or the run it came from."""
    run = _run_of(str(file), _open(file, of_run, home), of_run, home)
    run.require_finished()
    reference = Reference.of(run, data_of(run, log), samples)
    log(f"verifying {file} on {counted(reference.answered.samples, 'validation image')} of run {run.name}")
    return verify(file, reference, max_drop=max_drop, require_proof=require_proof)


def inspect_file(file: Path) -> dict[str, Any]:
    """What an exported file says of itself, as a JSON object. Raises ExportError if it is damaged or not ours."""
    model = open_file(file)
    card = model.card
    told = {"file": str(file), "bytes": size_of(file), "labels": list(card.classes), "image_size": card.image_size}
    told |= {"resize": card.resize}
    found = {**told, **card.provenance, **told}
    if isinstance(model, TFLiteModel):
        contents = contents_of(model.content)
        found |= {"operators": contents.operators, "tensors": contents.dtypes}
    return found


def _open(file: Path, of_run: str | None, home: Path) -> Model:
    """The file, opened when the run that it is judged by is known to be there, where that can be told without it."""
    require_file(file)
    if run := Run.find(home, of_run) if of_run else Run.containing(file):
        run.require_finished()
    return open_file(file)


def _run_of(target: str, model: Model, of_run: str | None, home: Path) -> Run:
    run = None if of_run else Run.containing(Path(target))
    name = of_run or model.card.provenance.get("run")
    if run is None and name is None:
        raise UsageError(f"{target} was exported by a script and belongs to no run: say by --run which to judge it by")
    run = run or Run.find(home, name)
    if model.card.classes != run.classes():
        raise RunError(f"{target} has other labels than run {run.name}")
    return run
