"""A Keras model as a SavedModel of one signature with a fixed batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIGNATURE = "serve"


def write_saved_model(model: Any, folder: Path, *, uint8_input: bool) -> None:
    """Write `model` with the signature SIGNATURE: {"pixels": (1, H, W, 3)} → {"logits": (1, classes)}.

    The batch is fixed at 1: a dynamic one adds SHAPE, STRIDED_SLICE and PACK to a TFLite file.
    `uint8_input` makes the signature take uint8 pixels and cast them; a file that will be quantized
    takes float32 here and becomes uint8 in the conversion.
    """
    import keras
    import tensorflow as tf

    def logits(pixels: Any) -> Any:
        return {"logits": model(tf.cast(pixels, tf.float32), training=False)}

    dtype = tf.uint8 if uint8_input else tf.float32
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(SIGNATURE, logits, [tf.TensorSpec((1, *model.input_shape[1:]), dtype, name="pixels")])
    archive.write_out(str(folder), verbose=False)
