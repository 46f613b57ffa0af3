"""Reference outputs on the demo's page: by them it checks whether a browser computes what the exporting machine did."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic_write import describe_error
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.reading import read_bytes
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.predictions import name_outputs

# Of the outputs of one file; detectors have large ones.
MAX_BYTES = 8_000_000
MIN_IMAGES = 2


@dataclass(frozen=True)
class Golden:
    """Reference outputs as pages of a site.

    images: {"url", "count", "shape"} of the images, uint8 (count, height, width, channels); None where there are none.
    files: by file {"url", "outputs": [{"name", "shape"}, …]} of its outputs, float32 (count, *shape), one after another
    """

    images: dict[str, Any] | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: dict[str, bytes | Path] = field(default_factory=dict)


def load_golden(run: Run, files: list[str], log: Log) -> Golden:
    """Return the reference outputs of a run's `files`, of as many images as MAX_BYTES allows for the largest of them;
    none where golden.npz is not there or cannot be read."""
    try:
        images, answers = _read_golden(run.exports / "golden.npz", files, run.spec().data.input_shape)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds on damaged archives
        log(f"no self-check on the page: the reference outputs cannot be read: {describe_error(error)}")
        return Golden()
    answers = {file: outputs for file, outputs in answers.items() if outputs}
    most = max((sum(value[0].nbytes for value in outputs.values()) for outputs in answers.values()), default=1)
    count = min(len(images), max(MIN_IMAGES, MAX_BYTES // most))
    pages: dict[str, bytes | Path] = {"golden/images.bin": np.ascontiguousarray(images[:count]).tobytes()}
    described = {}
    for file, outputs in answers.items():
        first = {name: np.ascontiguousarray(value[:count], np.float32) for name, value in outputs.items()}
        pages[f"golden/{file}.bin"] = b"".join(value.tobytes() for value in first.values())
        shapes = [{"name": name, "shape": value.shape[1:]} for name, value in first.items()]
        described[file] = {"url": f"golden/{file}.bin", "outputs": shapes}
    return Golden({"url": "golden/images.bin", "count": count, "shape": images.shape[1:]}, described, pages)


def _read_golden(
    path: Path, files: list[str], shape: tuple[int, int, int]
) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Return the images, each of `shape`, and the outputs of each file by name. Raises whatever a damaged archive makes
    raise, and ValueError for one that is none of ours."""
    content = read_bytes(path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(each.file_size for each in archive.infolist()) > len(content):
            raise ValueError("its arrays claim more bytes than the file has")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images, answers = arrays["images"], {file: _outputs_of(file, arrays) for file in files}
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        wanted = f"(count, {', '.join(map(str, shape))})"
        raise ValueError(f"images must be uint8 {wanted}. Received: {images.dtype} {images.shape}")
    for file, outputs in answers.items():
        for name, value in outputs.items():
            if value.dtype.kind not in "fiu" or value.ndim < 2 or len(value) != len(images):
                raise ValueError(
                    f"{name} of {file} must be numbers for {counted(len(images), 'image')}."
                    f" Received: {value.dtype} {value.shape}"
                )
    return images, answers


def _outputs_of(file: str, arrays: Any) -> dict[str, np.ndarray]:
    """Return the outputs of one file by name, as `artifacts` writes them."""
    if file in arrays:
        return name_outputs(arrays[file])
    return {name.removeprefix(f"{file}:"): arrays[name] for name in arrays if name.startswith(f"{file}:")}
