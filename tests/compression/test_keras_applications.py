"""The networks of keras.applications, quantized: trained two steps and written as integers, or refused.

`python tests/compression/test_keras_applications.py` prints the table of docs/compression.md.
"""

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet import quantize
from keras_resnet.errors import UsageError
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats.tflite import write_tflite
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions

CLASSES, BATCH = 4, 16
# Epochs of two steps in which a network learns before it is quantized: without any, its features hardly differ between
# images, and a rounding step more or less in one layer shows in all that follow.
LEARNED = 10
# The learning rate of these epochs; without batch norm, a larger one leaves VGG16 no unit that answers.
RATE, RATE_OF_VGG = 1e-3, 1e-4
# Sides of the images, and the name of the module that normalizes for the network; None where it does so itself.
NETWORKS = {
    "ResNet50": (64, "resnet"),
    "ResNet50V2": (64, "resnet_v2"),
    "VGG16": (32, "vgg16"),
    "InceptionV3": (75, "inception_v3"),
    "DenseNet121": (64, "densenet"),
    "MobileNetV2": (64, "mobilenet_v2"),
    "MobileNetV3Small": (64, None),
    "EfficientNetB0": (64, None),
}


def images_of(size, count):
    """`count` pictures of shapes of a color in noise, uint8, and their colors, of CLASSES."""
    chance = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    colors = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220], [220, 220, 40]])
    images = chance.integers(0, 256, (count, size, size, 3)) // 2
    half = size // 2
    for image, label in zip(images, labels, strict=True):
        top, left = chance.integers(0, half, 2)
        image[top : top + half, left : left + half] = colors[label]
    images[:, 0, 0], images[:, 0, 1] = 0, 255
    return images.astype("uint8"), labels


def network(name):
    """The network of keras.applications from pixels to logits, as a user takes it: random weights, its own
    preprocessing inside."""
    size, module = NETWORKS[name]
    keras.utils.set_random_seed(1)
    pixels = keras.Input((size, size, 3))
    normalized = pixels if module is None else getattr(keras.applications, module).preprocess_input(pixels)
    build = getattr(keras.applications, name)
    options = {} if name == "VGG16" else {"pooling": "avg"}
    body = build(weights=None, include_top=False, input_shape=(size, size, 3), **options)
    features = body(normalized)
    if name == "VGG16":
        features = keras.layers.Flatten()(features)
    return keras.Model(pixels, keras.layers.Dense(CLASSES)(features))


def measure(name):
    """What became of one network: a row of the table."""
    size, _ = NETWORKS[name]
    model = network(name)
    images, labels = images_of(size, 2 * BATCH)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(RATE_OF_VGG if name == "VGG16" else RATE), loss)
    model.fit(images.astype("float32"), labels, batch_size=BATCH, epochs=LEARNED, verbose=0)
    settle(model, images, labels)
    copy = quantize(model)
    copy.compile(keras.optimizers.SGD(1e-4), loss)
    copy.fit(images.astype("float32"), labels, batch_size=BATCH, epochs=1, verbose=0)
    expected = np.asarray(copy.predict(images.astype("float32"), verbose=0))
    floats = np.asarray(model.predict(images.astype("float32"), verbose=0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.tflite")
        write_tflite(copy, TFLiteOptions(SCHEMES["qat"], "uint8"), None, file)
        contents, got = read_contents(file.read_bytes()), answers_of(file, images)
        megabytes = file.stat().st_size / 1e6
    return {
        "floats": contents.float_dtypes,
        "operators": contents.operators,
        "agreement": float((got.argmax(1) == expected.argmax(1)).mean()),
        "correlation": float(np.corrcoef((got - got.mean(0)).ravel(), (expected - expected.mean(0)).ravel())[0, 1]),
        "of_model": float((expected.argmax(1) == floats.argmax(1)).mean()),
        "mb": megabytes,
    }


def settle(model, images, labels):
    """Give batch norms the statistics of `images`, which a fresh network has of none, and the last layer the weights
    that tell these images apart, by ridge regression: an untrained network's answers are chance."""
    images = images.astype("float32")
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.99
    last = model.layers[-1]
    features = np.asarray(keras.Model(model.input, last.input)(images, training=False), "float64")
    middle, spread = features.mean(0), features.std(0) + 1e-6
    known = (features - middle) / spread
    weights = known.T @ np.linalg.solve(known @ known.T + np.eye(len(known)), np.eye(CLASSES)[labels] - 1 / CLASSES)
    kernel = 8 * weights / spread[:, None]
    last.set_weights([kernel, -middle @ kernel])


def answers_of(file, images):
    """What LiteRT makes of uint8 `images`."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=2)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert taken["quantization"] == (1.0, 0)
    scale, zero = given["quantization"]
    found = []
    for image in images:
        interpreter.set_tensor(taken["index"], image[None])
        interpreter.invoke()
        found.append((interpreter.get_tensor(given["index"]).astype("float32") - zero) * scale)
    return np.concatenate(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_keras_applications_becomes_an_integer_file(name):
    found = measure(name)
    print(name, found)
    assert not found["floats"] and found["agreement"] >= 0.9 and found["of_model"] >= 0.9


def test_a_network_that_ends_in_a_softmax_is_refused_before_any_work():
    model = keras.applications.MobileNetV2(weights=None, classes=CLASSES, input_shape=(32, 32, 3))
    with pytest.raises(UsageError, match="must end in logits, without a softmax"):
        quantize(model)


if __name__ == "__main__":
    for each in sys.argv[1:] or NETWORKS:
        row = measure(each)
        sides = NETWORKS[each][0]
        print(
            f"| {each} | {sides} | {row['mb']:.1f} | {row['agreement']:.0%} | {row['correlation']:.4f} |"
            f" {row['of_model']:.0%} | {'none' if not row['floats'] else row['floats']} |",
            flush=True,
        )
