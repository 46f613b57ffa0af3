"""Run a .tflite file as a function of images. Imports no TensorFlow: only LiteRT, NumPy and Pillow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .c_array import C_SUFFIX, read_c_array
from .errors import ExportError
from .metadata import ModelMetadata, foreign_file_error, read_metadata, require_kind
from .missing_files import describe_missing
from .predictions import Outputs, unwrap_single_output
from .sandbox import require_opens
from .signature import require_input
from .threads import require_threads

# Of a FlatBuffer's offsets: no file is larger.
MAX_FILE_BYTES = 2**31
# What pixels may be in a file's input.
INPUT_DTYPES = (np.uint8, np.int8, np.float32)


class TFLiteModel:
    """One file, loaded; or the C source that holds one. `card` says how images become its input and what its
    outputs mean. `content` is the FlatBuffer with what follows it.

    A file is opened in another process first, where that can be started: LiteRT ends the process of some damaged ones.
    Raises UsageError for an impossible number of `threads`, ExportError if the file is missing, damaged or not one of
    ours.
    """

    def __init__(self, file: Path, threads: int | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        require_threads(threads)
        require_file(file)
        require_opens(file, type(self))
        self.content = read_c_array(file) if file.suffix == C_SUFFIX else file.read_bytes()
        self.card: ModelMetadata = read_metadata(self.content, file)
        self.threads = threads or os.cpu_count() or 1
        try:
            self._interpreter: Any = Interpreter(model_content=self.content, num_threads=self.threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ExportError(f"{file} is not a readable TFLite model: {' '.join(str(error).split())}") from error
        self._take_in(file)

    def __call__(self, images: np.ndarray) -> Outputs:
        """Run uint8 images (N, H, W, C) → float32 logits (N, classes), or several outputs by name, as many at a time as
        the file takes."""
        if self._batch is None:
            self._resize(images.shape)
            return unwrap_single_output(self._invoke(images))
        parts = []
        for start in range(0, len(images), self._batch):
            part = images[start : start + self._batch]
            filled = np.concatenate([part, np.repeat(part[-1:], self._batch - len(part), axis=0)])
            parts.append(self._invoke(filled))
        whole = {name: np.concatenate([each[name] for each in parts])[: len(images)] for name in self._outputs}
        return unwrap_single_output(whole)

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

    @property
    def outputs(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Of each output by name its shape for one image, and its type."""
        return {
            name: (tuple(int(side) for side in each["shape"][1:]), np.dtype(each["dtype"]))
            for name, each in self._outputs.items()
        }

    def to_floats(self, name: str, raw: np.ndarray) -> np.ndarray:
        """Return what the file computed for an output, as float32."""
        scale, zero_point = self._outputs[name]["quantization"]
        raw = raw.astype(np.float32)
        return np.asarray((raw - zero_point) * scale if scale else raw, dtype=np.float32)

    def _take_in(self, file: Path) -> None:
        """Read the signature of `file`. Raises ExportError if it is not the card's."""
        inputs, signatures = self._interpreter.get_input_details(), self._interpreter.get_signature_list()
        if len(inputs) != 1 or len(signatures) != 1 or inputs[0]["dtype"] not in INPUT_DTYPES:
            raise foreign_file_error(file)
        self._input = inputs[0]
        require_input(self.card, [int(side) for side in self._input["shape"]], file)
        self._outputs = self._interpreter.get_signature_runner(next(iter(signatures))).get_output_details()
        for name, output in self._outputs.items():
            scale = output["quantization"][0]
            if output["dtype"] is not np.float32 and not 0 < scale < np.inf:
                raise ExportError(f"{file} is damaged: the scale of its output {name} is {scale}")
        first = int((*self._input["shape_signature"], 0)[0])
        self._batch = None if first < 0 else first

    def _resize(self, shape: tuple[int, ...]) -> None:
        """Prepare for inputs of `shape`, where the file takes any number of images."""
        self._interpreter.resize_tensor_input(self._input["index"], shape)
        self._interpreter.allocate_tensors()

    def _invoke(self, images: np.ndarray) -> dict[str, np.ndarray]:
        self._interpreter.set_tensor(self._input["index"], self._pixels(images))
        self._interpreter.invoke()
        get_tensor, outputs = self._interpreter.get_tensor, self._outputs.items()
        return {name: self.to_floats(name, get_tensor(output["index"])) for name, output in outputs}

    def _pixels(self, images: np.ndarray) -> np.ndarray:
        """Return pixels as the input's type; its scale is 1 in all files of ours."""
        if self._input["dtype"] is np.int8:
            return (images.astype(np.int16) - 128).astype(np.int8)
        return images.astype(self._input["dtype"])


def require_file(file: Path) -> None:
    """Raise ExportError unless there is such a file, a regular one, no larger than it can be, and not plainly
    of another kind."""
    if not file.is_file():
        if file.is_dir():
            raise ExportError(f"{file} is a folder, not a TFLite model")
        if file.exists():
            raise ExportError(f"{file} is not a regular file")
        raise ExportError(describe_missing(file, lambda other: other.suffix == ".tflite"))
    if file.stat().st_size > MAX_FILE_BYTES:
        raise ExportError(
            f"{file} is larger than any TFLite file: {file.stat().st_size} bytes of at most {MAX_FILE_BYTES}"
        )
    if file.suffix != C_SUFFIX:
        require_kind(file, "a TFLite model")
