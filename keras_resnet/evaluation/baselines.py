"""Compare a model with baselines that need no network: the least that it has to beat on the validation images.

One predicts the same for every image. Of classifications one more sees some small pixels: extremely randomized trees
(Geurts et al. 2006), or of many classes the most similar training image.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.annotations import encode_rle
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.errors import DataError
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.outcome import ABOVE, NOT_ABOVE, UNCLEAR
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import show_activity
from keras_resnet.runtime.image import size_of, to_picture
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import Task

# Training images that trees learn from, and validation images on which a model and a baseline are compared; of
# detectors fewer, because the interval of a difference of mAP takes many evaluations.
MAX_TRAIN_IMAGES, MAX_IMAGES, MAX_DETECTION_IMAGES = 2000, 1000, 300
# Time to read the images of one split that are not kept in memory.
MAX_SECONDS = 5.0
# The longest side of the pixels that trees see, how many trees there are, and up to how many classes: their memory
# grows with these.
SIDE, TREES, MAX_TREE_CLASSES = 24, 50, 100
SEED = 0


@dataclass(frozen=True)
class BaselineComparison:
    """How a model compares with a baseline on the same validation images.

    baseline: what predicts, in words. trivial: whether it predicts the same for every image. value, model_value: the
    metric of both, 0–1. lead: of the model over the baseline, with its 95% interval. standing: "above" where the whole
    interval is above 0, "not above" where not even the lead is, else "unclear".
    """

    baseline: str
    trivial: bool
    metric: str
    value: float
    model_value: float
    lead: float
    lead_interval: tuple[float, float]
    images: int
    standing: str

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class _Baseline:
    """A baseline's predictions, as the task's `postprocess` makes them, for the validation images at `rows`."""

    name: str
    trivial: bool
    rows: np.ndarray
    predictions: list[Any]


def compare_with_baselines(task: Task, data: DatasetSplits, evaluation: Evaluation) -> tuple[BaselineComparison, ...]:
    """Compare a model, by its `evaluation` on the validation images of `data`, with what needs no network; the constant
    prediction first. Returns nothing where the images compared have nothing to score by."""
    train, validation = data.splits["train"], data.splits["validation"]
    most = MAX_IMAGES if validation.objects is None else MAX_DETECTION_IMAGES
    rows = np.random.default_rng(SEED).permutation(validation.count)[:most]
    with show_activity("comparing with baselines"):
        if validation.label_sets is not None:
            baselines = list(_label_set_baselines(task, train, validation, evaluation, rows))
        elif validation.objects is not None:
            baselines = [_median_boxes(task, train, evaluation.ground_truth, np.sort(rows))]
        else:
            baselines = [_most_frequent_class(data.classes, train, np.sort(rows))]
            baselines.extend(_small_pixel_classifiers(data.classes, train, validation, rows))
        try:
            return tuple(_compare(task, evaluation, each) for each in baselines)
        except DataError:
            return ()


def _compare(task: Task, evaluation: Evaluation, baseline: _Baseline) -> BaselineComparison:
    model_predictions = [evaluation.predictions[row] for row in baseline.rows]
    model = _evaluate_rows(task, model_predictions, evaluation.ground_truth, baseline.rows)
    other = _evaluate_rows(task, baseline.predictions, evaluation.ground_truth, baseline.rows)
    lead, interval = model.value - other.value, task.drop_confidence_interval(model.metric, model, other)
    return BaselineComparison(
        baseline=baseline.name,
        trivial=baseline.trivial,
        metric=model.metric,
        value=other.value,
        model_value=model.value,
        lead=lead,
        lead_interval=interval,
        images=len(baseline.rows),
        standing=ABOVE if interval[0] > 0 else UNCLEAR if lead > 0 else NOT_ABOVE,
    )


def _evaluate_rows(
    task: Task, predictions: list[Any], ground_truth: np.ndarray | dict[str, np.ndarray], rows: np.ndarray
) -> Evaluation:
    """Score predictions for the images at `rows` only."""
    if isinstance(ground_truth, dict):
        chosen: Any = {name: value[rows] for name, value in ground_truth.items()}
    else:
        chosen = ground_truth[rows]
    return Evaluation(task.compute_metrics(predictions, chosen), predictions, None, chosen)


def _most_frequent_class(classes: tuple[str, ...], train: Split, rows: np.ndarray) -> _Baseline:
    """Predict the most frequent class of the training images for every image."""
    label = int(np.bincount(train.labels[train.labels >= 0], minlength=len(classes)).argmax())
    logits = np.zeros(len(classes), np.float32)
    logits[label] = 1
    return _Baseline(f"always predicting {classes[label]!r}", True, rows, [logits] * len(rows))


def _small_pixel_classifiers(
    classes: tuple[str, ...], train: Split, validation: Split, rows: np.ndarray
) -> Iterator[_Baseline]:
    """Fit a classifier of scikit-learn to small pixels; yield nothing where too little could be read in time."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.neighbors import KNeighborsClassifier

    train_rows, train_pixels = _read_small_pixels(
        train, np.random.default_rng(SEED).permutation(train.count)[:MAX_TRAIN_IMAGES]
    )
    validation_rows, pixels = _read_small_pixels(validation, rows)
    if len(np.unique(train.labels[train_rows])) < 2 or not len(validation_rows):
        return
    if len(classes) <= MAX_TREE_CLASSES:
        model, name = ExtraTreesClassifier(TREES, random_state=SEED), f"an extra-trees classifier of {TREES} trees"
    else:
        model = KNeighborsClassifier(1, algorithm="brute")
        name = f"the most similar of {counted(len(train_rows), 'training image', ',')}"
    model.fit(train_pixels, train.labels[train_rows])
    side = round((train_pixels.shape[1] / train.channels) ** 0.5)
    predictions = np.zeros((len(pixels), len(classes)), np.float32)
    predictions[np.arange(len(pixels)), model.predict(pixels)] = 1
    yield _Baseline(f"{name} on {side} × {side} pixels", False, validation_rows, list(predictions))


