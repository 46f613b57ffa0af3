"""Sizes of images: a square's side in pixels, or (height, width). Imports nothing, as `kresnet --help` wants it."""

from __future__ import annotations

import re

# A square's side in pixels, or (height, width), never of a square.
ImageSize = int | tuple[int, int]
# Pixels of a side: more are a typing error, or damage.
MIN_SIDE, MAX_SIDE = 8, 16384
SIZE_WORDS = f"{MIN_SIDE} to {MAX_SIDE} pixels, or HEIGHTxWIDTH as in 480x640"


def parse_image_size(value: object) -> object:
    """Return an ImageSize for 224, "224", "480x640" or (480, 640); None as it is. Raises ValueError for anything
    else, and for sides that are too small or too large."""
    if value is None:
        return None
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,9})(?:[x×X]([0-9]{1,9}))?", value.strip())
        value = tuple(int(side) for side in match.groups() if side) if match else ()
    sides = value if isinstance(value, tuple | list) else (value,)
    if len(sides) not in (1, 2) or not all(type(side) is int and MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise ValueError(SIZE_WORDS)
    return sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])


def height_and_width(size: ImageSize) -> tuple[int, int]:
    """Return the (height, width) that a size stands for."""
    return (size, size) if isinstance(size, int) else size


def format_size(size: ImageSize) -> str:
    """Return a size as it is typed: 224, or 480x640 (height x width)."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def scale_size(size: ImageSize, scale: float) -> ImageSize:
    """Return a size whose sides are `scale` times as long."""
    return round(size * scale) if isinstance(size, int) else (round(size[0] * scale), round(size[1] * scale))
