"""Where label tools put Pascal VOC's files of annotations, for which split each is, and where its image lies.

- Pascal VOC, CVAT: Annotations/*.xml, JPEGImages/, and lists of names in ImageSets/Main/.
- Label Studio: Annotations/*.xml and images/. FiftyOne: labels/*.xml and data/.
- Roboflow: train/, valid/ and test/ with FILE.xml beside FILE.jpg. labelImg: FILE.xml beside FILE.jpg.
- ImageNet: Annotations/CLS-LOC/train/ and …/val/, Data/CLS-LOC/ beside it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from keras_resnet.data.dataset import MAX_NAMES_IN_ERROR
from keras_resnet.data.sources.annotation_files import (
    Tally,
    find_file,
    find_file_by_suffix,
    find_files,
    find_subfolders,
    list_entries,
    read_lines,
    resolve_inside,
    subfolders,
)
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.errors import DataError
from keras_resnet.runtime.image_files import image_suffixes

# Lists of names in ImageSets/Main, in small letters → what they are of; CVAT calls what has no subset "default". Others
# are of single classes.
LIST_SPLITS = {
    "train": "train",
    "training": "train",
    "default": "train",
    "trainval": "trainval",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
XML_PATTERN = "*.[xX][mM][lL]"
IMAGE_FOLDERS = ("JPEGImages", "images", "data", "imgs")
UNLISTED = "{annotation|annotations} that no list in ImageSets/Main names"


@dataclass(frozen=True)
class AnnotationSource:
    """A file of annotations, and the folders in which its image may lie, below `root`."""

    annotation: Path
    folders: tuple[Path, ...]
    root: Path

    def image(self, name: str) -> Path:
        """Return the image that is called as the annotation is, else as `name` says, which tools write into it. Raises
        DataError if there is none, or several of which `name` says nothing."""
        name = name.strip()
        if matches := self.likeliest():
            return self._one_of(matches, name)
        file = (
            find_file(name, self.folders, self.root) or find_file_by_suffix(name, self.folders, self.root)
            if name
            else None
        )
        if file is not None and _is_image(file):
            return file
        named = f" or as its <filename> says, {name!r}" if name else ""
        raise DataError(
            f"cannot read image {self.folders[0] / self.annotation.stem}.*: no such file called as {self.annotation}"
            f"{named}"
        )

    def likeliest(self) -> tuple[Path, ...]:
        """Return the images that are called as the annotation is, in the first folder that has one."""
        there = (_images_in(folder).get(self.annotation.stem, ()) for folder in self.folders)
        return next(filter(None, there), ())

    def _one_of(self, matches: tuple[Path, ...], name: str) -> Path:
        named = [file for file in matches if file.name == Path(name.replace("\\", "/")).name]
        if len(matches) > 1 and not named:
            names = ", ".join(file.name for file in matches)
            raise DataError(f"{self.annotation} may be of each of {names}; its <filename> says {name!r}")
        return (named or matches)[0]


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in image_suffixes()


@lru_cache(maxsize=4096)
def _index(folder: Path, changed: int) -> dict[str, tuple[Path, ...]]:
    matches: dict[str, tuple[Path, ...]] = {}
    for file in list_entries(folder):
        if _is_image(file):
            matches[file.stem] = (*matches.get(file.stem, ()), file)
    return matches


def _images_in(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return image files by name without suffix; kept until the folder changes."""
    return _index(folder, folder.stat().st_mtime_ns) if folder.is_dir() else {}


def has_xml(root: Path) -> bool:
    """Return whether annotations of one of the layouts are in `root`."""
    return any(True for _ in find_files(root, XML_PATTERN))


def find_annotations(root: Path, tally: Tally) -> dict[str, list[AnnotationSource]]:
    """Return the files of annotations of each split. Raises DataError where none is for training."""
    for folder in find_subfolders(root, "Annotations", "labels", "xml", "xmls"):
        if (folder / "CLS-LOC").is_dir():
            return _imagenet(root, folder / "CLS-LOC")
        if files := sorted(find_files(folder, XML_PATTERN)):
            return _by_lists(root, folder, files, tally)
    return _by_folder(root, tally)


def _imagenet(root: Path, annotations: Path) -> dict[str, list[AnnotationSource]]:
    matches: dict[str, list[AnnotationSource]] = {}
    for folder in subfolders(annotations):
        data = root / "Data" / "CLS-LOC" / folder.name
        files = sorted(find_files(folder, XML_PATTERN))
        if (split := split_of(folder.name)) and files:
            matches[split] = [AnnotationSource(file, (data / file.parent.relative_to(folder),), root) for file in files]
    if "train" not in matches:
        raise DataError(f"{root} names no training images: no XML file is in {annotations / 'train'}")
    return matches


