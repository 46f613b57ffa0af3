"""Predictions from Python: for paths, arrays, Pillow's images and folders of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Union, cast, overload

import numpy as np
from PIL import Image

from keras_resnet import progress
from keras_resnet.api.results import Prediction, Predictions
from keras_resnet.api.session import from_python
from keras_resnet.config.foreign_names import answer_attribute
from keras_resnet.errors import DataError, UsageError, describe_received, did_you_mean
from keras_resnet.runtime.image import Picture, show_in_rgb, to_picture
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import require_rejection
from keras_resnet.runtime.shares import suggest_share

if TYPE_CHECKING:
    from keras_resnet.export.predict import Input, PredictOptions, Predictor
    from keras_resnet.run import Run as RunFolder

# One image, or several: a path of an image, a video or a folder; uint8 pixels (H, W, 3) or (N, H, W, 3); Pillow's.
OneImage = Union[str, "os.PathLike[str]", np.ndarray, Image.Image]
Images = OneImage | Sequence[OneImage]
Pixels = np.ndarray | Image.Image
T = TypeVar("T")
AnImage = TypeVar("AnImage", bound=OneImage)


class Predicting:
    """What predicts: a run by its model, or an exported file. Subclasses have the properties `_predictor` and
    `_trained_by`, the run that trained what it predicts by.

    called: what an object of the class is called in messages.
    """

    called: ClassVar[str]

    if TYPE_CHECKING:

        @property
        def _predictor(self) -> Predictor: ...

        @property
        def _trained_by(self) -> RunFolder: ...

    else:

        def __getattr__(self, name: str) -> Any:
            """Raise AttributeError, with what does what other libraries have under this name."""
            if hasattr(type(self), name):  # a property, whose own AttributeError has led here: it is raised again
                return object.__getattribute__(self, name)
            raise AttributeError(describe_missing(self, name))

    @overload
    def predict(
        self,
        images: Image.Image,
        *,
        top: int | None = None,
        threshold: float | None = None,
        reject: bool = False,
        tta: str = "none",
    ) -> Prediction: ...

    @overload
    def predict(
        self,
        images: list[AnImage] | tuple[AnImage, ...],
        *,
        top: int | None = None,
        threshold: float | None = None,
        reject: bool = False,
        tta: str = "none",
    ) -> Predictions: ...

    @overload
    def predict(
        self,
        images: str | os.PathLike[str] | np.ndarray,
        *,
        top: int | None = None,
        threshold: float | None = None,
        reject: bool = False,
        tta: str = "none",
    ) -> Prediction | Predictions: ...

    @from_python
    def predict(
        self,
        images: Images,
        *,
        top: int | None = None,
        threshold: float | None = None,
        reject: bool = False,
        tta: str = "none",
    ) -> Prediction | Predictions:
        """Name what `images` show, and where.

        images: a path of an image, a folder or a video; uint8 pixels (H, W, 3) or (N, H, W, 3); one of Pillow's; or a
        list of these. top: how many labels, 5 by default, or objects, all by default. threshold: the least probability
        of each, 0 to 1; by default the fitted thresholds of objects, which are 0.3 before `Run.calibrate`, and of
        labels of which an image has several, and none for a classifier's labels. reject: whether "unknown" stands first
        for images that are of none of the classes, by the rule that `kresnet calibrate` has set; UsageError is raised
        where there is none. tta: of classifiers, "auto" or "flip" takes the mean of the logits of each image and its
        mirror image, auto only if the run trained with flips; UsageError is raised for it together with `reject`.

        Returns one `Prediction` for one image, `Predictions` for several: a list, a folder, a video, or an array (N, H,
        W, 3). A damaged file among several is logged and left out; DataError is raised for one alone.
        """
        from keras_resnet.export.tta import choose_for_run, require_single_images

        require_single_images(tta, reject)
        chosen = choose_for_run(tta, self._trained_by, progress.log_once)
        return predict_images(self._predictor.with_tta(chosen), images, top, threshold, reject)


def describe_missing(owner: Predicting, name: str) -> str:
    """Return what to say of an attribute that `owner` does not have."""
    sentence = f"{type(owner).__name__!r} object has no attribute {name!r}"
    known = [each for each in dir(type(owner)) if not each.startswith("_")]
    if name.startswith("_"):
        return sentence
    answer = answer_attribute(name, known, owner.called)
    if not answer and hasattr(vars(owner).get("verdict"), name):
        answer = f"Use {owner.called}.verdict.{name}."
    return f"{sentence}. {answer}" if answer else f"{sentence}.{did_you_mean(name, known)}".rstrip(".")


def predict_images(
    predictor: Predictor,
    images: Images,
    top: int | None = None,
    threshold: float | None = None,
    reject: bool = False,
) -> Prediction | Predictions:
    """Return what one image shows, or what several show: of a list, a folder, a video, or an array of several.

    A file that is damaged is logged and left out of several. Raises DataError for one that cannot be read, alone or
    with all others, and UsageError for what is no image.
    """
    from keras_resnet.export.predict import PredictOptions

    if top is not None and (not isinstance(top, Integral) or top < 1):
        raise UsageError(f"top must be a whole number, 1 or more. Received: {describe_received(top)}")
    if threshold is not None and not (_is_number(threshold) and 0 <= threshold <= 1):
        received = f"{describe_received(threshold)}{suggest_share(threshold)}"
        raise UsageError(f"threshold must be a number from 0 to 1. Received: {received}")
    if reject:
        require_rejection(predictor.card, predictor.name)
    options = PredictOptions(top, threshold, reject=reject)
    several, is_one = list_images(images)
    of_file, of_pixels = (partial(each, predictor, options) for each in (_predict_file, _predict_pixels))
    found, unreadable = answer_each(several, is_one, of_file, of_pixels, ("predicting", "files"))
    return found[0] if is_one else Predictions(found, unreadable)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def list_images(images: Images) -> tuple[list[OneImage], bool]:
    """Return what `images` holds, as a list, and whether it is a single image. What is no image stays in the list: who
    reads it refuses it by name."""
    is_single = isinstance(images, (str, os.PathLike, np.ndarray, Image.Image))
    several = cast("list[OneImage]", [images] if is_single or not isinstance(images, Iterable) else list(images))
    return several, is_single and _is_one(several[0])


def _is_one(image: OneImage) -> bool:
    """Return whether `image` stands for a single image."""
    from keras_resnet.runtime.video import is_video

    if isinstance(image, np.ndarray):
        return image.ndim < 4
    return isinstance(image, Image.Image) or not (is_video(os.fspath(image)) or Path(image).is_dir())


def answer_each(
    several: Sequence[OneImage],
    is_one: bool,
    of_file: Callable[[Input], Iterable[T]],
    of_pixels: Callable[[Pixels, int], Iterable[T]],
    doing: tuple[str, str],
) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Return what is found for `several` images, as `list_images` has them, and the names of damaged files, which are
    logged and left out unless the image `is_one`.

    of_file: for a file, also one of a folder. of_pixels: for pixels, and their place in the list. doing: what the bar
    of progress says, and what it counts. Raises DataError for a damaged file alone, or where all are.
    """
    from keras_resnet.export.predict import resolve_inputs

    found: list[T] = []
    unreadable: list[str] = []
    for place, image in enumerate(several):
        if not isinstance(image, (str, os.PathLike)):
            found.extend(of_pixels(image, place))
            continue
        with progress.track(resolve_inputs([os.fspath(image)]), *doing) as tracked:
            for file in tracked:
                try:
                    found.extend(of_file(file))
                except DataError as error:
                    if is_one:
                        raise
                    progress.log(str(error))
                    unreadable.append(file.name)
    if unreadable and not found:
        raise DataError(f"none of {counted(len(unreadable), 'file')} could be read, such as {unreadable[0]}")
    return tuple(found), tuple(unreadable)


