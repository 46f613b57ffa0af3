"""Read frames of cameras and videos, and write videos, by OpenCV (extra: video). Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors import DataError, UsageError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")
# Frames a second of a source that does not tell.
DEFAULT_FPS = 30.0
CODEC = "mp4v"


@dataclass(frozen=True)
class Frame:
    """number: counted from 0; seconds: since the first one, where the source tells its rate; rate: frames a second."""

    number: int
    rate: float
    image: Image.Image

    @property
    def seconds(self) -> float:
        """When it is shown."""
        return self.number / self.rate


def is_video(name: str | Path) -> bool:
    """Return whether a file of this name is a video."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def read_frames(source: str, every: int = 1) -> Iterator[Frame]:
    """Yield the frames of a camera, by its number, or of a video, by its file or address: RGB, each `every`-th one.

    Raises UsageError without OpenCV, DataError where nothing can be read.
    """
    cv2 = import_opencv()
    is_camera = source.isdigit()
    if not is_camera and "://" not in source and not source.startswith("/dev/") and not Path(source).is_file():
        raise DataError(f"cannot read {source}: no such file")
    capture = cv2.VideoCapture(int(source) if is_camera else source)
    number = 0
    try:
        rate = capture.get(cv2.CAP_PROP_FPS) or DEFAULT_FPS
        while capture.isOpened() and capture.grab():
            if number % every == 0:
                _, pixels = capture.retrieve()
                image = Image.fromarray(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)))
                yield Frame(number, rate, image)
            number += 1
    finally:
        capture.release()
    if number == 0:
        raise DataError(f"camera {source} cannot be opened" if is_camera else f"cannot read {source}: it is no video")


@contextmanager
def open_video_writer(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Any]:
    """Yield a function that appends a PIL image to a video at `path`, of `rate` frames a second and (width, height)
    `size`. Raises DataError if it cannot be written."""
    cv2 = import_opencv()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODEC), rate, size)
    if not writer.isOpened():
        raise DataError(f"OpenCV cannot write a video to {path}")
    try:
        yield lambda image: writer.write(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR))
    finally:
        writer.release()


def import_opencv() -> Any:
    """Return OpenCV. Raises UsageError where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UsageError("cameras and videos need OpenCV: pip install opencv-python-headless") from error
    return cv2
