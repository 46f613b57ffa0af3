"""Analyze a finished model for people: numbers by class, the confusion matrix, samples, what its data were."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_resnet.data.dataset import TRAINING_SPLITS, Split
from keras_resnet.data.load import DatasetSplits
from keras_resnet.evaluation.baselines import compare_with_baselines
from keras_resnet.evaluation.embedded_images import encode_webp
from keras_resnet.evaluation.evaluate import load_model, load_task, validate
from keras_resnet.evaluation.heat_maps import make_heat_maps
from keras_resnet.metrics.result import Evaluation
from keras_resnet.models import parts
from keras_resnet.models.parameters import count_parameters
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import describe_changes, digest_fingerprint, fingerprint_splits
from keras_resnet.run.training_data import load_training_data
from keras_resnet.runtime.image import show_in_rgb
from keras_resnet.runtime.printable import make_printable
from keras_resnet.runtime.visualize import draw_predictions
from keras_resnet.tasks import Task
from keras_resnet.tasks.base import SamplePrediction

if TYPE_CHECKING:
    import keras

# Images that a report shows, their longest side and the size of letters in pixels (a page shows half of these), and
# the most bytes that each takes: a report stays small.
MAX_SAMPLES, SAMPLE_SIDE, SAMPLE_LETTERS, MAX_SAMPLE_BYTES = 12, 400, 22, 30_000


def analyze_model(
    run: Run, model: keras.Model, task: Task, evaluation: Evaluation, data: DatasetSplits
) -> dict[str, Any]:
    """Return analysis.json: what the "data" were when `run` was trained, the "parts" of the network, how it compares
    with "baselines", all its "metrics", 95% "intervals" of some of them, what the task analyzes of its predictions on
    the validation images, and some of these as "samples"."""
    split = data.splits["validation"]
    recorded = run.document().get("data", {})
    trained_on = recorded if recorded.keys() >= set(TRAINING_SPLITS) else fingerprint_splits(data)
    return {
        "data": {name: digest_fingerprint(trained_on[name]) for name in TRAINING_SPLITS},
        "parts": count_parts(model),
        "metrics": {**evaluation.metrics.values, **evaluation.metrics.details},
        "intervals": evaluation.metrics.intervals,
        **task.analyze(evaluation),
        "baselines": [each.as_dict() for each in compare_with_baselines(task, data, evaluation)],
        "heat_maps": make_heat_maps(model, task, evaluation, data),
        "samples": [_describe_sample(split, each) for each in task.sample_predictions(evaluation, MAX_SAMPLES)],
    }


def _describe_sample(split: Split, sample: SamplePrediction) -> dict[str, Any]:
    """Return {"caption", "file", "image", …}: what the image is called (see `Split.name_image`), and the image with
    what is predicted in it; where the task finds objects, also with the "ground_truth"; of a classifier also its
    "logits"."""
    original = _original_image(split, sample.row)
    drawn = {"image": sample.objects}
    if sample.ground_truth is not None:
        drawn["ground_truth"] = sample.ground_truth
    images = {
        key: encode_webp(draw_predictions(original, found, SAMPLE_SIDE, SAMPLE_LETTERS), MAX_SAMPLE_BYTES)
        for key, found in drawn.items()
    }
    words = {"caption": make_printable(sample.caption), "file": make_printable(split.name_image(sample.row))}
    return {**words, **(sample.answer.as_dict() if sample.answer else {}), **images}


def refresh_analysis(run: Run, log: Callable[[str], None]) -> None:
    """Evaluate the model of a finished run on its data as they are now and write its analysis; log whether these have
    changed since it was trained."""
    data, model = load_training_data(run, log, TRAINING_SPLITS), load_model(run)
    task = load_task(run, data.classes)
    analysis = analyze_model(run, model, task, validate(model, data, task), data)
    if changed := describe_data_changes(run, data):
        log(changed)
    run.write_json(run.analysis_file, analysis)


def _original_image(split: Split, row: int) -> Image.Image:
    """Return an image as it was before it was brought to the network's size; pixels in memory are enlarged again."""
    image = show_in_rgb(split.image(row))
    if split.pixels is None or split.objects is None:
        return image
    width, height = (int(side) for side in split.objects.sizes[row])
    return image.resize((max(width, height),) * 2, Image.Resampling.BICUBIC).crop((0, 0, width, height))


def describe_data_changes(run: Run, data: DatasetSplits) -> str:
    """Say in a sentence how `data`, as they are now, differ from those that `run` was trained on; "" where they do not,
    or where the run does not tell."""
    if not (what := describe_changes(run.document().get("data", {}), fingerprint_splits(data))):
        return ""
    held_out = "; where they are held out of the training images, some may have been trained on" * ("train" in what)
    return (
        f"the data changed since {run.name} was trained ({what}): model and files are evaluated on the validation"
        f" images that are there now{held_out}"
    )


def count_parts(model: keras.Model) -> list[dict[str, Any]]:
    """Count [{"part", "layers", "parameters", "multiply_adds"}, …] of each part of the backbone (see `models.parts`),
    the neck, and the heads together.

    Parameters are those that training can change (see `count_parameters`), layers those with a kernel; multiply-adds
    are theirs, for one image, as He et al. 2015 count them (table 1).
    """
    rows: dict[str, dict[str, Any]] = {}
    declared = parts.group_by_part(layer.name for layer in model.layers)
    for part in sorted(declared, key=lambda part: parts.GROUPS.index(part.group)):
        name = part.name if part.group == parts.BACKBONE else part.group
        row = rows.setdefault(name, {"part": name, "layers": 0, "parameters": 0, "multiply_adds": 0})
        for layer in map(model.get_layer, declared[part]):
            row["parameters"] += count_parameters(layer.weights)
            kernel = getattr(layer, "kernel", None)
            if kernel is not None:
                row["layers"] += 1
                positions = int(np.prod(layer.output.shape[1:-1])) if len(kernel.shape) == 4 else 1
                row["multiply_adds"] += int(np.prod(kernel.shape)) * positions
    return list(rows.values())
