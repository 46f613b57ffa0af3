"""Models that an 8-bit file cannot compute are refused, in a sentence that names the layer."""

import keras
import numpy as np
import pytest
from written_models import MODELS, functional

from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.errors import UsageError

pytestmark = pytest.mark.usefixtures("same_weights")
layers, ops = keras.layers, keras.ops


class Own(layers.Conv2D):
    """A convolution that computes something else."""

    def call(self, inputs):
        return super().call(inputs) * 0 + 7


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def built(model, *sides):
    model(np.zeros((1, *sides), "float32"))
    return model


def with_lora(x):
    dense = layers.Dense(4, name="adapted")
    outputs = dense(layers.Flatten()(x))
    dense.enable_lora(2)
    return outputs


REFUSED = {
    "a path": (lambda: "runs/model.keras", "takes a model, not a file: load it .* Received: 'runs/model.keras'"),
    "no model": (lambda: 3, "takes a Keras model. Received: int"),
    "a subclassed model": (
        lambda: built(Subclassed(name="mine"), 8),
        "Received: a subclassed model, mine of type Subclassed",
    ),
    "a model without an input": (
        lambda: keras.Sequential([layers.Dense(2)], name="late"),
        "begin it with keras.Input.* late",
    ),
    "a subclassed model inside": (
        functional(lambda x: Subclassed(name="inside")(x)),
        "layer inside of type Subclassed, a model inside the model",
    ),
    "a subclass with a call of its own": (functional(lambda x: Own(4, 3, name="own")(x)), "layer own of type Own"),
    "a layer of one's own": (
        functional(lambda x: layers.Lambda(lambda y: y, name="any")(x)),
        "layer any of type Lambda",
    ),
    "an activation of one's own": (
        functional(lambda x: layers.Dense(4, activation=ops.square, name="odd")(x)),
        "layer odd of type Dense, with the activation square",
    ),
    "an activation that files do not have": (
        functional(lambda x: layers.Conv2D(4, 3, activation="gelu", name="odd")(x)),
        "layer odd of type Conv2D, with the activation gelu",
    ),
    "an operator that files do not have": (functional(lambda x: ops.exp(x)), "of type Exp"),
    "a quotient": (functional(lambda x: 1.0 / x), "of type TrueDivide, of a constant by a tensor"),
    "float64": (functional(lambda x: layers.Dense(4, dtype="float64", name="wide")(x)), "layer wide .*, in float64"),
    "LoRA": (functional(with_lora), "layer adapted of type Dense, with LoRA"),
    "channels first": (
        functional(lambda x: layers.MaxPooling2D(2, data_format="channels_first", name="first")(x)),
        "layer first of type MaxPooling2D, with data_format='channels_first'",
    ),
    "another ceiling": (
        functional(lambda x: layers.ReLU(5.0, name="cut")(x)),
        "layer cut of type ReLU, with max_value=5",
    ),
    "a mask": (
        functional(lambda x: layers.BatchNormalization(name="masked")(x, mask=x[..., 0] > 1)),
        "layer masked of type BatchNormalization, called with mask|of type Greater",
    ),
    "a softmax at the end": (
        functional(lambda x: layers.Reshape((2, -1))(layers.Dense(4, "softmax", name="last")(layers.Flatten()(x)))),
        "must end in logits, without a softmax.* which ends in last",
    ),
    "a softmax of keras.ops at the end": (
        functional(lambda x: ops.softmax(x)),
        "without a softmax.* which ends in softmax",
    ),
    "a model that is quantized": (lambda: quantize(MODELS["x / 255.0"]()), "of type PixelQuantizer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_computed_is_refused_in_a_sentence(name):
    make, words = REFUSED[name]
    with pytest.raises(UsageError, match=words) as told:
        quantize(make())
    assert "\n" not in str(told.value)
