"""Any exported file as a callable on images, by what it is."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.formats.saved_model import DEFAULT_SIGNATURE
from keras_resnet.runtime.c_array import C_SOURCE, NAME, bytes_of
from keras_resnet.runtime.metadata import CARD, EXTRA, LABELS, LARGEST_TEXT, ModelMetadata, card_from, strange
from keras_resnet.runtime.predictions import single
from keras_resnet.runtime.signature import require_input
from keras_resnet.runtime.trial import begin

SUFFIXES = (".tflite", ".onnx", C_SOURCE)


class Model(Protocol):
    """What every exported file becomes: uint8 images (N, H, W, 3) → float32 logits (N, classes), or several outputs by
    name."""

    card: ModelMetadata
    threads: int

    def __call__(self, images: np.ndarray) -> Any: ...


def is_exported_file(target: str) -> bool:
    """Whether `target` names an exported file rather than a run."""
    path = _inside(Path(target))
    return target.endswith(SUFFIXES) or path.is_file() or (path / "saved_model.pb").is_file()


def _inside(path: Path) -> Path:
    """The source in a folder of C files; anything else itself."""
    source = path / f"{NAME}{C_SOURCE}"
    return source if source.is_file() else path


def load_file(path: Path, threads: int | None = None) -> Model:
    """Load the exported file, SavedModel folder or folder of C source `path`. Raises ExportError if it is missing,
    damaged or foreign."""
    path = require_file(path)
    if path.is_dir():
        return SavedModel(path, threads)
    if path.suffix == ".onnx":
        from keras_resnet.export.formats.onnx import OnnxModel

        return OnnxModel(path, threads)
    from keras_resnet.runtime.tflite_model import TFLiteModel

    return TFLiteModel(path, threads)


def require_file(path: Path) -> Path:
    """What is read for an exported file: the source in a folder of C files, anything else itself. Raises ExportError if
    it is not there, or neither a folder nor a regular file: a pipe may never end."""
    if not path.exists():
        raise ExportError(f"there is no file {path}")
    path = _inside(path)
    if not path.is_dir() and not path.is_file():
        raise ExportError(f"{path} is not a regular file")
    return path


def file_size(path: Path) -> int:
    """Bytes on the device: of a file, of all files of a folder, of the array that C source holds."""
    path = _inside(path)
    if path.suffix == C_SOURCE:
        return len(bytes_of(path))
    return sum(file.stat().st_size for file in _files(path))


def gzip_size(path: Path) -> int:
    """Bytes that a download of the same takes, by gzip's usual level 6."""
    path = _inside(path)
    contents = [bytes_of(path)] if path.suffix == C_SOURCE else (file.read_bytes() for file in _files(path))
    return sum(len(gzip.compress(content, 6)) for content in contents)


def _files(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else iter([path])


class SavedModel:
    """A folder, run by TensorFlow through its serving signature; opened in another process first."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.card = card_from(_text(folder, LABELS), _text(folder, CARD), folder)
        tried = begin(folder, SavedModel)
        import tensorflow as tf

        tried()
        self.threads = threads or os.cpu_count() or 1
        if threads:
            try:
                tf.config.threading.set_intra_op_parallelism_threads(threads)
            except RuntimeError:  # already running, and with all of them
                self.threads = os.cpu_count() or 1
        try:
            self._model: Any = tf.saved_model.load(str(folder))
            (pixels,) = self._model.signatures[DEFAULT_SIGNATURE].structured_input_signature[1].values()
        except Exception as error:  # of many kinds, for a truncated file and a missing variable alike
            raise ExportError(f"{folder} is not a readable SavedModel: {' '.join(str(error).split())[:200]}") from error
        require_input(self.card, pixels.shape, folder)

    def __call__(self, images: np.ndarray) -> Any:
        """uint8 images (N, H, W, 3) → float32 logits (N, classes), or several outputs by name."""
        import tensorflow as tf

        answered = self._model.signatures[DEFAULT_SIGNATURE](pixels=tf.constant(images, tf.float32))
        return single({name: np.asarray(value) for name, value in answered.items()})


def _text(folder: Path, name: str) -> str:
    """What a SavedModel says of itself. Raises ExportError where it says nothing, or more than it may."""
    file = folder / EXTRA / name
    try:
        if not file.is_file() or file.stat().st_size > LARGEST_TEXT:
            raise strange(folder)
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise strange(folder) from error
