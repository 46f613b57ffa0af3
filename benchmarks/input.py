"""Images per second of the input alone, for the machine and per core: ours, plain tf.data, Keras' and torchvision's
loaders, in one run.

    python benchmarks/input.py [--photos 400 --large 24 --rounds 3] [--torch-python PYTHON]
    python benchmarks/input.py --rounds 1 --images 320 --only "resized crop"  # some cases, quickly

JPEGs are made first: photographs of 500 × 375 pixels, as in ImageNet, and of 12 megapixels, as phones take them. Each
case is a process of its own that delivers batches of 32 images of 224 pixels. Each round measures all cases, one after
another, and the best of its rounds counts for each: other work on the machine does not favor one. What a case decodes
only once, as the cache does, has been decoded before it is measured. CPU time is that of all threads and workers:
images per core and second hold on a machine that does other work too. "Default crop" is a random 224 of an image
resized to 256, "resized crop" a random area of the image. Ours resizes by Pillow with antialiasing, as evaluation and
devices do; TensorFlow's and Keras' loaders do not by default.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from result_tables import Cell, Column, Table, add_json_option, describe_rounds, publish

SIZE, RESIZE, BATCH = 224, 256, 32
PHOTO, LARGE = (500, 375), (4032, 3024)
# ResNet-50 v1.5 in mixed precision on one A100 of 80 GB, images per second in training: NVIDIA, DeepLearningExamples,
# PyTorch/Classification/ConvNets/resnet50v1.5/README.md, "Training performance: NVIDIA DGX A100", read in 2026-11.
A100 = 2470


def our_batches(
    folder: Path, crop: str, cache: str = "off", scaled: bool = False, memory: bool = False
) -> Iterable[Any]:
    """Return the batches that `kresnet train` would make of the training images, epoch after epoch."""
    import tensorflow as tf

    from keras_resnet.config.spec import AugmentSpec, DataSpec
    from keras_resnet.data.load import load_dataset
    from keras_resnet.data.pipeline import TrainPipeline
    from keras_resnet.data.sources import image_folder
    from keras_resnet.data.uncropped import keep_uncropped

    if not memory:
        image_folder.fits_in_memory = lambda *of: False  # type: ignore[assignment]
    spec = DataSpec(str(folder), image_size=SIZE, resize=RESIZE, cache=cache, val_fraction=0.1)
    data = load_dataset(spec, lambda message: None, ("train", "validation"))
    augment = AugmentSpec(crop=crop, flip=True, scaled_decoding=scaled)
    train = keep_uncropped(data, augment, lambda message: None).splits["train"]
    pipeline = TrainPipeline(
        train, SIZE, min(BATCH, train.count), 0, lambda labels: tf.cast(labels, tf.float32), augment
    )
    return pipeline.batches(0, 10**6)


def tf_batches(folder: Path, kind: str) -> Iterable[Any]:
    """Return batches of a tf.data pipeline as tutorials write it. kind: window, default, resized or antialias; or
    "pillow": TensorFlow's exact decoder, and Pillow's resize after it."""
    import tensorflow as tf
    from PIL import Image

    from keras_resnet.runtime.image import resize_and_crop

    def window(file: Any) -> Any:
        encoded = tf.io.read_file(file)
        shape = tf.io.extract_jpeg_shape(encoded)
        if kind == "window":
            size = tf.constant([SIZE, SIZE])
            start = tf.cast(tf.random.uniform((2,)) * tf.cast(shape[:2] - size, tf.float32), tf.int32)
            return tf.io.decode_and_crop_jpeg(encoded, tf.concat([start, size], 0), channels=3)
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            shape,
            tf.zeros((1, 0, 4)),
            min_object_covered=0.0,
            area_range=(0.08, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3),
            use_image_if_no_bounding_boxes=True,
        )
        cut = tf.concat([begin[:2], extent[:2]], 0)
        image = tf.io.decode_and_crop_jpeg(encoded, cut, channels=3)
        return tf.cast(tf.image.resize(image, (SIZE, SIZE), antialias=kind == "antialias"), tf.uint8)

    def default(file: Any) -> Any:
        encoded = tf.io.read_file(file)
        if kind == "pillow":
            image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
            image = tf.numpy_function(
                lambda pixels: resize_and_crop(Image.fromarray(pixels), RESIZE), [image], tf.uint8
            )
            image = tf.ensure_shape(image, (RESIZE, RESIZE, 3))
        else:
            image = tf.io.decode_jpeg(encoded, channels=3)
            side = tf.reduce_min(tf.shape(image)[:2])
            square = tf.image.resize_with_crop_or_pad(image, side, side)
            image = tf.cast(tf.image.resize(square, (RESIZE, RESIZE)), tf.uint8)
        return tf.image.random_crop(image, (SIZE, SIZE, 3))

    files = tf.data.Dataset.from_tensor_slices([str(file) for file in sorted(folder.glob("*/*.jpg"))]).repeat()
    one = default if kind in ("default", "pillow") else window
    return files.map(one, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)


def keras_batches(folder: Path, _: str) -> Iterable[Any]:
    """Return batches of `keras.utils.image_dataset_from_directory`, cropped by its layer."""
    import keras
    import tensorflow as tf

    images = keras.utils.image_dataset_from_directory(
        folder, image_size=(RESIZE, RESIZE), batch_size=BATCH, crop_to_aspect_ratio=True, verbose=False
    )
    crop = keras.layers.RandomCrop(SIZE, SIZE)
    cropped = images.map(lambda pixels, labels: (crop(pixels, training=True), labels), tf.data.AUTOTUNE)
    return cropped.repeat().prefetch(tf.data.AUTOTUNE)


def torch_batches(folder: Path, kind: str) -> Iterable[Any]:
    """Return batches of torchvision's ImageFolder, read by as many workers as there are cores."""
    import torch
    from torchvision import datasets, transforms

    crops = {
        "default": [transforms.Resize(RESIZE), transforms.RandomCrop(SIZE)],
        "resized": [transforms.RandomResizedCrop(SIZE)],
    }
    images = datasets.ImageFolder(str(folder), transforms.Compose([*crops[kind], transforms.PILToTensor()]))
    loader = torch.utils.data.DataLoader(
        images, BATCH, shuffle=True, num_workers=os.cpu_count() or 1, persistent_workers=True
    )
    while True:
        yield from loader


