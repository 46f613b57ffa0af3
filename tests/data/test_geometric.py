"""Images, boxes and masks stay together, whatever is done to them."""

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data import pipeline
from keras_resnet.data.annotations import Annotation, encode_rle, pad_annotations
from keras_resnet.data.dataset import Split
from keras_resnet.data.transforms import geometric
from keras_resnet.data.transforms.color_jitter import color_jitter

SIDE = 48


def painted(count, seed=0):
    """Black images with one white ellipse each, which is an object with box and mask."""
    rng = np.random.default_rng(seed)
    pixels, found = np.zeros((count, SIDE, SIDE, 3), np.uint8), []
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    for image in pixels:
        middle, half = rng.uniform(0.25, 0.75, 2) * SIDE, rng.uniform(0.1, 0.25, 2) * SIDE
        mask = ((columns - middle[0]) / half[0]) ** 2 + ((rows - middle[1]) / half[1]) ** 2 <= 1
        image[mask] = 255
        ys, xs = np.nonzero(mask)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        found.append(Annotation.from_boxes((SIDE, SIDE), [box], [0], masks=[encode_rle(mask)]))
    return Split("train", np.zeros(count, np.int64), pixels, objects=pad_annotations(found, masks=True))


@pytest.mark.parametrize("scales", [(), (0.5, 2.0)])
@pytest.mark.parametrize("size", [48, 32])
def test_masks_and_boxes_are_those_of_what_is_seen(scales, size):
    """Scaled, cut, moved, mirrored, filled: the mask is the white pixels, the box is around them."""
    augment = AugmentSpec(flip=True, scales=scales)
    stream = pipeline.TrainPipeline(painted(32), size, 16, 3, lambda truth: truth, augment)
    seen = 0
    for images, truth in stream.batches(0, 10):
        assert images.shape == (16, size, size, 3) and truth["ids"].shape == (16, size, size)
        first = (truth[name].numpy()[:, 0] for name in ("boxes", "labels"))
        for image, ids, box, label in zip(images.numpy(), truth["ids"].numpy(), *first, strict=True):
            white = image[..., 0] >= 128
            # On the edge between two pixels the nearest one and the mean of both may differ.
            differ = (white != (ids == 1)).sum()
            assert differ <= 0.12 * max(white.sum(), 60) + 4
            assert np.array_equal(image[..., 0], image[..., 2])
            ys, xs = np.nonzero(white)
            if label < 0 or not len(ys):
                continue
            seen += 1
            edges = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / size
            np.testing.assert_allclose(box, edges, atol=2.01 / size)
    assert seen > 100


def test_an_unscaled_window_moves_whole_pixels():
    """So that training sees images as sharp as evaluation does."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 16, 16, 3), np.uint8)
    window = tf.constant([[0.125, -0.25, 1.125, 0.75]])
    found = geometric.crop_images(image, window, 16).numpy()
    np.testing.assert_array_equal(found[0, :14, 4:], image[0, 2:, :12])
    assert not found[0, 14:].any() and not found[0, :, :4].any()
    turned = geometric.crop_images(image, tf.constant([[0.0, 1.0, 1.0, 0.0]]), 16).numpy()
    np.testing.assert_array_equal(turned, image[:, :, ::-1])
    ids = geometric.crop_id_maps(image[..., 0], tf.constant([[0.0, 1.0, 1.0, 0.0]]), 16)
    np.testing.assert_array_equal(ids, image[:, :, ::-1, 0])


def test_drawn_windows_reach_as_far_as_asked():
    drawn = geometric.draw_windows(tf.constant([1, 2], tf.int64), 4000, 64, (0.5, 2.0), mirrors=True).numpy()
    sides = drawn[:, 2] - drawn[:, 0]
    assert 0.5 <= sides.min() < 0.52 and 1.9 < sides.max() <= 2.0
    assert 0.45 < (drawn[:, 1] > drawn[:, 3]).mean() < 0.55
    np.testing.assert_allclose(np.abs(drawn[:, 3] - drawn[:, 1]), sides, rtol=1e-4)
    plain = geometric.draw_windows(tf.constant([1, 2], tf.int64), 4000, 64, (), mirrors=False).numpy()
    np.testing.assert_allclose(plain[:, 2] - plain[:, 0], 1, atol=1e-6)
    np.testing.assert_allclose(plain * 64, np.round(plain * 64), atol=1e-4)
    assert np.abs(plain[:, 0]).max() == pytest.approx(0.125)


def test_objects_that_are_cut_away_are_none():
    truth = {"boxes": tf.constant([[[0.0, 0.0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]]), "labels": tf.constant([[3, 4]])}
    seen = geometric.crop_objects(truth, tf.constant([[0.45, 0.45, 0.95, 0.95]]))
    assert seen["labels"].numpy().tolist() == [[-1, 4]]
    np.testing.assert_allclose(seen["boxes"][0, 1], [0.1, 0.1, 0.9, 0.9], atol=1e-6)


def test_colours_change_by_their_share():
    images = np.full((64, 8, 8, 3), (100, 120, 140), np.uint8)
    key = tf.constant([0, 1], tf.int64)
    same = color_jitter(images, key, 64, slice(0, 64), 1e-6)
    np.testing.assert_array_equal(same, images)
    found = color_jitter(images, key, 64, slice(0, 64), 0.4).numpy().astype(float)
    means = found.mean(axis=(1, 2, 3))
    assert 0.6 * 120 - 3 <= means.min() < 0.8 * 120 and 1.2 * 120 < means.max() <= 1.4 * 120 + 3
    part = color_jitter(images[16:32], key, 64, slice(16, 32), 0.4)
    np.testing.assert_array_equal(part, found[16:32])


def test_each_worker_makes_its_part():
    """Windows and colours are drawn for the whole batch, whoever makes which images of it."""
    augment = AugmentSpec(flip=True, scales=(0.5, 2.0), color_jitter=0.3)
    whole, *parts = (
        pipeline.TrainPipeline(painted(16), SIDE, 8, 3, lambda truth: truth, augment, rank, ranks)
        for rank, ranks in ((0, 1), (0, 2), (1, 2))
    )
    for (images, truth), *both in zip(whole.batches(2, 5), *(part.batches(2, 5) for part in parts), strict=True):
        np.testing.assert_array_equal(images, np.concatenate([mine for mine, _ in both]))
        for name in ("boxes", "labels", "ids"):
            np.testing.assert_array_equal(truth[name], np.concatenate([theirs[name] for _, theirs in both]))
