"""Show how well a run's confidence fits its accuracy, and how well it tells unknown images: confidence.json in rows,
sentences and plots."""

from __future__ import annotations

from dataclasses import replace

from keras_resnet.reporting.charts import INK, Axis, Chart, Series, reliability_diagram
from keras_resnet.run.calibration_documents import CalibrationDocument, UnknownKind
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
HOW_TO_READ = (
    "before and after: without and with the temperature. The threshold is that of the Keras model in all files"
)
SCORE_WORDS = {"energy": "energy", "max-logit": "largest logit"}


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


def describe_calibration(document: CalibrationDocument) -> str:
    """Say in a few words what was measured on which images."""
    images = counted(document["samples"], "validation image", ",")
    unknown = counted(document["unknown"]["images"], "unknown image", ",")
    return f"calibration on {images}; {unknown}, {document['unknown']['source']}"


def list_results(document: CalibrationDocument) -> list[str]:
    """List what was fitted and what it does, a sentence each, the conclusion first; what the table of
    `calibration_rows` has is not said again."""
    return [
        conclude_calibration(document),
        _describe_temperature(document),
        *_describe_check(document),
        _describe_rule(document),
        *_warn_of_rule(document),
        *_describe_kinds(document["unknown"]["kinds"]),
    ]


def conclude_calibration(document: CalibrationDocument) -> str:
    """Say in a sentence what was set, and what it changes."""
    before, after, keras_model = document["before"]["error"], document["after"]["error"], document["models"][0]
    confidence = (
        "the confidence stays as it was"
        if document["note"]
        else f"the confidence is now {after:.2%} off the accuracy on average, not {before:.2%}; the predicted labels do"
        " not change"
    )
    return (
        f'{confidence}; predict --reject answers "unknown" to {1 - keras_model["accepted_unknown"]:.1%} of the unknown'
        f" images, and to {1 - keras_model['accepted']:.1%} of the validation images"
    )


def _describe_temperature(document: CalibrationDocument) -> str:
    if document["note"]:
        return f"temperature 1: {document['note']}"
    return (
        f"temperature {document['temperature']:.3f}, the one with the lowest negative log-likelihood (NLL) on the"
        " validation images"
    )


def _describe_check(document: CalibrationDocument) -> list[str]:
    if document["note"]:
        return []
    check = document["check"]
    if check["temperature"] == 1:  # nothing was fitted
        return [
            "check: not possible, because the half of the images that a temperature would be fitted on has no mistakes"
        ]
    return [
        f"check: a temperature of {check['temperature']:.3f}, fitted on one half of the images, takes the ECE of the"
        f" other {counted(check['images'], 'image')} from {check['before']:.2%} to {check['after']:.2%}"
    ]


def _describe_rule(document: CalibrationDocument) -> str:
    rule = document["rejection"]
    return f"an image is unknown where its {SCORE_WORDS[rule['score']]} is below {rule['threshold']:.3f}"


def _warn_of_rule(document: CalibrationDocument) -> list[str]:
    """Say that the rule is of no use where it separates no better than chance, an AUROC of 0.5."""
    if document["models"][0]["auroc"] > 0.5:
        return []
    return [
        "warning: on these unknown images, the rule is no better than chance: do not rely on --reject for images like"
        " them"
    ]


def _describe_kinds(kinds: dict[str, UnknownKind]) -> list[str]:
    if len(kinds) < 2:
        return []
    words = ", ".join(f"{name} {each['auroc']:.3f} ({each['accepted']:.1%})" for name, each in kinds.items())
    return [f"AUROC by kind of unknown image, and the share accepted: {words}"]


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
