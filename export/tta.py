"""Test-time augmentation: the mean of a classifier's logits for an image and for its mirror image (Krizhevsky et al.
2012, section 4.1, who average ten crops and mirror images)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.predictions import Outputs

# What --tta may be: an image alone; with its mirror image if the run trained with flips; with it in any case.
NONE, AUTO, FLIP = "none", "auto", "flip"
KINDS = (NONE, AUTO, FLIP)
# uint8 images (N, H, W, C) → outputs.
Predict = Callable[[np.ndarray], Outputs]


def require_single_images(tta: str, reject: bool) -> None:
    """Raise UsageError for a `tta` that is none of KINDS, and for mirror images together with `reject`: `kresnet
    calibrate` sets the rule for unknown images on the logits of single images."""
    require_one_of("--tta", tta, KINDS)
    if tta != NONE and reject:
        raise UsageError(
            "--tta cannot be combined with --reject, whose rule was set by kresnet calibrate for the logits of single"
            " images"
        )


def choose_tta(asked: str, has_boxes: bool, trained_with_flips: bool | None, log: Log) -> str:
    """Return NONE or FLIP for what was `asked` for, one of KINDS, and log which and why.

    has_boxes: whether the network finds objects. trained_with_flips: None where that is not known. Raises UsageError
    for anything else, for what finds objects, and for AUTO where it is not known.
    """
    require_one_of("--tta", asked, KINDS)
    if asked == NONE:
        return NONE
    if has_boxes:
        raise UsageError(f"--tta is for classifiers, whose logits can be averaged; boxes cannot. Received: {asked!r}")
    if asked == AUTO and trained_with_flips is None:
        raise UsageError("--tta auto needs the run, which says whether it trained with flips; --tta flip needs none")
    if asked == AUTO and not trained_with_flips:
        log("tta: none (the run trained without flips, so mirror images may mean something else; --tta flip adds them)")
        return NONE
    reason = {
        None: "asked for",
        True: "the run trained with flips",
        False: "asked for; the run trained without flips",
    }[trained_with_flips]
    log(f"tta: flip ({reason}): the mean of the logits of each image and its mirror image, in twice the time")
    return FLIP


def choose_for_run(asked: str, run: Run, log: Log) -> str:
    """Return what is `asked` for of the network that `run` trained: see `choose_tta`."""
    if asked == NONE:
        return NONE
    spec = run.spec()
    return choose_tta(asked, TASK_RULES[spec.task].has_boxes, bool(spec.augment.flip), log)


def choose_for_file(asked: str, card: ModelMetadata, run: Run | None, log: Log) -> str:
    """Return what is `asked` for of an exported file with the metadata `card`, of `run` if that is known: see
    `choose_tta`."""
    if asked == NONE:
        return NONE
    flips = None if run is None else bool(run.spec().augment.flip)
    return choose_tta(asked, card.postprocessor.has_boxes, flips, log)


def add_mirror_images(predict: Predict, tta: str) -> Predict:
    """Return `predict` as `tta` says, NONE or FLIP: alone, or as the mean of its outputs of images and of their mirror
    images, float32."""
    if tta == NONE:
        return predict

    def predict_both(images: np.ndarray) -> Outputs:
        return _average(predict(images), predict(np.ascontiguousarray(images[:, :, ::-1])))

    return predict_both


def _average(first: Outputs, second: Outputs) -> Outputs:
    if isinstance(first, dict):
        return {name: _average(value, second[name]) for name, value in first.items()}
    return (np.asarray(first, np.float32) + np.asarray(second, np.float32)) / 2
