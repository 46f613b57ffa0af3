"""A .tflite file as a callable on images. Imports no TensorFlow: only LiteRT, NumPy and Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.answers import Outputs, single
from keras_resnet.errors import ExportError
from keras_resnet.export.c_array import C_SOURCE, bytes_of
from keras_resnet.export.card import Card, card_in


class TFLiteModel:
    """One file, loaded; or the C source that holds one. `card` says how images become its input and what its
    outputs mean. `content` is the FlatBuffer with what follows it.

    Raises ExportError if the file is missing, damaged or not one of ours.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.content = _read(file)
        self.card: Card = card_in(self.content, file)
        self.threads = threads or os.cpu_count() or 1
        try:
            self._interpreter: Any = Interpreter(model_content=self.content, num_threads=self.threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ExportError(f"{file} is not a readable TFLite model: {' '.join(str(error).split())}") from error
        self._take_in()

    def __call__(self, images: np.ndarray) -> Outputs:
        """uint8 images (N, H, W, 3) → float32 logits (N, classes), or several outputs by name, as many at a time as the
        file takes."""
        if self._batch is None:
            self._interpreter.resize_tensor_input(self._input["index"], images.shape)
            self._interpreter.allocate_tensors()
            return single(self._invoke(images))
        parts = []
        for start in range(0, len(images), self._batch):
            part = images[start : start + self._batch]
            filled = np.concatenate([part, np.repeat(part[-1:], self._batch - len(part), axis=0)])
            parts.append(self._invoke(filled))
        whole = {name: np.concatenate([each[name] for each in parts])[: len(images)] for name in self._outputs}
        return single(whole)

    @property
    def pixels_from(self) -> float:
        """What stands in the input for a pixel of 0: -128 where it is int8, else 0."""
        return -128.0 if self._input["dtype"] is np.int8 else 0.0

    @property
    def batch(self) -> int | None:
        """How many images it takes at a time; None for any number."""
        return self._batch

    @property
    def quantization(self) -> dict[str, tuple[float, int]]:
        """Of each output by name its scale and zero point, (0.0, 0) where it holds floats."""
        found = {name: output["quantization"] for name, output in self._outputs.items()}
        return {name: (float(scale), int(zero_point)) for name, (scale, zero_point) in found.items()}

    def _take_in(self) -> None:
        self._input = self._interpreter.get_input_details()[0]
        (signature,) = self._interpreter.get_signature_list()
        self._outputs = self._interpreter.get_signature_runner(signature).get_output_details()
        first = int(self._input["shape_signature"][0])
        self._batch = None if first < 0 else first

    def _invoke(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self._interpreter.set_tensor(self._input["index"], self._pixels(images))
        self._interpreter.invoke()
        return {name: self._floats(output) for name, output in self._outputs.items()}

    def _floats(self, output: dict[str, Any]) -> np.ndarray:
        raw = self._interpreter.get_tensor(output["index"]).astype(np.float32)
        scale, zero_point = output["quantization"]
        return np.asarray((raw - zero_point) * scale if scale else raw, dtype=np.float32)

    def _pixels(self, images: np.ndarray) -> np.ndarray:
        """Pixels as the input's type; its scale is 1 in all files of ours."""
        if self._input["dtype"] is np.int8:
            return (images.astype(np.int16) - 128).astype(np.int8)
        return images.astype(self._input["dtype"])


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise ExportError(f"there is no file {file}")
    return bytes_of(file) if file.suffix == C_SOURCE else file.read_bytes()
