"""SavedModels: a Keras model written as one, to be served or converted, and one loaded as a callable on images."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.runtime.image import height_and_width
from keras_resnet.runtime.metadata import (
    EXTRA_ASSETS,
    LABELS_FILE,
    MAX_TEXT_BYTES,
    METADATA_FILE,
    ModelMetadata,
    foreign_file_error,
    parse_metadata,
)
from keras_resnet.runtime.predictions import Outputs, name_outputs, unwrap_single_output
from keras_resnet.runtime.sandbox import start_check
from keras_resnet.runtime.signature import require_input

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

T = TypeVar("T")
# Of the folder that is converted to TFLite.
INFERENCE_SIGNATURE = "serve"
# The signature that TensorFlow Serving asks for unless another is named.
DEFAULT_SIGNATURE = "serving_default"
BYTES_SIGNATURE = "serve_bytes"
GRAPH_FILE = "saved_model.pb"


class SavedModel(Format):
    """A folder for TensorFlow Serving, with its metadata among the assets."""

    name = "savedmodel"
    title = "SavedModel"
    suffix = ""
    stem = "saved_model"

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the folder `target`."""
        ServingModel(model, conversion.metadata).write(target)

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the folder `path` into TensorFlow."""
        if not any(path.iterdir()):
            raise ExportError(f"{path} is an empty folder, not an exported model")
        if not self.recognizes(path):
            raise ExportError(f"{path} is a folder without a SavedModel or C source: name a file in it")
        return LoadedSavedModel(path, threads)

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is a SavedModel."""
        return (path / GRAPH_FILE).is_file()


def write_inference_signature(model: keras.Model, folder: Path, *, uint8_input: bool, batch: int | None = 1) -> None:
    """Write `model` with one signature: {"pixels": (batch, H, W, C)} → {"logits": (batch, classes), …}.

    A dynamic batch adds SHAPE, STRIDED_SLICE and PACK to a TFLite file. `uint8_input` makes the signature take
    uint8 pixels and cast them; a file that will be quantized takes float32 here and becomes uint8 in the conversion.
    """
    import keras
    import tensorflow as tf

    def infer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return name_outputs(model(tf.cast(pixels, tf.float32), training=False))

    dtype = tf.uint8 if uint8_input else tf.float32
    archive = keras.export.ExportArchive()
    # Not tracked as well: the functions' variables are found, and would be written a second time.
    signature = [tf.TensorSpec((batch, *model.input_shape[1:]), dtype, name="pixels")]
    archive.add_endpoint(INFERENCE_SIGNATURE, infer, signature)
    archive.write_out(str(folder), verbose=False)


