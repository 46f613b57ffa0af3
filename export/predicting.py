"""Predictions for image files, by a run or by an exported file; a .tflite file needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.images import load_pixels
from keras_resnet.export.files import is_file, open_file
from keras_resnet.run import Run
from keras_resnet.tasks.classify import Classification

Predict = Callable[[np.ndarray], np.ndarray]


def predict_images(target: str, images: tuple[str, ...], top: int, home: Path) -> Iterator[dict[str, Any]]:
    """For each image file, {"image": path, "predictions": [{"label", "probability"}, …]}, best first."""
    predict, classes, resize, size = _file(Path(target)) if is_file(target) else _run(Run.find(home, target))
    for image in images:
        pixels = load_pixels(image, resize, size)
        yield {"image": image, "predictions": Classification(classes).decode(predict(pixels[None]), top)[0]}


def _file(path: Path) -> tuple[Predict, tuple[str, ...], int, int]:
    model = open_file(path)
    return model, model.card.classes, model.card.resize, model.card.image_size


def _run(run: Run) -> tuple[Predict, tuple[str, ...], int, int]:
    from keras_resnet.evaluate import keras_predictor, load_model

    data = run.spec().data
    assert data.resize is not None and data.image_size is not None
    return keras_predictor(load_model(run)), run.classes(), data.resize, data.image_size
