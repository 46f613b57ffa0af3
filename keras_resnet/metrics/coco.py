"""Compute COCO's metrics of boxes and masks, by faster-coco-eval, which counts as pycocotools does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from faster_coco_eval import COCOeval_faster

# In the order of COCOeval.stats.
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Prediction:
    """The objects predicted in one image. boxes: (n, 4), left, top, right, bottom in its pixels; scores, labels: (n,);
    masks: counts of run-length codes, or nothing."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: tuple[bytes, ...] = ()


class ImageObjects(Protocol):
    """The objects annotated in one image: see `data.annotations.Annotation`."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""

    @property
    def boxes(self) -> np.ndarray:
        """(n, 4), left, top, right, bottom in pixels."""

    @property
    def labels(self) -> np.ndarray:
        """(n,)."""

    @property
    def iscrowd(self) -> np.ndarray:
        """bool (n,)."""

    @property
    def areas(self) -> np.ndarray:
        """(n,), in pixels."""

    @property
    def masks(self) -> tuple[bytes, ...]:
        """Counts of run-length codes, or nothing."""


def coco_metrics(
    annotations: Sequence[ImageObjects],
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    iou_type: str = "bbox",
) -> tuple[dict[str, float], dict[str, float]]:
    """Compute (COCO's twelve numbers by name, AP by class) of `predictions` on as many images.

    iou_type: "bbox" or "segm". Classes of which there is no object have no AP; numbers that count nothing are left out.
    AP is 0 where there are objects and nothing is predicted.
    """
    coco_eval = _evaluate(annotations, predictions, classes, iou_type)
    numbers = {name: float(value) for name, value in zip(NAMES, coco_eval.stats, strict=False) if value >= 0}
    precision = _precision(coco_eval)
    by_class = {
        name: float(precision[:, :, label][precision[:, :, label] > -1].mean())
        for label, name in enumerate(classes)
        if (precision[:, :, label] > -1).any()
    }
    return numbers, by_class


def precision_recall_curves(
    annotations: Sequence[ImageObjects],
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    iou_type: str = "bbox",
) -> dict[str, list[float]]:
    """Return interpolated precision at 101 recalls, 0 to 1, of each class of which there are objects, at an IoU of
    0.5."""
    precision = _precision(_evaluate(annotations, predictions, classes, iou_type))[0]
    return {
        name: precision[:, label].tolist() for label, name in enumerate(classes) if (precision[:, label] > -1).any()
    }


def compute_overlaps(annotation: ImageObjects, prediction: Prediction, iou_type: str = "bbox") -> np.ndarray:
    """Compute the IoU (predictions, objects) in one image as COCO does: of a crowd, the share of the prediction in
    it."""
    from faster_coco_eval import mask

    if not len(prediction.labels) or not len(annotation.labels):
        return np.zeros((len(prediction.labels), len(annotation.labels)))
    ours: Any
    theirs: Any
    both = prediction, annotation
    if iou_type == "segm":
        ours, theirs = ([_run_length_code(counts, annotation.size) for counts in each.masks] for each in both)
    else:
        ours, theirs = (np.array([_xyxy_to_xywh(box) for box in each.boxes], float) for each in both)
    return np.asarray(mask.iou(ours, theirs, annotation.iscrowd.astype(np.uint8).tolist()), float)


def bootstrap_ap(
    annotations: Sequence[ImageObjects],
    predictions: Sequence[Prediction],
    classes: Sequence[str],
    iou_type: str = "bbox",
) -> Callable[[np.ndarray], float]:
    """Return a function from rows of the images, in which some may come several times, to COCO's AP of these: NaN if
    there is no object in them. The rows are as many as there are images; boxes are matched only once."""
    coco_eval = _create_evaluator(annotations, predictions, classes, iou_type)
    # Only what AP counts: objects of all sizes, the most boxes of an image.
    params = coco_eval.params
    params.areaRng, params.areaRngLbl, params.maxDets = params.areaRng[:1], params.areaRngLbl[:1], params.maxDets[-1:]
    coco_eval.evaluate()
    matches = np.empty((len(classes), len(annotations)), object)
    matches.ravel()[:] = coco_eval._evalImgs_cpp

    def average_precision(rows: np.ndarray) -> float:
        coco_eval._evalImgs_cpp = matches[:, rows].ravel().tolist()
        coco_eval.accumulate()
        precision = coco_eval.eval["precision"]
        counted = precision[precision > -1]
        return float(counted.mean()) if counted.size else float("nan")

    return average_precision


def _evaluate(
    annotations: Sequence[ImageObjects], predictions: Sequence[Prediction], classes: Sequence[str], iou_type: str
) -> COCOeval_faster:
    """Match, accumulate and summarize."""
    coco_eval = _create_evaluator(annotations, predictions, classes, iou_type)
    coco_eval.evaluate()
    coco_eval.accumulate()
    coco_eval.summarize()
    return coco_eval


def _create_evaluator(
    annotations: Sequence[ImageObjects], predictions: Sequence[Prediction], classes: Sequence[str], iou_type: str
) -> COCOeval_faster:
    """Create a COCOeval. Its matches stay apart from what is counted of them."""
    from faster_coco_eval import COCO, COCOeval_faster

    ground_truth = COCO(_annotation_document(annotations, classes))
    has_predictions = any(len(each.labels) for each in predictions)
    results = (
        ground_truth.loadRes(_result_rows(annotations, predictions))
        if has_predictions
        else COCO(_annotation_document((), ()))
    )
    coco_eval = COCOeval_faster(ground_truth, results, iou_type, print_function=lambda *words: None, separate_eval=True)
    coco_eval.params.imgIds = list(range(1, len(annotations) + 1))
    return coco_eval


def _precision(coco_eval: COCOeval_faster) -> np.ndarray:
    """Return (thresholds, recalls, classes), of objects of all sizes, with 100 of an image at most."""
    return np.asarray(coco_eval.eval["precision"][:, :, :, 0, -1])


def _annotation_document(annotations: Sequence[ImageObjects], classes: Sequence[str]) -> dict[str, Any]:
    """Return COCO's JSON of annotated images."""
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for number, each in enumerate(annotations, 1):
        width, height = map(int, each.size)
        images.append({"id": number, "width": width, "height": height})
        for row, label in enumerate(each.labels):
            objects.append(
                {
                    "id": len(objects) + 1,
                    "image_id": number,
                    "category_id": int(label) + 1,
                    "bbox": _xyxy_to_xywh(each.boxes[row]),
                    "area": float(each.areas[row]),
                    "iscrowd": int(each.iscrowd[row]),
                }
            )
            if each.masks:
                objects[-1]["segmentation"] = _run_length_code(each.masks[row], each.size)
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return {"images": images, "annotations": objects, "categories": categories}


def _result_rows(annotations: Sequence[ImageObjects], predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    """Return COCO's JSON of results."""
    rows: list[dict[str, Any]] = []
    for number, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True), 1):
        for row in range(len(prediction.labels)):
            rows.append(
                {
                    "image_id": number,
                    "category_id": int(prediction.labels[row]) + 1,
                    "bbox": _xyxy_to_xywh(prediction.boxes[row]),
                    "score": float(prediction.scores[row]),
                }
            )
            if prediction.masks:
                rows[-1]["segmentation"] = _run_length_code(prediction.masks[row], annotation.size)
    return rows


def _xyxy_to_xywh(box: np.ndarray) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]


def _run_length_code(counts: bytes, size: tuple[int, int]) -> dict[str, Any]:
    return {"size": [int(size[1]), int(size[0])], "counts": counts}
