"""Weights from elsewhere, other classes: a new classifier first, then the whole network at a lower rate.

    python examples/fine_tune.py                          # offline: weights of the digits 0–4, which it trains
    python examples/fine_tune.py --weights torchvision:resnet18 --model resnet18 --size 64
    python examples/fine_tune.py --weights saved_models/resnet20-digits/model.keras

`--weights` is a file (.keras, .h5, .pth, .safetensors) or a source to download from (torchvision:…, timm:…, keras:…).
Without arguments it took 32 s of CPU time on two cores of an AMD EPYC.
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_resnet import Normalization, create_model, load_weights
from keras_resnet.pretrained.load import fetch_weights

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--weights")
parser.add_argument("--model", default="resnet20")
parser.add_argument("--size", type=int, default=8, help="pixels a side, a multiple of 8")
parser.add_argument("--epochs", type=int, default=6, help="of each of the trainings")
options = parser.parse_args()


def digits(first, last):
    """Images uint8 (N, size, size, 3) and labels from 0 of some digits: to train on, and 200 to validate."""
    scans = load_digits()
    chosen = (scans.target >= first) & (scans.target <= last)
    side = options.size // 8
    images = np.kron(scans.images[chosen][..., None] * 255 / 16, np.ones((1, side, side, 3))).astype("uint8")
    labels = scans.target[chosen] - first
    return (images[:-200], labels[:-200]), (images[-200:], labels[-200:])


def fit(model, rate, data):
    """Train what is trainable; the accuracy on the validation images."""
    train, validation = data
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), loss, metrics=["accuracy"])
    return model.fit(*train, 32, options.epochs, verbose=2, validation_data=validation).history["val_accuracy"][-1]


keras.utils.set_random_seed(0)
shape = (options.size, options.size, 3)
if options.weights is None:
    first = create_model(options.model, classes=5, input_shape=shape)
    print(f"digits 0–4: {fit(first, 0.05, digits(0, 4)):.2%}")
    first.save("digits-0-4.keras")

weights = options.weights or "digits-0-4.keras"
# Pixels are normalized as the weights are used to. A file of ours does not say how; its network does it the usual way.
normalization = fetch_weights(weights).normalization or Normalization()
whole = create_model(options.model, classes=5, input_shape=shape, normalization=normalization)
print(f"{weights}: {load_weights(whole, weights)}")

# Everything but its classifier, and one of our own on top: still one flat model.
body = keras.Model(whole.input, whole.get_layer("pool").output)
model = keras.Model(body.input, keras.layers.Dense(5, dtype="float32", name="digits")(body.output), name="fine_tuned")

body.trainable = False  # batch norms keep their statistics, too
print(f"digits 5–9, a new classifier on the frozen body: {fit(model, 0.1, digits(5, 9)):.2%}")
body.trainable = True
print(f"digits 5–9, all of it at a tenth of the rate: {fit(model, 0.01, digits(5, 9)):.2%}")
model.save("fine_tuned.keras")
