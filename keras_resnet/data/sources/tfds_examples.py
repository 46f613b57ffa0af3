"""The records of a TFDS data set: which features they have, and an image and what is known of it from one of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.annotations import Annotation, encode_rle
from keras_resnet.data.sources.tfrecord import Records
from keras_resnet.errors import DataError
from keras_resnet.runtime.image import read_image


@dataclass(frozen=True)
class RecordFields:
    """Where a record has what: the keys of the image, of its label, of the map of its objects' masks. objects: what is
    known of them, of "bbox", "label", "is_crowd" and "area"."""

    classes: tuple[str, ...]
    image: str
    label: str = ""
    objects: tuple[str, ...] = ()
    ids: str = ""


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

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> Image.Image:
        return read_image(self.parse(row)[1], self.levels)

    def read_scaled(self, row: int, at_least: int) -> Image.Image:
        """Return the image at `row`, scaled while it is decoded (see `runtime.image.read_image`)."""
        return read_image(self.parse(row)[1], self.levels, at_least)

    def parse(self, row: int) -> tuple[Any, bytes]:
        """Return the label, or what is known of the objects by name; and the encoded image. Raises DataError for a
        record without them."""
        import tensorflow as tf

        try:
            features = tf.train.Example.FromString(self.records[row]).features.feature
            encoded = features[self.fields.image].bytes_list.value[0]
            if not self.fields.objects:
                return features[self.fields.label].int64_list.value[0], encoded
            known = {key: features[f"objects/{key}"] for key in self.fields.objects}
            values = {key: np.array(each.float_list.value or each.int64_list.value) for key, each in known.items()}
            if self.fields.ids:
                values["ids"] = features[self.fields.ids].bytes_list.value[0]
            return values, encoded
        except Exception as error:  # protobuf's DecodeError is of no public type
            raise DataError(f"{self.name(row)} is damaged: {' '.join(str(error).split())}") from error

    def subset(self, rows: Sequence[int]) -> Examples:
        """Return those at `rows`, in that order."""
        return replace(self, records=Records(self.records.files, self.records.spans[list(rows)]))

    def name(self, row: int) -> str:
        """Return the record in words."""
        file = int(self.records.spans[row][0])
        return f"record {row} ({self.records.files[file].rpartition('/')[2]})"
