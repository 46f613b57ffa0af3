"""What an exported file, or a run that predicts, says of itself: by one function, so that all bring images to a network
alike."""

from __future__ import annotations

from typing import Any

from keras_resnet.config.spec import DataSpec
from keras_resnet.data.dataset import DatasetSplits
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.tasks.base import OutputMetadata


def build_metadata(
    classes: tuple[str, ...],
    data: DataSpec | DatasetSplits,
    provenance: dict[str, Any],
    outputs: OutputMetadata,
) -> ModelMetadata:
    """Return the metadata of a network that was trained on `data`, opened or as a resolved spec has them."""
    assert data.resize is not None and data.image_size is not None and data.channels is not None
    return ModelMetadata(
        classes,
        data.resize,
        data.image_size,
        provenance,
        preprocessing=data.preprocessing,
        channels=data.channels,
        levels=data.levels,
        **outputs,
    )
