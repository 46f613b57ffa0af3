"""One image through a ResNet-50 of 224 pixels: our files beside what others make and run, interleaved.

    python benchmarks/edge.py [--torch-python PYTHON] [--rounds 3] [--threads 1 2]

Cases: kresnet's float32 and int8 files in LiteRT, and the same files in OpenVINO; kresnet's OpenVINO and ONNX files, in
float and in 8 bits; keras.applications' ResNet50 converted the default way, in float32 and with default dynamic range
quantization; torchvision's network in PyTorch. Weights are random: time, size and memory do not depend on them. Each
measurement is a process of its own; the median of the best round counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SIDE, CALIBRATION = 224, 40
WARMUP, RUNS = 3, 20


class Case(NamedTuple):
    """One row: a file, the runtime that runs it, and the seconds that its conversion took."""

    runtime: str
    file: Path
    seconds: float


def write_cases(folder: Path) -> dict[str, Case]:
    """Write all files to `folder` and return the rows."""
    import keras

    from keras_resnet import resnet

    ours = resnet(50, zero_gamma=False)  # zeros would be kept once for all layers
    stock = keras.applications.ResNet50(weights=None)
    float32, int8 = _write_ours(ours, "tflite", "float32", folder), _write_ours(ours, "tflite", "int8", folder)
    return {
        "kresnet float32": float32,
        "kresnet int8": int8,
        "kresnet float32 in OpenVINO": float32._replace(runtime="openvino"),
        "kresnet int8 in OpenVINO": int8._replace(runtime="openvino"),
        "kresnet OpenVINO float16": _write_ours(ours, "openvino", "float16", folder),
        "kresnet OpenVINO int8 (NNCF)": _write_ours(ours, "openvino", "int8", folder),
        "kresnet ONNX float32": _write_ours(ours, "onnx", "float32", folder),
        "kresnet ONNX int8": _write_ours(ours, "onnx", "int8", folder),
        "keras.applications, default": _write_stock(stock, folder, optimize=False),
        "keras.applications, default quantization": _write_stock(stock, folder, optimize=True),
    }


def _write_ours(model: Any, name: str, scheme: str, folder: Path) -> Case:
    from keras_resnet.export.file_options import SchemeOptions
    from keras_resnet.export.formats import get_format
    from keras_resnet.export.formats.base import Conversion
    from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
    from keras_resnet.runtime.metadata import ModelMetadata

    images = np.random.default_rng(0).integers(0, 256, (CALIBRATION, SIDE, SIDE, 3), dtype=np.uint8)
    card = ModelMetadata(tuple(map(str, range(1000))), 256, SIDE, {})
    file_format, chosen = get_format(name), SCHEMES[scheme]
    options = TFLiteOptions(chosen, "uint8") if name == "tflite" else SchemeOptions(chosen)
    file, start = folder / f"{name}-{file_format.file_name(options)}", time.perf_counter()
    file_format.write(model, Conversion(card, options, images if chosen.needs_calibration else None), file)
    seconds = time.perf_counter() - start
    return Case({"tflite": "litert"}.get(name, name), file / "model.xml" if name == "openvino" else file, seconds)


def _write_stock(model: Any, folder: Path, *, optimize: bool) -> Case:
    file, start = folder / f"stock-{optimize}.tflite", time.perf_counter()
    _default(model, file, optimize=optimize)
    return Case("litert", file, time.perf_counter() - start)


def _default(model: Any, file: Path, *, optimize: bool) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if optimize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    file.write_bytes(converter.convert())


def _time(runtime: str, file: str, threads: int) -> dict[str, float]:
    """In a process of its own: median milliseconds of an image, MiB at the highest."""
    from keras_resnet.export.benchmark import read_memory_mib

    before = read_memory_mib("VmRSS")
    run = _RUNNERS[runtime](file, threads)
    image = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    times = []
    for number in range(WARMUP + RUNS):
        start = time.perf_counter()
        run(image)
        times.append(time.perf_counter() - start if number >= WARMUP else np.inf)
    return {"ms": 1e3 * float(np.median(sorted(times)[:RUNS])), "mib": read_memory_mib("VmHWM") - before}


def _litert(file: str, threads: int) -> Callable[[np.ndarray], None]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=file, num_threads=threads)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]

    def run(image: np.ndarray) -> None:
        interpreter.set_tensor(taken["index"], image.astype(taken["dtype"]))
        interpreter.invoke()

    return run


def _onnxruntime(file: str, threads: int) -> Callable[[np.ndarray], None]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"pixels": image.astype(np.float32)})


def _openvino(file: str, threads: int) -> Callable[[np.ndarray], None]:
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", settings)
    request, dtype = compiled.create_infer_request(), compiled.input(0).element_type.to_dtype()
    return lambda image: request.infer([image.astype(dtype)])


_RUNNERS = {"litert": _litert, "onnx": _onnxruntime, "openvino": _openvino}
# Runs in an environment that has PyTorch and not kresnet.
TORCH = """
import json, sys, time, numpy as np, torch, torchvision
torch.set_num_threads(int(sys.argv[1]))
model = torchvision.models.resnet50(weights=None).eval().to(memory_format=torch.channels_last)
image, times = torch.rand(1, 3, 224, 224).contiguous(memory_format=torch.channels_last), []
status = lambda field: next(int(l.split()[1]) / 1024 for l in open("/proc/self/status") if l.startswith(field))
with torch.inference_mode():
    for number in range(23):
        start = time.perf_counter(); model(image)
        if number >= 3: times.append(time.perf_counter() - start)
print(json.dumps({"ms": 1e3 * float(np.median(times)), "mib": status("VmHWM")}))
"""


def _count_bytes(file: Path) -> int:
    """Return the bytes of a file; of OpenVINO's of both."""
    return sum(each.stat().st_size for each in (file, file.with_suffix(".bin")) if each.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    from keras_resnet.cli import console

    with tempfile.TemporaryDirectory() as folder:
        cases = write_cases(Path(folder))
        commands = {
            name: [sys.executable, __file__, "--child", case.runtime, str(case.file)] for name, case in cases.items()
        }
        if options.torch_python:
            commands["torchvision in PyTorch"] = [options.torch_python, "-c", TORCH]
        best: dict[tuple[str, int], dict[str, float]] = {}
        for _ in range(options.rounds):
            for threads in options.threads:
                for case, command in commands.items():
                    done = subprocess.run([*command, str(threads)], stdout=subprocess.PIPE, text=True, check=True)
                    found = json.loads(done.stdout.splitlines()[-1])
                    known = best.get((case, threads), found)
                    best[case, threads] = min(known, found, key=lambda each: each["ms"])
        sizes = {name: f"{_count_bytes(case.file) / 1e6:.1f} MB" for name, case in cases.items()}
    seconds = {name: f"{case.seconds:.1f} s" for name, case in cases.items()}
    last = options.threads[-1]
    rows = []
    for case in commands:
        times = [best[case, threads]["ms"] for threads in options.threads]
        ratio = best["kresnet int8", last]["ms"] / best[case, last]["ms"]
        texts = [f"{ms:.1f} ms" for ms in times]
        memory = f"{best[case, last]['mib']:.0f} MiB"
        rows.append([case, *texts, f"{ratio:.2f}", sizes.get(case, ""), memory, seconds.get(case, "")])
    columns = [
        "case",
        *(f"{count} threads" for count in options.threads),
        "int8 ÷ this",
        "size",
        "memory",
        "conversion",
    ]
    console.print_table(f"ResNet-50, {SIDE} pixels, one image", columns, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(_time(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        main()
