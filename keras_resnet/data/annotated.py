"""Folders of images with annotations of their objects: COCO's layout, Pascal VOC's and ImageNet's for localization."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import coco_folder, voc_folder
from keras_resnet.data.folder import Files
from keras_resnet.data.images import read_image, to_canvas
from keras_resnet.data.objects import Listed, Objects, has_to_show, packed, require_shown
from keras_resnet.data.split import (
    NAMED_IN_ERROR,
    SPLIT_SEED,
    Data,
    Say,
    Split,
    choose_canvas,
    fits_memory,
    judge_bad,
    require_split,
)
from keras_resnet.errors import DataError
from keras_resnet.progress import counting
from keras_resnet.spec import DataSpec


def is_annotated(root: Path) -> bool:
    """Whether `root` has annotations of objects."""
    return coco_folder.is_coco(root) or voc_folder.is_voc(root)


def open_annotated(spec: DataSpec, say: Say, only: Collection[str] | None = None) -> Data:
    """Read the folder `spec.source`, of its splits those in `only` (None: all); what is left out is counted and told to
    `say`.

    Raises DataError for a folder of no known layout, and for one without the annotations that are asked for.
    """
    root = Path(spec.source).expanduser()
    masks = spec.annotations == "masks"
    if coco_folder.is_coco(root):
        classes, listings, odd = coco_folder.read_coco(root, masks)
    elif voc_folder.is_voc(root):
        if masks:
            raise DataError(f"--data {spec.source} is in Pascal VOC's layout, whose boxes come without masks")
        classes, listings, odd = voc_folder.read_voc(root)
    else:
        raise DataError(
            f"--data {spec.source} holds neither annotations/instances_*.json (COCO) nor Annotations/*.xml (Pascal VOC,"
            " ImageNet), and images by class have no boxes of objects"
        )
    for what, count in sorted((+odd).items()):
        say(f"left out {count} {what}")
    size, resize = choose_canvas(spec.image_size, None, say)
    total = sum(map(len, listings.values()))
    keep = fits_memory(total, resize)
    say(f"reading {total} images with objects of {len(classes)} classes from {root}{'' if keep else ', from disk'}")
    if "validation" not in listings:
        listings |= _held_out(listings["train"], spec.val_fraction)
        say(f"validation: {spec.val_fraction:.0%} of the training images, drawn by a fixed seed")
    require_split(only, listings, {})
    bad: list[str] = []
    splits = {}
    for name in only or listings:
        listed = listings[name]
        shown = has_to_show(name, spec.annotations)
        split = _split(name, listed, masks, shown, resize if keep else None, bad, say)
        splits[name] = replace(split, resize=resize)
        assert split.objects is not None
        require_shown(split.objects.labels, split.objects.crowd, f"{name} images")
        _tell_unseen(name, split.objects, classes, say)
    judge_bad(bad, total, spec.max_bad, say)
    return Data(root.name, classes, splits, flips=True, image_size=size, resize=resize)


def _tell_unseen(name: str, objects: Objects, classes: Sequence[str], say: Say) -> None:
    """Of what a split shows nothing: in training it is not learned, in validation nothing is known of it."""
    unseen = np.setdiff1d(np.arange(len(classes)), objects.labels[(objects.labels >= 0) & ~objects.crowd])
    if len(unseen):
        names = ", ".join(classes[label] for label in unseen[:NAMED_IN_ERROR])
        more = ", …" if len(unseen) > NAMED_IN_ERROR else ""
        say(f"{name}: no object of {len(unseen)} of the {len(classes)} classes: {names}{more}")


def _held_out(listed: Sequence[Listed], fraction: float) -> dict[str, list[Listed]]:
    if len(listed) < 2:
        raise DataError(f"there are {len(listed)} images; splitting needs 2 or more")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(listed))
    wanted = min(max(1, round(fraction * len(listed))), len(listed) - 1)
    parts = {"validation": np.sort(order[:wanted]), "train": np.sort(order[wanted:])}
    return {name: [listed[row] for row in rows] for name, rows in parts.items()}


def _split(
    name: str, listed: Sequence[Listed], masks: bool, shown: bool, resize: int | None, bad: list[str], say: Say
) -> Split:
    """Decode the images where they are to be kept at `resize` pixels, else see that they are there. What cannot be read
    is added to `bad`; images without an object are left out and counted where they have to have one `shown`."""

    def read(each: Listed) -> tuple[np.ndarray | None, str]:
        try:
            if resize is None:
                return None, "" if each.file.is_file() else f"cannot read image {each.file}: no such file"
            image = read_image(each.file)
            if image.size != each.annotation.size:
                sizes = " × ".join(map(str, image.size)), " × ".join(map(str, each.annotation.size))
                turned = ", upright as its EXIF says" if image.size == each.annotation.size[::-1] else ""
                return None, f"image {each.file} has {sizes[0]} pixels{turned}, its annotation says {sizes[1]}"
            return to_canvas(image, resize), ""
        except DataError as error:
            return None, str(error)

    good: list[Listed] = []
    kept: list[Any] = []
    empty = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool, counting(len(listed), "images", f"reading {name}") as advance:
        for each, (pixels, trouble) in zip(listed, pool.map(read, listed), strict=True):
            advance(1, f"reading {name}")
            if trouble:
                bad.append(trouble)
            elif shown and not each.annotation.shows:
                empty += 1
            else:
                good.append(each)
                kept.append(pixels)
    if empty:
        say(f"{name}: left out {empty} of {len(listed)} images, which show no object")
    if not good:
        why = f": {bad[0]}" if bad else ""
        raise DataError(f"none of the {len(listed)} {name} images can be read and shows an object{why}")
    objects = packed([each.annotation for each in good], masks)
    if resize is not None:
        return Split(name, objects.labels[:, 0], np.stack(kept), objects=objects)
    return Split(name, objects.labels[:, 0], images=Files(tuple(str(each.file) for each in good)), objects=objects)
