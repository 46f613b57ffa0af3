"""The images of one file in COCO's format, each with its objects: what is used of them, and what is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.annotations import Annotation, ImageAnnotation
from keras_resnet.data.sources import coco_masks
from keras_resnet.data.sources.annotation_files import (
    BEYOND,
    NO_AREA,
    Tally,
    count_outside,
    name_folder,
    parse_finite,
    parse_flag,
)
from keras_resnet.data.sources.coco_entries import Id, format_error, match_id, parse_id, quote_entry, sort_key
from keras_resnet.data.sources.coco_layouts import (
    AnnotationFile,
    locate_images,
)
from keras_resnet.errors import DataError

NO_IMAGE = "{annotation|annotations} of images that are not listed"
NO_CATEGORY = "{annotation|annotations} of categories that are not listed"
NO_BOX = "{annotation|annotations} without a box"
NOT_FOUR = "{annotation|annotations} whose bbox is not four finite numbers: left, top, width, height"
NO_FLAG = "{annotation|annotations} whose iscrowd is neither 0 nor 1"
REPEATED = "{annotation|annotations} that {repeats|repeat} another one of {its|their} image exactly"
ROTATED = "{box|boxes} that {is|are} rotated (attributes.rotation): {its|their} bbox is taken as it is, upright"
# What is quoted of an annotation besides its ids.
QUOTED = {
    NO_IMAGE: "image_id",
    NO_BOX: "bbox",
    NOT_FOUR: "bbox",
    NO_AREA: "bbox",
    REPEATED: "bbox",
    NO_CATEGORY: "category_id",
    NO_FLAG: "iscrowd",
    ROTATED: "attributes",
}
SWAPPED = "; are they left, top, right, bottom? COCO's are left, top, width, height"


@dataclass(frozen=True)
class _Object:
    """An annotation that is used; box: left, top, width, height in pixels."""

    entry: dict[str, Any]
    label: int
    box: tuple[float, float, float, float]
    iscrowd: bool


@dataclass(frozen=True)
class ImageReader:
    """Reads the file of one split. numbers: the label of each category's id."""

    root: Path
    source: AnnotationFile
    numbers: dict[Id, int]
    masks: bool
    tally: Tally

    def listed(self, document: dict[str, Any], bad: list[str], named: set[Path]) -> list[ImageAnnotation]:
        """Return the images by their ids, each with what stands in it; of those that cannot be used, why is added to
        `bad`. All files that are there are added to those that are `named`."""
        images, twins = self._images(document["images"])
        objects = self._objects(document["annotations"], images, twins)
        self._require_pixels([each for of_image in objects.values() for each in of_image])
        files = locate_images([image["file_name"] for image in images.values()], self.source, self.root, self.tally)
        named |= {file for file in files if file is not None}
        listed, reaching = [], 0
        for (known, image), file in zip(images.items(), files, strict=True):
            size = _parse_size(image)
            if file is None:
                bad.append(
                    f"cannot read image {self.source.folders[0] / image['file_name']}: no such file in"
                    f" {name_folder(self.root)}"
                )
            elif size is None:
                sides = " × ".join(quote_entry(image.get(side)) for side in ("width", "height"))
                bad.append(f"image {file}: {self.source.file.name} says {sides}; width and height are whole pixels")
            else:
                annotation, outside = self._annotation(size, objects[known])
                listed.append(ImageAnnotation(file, annotation))
                reaching += outside
        swapped = SWAPPED if 2 * reaching > sum(map(len, objects.values())) else ""
        self.tally.note(BEYOND + swapped, self.source.file.name, reaching)
        return listed

    def _images(self, entries: Sequence[Any]) -> tuple[dict[Id, dict[str, Any]], dict[Id, Id]]:
        """Return the images by id, in order; and the ids of images whose file is listed under another id, with that
        one."""
        images: dict[Id, dict[str, Any]] = {}
        for each in entries:
            known, name = parse_id(self.source.file, "image", each, "file_name"), str(each["file_name"])
            if known in images:
                if images[known]["file_name"] != name:
                    why = f"its id is that of {images[known]['file_name']!r} too"
                    raise format_error(self.source.file, "image", each, why)
                self.tally.leave_out("{image that is|images that are} listed twice", name)
            images[known] = {**each, "file_name": name}
        first: dict[str, Id] = {}
        twins: dict[Id, Id] = {}
        for known in sorted(images, key=sort_key):
            name = images[known]["file_name"]
            if (twin := first.setdefault(name, known)) != known:
                twins[known] = twin
                self.tally.note("{image that is|images that are} listed under a second id, taken as one", name)
        return {known: images[known] for known in first.values()}, twins

    def _objects(
        self, entries: Iterable[Any], images: dict[Id, dict[str, Any]], twins: dict[Id, Id]
    ) -> dict[Id, list[_Object]]:
        """Return those of each image, in the order of the file."""
        usable: dict[Id, list[_Object]] = defaultdict(list)
        alike: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        listed: dict[Id, Any] = {**images, **twins}
        for each in entries:
            known = match_id(each.get("image_id"), listed) if isinstance(each, dict) else None
            made = NO_IMAGE if known is None else self._object(each)
            if isinstance(made, str) or known is None:
                self.tally.leave_out(str(made), self._quoted(each, str(made)))
                continue
            known = twins.get(known, known)
            others = alike[known, made.label, made.box]
            if any(_is_repeated(each, other) for other in others):
                self.tally.leave_out(REPEATED, self._quoted(each, REPEATED))
                continue
            others.append(each)
            usable[known].append(made)
            if _is_rotated(each):
                self.tally.note(ROTATED, self._quoted(each, ROTATED))
        return usable

    def _object(self, each: dict[str, Any]) -> _Object | str:
        """Return what an annotation says, or for what it is left out before one looks at its mask."""
        category = match_id(each.get("category_id"), self.numbers)
        if category is None:
            return NO_CATEGORY
        if each.get("bbox") in (None, []):
            return NO_BOX
        box = _parse_box(each["bbox"])
        if box is None:
            return NOT_FOUR
        iscrowd = parse_flag(each.get("iscrowd"))
        if iscrowd is None:
            return NO_FLAG
        if not min(box[2:]) > 0:
            return NO_AREA
        return _Object(each, self.numbers[category], box, iscrowd)

    def _annotation(self, size: tuple[int, int], objects: list[_Object]) -> tuple[Annotation, int]:
        """Return what stands in an image of (width, height) `size`, and how many boxes reach beyond it."""
        masks: list[bytes] = []
        if self.masks:
            objects, masks = self._with_masks(size, objects)
        boxes = np.array([each.box for each in objects]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels, iscrowd = [each.label for each in objects], [each.iscrowd for each in objects]
        usable = Annotation.from_boxes(
            size, boxes, labels, iscrowd, [_choose_area(each, size) for each in objects], masks
        )
        self.tally.leave_out(NO_AREA, self.source.file.name, len(objects) - len(usable.labels))
        return usable, count_outside(boxes, size)

    def _with_masks(self, size: tuple[int, int], objects: list[_Object]) -> tuple[list[_Object], list[bytes]]:
        """Return those that have a mask, and the masks."""
        kept, masks = [], []
        for each in objects:
            counts, wrong, parts = coco_masks.encode_segmentation(each.entry.get("segmentation"), size)
            if wrong or parts:
                what, count = (wrong, 1) if wrong else (coco_masks.NO_POLYGON, parts)
                self.tally.leave_out(what, self._quoted(each.entry, what), count)
            if not wrong:
                kept.append(each)
                masks.append(counts)
        return kept, masks

    def _require_pixels(self, objects: list[_Object]) -> None:
        """Raise DataError for boxes that are all in fractions of their images."""
        if len(objects) > 1 and max(max(each.box) for each in objects) <= 1:
            raise DataError(
                f"{self.source.file} has boxes in fractions of their images, such as {list(objects[0].box)}; COCO's are"
                " in pixels: left, top, width, height"
            )

    def _quoted(self, entry: Any, wrong: str) -> str:
        """Return an annotation's ids, what is wrong with it, and the file that it is in."""
        if isinstance(entry, dict):
            keys = ("id", "image_id", QUOTED.get(wrong, "segmentation"))
            entry = {key: entry[key] for key in keys if key in entry}
        return f"{quote_entry(entry)} in {self.source.file.name}"


def _parse_size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Return (width, height), if they are whole numbers and no more than an image can have."""
    width, height = parse_finite(image.get("width")), parse_finite(image.get("height"))
    if width is None or height is None or min(width, height) < 1 or width % 1 or height % 1:
        return None
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return (int(width), int(height)) if width * height <= most else None


def _parse_box(box: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(box, list) or len(box) != 4:
        return None
    left, top, width, height = map(parse_finite, box)
    if left is None or top is None or width is None or height is None:
        return None
    return left, top, width, height


def _is_repeated(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Of two annotations of one category in one box."""
    return all(one.get(key) == other.get(key) for key in ("segmentation", "iscrowd"))


def _is_rotated(each: dict[str, Any]) -> bool:
    """Return whether CVAT says so of a box."""
    attributes = each.get("attributes")
    return isinstance(attributes, dict) and bool((parse_finite(attributes.get("rotation")) or 0) % 360)


def _choose_area(each: _Object, size: tuple[int, int]) -> float:
    """As it is given, if that is no more than the image's of (width, height) `size`; else that of the box."""
    known, most = parse_finite(each.entry.get("area")), size[0] * size[1]
    return known if known is not None and 0 < known <= most else min(each.box[2] * each.box[3], most)
