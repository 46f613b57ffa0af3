"""Warn of what `kresnet calibrate` fitted to a classifier: a temperature that few mistakes make uncertain, or that
makes the confidences of a file worse, and a rule for unknown images that is reversed, no better than chance, or accepts
most of them."""

from __future__ import annotations

import math

import numpy as np

from keras_resnet.metrics.confidence_interval import auroc_ci, mean_proportion_ci
from keras_resnet.run.calibration_documents import CalibrationDocument, ModelCalibration
from keras_resnet.run.documents import WARNING
from keras_resnet.runtime.confidence import ENERGY, MAX_LOGIT
from keras_resnet.runtime.plurals import counted, join_words

SCORE_WORDS = {ENERGY: "energy", MAX_LOGIT: "largest logit"}
# How a score stands against chance, an AUROC of 0.5, by the interval of its AUROC.
ABOVE_CHANCE, AT_CHANCE, REVERSED = "above chance", "at chance", "reversed"
CHANCE = 0.5
# An interval of the AUROC that is wider, and has chance in it, does not tell a useful rule from a useless one.
MAX_AUROC_WIDTH = 0.3
# What the rule does to unknown images at its threshold.
REJECTS_MOST, ACCEPTS_MOST, NO_BETTER, WORSE = (
    "rejects most",
    "accepts most",
    "no better than chance",
    "worse than chance",
)
HALF = 0.5
# By how many times the ends of a temperature's interval may differ. Between two labels, twice the temperature makes a
# confidence of 94% one of 80%: about what networks are wrong by without any temperature (Guo et al. 2017, table 1).
MAX_SPREAD = 2.0
RETURN = "return to a temperature of 1 with --forget, which also removes the rule for unknown images"


def list_warnings(document: CalibrationDocument) -> list[str]:
    """List all warnings, a sentence each, without the word."""
    warnings = (*warn_of_temperature(document), *warn_of_files(document), *warn_of_rule(document))
    return [words.removeprefix(WARNING) for words in warnings]


def is_uncertain(document: CalibrationDocument) -> bool:
    """Return whether the interval of the temperature is too wide to rely on it; of a document of an earlier version,
    which has none, that is not known."""
    interval = document.get("temperature_interval")
    return interval is not None and interval[1] > MAX_SPREAD * interval[0]


def warn_of_temperature(document: CalibrationDocument) -> list[str]:
    """Say that a temperature is uncertain, why, what that means, and what to do."""
    if not is_uncertain(document):
        return []
    mistakes = counted(document.get("mistakes", 0), "mistake")
    return [
        f"{WARNING}this temperature is uncertain, because it depends on only {mistakes} in"
        f" {counted(document['samples'], 'validation image', ',')}, so do not rely on confidences near 100%: use more"
        f" validation images, or {RETURN}"
    ]


def warn_of_files(document: CalibrationDocument) -> list[str]:
    """Name the models whose confidences the temperature makes worse, by how much, and say what to do."""
    worse = [f"{each['name']} ({changes})" for each in document["models"] if (changes := _describe_rises(each))]
    if not worse:
        return []
    others = "use a file of the run whose ECE falls, or " if len(worse) < len(document["models"]) else ""
    return [
        f"{WARNING}with the temperature, which is that of the Keras model, the confidences of {join_words(worse)} are"
        f" worse than without it: {others}{RETURN}"
    ]


def _describe_rises(model: ModelCalibration) -> str:
    """Say by how much the ECE and the NLL of a model rise, as the tables round them; "" where neither does."""
    errors = [f"{model[key]:.2%}" for key in ("error_before", "error_after")]
    losses = [f"{model[key]:.4f}" for key in ("loss_before", "loss_after")]
    rises = [
        f"{name} from {before} to {after}"
        for name, (before, after) in (("ECE", errors), ("NLL", losses))
        if float(after.rstrip("%")) > float(before.rstrip("%"))
    ]
    return join_words(rises)


def compare_with_chance(auroc: float, known: int, unknown: int) -> str:
    """Return ABOVE_CHANCE, AT_CHANCE or REVERSED, by the 95% interval of an `auroc` of so many images."""
    low, high = auroc_ci(auroc, known, unknown)
    return ABOVE_CHANCE if low > CHANCE else REVERSED if high < CHANCE else AT_CHANCE


def describe_acceptance(accepted: float, unknown: int, known_accepted: float) -> str:
    """Return what the rule does at its threshold, in words of a table, where it accepts the share `accepted` of so many
    `unknown` images, and of the validation images `known_accepted`: chance accepts as many of both. That share is a
    given one, --accept, so only the other one has an interval."""
    low, high = mean_proportion_ci(np.arange(unknown) < round(accepted * unknown), np.zeros(unknown, int))
    if low > known_accepted:
        return WORSE
    if high >= known_accepted:
        return NO_BETTER
    return ACCEPTS_MOST if accepted > HALF else REJECTS_MOST


