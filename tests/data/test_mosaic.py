"""Mosaic and copy-paste: pixels, boxes and masks of several images stay together."""

from dataclasses import replace

import numpy as np
import pytest
from samples import finding

from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data import pipeline
from keras_resnet.data.annotations import Annotation, encode_rle, pad_annotations
from keras_resnet.data.dataset import Split
from keras_resnet.data.transforms.mosaic import MIN_DRAWS, compact_objects, paste_objects
from keras_resnet.errors import UsageError

SIDE = 48
COLOURS = np.array([[255, 60, 60], [60, 255, 60], [60, 60, 255]])
BOTH = AugmentSpec(scales=(0.7, 1.4), mosaic=0.5, copy_paste=0.5)


def rectangles(count):
    """Black images with a rectangle to the left and one to the right, each of its class's colour; every fourth has a
    crowd below."""
    rng = np.random.default_rng(0)
    pixels, found = np.zeros((count, SIDE, SIDE, 3), np.uint8), []
    for number, image in enumerate(pixels):
        boxes, labels, masks = [], rng.integers(0, 3, 2), []
        for half, label in enumerate(labels):
            left, top = rng.integers((24 * half + 1, 2), (24 * half + 6, 12))
            right, bottom = left + rng.integers(10, 18), top + rng.integers(10, 18)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[top:bottom, left:right] = True
            image[mask] = COLOURS[label]
            boxes.append([left, top, right, bottom])
            masks.append(encode_rle(mask))
        crowd = [False, False]
        if number % 4 == 0:
            boxes, labels, crowd = [*boxes, [0, 40, 48, 48]], [*labels, 2], [*crowd, True]
            masks.append(encode_rle(np.zeros((SIDE, SIDE), bool)))
        found.append(Annotation.from_boxes((SIDE, SIDE), boxes, labels, crowd, masks=masks))
    return Split("train", np.zeros(count, np.int64), pixels, objects=pad_annotations(found, masks=True))


SPLIT = rectangles(24)


def stream(augment, rank=0, ranks=1):
    return pipeline.TrainPipeline(SPLIT, SIDE, 8, 3, lambda truth: truth, replace(augment, flip=True), rank, ranks)


@pytest.mark.parametrize("augment", [AugmentSpec(mosaic=1.0), AugmentSpec(copy_paste=1.0), BOTH])
def test_boxes_masks_and_pixels_stay_together(augment):
    """A mask lies in its box, which is no larger than what is left of it, and has the colour of its class."""
    filled, crowds, shown = [], 0, []
    for images, truth in stream(augment).batches(0, 8).as_numpy_iterator():
        assert images.shape == (8, SIDE, SIDE, 3) and truth["ids"].dtype == np.uint8
        for image, ids, labels, crowd, boxes in zip(
            images, *(truth[name] for name in ("ids", "labels", "iscrowd", "boxes")), strict=True
        ):
            there = np.flatnonzero(labels >= 0)
            assert there.tolist() == list(range(len(there))) and set(np.unique(ids)) <= {0, *(there + 1)}
            shown.append(len(there))
            for number in there:
                ys, xs = np.nonzero(ids == number + 1)
                if crowd[number]:
                    crowds += 1
                    assert not len(xs)
                elif len(xs) > 40:
                    seen = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                    np.testing.assert_allclose(boxes[number] * SIDE, seen, atol=1.51)
                    filled.append(len(xs) / np.prod(seen[2:] - seen[:2]))
                    assert np.abs(np.median(image[ys, xs], axis=0) - COLOURS[labels[number]]).max() < 40
    assert len(filled) > 100 and np.median(filled) > 0.95 and crowds > 5
    assert np.mean(shown) > (5 if augment.mosaic == 1 else 2.5)


