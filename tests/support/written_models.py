"""Models with operators, shared layers and models inside them, as people write them."""

import keras

layers, ops = keras.layers, keras.ops


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
