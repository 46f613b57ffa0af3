"""Types of the keywords of `train`, `compress`, `search` and methods of `Run`: scripts/python-options writes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

StrPath = str | os.PathLike[str]


class TrainOptions(TypedDict, total=False):
    """Options of a training: those of `kresnet train`."""

    epochs: int | None
    """Passes over the training images [default: 15; for your own images, by their number]."""
    weights: StrPath | None
    """Weights to start from: a file, a run, keras:NAME, torchvision:NAME, timm:NAME, hf:USER/NAME, or none for random
    ones [default: pretrained ones for images of 64 pixels or more]."""
    depth: int | None
    """Layers with weights: 10, 18, 34, 50, 101, 152 or 200, or 6n+2, such as 8 or 20, for a CIFAR network [default: 20
    for the digits, else 50]."""
    model: str | None
    """Network by its name, in place of depth: resnet50, plain34, vgg19, … (kresnet models lists them)."""
    image_size: int | str | tuple[int, int] | None
    """Size of the input images in pixels: the side of a square, or HEIGHTxWIDTH [default: chosen from the data]."""
    task: Literal["classify", "multilabel", "localize", "detect", "segment"] | None
    """Task: classify, multilabel (several labels per image), localize (the main object), detect or segment [default:
    classify]."""
    batch_size: int | None
    """Images per step, on all devices together [default: chosen from the data]."""
    learning_rate: float | None
    """Peak learning rate [default: 0.05; 0.01 from pretrained weights]."""
    name: str | None
    """Name of the new run [default: made from network and data]."""
    resume: StrPath | None
    """Continue this interrupted run with the settings that it was started with; takes no other option but data_changed
    and runs."""
    recipe: str | None
    """Train with published settings: torchvision-v2, timm-a2, … (kresnet recipes lists them)."""
    quick: bool | None
    """Use the short form of the recipe: minutes on the digits."""
    set: Mapping[str, object] | None
    """Any other settings by their keys, such as {'optimizer.momentum': 0.8}."""
    data_dir: StrPath | None
    """Folder of prepared TFDS datasets."""
    download: bool | None
    """Download a TFDS dataset that is not there yet."""
    fit: Literal["crop", "pad", "stretch"] | None
    """How images of other proportions become the input: crop (their edges are cut off), pad (the whole image, with
    black beside it) or stretch (the whole image, distorted) [default: chosen from the data]."""
    channels: int | None
    """Channels of the input images: 1 (gray), 3 (color), or another number, as .npy and TIFF files have them [default:
    3, or as many as the data have]."""
    val_fraction: float | None
    """Share of the images that is held out for validation if there is no validation split [default: 0.2]."""
    max_unreadable: float | None
    """Share of the images that may be unreadable [default: 0.01]."""
    cache: Literal["auto", "off"] | None
    """Whether to keep decoded images on disk for the next commands: auto (as far as there is room) or off [default:
    auto]."""
    data_service: str | None
    """Address of a data service that reads the training images of a folder (see kresnet data-service)."""
    preactivation: bool | None
    """Normalize and activate before each convolution (v2; He et al. 2016); depths of 9n+2 are then CIFAR networks."""
    block: Literal["auto", "basic", "bottleneck"] | None
    """Residual unit of a CIFAR network: basic or bottleneck [default: depends on the network]."""
    strides: Literal["3x3", "1x1"] | None
    """Which convolution of a bottleneck has the stride: 3x3 (torchvision, V1.5) or 1x1 (He et al. 2015) [default:
    3x3]."""
    stem: Literal["auto", "imagenet", "deep", "cifar"] | None
    """First layers: imagenet (7×7, max pooling), deep (three 3×3; He et al. 2019) or cifar (one 3×3) [default: depends
    on the image size]."""
    shortcut: Literal["auto", "A", "B", "C", "D"] | None
    """Shortcut: A (zero padding), B (projection where the shape changes), C (projection everywhere) of He et al. 2015,
    or D (average pooling first; He et al. 2019) [default: A for CIFAR networks, else B]."""
    resnet_d: bool | None
    """Use the deep stem and the average-pooled shortcuts of ResNet-D."""
    cardinality: int | None
    """Groups of a bottleneck's 3×3 convolution (ResNeXt; Xie et al. 2017) [default: 1]."""
    base_width: int | None
    """Filters of each group per 64 filters of the stage (ResNeXt) [default: 64]."""
    widen: float | None
    """Width factor of a wide ResNet (Zagoruyko & Komodakis 2016) [default: 1]."""
    width: float | None
    """Width factor of all filters, rounded to multiples of 8 [default: 1]."""
    squeeze_excitation: bool | None
    """Add squeeze-and-excitation to each residual unit (Hu et al. 2018)."""
    drop_path: float | None
    """Stochastic depth: probability of dropping the last residual unit; that of the others rises linearly from 0
    (Huang et al. 2016) [default: 0]."""
    no_zero_gamma: bool | None
    """Do not start residual units as identities (Goyal et al. 2017, section 5.1)."""
    head_convs: int | None
    """Convolutions of each tower of a detector [default: 2]."""
    masks: Literal["condinst", "yolact"] | None
    """Mask head: condinst (a small network per object; Tian et al. 2020) or yolact (a weighted sum of prototypes;
    Bolya et al. 2019) [default: condinst]."""
    deepen: StrPath | None
    """Start from the residual units of this run and add others that are identities; depth says how many layers."""
    freeze: Sequence[str] | str | None
    """Parts of the network to freeze: stem,stage1,… or backbone."""
    freeze_bn: bool | None
    """Freeze batch norms: statistics, scales and offsets."""
    teacher: StrPath | None
    """Finished run to learn from (knowledge distillation; Hinton et al. 2015)."""
    label_smoothing: float | None
    """Label smoothing: share of each label that is spread over all classes [default: 0.1]."""
    steps: int | None
    """Train for N steps; the number of epochs follows."""
    stop_after: int | None
    """Stop after N steps of a longer training, to try it out."""
    loss: Literal["cross_entropy", "bce", "focal", "asymmetric"] | None
    """Loss of a classifier: cross_entropy, bce (binary cross-entropy of each class; Wightman et al. 2021, section 2)
    or focal (easy images count less; Lin et al. 2017). For several labels per image: bce or asymmetric (Ridnik et al.
    2021) [default: cross_entropy]."""
    class_weights: Literal["none", "balanced", "effective"] | None
    """Weights of the classes in the loss: none, balanced (every class counts the same, which raises macro recall and
    may lower top-1 accuracy) or effective (rare ones count more, by the effective number of their images; Cui et al.
    2019) [default: none]."""
    sampling: Literal["natural", "balanced", "sqrt"] | None
    """How often an epoch shows the classes: natural (each image once), balanced (every class the same number of times)
    or sqrt (in proportion to the square root of their images) [default: natural]."""
    accumulate_steps: int | None
    """Gradient accumulation: number of parts of a batch that are computed one after another [default: 1]."""
    recompute: bool | None
    """Activation recomputation (gradient checkpointing): keep the activations of one residual unit at a time and
    compute them again in the backward pass. Takes less memory and more time, and gives the same weights."""
    ema: float | None
    """Decay of an exponential moving average of the weights, which is validated and kept."""
    patience: int | None
    """Early stopping: end after N epochs without a better validation loss, and keep the best weights."""
    checkpoint_every: int | None
    """Steps between checkpoints, besides those after each epoch [default: chosen from the data]."""
    seed: int | None
    """Seed of weights, order and augmentation [default: 0]."""
    backbone_lr_scale: float | None
    """Factor by which the learning rate of the backbone is multiplied [default: 1]."""
    optimizer: Literal["sgd", "adamw", "lamb", "muon"] | None
    """Optimizer: sgd (with momentum), adamw (Loshchilov & Hutter 2019), lamb (You et al. 2020) or muon (Jordan et al.
    2024; AdamW at a tenth of the rate for all but kernels of convolutions) [default: sgd]."""
    weight_decay: float | None
    """Weight decay of kernels [default: 0.0005]."""
    reference_batch: int | None
    """Batch size for which the learning rate was chosen: it is scaled in proportion to the actual one (Goyal et al.
    2017, section 2.1)."""
    clip_grad_norm: float | None
    """Largest norm of the whole gradient, over all devices."""
    crop: Literal["pad", "resized"] | None
    """How training images are cropped: pad (at random, with a margin of zeros; He et al. 2015) or resized (a random
    area; Szegedy et al. 2015) [default: pad]."""
    scaled_decoding: bool | None
    """Decode large JPEGs at 1/2, 1/4 or 1/8 of their size for resized crops in training, or at full size [default:
    chosen from the data]."""
    flip: bool | None
    """Flip half of the training images horizontally, or none [default: chosen from the data]."""
    auto_augment: Literal["none", "randaugment", "trivialaugment", "augmix"] | None
    """Augmentation policy: none, randaugment (Cubuk et al. 2020), trivialaugment (Müller & Hutter 2021), augmix
    (Hendrycks et al. 2020) [default: none]."""
    mixup: float | None
    """Alpha of MixUp (Zhang et al. 2018); 0 turns it off [default: 0]."""
    cutmix: float | None
    """Alpha of CutMix (Yun et al. 2019); 0 turns it off [default: 0]."""
    random_erase: float | None
    """Random erasing: probability that a rectangle is filled with noise (Zhong et al. 2020) [default: 0]."""
    train_sizes: Sequence[int] | int | None
    """Progressive resizing: sides of the training images, each for an equal share of the epochs, such as 128,160 (Tan
    & Le 2021) [default: image_size]."""
    scales: Sequence[float] | float | None
    """Scale jitter of objects: the smallest and the largest factor, such as 0.5,2 (Ghiasi et al. 2021) [default:
    none]."""
    color_jitter: float | None
    """Color jitter of images with objects: share by which brightness, contrast and saturation change [default: 0]."""
    mosaic: float | None
    """Mosaic: probability that an image with objects is put together from four (Bochkovskiy et al. 2020) [default:
    0]."""
    copy_paste: float | None
    """Copy-paste: probability that objects of another image are pasted in, by their masks (Ghiasi et al. 2021)
    [default: 0]."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] | None
    """Keras dtype policy: auto (by the hardware), float32, mixed_bfloat16 or mixed_float16 [default: auto]."""
    devices: str | None
    """Devices to train on: auto, N, cpu:N, gpu:0,1 or tpu [default: auto]."""
    jit_compile: Literal["auto", "on", "off"] | None
    """Compile the training step with XLA: auto (on one GPU, as Keras does), on or off [default: auto]."""
    deterministic: bool | None
    """Give bit-identical results each time on the same devices, which is slower."""
    histograms: bool | None
    """Record histograms of all weights for TensorBoard, after each epoch."""
    profile: bool | None
    """Record a profile of steps 10 to 20 for TensorBoard."""
    track: Sequence[Literal["mlflow", "wandb"]] | str | None
    """Also log to mlflow, wandb or both (mlflow,wandb), where they are installed."""
    runs: StrPath | None
    """Folder of the runs [default: KRESNET_RUNS, else saved_models/]."""
    data_changed: bool | None
    """With resume: continue although the data have changed."""


class CompressOptions(TypedDict, total=False):
    """Options of a compression: those of `kresnet compress`."""

    qat: bool | Literal["native", "tfmot"] | None
    """Train with 8-bit rounding (quantization-aware training): True, or 'tfmot' for tensorflow-model-optimization."""
    shrink: float | None
    """Remove this share of the filters inside residual units; a multiple of 8 remains."""
    prune: float | None
    """Make this share of the weights zero."""
    pattern: Literal["2:4"] | None
    """Make two of every four weights zero, instead of weights anywhere."""
    cluster: int | None
    """Share weights: leave this many different values in each kernel."""
    epochs: int | None
    """Passes over the training images [default: half of those of the run; a fifth for shared weights and 8 bits]."""
    batch_size: int | None
    """Images per step, on all devices together [default: as in the run]."""
    learning_rate: float | None
    """Peak learning rate [default: 0.3 of that of the run; 0.1 for 8 bits, 0.03 for shared weights]."""
    name: str | None
    """Name of the new run [default: made from network and data]."""
    set: Mapping[str, object] | None
    """Any other settings by their keys, such as {'optimizer.momentum': 0.8}."""
    steps: int | None
    """Train for N steps; the number of epochs follows."""
    stop_after: int | None
    """Stop after N steps of a longer training, to try it out."""
    accumulate_steps: int | None
    """Gradient accumulation: number of parts of a batch that are computed one after another [default: as in the
    run]."""
    recompute: bool | None
    """Activation recomputation (gradient checkpointing): keep the activations of one residual unit at a time and
    compute them again in the backward pass. Takes less memory and more time, and gives the same weights."""
    ema: float | None
    """Decay of an exponential moving average of the weights, which is validated and kept."""
    patience: int | None
    """Early stopping: end after N epochs without a better validation loss, and keep the best weights."""
    freeze_bn: bool | None
    """Freeze batch norms: statistics, scales and offsets."""
    teacher: StrPath | None
    """Finished run to learn from (knowledge distillation; Hinton et al. 2015)."""
    checkpoint_every: int | None
    """Steps between checkpoints, besides those after each epoch [default: chosen from the data]."""
    seed: int | None
    """Seed of weights, order and augmentation [default: as in the run]."""
    optimizer: Literal["sgd", "adamw", "lamb", "muon"] | None
    """Optimizer: sgd (with momentum), adamw (Loshchilov & Hutter 2019), lamb (You et al. 2020) or muon (Jordan et al.
    2024; AdamW at a tenth of the rate for all but kernels of convolutions) [default: as in the run]."""
    weight_decay: float | None
    """Weight decay of kernels [default: as in the run]."""
    clip_grad_norm: float | None
    """Largest norm of the whole gradient, over all devices."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] | None
    """Keras dtype policy: auto (by the hardware), float32, mixed_bfloat16 or mixed_float16 [default: as in the
    run]."""
    devices: str | None
    """Devices to train on: auto, N, cpu:N, gpu:0,1 or tpu [default: as in the run]."""
    jit_compile: Literal["auto", "on", "off"] | None
    """Compile the training step with XLA: auto (on one GPU, as Keras does), on or off [default: as in the run]."""
    deterministic: bool | None
    """Give bit-identical results each time on the same devices, which is slower."""
    histograms: bool | None
    """Record histograms of all weights for TensorBoard, after each epoch."""
    profile: bool | None
    """Record a profile of steps 10 to 20 for TensorBoard."""
    track: Sequence[Literal["mlflow", "wandb"]] | str | None
    """Also log to mlflow, wandb or both (mlflow,wandb), where they are installed."""
    runs: StrPath | None
    """Folder of the runs [default: KRESNET_RUNS, else saved_models/]."""


