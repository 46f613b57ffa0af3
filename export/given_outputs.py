"""Outputs of a file that came back from elsewhere, checked, and given to the evaluator as if the file ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.bundle_manifest import (
    Manifest,
    Tensor,
    describe_outputs,
    find_manifest,
    hash_bytes,
    read_manifest,
    read_signature,
)
from keras_resnet.export.devices.runner.runtimes import Signature
from keras_resnet.export.output_causes import describe_way, find_usual_cause
from keras_resnet.export.output_files import IMAGE_HASH, INDEX, MODEL_HASH, UNNAMED, OutputFile, read_output_file
from keras_resnet.progress import Log
from keras_resnet.runtime.plurals import counted, verb
from keras_resnet.runtime.predictions import Outputs, name_outputs, unwrap_single_output
from keras_resnet.runtime.printable import make_printable
from keras_resnet.runtime.tflite_model import TFLiteModel

# Characters of a hash that are shown.
SHOWN = 12


@dataclass(frozen=True)
class DrawnImages:
    """The validation images that outputs are compared on: `count` of those `available`, all or drawn from these."""

    count: int
    available: int

    def draw(self, samples: int | None) -> int:
        """Return how many images `samples` draws, None for all."""
        return self.available if samples is None else min(samples, self.available)


@dataclass(frozen=True)
class GivenOutputs:
    """Outputs as they were read. where: what they come from, in words. manifest: of the bundle whose folder they stand
    in, None where there is none."""

    file: OutputFile
    where: str
    manifest: Manifest | None

    @classmethod
    def read(cls, path: Path, where: str = "") -> GivenOutputs:
        """Read outputs, and the manifest beside them. Raises ExportError."""
        beside = find_manifest(path)
        return cls(
            read_output_file(path), make_printable(where) or path.name, read_manifest(beside) if beside else None
        )

    @property
    def path(self) -> Path:
        """The file or folder that they were read from."""
        return self.file.path

    @property
    def model_hash(self) -> str | None:
        """The SHA-256 of the file that was run, None where nothing says it."""
        if MODEL_HASH in self.file.about:
            return str(np.ravel(self.file.about[MODEL_HASH])[0])
        return self.manifest["model"]["sha256"] if self.manifest else None

    def check(self, model: TFLiteModel, file: Path, images: DrawnImages, log: Log) -> CheckedOutputs:
        """Return the outputs of `file`, whose `model` is loaded, for the `images`. Raises ExportError, in one sentence,
        where they do not fit the file or the images; logs how an ambiguous table of numbers is read."""
        own = hash_bytes(model.content)
        if self.model_hash and self.model_hash != own:
            raise ExportError(
                f"{self.path} is of another model than {file.name}: of the one with SHA-256"
                f" {self.model_hash[:SHOWN]}…, not {own[:SHOWN]}…"
            )
        self._require_same_images(file, images)
        titled = replace(self, file=self.file.with_titles(model.card.classes, images.count))
        return titled._check(model, file, images.count, log)

    def _check(self, model: TFLiteModel, file: Path, samples: int, log: Log) -> CheckedOutputs:
        signature = read_signature(model)
        tensors = {each["name"]: each for each in describe_outputs(signature)}
        arrays = self._name_arrays([*tensors])
        for array in arrays.values():
            self._require_rows(len(array), samples)
        self._require_order(samples)
        self._require_columns(model.card.classes)
        values = {name: self._take(tensors[name], array, signature, log) for name, array in arrays.items()}
        return CheckedOutputs(self, file, values, tensors)

    def _require_same_images(self, file: Path, images: DrawnImages) -> None:
        """Raise ExportError where the bundle, of `file`, is of other images than these by their number."""
        if self.manifest is None:
            return
        bundled, asked = len(self.manifest["images"]["each"]), self.manifest["samples"]
        if bundled != images.draw(asked):
            raise ExportError(
                f"{self.path} is of a bundle with {counted(bundled, 'image')}, and the data have changed since then:"
                f" now it would have {images.draw(asked)}. Write it again, and run the file on its images:"
                f" kresnet bundle {file}{_describe_samples(asked)}"
            )
        if bundled != images.count:
            way = f"with{_describe_samples(asked)}" if asked else "without --samples"
            raise ExportError(
                f"{self.path} is of a bundle with {counted(bundled, 'image')}, and {images.count} were to be verified:"
                f" verify it {way}"
            )

    def _name_arrays(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the arrays by the names of the file's outputs. Raises ExportError where these are others."""
        arrays = self.file.arrays
        if len(names) == 1 and len(arrays) == 1:
            return {names[0]: next(iter(arrays.values()))}
        if set(arrays) != set(names):
            received = ", ".join(sorted(arrays)) if set(arrays) != {UNNAMED} else "one array without a name"
            raise ExportError(f"{self.path} must hold the outputs {', '.join(names)}. Received: {received}")
        return {name: arrays[name] for name in names}

    def _require_rows(self, rows: int, samples: int) -> None:
        """Raise ExportError unless there is a row for each image."""
        if rows == samples:
            return
        difference = abs(rows - samples)
        words = "missing" if rows < samples else "too many"
        raise ExportError(
            f"{self.path} has {counted(rows, 'row')} for {counted(samples, 'validation image')}: {difference}"
            f" {verb(difference)} {words}"
        )

    def _require_order(self, samples: int) -> None:
        """Raise ExportError where what stands beside the rows says that they are of other images."""
        about, each = self.file.about, self.manifest["images"]["each"] if self.manifest else None
        expected = {INDEX: [str(place) for place in range(samples)], IMAGE_HASH: each}
        for kind, places in expected.items():
            if kind not in about or places is None:
                continue
            received = [str(value) for value in np.ravel(about[kind])]
            if len(received) != samples:
                raise ExportError(
                    f"{self.path} has {counted(len(received), 'value')} of {kind} for {counted(samples, 'row')}"
                )
            wrong = [row for row in range(samples) if received[row] != places[row]]
            if wrong:
                raise ExportError(
                    f"{self.path} has its rows in another order than the images: {kind} of row {wrong[0]} is"
                    f" {received[wrong[0]][:SHOWN]}, not {places[wrong[0]][:SHOWN]} (counted from 0)"
                )

    def _require_columns(self, classes: Sequence[str]) -> None:
        columns = self.file.columns
        if columns and set(columns) == set(classes) and columns != tuple(classes):
            raise ExportError(
                f"{self.path} has its columns in another order than the labels of the file: {', '.join(classes)}"
            )

    def _take(self, tensor: Tensor, array: np.ndarray, signature: Signature, log: Log) -> np.ndarray:
        """Return an output as float32, of which integers are raw ones."""
        name = tensor["name"]
        details = signature.outputs[name]
        dtype, shape = np.dtype(details["dtype"]), tuple(int(side) for side in details["shape"])[1:]
        if self.file.is_text:
            array = self._from_text(array, dtype, log)
        if array.dtype.kind in "iu" and array.dtype != dtype:
            other = "" if dtype.kind == "f" else " or floats"
            raise ExportError(
                f"{self.path} holds {array.dtype} as {name}, where the file gives {dtype}{other}:"
                f" {describe_way(tensor)}"
            )
        if array.shape[1:] != shape:
            words = f"{array.shape[1:]} an image, where the file gives {shape}"
            raise ExportError(f"{self.path} holds {name} of shape {words}")
        if not np.isfinite(array).all():
            row = int(np.argmin(np.isfinite(array.reshape(len(array), -1)).all(axis=1)))
            raise ExportError(f"{self.path} holds numbers that are not finite: in {name}, row {row} (counted from 0)")
        return signature.floats(name, array) if array.dtype.kind in "iu" else array.astype(np.float32)

    def _from_text(self, numbers: np.ndarray, dtype: np.dtype, log: Log) -> np.ndarray:
        """Return numbers that were text as raw outputs, where they are integers of the file's type, or as floats."""
        if dtype.kind == "f" or not np.array_equal(numbers, np.round(numbers)):
            return numbers
        limits = np.iinfo(dtype)
        if numbers.min() < limits.min or numbers.max() > limits.max:
            return numbers
        log(f"{self.path.name}: taken for raw outputs, because all numbers are whole and within {dtype}")
        return numbers.astype(dtype)


