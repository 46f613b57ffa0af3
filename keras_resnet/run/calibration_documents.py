"""Declare confidence.json, what `kresnet calibrate` fitted and measured; see `documents`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from keras_resnet.run.documents import Calibration, Count, Curve, Line, Number, kept


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
    auroc: Number


@kept
class UnknownKind(TypedDict):
    """One kind of images that are of none of the classes: the AUROC, and the share that the rule accepts."""

    images: Count
    auroc: Number
    accepted: Number


@kept
class UnknownImages(TypedDict):
    """The images that are of none of the classes: what they are, how many, and of each kind how the Keras model tells
    them."""

    source: Line
    images: Count
    kinds: dict[Line, UnknownKind]


@kept
class CalibrationDocument(TypedDict):
    """confidence.json. samples: validation images; note: why no temperature was fitted, "" where one was. before,
    after: the reliability of the Keras model, with the bins. accepted_curve, accepted_unknown_curve: of the Keras model
    at each of `thresholds` the shares of validation images and of unknown ones that are accepted. models: the Keras
    model first."""

    samples: Count
    temperature: Number
    note: Line
    rejection: RejectionRule
    check: CalibrationCheck
    before: Calibration
    after: Calibration
    unknown: UnknownImages
    thresholds: Curve
    accepted_curve: Curve
    accepted_unknown_curve: Curve
    models: Annotated[list[ModelCalibration], Field(min_length=1)]