def _by_folder(root: Path, tally: Tally) -> dict[str, list[AnnotationSource]]:
    """Of annotations beside their images: in folders for the splits, or all for training."""
    splits = {each.name: split for each in subfolders(root) if (split := split_of(each.name))}
    for folder in subfolders(root):
        if folder.name not in splits and find_subfolders(folder, "Annotations"):
            raise DataError(f"{root} holds {folder.name}, which has annotations of its own: give --data {folder}")
    matches: dict[str, list[AnnotationSource]] = {}
    for file in sorted(find_files(root, XML_PATTERN)):
        split = splits.get(file.relative_to(root).parts[0]) if splits else "train"
        if split is None:
            tally.leave_out("{annotation|annotations} outside of the folders train, valid and test", file.name)
        else:
            near = [file.parent, *find_subfolders(file.parent, *IMAGE_FOLDERS)]
            near += find_subfolders(file.parent.parent, *IMAGE_FOLDERS) if file.parent != root else []
            matches.setdefault(split, []).append(AnnotationSource(file, (*near, root), root))
    if "train" not in matches:
        raise DataError(f"{root} names no training images: no XML file is in a folder train")
    return matches


def _by_lists(root: Path, folder: Path, files: list[Path], tally: Tally) -> dict[str, list[AnnotationSource]]:
    """Of annotations in a `folder` of their own: as ImageSets/Main says, or all for training."""
    known = {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}
    lists = _lists(root, known)
    if not lists:
        return {"train": [_pair(root, folder, file) for file in files]}
    listed = {name for names in lists.values() for name in names}
    rest = sorted(set(known) - listed)
    tally.leave_out(UNLISTED, rest[0] if rest else "", len(rest))
    both, train, held_out = (lists.get(each, []) for each in ("trainval", "train", "validation"))
    if both and not train:
        train = _without(both, held_out)
    elif both and not held_out:
        held_out = _without(both, train)
    if not train:
        raise DataError(f"{root} names no training images: ImageSets/Main has lists of {', '.join(lists)} only")
    chosen = {"train": train, "validation": held_out, "test": lists.get("test", [])}
    return {
        split: [_pair(root, folder, known.get(name, folder / f"{name}.xml")) for name in names]
        for split, names in chosen.items()
        if names
    }


def _without(names: list[str], others: list[str]) -> list[str]:
    out = set(others)
    return [name for name in names if name not in out]


def _lists(root: Path, known: dict[str, Path]) -> dict[str, list[str]]:
    """By what they are of. Raises DataError for two lists of the same, and for lists of names that say nothing."""
    homes = [main for sets in find_subfolders(root, "ImageSets") for main in (*find_subfolders(sets, "Main"), sets)]
    for home in homes:
        files = [each for each in list_entries(home) if each.suffix.lower() == ".txt"]
        chosen: dict[str, Path] = {}
        for file in files:
            if kind := LIST_SPLITS.get(file.stem.lower()):
                if kind in chosen:
                    raise DataError(f"{chosen[kind]} and {file} are both for {kind}: keep one of them")
                chosen[kind] = file
        if not chosen and len(files) == 1:
            chosen = {"train": files[0]}
        if files and not chosen:
            there = ", ".join(file.name for file in files[:MAX_NAMES_IN_ERROR])
            raise DataError(
                f"{home} holds {there}, but none of train.txt, trainval.txt, val.txt, test.txt, default.txt"
            )
        if matches := {kind: names for kind, file in chosen.items() if (names := _names(file, known))}:
            return matches
    return {}


def _names(file: Path, known: dict[str, Path]) -> list[str]:
    """Return one a line; names may hold spaces and dots. Raises DataError for a file that is no text."""
    return list(dict.fromkeys(_name(line.strip(), known) for line in read_lines(file) if line.strip()))


def _name(line: str, known: dict[str, Path]) -> str:
    """As tools write it: plain, in quotes, with the image's suffix, or with 1 or -1 behind it."""
    plain = line.strip('"')
    for name in (line, plain, plain.rsplit(".", 1)[0], line.rsplit(None, 1)[0].strip('"')):
        if name in known:
            return name
    return line


def _pair(root: Path, annotations: Path, file: Path) -> AnnotationSource:
    """Images lie in folders as their annotations do, or beside them, or in the dataset's own folder."""
    safe = resolve_inside(root, file)
    if safe is None:
        raise DataError(f"ImageSets/Main names {file}, which is outside of {root}")
    below = safe.parent.relative_to(os.path.abspath(annotations))
    bases = find_subfolders(root, *IMAGE_FOLDERS)
    ordered = (*(base / below for base in bases), *bases, annotations / below, root)
    return AnnotationSource(file, tuple(dict.fromkeys(ordered)), root)
