"""Pascal VOC's layout and that of ImageNet's localization data: an XML file for each image, with boxes of its objects.

Everingham et al. 2010, "The Pascal visual object classes challenge"; Russakovsky et al. 2015, "ImageNet large scale
visual recognition challenge". Where the files are: `voc_layouts`.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import numpy as np

from keras_resnet.data.annotations import Annotation, ImageAnnotation
from keras_resnet.data.sources.annotation_files import (
    FolderAnnotations,
    Tally,
    one_line,
    parse_finite,
    parse_flag,
)
from keras_resnet.data.sources.detection_folder import DetectionFolder
from keras_resnet.data.sources.voc_layouts import AnnotationSource, find_annotations, has_xml
from keras_resnet.errors import DataError
from keras_resnet.progress import show_progress

NO_NAME = "{object|objects} without a name"
NO_BOX = "{object|objects} without a box (bndbox)"
ROTATED = "{object|objects} whose box is rotated (robndbox)"
NOT_FOUR = "{box|boxes} whose xmin, ymin, xmax, ymax are not four finite numbers"
NO_FLAG = "{object|objects} whose difficult is neither 0 nor 1"
SECOND = "second {box|boxes} of an object, each taken as an object of the same name"
FROM_ZERO = "{box begins|boxes begin} at pixel 0, so pixels are counted from 0, not from 1 as Pascal VOC does"
EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Image:
    """A file's image with its objects; boxes: [left, top, right, bottom] as they stand in the file."""

    file: Path
    size: tuple[int, int]
    names: list[str]
    boxes: list[list[float]]
    difficult: list[bool]


class PascalVOC(DetectionFolder):
    """Folders with annotations in Pascal VOC's format, or of ImageNet's localization data."""

    layout = "Annotations/*.xml (Pascal VOC, ImageNet)"

    def is_layout(self, root: Path) -> bool:
        """Return whether `root` is in one of the layouts of `voc_layouts`."""
        return root.is_dir() and has_xml(root)

    def read_annotations(self, root: Path, masks: bool) -> FolderAnnotations:
        """Read all splits of `root`. Raises DataError for a folder that names no images to train on or no objects, and
        where masks are wanted."""
        if masks:
            raise DataError(f"--data {root} is in Pascal VOC's layout, whose boxes come without masks")
        return read_voc(root)


def read_voc(root: Path) -> FolderAnnotations:
    """Read all splits. Objects called difficult are crowds: neither to be learned nor to be found. Raises DataError for
    a folder that names no images to train on or no objects."""
    tally = Tally()
    found = find_annotations(root, tally)
    bad: dict[str, list[str]] = {split: [] for split in found}
    named: set[Path] = set()
    with show_progress(sum(map(len, found.values())), "annotations", "reading annotations") as advance:
        read: dict[str, list[_Image]] = {split: [] for split in found}
        for split, files in found.items():
            annotated: dict[Path, Path] = {}
            for pair in files:
                advance(1, "reading annotations")
                try:
                    image = _read_image(pair, tally)
                    if (other := annotated.setdefault(image.file, pair.annotation)) != pair.annotation:
                        raise DataError(f"{pair.annotation} is of {image.file}, which {other} is of too")
                    read[split].append(image)
                except DataError as error:
                    bad[split].append(str(error))
                    named.update(pair.likeliest())
    images = [image for rows in read.values() for image in rows]
    names = sorted({name for image in images for name in image.names})
    if not names:
        why = "; ".join(part for part in (tally.summary, *bad["train"][:1]) if part)
        raise DataError(f"the annotations in {root} name no objects{why and ': '}{why}")
    first = _first_pixel([box for image in images for box in image.boxes], tally)
    numbers = {name: number for number, name in enumerate(names)}
    listings = {split: [_to_annotation(image, numbers, first, tally) for image in rows] for split, rows in read.items()}
    named |= {image.file for image in images}
    return FolderAnnotations(tuple(names), listings, tally, bad, named)


def parse_xml(file: Path) -> ET.Element:
    """Return the root of an XML file. Raises DataError for one that declares entities: a few of them, each of many
    others, fill any memory, and no label tool writes one."""
    builder, parser = ET.TreeBuilder(), expat.ParserCreate()

    def refuse(*declared: object) -> None:
        raise DataError(f"cannot read the annotation {file}: it declares the entity {declared[0]!r}; none is allowed")

    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(file.read_bytes(), True)
        return builder.close()
    except (OSError, expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"cannot read the annotation {file}: {error}") from error


def _read_image(pair: AnnotationSource, tally: Tally) -> _Image:
    """Raise DataError for a file that is not as the format has it, and for one without an image."""
    tree = parse_xml(pair.annotation)
    if tree.tag != "annotation":
        other = "; export it from CVAT as Pascal VOC or COCO" if tree.tag == "annotations" else ""
        raise DataError(f"{pair.annotation} is not Pascal VOC's: it begins with {tree.tag!r}, not 'annotation'{other}")
    sides = [tree.findtext(f"size/{side}") for side in ("width", "height")]
    width, height = map(parse_finite, sides)
    if not width or not height or min(width, height) < 1 or width % 1 or height % 1:
        received = " × ".join("none" if side is None else one_line(side) or "empty" for side in sides)
        raise DataError(f"{pair.annotation} says {received} of its image; width and height are whole pixels")
    image = _Image(pair.image(tree.findtext("filename", "")), (int(width), int(height)), [], [], [])
    for each in tree.iter("object"):
        name, hard = one_line(each.findtext("name", "")), parse_flag(each.findtext("difficult"))
        boxes = each.findall("bndbox")
        wrong = _find_problem(each, name, hard, boxes)
        if wrong:
            tally.leave_out(wrong, pair.annotation.name)
            continue
        tally.note(SECOND, pair.annotation.name, len(boxes) - 1)
        for box in boxes:
            edges = [number for edge in EDGES if (number := parse_finite(box.findtext(edge))) is not None]
            if len(edges) < len(EDGES):
                tally.leave_out(NOT_FOUR, pair.annotation.name)
            else:
                image.names.append(name)
                image.boxes.append(edges)
                image.difficult.append(bool(hard))
    return image


def _find_problem(each: ET.Element, name: str, hard: bool | None, boxes: Sequence[ET.Element]) -> str:
    """For what an object is left out before one looks at its box; nothing if it is not."""
    if not name:
        return NO_NAME
    if not boxes:
        return NO_BOX if each.find("robndbox") is None else ROTATED
    return NO_FLAG if hard is None else ""


def _first_pixel(boxes: Sequence[Sequence[float]], tally: Tally) -> int:
    """Return the number of the first pixel: VOC counts from 1, and the last pixel belongs to a box; most tools count
    from 0, which shows where a box begins there."""
    from_zero = sum(0 <= min(box[:2]) < 1 for box in boxes)
    tally.note(FROM_ZERO, "", from_zero)
    return 0 if from_zero else 1


def _to_annotation(image: _Image, numbers: dict[str, int], first: int, tally: Tally) -> ImageAnnotation:
    boxes = np.array(image.boxes).reshape(-1, 4) - (first, first, 0, 0)
    found = Annotation.from_boxes(image.size, boxes, [numbers[name] for name in image.names], image.difficult)
    tally.count_boxes(boxes, image.size, len(found.labels), image.file.name)
    return ImageAnnotation(image.file, found)
