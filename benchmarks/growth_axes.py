"""What growth.py measures: a function for each axis, which takes a size and times its parts.

Each runs in a process of its own. What is made to be measured, such as a folder, and what is done once, such as
imports, comes before `watch.start()`.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from edge_measure import read_memory_mib

CLASSES, IMAGES = 100, 110_000
# Images with objects, and images whose logits are scored.
SCENES, SCORED = 100, 2000


@dataclass
class Watch:
    """Measures the CPU seconds of parts, of all threads; and memory: MiB at the highest beyond those at the start."""

    home: Path
    seconds: dict[str, float] = field(default_factory=dict)
    before: float = 0.0

    def start(self) -> None:
        """Count memory from now on: also the highest so far is forgotten."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self.before = read_memory_mib("VmRSS")

    @property
    def mib(self) -> float:
        """Memory until now."""
        return read_memory_mib("VmHWM") - self.before

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what is done in the context, as the part `name`."""
        begin = time.process_time()
        yield
        self.seconds[name] = time.process_time() - begin

    def least(self, name: str, run: Callable[[], object], times: int = 3) -> None:
        """Time `run`, the part `name`, several times; the least counts."""
        taken = []
        for _ in range(times):
            begin = time.process_time()
            run()
            taken.append(time.process_time() - begin)
        self.seconds[name] = min(taken)


def deepen(size: int, watch: Watch) -> None:
    """Build a CIFAR ResNet of `size` layers, and run training steps with 8 images of 32 × 32 pixels."""
    import keras

    import keras_resnet

    keras_resnet.ResNet8(classes=10, input_shape=(32, 32, 3))  # what is done once
    with watch.part("build"):
        keras_resnet.resnet(size, classes=10, input_shape=(32, 32, 3))
    keras.utils.clear_session()
    _time_steps(watch, f"resnet{size}", 32, 8)


def enlarge(size: int, watch: Watch) -> None:
    """Run training steps of ResNet-18 with 8 images of `size` pixels in all."""
    _time_steps(watch, "resnet18", round(size**0.5), 8)


def batch(size: int, watch: Watch) -> None:
    """Run training steps of ResNet-20 with `size` images of 32 × 32 pixels."""
    _time_steps(watch, "resnet20", 32, size)


def classify(size: int, watch: Watch) -> None:
    """Run training steps of ResNet-18 with 32 images of 32 × 32 pixels and `size` classes."""
    _time_steps(watch, "resnet18", 32, 32, size)


def _time_steps(watch: Watch, network: str, side: int, count: int, classes: int = 10) -> None:
    from train import our_steps

    our_steps("float32", "resnet8", 16, 4)(1)  # what is done once
    watch.start()
    run = our_steps("float32", network, side, count, classes)
    with watch.part("first step"):
        run(1)
    watch.least("step", lambda: run(1))


def name_classes(size: int, watch: Watch) -> None:
    """Split labels of `size` classes, and score and analyze a classifier of as many."""
    from keras_resnet.data.dataset import Split, require_all_classes, split_stratified
    from keras_resnet.metrics.result import Evaluation
    from keras_resnet.run.data_fingerprint import fingerprint_split
    from keras_resnet.tasks.classification import Classification

    classes, rng = tuple(f"class {number}" for number in range(size)), np.random.default_rng(0)
    labels = rng.permutation(np.arange(IMAGES) % size)
    truth = labels[:SCORED]
    logits = list(rng.normal(size=(SCORED, size)).astype(np.float32))
    for row in range(0, SCORED, 2):
        logits[row][truth[row]] = 9
    task = Classification(classes)
    task.compute_metrics(logits[:2], truth[:2])  # what is imported once
    split_stratified(labels[:200] % 10, 0.1, classes[:10])
    watch.start()
    with watch.part("split"):
        rows, _ = split_stratified(labels, 0.2, classes)
        split = Split("train", labels[rows])
        require_all_classes({"train": split}, classes)
        fingerprint_split(split, classes)
    with watch.part("score"):
        metrics = task.compute_metrics(logits, truth)
    with watch.part("analyze"):
        evaluation = Evaluation(metrics, logits, np.stack(logits[:256]), truth)
        task.analyze(evaluation)
        task.sample_predictions(evaluation, 12)
        task.typical_images(evaluation, 12)


def open_images(size: int, watch: Watch) -> None:
    """List, split and count `size` images in 100 class folders, and those that a table names, of which it is known that
    they can be read, as `kresnet train` does before it decodes the first one."""
    from keras_resnet.config.spec import DataSpec
    from keras_resnet.data.load import load_dataset
    from keras_resnet.data.sources import image_folder
    from keras_resnet.data.sources.folder_layout import find_layout
    from keras_resnet.run.data_fingerprint import fingerprint_splits

    image_folder.fits_in_memory = lambda *of: False  # type: ignore[attr-defined]  # nothing is decoded then
    root = watch.home / "images"
    table = watch.home / "images.csv"
    files = _write_images(root, size)
    rows = (f"images/{file.parent.name}/{file.name},{file.parent.name}\n" for file in files)
    table.write_text("path,label\n" + "".join(rows), encoding="utf-8")
    _remember((root, table), files)
    watch.start()
    with watch.part("list folder"):
        find_layout(root, _ignore)
    for name, source in (("folder", root), ("table", table)):
        spec = DataSpec(str(source), image_size=224, resize=256, fit="crop", channels=3, cache="off", val_fraction=0.1)
        with watch.part(f"open {name}"):
            data = load_dataset(spec, _ignore, ("train", "validation"))
    with watch.part("fingerprint"):
        fingerprint_splits(data)


def _remember(sources: tuple[Path, ...], files: list[Path]) -> None:
    """Note that all `files` of `sources` can be read, as a command does that has read them."""
    import sklearn.model_selection  # noqa: F401  what is imported once

    from keras_resnet.data.readability import ReadabilityCache, stamp_file

    for source in sources:
        known = ReadabilityCache.load(source)
        for file in files:
            known.note(file, stamp_file(file), "")
        known.keep(files)
    files.clear()


def _write_images(root: Path, count: int) -> list[Path]:
    """Write small PNGs of different lengths, one after another into 100 folders, and return them in order."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.new("RGB", (8, 8)).save(encoded, "PNG")
    files = []
    for number in range(count):
        file = root / f"class{number % CLASSES:02}" / f"{number:07}.png"
        if number < CLASSES:
            file.parent.mkdir(parents=True)
        # What follows the end of a PNG is not read. Of real photographs, too, many have the same length.
        with open(file, "wb") as stream:
            stream.write(encoded.getvalue() + number.to_bytes(4, "big") + bytes(number % 1009))
        files.append(file)
    return sorted(files)


