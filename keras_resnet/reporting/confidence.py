"""Show how well a run's confidence fits its accuracy, and how well it tells unknown images: confidence.json in rows,
sentences and plots."""

from __future__ import annotations

import shlex
from dataclasses import replace

from keras_resnet.reporting.calibration_warnings import (
    SCORE_WORDS,
    describe_acceptance,
    find_better_score,
    is_generated,
    is_useful,
    warn_of_files,
    warn_of_rule,
    warn_of_temperature,
)
from keras_resnet.reporting.charts import INK, Axis, Chart, Series, reliability_diagram
from keras_resnet.run.calibration_documents import CalibrationDocument
from keras_resnet.runtime.plurals import counted

COLUMNS = (
    "model",
    "ECE before",
    "ECE after",
    "NLL before",
    "NLL after",
    "accepted",
    "unknown accepted (FPR)",
    "AUROC",
)
SPARE_COLUMNS = (("NLL before", "NLL after"),)
KIND_COLUMNS = ("kind", "images", "unknown accepted (FPR)", "AUROC", "the rule")
HOW_TO_READ = (
    "before, after: without and with the temperature. ECE: how far confidence and accuracy differ, on average; NLL:"
    " negative log-likelihood; of both, less is better. accepted: the share of the validation images that the rule"
    " accepts; unknown accepted: of the unknown images. AUROC: how often the rule's score is higher for a validation"
    " image than for an unknown one; 1 is best, 0.5 is chance. All files use temperature and threshold of the Keras"
    " model"
)
# What `KIND_COLUMNS` need beside that.
HOW_TO_READ_KINDS = (
    "the rule: what it does to unknown images of a kind at its threshold; chance would accept as many of them as of the"
    " validation images"
)


def calibration_rows(document: CalibrationDocument) -> list[list[str]]:
    """Return a row of `COLUMNS` for each model."""
    return [
        [
            each["name"],
            f"{each['error_before']:.2%}",
            f"{each['error_after']:.2%}",
            f"{each['loss_before']:.4f}",
            f"{each['loss_after']:.4f}",
            f"{each['accepted']:.1%}",
            f"{each['accepted_unknown']:.1%}",
            f"{each['auroc']:.4f}",
        ]
        for each in document["models"]
    ]


def kind_rows(document: CalibrationDocument) -> list[list[str]]:
    """Return a row of `KIND_COLUMNS` for each kind of unknown images; none where there is only one."""
    kinds = document["unknown"]["kinds"]
    if len(kinds) < 2:
        return []
    return [
        [
            name,
            f"{each['images']:,}",
            f"{each['accepted']:.1%}",
            f"{each['auroc']:.4f}",
            describe_acceptance(each["accepted"], each["images"], document["models"][0]["accepted"]),
        ]
        for name, each in kinds.items()
    ]


def how_to_read(document: CalibrationDocument) -> str:
    """Say what the columns of the tables are."""
    return f"{HOW_TO_READ}; {HOW_TO_READ_KINDS}" if kind_rows(document) else HOW_TO_READ


def describe_calibration(document: CalibrationDocument) -> str:
    """Say in a few words what was measured on which images."""
    images = counted(document["samples"], "validation image", ",")
    unknown = counted(document["unknown"]["images"], "unknown image", ",")
    return f"calibration on {images}; {unknown}, {document['unknown']['source']}"


def list_results(document: CalibrationDocument) -> list[str]:
    """List what was fitted and what it does, a sentence each: the conclusion first, and then what it is on other
    images; each warning follows what it is about, and what the table of `calibration_rows` has is not said again."""
    return [
        conclude_calibration(document),
        *_describe_check(document),
        *_describe_temperature(document),
        *warn_of_temperature(document),
        *warn_of_files(document),
        _describe_rule(document),
        *warn_of_rule(document),
    ]


def conclude_calibration(document: CalibrationDocument) -> str:
    """Say in a sentence what the temperature changes."""
    if document["note"]:
        return (
            f"the temperature is 1, which leaves the confidences as the network has them: {document['note']}; among"
            " more validation images, there may be mistakes to fit one to"
        )
    before, after = document["before"]["error"], document["after"]["error"]
    images = counted(document["samples"], "validation image", ",")
    return (
        f"on the {images} that it was fitted to, the temperature changes the mean difference between confidence and"
        f" accuracy (the expected calibration error, ECE) from {before:.2%} to {after:.2%}. The predicted labels stay"
        " the same"
    )


def _describe_temperature(document: CalibrationDocument) -> list[str]:
    if document["note"]:
        return []
    interval = document.get("temperature_interval")
    spread = f" (95% confidence interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return [
        f"temperature: {document['temperature']:.3f}{spread}, the one with the lowest negative log-likelihood (NLL) on"
        f" {counted(document['samples'], 'validation image', ',')}"
    ]


