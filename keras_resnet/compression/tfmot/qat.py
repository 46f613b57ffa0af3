"""Quantization-aware training by tensorflow-model-optimization, and its result as a network of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.compression.quantization.layers import FakeQuantizer
from keras_resnet.compression.quantization.quantize import RANGE
from keras_resnet.compression.tfmot.tf_keras_model import tfmot
from keras_resnet.config.spec import CompressSpec
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.models.layers import deep_graphs

# What tfmot calls the parts of a clustered kernel.
SHARED, ORIGINAL, ZEROS, SHARED_ZERO = "clst_impl", "ori_weights_vars_tf", "sparsity_mask", "centroids_mask"


def quantize(network: Any, compress: CompressSpec) -> Any:
    """`network`, which holds its trained weights, as tfmot trains it: zeros and shared weights kept where it has them.

    Raises UsageError for a layer that tfmot does not know.
    """
    keras, scheme = tfmot().quantization.keras, _preserving(compress)
    try:
        with deep_graphs():
            return keras.quantize_apply(keras.quantize_annotate_model(network), *scheme)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"tensorflow-model-optimization cannot quantize {network.name}: {' '.join(str(error).split())[:200]};"
            " --qat native can"
        ) from error


def _preserving(compress: CompressSpec) -> list[Any]:
    """The scheme that keeps what pruning and clustering did, if there is anything to keep."""
    combine = tfmot().experimental.combine
    if compress.clusters:
        return [_each_apart(combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=compress.sparsity > 0))]
    return [combine.Default8BitPrunePreserveQuantizeScheme()] if compress.sparsity else []


def _each_apart(scheme: Any) -> Any:
    """`scheme` with a quantizer for each layer: tfmot 0.8 gives all the same one, which no longer keeps any zeros once
    it has met a layer without, as the first convolution is."""
    make = scheme.get_quantize_registry

    def registry() -> Any:
        made = make()
        made.get_quantize_config = lambda layer: make().get_quantize_config(layer)
        return made

    scheme.get_quantize_registry = registry
    return scheme


def kernels_of(quantized: Any) -> dict[str, np.ndarray]:
    """Layer name → the kernel before it is rounded, of the layers whose shared weights are kept: elsewhere it is the
    layer's own variable."""
    found = {}
    for layer in quantized.layers:
        for _, _, parts in getattr(layer, "_weight_vars", ()):
            if shared := parts.get(SHARED):
                # As tfmot begins each step: the last one moved the zeros and the weight that they share.
                original = parts[ORIGINAL] * parts.get(ZEROS, 1.0)
                if ZEROS in parts:
                    shared.cluster_centroids.assign(shared.cluster_centroids * parts[SHARED_ZERO])
                found[layer.layer.name] = shared.get_clustered_weight(shared.get_pulling_indices(original), original)
    return {name: np.asarray(kernel) for name, kernel in found.items()}


def copy_ranges(quantized: Any, served: Any) -> None:
    """Give `served`, a network that `quantization.rewrite.quantize` made, the ranges that tfmot trained.

    Raises ExportError where tfmot has no range for a result that our file rounds.
    """
    theirs = {layer.layer.name: _range_of(layer) for layer in quantized.layers if hasattr(layer, "quantize_config")}
    for layer in served.layers:
        if isinstance(layer, FakeQuantizer) and layer.fixed is None:
            ends = theirs.get(layer.name.removesuffix(f"_{RANGE}"))
            if ends is None:
                raise ExportError(f"tensorflow-model-optimization trained no range for {layer.name}")
            layer.set_weights([np.float32(end) for end in ends])


def _range_of(layer: Any) -> tuple[float, float] | None:
    """The range of what a wrapped layer gives, as it is or behind its activation."""
    values = {variable.name.rpartition("/")[2].removesuffix(":0"): variable for variable in layer.weights}
    for kind in ("output", "post_activation"):
        if f"{kind}_min" in values:
            return float(values[f"{kind}_min"].numpy()), float(values[f"{kind}_max"].numpy())
    return None
