"""Files for Rockchip's NPUs: a Keras model built by rknn-toolkit2, in an environment of its own, and one loaded as a
callable on images, by the toolkit's simulator.

The simulator runs no finished .rknn file, only a network that was built in the same process. So what is run is the same
network, built a second time from the same ONNX file and calibration images, not the bytes that go to the chip.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export.file_options import FileOptions, SchemeOptions
from keras_resnet.export.formats import rknn_runner
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.export.formats.onnx import write_onnx
from keras_resnet.export.rockchip import CHIPS, PYTHON_VARIABLE, RknnOptions
from keras_resnet.runtime.metadata import (
    LABELS_FILE,
    MAX_TEXT_BYTES,
    METADATA_FILE,
    foreign_file_error,
    parse_metadata,
)
from keras_resnet.runtime.predictions import Outputs, name_outputs, unwrap_single_output

if TYPE_CHECKING:
    import keras

MODEL_FILE = "model.rknn"
# Of the metadata: what is said of the folder besides what all files say.
SECTION = "rknn"
TOOLKIT = "rknn-toolkit2"
HOW = (
    f"make one: python3.11 -m venv rockchip, then rockchip/bin/pip install {TOOLKIT}; and name it:"
    f" --target-python rockchip/bin/python, or {PYTHON_VARIABLE}"
)
# Not in the current folder, whatever is there.
_LOOK = "import importlib.util, sys; sys.exit(importlib.util.find_spec('rknn') is None)"


class RKNN(Format):
    """A folder with model.rknn for one chip, and what it was built from."""

    name = "rknn"
    title = "RKNN"
    suffix = ""
    extra = "onnx"
    packages = ("tf2onnx", "onnx")
    schemes = ("float16", "int8")
    usual_schemes = ("int8",)
    toolkit = TOOLKIT

    def require_installed(self) -> None:
        """Raise UsageError unless kresnet's extra is installed, and an environment with the toolkit is named."""
        super().require_installed()
        find_python()

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the folder `target`. Raises ExportError if the toolkit fails."""
        self.require_installed()
        assert isinstance(conversion.options, RknnOptions)
        chip, metadata, images = conversion.options.chip, conversion.metadata, conversion.calibration_images
        target.mkdir()
        write_onnx(_put_channels_first(model), metadata, target / rknn_runner.NETWORK, batch=1)
        if images is not None:
            np.save(target / rknn_runner.CALIBRATION, np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        try:
            with Runner(target, chip, metadata.channels, target / MODEL_FILE) as runner:
                toolkit = runner.toolkit
        except ExportError as error:
            shutil.rmtree(target)
            raise ExportError(f"{TOOLKIT} could not build {conversion.options.name}: {error}") from error
        document = {
            "chip": chip,
            "toolkit": toolkit,
            "outputs": {name: each.shape[1:] for name, each in sorted(name_outputs(model.output).items())},
            "sha256": {file.name: _hash(file) for file in sorted(target.iterdir())},
        }
        (target / LABELS_FILE).write_text(metadata.labels(), encoding="utf-8")
        details = {**metadata.details(), SECTION: document}
        (target / METADATA_FILE).write_text(json.dumps(details, indent=1), encoding="utf-8")

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Build the network of the folder `path` again, in the toolkit's simulator. Raises ExportError if a file in it
        is not what was written."""
        return SimulatedNetwork(path)

    def options(self, names: Sequence[str] = (), is_qat: bool = False) -> Sequence[FileOptions | None]:
        """See `Format.options`. Raises UsageError for a run that was trained with 8 bits: the toolkit quantizes the
        networks that it is given, and knows nothing of ranges that were trained."""
        if is_qat:
            raise UsageError("--rknn is for runs that were not trained with 8 bits: export the one it was made from")
        return super().options(names, is_qat)

    def for_chips(self, options: Sequence[FileOptions | None], chips: Sequence[str]) -> list[FileOptions | None]:
        """Return the options of a file for each chip."""
        schemes = [each.scheme for each in options if isinstance(each, SchemeOptions)]
        return [RknnOptions(scheme, chip) for chip in chips for scheme in schemes]

    def read_options(self, document: Mapping[str, object]) -> FileOptions:
        """Return the options that `RknnOptions.to_dict` described."""
        return RknnOptions.from_dict(document)

    def file_name(self, options: FileOptions | None) -> str:
        """Return the name of the folder: rk3588-int8."""
        assert options is not None
        return options.name

    def provenance(self, options: FileOptions | None) -> dict[str, str | None]:
        """Return what a file's metadata says of its kind."""
        return {"scheme": self.file_name(options), "engine": None}

    def describe_simulator(self, model: LoadedModel) -> str:
        """Return what simulates the chip."""
        assert isinstance(model, SimulatedNetwork)
        return f"{TOOLKIT} {model.runner.toolkit}'s simulator of {model.chip}"

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is such a folder."""
        return (path / MODEL_FILE).is_file()

    def main_file(self, path: Path) -> Path:
        """Return what goes to the device."""
        return path / MODEL_FILE

    def size(self, path: Path) -> int:
        """Return the bytes that the format takes on a device."""
        return self.main_file(path).stat().st_size

    def payload(self, path: Path) -> Iterator[bytes]:
        """Yield what goes to the device."""
        yield self.main_file(path).read_bytes()


def find_python() -> str:
    """Return the Python that has the toolkit. Raises UsageError where there is none, with how to make it."""
    if not sys.platform.startswith("linux"):
        raise UsageError(f"files for Rockchip need Linux: {TOOLKIT} is for it alone")
    python = os.environ.get(PYTHON_VARIABLE, "")
    if not python:
        raise UsageError(f"files for Rockchip need {TOOLKIT}, which takes a Python environment of its own; {HOW}")
    try:
        looked = subprocess.run([python, "-I", "-c", _LOOK], capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"cannot run {python} for {TOOLKIT}: {error.strerror}; {HOW}") from error
    if looked.returncode:
        raise UsageError(f"{python} has no {TOOLKIT}; {HOW}")
    return python


def _put_channels_first(model: keras.Model) -> keras.Model:
    """Return `model` with an input (N, C, H, W), as the toolkit's networks have it."""
    import keras

    height, width, channels = model.input_shape[1:]
    pixels = keras.Input((channels, height, width), name="pixels")
    return keras.Model(pixels, model(keras.layers.Permute((2, 3, 1))(pixels)))


