"""Folders in YOLO's layout."""

import json

from PIL import Image
from samples import silent

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.load import load_dataset

SIZES = [(64, 48), (40, 56), (50, 50)]
CONFIG = {"names": ["cat", "dog"], "train": "images/train", "val": "images/val"}


def config(root, name="data.yaml", **changes):
    """JSON is YAML."""
    changed = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    (root / name).write_text(json.dumps(changed))


def picture(file, size=SIZES[0]):
    file.parent.mkdir(parents=True, exist_ok=True)
    shade = sum(map(ord, str(file))) % 200
    Image.new("RGB", size, (shade, 90, len(file.name))).save(file)


def label(file, *lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def folder(root, lines=("0 0.5 0.5 0.25 0.5",), **changes):
    """Two training images and two of validation, each with the same `lines`."""
    for split in ("train", "val"):
        for number in range(2):
            picture(root / "images" / split / f"{split}{number}.png")
            label(root / "labels" / split / f"{split}{number}.txt", *lines)
    config(root, **changes)
    return root


def opened(root, told=None, **fields):
    log = silent if told is None else told.append
    return load_dataset(DataSpec(str(root), image_size=64, **{"annotations": "objects", **fields}), log)
