"""What edge.py compares: one network, its images, and the files that are made of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from edge_runtimes import INTERPRETER, LITERT_WAYS

SIDE, CLASSES, NOISE = 224, 1000, 40
# Float files of the same network have nearly its logits; those of files in 8 bits may be off by any amount.
FLOAT_ERROR, ANY_ERROR = 0.02, float("inf")
RUNTIMES_SCRIPT, PEERS_SCRIPT = (str(Path(__file__).with_name(f"edge_{name}.py")) for name in ("runtimes", "peers"))


@dataclass(frozen=True)
class Case:
    """One row: what runs `runtime`, its file with what belongs to that, and the seconds that its conversion took.

    max_error: of its logits, above which it cannot be the network that it should be; None for another network.
    """

    command: tuple[str, ...]
    runtime: str
    files: tuple[Path, ...] = ()
    seconds: float | None = None
    max_error: float | None = FLOAT_ERROR

    @property
    def file(self) -> str:
        """The file that is opened; "" where the runtime needs none."""
        return str(self.files[0]) if self.files else ""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)


@dataclass(frozen=True)
class Subject:
    """A Keras model with what its files need.

    card: the metadata that they get. calibration: uint8 images (N, H, W, C). images: what every file is run on; labels:
    their classes, None where the weights are random.
    """

    title: str
    model: Any
    card: Any
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def random(cls) -> Subject:
        """Return a ResNet-50 with random weights, and noise."""
        import keras

        from keras_resnet import resnet
        from keras_resnet.runtime.metadata import ModelMetadata

        keras.utils.set_random_seed(0)
        model = resnet(50, zero_gamma=False)  # zeros would be kept once for all layers
        card = ModelMetadata(tuple(map(str, range(CLASSES))), 256, SIDE, {})
        noise = np.random.default_rng(0).integers(0, 256, (NOISE, SIDE, SIDE, 3), np.uint8)
        return cls(f"ResNet-50, {SIDE} × {SIDE} pixels, batch size 1, random weights", model, card, noise, noise[:4])

    @classmethod
    def of_run(cls, name: str, runs: str | None, count: int) -> Subject:
        """Return the network of a classifier's run, with as many of its validation images."""
        from keras_resnet.cli import console
        from keras_resnet.evaluation.evaluate import evaluation_batches, load_model, load_task
        from keras_resnet.export.calibration import build_calibration
        from keras_resnet.export.pipeline import load_run_data
        from keras_resnet.export.verify import draw_samples
        from keras_resnet.run import Run, runs_home
        from keras_resnet.run.description import describe_network
        from keras_resnet.tasks.metadata import build_metadata

        run = Run.find(runs_home(runs), name)
        if run.spec().task != "classify":
            sys.exit(f"{run.name} is no classifier: the accuracy of its files is not compared here")
        data = load_run_data(run, console.log)
        batches = [(np.asarray(x), np.asarray(y)) for x, y in evaluation_batches(draw_samples(data, count))]
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        card = build_metadata(data.classes, data, {}, load_task(run, data.classes).output_metadata())
        height, width, channels = images.shape[1:]
        title = f"{run.name}, {describe_network(run.spec())}, {height} × {width} × {channels}, {len(images)} images"
        return cls(title, load_model(run), card, build_calibration(data).images, images, labels)


def write_cases(subject: Subject, folder: Path, peers: str | None) -> tuple[dict[str, Case], dict[str, str]]:
    """Write all files to `folder`. Return the rows, and why those of `peers`, another Python, are missing that are."""
    float32, int8 = (write_tflite(subject, scheme, folder) for scheme in ("float32", "int8"))
    cases = {
        "kresnet float32": float32,
        "kresnet int8": int8,
        "kresnet float32 in OpenVINO": replace(float32, runtime="openvino"),
        "kresnet int8 in OpenVINO": replace(int8, runtime="openvino"),
        "kresnet OpenVINO float16": write_file(subject, "openvino", "float16", folder),
        "kresnet OpenVINO int8 (NNCF)": write_file(subject, "openvino", "int8", folder),
        "kresnet ONNX float32": write_file(subject, "onnx", "float32", folder),
        "kresnet ONNX int8": write_file(subject, "onnx", "int8", folder),
    }
    refused: dict[str, str] = {}
    if subject.labels is None:
        cases |= _write_stock(folder)
    if peers:
        of_peers, refused = _write_peers(subject, folder, peers)
        cases |= of_peers
    return cases, refused


