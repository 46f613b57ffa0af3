"""litert-quantizer, the second engine of 8-bit files: it rounds a float TFLite file by other rules than TensorFlow's
converter, better on some networks and worse on others."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from keras_resnet.export.flatbuffer import pack_model
from keras_resnet.export.formats.saved_model import INFERENCE_SIGNATURE


def quantize_tflite(content: bytes, samples: Iterable[dict[str, np.ndarray]]) -> bytes:
    """Return a float32 TFLite file's bytes with 8-bit weights and activations.

    Inputs and outputs stay what they are: int8 ones would be nothing for browsers and MediaPipe. `samples`, inputs by
    name, give the ranges, from the smallest to the largest value: the engine's own moving average cuts the largest
    logits off.
    """
    from litert_quantizer import calibrator, recipe
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.qtyping import TFLOperationName
    from litert_quantizer.quantizer import Quantizer
    from litert_quantizer.utils import qsv_utils

    (everything,) = recipe.static_wi8_ai8()
    outputs = {**everything, "operation": TFLOperationName.OUTPUT, "algorithm_key": AlgorithmName.NO_QUANTIZE}
    quantizer = Quantizer(content, [everything, outputs])
    observer = calibrator.Calibrator(content, num_threads=os.cpu_count() or 1, qsv_update_func=qsv_utils.min_max_update)
    observer.calibrate({INFERENCE_SIGNATURE: list(samples)}, quantizer._recipe_manager)
    result = quantizer.quantize(observer.get_model_qsvs(), enable_progress_report=False)
    return _embed_buffers(bytes(result.quantized_model))


def _embed_buffers(content: bytes) -> bytes:
    """Return a file that keeps larger buffers behind the FlatBuffer as one FlatBuffer: what else is written into it
    would move them."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.offset > 1:  # 1 stands for none
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return pack_model(model)
