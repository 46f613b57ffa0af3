"""Does a small network learn more from a teacher? The same pupil, alone and taught, over several seeds.

    python benchmarks/distillation.py [--runs DIR] [--seeds 3] [--pupil-epochs 8]

A ResNet-50 is trained on the bundled digits, unless DIR holds one called "teacher"; then ResNet-8 of half the width,
from the labels alone and from the teacher. What comes out is printed, whatever it is.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_resnet import console
from keras_resnet.run import Run
from keras_resnet.spec import DistillSpec, NetworkSpec, Spec, TrainingSpec
from keras_resnet.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path(tempfile.gettempdir()) / "kresnet-distillation")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pupil-epochs", type=int, default=8)
    options = parser.parse_args()
    home: Path = options.runs
    teacher = Run(home / "teacher")
    if not teacher.finished:
        train(Spec(network=NetworkSpec(50)), home, "teacher", console.say)
    taught = DistillSpec(teacher=str(teacher.folder.resolve()), weight=0.9)
    found: dict[str, list[float]] = {"alone": [], "taught": []}
    for seed in range(options.seeds):
        training = TrainingSpec(epochs=options.pupil_epochs, precision="float32", seed=seed)
        alone = Spec(network=NetworkSpec(8, width=0.5), training=training)
        for kind, spec in (("alone", alone), ("taught", replace(alone, distill=taught))):
            name = f"{kind}-{options.pupil_epochs}-{seed}"
            run = Run(home / name)
            run = run if run.finished else train(spec, home, name, console.say)
            found[kind].append(100 * run.metrics()["value"])
    rows = [
        [kind, f"{np.mean(values):.2f}% ± {np.std(values, ddof=1):.2f}", ", ".join(f"{v:.2f}" for v in values)]
        for kind, values in found.items()
    ]
    teachers = 100 * teacher.metrics()["value"]
    console.table(
        f"ResNet-8, half the width, {options.pupil_epochs} epochs of digits; teacher: ResNet-50, {teachers:.2f}%",
        ["pupil", "top-1", "of each seed"],
        rows,
    )


if __name__ == "__main__":
    main()
