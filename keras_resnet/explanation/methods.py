"""The registry of methods that make a heat map of a layer's feature map and of the gradient of a score by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# (feature map (h, w, C), gradient of the score by it (h, w, C)) → heat map (h, w), 0 or more, all float32.
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """title: what people call it. paper: where it comes from. combine: how it makes a heat map."""

    title: str
    paper: str
    combine: Combine


def gradcam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Weigh each channel by the mean of its gradient over all positions, and keep what raises the score: Selvaraju
    et al. 2017, equations 1 and 2."""
    weights = gradients.mean(axis=(0, 1))
    return np.asarray(np.maximum(features @ weights, 0), np.float32)


def layercam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Weigh each value by its own gradient where that is above 0: Jiang et al. 2021."""
    return np.asarray(np.maximum((np.maximum(gradients, 0) * features).sum(axis=-1), 0), np.float32)


GRADCAM, LAYERCAM = "gradcam", "layercam"
METHODS = {
    GRADCAM: Method("Grad-CAM", "Selvaraju et al. 2017", gradcam),
    LAYERCAM: Method("LayerCAM", "Jiang et al. 2021", layercam),
}
