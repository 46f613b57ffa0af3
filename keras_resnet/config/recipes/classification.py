"""How others trained classifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from keras_resnet.config.recipes.recipe import IMAGENET, Recipe
from keras_resnet.config.spec import (
    AugmentSpec,
    DataSpec,
    DistillSpec,
    NetworkSpec,
    Normalization,
    OptimizerSpec,
    Spec,
    TrainingSpec,
)

# Of the training images, for pixels in 0–255.
CIFAR = Normalization((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))


def _quick_cifar(spec: Spec) -> Spec:
    """15 epochs of the bundled digits in batches of 64. The 330 steps are too few for drops, and for a rate of 0.1
    without warm-up, under which ResNet-56 does not settle; hence half of it, a warm-up and a cosine."""
    return replace(
        spec,
        data=DataSpec(),
        optimizer=replace(spec.optimizer, learning_rate=0.05, schedule="cosine", warmup_epochs=3.0),
        training=TrainingSpec(epochs=15, batch_size=64, precision="float32"),
    )


def _quick(epochs: int, rate: float | None = None) -> Callable[[Spec], Spec]:
    """ResNet-20 on the bundled digits at 16 pixels in batches of 64, a tenth of it warm-up. Cuts show at least half of
    a digit, which has no background to spare; averages are short enough for so few steps."""

    def quicker(spec: Spec) -> Spec:
        rate_of_64 = spec.optimizer.learning_rate if rate is None else rate
        optimizer = replace(spec.optimizer, learning_rate=rate_of_64, reference_batch=None, warmup_epochs=epochs / 10)
        training = replace(spec.training, epochs=epochs, steps=None, batch_size=64, precision="float32")
        return replace(
            spec,
            network=NetworkSpec(20, drop_path=spec.network.drop_path, width=spec.network.width),
            data=DataSpec(image_size=16),
            augment=replace(spec.augment, min_crop_area=max(0.5, spec.augment.min_crop_area), train_sizes=()),
            optimizer=optimizer,
            training=replace(training, ema=None if training.ema is None else 0.99),
        )

    return quicker


def _imagenet(resize: int = 256, network: NetworkSpec | None = None, **parts: object) -> Spec:
    """A spec for TFDS' imagenet2012 at 224 pixels, as `parts` says."""
    data = DataSpec("imagenet2012", image_size=224, resize=resize, fit="crop", normalization=IMAGENET)
    return replace(Spec(network=network or NetworkSpec(50), data=data), **parts)  # type: ignore[arg-type]


# Wightman et al. 2021, table 2: what A1, A2 and A3 have in common.
_TIMM_AUGMENT = AugmentSpec(
    crop="resized", auto_augment="randaugment", operations=2, magnitude=7, magnitude_std=0.5, mixup=0.1, cutmix=1.0
)
_TIMM_OPTIMIZER = OptimizerSpec(
    name="lamb",
    learning_rate=5e-3,
    weight_decay=0.02,
    warmup_epochs=5.0,
    label_smoothing=0.0,
    reference_batch=2048,
)
_TIMM_TRAINING = TrainingSpec(batch_size=2048, loss="bce")

