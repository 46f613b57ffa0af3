"""The second engine of 8 bits: litert-quantizer, which rounds a float TFLite file by other rules than TensorFlow's
converter. It is better on some networks and worse on others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec

import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.export.flatbuffer import pack_model
from keras_resnet.export.formats.saved_model import SIGNATURE


def is_installed() -> bool:
    """Whether the engine is there (extra: litert)."""
    return find_spec("litert_quantizer") is not None


def require_installed() -> None:
    """Raises UsageError unless the engine is there."""
    if not is_installed():
        raise UsageError("--engine litert-quantizer needs that package: pip install 'kresnet[litert]'")


def quantize_tflite(content: bytes, samples: Iterable[dict[str, np.ndarray]]) -> bytes:
    """A float32 TFLite file's bytes with 8-bit weights and activations between its inputs and outputs, which stay what
    they are: int8 ones would be nothing for browsers and MediaPipe. `samples`, its inputs by name, tell the ranges:
    from the smallest to the largest value, because its own moving average cuts the largest logits off."""
    from litert_quantizer import calibrator, recipe
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName
    from litert_quantizer.quantizer import Quantizer
    from litert_quantizer.utils import qsv_utils

    (everything,) = recipe.static_wi8_ai8()
    outputs = {**everything, "operation": TFLOperationName.OUTPUT, "algorithm_key": AlgorithmName.NO_QUANTIZE}
    quantizer = Quantizer(content, [everything, outputs])
    watching = calibrator.Calibrator(content, num_threads=os.cpu_count() or 1, qsv_update_func=qsv_utils.min_max_update)
    watching.calibrate({SIGNATURE: list(samples)}, quantizer._recipe_manager)
    result = quantizer.quantize(watching.get_model_qsvs(), enable_progress_report=False)
    return _whole(bytes(result.quantized_model))


def _whole(content: bytes) -> bytes:
    """A file that keeps larger buffers behind the FlatBuffer, as one FlatBuffer: what else is written into it would
    move them."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:  # 1 stands for none
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return pack_model(model)
