"""Counts of zeros and of different weights, which prove that pruning and clustering did what was asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.config.spec import CompressSpec
from keras_resnet.errors import TrainingError
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    import keras

PIXEL_CHANNELS = 3
GROUP_SIZE = 4


@dataclass(frozen=True)
class SparsityReport:
    """What was counted; None for what was not asked for.

    sparsity: share of zeros among all weights of the compressed kernels, min_sparsity of the kernel that has the
    fewest. clusters: different weights of the kernel that has the most; in a network of 8 bits, whose output channels
    have steps of their own, of the output channel: tfmot shares weights within them.
    """

    sparsity: float | None = None
    min_sparsity: float | None = None
    clusters: int | None = None

    @property
    def summary(self) -> str:
        """A short description; empty if nothing was asked for."""
        zeros = [] if self.sparsity is None else [f"{self.sparsity:.1%} of the weights are zero"]
        values = [] if self.clusters is None else [f"{self.clusters} different weights are shared"]
        return ", ".join(zeros + values)

    def as_dict(self) -> dict[str, Any]:
        """Return what was counted, as a JSON object."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def get_compressed_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the convolutions and dense layers of a model of either Keras that are pruned and clustered.

    All but the one that sees the pixels, which has few weights and feeds all others (Gale et al. 2019, section 6,
    leave it dense too).
    """
    layers = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    return [layer for layer in layers if not (len(layer.kernel.shape) == 4 and layer.kernel.shape[2] == PIXEL_CHANNELS)]


def check_sparsity(model: keras.Model, compress: CompressSpec) -> SparsityReport:
    """Count zeros and different weights of a Keras `model`.

    Raises TrainingError if a kernel has not what `compress` asks for.
    """
    kernels = {layer.name: np.asarray(layer.kernel) for layer in get_compressed_layers(model)}
    report = _count_zeros(kernels, compress) if compress.sparsity else SparsityReport()
    return replace(report, clusters=_count_clusters(kernels, compress)) if compress.clusters else report


def _count_zeros(kernels: dict[str, np.ndarray], compress: CompressSpec) -> SparsityReport:
    sparsities = {name: float((kernel == 0).mean()) for name, kernel in kernels.items()}
    for name, kernel in kernels.items():
        # tfmot rounds the number of weights that stay, and keeps those that equal the threshold.
        if sparsities[name] < compress.sparsity - 2 / kernel.size:
            raise TrainingError(f"{name} has {sparsities[name]:.2%} zeros, not {compress.sparsity:.0%}")
        if compress.pattern == "2:4" and (violations := _count_violations(kernel)):
            raise TrainingError(f"{name} has more than 2 weights in {violations} groups of 4")
    sizes = [kernel.size for kernel in kernels.values()]
    return SparsityReport(float(np.average(list(sparsities.values()), weights=sizes)), min(sparsities.values()))


def _count_clusters(kernels: dict[str, np.ndarray], compress: CompressSpec) -> int:
    counts = {name: _count_different(kernel, compress.is_qat) for name, kernel in kernels.items()}
    most = max(counts, key=lambda name: counts[name])
    if counts[most] > compress.clusters:
        raise TrainingError(f"{most} has {counted(counts[most], 'different weight')}, not {compress.clusters}")
    return counts[most]


def _count_different(kernel: np.ndarray, by_output: bool) -> int:
    """Return how many different weights the whole kernel has, or the output channel that has the most."""
    if by_output and kernel.ndim == 4:
        return max(len(np.unique(kernel[..., output])) for output in range(kernel.shape[-1]))
    return len(np.unique(kernel))


def _count_violations(kernel: np.ndarray) -> int:
    """Return how many groups of four neighboring inputs of an output have more than two weights that are not zero."""
    inputs = np.moveaxis(kernel, -1, 0).reshape(kernel.shape[-1], -1)
    inputs = np.pad(inputs, ((0, 0), (0, -inputs.shape[1] % GROUP_SIZE)))
    return int((np.count_nonzero(inputs.reshape(-1, GROUP_SIZE), axis=1) > GROUP_SIZE // 2).sum())
