"""ONNX files: a Keras model written as one, in float32 or in 8 bits, and one loaded as a callable on images."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.atomic_write import write_atomically
from keras_resnet.errors import ExportError
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import (
    LABELS_FILE,
    METADATA_FILE,
    ModelMetadata,
    foreign_file_error,
    parse_metadata,
    require_kind,
)
from keras_resnet.runtime.predictions import Outputs, name_outputs, unwrap_single_output
from keras_resnet.runtime.sandbox import require_opens
from keras_resnet.runtime.signature import require_input

if TYPE_CHECKING:
    import keras
    import onnx

OPSET = 18
# What stands for the number of images.
BATCH = "batch"


class ONNX(Format):
    """An .onnx file with its metadata among the model's properties."""

    name = "onnx"
    title = "ONNX"
    suffix = ".onnx"
    stem = "model"
    extra = "onnx"
    packages = ("tf2onnx", "onnx", "onnxruntime")
    schemes = ("float32", "int8")
    usual_schemes = ("float32",)

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the file `target`."""
        self.require_installed()
        if conversion.calibration_images is None:
            write_onnx(model, conversion.metadata, target)
            return
        with tempfile.TemporaryDirectory() as scratch:
            float32 = Path(scratch, "float32.onnx")
            write_onnx(model, conversion.metadata, float32)
            quantize_onnx(float32, conversion.calibration_images, target)

    def renew_confidence(self, path: Path, confidence: Confidence) -> bool:
        """Write `confidence` into the model's properties."""
        self.require_installed()
        import onnx

        try:
            model = onnx.load(str(path), load_external_data=False)
        except Exception as error:  # protobuf's own
            raise ExportError(f"{path} is not a readable ONNX model: {' '.join(str(error).split())[:200]}") from error
        texts = {each.key: each.value for each in model.metadata_props}
        card = replace(_parse_texts(texts, path), confidence=confidence)
        onnx.helper.set_model_props(model, {**texts, METADATA_FILE: json.dumps(card.details())})
        with write_atomically(path) as temporary:
            onnx.save(model, str(temporary))
        return True

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the file `path` into onnxruntime."""
        return OnnxModel(path, threads)


def write_onnx(model: keras.Model, metadata: ModelMetadata, target: Path, batch: int | None = None) -> None:
    """Write `model`, {"pixels": float32 (batch, H, W, C), 0–255} → {"logits": (batch, classes), …}, with `metadata`
    among its properties. batch: of how many images, None for any number."""
    import keras
    import onnx

    pixels = keras.InputSpec(shape=(batch, *model.input_shape[1:]), dtype="float32", name="pixels")
    model.export(str(target), format="onnx", verbose=False, opset_version=OPSET, input_signature=[pixels])
    shapes = {name: tuple(each.shape) for name, each in name_outputs(model.output).items()}
    written = _rename_outputs(onnx.load(str(target)), shapes, batch or BATCH)
    onnx.helper.set_model_props(
        written, {LABELS_FILE: metadata.labels(), METADATA_FILE: json.dumps(metadata.details())}
    )
    onnx.checker.check_model(written)
    onnx.save(written, str(target))


def quantize_onnx(source: Path, images: np.ndarray, target: Path) -> None:
    """Write the float file `source` to `target` in 8 bits, between QuantizeLinear and DequantizeLinear: int8 weights
    with a scale for each channel, and uint8 activations, which onnxruntime computes faster on x86 than int8 ones.

    The weights use 7 bits of the 8: x86 processors without VNNI add two products of uint8 and int8 in 16 bits, which
    the sum of larger ones exceeds (onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    images: uint8 (N, H, W, C), whose smallest and largest activations are the ranges, as in TFLite files.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = source.with_name("prepared.onnx")
    # Its symbolic shapes need SymPy, and our networks have none but the number of images.
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(target),
        _CalibrationImages(images),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        reduce_range=True,
        calibrate_method=quantization.CalibrationMethod.MinMax,
    )
    written, former = onnx.load(str(target)), onnx.load(str(source), load_external_data=False)
    texts = {each.key: each.value for each in former.metadata_props}
    onnx.helper.set_model_props(written, texts)  # which optimization has removed
    onnx.save(written, str(target))


class _CalibrationImages:
    """Images as onnxruntime asks for them: one input after another, then None."""

    def __init__(self, images: np.ndarray) -> None:
        self._inputs = iter([{"pixels": image[None].astype(np.float32)} for image in images])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input."""
        return next(self._inputs, None)


def _rename_outputs(
    written: onnx.ModelProto, outputs: dict[str, tuple[int | None, ...]], batch: int | str
) -> onnx.ModelProto:
    """Give `written` the names and shapes that the outputs have in the Keras model, with `batch` for the number of
    images: tf2onnx calls them Identity:0 and unk__92."""
    from onnx.tools.update_model_dims import update_inputs_outputs_dims

    graph = written.graph
    # TensorFlow flattens a dict in the order of its keys.
    names = dict(zip((output.name for output in graph.output), sorted(outputs), strict=True))
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
    for output in graph.output:
        output.name = names[output.name]
    (pixels,) = graph.input
    sides = [side.dim_value for side in pixels.type.tensor_type.shape.dim]
    shapes = {name: [batch, *shape[1:]] for name, shape in outputs.items()}
    renamed: onnx.ModelProto = update_inputs_outputs_dims(written, {pixels.name: [batch, *sides[1:]]}, shapes)
    return renamed


def _parse_texts(texts: Mapping[str, str], file: Path) -> ModelMetadata:
    """Return the metadata among a model's properties. Raises ExportError where there are none of ours."""
    if LABELS_FILE not in texts or METADATA_FILE not in texts:
        raise foreign_file_error(file)
    return parse_metadata(texts[LABELS_FILE], texts[METADATA_FILE], file)


class OnnxModel:
    """A loaded file, run by onnxruntime on the CPU; opened in another process first. Raises ExportError if it is
    damaged or was not exported by kresnet."""

    def __init__(self, file: Path, threads: int | None = None) -> None:
        runtime: Any = get_format("onnx").import_package("onnxruntime")
        require_kind(file, "an ONNX model")
        require_opens(file, OnnxModel)
        self.threads = threads or os.cpu_count() or 1
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        try:
            self._session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own, a class for each of its codes
            raise ExportError(f"{file} is not a readable ONNX model: {' '.join(str(error).split())[:200]}") from error
        self.card = _parse_texts(self._session.get_modelmeta().custom_metadata_map, file)
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise foreign_file_error(file)
        self._input = inputs[0].name
        require_input(self.card, inputs[0].shape, file)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the float32 logits (N, classes) of uint8 images (N, H, W, C), or several outputs by name."""
        outputs = self._session.run(None, {self._input: images.astype(np.float32)})
        return unwrap_single_output(dict(zip(self._outputs, map(np.asarray, outputs), strict=True)))