def _label_set_baselines(
    task: Task, train: Split, validation: Split, evaluation: Evaluation, rows: np.ndarray
) -> Iterator[_Baseline]:
    """Predict, of several labels an image, how frequent each is in training for every image; and what classification
    trees see in small pixels, if enough could be read in time."""
    from sklearn.ensemble import ExtraTreesRegressor

    assert train.label_sets is not None
    outputs = np.repeat(_to_logits(train.label_sets.mean(axis=0))[None], len(rows), axis=0)
    truth = evaluation.ground_truth
    yield _Baseline("always predicting the most frequent labels", True, rows, task.postprocess(outputs, truth[rows]))
    train_rows, train_pixels = _read_small_pixels(
        train, np.random.default_rng(SEED).permutation(train.count)[:MAX_TRAIN_IMAGES]
    )
    read_rows, pixels = _read_small_pixels(validation, rows)
    if not len(train_rows) or not len(read_rows) or len(task.classes) > MAX_TREE_CLASSES:
        return
    # The mean over trees of a label's 0 and 1 is its probability.
    model = ExtraTreesRegressor(TREES, max_features="sqrt", random_state=SEED)
    trees = model.fit(train_pixels, train.label_sets[train_rows])
    predictions = task.postprocess(_to_logits(trees.predict(pixels)), truth[read_rows])
    side = round((train_pixels.shape[1] / 3) ** 0.5)
    yield _Baseline(
        f"an extra-trees regressor of {TREES} trees on {side} × {side} pixels", False, read_rows, predictions
    )


def _to_logits(probabilities: np.ndarray) -> np.ndarray:
    """Return the logits of probabilities, which stay finite at 0 and 1."""
    kept = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(kept / (1 - kept)))


def _read_small_pixels(split: Split, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (those of `rows` that could be read in time, their pixels made small: float32 (N, side × side × C))."""
    until = time.monotonic() + MAX_SECONDS
    read: list[int] = []
    pixels: list[np.ndarray] = []
    for row in rows.tolist():
        if split.pixels is None and time.monotonic() > until:
            break
        try:
            image = to_picture(split.pixels[row] if split.pixels is not None else split.read_pixels(row))
        except DataError:  # which was logged when the data were opened
            continue
        side = min(SIDE, *size_of(image))
        parts = image if isinstance(image, tuple) else (image,)
        pixels.append(
            np.dstack([np.asarray(part.resize((side, side), Image.Resampling.BOX)) for part in parts]).ravel()
        )
        read.append(row)
    return np.array(read, np.int64), np.array(pixels, np.float32)


def _median_boxes(task: Task, train: Split, ground_truth: dict[str, np.ndarray], rows: np.ndarray) -> _Baseline:
    """Predict the same objects for every image: one of each class, with the median box of the largest objects of the
    training images, as confident as the class is frequent among these. Its mask, where there are masks, is the box."""
    assert train.objects is not None
    labels, boxes = train.objects.labels[:, 0], train.objects.boxes[:, 0]
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    known, scores = known[order], (counts[order] / counts.sum()).astype(np.float32)
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], known)
    parts = [by_class[start : start + count] for start, count in zip(starts, counts[order], strict=True)]
    medians = np.stack([np.median(boxes[of_class], axis=0) for of_class in parts])
    by_size: dict[tuple[int, int], Prediction] = {}
    for width, height in np.unique(ground_truth["sizes"][rows], axis=0).tolist():
        scaled = (medians * max(width, height)).clip(0, (width, height, width, height)).astype(np.float32)
        masks = tuple(_box_mask(box, width, height) for box in scaled) if task.has_masks else ()
        by_size[width, height] = Prediction(scaled, scores, known, masks)
    predictions = [by_size[width, height] for width, height in ground_truth["sizes"][rows].tolist()]
    return _Baseline("the median box of each class", True, rows, predictions)


def _box_mask(box: np.ndarray, width: int, height: int) -> bytes:
    """Return the run-length code of a mask that fills the box."""
    mask = np.zeros((height, width), bool)
    left, top, right, bottom = np.round(box).astype(int)
    mask[top:bottom, left:right] = True
    return encode_rle(mask)