# Name → how its batches are made, and which crop it stands for.
CASES: dict[str, tuple[Callable[..., Iterable[Any]], tuple[Any, ...]]] = {
    "kresnet, default crop, from the cache": (our_batches, ("pad", "auto")),
    "kresnet, default crop, decoded each time": (our_batches, ("pad",)),
    "tf.data, a window of 224, not resized": (tf_batches, ("window",)),
    "tf.data, decoded, resized to 256, cropped": (tf_batches, ("default",)),
    "tf.data, decoded exactly, resized by Pillow": (tf_batches, ("pillow",)),
    "Keras, image_dataset_from_directory": (keras_batches, ("default",)),
    "torchvision, Resize and RandomCrop": (torch_batches, ("default",)),
    "kresnet, resized crop, images in memory": (our_batches, ("resized", "auto", False, True)),
    "kresnet, resized crop, from the cache": (our_batches, ("resized", "auto")),
    "kresnet, resized crop, --scaled-decoding, from the cache": (our_batches, ("resized", "auto", True)),
    "kresnet, resized crop, decoded each time": (our_batches, ("resized",)),
    "kresnet, resized crop, --scaled-decoding, decoded each time": (our_batches, ("resized", "off", True)),
    "tf.data, resized crop, not antialiased": (tf_batches, ("resized",)),
    "tf.data, resized crop, antialiased": (tf_batches, ("antialias",)),
    "torchvision, RandomResizedCrop": (torch_batches, ("resized",)),
}


