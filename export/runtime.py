"""A .tflite file as a callable on images. Imports no TensorFlow: only LiteRT, NumPy and Pillow."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.export.metadata import Card, read_card


class TFLiteModel:
    """One file, loaded. `card` says how images become its input and what its outputs mean.

    Raises ExportError if the file is missing, damaged or not one of ours.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        if not file.is_file():
            raise ExportError(f"there is no file {file}")
        self.card: Card = read_card(file)
        self.threads = threads or os.cpu_count() or 1
        try:
            self._interpreter: Any = Interpreter(model_path=str(file), num_threads=self.threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ExportError(f"{file} is not a readable TFLite model: {' '.join(str(error).split())}") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 images (B, H, W, 3) → float32 logits (B, classes), one image at a time."""
        return np.concatenate([self._one(image[None]) for image in images])

    def latency_ms(self, images: np.ndarray, *, warmup: int = 5, runs: int = 50) -> float:
        """Median milliseconds of one inference, over `runs` of them, after `warmup`."""
        times = []
        for count in range(warmup + runs):
            image = images[count % len(images)][None]
            start = time.perf_counter()
            self._one(image)
            times.append(time.perf_counter() - start)
        return float(np.median(times[warmup:]) * 1e3)

    def _one(self, image: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input["index"], image)
        self._interpreter.invoke()
        raw = self._interpreter.get_tensor(self._output["index"]).astype(np.float32)
        scale, zero_point = self._output["quantization"]
        return np.asarray((raw - zero_point) * scale if scale else raw, dtype=np.float32)
