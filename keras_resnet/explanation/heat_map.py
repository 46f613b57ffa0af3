"""Make heat maps of images by a run's Keras model: Grad-CAM and LayerCAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_resnet.errors import require_one_of
from keras_resnet.explanation.drawing import draw_overlay, put_side_by_side
from keras_resnet.explanation.feature_maps import find_feature_map, list_backbone_features, read_feature_maps
from keras_resnet.explanation.geometry import Placement, find_placement, place_on_image, resize_map
from keras_resnet.explanation.gradients import build_inner_model, compute_gradients
from keras_resnet.explanation.methods import GRADCAM, LAYERCAM, METHODS
from keras_resnet.explanation.targets import Question, Target, choose_target
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.preprocess import Picture, size_of

if TYPE_CHECKING:
    import keras

# Pixels of the images of one pass: what all layers compute of them is kept until the gradients are there.
BATCH_PIXELS = 8 * 224 * 224


@dataclass(frozen=True)
class HeatMap:
    """Which parts of an image the score of `target` rests on, at one layer by one method (see METHODS).

    map: float32 (H, W), in the pixels that the network sees, 0–1: divided by its largest value, and all 0 where nothing
    raises the score. size: width and height of the image. placement: where the image is in the network's input.
    """

    map: np.ndarray
    target: Target
    method: str
    layer: str
    size: tuple[int, int]
    placement: Placement

    @property
    def on_image(self) -> np.ndarray:
        """The map in the pixels of the image, float32 (height, width); 0 where the network does not see the image."""
        return place_on_image(self.map, self.placement, self.size)[0]

    @cached_property
    def peak(self) -> tuple[float, float] | None:
        """The middle of the pixel of the image where the map is largest, x and y in pixels; None where nothing in the
        image raises the score."""
        values = self.on_image
        if not values.any():
            return None
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        return float(column) + 0.5, float(row) + 0.5

    def describe(self) -> str:
        """Say what it explains and how it was made: "cat 98.1%, peak at 120.5, 44.5 (Grad-CAM, stage4_unit2_out)"."""
        target, peak = self.target, self.peak
        place = "" if target.box is None else f" at {', '.join(f'{edge:g}' for edge in target.box)}"
        predicted = "" if target.is_predicted else " (not predicted)"
        found = f"peak at {peak[0]:g}, {peak[1]:g}" if peak else "nothing in the image raises its score"
        how = f"{METHODS[self.method].title}, {self.layer}"
        return f"{target.label} {target.probability:.1%}{place}{predicted}, {found} ({how})"

    def overlay(self, picture: Image.Image) -> Image.Image:
        """Return a copy of `picture`, the image, in gray under the heat map; what the network does not see is
        darkened."""
        placed, seen = place_on_image(self.map, self.placement, self.size)
        return draw_overlay(picture, placed, seen, self.target.label, self.target.box)

    def side_by_side(self, picture: Image.Image) -> Image.Image:
        """Return `picture`, the image, and beside it the overlay."""
        return put_side_by_side(picture, self.overlay(picture))


@dataclass(frozen=True)
class Explainer:
    """Makes heat maps of images.

    model: pixels (B, H, W, C) of 0–255 → logits, or the outputs of a detector by name. card: how images are prepared
    and what outputs mean. method: a name in METHODS; None for the default. layer: the name of a layer with a feature
    map; None for the default. Raises UsageError for others.

    By default a class or label is explained by Grad-CAM at the last feature map. An object is explained by LayerCAM,
    because Grad-CAM averages gradients over the image and so marks all objects of a class; and at the feature map of
    the backbone with the positions of the pyramid's level that the object was found on.
    """

    model: keras.Model
    card: ModelMetadata
    method: str | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        if self.method is not None:
            require_one_of("--method", self.method, tuple(METHODS))
        if self.layer is not None:
            find_feature_map(self.model, self.layer)

    @property
    def chosen_method(self) -> str:
        """The method that was asked for, or the default."""
        return self.method or (LAYERCAM if self.card.postprocessor.has_boxes else GRADCAM)

    @cached_property
    def _layers(self) -> dict[str, int]:
        """The layers that may be chosen, with the positions to a side where they are chosen by those."""
        if self.layer is not None:
            return {self.layer: 0}
        features = list_backbone_features(self.model) if self.card.postprocessor.has_boxes else {}
        return features or {find_feature_map(self.model): 0}

    @cached_property
    def _inner(self) -> keras.Model:
        return build_inner_model(self.model, list(self._layers))

    def explain(self, pictures: Sequence[Picture], questions: Sequence[Question]) -> list[HeatMap]:
        """Return a heat map of each image, of what is asked of it. Raises UsageError for a question that the network
        cannot be asked, or where an object is not found."""
        for question in questions:
            question.require_valid(self.card)
        asked = list(zip(pictures, questions, strict=True))
        height, width, _ = self.card.input_shape
        size = max(1, BATCH_PIXELS // (height * width))
        batches = [asked[start : start + size] for start in range(0, len(asked), size)]
        return [heat_map for batch in batches for heat_map in self._explain_batch(batch)]

    def _explain_batch(self, asked: Sequence[tuple[Picture, Question]]) -> list[HeatMap]:
        pixels = np.stack([self.card.preprocess(picture) for picture, _ in asked])
        targets: list[Target] = []

        def choose(outputs: list[dict[str, np.ndarray]]) -> list[tuple[str, tuple[int, ...]]]:
            for row, (picture, question) in zip(outputs, asked, strict=True):
                targets.append(choose_target(self.card, row, size_of(picture), question))
            return [(target.output, target.place) for target in targets]

        found = compute_gradients(self._inner, list(self._layers), pixels, choose)
        maps = []
        for row, ((picture, _), target) in enumerate(zip(asked, targets, strict=True)):
            layer = self._choose_layer(target)
            values = METHODS[self.chosen_method].combine(found.features[layer][row], found.gradients[layer][row])
            maps.append(self._make_map(values, target, layer, picture))
        return maps

    def describe_choices(self) -> str:
        """Say why a method and a layer are chosen by default, whose names each heat map has; "" where both were asked
        for."""
        has_boxes, words = self.card.postprocessor.has_boxes, []
        if self.method is None:
            why = "objects, as it tells those of one class apart" if has_boxes else "classifiers"
            words.append(f"method: the default for {why}")
        if self.layer is None:
            fit = "the feature map with the resolution at which the object is found"
            words.append(f"layer: {self._describe_last() if len(self._layers) == 1 else fit}")
        return "; ".join(words)

    def _describe_last(self) -> str:
        """Name the default layer, whose few positions a heat map cannot be finer than."""
        (name,) = self._layers
        height, width = read_feature_maps(self.model)[name].shape[1:3]
        return f"the last feature map, of {height} × {width} positions (--layer chooses a finer one)"

    def _choose_layer(self, target: Target) -> str:
        """Return the coarsest layer that is at least as fine as the level of the target, or the coarsest of all."""
        fine = [name for name, cells in self._layers.items() if target.cells is not None and cells >= target.cells]
        return (fine or list(self._layers))[-1]

    def _make_map(self, values: np.ndarray, target: Target, layer: str, picture: Picture) -> HeatMap:
        height, width, _ = self.card.input_shape
        sized = resize_map(values, (width, height))
        largest = float(sized.max())
        scaled = sized / largest if largest > 0 else np.zeros_like(sized)
        size = size_of(picture)
        return HeatMap(scaled, target, self.chosen_method, layer, size, find_placement(self.card, size))
