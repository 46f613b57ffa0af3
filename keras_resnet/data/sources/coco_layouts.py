"""Where label tools put COCO's files of annotations, for which split each is, and where its images lie.

- COCO, CVAT: annotations/instances_<split>.json; the images in <split>/, images/<split>/ or images/.
- Roboflow: <split>/_annotations.coco.json, the images beside it.
- FiftyOne: labels.json, the images in data/; perhaps in a folder for each split.
- Label Studio: result.json, the images in images/.
- VGG Image Annotator and others: a file with "coco" in its name, the images beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.data.sources.annotation_files import (
    Tally,
    find_file,
    find_file_by_suffix,
    find_subfolders,
    list_entries,
    subfolders,
)
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.errors import DataError

PREFIX = "instances_"
# What a file's name holds → our split, the first that fits; CVAT calls what has no subset "default".
SPLITS = {"train": "train", "val": "validation", "test": "test"}
# Other files of COCO's, which have no boxes, or those of instances once more.
OTHER_PREFIXES = ("captions_", "image_info_", "labels_", "panoptic_", "person_keypoints_", "stuff_")
# Files by name, the likeliest kind first.
FILE_KINDS: tuple[Callable[[str], bool], ...] = (
    lambda name: name == "_annotations.coco.json",
    lambda name: name.startswith(PREFIX),
    lambda name: name in ("labels.json", "result.json", "annotations.json"),
    lambda name: "coco" in name or re.match(r"(train|val|test)", name) is not None,
)
# A file of the format names one of its parts so far from its beginning at most.
HEAD_BYTES = 65536
FORMAT_KEYS = re.compile(rb'"(images|annotations|categories|info|licenses)"\s*:')


@dataclass(frozen=True)
class AnnotationFile:
    """A file of annotations, and the folders in which its images may lie, the likeliest first."""

    file: Path
    folders: tuple[Path, ...]


def find_annotation_files(root: Path) -> list[tuple[str | None, AnnotationFile]]:
    """Return (split, or None where nothing says for which; file of annotations), in the first layout that `root`
    has."""
    for folder in find_subfolders(root, "annotations"):
        if files := _annotation_files(folder) or _all_annotation_files(folder):
            return [(_split_of(file.stem), AnnotationFile(file, _image_folders(root, file))) for file in files]
    by_folder = [(split_of(each.name), each) for each in subfolders(root)]
    matches: list[tuple[str | None, AnnotationFile]] = [
        (split, AnnotationFile(file, _image_folders_beside(folder)))
        for split, folder in by_folder
        if split
        for file in _annotation_files(folder)
    ]
    if matches:
        return matches
    return [
        (_split_of(file.stem), AnnotationFile(file, (*_image_folders_beside(root), *_image_folders(root, file))))
        for file in _annotation_files(root)
    ]


def annotation_files_by_split(root: Path, tally: Tally) -> dict[str, AnnotationFile]:
    """Return the files of annotations of each split. Raises DataError where two are for one, or none is for
    training."""
    matches = find_annotation_files(root)
    if len(matches) == 1 and matches[0][0] is None:
        return {"train": matches[0][1]}
    chosen: dict[str, AnnotationFile] = {}
    for split, source in matches:
        if split is None:
            tally.leave_out(
                "{file|files} of annotations, whose {name says|names say} neither train, val nor test", source.file.name
            )
        elif split in chosen:
            raise DataError(f"{chosen[split].file} and {source.file} are both for {split}: keep one of them")
        else:
            chosen[split] = source
    if "train" not in chosen:
        there = ", ".join(str(source.file.relative_to(root)) for _, source in matches)
        raise DataError(f"{root} holds no annotations to train on: none of {there} has train in its name or folder")
    return chosen


def _split_of(stem: str) -> str | None:
    return next((ours for theirs, ours in SPLITS.items() if theirs in stem.lower()), None)


def _annotation_files(folder: Path) -> list[Path]:
    """Return the files of annotations in `folder`, all of the likeliest kind."""
    there = _json_files(folder)
    for is_kind in FILE_KINDS:
        if matches := [file for file in there if is_kind(file.name.lower()) and _looks_like_coco(file)]:
            return matches
    return []


def _all_annotation_files(folder: Path) -> list[Path]:
    """Of a folder that is called annotations: all but what is known to be something else."""
    matches = [file for file in _json_files(folder) if _looks_like_coco(file)]
    return [file for file in matches if not file.name.lower().startswith(OTHER_PREFIXES)] or matches


def _json_files(folder: Path) -> list[Path]:
    return [each for each in list_entries(folder) if each.suffix.lower() == ".json" and each.is_file()]


def _looks_like_coco(file: Path) -> bool:
    """Return whether a file begins as one of COCO's. Those that say so by their name are not looked into: what is wrong
    in them is an error when they are read."""
    name = file.name.lower()
    if FILE_KINDS[0](name) or FILE_KINDS[1](name):
        return True
    try:
        with file.open("rb") as opened:
            # Without the zeros that UTF-16 puts between letters.
            return FORMAT_KEYS.search(opened.read(HEAD_BYTES).replace(b"\0", b"")) is not None
    except OSError:
        return False


def _image_folders_beside(folder: Path) -> tuple[Path, ...]:
    return (folder, *find_subfolders(folder, "data", "images"))


def _image_folders(root: Path, file: Path) -> tuple[Path, ...]:
    """Of a file that is named for its split: COCO's order, then folders of the same split by other names."""
    name, split = _without_prefix(file.stem), _split_of(file.stem)
    images = find_subfolders(root, "images", "data")
    exact = [*find_subfolders(root, name), *(sub for each in images for sub in find_subfolders(each, name))]
    alike = [
        folder
        for parent in (root, *images)
        for folder in subfolders(parent)
        if split and folder not in exact and (split_of(folder.name) or _split_of(folder.name)) == split
    ]
    return (*exact, *alike, *images, file.parent, root) if exact else (*alike, *images, root / name, file.parent, root)


def _without_prefix(stem: str) -> str:
    return stem[len(PREFIX) :] if stem.lower().startswith(PREFIX) else stem


def locate_images(names: Sequence[str], source: AnnotationFile, root: Path, tally: Tally) -> list[Path | None]:
    """Return where the images called `names` are, None for those that are not there. A name that was written elsewhere,
    with folders that are not here, is found by its end, if that is no other entry's file."""
    matches = [find_file(name, source.folders, root) for name in names]
    taken = set(matches)
    for row, name in enumerate(names):
        if matches[row] is None and (file := find_file_by_suffix(name, source.folders, root)) not in taken:
            taken.add(file)
            matches[row] = file
            tally.note(
                "{image|images} found without the folders that {its name begins|their names begin} with",
                f"{name} in {source.file.name}",
            )
    return matches
