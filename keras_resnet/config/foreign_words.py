"""Words that people bring from other tools, and what kresnet calls them: one table for options, arguments, values and
commands; `foreign_names` has those of Python and of networks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from keras_resnet.errors import UsageError, one_of_sentence
from keras_resnet.runtime.plurals import join_words

# An option of torchvision's references, timm, Ultralytics, Keras, Edge Impulse or an earlier habit → what is typed
# here; of several, the first whose option the command has.
OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--lr", "--lr0", "--rate"), ("--learning-rate",)),
    **dict.fromkeys(("--wd", "--decay"), ("--weight-decay",)),
    **dict.fromkeys(("--opt", "--optim", "--solver"), ("--optimizer",)),
    **dict.fromkeys(("--batch", "-b", "--bs"), ("--batch-size", "--batch")),
    **dict.fromkeys(("--epoch", "-e", "--num-epochs", "--n-epochs", "--cycles"), ("--epochs",)),
    **dict.fromkeys(("--imgsz", "--img-size", "--img", "--size"), ("--image-size",)),
    **dict.fromkeys(("--input-size", "--input-shape", "--resolution", "--train-crop-size"), ("--image-size",)),
    **dict.fromkeys(("--arch", "-a", "--net", "--network", "--backbone", "-m"), ("--model", "--models")),
    **dict.fromkeys(("--nets", "--archs"), ("--models",)),
    **dict.fromkeys(("--in-chans", "--in-channels", "--input-channels", "--ch"), ("--channels",)),
    **dict.fromkeys(("--letterbox", "--crop-mode", "--resize-mode", "--rect"), ("--fit",)),
    **dict.fromkeys(("--layers", "-d"), ("--depth",)),
    **dict.fromkeys(("--from", "--checkpoint", "--ckpt", "--load", "--init", "--initial-checkpoint"), ("--weights",)),
    **dict.fromkeys(("--dataset", "--data-path", "--source", "--input", "--images", "--train-dir"), ("--data",)),
    **dict.fromkeys(("--device", "--gpu", "--gpus", "--accelerator"), ("--devices",)),
    **dict.fromkeys(("--amp", "--fp16", "--half", "--bf16", "--mixed-precision", "--dtype"), ("--precision",)),
    **dict.fromkeys(("--smoothing", "--ls"), ("--label-smoothing",)),
    **dict.fromkeys(("--model-ema", "--ema-decay"), ("--ema",)),
    **dict.fromkeys(("--clip-grad", "--grad-clip", "--clipnorm"), ("--clip-grad-norm",)),
    **dict.fromkeys(("--grad-accum-steps", "--accumulate", "--gradient-accumulation"), ("--accumulate-steps",)),
    **dict.fromkeys(("--grad-checkpointing", "--gradient-checkpointing", "--remat"), ("--recompute",)),
    **dict.fromkeys(("--reprob", "--erasing", "--cutout"), ("--random-erase",)),
    **dict.fromkeys(("--aa", "--augment", "--augmentation"), ("--auto-augment",)),
    **dict.fromkeys(("--fliplr", "--hflip", "--horizontal-flip"), ("--flip",)),
    **dict.fromkeys(("--early-stopping", "--early-stop"), ("--patience",)),
    **dict.fromkeys(("--dropout", "--drop", "--stochastic-depth"), ("--drop-path",)),
    **dict.fromkeys(("--validation-split", "--val-split", "--val-size", "--split-ratio"), ("--val-fraction",)),
    **dict.fromkeys(("--momentum", "--beta1"), ("--set optimizer.momentum=0.9",)),
    **dict.fromkeys(("--sched", "--scheduler", "--lr-scheduler", "--cos-lr"), ("--set optimizer.schedule=cosine",)),
    **dict.fromkeys(("--warmup", "--warmup-epochs", "--lr-warmup-epochs"), ("--set optimizer.warmup_epochs=1",)),
    **dict.fromkeys(("--mean", "--std"), ("--set data.normalization.mean=[0,0,0]",)),
    **dict.fromkeys(("--project", "--output-dir", "--output", "--out", "--logdir", "--save-dir", "-o"), ("--runs",)),
    **dict.fromkeys(("--experiment", "--run-name"), ("--name",)),
    **dict.fromkeys(("--cfg", "--config"), ("--recipe, or --set KEY=VALUE",)),
    **dict.fromkeys(("--distill", "--kd"), ("--teacher",)),
    **dict.fromkeys(("--conf", "--conf-thres", "--confidence", "--score", "--min-score"), ("--threshold",)),
    **dict.fromkeys(("--nms", "--full", "--end2end"), ("--with-nms",)),
    **dict.fromkeys(("--calib", "--representative-dataset", "--data"), ("--calibration-data",)),
    **dict.fromkeys(("--topk", "-k", "--max-det"), ("--top",)),
    **dict.fromkeys(("--tolerance", "--max-loss"), ("--max-drop",)),
    **dict.fromkeys(("--hardware", "--board"), ("--target",)),
    **dict.fromkeys(("--cam", "--gradcam", "--grad-cam", "--heatmap", "--heat-map", "--saliency"), ("--explain",)),
}
# Options of other tools for what kresnet decides by itself, or does otherwise.
UNNEEDED = {
    **dict.fromkeys(
        ("--num-classes", "--nc", "--classes", "--num-labels"), "The number of classes is counted from the data."
    ),
    **dict.fromkeys(
        ("--workers", "-j", "--num-workers"),
        "Images are read by as many threads as there are cores; several processes are started by: kresnet launch"
        " --workers 2 -- train.",
    ),
    **dict.fromkeys(
        ("--pretrained", "--finetune"),
        "Images of 64 pixels and more start from pretrained weights by default; others are named by --weights"
        " torchvision:resnet18, and --weights none trains from scratch.",
    ),
    "--shuffle": "Training images are shuffled in each epoch, by --seed.",
    "--plots": "Plots are in report.html, written after each training: kresnet report.",
    "--verbose": "Type it before the command: kresnet --verbose.",
    "--threshold": "Objects are shown if their probability is 30% or more, or by the thresholds that kresnet calibrate"
    " fits, and the labels of --task multilabel by their own thresholds; to change this: kresnet predict --threshold"
    " X.",
    "--iou": "Non-maximum suppression is at an IoU of 0.7.",
}
# What other tools have options for, by command → what is typed here instead, or why nothing is.
_SIZES = ("--imgsz", "--img-size", "--img", "--size", "--image-size", "--input-size", "--input-shape", "--resolution")
_DATA = ("--data", "--dataset", "--data-path")
_RUNS = ("--model", "--weights", "--checkpoint", "--ckpt", "--load", "--from")
_OWN_IMAGES = "Images are those that the run was trained with; kresnet train --data names others."
OF_COMMANDS: dict[str, dict[str, str]] = {
    "predict": {
        **dict.fromkeys(
            (*_DATA, "--source", "--input", "--images", "--image", "-i"),
            "Images are named without an option: kresnet predict RUN photo.jpg.",
        ),
        **dict.fromkeys(_SIZES, "Images of any size are brought to the size that the network was trained with."),
    },
    "export": {
        **dict.fromkeys(
            _SIZES, "Files take images of the size that the run was trained with: kresnet train --image-size."
        ),
        **dict.fromkeys(
            _DATA,
            "Files are verified on the run's own validation images; images to calibrate with: --calibration-data.",
        ),
    },
    "evaluate": dict.fromkeys((*_DATA, *_SIZES), _OWN_IMAGES),
    "verify": dict.fromkeys((*_DATA, *_SIZES), _OWN_IMAGES),
    "search": {"--task": "A search is for image classification with one label per image."},
}
for _command in ("predict", "export", "evaluate", "verify", "compress", "report", "demo", "diagnose"):
    _answers = dict.fromkeys(_RUNS, f"The run is named without an option: kresnet {_command} RUN.")
    OF_COMMANDS[_command] = {**_answers, **OF_COMMANDS.get(_command, {})}
# Commands of other tools → what is typed here.
COMMANDS = {
    **dict.fromkeys(("val", "validate", "test", "eval", "score"), "evaluate"),
    **dict.fromkeys(("convert", "quantize", "quantise", "deploy", "compile", "tflite"), "export"),
    **dict.fromkeys(("benchmark", "bench", "profile"), "verify"),
    **dict.fromkeys(("publish", "upload", "share", "push-to-hub"), "push"),
    **dict.fromkeys(("list", "ls", "history", "experiments"), "runs"),
    **dict.fromkeys(("infer", "inference", "classify-image", "recognize"), "predict"),
    **dict.fromkeys(("fit", "classify"), "train"),
    **dict.fromkeys(("explain", "gradcam", "grad-cam", "heatmap", "cam"), "predict RUN IMAGE --explain"),
    "detect": "train --task detect",
    "segment": "train --task segment",
    "localize": "train --task localize",
    "resume": "train --resume RUN",
    "finetune": "train --weights …",
    **dict.fromkeys(("prune", "distill", "qat"), "compress"),
    **dict.fromkeys(("serve", "web", "ui", "app"), "demo"),
    **dict.fromkeys(("info", "show", "summary", "describe"), "inspect FILE, or kresnet report RUN"),
    **dict.fromkeys(("zoo", "networks", "archs"), "models"),
    **dict.fromkeys(("config", "configs", "cfg", "settings"), "schema"),
    "man": "--help",
    "version": "--version",
    **dict.fromkeys(("checks", "doctor", "system"), "env"),
    **dict.fromkeys(("diff",), "compare"),
    **dict.fromkeys(("lr-find", "find-lr"), "train --find-lr"),
    **dict.fromkeys(("tune", "tuner", "sweep", "nas", "automl", "hpo", "optimize"), "search"),
}
# Options of an export elsewhere that say exactly what one of ours does: they are taken for it, which is printed.
EXPORT_OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("--int8", "--full-integer"), ("--quantize", "int8")),
    **dict.fromkeys(("--float16", "--fp16", "--half"), ("--quantize", "float16")),
    **dict.fromkeys(("--float32", "--fp32"), ("--quantize", "float32")),
    **dict.fromkeys(("--dynamic-range", "--dynamic"), ("--quantize", "dynamic")),
    **dict.fromkeys(("--int16x8", "--int16"), ("--quantize", "int16x8")),
    **dict.fromkeys(("--lite", "--litert"), ("--tflite",)),
    **dict.fromkeys(("--saved-model", "--saved_model"), ("--savedmodel",)),
    **dict.fromkeys(("--cc", "--c"), ("--c-array",)),
}
# Words for formats elsewhere, such as values of `--format`, → the name of ours.
EXPORT_FORMATS = {
    **dict.fromkeys(("litert", "lite"), "tflite"),
    **dict.fromkeys(("saved_model", "saved-model", "tf", "pb"), "savedmodel"),
    **dict.fromkeys(("ov", "ir"), "openvino"),
    **dict.fromkeys(("mlmodel", "mlpackage", "core-ml"), "coreml"),
    **dict.fromkeys(("c_array", "c", "cc"), "c-array"),
}
# An option for a type of numbers, such as --int4.
_TYPE = re.compile(r"--(u?int|float|fp|bf|nf|w)\d[\w-]*")
FORMAT_OPTIONS = ("--format", "--include", "-f")
# Options elsewhere for the types of a file's numbers, which `--quantize` names here.
QUANTIZE = "--quantize"
# Options of an export that are repeated, or take several names with commas between.
LIST_OPTIONS = (QUANTIZE, "--target", "--keep-float")
SCHEME_OPTIONS = ("--precision", "--dtype", "--data-type", "--quantization", "--quant")
# Words for schemes elsewhere → the name of ours.
SCHEMES = {
    **dict.fromkeys(("fp16", "half", "f16"), "float16"),
    **dict.fromkeys(("fp32", "float", "full", "none", "f32"), "float32"),
    **dict.fromkeys(("uint8", "8bit", "8-bit", "8", "i8", "w8a8", "full-integer", "integer", "ptq"), "int8"),
    **dict.fromkeys(("int16", "16x8", "w8a16"), "int16x8"),
    **dict.fromkeys(("drq", "dynamic-range", "dynamic_range", "weight-only"), "dynamic"),
}
# Words for splits elsewhere → the name of ours; they are taken for it.
SPLITS = {
    **dict.fromkeys(("val", "valid", "dev"), "validation"),
    "training": "train",
    "testing": "test",
}
# Values of options elsewhere → what to say of them.
_WEIGHTS = (
    "Name a source: torchvision:resnet18, keras:resnet50, timm:NAME, hf:USER/NAME, a file, or a run; without --weights,"
    " images of 64 pixels and more start from pretrained weights"
)
_MICRO = "Use --c-array, which writes an int8 file as C source for microcontrollers; it needs no --target"
_COMPUTER = (
    "int8.tflite runs there without a --target; verify it on the device itself: kresnet verify RUN --on ssh://USER@HOST"
)
_PHONE = "int8.tflite runs on phones without a --target; --coreml writes another file for iPhones"
VALUES: dict[str, dict[str, str]] = {
    "--target": {
        **dict.fromkeys(("coral", "edge-tpu", "edge_tpu", "google-coral", "coral-tpu", "tpu"), "Use --target edgetpu"),
        **dict.fromkeys(("esp32", "esp32-s3", "esp32s3", "esp-eye", "arduino", "stm32", "stm32h7", "nrf52"), _MICRO),
        **dict.fromkeys(("raspberrypi", "raspberry-pi", "rpi", "rpi4", "rpi5", "pi", "pi4", "pi5"), _COMPUTER),
        **dict.fromkeys(("jetson", "jetson-nano", "jetson-orin", "linux", "cpu", "arm64", "orangepi"), _COMPUTER),
        **dict.fromkeys(("android", "iphone", "ios", "ipad", "phone", "mobile"), _PHONE),
        **dict.fromkeys(
            ("hailo", "hailo8", "hailo-8", "hailo8l"),
            "kresnet writes no files for Hailo's chips. Their compiler takes an ONNX file: kresnet export --onnx",
        ),
        **dict.fromkeys(("pico", "rp2040", "cortex-m", "cortex-m4", "cortex-m7", "mcu", "micro", "tflm"), _MICRO),
    },
    "--quantize": {word: f"Use --quantize {name}" for word, name in SCHEMES.items()},
    "--weights": dict.fromkeys(("imagenet", "imagenet1k_v1", "imagenet1k_v2", "default", "coco", "true"), _WEIGHTS),
    "--precision": {
        **dict.fromkeys(("fp16", "float16", "half", "16", "16-mixed", "amp"), "Use --precision mixed_float16"),
        **dict.fromkeys(("bf16", "bfloat16", "bf16-mixed"), "Use --precision mixed_bfloat16"),
        **dict.fromkeys(("fp32", "32", "full"), "Use --precision float32"),
    },
    "--task": {
        **dict.fromkeys(("classification", "cls"), "Use --task classify"),
        **dict.fromkeys(("multi-label", "multi_label", "tags", "tagging"), "Use --task multilabel"),
        **dict.fromkeys(("detection", "objects", "od", "object-detection", "bbox", "yolo"), "Use --task detect"),
        **dict.fromkeys(("segmentation", "seg", "instance", "masks"), "Use --task segment"),
        **dict.fromkeys(("localization", "loc"), "Use --task localize"),
    },
    "--optimizer": {"adam": "Use --optimizer adamw", "momentum": "Use --optimizer sgd, which has momentum"},
    "--devices": {
        **dict.fromkeys(("gpu", "cuda", "cuda:0", "gpu0", "0"), "Use --devices gpu:0, or auto"),
        "0,1": "Use --devices gpu:0,1, or auto",
        **dict.fromkeys(("mps", "metal"), "Use --devices auto"),
        "cpu": "Use --devices cpu:1",
    },
}


def answer_option(name: str, known: Collection[str], command: str = "") -> str:
    """Return what to say of the unknown option `name` to a `command` with `known` options; "" where nothing fits."""
    if answer := OF_COMMANDS.get(command, {}).get(name):
        return answer
    typed = find_option(name, known)
    return f"Use {typed}." if typed else UNNEEDED.get(name, "")


def find_option(name: str, known: Collection[str]) -> str:
    """Return which of the `known` options is meant by the option `name` of another tool, with what else is typed; ""
    where none is."""
    return next((typed for typed in OPTIONS.get(name, ()) if typed.replace(",", "").split()[0] in known), "")


def answer_value(option: str, value: object) -> str:
    """Return what to say of a `value` that other tools take for `option`; "" where nothing fits."""
    return VALUES.get(option, {}).get(str(value).lower(), "")


def answer_argument(text: str, known: Collection[str]) -> str:
    """Return what to say of an unexpected argument such as "epochs=3", as Ultralytics writes options; "" where it is
    none."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        return ""
    option = f"--{name.replace('_', '-')}"
    if option in known:
        return f"Options are written {option} {value}."
    return answer_option(option, known)


