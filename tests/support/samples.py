"""Folders, specs, photographs and videos that many tests use."""

import io

import numpy as np
from PIL import Image

from keras_resnet.config.spec import DataSpec, NetworkSpec, OptimizerSpec, Spec, TrainingSpec
from keras_resnet.config.task_rules import TASK_RULES

COLOURS = {"blue": (30, 30, 220), "green": (30, 200, 30), "red": (220, 30, 30)}


def silent(message):
    """Takes what would be told."""


def paint(folder, per_class, size=16, classes=COLOURS):
    """A folder per class, each with `per_class` PNG files of noise around the class's colour."""
    rng = np.random.default_rng(0)
    for name, colour in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            pixels = np.clip(rng.normal(colour, 40, (size, size, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index:03}.png")
    return folder


def photo(width, height, seed=0):
    """Smooth colors with some noise, as a camera delivers them."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) + rng.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def finding(task="segment", source="shapes", epochs=5, **changes):
    """A small network that finds objects, for seconds of training."""
    data = DataSpec(source, image_size=64, fit="pad", channels=3, annotations=TASK_RULES[task].annotations)
    optimizer = OptimizerSpec("adamw", learning_rate=3e-3, weight_decay=0.01, clip_grad_norm=10.0, label_smoothing=0.0)
    training = TrainingSpec(epochs=epochs, batch_size=8, precision="float32")
    network = NetworkSpec(10, width=0.25)
    return Spec(task=task, network=network, data=data, optimizer=optimizer, training=training, **changes)


def filmed(path, frames):
    """A video of dark frames with a square that moves to the right, 48 × 32 pixels, 10 frames a second."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (48, 32))
    for number in range(frames):
        pixels = np.zeros((32, 48, 3), np.uint8)
        pixels[12:20, 4 * number : 4 * number + 8] = 90
        writer.write(pixels)
    writer.release()
    return path
