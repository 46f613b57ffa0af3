"""Folders of classes that a test fills."""

import numpy as np
from PIL import Image
from samples import paint

from keras_resnet.runtime.plurals import counted


def fill(folder, per_class, *classes):
    """Class folders with so many images each."""
    return paint(folder, per_class, classes={name: (9 * number, 99, 200) for number, name in enumerate(classes)})


def image(path):
    """One image at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), 77, np.uint8)).save(path, format="PNG")
    return path


def counts(data):
    return {name: split.count for name, split in data.splits.items()}


def left_out(said):
    """Kind → how many, from the line that tells it."""
    (line,) = [line for line in said if line.startswith("left out ")]
    words = line.partition(": ")[2].partition(";")[0]
    found = {kind: int(number) for kind, number in (each[:-1].rsplit(" (", 1) for each in words.split(", "))}
    assert line.startswith(f"left out {counted(sum(found.values()), 'file')}: ")
    return found
