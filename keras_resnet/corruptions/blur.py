"""Blur: defocus, frosted glass, motion and zoom, of ImageNet-C (Hendrycks & Dietterich 2019, section 3.1)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from keras_resnet.corruptions.base import Corruption

GROUP = "blur"
# Half the side of the kernel of a small disk.
SMALL_DISK = 8


def defocus(image: np.ndarray, constants: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Blur by a disk of the radius `constants[0]` in pixels, whose edge is smoothed by a Gaussian of `constants[1]`."""
    from scipy.signal import fftconvolve

    kernel = make_disk(*constants)
    half = len(kernel) // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), mode="reflect")
    return np.asarray(fftconvolve(padded, kernel[:, :, None], mode="valid", axes=(0, 1)))


def make_disk(radius: float, alias_blur: float) -> np.ndarray:
    """Return a disk as a kernel (n, n) whose sum is 1."""
    from scipy.ndimage import correlate1d

    half = SMALL_DISK if radius <= SMALL_DISK else math.ceil(radius)
    steps = np.arange(-half, half + 1)
    disk = (steps[:, None] ** 2 + steps[None] ** 2 <= radius**2).astype(float)
    reach = np.arange(-1, 2) if radius <= SMALL_DISK else np.arange(-2, 3)
    edge = np.exp(-(reach**2) / (2 * alias_blur**2))
    for axis in (0, 1):
        disk = correlate1d(disk, edge, axis=axis, mode="mirror")
    return np.asarray(disk / disk.sum())


def blur_through_glass(image: np.ndarray, constants: tuple[float, int, int], rng: np.random.Generator) -> np.ndarray:
    """Blur by a Gaussian of `constants[0]` pixels, let each pixel take the color of a neighbor up to `constants[1]`
    pixels away, `constants[2]` times one after another, and blur again.

    The authors write a swap of two pixels, which by their views of a NumPy array is this.
    """
    from scipy.ndimage import gaussian_filter

    deviation, reach, rounds = constants
    height, width, channels = image.shape
    blurred = np.floor(255 * gaussian_filter(image, (deviation, deviation, 0), mode="nearest")) / 255
    # The place that each pixel's color comes from; from the bottom right, a row after another.
    source = np.arange(height * width).tolist()
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    places = np.add.outer(rows * width, columns).ravel()
    for _ in range(rounds):
        moves = rng.integers(-reach, reach, size=(len(places), 2))
        neighbors = places + moves @ [width, 1]
        for place, neighbor in zip(places.tolist(), neighbors.tolist(), strict=True):
            source[place] = source[neighbor]
    mixed = blurred.reshape(-1, channels)[source].reshape(image.shape)
    return np.asarray(gaussian_filter(mixed, (deviation, deviation, 0), mode="nearest"))


def blur_by_motion(image: np.ndarray, constants: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Blur along a line, at up to 45° to the horizontal: see `smear`."""
    return smear(image, *constants, angle=rng.uniform(-45, 45))


def smear(image: np.ndarray, radius: float, deviation: float, angle: float) -> np.ndarray:
    """Blur along a line at `angle` degrees, as ImageMagick's motion blur does: by half a Gaussian of `deviation` pixels
    that is cut off at twice the `radius`. Unlike there what is seen stays where it was on average."""
    steps = np.arange(2 * math.ceil(radius) + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2))
    weights /= weights.sum()
    along = np.array([math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    offsets = np.rint((steps[:, None] - (weights * steps).sum()) * along).astype(int)
    height, width = image.shape[:2]
    margin = int(np.abs(offsets).max())
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    blurred = np.zeros_like(image)
    for weight, (down, right) in zip(weights, offsets + margin, strict=True):
        blurred += weight * padded[down : down + height, right : right + width]
    return blurred


def blur_by_zoom(image: np.ndarray, constants: tuple[int, float], rng: np.random.Generator) -> np.ndarray:
    """Average an image with itself, enlarged about its center `constants[0]` times, from 1 on in steps of
    `constants[1]`."""
    count, step = constants
    enlarged = [enlarge(image, 1 + step * number) for number in range(count)]
    return np.asarray(np.mean([image, *enlarged], axis=0))


def enlarge(image: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge an image about its center, bilinearly, and cut it to its size."""
    height, width = image.shape[:2]
    left, top = width * (1 - 1 / factor) / 2, height * (1 - 1 / factor) / 2
    box = (left, top, width - left, height - top)
    return resize(image, (width, height), Image.Resampling.BILINEAR, box)


def resize(
    image: np.ndarray,
    size: tuple[int, int],
    method: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Resize an image, or a `box` of it (left, top, right, bottom), to (width, height), as Pillow does: each channel
    for itself, in float32."""
    channels = [Image.fromarray(image[:, :, place].astype(np.float32)) for place in range(image.shape[2])]
    return np.stack([np.asarray(each.resize(size, method, box)) for each in channels], axis=-1).astype(float)


# How many enlargements and how far apart: the authors' np.arange(1, 1.06, 0.01) gives seven, np.arange(1, 1.16, 0.01)
# sixteen.
SMALL_ZOOMS = ((7, 0.01), (12, 0.01), (16, 0.01), (21, 0.01), (26, 0.01))
LARGE_ZOOMS = ((12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03))
SMALL_DISKS = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
LARGE_DISKS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
SMALL_GLASS = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))
LARGE_GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
SMALL_MOTION = ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))
LARGE_MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))
CORRUPTIONS = (
    Corruption("defocus_blur", GROUP, defocus, SMALL_DISKS, LARGE_DISKS),
    Corruption("glass_blur", GROUP, blur_through_glass, SMALL_GLASS, LARGE_GLASS),
    Corruption("motion_blur", GROUP, blur_by_motion, SMALL_MOTION, LARGE_MOTION),
    Corruption("zoom_blur", GROUP, blur_by_zoom, SMALL_ZOOMS, LARGE_ZOOMS),
)