class PlaceOptions(TypedDict, total=False):
    """Options of where files run, and how."""

    on: Sequence[str] | str | None
    """Run the TFLite files on this device: ssh://USER@HOST, local (this machine), chromium, browser, tflm (a
    microcontroller's kernels) or a command that starts Python; repeatable. local:gpu names an accelerator, too."""
    accelerator: Literal["cpu", "gpu", "npu"] | None
    """Accelerator of the device to use, unless on names it, as in local:gpu [default: cpu]."""
    runtime: Literal["interpreter", "compiled-model", "openvino"] | None
    """Runtime of TFLite files: interpreter or compiled-model, both of LiteRT (GPUs and NPUs always use the latter), or
    openvino [default: interpreter]."""
    threads: int | None
    """Number of threads on the CPU of the device [default: all]."""


class VerifyOptions(PlaceOptions, total=False):
    """Options of a verification on devices: those of `kresnet verify`."""

    max_drop: float | None
    """Percentage points of accuracy that a file may lose [default: 1]."""
    require_proof: bool | None
    """Also fail a file whose drop is not proven to be within max_drop, because there are too few images."""
    samples: int | None
    """Use only N validation images, drawn with a fixed seed [default: all]."""
    minutes: float | None
    """Measure for X minutes, to see whether the device slows down as it gets warm [default: 0]."""
    timeout: float | None
    """Give up on a device that has not answered for X seconds [default: 300]."""
    allow_fallback: bool | None
    """Accept that some operators run on the CPU although you asked for an accelerator."""
    keep: bool | None
    """Leave the file on the device, so that it does not have to be sent again."""
    install: bool | None
    """Install LiteRT on the device if it is missing: with pip, into a folder of its own."""
    host: str | None
    """Address at which a browser's page is served; with 0.0.0.0, other machines can open it [default: 127.0.0.1]."""
    port: int | None
    """Port at which a browser's page is served [default: a free one]."""


