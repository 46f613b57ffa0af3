"""Decode the outputs of a detector to objects: what the Python runtime, the browser and the documentation share.
Imports nothing but NumPy and Pillow.

A detector's pyramid has square levels, of `cells` to a side. Its N locations are the cells of all levels, the finest
level first, row by row. Of each location it says `scores` (logits, one for each class) and `distances`: how far the
object's left, top, right and bottom edges are from the middle of the cell, outwards, in widths of the cell.

With masks it also says `coefficients` of each location and, for the whole image, `prototypes` (see `decode_masks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

# Class probabilities below which a detection is dropped, or not displayed.
SCORE_THRESHOLD, DISPLAY_THRESHOLD = 0.05, 0.3
# What the main object of an image may be, if it is not said how many classes to name.
MAX_GUESSES = 5
# Objects of one image at most, as COCO counts them; and candidates before overlapping ones are removed.
MAX_DETECTIONS, MAX_CANDIDATES = 100, 1000
# Two boxes of one class that overlap more than this are one object.
NMS_IOU = 0.7
# Prototypes that CondInst's dynamic head sees, and its layers: (inputs, outputs), the first with two coordinates more.
CONDINST_PROTOTYPES = 8
CONDINST_LAYERS = ((CONDINST_PROTOTYPES + 2, 8), (8, 8), (8, 1))
CONDINST_COEFFICIENTS = sum(inputs * outputs + outputs for inputs, outputs in CONDINST_LAYERS)
# A mask's logits where no object is, and how many cells around a box they are computed: as far as is looked when a mask
# is brought to a quarter of its resolution.
BACKGROUND_LOGIT, MASK_MARGIN = -16.0, 4
# What relative coordinates are divided by, in fractions of the image: as CondInst's size of interest, they come near 1.
COORDINATE_SCALE = 0.25


@dataclass(frozen=True)
class Detections:
    """Objects of one image, the most confident first. boxes: float32 (n, 4), left, top, right, bottom in fractions of
    the square that the network sees; scores: (n,), probabilities; labels: (n,), numbers of classes; locations: (n,),
    which of the N locations said so."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    locations: np.ndarray

    def first(self, count: int | None) -> Detections:
        """Return the `count` most confident; None for all."""
        return Detections(self.boxes[:count], self.scores[:count], self.labels[:count], self.locations[:count])


