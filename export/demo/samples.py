"""Validation images on the demo's page, with what they are labeled."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.config.data import DataSpec
from keras_resnet.data.dataset import Split
from keras_resnet.errors import KresnetError
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.training_data import load_training_data
from keras_resnet.runtime.image import read_image, show_in_rgb
from keras_resnet.runtime.printable import make_printable

# How many, and their largest sides in pixels: photographs would take hundreds of megabytes.
SAMPLES, MAX_SIDE = 20, 1024
SEED = 0


@dataclass(frozen=True)
class Sample:
    """A validation image as a PNG file. file: the path of its own file from the data's folder, "" where there is none.

    label: of the whole image, "" where its objects are labeled, or it has `labels`, of which there may be any number;
    None elsewhere. objects: the label and the box (left, top, right,
    bottom), in pixels of the PNG file, of each that is not a crowd, the largest first; None in classification.
    """

    png: bytes
    label: str = ""
    labels: list[str] | None = None
    objects: list[tuple[str, list[float]]] | None = None
    file: str = ""

    def describe(self, number: int) -> dict[str, Any]:
        """Return the sample as run.json has it."""
        objects = None if self.objects is None else [{"label": label, "box": box} for label, box in self.objects]
        return {
            "url": f"samples/{number}.png",
            "number": number + 1,
            "file": self.file,
            "label": self.label,
            "labels": self.labels,
            "objects": objects,
        }


def load_samples(run: Run, log: Log) -> tuple[list[Sample], str]:
    """Return validation images, drawn by a fixed seed, and "". Where the data is gone, or has other labels than `run`,
    return none, and the reason in words."""
    spec = run.spec().data
    if spec.channels not in (1, 3):
        reason = "no validation images on the page: browsers show none of many channels; it takes .npy files"
        log(reason)
        return [], reason
    try:
        data = load_training_data(run, log, ("validation",))
        run.require_labels(data.classes)
        split = data.splits["validation"]
        rows = np.random.default_rng(SEED).permutation(split.count)[:SAMPLES]
        return [make_sample(split, int(row), data.classes, spec) for row in rows], ""
    except KresnetError as error:
        reason = f"no validation images on the page: {error}"
        log(reason)
        return [], reason


def make_sample(split: Split, row: int, classes: Sequence[str], data: DataSpec) -> Sample:
    """Return the image at `row` of a split with what it is labeled. Raises DataError if it cannot be read."""
    # What is kept in memory is cropped already; the page shows what of an image is.
    channels = data.channels or 3
    image = read_image(split.files[row], data.levels, channels) if split.files else split.image(row)
    small = show_in_rgb(image)
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    sample = Sample(buffer.getvalue(), file=make_printable(split.name_image(row)) if split.files else "")
    if split.label_sets is not None:
        return replace(sample, labels=[classes[label] for label in np.flatnonzero(split.label_sets[row]).tolist()])
    if split.objects is None:
        return replace(sample, label=classes[split.labels[row]])
    return replace(sample, objects=_list_objects(split, row, classes, small))


def _list_objects(split: Split, row: int, classes: Sequence[str], image: Image.Image) -> list[tuple[str, list[float]]]:
    truth = split.objects
    assert truth is not None
    rows = np.flatnonzero((truth.labels[row] >= 0) & ~truth.iscrowd[row])
    boxes = truth.boxes[row, rows] * max(image.size)
    return [(classes[label], box.tolist()) for label, box in zip(truth.labels[row, rows], boxes, strict=True)]
