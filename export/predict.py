"""Predictions for images and videos, by a run or by an exported file; a .tflite file needs no TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.atomic_write import writing
from keras_resnet.errors import DataError, UsageError
from keras_resnet.export.load import is_exported_file, load_file
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.image import preprocess, read_image
from keras_resnet.runtime.inputs import Damaged, named_files
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.predictions import LOCALIZE, decode_predictions
from keras_resnet.runtime.video import Frame, frames_of, is_video, recording, require_opencv
from keras_resnet.runtime.visualize import drawn

# What drawn videos are written as.
VIDEO_SUFFIX = ".mp4"


@dataclass(frozen=True)
class Predictor:
    """predict: uint8 images (N, H, W, 3) → outputs. card: how images are placed and what outputs mean."""

    predict: Callable[[np.ndarray], Any]
    card: ModelMetadata

    def predict_image(self, image: Image.Image, top: int | None) -> list[dict[str, Any]]:
        """[{"label", "probability"}, …], best first; each with a "box" in pixels where the task is to find one."""
        card = self.card
        outputs = self.predict(preprocess(image, card.task, card.resize, card.image_size)[None])
        return decode_predictions(card, outputs, top, [image.size])[0]

    def draw(self, image: Image.Image, found: list[dict[str, Any]]) -> Image.Image:
        """A copy of the image with what was found."""
        return drawn(image, found[:1] if self.card.task == LOCALIZE else found)


@dataclass(frozen=True)
class PredictOptions:
    """What is asked of images. top: labels, or objects. every, frames: of a video each so-many-th frame, and at most
    how many."""

    top: int | None = None
    every: int = 1
    frames: int | None = None


def load_predictor(target: str, home: Path) -> Predictor:
    """That of a run, or of an exported file."""
    return _file(Path(target)) if is_exported_file(target) else _run(Run.find(home, target))


def resolve_inputs(names: Sequence[str], save: Path | None = None) -> list[tuple[str, Path | None]]:
    """What `names` name: images, all images of folders, and videos, each with where its drawn copy goes, if anywhere.
    Checked without a network, so that nobody waits for one in vain.

    Raises UsageError for a `save` that is none of its kind, DataError for what cannot be read.
    """
    videos = [name for name in names if is_video(name)]
    if videos:
        require_opencv()
    alone = len(names) == 1 and not Path(names[0]).is_dir()
    for name in names if alone else videos:
        _place(name, save, alone)
    files = [file for name in names for file in ([name] if "://" in name and is_video(name) else named_files([name]))]
    places = [_place(file, save, alone) for file in files]
    if taken := [place for place, count in Counter(places).items() if place and count > 1]:
        raise UsageError(f"--save: more than one file would be drawn to {taken[0]}; their names have to differ")
    return list(zip(files, places, strict=True))


def predict_files(
    one: Predictor, sources: Sequence[tuple[str, Path | None]], taken: PredictOptions, log: Log
) -> Iterator[dict[str, Any]]:
    """For each image, {"image": path, "predictions": see `Predictor.predict_image`}; the same, with "frame" and "seconds", for
    each frame of a video. Each is drawn into a copy where `sources` names a place for it (see `resolve_inputs`).

    A file that is damaged is told of and left out. Raises DataError for it in the end.
    """
    damaged = Damaged(len(sources), log)
    for name, place in sources:
        try:
            yield from (
                predict_video(one, name, taken, place) if is_video(name) else _predict_image(one, name, taken, place)
            )
        except DataError as error:
            damaged.add(error)
    damaged.require_none()


def _predict_image(one: Predictor, name: str, taken: PredictOptions, place: Path | None) -> Iterator[dict[str, Any]]:
    image = read_image(name, one.card.levels)
    found = one.predict_image(image, taken.top)
    if place:
        _save(one.draw(image, found), place)
    yield {"image": name, "predictions": found}


def predict_video(
    one: Predictor, source: str, taken: PredictOptions, save: Path | None = None
) -> Iterator[dict[str, Any]]:
    """The same for each frame of a video or camera (see `video.frames_of`); drawn into a video at `save`, which is
    there when all of them are."""
    frames = islice(frames_of(source, taken.every), taken.frames)
    if save is None:
        yield from (_told(source, frame, one.predict_image(frame.image, taken.top)) for frame in frames)
        return
    _require_video(save)
    first = next(frames)
    with (
        writing(save) as temporary,
        recording(temporary, first.rate / taken.every, first.image.size) as append,
    ):
        for frame in chain([first], frames):
            found = one.predict_image(frame.image, taken.top)
            append(one.draw(frame.image, found))
            yield _told(source, frame, found)


def _told(source: str, frame: Frame, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"image": source, "frame": frame.number, "seconds": round(frame.seconds, 3), "predictions": found}


def _place(name: str, save: Path | None, alone: bool) -> Path | None:
    """Where the drawn copy of a file goes. Raises UsageError for a name that is none of its kind."""
    if save is None:
        return None
    place = save if alone else save / f"{Path(name).stem}{VIDEO_SUFFIX if is_video(name) else '.png'}"
    if is_video(name):
        _require_video(place)
    else:
        known = tuple(Image.registered_extensions())
        _require_suffix(place, known, "an image file, such as found.png, or for several images a folder")
    return place


def _require_video(path: Path) -> None:
    _require_suffix(path, (VIDEO_SUFFIX,), "a video file, such as found.mp4, for a video")


def _require_suffix(path: Path, known: tuple[str, ...], words: str) -> None:
    if path.suffix.lower() not in known:
        raise UsageError(f"--save must name {words}. Received: {path}")


def _save(image: Image.Image, path: Path) -> None:
    with writing(path) as temporary:
        image.save(temporary, format=Image.registered_extensions()[path.suffix.lower()])


def _file(path: Path) -> Predictor:
    model = load_file(path)
    return Predictor(model, model.card)


def _run(run: Run) -> Predictor:
    from keras_resnet.evaluation.evaluate import keras_predictor, load_model
    from keras_resnet.tasks import output_metadata

    run.require_finished()
    spec = run.spec()
    assert spec.data.resize is not None and spec.data.image_size is not None
    classes = run.classes()
    card = ModelMetadata(
        classes, spec.data.resize, spec.data.image_size, {}, *output_metadata(spec, classes), spec.data.levels
    )
    return Predictor(keras_predictor(load_model(run)), card)
