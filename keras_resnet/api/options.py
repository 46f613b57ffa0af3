"""Types of the keywords of `train`, `compress`, `search` and methods of `Run`: scripts/python-options writes them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

StrPath = str | os.PathLike[str]


class TrainOptions(TypedDict, total=False):
    """Options of a training: those of `kresnet train`."""

    model: str | None
    """Network by name: resnet50, plain34, vgg19, … (see kresnet models)."""
    recipe: str | None
    """Published settings: torchvision-v2, timm-a2, … (see kresnet recipes)."""
    quick: bool | None
    """Use the recipe's quick form: a minute or two on the bundled digits."""
    task: Literal["classify", "multilabel", "localize", "detect", "segment"] | None
    """Task: classify, multilabel (several labels an image), localize (the main object), detect or segment [default:
    classify]."""
    depth: int | None
    """Layers with weights: 10 … 200 (ImageNet), or 6n+2 for a CIFAR network [default: 20 for the digits, else 50]."""
    preactivation: bool | None
    """Normalize and activate before each convolution (v2; He et al. 2016); any 9n+2 is then a CIFAR network."""
    block: Literal["auto", "basic", "bottleneck"] | None
    """Residual unit of a CIFAR network: basic or bottleneck [default: by the network]."""
    strides: Literal["3x3", "1x1"] | None
    """Which convolution of a bottleneck strides: 3x3 (torchvision, V1.5) or 1x1 (He et al. 2015) [default: 3x3]."""
    stem: Literal["auto", "imagenet", "deep", "cifar"] | None
    """First layers: imagenet (7×7, max pooling), deep (three 3×3; He et al. 2019) or cifar (one 3×3) [default: by the
    image size]."""
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
    """Stochastic depth: probability of dropping the last residual unit, linear from 0 (Huang et al. 2016) [default:
    0]."""
    no_zero_gamma: bool | None
    """Do not start residual units as identities (Goyal et al. 2017, section 5.1)."""
    head_convs: int | None
    """Convolutions of each tower of a detector [default: 2]."""
    masks: Literal["condinst", "yolact"] | None
    """Mask head: condinst (a small network per object; Tian et al. 2020) or yolact (a weighted sum of prototypes;
    Bolya et al. 2019) [default: condinst]."""
    data_dir: StrPath | None
    """Where TFDS data sets are prepared."""
    download: bool | None
    """Download a TFDS data set that is not there yet."""
    image_size: int | str | tuple[int, int] | None
    """Size of the input images in pixels: the side of a square, or HEIGHTxWIDTH [default: by the data]."""
    fit: Literal["crop", "pad", "stretch"] | None
    """How images of other proportions fit in: crop (cut off the edges), pad (the whole image, black beside it) or
    stretch (the whole image, distorted) [default: by the data]."""
    channels: int | None
    """Channels of the input images: 1 (gray), 3 (colors), or another number, as .npy and TIFF files have them
    [default: 3, or as many as the data have]."""
    val_fraction: float | None
    """Share held out where there is no validation split [default: 0.2]."""
    max_unreadable: float | None
    """Share of unreadable images allowed [default: 0.01]."""
    cache: Literal["auto", "off"] | None
    """Keep decoded images on disk for the next command, as far as there is room: auto; or off [default: auto]."""
    data_service: str | None
    """Address of a data service that reads the training images of a folder: HOST:PORT (kresnet data-service)."""
    crop: Literal["pad", "resized"] | None
    """How training images are cropped: pad (at random, with a margin of zeros; He et al. 2015) or resized (a random
    area; Szegedy et al. 2015) [default: pad]."""
    scaled_decoding: bool | None
    """Decode large JPEGs at 1/2, 1/4 or 1/8 of their size for resized crops in training, or all of their pixels
    [default: by the data]."""
    flip: bool | None
    """Mirror half of the training images, or none [default: by the data]."""
    auto_augment: Literal["none", "randaugment", "trivialaugment", "augmix"] | None
    """Policy: none, randaugment (Cubuk et al. 2020), trivialaugment (Müller & Hutter 2021), augmix (Hendrycks et al.
    2020) [default: none]."""
    mixup: float | None
    """Alpha of MixUp (Zhang et al. 2018); 0 is off [default: 0]."""
    cutmix: float | None
    """Alpha of CutMix (Yun et al. 2019); 0 is off [default: 0]."""
    random_erase: float | None
    """Probability of filling a rectangle with noise (Zhong et al. 2020) [default: 0]."""
    train_sizes: Sequence[int] | int | None
    """Sides of training images, in equal shares of the epochs: 128,160 (Tan & Le 2021) [default: image_size]."""
    scales: Sequence[float] | float | None
    """Scale jitter of objects, smallest and largest: 0.5,2 (Ghiasi et al. 2021) [default: none]."""
    color_jitter: float | None
    """Share by which brightness, contrast and saturation of images with objects change [default: 0]."""
    mosaic: float | None
    """Probability that an image with objects is four of them (Bochkovskiy et al. 2020) [default: 0]."""
    copy_paste: float | None
    """Probability of pasting objects of another image, by their masks (Ghiasi et al. 2021) [default: 0]."""
    weights: StrPath | None
    """Initial weights: a file, a run, keras:…, torchvision:…, timm:…, or none, which are random [default: pretrained
    ones for images of 64 pixels and more]."""
    deepen: StrPath | None
    """Start from the residual units of this run, others as identities; depth says how deep."""
    freeze: Sequence[str] | str | None
    """Parts of the network to freeze: stem,stage1,… or backbone."""
    backbone_lr_scale: float | None
    """Factor of the learning rate for the backbone [default: 1]."""
    freeze_bn: bool | None
    """Freeze batch norms: statistics, scales and offsets."""
    teacher: StrPath | None
    """A finished run to distill from (Hinton et al. 2015)."""
    optimizer: Literal["sgd", "adamw", "lamb", "muon"] | None
    """Optimizer: sgd (with momentum), adamw (Loshchilov & Hutter 2019), lamb (You et al. 2020) or muon (Jordan et al.
    2024; AdamW at a tenth of the rate for all but kernels of convolutions) [default: sgd]."""
    learning_rate: float | None
    """Peak learning rate [default: 0.05; 0.01 from pretrained weights]."""
    weight_decay: float | None
    """Weight decay of kernels [default: 0.0005]."""
    reference_batch: int | None
    """Batch size that the learning rate is for; others scale it in proportion (Goyal et al. 2017, section 2.1)."""
    clip_grad_norm: float | None
    """Largest norm of the whole gradient, over all devices."""
    label_smoothing: float | None
    """Label smoothing: share spread over all classes [default: 0.1]."""
    epochs: int | None
    """Passes over the training images [default: 15; by the images of your own data]."""
    steps: int | None
    """Length in steps; decides the epochs."""
    stop_after: int | None
    """End after N steps of a longer plan, to try it out."""
    batch_size: int | None
    """Images per step, over all devices [default: by the data]."""
    loss: Literal["cross_entropy", "bce", "focal", "asymmetric"] | None
    """Loss of a classifier: cross_entropy, bce, binary for each class (Wightman et al. 2021, section 2), or focal, in
    which easy images count less (Lin et al. 2017). Of several labels an image: bce, or asymmetric (Ridnik et al. 2021)
    [default: cross_entropy]."""
    class_weights: Literal["none", "balanced", "effective"] | None
    """Weights of the classes in the loss: none, balanced (every class counts the same, which raises macro recall and
    may lower top-1 accuracy) or effective (rare ones count more, by the effective number of their images; Cui et al.
    2019) [default: none]."""
    sampling: Literal["natural", "balanced", "sqrt"] | None
    """How often an epoch shows the classes: natural (each image once), balanced (every class the same number of times)
    or sqrt (in proportion to the square root of their images) [default: natural]."""
    accumulate_steps: int | None
    """Gradient accumulation: parts of a batch that are computed one after another [default: 1]."""
    ema: float | None
    """Decay of an exponential moving average of the weights, which is validated and kept."""
    patience: int | None
    """Early stopping: epochs without a better validation loss; keeps the best weights."""
    checkpoint_every: int | None
    """Steps between checkpoints, besides those after each epoch [default: by the data]."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] | None
    """Keras dtype policy: auto (by the hardware), float32, mixed_bfloat16 or mixed_float16 [default: auto]."""
    devices: str | None
    """Devices: auto, N, cpu:N, gpu:0,1 or tpu [default: auto]."""
    deterministic: bool | None
    """Give the same bits each time on the same devices; slower."""
    seed: int | None
    """Seed of weights, order and augmentation [default: 0]."""
    histograms: bool | None
    """Record histograms of all weights for TensorBoard, after each epoch."""
    profile: bool | None
    """Record a profile of steps 10 to 20 for TensorBoard."""
    track: Sequence[Literal["mlflow", "wandb"]] | str | None
    """Also log to mlflow, wandb or both (mlflow,wandb), where they are installed."""
    set: Mapping[str, object] | None
    """Any keys of the spec: {'optimizer.momentum': 0.8}."""
    name: str | None
    """Name of the new run [default: made from network and data]."""
    runs: StrPath | None
    """Where runs live [default: KRESNET_RUNS, else saved_models/]."""
    resume: StrPath | None
    """Continue this interrupted run as it was started; the only option then."""
    data_changed: bool | None
    """With resume: go on although the data are no longer the same."""


class CompressOptions(TypedDict, total=False):
    """Options of a compression: those of `kresnet compress`."""

    shrink: float | None
    """Remove this share of the filters inside residual units."""
    prune: float | None
    """Make this share of the weights zero."""
    pattern: Literal["2:4"] | None
    """Two zeros in each four weights, instead of anywhere."""
    cluster: int | None
    """Give every kernel so many different weights."""
    qat: bool | Literal["native", "tfmot"] | None
    """Quantization-aware training: True, or 'tfmot' by tensorflow-model-optimization."""
    epochs: int | None
    """Passes over the training images [default: 15; by the images of your own data]."""
    batch_size: int | None
    """Images per step, over all devices [default: by the data]."""
    learning_rate: float | None
    """Peak learning rate [default: 0.05; 0.01 from pretrained weights]."""
    steps: int | None
    """Length in steps; decides the epochs."""
    stop_after: int | None
    """End after N steps of a longer plan, to try it out."""
    accumulate_steps: int | None
    """Gradient accumulation: parts of a batch that are computed one after another [default: 1]."""
    ema: float | None
    """Decay of an exponential moving average of the weights, which is validated and kept."""
    patience: int | None
    """Early stopping: epochs without a better validation loss; keeps the best weights."""
    freeze_bn: bool | None
    """Freeze batch norms: statistics, scales and offsets."""
    teacher: StrPath | None
    """A finished run to distill from (Hinton et al. 2015)."""
    checkpoint_every: int | None
    """Steps between checkpoints, besides those after each epoch [default: by the data]."""
    optimizer: Literal["sgd", "adamw", "lamb", "muon"] | None
    """Optimizer: sgd (with momentum), adamw (Loshchilov & Hutter 2019), lamb (You et al. 2020) or muon (Jordan et al.
    2024; AdamW at a tenth of the rate for all but kernels of convolutions) [default: sgd]."""
    weight_decay: float | None
    """Weight decay of kernels [default: 0.0005]."""
    clip_grad_norm: float | None
    """Largest norm of the whole gradient, over all devices."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] | None
    """Keras dtype policy: auto (by the hardware), float32, mixed_bfloat16 or mixed_float16 [default: auto]."""
    devices: str | None
    """Devices: auto, N, cpu:N, gpu:0,1 or tpu [default: auto]."""
    deterministic: bool | None
    """Give the same bits each time on the same devices; slower."""
    seed: int | None
    """Seed of weights, order and augmentation [default: 0]."""
    histograms: bool | None
    """Record histograms of all weights for TensorBoard, after each epoch."""
    profile: bool | None
    """Record a profile of steps 10 to 20 for TensorBoard."""
    track: Sequence[Literal["mlflow", "wandb"]] | str | None
    """Also log to mlflow, wandb or both (mlflow,wandb), where they are installed."""
    set: Mapping[str, object] | None
    """Any keys of the spec: {'optimizer.momentum': 0.8}."""
    name: str | None
    """Name of the new run [default: made from network and data]."""
    runs: StrPath | None
    """Where runs live [default: KRESNET_RUNS, else saved_models/]."""


