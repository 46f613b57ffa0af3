"""Keep training images on disk as they were decoded, so that resized crops of them need not decode them each time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.cache.pixel_cache import CachedRows
from keras_resnet.data.dataset import DatasetSplits, Images, PreparedImages
from keras_resnet.data.scaled_decoding import least_side
from keras_resnet.data.sources.parallel_decode import decode_in_parallel
from keras_resnet.progress import Log
from keras_resnet.runtime.image import Picture, read_image_size, size_of, to_channels, to_picture
from keras_resnet.runtime.plurals import counted, verb

KIND = "uncropped image"


@dataclass(frozen=True)
class UncroppedImages:
    """`images` of which some are `kept` as `read_scaled` returns them, scaled to no less than `at_least` pixels."""

    images: Images
    kept: PreparedImages
    at_least: int

    def __getitem__(self, row: int) -> Picture:
        return self.images[row]

    def read_scaled(self, row: int, at_least: int) -> Picture:
        """See `Images.read_scaled`."""
        pixels = self.kept.find(row) if at_least == self.at_least else None
        return self.images.read_scaled(row, at_least) if pixels is None else to_picture(pixels)


def keep_uncropped(data: DatasetSplits, augment: AugmentSpec, log: Log) -> DatasetSplits:
    """Return `data` whose training images are decoded once where `augment` asks for resized crops of image files. What
    is not in the cache yet is decoded now, as far as there is room; `log` is told."""
    train = data.splits["train"]
    if augment.crop != "resized" or train.images is None or not isinstance(train.prepared, CachedRows):
        return data
    at_least = least_side(augment, data.image_size)
    transform = f"{KIND}, at least {at_least}, channels {data.channels}, levels {tuple(data.levels)}"
    kept = train.prepared.open_beside(transform, KIND, log)
    if kept.cache.folder is None:
        return data
    missing = [row for row in range(train.count) if not kept.has(row)]
    if count := train.count - len(missing):
        images = counted(count, KIND, ",")
        log(
            f"cache: {images} {verb(count, 'was', 'were')} decoded by an earlier command (--cache off decodes each"
            " time)"
        )
    if missing:
        _fill(kept, missing, _Decoder(train.images, kept, at_least, data.channels))
    uncropped = UncroppedImages(train.images, kept, at_least)
    return replace(data, splits=data.splits | {"train": replace(train, images=uncropped)})


@dataclass(frozen=True)
class _Decoder:
    """Decodes `images`, as `UncroppedImages` has them, into `kept`."""

    images: Images
    kept: CachedRows
    at_least: int
    channels: int

    def count_bytes(self, row: int) -> int:
        """Return the bytes that the image at `row` takes, by its header. Raises DataError."""
        width, height = read_image_size(self.kept.files[row], self.at_least)
        return width * height * self.channels

    def decode(self, row: int) -> None:
        """Decode the image at `row`. Raises DataError."""
        picture = to_channels(self.images.read_scaled(row, self.at_least), self.channels)
        parts = picture if isinstance(picture, tuple) else (picture,)
        self.kept.add(row, size_of(picture), np.dstack([np.asarray(part) for part in parts]))


def _fill(kept: CachedRows, missing: list[int], decoder: _Decoder) -> None:
    """Decode the images at the rows `missing` where there is room for all of them. Of one that cannot be read any
    longer training itself will tell."""
    sizes = decode_in_parallel(missing, decoder.count_bytes, "measuring training images").values
    if not kept.cache.make_room(sum(sizes)):
        return
    try:
        decode_in_parallel(missing, decoder.decode, "decoding training images")
    finally:
        kept.cache.close()
