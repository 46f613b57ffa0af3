"""Your own images, a folder for each class: read by Keras, trained by `model.fit`, saved.

    python examples/own_dataset.py photos/ --size 224     # photos/cats/*.jpg, photos/dogs/*.jpg, …
    python examples/own_dataset.py                        # offline: a folder of scanned digits, which it makes

A fifth of the images is held out. A few hundred photos are too few to start from nothing: see fine_tune.py.
Without arguments it took 70 s of CPU time on two cores of an AMD EPYC.
"""

import argparse
from pathlib import Path

import keras
from PIL import Image
from sklearn.datasets import load_digits

from keras_resnet import choose_precision, create_model

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--size", type=int, default=32, help="pixels a side that images are brought to")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--precision", default="auto", help="a Keras policy, e.g. mixed_bfloat16")
options = parser.parse_args()


def digits_as_png(folder):
    """scikit-learn's 1,797 scans as PNG files, a folder for each digit."""
    digits = load_digits()
    for number, (ink, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = folder / str(label) / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((ink * 255 / 16).astype("uint8")).save(file)
    return folder


train, held_out = keras.utils.image_dataset_from_directory(
    options.folder or digits_as_png(Path("digits-png")),
    validation_split=0.2,
    subset="both",
    seed=0,
    image_size=(options.size, options.size),
    crop_to_aspect_ratio=True,
    batch_size=options.batch_size,
)
classes = train.class_names


def build(name, policy):
    """The network takes pixels as they come, 0–255: they are normalized inside."""
    return create_model(name, classes=len(classes), input_shape=(options.size, options.size, 3), dtype=policy)


# The CIFAR networks are made for small images. The precision is tried with the smallest network of the kind.
name, smallest = ("resnet20", "resnet8") if options.size <= 64 else ("resnet18", "resnet10")
precision, why = options.precision, "as asked"
if precision == "auto":
    precision, why = choose_precision(lambda policy: build(smallest, policy), options.size, options.batch_size)
print(f"precision: {precision} ({why})")

keras.utils.set_random_seed(0)
model = build(name, precision)
steps = options.epochs * len(train)
rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=0.003, warmup_steps=steps // 10)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.AdamW(rate), loss, metrics=["accuracy"])
model.fit(train, validation_data=held_out, epochs=options.epochs, verbose=2)

_, accuracy = model.evaluate(held_out, verbose=0)
model.save("own_dataset.keras")
print(f"{model.name}: {accuracy:.2%} of the held-out images right, of {len(classes)} classes; saved own_dataset.keras")
