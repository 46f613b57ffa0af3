"""Which tables of images a dataset is made of: a table that is named, those that a data.yaml names, or those that lie
in a folder: Hugging Face's metadata.csv, or labels.csv, train.csv, … beside the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeGuard

from keras_resnet.data.sources.annotation_files import find_file, name_folder, subfolders
from keras_resnet.data.sources.manifest_columns import name_columns
from keras_resnet.data.sources.manifest_table import READERS, is_table, read_columns
from keras_resnet.data.sources.split_names import split_of
from keras_resnet.data.sources.yolo_config import class_names, find_config, is_config, parse_config
from keras_resnet.errors import DataError

# Hugging Face's name, in the folder of the images or in one for each split.
METADATA = "metadata"
# Other tables are recognized by these names, and by those of splits.
TABLE_STEMS = ("labels", "annotations", "manifest", "data", "images")
SPLIT_KEYS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
# Folders that hold images whatever their class.
IMAGE_FOLDERS = ("images", "imgs", "img", "photos", "data")


@dataclass(frozen=True)
class TableFiles:
    """The tables of a dataset. root: the folder of the images. files: each with the split that it is of, None where
    its rows say. names: of the classes by their numbers, () where labels are names. is_named: whether the user named a
    file, whose images may lie anywhere. warning: what is not used of the folder, and why."""

    root: Path
    files: tuple[tuple[str | None, Path], ...]
    names: tuple[str, ...] = ()
    is_named: bool = False
    warning: str = ""


def find_tables(path: Path) -> TableFiles | None:
    """Return the tables that the file or folder `path` means; None where it means none. Raises DataError for a
    data.yaml that is not in its format."""
    if path.is_file():
        if is_config(path):
            return _of_config(path)
        return TableFiles(path.parent, ((None, path),), is_named=True) if is_table(path) else None
    if not path.is_dir():
        return None
    warning = ""
    if config := find_config(path):
        try:
            if found := _of_config(config):
                return found
        except DataError as error:
            # A file of that name in a folder may be something else; who reads it as YOLO's says what is wrong with it.
            warning = f"warning: {config.name} is not used: {error}"
    others = _metadata_files(path) or _beside_images(path)
    return replace(others, warning=warning) if others else None


def names_tables(file: Path) -> bool:
    """Return whether a data.yaml names tables for its splits, rather than YOLO's folders or lists of images."""
    try:
        config = parse_config(file)
    except DataError:
        return False
    return any(_is_table_name(config.get(key)) for key in SPLIT_KEYS)


def _is_table_name(entry: object) -> TypeGuard[str]:
    return isinstance(entry, str) and Path(entry).suffix.lower() in READERS


def _of_config(file: Path) -> TableFiles | None:
    """Return the tables that a data.yaml names for its splits; None where it names folders or lists of images."""
    config = parse_config(file)
    base = config.get("path", "")
    folders = [file.parent / base] if isinstance(base, str) else []
    found: list[tuple[str | None, Path]] = []
    for key, split in SPLIT_KEYS.items():
        entry = config.get(key)
        if not _is_table_name(entry):
            continue
        table = find_file(entry, [*folders, file.parent], file.parent)
        if table is None:
            raise DataError(f"{file}: {key} names {entry}; there is no such file in {name_folder(file.parent)}")
        found.append((split, table))
    if not found:
        return None
    names: tuple[str, ...] = class_names(file, config) if "names" in config else ()
    return TableFiles(file.parent, tuple(found), names)


def _metadata_files(root: Path) -> TableFiles | None:
    """Return Hugging Face's tables, one in `root` or one in each folder of a split."""
    by_split = [(split, each) for each in subfolders(root) if (split := split_of(each.name))]
    places: list[tuple[str | None, Path]] = [(None, root), *by_split]
    found = tuple((split, file) for split, folder in places for file in _tables(folder) if file.stem == METADATA)
    labeled = [file for _, file in found if (known := name_columns(read_columns(file))) and known.has_labels]
    return TableFiles(root, found) if labeled else None


def _beside_images(root: Path) -> TableFiles | None:
    """Return tables that are known by their names and columns, where no folders of classes say more."""
    if _has_class_folders(root):
        return None
    found: list[tuple[str | None, Path]] = []
    for file in _tables(root):
        split = split_of(file.stem)
        known = name_columns(read_columns(file)) if split or file.stem.casefold() in TABLE_STEMS else None
        if known and (split == "test" or known.has_labels or len(read_columns(file)) > 2):
            found.append((split, file))
    splits = {split for split, _ in found}
    # One table of everything, or one for each split.
    whole = tuple(each for each in found if each[0] is None)
    return (
        TableFiles(root, tuple(found) if "train" in splits else whole[:1])
        if found and (whole or "train" in splits)
        else None
    )


def _has_class_folders(root: Path) -> bool:
    """Return whether folders below `root` are named neither for splits nor for images, or lie in those of splits."""
    for folder in subfolders(root):
        if folder.name.casefold() in IMAGE_FOLDERS:
            continue
        if split_of(folder.name) is None or any(
            each.name.casefold() not in IMAGE_FOLDERS for each in subfolders(folder)
        ):
            return True
    return False


def _tables(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if is_table(file) and not file.name.startswith("."))
