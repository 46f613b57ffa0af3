"""Read training images from files, given nothing but text and numbers, so that another process can: the workers of a
data service are asked for batches by this, and answer with the pixels that this process would make."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.scaled_decoding import least_side
from keras_resnet.data.transforms.registry import augment_image, needs_pillow
from keras_resnet.runtime.image import read_image, resize_and_crop


@dataclass(frozen=True)
class TrainingReader:
    """How a file becomes a training image. resize: as a split has it; image_size: of the training; side: of what is
    made one by one."""

    augment: AugmentSpec
    levels: tuple[float, ...]
    resize: int
    image_size: int
    side: int
    seed: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of what `read` returns."""
        side = self.side if needs_pillow(self.augment) else self.resize
        return side, side, 3

    def read(self, file: str, position: int) -> np.ndarray:
        """Return the image in `file` as it is shown at `position` of the training; or, where batches are cropped at
        once, as it is before that. uint8 of `shape`. Raises DataError."""
        if self.augment.crop == "resized":
            image = read_image(file, self.levels, least_side(self.augment, self.image_size))
        else:
            image = Image.fromarray(resize_and_crop(read_image(file, self.levels), self.resize))
        if not needs_pillow(self.augment):
            return np.asarray(image)
        return augment_image(image, position, settings=self.augment, size=self.side, seed=self.seed)

    def to_text(self) -> str:
        """Return it as `from_text` takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> TrainingReader:
        """Return what `to_text` made."""
        values: dict[str, Any] = json.loads(text)
        augment: dict[str, Any] = {
            key: tuple(each) if isinstance(each, list) else each for key, each in values["augment"].items()
        }
        return cls(**{**values, "augment": AugmentSpec(**augment), "levels": tuple(values["levels"])})


@lru_cache(maxsize=16)
def _cached_reader(text: bytes) -> TrainingReader:
    return TrainingReader.from_text(text.decode())


def read_batch(request: bytes, files: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the images of one batch, uint8 (B, …). request: a reader's `to_text`. files: names (B,), as bytes.
    positions: int64 (B,). Raises DataError."""
    reader = _cached_reader(request)
    pairs = zip(files, positions, strict=True)
    return np.stack([reader.read(file.decode(errors="surrogateescape"), int(position)) for file, position in pairs])
