"""data.yaml, which names the classes of a dataset and where its images are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as quote

import yaml

from keras_resnet.data.sources.annotation_files import one_line
from keras_resnet.errors import DataError

CONFIG_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
SUFFIXES = (".yaml", ".yml")


def is_config(file: Path) -> bool:
    """Return whether a file is a data.yaml by its suffix."""
    return file.suffix.lower() in SUFFIXES and file.is_file()


def find_config(root: Path) -> Path | None:
    """Return the data.yaml of the folder `root`, or `root` itself where it is one; None where there is none."""
    if is_config(root):
        return root
    return next((root / name for name in CONFIG_FILES if (root / name).is_file()), None)


def parse_config(file: Path) -> Mapping[object, object]:
    """Read a data.yaml, of tables or of YOLO's folders. Raises DataError for a file that is none."""
    try:
        config = yaml.safe_load(file.read_bytes())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(f"cannot read {file}: {one_line(error)}") from error
    if not isinstance(config, dict) or not config.get("train"):
        raise DataError(
            f"{file} names no images to train on: it needs train: with a table such as train.csv, or train: with a"
            " folder or list of images and names: with the classes' names (YOLO)"
        )
    return config


def class_names(file: Path, config: Mapping[object, object]) -> tuple[str, ...]:
    """Return the names in the order of their numbers. Raises DataError unless there is one for each number from 0."""
    names = config.get("names")
    if isinstance(names, dict):
        if set(names) != set(range(len(names))) or any(isinstance(key, bool) for key in names):
            raise DataError(f"{file}: names must number the classes from 0 without a gap. Received: {quote(names)}")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        received = quote(names) if "names" in config else "no names"
        raise DataError(f"{file}: names must be a list of the classes' names. Received: {received}")
    for each in names:
        if isinstance(each, bool) or not isinstance(each, (str, int)):
            raise DataError(f"{file}: each of names must be text. Received: {quote(each)}; put it in quotes")
    count = config.get("nc", len(names))
    if count != len(names):
        raise DataError(f"{file}: nc must be the number of names, {len(names)}. Received: {quote(count)}")
    return tuple(one_line(each) for each in names)
