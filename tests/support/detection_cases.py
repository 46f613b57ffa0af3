"""Random images, boxes and masks, and predictions near them."""

import numpy as np

from keras_resnet.data.annotations import Annotation, encode_rle
from keras_resnet.metrics import coco


def generator(seed=0):
    return np.random.default_rng(seed)


def boxes_in(rng, size, count):
    """Of at least a pixel, in an image of (width, height) `size`."""
    corners = rng.uniform(0, 1, (count, 2)) * (np.array(size) - 2)
    sides = 1 + rng.uniform(0, 1, (count, 2)) ** 2 * (np.array(size) - corners - 1)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def ellipse(box, size):
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
    middle, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 1)
    return ((columns - middle[0]) / half[0]) ** 2 + ((rows - middle[1]) / half[1]) ** 2 <= 1


def random_case(seed, kind):
    """A few images, some empty and some with crowds; answers that are near the truth, doubled, of another class, or
    invented."""
    rng = generator(seed)
    truths, answers = [], []
    for _ in range(int(rng.integers(1, 6))):
        size = tuple(int(side) for side in rng.integers(40, 400, 2))
        count = int(rng.integers(0, 6))
        boxes, labels = boxes_in(rng, size, count), rng.integers(0, 3, count)
        masks = [encode_rle(ellipse(box, size)) for box in boxes] if kind == "segm" else ()
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        truths.append(Annotation(size, boxes, labels, rng.random(count) < 0.2, areas, tuple(masks)))
        near = np.repeat(boxes, 2, axis=0)[rng.random(2 * count) < 0.8]
        named = np.repeat(labels, 2)[: len(near)]
        near = near + rng.normal(0, 0.05, near.shape) * np.tile(near[:, 2:] - near[:, :2], 2)
        found = np.concatenate([near, boxes_in(rng, size, int(rng.integers(0, 4)))]).astype(np.float32)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        kinds = np.concatenate([named, rng.integers(0, 3, len(found) - len(near))])
        own = tuple(encode_rle(ellipse(box, size)) for box in found) if kind == "segm" else ()
        answers.append(coco.Prediction(found, rng.random(len(found)), kinds, own))
    return truths, answers
