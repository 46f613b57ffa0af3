"""Find the features of a TFDS dataset that a training asks for: images, with a label, several, or objects."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.data.sources.tfds_examples import RecordFields
from keras_resnet.errors import DataError


def find_fields(builder: Any, annotations: str) -> RecordFields:
    """Return where the `annotations` of the dataset stand. Raises DataError for one without them."""
    import tensorflow_datasets as tfds

    features, kinds = builder.info.features, tfds.features
    image = [key for key, kind in features.items() if isinstance(kind, kinds.Image)]
    label = [key for key, kind in features.items() if isinstance(kind, kinds.ClassLabel)]
    if annotations == "label_sets":
        return _find_label_sets(builder, image)
    if annotations != "labels":
        objects = features["objects"].feature if "objects" in features else {}
        if "image" not in image or not {"bbox", "label"} <= set(objects):
            raise DataError(
                f"dataset {builder.name!r} has no images with boxes of objects; it has: {', '.join(features)}"
            )
        if annotations == "masks" and "ids" not in image:
            raise DataError(f"dataset {builder.name!r} has no masks of its objects; it has: {', '.join(features)}")
        known = tuple(key for key in ("bbox", "label", "is_crowd", "area") if key in objects)
        ids = "ids" if annotations == "masks" else ""
        return RecordFields(tuple(objects["label"].names), "image", objects=known, ids=ids)
    supervised = builder.info.supervised_keys
    if supervised and supervised[0] in image and supervised[1] in label:
        return RecordFields(tuple(features[supervised[1]].names), *supervised)
    if len(image) != 1 or len(label) != 1:
        raise DataError(
            f"dataset {builder.name!r} has no images with one class label each; it has: {', '.join(features)}"
        )
    return RecordFields(tuple(features[label[0]].names), image[0], label[0])


def _find_label_sets(builder: Any, images: list[str]) -> RecordFields:
    """Return where several labels an image stand: in a list of labels, in one of objects, or in a feature for each
    label that is true or false. Raises DataError where they stand nowhere."""
    import tensorflow_datasets as tfds

    features, kinds = builder.info.features, tfds.features
    image = "image" if "image" in images or not images else images[0]
    for key, kind in features.items():
        item = getattr(kind, "feature", None)
        nested = item["label"] if isinstance(item, kinds.FeaturesDict) and "label" in item else None
        for path, found in ((key, item), (f"{key}/label", nested)):
            if images and isinstance(found, kinds.ClassLabel):
                return RecordFields(tuple(found.names), image, sets=(path,))
        # Sorted: a prepared dataset does not keep their order.
        flags = tuple(sorted(kind)) if isinstance(kind, kinds.FeaturesDict) else ()
        if (
            images
            and len(flags) > 1
            and all(kind[flag].np_dtype == np.bool_ and kind[flag].shape == () for flag in flags)
        ):
            return RecordFields(flags, image, sets=tuple(f"{key}/{flag}" for flag in flags))
    raise DataError(
        f"dataset {builder.name!r} has no images with several labels each (a list of labels or of objects, or labels"
        f" that are true or false); it has: {', '.join(features)}"
    )
