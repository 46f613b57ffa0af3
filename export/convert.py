"""Conversion of a Keras model to a file of any format, in a child process.

TensorFlow's converter writes to file descriptor 2 from C++ and can take the process down with it, so `convert` runs
this module as a child, keeps its output in a log and turns a crash into a sentence. The child ends when its parent
does, however that ends. Conversions that follow each other may share what takes a child seconds, see `share_imports`.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError, KresnetError
from keras_resnet.evaluation.evaluate import load_keras_file
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion, Format
from keras_resnet.export.warm_process import IS_POSSIBLE, WarmProcess
from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit
from keras_resnet.runtime.metadata import ModelMetadata

JOB, IMAGES = "job.json", "images.npy"
# What any conversion imports, for seconds.
PACKAGES = ("tensorflow", "keras")
_process: ContextVar[WarmProcess | None] = ContextVar("process", default=None)


@contextmanager
def share_imports() -> Iterator[None]:
    """Let the conversions in the block be made by copies of one process, so that TensorFlow is imported once for all;
    where a process can be copied, and unless they are already."""
    if not IS_POSSIBLE or _process.get():
        yield
        return
    process = WarmProcess(__name__, PACKAGES)
    token = _process.set(process)
    try:
        yield
    finally:
        _process.reset(token)
        process.close()


def convert(model_file: Path, file_format: Format, conversion: Conversion, target: Path, log: Path) -> None:
    """Write `target`, of `file_format`, from the Keras model in `model_file`.

    Raises ExportError, naming the `log`, if the child fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    name = str(file_format.provenance(conversion.options)["scheme"])
    with tempfile.TemporaryDirectory() as scratch:
        _write_job(file_format, conversion, Path(scratch))
        with show_activity(f"converting to {name}"):
            code = _run((str(model_file), scratch, str(target)), log)
    if code == EXPECTED_ERROR_CODE:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        raise ExportError(f"{said}; the output of {file_format.toolkit} is in {log}" if file_format.toolkit else said)
    if code or not target.exists():
        raise ExportError(f"the conversion to {name} failed ({describe_exit(code)}); its output is in {log}")


def _run(arguments: tuple[str, ...], log: Path) -> int:
    """Call `main` in a child process, with its output in `log`; return its exit code."""
    if process := _process.get():
        return process.run(arguments, log)
    with log.open("wb") as output:
        command = child_command(__name__, *arguments)
        return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode


def _write_job(file_format: Format, conversion: Conversion, folder: Path) -> None:
    options = conversion.options
    job = {
        "format": file_format.name,
        "options": options.to_dict() if options else None,
        "metadata": asdict(conversion.metadata),
    }
    (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
    if conversion.calibration_images is not None:
        np.save(folder / IMAGES, conversion.calibration_images)


def _read_job(folder: Path) -> tuple[Format, Conversion]:
    job: dict[str, Any] = json.loads((folder / JOB).read_text(encoding="utf-8"))
    # JSON has lists for tuples.
    tuples = {name: tuple(job["metadata"][name]) for name in ("classes", "cells", "levels")}
    metadata = ModelMetadata(**{**job["metadata"], **tuples})
    file_format = get_format(job["format"])
    options = file_format.read_options(job["options"]) if job["options"] else None
    images = np.load(folder / IMAGES) if (folder / IMAGES).is_file() else None
    return file_format, Conversion(metadata, options, images)


def main(arguments: list[str]) -> int:
    """Convert what `arguments` name, in the child process; returns the exit code."""
    model_file, scratch, target = arguments
    try:
        file_format, conversion = _read_job(Path(scratch))
        file_format.write(load_keras_file(Path(model_file)), conversion, Path(target))
    except KresnetError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    return 0
