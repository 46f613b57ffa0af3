"""The checks of `kresnet env --selftest`, each run in a process of its own: see `selftest`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import KresnetError, TrainingError, TrainingPruned
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command

if TYPE_CHECKING:
    from keras_resnet.api.run import Run

# What is found: facts by name, of which "reason" says in words what was seen.
Found = dict[str, Any]
# A network that keeps a GPU busy, and one that a CPU trains in seconds.
GPU_OPTIONS: dict[str, Any] = {"depth": 50, "image_size": 128, "weights": "none", "batch_size": 64}
CPU_OPTIONS: dict[str, Any] = {"depth": 8, "batch_size": 64}
# Of 22 steps each with 64 images a batch. The rate is that of the fastest, after TensorFlow has tried its kernels.
EPOCHS = 3
BUSY, SECONDS_UNTIL_BUSY = "busy", 90.0


def find_devices(home: Path) -> Found:
    """Start TensorFlow and compute on each GPU, or on the CPU; list what it says of them and of itself."""
    import tensorflow as tf

    from keras_resnet.evaluation.gpu_memory import share_gpu_memory

    share_gpu_memory()
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    build = tf.sysconfig.get_build_info()
    matrix = np.random.default_rng(0).normal(size=(64, 64)).astype("float32")
    for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"):
        with tf.device(device.name):
            product = tf.matmul(matrix, matrix).numpy()
        if not np.allclose(product, matrix @ matrix, atol=0.1):  # TF32 keeps 10 bits
            raise TrainingError(f"{device.name} multiplies matrices wrongly")
    names = [str(each.get("device_name", "unknown")) for each in details]
    return {
        "reason": ", ".join(names) or "TensorFlow sees no GPU",
        "gpus": [
            {"name": name, "compute_capability": ".".join(map(str, each.get("compute_capability", ()))) or None}
            for name, each in zip(names, details, strict=True)
        ],
        "built_for": {name: build[name] for name in ("cuda_version", "cudnn_version") if name in build},
    }


def train_in_precision(home: Path, precision: str) -> Found:
    """Train on the first device in `precision`."""
    return _train(home, precision, precision=precision, devices=_first_device())


def train_with_xla(home: Path) -> Found:
    """Train on the first device with steps that XLA compiles."""
    return _train(home, "xla", precision=_precision(), devices=_first_device(), jit_compile="on")


def train_on_all(home: Path) -> Found:
    """Train on all GPUs, mirrored."""
    return _train(home, "all", precision=_precision(), devices="auto", per_device=True)


def train_in_workers(home: Path) -> Found:
    """Train in a process for each GPU, with `kresnet launch`."""
    from keras_resnet.api.functions import open_run

    count = _count_gpus()
    options = {**GPU_OPTIONS, "batch_size": GPU_OPTIONS["batch_size"] * count, "precision": _precision()}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    length = ["--epochs", str(EPOCHS * count), "--name", "workers", "--runs", str(home)]
    launch = ["launch", "--workers", str(count), "--max-restarts", "0", "--", "train", *arguments, *length]
    done = subprocess.run([sys.executable, "-m", "keras_resnet", *launch], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise TrainingError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    return _measure(open_run("workers", runs=home))


def resume_a_run(home: Path) -> Found:
    """Train deterministically, once in one go and once interrupted: the weights must be the same bits."""
    from keras_resnet.api.functions import build_train_spec
    from keras_resnet.training.train import resume, train

    options = {**_options(), "precision": _precision(), "devices": _first_device(), "deterministic": True, "epochs": 2}
    spec = build_train_spec(options, home)
    whole = train(spec, home, "whole", _log)
    with contextlib.suppress(TrainingPruned):
        train(spec, home, "interrupted", _log, goes_on=lambda row: False)
    from keras_resnet.run import Run as RunFolder

    resumed = resume(RunFolder.find(home, "interrupted"), _log)
    from keras_resnet.evaluation.evaluate import load_keras_file

    weights = [load_keras_file(run.model_file).get_weights() for run in (whole, resumed)]
    if not all(np.array_equal(*pair) for pair in zip(*weights, strict=True)):
        raise TrainingError("a resumed training ends with other weights than one that was not interrupted")
    return {"reason": "the weights are those of a training that was not interrupted, bit for bit"}


def train_with_8_bits(home: Path) -> Found:
    """Train on, quantization-aware and deterministic."""
    run = _finished_run(home).compress(qat=True, deterministic=True, epochs=1, runs=home, name="int8")
    return {"reason": f"{run.metrics['metric']} {run.metrics['value']:.0%}"}


def export_beside_a_training(home: Path) -> Found:
    """Export files while another process trains on the same device."""
    run = _finished_run(home)
    log = home / "busy.log"
    with log.open("wb") as output:
        training = subprocess.Popen(child_command(__name__, str(home), BUSY), stdout=output, stderr=output)
    try:
        _wait_until_it_trains(training, home, log)
        file = run.export("int8")["int8"]
        if training.poll() is not None:
            raise TrainingError("the training beside the export ended before it")
    finally:
        training.kill()
        training.wait()
    if not file.verdict.passed:
        raise TrainingError(f"int8.tflite did not pass: {file.verdict.words}")
    return {"reason": f"int8.tflite {file.verdict.words}"}


def keep_busy(home: Path) -> Found:
    """Train for longer than any check takes."""
    _train(home, BUSY, precision=_precision(), devices=_first_device(), epochs=10_000)
    return {}


CHECKS: dict[str, Callable[[Path], Found]] = {
    "devices": find_devices,
    "float32": lambda home: train_in_precision(home, "float32"),
    "mixed_bfloat16": lambda home: train_in_precision(home, "mixed_bfloat16"),
    "mixed_float16": lambda home: train_in_precision(home, "mixed_float16"),
    "XLA": train_with_xla,
    "all GPUs": train_on_all,
    "workers": train_in_workers,
    "resume": resume_a_run,
    "8-bit training": train_with_8_bits,
    "export beside a training": export_beside_a_training,
    BUSY: keep_busy,
}


def _train(home: Path, name: str, *, per_device: bool = False, **options: Any) -> Found:
    """Train a run called `name` and measure it. per_device: whether each GPU has a batch as large as one has alone."""
    from keras_resnet.api.functions import train

    shared, epochs = _options(), EPOCHS
    if per_device:
        shared["batch_size"], epochs = shared["batch_size"] * _count_gpus(), epochs * _count_gpus()
    return _measure(train(name=name, runs=home, **{**shared, "epochs": epochs, **options}))


def _measure(run: Run) -> Found:
    """Return the rate of the fastest epoch. Raises TrainingError for a loss that does not fall."""
    losses, rates = run.history["loss"], run.history["images_per_second"]
    if not losses[-1] < losses[0]:
        raise TrainingError(
            f"the loss did not fall: {losses[0]:.3f} after the first epoch, {losses[-1]:.3f} in the end"
        )
    return {"reason": f"loss {losses[0]:.2f} to {losses[-1]:.2f}", "images_per_second": round(max(rates))}


def _finished_run(home: Path) -> Run:
    """Return the run of the first precision, trained now if its check has failed."""
    from keras_resnet.api.functions import open_run, train

    if not (home / "float32" / "model.keras").is_file():
        options = {**_options(), "epochs": EPOCHS, "precision": "float32", "devices": _first_device()}
        train(name="base", runs=home, **options)
        return open_run("base", runs=home)
    return open_run("float32", runs=home)


def _wait_until_it_trains(training: subprocess.Popen[bytes], home: Path, log: Path) -> None:
    """Wait until the training has done an epoch."""
    end = time.monotonic() + SECONDS_UNTIL_BUSY
    rows = home / BUSY / "log.jsonl"
    while not (rows.is_file() and rows.stat().st_size):
        if training.poll() is not None or time.monotonic() > end:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise TrainingError(f"the training beside the export did not begin: {' '.join(said)}")
        time.sleep(0.2)


def _count_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def _first_device() -> str:
    return "gpu:0" if _count_gpus() else "cpu:1"


def _options() -> dict[str, Any]:
    return dict(GPU_OPTIONS if _count_gpus() else CPU_OPTIONS)


def _precision() -> str:
    """Return what the GPUs would choose, and float32 on a CPU, which would try for seconds."""
    from keras_resnet.training.precision import choose_by_hardware

    return (choose_by_hardware() or ("float32", ""))[0] if _count_gpus() else "float32"


def _log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run the check that `arguments` name, in the other process, and print what it found as the last line, as JSON; or
    print why it failed. Returns the exit code."""
    home, name = arguments
    try:
        found = CHECKS[name](Path(home))
    except KresnetError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    print(json.dumps(found))
    return 0
