"""A Keras model as a TFLite file of one form: nothing but builtin operators."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compression.quantization.freeze import prepare_for_conversion
from keras_resnet.errors import ExportError, UsageError, did_you_mean
from keras_resnet.export.flatbuffer import find_layer_outputs
from keras_resnet.export.formats.detection_postprocess import append_postprocess
from keras_resnet.export.formats.litert_quantizer import quantize_tflite
from keras_resnet.export.formats.saved_model import SIGNATURE, write_signature
from keras_resnet.export.tflite_options import LITERT_QUANTIZER, SCHEMES, TFLiteOptions
from keras_resnet.runtime.metadata import ModelMetadata


def write_tflite(
    model: Any, form: TFLiteOptions, images: np.ndarray | None, target: Path, card: ModelMetadata | None = None
) -> None:
    """Convert `model` to `target`, with calibration `images` uint8 (N, H, W, 3) where the form needs them, and the
    `card` of a detector that is to make objects itself.

    Raises UsageError for a layer to keep in float that the model does not have.
    """
    raw = replace(form, full=False)
    if form.engine == LITERT_QUANTIZER:
        assert images is not None
        floats = replace(raw, scheme=SCHEMES["float32"])
        content = quantize_tflite(_content(model, floats, None), _samples(images, floats))
    else:
        content = _content(model, raw, images)
    if form.full:
        assert card is not None
        content = append_postprocess(content, card)
    target.write_bytes(content)


def _content(model: Any, form: TFLiteOptions, images: np.ndarray | None) -> bytes:
    """The file's bytes, by TensorFlow's converter."""
    _require_layers(model, form.keep_float)
    if form.scheme.learned:
        prepare_for_conversion(model)
    if form.scheme.needs_calibration and images is not None and form.batch and form.batch > len(images):
        raise UsageError(f"--batch must be at most the {len(images)} calibration images. Received: {form.batch}")
    with tempfile.TemporaryDirectory() as scratch:
        write_signature(model, Path(scratch), uint8_input=_casts(form), batch=form.batch)
        converter = _converter(Path(scratch), form, images)
        content: bytes = converter.convert()
        return _with_floats(converter, content, form.keep_float) if form.keep_float else content


def _casts(form: TFLiteOptions) -> bool:
    """Whether pixels are cast in the graph; an integer file takes them as they are, by the scale of its input."""
    return form.io == "uint8" and not form.integer


def _converter(folder: Path, form: TFLiteOptions, images: np.ndarray | None) -> Any:
    import tensorflow as tf

    lite, scheme = tf.lite, form.scheme
    converter = lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS]
    if scheme.name != "float32":
        converter.optimizations = [lite.Optimize.DEFAULT]
    if scheme.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if scheme.needs_calibration:
        assert images is not None
        converter.representative_dataset = lambda: _samples(images, form)
    if scheme.activations == "int16":
        sixteen = lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        # Only the cast of pixels needs the second set.
        converter.target_spec.supported_ops = [sixteen, *([lite.OpsSet.TFLITE_BUILTINS] if _casts(form) else [])]
    if scheme.activations == "int8" and not form.keep_float:
        if not scheme.learned:
            converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]
        if form.integer:
            converter.inference_input_type = converter.inference_output_type = getattr(tf, form.io)
    return converter


def _samples(images: np.ndarray, form: TFLiteOptions) -> Iterator[dict[str, np.ndarray]]:
    """Calibration images as the signature that `form` is converted from takes them."""
    dtype, batch = np.uint8 if _casts(form) else np.float32, form.batch or 1
    for start in range(0, len(images) - batch + 1, batch):
        yield {"pixels": images[start : start + batch].astype(dtype)}


def _with_floats(converter: Any, quantized: bytes, layers: tuple[str, ...]) -> bytes:
    """Convert once more, leaving out what `layers` became in the file `quantize_tflite`."""
    import tensorflow as tf

    names = find_layer_outputs(quantized, layers)
    if lost := [layer for layer in layers if not names[layer]]:
        raise ExportError(f"the layers {', '.join(lost)} have no operator of their own in the file")
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_nodes=[n for each in names.values() for n in each]
    )
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
    )
    return bytes(debugger.get_nondebug_quantized_model())


def _require_layers(model: Any, wanted: tuple[str, ...]) -> None:
    known = [layer.name for layer in model.layers]
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"--keep-float must name layers of the network. Received: {name!r}.{did_you_mean(name, known)}"
            )
