"""Heat maps for a report: of the most confident mistakes, and of a typical image of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from keras_resnet.data.dataset import Split
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import ExportError
from keras_resnet.evaluation.embedded_images import encode_webp
from keras_resnet.explanation.feature_maps import has_graph, read_feature_maps
from keras_resnet.explanation.heat_map import Explainer, HeatMap
from keras_resnet.explanation.methods import METHODS
from keras_resnet.explanation.targets import Question
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import log, show_activity
from keras_resnet.runtime.confidence import UNCALIBRATED
from keras_resnet.runtime.image import show_in_rgb
from keras_resnet.runtime.printable import make_printable
from keras_resnet.tasks import Task
from keras_resnet.tasks.base import Answer
from keras_resnet.tasks.metadata import build_metadata

if TYPE_CHECKING:
    import keras

# Mistakes and classes of which a report shows heat maps: their cost, one pass forward and one back of each image, stays
# small beside that of the evaluation.
MAX_MISTAKES, MAX_TYPICAL = 6, 10
# The longest side of each image in pixels, and about the most bytes that it takes.
SIDE, MAX_BYTES = 240, 12_000


def make_heat_maps(model: keras.Model, task: Task, evaluation: Evaluation, data: DatasetSplits) -> list[dict[str, Any]]:
    """Return the heat maps of a report, in groups: [{"title", "method", "maps": [{"caption", "file", "image",
    "overlay", …}, …]}, …], images as WebP files in base64, and of a classifier the "logits". A group without images is
    left out, and all are for a network without feature maps or a graph."""
    if not has_graph(model) or not read_feature_maps(model):
        return []
    split = data.splits["validation"]
    # As all of an analysis: a report shows what was fitted since.
    plain = task.with_confidence(UNCALIBRATED)
    explainer = Explainer(model, build_metadata(data.classes, data, {}, plain.output_metadata()))
    with show_activity("making heat maps"):
        mistakes = task.sample_predictions(evaluation, MAX_MISTAKES) if task.samples_are_mistakes else []
        typical = task.typical_images(evaluation, MAX_TYPICAL)
        rows = [*(each.row for each in mistakes), *(each.row for each in typical)]
        questions = [*(Question() for _ in mistakes), *(Question(each.label) for each in typical)]
        images = [split.image(row) for row in rows]
        try:
            found = explainer.explain(images, questions)
        except ExportError as error:  # outputs that are not finite
            log(f"the report has no heat maps: {error}")
            return []
    captions = [each.caption for each in mistakes]
    captions += [f"{each.target.label} {each.target.probability:.0%}" for each in found[len(mistakes) :]]
    pictures = [show_in_rgb(each) for each in images]
    answers = [*(each.answer for each in mistakes), *(each.answer for each in typical)]
    maps = [_describe(split, *each) for each in zip(rows, captions, pictures, found, answers, strict=True)]
    wrong, right = maps[: len(mistakes)], maps[len(mistakes) :]
    groups = {"Most confident mistakes": wrong, "Most confident correct prediction of each class": right}
    method = METHODS[explainer.chosen_method].title
    return [{"title": title, "method": method, "maps": maps} for title, maps in groups.items() if maps]


def _describe(
    split: Split, row: int, caption: str, picture: Image.Image, heat_map: HeatMap, answer: Answer | None
) -> dict[str, Any]:
    """Return one image of a group: see `make_heat_maps`."""
    return {
        "caption": make_printable(caption),
        **(answer.as_dict() if answer else {}),
        "file": make_printable(split.name_image(row)),
        "label": make_printable(heat_map.target.label),
        "image": encode_webp(_shrink(picture), MAX_BYTES),
        "overlay": encode_webp(_shrink(heat_map.overlay(picture)), MAX_BYTES),
    }


def _shrink(image: Image.Image) -> Image.Image:
    """Return an image with a longest side of SIDE pixels; a much smaller one shows its pixels."""
    scale = SIDE / max(image.size)
    size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 4 else Image.Resampling.LANCZOS)
