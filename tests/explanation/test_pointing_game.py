"""The pointing game (Zhang et al. 2018, "Top-down neural attention by excitation backprop"): is the peak of a heat
map inside the object's box?"""

import numpy as np
import pytest
from PIL import Image
from samples import finding, silent

from keras_resnet.data.sources import shapes
from keras_resnet.explanation.geometry import Placement
from keras_resnet.explanation.heat_map import Explainer, HeatMap
from keras_resnet.explanation.targets import Question, Target

# Fewer images leave too much to chance.
MIN_IMAGES = 50


def play(model, card, numbers, most, method=None):
    """(share of maxima inside the box of an object of the class, share of the image that these boxes cover, images), of
    drawings whose explained class they show."""
    drawings = [shapes.draw(number, most) for number in numbers]
    pictures = [Image.fromarray(each.image) for each in drawings]
    hits, chances = [], []
    for drawing, found in zip(
        drawings, Explainer(model, card, method).explain(pictures, [Question()] * len(pictures)), strict=True
    ):
        boxes = drawing.boxes[drawing.kinds == shapes.KINDS.index(found.target.label)]
        if not len(boxes) or not found.target.is_predicted:
            continue
        # A map without a peak points nowhere.
        point = found.peak or (-1, -1)
        hits.append(bool(((boxes[:, :2] <= point) & (boxes[:, 2:] >= point)).all(axis=1).any()))
        covered = np.zeros((shapes.SIDE, shapes.SIDE), bool)
        for left, top, right, bottom in boxes.astype(int):
            covered[top:bottom, left:right] = True
        chances.append(covered.mean())
    return np.mean(hits), np.mean(chances), len(hits)


def test_the_peak_is_the_largest_value_in_the_image():
    values = np.zeros((8, 8), np.float32)
    values[2, 5] = 1
    target = Target("circle", 0.9, "logits", (0,))
    heat_map = HeatMap(values, target, "gradcam", "last", (80, 40), Placement((0.1, 0.2), (0, 0)))
    x, y = heat_map.peak
    assert 50 <= x <= 60 and 10 <= y <= 15
    assert HeatMap(0 * values, target, "gradcam", "last", (80, 40), Placement((0.1, 0.2), (0, 0))).peak is None


def test_a_peak_is_named_by_the_middle_of_its_pixel():
    target, placement = Target("circle", 0.9, "logits", (0,)), Placement((1, 1), (0, 0))
    for column in range(8):
        values = np.zeros((8, 8), np.float32)
        values[2, column] = 1
        words = HeatMap(values, target, "gradcam", "last", (8, 8), placement).describe()
        assert f"peak at {column}.5, 2.5 (" in words


@pytest.mark.slow
def test_heat_maps_of_a_detector_point_at_its_objects(tmp_path):
    from keras_resnet.evaluation.evaluate import load_model
    from keras_resnet.export.predict import build_run_metadata
    from keras_resnet.training.train import train

    run = train(finding("detect", epochs=15), tmp_path, "shapes", silent)
    model = load_model(run)
    card = build_run_metadata(run)
    share, chance, images = play(model, card, range(shapes.TRAIN, shapes.TRAIN + shapes.VALIDATION), shapes.MAX_OBJECTS)
    assert images >= MIN_IMAGES and share > 2 * chance and share > 0.6, (share, chance, images)
