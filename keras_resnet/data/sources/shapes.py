"""Drawn shapes as a TFDS dataset, with boxes and masks: what localization, detection and segmentation can be tried
on without a download. Every image is a function of its number alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw

SIDE = 128
# Masks are drawn this much larger and made smaller, so that their edges are where a polygon's are.
SUPERSAMPLING = 4
TRAIN, VALIDATION = 2000, 300
SEED = 20151210
MAX_OBJECTS = 6
# Sides of boxes, as fractions of the image's: from small to large, evenly by logarithm.
OBJECT_SIDES = (0.18, 0.7)
# Turned by so much at most, in radians: a square on its corner is a square, a cross on its side is none.
MAX_TURN = 0.4
# How far apart, in values of 0–255, an object's color and the ground's are in some channel; and the two colors of a
# texture at most.
MIN_CONTRAST, MAX_PATTERN_CONTRAST = 90, 70
# What another shape may leave of one, and must leave to be counted as one.
MIN_VISIBLE = 0.5
MAX_DISTRACTORS = 8


def _regular_polygon(corners: int, inner: float = 1.0) -> np.ndarray:
    """Return corners of a polygon around 0 with radius 1; every second one at `inner`."""
    angles = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
    radius = np.where(np.arange(corners) % 2 == 1, inner, 1.0)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)


_CROSS = np.array([(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1)])
OUTLINES = {
    "circle": _regular_polygon(48),
    "cross": np.concatenate([_CROSS, [(-1, -1)]]) / math.sqrt(10),
    "crescent": np.concatenate(
        [_regular_polygon(48)[6:43], np.array([0.45, 0.0]) + 0.72 * _regular_polygon(48)[42:6:-1]],
    ),
    "square": _regular_polygon(4),
    "star": _regular_polygon(10, 0.42),
    "triangle": _regular_polygon(3),
}
KINDS = tuple(OUTLINES)


@dataclass(frozen=True)
class Drawing:
    """image: uint8 (SIDE, SIDE, 3). ids: uint8 (SIDE, SIDE), 0 where nothing is and n for the n-th object. kinds:
    (objects,) numbers into KINDS. boxes: float32 (objects, 4), left, top, right, bottom in pixels of what is seen."""

    image: np.ndarray
    ids: np.ndarray
    kinds: np.ndarray
    boxes: np.ndarray


def draw(number: int, most: int = MAX_OBJECTS) -> Drawing:
    """Draw image `number`: one to `most` shapes of any color, texture, turn and size, some in front of others, on a
    cluttered ground. No two calls differ."""
    rng = np.random.Generator(np.random.Philox(key=[SEED, number]))
    image = _draw_background(rng)
    ids = np.zeros((SIDE, SIDE), np.uint8)
    kinds: list[int] = []
    wanted = int(rng.integers(1, most + 1))
    for _ in range(3 * wanted):
        kind = int(rng.integers(len(KINDS)))
        mask = _draw_mask(OUTLINES[KINDS[kind]], rng)
        if len(kinds) == wanted or not _leaves_enough(ids, mask, len(kinds)):
            continue
        kinds.append(kind)
        ids[mask] = len(kinds)
        image[mask] = _draw_texture(rng, image[mask].mean(axis=0))[mask]
    noisy = image + rng.normal(0, rng.uniform(0, 8), image.shape)
    return Drawing(np.clip(noisy, 0, 255).astype(np.uint8), ids, np.array(kinds), _boxes(ids, len(kinds)))


def _draw_mask(outline: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw bool (SIDE, SIDE): the outline turned, sized and placed, whole within the image."""
    angle = rng.uniform(-MAX_TURN, MAX_TURN)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = outline @ turn * rng.uniform(0.75, 1.0, 2)
    turned -= turned.min(axis=0)
    size = SIDE * math.exp(rng.uniform(*np.log(OBJECT_SIDES)))
    placed = turned * size / turned.max()
    placed += rng.uniform(0, SIDE - placed.max(axis=0))
    large = Image.new("L", (SUPERSAMPLING * SIDE, SUPERSAMPLING * SIDE))
    ImageDraw.Draw(large).polygon([tuple(point) for point in SUPERSAMPLING * placed], fill=255)
    return np.asarray(large.resize((SIDE, SIDE), Image.Resampling.BOX)) >= 128


