"""COCO's numbers for boxes and masks, by faster-coco-eval, which counts as pycocotools does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# In the order of COCOeval.stats.
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Prediction:
    """What was found in one image. boxes: (n, 4), left, top, right, bottom in its pixels; scores, labels: (n,); masks:
    counts of run-length codes, or nothing."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: tuple[bytes, ...] = ()


def coco_metrics(
    truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str], kind: str = "bbox"
) -> tuple[dict[str, float], dict[str, float]]:
    """(COCO's twelve numbers by name, AP by class) of `answers` on as many images, whose `truths` are
    `data.objects.Annotation`s.

    kind: "bbox" or "segm". Classes of which there is no object have no AP; numbers that count nothing are left out. AP
    is 0 where there are objects and nothing was found.
    """
    judge = _judged(truths, answers, classes, kind)
    named = {name: float(value) for name, value in zip(NAMES, judge.stats, strict=False) if value >= 0}
    precision = _precision(judge)
    by_class = {
        name: float(precision[:, :, number][precision[:, :, number] > -1].mean())
        for number, name in enumerate(classes)
        if (precision[:, :, number] > -1).any()
    }
    return named, by_class


def curves(
    truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str], kind: str = "bbox"
) -> dict[str, list[float]]:
    """Interpolated precision at 101 recalls, 0 to 1, of each class of which there are objects, at an overlap of one
    half."""
    at_half = _precision(_judged(truths, answers, classes, kind))[0]
    return {name: at_half[:, n].tolist() for n, name in enumerate(classes) if (at_half[:, n] > -1).any()}


def bootstrap_ap(
    truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str], kind: str = "bbox"
) -> Callable[[np.ndarray], float]:
    """A function from rows of the images, in which some may come several times, to COCO's AP of these: NaN if there is
    no object in them. They are as many as there are images; what was found is matched to what is there only once."""
    judge = _matching(truths, answers, classes, kind)
    # Only what AP counts: objects of all sizes, the most boxes of an image.
    judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], judge.params.areaRngLbl[:1]
    judge.params.maxDets = judge.params.maxDets[-1:]
    judge.evaluate()
    matched = np.empty((len(classes), len(truths)), object)
    matched.ravel()[:] = judge._evalImgs_cpp

    def ap(rows: np.ndarray) -> float:
        judge._evalImgs_cpp = matched[:, rows].ravel().tolist()
        judge.accumulate()
        counted = judge.eval["precision"][judge.eval["precision"] > -1]
        return float(counted.mean()) if counted.size else float("nan")

    return ap


def _judged(truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str], kind: str) -> Any:
    judge = _matching(truths, answers, classes, kind)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge


def _matching(truths: Sequence[Any], answers: Sequence[Prediction], classes: Sequence[str], kind: str) -> Any:
    """What evaluates `answers`. Matches stay apart from what is counted of them."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(_truth(truths, classes))
    found = (
        truth.loadRes(_found(truths, answers)) if any(len(each.labels) for each in answers) else COCO(_truth((), ()))
    )
    judge = COCOeval_faster(truth, found, kind, print_function=lambda *words: None, separate_eval=True)
    judge.params.imgIds = list(range(1, len(truths) + 1))
    return judge


def _precision(judge: Any) -> np.ndarray:
    """(thresholds, recalls, classes), of objects of all sizes, with 100 of an image at most."""
    return np.asarray(judge.eval["precision"][:, :, :, 0, -1])


def _truth(truths: Sequence[Any], classes: Sequence[str]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for number, each in enumerate(truths, 1):
        width, height = map(int, each.size)
        images.append({"id": number, "width": width, "height": height})
        for row, label in enumerate(each.labels):
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number,
                    "category_id": int(label) + 1,
                    "bbox": _xywh(each.boxes[row]),
                    "area": float(each.areas[row]),
                    "iscrowd": int(each.crowd[row]),
                    **({"segmentation": _code(each.masks[row], each.size)} if each.masks else {}),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return {"images": images, "annotations": objects, "categories": categories}


def _found(truths: Sequence[Any], answers: Sequence[Prediction]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": int(answer.labels[row]) + 1,
            "bbox": _xywh(answer.boxes[row]),
            "score": float(answer.scores[row]),
            **({"segmentation": _code(answer.masks[row], truth.size)} if answer.masks else {}),
        }
        for number, (truth, answer) in enumerate(zip(truths, answers, strict=True), 1)
        for row in range(len(answer.labels))
    ]


def _xywh(box: np.ndarray) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]


def _code(counts: bytes, size: tuple[int, int]) -> dict[str, Any]:
    return {"size": [int(size[1]), int(size[0])], "counts": counts}
