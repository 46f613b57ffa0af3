"""From a DataSpec to images: finds the source that recognizes what `--data` names, and opens it."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.class_names import log_similar_names
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.data.duplicates import log_conflicting_labels, log_copies
from keras_resnet.data.sources.annotation_files import subfolders
from keras_resnet.data.sources.folder_layout import find_layout
from keras_resnet.data.sources.manifest_table import READERS, is_table
from keras_resnet.data.sources.registry import SOURCES
from keras_resnet.data.sources.source import Source
from keras_resnet.data.sources.tfds import BUNDLED, WHAT_DATA_ARE, is_known, require_prepared
from keras_resnet.data.sources.yolo_config import SUFFIXES, is_config
from keras_resnet.errors import DataError, UsageError, did_you_mean
from keras_resnet.progress import Log
from keras_resnet.runtime.image_files import image_suffixes, to_path
from keras_resnet.runtime.plurals import join_words

__all__ = ["DatasetSplits", "Split", "load_dataset"]


def load_dataset(spec: DataSpec, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
    """Open what `spec.source` names; choices and skipped files go to `log`.

    only: the names of the splits to read, of "train", "validation" and "test"; None reads all. Which images belong to a
    split does not depend on it. Images that the training split holds too are warned of, and equal ones of different
    labels in it. Raises UsageError or DataError.
    """
    folder = _find_folder(spec.source, log)
    source = _find_source(folder, spec)
    try:
        data = source.open(spec, log, only)
    except DataError as error:
        others = (each for each in SOURCES if each is not source)
        if spec.annotations == "labels" and any(each.recognizes(folder, "objects") for each in others):
            raise DataError(f"{error}; its boxes of objects are for --task localize, detect or segment") from error
        raise
    if folder is not None:
        home = str(folder if folder.is_dir() else folder.parent)
        data = replace(data, splits={name: replace(split, home=home) for name, split in data.splits.items()})
    log_similar_names(data.classes, log)
    log_copies(data, log)
    log_conflicting_labels(data, log)
    return data


def require_source(spec: DataSpec) -> None:
    """Raise DataError where `spec` names what is not there, is none of the layouts, or is still to be downloaded
    without having been asked for, or of a single class where that is soon seen. Reads no images."""
    folder = _find_folder(spec.source, lambda words: None)
    _find_source(folder, spec).require_classes(folder, spec)
    if folder is None and spec.source.partition("/")[0] not in BUNDLED:
        require_prepared(spec)


def require_effect(spec: DataSpec, asked: Collection[str]) -> None:
    """Raise UsageError for settings of TFDS among those `asked` for where `spec` names a folder or a table; DataError
    where it names what is not there. What a run was asked for may have no effect on other data, and is no mistake."""
    if _find_folder(spec.source, lambda words: None) is None:
        return
    for name in ("download", "data_dir"):
        if name in asked and getattr(spec, name):
            raise UsageError(
                f"--{name.replace('_', '-')} is for datasets of TFDS, and --data {spec.source} is on this machine"
                " already; leave it out"
            )


def _find_folder(source: str, log: Log) -> Path | None:
    """Return the folder that `source` means, or None where it is the name of a TFDS dataset.

    What is bundled is meant by its name. What starts with a path separator, "." or "~", ends with a separator, is an
    existing folder, or has a separator in it is a path, but for the configurations of TFDS datasets ("coco/2017"), and
    what ends as a table or a data.yaml does; anything else is a TFDS name.
    Raises DataError for an empty text, for a path where nothing lies, and for a file of another kind.
    """
    if not source:
        raise DataError(f"--data is empty. {WHAT_DATA_ARE}")
    path = to_path(source)
    bundled = source.partition("/")[0] in BUNDLED
    if bundled and path.exists():
        log(f"data: the bundled {source}; the folder of that name here is ./{source}")
    is_file_name = path.suffix.lower() in (*READERS, *SUFFIXES)
    looks_like_path = is_file_name or source.startswith((".", "~", os.sep)) or source.endswith(os.sep)
    if not looks_like_path and os.sep in source and not path.exists():
        looks_like_path = not is_known(source.partition(os.sep)[0])
    is_there = path.is_dir() or is_table(path) or is_config(path)
    if path.exists() and not is_there and (looks_like_path or not is_known(source)):
        raise DataError(f"--data {source} {_describe_file(path)}. {WHAT_DATA_ARE}")
    if looks_like_path and not path.exists():
        beside = path.parent.iterdir() if is_file_name else subfolders(path.parent)
        near = did_you_mean(path.name, [each.name for each in beside] if path.parent.is_dir() else [])
        raise DataError(f"--data {source}: no such file or folder{near and '.'}{near}")
    return path if looks_like_path or (not bundled and is_there) else None


def _describe_file(path: Path) -> str:
    """Return what an existing file is that is no dataset."""
    is_image = path.suffix.lower() in image_suffixes()
    return "is a single image" if is_image else f"is neither a folder nor a table ({path.suffix or 'no suffix'})"


def _find_source(folder: Path | None, spec: DataSpec) -> Source:
    """Return the first source that recognizes the dataset. Raises DataError where none does."""
    for source in SOURCES:
        if source.recognizes(folder, spec.annotations):
            return source
    layouts = join_words([source.layout for source in SOURCES if source.layout], "or")
    has_label_sets = spec.annotations == "label_sets"
    lacking = "annotations with several labels per image" if has_label_sets else "boxes of objects"
    raise DataError(
        f"--data {spec.source} has no {lacking}{_describe_class_folders(folder)}. kresnet reads them from {layouts},"
        f" as Roboflow, CVAT, Label Studio, FiftyOne and labelImg export them{_suggest_subfolder(folder, spec)}"
    )


def _describe_class_folders(folder: Path | None) -> str:
    """Say that a folder has a folder for each class, where it has."""
    with suppress(DataError):
        if folder is not None and folder.is_dir():
            classes = find_layout(folder, lambda line: None).classes
            names = f"{classes[0]}/, {classes[1]}/{', …' if len(classes) > 2 else ''}"
            return f": it has class folders ({names}), whose images have one label each, for --task classify"
    return ""


def _suggest_subfolder(folder: Path | None, spec: DataSpec) -> str:
    """Return a hint at annotations one folder deeper, as in an archive that was unpacked."""
    deeper = subfolders(folder) if folder else []
    fitting = [each for each in deeper if any(source.recognizes(each, spec.annotations) for source in SOURCES)]
    return f"; did you mean --data {fitting[0]}?" if fitting else ""
