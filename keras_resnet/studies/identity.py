"""The identity study: a deeper network whose added units are identities does as well as the shallower one.

The constructed argument of He et al. 2015, section 1: built, measured, and trained on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.config.spec import NetworkSpec, Spec, StartSpec
from keras_resnet.data import pipeline
from keras_resnet.data.load import DatasetSplits, load_dataset, require_source
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.models.backbone import has_shortcuts
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name
from keras_resnet.pretrained.load import fetch_weights
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.plurals import counted
from keras_resnet.studies import figures
from keras_resnet.studies.plan import run_trial, spec_for, write_rows, write_summary
from keras_resnet.tasks import get_task
from keras_resnet.training.initialize import deepen

# The training goes on at a tenth of the rate that the shallow network began with.
CONTINUED_RATE = 0.1
BATCH_SIZE = 256


def identity(base: Spec, shallow: str, deep: str, folder: Path, log: Log) -> dict[str, Any]:
    """Train `shallow`, deepen it to `deep` with identities and compare the outputs; then train on, for as long each,
    the deepened network, the shallow one, and a `deep` one from random weights. Returns what summary.json holds.

    Writes into `folder`: the runs, figure.png and .svg, curves.csv and summary.json. Raises UsageError for networks
    of which the first is not the beginning of the second, and as `train` does.
    """
    first, second = parse_model_name(shallow), parse_model_name(deep)
    is_deeper = replace(first, depth=second.depth) == second and first.depth < second.depth
    if not (is_deeper and has_shortcuts(first)):
        raise UsageError(f"--deep must be a deeper network of the kind of --shallow. Received: {deep}, {shallow}")
    require_source(base.data)
    seed = base.training.seed
    start = run_trial(shallow, seed, spec_for(shallow, seed, base, log), folder, log)
    if start.run is None:
        raise UsageError(f"{shallow} broke down in training, so nothing can be built on it: {start.failure}")
    further = _continue_spec(start.run, spec_for(deep, seed, base, log))
    random = replace(further, start=StartSpec())
    continued = replace(further, network=start.run.spec().network, start=StartSpec(str(start.run.model_file.resolve())))
    data = load_dataset(start.run.spec().data, lambda message: None, ("validation",))
    difference = _compare_outputs(start.run, further, data)
    log(f"before training: outputs of the deepened {deep} differ by {difference:.2g} (relative to the largest)")
    trials = {
        f"{deep}, deepened from {shallow}": run_trial(deep, seed, further, folder, log, f"{deep}-deepened"),
        f"{shallow}, trained on": run_trial(shallow, seed, continued, folder, log, f"{shallow}-continued"),
        f"{deep}, from random weights": run_trial(deep, seed, random, folder, log, f"{deep}-random"),
    }
    curves = {label: trial.errors() for label, trial in trials.items() if trial.run}
    return _report(float(start.errors()[-1]), curves, difference, folder, (shallow, deep))


def _continue_spec(shallow: Run, deep: Spec) -> Spec:
    optimizer = replace(deep.optimizer, learning_rate=CONTINUED_RATE * deep.optimizer.learning_rate)
    return replace(deep, start=StartSpec(deepen=str(shallow.model_file.resolve())), optimizer=optimizer)


def _compare_outputs(shallow: Run, spec: Spec, data: DatasetSplits) -> float:
    """Return the largest difference of logits on the validation images, relative to the largest logit."""
    network: NetworkSpec = replace(shallow.spec().network, depth=spec.network.depth)
    deep = get_task(spec, data.classes).build_model(Layers(keras), replace(shallow.spec(), network=network))
    deepen(deep, fetch_weights(str(shallow.model_file)))
    shallow_model = load_model(shallow)
    images = pipeline.evaluation_batches(data.splits["validation"], data.image_size, BATCH_SIZE)
    deep_logits, shallow_logits = (
        np.concatenate([model.predict_on_batch(batch) for batch, _ in images.as_numpy_iterator()])
        for model in (deep, shallow_model)
    )
    return float(np.abs(deep_logits - shallow_logits).max() / np.abs(shallow_logits).max())


def _report(
    level: float, curves: dict[str, np.ndarray], difference: float, folder: Path, names: tuple[str, str]
) -> dict[str, Any]:
    figures.save(figures.plot_identity(curves, level), folder / "figure")
    rows = [
        {"network": label, "epoch": epoch, "training_error": float(error)}
        for label, curve in curves.items()
        for epoch, error in enumerate(curve, 1)
    ]
    write_rows(folder / "curves.csv", rows)
    summary = {
        "shallow": names[0],
        "deep": names[1],
        "relative_difference_before_training": difference,
        "shallow_training_error": level,
        "training_error": {key: curve.tolist() for key, curve in curves.items()},
        "words": _words(level, curves, difference, names),
    }
    write_summary(folder, summary)
    return summary


def _words(level: float, curves: dict[str, np.ndarray], difference: float, names: tuple[str, str]) -> list[str]:
    shallow, deep = names
    words = [f"{deep} built from {shallow} gave the same outputs before training, to {difference:.1e} of the largest."]
    for label, curve in curves.items():
        worst = float(curve.max() - level)
        behind = f"at worst {counted(worst, 'point', '.2f')} behind" if worst > 0 else "never behind"
        words.append(f"{label}: {curve[-1]:.2f}% training error at the end, {behind} {shallow}'s {level:.2f}%.")
    return words
