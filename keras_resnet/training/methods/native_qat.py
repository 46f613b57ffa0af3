"""Quantization-aware training native to Keras 3: the model computes as its 8-bit file will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.compression.quantization.quantize import copy_weights
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log
from keras_resnet.training.initialize import initialize
from keras_resnet.training.methods.plain import PlainTraining

if TYPE_CHECKING:
    import keras

    from keras_resnet.config.spec import Spec


class NativeQat(PlainTraining):
    """Train a model that `compression.quantization.quantize` made: `build_compressed_model` calls it."""

    @classmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether our own layers train with 8 bits."""
        return spec.compress.is_qat and not spec.compress.uses_tfmot

    def load_initial_weights(self, model: keras.Model, log: Log) -> None:
        """Load the weights that `spec.start` names, which are those of an ordinary network."""
        if not (self.spec.start.weights or self.spec.start.deepen):
            initialize(model, self.spec, log)
            return
        import keras

        plain = self.task.build_model(Layers(keras), self.spec)
        initialize(plain, self.spec, log)
        copy_weights(plain, model)
