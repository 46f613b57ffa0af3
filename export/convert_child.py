"""The process that converts Keras models: see convert.py, which starts it and sends it what to do, a line of JSON each.

The model that it has read, and what formats made of it on the way, stay for further conversions of the same file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import KresnetError
from keras_resnet.evaluation.evaluate import load_keras_file
from keras_resnet.export.convert import IMAGES, JOB
from keras_resnet.export.file_options import FileOptions
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion, Format
from keras_resnet.machine.garbage_collection import collect_rarely
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import ModelMetadata

if TYPE_CHECKING:
    import keras


class ModelSource:
    """A Keras file: its model, read when it is asked for, and a folder in `scratch` for what is made of it."""

    def __init__(self, file: Path, scratch: Path) -> None:
        self._state = self._describe(file)
        self._file = file
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        self._model: keras.Model | None = None

    def holds(self, file: Path) -> bool:
        """Return whether this is `file` as it is now."""
        return self._state == self._describe(file)

    def read(self) -> keras.Model:
        """Return the model. A quantized one is read anew each time, because conversions change it."""
        from keras_resnet.compression.quantization.freeze import get_quantizers

        model = self._model or load_keras_file(self._file)
        self._model = None if get_quantizers(model) else model
        return model

    def close(self) -> None:
        """Forget the model and remove the folder."""
        self._model = None
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _describe(file: Path) -> tuple[Path, int, int, int] | None:
        """Return what differs after `file` has been written again; None where there is none, which reading it says."""
        try:
            status = file.stat()
        except OSError:
            return None
        return file, status.st_ino, status.st_mtime_ns, status.st_size


class Worker:
    """Does what the lines on standard input say. scratch: a folder that the parent removes."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._source: ModelSource | None = None

    def prepare(self, model_file: Path, files: list[dict[str, Any]]) -> None:
        """Read the model, and let the formats of `files` do what they can do before a conversion. What fails here fails
        again in the conversion, which reports it."""
        try:
            source = self._open(model_file)
            model = source.read()
            for each in files:
                file_format, options = _read_options(each)
                file_format.prepare(model, options, source.folder)
        except Exception:
            self._close()

    def convert(self, model_file: Path, job: Path, target: Path) -> int:
        """Convert, and return the exit code. Anything but a KresnetError ends the process."""
        try:
            source = self._open(model_file)
            file_format, conversion = _read_job(job, source.folder)
            file_format.write(source.read(), conversion, target)
        except KresnetError as error:
            print(error)
            return EXPECTED_ERROR_CODE
        return 0

    def _open(self, model_file: Path) -> ModelSource:
        if self._source is None or not self._source.holds(model_file):
            self._close()
            self._source = ModelSource(model_file, self._scratch)
        return self._source

    def _close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


def main(arguments: list[str]) -> int:
    """Do what comes on standard input, and answer each conversion with its exit code on standard output. Returns the
    exit code when no more can come. arguments: the folder for what is made on the way."""
    with collect_rarely():
        import keras  # meanwhile

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, which gets it too, ends this process
    # For what libraries leave behind in a process that is killed: the parent removes this folder.
    tempfile.tempdir = arguments[0]
    worker = Worker(Path(arguments[0]))
    # What is started here reads and writes elsewhere.
    with os.fdopen(os.dup(0)) as messages, os.fdopen(os.dup(1), "w") as answers, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        for line in messages:
            message = json.loads(line)
            os.chdir(message["folder"])
            os.environ.clear()
            os.environ.update(message["environment"])
            model_file = Path(message["model"])
            if "prepare" in message:
                worker.prepare(model_file, message["prepare"])
                continue
            with Path(message["log"]).open("ab") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            code = worker.convert(model_file, Path(message["job"]), Path(message["target"]))
            sys.stdout.flush()
            answers.write(f"{code}\n")
            answers.flush()
            keras.utils.clear_session()  # while the parent goes on
    return 0


def _read_options(document: dict[str, Any]) -> tuple[Format, FileOptions | None]:
    file_format = get_format(document["format"])
    return file_format, file_format.read_options(document["options"]) if document["options"] else None


def _read_job(folder: Path, made: Path) -> tuple[Format, Conversion]:
    job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    # JSON has lists for tuples.
    tuples = {name: tuple(job["metadata"][name]) for name in ("classes", "cells", "levels")}
    confidence = Confidence.from_dict(job["metadata"]["confidence"])
    metadata = ModelMetadata(**{**job["metadata"], **tuples, "confidence": confidence})
    file_format, options = _read_options(job)
    images = np.load(folder / IMAGES) if (folder / IMAGES).is_file() else None
    return file_format, Conversion(metadata, options, images, made)
