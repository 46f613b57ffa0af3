"""Golden answers on the demo's page: by them it checks whether a browser computes what the exporting machine did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.predictions import name_outputs

# Of the outputs of one file; detectors have large ones.
MAX_BYTES = 8_000_000
MIN_IMAGES = 2


@dataclass(frozen=True)
class Golden:
    """Golden answers as pages of a site.

    images: {"url", "count", "shape"} of the images, uint8 (count, height, width, channels); None where there are none.
    files: by file {"url", "outputs": [{"name", "shape"}, …]} of its outputs, float32 (count, *shape), one after another
    """

    images: dict[str, Any] | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    pages: dict[str, bytes | Path] = field(default_factory=dict)


def load_golden(run: Run, files: list[str], log: Log) -> Golden:
    """Return the golden answers of a run's `files`, of as many images as MAX_BYTES allows for the largest of them; none
    where golden.npz is not there or cannot be read."""
    try:
        with np.load(run.exports / "golden.npz", allow_pickle=False) as arrays:
            images, answers = arrays["images"], {file: _outputs_of(file, arrays) for file in files}
    except (OSError, ValueError, KeyError) as error:
        log(f"no self-check on the page: the golden answers cannot be read: {error}")
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


def _outputs_of(file: str, arrays: Any) -> dict[str, np.ndarray]:
    """Return the outputs of one file by name, as `artifacts` writes them."""
    if file in arrays:
        return name_outputs(arrays[file])
    return {name.removeprefix(f"{file}:"): arrays[name] for name in arrays if name.startswith(f"{file}:")}