def _leaves_enough(ids: np.ndarray, mask: np.ndarray, objects: int) -> bool:
    """Return whether the objects behind `mask` stay visible, and it is large enough to be seen itself."""
    behind = [(ids == each + 1) for each in range(objects)]
    return mask.sum() >= 40 and all((each & ~mask).sum() >= MIN_VISIBLE * each.sum() for each in behind)


def _boxes(ids: np.ndarray, objects: int) -> np.ndarray:
    boxes = np.zeros((objects, 4), np.float32)
    for number in range(objects):
        rows, columns = np.nonzero(ids == number + 1)
        boxes[number] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return boxes


def _draw_background(rng: np.random.Generator) -> np.ndarray:
    """Draw float64 (SIDE, SIDE, 3): two colors running into each other, lines and dots, which are no objects."""
    ground = Image.fromarray(_draw_gradient(rng, *rng.uniform(0, 255, (2, 3))).astype(np.uint8))
    brush = ImageDraw.Draw(ground)
    for _ in range(int(rng.integers(MAX_DISTRACTORS))):
        x, y, to_x, to_y = rng.uniform(0, SIDE, 4)
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            brush.line((x, y, to_x, to_y), color, int(rng.integers(1, 4)))
        else:
            radius = rng.uniform(1, 4)
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), color)
    return np.asarray(ground, np.float64)


def _draw_gradient(rng: np.random.Generator, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Draw float64 (SIDE, SIDE, 3): from one color to another, in any direction."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    share = np.clip(0.5 + rows * np.sin(angle) + columns * np.cos(angle), 0, 1)[..., None]
    return np.asarray((1 - share) * first + share * second)


def _draw_texture(rng: np.random.Generator, behind: np.ndarray) -> np.ndarray:
    """Draw float64 (SIDE, SIDE, 3): a plain color that stands out from `behind`, a ramp, stripes or squares of two
    like colors."""
    first = rng.uniform(0, 255, 3)
    while np.abs(first - behind).max() < MIN_CONTRAST:
        first = rng.uniform(0, 255, 3)
    second = first + rng.uniform(-MAX_PATTERN_CONTRAST, MAX_PATTERN_CONTRAST, 3)
    kind = rng.integers(4)
    if kind == 0:
        return np.broadcast_to(first, (SIDE, SIDE, 3))
    if kind == 1:
        return _draw_gradient(rng, first, second)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    period, angle = rng.uniform(5, 16), rng.uniform(0, np.pi)
    along = (rows * np.sin(angle) + columns * np.cos(angle)) // (period / 2)
    across = (columns * np.sin(angle) - rows * np.cos(angle)) // (period / 2) if kind == 3 else 0
    return np.asarray(np.where(((along + across) % 2 == 0)[..., None], first, second))


@dataclass
class ShapesConfig(tfds.core.BuilderConfig):
    """most: how many objects an image shows at most."""

    most: int = MAX_OBJECTS


class Shapes(tfds.core.GeneratorBasedBuilder):
    """2,000 images to train on and 300 to validate with, of 128 × 128 pixels: objects of six kinds with their boxes,
    as TFDS' coco has them, and a map of which pixel is whose. As a classification dataset: the kind of the largest.

    "shapes/many", the default, shows up to six in an image; "shapes/single" one, as localization wants it.
    """

    name = "shapes"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [
        ShapesConfig(name="many", description="one to six objects"),
        ShapesConfig(name="single", description="one object", most=1),
    ]

    def _info(self) -> Any:
        kind = tfds.features.ClassLabel(names=list(KINDS))
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 3)),
                    "label": kind,
                    "objects": tfds.features.Sequence({"bbox": tfds.features.BBoxFeature(), "label": kind}),
                    "ids": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        numbers = {"train": range(TRAIN), "validation": range(TRAIN, TRAIN + VALIDATION)}
        return {name: self._generate_examples(part) for name, part in numbers.items()}

    def _generate_examples(self, numbers: range) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in numbers:
            drawing = draw(number, self.builder_config.most)
            left, top, right, bottom = drawing.boxes.T / SIDE
            boxes = zip(top, left, bottom, right, drawing.kinds, strict=True)
            areas = np.bincount(drawing.ids.ravel(), minlength=len(drawing.kinds) + 1)[1:]
            yield (
                number,
                {
                    "image": drawing.image,
                    "label": int(drawing.kinds[areas.argmax()]),
                    "objects": [
                        {"bbox": tfds.features.BBox(*map(float, box)), "label": int(kind)} for *box, kind in boxes
                    ],
                    "ids": drawing.ids[..., None],
                },
            )