class ServingModel:
    """A Keras model with the two signatures for TensorFlow Serving, each of any batch.

    serving_default: {"pixels": float32 (B, H, W, C), 0–255} → {"logits": (B, classes), …};
    serve_bytes: {"images": string (B,), each a JPEG, PNG, GIF or BMP} → {"logits", "probabilities", …}; decoded and
    preprocessed in the graph as the metadata say: gray or in colors, resized and cropped, padded or stretched. Networks
    of other channels, which such files do not have, are without the second signature.
    """

    def __init__(self, model: keras.Model, metadata: ModelMetadata) -> None:
        self.model = model
        self.metadata = metadata
        self.height, self.width, self.channels = model.input_shape[1:]

    def write(self, folder: Path) -> None:
        """Write the SavedModel and its metadata to `folder`."""
        import keras
        import tensorflow as tf

        archive = keras.export.ExportArchive()
        pixels = tf.TensorSpec((None, self.height, self.width, self.channels), tf.float32, name="pixels")
        archive.add_endpoint(DEFAULT_SIGNATURE, self._infer, [pixels])
        if self.channels in (1, 3):
            encoded = [tf.TensorSpec((None,), tf.string, name="images")]
            archive.add_endpoint(BYTES_SIGNATURE, self._infer_bytes, encoded)
        archive.write_out(str(folder), verbose=False)
        extra = folder / EXTRA_ASSETS
        extra.mkdir()
        (extra / LABELS_FILE).write_text(self.metadata.labels(), encoding="utf-8")
        (extra / METADATA_FILE).write_text(json.dumps(self.metadata.details(), indent=2), encoding="utf-8")

    def _infer(self, pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return name_outputs(self.model(pixels, training=False))

    def _infer_bytes(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        import tensorflow as tf

        shape = tf.TensorSpec((self.height, self.width, self.channels), tf.float32)
        outputs = self._infer(tf.map_fn(self._preprocess, images, fn_output_signature=shape))
        logits = outputs.get("logits")
        if logits is None:
            probabilities = tf.sigmoid(outputs["scores"])
        elif self.metadata.postprocessor.has_thresholds:
            probabilities = tf.sigmoid(logits)
        else:
            probabilities = tf.nn.softmax(logits / self.metadata.confidence.temperature)
        return {**outputs, "probabilities": probabilities}

    def _preprocess(self, encoded: tf.Tensor) -> tf.Tensor:
        """Decode one image file, string (), to float32 (H, W, channels), 0–255."""
        import tensorflow as tf

        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        if self.channels == 1:
            image = tf.image.rgb_to_grayscale(image)
        method = self.metadata.preprocessing
        image = tf.image.resize(image, self._resized(tf.shape(image)[:2], method), "bicubic", antialias=True)
        if method == "letterbox":
            image = tf.image.pad_to_bounding_box(image, 0, 0, self.height, self.width)
        elif method == "center_crop":
            image = tf.image.resize_with_crop_or_pad(image, self.height, self.width)
        return tf.clip_by_value(tf.round(image), 0.0, 255.0)

    def _resized(self, shape: tf.Tensor, method: str) -> tf.Tensor:
        """Return the height and width, int32 (2,), that an image of `shape` is resized to."""
        import tensorflow as tf

        if method == "stretch":
            return tf.constant([self.height, self.width])
        wanted = (self.height, self.width) if method == "letterbox" else height_and_width(self.metadata.resize)
        sides = tf.cast(shape, tf.float32)
        scales = tf.constant(wanted, tf.float32) / sides
        scale = tf.reduce_min(scales) if method == "letterbox" else tf.reduce_max(scales)
        return tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), 1)


class LoadedSavedModel:
    """A loaded folder, run by TensorFlow through its serving signature; opened in another process first."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.card = parse_metadata(_read_text(folder, LABELS_FILE), _read_text(folder, METADATA_FILE), folder)
        wait = start_check(folder, LoadedSavedModel)
        import tensorflow as tf

        wait()
        self.threads = threads or os.cpu_count() or 1
        if threads:
            try:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
            except RuntimeError:  # already running, and with all of them
                self.threads = os.cpu_count() or 1
        try:
            self._model: Any = tf.saved_model.load(str(folder))
            (pixels,) = self._model.signatures[DEFAULT_SIGNATURE].structured_input_signature[1].values()
        except Exception as error:  # of many kinds, for a truncated file and a missing variable alike
            raise ExportError(f"{folder} is not a readable SavedModel: {' '.join(str(error).split())[:200]}") from error
        require_input(self.card, pixels.shape, folder)

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the float32 logits (N, classes) of uint8 images (N, H, W, C), or several outputs by name."""
        import tensorflow as tf

        outputs = self._model.signatures[DEFAULT_SIGNATURE](pixels=tf.constant(images, tf.float32))
        return unwrap_single_output({name: np.asarray(value) for name, value in outputs.items()})


def _read_text(folder: Path, name: str) -> str:
    """Return the text that a SavedModel has of itself. Raises ExportError where there is none, or too much."""
    file = folder / EXTRA_ASSETS / name
    try:
        if not file.is_file() or file.stat().st_size > MAX_TEXT_BYTES:
            raise foreign_file_error(folder)
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise foreign_file_error(folder) from error
