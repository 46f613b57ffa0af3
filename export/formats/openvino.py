"""OpenVINO's intermediate representation: a Keras model written as one, in float16 or in 8 bits by NNCF, and one
loaded as a callable on images."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.file_options import FileOptions, SchemeOptions
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.runtime.metadata import ModelMetadata, foreign_file_error, parse_metadata
from keras_resnet.runtime.openvino_model import compile_network, describe_error, order_output_names
from keras_resnet.runtime.predictions import Outputs, unwrap_single_output
from keras_resnet.runtime.sandbox import require_opens
from keras_resnet.runtime.signature import require_input

if TYPE_CHECKING:
    import keras

NETWORK_FILE = "model.xml"
# Of what the network says of itself, where our metadata stand, as JSON without line ends.
SECTION, LABELS, DETAILS = "kresnet", "labels", "details"


class OpenVINO(Format):
    """A folder with model.xml and model.bin, with its metadata in the former. Takes uint8 pixels."""

    name = "openvino"
    title = "OpenVINO"
    suffix = ""
    stem = "openvino"
    extra = "openvino"
    packages = ("openvino", "nncf")
    schemes = ("float32", "float16", "int8", "qat")
    usual_schemes = ("float16", "int8")
    remedy = ("--openvino --quantize int8 --accuracy-control", "leave layers of OpenVINO's int8 file in float")

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the folder `target`."""
        import openvino

        self.require_installed()
        assert isinstance(conversion.options, SchemeOptions)
        scheme, images = conversion.options.scheme, conversion.calibration_images
        network = _read_network(model, conversion.folder, is_qat=scheme.is_qat)
        if images is not None:
            network = _quantize(network, images, conversion.options.controlled_drop)
        _describe(network, conversion.metadata)
        target.mkdir()
        # Scales of 8-bit weights stay in float32, unless layers in float are beside them.
        in_float16 = scheme.weights == "float16" or conversion.options.controlled_drop is not None
        openvino.save_model(network, str(target / NETWORK_FILE), compress_to_fp16=in_float16)

    def with_accuracy_control(self, options: FileOptions | None, max_drop: float) -> FileOptions | None:
        """See `Format.with_accuracy_control`: files that are quantized after training."""
        assert isinstance(options, SchemeOptions)
        return replace(options, controlled_drop=max_drop) if options.scheme.is_int8_ptq else options

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the folder `path`, or model.xml in it, into OpenVINO."""
        self.import_package("openvino")
        return OpenVINONetwork(path if path.is_file() else path / NETWORK_FILE, threads)

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is such a folder, or the file in it."""
        return path.name == NETWORK_FILE or (path / NETWORK_FILE).is_file()


def _read_network(model: keras.Model, folder: Path | None, *, is_qat: bool) -> Any:
    """Return a Keras model as OpenVINO's network, {"pixels": uint8 (N, H, W, C)} → {"logits": float32 (N, classes), …},
    for any N. It is read from a TFLite file, whose batch norms are folded into the convolutions. folder: see
    `Conversion`."""
    import openvino
    from ai_edge_litert.interpreter import Interpreter

    scheme = SCHEMES["qat" if is_qat else "float32"]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "model.tflite")
        write_tflite(model, TFLiteOptions(scheme, "float", None), None, file, folder=folder)
        network = openvino.Core().read_model(str(file))
        names = order_output_names(Interpreter(model_path=str(file)))
    for output, name in zip(network.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    network.inputs[0].get_tensor().set_names({"pixels"})
    steps = openvino.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    return steps.build()


def _quantize(network: Any, images: np.ndarray, max_drop: float | None) -> Any:
    """Return a float `network` in 8 bits by NNCF's quantization after training, with ranges by uint8 `images`. Where
    more than `max_drop` of the predictions for these change, NNCF leaves layers in float, those first that change
    most."""
    import nncf
    import openvino

    nncf.set_log_level(30)  # warnings; it draws a progress bar at less
    samples = nncf.Dataset([image[None] for image in images])
    if max_drop is None:
        return nncf.quantize(network, samples, subset_size=len(images))
    expected = _predict(openvino.compile_model(network, "CPU"), images)

    def count_kept(quantized: Any, shown: Any) -> tuple[float, list[float]]:
        """Return the fraction of the images `shown` with the prediction of the float network, and 0 or 1 for each."""
        rows = [int(row[0]) for row in shown]
        kept = [float(each) for each in _predict(quantized, images[rows]) == expected[rows]]
        return float(np.mean(kept)), kept

    numbers = nncf.Dataset([np.array([row]) for row in range(len(images))])
    return nncf.quantize_with_accuracy_control(
        network, samples, numbers, count_kept, max_drop=max_drop, subset_size=len(images)
    )


def _predict(compiled: Any, images: np.ndarray) -> np.ndarray:
    """Return the most probable class of uint8 `images` (N, H, W, C), by one output: int64 (N,)."""
    return np.array([int(compiled(image[None])[0].argmax()) for image in images])


def _describe(network: Any, metadata: ModelMetadata) -> None:
    """Write `metadata` into a network."""
    for name, value in ((LABELS, metadata.labels()), (DETAILS, metadata.details())):
        network.set_rt_info(json.dumps(value), [SECTION, name])


class OpenVINONetwork:
    """A loaded network, run by OpenVINO on the CPU; opened in another process first.

    Raises ExportError if it is damaged or was not exported by kresnet.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        import openvino

        if not file.is_file():
            raise ExportError(f"there is no file {file}")
        require_opens(file, OpenVINONetwork)
        self.threads = threads or os.cpu_count() or 1
        self._core = openvino.Core()
        try:
            self._network = self._core.read_model(str(file))
        except RuntimeError as error:
            raise ExportError(f"{file} is not a network that OpenVINO reads: {describe_error(error)}") from error
        self.card = _read_metadata(self._network, file)
        if len(self._network.inputs) != 1:
            raise foreign_file_error(file)
        shape = self._network.input(0).partial_shape
        require_input(self.card, [side.get_length() if side.is_static else None for side in shape], file)
        self._names = [output.get_any_name() for output in self._network.outputs]
        self._request = compile_network(self._core, self._network, self.threads)

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the float32 logits (N, classes) of uint8 images (N, H, W, C), or several outputs by name."""
        self._request.infer([np.ascontiguousarray(images)])
        outputs = {name: np.array(self._request.get_output_tensor(i).data) for i, name in enumerate(self._names)}
        return unwrap_single_output(outputs)


def _read_metadata(network: Any, file: Path) -> ModelMetadata:
    """Return the metadata in a network. Raises ExportError where there are none of ours."""
    try:
        labels, details = (json.loads(network.get_rt_info([SECTION, name]).astype(str)) for name in (LABELS, DETAILS))
    except (RuntimeError, ValueError) as error:
        raise foreign_file_error(file) from error
    if not isinstance(labels, str):
        raise foreign_file_error(file)
    return parse_metadata(labels, json.dumps(details), file)
