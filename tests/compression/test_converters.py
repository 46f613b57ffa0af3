"""Every layer of Keras, quantized: it computes what it computed before, or it is refused in a sentence."""

import inspect

import keras
import numpy as np
import pytest

from keras_resnet.compression.quantization.converters import LAYERS
from keras_resnet.compression.quantization.freeze import get_quantizers, prepare_for_conversion
from keras_resnet.compression.quantization.layers import QuantizedRescaling
from keras_resnet.compression.quantization.quantize import quantize
from keras_resnet.errors import UsageError
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

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


@pytest.fixture(autouse=True)
def same_weights():
    """The same ones each time: of all that may be drawn, some lie at the edge of a range."""
    keras.utils.set_random_seed(0)


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


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_layer_of_keras_is_computed_or_refused(kind):
    name = kind.__name__
    if name in NOT_MADE:
        assert kind not in LAYERS
        return
    model = model_with(made(kind))
    if model is None:
        assert kind not in LAYERS, f"test_quantize_layers.py knows no way to make a {name}"
        return
    if kind in LAYERS:
        require_same(lambda: model)
        return
    with pytest.raises(
        UsageError, match=f"Received: .*{model.layers[-1].name} of type {type(model.layers[-1]).__name__}"
    ):
        quantize(model)


def functional(build, shape=(8, 8, 3)):
    """What makes the model of what `build` makes of pixels."""

    def make():
        pixels = keras.Input(shape)
        return keras.Model(pixels, build(pixels))

    return make


def features(x):
    """Six channels of values around 0."""
    return layers.Conv2D(6, 3, padding="same")(layers.Rescaling(1 / 64, -2.0)(x))


def twice(x):
    convolution = layers.Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer="l2")
    return convolution(convolution(layers.Rescaling(1 / 64, -2.0)(x)))


def one_norm_of_two(x):
    norm = layers.BatchNormalization()
    return norm(layers.Conv2D(4, 3)(x)) - norm(layers.Conv2D(4, 3)(x))


def nested(x):
    inner = keras.Sequential([keras.Input((8, 8, 6)), layers.Conv2D(6, 1, activation="swish"), layers.Dropout(0.0)])
    outer = keras.Model(inner.inputs, inner(inner.inputs[0]) + inner.inputs[0], name="outer")
    return outer(outer(features(x)), training=False)


class Renamed(layers.Conv2D):
    """As people preset a layer."""

    def __init__(self, filters, **options):
        super().__init__(filters, 3, padding="same", **options)


