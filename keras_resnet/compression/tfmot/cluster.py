"""Weight clustering by tensorflow-model-optimization: Han et al. 2016, "Deep compression", section 3."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.compression.sparsity import compressed_layers
from keras_resnet.compression.tfmot.tf_keras_model import rebuilt, tfmot
from keras_resnet.config.spec import CompressSpec


def cluster(network: Any, compress: CompressSpec) -> Any:
    """`network`, which holds its trained weights, with `compress.clusters` shared weights a kernel; zeros of a pruned
    one stay zeros and are one of them."""
    clustering = tfmot().clustering.keras
    chosen = {layer.name for layer in compressed_layers(network)}
    options: dict[str, Any] = {
        "number_of_clusters": compress.clusters,
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
    }
    make = clustering.cluster_weights
    if compress.sparsity:
        # Public by its documentation, but not by a name of the package.
        from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as experimental

        make = experimental.cluster_weights
        options["preserve_sparsity"] = True

    def wrapped(layer: Any) -> Any:
        return make(layer, **options) if layer.name in chosen else layer

    return rebuilt(network, wrapped)


def kernels_of(clustered: Any) -> dict[str, np.ndarray]:
    """Layer name → kernel, made of its shared weights."""
    found = {}
    for layer in clustered.layers:
        if hasattr(layer, "cluster_centroids"):
            layer.update_clustered_weights_associations()
            found[layer.layer.name] = np.asarray(layer.layer.kernel)
    return found