class ExportOptions(VerifyOptions, total=False):
    """Options of an export: those of `kresnet export`."""

    batch: int | None
    """Batch size of a TFLite file [default: 1]."""
    dynamic_batch: bool | None
    """Write TFLite files that take any number of images at a time."""
    with_nms: bool | None
    """For a detector, also write files that contain NMS and output objects."""
    target: Sequence[str] | str | None
    """Also compile integer files for this accelerator, or check them for it: ethos-u55-128, edgetpu, qualcomm-sm8750,
    …; or write files for a Rockchip chip: rk3588, …; repeatable."""
    target_python: str | None
    """The Python that has rknn-toolkit2, for Rockchip's chips [default: KRESNET_RKNN_PYTHON]."""
    io: Literal["uint8", "int8", "float"] | None
    """Type of inputs and outputs: uint8 takes raw pixels, int8 takes pixels minus 128, float takes pixels as floats
    [default: uint8]."""
    keep_float: Sequence[str] | str | None
    """Keep this layer of an int8 file in float32; repeatable."""
    per_tensor: bool | None
    """Give all weights of a layer one scale, as some NPUs need: int8-per-tensor.tflite."""
    ranges: Literal["min-max", "percentile", "mse"] | None
    """How the ranges of an int8 file's activations are chosen: min-max, or percentile or mse, which clip outliers
    [default: min-max]."""
    calibration_data: StrPath | None
    """Folder of images to calibrate with [default: training images]."""
    calibration_images: int | None
    """Number of training images to calibrate with [default: 200]."""
    engine: Literal["tensorflow", "litert-quantizer"] | None
    """Quantizer of int8 files: tensorflow or litert-quantizer (extra: litert) [default: tensorflow]."""
    accuracy_control: bool | None
    """Leave layers of OpenVINO's int8 files in float until at most max_drop of the predictions change."""
    auto: bool | None
    """Try remedies, one after another, until the int8 file is within max_drop."""


