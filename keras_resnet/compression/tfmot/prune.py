"""Magnitude pruning by tensorflow-model-optimization: Zhu & Gupta 2018, "To prune, or not to prune"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.compression.sparsity import get_compressed_layers
from keras_resnet.compression.tfmot.tf_keras_model import Layer, Network, import_tfmot, wrap_layers
from keras_resnet.config.spec import CompressSpec

if TYPE_CHECKING:
    import tensorflow as tf

# Sparsity grows over this share of the steps, by Zhu & Gupta's polynomial of power 3; then the network recovers.
GROWING_SHARE = 2 / 3
MASK_UPDATES = 100


def prune(network: Network, compress: CompressSpec, steps: int) -> Network:
    """Return `network` with masks that will leave `compress.sparsity` zeros after two thirds of `steps`; those of
    the pattern 2:4 at once, as tfmot has it."""
    sparsity = import_tfmot().sparsity.keras
    names = {layer.name for layer in get_compressed_layers(network)}
    growing_steps = max(1, int(GROWING_SHARE * steps))
    if compress.pattern == "2:4":
        options = {"pruning_schedule": sparsity.ConstantSparsity(0.5, 0), "sparsity_m_by_n": (2, 4)}
    else:
        schedule = sparsity.PolynomialDecay(
            0.0, compress.sparsity, 0, growing_steps, frequency=max(1, growing_steps // MASK_UPDATES)
        )
        options = {"pruning_schedule": schedule}

    def wrap(layer: Layer) -> Layer:
        return sparsity.prune_low_magnitude(layer, **options) if layer.name in names else layer

    return wrap_layers(network, wrap)


def set_step(pruned: Network, step: tf.Variable) -> None:
    """Set the step that tfmot's masks depend on: by itself it would count parts of a batch as steps."""
    for layer in pruned.layers:
        if hasattr(layer, "pruning_step"):
            layer.pruning_step.assign(step)


def masked_kernels(pruned: Network) -> dict[str, np.ndarray]:
    """Return the kernels by layer name, with exact zeros: the last step moved weights after they had been masked."""
    return {
        layer.layer.name: weight.numpy() * mask.numpy()
        for layer in pruned.layers
        if hasattr(layer, "pruning_step")
        for weight, mask, _ in layer.pruning_vars
    }