def read_all(outputs: Sequence[tuple[Path, str]]) -> tuple[list[GivenOutputs], list[str]]:
    """Read `outputs`, each a path with what computed it; return those that can be read, and of the others why not, a
    sentence each."""
    given, failures = [], []
    for path, where in outputs:
        try:
            given.append(GivenOutputs.read(path, where))
        except ExportError as error:
            failures.append(str(error))
    return given, failures


@dataclass(frozen=True)
class CheckedOutputs:
    """Outputs of `file`, float32 by name, a row for each image. tensors: what the file says of them."""

    given: GivenOutputs
    file: Path
    values: dict[str, np.ndarray]
    tensors: dict[str, Tensor]

    def require_unchanged(self, own: Outputs) -> None:
        """Raise ExportError where they are not what the file gives, `own` on this machine for the first images, but
        what a program made of it."""
        named = name_outputs(own)
        for name, array in self.values.items():
            ours = named[name] if len(named) > 1 else next(iter(named.values()))
            if cause := find_usual_cause(array, ours, self.tensors[name]):
                raise ExportError(f"{self.given.path} holds {cause}")

    def replay(self) -> Replay:
        """Return a callable that gives them batch by batch, once."""
        return Replay(self)


class Replay:
    """Answers batches of images in order, as the file itself would."""

    def __init__(self, outputs: CheckedOutputs) -> None:
        self._outputs, self._done = outputs, 0

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the outputs for uint8 images (N, H, W, C). Raises ExportError for other images than the bundle's."""
        start = self._done
        self._done += len(images)
        self._require_images(start, images)
        rows = {name: each[start : self._done] for name, each in self._outputs.values.items()}
        return unwrap_single_output(rows)

    def _require_images(self, start: int, images: np.ndarray) -> None:
        given = self._outputs.given
        if given.manifest is None:
            return
        for row, image in enumerate(images, start):
            if hash_bytes(image.tobytes()) != given.manifest["images"]["each"][row]:
                raise ExportError(
                    f"image {row} of the bundle of {given.path} is another one than among the validation images now:"
                    " the data have changed since it was written. Write it again, and run the file on its images:"
                    f" kresnet bundle {self._outputs.file}{_describe_samples(given.manifest['samples'])}"
                )


def _describe_samples(samples: int | None) -> str:
    return f" --samples {samples}" if samples else ""
