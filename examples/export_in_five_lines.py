"""From a model that `fit` trained to an 8-bit .tflite file that is known to work, in five lines.

    python examples/export_in_five_lines.py               # writes digits.tflite
    python examples/export_in_five_lines.py --io int8     # for microcontrollers
    kresnet predict digits.tflite photo.jpg               # the file knows its labels

Any functional model will do that takes pixels 0–255 and ends in logits. 200 of the training images, as many of each
class, tell the converter how large activations become. Then the file itself is run on the validation images: if it lost
more than a point there, it does not get its name, and the script fails.
All in all it took 33 s of CPU time on two cores of an AMD EPYC.
"""

import argparse
import sys

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_resnet import ResNet20
from keras_resnet.export import export_tflite, in_memory

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--io", default="uint8", choices=("uint8", "int8", "float"), help="what goes in and comes out")
options = parser.parse_args()

digits = load_digits()
images = np.repeat((digits.images * 255 / 16).astype("uint8")[..., None], 3, axis=-1)
labels = digits.target

keras.utils.set_random_seed(0)
model = ResNet20(classes=10, input_shape=(8, 8, 3))
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
model.fit(images[:1437], labels[:1437], batch_size=32, epochs=options.epochs, verbose=2)

# The five lines.
train, validation = (images[:1437], labels[:1437]), (images[1437:], labels[1437:])
data = in_memory(train, validation, classes=[str(digit) for digit in range(10)])
verdict = export_tflite(model, data, "digits.tflite", max_drop=1.0, io=options.io)
print(verdict)
sys.exit(not verdict.passed)
