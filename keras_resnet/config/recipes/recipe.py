"""What a recipe is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keras_resnet.config.spec import Normalization, Spec

# Means and deviations of ImageNet's training images, for pixels in 0–255.
IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


@dataclass(frozen=True)
class Recipe:
    """about: one line. source: paper and section. published: what its authors reached. quick: the same ideas in a
    minute or two on bundled data."""

    about: str
    source: str
    published: str
    spec: Spec
    quick: Callable[[Spec], Spec]
