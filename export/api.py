"""From a script: a Keras model, however it was trained, becomes an 8-bit file with a verdict. No run is needed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.compression.quantization.freeze import require_seen
from keras_resnet.compression.quantization.graph_reader import NO_SOFTMAX, require_logits
from keras_resnet.compression.quantization.layers import FakeQuantizer
from keras_resnet.config.fields import one_of
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import UsageError
from keras_resnet.export.calibration import build_calibration
from keras_resnet.export.convert import convert
from keras_resnet.export.pipeline import provenance_of, require_writable, write_and_verify
from keras_resnet.export.tflite_metadata import write_metadata
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.export.verify import Reference, Verdict
from keras_resnet.models.layers import deep_graphs
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.temporary_files import sweep
from keras_resnet.tasks.classification import Classification


def export_tflite(
    model: Any,
    data: DatasetSplits,
    file: str | Path,
    max_drop: float = 0.01,
    io: str = "uint8",
    require_proof: bool = False,
) -> Verdict:
    """Write `model` to `file`, a .tflite file of 8-bit weights and activations, and judge that file.

    model: functional, from pixels (B, H, H, 3) in 0–255 to logits (B, classes), in any precision; or one that
    `keras_resnet.quantize` made and that was trained on, which has its own ranges: one that has seen no images is
    refused. data: of `data.memory.in_memory`, or
    any other; its training images calibrate, its validation images judge. max_drop: the budget, a share: 0.01 is one
    point. io: "uint8", "int8" or "float", see `schemes.PROFILES`. require_proof: whether the whole 95% interval of the
    drop has to be within the budget, not its estimate alone.

    A file within the budget stands at `file`. One that failed stands beside it, as NAME.rejected.tflite, and nothing
    at `file`. What the converter said stands in NAME.log. Raises UsageError for a model or an option that is not for
    this, DataError for images that cannot calibrate, ExportError if the file cannot be written.
    """
    file = Path(file)
    learned = any(isinstance(layer, FakeQuantizer) for layer in getattr(model, "layers", ()))
    form = _form(file, max_drop, io, learned)
    _require_model(model, data)
    require_logits(model)
    if learned:
        require_seen(model)
    require_writable(file.parent)
    sweep(file.parent, file.name)
    served = _in_float32(model)
    reference = Reference.by(Classification(data.classes), data, served)
    _require_logits(reference.evaluation.outputs)
    calibration = None if learned else build_calibration(data)
    provenance = {"model": model.name, **provenance_of(form, data, reference.evaluation, calibration)}
    card = ModelMetadata(data.classes, data.resize, data.image_size, provenance, levels=data.levels)

    def write(target: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            saved = Path(scratch, "model.keras")
            with deep_graphs():
                served.save(saved)
            images = calibration.images if calibration else None
            convert(saved, form, card, images, target, file.with_suffix(".log"))
        write_metadata(target, card, form.pixels_from)

    places = file, file.with_suffix(".rejected.tflite")
    return write_and_verify(write, places, reference, max_drop, form.integer, require_proof)


def _form(file: Path, max_drop: float, io: str, learned: bool) -> TFLiteOptions:
    """What to write. Raises UsageError for options that are not for this."""
    scheme = SCHEMES["qat" if learned else "int8"]
    if file.suffix != ".tflite":
        raise UsageError(f"file must end in .tflite. Received: {file}")
    if not 0 <= max_drop <= 1:
        raise UsageError(f"max_drop must be a share from 0 to 1, 0.01 for one point. Received: {max_drop}")
    one_of("io", io, scheme.io_types)
    return TFLiteOptions(scheme, io)


def _require_model(model: Any, data: DatasetSplits) -> None:
    """Raises UsageError unless `model` takes the images of `data` and has a logit for each of its classes."""
    taken, given = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    expected = (data.image_size, data.image_size, 3), (len(data.classes),)
    found = tuple(shape[1:] if isinstance(shape, tuple) else shape for shape in (taken, given))
    if found != expected:
        raise UsageError(
            f"the model must go from {(None, *expected[0])}, the images, to {(None, *expected[1])}, a logit for each"
            f" class. Received: from {taken} to {given}"
        )


def _require_logits(outputs: np.ndarray) -> None:
    """Raises UsageError if (N, classes) are probabilities already."""
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise UsageError(f"{NO_SOFTMAX}. Received: probabilities")


def _in_float32(model: Any) -> Any:
    """`model` itself, or where a layer computes in another precision a copy that does not: no device has that."""
    import keras

    if all(layer.dtype_policy.name == "float32" for layer in model._flatten_layers(include_self=False)):
        return model

    def in_float32(operation: Any) -> Any:
        dtype = {"dtype": "float32"} if isinstance(operation, keras.Layer) else {}  # operators have none
        return type(operation).from_config({**operation.get_config(), **dtype})

    with deep_graphs():
        copy = keras.models.clone_model(model, clone_function=in_float32, recursive=True)
    copy.set_weights(model.get_weights())
    return copy
