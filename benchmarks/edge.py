"""One image through a network on the CPU: our files beside what others make and run, interleaved.

    python -m venv peers && peers/bin/pip install -r benchmarks/peers.txt
    python benchmarks/edge.py [--torch-python peers/bin/python] [--rounds 3] [--threads 1 2]
    python benchmarks/edge.py --run RUN [--runs DIR] [--images 500] [--torch-python peers/bin/python]
    python benchmarks/edge.py --litert

The first compares a ResNet-50 of 224 pixels with random weights, on which time, size and memory do not depend:
kresnet's float32 and int8 files in LiteRT, and the same files in OpenVINO; its OpenVINO and ONNX files, in float and
in 8 bits; the same network in ncnn and ExecuTorch; keras.applications' ResNet50 converted the default way, in float32
and with default dynamic range quantization; torchvision's in PyTorch. --run compares the network of a finished run,
with the accuracy of each file on its validation images. --litert compares ways to run kresnet's int8 file in LiteRT,
and types of its input.

Each measurement is a process of its own; of the rounds that with the least median counts. Memory is beyond that of the
process before it opens the file; of ExecuTorch also beyond PyTorch and its exporter, which its Python package imports
and a device has not. The first image is the time from a process that has imported NumPy to its outputs. "Error" is the
root mean square of what a file's logits are off, relative to the standard deviation of the Keras model's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from edge_files import Case, Subject, write_cases, write_litert_cases
from edge_runtimes import to_floats
from result_tables import Cell, Column, Table, add_json_option, publish

OURS, OURS_LITERT = "kresnet int8", "uint8 input"
PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "openvino", "nncf", "onnxruntime", "ncnn", "executorch", "torch")


def main() -> None:
    options = parse_options()
    subject = Subject.of_run(options.run, options.runs, options.images) if options.run else Subject.random()
    with tempfile.TemporaryDirectory() as name:
        folder, refused = Path(name), {}
        np.save(folder / "images.npy", subject.images)
        if options.litert:
            cases, reference = write_litert_cases(subject, folder), OURS_LITERT
        else:
            (cases, refused), reference = write_cases(subject, folder, options.torch_python), OURS
        quality = compare_outputs(subject, cases, folder)
        times = measure(cases, options.threads, options.rounds, folder / "images.npy")
        sizes = {case: row.size / 1e6 if row.files else None for case, row in cases.items()}
    last = options.threads[-1]
    rows: list[list[Cell]] = []
    for case, row in cases.items():
        found, ours = times[case, last], times[reference, last]
        medians = [times[case, count]["median_ms"] for count in options.threads]
        speed = ours["median_ms"] / found["median_ms"]
        rows.append([case, *medians, speed, found["first_ms"], sizes[case], found["mib"], row.seconds, quality[case]])
    columns = [
        Column("one image at a time"),
        *(Column(f"{count} thread{'s' * (count > 1)}, ms", ".1f") for count in options.threads),
        Column("speed", ".2f"),
        Column("first image, ms", ",.0f"),
        Column("size, MB", ".1f"),
        Column("memory, MiB", ",.0f"),
        Column("conversion, s", ".1f"),
        Column("error" if subject.labels is None else "accuracy", ".2%"),
    ]
    notes = [f"Lowest median of {options.rounds} rounds, interleaved. Speed is relative to {reference}."]
    notes += [f"{case} is missing: {why}." for case, why in refused.items()]
    kind = "litert" if options.litert else "run" if options.run else "random"
    table = Table(f"edge-{kind}", subject.title, columns, rows, PACKAGES, " ".join(notes), options.rounds)
    publish([table], options.json)


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a finished run of a classifier, in place of a ResNet-50 with random weights")
    parser.add_argument("--runs", help="where runs live")
    parser.add_argument("--images", type=int, default=500, help="validation images of the run")
    parser.add_argument("--litert", action="store_true", help="compare ways to run the int8 file in LiteRT alone")
    parser.add_argument("--torch-python", help="a Python with the packages of peers.txt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    add_json_option(parser)
    return parser.parse_args()


def compare_outputs(subject: Subject, cases: dict[str, Case], folder: Path) -> dict[str, float | None]:
    """Run all images through each file. Return by case the accuracy, or by how much logits are off; None for another
    network. Raises SystemExit where a float file is not the network that it should be."""
    expected = np.asarray(subject.model.predict(subject.images, verbose=0))
    quality: dict[str, float | None] = {}
    for case, row in cases.items():
        if row.max_error is None:
            quality[case] = None
            continue
        target = folder / "outputs.npy"
        subprocess.run([*row.command, row.runtime, row.file, "1", str(folder / "images.npy"), str(target)], check=True)
        outputs = to_floats(row.files[0], np.load(target))
        error = float(np.sqrt(np.mean((outputs - expected) ** 2)) / expected.std())
        if error > row.max_error:
            raise SystemExit(f"{case} is another network than the Keras model: its logits are off by {error:.1%}")
        is_right = None if subject.labels is None else outputs.argmax(1) == subject.labels
        quality[case] = error if is_right is None else float(np.mean(is_right))
    return quality


def measure(
    cases: dict[str, Case], threads: list[int], rounds: int, images: Path
) -> dict[tuple[str, int], dict[str, Any]]:
    """Return what each case takes with each number of threads, of the round with the least median."""
    best: dict[tuple[str, int], dict[str, Any]] = {}
    for _ in range(rounds):
        for count in threads:
            for case, row in cases.items():
                command = [*row.command, row.runtime, row.file, str(count), str(images)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                known = best.get((case, count), found)
                best[case, count] = min(known, found, key=lambda each: each["median_ms"])
    return best


if __name__ == "__main__":
    main()
