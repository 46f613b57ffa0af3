"""What every source delivers: splits of uint8 images with labels, and whether they stay in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_resnet.config.data import FITS, DataSpec, Fit
from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.data.annotations import GroundTruth
from keras_resnet.data.read_errors import numpy_function
from keras_resnet.errors import DataError, UsageError
from keras_resnet.progress import Log
from keras_resnet.runtime.image import Picture, fit_picture, to_picture
from keras_resnet.runtime.plurals import counted

# Of the memory that is free; the rest is for training.
MAX_MEMORY_FRACTION = 0.25
SPLIT_SEED = 0
# The splits that a training uses; "test" is for the end.
TRAINING_SPLITS = ("train", "validation")
MAX_NAMES_IN_ERROR = 5
# Begins what is logged of a validation split that kresnet makes itself.
HELD_OUT = "validation: "


class Images(Protocol):
    """Images that are read when they are needed, in any order, by several threads."""

    def __getitem__(self, row: int) -> Picture:
        """Return the image at `row`, as `read_image` gives it. Raises DataError if it cannot be read."""

    def read_scaled(self, row: int, at_least: int) -> Picture:
        """Return the image at `row`, scaled while it is decoded to no less than `at_least` pixels a side where that is
        possible (see `read_image`); 0: not scaled."""


class PreparedImages(Protocol):
    """The pixels of images that were brought to their size before."""

    def find(self, row: int) -> np.ndarray | None:
        """Return those of the image at `row`, (height, width, channels) uint8; None if it has to be decoded."""

    def subset(self, rows: np.ndarray) -> PreparedImages:
        """Return the images at `rows`, in that order."""


@dataclass(frozen=True)
class Split:
    """`labels` (count,) int64 of as many images, and their `objects` where the task is to find them; or `label_sets`,
    uint8 (count, classes), 1 where an image has the label, of which `labels` holds the rarest one, -1 where none is.

    Exactly one of `pixels`, uint8 (count, height, width, channels), and `images` is set, which `method` of
    `preprocess.PREPROCESSORS` brings to `resize`. files: the image files, in that order, where there are such.
    home: the folder of the dataset, from which people name them. prepared: pixels of `images` that need not be decoded
    again.
    """

    name: str
    labels: np.ndarray
    pixels: np.ndarray | None = None
    images: Images | None = None
    resize: ImageSize = 0
    objects: GroundTruth | None = None
    files: tuple[str, ...] = ()
    method: str = "center_crop"
    channels: int = 3
    label_sets: np.ndarray | None = None
    prepared: PreparedImages | None = None
    home: str = ""
    _tensors: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def with_label_sets(cls, name: str, label_sets: np.ndarray, **fields: Any) -> Split:
        """Return a split of images with several labels each: uint8 (count, classes)."""
        rarity = 1 / np.maximum(label_sets.sum(axis=0), 1)
        rarest = (label_sets * rarity).argmax(axis=1) if len(label_sets) else np.zeros(0, np.int64)
        labels = np.where(label_sets.any(axis=1), rarest, -1).astype(np.int64)
        return cls(name, labels, label_sets=label_sets, **fields)

    @property
    def count(self) -> int:
        """Return how many images there are."""
        return len(self.labels)

    def name_image(self, row: int) -> str:
        """Return what people call an image: the path of its file from the folder of the dataset, "val/cross/0.png"; of
        a dataset without files its number, "validation image 3"."""
        if not self.files:
            return f"{self.name} image {row + 1}"
        if not self.home:
            return self.files[row]
        return Path(os.path.relpath(self.files[row], self.home)).as_posix()

    def image(self, row: int) -> Picture:
        """Return one of `images`, read now; or of `pixels`, as it is kept."""
        if self.pixels is not None:
            return to_picture(self.pixels[row])
        assert self.images is not None
        return self.images[row]

    def image_to_crop(self, row: int, at_least: int) -> Picture:
        """Return one of `images` for a crop of it in training, see `Images.read_scaled`; or of `pixels`."""
        return self.image(row) if self.images is None else self.images.read_scaled(row, at_least)

    def subset(self, rows: np.ndarray) -> Split:
        """Return the images at `rows`, in that order."""
        return replace(
            self,
            labels=self.labels[rows],
            pixels=None if self.pixels is None else self.pixels[rows],
            images=None if self.images is None else Subset(self.images, rows),
            objects=self.objects.subset(rows) if self.objects else None,
            files=tuple(self.files[row] for row in rows) if self.files else (),
            label_sets=None if self.label_sets is None else self.label_sets[rows],
            prepared=self.prepared.subset(rows) if self.prepared else None,
            _tensors={},
        )

    def count_labels(self, classes: int) -> np.ndarray:
        """Return how many images have each label, int64 (classes,); of images with objects, that of the first one."""
        if self.label_sets is not None:
            return np.asarray(self.label_sets.sum(axis=0, dtype=np.int64))
        return np.bincount(self.labels[self.labels >= 0], minlength=classes)

    @property
    def ground_truth(self) -> Any:
        """Return what is true of each image, as the task's `encode_targets` takes it: labels (count,), label sets
        (count, classes), or a dict of arrays."""
        if self.objects:
            return self.objects.as_dict()
        return self.labels if self.label_sets is None else self.label_sets

    def to_tensors(self, ids: bool = False) -> tuple[Any, Any]:
        """Return `pixels` and `ground_truth` as tensors, made once and outside any graph, of which they would become a
        part. `ids`: with "ids" (count, resize, resize), of objects that have masks (see `GroundTruth.ids`)."""
        import tensorflow as tf

        if "pixels" not in self._tensors:
            with tf.init_scope(), tf.device("CPU"):
                self._tensors["pixels"] = tf.constant(self.pixels)
        truth = self.ground_truth_tensors()
        if ids and self._has_masks:
            if "ids" not in self._tensors:
                assert self.objects is not None and self.pixels is not None
                side = self.pixels.shape[1]
                with tf.init_scope(), tf.device("CPU"):
                    maps = np.stack([self.objects.ids(row, side) for row in range(self.count)])
                    self._tensors["ids"] = tf.constant(maps)
            truth = {**truth, "ids": self._tensors["ids"]}
        return self._tensors["pixels"], truth

    def ground_truth_tensors(self) -> Any:
        """Return `ground_truth` as such tensors."""
        import tensorflow as tf

        if "truth" not in self._tensors:
            with tf.init_scope(), tf.device("CPU"):
                self._tensors["truth"] = tf.nest.map_structure(tf.constant, self.ground_truth)
        return self._tensors["truth"]

    def to_tf_dataset(self, numbers: Any, ids: bool = False) -> Any:
        """tf.data of row numbers, int64 → of (uint8 (height, width, channels), truth); `ids`: see `to_tensors`."""
        import tensorflow as tf

        if self.pixels is not None:
            pixels, truth = self.to_tensors(ids)
            return numbers.map(lambda row: (tf.gather(pixels, row), gather_rows(truth, row)), tf.data.AUTOTUNE)

        truth = self.ground_truth_tensors()
        sides = height_and_width(self.resize)

        def read(row: Any) -> tuple[Any, Any]:
            pixels = numpy_function(self.read_pixels, [row], tf.uint8)
            row_values = gather_rows(truth, row)
            if ids and self.objects is not None and self.objects.masks is not None:
                seen = numpy_function(self._ids_at, [row], self.objects.id_dtype)
                row_values = {**row_values, "ids": tf.ensure_shape(seen, sides)}
            return tf.ensure_shape(pixels, (*sides, self.channels)), row_values

        return numbers.map(read, tf.data.AUTOTUNE)

    @property
    def _has_masks(self) -> bool:
        return self.objects is not None and self.objects.masks is not None

    def _ids_at(self, row: Any) -> np.ndarray:
        assert self.objects is not None
        return self.objects.ids(int(row), height_and_width(self.resize)[0])

    def read_pixels(self, row: Any) -> np.ndarray:
        """Return one of `pixels`; or of `images`, read now and brought to its size: uint8 (height, width, channels)."""
        if self.pixels is not None:
            return np.asarray(self.pixels[row])
        if self.prepared and (prepared := self.prepared.find(int(row))) is not None:
            return prepared
        return fit_picture(self.image(int(row)), self.method, self.resize, self.channels)


def gather_rows(truth: Any, rows: Any) -> Any:
    """Return those at `rows` of tensors as `Split.ground_truth` has them."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda each: tf.gather(each, rows), truth)


