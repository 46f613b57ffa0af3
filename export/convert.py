"""Conversion of a Keras model to a file of any format, in a child process.

TensorFlow's converter writes to file descriptor 2 from C++ and can take the process down with it, so `convert` runs
this module as a child, keeps its output in a log and turns a crash into a sentence. The child ends when its parent
does, however that ends.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError, KresnetError
from keras_resnet.evaluation.evaluate import load_keras_file
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion, Format
from keras_resnet.progress import show_activity
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit
from keras_resnet.runtime.metadata import ModelMetadata

JOB, IMAGES = "job.json", "images.npy"


def convert(model_file: Path, file_format: Format, conversion: Conversion, target: Path, log: Path) -> None:
    """Write `target`, of `file_format`, from the Keras model in `model_file`.

    Raises ExportError, naming the `log`, if the child fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    name = str(file_format.provenance(conversion.options)["scheme"])
    with tempfile.TemporaryDirectory() as scratch:
        _write_job(file_format, conversion, Path(scratch))
        command = child_command(__name__, str(model_file), scratch, str(target))
        with log.open("wb") as output, show_activity(f"converting to {name}"):
            ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ended.returncode == EXPECTED_ERROR_CODE:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        raise ExportError(f"{said}; the output of {file_format.toolkit} is in {log}" if file_format.toolkit else said)
    if ended.returncode or not target.exists():
        raise ExportError(
            f"the conversion to {name} failed ({describe_exit(ended.returncode)}); its output is in {log}"
        )


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
