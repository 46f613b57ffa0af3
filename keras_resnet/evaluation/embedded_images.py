"""Encode images for a report, which holds them itself: as small as their number asks for."""

from __future__ import annotations

import base64
import io

from PIL import Image

# Qualities of WebP, tried one after another. A smaller image is kept without loss.
QUALITIES = (85, 60, 35, 10)


def encode_webp(image: Image.Image, most: int) -> str:
    """Encode an image as base64 of a WebP file of about `most` bytes: without loss where that is small, else as good as
    is."""
    # WebP's default method, 4, takes ten times as long as 0 to save a seventh of the bytes of a lossless image.
    content = _compress(image, lossless=True, method=0)
    for quality in QUALITIES:
        if len(content) <= most:
            break
        content = _compress(image, quality=quality)
    return base64.b64encode(content).decode()


def _compress(image: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="WebP", **options)
    return buffer.getvalue()
