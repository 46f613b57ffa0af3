"""Models of every Keras layer, and what compares them with their quantized copies."""

import inspect

import keras
import numpy as np

from keras_resnet.compression.quantization.freeze import get_quantizers
from keras_resnet.compression.quantization.layers import QuantizedRescaling
from keras_resnet.compression.quantization.quantize import quantize

layers, ops = keras.layers, keras.ops
CLASSES = sorted(
    {kind for kind in vars(layers).values() if inspect.isclass(kind) and issubclass(kind, layers.Layer)},
    key=lambda kind: kind.__name__,
)
# Made from what is not here: another framework, a file, other layers of a kind.
NOT_MADE = {"FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper", "Layer", "Wrapper", "Pipeline", "InputLayer"}
# What a layer takes where nothing is not enough.
MADE = {
    "Activation": lambda: layers.Activation("tanh"),
    **{f"AveragePooling{rank}D": lambda name=f"AveragePooling{rank}D": getattr(layers, name)(2) for rank in (1, 2, 3)},
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2)),
    "CategoryEncoding": lambda: layers.CategoryEncoding(4),
    "CenterCrop": lambda: layers.CenterCrop(4, 4),
    "Conv1D": lambda: layers.Conv1D(4, 3),
    "Conv2D": lambda: layers.Conv2D(4, 3),
    "Conv3D": lambda: layers.Conv3D(4, 3),
    "Conv1DTranspose": lambda: layers.Conv1DTranspose(4, 3),
    "Conv2DTranspose": lambda: layers.Conv2DTranspose(4, 3),
    "Conv3DTranspose": lambda: layers.Conv3DTranspose(4, 3),
    "ConvLSTM1D": lambda: layers.ConvLSTM1D(2, 3),
    "ConvLSTM2D": lambda: layers.ConvLSTM2D(2, 3),
    "ConvLSTM3D": lambda: layers.ConvLSTM3D(2, 3),
    "Dense": lambda: layers.Dense(4),
    "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(3),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3),
    "Discretization": lambda: layers.Discretization([1.0]),
    "Dot": lambda: layers.Dot(-1),
    "EinsumDense": lambda: layers.EinsumDense("abcd,de->abce", (None, None, 4)),
    "Embedding": lambda: layers.Embedding(300, 2),
    "GroupNormalization": lambda: layers.GroupNormalization(1),
    "GroupedQueryAttention": lambda: layers.GroupQueryAttention(2, 2, 2),
    "HashedCrossing": lambda: layers.HashedCrossing(4),
    "Hashing": lambda: layers.Hashing(4),
    "Lambda": lambda: layers.Lambda(lambda x: 2 * x),
    "MaxNumBoundingBoxes": lambda: layers.MaxNumBoundingBoxes(4),
    "MultiHeadAttention": lambda: layers.MultiHeadAttention(2, 2),
    "Permute": lambda: layers.Permute((2, 1, 3)),
    "RepeatVector": lambda: layers.RepeatVector(3),
    "Rescaling": lambda: layers.Rescaling(1 / 255),
    "Reshape": lambda: layers.Reshape((-1,)),
    "ReversibleEmbedding": lambda: layers.ReversibleEmbedding(300, 2),
    "Resizing": lambda: layers.Resizing(4, 4),
    "RandomCrop": lambda: layers.RandomCrop(4, 4),
    "RNN": lambda: layers.RNN(layers.LSTMCell(2)),
    "SeparableConv1D": lambda: layers.SeparableConv1D(4, 3),
    "SeparableConv2D": lambda: layers.SeparableConv2D(4, 3),
    "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(4)),
    "StackedRNNCells": lambda: layers.RNN([layers.LSTMCell(2), layers.LSTMCell(2)]),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(4)),
    "GRUCell": lambda: layers.RNN(layers.GRUCell(2)),
    "LSTMCell": lambda: layers.RNN(layers.LSTMCell(2)),
    "SimpleRNNCell": lambda: layers.RNN(layers.SimpleRNNCell(2)),
    "GRU": lambda: layers.GRU(2),
    "LSTM": lambda: layers.LSTM(2),
    "SimpleRNN": lambda: layers.SimpleRNN(2),
    **{
        f"Adaptive{kind}Pooling{rank}D": lambda name=f"Adaptive{kind}Pooling{rank}D": getattr(layers, name)(2)
        for kind in ("Average", "Max")
        for rank in (1, 2, 3)
    },
}
# How many tensors, of which shape, are tried.
GIVEN = [(shape, count) for shape in ((8, 8, 4), (16, 4), (6,), (4, 4, 4, 4), (2, 4, 4, 4, 4)) for count in (1, 2)]


