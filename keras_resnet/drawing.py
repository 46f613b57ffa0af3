"""What was found, drawn into the image. Needs Pillow only."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageDraw, ImageFont

COLOUR, INK = (255, 64, 32), (255, 255, 255)
# Line and letters, as shares of the image's longer side, and their fewest pixels.
LINE, LETTERS = (0.006, 2), (0.035, 12)


def drawn(image: Image.Image, found: list[dict[str, Any]]) -> Image.Image:
    """A copy of `image` with the likeliest answer of `found` (see `answers.decoded`), in its box if it has one."""
    canvas = image.convert("RGB")
    brush, best = ImageDraw.Draw(canvas), found[0]
    line, letters = (max(least, round(share * max(image.size))) for share, least in (LINE, LETTERS))
    left, top = 0.0, 0.0
    if "box" in best:
        left, top, right, bottom = best["box"]
        brush.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=COLOUR, width=line)
    words, font = f"{best['label']} {best['probability']:.0%}", ImageFont.load_default(letters)
    _, _, width, height = brush.textbbox((0, 0), words, font=font)
    # Above the box where there is room, and never beyond the edges.
    x, y = min(left, max(0.0, image.width - width - line)), top - height - line
    y = y if y >= 0 else top
    brush.rectangle((x, y, x + width + line, y + height + line), fill=COLOUR)
    brush.text((x + line / 2, y + line / 2), words, fill=INK, font=font)
    return canvas
