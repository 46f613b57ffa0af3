"""A Keras model as a SavedModel: to be converted, or to be served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keras_resnet.runtime.metadata import CARD, EXTRA, LABELS, ModelMetadata
from keras_resnet.runtime.predictions import WHOLE

SIGNATURE = "serve"
# The signature that TensorFlow Serving asks unless it is told of another.
DEFAULT_SIGNATURE = "serving_default"


def write_signature(model: Any, folder: Path, *, uint8_input: bool, batch: int | None = 1) -> None:
    """Write `model` with the signature SIGNATURE: {"pixels": (batch, H, W, 3)} → {"logits": (batch, classes), …}.

    A dynamic batch adds SHAPE, STRIDED_SLICE and PACK to a TFLite file. `uint8_input` makes the signature take
    uint8 pixels and cast them; a file that will be quantized takes float32 here and becomes uint8 in the conversion.
    """
    import keras
    import tensorflow as tf

    def logits(pixels: Any) -> Any:
        return name_outputs(model(tf.cast(pixels, tf.float32), training=False))

    dtype = tf.uint8 if uint8_input else tf.float32
    archive = keras.export.ExportArchive()
    # Not tracked as well: the functions' variables are found, and would be written a second time.
    archive.add_endpoint(SIGNATURE, logits, [tf.TensorSpec((batch, *model.input_shape[1:]), dtype, name="pixels")])
    archive.write_out(str(folder), verbose=False)


def name_outputs(outputs: Any) -> dict[str, Any]:
    """A model's outputs by name; a single one is the logits."""
    return outputs if isinstance(outputs, dict) else {"logits": outputs}


def write_serving(model: Any, card: ModelMetadata, folder: Path) -> None:
    """Write `model` for TensorFlow Serving, with two signatures of any batch:

    serving_default: {"pixels": float32 (B, H, W, 3), 0–255} → {"logits": (B, classes), …};
    serve_bytes: {"images": string (B,), each a JPEG, PNG, GIF or BMP} → {"logits", "probabilities", …}; decoded in the
    graph, and the shorter side resized and the centre cut out, or the whole brought to a square, as the task has it.
    """
    import keras
    import tensorflow as tf

    height, width = model.input_shape[1:3]

    def logits(pixels: Any) -> Any:
        return name_outputs(model(pixels, training=False))

    def prepare(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        sides = tf.cast(tf.shape(image)[:2], tf.float32)
        whole = card.task in WHOLE
        scale = width / tf.reduce_max(sides) if whole else card.resize / tf.reduce_min(sides)
        image = tf.image.resize(image, tf.cast(tf.round(sides * scale), tf.int32), "bicubic", antialias=True)
        if whole:
            image = tf.image.pad_to_bounding_box(image, 0, 0, height, width)
        else:
            image = tf.image.resize_with_crop_or_pad(image, height, width)
        return tf.clip_by_value(tf.round(image), 0.0, 255.0)

    def of_bytes(images: Any) -> Any:
        pixels = tf.map_fn(prepare, images, fn_output_signature=tf.TensorSpec((height, width, 3), tf.float32))
        answered = name_outputs(model(pixels, training=False))
        logits = answered.get("logits")
        shares = tf.sigmoid(answered["scores"]) if logits is None else tf.nn.softmax(logits)
        return {**answered, "probabilities": shares}

    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        DEFAULT_SIGNATURE, logits, [tf.TensorSpec((None, height, width, 3), tf.float32, name="pixels")]
    )
    archive.add_endpoint("serve_bytes", of_bytes, [tf.TensorSpec((None,), tf.string, name="images")])
    archive.write_out(str(folder), verbose=False)
    extra = folder / EXTRA
    extra.mkdir()
    (extra / LABELS).write_text(card.labels(), encoding="utf-8")
    (extra / CARD).write_text(json.dumps(card.details(), indent=2), encoding="utf-8")
