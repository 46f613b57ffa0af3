"""Draw a heat map over its image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from keras_resnet.runtime.visualize import draw_predictions

# Of Matplotlib: its lightness rises evenly from dark to light, also in the eyes of the color-blind (Smith and van der
# Walt 2015).
COLOR_MAP = "inferno"
# How much of the overlay is the heat map where that is 0 and where it is 1; in between it grows evenly.
OPACITY = (0.15, 0.75)
# How bright what the network does not see is left.
UNSEEN_BRIGHTNESS = 0.3
# Pixels between two images that stand side by side, and what is there.
GAP, GAP_COLOR = 4, (255, 255, 255)
# Smaller images are enlarged for the eye, to this many pixels of the longer side.
MIN_SIDE = 256


def draw_overlay(
    image: Image.Image,
    values: np.ndarray,
    seen: np.ndarray,
    label: str = "",
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Return a copy of `image` with a map over it: float32 (height, width) of 0–1 in its pixels, and bool (height,
    width), which of the image the network sees. An object's `box` is drawn too, with its `label`."""
    from matplotlib import colormaps

    colors = 255 * colormaps[COLOR_MAP](values)[..., :3]
    low, high = OPACITY
    opacity = (low + (high - low) * values)[..., None]
    # In gray, so that all color is the map's.
    pixels = np.asarray(image.convert("L").convert("RGB"), np.float32)
    mixed = np.where(seen[..., None], (1 - opacity) * pixels + opacity * colors, UNSEEN_BRIGHTNESS * pixels)
    drawn = Image.fromarray(mixed.round().astype(np.uint8))
    return draw_predictions(drawn, [{"label": label, "box": box}]) if box is not None else drawn


def put_side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Return two images of one size beside each other, small ones enlarged."""
    scale = max(1, -(-MIN_SIDE // max(left.size)))
    width, height = (scale * side for side in left.size)
    sheet = Image.new("RGB", (2 * width + GAP, height), GAP_COLOR)
    for place, each in ((0, left), (width + GAP, right)):
        sheet.paste(each.convert("RGB").resize((width, height), Image.Resampling.NEAREST), (place, 0))
    return sheet
