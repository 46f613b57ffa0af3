"""What pruning and clustering left of a network's kernels, counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from keras_resnet.config.spec import CompressSpec
from keras_resnet.errors import TrainingError
from keras_resnet.runtime.plurals import counted

PIXELS = 3
GROUP = 4


@dataclass(frozen=True)
class SparsityReport:
    """What was counted; None where nothing was asked for.

    sparsity: share of zeros among all weights of the compressed kernels, least_sparsity of the kernel that has the
    fewest. clusters: different weights of the kernel that has the most; in a network of 8 bits, whose output channels
    have steps of their own, of the output channel: tfmot shares weights within them.
    """

    sparsity: float | None = None
    least_sparsity: float | None = None
    clusters: int | None = None

    @property
    def words(self) -> str:
        """In a few words; empty where nothing was asked for."""
        zeros = [] if self.sparsity is None else [f"{self.sparsity:.1%} of the weights are zero"]
        values = [] if self.clusters is None else [f"{self.clusters} different weights are shared"]
        return ", ".join(zeros + values)

    def as_dict(self) -> dict[str, Any]:
        """What is known, as a JSON object."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def compressed_layers(model: Any) -> list[Any]:
    """The convolutions and dense layers of a model of either Keras that are pruned and clustered: all but what sees the
    pixels, which holds few weights and feeds all others (Gale et al. 2019, section 6, leave it dense too)."""
    found = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    return [layer for layer in found if not (len(layer.kernel.shape) == 4 and layer.kernel.shape[2] == PIXELS)]


def require_kept(model: Any, compress: CompressSpec) -> SparsityReport:
    """Count what `compress` asks for in a Keras `model`. Raises TrainingError if a kernel does not have it."""
    kernels = {layer.name: np.asarray(layer.kernel) for layer in compressed_layers(model)}
    kept = _zeros(kernels, compress) if compress.sparsity else SparsityReport()
    return replace(kept, clusters=_most_different(kernels, compress)) if compress.clusters else kept


def _zeros(kernels: dict[str, np.ndarray], compress: CompressSpec) -> SparsityReport:
    shares = {name: float((kernel == 0).mean()) for name, kernel in kernels.items()}
    for name, kernel in kernels.items():
        # tfmot rounds the number of weights that stay, and keeps those that equal the threshold.
        if shares[name] < compress.sparsity - 2 / kernel.size:
            raise TrainingError(f"{name} has {shares[name]:.2%} zeros, not {compress.sparsity:.0%}")
        if compress.pattern == "2:4" and (full := _full_groups(kernel)):
            raise TrainingError(f"{name} has more than 2 weights in {full} groups of 4")
    sizes = [kernel.size for kernel in kernels.values()]
    return SparsityReport(float(np.average(list(shares.values()), weights=sizes)), min(shares.values()))


def _most_different(kernels: dict[str, np.ndarray], compress: CompressSpec) -> int:
    counts = {name: _different(kernel, compress.learned) for name, kernel in kernels.items()}
    most = max(counts, key=lambda name: counts[name])
    if counts[most] > compress.clusters:
        raise TrainingError(f"{most} has {counted(counts[most], 'different weight')}, not {compress.clusters}")
    return counts[most]


def _different(kernel: np.ndarray, by_output: bool) -> int:
    """How many different weights the whole kernel has, or the output that has the most."""
    if by_output and kernel.ndim == 4:
        return max(len(np.unique(kernel[..., output])) for output in range(kernel.shape[-1]))
    return len(np.unique(kernel))


def _full_groups(kernel: np.ndarray) -> int:
    """How many groups of four neighbouring inputs of an output have more than two weights that are not zero."""
    inputs = np.moveaxis(kernel, -1, 0).reshape(kernel.shape[-1], -1)
    inputs = np.pad(inputs, ((0, 0), (0, -inputs.shape[1] % GROUP)))
    return int((np.count_nonzero(inputs.reshape(-1, GROUP), axis=1) > GROUP // 2).sum())
