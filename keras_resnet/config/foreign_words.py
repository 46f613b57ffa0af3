"""Words that people bring from other tools, and what kresnet calls them."""

from __future__ import annotations

from collections.abc import Collection

# An option of torchvision's references, timm, Ultralytics or an earlier habit → what is typed here; of several, the
# first whose option the command has.
OPTIONS: dict[str, tuple[str, ...]] = {
    "--lr": ("--learning-rate",),
    "--lr0": ("--learning-rate",),
    "--wd": ("--weight-decay",),
    "--opt": ("--optimizer",),
    "--batch": ("--batch-size",),
    "-b": ("--batch-size",),
    "--imgsz": ("--image-size",),
    "--img-size": ("--image-size",),
    "--input-size": ("--image-size",),
    "--train-crop-size": ("--image-size",),
    "--arch": ("--model",),
    "-a": ("--model",),
    "--net": ("--model",),
    "--nets": ("--models",),
    "--pretrained": ("--weights",),
    "--finetune": ("--weights",),
    "--from": ("--weights",),
    "--dataset": ("--data",),
    "--data-path": ("--data",),
    "--device": ("--devices",),
    "--amp": ("--precision",),
    "--smoothing": ("--label-smoothing",),
    "--model-ema": ("--ema",),
    "--clip-grad": ("--clip-grad-norm",),
    "--grad-accum-steps": ("--accumulate-steps",),
    "--reprob": ("--random-erase",),
    "--aa": ("--auto-augment",),
    "--fliplr": ("--flip",),
    "--project": ("--runs",),
    "--output-dir": ("--runs",),
    "--format": ("--tflite, --savedmodel, --onnx or --c-array",),
    "--int8": ("--tflite --quantize int8",),
    "--half": ("--tflite --quantize float16",),
    "--fp16": ("--tflite --quantize float16",),
    "--nms": ("--with-nms",),
    "--full": ("--with-nms",),
}
# Options of other tools for what kresnet finds out by itself.
UNNEEDED = {
    "--num-classes": "The number of classes is counted from the data.",
    "--nc": "The number of classes is counted from the data.",
}
COMMANDS = {
    "val": "evaluate",
    "validate": "evaluate",
    "test": "evaluate",
    "eval": "evaluate",
    "convert": "export",
    "benchmark": "verify",
    "list": "runs",
    "ls": "runs",
    "resume": "train --resume RUN",
    "finetune": "train --weights …",
}


def answer_option(name: str, known: Collection[str]) -> str:
    """Return what to say of the unknown option `name` to a command with `known` options; "" where nothing fits."""
    for typed in OPTIONS.get(name, ()):
        if typed.replace(",", "").split()[0] in known:
            return f"Use {typed}."
    return UNNEEDED.get(name, "")


def answer_command(name: str, known: Collection[str]) -> str:
    """Return what to say of the unknown command `name` to a group with `known` commands; "" where nothing fits."""
    typed = COMMANDS.get(name, "")
    return f"Use kresnet {typed}." if typed.split(" ")[0] in known else ""
