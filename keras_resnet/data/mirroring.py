"""Whether images may be mirrored in training, where nobody knows: asked of a quick classifier of small pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.config.image_size import ImageSize, height_and_width
from keras_resnet.data.dataset import Split
from keras_resnet.data.pipeline import sample_balanced_rows
from keras_resnet.metrics.confidence_interval import Z_95
from keras_resnet.runtime.image import center_crop, fit_picture, to_picture
from keras_resnet.runtime.plurals import counted

# The classifier sees at most so many images, of the classes that have most, in pixels of so small a side: seconds.
MAX_IMAGES = 1500
MAX_CLASSES = 100
SIDE = 16
FOLDS = 3
SEED = 0
# A support vector machine's: the penalty of what is on the wrong side. Of 0.1 to 10 it makes little difference.
SVM_C = 5.0
# Mirrored images keep their meaning if this share of what the classifier knows beyond guessing is left in a mirror.
MIN_KEPT_FRACTION = 0.5
# How likely it may be that images, or one of all classes (Bonferroni), lose by chance. Less than the usual 0.05:
# most photos may be mirrored, and a few dozen images are tried too.
SIGNIFICANCE = 0.01
# Smaller p-values are shown as less than this.
MIN_SHOWN_P = 0.001


@dataclass(frozen=True)
class FlipDecision:
    """Whether to mirror, and why."""

    flip: bool
    why: str


@dataclass(frozen=True)
class FlipTrial:
    """Which of the images, each unseen in training, were recognized: bool (count,). plain: as they are; mirrored: in a
    mirror, by a classifier that saw none; both: as they are, by one that saw mirrored copies of its training images.
    chance: the share of the largest class."""

    plain: np.ndarray
    mirrored: np.ndarray
    both: np.ndarray
    chance: float


def decide_flip(split: Split, image_size: ImageSize, classes: Sequence[str]) -> FlipDecision:
    """Decide by the training images `split` of `classes`, of which the network sees the center of `image_size` pixels.

    Against mirroring where a class is recognized less if mirrored copies are trained on (left and right arrows), or
    where mirrored images are hardly recognized (writing), both beyond chance; for it in any other case, as is usual.
    The answer depends on the images alone, so it is the same each time. Raises DataError if one cannot be read.
    """
    if split.label_sets is not None:
        return FlipDecision(True, "the default; not tried where an image has several labels")
    rows = _sample_rows(split)
    labels = split.labels[rows]
    if len(np.unique(labels)) < 2:
        return FlipDecision(True, f"the default; {FOLDS} images of each class would be needed to try it")
    return decide_from_trial(_try_flips(_shrink_images(split, rows, image_size), labels), labels, classes)


def decide_from_trial(answers: FlipTrial, labels: np.ndarray, classes: Sequence[str]) -> FlipDecision:
    """Return what the quick classifier's answers say of images with `labels` (count,) of `classes`."""
    plain, mirrored = float(answers.plain.mean()), float(answers.mirrored.mean())
    lead = plain - answers.chance
    images = counted(len(labels), "image")
    trial = f"in a quick trial a small classifier recognized {plain:.1%} of {images}"
    if lead <= 0 or lead <= Z_95 * math.sqrt(plain * (1 - plain) / len(labels)):
        return FlipDecision(True, "the default; a quick trial could not tell")
    if (harmed := _find_harmed_class(answers, labels)) is not None:
        label, p_value = harmed
        before, after = (float(each[labels == label].mean()) for each in (answers.plain, answers.both))
        why = (
            f"of class {classes[label]!r} it recognized {before:.1%}, but only {after:.1%} when trained on mirror"
            f" images too ({_format_p(p_value)})"
        )
        return FlipDecision(False, f"{trial}; {why}")
    if mirrored - answers.chance >= MIN_KEPT_FRACTION * lead:
        return FlipDecision(True, f"{trial}, and {mirrored:.1%} of their mirror images")
    p_value = _test_loss(answers)
    if p_value >= SIGNIFICANCE:
        doubt = f"too few images to tell ({_format_p(p_value)})"
        return FlipDecision(True, f"the default; {trial} and {mirrored:.1%} of their mirror images, {doubt}")
    return FlipDecision(False, f"{trial}, but only {mirrored:.1%} of their mirror images ({_format_p(p_value)})")


