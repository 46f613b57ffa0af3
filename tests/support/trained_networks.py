"""Networks as after a training, the digits they see, and what LiteRT makes of their files."""

import keras
import numpy as np

from keras_resnet.config.spec import Normalization
from keras_resnet.models import build
from keras_resnet.models.layers import Layers
from keras_resnet.models.names import parse_model_name

SIZE = 16


def network(name, size=SIZE, bricks=None):
    """One of the catalog as after a training: no batch norm is at its start, no unit an identity."""
    bricks, chance = bricks or Layers(keras), np.random.default_rng(0)
    model = build.build_classifier(
        bricks, parse_model_name(name), classes=10, input_shape=(size, size, 3), normalization=Normalization()
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weight.shape for weight in layer.get_weights()]
            layer.set_weights([chance.uniform(0.5, 1.5, shape) for shape in shapes])
    return model


def digits(size=SIZE):
    """Real images (1797, size, size, 3) and labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    grey = np.kron(images.reshape(-1, 8, 8, 1) * 255 / 16, np.ones((1, size // 8, size // 8, 3)))
    return grey.astype("float32"), labels


def fitted(model, epochs=1, size=SIZE, rate=0.01, steps=40):
    """The model after a short `fit`, compiled as a user's script does it."""
    images, labels = digits(size)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(images[: 32 * steps], labels[: 32 * steps], batch_size=32, epochs=epochs, verbose=0)
    return model


def answers_of(file, images):
    """What LiteRT makes of uint8 `images`: logits in steps of the file's scale, and the step."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file), num_threads=2)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = given["quantization"]
    found = []
    for image in images:
        interpreter.set_tensor(taken["index"], image[None].astype("uint8"))
        interpreter.invoke()
        found.append((interpreter.get_tensor(given["index"]).astype("float32") - zero) * scale)
    return np.concatenate(found), scale