class VerifyOptions(TypedDict, total=False):
    """Options of a verification on devices: those of `kresnet verify`."""

    max_drop: float | None
    """Points of accuracy a file may lose [default: 1]."""
    require_proof: bool | None
    """Fail also where the drop's 95% interval is not within max_drop: too few images to tell."""
    samples: int | None
    """Score only N validation images, drawn by a fixed seed [default: all]."""
    on: Sequence[str] | str | None
    """Run the files there: local, tflm, chromium, browser, ssh://USER@HOST or a command; repeatable, and with an
    accelerator behind it, as in local:gpu."""
    accelerator: Literal["cpu", "gpu", "npu"] | None
    """What computes on the device, unless on names it, as local:gpu does [default: cpu]."""
    runtime: Literal["interpreter", "compiled-model", "openvino"] | None
    """What runs a TFLite file: LiteRT's interpreter or compiled-model API (GPUs and NPUs always use the latter), or
    openvino [default: interpreter]."""
    threads: int | None
    """Threads on the CPU of the device [default: all]."""
    minutes: float | None
    """Go on measuring for X minutes, to see whether the device slows down as it gets warm [default: 0]."""
    timeout: float | None
    """Seconds without an answer after which a device is taken to be gone [default: 300]."""
    allow_fallback: bool | None
    """Accept operators on the CPU though an accelerator was asked for."""
    keep: bool | None
    """Leave the file on the device, so that it is not sent again."""
    install: bool | None
    """Install LiteRT on the device, by pip in a folder of its own, where it is missing."""
    host: str | None
    """Address that a browser's page is served at; 0.0.0.0 lets other machines open it [default: 127.0.0.1]."""
    port: int | None
    """Port that a browser's page is served at [default: a free one]."""