def _test_loss(answers: FlipTrial) -> float:
    """Return how likely it is by chance that a mirror leaves so much less than MIN_KEPT_FRACTION of what is recognized
    beyond guessing: the p-value of a one-sided t-test over images."""
    from scipy.stats import ttest_1samp

    kept = answers.mirrored - MIN_KEPT_FRACTION * answers.plain - (1 - MIN_KEPT_FRACTION) * answers.chance
    return float(ttest_1samp(kept, 0, alternative="less").pvalue) if kept.std() else 0.0


def _format_p(p_value: float) -> str:
    return f"p = {p_value:.1g}" if p_value >= MIN_SHOWN_P else f"p < {MIN_SHOWN_P:g}"


def _find_harmed_class(answers: FlipTrial, labels: np.ndarray) -> tuple[int, float] | None:
    """Return the class that loses most by mirrored copies, and the p-value of a sign test of its images, times the
    number of classes; None where none loses beyond chance."""
    from scipy.stats import binomtest

    lost, won = answers.plain & ~answers.both, answers.both & ~answers.plain
    p_values = {}
    for label in np.unique(labels):
        losses, gains = int(lost[labels == label].sum()), int(won[labels == label].sum())
        if losses:
            p_values[int(label)] = float(binomtest(gains, losses + gains, alternative="less").pvalue)
    worst = min(p_values, key=lambda label: p_values[label], default=None)
    if worst is None or (p_value := p_values[worst] * len(np.unique(labels))) >= SIGNIFICANCE:
        return None
    return worst, p_value


def _sample_rows(split: Split) -> np.ndarray:
    """Return rows of as many images of each class; none of classes that have fewer than FOLDS."""
    counts = np.bincount(split.labels)
    order = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
    chosen = np.sort(order[counts[order] >= FOLDS])
    per_class = max(FOLDS, MAX_IMAGES // max(1, len(chosen)))
    rows = sample_balanced_rows(split, per_class=per_class, classes=len(counts), seed=SEED)
    return rows[np.isin(split.labels[rows], chosen)]


def _shrink_images(split: Split, rows: np.ndarray, image_size: ImageSize) -> np.ndarray:
    """Return float32 (count, side, side, channels) in 0–1: one channel where all are the same."""
    side = min(SIDE, *height_and_width(image_size))
    seen = (split.pixels[row] if split.pixels is not None else split.read_pixels(row) for row in rows)
    centers = (to_picture(center_crop(pixels, image_size)) for pixels in seen)
    small = np.stack([fit_picture(each, "stretch", side, split.channels) for each in centers])
    if (small == small[..., :1]).all():
        small = small[..., :1]
    return small.astype(np.float32) / 255


def _try_flips(images: np.ndarray, labels: np.ndarray) -> FlipTrial:
    from sklearn.model_selection import StratifiedKFold

    count = len(labels)
    mirrors, images = images[:, :, ::-1].reshape(count, -1), images.reshape(count, -1)
    plain, mirrored, both = (np.zeros(count, bool) for _ in range(3))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for seen, unseen in folds.split(images, labels):
        machine = _fit_svm(images[seen], labels[seen])
        plain[unseen] = machine.predict(images[unseen]) == labels[unseen]
        mirrored[unseen] = machine.predict(mirrors[unseen]) == labels[unseen]
        machine = _fit_svm(np.concatenate([images[seen], mirrors[seen]]), np.concatenate([labels[seen]] * 2))
        both[unseen] = machine.predict(images[unseen]) == labels[unseen]
    return FlipTrial(plain, mirrored, both, float(np.bincount(labels).max()) / count)


def _fit_svm(images: np.ndarray, labels: np.ndarray) -> Any:
    from sklearn.svm import SVC

    return SVC(C=SVM_C).fit(images, labels)
