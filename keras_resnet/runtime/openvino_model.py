"""Run a .tflite file by OpenVINO, as a function of images (extra: openvino)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .errors import ExportError, UsageError
from .tflite_model import TFLiteModel

# OpenVINO reads TFLite files by their name only.
TFLITE_SUFFIX = ".tflite"


class OpenVINOModel(TFLiteModel):
    """One .tflite file, loaded by OpenVINO on the CPU. LiteRT tells what its inputs and outputs are.

    Raises UsageError if OpenVINO is not installed, or for C source; ExportError as `TFLiteModel` does.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        core: Any = import_openvino().Core()
        if file.suffix != TFLITE_SUFFIX:
            raise UsageError(
                f"the runtime openvino is for {TFLITE_SUFFIX} files. Received: {file}; leave it out, and the file runs"
                " in the runtime of its format"
            )
        super().__init__(file, threads)
        try:
            self._core, self._network = core, core.read_model(str(file))
            self._request: Any = None if self.batch is None else compile_network(core, self._network, self.threads)
        except RuntimeError as error:
            raise ExportError(f"OpenVINO cannot run {file}: {describe_error(error)}") from error
        self._names = order_output_names(self._interpreter)

    def _resize(self, shape: tuple[int, ...]) -> None:
        if self._request is None or tuple(self._request.get_input_tensor(0).shape) != shape:
            self._network.reshape(list(shape))
            self._request = compile_network(self._core, self._network, self.threads)

    def _invoke(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self._request.infer([np.ascontiguousarray(self._pixels(images))])
        outputs = enumerate(self._names)
        return {name: self.to_floats(name, self._request.get_output_tensor(place).data) for place, name in outputs}


def order_output_names(interpreter: Any) -> list[str]:
    """Return the names of a TFLite file's outputs in the order that it has them in: OpenVINO keeps that, not the names.
    interpreter: of LiteRT, with the file."""
    signature = interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))
    by_index = {int(each["index"]): name for name, each in signature.get_output_details().items()}
    return [by_index[int(each["index"])] for each in interpreter.get_output_details()]


def compile_network(core: Any, network: Any, threads: int) -> Any:
    """Return OpenVINO's request for inference of a `network`, one at a time, by so many `threads` of the CPU."""
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    return core.compile_model(network, "CPU", settings).create_infer_request()


def describe_error(error: RuntimeError) -> str:
    """Return what OpenVINO says, which is the last of its lines: those before name places in its sources."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip(" .!")[:300]


def import_openvino() -> Any:
    """Import OpenVINO. Raises UsageError if it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise UsageError("OpenVINO is not installed: pip install openvino") from error
    return openvino
