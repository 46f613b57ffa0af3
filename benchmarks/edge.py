"""One image through a ResNet-50 of 224 pixels: our files beside what others make and run, interleaved.

    python benchmarks/edge.py [--torch-python PYTHON] [--rounds 3] [--threads 1 2]

Cases: kresnet's float32 and int8 files; keras.applications' ResNet50 converted the default way, in float32 and with
default dynamic range quantization; kresnet's ONNX file in onnxruntime, and that file after onnxruntime's own static
int8 quantization; torchvision's network in PyTorch. Weights are random: time, size and memory do not depend on them.
Each measurement is a process of its own; the median of the best round counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SIDE, CALIBRATION = 224, 40
WARMUP, RUNS = 3, 20


def write_files(folder: Path) -> Iterator[tuple[str, Path, float]]:
    """(case, file, seconds it took to convert)."""
    import keras

    from keras_resnet import resnet
    from keras_resnet.export.formats.onnx import write_onnx
    from keras_resnet.export.formats.tflite import write_tflite
    from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
    from keras_resnet.runtime.metadata import ModelMetadata

    images = np.random.default_rng(0).integers(0, 256, (CALIBRATION, SIDE, SIDE, 3), dtype=np.uint8)
    ours = resnet(50, zero_gamma=False)  # zeros would be kept once for all layers
    card = ModelMetadata(tuple(map(str, range(1000))), 256, SIDE, {})
    stock = keras.applications.ResNet50(weights=None)
    cases: dict[str, tuple[str, Callable[[Path], Any]]] = {
        "kresnet float32": (
            ".tflite",
            lambda file: write_tflite(ours, TFLiteOptions(SCHEMES["float32"], "uint8"), None, file),
        ),
        "kresnet int8": (
            ".tflite",
            lambda file: write_tflite(ours, TFLiteOptions(SCHEMES["int8"], "uint8"), images, file),
        ),
        "keras.applications, default": (".tflite", lambda file: _default(stock, file, optimize=False)),
        "keras.applications, default quantization": (".tflite", lambda file: _default(stock, file, optimize=True)),
        "kresnet in onnxruntime": (".onnx", lambda file: write_onnx(ours, card, file)),
        "kresnet in onnxruntime, its static int8": (".onnx", lambda file: _static(folder / "4.onnx", images, file)),
    }
    for number, (case, (suffix, write)) in enumerate(cases.items()):
        file, start = folder / f"{number}{suffix}", time.perf_counter()
        write(file)
        yield case, file, time.perf_counter() - start


def _default(model: Any, file: Path, *, optimize: bool) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if optimize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    file.write_bytes(converter.convert())


def _static(source: Path, images: np.ndarray, file: Path) -> None:
    """onnxruntime's own quantization: QDQ, per channel, as its documentation recommends for CPUs with VNNI."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._left, None)
            return None if image is None else {"pixels": image[None].astype(np.float32)}

    prepared = file.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(str(prepared), str(file), Reader(), per_channel=True)


def _time(file: str, threads: int) -> dict[str, float]:
    """In a process of its own: median milliseconds of an image, MiB at the highest."""
    from keras_resnet.export.benchmark import read_memory_mib

    before = read_memory_mib("VmRSS")
    run = _RUNNERS[Path(file).suffix](file, threads)
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


_RUNNERS = {".tflite": _litert, ".onnx": _onnxruntime}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    from keras_resnet.cli import console

    with tempfile.TemporaryDirectory() as folder:
        cases = list(write_files(Path(folder)))
        commands = {case: [sys.executable, __file__, "--child", str(file)] for case, file, _ in cases}
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
        sizes = {case: f"{file.stat().st_size / 1e6:.1f} MB" for case, file, _ in cases}
    seconds = {case: f"{taken:.1f} s" for case, _, taken in cases}
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
        print(json.dumps(_time(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
