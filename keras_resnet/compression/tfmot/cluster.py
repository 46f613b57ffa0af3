"""Weight clustering by tensorflow-model-optimization: Han et al. 2016, "Deep compression", section 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.compression.sparsity import get_compressed_layers
from keras_resnet.compression.tfmot.tf_keras_model import Layer, Network, import_tfmot, wrap_layers
from keras_resnet.config.spec import CompressSpec


def cluster(network: Network, compress: CompressSpec) -> Network:
    """Return `network`, which holds its trained weights, with `compress.clusters` shared weights a kernel.

    The zeros of a pruned one stay zeros and are one of them.
    """
    clustering = import_tfmot().clustering.keras
    names = {layer.name for layer in get_compressed_layers(network)}
    options: dict[str, Any] = {
        "number_of_clusters": compress.clusters,
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
    }
    cluster_weights = clustering.cluster_weights
    if compress.sparsity:
        # Public by its documentation, but not by a name of the package.
        from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as experimental

        cluster_weights = experimental.cluster_weights
        options["preserve_sparsity"] = True

    def wrap(layer: Layer) -> Layer:
        return cluster_weights(layer, **options) if layer.name in names else layer

    return wrap_layers(network, wrap)


def clustered_kernels(clustered: Network) -> dict[str, np.ndarray]:
    """Return the kernels by layer name, made of their shared weights."""
    kernels = {}
    for layer in clustered.layers:
        if hasattr(layer, "cluster_centroids"):
            layer.update_clustered_weights_associations()
            kernels[layer.layer.name] = np.asarray(layer.layer.kernel)
    return kernels
