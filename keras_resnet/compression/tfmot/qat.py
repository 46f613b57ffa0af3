"""Quantization-aware training by tensorflow-model-optimization, and its result as a network of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.compression.quantization.fake_quantizers import FakeQuantizer
from keras_resnet.compression.quantization.quantize import RANGE_SUFFIX
from keras_resnet.compression.tfmot.tf_keras_model import Layer, Network, import_tfmot
from keras_resnet.config.spec import CompressSpec
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.models.layers import deep_graphs

if TYPE_CHECKING:
    import keras

# What tfmot calls the parts of a clustered kernel.
CLUSTERING, ORIGINAL, SPARSITY_MASK, CENTROID_MASK = (
    "clst_impl",
    "ori_weights_vars_tf",
    "sparsity_mask",
    "centroids_mask",
)


def quantize(network: Network, compress: CompressSpec) -> Network:
    """Return `network`, which holds its trained weights, as tfmot trains it; zeros and shared weights are kept.

    Raises UsageError for a layer that tfmot does not know.
    """
    quantization, scheme = import_tfmot().quantization.keras, _create_scheme(compress)
    try:
        with deep_graphs():
            return quantization.quantize_apply(quantization.quantize_annotate_model(network), *scheme)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"tensorflow-model-optimization cannot quantize {network.name}: {' '.join(str(error).split())[:200]};"
            " --qat native can"
        ) from error


def _create_scheme(compress: CompressSpec) -> list[Any]:
    """Return the scheme that keeps what pruning and clustering did, if there is anything to keep."""
    combine = import_tfmot().experimental.combine
    if compress.clusters:
        return [
            _use_separate_quantizers(
                combine.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=compress.sparsity > 0)
            )
        ]
    return [combine.Default8BitPrunePreserveQuantizeScheme()] if compress.sparsity else []


def _use_separate_quantizers(scheme: Any) -> Any:
    """Return `scheme` with a quantizer for each layer: tfmot 0.8 gives all the same one, which no longer keeps any
    zeros once it has met a layer without, as the first convolution is."""
    create_registry = scheme.get_quantize_registry

    def registry() -> Any:
        separate = create_registry()
        separate.get_quantize_config = lambda layer: create_registry().get_quantize_config(layer)
        return separate

    scheme.get_quantize_registry = registry
    return scheme


def clustered_kernels(quantized: Network) -> dict[str, np.ndarray]:
    """Return the kernels before they are rounded, by layer name, of the layers whose shared weights are kept: elsewhere
    the kernel is the layer's own variable."""
    kernels = {}
    for layer in quantized.layers:
        for _, _, parts in getattr(layer, "_weight_vars", ()):
            if clustering := parts.get(CLUSTERING):
                # As tfmot begins each step: the last one moved the zeros and the weight that they share.
                original = parts[ORIGINAL] * parts.get(SPARSITY_MASK, 1.0)
                if SPARSITY_MASK in parts:
                    clustering.cluster_centroids.assign(clustering.cluster_centroids * parts[CENTROID_MASK])
                kernels[layer.layer.name] = clustering.get_clustered_weight(
                    clustering.get_pulling_indices(original), original
                )
    return {name: np.asarray(kernel) for name, kernel in kernels.items()}


def copy_ranges(quantized: Network, served: keras.Model) -> None:
    """Copy the ranges that tfmot trained to `served`, a model that `quantization.quantize.quantize` made.

    Raises ExportError where tfmot has no range for a result that our file rounds.
    """
    ranges = {
        layer.layer.name: _get_output_range(layer) for layer in quantized.layers if hasattr(layer, "quantize_config")
    }
    for layer in served.layers:
        if isinstance(layer, FakeQuantizer) and layer.fixed is None:
            ends = ranges.get(layer.name.removesuffix(f"_{RANGE_SUFFIX}"))
            if ends is None:
                raise ExportError(f"tensorflow-model-optimization trained no range for {layer.name}")
            layer.set_weights([np.float32(end) for end in ends])


def _get_output_range(layer: Layer) -> tuple[float, float] | None:
    """Return the range of a wrapped layer's output, or of its activation's."""
    values = {variable.name.rpartition("/")[2].removesuffix(":0"): variable for variable in layer.weights}
    for kind in ("output", "post_activation"):
        if f"{kind}_min" in values:
            return float(values[f"{kind}_min"].numpy()), float(values[f"{kind}_max"].numpy())
    return None
