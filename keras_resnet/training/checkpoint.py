"""Checkpoints: the state of a training on disk, whole or not at all, with a hash; the last three are kept.

A checkpoint is `step-N.safetensors`, which holds every variable in order, and `step-N.json`, written after it, which
holds what else a training goes on from, and the hash of all of it. Data without its JSON is a torn write.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from keras_resnet.atomic_write import describe_error, write_atomically
from keras_resnet.errors import RunError, TrainingError
from keras_resnet.run.documents import CheckpointDocument
from keras_resnet.run.reading import parse_json, read_bytes

if TYPE_CHECKING:
    from keras_resnet.training.train_state import Variable

KEPT_CHECKPOINTS = 3
MANIFEST_NAME = re.compile(r"step-(\d+)\.json")
OTHER_NETWORK = "it holds the variables of another network or optimizer"


@dataclass(frozen=True)
class Progress:
    """How far a training has come. step: how many steps are done. sums: over the steps of the present epoch, their
    number, loss and metrics. best: the epoch with the lowest validation loss, {"epoch", "loss"}, where patience asks
    for it."""

    step: int = 0
    sums: tuple[float, ...] = ()
    best: dict[str, float] = field(default_factory=dict)


class Checkpoints:
    """Saves and restores the variables of one training in `folder`. A thread of its own writes, while training goes on.

    writes: whether `save` does anything.
    """

    def __init__(self, folder: Path, variables: Sequence[Variable], *, writes: bool = True) -> None:
        self._folder, self._variables, self._writes = folder, variables, writes
        self._writer = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def save(self, progress: Progress) -> None:
        """Save the present state. Raises TrainingError if a weight is not finite, RunError if the last state could
        not be written."""
        if not self._writes:
            return
        arrays = self._arrays()
        self.wait()
        self._pending = self._writer.submit(self._write, arrays, progress)

    def wait(self) -> None:
        """Wait until everything is on disk. Raises RunError if it cannot be written."""
        if self._pending:
            pending, self._pending = self._pending, None
            pending.result()

    def restore(self) -> Progress:
        """Load the newest checkpoint; return `Progress()` if there is none. Raises RunError if none can be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        problems: dict[str, list[str]] = {}
        for document in reversed(manifests(self._folder)):
            try:
                saved = parse_json(CheckpointDocument, read_bytes(document))
                progress = Progress(saved["step"], tuple(saved["sums"]), cast("dict[str, float]", saved["best"]))
                data = read_bytes(document.with_suffix(".safetensors"))
                if _sha256(data, progress) != saved["sha256"] or document.stem != _stem(progress):
                    raise ValueError("it does not have the hash it was written with")
                self._assign(load(data))
                return progress
            except (OSError, ValueError, SafetensorError) as error:
                problems.setdefault(describe_error(error), []).append(document.stem)
        if problems:
            raise RunError(self._describe(problems))
        return Progress()

    def _describe(self, problems: dict[str, list[str]]) -> str:
        """Return why no checkpoint can be restored. problems: reason → names of the checkpoints that have it."""
        if set(problems) == {OTHER_NETWORK}:
            return (
                f"the checkpoints in {self._folder} do not fit the network and the optimizer that"
                f" {self._folder.parent / 'spec.json'} describes; if that was changed by hand, write back what it said,"
                " or train again as it says now"
            )
        reasons = "; ".join(f"{problem} ({', '.join(names)})" for problem, names in problems.items())
        return f"the checkpoints in {self._folder} are unreadable: {reasons}"

    def sweep(self) -> None:
        """Remove files that a killed process left incomplete."""
        if self._writes and self._folder.is_dir():
            complete = {path.stem for path in manifests(self._folder)}
            for path in self._folder.iterdir():
                if path.stem not in complete and not path.is_dir():
                    path.unlink()

    def _arrays(self) -> dict[str, np.ndarray]:
        # Copies: the writer reads them while training goes on.
        arrays = {f"{index:05}": np.array(variable.numpy()) for index, variable in enumerate(self._variables)}
        for variable, array in zip(self._variables, arrays.values(), strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(f"weights became NaN or infinite, first in {variable.name}")
        return arrays

    def _assign(self, arrays: dict[str, np.ndarray]) -> None:
        values = [arrays[name] for name in sorted(arrays)]
        expected = [(tuple(variable.shape), _dtype(variable)) for variable in self._variables]
        if [(array.shape, array.dtype.name) for array in values] != expected:
            raise ValueError(OTHER_NETWORK)
        for variable, array in zip(self._variables, values, strict=True):
            variable.assign(array)

    def _write(self, arrays: dict[str, np.ndarray], progress: Progress) -> None:
        from safetensors.numpy import save

        data = save(arrays)
        path = self._folder / f"{_stem(progress)}.safetensors"
        run = self._folder.parent
        with write_atomically(path, within=run) as temporary:
            temporary.write_bytes(data)
        with write_atomically(path.with_suffix(".json"), within=run) as temporary:
            temporary.write_text(json.dumps({**asdict(progress), "sha256": _sha256(data, progress)}), encoding="utf-8")
        for old in manifests(self._folder)[:-KEPT_CHECKPOINTS]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)


def _stem(progress: Progress) -> str:
    return f"step-{progress.step:09}"


def _sha256(data: bytes, progress: Progress) -> str:
    """Return the hash of the variables and of the progress beside them."""
    digest = hashlib.sha256(data)
    digest.update(json.dumps(asdict(progress), sort_keys=True).encode())
    return digest.hexdigest()


def _dtype(variable: Variable) -> str:
    """Return the name of a variable's dtype, of Keras or of TensorFlow."""
    return str(np.array(variable.numpy()).dtype.name)


def manifests(folder: Path) -> list[Path]:
    """Return the JSON files of the checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*.json") if MANIFEST_NAME.fullmatch(path.name))
