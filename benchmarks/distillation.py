"""Does a small network learn more from a teacher? The same pupil, alone and taught, over several seeds.

    python benchmarks/distillation.py [--data pairs|digits] [--runs DIR] [--seeds 3] [--pupil-epochs 20]

digits: the bundled ones. pairs: two of them beside each other, each at a height of its own, and the number they make is
the label: 100 classes, 40 images of each to train on, 10 to validate, from other digits.

A ResNet-50 is trained first, unless DIR holds one; then ResNet-8, from the labels alone and from the
teacher. What comes out is printed, whatever it is.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_resnet.cli import console
from keras_resnet.config.spec import AugmentSpec, DataSpec, DistillSpec, NetworkSpec, Spec, TrainingSpec
from keras_resnet.run import Run
from keras_resnet.training.train import train

SIDE = 16
OF_EACH = {"train": 40, "val": 10}


def draw_pairs(folder: Path) -> None:
    """An image folder of the hundred pairs, the same ones each time."""
    chance = np.random.default_rng(0)
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    for split, scans, names in (("train", parts[0], parts[2]), ("val", parts[1], parts[3])):
        of_digit = [scans[names == digit].reshape(-1, 8, 8) for digit in range(10)]
        for number in range(100):
            place = folder / split / f"{number:02}"
            place.mkdir(parents=True)
            for index in range(OF_EACH[split]):
                pair = np.zeros((SIDE, SIDE))
                for half, digit in enumerate(divmod(number, 10)):
                    top = chance.integers(0, SIDE - 8, endpoint=True)
                    pair[top : top + 8, 8 * half : 8 * half + 8] = chance.choice(of_digit[digit])
                Image.fromarray((pair * 255 / 16).astype("uint8")).save(place / f"{index}.png")


def job(data: str, home: Path) -> Spec:
    """What teacher and pupils have in common."""
    if data == "digits":
        return Spec()
    folder = home.resolve() / "data"
    if not folder.exists():
        draw_pairs(folder)
    return Spec(data=DataSpec(source=str(folder), image_size=SIDE), augment=AugmentSpec(flip=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("pairs", "digits"), default="pairs")
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "kresnet-distillation")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pupil-epochs", type=int, default=20)
    options = parser.parse_args()
    home: Path = options.runs / options.data
    common = job(options.data, home)
    teacher = Run(home / "teacher")
    if not teacher.is_finished:
        train(replace(common, network=NetworkSpec(50)), home, "teacher", console.log)
    taught = DistillSpec(teacher=str(teacher.folder.resolve()), weight=0.9)
    found: dict[str, list[float]] = {"alone": [], "taught": []}
    for seed in range(options.seeds):
        training = TrainingSpec(epochs=options.pupil_epochs, precision="float32", seed=seed)
        alone = replace(common, network=NetworkSpec(8), training=training)
        for kind, spec in (("alone", alone), ("taught", replace(alone, distill=taught))):
            name = f"{kind}-{options.pupil_epochs}-{seed}"
            run = Run(home / name)
            run = run if run.is_finished else train(spec, home, name, console.log)
            found[kind].append(100 * run.metrics()["value"])
    rows = [
        [kind, f"{np.mean(values):.2f}% ± {np.std(values, ddof=1):.2f}", ", ".join(f"{v:.2f}" for v in values)]
        for kind, values in found.items()
    ]
    teachers = 100 * teacher.metrics()["value"]
    console.print_table(
        f"ResNet-8, {options.pupil_epochs} epochs of {options.data}; teacher: ResNet-50, {teachers:.2f}%",
        ["pupil", "top-1", "of each seed"],
        rows,
    )


if __name__ == "__main__":
    main()