def _predict_file(predictor: Predictor, options: PredictOptions, file: Input) -> Iterator[Prediction]:
    """Yield what an image shows, or each frame of a video."""
    from keras_resnet.export.predict import predict_files

    for row in predict_files(predictor, [file], options, progress.log):
        yield Prediction(**row, nothing=predictor.card.postprocessor.nothing)


def _predict_pixels(predictor: Predictor, options: PredictOptions, pixels: Pixels, place: int) -> Iterator[Prediction]:
    """Yield what an image shows, or each of an array of several; they are called by their place."""
    for number, image in enumerate(to_pictures(pixels, predictor.card.channels), place):
        found = predictor.predict_image(image, options.top, options.threshold, options.reject)
        picture = show_in_rgb(image)
        yield Prediction(f"image {number}", found, picture=picture, nothing=predictor.card.postprocessor.nothing)


def _suggest_uint8(pixels: object) -> str:
    """Return how pixels of another type become uint8; "" for what has no pixels."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype == np.uint8 or pixels.dtype.kind not in "iuf":
        return ""
    are_shares = pixels.dtype.kind == "f" and pixels.size > 0 and float(np.nanmax(pixels)) <= 1
    return f". Pixels {'of 0–1' if are_shares else 'of 0–255'} become such by {_to_uint8(are_shares)}"


def _to_uint8(are_shares: bool) -> str:
    return '(255 * images).astype("uint8")' if are_shares else 'images.astype("uint8")'


def to_pictures(pixels: np.ndarray | Image.Image, channels: int) -> list[Picture]:
    """Return the one image of Pillow's, or an array's images. Raises UsageError for an array that holds none of a
    network of `channels`."""
    if isinstance(pixels, Image.Image):
        return [pixels]
    shape: tuple[int, ...] = getattr(pixels, "shape", ())
    allowed = (1, 3) if channels in (1, 3) else (channels,)
    if len(shape) not in (3, 4) or shape[-1] not in allowed or getattr(pixels, "dtype", None) != np.uint8 or 0 in shape:
        words = 3 if channels in (1, 3) else channels
        received = f"{pixels.dtype} {shape}" if isinstance(pixels, np.ndarray) else describe_received(pixels)
        raise UsageError(
            f"images must be paths (str or path), Pillow's images, or arrays of uint8 pixels (H, W, {words}) or"
            f" (N, H, W, {words})."
            f" Received: {received}{_suggest_uint8(pixels)}"
        )
    return [to_picture(each) for each in (pixels[None] if len(shape) == 3 else pixels)]