class SearchOptions(PlaceOptions, total=False):
    """Options of a search: those of `kresnet search`."""

    name: str | None
    """Name of the search and of its runs [default: made from the data]."""
    trials: int | None
    """End when N networks have been trained [default: 20]."""
    hours: float | None
    """Begin no further training after H hours."""
    format: Literal["tflite", "savedmodel", "onnx", "openvino", "coreml", "rknn", "c-array"] | None
    """Format of the exported file [default: tflite]."""
    quantize: str | None
    """Quantization scheme of that file: see kresnet export [default: int8]."""
    max_drop: float | None
    """Percentage points of accuracy that the file may lose to its model [default: 1]."""
    image_size: Sequence[str] | str | None
    """Image sizes to choose among, such as 48,64 or 96x128 [default: chosen from the data]."""
    channels: Sequence[int] | int | None
    """Numbers of channels to choose among, 1 to 64 [default: 1,3, or those of the data]."""
    fit: Sequence[Literal["crop", "pad", "stretch"]] | str | None
    """Values of fit (see kresnet train) to choose among, such as crop,pad [default: chosen from the data]."""
    data_dir: StrPath | None
    """Folder of prepared TFDS datasets."""
    depth: Sequence[int] | int | None
    """Depths of ResNets to choose among, such as 8,14,20; in place of model."""
    model: Sequence[str] | str | None
    """Networks to choose among, such as resnet8,resnet20v2 [default: residual networks with at most twice the
    multiply-adds of the default]."""
    width: Sequence[float] | float | None
    """Width factors to choose among, such as 0.5,1 [default: 0.25,0.5,0.75,1,1.5]."""
    epochs: int | None
    """Epochs of a training that is not ended early; half as many are tried, too [default: twice those of kresnet
    train]."""
    sampler: Literal["tpe", "random"] | None
    """Which sampler proposes networks and recipes: tpe (Bergstra et al. 2011) or random [default: tpe]."""
    seed: int | None
    """Seed of the proposals and of each training [default: 0]."""
    runs: StrPath | None
    """Folder of the runs [default: KRESNET_RUNS, else saved_models/]."""