def made(kind):
    """A layer of `kind`; random ones with a seed."""
    name = kind.__name__
    if name in MADE:
        return MADE[name]()
    seed = {"seed": 1} if "seed" in inspect.signature(kind.__init__).parameters else {}
    rates = {"Dropout": 0.5, "SpatialDropout1D": 0.5, "SpatialDropout2D": 0.5, "SpatialDropout3D": 0.5}
    rates |= {"GaussianDropout": 0.5, "GaussianNoise": 0.5, "AlphaDropout": 0.5}
    factors = {"RandomBrightness": 0.2, "RandomContrast": 0.2, "RandomRotation": 0.1, "RandomZoom": 0.1}
    factors |= {"RandomShear": 0.1, "RandomHue": 0.1, "RandomPosterization": 4, "RandomSaturation": 0.5}
    factors |= {"RandomSharpness": 0.5, "RandomColorDegeneration": 0.5}
    given = [value[name] for value in (rates, factors) if name in value]
    if name == "RandomTranslation":
        given = [0.1, 0.1]
    return kind(*given, **seed)


def model_with(layer, shape=None, count=None):
    """A functional model of inputs 0–255, scaled to values around 0, that ends in `layer`; None if it takes none."""
    tried = [(shape, count)] if shape else GIVEN
    if type(layer).__name__.startswith("Random"):
        tried = [((8, 8, 3), 1)]
    for sides, number in tried:
        pixels = keras.Input(sides)
        scaled = layers.Rescaling(0.25, -20.0)(pixels)
        if number == 2:
            scaled = [scaled, layers.Rescaling(-0.125, 7.0)(pixels)]
        try:
            outputs = layer(scaled)
            # Which is refused where a model ends in it.
            ended = layers.Dense(3)(outputs) if isinstance(layer, layers.Softmax) else outputs
            return keras.Model(pixels, ended)
        except Exception:  # another rank, or strings
            continue
    return None


def values_of(model, count=6):
    """Whole numbers 0–255, both ends among them, as `model` takes them."""
    values = np.random.default_rng(0).integers(0, 256, (count, *model.input_shape[1:])).astype("float32")
    values.flat[:2] = 0, 255
    return values


def varied(model):
    """The model with weights as after a training: nothing is at its start."""
    chance = np.random.default_rng(1)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([chance.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        elif isinstance(layer, layers.Conv2D | layers.Dense | layers.DepthwiseConv2D | layers.SeparableConv2D):
            layer.set_weights([w if w.ndim > 1 else chance.normal(0, 1, w.shape) for w in layer.get_weights()])
    return model


def switch(model, on):
    """Round, or do not."""
    for layer in model._flatten_layers():
        if hasattr(layer, "enabled"):
            layer.enabled = on


def outputs_of(model, values, training):
    return [np.asarray(each, "float32") for each in keras.tree.flatten(model(values, training=training))]


def compare(ours, theirs, share, words):
    """Every output within a `share` of the widest value."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        worst = float(np.abs(one - other).max(initial=0) / max(np.abs(other).max(initial=0), 1e-6))
        assert worst <= share, f"{words}: {worst:.2%} of the largest value"


def require_same(make, exact=1e-4, rounded=0.05):
    """The quantized copy of the model that `make` makes computes the same: exactly where nothing is rounded, nearly
    where it is; in inference, in training and in what training changes."""
    model = varied(make())
    copy = quantize(model)
    values = values_of(model)
    loose = rounded if any(isinstance(layer, QuantizedRescaling) for layer in copy.layers) else exact
    weights = model.get_weights()
    before = copy.get_weights()
    for on, share in ((False, loose), (True, rounded)):
        model.set_weights(weights)
        copy.set_weights(before)
        switch(copy, on)
        expected = outputs_of(model, values, training=True)
        compare(outputs_of(copy, values, training=True), expected, share, f"training, rounded: {on}")
        assert len(copy.losses) == len(model.losses)
        np.testing.assert_allclose(sum(map(float, copy.losses)), sum(map(float, model.losses)), rtol=rounded)
        for layer in model.layers:
            if isinstance(layer, layers.BatchNormalization):
                ours = copy.get_layer(layer.name).get_weights()[: len(layer.get_weights())]
                for one, other in zip(ours, layer.get_weights(), strict=True):
                    np.testing.assert_allclose(one, other, rtol=0.05, atol=0.05 * np.abs(other).max())
    model.set_weights(weights)
    copy.set_weights(before)
    for on, share in ((False, loose), (True, rounded)):
        switch(copy, on)
        expected = outputs_of(model, values, training=False)
        compare(outputs_of(calibrated(copy, values), values, training=False), expected, share, f"inference: {on}")
    return copy


def calibrated(copy, values):
    """The copy with the ranges of inference on `values`; batch norms give others in training. Each image is seen often:
    augmentation is at work, and the ranges have to hold what it leaves alone."""
    for layer in get_quantizers(copy):
        layer.set_weights([weight * 0 for weight in layer.get_weights()])
    copy.trainable = False
    copy(np.repeat(values, 32, axis=0), training=True)
    copy.trainable = True
    return copy
