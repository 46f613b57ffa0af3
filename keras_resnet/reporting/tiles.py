"""The numbers on top of a report: the metric with its interval, and those beside it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from statistics import mean

from keras_resnet.metrics.labels import MACRO_F1, MACRO_RECALL, MICRO_F1, metric_label
from keras_resnet.metrics.outcome import format_value_interval
from keras_resnet.run.documents import Analysis, Interval, MetricsDocument
from keras_resnet.runtime.plurals import counted, format_large


def describe_metric(metrics: MetricsDocument) -> str:
    """Say what the number of the main tile is, on how many images, and give its interval where it is known."""
    images = counted(metrics["samples"], "validation image", ",")
    return f"{metric_label(metrics['metric'])}, {images}{_interval(metrics.get('intervals'), metrics['metric'])}"


def _interval(intervals: Mapping[str, Interval] | None, metric: str) -> str:
    interval = (intervals or {}).get(metric)
    return f", 95% CI {format_value_interval(interval)}" if interval else ""


def list_tiles(analysis: Analysis, epochs: int, finds_objects: bool) -> dict[str, str]:
    """Return the numbers that stand beside the metric on top of the page, by what they are."""
    tiles = {}
    if finds_objects and (curves := analysis.get("curves")):
        tiles["AP50, at an IoU of 0.5"] = f"{mean(chain.from_iterable(curves.values())):.2%}"
    if MACRO_RECALL in analysis.get("metrics", {}):
        label = f"{metric_label(MACRO_RECALL)}{_interval(analysis.get('intervals'), MACRO_RECALL)}"
        tiles[label] = f"{analysis['metrics'][MACRO_RECALL]:.2%}"
    if "top5" in analysis.get("metrics", {}):
        tiles["top-5 accuracy"] = f"{analysis['metrics']['top5']:.2%}"
    for name in (MACRO_F1, MICRO_F1):
        if name in analysis.get("metrics", {}):
            tiles[name] = f"{analysis['metrics'][name]:.2%}"
    images = analysis["data"]["train"]["images"]
    trained = f"training {'image' if images == 1 else 'images'}, {counted(epochs, 'epoch')}"
    tiles[trained] = f"{images:,}"
    tiles["parameters"] = format_large(sum(part["parameters"] for part in analysis["parts"]))
    tiles["multiply-adds an image"] = format_large(sum(part["multiply_adds"] for part in analysis["parts"]))
    return tiles
