"""AugMix against the paper's algorithm 1 and its operations, in NumPy."""

import numpy as np
import pytest
from PIL import Image
from sources import whole

from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data.dataset import Split
from keras_resnet.data.transforms import augmix
from keras_resnet.data.transforms.registry import augment_image

SETTINGS = AugmentSpec(auto_augment="augmix")


def photo(height=32, width=24):
    """Smooth, of all brightnesses, with some noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 5 + k) + np.cos(columns / (3 + k)) for k in range(3)]
    return np.clip(90 + 40 * np.stack(waves, axis=-1) + rng.normal(0, 5, (height, width, 3)), 0, 255).astype(np.uint8)


class Drawn:
    """A generator of which it is known what it draws next."""

    def __init__(self, *values, dirichlet=(), beta=0.0):
        self.values, self.weights, self.share = list(values), np.array(dirichlet), beta

    def dirichlet(self, alpha):
        assert alpha == [1.0] * 3
        return self.weights

    def beta(self, a, b):
        assert (a, b) == (1.0, 1.0)
        return self.share

    def uniform(self, low, high):
        assert (low, high) == (0.1, 3.0)
        return self.values.pop(0)

    def random(self):
        return self.values.pop(0)

    def integers(self, low, high=None):
        return self.values.pop(0)


def moved(pixels, source):
    """Each pixel from where `source` says it was (row, column), between four; black where that is outside."""
    height, width, _ = pixels.shape
    rows, columns = source(*np.mgrid[:height, :width].astype(float))
    # Pillow takes the nearest pixels' values at the very edge, and nothing farther than half a pixel outside.
    there = (rows >= -0.5) & (rows < height - 0.5) & (columns >= -0.5) & (columns < width - 0.5)
    first_row, first_column = np.floor(rows).astype(int), np.floor(columns).astype(int)
    total = np.zeros(pixels.shape)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - abs(rows - first_row - down)) * (1 - abs(columns - first_column - right))
            row = np.clip(first_row + down, 0, height - 1)
            column = np.clip(first_column + right, 0, width - 1)
            total += weight[..., None] * pixels[row, column]
    return np.where(there[..., None], total, 0)


def stretched(pixels):
    """Each channel from its darkest value to its brightest."""
    low, high = pixels.min(axis=(0, 1)).astype(float), pixels.max(axis=(0, 1)).astype(float)
    return np.clip((pixels - low) * 255 / (high - low), 0, 255)


def equalized(pixels):
    """Each channel by its cumulated histogram, in steps as large as all values but the brightest take."""
    out = np.empty(pixels.shape)
    for channel in range(3):
        counts = np.bincount(pixels[..., channel].ravel(), minlength=256)
        step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
        table = (step // 2 + np.concatenate([[0], np.cumsum(counts)[:-1]])) // step
        out[..., channel] = np.minimum(table, 255)[pixels[..., channel]]
    return out


def rotated(degrees):
    angle = np.deg2rad(degrees)

    def source(rows, columns):
        y, x = rows - 15.5, columns - 11.5  # the middle of 32 × 24 pixels
        return np.cos(angle) * y + np.sin(angle) * x + 15.5, np.cos(angle) * x - np.sin(angle) * y + 11.5

    return source


# (operation, what it draws, what the paper's code makes of that).
LEVEL = 2.9
CASES = {
    "autocontrast": (0, (), stretched),
    "equalize": (1, (), equalized),
    "posterize": (2, (LEVEL,), lambda x: x & 0b11100000),  # 4 - int(4 · 0.29) = 3 bits
    "posterize less": (2, (0.2,), lambda x: x & 0b11110000),
    "rotate": (3, (LEVEL, 0.2), lambda x: moved(x, rotated(8))),
    "rotate back": (3, (LEVEL, 0.7), lambda x: moved(x, rotated(-8))),
    "solarize": (4, (LEVEL,), lambda x: np.where(x >= 256 - 74, 255 - x, x)),
    "shear x": (5, (LEVEL, 0.2), lambda x: moved(x, lambda r, c: (r, c + 0.087 * (r + 0.5)))),
    "shear y": (6, (LEVEL, 0.7), lambda x: moved(x, lambda r, c: (r - 0.087 * (c + 0.5), c))),
    "translate x": (7, (LEVEL, 0.2), lambda x: moved(x, lambda r, c: (r, c + 2))),  # int(24 / 3 · 0.29)
    "translate y": (8, (LEVEL, 0.7), lambda x: moved(x, lambda r, c: (r - 3, c))),  # int(32 / 3 · 0.29)
}


@pytest.mark.parametrize(("number", "draws", "expected"), CASES.values(), ids=CASES)
def test_operations_are_the_papers(number, draws, expected):
    pixels = photo()
    generator = Drawn(*draws)
    found = np.asarray(augmix.OPERATIONS[number](Image.fromarray(pixels), generator)).astype(float)
    wanted = expected(pixels).astype(float)
    assert not generator.values and np.abs(found - wanted).max() <= 1.01


def test_mixture_of_chains():
    """Algorithm 1 with all that it draws known: chains of one, two and three operations."""
    pixels = photo()
    draws = [1, 0, 2, 2, 0.2, 4, LEVEL, 3, 0, 1, 7, LEVEL, 0.2]
    generator = Drawn(*draws, dirichlet=[0.5, 0.3, 0.2], beta=0.6)
    found = augmix.AugMix()(Image.fromarray(pixels), generator, SETTINGS, 24)
    assert not generator.values
    bits = pixels & 0b11110000
    chains = [
        stretched(pixels),
        np.where(bits >= 256 - 74, 255 - bits, bits),
        moved(equalized(stretched(pixels).astype(np.uint8)).astype(np.uint8), lambda r, c: (r, c + 2)),
    ]
    mixture = sum(weight * chain for weight, chain in zip((0.5, 0.3, 0.2), chains, strict=True))
    wanted = 0.6 * mixture + 0.4 * pixels
    assert np.abs(np.asarray(found).astype(float) - wanted).mean() < 0.5
    np.testing.assert_allclose(np.asarray(found), wanted, atol=6)  # equalize enlarges a difference of rounding


def test_draws_are_the_papers_distributions(monkeypatch):
    """Depths of 1 to 3 alike often, operations too; the weight of the image is uniform, as Beta(1, 1) is."""
    counts, depths = np.zeros(9), []
    for number in range(9):

        def count(image, rng, number=number):
            counts[number] += 1
            depths[-1] += 1
            return Image.new("RGB", image.size, "white")

        monkeypatch.setattr(
            augmix, "OPERATIONS", (*augmix.OPERATIONS[:number], count, *augmix.OPERATIONS[number + 1 :])
        )
    black, shares = Image.new("RGB", (1, 1)), []
    for seed in range(900):
        depths.append(0)
        mixed = augmix.AugMix()(black, np.random.default_rng(seed), SETTINGS, 1)
        shares.append(np.asarray(mixed)[0, 0, 0] / 255)
    assert set(depths) == set(range(3, 10)) and np.mean(depths) == pytest.approx(6, abs=0.15)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 9, atol=0.015)
    np.testing.assert_allclose(np.quantile(shares, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.05)


def test_pixels_depend_on_seed_and_position_alone():
    image = Image.fromarray(photo(24, 24))
    options = {"settings": SETTINGS, "size": 24}
    first = [augment_image(image, position, seed=1, **options) for position in range(6)]
    again = [augment_image(image, position, seed=1, **options) for position in reversed(range(6))][::-1]
    np.testing.assert_array_equal(first, again)
    assert len({pixels.tobytes() for pixels in first}) == 6
    assert (augment_image(image, 0, seed=2, **options) != first[0]).any()


def test_a_resumed_training_sees_the_same_batches():
    split = Split("train", np.arange(24), pixels=np.stack([np.roll(photo(14, 14), shift, 0) for shift in range(24)]))
    full, late = whole(split, augment=SETTINGS), whole(split, first_step=5, augment=SETTINGS)
    for (images, labels), (images2, labels2) in zip(full[5:], late, strict=True):
        np.testing.assert_array_equal(images, images2)
        np.testing.assert_array_equal(labels, labels2)
