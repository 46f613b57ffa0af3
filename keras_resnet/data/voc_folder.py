"""Pascal VOC's layout and that of ImageNet's localization data: an XML file for each image, with boxes of its objects.

VOC: Annotations/*.xml, JPEGImages/, and lists of names in ImageSets/Main/train.txt and val.txt, without which a share
is held out (Everingham et al. 2010, "The Pascal visual object classes challenge"). ImageNet: Annotations/CLS-LOC/train/
and …/val/, Data/CLS-LOC/ beside it (Russakovsky et al. 2015, "ImageNet large scale visual recognition challenge").
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np

from keras_resnet.data.objects import Annotation, Listed
from keras_resnet.errors import DataError

SPLITS = {"train": "train", "val": "validation"}
SUFFIXES = (".jpg", ".JPEG", ".jpeg", ".png")
Named = tuple[tuple[int, int], list[tuple[str, list[float], bool]]]


def is_voc(root: Path) -> bool:
    """Whether `root` is in one of these layouts."""
    return next((root / "Annotations").rglob("*.xml"), None) is not None


def read_voc(root: Path) -> tuple[tuple[str, ...], dict[str, list[Listed]], Counter[str]]:
    """(classes by name, images by split, what was left out and how often). Objects called difficult are taken as
    crowds: neither to be learned nor to be found. Raises DataError for a file that is not as the format has it."""
    odd: Counter[str] = Counter()
    read = {split: [(image, _read(file)) for file, image in files] for split, files in _files(root).items()}
    if "train" not in read:
        raise DataError(f"{root} names no training images")
    names = sorted({name for rows in read.values() for _, (_, objects) in rows for name, _, _ in objects})
    if not names:
        raise DataError(f"the annotations in {root / 'Annotations'} name no objects")
    numbers = {name: number for number, name in enumerate(names)}
    listings = {split: [_listed(image, *found, numbers, odd) for image, found in rows] for split, rows in read.items()}
    return tuple(names), listings, odd


def _files(root: Path) -> dict[str, list[tuple[Path, Path]]]:
    """(annotation, image) of each split."""
    if (root / "Annotations" / "CLS-LOC").is_dir():
        at = {ours: root / "Annotations" / "CLS-LOC" / theirs for theirs, ours in SPLITS.items()}
        data = root / "Data" / "CLS-LOC"
        return {
            split: [
                (file, _image(data / folder.name / file.relative_to(folder))) for file in sorted(folder.rglob("*.xml"))
            ]
            for split, folder in at.items()
            if folder.is_dir()
        }
    annotations, images = root / "Annotations", root / "JPEGImages"
    lists = {ours: root / "ImageSets" / "Main" / f"{theirs}.txt" for theirs, ours in SPLITS.items()}
    named = {split: _names(file) for split, file in lists.items() if file.is_file()}
    named = named or {"train": sorted(file.stem for file in annotations.glob("*.xml"))}
    return {
        split: [(annotations / f"{name}.xml", _image(images / f"{name}.xml")) for name in names]
        for split, names in named.items()
    }


def _names(file: Path) -> list[str]:
    """One a line; names may hold spaces and dots."""
    return [name for line in file.read_text(encoding="utf-8").splitlines() if (name := line.strip())]


def _image(file: Path) -> Path:
    """The image called as the annotation `file`, whatever its suffix; if there is none, the name to miss it by."""
    return next(
        (found for suffix in SUFFIXES if (found := file.with_suffix(suffix)).is_file()), file.with_suffix(".jpg")
    )


def _read(file: Path) -> Named:
    """((width, height), objects as (name, [left, top, right, bottom] in pixels, whether difficult))."""
    try:
        tree = ET.parse(file).getroot()
        size = tuple(int(float(tree.findtext(f"size/{side}", ""))) for side in ("width", "height"))
        objects = []
        for each in tree.iter("object"):
            box = [float(each.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")]
            # Pixels are counted from 1, and the last one belongs to the box.
            name = each.findtext("name", "").strip()
            objects.append((name, [box[0] - 1, box[1] - 1, *box[2:]], each.findtext("difficult", "0").strip() == "1"))
    except (OSError, ET.ParseError, ValueError) as error:
        raise DataError(f"cannot read the annotation {file}: {error}") from error
    return (size[0], size[1]), objects


def _listed(
    image: Path,
    size: tuple[int, int],
    objects: list[tuple[str, list[float], bool]],
    numbers: dict[str, int],
    odd: Counter[str],
) -> Listed:
    boxes = np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4)
    found = Annotation.of(size, boxes, [numbers[name] for name, _, _ in objects], [hard for _, _, hard in objects])
    odd["boxes without an area"] += len(objects) - len(found.labels)
    return Listed(image, found)
