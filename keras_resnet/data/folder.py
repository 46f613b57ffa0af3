"""Image folders: `train/ val/ [test/]` with a folder per class in each, or one folder per class."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.images import image_files, read_image, size_of, to_pixels
from keras_resnet.data.levels import find_levels
from keras_resnet.data.split import (
    Data,
    Say,
    Split,
    choose_sizes,
    fits_memory,
    hold_out_rows,
    judge_bad,
    native_size,
    require_all_classes,
)
from keras_resnet.errors import DataError
from keras_resnet.progress import counting
from keras_resnet.spec import DataSpec

SPLIT_FOLDERS = {"train": "train", "val": "validation", "test": "test"}
PROBED = 200


@dataclass(frozen=True)
class _Listing:
    """Image files of one split with the number of each one's class; `ignored` others lay beside them."""

    files: list[Path]
    labels: list[int]
    ignored: int = 0


def open_folder(spec: DataSpec, say: Say) -> Data:
    """Read the image folder at `spec.source`; unreadable files are named to `say` and skipped.

    Every file is decoded once here, so that a broken one is met before training and not in its middle.
    Raises DataError where the folder cannot be a classification data set, saying why.
    """
    root = Path(spec.source).expanduser()
    if not root.is_dir():
        raise DataError(f"--data {spec.source} is not a folder")
    classes, listings = _list_splits(root)
    native, why = native_size(_shorter_sides(listings["train"].files))
    if ignored := sum(listing.ignored for listing in listings.values()):
        say(f"ignored {ignored} files that do not have the suffix of an image")
    size, resize = choose_sizes(spec.image_size, spec.resize, native, say, why)
    levels = spec.levels or find_levels(listings["train"].files, say)
    total = sum(len(listing.files) for listing in listings.values())
    keep = fits_memory(total, resize)
    kept = "" if keep else "; too many to keep in memory"
    say(f"reading {total} images of {len(classes)} classes from {root}{kept}")
    scanned = _scan(listings, resize, keep, spec.max_bad, levels, say)
    if "validation" not in scanned:
        say(f"validation: {spec.val_fraction:.0%} of the training images, stratified (there is no val folder)")
        train = scanned["train"]
        rows = hold_out_rows(train.labels, spec.val_fraction, classes)
        scanned |= {
            name: replace(train.some(part), name=name) for name, part in zip(("train", "validation"), rows, strict=True)
        }
    require_all_classes(scanned, classes)
    return Data(root.name, classes, scanned, flips=None, image_size=size, resize=resize, levels=levels)


def _list_splits(root: Path) -> tuple[tuple[str, ...], dict[str, _Listing]]:
    if not (root / "train").is_dir():
        classes = _classes_in(root)
        return classes, {"train": _list_images(root, classes)}
    present = {name: root / folder for folder, name in SPLIT_FOLDERS.items() if (root / folder).is_dir()}
    classes = _classes_in(present["train"])
    for folder in present.values():
        if odd := sorted(set(_classes_in(folder)) ^ set(classes)):
            raise DataError(
                f"{folder} and {present['train']} do not hold the same classes; they differ in: {', '.join(odd)}"
            )
    return classes, {name: _list_images(folder, classes) for name, folder in present.items()}


def _classes_in(folder: Path) -> tuple[str, ...]:
    found = tuple(sorted(child.name for child in folder.iterdir() if child.is_dir() and child.name[0] != "."))
    if not found:
        raise DataError(f"{folder} holds no images: it needs a folder per class, or train/ and val/ of such folders")
    if len(found) == 1:
        raise DataError(f"{folder} holds one class only ({found[0]}); a classifier needs 2 or more class folders")
    return found


def _list_images(folder: Path, classes: tuple[str, ...]) -> _Listing:
    files: list[Path] = []
    labels: list[int] = []
    ignored = 0
    for label, name in enumerate(classes):
        found, others = image_files(folder / name)
        ignored += others
        if not found:
            raise DataError(f"class folder {folder / name} holds no images")
        files += found
        labels += [label] * len(found)
    return _Listing(files, labels, ignored)


def _shorter_sides(files: list[Path]) -> list[int]:
    """In pixels, from the headers of `PROBED` files spread over the classes."""
    sides = []
    for path in files[:: -(-len(files) // PROBED)]:
        try:
            sides.append(min(size_of(path)))
        except DataError:  # the scan names it
            continue
    return sides


def _scan(
    listings: dict[str, _Listing], resize: int, keep: bool, max_bad: float, levels: tuple[float, ...], say: Say
) -> dict[str, Split]:
    """Decode every file; keep the pixels, or only the names of those that can be read."""

    def decode(path: Path) -> np.ndarray | DataError | None:
        try:
            pixels = to_pixels(read_image(path, levels), resize)
            return pixels if keep else None
        except DataError as error:
            return error

    bad: list[DataError] = []
    splits = {}
    total = sum(len(listing.files) for listing in listings.values())
    with ThreadPoolExecutor(os.cpu_count()) as pool, counting(total, "images", "reading images") as advance:
        for name, listing in listings.items():
            good: list[int] = []
            decoded: list[Any] = []
            for index, result in enumerate(pool.map(decode, listing.files)):
                advance(1, f"reading {name}")
                if isinstance(result, DataError):
                    bad.append(result)
                else:
                    good.append(index)
                    decoded.append(result)
            splits[name] = _split(name, listing, good, decoded if keep else None, resize, levels)
    judge_bad(bad, total, max_bad, say)
    return splits


def _split(
    name: str,
    listing: _Listing,
    good: list[int],
    decoded: list[np.ndarray] | None,
    resize: int,
    levels: tuple[float, ...],
) -> Split:
    labels = np.asarray([listing.labels[i] for i in good], np.int64)
    if decoded is not None:
        return Split(name, labels, pixels=np.reshape(decoded, (-1, resize, resize, 3)).astype(np.uint8, copy=False))
    return Split(name, labels, images=Files(tuple(str(listing.files[i]) for i in good), levels), resize=resize)


@dataclass(frozen=True)
class Files:
    """Image files, decoded when they are read; levels: see `pixels.decode`."""

    files: tuple[str, ...]
    levels: tuple[float, ...] = ()

    def __getitem__(self, row: int) -> Image.Image:
        return read_image(self.files[row], self.levels)