def _describe_check(document: CalibrationDocument) -> list[str]:
    if document["note"]:
        return []
    check = document["check"]
    if check is None:
        return [
            "check on other images: not possible, because with so few mistakes, one half of the validation images has"
            " none"
        ]
    return [
        f"check on other images: a temperature of {check['temperature']:.3f}, fitted on one half of the validation"
        f" images, changes the ECE of the other {counted(check['images'], 'image')} from {check['before']:.2%} to"
        f" {check['after']:.2%}; expect this of new images"
    ]


def _describe_rule(document: CalibrationDocument) -> str:
    rule, keras_model = document["rejection"], document["models"][0]
    unknown = counted(document["unknown"]["images"], "unknown image", ",")
    return (
        f'unknown images: with --reject, the answer is "unknown" if the {SCORE_WORDS[rule["score"]]} of an image is'
        f" below {rule['threshold']:.3f}. This rejects {1 - keras_model['accepted_unknown']:.1%} of {unknown},"
        f" and wrongly {1 - keras_model['accepted']:.1%} of the validation images"
    )


def list_steps(document: CalibrationDocument, name: str) -> list[tuple[str, str]]:
    """Return what to do next with the run called `name`: (what follows `kresnet`, what that does)."""
    run, steps = shlex.quote(name), []
    if is_useful(document):
        steps.append((f"predict {run} photo.jpg --reject", 'answer "unknown"'))
    elif better := find_better_score(document):
        steps.append((f"calibrate {run} --score {better}", "fit a better rule"))
    elif is_generated(document):
        steps.append((f"calibrate {run} --unknown FOLDER", "use your images"))
    return [*steps, (f"calibrate {run} --forget", "undo all of this")]


def confidence_charts(document: CalibrationDocument) -> list[Chart]:
    """Return the reliability with and without the temperature, the shares of images accepted by threshold, and the ROC
    curve."""
    return [*_reliability(document), _acceptance(document), _roc(document)]


def _reliability(document: CalibrationDocument) -> list[Chart]:
    before, after = (reliability_diagram(each["bins"]) for each in (document["before"], document["after"]))
    if before is None or after is None:
        return []
    perfect, raw = before.series
    fitted = after.series[-1]
    series = (perfect, replace(raw, name="before"), replace(fitted, name="after", color=2))
    points = f"before: ECE {document['before']['error']:.2%}; after: ECE {document['after']['error']:.2%}"
    return [
        replace(
            before,
            name="confidence-reliability",
            title="Reliability before and after",
            description=f"Reliability diagram, accuracy by confidence: {points}",
            series=series,
        )
    ]


def _acceptance(document: CalibrationDocument) -> Chart:
    rule, thresholds = document["rejection"], document["thresholds"]
    known, unknown = (
        [100 * each for each in curve] for curve in (document["accepted_curve"], document["accepted_unknown_curve"])
    )
    keras_model = document["models"][0]
    chosen = Series(
        "chosen",
        [rule["threshold"]] * 2,
        [100 * keras_model["accepted"], 100 * keras_model["accepted_unknown"]],
        INK,
        has_line=False,
        sizes=(9.0, 9.0),
    )
    name = SCORE_WORDS[rule["score"]]
    return Chart(
        "confidence-acceptance",
        "Images accepted by threshold",
        f"Share of images whose {name} is at least the threshold: at {rule['threshold']:.3f}, which was chosen,"
        f" {chosen.y[0]:.1f}% of the validation images and {chosen.y[1]:.1f}% of the unknown ones",
        Axis(f"threshold of the {name}"),
        Axis("accepted (%)", 0, 100),
        (
            Series("validation images", thresholds, known, 1),
            Series("unknown images", thresholds, unknown, 2, is_dashed=True),
            chosen,
        ),
    )


def _roc(document: CalibrationDocument) -> Chart:
    """Return the share of validation images accepted over that of unknown ones."""
    keras_model = document["models"][0]
    known, unknown = (
        [100 * each for each in (0.0, *reversed(curve))]
        for curve in (document["accepted_curve"], document["accepted_unknown_curve"])
    )
    x, y = 100 * keras_model["accepted_unknown"], 100 * keras_model["accepted"]
    return Chart(
        "confidence-roc",
        "ROC curve",
        f"Validation images accepted over unknown images accepted, at all thresholds; AUROC {keras_model['auroc']:.4f};"
        f" chosen: {y:.1f}% over {x:.1f}%",
        Axis("unknown images accepted (%)", 0, 100),
        Axis("validation images accepted (%)", 0, 100),
        (
            Series("chance", [0, 100], [0, 100], INK, is_dashed=True),
            Series("Keras model", unknown, known, 1),
            Series("chosen", [x], [y], INK, has_line=False, sizes=(9.0,)),
        ),
    )