@dataclass(frozen=True)
class Subset:
    """Those of `images` that stand at `rows`."""

    images: Images
    rows: np.ndarray

    def __getitem__(self, row: int) -> Picture:
        return self.images[int(self.rows[row])]

    def read_scaled(self, row: int, at_least: int) -> Picture:
        """See `Images.read_scaled`."""
        return self.images.read_scaled(int(self.rows[row]), at_least)

    @property
    def files(self) -> list[str]:
        """Return the image files, in order, where `images` are files."""
        files = getattr(self.images, "files", None)
        return [files[int(row)] for row in self.rows] if files else []


@dataclass(frozen=True)
class DatasetSplits:
    """A dataset: its labels in the order of their numbers, and splits "train", "validation" and
    perhaps "test". flip_safe: whether a mirrored image keeps its label; None where nobody knows. levels: the
    values that are black and white in images of more than 8 bits, see `runtime.image.read_image`. fit: of
    `config.data.FITS`."""

    name: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    flip_safe: bool | None
    image_size: ImageSize
    resize: ImageSize
    levels: tuple[float, ...] = ()
    fit: Fit = "crop"
    channels: int = 3

    def describe_in(self, spec: DataSpec) -> DataSpec:
        """Return `spec` with the sizes, fit, channels and levels with which the data were opened."""
        return replace(
            spec,
            image_size=self.image_size,
            resize=self.resize,
            fit=self.fit,
            channels=self.channels,
            levels=self.levels,
        )

    @property
    def preprocessing(self) -> str:
        """How images become the network's input, as `runtime.preprocess.PREPROCESSORS` names it."""
        return FITS[self.fit]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The (height, width, channels) of the network's input."""
        return (*height_and_width(self.image_size), self.channels)


