"""Predictions for image files, by a run or by an exported file; a .tflite file needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.answers import LOCALIZE, decoded
from keras_resnet.data.images import placed, read_image
from keras_resnet.drawing import drawn
from keras_resnet.errors import UsageError
from keras_resnet.export.card import Card
from keras_resnet.export.files import is_file, open_file
from keras_resnet.run import Run
from keras_resnet.writing import writing


@dataclass(frozen=True)
class Predictor:
    """predict: uint8 images (N, H, W, 3) → outputs. card: how images are placed and what outputs mean."""

    predict: Callable[[np.ndarray], Any]
    card: Card


def predict_images(
    target: str, images: tuple[str, ...], top: int | None, home: Path, save: Path | None = None
) -> Iterator[dict[str, Any]]:
    """For each image file, {"image": path, "predictions": [{"label", "probability"}, …]}, best first; each with a "box"
    in pixels where the task is to find one. Drawn into a copy at `save`, of several images into that folder."""
    one = _file(Path(target)) if is_file(target) else _run(Run.find(home, target))
    for name in images:
        image = read_image(name)
        card = one.card
        outputs = one.predict(placed(image, card.task, card.resize, card.image_size)[None])
        found = decoded(card, outputs, top, [image.size])[0]
        if save:
            shown = found[:1] if card.task == LOCALIZE else found
            _save(drawn(image, shown), save if len(images) == 1 else save / f"{Path(name).stem}.png")
        yield {"image": name, "predictions": found}


def _save(image: Image.Image, path: Path) -> None:
    if path.suffix.lower() not in Image.registered_extensions():
        raise UsageError(
            f"--save must name an image file, such as found.png, or for several images a folder. Received: {path}"
        )
    with writing(path) as temporary:
        image.save(temporary, format=Image.registered_extensions()[path.suffix.lower()])


def _file(path: Path) -> Predictor:
    model = open_file(path)
    return Predictor(model, model.card)


def _run(run: Run) -> Predictor:
    from keras_resnet.evaluate import keras_predictor, load_model
    from keras_resnet.tasks import placing

    spec = run.spec()
    assert spec.data.resize is not None and spec.data.image_size is not None
    classes = run.classes()
    card = Card(classes, spec.data.resize, spec.data.image_size, {}, *placing(spec, classes))
    return Predictor(keras_predictor(load_model(run)), card)
