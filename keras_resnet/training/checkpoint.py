"""Training state on disk: whole or not at all, with a hash, the last three kept.

A checkpoint is `step-N.safetensors`, which holds every variable in order, and `step-N.json`, written after it, which
holds what else a training goes on from, and the hash of all of it. Data without its JSON is a torn write.
"""

from __future__ import annotations

import hashlib
import json
import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic_write import reason, writing
from keras_resnet.errors import RunError, TrainingError
from keras_resnet.run import files

KEEP = 3
NAME = re.compile(r"step-(\d+)\.json")
OTHER = "it holds the variables of another network or optimizer"


@dataclass(frozen=True)
class Progress:
    """step: how many are behind. sums: over the steps of the epoch under way, how many they are and what its means are
    made of. best: the epoch with the lowest validation loss, {"epoch", "loss"}, where that is asked for."""

    step: int = 0
    sums: tuple[float, ...] = ()
    best: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """Saves and restores the variables of one training in `folder`; files are written beside the training."""

    def __init__(self, folder: Path, variables: list[Any], *, writes: bool = True) -> None:
        self._folder, self._variables, self._writes = folder, variables, writes
        self._writer = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def save(self, progress: Progress) -> None:
        """Keep the present state. Raises TrainingError if a weight is not finite, RunError if the last state could
        not be written."""
        if not self._writes:
            return
        arrays = self._arrays()
        self.wait()
        self._pending = self._writer.submit(self._write, arrays, progress)

    def wait(self) -> None:
        """Until everything is on disk. Raises RunError if it cannot be."""
        if self._pending:
            pending, self._pending = self._pending, None
            pending.result()

    def restore(self) -> Progress:
        """Load the newest whole state; `Progress()` where there is none. Raises RunError if none can be read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        troubles: dict[str, list[str]] = {}
        for document in reversed(manifests(self._folder)):
            try:
                saved = files.parsed(files.Saved, files.read_bytes(document))
                progress = Progress(saved["step"], tuple(saved["sums"]), dict(saved["best"]))
                data = files.read_bytes(document.with_suffix(".safetensors"))
                if _sha256(data, progress) != saved["sha256"] or document.stem != _stem(progress):
                    raise ValueError("it does not have the hash it was written with")
                self._assign(load(data))
                return progress
            except (OSError, ValueError, SafetensorError) as error:
                troubles.setdefault(reason(error), []).append(document.stem)
        if troubles:
            raise RunError(self._refused(troubles))
        return Progress()

    def _refused(self, troubles: dict[str, list[str]]) -> str:
        """Why no checkpoint can be taken, each of the `troubles` (reason → which have it) once."""
        if set(troubles) == {OTHER}:
            return (
                f"the checkpoints in {self._folder} do not fit the network and the optimizer that"
                f" {self._folder.parent / 'spec.json'} describes; if that was changed by hand, write back what it said,"
                " or train again as it says now"
            )
        words = "; ".join(f"{why} ({', '.join(names)})" for why, names in troubles.items())
        return f"the checkpoints in {self._folder} are unreadable: {words}"

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        if self._writes and self._folder.is_dir():
            whole = {path.stem for path in manifests(self._folder)}
            for path in self._folder.iterdir():
                if path.stem not in whole and not path.is_dir():
                    path.unlink()

    def _arrays(self) -> dict[str, np.ndarray]:
        # Copies: the writer reads them while training goes on.
        arrays = {f"{index:05}": np.array(variable.numpy()) for index, variable in enumerate(self._variables)}
        for variable, array in zip(self._variables, arrays.values(), strict=True):
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise TrainingError(f"weights became NaN or infinite, first in {variable.name}")
        return arrays

    def _assign(self, arrays: dict[str, np.ndarray]) -> None:
        found = [arrays[name] for name in sorted(arrays)]
        ours = [(tuple(variable.shape), _dtype(variable)) for variable in self._variables]
        if [(array.shape, array.dtype.name) for array in found] != ours:
            raise ValueError(OTHER)
        for variable, array in zip(self._variables, found, strict=True):
            variable.assign(array)

    def _write(self, arrays: dict[str, np.ndarray], progress: Progress) -> None:
        from safetensors.numpy import save

        data = save(arrays)
        path = self._folder / f"{_stem(progress)}.safetensors"
        run = self._folder.parent
        with writing(path, within=run) as temporary:
            temporary.write_bytes(data)
        with writing(path.with_suffix(".json"), within=run) as temporary:
            temporary.write_text(json.dumps({**asdict(progress), "sha256": _sha256(data, progress)}), encoding="utf-8")
        for old in manifests(self._folder)[:-KEEP]:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)


def _stem(progress: Progress) -> str:
    return f"step-{progress.step:09}"


def _sha256(data: bytes, progress: Progress) -> str:
    """Of the variables and of what stands beside them."""
    digest = hashlib.sha256(data)
    digest.update(json.dumps(asdict(progress), sort_keys=True).encode())
    return digest.hexdigest()


def _dtype(variable: Any) -> str:
    """The name of a variable's type, of Keras or of TensorFlow."""
    return str(np.array(variable.numpy()).dtype.name)


def manifests(folder: Path) -> list[Path]:
    """The JSON files of the checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*.json") if NAME.fullmatch(path.name))
