"""Open the data that a run was trained on; where they are no longer in reach, say so instead of naming an option that
the command has not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.data.load import load_dataset
from keras_resnet.data.sources.tfds import is_known
from keras_resnet.errors import DataError
from keras_resnet.progress import Log
from keras_resnet.run.run import Run
from keras_resnet.runtime.image_files import to_path


def load_training_data(run: Run, log: Log, only: Collection[str] | None = None) -> DatasetSplits:
    """Open the data of `run` as they are now, see `load_dataset`. Raises DataError, where the path is relative and
    leads nowhere from the current folder, with the folder to start in."""
    with explain_moved_data(run):
        return load_dataset(run.spec().data, log, only)


@contextmanager
def explain_moved_data(run: Run) -> Iterator[None]:
    """Let a DataError of the block say where the data of `run` should be, if they are not there."""
    try:
        yield
    except DataError as error:
        if not (moved := _describe_moved(run)):
            raise
        raise DataError(moved) from error


def _describe_moved(run: Run) -> str:
    """Return where the data of `run` should be, and what to do; "" where they are there, or no path."""
    source = run.spec().data.source
    path = to_path(source)
    if path.exists() or (os.sep not in source and not path.suffix and is_known(source)):
        return ""
    trained = f"run {run.name} was trained on {source}, which is"
    if path.is_absolute():
        return f"{trained} no longer there: bring the data back to that place, or put a link to them there"
    known = next((each for each in run.folder.resolve().parents if (each / path).exists()), None)
    where = f" ({known})" if known else ""
    return f"{trained} not in {Path.cwd()}: run this again from the folder in which it was trained{where}"
