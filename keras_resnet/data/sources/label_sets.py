"""Images with several labels each, of any source: read as images in class folders are, with a set of labels each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.data.sources.image_folder import ImageFolder
from keras_resnet.data.sources.listing import FolderLayout, Listing
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted, verb

FindLayout = Callable[[Path, Log], FolderLayout]
# Names in a message.
MAX_NAMED = 5


@dataclass(frozen=True)
class LayoutReader(ImageFolder):
    """Reads the images of a layout that something else than folders of classes tells."""

    find: FindLayout

    def find_root(self, source: Path) -> Path:
        """Return the folder, or the file, that `--data` names."""
        return source

    def find_layout(self, root: Path, log: Log) -> FolderLayout:
        """Return what `find` finds."""
        return self.find(root, log)


def list_label_sets(
    images: Mapping[str, Iterable[tuple[Path, Sequence[int]]]], classes: tuple[str, ...], log: Log
) -> FolderLayout:
    """Return the layout of images with the numbers of their labels, by split. Raises DataError where there are fewer
    than 2 classes, or no training image has one of them; those that other splits lack are logged."""
    if len(classes) < 2:
        raise DataError(f"the images must have 2 or more different labels. Received: {', '.join(classes) or 'none'}")
    listings = {}
    for split, entries in images.items():
        pairs = list(entries)
        sets = np.zeros((len(pairs), len(classes)), np.uint8)
        for row, (_, labels) in enumerate(pairs):
            sets[row, list(labels)] = 1
        listings[split] = Listing([file for file, _ in pairs], [], sets)
        _require_labels(split, sets, classes, log)
    return FolderLayout(classes, listings, {})


def _require_labels(split: str, sets: np.ndarray, classes: tuple[str, ...], log: Log) -> None:
    missing = [name for name, count in zip(classes, sets.sum(axis=0), strict=True) if not count]
    if missing:
        names = ", ".join(missing[:MAX_NAMED]) + ", …" * (len(missing) > MAX_NAMED)
        words = f"no {split} image has {len(missing)} of {counted(len(classes), 'label')}: {names}"
        if split == "train":
            raise DataError(f"{words}; what no image shows cannot be learned")
        log(words)
    if empty := int((~sets.any(axis=1)).sum()):
        images, has = counted(len(sets), "image"), verb(empty, "has", "have")
        log(f"{split}: {empty} of {images} {has} no label, which is learned too")
