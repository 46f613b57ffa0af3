"""Recipes for localization, detection and segmentation, and the defaults where no recipe is named."""

from __future__ import annotations

from dataclasses import replace

from keras_resnet.config.recipes.recipe import IMAGENET, Recipe
from keras_resnet.config.spec import (
    AugmentSpec,
    DataSpec,
    HeadSpec,
    NetworkSpec,
    OptimizerSpec,
    Spec,
    TrainingSpec,
)
from keras_resnet.config.task_rules import TASK_RULES


def detection_defaults(task: str) -> Spec:
    """Return how a `task` that learns from boxes is trained where no recipe is named."""
    rules = TASK_RULES[task]
    return Spec(
        task=task,
        data=DataSpec(source=rules.default_data, annotations=rules.annotations),
        augment=AugmentSpec(scales=(0.9, 1.1)),
        optimizer=OptimizerSpec(
            name="adamw", learning_rate=1e-3, weight_decay=0.05, clip_grad_norm=10.0, label_smoothing=0.0
        ),
        training=TrainingSpec(epochs=24, batch_size=16),
    )


def _quick(spec: Spec) -> Spec:
    """Three epochs of drawn shapes at 64 pixels, in a network of a quarter of ResNet-18's width."""
    return replace(
        detection_defaults(spec.task),
        network=NetworkSpec(18, width=0.25),
        data=replace(detection_defaults(spec.task).data, image_size=64),
        training=TrainingSpec(epochs=3, batch_size=16, precision="float32"),
    )


def _coco(task: str, epochs: int, augment: AugmentSpec) -> Spec:
    """Detectron's schedules: 12 epochs of 16 images ("1x") with the rate divided by 10 after two thirds and eleven
    twelfths, or three times as long."""
    return Spec(
        task=task,
        network=NetworkSpec(50),
        head=HeadSpec(convs=4),
        data=DataSpec("coco", image_size=640, annotations=TASK_RULES[task].annotations, normalization=IMAGENET),
        augment=augment,
        optimizer=OptimizerSpec(
            learning_rate=0.01,
            nesterov=False,
            schedule="step",
            milestones=(2 / 3, 11 / 12),
            weight_decay=1e-4,
            weight_decay_mode="l2",
            warmup_epochs=0.1,
            reference_batch=16,
            clip_grad_norm=35.0,
            label_smoothing=0.0,
        ),
        training=TrainingSpec(epochs=epochs, batch_size=16),
    )


_ONCE, _THRICE = AugmentSpec(), AugmentSpec(scales=(0.8, 1.0))
_MORE = "--copy-paste 0.5 and --mosaic 0.5 can be added (Ghiasi et al. 2021, Bochkovskiy et al. 2020)"
_START = "begin with --weights keras:resnet50 and --data FOLDER of COCO 2017"

DETECTION_RECIPES = {
    "coco-detect-1x": Recipe(
        about=f"12 epochs of 16 at 640 pixels, four convolutions per tower; {_START}",
        source="Feng et al. 2021 (TOOD), section 5; schedule of Detectron",
        published="box AP, ResNet-50: RetinaNet at 640 34.3 (Model Garden); at 800 FCOS 38.7, GFL 40.2, TOOD 42.4",
        spec=_coco("detect", 12, _ONCE),
        quick=_quick,
    ),
    "coco-detect-3x": Recipe(
        about=f"36 epochs of 16 at 640 pixels, objects 0.8 to 1 times as large; {_START}",
        source="Wu et al. 2019 (Detectron2), model zoo; schedule of Detectron",
        published="box AP, ResNet-50 at 800: RetinaNet 37.9, Mask R-CNN 41.0",
        spec=_coco("detect", 36, _THRICE),
        quick=_quick,
    ),
    "coco-segment-1x": Recipe(
        about=f"12 epochs of 16 at 640 pixels, CondInst's masks; {_START}; {_MORE}",
        source="Tian et al. 2020 (CondInst), section 4; schedule of Detectron",
        published="mask AP, ResNet-50 at 800: CondInst 35.7; YOLACT at 550: 28.2",
        spec=_coco("segment", 12, _ONCE),
        quick=_quick,
    ),
    "coco-segment-3x": Recipe(
        about=f"36 epochs of 16 at 640 pixels, objects 0.8 to 1 times as large; {_START}; {_MORE}",
        source="Tian et al. 2020 (CondInst), section 4; schedule of Detectron",
        published="mask AP, ResNet-50 at 800: CondInst 37.5, Mask R-CNN 37.2",
        spec=_coco("segment", 36, _THRICE),
        quick=_quick,
    ),
    "imagenet-localize": Recipe(
        about="a network that classifies ImageNet, trained on with its boxes for 20 epochs of 256 at 224 pixels;"
        " begin with --weights keras:resnet50 and --data FOLDER of ImageNet's localization data",
        source="He et al. 2015, appendix C, in one network instead of proposals",
        published="localization error, top 5: ResNet-101 10.6 (one model), 9.0 (ensemble)",
        spec=Spec(
            task="localize",
            network=NetworkSpec(50),
            data=DataSpec(
                "imagenet", image_size=224, annotations=TASK_RULES["localize"].annotations, normalization=IMAGENET
            ),
            augment=AugmentSpec(scales=(0.5, 1.5)),
            optimizer=OptimizerSpec(
                learning_rate=0.02,
                weight_decay=1e-4,
                weight_decay_mode="l2",
                reference_batch=256,
                label_smoothing=0.0,
                clip_grad_norm=35.0,
            ),
            training=TrainingSpec(epochs=20, batch_size=256),
        ),
        quick=_quick,
    ),
}
