"""Warn of what `kresnet calibrate` fitted to a classifier: a temperature that few mistakes make uncertain, and a rule
for unknown images that is no better than chance, or reversed."""

from __future__ import annotations

from keras_resnet.metrics.confidence_interval import auroc_ci
from keras_resnet.run.calibration_documents import CalibrationDocument
from keras_resnet.run.documents import WARNING
from keras_resnet.runtime.confidence import ENERGY, MAX_LOGIT
from keras_resnet.runtime.plurals import counted

SCORE_WORDS = {ENERGY: "energy", MAX_LOGIT: "largest logit"}
# How a score stands against chance, an AUROC of 0.5, by the interval of its AUROC.
ABOVE_CHANCE, AT_CHANCE, REVERSED = "above chance", "at chance", "reversed"
CHANCE = 0.5
# By how many times the ends of a temperature's interval may differ. Between two labels, twice the temperature makes a
# confidence of 94% one of 80%: about what networks are wrong by without any temperature (Guo et al. 2017, table 1).
MAX_SPREAD = 2.0


def list_warnings(document: CalibrationDocument) -> list[str]:
    """List all warnings, a sentence each, without the word."""
    return [words.removeprefix(WARNING) for words in (*warn_of_temperature(document), *warn_of_rule(document))]


def is_uncertain(document: CalibrationDocument) -> bool:
    """Return whether the interval of the temperature is too wide to rely on it; of a document of an earlier version,
    which has none, that is not known."""
    interval = document.get("temperature_interval")
    return interval is not None and interval[1] > MAX_SPREAD * interval[0]


def warn_of_temperature(document: CalibrationDocument) -> list[str]:
    """Say that a temperature is uncertain, why, and what to do."""
    if not is_uncertain(document):
        return []
    mistakes = counted(document.get("mistakes", 0), "mistake")
    return [
        f"{WARNING}this temperature is uncertain, because it depends on only {mistakes} in"
        f" {counted(document['samples'], 'validation image', ',')}: use more validation images, or return to a"
        " temperature of 1 with --forget, which also removes the rule for unknown images"
    ]


def compare_with_chance(auroc: float, known: int, unknown: int) -> str:
    """Return ABOVE_CHANCE, AT_CHANCE or REVERSED, by the 95% interval of an `auroc` of so many images."""
    low, high = auroc_ci(auroc, known, unknown)
    return ABOVE_CHANCE if low > CHANCE else REVERSED if high < CHANCE else AT_CHANCE


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
    """Say that the rule is of no use where it separates no better than chance, or that it does the opposite of what it
    should, and what to do."""
    auroc, score = document["models"][0]["auroc"], SCORE_WORDS[document["rejection"]["score"]]
    standing = compare_rule_with_chance(document)
    if standing == ABOVE_CHANCE:
        return []
    low, high = auroc_ci(auroc, document["samples"], document["unknown"]["images"])
    measured = f"AUROC {auroc:.4f} (95% confidence interval {low:.3f} to {high:.3f})"
    if standing == REVERSED:
        meaning = (
            f"the rule is reversed on these unknown images: {measured} is below 0.5, so most of them have a higher"
            f" {score} than images of the classes, and --reject rejects images of the classes first"
        )
    else:
        meaning = (
            f"on these unknown images, the rule is no better than chance: {measured}, and 0.5 is chance, so --reject"
            " rejects images of the classes as readily as unknown ones"
        )
    return [f"{WARNING}{meaning}. Do not use --reject for such images. {_advise(document)}"]


def _advise(document: CalibrationDocument) -> str:
    """Return what to do instead, in sentences of which the last one has no full stop."""
    aurocs, own = document.get("auroc_by_score", {}), document["rejection"]["score"]
    if better := find_better_score(document):
        return f"Calibrate again with --score {better}, which has an AUROC of {aurocs[better]:.4f}"
    others = [f"--score {name} does not help (AUROC {auroc:.4f}). " for name, auroc in aurocs.items() if name != own]
    unlike = "Measure the rule on images that could reach your device, with --unknown FOLDER, or train"
    train = f"{unlike if is_generated(document) else 'Train'} with one more class, of such images"
    return f"{''.join(others)}{train}"


def is_generated(document: CalibrationDocument) -> bool:
    """Return whether the unknown images are kresnet's own, of several kinds, and not those of a folder."""
    return len(document["unknown"]["kinds"]) > 1
