"""Find images that two splits share by their content, for metrics on images seen in training are too high; and equal
images with different labels in the training split, for no network can learn both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence

from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted, verb

# Bytes at the end of a file, where images of one size differ most likely: the head is often the camera's.
TAIL_BYTES = 4096
# In every warning of copies; a check, which finds them itself, leaves these out.
COPIES = " of training images ("
# Begins every warning of equal images with different labels; left out likewise.
CONFLICTING = "warning: identical training images have different labels"
# Training images whose files are compared with each other, at most: of many, most sizes occur several times, and the
# files would have to be read.
MOST_FILES = 20_000
Key = Callable[[int], Hashable]


def log_copies(data: DatasetSplits, log: Log) -> None:
    """Warn by `log` of images outside the training split that training images show too, one sentence for each split.

    Links are not counted: who lists a folder tells of them.
    """
    train = data.splits.get("train")
    for name, split in data.splits.items():
        if train is None or name == "train" or not (pairs := find_copies(train, split)):
            continue
        first, second = pairs[0]
        example = f"{_describe_image(split, second)} is {_describe_image(train, first)}"
        log(
            f"warning: {len(pairs)} of {counted(split.count, f'{name} image')}"
            f" {verb(len(pairs), 'is a copy', 'are copies')} of training images ({example}):"
            f" {name} results will look better than they are, because the network was trained on these images;"
            " keep each image once"
        )


def log_conflicting_labels(data: DatasetSplits, log: Log) -> None:
    """Warn by `log` of equal training images with different labels, in one sentence. Images whose objects are learned,
    and files above MOST_FILES, are left to `kresnet check`."""
    train = data.splits.get("train")
    if train is None or train.objects is not None or (train.pixels is None and train.count > MOST_FILES):
        return
    groups = find_conflicting_labels(train)
    if not groups:
        return
    first, second = groups[0][0], next(row for row in groups[0] if _label(train, row) != _label(train, groups[0][0]))
    log(
        f"{CONFLICTING}: {counted(sum(map(len, groups)), 'image')}, such as {_describe_image(train, first)} and"
        f" {_describe_image(train, second)}; no network can learn both labels: keep each image once, with the right one"
        " (kresnet check lists them all)"
    )


def find_conflicting_labels(split: Split) -> list[list[int]]:
    """Return the rows of each group of equal images of `split` that have not all the same label."""
    groups: list[list[int]] = [list(range(split.count))] if _keys(split) else []
    for key in _keys(split):
        parts: list[list[int]] = []
        for rows in groups:
            by_key: dict[Hashable, list[int]] = {}
            for row in rows:
                by_key.setdefault(key(row), []).append(row)
            parts += by_key.values()
        groups = [rows for rows in parts if len({_label(split, row) for row in rows}) > 1]
    return groups


def _label(split: Split, row: int) -> Hashable:
    return int(split.labels[row]) if split.label_sets is None else split.label_sets[row].tobytes()


def find_copies(first: Split, second: Split) -> list[tuple[int, int]]:
    """Return, for each image of `second` that `first` holds too, (a row of `first`, its row).

    Pixels in memory are compared as they are there; of others their files, so that nothing is decoded again.
    """
    ours, theirs = _keys(first), _keys(second)
    # Each key is asked of those rows alone whose keys before it are in both.
    left: dict[int, tuple[Hashable, ...]] = dict.fromkeys(range(first.count), ())
    right: dict[int, tuple[Hashable, ...]] = dict.fromkeys(range(second.count), ())
    for our_key, their_key in zip(ours, theirs, strict=False):
        left = {row: (*known, our_key(row)) for row, known in left.items()}
        right = {row: (*known, their_key(row)) for row, known in right.items()}
        shared = set(left.values()) & set(right.values())
        left = {row: known for row, known in left.items() if known in shared}
        right = {row: known for row, known in right.items() if known in shared}
    if not ours or not theirs:
        return []
    rows = {known: row for row, known in reversed(left.items())}
    pairs = [(rows[known], row) for row, known in right.items()]
    return [(one, other) for one, other in pairs if not _is_linked(first, one, second, other)]


def _keys(split: Split) -> Sequence[Key]:
    """Return what equal images have in common, the cheapest first; nothing where that cannot be known cheaply."""
    if (pixels := split.pixels) is not None:
        return (
            lambda row: pixels[row, pixels.shape[1] // 2].tobytes(),
            lambda row: hashlib.sha256(pixels[row].tobytes()).digest(),
        )
    if files := split.files:
        return (
            lambda row: _key_of_file(files[row], os.path.getsize),
            lambda row: _key_of_file(files[row], _read_tail),
            lambda row: _key_of_file(files[row], _hash_file),
        )
    return ()


def _key_of_file(file: str, key: Callable[[str], Hashable]) -> Hashable:
    """Return a `key` of a file; of one that cannot be read any more, one that no other has."""
    try:
        return key(file)
    except OSError:
        return object()


def _read_tail(file: str) -> bytes:
    with open(file, "rb") as stream:
        stream.seek(-min(TAIL_BYTES, os.path.getsize(file)), os.SEEK_END)
        return stream.read()


def _hash_file(file: str) -> bytes:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _is_linked(first: Split, one: int, second: Split, other: int) -> bool:
    """Return whether two images are one file."""
    if not first.files or not second.files:
        return False
    return os.path.realpath(first.files[one]) == os.path.realpath(second.files[other])


def _describe_image(split: Split, row: int) -> str:
    return split.files[row] if split.files else f"{split.name} image {row + 1}"
