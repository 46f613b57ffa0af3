"""TFLite files: one conversion per scheme, each in a child process.

TensorFlow's converter writes to file descriptor 2 from C++ and can take the process down with it,
so `convert` runs this module as a child, keeps its output in a log and turns a crash into a sentence.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.bricks import deep_graphs
from keras_resnet.errors import ExportError
from keras_resnet.export.calibrate import Calibration
from keras_resnet.run import Run


@dataclass(frozen=True)
class Scheme:
    """What the numbers in a file are. Every file takes uint8 pixels (1, H, W, 3) and returns logits.

    integer: weights, activations and output are integers; needs calibration.
    """

    name: str
    integer: bool

    @property
    def file_name(self) -> str:
        """The name of the exported file."""
        return f"{self.name}.tflite"


SCHEMES = {scheme.name: scheme for scheme in (Scheme("float32", integer=False), Scheme("int8", integer=True))}


def convert(run: Run, scheme: Scheme, calibration: Calibration, target: Path) -> None:
    """Convert the run's model to `target`. Raises ExportError, naming the log, if the child fails."""
    log = run.exports / f"{scheme.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        images = Path(scratch, "calibration.npy")
        np.save(images, calibration.images)
        command = [sys.executable, "-m", __name__, str(run.model_file), scheme.name, str(images), str(target)]
        with log.open("wb") as output:
            ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ended.returncode or not target.is_file():
        raise ExportError(f"the conversion to {scheme.name} failed (exit {ended.returncode}); its output is in {log}")


def _convert_here(model_file: str, scheme_name: str, calibration_file: str, target: str) -> None:
    import keras

    scheme = SCHEMES[scheme_name]
    with deep_graphs():
        model = keras.saving.load_model(model_file, compile=False)
    with tempfile.TemporaryDirectory() as scratch:
        Path(target).write_bytes(_converter(model, scheme, np.load(calibration_file), Path(scratch)).convert())


def _converter(model: Any, scheme: Scheme, images: np.ndarray, scratch: Path) -> Any:
    """A converter allowed nothing but builtin ops."""
    import tensorflow as tf

    from keras_resnet.export.saved_model import SIGNATURE, write_saved_model

    write_saved_model(model, scratch, uint8_input=not scheme.integer)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(scratch), signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if scheme.integer:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ({"pixels": i[None].astype(np.float32)} for i in images)
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    return converter


if __name__ == "__main__":
    _convert_here(*sys.argv[1:])