class ExportOptions(VerifyOptions, total=False):
    """Options of an export: those of `kresnet export`."""

    io: Literal["uint8", "int8", "float"] | None
    """Inputs and outputs: uint8 takes raw pixels, int8 pixels minus 128 [default: uint8]."""
    keep_float: Sequence[str] | str | None
    """A layer of an int8 file that is not quantized."""
    per_tensor: bool | None
    """Give all weights of a layer one scale, as some NPUs need: int8-per-tensor.tflite."""
    ranges: Literal["min-max", "percentile", "mse"] | None
    """Ranges of an int8 file's activations: min-max, or percentile or mse, which cut a few far values off [default:
    min-max]."""
    batch: int | None
    """Batch size of a TFLite file [default: 1]."""
    dynamic_batch: bool | None
    """Write TFLite files that take any number of images at a time."""
    with_nms: bool | None
    """Of a detector, also write files with NMS, which give objects."""
    calibration_data: StrPath | None
    """Images to calibrate with [default: of the training data]."""
    calibration_images: int | None
    """How many of the training data [default: 200]."""
    engine: Literal["tensorflow", "litert-quantizer"] | None
    """What makes int8 files: tensorflow or litert-quantizer (extra: litert) [default: tensorflow]."""
    accuracy_control: bool | None
    """Leave layers of OpenVINO's int8 files in float until at most max_drop of the predictions change."""
    target: Sequence[str] | str | None
    """Also fit integer files to: ethos-u55-128, …, edgetpu, qualcomm-sm8750, …"""
    auto: bool | None
    """Try remedies on an int8 file until it is within the budget."""


