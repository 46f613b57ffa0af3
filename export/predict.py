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
from keras_resnet.export.load import is_file, open_file
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.image import preprocess, read_image
from keras_resnet.runtime.inputs import UnreadableFiles, expand_paths
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.predictions import decode_predictions
from keras_resnet.runtime.video import Frame, import_opencv, is_video, open_video_writer, read_frames
from keras_resnet.runtime.visualize import draw_predictions

# What drawn videos are written as.
RECORDED = ".mp4"


@dataclass(frozen=True)
class Predictor:
    """predict: uint8 images (N, H, W, 3) → outputs. card: how images are placed and what outputs mean."""

    predict: Callable[[np.ndarray], Any]
    card: ModelMetadata

    def answer(self, image: Image.Image, top: int | None) -> list[dict[str, Any]]:
        """[{"label", "probability"}, …], best first; each with a "box" in pixels where the task is to find one."""
        card = self.card
        outputs = self.predict(preprocess(image, card.preprocessing, card.resize, card.image_size)[None])
        return decode_predictions(card, outputs, top, [image.size])[0]

    def drawn(self, image: Image.Image, found: list[dict[str, Any]]) -> Image.Image:
        """A copy of the image with what was found."""
        return draw_predictions(image, found[:1] if self.card.postprocessor.one_object else found)


@dataclass(frozen=True)
class PredictOptions:
    """What is asked of images. top: labels, or objects. every, frames: of a video each so-many-th frame, and at most
    how many."""

    top: int | None = None
    every: int = 1
    frames: int | None = None


def predictor_of(target: str, home: Path) -> Predictor:
    """That of a run, or of an exported file."""
    return _file(Path(target)) if is_file(target) else _run(Run.find(home, target))


def sources_of(names: Sequence[str], save: Path | None = None) -> list[tuple[str, Path | None]]:
    """What `names` name: images, all images of folders, and videos, each with where its drawn copy goes, if anywhere.
    Checked without a network, so that nobody waits for one in vain.

    Raises UsageError for a `save` that is none of its kind, DataError for what cannot be read.
    """
    videos = [name for name in names if is_video(name)]
    if videos:
        import_opencv()
    alone = len(names) == 1 and not Path(names[0]).is_dir()
    for name in names if alone else videos:
        _place(name, save, alone)
    files = [file for name in names for file in ([name] if "://" in name and is_video(name) else expand_paths([name]))]
    places = [_place(file, save, alone) for file in files]
    if taken := [place for place, count in Counter(places).items() if place and count > 1]:
        raise UsageError(f"--save: more than one file would be drawn to {taken[0]}; their names have to differ")
    return list(zip(files, places, strict=True))


def predict_files(
    one: Predictor, sources: Sequence[tuple[str, Path | None]], taken: PredictOptions, log: Log
) -> Iterator[dict[str, Any]]:
    """For each image, {"image": path, "predictions": see `Predictor.answer`}; the same, with "frame" and "seconds", for
    each frame of a video. Each is drawn into a copy where `sources` names a place for it (see `sources_of`).

    A file that is damaged is told of and left out. Raises DataError for it in the end.
    """
    damaged = UnreadableFiles(len(sources), log)
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
    found = one.answer(image, taken.top)
    if place:
        _save(one.drawn(image, found), place)
    yield {"image": name, "predictions": found}


def predict_video(
    one: Predictor, source: str, taken: PredictOptions, save: Path | None = None
) -> Iterator[dict[str, Any]]:
    """The same for each frame of a video or camera (see `video.frames_of`); drawn into a video at `save`, which is
    there when all of them are."""
    frames = islice(read_frames(source, taken.every), taken.frames)
    if save is None:
        yield from (_told(source, frame, one.answer(frame.image, taken.top)) for frame in frames)
        return
    _require_video(save)
    first = next(frames)
    with (
        writing(save) as temporary,
        open_video_writer(temporary, first.rate / taken.every, first.image.size) as append,
    ):
        for frame in chain([first], frames):
            found = one.answer(frame.image, taken.top)
            append(one.drawn(frame.image, found))
            yield _told(source, frame, found)


def _told(source: str, frame: Frame, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"image": source, "frame": frame.number, "seconds": round(frame.seconds, 3), "predictions": found}


def _place(name: str, save: Path | None, alone: bool) -> Path | None:
    """Where the drawn copy of a file goes. Raises UsageError for a name that is none of its kind."""
    if save is None:
        return None
    place = save if alone else save / f"{Path(name).stem}{RECORDED if is_video(name) else '.png'}"
    if is_video(name):
        _require_video(place)
    else:
        known = tuple(Image.registered_extensions())
        _require_suffix(place, known, "an image file, such as found.png, or for several images a folder")
    return place


def _require_video(path: Path) -> None:
    _require_suffix(path, (RECORDED,), "a video file, such as found.mp4, for a video")


def _require_suffix(path: Path, known: tuple[str, ...], words: str) -> None:
    if path.suffix.lower() not in known:
        raise UsageError(f"--save must name {words}. Received: {path}")


def _save(image: Image.Image, path: Path) -> None:
    with writing(path) as temporary:
        image.save(temporary, format=Image.registered_extensions()[path.suffix.lower()])


def _file(path: Path) -> Predictor:
    model = open_file(path)
    return Predictor(model, model.card)


def _run(run: Run) -> Predictor:
    from keras_resnet.evaluation.evaluate import keras_predictor, load_model
    from keras_resnet.tasks import get_task

    run.require_finished()
    spec = run.spec()
    assert spec.data.resize is not None and spec.data.image_size is not None
    classes = run.classes()
    card = ModelMetadata(
        classes,
        spec.data.resize,
        spec.data.image_size,
        {},
        **get_task(spec, classes).output_metadata(),
        levels=spec.data.levels,
    )
    return Predictor(keras_predictor(load_model(run)), card)
