"""COCO's layout: annotations/instances_<split>.json, and the images of a split in <split>/, images/<split>/ or images/.

The format: cocodataset.org/#format-data, "Object Detection"."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import mask as rle

from keras_resnet.data.objects import Annotation, Listed
from keras_resnet.errors import DataError

PREFIX = "instances_"
# What a file's name holds → our split; test comes without annotations.
SPLITS = {"train": "train", "val": "validation"}


def is_coco(root: Path) -> bool:
    """Whether `root` is in this layout."""
    return any((root / "annotations").glob(f"{PREFIX}*.json"))


def read_coco(root: Path, masks: bool) -> tuple[tuple[str, ...], dict[str, list[Listed]], Counter[str]]:
    """(classes, images by split, what was left out and how often). Category ids may have gaps: labels count them in
    order. Raises DataError for files that are not as the format has them."""
    odd: Counter[str] = Counter()
    documents: dict[str, tuple[Path, dict[str, Any]]] = {}
    for file in sorted((root / "annotations").glob(f"{PREFIX}*.json")):
        split = next((ours for theirs, ours in SPLITS.items() if theirs in file.stem), None)
        if split is None:
            odd["files of annotations, which are neither of train nor of val"] += 1
        elif split in documents:
            raise DataError(f"{documents[split][0]} and {file} are both for {split}: keep one of them")
        else:
            documents[split] = file, _document(file)
    if "train" not in documents:
        raise DataError(f"{root / 'annotations'} holds no {PREFIX}train….json")
    categories = {
        each["id"]: str(each["name"]) for _, document in documents.values() for each in document["categories"]
    }
    if not categories:
        raise DataError(f"{documents['train'][0]} names no categories")
    numbers = {known: number for number, known in enumerate(sorted(categories))}
    listings = {}
    for split, (file, document) in documents.items():
        try:
            listings[split] = _listed(root, file, document, numbers, masks, odd)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{file} is not in COCO's format: {type(error).__name__} {error}") from error
    return tuple(categories[known] for known in numbers), listings, odd


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(document.get(key), list)]
    if missing:
        raise DataError(f"{file} is not in COCO's format: it has no list of {', '.join(missing)}")
    return dict(document)


def _listed(
    root: Path, file: Path, document: dict[str, Any], numbers: dict[int, int], masks: bool, odd: Counter[str]
) -> list[Listed]:
    name = file.stem.removeprefix(PREFIX)
    folder = next((f for f in (root / name, root / "images" / name, root / "images") if f.is_dir()), root / name)
    images = {each["id"]: each for each in document["images"]}
    objects: dict[int, list[dict[str, Any]]] = {known: [] for known in images}
    for each in document["annotations"]:
        if each["image_id"] not in images:
            odd["annotations of images that are not listed"] += 1
        elif each["category_id"] not in numbers:
            odd["annotations of categories that are not listed"] += 1
        elif len(each["bbox"]) != 4 or not min(each["bbox"][2:]) > 0:
            odd["boxes without an area"] += 1
        elif masks and not each.get("segmentation"):
            odd["annotations without a mask"] += 1
        else:
            objects[each["image_id"]].append(each)
    return [
        Listed(folder / image["file_name"], _annotation(image, objects[known], numbers, masks))
        for known, image in sorted(images.items())
    ]


def _annotation(
    image: dict[str, Any], objects: list[dict[str, Any]], numbers: dict[int, int], masks: bool
) -> Annotation:
    size = int(image["width"]), int(image["height"])
    boxes = np.array([each["bbox"] for each in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Annotation.of(
        size,
        boxes,
        [numbers[each["category_id"]] for each in objects],
        [bool(each.get("iscrowd", 0)) for each in objects],
        [each.get("area", each["bbox"][2] * each["bbox"][3]) for each in objects],
        [_counts(each["segmentation"], size) for each in objects] if masks else (),
    )


def _counts(segmentation: Any, size: tuple[int, int]) -> bytes:
    """Polygons, or a run-length code, compressed or not → the counts of a compressed one."""
    width, height = size
    if isinstance(segmentation, list):
        code = rle.merge(rle.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        code = rle.frPyObjects(segmentation, height, width)
    else:
        code = segmentation
    counts = code["counts"]
    return counts.encode() if isinstance(counts, str) else bytes(counts)
