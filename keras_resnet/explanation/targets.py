"""Choose which score a heat map explains: that of a class or a label, or of one object that a detector finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import UsageError, did_you_mean, one_of_sentence
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.postprocess import (
    MAX_GUESSES,
    Detections,
    decode_outputs,
    decode_top_object,
    display_thresholds,
    scale_boxes,
)
from keras_resnet.runtime.predictions import decode_predictions, sigmoid
from keras_resnet.runtime.video import is_video

# Labels that a message lists.
MAX_NAMED = 20


class MissingObjectError(UsageError):
    """An image has no object of the number that was asked for."""


@dataclass(frozen=True)
class Target:
    """What a heat map explains. output: the name of the model's output with the score; place: the score's place in it,
    (class,) or (location, class). box: of the object, left, top, right, bottom in pixels of the image; cells: the
    positions to a side of the pyramid's level that it was found on. is_predicted: whether the network predicts it."""

    label: str
    probability: float
    output: str
    place: tuple[int, ...]
    is_predicted: bool = True
    box: tuple[float, float, float, float] | None = None
    cells: int | None = None


@dataclass(frozen=True)
class Question:
    """What is asked for: the score of `label`, or of the `number`-th object that is found, the most confident one being
    1; by default of what is predicted first."""

    label: str | None = None
    number: int | None = None

    def require_valid(self, card: ModelMetadata) -> None:
        """Raise UsageError for a label that the network does not have, and for a number of what has no objects."""
        if self.label is not None and self.number is not None:
            raise UsageError("--label and --object both say what is explained: give one of them")
        if self.label is not None and self.label not in card.classes:
            raise UsageError(_describe_unknown_label(self.label, card.classes))
        if self.number is not None and (not card.postprocessor.has_boxes or card.postprocessor.one_object):
            raise UsageError(f"--object is for networks that find several objects; the task of this one is {card.task}")


def refuse_video(name: str) -> None:
    """Raise UsageError for a video, of which no heat map is made."""
    if is_video(name):
        raise UsageError(f"--explain is for images; {name} is a video")


def _describe_unknown_label(label: str, classes: Sequence[str]) -> str:
    if len(classes) <= MAX_NAMED:
        return one_of_sentence("--label", label, classes)
    near = did_you_mean(label, classes)
    labels = counted(len(classes), "label", ",")
    return f"--label must be one of the network's {labels}. Received: {label!r}{near and '.'}{near}"


def choose_target(
    card: ModelMetadata, outputs: dict[str, np.ndarray], size: tuple[int, int], question: Question
) -> Target:
    """Choose the score that the heat map of one image is made of.

    outputs: of this image alone, by name, without the axis of the batch. size: (width, height) of the image. Raises
    MissingObjectError for the number of an object that is not found.
    """
    choose = _choose_object if card.postprocessor.has_boxes else _choose_label
    return choose(card, outputs, size, question)


def _choose_label(
    card: ModelMetadata, outputs: dict[str, np.ndarray], size: tuple[int, int], question: Question
) -> Target:
    ((name, logits),) = outputs.items()
    found = decode_predictions(card, logits[None], len(card.classes), [size])[0]
    label = question.label or (found[0]["label"] if found else card.classes[int(logits.argmax())])
    number = card.classes.index(label)
    predicted = {each["label"]: each["probability"] for each in found}
    probability = predicted.get(label, float(sigmoid(logits)[number]))
    is_predicted = label in predicted if card.postprocessor.has_thresholds else label == found[0]["label"]
    return Target(label, probability, name, (number,), is_predicted)


def _choose_object(
    card: ModelMetadata, outputs: dict[str, np.ndarray], size: tuple[int, int], question: Question
) -> Target:
    main = card.postprocessor.one_object
    found, _ = decode_outputs(
        {name: outputs[name] for name in ("scores", "distances")},
        card.cells,
        display_thresholds(card.confidence.score_thresholds),
        MAX_GUESSES if main else 0,
    )
    if question.number is not None and question.number > len(found.labels):
        raise MissingObjectError(
            f"--object must be 1 to {len(found.labels)}, for so many objects are found in the image."
            f" Received: {question.number}"
            if len(found.labels)
            else f"--object {question.number} is not there: no object is found in the image"
        )
    rows = np.arange(len(found.labels))
    if question.label is not None:
        rows = np.flatnonzero(found.labels == card.classes.index(question.label))
    if len(rows):
        return _describe(card, found, int(rows[(question.number or 1) - 1]), size)
    # Nothing of the kind is found: what comes next to it.
    guesses = decode_top_object(outputs["scores"], outputs["distances"], card.cells, len(card.classes))
    wanted = card.classes.index(question.label) if question.label is not None else guesses.labels[0]
    return _describe(card, guesses, int(np.flatnonzero(guesses.labels == wanted)[0]), size, is_predicted=False)


def _describe(
    card: ModelMetadata, found: Detections, row: int, size: tuple[int, int], is_predicted: bool = True
) -> Target:
    label, location = int(found.labels[row]), int(found.locations[row])
    left, top, right, bottom = (round(float(edge), 1) for edge in scale_boxes(found.boxes[row : row + 1], size)[0])
    ends = np.cumsum(np.square(card.cells))
    return Target(
        card.classes[label],
        float(found.scores[row]),
        "scores",
        (location, label),
        is_predicted,
        (left, top, right, bottom),
        int(card.cells[int(np.searchsorted(ends, location, side="right"))]),
    )
