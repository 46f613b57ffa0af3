"""What a finished network gets right and wrong, counted for people: part of every run, and what its report shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.dataset import TRAINING, Split
from keras_resnet.data.load import DatasetSplits, open_data
from keras_resnet.evaluation.baselines import standings_of
from keras_resnet.evaluation.evaluate import Evaluation, load_model, validate
from keras_resnet.models import parts
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import SPLITS, changes, digest_of, fingerprints
from keras_resnet.runtime.visualize import drawn
from keras_resnet.tasks import get_task

# Pictures that are shown, and their longest side in pixels.
SHOWN, SIDE = 12, 240


def findings_of(run: Run, model: Any, task: Any, evaluation: Evaluation, data: DatasetSplits) -> dict[str, Any]:
    """A JSON object: what the "data" were when `run` was trained, "parts" of the network, how it stands to "baselines",
    what the task counts of its answers on the validation images, and "pictures" of some of those."""
    split = data.splits["validation"]
    told = run.document().get("data", {})  # a run of an earlier version does not tell
    trained_on = told if told.keys() >= set(SPLITS) else fingerprints(data)
    found: dict[str, Any] = {"data": {name: digest_of(trained_on[name]) for name in SPLITS}}
    found |= {"parts": parts_of(model), **task.findings(evaluation)}
    found["baselines"] = [each.as_dict() for each in standings_of(task, data, evaluation)]
    found["pictures"] = []
    for row, shown, words in task.pictures(evaluation, SHOWN):
        found["pictures"].append({"words": words, "png": _encoded(drawn(_image(split, row), shown, SIDE))})
    return found


def find_again(run: Run, log: Callable[[str], None]) -> None:
    """Evaluate the model of a finished run on its data as they are now, and keep what is found; where they have changed
    since it was trained, that is told."""
    spec = run.spec()
    data, model = open_data(spec.data, log, TRAINING), load_model(run)
    score = validate(model, data, spec)
    found = findings_of(run, model, get_task(spec, data.classes), score, data)
    if changed := changes_since(run, data):
        log(changed)
    run.write_json(run.findings_file, found)


def _image(split: Split, row: int) -> Image.Image:
    """As it was before it was brought to the network's size; what is kept in memory is enlarged again."""
    image = split.image(row)
    if split.pixels is None or split.objects is None:
        return image
    width, height = (int(side) for side in split.objects.sizes[row])
    return image.resize((max(width, height),) * 2, Image.Resampling.BICUBIC).crop((0, 0, width, height))


def changes_since(run: Run, data: DatasetSplits) -> str:
    """How `data`, as they are now, differ from those that `run` was trained on, in a sentence; "" where they do not, or
    where the run does not tell."""
    if not (what := changes(run.document().get("data", {}), fingerprints(data))):
        return ""
    drawn = "; where they are held out of the training images, some may have been trained on" * ("train" in what)
    return (
        f"the data changed since {run.name} was trained ({what}): model and files are judged by the validation images"
        f" that are there now{drawn}"
    )


def parts_of(model: Any) -> list[dict[str, Any]]:
    """[{"part", "layers", "parameters", "multiply_adds"}, …]: each part of the body (see `networks.parts`), the neck,
    and the heads together. Layers are those with a kernel; multiply-adds theirs, for one image, as He et al. 2015 count
    them (table 1)."""
    rows: dict[str, dict[str, Any]] = {}
    declared = parts.by_part(layer.name for layer in model.layers)
    for part in sorted(declared, key=lambda part: parts.GROUPS.index(part.group)):
        name = part.name if part.group == parts.BODY else part.group
        row = rows.setdefault(name, {"part": name, "layers": 0, "parameters": 0, "multiply_adds": 0})
        for layer in map(model.get_layer, declared[part]):
            row["parameters"] += layer.count_params()
            kernel = getattr(layer, "kernel", None)
            if kernel is not None:
                row["layers"] += 1
                places = int(np.prod(layer.output.shape[1:-1])) if len(kernel.shape) == 4 else 1
                row["multiply_adds"] += int(np.prod(kernel.shape)) * places
    return list(rows.values())


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