class Runner:
    """The toolkit at work on the network in `folder`, in its own process; see `rknn_runner`.

    target: the .rknn file to write, None to simulate. toolkit: its version. Raises ExportError if the toolkit fails,
    with what it said last.
    """

    def __init__(self, folder: Path, chip: str, channels: int, target: Path | None = None) -> None:
        command = [find_python(), "-I", rknn_runner.__file__, str(folder), chip, str(channels)]
        # What it prints is kept in the log of a conversion, and of no use afterwards.
        log = None if target else subprocess.DEVNULL
        with tempfile.TemporaryDirectory() as scratch:  # where the toolkit leaves files
            self._process = subprocess.Popen(
                [*command, *([str(target)] if target else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=scratch,
            )
            assert self._process.stdin and self._process.stdout
            self._input: IO[bytes] = self._process.stdin
            self._output: IO[bytes] = self._process.stdout
            self.close = weakref.finalize(self, _end, self._process)
            first: dict[str, str] = json.loads(self._receive())
        if "error" in first:
            self.close()
            raise ExportError(first["error"])
        self.toolkit = first["toolkit"]

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def compute(self, images: np.ndarray) -> list[np.ndarray]:
        """Return the outputs of uint8 images (N, H, W, C), float32 with N rows each, in the network's order."""
        packed = io.BytesIO()
        np.save(packed, images)
        try:
            rknn_runner.write_message(self._input, packed.getvalue())
        except OSError as error:
            raise self._ended() from error
        with np.load(io.BytesIO(self._receive()), allow_pickle=False) as answer:
            return [answer[name] for name in answer.files]

    def _receive(self) -> bytes:
        content = rknn_runner.read_message(self._output)
        if content is None:
            raise self._ended()
        return content

    def _ended(self) -> ExportError:
        self.close()
        return ExportError(f"{TOOLKIT} ended unexpectedly with exit code {self._process.returncode}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the process end, which it does when there is nothing more to read."""
    assert process.stdin and process.stdout
    try:
        process.stdin.close()
        process.wait(10)
    except (OSError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()
    process.stdout.close()


class SimulatedNetwork:
    """A network built again from a folder, and run by the toolkit's simulator. threads: unknown, and of no meaning."""

    threads = 1

    def __init__(self, folder: Path) -> None:
        labels, details = (_read_text(folder, name) for name in (LABELS_FILE, METADATA_FILE))
        self.card = parse_metadata(labels, details, folder)
        self.chip, self._shapes, hashes = _parse_section(json.loads(details), folder)
        for name, expected in hashes.items():
            if not (folder / name).is_file() or _hash(folder / name) != expected:
                raise ExportError(f"{folder / name} is missing, or is not what was written: export it again")
        channels = self.card.channels
        try:
            self.runner = Runner(folder.resolve(), self.chip, channels)
        except ExportError as error:
            raise ExportError(f"{folder} could not be simulated by {TOOLKIT}: {error}") from error

    def __call__(self, images: np.ndarray) -> Outputs:
        """Return the float32 logits (N, classes) of uint8 images (N, H, W, C), or several outputs by name."""
        found = self.runner.compute(images)
        try:
            outputs = {
                name: each.reshape(len(images), *shape)
                for (name, shape), each in zip(self._shapes.items(), found, strict=True)
            }
        except ValueError as error:
            raise ExportError(f"the network gives other outputs than its metadata say: {error}") from error
        return unwrap_single_output(outputs)


def _read_text(folder: Path, name: str) -> str:
    """Return one of the texts of a folder. Raises ExportError where there is none, or too much."""
    file = folder / name
    try:
        if not file.is_file() or file.stat().st_size > MAX_TEXT_BYTES:
            raise foreign_file_error(folder)
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise foreign_file_error(folder) from error


def _parse_section(details: dict[str, Any], folder: Path) -> tuple[str, dict[str, tuple[int, ...]], dict[str, str]]:
    """Return (chip, shapes of the outputs of one image by name, SHA-256 of files by name). Raises ExportError for what
    kresnet does not write."""
    try:
        section = details[SECTION]
        chip, hashes = section["chip"], dict(section["sha256"])
        shapes = {str(name): tuple(map(int, shape)) for name, shape in section["outputs"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise foreign_file_error(folder) from error
    needed = {MODEL_FILE, rknn_runner.NETWORK}
    if chip not in CHIPS or not needed <= set(hashes) <= {*needed, rknn_runner.CALIBRATION}:
        raise foreign_file_error(folder)
    return chip, shapes, hashes


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