CLASSIFICATION_RECIPES = {
    "quick": Recipe(
        about="a ResNet-20 on the bundled digits in a minute: to see that everything works",
        source="none",
        published="",
        spec=Spec(network=NetworkSpec(20), training=TrainingSpec(epochs=10)),
        quick=lambda spec: spec,
    ),
    "he2015-cifar": Recipe(
        about="64,000 steps of 128, rate 0.1 divided by 10 at 32,000 and 48,000; 45,000 images train, 5,000 validate",
        source="He et al. 2015, section 4.2",
        published="ResNet-20 91.25, 56 93.03, 110 93.57 on CIFAR-10's test images",
        spec=Spec(
            network=NetworkSpec(20, zero_gamma=False),
            data=DataSpec("cifar10", val_fraction=0.1, normalization=CIFAR),
            optimizer=OptimizerSpec(
                learning_rate=0.1,
                momentum=0.9,
                nesterov=False,
                schedule="step",
                milestones=(0.5, 0.75),
                weight_decay=1e-4,
                weight_decay_mode="l2",
                warmup_epochs=0.0,
                label_smoothing=0.0,
            ),
            training=TrainingSpec(steps=64_000, batch_size=128),
        ),
        quick=_quick_cifar,
    ),
    "he2015-imagenet": Recipe(
        about="600,000 steps of 256, rate 0.1 divided by 10 (here at each quarter; there when errors stopped falling)",
        source="He et al. 2015, section 3.4",
        published="ResNet-50 77.1, 101 78.2, 152 78.6 (10 crops)",
        spec=_imagenet(
            network=NetworkSpec(50, strides="1x1", zero_gamma=False),
            optimizer=OptimizerSpec(
                learning_rate=0.1,
                nesterov=False,
                schedule="step",
                milestones=(0.25, 0.5, 0.75),
                weight_decay=1e-4,
                weight_decay_mode="l2",
                warmup_epochs=0.0,
                label_smoothing=0.0,
                reference_batch=256,
            ),
            training=TrainingSpec(steps=600_000, batch_size=256),
        ),
        quick=_quick(40, 0.1),
    ),
    "torchvision-v1": Recipe(
        about="90 epochs of 256, rate 0.1 divided by 10 every 30, resized crops",
        source="torchvision references/classification, README, ResNet",
        published="ResNet-18 69.758, 34 73.314, 50 76.130, 101 77.374, 152 78.312",
        spec=_imagenet(
            network=NetworkSpec(50, zero_gamma=False),
            augment=AugmentSpec(crop="resized"),
            optimizer=OptimizerSpec(
                learning_rate=0.1,
                nesterov=False,
                schedule="step",
                milestones=(1 / 3, 2 / 3),
                weight_decay=1e-4,
                weight_decay_mode="l2",
                warmup_epochs=0.0,
                label_smoothing=0.0,
                reference_batch=256,
            ),
            training=TrainingSpec(epochs=90, batch_size=256),
        ),
        quick=_quick(40, 0.1),
    ),
    "torchvision-v2": Recipe(
        about="600 epochs of 1024 at 176 pixels, TrivialAugment, MixUp, CutMix, erasing, repeats, EMA",
        source="torchvision references/classification, README, new recipe (Vryniotis 2021)",
        published="ResNet-50 80.858, 101 81.886, 152 82.284",
        spec=_imagenet(
            resize=232,
            network=NetworkSpec(50, zero_gamma=False),
            augment=AugmentSpec(
                crop="resized",
                auto_augment="trivialaugment",
                mixup=0.2,
                cutmix=1.0,
                random_erase=0.1,
                repeats=4,
                train_sizes=(176,),
            ),
            optimizer=OptimizerSpec(
                learning_rate=0.5,
                nesterov=False,
                weight_decay=2e-5,
                weight_decay_mode="l2",
                warmup_epochs=5.0,
                label_smoothing=0.1,
                reference_batch=1024,
            ),
            training=TrainingSpec(epochs=600, batch_size=1024, ema=0.99998),
        ),
        quick=_quick(60, 0.05),
    ),
    "timm-a1": Recipe(
        about="600 epochs of 2048 by LAMB, a yes or no for each class, RandAugment, MixUp, CutMix, repeats",
        source="Wightman et al. 2021, table 2, A1",
        published="ResNet-18 71.504, 34 76.420, 50 80.382, 101 81.494, 152 81.998",
        spec=_imagenet(
            resize=236,
            network=NetworkSpec(50, drop_path=0.05),
            augment=replace(_TIMM_AUGMENT, mixup=0.2, repeats=3),
            optimizer=replace(_TIMM_OPTIMIZER, weight_decay=0.01, label_smoothing=0.1),
            training=replace(_TIMM_TRAINING, epochs=600),
        ),
        quick=_quick(60, 2e-2),
    ),
    "timm-a2": Recipe(
        about="as A1 in 300 epochs, with less smoothing and mixing",
        source="Wightman et al. 2021, table 2, A2",
        published="ResNet-50 79.828",
        spec=_imagenet(
            resize=236,
            network=NetworkSpec(50, drop_path=0.05),
            augment=replace(_TIMM_AUGMENT, repeats=3),
            optimizer=_TIMM_OPTIMIZER,
            training=replace(_TIMM_TRAINING, epochs=300),
        ),
        quick=_quick(60, 2e-2),
    ),
    "timm-a3": Recipe(
        about="100 epochs at 160 pixels by LAMB",
        source="Wightman et al. 2021, table 2, A3",
        published="ResNet-50 78.052",
        spec=_imagenet(
            resize=236,
            augment=replace(_TIMM_AUGMENT, magnitude=6, train_sizes=(160,)),
            optimizer=replace(_TIMM_OPTIMIZER, learning_rate=8e-3),
            training=replace(_TIMM_TRAINING, epochs=100),
        ),
        quick=_quick(40, 2e-2),
    ),
    "edge": Recipe(
        about="a ResNet-18 of half the width for devices, growing images, EMA; made to learn from a --teacher",
        source="Hinton et al. 2015; Beyer et al. 2022 (patience, one view for both); Tan & Le 2021, section 4.2",
        published="",
        spec=_imagenet(
            network=NetworkSpec(18, width=0.5),
            augment=AugmentSpec(crop="resized", min_crop_area=0.25, mixup=0.1, train_sizes=(128, 160, 192, 224)),
            distill=DistillSpec(weight=0.9, temperature=2.0),
            optimizer=OptimizerSpec(
                learning_rate=0.5, weight_decay=5e-5, warmup_epochs=5.0, label_smoothing=0.0, reference_batch=1024
            ),
            training=TrainingSpec(epochs=200, batch_size=1024, ema=0.9999),
        ),
        quick=_quick(40, 0.05),
    ),
}