def answer_command(name: str, known: Collection[str], rest: Sequence[str] = ()) -> str:
    """Return what to say of the unknown command `name`, which the words `rest` follow, to a group with `known`
    commands; "" where nothing fits."""
    typed = COMMANDS.get(name, "")
    if typed == "--help" and rest and rest[0] in known:
        typed = f"{rest[0]} --help"
    return f"Use kresnet {typed}." if typed.startswith("--") or typed.split(" ")[0] in known else ""


def find_export_name(word: str) -> str:
    """Return the scheme or the format that is meant by a `word` of another tool; "" where nothing fits."""
    return SCHEMES.get(word.lower()) or EXPORT_FORMATS.get(word.lower(), "")


def translate_export(
    arguments: Sequence[str], formats: Collection[str], schemes: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return `arguments` of an export with options of other tools in ours, and a remark on each of them; names with
    commas between become an option each. formats: the names of those that are written, each of which is an option.
    schemes: the values of --quantize. Raises UsageError for another one of either."""
    translated: list[str] = []
    remarks: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        taken = [word]
        if name in FORMAT_OPTIONS:
            value = value if equals or not rest else rest.pop(0)
            word, taken = f"{name} {value}", [_translate_format(name, each, formats) for each in value.split(",")]
        elif word in EXPORT_OPTIONS:
            taken = list(EXPORT_OPTIONS[word])
        elif _TYPE.fullmatch(word):
            taken = [QUANTIZE, _translate_scheme(word, word.removeprefix("--"), schemes)]
        elif name in (*SCHEME_OPTIONS, *LIST_OPTIONS) and (equals or rest):
            value = value if equals else rest.pop(0)
            word, taken = f"{name} {value}", [*_list_values(name, value, schemes)]
            word = " ".join(taken) if name in LIST_OPTIONS else word
        if " ".join(taken) != word:
            remarks.append(f"{word}: taken as {' '.join(taken)}")
        translated += taken
    return translated, remarks


def _list_values(option: str, value: str, schemes: Sequence[str]) -> Iterator[str]:
    """Yield an option with each of the values that stand in `value` with commas between."""
    for each in map(str.strip, value.split(",")):
        if option in SCHEME_OPTIONS:
            yield from (QUANTIZE, _translate_scheme(f"{option} {each}", each, schemes))
        else:
            yield from (option, each)


def _translate_scheme(typed: str, value: str, schemes: Sequence[str]) -> str:
    """Return our scheme for the `value` of another tool's option, as it was `typed`. Raises UsageError where there is
    none of it."""
    name = SCHEMES.get(value.lower(), value)
    if name not in schemes:
        raise UsageError(f"{typed}: kresnet writes no such file; {one_of_sentence(QUANTIZE, value, schemes)}")
    return name


def _translate_format(option: str, value: str, formats: Collection[str]) -> str:
    """Return our option for the format `value` of another tool's `option`. Raises UsageError for one that is not among
    the `formats`."""
    name = EXPORT_FORMATS.get(value.lower(), value.lower())
    if name not in formats:
        unknown = f" {value}: kresnet does not write {value}" if value else " names no format"
        raise UsageError(f"{option}{unknown}. Use {join_words([f'--{each}' for each in formats], 'or')}.")
    return f"--{name}"
