"""Does memory grow with the epochs? Resident memory after each epoch of one training.

    python benchmarks/memory.py [--epochs 30] [--figure FILE.png]

Prints it for the third epoch, when all is traced and warm, and for the last, and how far any in between was off.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import psutil

from keras_resnet.config.spec import AugmentSpec, DataSpec, NetworkSpec, Spec, TrainingSpec
from keras_resnet.training.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    sizes: list[float] = []

    def note(message: str) -> None:
        if message.startswith("epoch "):
            sizes.append(psutil.Process().memory_info().rss / 2**20)

    spec = Spec(
        network=NetworkSpec(20),
        data=DataSpec(image_size=16),
        augment=AugmentSpec(crop="resized", min_crop_area=0.5, auto_augment="randaugment", mixup=0.2, cutmix=1.0),
        training=TrainingSpec(epochs=options.epochs, batch_size=64, precision="float32", ema=0.99),
    )
    with tempfile.TemporaryDirectory() as home:
        train(spec, Path(home), log=note)
    warm = sizes[2:]
    spread = max(abs(size / warm[0] - 1) for size in warm)
    print(
        f"epoch 3: {warm[0]:.0f} MiB, epoch {len(sizes)}: {sizes[-1]:.0f} MiB ({sizes[-1] / warm[0] - 1:+.1%});",
        end=" ",
    )
    print(f"farthest from epoch 3: {spread:.1%}")
    if options.figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 2.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(range(1, len(sizes) + 1), sizes, marker=".")
        axes.set(xlabel="epoch", ylabel="resident memory (MiB)", ylim=(0, 1.2 * max(sizes)))
        axes.grid(alpha=0.3)
        figure.savefig(options.figure, dpi=120)


if __name__ == "__main__":
    main()
