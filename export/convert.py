"""Conversions, each in a child process.

TensorFlow's converter writes to file descriptor 2 from C++ and can take the process down with it,
so `convert` runs this module as a child, keeps its output in a log and turns a crash into a sentence. The child ends
when its parent does, however that ends.
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
from keras_resnet.export.tflite_options import TFLiteOptions, as_dict, form_from
from keras_resnet.progress import waiting
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_exit
from keras_resnet.runtime.metadata import ModelMetadata

SAVED_MODEL, ONNX = "savedmodel", "onnx"


def convert(
    model_file: Path, form: TFLiteOptions | str, card: ModelMetadata, images: np.ndarray | None, target: Path, log: Path
) -> None:
    """Write `target` from the Keras model in `model_file`: a TFLite file of a form, or SAVED_MODEL or ONNX.

    Raises ExportError, naming the log, if the child fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    name = form if isinstance(form, str) else form.name
    with tempfile.TemporaryDirectory() as scratch:
        job = {"form": form if isinstance(form, str) else as_dict(form), "card": asdict(card)}
        Path(scratch, "job.json").write_text(json.dumps(job), encoding="utf-8")
        if images is not None:
            np.save(Path(scratch, "images.npy"), images)
        command = child_command(__name__, str(model_file), scratch, str(target))
        with log.open("wb") as output, waiting(f"converting to {name}"):
            ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ended.returncode == EXPECTED_ERROR_CODE:
        raise ExportError(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1])
    if ended.returncode or not target.exists():
        raise ExportError(
            f"the conversion to {name} failed ({describe_exit(ended.returncode)}); its output is in {log}"
        )


def _convert_here(model_file: str, scratch: str, target: Path) -> None:
    job: dict[str, Any] = json.loads(Path(scratch, "job.json").read_text(encoding="utf-8"))
    card = ModelMetadata(
        **{**job["card"], **{name: tuple(job["card"][name]) for name in ("classes", "cells", "levels")}}
    )
    model = load_keras_file(Path(model_file))
    if job["form"] == SAVED_MODEL:
        from keras_resnet.export.formats.saved_model import write_serving

        write_serving(model, card, target)
    elif job["form"] == ONNX:
        from keras_resnet.export.formats.onnx import write_onnx

        write_onnx(model, card, target)
    else:
        from keras_resnet.export.formats.tflite import write_tflite

        images = Path(scratch, "images.npy")
        write_tflite(model, form_from(job["form"]), np.load(images) if images.is_file() else None, target, card)


def main(arguments: list[str]) -> int:
    """In the child: convert what `arguments` name."""
    model_file, scratch, target = arguments
    try:
        _convert_here(model_file, scratch, Path(target))
    except KresnetError as error:
        print(error)
        return EXPECTED_ERROR_CODE
    return 0
