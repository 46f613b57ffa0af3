"""COCO's layout: annotations/instances_<split>.json, and the images of a split in <split>/, images/<split>/ or images/.

The format: cocodataset.org/#format-data, "Object Detection"."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import mask as rle

from keras_resnet.data.objects import Annotation, Listed, decoded_mask
from keras_resnet.errors import DataError

PREFIX = "instances_"
# What a file's name holds → our split; test comes without annotations.
SPLITS = {"train": "train", "val": "validation"}
Id = int | float | str
# A polygon has three corners at least, each of two numbers.
SHORTEST = 6
# Letters of an entry that a message quotes.
SHOWN_OF_ENTRY = 80


def is_coco(root: Path) -> bool:
    """Whether `root` is in this layout."""
    return any((root / "annotations").glob(f"{PREFIX}*.json"))


def read_coco(root: Path, masks: bool) -> tuple[tuple[str, ...], dict[str, list[Listed]], Counter[str]]:
    """(classes, images by split, what was left out and how often). Category ids may have gaps: labels count them in
    order. They may differ between files: what is called the same is one class. Raises DataError for files that are not
    as the format has them."""
    odd: Counter[str] = Counter()
    documents: dict[str, tuple[Path, dict[str, Any]]] = {}
    files = sorted((root / "annotations").glob(f"{PREFIX}*.json"))
    for file in files:
        split = next((ours for theirs, ours in SPLITS.items() if theirs in file.stem), None)
        if split is None:
            odd["files of annotations, which are neither of train nor of val"] += 1
        elif split in documents:
            raise DataError(f"{documents[split][0]} and {file} are both for {split}: keep one of them")
        else:
            documents[split] = file, _document(file)
    if "train" not in documents:
        there = ", ".join(file.name for file in files)
        raise DataError(f"{root / 'annotations'} holds no {PREFIX}train….json, but {there}")
    named = {split: _categories(file, document) for split, (file, document) in documents.items()}
    places: dict[str, tuple[bool, Any]] = {}
    for names in named.values():
        for known, name in names.items():
            places[name] = min(places.get(name, _place(known)), _place(known))
    if not places:
        raise DataError(f"{documents['train'][0]} names no categories")
    classes = tuple(sorted(places, key=lambda name: (places[name], name)))
    listings = {}
    for split, (file, document) in documents.items():
        numbers = {known: classes.index(name) for known, name in named[split].items()}
        listings[split] = _listed(root, file, document, numbers, masks, odd)
    return classes, listings, odd


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    found = document if isinstance(document, dict) else {}
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(found.get(key), list)]
    if missing:
        raise DataError(f"{file} is not in COCO's format: it has no list of {', '.join(missing)}")
    return found


@contextmanager
def _reading(file: Path, what: str, entry: Any) -> Iterator[None]:
    """Whatever is wrong with an `entry` of `file` is said with its beginning."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        shown = textwrap.shorten(json.dumps(entry, ensure_ascii=False), SHOWN_OF_ENTRY, placeholder=" …")
        raise DataError(f"{file} is not in COCO's format in {what} {shown}: {why}") from error


def _categories(file: Path, document: dict[str, Any]) -> dict[Id, str]:
    """The names by id, in one line each."""
    names: dict[Id, str] = {}
    for each in document["categories"]:
        with _reading(file, "the category", each):
            name = " ".join(str(each["name"]).split())
            if not name:
                raise ValueError("its name is empty")
            if names.setdefault(each["id"], name) != name:
                raise ValueError(f"its id is that of {names[each['id']]!r} too")
    return names


def _place(known: Id) -> tuple[bool, Any]:
    """By which ids are sorted: numbers, then words."""
    return isinstance(known, str), known


def _images(file: Path, document: dict[str, Any], odd: Counter[str]) -> dict[Id, dict[str, Any]]:
    """The images by id, in order."""
    images: dict[Id, dict[str, Any]] = {}
    for each in document["images"]:
        with _reading(file, "the image", each):
            if images.get(each["id"], each)["file_name"] != each["file_name"]:
                raise ValueError(f"its id is that of {images[each['id']]['file_name']!r} too")
            odd["images that are listed twice"] += each["id"] in images
            images[each["id"]] = {**each, "size": (int(each["width"]), int(each["height"]))}
    return dict(sorted(images.items(), key=lambda item: _place(item[0])))