def write_litert_cases(subject: Subject, folder: Path) -> dict[str, Case]:
    """Write kresnet's int8 file with each type of input to `folder`; return a row for each way to run it in LiteRT."""
    files = {io: write_tflite(subject, "int8", folder, io) for io in ("uint8", "int8", "float")}
    ways = {f"uint8 input, {way}": replace(files["uint8"], runtime=way) for way in LITERT_WAYS}
    return {f"{io} input": case for io, case in files.items()} | ways


def write_tflite(subject: Subject, scheme: str, folder: Path, io: str = "uint8") -> Case:
    """Write one of kresnet's TFLite files, with inputs of the type `io`."""
    return write_file(subject, "tflite", scheme, folder, io)


def write_file(subject: Subject, name: str, scheme: str, folder: Path, io: str = "uint8") -> Case:
    """Write the file of the format `name`, with weights and inputs as `scheme` and `io` say; return its row."""
    from keras_resnet.export.file_options import FileOptions, SchemeOptions
    from keras_resnet.export.formats import get_format
    from keras_resnet.export.formats.base import Conversion
    from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

    file_format, chosen = get_format(name), SCHEMES[scheme]
    options: FileOptions = TFLiteOptions(chosen, io) if name == "tflite" else SchemeOptions(chosen)
    images = subject.calibration if chosen.needs_calibration else None
    target, start = folder / f"{name}-{file_format.file_name(options)}", time.perf_counter()
    file_format.write(subject.model, Conversion(subject.card, options, images), target)
    seconds = time.perf_counter() - start
    files = (target / "model.xml", target / "model.bin") if name == "openvino" else (target,)
    runtime, max_error = {"tflite": INTERPRETER}.get(name, name), FLOAT_ERROR if images is None else ANY_ERROR
    return Case((sys.executable, RUNTIMES_SCRIPT), runtime, files, seconds, max_error)


def _write_stock(folder: Path) -> dict[str, Case]:
    """Convert keras.applications' ResNet50 the default way, in float32 and with default quantization."""
    import keras
    import tensorflow as tf

    model = keras.applications.ResNet50(weights=None)
    cases = {}
    for name, optimizations in (("default", []), ("default quantization", [tf.lite.Optimize.DEFAULT])):
        file, start = folder / f"stock-{len(cases)}.tflite", time.perf_counter()
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = optimizations
        file.write_bytes(converter.convert())
        command, seconds = (sys.executable, RUNTIMES_SCRIPT), time.perf_counter() - start
        cases[f"keras.applications, {name}"] = Case(command, INTERPRETER, (file,), seconds, max_error=None)
    return cases


def _write_peers(subject: Subject, folder: Path, python: str) -> tuple[dict[str, Case], dict[str, str]]:
    """Let `python`, which has the packages of peers.txt, write the files of other runtimes."""
    network, images, command = folder / "peers.onnx", folder / "calibration.npy", (python, PEERS_SCRIPT)
    write_channels_first(subject.model, network)
    np.save(images, subject.calibration)
    done = subprocess.run(
        [*command, "write", str(network), str(images), str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    rows = json.loads(done.stdout.splitlines()[-1])
    cases = {
        f"kresnet {name}": Case(
            command,
            row["runtime"],
            tuple(map(Path, row["files"])),
            row["seconds"],
            ANY_ERROR if row["is_rounded"] else FLOAT_ERROR,
        )
        for name, row in rows.items()
        if "refused" not in row
    }
    if subject.labels is None:
        cases["torchvision in PyTorch"] = Case(command, "torchvision", max_error=None)
    return cases, {name: row["refused"] for name, row in rows.items() if "refused" in row}


def write_channels_first(model: Any, file: Path) -> None:
    """Write `model` as an ONNX file for one image, {"pixels": float32 (1, C, H, W), 0–255}, of the newest
    operators that onnx2torch reads. The converter removes the transposition again: peers have channels first."""
    import keras

    height, width, channels = model.input_shape[1:]
    shape = (1, channels, height, width)
    inputs = keras.Input(shape[1:], batch_size=1)
    transposed = keras.Model(inputs, model(keras.layers.Permute((2, 3, 1))(inputs)))
    signature = [keras.InputSpec(shape=shape, dtype="float32", name="pixels")]
    transposed.export(str(file), format="onnx", verbose=False, opset_version=12, input_signature=signature)
