"""What to build, on what data, how to train: frozen, and saved with every run.

Values left at None or "auto" are decided when a run starts (see `resolve.resolve`), printed with
their reason and written back, so that a saved spec of a run is always complete.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

from keras_resnet.config.fields import from_dict, one_of, override, require
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.config.training import (
    AugmentSpec,
    CompressSpec,
    DistillSpec,
    LogSpec,
    OptimizerSpec,
    StartSpec,
    TrainingSpec,
)
from keras_resnet.errors import UsageError

__all__ = [
    "AugmentSpec",
    "CompressSpec",
    "DataSpec",
    "DistillSpec",
    "HeadSpec",
    "LogSpec",
    "NetworkSpec",
    "Normalization",
    "OptimizerSpec",
    "Spec",
    "StartSpec",
    "TrainingSpec",
]

# Layers, convolutions of a tower, and pixels of a side: more are a slip of the finger, or damage.
DEEPEST, MOST_CONVS, LARGEST = 2000, 64, 16384
# Fields of a NetworkSpec that may differ from their default, by family.
TAKES = {
    "resnet": (
        *("preactivation", "block", "strides", "stem", "shortcut", "resnet_d", "cardinality", "base_width"),
        *("widen", "width", "kept", "squeeze_excitation", "drop_path", "zero_gamma"),
    ),
    "plain": ("block", "strides", "stem", "cardinality", "base_width", "widen", "width", "kept", "squeeze_excitation"),
    "vgg": ("width", "batch_norm"),
}


@dataclass(frozen=True)
class Normalization:
    """`(pixel - mean) / std` per RGB channel, for pixels in 0–255. Part of every model."""

    mean: tuple[float, ...] = (127.5, 127.5, 127.5)
    std: tuple[float, ...] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        require(len(self.mean) == 3, "normalization.mean", self.mean, "three numbers, for red, green and blue")
        require(len(self.std) == 3, "normalization.std", self.std, "three numbers, for red, green and blue")
        require(all(s > 0 for s in self.std), "normalization.std", self.std, "numbers above 0")


@dataclass(frozen=True)
class NetworkSpec:
    """Which network. `networks.names` turns names such as "resnext50_32x4d" into one.

    depth: layers with weights, as the papers count them; which exist depends on the family.
    family: "resnet", "plain" (the same without shortcuts; He et al. 2015) or "vgg" (Simonyan & Zisserman 2015).
    preactivation: norm and ReLU before each convolution (He et al. 2016, "v2").
    block: "basic" or "bottleneck" in a CIFAR network; "auto" is bottleneck with preactivation, else basic.
    strides: "3x3" strides in the 3×3 convolution of a bottleneck (torchvision, Keras V1.5),
        "1x1" in its first 1×1 convolution (He et al. 2015, keras.applications).
    stem: "imagenet" (7×7 stride 2 and max pooling), "deep" (three 3×3 instead of the 7×7; He et al. 2019),
        "cifar" (3×3 stride 1) or "auto" (by image size).
    shortcut: where the shape changes, He et al.'s "A" (zero padding) or "B" (projection); "C" projects
        everywhere; "D" pools by the mean before it projects (He et al. 2019). "auto" is A for the CIFAR
        networks and B for the others, as in the paper.
    resnet_d: "auto" means the deep stem and shortcut D.
    cardinality, base_width: groups of a bottleneck's 3×3 convolution, and filters of each group per 64 of
        the stage (ResNeXt, Xie et al. 2017).
    widen: factor of a bottleneck's 3×3 convolution, or of all stages of a CIFAR network (Zagoruyko & Komodakis 2016).
    width: factor of all filters, rounded to multiples of 8.
    kept: share of the filters inside units, all convolutions but the last, rounded to multiples of 8: what structured
        pruning leaves (Li et al. 2017).
    squeeze_excitation: channels reweighted before the sum (Hu et al. 2018).
    drop_path: chance of leaving out the last unit in a training step, linear from 0 (Huang et al. 2016).
    zero_gamma: residual units start as identities (Goyal et al. 2017, section 5.1).
    batch_norm: for "vgg" only.
    """

    depth: int = 50
    family: str = "resnet"
    preactivation: bool = False
    block: str = "auto"
    strides: str = "3x3"
    stem: str = "auto"
    shortcut: str = "auto"
    resnet_d: bool = False
    cardinality: int = 1
    base_width: int = 64
    widen: float = 1.0
    width: float = 1.0
    kept: float = 1.0
    squeeze_excitation: bool = False
    drop_path: float = 0.0
    zero_gamma: bool = True
    batch_norm: bool = True

    def __post_init__(self) -> None:
        one_of("network.family", self.family, tuple(TAKES))
        require(self.depth <= DEEPEST, "network.depth", self.depth, f"at most {DEEPEST}")
        one_of("network.block", self.block, ("auto", "basic", "bottleneck"))
        one_of("network.strides", self.strides, ("3x3", "1x1"))
        one_of("network.stem", self.stem, ("auto", "imagenet", "deep", "cifar"))
        one_of("network.shortcut", self.shortcut, ("auto", "A", "B", "C", "D"))
        require(self.cardinality >= 1, "network.cardinality", self.cardinality, "1 or more")
        require(self.base_width >= 1, "network.base_width", self.base_width, "1 or more")
        require(self.widen > 0, "network.widen", self.widen, "above 0")
        require(self.width > 0, "network.width", self.width, "above 0")
        require(0 < self.kept <= 1, "network.kept", self.kept, "above 0 and at most 1")
        whole = self.kept == 1 or self.cardinality == 1
        require(whole, "network.kept", self.kept, "1 where convolutions have groups, which lose no single filters")
        require(0 <= self.drop_path < 1, "network.drop_path", self.drop_path, "0 or more and below 1")
        taken = TAKES[self.family]
        for each in fields(self):
            if each.name not in (*taken, "depth", "family") and getattr(self, each.name) != each.default:
                raise UsageError(
                    f"network.{each.name} has no meaning for a {self.family} network."
                    f" Received: {getattr(self, each.name)}. It takes: {', '.join(taken)}"
                )


@dataclass(frozen=True)
class HeadSpec:
    """What detection and segmentation put on a network's feature pyramid.

    convs: convolutions of the towers above each level. masks: "condinst" makes each object's mask by a small network of
    its own (Tian et al. 2020), "yolact" by a weighted sum of prototypes (Bolya et al. 2019).
    """

    convs: int = 2
    masks: str = "condinst"

    def __post_init__(self) -> None:
        require(1 <= self.convs <= MOST_CONVS, "head.convs", self.convs, f"1 to {MOST_CONVS}")
        one_of("head.masks", self.masks, ("condinst", "yolact"))


@dataclass(frozen=True)
class DataSpec:
    """Which images, and how they become arrays of (image_size, image_size, 3) pixels in 0–255.

    An image's shorter side is resized to `resize`, then `image_size` is cut from the centre
    (evaluation) or at random (training); None lets the source choose both.

    source: "digits", "shapes", a TFDS data set, or a folder. data_dir: where TFDS data sets are prepared; None leaves
    that to TFDS. download: whether one that is not there may be fetched.
    val_fraction: share of the training images to validate with, where there is no split for that. max_bad: share of
    images that may be unreadable.
    crowds: what becomes of objects that COCO's files mark by iscrowd and Pascal VOC's by difficult: "ignore" neither
    learns nor misses them, "learn" takes them as any other object.
    levels: the values that are black and white in images of more than 8 bits; () lets those of a folder decide.
    annotations: "labels"; or "object", the largest one's box and class, "objects", those of all, or "masks", and which
    pixels are theirs: the whole image is then brought to a square, its longer side resized and the rest filled.
    """

    source: str = "digits"
    data_dir: str | None = None
    download: bool = False
    image_size: int | None = None
    resize: int | None = None
    val_fraction: float = 0.2
    max_bad: float = 0.01
    levels: tuple[float, ...] = ()
    annotations: str = "labels"
    crowds: str = "ignore"
    normalization: Normalization = field(default_factory=Normalization)

    def __post_init__(self) -> None:
        size = self.image_size
        require(size is None or 8 <= size <= LARGEST, "data.image_size", size, f"8 to {LARGEST} pixels")
        require(self.resize is None or self.resize <= LARGEST, "data.resize", self.resize, f"at most {LARGEST}")
        require(
            self.resize is None or self.image_size is None or self.resize >= self.image_size,
            "data.resize",
            self.resize,
            "at least image_size",
        )
        one_of("data.annotations", self.annotations, tuple(each.annotations for each in TASK_RULES.values()))
        one_of("data.crowds", self.crowds, ("ignore", "learn"))
        require(0 < self.val_fraction < 1, "data.val_fraction", self.val_fraction, "between 0 and 1, both excluded")
        ordered = not self.levels or (len(self.levels) == 2 and -math.inf < self.levels[0] < self.levels[1] < math.inf)
        require(ordered, "data.levels", self.levels, "two numbers, that of black and the larger one of white")
        require(0 <= self.max_bad <= 1, "data.max_bad", self.max_bad, "between 0 and 1")


@dataclass(frozen=True)
class Spec:
    """A whole job. `Spec()` is the default one: a ResNet-50 on the bundled digits."""

    task: str = "classify"
    network: NetworkSpec = field(default_factory=NetworkSpec)
    head: HeadSpec = field(default_factory=HeadSpec)
    data: DataSpec = field(default_factory=DataSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    start: StartSpec = field(default_factory=StartSpec)
    distill: DistillSpec = field(default_factory=DistillSpec)
    compress: CompressSpec = field(default_factory=CompressSpec)
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    training: TrainingSpec = field(default_factory=TrainingSpec)
    log: LogSpec = field(default_factory=LogSpec)

    def __post_init__(self) -> None:
        one_of("task", self.task, tuple(TASK_RULES))
        needed = TASK_RULES[self.task].annotations
        require(self.data.annotations == needed, "data.annotations", self.data.annotations, f"{needed} for {self.task}")
        if TASK_RULES[self.task].has_boxes:
            self._require_for_objects()
        else:
            require(self.head == HeadSpec(), "head", self.head, f"left alone for {self.task}")
            for name in ("scales", "colour", "mosaic", "copy_paste"):
                value = getattr(self.augment, name)
                require(not value, f"augment.{name}", value, f"left alone for {self.task}")
        warmup, epochs = self.optimizer.warmup_epochs, self.training.epochs
        fits = warmup is None or self.training.steps is not None or warmup < epochs
        require(fits, "optimizer.warmup_epochs", warmup, f"below training.epochs ({epochs})")
        resizable = not self.augment.sizes or self.network.family != "vgg"
        require(
            resizable, "augment.sizes", self.augment.sizes, "left out for a VGG network, whose images have one size"
        )
        self._require_for_tfmot()
        size = self.data.image_size
        smaller = size is None or all(each <= size for each in self.augment.sizes)
        require(smaller, "augment.sizes", self.augment.sizes, f"at most data.image_size ({size})")

    def _require_for_objects(self) -> None:
        """What a training on boxes cannot have yet, or at all."""
        for name, off in (("mixup", 0.0), ("cutmix", 0.0), ("erasing", 0.0), ("policy", "none"), ("sizes", ())):
            value = getattr(self.augment, name)
            require(value == off, f"augment.{name}", value, f"left out for {self.task}")
        mosaic, pasted, rules = self.augment.mosaic, self.augment.copy_paste, TASK_RULES[self.task]
        require(not mosaic or rules.mosaic, "augment.mosaic", mosaic, f"left out for {self.task}")
        require(not pasted or rules.copy_paste, "augment.copy_paste", pasted, f"left out for {self.task}")
        require(self.augment.crop == "pad", "augment.crop", self.augment.crop, f"pad for {self.task}")
        require(self.distill.teacher is None, "distill.teacher", self.distill.teacher, f"left out for {self.task}")
        require(self.network.family != "vgg", "network.family", "vgg", f"resnet or plain for {self.task}")

    def _require_for_tfmot(self) -> None:
        """What a training by tensorflow-model-optimization cannot have."""
        training, zeros = self.training, self.compress.sparsity > 0
        muon = self.optimizer.name == "muon" and (zeros or self.compress.by_tfmot)
        require(not muon, "optimizer.name", "muon", "sgd, adamw or lamb here: muon moves the zeros of a pruned network")
        if self.compress.by_tfmot:
            what = "for pruning, clustering and tfmot's 8 bits"
            plain = training.precision in ("auto", "float32")
            require(plain, "training.precision", training.precision, f"float32 {what}")
            require(training.ema is None, "training.ema", training.ema, f"left out {what}")
            require(training.patience is None, "training.patience", training.patience, f"left out {what}")

    def override(self, key: str, value: Any) -> Spec:
        """A copy in which one dotted `key`, such as "optimizer.learning_rate", has another value.

        Raises UsageError for an unknown key (naming the nearest) or a value not allowed.
        """
        changed: Spec = override(self, key.split("."), value, key)
        return changed

    def to_json(self) -> str:
        """The spec as an indented JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """The spec written by `to_json`; raises UsageError for unknown keys or bad values."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, raw: Any) -> Spec:
        """The same from a JSON object that is read already."""
        return from_dict(cls, raw, "")
