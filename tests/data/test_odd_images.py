"""Images of no class, made of validation images."""

import numpy as np

from keras_resnet.data.odd_images import KINDS, generate_odd_images

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 18, 11, 3), dtype=np.uint8)


def test_there_is_one_of_each_kind_for_each_image():
    made = dict(generate_odd_images(IMAGES, 0))
    assert list(made) == list(KINDS)
    for name, images in made.items():
        assert images.shape == IMAGES.shape and images.dtype == np.uint8, name
        assert len(np.unique(images.reshape(6, -1), axis=0)) == 6, name
    assert (made["inverted"].astype(int) + IMAGES == 255).all()
    assert (made["single colors"] == made["single colors"][:, :1, :1]).all()
    steps = np.abs(np.diff(made["gradients"].astype(int), axis=1))
    assert steps.max() <= 255 / 17 + 1 and np.ptp(made["gradients"], axis=(1, 2)).max() > 50


def test_shuffled_patches_are_those_of_the_image():
    shuffled = dict(generate_odd_images(IMAGES, 0))["shuffled patches"]
    assert (shuffled != IMAGES).mean() > 0.5
    # Four patches of 4 × 2 pixels in a row and in a column; the edges stay.
    assert (shuffled[:, 16:] == IMAGES[:, 16:]).all() and (shuffled[:, :, 8:] == IMAGES[:, :, 8:]).all()
    cut = [each[:, :16, :8].reshape(6, 4, 4, 4, 2, 3).swapaxes(2, 3).reshape(6, 16, -1) for each in (shuffled, IMAGES)]
    for ours, theirs in zip(*cut, strict=True):
        assert sorted(map(tuple, ours)) == sorted(map(tuple, theirs))


def test_the_seed_decides():
    first, again, other = (dict(generate_odd_images(IMAGES, seed)) for seed in (0, 0, 1))
    for name in KINDS:
        assert (first[name] == again[name]).all()
        assert name == "inverted" or (first[name] != other[name]).any()
