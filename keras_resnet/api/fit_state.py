"""The state of a `fit` on disk: every variable of the model, its optimizer and its metrics, and how far it has come."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_resnet.atomic_write import describe_error, write_atomically
from keras_resnet.errors import RunError

POSITION = "position"


class Position(NamedTuple):
    """How far a training has come: whole epochs, steps of the next one, and steps in all."""

    epoch: int = 0
    step: int = 0
    total: int = 0


@dataclass(frozen=True)
class FitState:
    """The state in `folder`: one file, written whole or not at all."""

    folder: Path

    @property
    def file(self) -> Path:
        """The file."""
        return self.folder / "state.npz"

    def read_position(self) -> Position:
        """Return how far the training has come; the beginning where nothing is saved. Raises RunError for a file that
        cannot be read."""
        if not self.file.is_file():
            return Position()
        return Position(*json.loads(str(self._read()[POSITION])))

    def save(self, model: keras.Model, position: Position) -> None:
        """Write the state of `model`. Raises RunError where it cannot be written."""
        arrays = {name: np.asarray(keras.ops.convert_to_numpy(each)) for name, each in _variables(model).items()}
        with write_atomically(self.file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays, **{POSITION: np.array(json.dumps(position))})

    def restore(self, model: keras.Model) -> None:
        """Give `model` the state. Raises RunError if it is of another model."""
        self._assign(_variables(model))

    def restore_metrics(self, model: keras.Model) -> None:
        """Give the metrics of `model` theirs."""
        self._assign(_metrics(model))

    def remove(self) -> None:
        """Remove the file, and the folder if nothing else is in it."""
        self.file.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            shutil.rmtree(self.folder)

    def _assign(self, variables: dict[str, Any]) -> None:
        arrays = self._read()
        for name, variable in variables.items():
            if name not in arrays or arrays[name].shape != tuple(variable.shape):
                raise RunError(f"the state in {self.file} is of another model or optimizer: {variable.path} differs")
        for name, variable in variables.items():
            array = arrays[name]
            # NumPy does not know bfloat16: it keeps the bytes.
            variable.assign(array.view(np.dtype(variable.dtype)) if array.dtype.kind == "V" else array)

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.file, allow_pickle=False) as stored:
                return dict(stored)
        except Exception as error:
            why = describe_error(error)
            raise RunError(f"the state in {self.file} is unreadable: {why}; remove it to begin anew") from error


def _variables(model: keras.Model) -> dict[str, Any]:
    """Return all variables that a step of training changes, seeds included, by names that are the same each time."""
    parts = {"model": model.variables, "optimizer": model.optimizer.variables}
    named = {f"{part}{number}": each for part, variables in parts.items() for number, each in enumerate(variables)}
    return named | _metrics(model)


def _metrics(model: keras.Model) -> dict[str, Any]:
    return {f"metric{number}": each for number, each in enumerate(model.metrics_variables)}