def is_useful(document: CalibrationDocument) -> bool:
    """Return whether the rule of the Keras model separates better than chance, rejects at least half of the unknown
    images, and more of them than of the validation images."""
    keras_model = document["models"][0]
    unknown, known = keras_model["accepted_unknown"], keras_model["accepted"]
    return compare_rule_with_chance(document) == ABOVE_CHANCE and unknown <= HALF and unknown < known


def compare_rule_with_chance(document: CalibrationDocument) -> str:
    """Return how the rule of the Keras model stands against chance."""
    return _compare(document, document["models"][0]["auroc"])


def _compare(document: CalibrationDocument, auroc: float) -> str:
    return compare_with_chance(auroc, document["samples"], document["unknown"]["images"])


def find_better_score(document: CalibrationDocument) -> str:
    """Return the other score of --score that is above chance where the one of the rule is not; "" where none is."""
    if compare_rule_with_chance(document) == ABOVE_CHANCE:
        return ""
    aurocs = document.get("auroc_by_score", {})
    return next((name for name, auroc in aurocs.items() if _compare(document, auroc) == ABOVE_CHANCE), "")


def warn_of_rule(document: CalibrationDocument) -> list[str]:
    """Say that there are too few images to know what the rule does, that it is of no use where it separates no better
    than chance, of little where it accepts most unknown images, or that it does the opposite of what it should, and
    what to do."""
    auroc, score = document["models"][0]["auroc"], SCORE_WORDS[document["rejection"]["score"]]
    standing = compare_rule_with_chance(document)
    if standing == ABOVE_CHANCE:
        return [] if is_useful(document) else [_warn_of_acceptance(document)]
    low, high = auroc_ci(auroc, document["samples"], document["unknown"]["images"])
    measured = f"AUROC {auroc:.4f} (95% confidence interval {low:.3f} to {high:.3f})"
    if standing == REVERSED:
        meaning = (
            f"the rule is reversed on these unknown images: {measured} is below 0.5, so most of them have a higher"
            f" {score} than images of the classes, and --reject rejects images of the classes first"
        )
    elif high - low > MAX_AUROC_WIDTH:
        return [
            f"{WARNING}{counted(document['unknown']['images'], 'unknown image')} and"
            f" {counted(document['samples'], 'validation image')} are too few to tell whether the rule separates them:"
            f" {measured} contains 0.5, which is chance. Calibrate with more images of the kind that has so few"
        ]
    else:
        meaning = (
            f"on these unknown images, the rule is no better than chance: {measured}, and 0.5 is chance, so --reject"
            " rejects images of the classes as readily as unknown ones"
        )
    return [f"{WARNING}{meaning}. Do not use --reject for such images. {_advise(document)}"]


def _warn_of_acceptance(document: CalibrationDocument) -> str:
    keras_model = document["models"][0]
    return (
        f"{WARNING}the rule accepts {keras_model['accepted_unknown']:.1%} of the unknown images, so --reject is of"
        f" little use for images like these. {_advise_stricter(document)}{_advise_other_data(document)}"
    )


def _advise_stricter(document: CalibrationDocument) -> str:
    """Say with which --accept the rule would reject half of the unknown images; "" where it would then reject more than
    half of the validation images, too."""
    curves = zip(document["accepted_curve"], document["accepted_unknown_curve"], strict=True)
    accept = math.floor(100 * max((known for known, unknown in curves if unknown <= HALF), default=0.0)) / 100
    if not HALF <= accept < document["rejection"]["accepts"]:
        return ""
    return (
        f"With --accept {accept:g}, it would reject at least half of them, but also {1 - accept:.0%} of the validation"
        " images. "
    )


def _advise(document: CalibrationDocument) -> str:
    """Return what to do instead, in sentences of which the last one has no full stop."""
    aurocs, own = document.get("auroc_by_score", {}), document["rejection"]["score"]
    if better := find_better_score(document):
        return f"Calibrate again with --score {better}, which has an AUROC of {aurocs[better]:.4f}"
    others = [f"--score {name} does not help (AUROC {auroc:.4f}). " for name, auroc in aurocs.items() if name != own]
    return f"{''.join(others)}{_advise_other_data(document)}"


def _advise_other_data(document: CalibrationDocument) -> str:
    unlike = "Measure the rule on images that could reach your device, with --unknown FOLDER, or train"
    return f"{unlike if is_generated(document) else 'Train'} with one more class, of such images"


def is_generated(document: CalibrationDocument) -> bool:
    """Return whether the unknown images are kresnet's own, of several kinds, and not those of a folder."""
    return len(document["unknown"]["kinds"]) > 1
