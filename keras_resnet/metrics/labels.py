"""Name metrics as people read them, where that differs from their names in JSON."""

from collections.abc import Iterable

# Of one label an image, the mean of the classes' recalls.
MACRO_RECALL = "macro_recall"
# Of several labels an image: the mean average precision, and F1 as the mean over classes or over all labels.
MAP, MACRO_F1, MICRO_F1 = "mAP", "macro F1", "micro F1"
# What is shown beside the metric that decides.
DETAILS = (MACRO_RECALL, MACRO_F1, MICRO_F1, "box mAP", "AP50", "mask AP50")
LABELS = {
    "f1": "F1",
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "localized": "localization accuracy",
    MACRO_RECALL: "macro recall (balanced accuracy)",
    # Of the predictions that are assigned to an object.
    "iou": "box IoU",
    "quality": "confidence",
    "mask": "mask IoU",
}
# What the main metric of all classes is of one class.
CLASS_LABELS = {"top1": "recall", MAP: "AP", "box mAP": "box AP", "mask mAP": "mask AP"}


def metric_label(name: str) -> str:
    """Return a metric's name as people read it."""
    return LABELS.get(name, name)


def class_metric_label(name: str) -> str:
    """Return what is measured of a single class where `name` is measured of all, as people read it."""
    return CLASS_LABELS.get(name, metric_label(name))


def list_shown_details(metrics: Iterable[str], metric: str) -> list[str]:
    """Return those of `metrics` that are shown beside the `metric` that decides."""
    return [name for name in DETAILS if name in metrics and name != metric]


def metric_title(name: str) -> str:
    """Return a metric's name as a sentence begins with it: "Top-1 accuracy", and "mAP" as it is."""
    label = metric_label(name)
    return label if label[1:2].isupper() else f"{label[0].upper()}{label[1:]}"
