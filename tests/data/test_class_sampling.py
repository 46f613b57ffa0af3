"""How often the classes of an unequal dataset are shown, and what their images weigh."""

import numpy as np
import pytest

from keras_resnet.config.data import AugmentSpec
from keras_resnet.data.class_sampling import count_shown, create_sampler, weigh_classes
from keras_resnet.data.dataset import Split
from keras_resnet.data.pipeline import TrainPipeline

SIZES = np.array([1, 8, 50, 141])
# Not in the order of the classes, as a source may have them.
LABELS = np.random.default_rng(1).permutation(np.repeat(np.arange(4), SIZES))


def test_every_epoch_shows_as_many_images_as_there_are():
    assert count_shown(SIZES, "natural").tolist() == SIZES.tolist()
    assert count_shown(SIZES, "balanced").tolist() == [50, 50, 50, 50]
    roots = np.sqrt(SIZES)
    np.testing.assert_allclose(count_shown(SIZES, "sqrt"), 200 * roots / roots.sum(), atol=1)
    for sizes in ([1, 1000], [3, 3, 3], [1, 1], [7, 100000, 2]):
        assert count_shown(np.array(sizes), "sqrt").sum() == sum(sizes)
        assert count_shown(np.array(sizes), "balanced").min() >= 1


def rows_of(epoch, sampling="balanced", seed=3):
    import tensorflow as tf

    places = tf.range(len(LABELS), dtype=tf.int64)
    return create_sampler(LABELS, sampling).choose(places, tf.constant(epoch, tf.int64), seed).numpy()


def test_an_epoch_shows_each_class_as_often_and_each_of_its_images_before_one_comes_again():
    epochs = [rows_of(epoch) for epoch in range(3)]
    for rows in epochs:
        assert np.bincount(LABELS[rows]).tolist() == [50, 50, 50, 50]
    # 150 times one of 141 images: all of them, and 9 twice; of 8 images 18 or 19 times each.
    seen = np.bincount(np.concatenate(epochs), minlength=200)
    for label, (least, most) in enumerate([(150, 150), (18, 19), (3, 3), (1, 2)]):
        of_class = seen[np.equal(LABELS, label)]
        assert (of_class.min(), of_class.max()) == (least, most)
    assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(epochs[1], rows_of(1)) and not np.array_equal(epochs[1], rows_of(1, seed=4))


def test_natural_sampling_is_left_as_it_is():
    assert create_sampler(LABELS, "natural") is None


def pipeline(first, ranks=1, rank=0):
    import tensorflow as tf

    pixels = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None, None], (200, 8, 8, 3))
    split = Split("train", LABELS, pixels=np.ascontiguousarray(pixels), resize=8)
    sampler = create_sampler(LABELS, "balanced")
    made = TrainPipeline(
        split, 8, 40, 0, lambda labels: tf.one_hot(labels, 4), AugmentSpec(flip=False), rank, ranks, sampler=sampler
    )
    return [targets.numpy().argmax(-1) for _, targets in made.batches(first, 10)]


def test_batches_are_balanced_and_the_same_after_a_resumption_and_over_workers():
    whole = pipeline(0)
    counts = np.bincount(np.concatenate(whole[:5]), minlength=4)
    assert counts.tolist() == [50, 50, 50, 50]
    assert all(np.array_equal(a, b) for a, b in zip(whole[7:], pipeline(7), strict=True))
    halves = zip(pipeline(0, 2, 0), pipeline(0, 2, 1), strict=True)
    assert all(np.array_equal(a, np.concatenate(b)) for a, b in zip(whole, halves, strict=True))


def test_weights_are_those_of_scikit_learn_and_of_the_paper():
    from sklearn.utils.class_weight import compute_class_weight

    expected = compute_class_weight("balanced", classes=np.arange(4), y=LABELS)
    np.testing.assert_allclose(weigh_classes(SIZES, SIZES, "balanced"), expected)
    beta = 199 / 200
    ratio = (1 - beta) / (1 - beta**SIZES)
    weights = weigh_classes(SIZES, SIZES, "effective")
    np.testing.assert_allclose(weights / weights[0], ratio / ratio[0])
    assert (weights * SIZES).sum() == pytest.approx(200)


def test_weights_of_images_that_are_sampled_do_what_is_left_to_do():
    np.testing.assert_allclose(weigh_classes(SIZES, count_shown(SIZES, "balanced"), "balanced"), 1)