def anchor_points(cells: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return (centers (N, 2) as x and y, widths (N, 1)) of all locations, float32 in fractions of the square."""
    middles, widths = [], []
    for side in cells:
        rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
        middles.append(np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) / side)
        widths.append(np.full((side * side, 1), 1 / side, np.float32))
    return np.concatenate(middles), np.concatenate(widths)


def ltrb_to_xyxy(distances: np.ndarray, cells: Sequence[int]) -> np.ndarray:
    """Convert distances (…, N, 4) to boxes (…, N, 4) in fractions of the square, not clipped."""
    middles, widths = anchor_points(cells)
    return np.asarray(np.concatenate([middles, middles], axis=1) + distances * widths * (-1, -1, 1, 1), np.float32)


def display_thresholds(fitted: Sequence[float]) -> float | np.ndarray:
    """Return the score from which objects are displayed: of each class that which was `fitted`, float64 (classes,); one
    for all classes where none were."""
    return np.array(fitted, np.float64) if len(fitted) else DISPLAY_THRESHOLD


def decode_detections(
    scores: np.ndarray,
    distances: np.ndarray,
    cells: Sequence[int],
    least: float | np.ndarray = SCORE_THRESHOLD,
    most: int = MAX_DETECTIONS,
) -> Detections:
    """Decode the objects of one image: scores (N, classes), distances (N, 4) → up to `most` of them. least: the lowest
    score, of all classes or of each, (classes,)."""
    probabilities = 1 / (1 + np.exp(-scores.astype(np.float32)))
    locations, labels = np.nonzero(probabilities >= least)
    confidence = probabilities[locations, labels]
    order = np.argsort(-confidence, kind="stable")[:MAX_CANDIDATES]
    locations, labels, confidence = locations[order], labels[order], confidence[order]
    boxes = np.clip(ltrb_to_xyxy(distances, cells)[locations], 0, 1)
    kept = non_max_suppression(boxes, labels, most)
    return Detections(boxes[kept], confidence[kept], labels[kept], locations[kept])


def decode_top_object(scores: np.ndarray, distances: np.ndarray, cells: Sequence[int], guesses: int) -> Detections:
    """Decode the one object that an image is about: `guesses` classes, the most confident first, each at its best
    location."""
    locations = scores.argmax(axis=0)
    labels = np.argsort(-scores.max(axis=0), kind="stable")[:guesses]
    confidence = 1 / (1 + np.exp(-scores[locations[labels], labels].astype(np.float32)))
    boxes = np.clip(ltrb_to_xyxy(distances, cells)[locations[labels]], 0, 1)
    return Detections(boxes, confidence, labels, locations[labels])


def non_max_suppression(
    boxes: np.ndarray, labels: np.ndarray, most: int = MAX_DETECTIONS, overlap: float = NMS_IOU
) -> np.ndarray:
    """Suppress boxes that overlap a more confident one of their class: boxes (n, 4), the most confident first, labels
    (n,) → rows that stay."""
    # Boxes of different classes are moved apart, so that they never overlap.
    apart = boxes.astype(np.float64) + 2 * labels[:, None]
    areas = (apart[:, 2] - apart[:, 0]) * (apart[:, 3] - apart[:, 1])
    kept: list[int] = []
    left = np.arange(len(boxes))
    while len(left) and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(int(first))
        sides = np.minimum(apart[first, 2:], apart[left, 2:]) - np.maximum(apart[first, :2], apart[left, :2])
        shared = np.clip(sides, 0, None).prod(axis=1)
        left = left[shared <= overlap * (areas[first] + areas[left] - shared)]
    return np.array(kept, np.int64)


def decode_masks(
    found: Detections, coefficients: np.ndarray, prototypes: np.ndarray, cells: Sequence[int]
) -> np.ndarray:
    """Return the logits of the objects' masks, float32 (n, h, w): coefficients (N, C), prototypes (h, w, P). They are
    computed in and around the objects' boxes only, and are BACKGROUND_LOGIT elsewhere.

    Where C is P a mask is the sum of the prototypes, weighted by its location's coefficients (YOLACT; Bolya et al.
    2019). Otherwise the coefficients are the weights and biases of three 1×1 convolutions, which see the prototypes and
    where each pixel is relative to the location (CondInst; Tian et al. 2020).
    """
    height, width, kinds = prototypes.shape
    own = coefficients[found.locations].astype(np.float32)
    middles = anchor_points(cells)[0][found.locations]
    places = np.stack(np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height), axis=-1)
    masks = np.full((len(own), height, width), BACKGROUND_LOGIT, np.float32)
    starts = np.maximum(np.floor(found.boxes[:, :2] * (width, height)).astype(int) - MASK_MARGIN, 0)
    ends = np.ceil(found.boxes[:, 2:] * (width, height)).astype(int) + MASK_MARGIN
    for mask, weights, middle, (left, top), (right, bottom) in zip(masks, own, middles, starts, ends, strict=True):
        part = prototypes[top:bottom, left:right]
        if len(weights) == kinds:
            mask[top:bottom, left:right] = part @ weights
        else:
            seen_from = ((places[top:bottom, left:right] - middle) / COORDINATE_SCALE).astype(np.float32)
            mask[top:bottom, left:right] = _run_condinst_head(part, seen_from, weights)
    return masks


def _run_condinst_head(prototypes: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(h, w, P), (h, w, 2) as x and y, (CONDINST_COEFFICIENTS,) → (h, w): CondInst's convolutions of one object."""
    x, start = np.concatenate([places, prototypes], axis=-1), 0
    for inputs, outputs in CONDINST_LAYERS:
        kernel = weights[start : start + inputs * outputs].reshape(inputs, outputs)
        start += inputs * outputs
        x = x @ kernel + weights[start : start + outputs]
        start += outputs
        if outputs > 1:
            x = np.maximum(x, 0)
    return np.asarray(x[..., 0])


