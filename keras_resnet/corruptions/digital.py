"""Digital corruptions of ImageNet-C (Hendrycks & Dietterich 2019, section 3.1): brightness, contrast, JPEG, …"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from keras_resnet.corruptions.base import Corruption
from keras_resnet.corruptions.blur import resize

GROUP = "digital"


def brighten(image: np.ndarray, added: float, rng: np.random.Generator) -> np.ndarray:
    """Add to the value of each color in HSV, which is its largest channel; hue and saturation stay."""
    value = image.max(axis=2, keepdims=True)
    brighter = np.minimum(value + added, 1)
    return np.asarray(np.where(value > 0, image * brighter / np.where(value > 0, value, 1), brighter))


def flatten_contrast(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Bring each channel toward its mean: only a `share` of the difference stays."""
    means = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray(means + share * (image - means))


def stretch_elastically(
    image: np.ndarray, constants: tuple[float, float, float], rng: np.random.Generator
) -> np.ndarray:
    """Move three points apart, and with them all pixels, then each pixel by a smooth field of chance.

    constants, in shares of the shorter side: how far the field moves pixels before it is smoothed, the Gaussian that
    smooths it, and how far the points move at most.
    """
    from scipy.ndimage import map_coordinates

    height, width = image.shape[:2]
    amplitude, smoothness, reach = (min(height, width) * each for each in constants)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij")).astype(float)
    fields = rng.uniform(-1, 1, size=grid.shape)
    moved = grid + amplitude * np.stack([_smooth(each, smoothness) for each in fields])
    center, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    points = center + arm * np.array([[1, 1], [1, -1], [-1, -1]])
    sources = _map_points(points + rng.uniform(-reach, reach, size=points.shape), points)
    rows, columns = np.tensordot(sources[:, :2], moved, axes=1) + sources[:, 2, None, None]
    channels = [
        map_coordinates(image[:, :, place], [rows, columns], order=1, mode="reflect") for place in range(image.shape[2])
    ]
    return np.stack(channels, axis=-1)


def _smooth(field: np.ndarray, deviation: float) -> np.ndarray:
    """Smooth a field (H, W), reflected at its borders, by a Gaussian, however wide: by the cosine transform."""
    from scipy.fft import dctn, idctn

    gains = [np.exp(-0.5 * (np.pi * np.arange(side) * deviation / side) ** 2) for side in field.shape]
    return np.asarray(idctn(dctn(field) * np.outer(*gains)))


def _map_points(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the affine map (2, 3) of three points `before`, (3, 2), to those `after`; where they are on a line, that
    which comes nearest."""
    return np.asarray(np.linalg.lstsq(np.column_stack([before, np.ones(3)]), after, rcond=None)[0]).T


def pixelate(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink an image to a `share` of its sides and enlarge it again, each by averaging."""
    height, width = image.shape[:2]
    small = resize(image, (max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.BOX)
    return resize(small, (width, height), Image.Resampling.BOX)


def compress(image: np.ndarray, quality: int, rng: np.random.Generator) -> np.ndarray:
    """Write an image as JPEG of a `quality`, 1 to 95, with half the resolution of colors (4:2:0), and read it again;
    images that are not of three channels each channel for itself."""
    pixels = np.rint(255 * image).astype(np.uint8)
    if pixels.shape[2] == 3:
        return _write_jpeg(pixels, quality) / 255.0
    channels = [_write_jpeg(pixels[:, :, place], quality) for place in range(pixels.shape[2])]
    return np.stack(channels, axis=-1) / 255.0


def _write_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(written))


SMALL_ELASTIC = ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
# The authors' constants are shares of 244, where the images have 224 pixels.
LARGE_ELASTIC = tuple(
    tuple(each * 244 / 224 for each in constants)
    for constants in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
)
CORRUPTIONS = (
    Corruption("brightness", GROUP, brighten, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    Corruption("contrast", GROUP, flatten_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    Corruption("elastic_transform", GROUP, stretch_elastically, SMALL_ELASTIC, LARGE_ELASTIC, moves_pixels=True),
    Corruption("pixelate", GROUP, pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    Corruption("jpeg_compression", GROUP, compress, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
)