def _listed(
    root: Path, file: Path, document: dict[str, Any], numbers: dict[Id, int], masks: bool, odd: Counter[str]
) -> list[Listed]:
    name = file.stem.removeprefix(PREFIX)
    folder = next((f for f in (root / name, root / "images" / name, root / "images") if f.is_dir()), root / name)
    images = _images(file, document, odd)
    objects: dict[Id, list[tuple[dict[str, Any], bytes]]] = {known: [] for known in images}
    for each in document["annotations"]:
        with _reading(file, "the annotation", each):
            wrong = _wrong(each, images, numbers, masks)
            counts = _counts(each["segmentation"], images[each["image_id"]]["size"]) if masks and not wrong else b""
            if counts is None:
                wrong = "annotations whose mask is empty or cannot be read"
            if wrong:
                odd[wrong] += 1
            else:
                objects[each["image_id"]].append((each, counts or b""))
    listed = []
    for known, image in images.items():
        with _reading(file, "the image", image):
            annotation = _annotation(image["size"], objects[known], numbers, masks)
            listed.append(Listed(folder / image["file_name"], annotation))
            odd["boxes without an area"] += len(objects[known]) - len(annotation.labels)
    return listed


def _wrong(each: dict[str, Any], images: dict[Id, Any], numbers: dict[Id, int], masks: bool) -> str:
    """For what an annotation is left out before one looks at its mask; nothing if it is not."""
    if each["image_id"] not in images:
        return "annotations of images that are not listed"
    if each["category_id"] not in numbers:
        return "annotations of categories that are not listed"
    box = each["bbox"]
    if len(box) != 4 or not all(map(math.isfinite, box)) or not min(box[2:]) > 0:
        return "boxes without an area"
    return "annotations without a mask" if masks and not each.get("segmentation") else ""


def _annotation(
    size: tuple[int, int], objects: list[tuple[dict[str, Any], bytes]], numbers: dict[Id, int], masks: bool
) -> Annotation:
    boxes = np.array([each["bbox"] for each, _ in objects], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Annotation.of(
        size,
        boxes,
        [numbers[each["category_id"]] for each, _ in objects],
        [bool(each.get("iscrowd", 0)) for each, _ in objects],
        [_area(each) for each, _ in objects],
        [counts for _, counts in objects] if masks else (),
    )


def _area(each: dict[str, Any]) -> float:
    """As it is given, else that of the box."""
    known = each.get("area")
    return float(known if known is not None and math.isfinite(known) else each["bbox"][2] * each["bbox"][3])


def _counts(segmentation: Any, size: tuple[int, int]) -> bytes | None:
    """Polygons, or a run-length code, compressed or not → the counts of a compressed one; None where there is nothing
    in it, or a code is not one of the image's size."""
    width, height = size
    try:
        counts = _code(segmentation, height, width)["counts"]
        counts = counts.encode() if isinstance(counts, str) else bytes(counts)
        shows = counts and rle.area({"size": [height, width], "counts": counts})
        if shows and not isinstance(segmentation, list):
            decoded_mask(counts, size)  # whether it is a code, of as many pixels
    except (KeyError, TypeError, ValueError):
        return None
    return counts if shows else None


def _code(segmentation: Any, height: int, width: int) -> Any:
    """As the library has it. Raises ValueError for a code of another size."""
    if isinstance(segmentation, list):
        # The library does not come back from coordinates that are no numbers.
        outlines = [each for each in segmentation if len(each) >= SHORTEST and all(map(math.isfinite, each))]
        return rle.merge(rle.frPyObjects(outlines, height, width)) if outlines else {"counts": b""}
    if list(segmentation["size"]) != [height, width]:
        raise ValueError("the code is of another size")
    uncompressed = isinstance(segmentation["counts"], list)
    return rle.frPyObjects(segmentation, height, width) if uncompressed else segmentation
