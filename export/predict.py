"""Predictions for images and videos by a run or an exported file; a .tflite file needs no TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from keras_resnet.atomic_write import write_atomically
from keras_resnet.errors import DataError, UsageError
from keras_resnet.export.load import is_exported_file, load_file, require_file
from keras_resnet.export.tta import NONE, Predict, add_mirror_images, choose_for_file, choose_for_run
from keras_resnet.progress import Log
from keras_resnet.progress import log as log_message
from keras_resnet.run import Run
from keras_resnet.runtime.image import Picture, read_image, read_shape, show_in_rgb, size_of
from keras_resnet.runtime.inputs import UnreadableFiles, expand_paths, require_colors
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.predictions import decode_predictions, require_rejection
from keras_resnet.runtime.runtimes import INTERPRETER, load_tflite
from keras_resnet.runtime.video import Frame, import_opencv, is_video, open_video_writer, read_frames
from keras_resnet.runtime.visualize import draw_predictions
from keras_resnet.tasks.metadata import build_metadata

if TYPE_CHECKING:
    import keras

# What drawn videos are written as.
VIDEO_SUFFIX = ".mp4"


@dataclass(frozen=True)
class Predictor:
    """predict: uint8 images (N, H, W, C) → outputs. card: how images are preprocessed and what outputs mean. name: of
    the run or the file, in messages."""

    predict: Predict
    card: ModelMetadata
    name: str

    def with_tta(self, tta: str) -> Predictor:
        """Return the same with mirror images as `tta` says, which `tta.choose_tta` has chosen."""
        return replace(self, predict=add_mirror_images(self.predict, tta))

    def predict_image(
        self, image: Picture, top: int | None, threshold: float | None = None, reject: bool = False
    ) -> list[dict[str, Any]]:
        """Return [{"label", "probability"}, …], best first; each with a "box" in pixels where the task is to find
        one. top, threshold, reject: see `decode_predictions`."""
        outputs = self.predict(self.card.preprocess(image)[None])
        return decode_predictions(self.card, outputs, top, [size_of(image)], threshold, reject)[0]

    def draw(self, image: Picture, predictions: list[dict[str, Any]]) -> Image.Image:
        """Return a copy of the image with what was found drawn in; of a localizer's guesses the first."""
        return draw_predictions(
            show_in_rgb(image), predictions[:1] if self.card.postprocessor.one_object else predictions
        )


@dataclass(frozen=True)
class PredictOptions:
    """top: how many labels, or objects. threshold: the least probability of each, 0–1; None for the usual one. every,
    frames: of a video each so-many-th frame, and at most how many. reject: whether "unknown" is answered, see
    `decode_predictions`."""

    top: int | None = None
    threshold: float | None = None
    every: int = 1
    frames: int | None = None
    reject: bool = False


@dataclass(frozen=True)
class Input:
    """One image or video, by its path or address. save: where its drawn copy goes, if anywhere."""

    name: str
    save: Path | None = None


def load_predictor(
    target: str,
    home: Path,
    runtime: str = INTERPRETER,
    tta: str = NONE,
    log: Log = log_message,
    reject: bool = False,
) -> Predictor:
    """Load a run, by its name in `home`, or an exported file, which a `runtime` of `runtimes.RUNTIMES` runs. tta: one
    of `tta.KINDS`; what it comes to is logged. reject: whether it has to have a rule for unknown images.

    Raises UsageError for another runtime than the usual one of what is no .tflite file, for a rule that it has not, and
    as `tta.choose_tta` does; of a run, before its model is loaded.
    """
    if is_exported_file(target):
        predictor = file_predictor(Path(target), runtime)
        if reject:
            require_rejection(predictor.card, predictor.name)
        return predictor.with_tta(choose_for_file(tta, predictor.card, Run.containing(Path(target)), log))
    if runtime != INTERPRETER:
        raise UsageError(f"--runtime is for .tflite files. Received: --runtime {runtime} with the run {target}")
    from keras_resnet.evaluation.evaluate import load_model

    run = Run.find(home, target)
    run.require_finished()
    run.confidence()  # or what is wrong with it
    if reject:
        require_rejection(build_run_metadata(run), f"run {run.name}")
    chosen = choose_for_run(tta, run, log)
    return run_predictor(run, load_model(run)).with_tta(chosen)


def resolve_inputs(names: Sequence[str], save: Path | None = None) -> list[Input]:
    """Return what `names` name: images, all images of folders, and videos. Needs no network, so that nobody waits for
    one in vain.

    Raises UsageError for a `save` that is none of its kind, DataError for what cannot be read.
    """
    videos = [name for name in names if is_video(name)]
    if videos:
        import_opencv()
    is_one_file = len(names) == 1 and not Path(names[0]).is_dir()
    for name in names if is_one_file else videos:
        _copy_path(name, save, is_one_file)
    files = [file for name in names for file in ([name] if "://" in name and is_video(name) else expand_paths([name]))]
    inputs = [Input(file, _copy_path(file, save, is_one_file)) for file in files]
    counts = Counter(each.save for each in inputs)
    if taken := [path for path, count in counts.items() if path and count > 1]:
        raise UsageError(f"--save: more than one file would be drawn to {taken[0]}; their names have to differ")
    return inputs


