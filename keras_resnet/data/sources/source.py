"""What a source of images is: a data layout that recognizes what `--data` names, and opens it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.progress import Log


class Source(Protocol):
    """A data layout. `registry.SOURCES` lists all of them; the first one that recognizes a dataset opens it."""

    @property
    def layout(self) -> str:
        """Return the files that mark this layout, as an error lists them; "" for a layout that errors need not list."""

    def recognizes(self, folder: Path | None, annotations: str) -> bool:
        """Return whether a dataset is in this layout and can hold `annotations` (see `DataSpec`).

        folder: where the dataset lies; None where `DataSpec.source` is the name of a TFDS dataset.
        """

    def require_classes(self, folder: Path | None, spec: DataSpec) -> None:
        """Raise DataError for a dataset of a single class where that is soon seen, before anything is logged of it."""

    def open(self, spec: DataSpec, log: Log, only: Collection[str] | None) -> DatasetSplits:
        """Open the dataset, of its splits those in `only` (None: all); choices and skipped files go to `log`.

        Which images belong to a split does not depend on `only`. Raises UsageError or DataError.
        """