def test_a_share_of_images_is_mixed():
    """As often as asked; the others are as without."""
    plain = np.concatenate([images for images, _ in stream(AugmentSpec()).batches(0, 30).as_numpy_iterator()])
    for augment in (AugmentSpec(mosaic=0.3), AugmentSpec(copy_paste=0.6)):
        mixed = np.concatenate([images for images, _ in stream(augment).batches(0, 30).as_numpy_iterator()])
        same = (mixed == plain).all(axis=(1, 2, 3)).mean()
        # Half of the two objects of an image: in a quarter of the cases none is put in.
        assert same == pytest.approx(0.7 if augment.mosaic else 1 - 0.6 * 0.7, abs=0.12)


@pytest.mark.slow
def test_batches_are_functions_of_step_and_place():
    whole, *parts = (stream(BOTH, rank, ranks) for rank, ranks in ((0, 1), (0, 2), (1, 2)))
    later = whole.batches(4, 6)
    for step, (images, truth) in enumerate(whole.batches(2, 6)):
        if step >= 2:
            again, same = next(iter(later.skip(step - 2)))
            np.testing.assert_array_equal(images, again)
            np.testing.assert_array_equal(truth["ids"], same["ids"])
        both = [next(iter(part.batches(2 + step, 3 + step))) for part in parts]
        np.testing.assert_array_equal(images, np.concatenate([mine for mine, _ in both]))
        for name in ("boxes", "labels", "ids"):
            np.testing.assert_array_equal(truth[name], np.concatenate([theirs[name] for _, theirs in both]))


def view(ids, boxes, labels, value):
    found = {"ids": np.array([ids], np.uint8), "boxes": np.array([boxes], np.float32), "labels": np.array([labels])}
    found["iscrowd"] = np.zeros_like(found["labels"], bool)
    return np.full((1, 4, 4, 3), value, np.uint8), found


def test_what_is_covered_is_gone_or_smaller():
    ids = np.zeros((4, 4), int)
    ids[:2], ids[2:, :2] = 1, 2  # the upper half, the lower left
    onto = view(ids, [[0, 0, 1, 0.5], [0, 0.5, 0.5, 1]], [5, 6], 10)
    front = np.zeros((4, 4), int)
    front[:, :2], front[3, 3] = 1, 2
    others = view(front, [[0, 0, 0.5, 1], [0.75, 0.75, 1, 1]], [7, 8], 200)
    pieces = np.zeros((1, MIN_DRAWS), bool)
    pieces[0, 0] = True
    images, truth = paste_objects(onto, others, pieces)
    assert (np.asarray(images)[0, :, :2] == 200).all() and (np.asarray(images)[0, :, 2:] == 10).all()
    assert truth["labels"].numpy().tolist() == [[5, 7, -1, -1]]
    np.testing.assert_allclose(truth["boxes"][0, :2], [[0.5, 0, 1, 0.5], [0, 0, 0.5, 1]])
    assert truth["ids"].numpy()[0].tolist() == [[2, 2, 1, 1]] * 2 + [[2, 2, 0, 0]] * 2


@pytest.mark.parametrize(("count", "kind"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_all_objects_are_told_apart(count, kind):
    """Ten are gone; the last of the others keeps an id of its own, also past what a byte can tell."""
    labels = np.where(np.arange(count) < 10, -1, np.arange(count))[None]
    truth = {"boxes": np.zeros((1, count, 4), np.float32), "labels": labels, "iscrowd": np.zeros((1, count), bool)}
    found = compact_objects(truth | {"ids": np.array([[[1, 11, count - 1, count]]])})
    assert found["labels"].numpy()[0].tolist() == [*range(10, count), *[-1] * 10]
    assert found["ids"].numpy().ravel().tolist() == [0, 1, count - 11, count - 10] and found["ids"].dtype == kind


def test_what_takes_no_mixing():
    with pytest.raises(UsageError, match=r"augment\.copy_paste is for --task segment; leave it out with --task detect"):
        finding("detect", augment=AugmentSpec(copy_paste=0.5))
    with pytest.raises(UsageError, match=r"augment\.mosaic is for --task detect or segment; leave it out with"):
        finding("localize", augment=AugmentSpec(mosaic=0.5))
    with pytest.raises(UsageError, match=r"augment\.mosaic must be 0 to 1"):
        finding(augment=AugmentSpec(mosaic=2.0))
