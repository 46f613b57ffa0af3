"""The settings of a training: initial weights, teacher, compression, optimizer, length, precision and logs."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import COMMON, DEVICES, LOGGING, OPTIMIZER, TRAINING
from keras_resnet.config.section import STRICT, Section, not_allowed
from keras_resnet.config.settings import OneOf, Option, setting

# In place of the name of weights: pretrained ones where that makes sense, and random ones.
AUTO_WEIGHTS, NO_WEIGHTS = "auto", "none"
# Images of fewer pixels a side have little in common with those that weights are pretrained on.
PRETRAINED_PIXELS = 64
# Seeds are 32-bit integers.
MAX_SEED = 2**31 - 1


def _require_rising_shares(values: tuple[float, ...]) -> tuple[float, ...]:
    if not values or any(a >= b for a, b in pairwise((0, *values, 1))):
        raise ValueError
    return values


def _require_clusters(count: int) -> int:
    if count == 1 or count < 0:
        raise ValueError
    return count


@dataclass(frozen=True, config=STRICT)
class StartSpec(Section):
    """Where the first weights come from, and which of them may change."""

    PATH: ClassVar[str] = "start"

    weights: str | None = setting(
        None,
        "Weights to start from: a file, a run, keras:NAME, torchvision:NAME, timm:NAME, hf:USER/NAME, or none for"
        " random ones.",
        Option("--weights", COMMON, f"pretrained ones for images of {PRETRAINED_PIXELS} pixels or more", "SOURCE"),
    )
    deepen: str | None = setting(
        None,
        "Start from the residual units of this run and add others that are identities; --depth says how many layers.",
        Option("--deepen", TRAINING, metavar="RUN"),
    )
    narrow: str | None = setting(
        None, "Start from the filters of this run that weigh most; set by kresnet compress --shrink."
    )
    freeze: tuple[str, ...] = setting(
        (), "Parts of the network to freeze: stem,stage1,… or backbone.", Option("--freeze", TRAINING)
    )
    backbone_lr_scale: float = setting(
        1.0,
        "Factor by which the learning rate of the backbone is multiplied.",
        Option("--backbone-lr-scale", OPTIMIZER),
        gt=0,
    )
    freeze_bn: bool = setting(
        False, "Freeze batch norms: statistics, scales and offsets.", Option("--freeze-bn", TRAINING)
    )

    @model_validator(mode="after")
    def _require_one_origin(self) -> Self:
        given = [name for name in ("weights", "deepen", "narrow") if getattr(self, name)]
        if len(given) > 1:
            raise not_allowed(f"start.{given[-1]}", given, "the only one of its kind")
        return self


@dataclass(frozen=True, config=STRICT)
class DistillSpec(Section):
    """A finished run as teacher (Hinton et al. 2015).

    The loss is (1 - weight) of the ordinary one and `weight` of the cross entropy with the teacher's predictions, both
    softened by `temperature`, times its square.
    """

    PATH: ClassVar[str] = "distill"

    teacher: str | None = setting(
        None,
        "Finished run to learn from (knowledge distillation; Hinton et al. 2015).",
        Option("--teacher", TRAINING, metavar="RUN"),
    )
    weight: float = setting(0.5, "Weight of the teacher in the loss.", ge=0, le=1)
    temperature: float = setting(4.0, "Temperature of distillation.", gt=0)


@dataclass(frozen=True, config=STRICT)
class CompressSpec(Section):
    """How a network is made smaller or faster while it trains; set by `kresnet compress`.

    A training prunes unless weights are clustered, and clusters unless it is quantization-aware; what its parent was
    made before is kept.
    """

    PATH: ClassVar[str] = "compress"

    parent: str | None = setting(None, "Folder of the run that it was made from.")
    qat: Annotated[str, OneOf(("none", "native", "tfmot"))] = setting(
        "none", "Quantization-aware training: none, native, or tfmot (tensorflow-model-optimization)."
    )
    sparsity: float = setting(0.0, "Share of zeros among the weights of each kernel except the first.", ge=0, lt=1)
    pattern: Annotated[str, OneOf(("any", "2:4"))] = setting(
        "any", "Where zeros are: any (anywhere) or 2:4 (two of every four inputs)."
    )
    clusters: Annotated[int, AfterValidator(_require_clusters)] = setting(
        0, "Number of different weights in each kernel except the first; 0 means any number.", allowed="2 or more"
    )

    @model_validator(mode="after")
    def _require_what_goes_together(self) -> Self:
        if self.pattern == "2:4" and self.sparsity != 0.5:
            raise not_allowed("compress.sparsity", self.sparsity, "0.5 with the pattern 2:4, which is half zeros")
        if self.qat == "native" and self.clusters:
            raise not_allowed(
                "compress.qat", self.qat, "tfmot for clustered weights, which native training moves apart"
            )
        return self

    @property
    def is_qat(self) -> bool:
        """Whether the training is quantization-aware, and learns the ranges of the 8-bit file."""
        return self.qat != "none"

    @property
    def method(self) -> str:
        """What the training itself does: "quantize", "cluster", "prune" or "nothing"."""
        if self.is_qat:
            return "quantize"
        return "cluster" if self.clusters else "prune" if self.sparsity else "nothing"

    @property
    def uses_tfmot(self) -> bool:
        """Whether tensorflow-model-optimization trains it, on the tf_keras copy of the model."""
        return self.qat == "tfmot" or self.method in ("cluster", "prune")


@dataclass(frozen=True, config=STRICT)
class OptimizerSpec(Section):
    """Keras' own optimizers behind a linear warm-up; weight decay acts on kernels only."""

    PATH: ClassVar[str] = "optimizer"

    name: Literal["sgd", "adamw", "lamb", "muon"] = setting(
        "sgd",
        "Optimizer: sgd (with momentum), adamw (Loshchilov & Hutter 2019), lamb (You et al. 2020) or muon (Jordan et"
        " al. 2024; AdamW at a tenth of the rate for all but kernels of convolutions).",
        Option("--optimizer", OPTIMIZER),
    )
    learning_rate: float = setting(
        0.05, "Peak learning rate.", Option("--learning-rate", COMMON, "0.05; 0.01 from pretrained weights"), gt=0
    )
    momentum: float = setting(0.9, "Momentum of sgd.", ge=0, lt=1)
    nesterov: bool = setting(True, "Use Nesterov momentum in sgd.")
    beta_1: float = setting(0.9, "Decay of the first moment of adamw and lamb.", ge=0, lt=1)
    beta_2: float = setting(0.999, "Decay of the second moment of adamw and lamb.", ge=0, lt=1)
    epsilon: float = setting(1e-6, "Epsilon of adamw and lamb.", gt=0)
    schedule: Literal["cosine", "polynomial", "step"] = setting(
        "cosine",
        "Learning-rate schedule: cosine (Loshchilov & Hutter 2017), polynomial, or step (a tenth at each milestone).",
    )
    milestones: Annotated[tuple[float, ...], AfterValidator(_require_rising_shares)] = setting(
        (0.5, 0.75),
        "Where a step schedule divides the rate by 10, as fractions of the training (He et al. 2015, section 4.2).",
        allowed="rising shares between 0 and 1",
    )
    power: float = setting(1.0, "Power of a polynomial schedule.", gt=0)
    final_lr_ratio: float = setting(
        0.0, "Last learning rate of a cosine or polynomial schedule, as a share of the peak.", ge=0, le=1
    )
    weight_decay: float = setting(5e-4, "Weight decay of kernels.", Option("--weight-decay", OPTIMIZER), ge=0)
    weight_decay_mode: Literal["decoupled", "l2"] = setting(
        "decoupled",
        "Weight decay: decoupled (scaled by the learning rate, as in Keras) or l2 (in the gradient, before the"
        " momentum; He et al. 2015).",
    )
    warmup_epochs: float | None = setting(None, "Epochs of linear warm-up; null lets the data decide.", ge=0)
    reference_batch: int | None = setting(
        None,
        "Batch size for which the learning rate was chosen: it is scaled in proportion to the actual one (Goyal et al."
        " 2017, section 2.1).",
        Option("--reference-batch", OPTIMIZER),
        gt=0,
    )
    clip_grad_norm: float | None = setting(
        None, "Largest norm of the whole gradient, over all devices.", Option("--clip-grad-norm", OPTIMIZER), gt=0
    )
    label_smoothing: float = setting(
        0.1,
        "Label smoothing: share of each label that is spread over all classes.",
        Option("--label-smoothing", TRAINING),
        ge=0,
        lt=1,
    )