class CalibrateOptions(TypedDict, total=False):
    """Options of a calibration: those of `kresnet calibrate`."""

    accept: float | None
    """Of classifiers: share of the validation images that the rule for unknown images accepts [default: 0.95]."""
    score: Literal["energy", "max-logit"] | None
    """Of classifiers: what the rule looks at: energy, of all logits, or max-logit [default: energy]."""
    unknown: StrPath | None
    """Of classifiers: folder of images that are of none of the classes, to measure the rule on [default: generated
    ones]."""
    samples: int | None
    """Validation images, drawn by a fixed seed [default: all]."""
    seed: int | None
    """Seed of the halves of the check, and of generated images [default: 0]."""


class RobustnessOptions(TypedDict, total=False):
    """Options of a robustness test: those of `kresnet robustness`."""

    corruptions: Sequence[str] | str | None
    """Corruptions, or groups: noise,blur,weather,digital,geometry,camera [default: all]."""
    severities: Sequence[int] | int | None
    """How bad images are, 1 to 5: 1,3,5 [default: all five]."""
    samples: int | None
    """Validation images, drawn by a fixed seed [default: 200]."""
    seed: int | None
    """Seed of the corruptions' chance [default: 0]."""
    files: Sequence[str] | str | None
    """Exported files of RUN: int8,float32.tflite; none: the Keras model alone [default: all that passed]."""


class PushOptions(TypedDict, total=False):
    """Options of a publication: those of `kresnet push`."""

    private: bool | None
    """Show a new repository to nobody but you, or to your organization."""
    files: Sequence[str] | str | None
    """Exported files to publish: int8,model.onnx; none: only the Keras model [default: all that passed]."""
    license: str | None
    """License of the model, as the hub names it: apache-2.0, mit, cc-by-4.0, … [default: none is stated]."""
    message: str | None
    """Message of the commit [default: names the run]."""
