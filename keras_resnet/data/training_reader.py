"""Make training images one by one, by Pillow. Of image files nothing but text and numbers is needed, so that another
process can: the workers of a data service are asked for batches by this, and answer with the pixels that this process
would make."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from keras_resnet.config.data import FITS, AugmentSpec, Fit
from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.data.scaled_decoding import least_side
from keras_resnet.data.transforms.registry import augment_image, needs_pillow
from keras_resnet.runtime.image import Picture, fit_picture, read_image, to_channels, to_picture


@dataclass(frozen=True)
class TrainingReader:
    """How an image becomes a training image. resize: as a split has it; image_size: of the training; cut: of what is
    made one by one. fit: of `config.data.FITS`."""

    augment: AugmentSpec
    levels: tuple[float, ...]
    resize: ImageSize
    image_size: ImageSize
    cut: ImageSize
    seed: int
    fit: Fit = "crop"
    channels: int = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of what `read` returns."""
        size = self.cut if needs_pillow(self.augment) else self.resize
        return (*height_and_width(size), self.channels)

    def read(self, file: str, position: int) -> np.ndarray:
        """Return the image in `file` as it is shown at `position` of the training; or, where batches are cropped at
        once, as it is before that. uint8 of `shape`. Raises DataError."""

        def decode(at_least: int = 0) -> Picture:
            return read_image(file, self.levels, self.channels, at_least)

        def fit_in() -> np.ndarray:
            return fit_picture(decode(), FITS[self.fit], self.resize, self.channels)

        return self.show(decode, fit_in, position) if needs_pillow(self.augment) else fit_in()

    def show(self, decode: Callable[[int], Picture], fit_in: Callable[[], np.ndarray], position: int) -> np.ndarray:
        """Return an image as it is shown at `position` of the training: uint8 of `shape`. It is read by `decode`, which
        takes the pixels that its shorter side keeps at least, where crops of all of it are taken; else by `fit_in`, in
        the split's size."""
        if self.augment.crop == "resized":
            picture = to_channels(decode(least_side(self.augment, self.image_size)), self.channels)
        else:
            picture = to_picture(fit_in())
        return augment_image(picture, position, settings=self.augment, size=self.cut, seed=self.seed, fit=self.fit)

    def to_text(self) -> str:
        """Return it as `from_text` takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> TrainingReader:
        """Return what `to_text` made."""
        values: dict[str, Any] = json.loads(text)
        augment = AugmentSpec(**_with_tuples(values["augment"]))
        return cls(**{**_with_tuples(values), "augment": augment})


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Return what JSON has as lists as the tuples that they were."""
    return {key: tuple(each) if isinstance(each, list) else each for key, each in values.items()}


@lru_cache(maxsize=16)
def _cached_reader(text: bytes) -> TrainingReader:
    return TrainingReader.from_text(text.decode())


def read_batch(request: bytes, files: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the images of one batch, uint8 (B, …). request: a reader's `to_text`. files: names (B,), as bytes.
    positions: int64 (B,). Raises DataError."""
    reader = _cached_reader(request)
    pairs = zip(files, positions, strict=True)
    return np.stack([reader.read(file.decode(errors="surrogateescape"), int(position)) for file, position in pairs])