def squeezed(x):
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return x * layers.Conv2D(6, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu6")(gate))


ACTIVE = ("relu", "relu6", "sigmoid", "tanh", "swish", "hard_sigmoid", "hard_swish", "leaky_relu")
MODELS = {
    **{
        f"conv {name}": functional(lambda x, name=name: layers.Conv2D(4, 3, activation=name)(features(x)))
        for name in ACTIVE
    },
    **{
        f"dense {name}": functional(lambda x, name=name: layers.Dense(4, activation=name)(features(x)))
        for name in ACTIVE
    },
    "depthwise": functional(lambda x: layers.DepthwiseConv2D(3, 2, "same", 2, activation="relu")(features(x))),
    "separable": functional(
        lambda x: layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="swish")(features(x))
    ),
    "depthwise, norm": functional(
        lambda x: layers.ReLU(6.0)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, use_bias=False)(features(x))))
    ),
    "grouped": functional(lambda x: layers.Conv2D(6, 3, groups=3, strides=2)(features(x))),
    "dilated": functional(lambda x: layers.Conv2D(6, 3, dilation_rate=2)(features(x))),
    "conv, norm without scale": functional(lambda x: layers.BatchNormalization(scale=False)(features(x))),
    "conv, norm without offset": functional(lambda x: layers.BatchNormalization(center=False)(features(x))),
    "norm without either": functional(
        lambda x: layers.BatchNormalization(scale=False, center=False)(layers.ReLU()(features(x)))
    ),
    "norm of rows": functional(lambda x: layers.BatchNormalization(axis=1)(layers.ReLU()(features(x)))),
    "conv, norm of rows": functional(lambda x: layers.BatchNormalization(axis=1)(features(x))),
    "dense, norm": functional(lambda x: layers.BatchNormalization()(layers.Dense(4)(layers.Flatten()(features(x))))),
    "conv, relu, norm": functional(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))),
    "frozen norm": functional(lambda x: layers.BatchNormalization(trainable=False)(layers.ReLU()(features(x)))),
    "conv, rescaling": functional(lambda x: layers.Rescaling(0.5)(features(x))),
    "two rescalings": functional(lambda x: layers.Rescaling(2.0, -1.0)(layers.Rescaling(1 / 255)(x))),
    "rescaling by channel": functional(
        lambda x: layers.Rescaling([0.1, 0.2, 0.3], [-1.0, 0.0, 1.0])(features(x)[..., :3])
    ),
    "normalization": functional(
        lambda x: layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.1, 0.2, 0.3])(layers.Rescaling(1 / 255)(x))
    ),
    "h + x": functional(lambda x: layers.Conv2D(3, 3, padding="same")(x) + x),
    "arithmetic": functional(lambda x: 1.0 - 2 * (features(x) * features(x) - 3) / 4 + -features(x)),
    "keras.ops": functional(lambda x: ops.mean(ops.relu6(ops.add(features(x), 1.5)), axis=(1, 2), keepdims=True)),
    "x / 255.0": functional(lambda x: layers.Conv2D(3, 3)(x / 255.0)),
    "augmented": functional(lambda x: layers.Conv2D(3, 3)(layers.Rescaling(1 / 255)(layers.RandomFlip(seed=1)(x)))),
    "preprocess caffe": functional(lambda x: layers.Conv2D(3, 3)(keras.applications.resnet.preprocess_input(x))),
    "preprocess tf": functional(lambda x: layers.Conv2D(3, 3)(keras.applications.mobilenet_v2.preprocess_input(x))),
    "preprocess torch": functional(lambda x: layers.Conv2D(3, 3)(keras.applications.densenet.preprocess_input(x))),
    "a layer twice": functional(twice),
    "a norm of two kernels": functional(one_norm_of_two),
    "models inside": functional(nested),
    "a preset layer": functional(lambda x: Renamed(4, activation="relu")(x)),
    "squeeze and excite": functional(lambda x: squeezed(features(x))),
    "three summands": functional(lambda x: layers.Add()([features(x), features(x), features(x)])),
    "average": functional(lambda x: layers.Average()([features(x), features(x), features(x)])),
    "joined, then cut off": functional(lambda x: layers.ReLU()(layers.Concatenate()([features(x), features(x)]))),
    "a result that others take too": functional(lambda x: (lambda y: [y, layers.ReLU()(y)])(features(x))),
    "two results of one": functional(
        lambda x: (lambda y: {"a": layers.ReLU()(y), "b": layers.ReLU(6.0)(y)})(features(x))
    ),
    "a regularized activity": functional(
        lambda x: layers.Dense(4, activation="relu", activity_regularizer="l2")(layers.Flatten()(x / 255))
    ),
    "sequential": lambda: keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(5),
        ]
    ),
    "softmax inside": functional(lambda x: layers.Dense(3)(layers.Softmax()(features(x)))),
    "values around 0": functional(
        lambda x: layers.Dense(3)(layers.Activation("tanh")(layers.Permute((2, 1, 3))(features(x))))
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_as_people_write_them_are_computed(name):
    require_same(MODELS[name])


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


@pytest.mark.parametrize(
    ("values", "words"),
    [((0.0, 1.0), "saw values from 0 to 1"), ((-1.0, 1.0), "from -1 to 1"), ((0.0, 300.0), "to 300")],
)
def test_a_file_takes_pixels_only_if_the_network_was_trained_on_pixels(values, words):
    copy = quantize(functional(lambda x: layers.Dense(3)(layers.Flatten()(layers.Conv2D(4, 3)(x))))())
    images = np.random.default_rng(0).uniform(*values, (4, 8, 8, 3)).astype("float32")
    images.flat[:2] = values
    plain = np.asarray(copy(images, training=True))
    assert plain.std() > 0
    with pytest.raises(UsageError, match=words):
        prepare_for_conversion(copy)


def test_a_mixed_precision_model_with_operators_keeps_its_results():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = varied(functional(lambda x: layers.Dense(3, dtype="float32")(layers.Flatten()(nested(x / 255.0))))())
    finally:
        keras.config.set_dtype_policy(before)
    copy, values = quantize(model), values_of(model)
    compare(outputs_of(calibrated(copy, values), values, False), outputs_of(model, values, False), 0.05, "bfloat16")


def test_a_saved_copy_is_loaded_as_it_was(tmp_path):
    """With every layer that a copy can hold of ours."""
    make = functional(
        lambda x: layers.SeparableConv2D(2, 3, activation="hard_swish")(nested(x / 255)) * np.float32([1, 2])
    )
    copy = quantize(make())
    values = values_of(copy)
    calibrated(copy, values)
    copy.save(tmp_path / "copy.keras")
    loaded = keras.saving.load_model(tmp_path / "copy.keras")
    np.testing.assert_array_equal(loaded.predict(values, verbose=0), copy.predict(values, verbose=0))


ACCEPTED = {
    **{kind.__name__: (lambda kind=kind: model_with(made(kind))) for kind in CLASSES if kind in LAYERS},
    # A signature has one output or names them.
    **{name: make for name, make in MODELS.items() if name != "a result that others take too"},
}
QUICK = ("separable", "models inside")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ACCEPTED]
)
def test_what_is_accepted_becomes_an_integer_file_that_computes_it(name, tmp_path):
    """Nearly all within one step of the file's, none farther off than four: LiteRT's kernels round otherwise than
    TensorFlow's, each by a step at most, and swish is three of them."""
    copy = quantize(varied(ACCEPTED[name]()))
    values = values_of(copy, 16)
    expected = outputs_of(calibrated(copy, values), values, training=False)
    write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "uint8"), None, tmp_path / "x.tflite")
    content = (tmp_path / "x.tflite").read_bytes()
    assert not read_contents(content).float_dtypes
    for (got, step), wanted in zip(answers_of(content, values.astype("uint8")), expected, strict=True):
        steps = np.abs(got - wanted) / step
        assert steps.max() < 4.1 and (steps < 1.1).mean() > 0.99, f"{steps.max():.1f}, {(steps < 1.1).mean():.1%} near"


def answers_of(content, images):
    """What LiteRT makes of uint8 `images`: for each output, in the order of their names, values and their step."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    (signature,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(signature)
    (given,) = runner.get_input_details()
    rows = [runner(**{given: image[None]}) for image in images]
    for name, details in sorted(runner.get_output_details().items()):
        scale, zero = details["quantization"]
        yield (np.concatenate([row[name] for row in rows]).astype("float32") - zero) * scale, scale
