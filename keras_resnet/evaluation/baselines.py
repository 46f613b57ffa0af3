"""What the validation images are answered without a network: the least that a model has to be better than.

An answer that is the same for every image, and for classification trees that see some small pixels; of many classes the
training image that is most similar in these."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from keras_resnet.data.annotations import encoded_mask
from keras_resnet.data.dataset import DatasetSplits, Split
from keras_resnet.errors import DataError
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.metrics.coco import Prediction
from keras_resnet.metrics.outcome import ABOVE, NOT_ABOVE, UNCLEAR
from keras_resnet.progress import waiting
from keras_resnet.runtime.plurals import counted

# Training images that trees learn from, and validation images on which a model and a baseline are compared; of
# detectors fewer, because the interval of a difference of mAP takes many evaluations.
LEARNED, COMPARED, COMPARED_OBJECTS = 2000, 1000, 300
# For reading the images of one split that are not kept in memory.
SECONDS = 5.0
# The longest side of the pixels that trees see, how many trees there are, and up to how many classes: their memory
# grows with these.
SIDE, TREES, CLASSES = 16, 50, 100
SEED = 0


@dataclass(frozen=True)
class Standing:
    """How a model stands to a baseline on the same validation images.

    baseline: what answers, in words. trivial: whether it gives every image the same answer. value, model_value: the
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
        """As a JSON object."""
        return asdict(self)


def standings_of(task: Any, data: DatasetSplits, evaluation: Evaluation) -> tuple[Standing, ...]:
    """How a model that gave `evaluation` on the validation images of `data` stands to what needs no network; the answer
    that is the same for every image first. Nothing where the images compared show nothing to judge by."""
    train, judged = data.splits["train"], data.splits["validation"]
    most = COMPARED if judged.objects is None else COMPARED_OBJECTS
    rows = np.random.default_rng(SEED).permutation(judged.count)[:most]
    with waiting("comparing with baselines"):
        if judged.objects is not None:
            found = [_usual_boxes(task, train, evaluation.truth, np.sort(rows))]
        else:
            found = [_usual_class(data.classes, train, np.sort(rows)), *_trees(data.classes, train, judged, rows)]
        try:
            return tuple(_standing(task, evaluation, each) for each in found)
        except DataError:
            return ()


@dataclass(frozen=True)
class _Answered:
    """answers: of a baseline, as the task reads a network's, to the validation images at `rows`."""

    baseline: str
    trivial: bool
    rows: np.ndarray
    answers: list[Any]


def _standing(task: Any, evaluation: Evaluation, found: _Answered) -> Standing:
    ours = _judged(task, [evaluation.answers[row] for row in found.rows], evaluation.truth, found.rows)
    theirs = _judged(task, found.answers, evaluation.truth, found.rows)
    lead, interval = ours.value - theirs.value, task.drop_interval(ours.metric, ours, theirs)
    return Standing(
        baseline=found.baseline,
        trivial=found.trivial,
        metric=ours.metric,
        value=theirs.value,
        model_value=ours.value,
        lead=lead,
        lead_interval=interval,
        images=len(found.rows),
        standing=ABOVE if interval[0] > 0 else UNCLEAR if lead > 0 else NOT_ABOVE,
    )


def _judged(task: Any, answers: list[Any], truth: Any, rows: np.ndarray) -> Evaluation:
    """Those of `truth` at `rows`, answered."""
    theirs = {name: value[rows] for name, value in truth.items()} if isinstance(truth, dict) else truth[rows]
    return Evaluation(task.judge(answers, theirs), answers, None, theirs)


def _usual_class(classes: tuple[str, ...], train: Split, rows: np.ndarray) -> _Answered:
    """The most frequent class of the training images, of every image."""
    usual = int(np.bincount(train.labels[train.labels >= 0], minlength=len(classes)).argmax())
    logits = np.zeros(len(classes), np.float32)
    logits[usual] = 1
    return _Answered(f"answering {classes[usual]!r} always", True, rows, [logits] * len(rows))


def _trees(classes: tuple[str, ...], train: Split, judged: Split, rows: np.ndarray) -> Iterator[_Answered]:
    """What scikit-learn makes of small pixels; nothing where too little could be read in time."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.neighbors import KNeighborsClassifier

    learned, pixels = _small(train, np.random.default_rng(SEED).permutation(train.count)[:LEARNED])
    seen, theirs = _small(judged, rows)
    if len(np.unique(train.labels[learned])) < 2 or not len(seen):
        return
    few = len(classes) <= CLASSES
    model = ExtraTreesClassifier(TREES, random_state=SEED) if few else KNeighborsClassifier(1, algorithm="brute")
    model.fit(pixels, train.labels[learned])
    what = (
        f"a forest of {TREES} trees" if few else f"the most similar of {counted(len(learned), 'training image', ',')}"
    )
    side = round((pixels.shape[1] / 3) ** 0.5)
    answers = list(np.eye(len(classes), dtype=np.float32)[model.predict(theirs)])
    yield _Answered(f"{what} on {side} × {side} pixels", False, seen, answers)


def _small(split: Split, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(those of `rows` that could be read in time, their pixels made small: uint8 (N, side × side × 3))."""
    until, read, pixels = time.monotonic() + SECONDS, [], []
    for row in rows.tolist():
        if split.pixels is None and time.monotonic() > until:
            break
        try:
            image = Image.fromarray(split.pixels[row] if split.pixels is not None else split.pixels_at(row))
        except DataError:  # which was told when the data were opened
            continue
        side = min(SIDE, image.width)
        pixels.append(np.asarray(image.resize((side, side), Image.Resampling.BOX)).ravel())
        read.append(row)
    return np.array(read, np.int64), np.array(pixels, np.float32)


def _usual_boxes(task: Any, train: Split, truth: dict[str, np.ndarray], rows: np.ndarray) -> _Answered:
    """Of every image the same objects: one of each class, in the middle of where the largest objects of the training
    images are, as sure as the class is frequent among these. Its mask, where there are masks, is the box."""
    assert train.objects is not None
    labels, boxes = train.objects.labels[:, 0], train.objects.boxes[:, 0]
    known, counts = np.unique(labels[labels >= 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    known, scores = known[order], counts[order] / counts.sum()
    usual = np.stack([np.median(boxes[labels == label], axis=0) for label in known])
    masks: dict[tuple[int, int], tuple[bytes, ...]] = {}

    def answer(width: int, height: int) -> Prediction:
        found = (usual * max(width, height)).clip(0, (width, height, width, height)).astype(np.float32)
        if task.kind == "segm" and (width, height) not in masks:
            masks[width, height] = tuple(_filled(box, width, height) for box in found)
        return Prediction(found, scores.astype(np.float32), known, masks.get((width, height), ()))

    answers = [answer(int(width), int(height)) for width, height in truth["sizes"][rows]]
    return _Answered("the usual box of each class", True, rows, answers)


def _filled(box: np.ndarray, width: int, height: int) -> bytes:
    """A mask of the whole box."""
    mask = np.zeros((height, width), bool)
    left, top, right, bottom = np.round(box).astype(int)
    mask[top:bottom, left:right] = True
    return encoded_mask(mask)
