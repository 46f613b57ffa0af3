"""Ordinary training: a Keras model from its first weights to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.compression.quantization.quantize import build_compressed_model
from keras_resnet.models.layers import Layers
from keras_resnet.progress import Log
from keras_resnet.training.initialize import freeze, initialize
from keras_resnet.training.methods.base import TrainingMethod

if TYPE_CHECKING:
    import keras

    from keras_resnet.config.spec import Spec


class PlainTraining(TrainingMethod["keras.Model"]):
    """Train a Keras model as it is."""

    @classmethod
    def applies_to(cls, spec: Spec) -> bool:
        """Return whether nothing is compressed."""
        return spec.compress.method == "nothing"

    def build_model(self, layers: Layers, total_steps: int) -> keras.Model:
        """Return the network of the spec, with the parts frozen that it names."""
        model = build_compressed_model(self.spec, self.task, layers, uses_progressive_resizing(self.spec))
        freeze(model, self.spec.start)
        return model

    def load_initial_weights(self, model: keras.Model, log: Log) -> None:
        """Load the weights that `spec.start` names, if any."""
        initialize(model, self.spec, log)

    def to_inference_model(self, model: keras.Model) -> keras.Model:
        """Return the same network and weights in float32, made of Keras' own layers."""
        import keras

        served = build_compressed_model(self.spec, self.task, Layers(keras))
        served.set_weights(model.get_weights())
        return served


def uses_progressive_resizing(spec: Spec) -> bool:
    """Return whether training images have other sizes than the network's."""
    return any(size != spec.data.image_size for size in spec.augment.train_sizes)
