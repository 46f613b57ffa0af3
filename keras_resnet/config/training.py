"""How to train: augmentation, where weights start, teachers, optimizers, lengths. Part of every `Spec`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from keras_resnet.config.fields import one_of, require

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
OPTIMIZERS = ("sgd", "adamw", "lamb", "muon")


@dataclass(frozen=True)
class AugmentSpec:
    """How training images differ from one epoch to the next.

    crop: "pad" cuts at random from the image, with a margin of zeros where there is no room (He et al. 2015,
        section 4.2); "resized" cuts `min_crop_area` to all of its area at 3:4 to 4:3 (Szegedy et al. 2015, section 6).
    flip: mirrored half of the time; None lets the data decide: what is known of them, else what a quick classifier
        makes of mirrored ones (see `data.mirroring`).
    auto_augment: "randaugment" applies `operations` of 14 at `magnitude` ± `magnitude_std` of 10 (Cubuk et al. 2020);
        "trivialaugment" one at a random magnitude (Müller & Hutter 2021).
    mixup, cutmix: the alpha of Zhang et al. 2018 and Yun et al. 2019; 0 is off, with both one is drawn for each batch.
    random_erase: chance that a rectangle of an image is filled with noise (Zhong et al. 2020).
    repeats: how often an epoch shows each image that it shows, augmented anew (Hoffer et al. 2020).
    train_sizes: sides of the training images in equal shares of the epochs (Tan & Le 2021, section 4.2); none means
        data.image_size all along.
    scales: how many times larger and smaller objects may look, where the task is to find them: (0.5, 2.0) is from half
        to twice their size (scale jitter; Ghiasi et al. 2021). color_jitter: brightness, contrast and saturation change
        by up to this share there.
    mosaic: chance that a training image is four of them at half their size (Bochkovskiy et al. 2020, section 3.3).
    copy_paste: chance that objects of another image are put into it, by their masks (Ghiasi et al. 2021).
    """

    crop: str = "pad"
    min_crop_area: float = 0.08
    flip: bool | None = None
    auto_augment: str = "none"
    operations: int = 2
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    mixup: float = 0.0
    cutmix: float = 0.0
    random_erase: float = 0.0
    repeats: int = 1
    train_sizes: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()
    color_jitter: float = 0.0
    mosaic: float = 0.0
    copy_paste: float = 0.0

    def __post_init__(self) -> None:
        one_of("augment.crop", self.crop, ("pad", "resized"))
        require(0 < self.min_crop_area <= 1, "augment.min_crop_area", self.min_crop_area, "above 0 and at most 1")
        one_of("augment.auto_augment", self.auto_augment, ("none", "randaugment", "trivialaugment"))
        require(self.operations >= 1, "augment.operations", self.operations, "1 or more")
        require(0 <= self.magnitude <= 10, "augment.magnitude", self.magnitude, "0 to 10")
        require(self.magnitude_std >= 0, "augment.magnitude_std", self.magnitude_std, "0 or more")
        require(self.mixup >= 0, "augment.mixup", self.mixup, "0 or more")
        require(self.cutmix >= 0, "augment.cutmix", self.cutmix, "0 or more")
        require(0 <= self.random_erase <= 1, "augment.random_erase", self.random_erase, "0 to 1")
        require(self.repeats >= 1, "augment.repeats", self.repeats, "1 or more")
        require(
            all(size >= 8 for size in self.train_sizes),
            "augment.train_sizes",
            self.train_sizes,
            "8 or more pixels each",
        )
        ordered = not self.scales or (len(self.scales) == 2 and 0 < self.scales[0] <= self.scales[1])
        require(ordered, "augment.scales", self.scales, "two numbers above 0, the smaller first")
        require(0 <= self.color_jitter < 1, "augment.color_jitter", self.color_jitter, "0 or more and below 1")
        require(0 <= self.mosaic <= 1, "augment.mosaic", self.mosaic, "0 to 1")
        require(0 <= self.copy_paste <= 1, "augment.copy_paste", self.copy_paste, "0 to 1")


@dataclass(frozen=True)
class StartSpec:
    """Where the first weights come from, and which of them may change.

    weights: a file or a named source (see `weights.load`). deepen: a model whose network becomes the first
        units of a deeper one, the others starting as identities. narrow: a model of which the units keep the
        filters that weigh most (see `shrink.narrow`).
    freeze: parts that stay as they are ("stem", "stage1", …, "neck"; "backbone" is all that comes before neck and
        heads).
    backbone_lr_scale: factor of the learning rate for the backbone.
    freeze_bn: batch norms keep their statistics, scales and offsets.
    """

    weights: str | None = None
    deepen: str | None = None
    narrow: str | None = None
    freeze: tuple[str, ...] = ()
    backbone_lr_scale: float = 1.0
    freeze_bn: bool = False

    def __post_init__(self) -> None:
        require(
            0 < self.backbone_lr_scale < math.inf, "start.backbone_lr_scale", self.backbone_lr_scale, "a number above 0"
        )
        given = [name for name in ("weights", "deepen", "narrow") if getattr(self, name)]
        require(len(given) < 2, f"start.{given[-1] if given else 'weights'}", given, "the only one of its kind")


@dataclass(frozen=True)
class DistillSpec:
    """A finished run as teacher (Hinton et al. 2015).

    The loss is (1 - weight) of the ordinary one and `weight` of the cross entropy with the teacher's answers, both
    softened by `temperature`, times its square.
    """

    teacher: str | None = None
    weight: float = 0.5
    temperature: float = 4.0

    def __post_init__(self) -> None:
        require(0 <= self.weight <= 1, "distill.weight", self.weight, "0 to 1")
        require(self.temperature > 0, "distill.temperature", self.temperature, "above 0")


@dataclass(frozen=True)
class CompressSpec:
    """How a network is made smaller or faster while it trains.

    parent: the folder of the run that it was made from. qat: "native" trains it as its 8-bit file will compute (see
    `quantization.rewrite.quantize`), "tfmot" lets tensorflow-model-optimization do so, "none" does not.
    sparsity: share of every kernel's weights, but for the first convolution's, that are zero. pattern: "2:4" has its
    zeros as two in each four neighbouring inputs, "any" anywhere. clusters: how many different weights a kernel has,
    but for the first; 0 for any number. A training prunes unless weights are clustered, and clusters unless it is
    with 8 bits; what its parent was made before is kept.
    """

    parent: str | None = None
    qat: str = "none"
    sparsity: float = 0.0
    pattern: str = "any"
    clusters: int = 0

    def __post_init__(self) -> None:
        one_of("compress.qat", self.qat, ("none", "native", "tfmot"))
        require(0 <= self.sparsity < 1, "compress.sparsity", self.sparsity, "0 or more and below 1")
        one_of("compress.pattern", self.pattern, ("any", "2:4"))
        half = self.pattern == "any" or self.sparsity == 0.5
        require(half, "compress.sparsity", self.sparsity, "0.5 with the pattern 2:4, which is half zeros")
        require(self.clusters == 0 or self.clusters >= 2, "compress.clusters", self.clusters, "2 or more")
        native = self.qat == "native" and self.clusters
        require(not native, "compress.qat", self.qat, "tfmot for clustered weights, which native training moves apart")

    @property
    def is_qat(self) -> bool:
        """Whether the network trains with 8 bits, and learns the ranges of its file."""
        return self.qat != "none"

    @property
    def method(self) -> str:
        """What the training itself does: "quantize", "cluster", "prune" or "nothing"."""
        if self.is_qat:
            return "quantize"
        return "cluster" if self.clusters else "prune" if self.sparsity else "nothing"

    @property
    def uses_tfmot(self) -> bool:
        """Whether tensorflow-model-optimization trains it, on the tf_keras twin."""
        return self.qat == "tfmot" or self.method in ("cluster", "prune")


@dataclass(frozen=True)
class OptimizerSpec:
    """Keras' own optimizers behind a linear warm-up; decay acts on kernels only.

    name: "sgd" with momentum; "adamw" (Loshchilov & Hutter 2019); "lamb" (You et al. 2020); "muon" (Jordan et al.
        2024) for the kernels of convolutions, AdamW at a tenth of the rate for the rest.
    schedule: "cosine" falls to `final_lr_ratio` of the peak (Loshchilov & Hutter 2017); "polynomial" falls there by the
        power `power`; "step" divides the rate by 10 at each of `milestones`, shares of the training (He et al. 2015,
        section 4.2).
    weight_decay_mode: "decoupled" `weight_decay` is scaled by the learning rate, as Keras defines it; "l2" is added to
        the gradient, before the momentum, as in He et al. 2015.
    reference_batch: the batch size that `learning_rate` was chosen for; another one scales it in proportion
        (Goyal et al. 2017, section 2.1). None scales nothing.
    clip_grad_norm: the largest norm of the whole gradient, over all devices.
    """

    name: str = "sgd"
    learning_rate: float = 0.05
    momentum: float = 0.9
    nesterov: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    schedule: str = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    power: float = 1.0
    final_lr_ratio: float = 0.0
    weight_decay: float = 5e-4
    weight_decay_mode: str = "decoupled"
    warmup_epochs: float | None = None
    reference_batch: int | None = None
    clip_grad_norm: float | None = None
    label_smoothing: float = 0.1

    def __post_init__(self) -> None:
        one_of("optimizer.name", self.name, OPTIMIZERS)
        require(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "a number above 0")
        for name in ("momentum", "beta_1", "beta_2", "label_smoothing"):
            value = getattr(self, name)
            require(0 <= value < 1, f"optimizer.{name}", value, "0 or more and below 1")
        require(self.epsilon > 0, "optimizer.epsilon", self.epsilon, "a number above 0")
        one_of("optimizer.schedule", self.schedule, ("cosine", "polynomial", "step"))
        rising = all(a < b for a, b in pairwise((0, *self.milestones, 1)))
        require(
            rising and len(self.milestones) > 0,
            "optimizer.milestones",
            self.milestones,
            "rising shares between 0 and 1",
        )
        require(self.power > 0, "optimizer.power", self.power, "a number above 0")
        require(0 <= self.final_lr_ratio <= 1, "optimizer.final_lr_ratio", self.final_lr_ratio, "0 to 1")
        require(self.weight_decay >= 0, "optimizer.weight_decay", self.weight_decay, "0 or more")
        one_of("optimizer.weight_decay_mode", self.weight_decay_mode, ("decoupled", "l2"))
        for name in ("warmup_epochs", "reference_batch", "clip_grad_norm"):
            value = getattr(self, name)
            least = 0 if name == "warmup_epochs" else 1e-12
            require(
                value is None or value >= least, f"optimizer.{name}", value, "0 or more" if not least else "above 0"
            )


@dataclass(frozen=True)
class LogSpec:
    """What is recorded besides log.jsonl, the curves and TensorBoard's scalars, graph and sample images.

    histograms: of all weights, after each epoch. profile: of steps 10 to 20, for TensorBoard.
    track: "mlflow", "wandb", where they are installed.
    """

    histograms: bool = False
    profile: bool = False
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in self.track:
            one_of("log.track", each, ("mlflow", "wandb"))


@dataclass(frozen=True)
class TrainingSpec:
    """How long, in what portions, where and in which precision. `batch_size` is global, over all devices.

    steps: length in steps, which decides the epochs. stop_after: end after that many steps of a training
        that was planned for more, to try it out.
    loss: "cross_entropy", or "bce", one yes or no for each class (Wightman et al. 2021, section 2).
    accumulate_steps: parts of a batch that are computed one after another, to need less memory.
    ema: the decay of the moving average of all weights, which is what is validated and kept; None for none.
    patience: epochs without a better validation loss after which training ends, with the best weights.
    checkpoint_every: steps between two checkpoints besides those at the ends of epochs; None chooses.
    precision: "float32", "mixed_bfloat16", "mixed_float16", or "auto", by the hardware.
    devices: "auto", a number, "cpu:N", "gpu:0,1" or "tpu".
    deterministic: the same bits each time on the same devices, at some cost in speed. seed: of weights, order and
        augmentation.
    """

    epochs: int = 15
    steps: int | None = None
    stop_after: int | None = None
    batch_size: int | None = None
    loss: str = "cross_entropy"
    accumulate_steps: int = 1
    ema: float | None = None
    patience: int | None = None
    checkpoint_every: int | None = None
    precision: str = "auto"
    devices: str = "auto"
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "stop_after", "batch_size", "accumulate_steps", "patience", "checkpoint_every"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"training.{name}", value, "1 or more")
        one_of("training.loss", self.loss, ("cross_entropy", "bce"))
        require(self.ema is None or 0 <= self.ema < 1, "training.ema", self.ema, "0 or more and below 1")
        one_of("training.precision", self.precision, PRECISIONS)
        require(0 <= self.seed < 2**31, "training.seed", self.seed, "0 to 2147483647")
