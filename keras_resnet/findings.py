"""What a finished network gets right and wrong, counted for people: part of every run, and what its report shows."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.baselines import standings_of
from keras_resnet.data.sources import Data, open_data
from keras_resnet.data.split import Split
from keras_resnet.drawing import drawn
from keras_resnet.evaluate import Evaluation, load_model, validate
from keras_resnet.run import Run
from keras_resnet.tasks import task_of

# Pictures that are shown, and their longest side in pixels.
SHOWN, SIDE = 12, 240
# Classes that are named where the numbers of images changed.
NAMED = 3
_STAGE = re.compile(r"stem|stage\d+")


def findings_of(model: Any, task: Any, evaluation: Evaluation, data: Data) -> dict[str, Any]:
    """A JSON object: what the "data" were, "parts" of the network, how it stands to "baselines", what the task counts
    of its answers on the validation images, and "pictures" of some of those."""
    split = data.splits["validation"]
    found: dict[str, Any] = {"data": {name: _digest(each, data.classes) for name, each in data.splits.items()}}
    found |= {"parts": parts_of(model), **task.findings(evaluation)}
    found["baselines"] = [each.as_dict() for each in standings_of(task, data, evaluation)]
    found["pictures"] = []
    for row, shown, words in task.pictures(evaluation, SHOWN):
        found["pictures"].append({"words": words, "png": _encoded(drawn(_image(split, row), shown, SIDE))})
    return found


def find_again(run: Run, say: Callable[[str], None]) -> None:
    """Evaluate the model of a finished run on its data, and keep what is found; what the data were when it was trained
    stays as it is, where they have changed."""
    spec = run.spec()
    data, model = open_data(spec.data, say), load_model(run)
    score = validate(model, data, spec)
    found = findings_of(model, task_of(spec, data.classes), score, data)
    if changed := changes_since(run, data):
        say(changed)
        found["data"] = run.findings()["data"]
    run.write_json(run.findings_file, found)


def _image(split: Split, row: int) -> Image.Image:
    """As it was before it was brought to the network's size; what is kept in memory is enlarged again."""
    image = split.image(row)
    if split.pixels is None or split.objects is None:
        return image
    width, height = (int(side) for side in split.objects.sizes[row])
    return image.resize((max(width, height),) * 2, Image.Resampling.BICUBIC).crop((0, 0, width, height))


def changes_since(run: Run, data: Data) -> str:
    """How `data`, as they are now, differ from those that `run` was trained on, in a sentence; "" where they do not, or
    where the run does not tell."""
    before = run.findings().get("data", {}) if run.findings_file.is_file() else {}
    parts = [
        f"{name}: {words}"
        for name in ("train", "validation")
        if name in before and (words := _change(before[name], _digest(data.splits[name], data.classes)))
    ]
    if not parts:
        return ""
    drawn = "; where they are held out of the training images, some may have been trained on" * (len(parts) > 1)
    return (
        f"the data changed since {run.name} was trained ({'; '.join(parts)}): model and files are judged by the"
        f" validation images that are there now{drawn}"
    )


def _change(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What is other in one split, by its digests; "" for nothing."""
    if before["images"] != now["images"]:
        theirs, ours = before.get("labels", {}), now["labels"]
        moved = [name for name in (ours if theirs else ()) if theirs.get(name, 0) != ours[name]]
        named = ", ".join(f"{name} {theirs.get(name, 0):,} → {ours[name]:,}" for name in moved[:NAMED])
        more = f" and {len(moved) - NAMED} more classes" if len(moved) > NAMED else ""
        return f"{before['images']:,} → {now['images']:,} images" + (f", {named}{more}" if named else "")
    known = "annotations_sha256" in before
    if known and before["annotations_sha256"] != now["annotations_sha256"]:
        return f"{now['images']:,} images as before, other annotations"
    # What is kept in memory at one time may be read from disk at another.
    if before["of"] == now["of"] and before["sha256"] != now["sha256"]:
        what = now["of"].removeprefix("annotations and ") if known else now["of"]
        return f"{now['images']:,} images as before, other {what}"
    return ""


def _digest(split: Split, classes: tuple[str, ...]) -> dict[str, Any]:
    """{"images": how many, "labels": of each class, "of": what the "sha256" is of, "annotations_sha256"}: labels, boxes
    and masks, and pixels that are in memory, or the names and sizes of files that are not."""
    truth = split.truth if isinstance(split.truth, dict) else {"labels": split.truth}
    digest = hashlib.sha256()
    for name in sorted(truth):
        digest.update(b"".join(truth[name].ravel()) if truth[name].dtype == object else truth[name].tobytes())
    annotations, what = digest.hexdigest(), "annotations"
    if split.pixels is not None:
        digest.update(np.ascontiguousarray(split.pixels).data)
        what = "annotations and pixels"
    elif files := _files(split.images):
        digest.update("".join(f"{Path(file).name}\n{os.path.getsize(file)}\n" for file in files).encode())
        what = "annotations and files"
    counts = np.bincount(split.labels[split.labels >= 0], minlength=len(classes))
    labels = {name: int(count) for name, count in zip(classes, counts, strict=True) if count}
    hashes = {"sha256": digest.hexdigest(), "annotations_sha256": annotations}
    return {"images": split.count, "labels": labels, "of": what, **hashes}


def _files(images: Any) -> list[str]:
    """The paths of images that are files, of some of them in their order; nothing where they are none."""
    if hasattr(images, "rows"):
        every = _files(images.images)
        return [every[row] for row in images.rows] if every else []
    return list(getattr(images, "files", ()))


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
