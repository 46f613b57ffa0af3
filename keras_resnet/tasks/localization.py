"""Localization as a task: which class the image's main object is of, and where it is (ILSVRC's second task)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from keras_resnet.metrics import confidence_interval
from keras_resnet.metrics.classification import calibration
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.iou import iou
from keras_resnet.metrics.result import Metrics, right_by_class
from keras_resnet.runtime.postprocess import MAX_GUESSES, decode_outputs
from keras_resnet.tasks.detection import RIGHT, Detection, in_pixels, rows_of


@dataclass(frozen=True)
class Localization(Detection):
    """Detection of the largest object alone, so without the finest level of the pyramid."""

    judged: ClassVar[tuple[str, ...]] = ("localized",)

    def encode(self, truth: dict[str, Any]) -> dict[str, Any]:
        """As detection, of the first object."""
        return {name: value[:, :1] for name, value in super().encode(truth).items()}

    def read(self, outputs: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> list[Prediction]:
        """Outputs of a batch as answers: the GUESSES surest classes of each image, each with its surest box."""
        rows = zip(rows_of(outputs), truth["sizes"].tolist(), strict=True)
        return [
            in_pixels(*decode_outputs(row, self.cells, guesses=MAX_GUESSES), (width, height))
            for row, (width, height) in rows
        ]

    def judge(self, answers: list[Prediction], truth: dict[str, np.ndarray]) -> Metrics:
        """The share of images whose first guess has the right class and a box that overlaps enough; beside it the share
        in which one of five has (Russakovsky et al. 2015, section 4.2), that of right classes alone, and the mean IoU
        of the first boxes."""
        labels, sides = truth["labels"][:, 0], truth["sizes"].max(axis=1)
        boxes = truth["boxes"][:, 0] * sides[:, None]
        overlap = [iou(answer.boxes, box[None]) for answer, box in zip(answers, boxes, strict=True)]
        guessed = [answer.labels == label for answer, label in zip(answers, labels, strict=True)]
        right = [same & (shared >= RIGHT) for same, shared in zip(guessed, overlap, strict=True)]
        correct = np.array([each[0] for each in right])
        details = {
            "top5": float(np.mean([each.any() for each in right])),
            "class": float(np.mean([each[0] for each in guessed])),
            "IoU": float(np.mean([each[0] for each in overlap])),
        }
        return Metrics(
            {"localized": float(correct.mean())}, right_by_class(correct, labels, self.classes), details, correct
        )

    def findings(self, evaluation: Any) -> dict[str, Any]:
        """What a report tells of an `evaluate.Evaluation`: the share localized "by_class", and the "calibration" of the
        first guesses (see `counted.calibration`)."""
        judged = evaluation.judgement
        images = np.bincount(evaluation.truth["labels"][:, 0], minlength=len(self.classes))
        rows = [
            {"label": name, "images": int(images[self.classes.index(name)]), "localized": share}
            for name, share in judged.by_class.items()
        ]
        sure = np.array([answer.scores[0] for answer in evaluation.answers])
        return {"by_class": rows, "calibration": calibration(sure, judged.correct)}

    def pictures(self, evaluation: Any, count: int) -> list[tuple[int, list[dict[str, Any]], str]]:
        """(image, the first guess, words) of the `count` surest mistakes."""
        answers, labels = evaluation.answers, evaluation.truth["labels"][:, 0]
        wrong = np.flatnonzero(~evaluation.judgement.correct)
        found = []
        for row in sorted(wrong, key=lambda row: -answers[row].scores[0])[:count]:
            answer, name = answers[row], self.classes[labels[row]]
            guess = {"label": self.classes[answer.labels[0]], "probability": float(answer.scores[0])}
            found.append((int(row), [{**guess, "box": answer.boxes[0].tolist()}], f"{guess['label']}, is {name}"))
        return found

    def drop_interval(self, name: str, before: Any, after: Any) -> tuple[float, float]:
        """The 95% interval of the drop in the share localized from one `evaluate.Evaluation` to another."""
        return confidence_interval.paired_proportion_ci(before.judgement.correct, after.judgement.correct)

    def agreement(self, ours: list[Prediction], theirs: list[Prediction]) -> float:
        """The share of images of which two models say the same class first, in boxes that overlap enough."""
        pairs = zip(ours, theirs, strict=True)
        return float(np.mean([a.labels[0] == b.labels[0] and iou(a.boxes[0], b.boxes[0]) >= RIGHT for a, b in pairs]))
