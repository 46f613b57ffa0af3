"""Peak memory of training a ResNet-50 and of exporting it: ours, Keras' own ways, and PyTorch.

    python benchmarks/peak_memory.py [--torch-python PYTHON] [--batch-size 16] [--steps 4] [--rounds 1]

Each case is a process of its own with 224 × 224 pixels in float32. Training: some steps, after which memory does not
grow; see memory.py for many epochs, and train.py for speed. Export: of a network of two classes that was trained for
one step, since its values do not matter; `kresnet export` also runs the file on validation images, and measures it, for
its verdict.

Memory is the sum over the process and its children of what they hold (PSS: pages that several share count once), looked
at ten times a second; the highest counts, and the least of the rounds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from result_tables import Cell, Column, Table, add_json_option, publish

SIDE, CLASSES, CALIBRATION = 224, 2, 20
TRAIN_SCRIPT, INTERVAL = str(Path(__file__).with_name("train.py")), 0.1
TRAININGS = {
    "kresnet": "kresnet, float32",
    "kresnet --recompute": "kresnet --recompute, float32",
    "stock Keras, model.fit": "stock Keras, float32",
    "PyTorch, eager": "PyTorch, float32",
}
# Keras' ways to write a file, by the name of a case.
EXPORTS = ("Keras, model.export(format='litert')", "TFLiteConverter, float32", "TFLiteConverter, int8")


def main() -> None:
    """Measure all cases by turns, and print the tables."""
    options = parse_options()
    if options.export:
        export_stock(options.export, options.folder)
        return
    tables = []
    if options.only in (None, "training"):
        cases = [case for case in TRAININGS if "PyTorch" not in case or options.torch_python]
        commands = {case: train_command(case, options) for case in cases}
        tables.append(measure("memory-train", f"Training, batch size {options.batch_size}", commands, options))
    if options.only in (None, "export"):
        with tempfile.TemporaryDirectory() as folder:
            make_run(Path(folder))
            tables.append(measure("memory-export", "Export", export_commands(Path(folder)), options))
    publish(tables, options.json)


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", help="a Python with torch and torchvision; without it no PyTorch is run")
    parser.add_argument("--only", choices=("training", "export"))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    add_json_option(parser)
    parser.add_argument("--export", choices=EXPORTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def train_command(case: str, options: argparse.Namespace) -> tuple[list[str], str]:
    """Return the worker of train.py for a case, and its standard input: a number of steps."""
    python = options.torch_python if "PyTorch" in case else sys.executable
    sizes = ["--image-size", str(SIDE), "--batch-size", str(options.batch_size)]
    return [python, TRAIN_SCRIPT, "--work", TRAININGS[case], *sizes], f"{options.steps}\n"


def export_commands(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Return the commands that write a file, by case."""
    kresnet = [sys.executable, "-m", "keras_resnet", "export", "run", "--runs", str(folder / "runs"), "--tflite"]
    ours = {
        f"kresnet export --tflite --quantize {scheme}": ([*kresnet, "--quantize", scheme, "--max-drop", "100"], "")
        for scheme in ("float32", "int8")
    }
    stock = {case: ([sys.executable, __file__, "--export", case, "--folder", str(folder)], "") for case in EXPORTS}
    return ours | stock


def make_run(folder: Path) -> None:
    """Train a ResNet-50 on a few random images, for one step."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(4 * CALIBRATION):
        file = folder / "data" / ("train", "val")[number % 2] / "ab"[number // 2 % CLASSES] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(file)
    command = [sys.executable, "-m", "keras_resnet", "train", "--data", str(folder / "data"), "--model", "resnet50"]
    command += ["--weights", "none", "--image-size", str(SIDE), "--epochs", "1", "--batch-size", "40"]
    command += ["--precision", "float32", "--runs", str(folder / "runs"), "--name", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the network could not be trained: {done.stderr[-2000:]}")


def export_stock(case: str, folder: Path) -> None:
    """Write keras.applications' ResNet50 as a file by Keras or by TensorFlow's converter."""
    import keras
    import tensorflow as tf

    model = keras.applications.ResNet50(weights=None, classes=CLASSES, classifier_activation=None)
    target = folder / "stock.tflite"
    if case == EXPORTS[0]:
        model.export(str(target), format="litert")
        return
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if case == EXPORTS[2]:
        images = np.random.default_rng(0).uniform(0, 255, (CALIBRATION, 1, SIDE, SIDE, 3)).astype(np.float32)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    target.write_bytes(converter.convert())


def measure(
    name: str, title: str, commands: Mapping[str, tuple[Sequence[str], str]], options: argparse.Namespace
) -> Table:
    """Run `commands`, each with what it reads, by turns; return the peak memory of each."""
    peaks: dict[str, tuple[float, float]] = {}
    for _ in range(options.rounds):
        for case, (command, text) in commands.items():
            peak = watch(case, command, text)
            print(f"{title}: {case}: {peak[0]:,.0f} MiB, {peak[1]:.0f} s", file=sys.stderr, flush=True)
            peaks[case] = min(peak, peaks.get(case, peak))
    first = next(iter(peaks.values()))[0]
    rows: list[list[Cell]] = [[case, mib, mib / first, seconds] for case, (mib, seconds) in peaks.items()]
    columns = [Column("float32" if "Training" in title else "file"), Column("peak memory, MiB", ",.0f")]
    columns += [Column("× kresnet", ".2f"), Column("seconds in all", ",.0f")]
    packages = ("tensorflow", "keras", "ai-edge-litert", "torch", "torchvision")
    title = f"{title}, ResNet-50, {SIDE} × {SIDE} pixels"
    return Table(name, title, columns, rows, packages, "Memory of the process and its children.", options.rounds)


def watch(case: str, command: Sequence[str], text: str) -> tuple[float, float]:
    """Run a command with `text` as its standard input; return its peak memory in MiB and the seconds that it took."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        process = psutil.Popen(command, stdin=given, stdout=subprocess.DEVNULL, stderr=errors)
        while process.poll() is None:
            peak = max(peak, read_tree(process))
            time.sleep(INTERVAL)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{case} failed: {errors.read()[-2000:]}")
    return peak / 2**20, time.monotonic() - start


def read_tree(process: psutil.Process) -> int:
    """Return the bytes that a process and its children hold."""
    held = 0
    with suppress(psutil.Error):  # it has just ended
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                held += each.memory_full_info().pss
    return held


if __name__ == "__main__":
    main()
