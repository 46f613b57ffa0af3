"""A head of your own on a residual network: a heat map of where in the picture the digit is.

    python examples/custom_head.py

`keras_resnet.create_backbone` gives the outputs of the four stages, c2 … c5, each half as fine as the one before. They
are joined from the coarsest down, which knows what it sees, to the finest, which knows where (Lin et al. 2017), and end
in a logit for each cell of 4×4 pixels. Trained by `fit` on generated pictures; draws some with their maps as heat.png.
It took 41 s of CPU time on two cores of an AMD EPYC.
"""

import argparse

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from keras_resnet import NetworkSpec, create_backbone

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--pictures", type=int, default=1500)
options = parser.parse_args()
SIDE, CELL, TESTS = 64, 4, 200
CELLS = SIDE // CELL


def pictures(count, chance):
    """Noise with a digit of 16×16 pixels somewhere: uint8 (count, 64, 64, 3), and the cell of its middle, 0–255."""
    scans = np.kron(load_digits().images / 16, np.ones((1, 2, 2)))
    noise = chance.uniform(0, 0.6, (count, SIDE, SIDE))
    places = chance.integers(0, SIDE - 16, (count, 2))
    for picture, (top, left) in zip(noise, places, strict=True):
        picture[top : top + 16, left : left + 16] += scans[chance.integers(len(scans))]
    rows, columns = (places + 8).T // CELL
    return np.repeat((np.clip(noise, 0, 1) * 255).astype("uint8")[..., None], 3, axis=-1), rows * CELLS + columns


keras.utils.set_random_seed(0)
# ResNet-18 with a quarter of its filters, and the stem that divides by four, which small images would not get.
body = create_backbone(NetworkSpec(18, width=0.25, stem="imagenet"), input_shape=(SIDE, SIDE, 3))
x = None
for stage in ("c5", "c4", "c3", "c2"):
    lateral = keras.layers.Conv2D(32, 1, name=f"lateral_{stage}")(body.output[stage])
    x = lateral if x is None else keras.layers.Add()([keras.layers.UpSampling2D()(x), lateral])
x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
heat = keras.layers.Conv2D(1, 1, name="heat")(x)  # (B, 16, 16, 1)
model = keras.Model(body.input, keras.layers.Flatten(name="cells")(heat), name="where")

loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(2e-3), loss, metrics=["accuracy"])
chance = np.random.default_rng(0)
model.fit(*pictures(options.pictures, chance), batch_size=32, epochs=options.epochs, verbose=2)

images, cells = pictures(TESTS, chance)
shares = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(images, verbose=0)))
apart = np.subtract(np.divmod(shares.argmax(1), CELLS), np.divmod(cells, CELLS))
near = (np.abs(apart).max(axis=0) <= 1).mean()
print(f"found to a cell of {CELL} pixels or its neighbours: {near:.2%} of {TESTS} pictures")

maps = np.kron((shares / shares.max(1, keepdims=True)).reshape(-1, CELLS, CELLS), np.ones((CELL, CELL)))
drawn = [np.hstack([images[row, ..., 0], (255 * maps[row]).astype("uint8")]) for row in range(4)]
Image.fromarray(np.vstack(drawn)).save("heat.png")
