"""One decoder for every image: training, evaluation and devices see the same pixels. Imports no TensorFlow."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from keras_resnet.answers import WHOLE
from keras_resnet.errors import DataError

ALPHA_MODES = {"LA", "La", "PA", "RGBA", "RGBa"}


def read_image(source: bytes | str | Path) -> Image.Image:
    """The first frame of an image, upright (EXIF), as RGB.

    16-bit images are scaled by 1/257, floating-point ones are taken as 0–1 if they fit there, and
    transparent ones are laid over white. Raises DataError if it cannot be read.
    """
    name = "the image" if isinstance(source, bytes) else str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                return _to_rgb(ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise DataError(f"cannot read image {name}: no such file") from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds, struct.error and SyntaxError among them
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        known = "not an image" if "cannot identify" in told else told
        raise DataError(f"cannot read image {name}: {known}") from error


def to_pixels(image: Image.Image, resize: int) -> np.ndarray:
    """The image's shorter side resized to `resize`, its centre cut out: (resize, resize, 3) uint8."""
    return np.asarray(ImageOps.fit(image, (resize, resize), Image.Resampling.BICUBIC))


def to_canvas(image: Image.Image, side: int) -> np.ndarray:
    """The whole image, its longer side resized to `side`, at the top left of a black square: (side, side, 3) uint8."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new("RGB", (side, side))
    canvas.paste(image.resize(size, Image.Resampling.BICUBIC))
    return np.asarray(canvas)


def center_crop(pixels: np.ndarray, size: int) -> np.ndarray:
    """The central (…, size, size, 3) of (…, H, W, 3)."""
    top, left = (pixels.shape[-3] - size) // 2, (pixels.shape[-2] - size) // 2
    return pixels[..., top : top + size, left : left + size, :]


def placed(image: Image.Image, task: str, resize: int, image_size: int) -> np.ndarray:
    """The evaluation transform of one image for `task`: (image_size, image_size, 3) uint8."""
    if task in WHOLE:
        return to_canvas(image, image_size)
    return center_crop(to_pixels(image, resize), image_size)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_deep_to_grey(np.asarray(image))).convert("RGB")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image.convert("RGB")


def _deep_to_grey(values: np.ndarray) -> np.ndarray:
    """16-bit, 32-bit or floating-point grey (H, W) → uint8."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        scaled = values * 255 if values.max(initial=0) <= 1 else values
    else:
        scaled = values / 257 if values.dtype.itemsize == 2 or values.max(initial=0) > 255 else values
    return np.asarray(np.clip(np.round(scaled), 0, 255), dtype=np.uint8)
