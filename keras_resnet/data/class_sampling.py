"""How often an epoch shows each class, where images are not shown once each; and what a class's images weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    import tensorflow as tf

# Of the cipher that shuffles. With 8 an order could not be told from a random one; twice as many cost nothing.
SHUFFLE_ROUNDS = 16
# The share of an epoch that a class gets, in proportion to this power of the number of its images.
POWERS = {"natural": 1.0, "sqrt": 0.5, "balanced": 0.0}
# Where the largest class has more than so many times the images of the smallest, rare classes are easily missed.
UNEQUAL = 10
# What class weights and sampling cost, to be said wherever they are advised.
CLASS_WEIGHTS_TRADE = "macro recall usually rises; top-1 accuracy may fall"


@dataclass(frozen=True)
class ClassSampler:
    """Chooses the images of an epoch by class. It shows images (count,) as often as there are images.

    order: their rows by class. starts, sizes, shown: where each class begins in `order`, how many images it has, and
    how many times an epoch shows one of them; int64 (classes,) of the classes that have images.
    """

    order: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    shown: np.ndarray

    def choose(self, places: tf.Tensor, epoch: tf.Tensor, seed: int) -> tf.Tensor:
        """Return the rows of the images at `places`, int64 (N,), of an `epoch`.

        Over the epochs a class shows each of its images before one of them comes again: an order of their own in every
        round.
        """
        import tensorflow as tf

        ends = np.cumsum(self.shown)
        of_class = tf.searchsorted(tf.constant(ends), places, side="right", out_type=tf.int64)
        first, size, times = (tf.gather(tf.constant(each), of_class) for each in (self.starts, self.sizes, self.shown))
        number = epoch * times + places - tf.gather(tf.constant(ends - self.shown), of_class)
        keys = tf.stack([tf.fill(tf.shape(places), tf.constant(seed, tf.int64)), number // size, of_class], axis=1)
        place = tf.raw_ops.RandomIndexShuffle(index=number % size, seed=keys, max_index=size - 1, rounds=SHUFFLE_ROUNDS)
        return tf.gather(tf.constant(self.order), first + place)


def create_sampler(labels: np.ndarray, sampling: str) -> ClassSampler | None:
    """Return the sampler of images with `labels` (count,); None of natural sampling, which shows each image once."""
    if sampling == "natural":
        return None
    order = np.argsort(labels, kind="stable").astype(np.int64)
    sizes = np.unique(labels, return_counts=True)[1].astype(np.int64)
    return ClassSampler(order, np.cumsum(sizes) - sizes, sizes, count_shown(sizes, sampling))


def count_shown(sizes: np.ndarray, sampling: str) -> np.ndarray:
    """Return how many images of each class, of which there are `sizes` (classes,), an epoch shows: int64 (classes,), in
    sum as many as there are images, and of every class one or more."""
    if sampling == "natural":
        return np.asarray(sizes, np.int64)
    shares = sizes ** POWERS[sampling] / (sizes ** POWERS[sampling]).sum()
    exact = shares * sizes.sum()
    shown = np.maximum(1, np.floor(exact)).astype(np.int64)
    # What rounding left over goes to the classes that lost most by it, or is taken from the largest.
    while shown.sum() > sizes.sum():
        shown[shown.argmax()] -= 1
    lost = np.argsort(shown - exact, kind="stable")
    shown[lost[: sizes.sum() - shown.sum()]] += 1
    return np.asarray(shown)


def weigh_classes(sizes: np.ndarray, shown: np.ndarray, how: str) -> np.ndarray:
    """Return the weights of classes in the loss, float64 (classes,), whose mean over the images shown is 1.

    "balanced": in proportion to 1 / images shown. "effective": to 1 / the effective number of images, which is
    (1 - βⁿ) / (1 - β) with β = (N - 1) / N for N images in all (Cui et al. 2019, section 3.2 and equation 3). A class
    without images weighs as much as one with a single one.
    """
    counts = np.maximum(shown, 1).astype(np.float64)
    if how == "effective":
        beta = (sizes.sum() - 1) / sizes.sum()
        counts = (1 - beta**counts) / (1 - beta)
    weights = 1 / counts
    return np.asarray(weights * shown.sum() / (weights * shown).sum())


def describe_imbalance(classes: tuple[str, ...], sizes: np.ndarray) -> str:
    """Say which class has how many images, where the smallest of those that have some has less than a tenth of the
    largest; else ""."""
    present = np.flatnonzero(sizes)
    small, large = present[sizes[present].argmin()], present[sizes[present].argmax()]
    if sizes[small] * UNEQUAL >= sizes[large]:
        return ""
    return (
        f"the classes are unequal: {classes[small]!r} has {counted(sizes[small], 'training image', ',')},"
        f" {classes[large]!r} {sizes[large]:,}, {sizes[large] / sizes[small]:.0f} times as many"
    )
