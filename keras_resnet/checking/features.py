"""Features of images at the depths of a network, from the ends of its stages to its classifier.

The last features of a network that has learned its training images by heart tell their labels, wrong ones too; those
of its inner stages do not yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.config.image_size import ImageSize
from keras_resnet.data import pipeline
from keras_resnet.data.dataset import Split
from keras_resnet.progress import track

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 64
# A stage ends where maps get smaller than this share of its first one: padding and convolutions without it change sizes
# by a few pixels, strides and poolings halve them.
STAGE_SHRINKS = 0.75


@dataclass(frozen=True)
class Features:
    """What a network makes of N images. stages: of each stage the mean and the maximum of every channel of its last
    map, (N, 2 C); last: what its classifier sees, (N, F); outputs: its logits, (N, classes). float32."""

    stages: tuple[np.ndarray, ...]
    last: np.ndarray
    outputs: np.ndarray

    @property
    def depths(self) -> int:
        """Return how many depths there are: one a stage, and that of the classifier."""
        return len(self.stages) + 1

    def up_to(self, depth: int) -> np.ndarray:
        """Return the features of the first `depth` stages, (N, F); of the last of the `depths` what the classifier
        sees."""
        return self.last if depth == self.depths else np.concatenate(self.stages[:depth], axis=1)

    def subset(self, rows: np.ndarray) -> Features:
        """Return those of the images at `rows`."""
        return Features(tuple(each[rows] for each in self.stages), self.last[rows], self.outputs[rows])


class FeatureExtractor:
    """A classifier, a functional Keras `model`, that gives the features of all its stages. stages: the tensors that
    these end in, the finest first."""

    def __init__(self, model: keras.Model, image_size: ImageSize) -> None:
        import keras

        path = _find_path(model)
        self.image_size = image_size
        self.stages = _end_stages(path)
        self._last = _find_last_features(path)
        pools = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
        pooled = [pool(dtype="float32")(each) for each in self.stages for pool in pools]
        self._model = keras.Model(model.inputs, [*pooled, self._last, model.outputs[0]])

    def describe(self, depth: int) -> str:
        """Return in words which the features of `Features.up_to(depth)` are: the layer that their last stage ends in,
        and the size of its map."""
        if depth > len(self.stages):
            return "the network's last features"
        end = self.stages[depth - 1]
        height, width = end.shape[1:3]
        return f"the network's features up to {end._keras_history.operation.name} ({height} × {width})"

    def extract(self, split: Split) -> Features:
        """Return the features of all images of `split`."""
        batches = pipeline.evaluation_batches(split, self.image_size, BATCH_SIZE)
        parts: list[list[np.ndarray]] = []
        with track(batches, f"predicting {split.name}", "batches") as tracked:
            for images, _ in tracked:
                values = self._model.predict_on_batch(np.asarray(images))
                parts.append([np.asarray(each, np.float32).reshape(len(images), -1) for each in values])
        *pooled, last, outputs = (np.concatenate(each) for each in zip(*parts, strict=True))
        pairs = zip(pooled[::2], pooled[1::2], strict=True)
        return Features(tuple(np.concatenate(pair, axis=1) for pair in pairs), last, outputs)


def _find_path(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the tensors of `model` through which everything passes from its input to its output, in that order: after
    a residual unit, and not within one."""
    calls = [call for depth in sorted(model._nodes_by_depth, reverse=True) for call in model._nodes_by_depth[depth]]
    last_used = {id(tensor): place for place, call in enumerate(calls) for tensor in call.input_tensors}
    path, needed_until = [], 0
    for place, call in enumerate(calls):
        if needed_until <= place and len(call.outputs) == 1:
            path.append(call.outputs[0])
        needed_until = max([needed_until, *(last_used.get(id(tensor), place) for tensor in call.outputs)])
    return path


def _end_stages(path: list[keras.KerasTensor]) -> tuple[keras.KerasTensor, ...]:
    """Return the last maps (B, H, W, C) of each size on a `path`, from its first convolution on."""
    ends: list[keras.KerasTensor] = []
    started, side, first_side = False, 0, 0
    for tensor in path:
        started = started or _kernel_rank(tensor) == 4
        if not started or len(tensor.shape) != 4 or None in tensor.shape[1:]:
            continue
        width = max(tensor.shape[1:3])
        if not ends or width < STAGE_SHRINKS * first_side:
            ends.append(tensor)
            side = first_side = width
        elif width <= side:
            ends[-1], side = tensor, width
    return tuple(ends)


def _find_last_features(path: list[keras.KerasTensor]) -> keras.KerasTensor:
    """Return what the last layer with a kernel takes on a `path`: the features that a classifier sees."""
    place = max(place for place, tensor in enumerate(path) if _kernel_rank(tensor))
    return path[place - 1]


def _kernel_rank(tensor: keras.KerasTensor) -> int:
    """Return of how many dimensions the kernel is of the layer that gives `tensor`; 0 where it has none."""
    return len(getattr(getattr(tensor._keras_history.operation, "kernel", None), "shape", ()))