def make_photos(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write `count` JPEGs of (width, height) `size` that have edges at all scales, and a sensor's noise."""
    import numpy as np
    from PIL import Image

    width, height = size
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = np.full((height, width, 3), 120.0, np.float32)
        for scale, strength in ((max(2, width // 60), 18), (max(4, width // 12), 25), (width // 3, 45)):
            few = rng.normal(0, strength, (height // scale + 2, width // scale + 2, 3)).astype(np.float32)
            parts = [Image.fromarray(few[..., c]).resize(size, Image.Resampling.BICUBIC) for c in range(3)]
            pixels += np.stack([np.asarray(each) for each in parts], axis=-1)
        pixels += rng.normal(0, 2.5, (height, width, 1))
        file = folder / "ab"[number % 2] / f"{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, quality=90)


def cpu_seconds() -> float:
    """Return the CPU time of this process and of the workers that it has."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:  # has just ended
            continue
        ticks += (int(fields[11]) + int(fields[12])) * (int(fields[1]) == os.getpid())
    return own.ru_utime + own.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def measure(name: str, folder: Path, images: int) -> dict[str, float]:
    """Return images per second, and CPU seconds an image, of `images` images or more. Those before are not counted: an
    epoch where there is a cache, which checks what it reads for the first time, else two batches."""
    make, arguments = CASES[name]
    batches = iter(make(folder, *arguments))
    is_cached = make is our_batches and "auto" in arguments
    skip(batches, count_photos(folder) if is_cached else 2 * BATCH)
    began, used = time.perf_counter(), cpu_seconds()
    seen = skip(batches, images)
    return {"rate": seen / (time.perf_counter() - began), "cpu": (cpu_seconds() - used) / seen}


def skip(batches: Iterator[Any], images: int) -> int:
    """Take `images` images or more, and return how many."""
    seen = 0
    while seen < images:
        batch = next(batches)
        seen += len(batch[0] if isinstance(batch, (tuple, list)) else batch)
    return seen


def count_photos(folder: Path) -> int:
    """Return how many JPEGs lie in a folder of classes."""
    return sum(1 for _ in folder.glob("*/*.jpg"))


def run_case(python: str, name: str, folder: Path, images: int) -> dict[str, float] | None:
    """Measure one case in a process of its own; None where its library is not there."""
    command = [python, __file__, "--case", name, "--folder", str(folder), "--images", str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr:
            return None
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def open_twice(folder: Path) -> list[float]:
    """Return how many seconds a command takes to open `folder`: the first one, and the second one."""
    script = (
        "import sys, time; from keras_resnet.config.spec import DataSpec; from keras_resnet.data.load import"
        " load_dataset; began = time.perf_counter(); load_dataset(DataSpec(sys.argv[1]), lambda message: None,"
        " ('train', 'validation')); print(time.perf_counter() - began)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    return [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(2)]


def run_rounds(folder: Path, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Return what each round measured of each case: all cases once, then all again."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CASES if options.only in name}
    images = options.images or 4 * count_photos(folder)
    for number in range(options.rounds):
        for name, known in found.items():
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
            python = options.torch_python if CASES[name][0] is torch_batches else sys.executable
            if result := run_case(python, name, folder, images):
                known.append(result)
    return found


def measure_all(name: str, title: str, folder: Path, options: argparse.Namespace) -> Table:
    """Measure the cases on the images in `folder`; return the best of their rounds."""
    cores = os.cpu_count() or 1
    rows: list[list[Cell]] = []
    for case, known in run_rounds(folder, options).items():
        if known:
            rate, cpu = max(each["rate"] for each in known), min(each["cpu"] for each in known)
            rows.append([case, rate, cpu * 1000, 1 / cpu, A100 * cpu, cores / cpu / A100])
    columns = [
        Column("batches of 224 × 224 pixels"),
        Column("images/s", ",.0f"),
        Column("CPU ms per image", ".2f"),
        Column("images/s per core", ",.0f"),
        Column("cores for one A100", ".1f"),
        Column(f"A100s fed by these {cores} cores", ".2f"),
    ]
    packages = ("tensorflow", "keras", "pillow", "torch", "torchvision")
    note = f"{describe_rounds(options.rounds)} CPU time includes worker processes."
    return Table(f"input-{name}", title, columns, rows, packages, note, options.rounds)


def main() -> None:
    """Make the images, and measure every case on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--large", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, help="how many a case delivers in a round [default: 4 times the JPEGs]")
    parser.add_argument("--only", default="", help="measure the cases whose names contain this")
    parser.add_argument("--sizes", nargs="+", choices=["photos", "large"], default=["photos", "large"])
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that has torch and torchvision")
    parser.add_argument("--home", type=Path, help="where the images are made and kept [default: a temporary folder]")
    add_json_option(parser)
    for internal, kind in (("--case", str), ("--folder", Path)):
        parser.add_argument(internal, type=kind, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.case, arguments.folder, arguments.images)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        home = arguments.home or Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(home / "cache")
        tables = []
        sets = {"photos": (arguments.photos, PHOTO), "large": (arguments.large, LARGE)}
        for name in arguments.sizes:
            count, size = sets[name]
            if not (home / name).exists():
                make_photos(home / name, count, size)
            first, second = open_twice(home / name)
            title = f"JPEGs of {size[0]} × {size[1]} pixels"
            print(f"{name}: {title}: opened in {first:.1f} s, then in {second:.1f} s", file=sys.stderr)
            tables.append(measure_all(name, title, home / name, arguments))
        publish(tables, arguments.json)


if __name__ == "__main__":
    main()
