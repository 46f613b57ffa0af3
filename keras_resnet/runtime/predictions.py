"""Decode outputs to labels, boxes and masks, on any device. Imports nothing but NumPy and Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .confidence import UNKNOWN, Rejection, softmax
from .errors import ExportError, UsageError
from .postprocess import describe_objects

if TYPE_CHECKING:
    from .metadata import ModelMetadata

T = TypeVar("T")
# Labels that are named of an image, where their number is not given.
DEFAULT_TOP = 5


@dataclass(frozen=True)
class Postprocessor:
    """What is made of a network's outputs. has_boxes: objects, of the cells of a feature pyramid, instead of labels of
    the whole image. one_object: guesses of the main object instead of all objects. has_thresholds: all labels from a
    probability of their own on, instead of the most likely ones."""

    has_boxes: bool = False
    one_object: bool = False
    has_thresholds: bool = False

    @property
    def has_one_label(self) -> bool:
        """Whether an image has one of the labels, as a whole."""
        return not (self.has_boxes or self.has_thresholds)

    @property
    def lists_objects(self) -> bool:
        """Whether all objects are listed whose score is high enough."""
        return self.has_boxes and not self.one_object

    @property
    def nothing(self) -> str:
        """What is said of an image of which nothing is predicted."""
        return "no objects" if self.has_boxes else "no label reaches its threshold"


# By the name in a file's metadata.
POSTPROCESSORS = {
    "top_k": Postprocessor(),
    "label_set": Postprocessor(has_thresholds=True),
    "objects": Postprocessor(has_boxes=True),
    "main_object": Postprocessor(has_boxes=True, one_object=True),
}
# Logits (N, classes), or the outputs of a network that has several, by name.
Outputs = Any


def unwrap_single_output(outputs: dict[str, np.ndarray]) -> Outputs:
    """Return the logits alone if there is no other output."""
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def name_outputs(outputs: T | dict[str, T]) -> dict[str, T]:
    """Return a model's outputs by name; a single one is the logits."""
    return outputs if isinstance(outputs, dict) else {"logits": outputs}


def top_k(logits: np.ndarray, labels: Sequence[str], top: int, temperature: float = 1.0) -> list[list[dict[str, Any]]]:
    """Return the `top` most likely labels of each sample, the first one first: logits (N, classes) →
    [[{"label": str, "probability": float}, …], …]."""
    probabilities = softmax(logits, temperature)
    order = np.argsort(-logits, axis=-1, kind="stable")[:, :top]
    return [
        [{"label": labels[c], "probability": float(values[c])} for c in best]
        for values, best in zip(probabilities, order, strict=True)
    ]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits, float64; those beyond any float's reach are 0 or 1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -500, 500))))


def predict_labels(probabilities: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Return which labels are predicted, bool (N, classes): those whose probability is at least their threshold."""
    return np.asarray(probabilities >= np.asarray(thresholds))


def label_sets(
    logits: np.ndarray, labels: Sequence[str], thresholds: Sequence[float], top: int | None
) -> list[list[dict[str, Any]]]:
    """Return the predicted labels of each sample, the most likely first, at most `top` of them: logits (N, classes) →
    [[{"label": str, "probability": float}, …], …]."""
    probabilities = sigmoid(logits)
    predicted = predict_labels(probabilities, thresholds)
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    return [
        [{"label": labels[c], "probability": float(values[c])} for c in best if chosen[c]][:top]
        for values, chosen, best in zip(probabilities, predicted, order, strict=True)
    ]


def mark_unknown(
    found: list[list[dict[str, Any]]], logits: np.ndarray, rejection: Rejection
) -> list[list[dict[str, Any]]]:
    """Put {"label": "unknown", "score": float, "threshold": float} before the labels of each image that `rejection`
    rejects, of logits (N, classes)."""
    scores = rejection.scores(logits).tolist()
    marks = [{"label": UNKNOWN, "score": score, "threshold": rejection.threshold} for score in scores]
    rejected = rejection.rejects(logits)
    return [[mark, *each] if is_out else each for mark, each, is_out in zip(marks, found, rejected, strict=True)]


def require_rejection(card: ModelMetadata, name: object) -> Rejection:
    """Return the rejection rule of `card`. Raises UsageError where there is none: `name`, a run or a file, has never
    been calibrated."""
    if card.confidence.rejection is None:
        how = "kresnet calibrate sets one, in a run and in its exported files"
        words = how if card.postprocessor.has_one_label else "only classifiers with one label per image can have one"
        raise UsageError(f"{name} has no rule by which images are rejected as unknown; {words}")
    return card.confidence.rejection


def decode_predictions(
    card: ModelMetadata,
    outputs: Outputs,
    top: int | None,
    sizes: Sequence[tuple[int, int]],
    threshold: float | None = None,
    reject: bool = False,
) -> list[list[dict[str, Any]]]:
    """Decode the outputs for images of (width, height) `sizes` as the file's metadata say: see `top_k`,
    `postprocess.describe_objects`. Only what has at least the probability `threshold` is returned; None stands for the
    classes' own thresholds, `postprocess.DISPLAY_THRESHOLD` for objects where none were fitted, and no limit for the
    labels of a classifier.
    reject: whether "unknown" stands first for an image that is of none of the classes, see `mark_unknown`.

    Raises ExportError for outputs that mean nothing: numbers that are not finite, or of labels that are not there; and
    UsageError for `reject` with metadata that have no rule for it.
    """
    _require_valid_outputs(outputs, len(card.classes))
    postprocessor = card.postprocessor
    rejection = require_rejection(card, "the file") if reject else None
    if postprocessor.has_thresholds:
        thresholds = card.thresholds if threshold is None else [threshold] * len(card.classes)
        return label_sets(outputs, card.classes, thresholds, top)
    if postprocessor.has_one_label:
        best = top_k(outputs, card.classes, top or DEFAULT_TOP, card.confidence.temperature)
        found = [[each for each in labels if each["probability"] >= (threshold or 0)] for labels in best]
        return mark_unknown(found, outputs, rejection) if rejection else found
    rows = ({name: value[row] for name, value in outputs.items()} for row in range(len(sizes)))
    main, fitted = postprocessor.one_object, card.confidence.score_thresholds
    return [
        describe_objects(row, card.classes, card.cells, size, top, main, threshold, fitted)
        for row, size in zip(rows, sizes, strict=True)
    ]


def _require_valid_outputs(outputs: Outputs, classes: int) -> None:
    named = name_outputs(outputs)
    for name, values in named.items():
        if not np.isfinite(values).all():
            raise ExportError(f"the network's {name} are not finite: it has overflowed, or the file is damaged")
    numbers = named.get("classes", np.zeros(1))
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= classes:
        raise ExportError(f"the network names labels that the file does not have: it has {classes}")


def format_predictions(found: list[dict[str, Any]], nothing: str = "nothing") -> str:
    """Format one image's predictions in a line; `nothing` stands for none, see `Postprocessor.nothing`."""
    words = [
        _format_label(each) + (f" at {', '.join(f'{edge:g}' for edge in each['box'])}" if "box" in each else "")
        for each in found
    ]
    return ("; " if any("box" in each for each in found) else ", ").join(words) or nothing


def _format_label(found: dict[str, Any]) -> str:
    """Format a label with its probability; where it was rejected, with the score that is too low."""
    if "score" in found:
        return f"{found['label']} (score {found['score']:.2f}, threshold {found['threshold']:.2f})"
    return f"{found['label']} {found['probability']:.1%}"
