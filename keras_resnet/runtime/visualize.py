"""Draw predictions into images. Needs NumPy and Pillow only."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Line and letters, as fractions of the image's longer side, and their fewest pixels.
LINE_WIDTH, FONT_SIZE = (0.006, 2), (0.03, 11)
MASK_OPACITY = 0.45
# An image that is enlarged this much shows its pixels.
NEAREST_FROM_SCALE = 4
TEXT_COLOR = (255, 255, 255)


def draw_predictions(
    image: Image.Image, found: Sequence[dict[str, Any]], side: int | None = None, letters: int | None = None
) -> Image.Image:
    """Return a copy of `image` with the predictions `found` in it (see `predictions.decode_predictions`): objects with
    their masks, boxes and labels, the most confident in front; or the most likely label of the image. side: what its
    longer side becomes, so that the letters fit that; None for what it is. letters: their size in pixels; None for one
    that fits."""
    shown = [each for each in found if "box" in each] or found[:1]
    canvas = image.convert("RGB")
    for each in reversed(shown):
        if "mask" in each:
            canvas = _blend_mask(canvas, rle_decode(each["mask"]), label_color(each["label"]))
    factor = side / max(image.size) if side else 1.0
    if side:
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        canvas = canvas.resize(
            size, Image.Resampling.NEAREST if factor >= NEAREST_FROM_SCALE else Image.Resampling.LANCZOS
        )
    for each in reversed(shown):
        _draw_label(canvas, each, factor, letters)
    return canvas


def label_color(label: str) -> tuple[int, int, int]:
    """Return the color of a label, always the same, dark enough for white letters."""
    hue = sum(ord(letter) * 7**place for place, letter in enumerate(label)) % 97 / 97
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def rle_decode(mask: dict[str, Any]) -> np.ndarray:
    """Decode COCO's uncompressed run-length code, {"size": [height, width], "counts": [int, …]} → bool (height,
    width)."""
    values = np.arange(len(mask["counts"])) % 2 == 1
    return np.repeat(values, mask["counts"]).reshape(mask["size"], order="F")


def _blend_mask(image: Image.Image, mask: np.ndarray, color: tuple[int, int, int]) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    seen = np.where(mask[..., None], (1 - MASK_OPACITY) * pixels + MASK_OPACITY * np.array(color, np.float32), pixels)
    return Image.fromarray(seen.round().astype(np.uint8))


def _draw_label(canvas: Image.Image, each: dict[str, Any], factor: float, letters: int | None) -> None:
    """Draw a box and its label; factor: pixels of the canvas for one of the image."""
    brush, color = ImageDraw.Draw(canvas), label_color(each["label"])
    line, fitting = (max(least, round(share * max(canvas.size))) for share, least in (LINE_WIDTH, FONT_SIZE))
    left, top = 0.0, 0.0
    if "box" in each:
        left, top, right, bottom = (factor * edge for edge in each["box"])
        brush.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color, width=line)
    # The ground truth has no probability.
    words = f"{each['label']} {each['probability']:.0%}" if "probability" in each else each["label"]
    font = ImageFont.load_default(letters or fitting)
    _, _, width, height = brush.textbbox((0, 0), words, font=font)
    # Above the box where there is room, and never beyond the edges.
    x, y = min(left, max(0.0, canvas.width - width - line)), top - height - line
    y = y if y >= 0 else top
    brush.rectangle((x, y, x + width + line, y + height + line), fill=color)
    brush.text((x + line / 2, y + line / 2), words, fill=TEXT_COLOR, font=font)