def find_similar(size: int, watch: Watch) -> None:
    """Look for near duplicates among `size` images, 2% of which are some."""
    from keras_resnet.checking.similar_images import find_similar_pairs

    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, size, np.uint64)
    small = rng.integers(0, 256, (size, 4, 4, 3), np.uint8)
    copies = size // 50
    hashes[-copies:], small[-copies:] = hashes[:copies] ^ np.uint64(0x1001), small[:copies]
    thumbnails = small.repeat(4, axis=1).repeat(4, axis=2)
    find_similar_pairs(hashes[:64], thumbnails[:64])
    watch.start()
    with watch.part("compare"):
        first, _ = find_similar_pairs(hashes, thumbnails)
    assert len(first) == copies


def detect(size: int, watch: Watch) -> None:
    """Score and analyze a detector on 100 images of `size` objects each; its file finds as many, 100 at most."""
    from keras_resnet.data.annotations import Annotation
    from keras_resnet.metrics import coco, detection, voc
    from keras_resnet.runtime.postprocess import MAX_DETECTIONS

    rng, classes = np.random.default_rng(0), tuple(map(str, range(80)))
    annotations, predictions = [], []
    for _ in range(SCENES):
        corners = rng.uniform(0, 900, (size, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(10, 100, (size, 2))], axis=1)
        labels = rng.integers(0, 80, size)
        annotations.append(Annotation.from_boxes((1000, 1000), boxes, labels))
        found = rng.permutation(size)[:MAX_DETECTIONS]
        near = (boxes[found] + rng.normal(0, 2, (len(found), 4))).astype(np.float32)
        predictions.append(coco.Prediction(near, rng.random(len(found)), labels[found]))
    data = (annotations, predictions, classes)
    coco.coco_metrics(annotations[:2], predictions[:2], classes)
    watch.start()
    with watch.part("score"):
        coco.coco_metrics(*data)
        voc.voc_metrics(*data)
    with watch.part("analyze"):
        detection.f1_curves(detection.match_by_class(*data, "bbox"))
        detection.match_any_class(*data, 0.3, "bbox")


def postprocess(size: int, watch: Watch) -> None:
    """Decode what a detector gives for an image of 512 pixels with a high score at `size` locations."""
    from keras_resnet.runtime.postprocess import anchor_points, describe_objects

    cells, rng = [64, 32, 16, 8, 4], np.random.default_rng(0)
    middles, _ = anchor_points(cells)
    scores = rng.normal(-8, 0.5, (len(middles), 80)).astype(np.float32)
    sure = rng.permutation(len(middles))[:size]
    scores[sure, rng.integers(0, 80, len(sure))] = 2.0
    distances = rng.uniform(0.5, 3, (len(middles), 4)).astype(np.float32)
    labels = list(map(str, range(80)))
    outputs = {"scores": scores, "distances": distances}
    describe_objects(outputs, labels, cells, (512, 512))
    watch.start()
    watch.least("decode", lambda: describe_objects(outputs, labels, cells, (512, 512)), 10)


def _ignore(message: str) -> None:
    """Take a message that nobody reads."""


@dataclass(frozen=True)
class Axis:
    """What grows, in words, with its sizes; and what is measured at each of them. group: the table it stands in."""

    group: str
    title: str
    unit: str
    sizes: tuple[int, ...]
    run: Callable[[int, Watch], Any]


DEPTHS, FOLDERS = (8, 20, 110, 302, 602, 1202), (1000, 10_000, 100_000, 1_000_000)
KINDS = (10, 100, 1000, 10_000, 21_841)
DEPTH, INPUT, DATA = "depth", "input", "data"
AXES = {
    "depth": Axis(DEPTH, "by depth", "layers", DEPTHS, deepen),
    "pixels": Axis(INPUT, "by image size", "pixels", (32**2, 64**2, 128**2, 256**2, 512**2), enlarge),
    "batch": Axis(INPUT, "by batch size", "images", (16, 64, 256, 1024, 4096), batch),
    "classes": Axis(INPUT, "by classes", "classes", KINDS, classify),
    "folder": Axis(DATA, "opening data", "images", FOLDERS, open_images),
    "similar": Axis(DATA, "near duplicates", "images", FOLDERS, find_similar),
    "labels": Axis(DATA, "classifying", "classes", KINDS, name_classes),
    "objects": Axis(DATA, "detecting", "objects per image", (1, 10, 30, 100, 300, 1000), detect),
    "decode": Axis(DATA, "decoding detections", "candidates", (10, 30, 100, 300, 1000, 3000), postprocess),
}
assert os.name == "posix", "memory is read from /proc"
