"""Find and read the images given to a command: checked before a network is loaded; a damaged one stops no other.
Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .errors import DataError
from .image import Picture, read_image
from .image_files import list_images
from .metadata import ModelMetadata
from .plurals import counted


def expand_paths(names: Sequence[str]) -> list[str]:
    """Return `names` with each folder replaced by all images in it.

    Raises DataError for what is not there, for what is no regular file (a pipe may never end), and where no image is.
    """
    return [file for name in names for file in _files(name)]


def require_colors(card: ModelMetadata) -> None:
    """Raise DataError for a network that takes what no camera and no video gives."""
    if card.channels not in (1, 3):
        raise DataError(f"cameras and videos give 3 channels, and the network takes {card.channels}: give it images")


def _files(name: str) -> list[str]:
    path = Path(name)
    if path.is_dir():
        if found := list_images(path)[0]:
            return [str(file) for file in found]
        raise DataError(f"there are no images in {name}")
    if not path.exists():
        raise DataError(f"cannot read {name}: no such file or folder")
    if not path.is_file():
        raise DataError(f"cannot read {name}: not a regular file")
    return [name]


class UnreadableFiles:
    """Counts files that cannot be read, of `total`, and logs each of them."""

    def __init__(self, total: int, log: Callable[[str], None]) -> None:
        self._total, self._say = total, log
        self._count = 0

    def add(self, error: DataError) -> None:
        """Log one; where it is the only file, raise its `error`."""
        if self._total == 1:
            raise error
        self._count += 1
        self._say(str(error))

    def require_none(self) -> None:
        """Raise DataError if there were any."""
        if self._count and self._count == self._total:
            raise DataError(f"none of the {counted(self._total, 'file')} could be read")
        if self._count:
            raise DataError(
                f"{self._count} of {counted(self._total, 'file')} could not be read; the others were answered"
            )


def read_images(files: Sequence[str], damaged: UnreadableFiles, card: ModelMetadata) -> Iterator[tuple[str, Picture]]:
    """Yield each file with its image, as the network of `card` takes it; those that cannot be read go to `damaged`."""
    for file in files:
        try:
            image = read_image(file, card.levels, card.channels)
        except DataError as error:
            damaged.add(error)
        else:
            yield file, image
