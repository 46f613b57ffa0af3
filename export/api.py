"""Export from a script: any Keras model becomes an 8-bit file with a verdict, without a run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.freeze import require_trained_ranges
from keras_resnet.compression.quantization.graph_reader import NO_SOFTMAX, require_logits
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import ExportError, UsageError, require_one_of
from keras_resnet.export.calibration import Calibration, build_calibration
from keras_resnet.export.conversion_errors import explain_conversion_error
from keras_resnet.export.convert import converting
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.pipeline import build_provenance, require_writable
from keras_resnet.export.request import ExportFile
from keras_resnet.export.settings import Io
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.export.verdict import Budget, Verdict
from keras_resnet.export.verify import Reference
from keras_resnet.export.writing import Placement, write_and_verify
from keras_resnet.models.layers import deep_graphs
from keras_resnet.native_logs import quiet
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.predictions import Outputs
from keras_resnet.runtime.temporary_files import remove_leftovers
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.metadata import build_metadata

if TYPE_CHECKING:
    import keras


@quiet
def export_tflite(
    model: keras.Model,
    data: DatasetSplits,
    file: str | Path,
    *,
    max_drop: float = 1.0,
    io: Io = "uint8",
    require_proof: bool = False,
) -> Verdict:
    """Write `model` to `file`, a .tflite file of 8-bit weights and activations, and verify that file.

    model: functional, from pixels (B, H, W, C) in 0–255 to logits (B, classes), in any precision; or one that
    `keras_resnet.quantize` made and that was trained on, which has its own ranges: one that has seen no images is
    refused. data: of `export.in_memory`, or any other; its training images calibrate, its validation images verify.
    max_drop: points of accuracy that the file may lose. io: "uint8", "int8" or "float", see `tflite_options.Scheme`.
    require_proof: whether the whole 95% interval of the drop has to be within the budget, not its estimate alone.

    A file within the budget stands at `file`. One that failed stands beside it, as NAME.rejected.tflite, and nothing
    at `file`. The converter's output stands in NAME.log. Raises UsageError for a model or an option that is not for
    this, DataError for images that cannot calibrate, ExportError if the file cannot be written, which names the layers
    that cannot be converted.
    """
    file = Path(file)
    is_qat = any(isinstance(layer, FakeQuantizer) for layer in getattr(model, "layers", ()))
    budget = Budget.from_points(max_drop, require_proof)
    tflite = ExportFile(get_format("tflite"), _build_options(file, io, is_qat))
    _require_model(model, data)
    require_logits(model)
    if is_qat:
        require_trained_ranges(model)
    require_writable(file.parent)
    remove_leftovers(file.parent, file.name)
    float32_model = _to_float32(model)
    task = Classification(data.classes)
    reference = Reference.from_model(task, data, float32_model)
    _require_logits(reference.evaluation.outputs)
    calibration = None if is_qat else build_calibration(data)
    provenance = {"model": model.name, **build_provenance(tflite, data, reference.evaluation, calibration)}
    metadata = build_metadata(data.classes, data, provenance, task.output_metadata())
    writer = ModelWriter(float32_model, tflite, metadata, calibration, file.with_suffix(".log"), budget)
    placement = Placement(file, file.with_suffix(".rejected.tflite"))
    try:
        return write_and_verify(writer, placement, reference)
    except ExportError as error:
        raise explain_conversion_error(error, float32_model, writer.log) from error


@dataclass(frozen=True)
class ModelWriter:
    """Writes one file from a Keras model in memory. log: takes the converter's output."""

    model: keras.Model
    file: ExportFile
    metadata: ModelMetadata
    calibration: Calibration | None
    log: Path
    budget: Budget

    @contextmanager
    def writing(self, target: Path) -> Iterator[Callable[[], None]]:
        """Write the file to `target` during the block: see `writing.Writer`."""
        images = self.calibration.images if self.calibration else None
        with tempfile.TemporaryDirectory() as scratch:
            saved = Path(scratch, "model.keras")
            with deep_graphs():
                self.model.save(saved)
            conversion = Conversion(self.metadata, self.file.options, images)
            with converting(saved, self.file.format, conversion, target, self.log) as wait:
                yield wait


def _build_options(file: Path, io: str, is_qat: bool) -> TFLiteOptions:
    """Return what to write. Raises UsageError for options that are not for this."""
    scheme = SCHEMES["qat" if is_qat else "int8"]
    if file.suffix != get_format("tflite").suffix:
        raise UsageError(f"file must end in .tflite. Received: {file}")
    require_one_of("io", io, scheme.io_types)
    return TFLiteOptions(scheme, io)


def _require_model(model: keras.Model, data: DatasetSplits) -> None:
    """Raise UsageError unless `model` takes the images of `data` and has a logit for each of its classes."""
    input_shape, output_shape = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
    expected = data.input_shape, (len(data.classes),)
    received = tuple(shape[1:] if isinstance(shape, tuple) else shape for shape in (input_shape, output_shape))
    if received != expected:
        raise UsageError(
            f"the model must go from {(None, *expected[0])}, the images, to {(None, *expected[1])}, a logit for each"
            f" class. Received: from {input_shape} to {output_shape}"
        )


def _require_logits(outputs: Outputs) -> None:
    """Raise UsageError if outputs (N, classes) are probabilities already."""
    if outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise UsageError(f"{NO_SOFTMAX}. Received: probabilities")


def _to_float32(model: keras.Model) -> keras.Model:
    """Return `model`, or where a layer computes in another precision a float32 copy: no device has that precision."""
    import keras

    if all(layer.dtype_policy.name == "float32" for layer in model._flatten_layers(include_self=False)):
        return model
    with deep_graphs():
        copy = keras.models.clone_model(model, clone_function=_clone_in_float32, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _clone_in_float32(operation: keras.Operation) -> keras.Operation:
    import keras

    dtype = {"dtype": "float32"} if isinstance(operation, keras.Layer) else {}  # operators have none
    return type(operation).from_config({**operation.get_config(), **dtype})
