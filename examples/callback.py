"""A callback that asks during `fit` what the 8-bit file would be worth by now, and keeps the best one.

    python examples/callback.py

A network can get better in floating point and worse in 8 bits, for instance when a channel grows far beyond the others.
It is well to know before the last epoch. Every few epochs the callback writes the file, verifies it on the validation
images, and keeps it if it is within its budget and better than the one kept before. Each time took about ten seconds
here, mostly TensorFlow's converter in a process of its own; all of it 30 s of CPU time on two cores of an AMD EPYC.
A second callback writes a page about the training, fit.html.
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_resnet import ResNet8
from keras_resnet.api.callbacks import FitReport, VerdictEvery
from keras_resnet.export import in_memory

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--every", type=int, default=5)
options = parser.parse_args()

digits = load_digits()
images = np.repeat((digits.images * 255 / 16).astype("uint8")[..., None], 3, axis=-1)
train, validation = (images[:1437], digits.target[:1437]), (images[1437:], digits.target[1437:])
data = in_memory(train, validation, classes=[str(digit) for digit in range(10)])

keras.utils.set_random_seed(0)
model = ResNet8(classes=10, input_shape=(8, 8, 3))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
watch = VerdictEvery(data, "best.tflite", every=options.every)
callbacks = [watch, FitReport(verdicts=watch)]
model.fit(*train, validation_data=validation, batch_size=32, epochs=options.epochs, callbacks=callbacks, verbose=2)
print("in 8 bits by epoch:", {epoch: f"{verdict.value:.2%}" for epoch, verdict in watch.verdicts.items()})
