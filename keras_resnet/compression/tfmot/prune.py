"""Magnitude pruning by tensorflow-model-optimization: Zhu & Gupta 2018, "To prune, or not to prune"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_resnet.compression.sparsity import compressed_layers
from keras_resnet.compression.tfmot.tf_keras_model import rebuilt, tfmot
from keras_resnet.config.spec import CompressSpec

# Sparsity grows over this share of the steps, by Zhu & Gupta's polynomial of power 3; then the network recovers.
GROWING = 2 / 3
UPDATES = 100


def prune(network: Any, compress: CompressSpec, steps: int) -> Any:
    """`network` with masks that will leave `compress.sparsity` zeros after two thirds of `steps`; the pattern 2:4 at
    once, as tfmot has it."""
    sparsity = tfmot().sparsity.keras
    chosen = {layer.name for layer in compressed_layers(network)}
    growing = max(1, int(GROWING * steps))
    if compress.pattern == "2:4":
        options = {"pruning_schedule": sparsity.ConstantSparsity(0.5, 0), "sparsity_m_by_n": (2, 4)}
    else:
        schedule = sparsity.PolynomialDecay(0.0, compress.sparsity, 0, growing, frequency=max(1, growing // UPDATES))
        options = {"pruning_schedule": schedule}

    def wrapped(layer: Any) -> Any:
        return sparsity.prune_low_magnitude(layer, **options) if layer.name in chosen else layer

    return rebuilt(network, wrapped)


def before_step(pruned: Any) -> Callable[[Any], None]:
    """What tells tfmot the step: its masks follow that, and count parts of a batch as steps otherwise."""
    wrappers = [layer for layer in pruned.layers if hasattr(layer, "pruning_step")]

    def tell(step: Any) -> None:
        for wrapper in wrappers:
            wrapper.pruning_step.assign(step)

    return tell


def kernels_of(pruned: Any) -> dict[str, np.ndarray]:
    """Layer name → kernel, with exact zeros: the last step moved the weights after they had been masked."""
    return {
        layer.layer.name: weight.numpy() * mask.numpy()
        for layer in pruned.layers
        if hasattr(layer, "pruning_step")
        for weight, mask, _ in layer.pruning_vars
    }
