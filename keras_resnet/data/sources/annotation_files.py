"""What the readers of annotation files share: fields as label tools write them, names of images that stay within the
data folder, and a count of all that was left out."""

from __future__ import annotations

import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from keras_resnet.data.annotations import ImageAnnotation
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.image_files import is_junk
from keras_resnet.runtime.plurals import worded

BOOLEAN_WORDS = {"0": False, "false": False, "no": False, "": False, "1": True, "true": True, "yes": True}
# How far, in pixels, a box may reach beyond its image by rounding.
ROUNDING_PIXELS = 1.0

# What is counted of boxes, whichever format they are in.
NO_AREA = "{box|boxes} without an area"
BEYOND = "{box|boxes} that {reaches|reach} beyond {its|their} image, cut at its edge"


@dataclass
class Tally:
    """What was left out of annotation files, and what else is worth knowing of them: how often, and the first time."""

    left_out: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def leave_out(self, what: str, where: str = "", count: int = 1) -> None:
        """Count `count` of `what` as left out, the first one at `where`."""
        self._add(self.left_out, what, where, count)

    def note(self, what: str, where: str = "", count: int = 1) -> None:
        """Count `count` of `what`, which are used."""
        self._add(self.noted, what, where, count)

    def count_boxes(self, boxes: np.ndarray, size: tuple[int, int], kept: int, where: str) -> None:
        """Count what is wrong with `boxes` (n, 4), of an image of (width, height) `size`, of which `kept` have an
        area."""
        self.leave_out(NO_AREA, where, len(boxes) - kept)
        self.note(BEYOND, where, count_outside(boxes, size))

    def _add(self, counter: Counter[str], what: str, where: str, count: int) -> None:
        if count:
            counter[what] += count
            self.first.setdefault(what, where)

    def add(self, other: Tally) -> None:
        """Count what `other` counts too."""
        for counter, others in ((self.left_out, other.left_out), (self.noted, other.noted)):
            for what, count in others.items():
                self._add(counter, what, other.first[what], count)

    def log_all(self, log: Log) -> None:
        """Log all of it, a line for each."""
        for what, count in sorted(self.left_out.items()):
            log(f"left out {worded(count, what)}{self._describe_first(what)}")
        for what, count in sorted(self.noted.items()):
            log(f"{worded(count, what)}{self._describe_first(what)}")

    def _describe_first(self, what: str) -> str:
        return f" (first: {self.first[what]})" if self.first[what] else ""

    @property
    def summary(self) -> str:
        """Return what was left out, in one line."""
        return ", ".join(worded(count, what) for what, count in self.left_out.most_common())


@dataclass(frozen=True)
class FolderAnnotations:
    """The annotations of a folder: classes, images by split, what was left out. bad: of each image of a split that is
    not there, or whose annotation cannot be used, why. named: image files that have an annotation, usable or not."""

    classes: tuple[str, ...]
    listings: dict[str, list[ImageAnnotation]]
    tally: Tally
    bad: dict[str, list[str]]
    named: set[Path]


def parse_finite(value: Any) -> float | None:
    """Return a number, or text of one; None for all else, for NaN and for what is too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def parse_flag(value: Any) -> bool | None:
    """Yes or no, as tools write it: 0, 1, "0", "1", true, "False", 1.0, or nothing at all; None for what is neither."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and (known := BOOLEAN_WORDS.get(value.strip().lower())) is not None:
        return known
    number = parse_finite(value)
    return None if number is None else {0.0: False, 1.0: True}.get(number)


def one_line(value: Any) -> str:
    """Return a name without line breaks and without spaces around it."""
    return " ".join(str(value).split())


def find_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Return files below `folder` that match the `pattern`; none that is hidden, such as macOS' "._" twins, or lies
    among copies."""
    for path in folder.rglob(pattern):
        parts = path.relative_to(folder).parts
        if not any(map(is_junk, parts)) and path.is_file():
            yield path


def list_entries(folder: Path) -> list[Path]:
    """Return what lies in `folder` and is not hidden, sorted. Raises DataError if it cannot be looked into."""
    try:
        return sorted(each for each in folder.iterdir() if not is_junk(each.name))
    except OSError as error:
        raise DataError(f"cannot look into {folder}: {error.strerror or error}") from error


def subfolders(folder: Path) -> list[Path]:
    """Return visible folders in `folder`, sorted; none of what is no folder."""
    return [each for each in list_entries(folder) if each.is_dir()] if folder.is_dir() else []


def find_subfolders(folder: Path, *names: str) -> list[Path]:
    """Return the folders in `folder` that are called so, in any case of letters, in the order of `names`."""
    there = subfolders(folder)
    return [each for name in names for each in there if each.name.lower() == name.lower()]


def resolve_inside(root: Path, path: Path) -> Path | None:
    """Return `path` without "..", if it is below `root`; symbolic links that the user put there are not followed to
    see."""
    plain = Path(os.path.normpath(os.path.abspath(path)))
    return plain if plain.is_relative_to(os.path.abspath(root)) else None


def name_variants(name: str) -> Iterator[str]:
    """Yield `name` as it is, with slashes for backslashes, without a URL's escapes, and with letters composed
    otherwise."""
    seen = set()
    plain = name.replace("\\", "/")
    for each in (name, plain, unquote(name), unquote(plain)):
        for form in (each, unicodedata.normalize("NFC", each), unicodedata.normalize("NFD", each)):
            if form not in seen and "\0" not in form:
                seen.add(form)
                yield form


def find_file(name: str, folders: Sequence[Path], root: Path) -> Path | None:
    """Return the file called `name`, in one of its spellings, in the first of `folders` that has it, below `root`."""
    for each in name_variants(name):
        for folder in folders:
            path = resolve_inside(root, folder / each)
            if path is not None and is_file(path):
                return path
    return None


def find_file_by_suffix(name: str, folders: Sequence[Path], root: Path) -> Path | None:
    """As `find_file`, of a path that was written elsewhere: without its first folder, then without its second, …"""
    parts = PurePosixPath(unquote(name.replace("\\", "/"))).parts
    for start in range(1, len(parts)):
        if (match := find_file("/".join(parts[start:]), folders, root)) is not None:
            return match
    return None


def name_folder(folder: Path) -> str:
    """Return a folder's path, absolute where it is the current one, whose path would be a dot."""
    return str(folder.absolute() if folder == Path() else folder)


def is_file(path: Path) -> bool:
    """Return whether there is a regular file at `path`, whatever its name."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def count_outside(boxes: np.ndarray, size: tuple[int, int]) -> int:
    """Return how many of (n, 4) boxes in pixels reach out of their image of (width, height) `size`."""
    width, height = size
    low, high = boxes[:, :2].min(axis=1, initial=0), (boxes[:, 2:] - (width, height)).max(axis=1, initial=0)
    return int(((low < -ROUNDING_PIXELS) | (high > ROUNDING_PIXELS)).sum())


def read_lines(file: Path) -> list[str]:
    """Return the lines of a text file. Raises DataError for a file that is no text."""
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
