"""Masks as COCO's files have them, polygons and run-length codes, and what is wrong with them."""

from __future__ import annotations

import math
from typing import Any

from faster_coco_eval import mask as rle

from keras_resnet.data.annotations import decode_rle

# A polygon has three corners at least, each of two numbers.
MIN_POLYGON_NUMBERS = 6
# The library walks along a polygon's edges pixel by pixel, also outside the image: so many image sides away at most.
MAX_DISTANCE_IN_SIDES = 10

NO_MASK = "{annotation|annotations} without a mask"
UNREADABLE = "{annotation|annotations} whose mask is empty or cannot be read"
PYTHON_BYTES = (
    "{annotation|annotations} whose mask's counts are Python's b'…' in words: write counts.decode() into the file"
)
NO_POLYGON = (
    "{part of a mask that is no polygon|parts of masks that are no polygons}: 3 or more corners of 2 finite numbers"
    " each"
)


def encode_segmentation(segmentation: Any, size: tuple[int, int]) -> tuple[bytes, str, int]:
    """Return (counts of a compressed run-length code of an image of (width, height) `size`, what is wrong, how many
    parts are no polygons): counts are empty where something is wrong."""
    if not segmentation or segmentation == [[]]:
        return b"", NO_MASK, 0
    if isinstance(segmentation, list):
        outlines = [each for each in segmentation if _is_polygon(each, size)]
        drawn = _encode_polygons(outlines, size) if outlines else b""
        return drawn, "" if drawn else UNREADABLE, len(segmentation) - len(outlines)
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if isinstance(counts, str) and counts.startswith(("b'", 'b"')):
            return b"", PYTHON_BYTES, 0
        known = _encode_run_lengths(counts, segmentation.get("size"), size)
        return known, "" if known else UNREADABLE, 0
    return b"", UNREADABLE, 0


def _is_polygon(outline: Any, size: tuple[int, int]) -> bool:
    if not isinstance(outline, list) or len(outline) < MIN_POLYGON_NUMBERS or len(outline) % 2:
        return False
    try:
        return all(map(math.isfinite, outline)) and max(map(abs, outline)) <= MAX_DISTANCE_IN_SIDES * max(size)
    except (TypeError, OverflowError):  # no numbers, or such of 400 digits
        return False


def _encode_polygons(outlines: list[list[float]], size: tuple[int, int]) -> bytes:
    code = rle.merge(rle.frPyObjects(outlines, size[1], size[0]))
    return bytes(code["counts"]) if rle.area(code) else b""


def _encode_run_lengths(counts: Any, shape: Any, size: tuple[int, int]) -> bytes:
    """Nothing for a code that is none, of another size, or of an empty mask."""
    width, height = size
    if shape != [height, width]:
        return b""
    try:
        if isinstance(counts, list):
            is_complete = all(type(each) is int and each >= 0 for each in counts) and sum(counts) == width * height
            return (
                _counts_unless_empty(rle.frPyObjects({"size": shape, "counts": counts}, height, width))
                if is_complete
                else b""
            )
        if isinstance(counts, str):
            code = {"size": shape, "counts": counts.encode("ascii")}
            decode_rle(code["counts"], size)  # whether it is a code, of as many pixels
            return _counts_unless_empty(code)
    except (ValueError, RuntimeError):  # what the library and the letters raise
        pass
    return b""


def _counts_unless_empty(code: Any) -> bytes:
    return bytes(code["counts"]) if rle.area(code) else b""
