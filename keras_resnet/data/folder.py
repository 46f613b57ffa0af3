"""Image folders: `train/ val/ [test/]` with a folder per class in each, or one folder per class."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet import console
from keras_resnet.data.images import read_image, to_pixels
from keras_resnet.data.split import Data, Say, Split, choose_sizes, fits_memory
from keras_resnet.errors import DataError
from keras_resnet.spec import DataSpec

SPLIT_FOLDERS = {"train": "train", "val": "validation", "test": "test"}
SPLIT_SEED = 0
NAMED_IN_ERROR = 5


@dataclass(frozen=True)
class _Listing:
    """Image files of one split with the number of each one's class."""

    files: list[Path]
    labels: list[int]


def open_folder(spec: DataSpec, say: Say) -> Data:
    """Read the image folder at `spec.source`; unreadable files are named to `say` and skipped.

    Every file is decoded once here, so that a broken one is met before training and not in its middle.
    Raises DataError where the folder cannot be a classification data set, saying why.
    """
    root = Path(spec.source).expanduser()
    if not root.is_dir():
        raise DataError(f"--data {spec.source} is not a folder")
    classes, listings = _list_splits(root)
    size, resize = choose_sizes(spec.image_size, spec.resize, _native_size(listings), say)
    total = sum(len(listing.files) for listing in listings.values())
    keep = fits_memory(total, resize)
    say(
        f"reading {total} images of {len(classes)} classes from {root}"
        + ("" if keep else "; too many to keep in memory")
    )
    scanned = _scan(listings, resize, keep, spec.max_bad, say)
    if "validation" not in scanned:
        say(f"validation: {spec.val_fraction:.0%} of the training images, stratified (there is no val folder)")
        scanned.update(_hold_out(scanned["train"], spec.val_fraction, classes))
    _require_all_classes(scanned, classes)
    return Data(root.name, classes, scanned, flips=True, image_size=size, resize=resize)


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
    known = Image.registered_extensions()
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(
            path
            for path in (folder / name).rglob("*")
            if path.suffix.lower() in known and path.is_file() and not path.name.startswith(".")
        )
        if not found:
            raise DataError(f"class folder {folder / name} holds no images")
        files += found
        labels += [label] * len(found)
    return _Listing(files, labels)


def _native_size(listings: dict[str, _Listing]) -> int | None:
    """The common shorter side in pixels of the first hundred images, or None if they differ."""
    sides: Counter[int] = Counter()
    for path in listings["train"].files[:100]:
        try:
            with Image.open(path) as image:
                sides[min(image.size)] += 1
        except Exception:  # the scan names it
            continue
    if not sides:
        return None
    side, seen = sides.most_common(1)[0]
    return side if side >= 8 and seen > sides.total() / 2 else None


def _scan(listings: dict[str, _Listing], resize: int, keep: bool, max_bad: float, say: Say) -> dict[str, Split]:
    """Decode every file; keep the pixels, or only the names of those that can be read."""

    def decode(path: Path) -> np.ndarray | DataError | None:
        try:
            pixels = to_pixels(read_image(path), resize)
            return pixels if keep else None
        except DataError as error:
            return error

    bad: list[DataError] = []
    splits = {}
    total = sum(len(listing.files) for listing in listings.values())
    with ThreadPoolExecutor(os.cpu_count()) as pool, console.progress(total, "images") as advance:
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
            splits[name] = _split(name, listing, good, decoded if keep else None, resize)
    _judge_bad(bad, total, max_bad, say)
    return splits


def _split(name: str, listing: _Listing, good: list[int], decoded: list[np.ndarray] | None, resize: int) -> Split:
    labels = np.asarray([listing.labels[i] for i in good], np.int64)
    if decoded is not None:
        return Split(name, labels, pixels=np.stack(decoded) if decoded else np.zeros((0, resize, resize, 3), np.uint8))
    return Split(name, labels, stream=_Stream(tuple(str(listing.files[i]) for i in good), labels, resize))


@dataclass(frozen=True)
class _Stream:
    """Files decoded when they are read."""

    files: tuple[str, ...]
    labels: np.ndarray
    resize: int

    def __call__(self) -> Any:
        import tensorflow as tf

        def decode(path: Any, label: Any) -> tuple[Any, Any]:
            pixels = tf.numpy_function(
                lambda p: to_pixels(read_image(p.decode()), self.resize), [path], tf.uint8, stateful=False
            )
            return tf.ensure_shape(pixels, (self.resize, self.resize, 3)), label

        return tf.data.Dataset.from_tensor_slices((list(self.files), self.labels)).map(decode, tf.data.AUTOTUNE)


def _judge_bad(bad: list[DataError], total: int, max_bad: float, say: Say) -> None:
    for error in bad:
        say(f"skipped: {error}")
    if len(bad) > max_bad * total:
        first = "; ".join(str(error) for error in bad[:NAMED_IN_ERROR])
        raise DataError(f"{len(bad)} of {total} images cannot be read, more than --max-bad {max_bad:g} allows: {first}")
    if bad:
        say(f"skipped {len(bad)} of {total} images that cannot be read (--max-bad allows {max_bad:.1%})")


def _hold_out(train: Split, fraction: float, classes: tuple[str, ...]) -> dict[str, Split]:
    """Divide the training images into train and validation: stratified and the same each time."""
    from sklearn.model_selection import train_test_split

    counts = np.bincount(train.labels, minlength=len(classes))
    if counts.min() < 2:
        raise DataError(
            f"class {classes[int(counts.argmin())]} has {counts.min()} readable images; splitting needs 2 or more"
        )
    wanted = max(len(classes), round(fraction * train.count))
    chosen = train_test_split(
        np.arange(train.count),
        test_size=min(wanted, train.count - len(classes)),
        stratify=train.labels,
        random_state=SPLIT_SEED,
    )
    return {name: _part(train, name, np.sort(rows)) for name, rows in zip(("train", "validation"), chosen, strict=True)}


def _part(split: Split, name: str, rows: np.ndarray) -> Split:
    labels = split.labels[rows]
    if split.pixels is not None:
        return Split(name, labels, pixels=split.pixels[rows])
    assert isinstance(split.stream, _Stream)
    files = tuple(split.stream.files[i] for i in rows)
    return Split(name, labels, stream=_Stream(files, labels, split.stream.resize))


def _require_all_classes(splits: dict[str, Split], classes: tuple[str, ...]) -> None:
    for split in splits.values():
        missing = [name for label, name in enumerate(classes) if label not in split.labels]
        if missing:
            raise DataError(f"the {split.name} images hold none of class {', '.join(missing)} that can be read")
