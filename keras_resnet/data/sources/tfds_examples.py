"""The records of a TFDS dataset: which features they have, and an image and what is known of it from one of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.annotations import Annotation, encode_rle
from keras_resnet.data.image_size import Shape
from keras_resnet.data.sources.tfrecord import Records
from keras_resnet.errors import DataError
from keras_resnet.runtime.image import Picture, read_image, read_shape

# Images whose proportions are looked at.
SAMPLED_RECORDS = 200


@dataclass(frozen=True)
class RecordFields:
    """Where a record has what: the keys of the image, of its label, of the map of its objects' masks. objects: what is
    known of them, of "bbox", "label", "is_crowd" and "area". sets: where several labels of the image stand: a list of
    their numbers, or for each label whether it is true."""

    classes: tuple[str, ...]
    image: str
    label: str = ""
    objects: tuple[str, ...] = ()
    ids: str = ""
    sets: tuple[str, ...] = ()


def to_annotation(known: dict[str, Any], size: tuple[int, int]) -> Annotation:
    """TFDS' features of the objects of an image of (width, height) `size`: boxes are top, left, bottom, right in shares
    of it, and the n-th object's pixels are n + 1 in the map "ids"."""
    width, height = size
    boxes = known["bbox"].reshape(-1, 4)[:, [1, 0, 3, 2]] * (width, height, width, height)
    masks: list[bytes] = []
    if "ids" in known:
        ids = np.asarray(Image.open(io.BytesIO(known["ids"])))
        masks = [encode_rle(ids == number + 1) for number in range(len(boxes))]
    return Annotation.from_boxes(size, boxes, known["label"], known.get("is_crowd"), known.get("area"), masks)


@dataclass(frozen=True)
class Examples:
    """The images of records that hold a tf.train.Example each."""

    records: Records
    fields: RecordFields
    levels: tuple[float, ...]
    channels: int = 3

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> Picture:
        return read_image(self.parse(row)[1], self.levels, self.channels)

    def sample_shapes(self) -> list[Shape]:
        """Return (height, width, channels) of up to SAMPLED_RECORDS of the images."""
        shapes = []
        for row in range(0, len(self), max(1, -(-len(self) // SAMPLED_RECORDS))):
            with suppress(DataError):  # the reading of all names it
                shapes.append(read_shape(self.parse(row)[1]))
        return shapes

    def read_scaled(self, row: int, at_least: int) -> Picture:
        """Return the image at `row`, scaled while it is decoded (see `runtime.image.read_image`)."""
        return read_image(self.parse(row)[1], self.levels, self.channels, at_least)

    def parse(self, row: int) -> tuple[Any, bytes]:
        """Return the label, what is known of the objects by name, or several labels as uint8 (classes,); and the
        encoded image. Raises DataError for a record without them."""
        import tensorflow as tf

        try:
            features = tf.train.Example.FromString(self.records[row]).features.feature
            encoded = features[self.fields.image].bytes_list.value[0]
            if self.fields.sets:
                return self._label_set(features), encoded
            if not self.fields.objects:
                return features[self.fields.label].int64_list.value[0], encoded
            known = {key: features[f"objects/{key}"] for key in self.fields.objects}
            values = {key: np.array(each.float_list.value or each.int64_list.value) for key, each in known.items()}
            if self.fields.ids:
                values["ids"] = features[self.fields.ids].bytes_list.value[0]
            return values, encoded
        except Exception as error:  # protobuf's DecodeError is of no public type
            raise DataError(f"{self.name(row)} is damaged: {' '.join(str(error).split())}") from error

    def _label_set(self, features: Any) -> np.ndarray:
        """Return which labels are there, uint8 (classes,); numbers that are no class, as -1, are left out."""
        numbers = [features[key].int64_list.value for key in self.fields.sets]
        if len(numbers) > 1:
            return np.array([each[0] > 0 for each in numbers], np.uint8)
        found = np.zeros(len(self.fields.classes), np.uint8)
        found[[label for label in numbers[0] if 0 <= label < len(found)]] = 1
        return found

    def subset(self, rows: Sequence[int]) -> Examples:
        """Return those at `rows`, in that order."""
        return replace(self, records=Records(self.records.files, self.records.spans[list(rows)]))

    def name(self, row: int) -> str:
        """Return the record in words."""
        file = int(self.records.spans[row][0])
        return f"record {row} ({self.records.files[file].rpartition('/')[2]})"
