"""Pipelines: the order and cuts of training images, and balanced samples."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data import pipeline
from keras_resnet.data.sources import Split
from keras_resnet.errors import UsageError


def numbered(count, size):
    """A split whose every image is told from all others by its first pixel."""
    pixels = np.zeros((count, size, size, 3), np.uint8)
    pixels[..., 0] = np.arange(count)[:, None, None]
    return Split("train", np.arange(count), pixels=pixels)


def whole(split, **options):
    settings = {"image_size": 12, "flips": True, "batch_size": 8, "seed": 5, "first_epoch": 0, "epochs": 3}
    batches = pipeline.training(split, **(settings | options), encode=lambda labels: labels)
    return [(np.asarray(images), np.asarray(labels)) for images, labels in batches]


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    batches = whole(numbered(40, 12))
    assert len(batches) == 15
    orders = [np.concatenate([labels for _, labels in batches[e * 5 : e * 5 + 5]]) for e in range(3)]
    for order in orders:
        assert sorted(order) == list(range(40))
    assert not (orders[0] == orders[1]).all() and not (orders[1] == orders[2]).all()


@pytest.mark.parametrize("streamed", [False, True])
def test_starting_at_an_epoch_gives_the_batches_of_an_uninterrupted_run(streamed):
    split = numbered(42, 12)
    if streamed:
        arrays = (split.pixels, split.labels)
        split = Split("train", split.labels, stream=lambda: tf.data.Dataset.from_tensor_slices(arrays))
    tf.random.set_seed(3)  # as training does
    full, late = whole(split), whole(split, first_epoch=2)
    assert len(late) == 5 and whole(split, first_epoch=3) == []
    for epoch in range(3):
        assert len({label for _, labels in full[epoch * 5 : epoch * 5 + 5] for label in labels.tolist()}) == 40
    for (images, labels), (images2, labels2) in zip(full[10:], late, strict=True):
        np.testing.assert_array_equal(images, images2)
        np.testing.assert_array_equal(labels, labels2)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("stored", [12, 14])
def test_cuts_are_parts_of_the_image(flips, stored):
    image = np.random.default_rng(0).integers(1, 256, (stored, stored, 3)).astype(np.uint8)
    split = Split("train", np.zeros(64, np.int64), pixels=np.stack([image] * 64))
    room = np.pad(image, ((1, 1), (1, 1), (0, 0))) if stored == 12 else image
    cuts = {room[y : y + 12, x : x + 12].tobytes() for y in range(3) for x in range(3)}
    mirrored = {np.frombuffer(cut, np.uint8).reshape(12, 12, 3)[:, ::-1].tobytes() for cut in cuts}
    seen = {image.tobytes() for images, _ in whole(split, flips=flips) for image in images}
    assert seen <= (cuts | mirrored if flips else cuts)
    assert len(seen & cuts) == 9
    assert bool(seen & mirrored) == flips


def test_a_batch_larger_than_the_data():
    with pytest.raises(UsageError, match=r"at most the 4 training images\. Received: 8"):
        pipeline.steps_per_epoch(numbered(4, 12), 8)


def test_balanced_sample():
    labels = np.array([0] * 90 + [1] * 8 + [2] * 2)
    split = Split("train", labels, pixels=np.repeat(labels.astype(np.uint8), 12 * 12 * 3).reshape(-1, 12, 12, 3))
    sample = pipeline.balanced_sample(split, image_size=8, per_class=5, classes=3, seed=0)
    assert sample.shape == (12, 8, 8, 3) and Counter(sample[:, 0, 0, 0].tolist()) == {0: 5, 1: 5, 2: 2}
    again = pipeline.balanced_sample(split, image_size=8, per_class=5, classes=3, seed=0)
    np.testing.assert_array_equal(sample, again)
