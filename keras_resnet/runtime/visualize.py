"""Draw predictions into images. Needs NumPy and Pillow only."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Line and letters, as fractions of the image's longer side, and their fewest pixels.
LINE_WIDTH, FONT_SIZE = (0.006, 2), (0.04, 14)
MASK_OPACITY = 0.45
# An image that is enlarged this much shows its pixels.
NEAREST_FROM_SCALE = 4
# Of a color, above which black letters are easier to read on it than white ones (WCAG 2's relative luminance).
BRIGHT = 0.179
# Left, top, right, bottom, in pixels.
Rectangle = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
    font = ImageFont.load_default(letters or _pixels(canvas, FONT_SIZE))
    labels = _place_labels(canvas, shown, factor, font)
    for each in reversed(shown):
        _draw_box(canvas, each, factor)
    for each, place in reversed([*zip(shown, labels, strict=True)]):
        if place:
            _draw_label(canvas, each, place, font)
    return canvas


def label_color(label: str) -> tuple[int, int, int]:
    """Return the color of a label, always the same."""
    hue = sum(ord(letter) * 7**place for place, letter in enumerate(label)) % 97 / 97
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def letter_color(color: tuple[int, int, int]) -> str:
    """Return black or white: what is easier to read on a `color`, as the demo's visualize.js does."""
    shares = (each / 255 for each in color)
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > BRIGHT else "white"


def rle_decode(mask: dict[str, Any]) -> np.ndarray:
    """Decode COCO's uncompressed run-length code, {"size": [height, width], "counts": [int, …]} → bool (height,
    width)."""
    values = np.arange(len(mask["counts"])) % 2 == 1
    return np.repeat(values, mask["counts"]).reshape(mask["size"], order="F")


def _blend_mask(image: Image.Image, mask: np.ndarray, color: tuple[int, int, int]) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    seen = np.where(mask[..., None], (1 - MASK_OPACITY) * pixels + MASK_OPACITY * np.array(color, np.float32), pixels)
    return Image.fromarray(seen.round().astype(np.uint8))


def _pixels(canvas: Image.Image, share_and_least: tuple[float, int]) -> int:
    share, least = share_and_least
    return max(least, round(share * max(canvas.size)))


def _name(each: dict[str, Any]) -> str:
    """Return what a label says; the ground truth has no probability."""
    return f"{each['label']} {each['probability']:.0%}" if "probability" in each else str(each["label"])


def _place_labels(
    canvas: Image.Image, shown: Sequence[dict[str, Any]], factor: float, font: Font
) -> list[Rectangle | None]:
    """Choose a place for each label, the first ones first, which covers no label that has a place; None where there is
    no room, as the demo's labels.js does."""
    brush, line = ImageDraw.Draw(canvas), _pixels(canvas, LINE_WIDTH)
    placed: list[Rectangle | None] = []
    for each in shown:
        box = [factor * edge for edge in each["box"]] if "box" in each else [0.0] * 4
        _, _, right, low = brush.textbbox((0, 0), _name(each), font=font)
        width, height = right + line, low + line
        within = [
            (max(0.0, min(x, canvas.width - width)), max(0.0, min(y, canvas.height - height)))
            for x, y in _list_places(box, width, height)
        ]
        places = [(x, y, x + width, y + height) for x, y in within if x + width <= canvas.width or "box" not in each]
        free = (place for place in places if not any(one and _overlap(place, one) for one in placed))
        placed.append(next(free, None))
    return placed


def _list_places(box: Sequence[float], width: float, height: float) -> Iterator[tuple[float, float]]:
    """Yield the corners that a label may have at a box: above it, in its top, below it, in its bottom, then within."""
    left, top, right, bottom = box
    within = np.arange(top + height, bottom - height, height) if height else ()
    for y in (top - height, top, bottom, bottom - height, *map(float, within)):
        for x in (left, right - width, (left + right - width) / 2):
            yield x, y


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_box(canvas: Image.Image, each: dict[str, Any], factor: float) -> None:
    """Draw the box of an object; factor: pixels of the canvas for one of the image."""
    if "box" in each:
        left, top, right, bottom = (factor * edge for edge in each["box"])
        edges = (left, top, max(left, right - 1), max(top, bottom - 1))
        ImageDraw.Draw(canvas).rectangle(edges, outline=label_color(each["label"]), width=_pixels(canvas, LINE_WIDTH))


def _draw_label(canvas: Image.Image, each: dict[str, Any], place: Rectangle, font: Font) -> None:
    brush, inset = ImageDraw.Draw(canvas), _pixels(canvas, LINE_WIDTH) / 2
    color = label_color(each["label"])
    brush.rectangle(place, fill=color)
    brush.text((place[0] + inset, place[1] + inset), _name(each), fill=letter_color(color), font=font)
