"""Annotations in COCO's format, in the layouts of `coco_layouts`: cocodataset.org/#format-data, "Object Detection"."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path
from typing import Any

from keras_resnet.data.annotations import ImageAnnotation
from keras_resnet.data.sources.annotation_files import (
    FolderAnnotations,
    Tally,
    one_line,
)
from keras_resnet.data.sources.coco_entries import Id, format_error, match_id, parse_id, sort_key
from keras_resnet.data.sources.coco_images import ImageReader
from keras_resnet.data.sources.coco_layouts import (
    AnnotationFile,
    annotation_files_by_split,
    find_annotation_files,
)
from keras_resnet.data.sources.detection_folder import DetectionFolder
from keras_resnet.errors import DataError
from keras_resnet.progress import show_activity


class COCO(DetectionFolder):
    """Folders with annotations in COCO's format."""

    layout = "annotations/instances_*.json (COCO)"

    def is_layout(self, root: Path) -> bool:
        """Return whether `root` is in one of the layouts of `coco_layouts`."""
        return root.is_dir() and bool(find_annotation_files(root))

    def read_annotations(self, root: Path, masks: bool) -> FolderAnnotations:
        """Read all splits of `root`. Raises DataError for files that are not as the format has them."""
        return read_coco(root, masks)


def read_coco(root: Path, masks: bool) -> FolderAnnotations:
    """Read all splits. Category ids may have gaps: labels count them in order. They may differ between files: what is
    called the same is one class. Raises DataError for files that are not as the format has them."""
    tally = Tally()
    files = annotation_files_by_split(root, tally)
    documents = {split: _read_document(source.file) for split, source in files.items()}
    _require_different(files)
    ids = {split: _categories(files[split].file, document) for split, document in documents.items()}
    classes = _classes(files, documents, ids, tally)
    listings: dict[str, list[ImageAnnotation]] = {}
    bad: dict[str, list[str]] = {split: [] for split in files}
    named: set[Path] = set()
    order = {name: number for number, name in enumerate(classes)}
    for split, source in files.items():
        numbers = {known: order[name] for known, name in ids[split].items() if name in order}
        if split == "test" and not documents[split]["annotations"]:
            tally.leave_out("{file|files} of annotations that {lists|list} none", source.file.name)
        else:
            reader = ImageReader(root, source, numbers, masks, tally)
            listings[split] = reader.listed(documents[split], bad[split], named)
    return FolderAnnotations(classes, listings, tally, bad, named)


def _require_different(files: dict[str, AnnotationFile]) -> None:
    """Raise DataError for a file and its copy, which would score a network on what it learned."""
    train = files["train"].file
    for split, source in files.items():
        if split != "train" and filecmp.cmp(train, source.file, shallow=False):
            raise DataError(
                f"{train} and {source.file} are the same, so {split} would hold the images of training; leave the"
                " second one out, and a share of the images is held out for validation"
            )


def _read_document(file: Path) -> dict[str, Any]:
    try:
        with show_activity(f"reading {file.name}"):
            document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    except RecursionError as error:
        raise DataError(f"cannot read {file}: its lists and objects are nested too deeply for COCO's format") from error
    except MemoryError as error:
        size = f"{file.stat().st_size / 1e9:.1f} GB"
        raise DataError(f"cannot read {file}: {size} of JSON do not fit in memory; split it") from error
    entries = document if isinstance(document, dict) else {}
    missing = [key for key in ("images", "annotations", "categories") if not isinstance(entries.get(key), list)]
    if missing:
        raise DataError(f"{file} is not in COCO's format: it has no list of {', '.join(missing)}")
    return entries


def _categories(file: Path, document: dict[str, Any]) -> dict[Id, str]:
    """Return the names by id, in one line each."""
    names: dict[Id, str] = {}
    for each in document["categories"]:
        known, name = parse_id(file, "category", each, "name"), one_line(each["name"])
        if names.setdefault(known, name) != name:
            raise format_error(file, "category", each, f"its id is that of {names[known]!r} too")
    return names


def _classes(
    files: dict[str, AnnotationFile],
    documents: dict[str, dict[str, Any]],
    named: dict[str, dict[Id, str]],
    tally: Tally,
) -> tuple[str, ...]:
    """Return all categories in the order of their ids, but for those that only group others, as Roboflow's first one
    does."""
    sort_keys: dict[str, tuple[bool, Any]] = {}
    used, groups = set(), set()
    for split, document in documents.items():
        for known, name in named[split].items():
            sort_keys[name] = min(sort_keys.get(name, sort_key(known)), sort_key(known))
        ids = (each.get("category_id") for each in document["annotations"] if isinstance(each, dict))
        used |= {
            named[split].get(known) for known in (match_id(each, named[split]) for each in ids) if known is not None
        }
        for each in document["categories"]:
            if (above := one_line(each.get("supercategory", ""))) != one_line(each["name"]):
                groups.add(above)
    for name in sorted(groups & set(sort_keys) - used):
        del sort_keys[name]
        tally.leave_out(
            "{category that has no objects and only groups|categories that have no objects and only group} others", name
        )
    if not sort_keys:
        raise DataError(f"{files['train'].file} names no categories")
    return tuple(sorted(sort_keys, key=lambda name: (sort_keys[name], name)))
