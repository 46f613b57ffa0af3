"""Pipelines: the order and cuts of training images, and balanced samples."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from samples import paint
from sources import whole

from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data import pipeline
from keras_resnet.data.load import Split
from keras_resnet.data.transforms import auto_augment, mixup
from keras_resnet.data.transforms.registry import augment_image
from keras_resnet.errors import UsageError

ROOT = Path(__file__).parents[2]


def numbered(count, size):
    """A split whose every image is told from all others by its first pixel."""
    pixels = np.zeros((count, size, size, 3), np.uint8)
    pixels[..., 0] = np.arange(count)[:, None, None] % 256
    return Split("train", np.arange(count), pixels=pixels)


class Kept:
    """The images of a split, read one by one."""

    def __init__(self, pixels):
        self.pixels = pixels

    def __getitem__(self, row):
        return Image.fromarray(self.pixels[row])

    def read_scaled(self, row, at_least):
        return self[row]


def read_when_needed(split):
    return Split(split.name, split.labels, images=Kept(split.pixels), resize=split.pixels.shape[1])


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    batches = whole(numbered(40, 12))
    assert len(batches) == 15
    orders = [np.concatenate([labels for _, labels in batches[e * 5 : e * 5 + 5]]) for e in range(3)]
    for order in orders:
        assert sorted(order) == list(range(40))
    assert not (orders[0] == orders[1]).all() and not (orders[1] == orders[2]).all()


@pytest.mark.parametrize("count", [40, 283])
@pytest.mark.parametrize("seed", [0, 12345])
def test_images_sorted_by_class_are_mixed_in_every_epoch(count, seed):
    """As folders are read: neighbors in an order are rarely neighbors in the folder, as in NumPy's permutations."""

    def largest_share_of_neighbors(orders):
        return max(np.mean(np.abs(np.diff(order)) <= count // 20) for order in orders)

    batches = whole(numbered(count, 12), batch_size=count, seed=seed, epochs=50)
    orders = [labels for _, labels in batches]
    assert all(sorted(order) == list(range(count)) for order in orders)
    random = np.random.default_rng(0)
    limit = largest_share_of_neighbors(random.permutation(count) for _ in range(2000))
    assert largest_share_of_neighbors(orders) <= limit


AUGMENTS = [
    AugmentSpec(flip=True),
    AugmentSpec(flip=True, crop="resized", auto_augment="randaugment", random_erase=0.5, mixup=0.2, cutmix=1.0),
    AugmentSpec(flip=True, auto_augment="trivialaugment", repeats=2, cutmix=1.0),
]


@pytest.mark.parametrize("augment", AUGMENTS, ids=["plain", "randaugment", "trivialaugment"])
@pytest.mark.parametrize("streamed", [False, True])
def test_starting_at_a_step_gives_the_batches_of_an_uninterrupted_run(streamed, augment):
    split = numbered(42, 12)
    if streamed:
        split = read_when_needed(split)
    tf.random.set_seed(3)  # as training does
    full, late = whole(split, augment=augment), whole(split, first_step=12, augment=augment)
    assert len(late) == 3 and whole(split, first_step=15) == []
    for epoch in range(3 if augment.repeats == 1 and not augment.cutmix else 0):
        assert len({label for _, labels in full[epoch * 5 : epoch * 5 + 5] for label in labels.tolist()}) == 40
    for (images, labels), (images2, labels2) in zip(full[12:], late, strict=True):
        np.testing.assert_array_equal(images, images2)
        np.testing.assert_array_equal(labels, labels2)


@pytest.mark.parametrize("flips", [None, False, True])
@pytest.mark.parametrize("stored", [12, 14])
def test_cuts_are_parts_of_the_image(flips, stored):
    image = np.random.default_rng(0).integers(1, 256, (stored, stored, 3)).astype(np.uint8)
    split = Split("train", np.zeros(64, np.int64), pixels=np.stack([image] * 64))
    room = np.pad(image, ((1, 1), (1, 1), (0, 0))) if stored == 12 else image
    cuts = {room[y : y + 12, x : x + 12].tobytes() for y in range(3) for x in range(3)}
    mirrored = {np.frombuffer(cut, np.uint8).reshape(12, 12, 3)[:, ::-1].tobytes() for cut in cuts}
    seen = {image.tobytes() for images, _ in whole(split, augment=AugmentSpec(flip=flips)) for image in images}
    assert seen <= (cuts | mirrored if flips else cuts)
    assert len(seen & cuts) == 9
    assert bool(seen & mirrored) == bool(flips)


def test_a_batch_larger_than_the_data():
    with pytest.raises(UsageError, match=r"at most the 4 training images\. Received: 8"):
        pipeline.steps_per_epoch(numbered(4, 12), 8)


def test_balanced_sample():
    labels = np.array([0] * 90 + [1] * 8 + [2] * 2)
    split = Split("train", labels, pixels=np.repeat(labels.astype(np.uint8), 12 * 12 * 3).reshape(-1, 12, 12, 3))
    sample = pipeline.sample_balanced_images(split, image_size=8, per_class=5, classes=3, seed=0)
    assert sample.shape == (12, 8, 8, 3) and Counter(sample[:, 0, 0, 0].tolist()) == {0: 5, 1: 5, 2: 2}
    again = pipeline.sample_balanced_images(split, image_size=8, per_class=5, classes=3, seed=0)
    np.testing.assert_array_equal(sample, again)


@pytest.mark.parametrize("augment", AUGMENTS, ids=["plain", "randaugment", "trivialaugment"])
def test_workers_make_the_parts_of_one_batch(augment):
    one_hot = {"encode_targets": lambda labels: tf.one_hot(labels, 40), "augment": augment}
    split = numbered(40, 12)
    together = whole(split, epochs=1, **one_hot)
    parts = [whole(split, epochs=1, rank=rank, ranks=2, **one_hot) for rank in range(2)]
    for (images, targets), *each in zip(together, *parts, strict=True):
        np.testing.assert_array_equal(images, np.concatenate([part[0] for part in each]))
        np.testing.assert_allclose(targets, np.concatenate([part[1] for part in each]), atol=1e-6)


def test_no_iterator_waits_for_the_autotuner_when_it_ends():
    split = numbered(13, 12)
    training = pipeline.TrainPipeline(
        split, image_size=8, batch_size=4, augment=AugmentSpec(), seed=0, encode_targets=lambda labels: labels
    )
    for batches in (
        training.batches(0, 3),
        pipeline.evaluation_batches(split, 8, 4),
        pipeline.validation_batches(split, 8, 4, lambda labels: labels),
    ):
        assert batches.options().autotune.enabled is False


def test_validation_shows_each_image_once_whatever_the_workers():
    split = numbered(13, 12)
    for ranks in (1, 2):
        seen = [
            (labels[counted > 0].tolist(), len(labels))
            for rank in range(ranks)
            for _, labels, counted in (
                map(np.asarray, batch)
                for batch in pipeline.validation_batches(split, 8, 8, lambda labels: labels, rank, ranks)
            )
        ]
        assert sorted(label for labels, _ in seen for label in labels) == list(range(13))
        assert {count for _, count in seen} == {8 // ranks}


def test_repeats_show_an_image_more_than_once_in_a_batch():
    for _, labels in whole(numbered(40, 12), augment=AugmentSpec(repeats=2), epochs=1):
        assert [labels.tolist().count(label) for label in set(labels.tolist())] == [2] * 4


def test_mixing_keeps_pixels_and_shares_together():
    """Images of one value each: what a pixel shows is the share of the target."""
    values = np.array([0, 200] * 4)
    images = tf.constant(np.broadcast_to(values[:, None, None, None], (8, 40, 40, 3)).astype(np.uint8))
    for augment, kinds in ((AugmentSpec(mixup=1.0), 1), (AugmentSpec(cutmix=1.0), 2)):
        for step in range(20):
            key = tf.constant(step, tf.int64)
            pixels, targets = mixup.mix_pairs(images, tf.one_hot(values // 200, 2), augment, 0, key)
            np.testing.assert_allclose(np.asarray(targets).sum(axis=1), 1, atol=1e-6)
            np.testing.assert_allclose(np.mean(pixels, axis=(1, 2, 3)) / 200, np.asarray(targets)[:, 1], atol=0.01)
            assert max(len(np.unique(image)) for image in np.asarray(pixels)) <= kinds


def test_training_images_can_be_smaller():
    for augment in AUGMENTS:
        assert whole(numbered(16, 12), size=10, epochs=1, augment=augment)[0][0].shape == (8, 10, 10, 3)


@pytest.mark.parametrize("number", range(len(auto_augment.OPERATIONS)))
@pytest.mark.parametrize("reach", [auto_augment.RANDAUGMENT, auto_augment.TRIVIALAUGMENT])
def test_operations(number, reach):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    for level in (-1.0, -0.3, 0.0, 0.3, 1.0):
        changed = auto_augment.OPERATIONS[number](image, level, reach)
        assert changed.size == image.size and changed.mode == "RGB"
    unchanging = number not in (1, 2)  # autocontrast and equalize know no magnitude
    assert (np.asarray(auto_augment.OPERATIONS[number](image, 0.0, reach)) == pixels).all() == unchanging


def test_erasing_and_resized_crops():
    image = Image.fromarray(np.full((40, 30, 3), 77, np.uint8))
    options = {"size": 16, "seed": 1}
    erasing = AugmentSpec(flip=True, crop="resized", random_erase=1.0)
    shares = []
    for position in range(30):
        plain = augment_image(image, position, settings=AugmentSpec(flip=True, crop="resized"), **options)
        assert plain.shape == (16, 16, 3) and (plain == 77).all()
        shares.append((augment_image(image, position, settings=erasing, **options) != 77).any(axis=2).mean())
    assert min(shares) > 0.01 and max(shares) < 0.4 and len(set(shares)) > 5


@pytest.mark.slow
def test_a_script_that_keeps_iterators_in_global_names_ends(tmp_path):
    """Pipelines still read ahead, by Python, when Python ends."""
    paint(tmp_path, 20)
    script = (
        "from sources import opened, stream_of\n"
        "from keras_resnet.config.spec import AugmentSpec\n"
        f"data, _ = opened({str(tmp_path)!r}, image_size=12)\n"
        "stream = stream_of(data.splits['train'], augment=AugmentSpec(flip=True, crop='resized'))\n"
        "iterators = [iter(stream.batches(0, 1000)) for _ in range(4)]\n"
        "batches = [next(each) for each in iterators]\n"
        "print('done', flush=True)\n"
    )
    paths = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "support")))}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | paths, capture_output=True, text=True, timeout=100, check=True
    )
    assert done.stdout.endswith("done\n")


def branch(labels):
    """Return targets by a branch on a tensor, which only AutoGraph makes possible."""
    return labels if tf.reduce_all(labels >= 0) else -labels


@pytest.mark.parametrize("split", [numbered(8, 12), read_when_needed(numbered(8, 12))], ids=["kept", "read"])
def test_functions_are_traced_without_autograph(split):
    """Which takes seconds to rewrite them; none of ours needs it."""
    training = pipeline.TrainPipeline(split, 12, 4, 0, branch)
    for make in (lambda: training.batches(0, 2), lambda: pipeline.validation_batches(split, 12, 4, branch)):
        with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
            make()