def scale_boxes(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale boxes (n, 4) from fractions of the square to pixels of the image at its top left; size: (width, height)."""
    width, height = size
    return np.asarray(np.clip(boxes * max(size), 0, (width, height, width, height)))


def rle_encode(mask: np.ndarray) -> list[int]:
    """Encode a mask, bool (height, width), as how many pixels, column by column, are outside, inside, outside, …:
    COCO's uncompressed run-length code."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], changes, [mask.size]]))
    return [int(run) for run in (runs[:-1] if len(changes) and changes[-1] == mask.size else runs)]


def paste_masks_in_image(logits: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return masks in an image of (width, height) `size`, which stood at the top left of the square: logits (n, h, w),
    boxes (n, 4) in pixels of the image → bool (n, height, width). Nothing is outside its box."""
    width, height = size
    masks = np.zeros((len(logits), height, width), bool)
    per_pixel = np.array(logits.shape[:0:-1]) / max(size)
    for mask, values, box in zip(masks, logits, boxes, strict=True):
        left, top = np.floor(box[:2]).astype(int)
        right, bottom = np.minimum(np.ceil(box[2:]).astype(int), size)
        if right <= left or bottom <= top:
            continue
        part = (left * per_pixel[0], top * per_pixel[1], right * per_pixel[0], bottom * per_pixel[1])
        image = Image.fromarray(values.astype(np.float32))
        seen = image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=part)
        mask[top:bottom, left:right] = np.asarray(seen) > 0
    return masks


def decode_outputs(
    outputs: dict[str, np.ndarray],
    cells: Sequence[int],
    least: float | np.ndarray = SCORE_THRESHOLD,
    guesses: int = 0,
    top: int | None = None,
) -> tuple[Detections, np.ndarray | None]:
    """Decode one image's outputs: the `top` most confident objects of at least the score `least`, of all classes or of
    each, (classes,), or `guesses` at the main one; and the logits of their masks (n, h, w), if they make them. A file
    that made objects itself has done the same, and says so by its "count" (see
    `export.formats.detection_postprocess`)."""
    if "count" in outputs:
        known = int(outputs["count"].reshape(-1)[0])
        all_labels = outputs["classes"].astype(np.int64)
        lowest = least[all_labels[:known]] if isinstance(least, np.ndarray) else least
        there = np.flatnonzero(outputs["scores"][:known] >= (0 if guesses else lowest))[: guesses or top]
        boxes, labels = outputs["boxes"][there][:, [1, 0, 3, 2]], all_labels[there]
        masks = outputs["masks"][there] if "masks" in outputs else None
        return Detections(boxes, outputs["scores"][there], labels, there), masks
    scores, distances = outputs["scores"], outputs["distances"]
    found = (
        decode_top_object(scores, distances, cells, guesses)
        if guesses
        else decode_detections(scores, distances, cells, least)
    )
    found = found.first(top)
    if "prototypes" not in outputs:
        return found, None
    return found, decode_masks(found, outputs["coefficients"], outputs["prototypes"], cells)


def describe_objects(
    outputs: dict[str, np.ndarray],
    labels: Sequence[str],
    cells: Sequence[int],
    size: tuple[int, int],
    top: int | None = None,
    main: bool = False,
    threshold: float | None = None,
    fitted: Sequence[float] = (),
) -> list[dict[str, Any]]:
    """Decode one image's outputs to records, for people and programs: [{"label", "probability", "box"}, …], boxes in
    pixels of the image of (width, height) `size`; each with a "mask", if the outputs make them, {"size": [height,
    width], "counts": [int, …]}, COCO's uncompressed run-length code.

    They are the objects of which the network has at least the score `threshold` (None: that of their class in `fitted`,
    see `display_thresholds`), the `top` most confident; or, where only the `main` one is looked for, what that may be,
    the `top` likeliest, of at least that score (None: any)."""
    least = display_thresholds(fitted) if threshold is None else threshold
    found, logits = decode_outputs(outputs, cells, least, (top or MAX_GUESSES) if main else 0, top)
    boxes = scale_boxes(found.boxes, size)
    objects: list[dict[str, Any]] = [
        {"label": labels[label], "probability": float(score), "box": [round(float(edge), 1) for edge in box]}
        for label, score, box in zip(found.labels, found.scores, boxes, strict=True)
    ]
    if logits is not None:
        for each, mask in zip(objects, paste_masks_in_image(logits, boxes, size), strict=True):
            each["mask"] = {"size": list(mask.shape), "counts": rle_encode(mask)}
    return [each for each in objects if threshold is None or each["probability"] >= threshold]