class SearchOptions(TypedDict, total=False):
    """Options of a search: those of `kresnet search`."""

    trials: int | None
    """End when so many networks were trained [default: 20]."""
    hours: float | None
    """Begin no further training after so many hours."""
    name: str | None
    """Name of the search and of its runs [default: made from the data]."""
    model: Sequence[str] | str | None
    """Networks to choose among: resnet8,resnet20v2 [default: residual networks of up to twice the default's multiply-
    adds]."""
    depth: Sequence[int] | int | None
    """Depths of ResNets to choose among, in place of model: 8,14,20."""
    width: Sequence[float] | float | None
    """Widths to choose among: 0.5,1 [default: 0.25,0.5,0.75,1,1.5]."""
    image_size: Sequence[str] | str | None
    """Image sizes to choose among: 48,64 or 96x128 [default: by the data]."""
    channels: Sequence[int] | int | None
    """Channels to choose among, 1 to 64 [default: 1,3, or those of the data]."""
    fit: Sequence[Literal["crop", "pad", "stretch"]] | str | None
    """Fits to choose among: crop,pad [default: by the data]."""
    data_dir: StrPath | None
    """Where TFDS data sets are prepared."""
    epochs: int | None
    """Epochs of a training that is not ended early; half of them are tried too [default: twice those of kresnet
    train]."""
    sampler: Literal["tpe", "random"] | None
    """What proposes networks and recipes: tpe (Bergstra et al. 2011) or random [default: tpe]."""
    seed: int | None
    """Seed of the proposals and of each training [default: 0]."""
    format: Literal["tflite", "savedmodel", "onnx", "openvino", "coreml", "c-array"] | None
    """Format of the file whose accuracy and cost count [default: tflite]."""
    quantize: str | None
    """Scheme of that file, as kresnet export has them [default: int8]."""
    max_drop: float | None
    """Points of accuracy the file may lose to its model [default: 1]."""
    runs: StrPath | None
    """Where runs live [default: KRESNET_RUNS, else saved_models/]."""
    on: Sequence[str] | str | None
    """Run the files there: local, tflm, chromium, browser, ssh://USER@HOST or a command; repeatable, and with an
    accelerator behind it, as in local:gpu."""
    accelerator: Literal["cpu", "gpu", "npu"] | None
    """What computes on the device, unless on names it, as local:gpu does [default: cpu]."""
    runtime: Literal["interpreter", "compiled-model", "openvino"] | None
    """What runs a TFLite file: LiteRT's interpreter or compiled-model API (GPUs and NPUs always use the latter), or
    openvino [default: interpreter]."""
    threads: int | None
    """Threads on the CPU of the device [default: all]."""


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
