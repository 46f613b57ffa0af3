"""Named specs: how others trained, each with its source, and each able to make itself quick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.spec import DataSpec, NetworkSpec, Normalization, OptimizerSpec, Spec, TrainingSpec

# Means and deviations of CIFAR-10's training images, for pixels in 0–255.
CIFAR = Normalization((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))


@dataclass(frozen=True)
class Recipe:
    """about: one line. source: paper and section. quick: the same ideas in a minute on bundled data."""

    about: str
    source: str
    spec: Spec
    quick: Callable[[Spec], Spec]


def recipe(name: str, quick: bool = False) -> Spec:
    """The spec called `name`. Raises UsageError, naming the nearest, for an unknown one."""
    if name not in RECIPES:
        raise UsageError(f"unknown recipe {name!r}.{did_you_mean(name, RECIPES)} Known: {', '.join(RECIPES)}")
    chosen = RECIPES[name]
    return chosen.quick(chosen.spec) if quick else chosen.spec


def lasting(spec: Spec, epochs: int) -> Spec:
    """`spec` for so many epochs, its warm-up in proportion."""
    optimizer, training = spec.optimizer, spec.training
    if optimizer.warmup_epochs is not None and training.steps is None:
        optimizer = replace(optimizer, warmup_epochs=optimizer.warmup_epochs * epochs / training.epochs)
    return replace(spec, optimizer=optimizer, training=replace(training, epochs=epochs, steps=None))


def _quick_cifar(spec: Spec) -> Spec:
    """15 epochs of the bundled digits in batches of 64. The 330 steps are too few for drops, and for a rate of 0.1
    without warm-up, under which ResNet-56 does not settle; hence half of it, a warm-up and a cosine."""
    return replace(
        spec,
        data=DataSpec(),
        optimizer=replace(spec.optimizer, learning_rate=0.05, schedule="cosine", warmup_epochs=3.0),
        training=TrainingSpec(epochs=15, batch_size=64, precision="float32"),
    )


RECIPES = {
    "he2015-cifar": Recipe(
        about="64,000 steps of 128, rate 0.1 divided by 10 at 32,000 and 48,000; 45,000 images train, 5,000 validate",
        source="He et al. 2015, section 4.2",
        spec=Spec(
            network=NetworkSpec(20, zero_gamma=False),
            data=DataSpec("cifar10", val_fraction=0.1, normalization=CIFAR),
            optimizer=OptimizerSpec(
                learning_rate=0.1,
                momentum=0.9,
                nesterov=False,
                schedule="step",
                drops=(0.5, 0.75),
                weight_decay=1e-4,
                decay="l2",
                warmup_epochs=0.0,
                label_smoothing=0.0,
            ),
            training=TrainingSpec(steps=64_000, batch_size=128),
        ),
        quick=_quick_cifar,
    ),
}