def require_any_image(inputs: Sequence[Input], log: Log) -> None:
    """Raise DataError where none of the `inputs` is an image or a video, by their headers, so that nobody waits for a
    network in vain; each is logged, as `predict_files` does."""
    damaged = UnreadableFiles(len(inputs), log)
    errors: list[DataError] = []
    for each in inputs:
        if is_video(each.name):
            return
        try:
            read_shape(each.name)
        except DataError as error:
            errors.append(error)
        else:
            return
    for reason in errors:
        damaged.add(reason)
    damaged.require_none()


def predict_files(
    predictor: Predictor, inputs: Sequence[Input], options: PredictOptions, log: Log
) -> Iterator[dict[str, Any]]:
    """Yield for each image {"image": path, "predictions": see `Predictor.predict_image`}; the same, with "frame" and
    "seconds", for each frame of a video. Each is drawn into a copy where its input names one.

    A file that is damaged is logged and left out. Raises DataError for it in the end.
    """
    damaged = UnreadableFiles(len(inputs), log)
    for each in inputs:
        try:
            if is_video(each.name):
                yield from predict_video(predictor, each.name, options, each.save)
            else:
                yield _predict_image_file(predictor, each, options)
        except DataError as error:
            damaged.add(error)
    damaged.require_none()


def _predict_image_file(predictor: Predictor, source: Input, options: PredictOptions) -> dict[str, Any]:
    image = read_image(source.name, predictor.card.levels, predictor.card.channels)
    predictions = predictor.predict_image(image, options.top, options.threshold, options.reject)
    if source.save:
        _save_image(predictor.draw(image, predictions), source.save)
    return {"image": source.name, "predictions": predictions}


def predict_video(
    predictor: Predictor, source: str, options: PredictOptions, save: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the same for each frame of a video or camera (see `video.read_frames`); drawn into a video at `save`,
    which is there when all of them are."""
    require_colors(predictor.card)
    frames = islice(read_frames(source, options.every), options.frames)
    if save is None:
        for frame in frames:
            found = predictor.predict_image(frame.image, options.top, options.threshold, options.reject)
            yield _frame_document(source, frame, found)
        return
    _require_video_suffix(save)
    first = next(frames)
    with (
        write_atomically(save) as temporary,
        open_video_writer(temporary, first.rate / options.every, first.image.size) as append,
    ):
        for frame in chain([first], frames):
            predictions = predictor.predict_image(frame.image, options.top, options.threshold, options.reject)
            append(predictor.draw(frame.image, predictions))
            yield _frame_document(source, frame, predictions)


def _frame_document(source: str, frame: Frame, predictions: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = round(frame.seconds, 3)
    return {"image": source, "frame": frame.number, "seconds": seconds, "predictions": predictions}


def _copy_path(name: str, save: Path | None, is_one_file: bool) -> Path | None:
    """Return where the drawn copy of a file goes. Raises UsageError for a name that is none of its kind."""
    if save is None:
        return None
    path = save if is_one_file else save / f"{Path(name).stem}{VIDEO_SUFFIX if is_video(name) else '.png'}"
    if is_video(name):
        _require_video_suffix(path)
    else:
        known = tuple(Image.registered_extensions())
        _require_suffix(path, known, "an image file, such as found.png, or for several images a folder")
    return path


def _require_video_suffix(path: Path) -> None:
    _require_suffix(path, (VIDEO_SUFFIX,), "a video file, such as found.mp4, for a video")


def _require_suffix(path: Path, known: tuple[str, ...], words: str) -> None:
    if path.suffix.lower() not in known:
        raise UsageError(f"--save must name {words}. Received: {path}")


def _save_image(image: Image.Image, path: Path) -> None:
    with write_atomically(path) as temporary:
        image.save(temporary, format=Image.registered_extensions()[path.suffix.lower()])


def file_predictor(path: Path, runtime: str = INTERPRETER) -> Predictor:
    """Load an exported file; a `runtime` of `runtimes.RUNTIMES` runs it."""
    if runtime == INTERPRETER:
        model = load_file(path)
    else:
        require_file(path)
        model = load_tflite(path, runtime=runtime)
    return Predictor(model, model.card, str(path))


def run_predictor(run: Run, model: keras.Model) -> Predictor:
    """Return the predictor of a finished `run`, whose `model` is loaded."""
    from keras_resnet.evaluation.evaluate import keras_predictor

    return Predictor(keras_predictor(model), build_run_metadata(run), f"run {run.name}")


def build_run_metadata(run: Run) -> ModelMetadata:
    """Return how images are preprocessed for the model of a finished `run` and what its outputs mean, without loading
    it."""
    from keras_resnet.evaluation.evaluate import load_task

    classes = run.classes()
    return build_metadata(classes, run.spec().data, {}, load_task(run, classes).output_metadata())
