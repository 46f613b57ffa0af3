"""Declare confidence.json, what `kresnet calibrate` fitted and measured, of classifiers and detectors; see
`documents`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from keras_resnet.run.documents import Calibration, Count, Curve, Interval, Line, Number, kept
from keras_resnet.run.reading import parse_json
from keras_resnet.runtime.confidence import Confidence

Share = Annotated[Number, Field(ge=0, le=1)]
Some = Annotated[int, Field(ge=1)]


@kept
class RejectionRule(TypedDict):
    """When an image is rejected as unknown: see `runtime.confidence.Rejection`."""

    score: Line
    temperature: Number
    threshold: Number
    accepts: Number


@kept
class CalibrationCheck(TypedDict):
    """What a temperature that was fitted on one half of the images does on the other half, of so many images: the
    expected calibration error before and after."""

    temperature: Number
    images: Count
    before: Number
    after: Number


@kept
class ModelCalibration(TypedDict):
    """How well a model is calibrated. name: of the Keras model, or of the file among the exports. error_before,
    error_after: the expected calibration error without and with the temperature; loss_before, loss_after: the mean
    negative log-likelihood. accepted: the share of images that the rule accepts; accepted_unknown: of those that are of
    none of the classes. auroc: of the rule's score, between the two."""

    name: Line
    error_before: Number
    error_after: Number
    loss_before: Number
    loss_after: Number
    accepted: Number
    accepted_unknown: Number
    auroc: Share


@kept
class UnknownKind(TypedDict):
    """One kind of images that are of none of the classes: the AUROC, and the share that the rule accepts."""

    images: Some
    auroc: Share
    accepted: Number


@kept
class UnknownImages(TypedDict):
    """The images that are of none of the classes: what they are, how many, and of each kind how the Keras model tells
    them."""

    source: Line
    images: Some
    kinds: dict[Line, UnknownKind]


@kept
class CalibrationDocument(TypedDict):
    """confidence.json of a classifier. samples: validation images, of which the Keras model gets `mistakes` wrong;
    temperature_interval: its 95% interval; note: why no temperature was fitted, "" where one was. check: None where one
    half of the images has no mistake to fit a temperature to. before, after: the
    reliability of the Keras model, with the bins. auroc_by_score: of the Keras model, by each score that a rule could
    look at. warnings: what is uncertain or of no use, in sentences. accepted_curve, accepted_unknown_curve: of the
    Keras model at each of `thresholds` the shares of validation images and of unknown ones that are accepted. models:
    the Keras model first."""

    samples: Some
    mistakes: NotRequired[Count]
    temperature: Number
    temperature_interval: NotRequired[Interval]
    note: Line
    rejection: RejectionRule
    check: CalibrationCheck | None
    before: Calibration
    after: Calibration
    unknown: UnknownImages
    auroc_by_score: NotRequired[dict[Line, Share]]
    warnings: NotRequired[list[str]]
    thresholds: Curve
    accepted_curve: Curve
    accepted_unknown_curve: Curve
    models: Annotated[list[ModelCalibration], Field(min_length=1)]


@kept
class DetectionScores(TypedDict):
    """How a class is detected from a score on. precision: None where nothing is predicted."""

    precision: Share | None
    recall: Share
    f1: Share


@kept
class ClassThreshold(TypedDict):
    """The score threshold of one class. objects: of the validation images. note: why it is that of all classes, ""
    where it is its own. before, after: at the default threshold and at this one, None of a class without objects."""

    label: str
    objects: Count
    threshold: Share
    note: Line
    before: DetectionScores | None
    after: DetectionScores | None


@kept
class CheckedThreshold(TypedDict):
    """The score threshold that one half of the images gives a class, and F1 of the class on the other half, at the
    default threshold and at this one."""

    label: str
    threshold: Share
    before: Share
    after: Share


@kept
class ThresholdCheck(TypedDict):
    """What thresholds that were fitted on one half of the images do on the other half, of so many images: F1, the mean
    over classes, at the default threshold and at these; and the same of each class with objects there."""

    images: Count
    before: Share
    after: Share
    by_class: Annotated[list[CheckedThreshold], Field(min_length=1)]


@kept
class ModelThresholds(TypedDict):
    """F1, the mean over classes, of the Keras model or of the file `name` among the exports, at the default threshold
    and at the fitted ones."""

    name: Line
    f1_before: Share
    f1_after: Share


@kept
class ThresholdDocument(TypedDict):
    """confidence.json of a detector. samples: validation images. matched: what has to overlap for a prediction to be of
    an object, "boxes" or "masks", with an IoU of `iou` or more. score_thresholds: of each class, in the order of the
    labels. overall: the threshold with the best F1 of all classes together; default: the one without calibration.
    check: None where nothing is found in one half of the images. curves: of each class with objects the precision at
    101 recalls; f1_curves: F1 at 101 thresholds. warnings: what is uncertain or of no use, in sentences. models: the
    Keras model first."""

    samples: Count
    warnings: NotRequired[list[str]]
    matched: Literal["boxes", "masks"]
    iou: Share
    default: Share
    overall: Share
    score_thresholds: Annotated[list[Share], Field(min_length=1)]
    by_class: Annotated[list[ClassThreshold], Field(min_length=1)]
    check: ThresholdCheck | None
    curves: dict[str, Curve]
    f1_curves: dict[str, Curve]
    models: Annotated[list[ModelThresholds], Field(min_length=1)]


def parse_calibration(content: bytes) -> CalibrationDocument:
    """Parse a classifier's confidence.json. Raises ValueError that says in one sentence what is wrong with it."""
    document = parse_json(CalibrationDocument, content)
    Confidence.from_dict(cast(Mapping[str, Any], document))
    return document


def parse_thresholds(content: bytes, classes: Sequence[str]) -> ThresholdDocument:
    """Parse the confidence.json of a detector of `classes`. Raises ValueError as `parse_calibration`."""
    document = parse_json(ThresholdDocument, content)
    rows = [(each["label"], each["threshold"]) for each in document["by_class"]]
    thresholds = document["score_thresholds"]
    if len(thresholds) != len(classes) or rows != list(zip(classes, thresholds, strict=True)):
        raise ValueError("it does not have a threshold for each label of the run, in their order")
    measured = document["curves"].keys()
    if not measured or measured != document["f1_curves"].keys() or not measured <= set(classes):
        raise ValueError("its curves are not those of the run's labels")
    if (check := document["check"]) and not {each["label"] for each in check["by_class"]} <= set(classes):
        raise ValueError("its check is not of the run's labels")
    return document
