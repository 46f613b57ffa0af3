"""The runtimes of kresnet's environment, for edge.py: LiteRT, in several ways, OpenVINO and onnxruntime."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from edge_measure import Network, Runtime, run_child

# Of XNNPACK's delegate, `xnnpack_delegate.h`: those that are set unless others are, and two more.
XNNPACK_DEFAULT, XNNPACK_TRANSIENT_INDIRECTION, XNNPACK_LATEST = 0x01 | 0x02, 0x20, 0x40
INTERPRETER = "litert"


def _to_input(image: np.ndarray, dtype: Any) -> np.ndarray:
    """Return a uint8 image as a file takes it: as it is, as float32, or as int8 with 128 less."""
    if np.dtype(dtype) == np.int8:
        return (image ^ 0x80).view(np.int8)
    return image.astype(dtype, copy=False)


def _interpret(file: str, threads: int, *, has_delegate: bool = True, **settings: Any) -> Network:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.AUTO if has_delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(file, num_threads=threads, experimental_op_resolver_type=kernels, **settings)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(taken["index"], _to_input(image, taken["dtype"]))
        interpreter.invoke()
        outputs: np.ndarray = interpreter.get_tensor(given["index"])
        return outputs

    return run


def _compile(file: str, threads: int, *, has_cache: bool = False, **cpu: Any) -> Network:
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import CpuOptions, Options

    if has_cache:
        cpu["xnnpack_weight_cache_path"] = f"{file}.cache"
    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads, **cpu))
    model = CompiledModel.from_file(file, options=options)
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    key = next(iter(model.get_signature_list()))
    (taken,) = model.get_input_tensor_details(key).values()
    (given,) = model.get_output_tensor_details(key).values()
    count = int(np.prod(given["shape"]))

    def run(image: np.ndarray) -> np.ndarray:
        inputs[0].write(np.ascontiguousarray(_to_input(image, taken["dtype"])))
        model.run_by_index(0, inputs, outputs)
        return np.array(outputs[0].read(count, given["dtype"]))

    return run


def _onnxruntime(file: str, threads: int) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(image: np.ndarray) -> np.ndarray:
        (outputs,) = session.run(None, {"pixels": image.astype(np.float32)})
        return np.asarray(outputs)

    return run


def _openvino(file: str, threads: int) -> Network:
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", settings)
    request, dtype = compiled.create_infer_request(), compiled.input(0).element_type.to_dtype()

    def run(image: np.ndarray) -> np.ndarray:
        request.infer([image.astype(dtype, copy=False)])
        outputs: np.ndarray = request.get_output_tensor(0).data
        return outputs

    return run


# Ways to run a file in LiteRT, beside its interpreter with the settings that it has by itself.
LITERT_WAYS: dict[str, Callable[[str, int], Network]] = {
    "XNNPACK's latest operators": partial(_interpret, experimental_default_delegate_latest_features=True),
    "without XNNPACK": partial(_interpret, has_delegate=False),
    "CompiledModel": _compile,
    "CompiledModel, XNNPACK's latest operators": partial(_compile, xnnpack_flags=XNNPACK_DEFAULT | XNNPACK_LATEST),
    "CompiledModel, indirection buffers made anew": partial(
        _compile, xnnpack_flags=XNNPACK_DEFAULT | XNNPACK_TRANSIENT_INDIRECTION
    ),
    "CompiledModel, weight cache": partial(_compile, has_cache=True),
}
RUNTIMES = {
    INTERPRETER: Runtime(_interpret),
    "onnx": Runtime(_onnxruntime),
    "openvino": Runtime(_openvino),
    **{name: Runtime(way) for name, way in LITERT_WAYS.items()},
}


def to_floats(file: Path, outputs: np.ndarray) -> np.ndarray:
    """Return as float32 what was computed of a .tflite file's output; other files give floats."""
    if outputs.dtype.kind not in "iu":
        return outputs
    from ai_edge_litert.interpreter import Interpreter

    scale, zero_point = Interpreter(str(file)).get_output_details()[0]["quantization"]
    return np.asarray(scale * (outputs.astype(np.float32) - zero_point))


if __name__ == "__main__":
    run_child(RUNTIMES, sys.argv[1:])
