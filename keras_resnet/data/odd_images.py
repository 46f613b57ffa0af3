"""Make images that are of no class: what a network may meet where nobody thought of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

# Of how many validation images, at most, there is one of each kind.
MAX_IMAGES = 200
# Of shuffled images, the patches in a row and in a column.
GRID = 4


def generate_odd_images(images: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield kinds of odd images by name, as many of each as there are `images`, uint8 (N, H, W, C), and in their shape:
    noise, single colors, gradients, and the `images` inverted and in shuffled patches."""
    for number, (name, make) in enumerate(KINDS.items()):
        yield name, make(images, np.random.default_rng((seed, number)))


def _make_noise(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, 256, images.shape, np.uint8)


def _make_single_colors(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    colors = generator.integers(0, 256, (len(images), 1, 1, images.shape[-1]), np.uint8)
    return np.broadcast_to(colors, images.shape).copy()


def _make_gradients(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """From one color to another, along a direction of its own in each image."""
    _, height, width, channels = images.shape
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    made = np.empty_like(images)
    for target in made:  # one by one: in floats, all of them would take eight times the memory
        (first, last), angle = generator.uniform(0, 255, (2, channels)), generator.uniform(0, 2 * np.pi)
        along = (x * np.cos(angle) + y * np.sin(angle)) / (np.abs(np.cos(angle)) + np.abs(np.sin(angle)))
        target[:] = np.rint(first + (last - first) * (along[..., None] + 1) / 2)
    return made


def _invert(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return np.asarray(255 - images)


def _shuffle_patches(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Cut each image into a grid of patches, and put them in another order; what is left at the edges stays."""
    height, width = (side // GRID for side in images.shape[1:3])
    shuffled = images.copy()
    for source, target in zip(images, shuffled, strict=True):
        for place, origin in enumerate(generator.permutation(GRID * GRID)):
            (to_y, to_x), (y, x) = divmod(place, GRID), divmod(int(origin), GRID)
            patch = source[y * height : (y + 1) * height, x * width : (x + 1) * width]
            target[to_y * height : (to_y + 1) * height, to_x * width : (to_x + 1) * width] = patch
    return shuffled


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "noise": _make_noise,
    "single colors": _make_single_colors,
    "gradients": _make_gradients,
    "inverted": _invert,
    "shuffled patches": _shuffle_patches,
}
