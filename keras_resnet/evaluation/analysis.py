"""What a finished network gets right and wrong, counted for people: part of every run, and what its report shows."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.dataset import TRAINING, Split
from keras_resnet.data.load import DatasetSplits, open_data
from keras_resnet.errors import RunError
from keras_resnet.evaluation.baselines import standings_of
from keras_resnet.evaluation.evaluate import Evaluation, load_model, validate
from keras_resnet.run import Run
from keras_resnet.run.data_fingerprint import changes, fingerprints, truth_bytes
from keras_resnet.runtime.visualize import draw_predictions
from keras_resnet.tasks import get_task

# Pictures that are shown, and their longest side in pixels.
SHOWN, SIDE = 12, 240
_STAGE = re.compile(r"stem|stage\d+")


def findings_of(model: Any, task: Any, evaluation: Evaluation, data: DatasetSplits) -> dict[str, Any]:
    """A JSON object: what the "data" were, "parts" of the network, how it stands to "baselines", what the task counts
    of its answers on the validation images, and "pictures" of some of those."""
    split = data.splits["validation"]
    found: dict[str, Any] = {"data": {name: _digest(each) for name, each in data.splits.items()}}
    found |= {"parts": parts_of(model), **task.findings(evaluation)}
    found["baselines"] = [each.as_dict() for each in standings_of(task, data, evaluation)]
    found["pictures"] = []
    for row, shown, words in task.pictures(evaluation, SHOWN):
        found["pictures"].append({"words": words, "png": _encoded(draw_predictions(_image(split, row), shown, SIDE))})
    return found


def find_again(run: Run, log: Callable[[str], None]) -> None:
    """Evaluate the model of a finished run on its data, and keep what is found; what the data were when it was trained
    stays as it is, where they have changed."""
    spec = run.spec()
    data, model = open_data(spec.data, log, TRAINING), load_model(run)
    score = validate(model, data, spec)
    found = findings_of(model, get_task(spec, data.classes), score, data)
    if changed := changes_since(run, data):
        log(changed)
        with suppress(RunError):  # findings that are lost or damaged are what is made again
            found["data"] = run.findings()["data"]
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


def _digest(split: Split) -> dict[str, Any]:
    """{"images": how many, "of": what the "sha256" is of}: labels, boxes and masks, and pixels that are in memory."""
    digest = hashlib.sha256()
    for part in truth_bytes(split):
        digest.update(part)
    if split.pixels is not None:
        digest.update(np.ascontiguousarray(split.pixels).data)
    what = "annotations and pixels" if split.pixels is not None else "annotations"
    return {"images": split.count, "of": what, "sha256": digest.hexdigest()}


def parts_of(model: Any) -> list[dict[str, Any]]:
    """[{"part", "layers", "parameters", "multiply_adds"}, …]: the stem, each stage, and what is behind them. Layers are
    those with a kernel; multiply-adds theirs, for one image, as He et al. 2015 count them (table 1)."""
    rows: dict[str, dict[str, Any]] = {}
    for layer in model.layers:
        match = _STAGE.match(layer.name)
        name = match.group() if match else "heads"
        row = rows.setdefault(name, {"part": name, "layers": 0, "parameters": 0, "multiply_adds": 0})
        row["parameters"] += layer.count_params()
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            row["layers"] += 1
            places = int(np.prod(layer.output.shape[1:-1])) if len(kernel.shape) == 4 else 1
            row["multiply_adds"] += int(np.prod(kernel.shape)) * places
    # The normalization of pixels stands first in the network, and counts nothing.
    return [row for row in sorted(rows.values(), key=lambda row: row["part"] == "heads") if row["parameters"]]


def _encoded(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