@dataclass(frozen=True, config=STRICT)
class TrainingSpec(Section):
    """How long, in what batches, on which devices and in which precision."""

    PATH: ClassVar[str] = "training"

    epochs: int = setting(
        15,
        "Passes over the training images.",
        Option("--epochs", COMMON, "15; for your own images, by their number"),
        ge=1,
    )
    steps: int | None = setting(
        None, "Train for N steps; the number of epochs follows.", Option("--steps", TRAINING), ge=1
    )
    stop_after: int | None = setting(
        None, "Stop after N steps of a longer training, to try it out.", Option("--stop-after", TRAINING), ge=1
    )
    batch_size: int | None = setting(
        None, "Images per step, on all devices together.", Option("--batch-size", COMMON, "chosen from the data"), ge=1
    )
    loss: Literal["cross_entropy", "bce", "focal", "asymmetric"] = setting(
        "cross_entropy",
        "Loss of a classifier: cross_entropy, bce (binary cross-entropy of each class; Wightman et al. 2021, section 2)"
        " or focal (easy images count less; Lin et al. 2017). For several labels per image: bce or asymmetric (Ridnik"
        " et al. 2021).",
        Option("--loss", TRAINING),
    )
    focal_gamma: float = setting(2.0, "Gamma of the focal loss: the larger, the less easy images count.", ge=0)
    class_weights: Literal["none", "balanced", "effective"] = setting(
        "none",
        "Weights of the classes in the loss: none, balanced (every class counts the same, which raises macro recall and"
        " may lower top-1 accuracy) or effective (rare ones count more, by the effective number of their images; Cui et"
        " al. 2019).",
        Option("--class-weights", TRAINING),
    )
    weights_by_class: tuple[Annotated[float, Field(gt=0)], ...] = setting(
        (),
        "Weights of the classes in the loss, in the order of the labels; follow from class_weights.",
        allowed="numbers above 0",
    )
    sampling: Literal["natural", "balanced", "sqrt"] = setting(
        "natural",
        "How often an epoch shows the classes: natural (each image once), balanced (every class the same number of"
        " times) or sqrt (in proportion to the square root of their images).",
        Option("--sampling", TRAINING),
    )
    accumulate_steps: int = setting(
        1,
        "Gradient accumulation: number of parts of a batch that are computed one after another.",
        Option("--accumulate-steps", TRAINING),
        ge=1,
    )
    recompute: bool = setting(
        False,
        "Activation recomputation (gradient checkpointing): keep the activations of one residual unit at a time and"
        " compute them again in the backward pass. Takes less memory and more time, and gives the same weights.",
        Option("--recompute", TRAINING),
    )
    ema: float | None = setting(
        None,
        "Decay of an exponential moving average of the weights, which is validated and kept.",
        Option("--ema", TRAINING),
        ge=0,
        lt=1,
    )
    patience: int | None = setting(
        None,
        "Early stopping: end after N epochs without a better validation loss, and keep the best weights.",
        Option("--patience", TRAINING),
        ge=1,
    )
    checkpoint_every: int | None = setting(
        None,
        "Steps between checkpoints, besides those after each epoch.",
        Option("--checkpoint-every", TRAINING, "chosen from the data"),
        ge=1,
    )
    precision: Annotated[str, OneOf(("auto", "float32", "mixed_bfloat16", "mixed_float16"))] = setting(
        "auto",
        "Keras dtype policy: auto (by the hardware), float32, mixed_bfloat16 or mixed_float16.",
        Option("--precision", DEVICES),
    )
    devices: str = setting(
        "auto", "Devices to train on: auto, N, cpu:N, gpu:0,1 or tpu.", Option("--devices", DEVICES, metavar="DEVICES")
    )
    jit_compile: Literal["auto", "on", "off"] = setting(
        "auto",
        "Compile the training step with XLA: auto (on one GPU, as Keras does), on or off.",
        Option("--jit-compile", DEVICES),
    )
    deterministic: bool = setting(
        False,
        "Give bit-identical results each time on the same devices, which is slower.",
        Option("--deterministic", DEVICES),
    )
    seed: int = setting(0, "Seed of weights, order and augmentation.", Option("--seed", TRAINING), ge=0, le=MAX_SEED)


@dataclass(frozen=True, config=STRICT)
class LogSpec(Section):
    """What is recorded besides log.jsonl, the curves and TensorBoard's scalars, graph and sample images."""

    PATH: ClassVar[str] = "log"

    histograms: bool = setting(
        False, "Record histograms of all weights for TensorBoard, after each epoch.", Option("--histograms", LOGGING)
    )
    profile: bool = setting(False, "Record a profile of steps 10 to 20 for TensorBoard.", Option("--profile", LOGGING))
    track: tuple[Literal["mlflow", "wandb"], ...] = setting(
        (), "Also log to mlflow, wandb or both (mlflow,wandb), where they are installed.", Option("--track", LOGGING)
    )
