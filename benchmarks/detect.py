"""One image through a detector and a segmenter, from pixels to objects: the file, and what is made of its outputs.

    python benchmarks/detect.py [--torch-python PYTHON] [--rounds 3] [--threads 2]

ResNet-18 at 320 pixels and ResNet-50 at 512, 80 classes, in float32 and int8; beside them the classifier on the same
body in float32, and torchvision's RetinaNet on ResNet-50 in PyTorch. Weights are random, on which the time of the
network does not depend; that of what follows depends on how many locations are sure of something, so outputs are made
up: 300 are, of 30 objects. Each measurement is a process of its own, the cases take turns; the best median counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish

CASES = ((18, 320), (50, 512))
CLASSES, CALIBRATION, WARMUP, RUNS = 80, 24, 3, 15
CANDIDATES, OBJECTS = 300, 30


def write_files(folder: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """(case, file, what follows it: the cells of its pyramid, the pixels of a side)."""
    import keras

    from keras_resnet import resnet
    from keras_resnet.config.spec import DataSpec, NetworkSpec, Spec
    from keras_resnet.config.task_rules import TASK_RULES
    from keras_resnet.export.formats.tflite import write_tflite
    from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
    from keras_resnet.models.layers import Layers
    from keras_resnet.tasks import get_task

    for depth, side in CASES:
        images = np.random.default_rng(0).integers(0, 256, (CALIBRATION, side, side, 3), dtype=np.uint8)
        body = resnet(depth, input_shape=(side, side, 3), classes=CLASSES, zero_gamma=False)
        models: dict[str, tuple[Any, tuple[int, ...]]] = {"classify": (body, ())}
        for kind in ("detect", "segment"):
            data = DataSpec("shapes", image_size=side, channels=3, annotations=TASK_RULES[kind].annotations)
            spec = Spec(task=kind, network=NetworkSpec(depth, zero_gamma=False), data=data)
            task = get_task(spec, tuple(map(str, range(CLASSES))))
            models[kind] = task.build_model(Layers(keras), spec), task.cells
        for kind, (model, cells) in models.items():
            for scheme in ("float32",) if kind == "classify" else ("float32", "int8"):
                file = folder / f"{kind}{depth}-{scheme}.tflite"
                write_tflite(model, TFLiteOptions(SCHEMES[scheme], "uint8"), images if scheme == "int8" else None, file)
                yield f"kresnet ResNet-{depth} at {side}, {kind}, {scheme}", file, {"cells": cells, "side": side}


def _time(file: str, threads: int, cells: list[int], side: int) -> dict[str, float]:
    """In a process of its own: median milliseconds of the network, and of making objects of its outputs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=file, num_threads=threads)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]
    image = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), dtype=np.uint8).astype(taken["dtype"])

    def network() -> None:
        interpreter.set_tensor(taken["index"], image)
        interpreter.invoke()

    found = {"ms": _median(network)}
    if cells:
        outputs, labels = _made_up(cells, side if "segment" in file else 0), [str(each) for each in range(CLASSES)]
        from keras_resnet.runtime.postprocess import describe_objects

        assert len(describe_objects(outputs, labels, cells, (side, side))) >= OBJECTS
        found["after"] = _median(lambda: describe_objects(outputs, labels, cells, (side, side)))
    return found


def _made_up(cells: list[int], masks_of: int) -> dict[str, np.ndarray]:
    """Outputs of which CANDIDATES locations are sure, of OBJECTS objects, with masks for a square of so many pixels."""
    from keras_resnet.runtime.postprocess import CONDINST_COEFFICIENTS, CONDINST_PROTOTYPES, anchor_points

    rng = np.random.default_rng(2)
    middles, widths = anchor_points(cells)
    scores = rng.normal(-6, 0.5, (len(middles), CLASSES)).astype(np.float32)
    corners = rng.uniform(0, 0.7, (OBJECTS, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.3, (OBJECTS, 2))], axis=1)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = np.argsort(np.abs(middles[None] - middle[:, None]).max(axis=2), axis=1)[:, : CANDIDATES // OBJECTS]
    scores[near.ravel(), np.repeat(np.arange(OBJECTS) % CLASSES, near.shape[1])] = 2.0
    owner = np.argmin(np.abs(middles[:, None] - middle[None]).max(axis=2), axis=1)
    distances = np.concatenate([middles - boxes[owner, :2], boxes[owner, 2:] - middles], axis=1) / widths
    outputs = {"scores": scores, "distances": distances.astype(np.float32)}
    if masks_of:
        outputs["coefficients"] = rng.normal(size=(len(middles), CONDINST_COEFFICIENTS)).astype(np.float32)
        outputs["prototypes"] = rng.normal(size=(masks_of // 4, masks_of // 4, CONDINST_PROTOTYPES)).astype(np.float32)
    return outputs


def _median(run: Any) -> float:
    times = []
    for number in range(WARMUP + RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start if number >= WARMUP else np.inf)
    return 1e3 * float(np.median(sorted(times)[:RUNS]))


# Runs in an environment that has PyTorch and not kresnet.
TORCH = """
import json, sys, time, numpy as np, torch, torchvision
torch.set_num_threads(int(sys.argv[1]))
make = torchvision.models.detection.retinanet_resnet50_fpn
model = make(weights=None, weights_backbone=None, num_classes=80, min_size=512, max_size=512).eval()
image, times = torch.rand(3, 512, 512), []
with torch.inference_mode():
    for number in range(8):
        start = time.perf_counter(); model([image])
        if number >= 2: times.append(time.perf_counter() - start)
print(json.dumps({"ms": 1e3 * float(np.median(times))}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    add_json_option(parser)
    parser.add_argument("--time", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        print(json.dumps(_time(**json.loads(options.time))))
        return
    with tempfile.TemporaryDirectory() as folder:
        commands = {}
        for case, file, what in write_files(Path(folder)):
            job = {"file": str(file), "threads": options.threads, **what}
            commands[case] = [sys.executable, __file__, "--time", json.dumps(job)]
        if options.torch_python:
            commands["torchvision's RetinaNet, ResNet-50 at 512, in PyTorch"] = [
                *(options.torch_python, "-c", TORCH, str(options.threads))
            ]
        seen: dict[str, list[dict[str, float]]] = {case: [] for case in commands}
        for _ in range(options.rounds):
            for case, command in commands.items():
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seen[case].append(json.loads(done.stdout.splitlines()[-1]))
    publish([make_table(seen, options)], options.json)


def make_table(seen: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> Table:
    """Return the best times of each case: of the network, of what follows, and both relative to the classifier's."""
    rows: list[list[Cell]] = []
    for case, rounds in seen.items():
        best = min(each["ms"] for each in rounds)
        after = min((each["after"] for each in rounds if "after" in each), default=None)
        same = next((other for other in seen if other.startswith(case.split(",")[0]) and "classify" in other), None)
        ratio = (best + (after or 0)) / min(each["ms"] for each in seen[same]) if same else None
        rows.append([case, best, after, ratio])
    columns = [
        Column("one image at a time"),
        Column("network, ms", ".1f"),
        Column("postprocessing, ms", ".1f"),
        Column("relative to the float32 classifier", ".2f"),
    ]
    return Table(
        "detect",
        f"Detectors and segmenters of {CLASSES} classes, {options.threads} threads",
        columns,
        rows,
        ("tensorflow", "keras", "ai-edge-litert", "torch", "torchvision"),
        describe_rounds(options.rounds),
        options.rounds,
    )


if __name__ == "__main__":
    main()
