"""TFRecord files read in any order: where each record lies is found once, from the lengths in the files.

A position in a training then means one image, however many files and workers there are.
"""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import DataError

# A record is its length, a checksum of that, its bytes, and a checksum of those.
LENGTH = struct.Struct("<Q")
HEADER_BYTES, FOOTER_BYTES = 12, 4


@dataclass(frozen=True)
class Records:
    """files: paths, local or gs://. spans: int64 (records, 3): file, first byte, bytes."""

    files: tuple[str, ...]
    spans: np.ndarray

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, row: int) -> bytes:
        file, first, length = (int(number) for number in self.spans[row])
        return _read(self.files[file], first, length)


def index_records(instructions: list[Any]) -> Records:
    """Return the records that TFDS' file instructions name (filename, skip, take), in their order; files are searched
    in parallel. Raises DataError for a file that ends within a record."""
    files = tuple(str(each.filename) for each in instructions)
    with ThreadPoolExecutor() as pool:
        lengths_by_file = list(pool.map(_read_lengths, files))
    spans = []
    for number, (each, lengths) in enumerate(zip(instructions, lengths_by_file, strict=True)):
        firsts = np.cumsum(lengths + HEADER_BYTES + FOOTER_BYTES) - (lengths + FOOTER_BYTES)
        wanted = slice(each.skip, None if each.take < 0 else each.skip + each.take)
        rows = [np.full(len(lengths), number), firsts, lengths]
        spans.append(np.stack(rows, axis=1)[wanted])
    return Records(files, np.concatenate(spans).astype(np.int64))


def _read_lengths(path: str) -> np.ndarray:
    """Return bytes of each record of one file."""
    size, lengths, at = _size(path), [], 0
    with _open(path) as file:
        while at < size:
            file.seek(at)
            head = file.read(LENGTH.size)
            if len(head) < LENGTH.size:
                raise DataError(f"{path} ends within a record; prepare the dataset again")
            lengths.append(LENGTH.unpack(head)[0])
            at += HEADER_BYTES + lengths[-1] + FOOTER_BYTES
    if at != size:
        raise DataError(f"{path} ends within a record; prepare the dataset again")
    return np.array(lengths, np.int64)


def _is_remote(path: str) -> bool:
    return "://" in path


def _size(path: str) -> int:
    if not _is_remote(path):
        return os.path.getsize(path)
    import tensorflow as tf

    return int(tf.io.gfile.stat(path).length)


def _open(path: str) -> Any:
    if not _is_remote(path):
        return open(path, "rb")
    import tensorflow as tf

    return tf.io.gfile.GFile(path, "rb")


def _read(path: str, first: int, length: int) -> bytes:
    with _open(path) as file:
        file.seek(first)
        return bytes(file.read(length))
