"""Core ML packages: a Keras model written as one, for Apple's devices; one loaded as a callable on images, on a Mac."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_resnet.errors import ExportError
from keras_resnet.export.file_options import SchemeOptions
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.runtime.metadata import (
    LABELS_FILE,
    METADATA_FILE,
    ModelMetadata,
    foreign_file_error,
    parse_metadata,
)
from keras_resnet.runtime.predictions import Outputs, name_outputs, unwrap_single_output

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# What an ML program gives of a classifier: the label, and the probabilities by label.
LABEL, PROBABILITIES = "classLabel", "classLabel_probs"
# Weights of fewer numbers stay in float16: coremltools' own default.
MIN_QUANTIZED = 2048
MAC = "Darwin"


class CoreML(Format):
    """An .mlpackage with an ML program, which takes images.

    Classifiers give probabilities by label, as Vision and Xcode expect; other networks the Keras model's outputs.
    """

    name = "coreml"
    title = "Core ML"
    suffix = ".mlpackage"
    stem = "coreml"
    extra = "coreml"
    packages = ("coremltools",)
    schemes = ("float16", "dynamic")
    usual_schemes = ("float16", "dynamic")
    only_on = "macOS"
    has_logits = False

    @property
    def runs_here(self) -> bool:
        """Whether this is a Mac."""
        return platform.system() == MAC

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the package `target`."""
        self.require_installed()
        assert isinstance(conversion.options, SchemeOptions)
        package = _convert(model, conversion.metadata)
        if conversion.options.scheme.weights == "int8":
            package = _quantize_weights(package)
        for name, text in _describe(conversion.metadata).items():
            package.user_defined_metadata[name] = text
        package.save(str(target))

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the package `path` into Core ML."""
        if not self.runs_here:
            raise ExportError(f"{path} cannot be run here: Core ML is a part of macOS")
        self.import_package("coremltools")
        return CoreMLModel(path)


def _convert(model: keras.Model, metadata: ModelMetadata) -> Any:
    """Return an ML program in float16 of a Keras model."""
    import coremltools
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from keras_resnet.export.formats.portable_operators import with_portable_operators

    model, shape = with_portable_operators(model), (1, *model.input_shape[1:])
    outputs = metadata.postprocessor
    is_classifier = outputs.has_one_label

    def infer(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        named = name_outputs(model(pixels, training=False))
        if not is_classifier:
            return named
        return {"probabilities": tf.nn.softmax(named["logits"] / metadata.confidence.temperature)}

    function: Any = tf.function(infer)
    frozen = convert_variables_to_constants_v2(
        function.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="pixels"))
    )
    labels = coremltools.ClassifierConfig(list(metadata.classes)) if is_classifier else None
    return coremltools.convert(
        [frozen],
        source="tensorflow",
        inputs=[_describe_input(shape)],
        classifier_config=labels,
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT16,
        minimum_deployment_target=coremltools.target.iOS16,
    )


def _describe_input(shape: tuple[int, ...]) -> Any:
    """Return the input's type: an image of one or three channels, else an array."""
    import coremltools

    layouts = {1: coremltools.colorlayout.GRAYSCALE, 3: coremltools.colorlayout.RGB}
    if (layout := layouts.get(shape[-1])) is None:
        return coremltools.TensorType(name="pixels", shape=shape)
    return coremltools.ImageType(name="pixels", shape=shape, color_layout=layout)


def _quantize_weights(package: Any) -> Any:
    """Return an ML program whose weights have 8 bits, and a scale for each output channel. Core ML computes in
    float16."""
    from coremltools.optimize import coreml as optimize

    how = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=MIN_QUANTIZED)
    return optimize.linear_quantize_weights(package, optimize.OptimizationConfig(global_config=how))


def _describe(metadata: ModelMetadata) -> dict[str, str]:
    """Return the metadata as texts: without the rule for unknown images, which needs the logits."""
    metadata = replace(metadata, confidence=replace(metadata.confidence, rejection=None))
    return {LABELS_FILE: metadata.labels(), METADATA_FILE: json.dumps(metadata.details())}


class CoreMLModel:
    """A loaded package, run by Core ML on what it chooses: CPU, GPU or Neural Engine.

    Raises ExportError if it is damaged or was not exported by kresnet.
    """

    threads = 1

    def __init__(self, path: Path) -> None:
        import coremltools

        try:
            self._model: Any = coremltools.models.MLModel(str(path))
        except Exception as error:  # coremltools raises what Core ML says, of many kinds
            raise ExportError(
                f"{path} is not a readable Core ML package: {' '.join(str(error).split())[:200]}"
            ) from error
        texts = self._model.user_defined_metadata
        if LABELS_FILE not in texts or METADATA_FILE not in texts:
            raise foreign_file_error(path)
        self.card = parse_metadata(texts[LABELS_FILE], texts[METADATA_FILE], path)

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the float32 logits (N, classes) of uint8 images (N, H, W, C), or several outputs by name."""
        found = [self._predict(image) for image in images]
        return unwrap_single_output({name: np.stack([each[name] for each in found]) for name in found[0]})

    def _predict(self, image: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._model.predict({"pixels": _to_input(image)})
        if PROBABILITIES in outputs:
            logits = logits_of([outputs[PROBABILITIES][label] for label in self.card.classes])
            # The network has divided them by the temperature, as is done again with what this returns.
            return {"logits": logits * np.float32(self.card.confidence.temperature)}
        return {name: np.asarray(value, np.float32)[0] for name, value in outputs.items()}


def _to_input(image: np.ndarray) -> Image.Image | np.ndarray:
    """Return a uint8 image (H, W, C) as the package takes it, see `_describe_input`."""
    if image.shape[-1] in (1, 3):
        return Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    return image[None].astype(np.float32)


def logits_of(probabilities: list[float]) -> np.ndarray:
    """Return float32 logits (classes,) whose softmax the `probabilities` are; of zeros those of the smallest number."""
    return np.log(np.maximum(np.asarray(probabilities, np.float32), np.finfo(np.float32).tiny))