def fits_in_memory(images: int, resize: ImageSize, channels: int = 3) -> bool:
    """Return whether `images` decoded ones may be kept: up to a quarter of the free memory."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return False
    return images * count_bytes(resize, channels) <= MAX_MEMORY_FRACTION * free


def count_bytes(resize: ImageSize, channels: int = 3) -> int:
    """Return the bytes that one decoded image takes."""
    height, width = height_and_width(resize)
    return height * width * channels


def check_unreadable(bad: Sequence[object], total: int, max_unreadable: float, log: Log) -> None:
    """Name the images that cannot be read to `log`; DataError if they are more than `max_unreadable` of `total`."""
    if len(bad) > max_unreadable * total:
        first = "; ".join(str(error) for error in bad[:MAX_NAMES_IN_ERROR])
        raise DataError(
            f"{len(bad)} of {counted(total, 'image')} cannot be read ({len(bad) / total:.1%}),"
            f" more than --max-unreadable {max_unreadable:g} allows: {first}"
        )
    for error in bad:
        log(f"skipped: {error}")
    if bad:
        images = counted(total, "image")
        log(f"skipped {len(bad)} of {images} that cannot be read (--max-unreadable allows {max_unreadable:.1%})")


def describe_too_few(what: str, count: int, noun: str, more: str = "images") -> str:
    """Return what to say of `what` with so few images, `count` of the kind `noun`, that none can be held out for
    validation. more: what to add."""
    return (
        f"{what} has {counted(count, noun)}, but needs 2 or more: one to train on and one to validate with, because the"
        f" data have no validation split. Add {more}, or a validation split"
    )


def require_split(asked: Iterable[str] | None, there: Iterable[str], unlabeled: Mapping[str, str]) -> None:
    """Raise for an `asked` split that is not `there`: DataError if it is one of `unlabeled` (name → what it is, in
    words), else UsageError."""
    for name in asked or ():
        if name in unlabeled:
            raise DataError(f"the {name} images have no labels to compare predictions with: {unlabeled[name]}")
        if name not in there:
            raise UsageError(
                f"the data have no {name} split; --split must be one of {', '.join(there)}. Received: {name!r}"
            )


def log_held_out(held_out: int, total: int, fraction: float, how: str, log: Log, each: str = "each class") -> None:
    """Tell `log` of the share that really is held out of `total` images, and why it is not `fraction`: `each`
    has to be on both sides."""
    asked = round(fraction * total)
    why = (
        "" if held_out == asked else f"; {asked}, as --val-fraction {fraction:g} asks, cannot put {each} on both sides"
    )
    log(f"{HELD_OUT}{held_out} of {counted(total, 'image')} ({held_out / total:.1%}), {how}{why}")


def require_all_classes(splits: dict[str, Split], classes: tuple[str, ...]) -> None:
    """Raise DataError unless every split has an image of every class."""
    for split in splits.values():
        missing = [classes[label] for label in np.flatnonzero(split.count_labels(len(classes)) == 0)]
        if missing:
            raise DataError(f"the {split.name} images hold none of class {', '.join(missing)} that can be read")


def split_stratified(labels: np.ndarray, fraction: float, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of (count,) `labels` to train on and to validate with: stratified, the same each time, and
    every class in both. Raises DataError for a class of fewer than 2."""
    from sklearn.model_selection import train_test_split

    counts = np.bincount(labels, minlength=len(classes))
    if counts.min() < 2:
        name = classes[int(counts.argmin())]
        raise DataError(describe_too_few(f"class {name}", int(counts.min()), "readable image", f"images of {name}"))
    wanted = min(max(len(classes), round(fraction * len(labels))), len(labels) - len(classes))
    _, rows = train_test_split(np.arange(len(labels)), test_size=wanted, stratify=labels, random_state=SPLIT_SEED)
    is_held_out = np.zeros(len(labels), bool)
    is_held_out[rows] = True
    # A class that is rare beside the others may fall on one side whole; then its first image changes sides.
    first = np.unique(labels, return_index=True)[1]
    for side in (True, False):
        is_lacking = np.bincount(labels[is_held_out == side], minlength=len(classes)) == 0
        is_held_out[first[is_lacking]] = side
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
