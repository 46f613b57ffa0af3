"""Predictions drawn into images."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from keras_resnet.runtime.visualize import _overlap, _place_labels, draw_predictions

NEAR = [
    {"label": "star", "probability": 0.9, "box": [40, 40, 90, 90]},
    {"label": "cross", "probability": 0.5, "box": [42, 41, 88, 92]},
    {"label": "triangle", "probability": 0.4, "box": [38, 40, 80, 80]},
]


def test_no_label_covers_another_however_many_there_are():
    """Those for which there is no room are left out, the least confident ones."""
    found = [{"label": f"kind {n}", "probability": 0.9 - n / 100, "box": [50, 50, 110, 110]} for n in range(40)]
    places = _place_labels(Image.new("RGB", (320, 320)), found, 2.0, ImageFont.load_default(11))
    shown = [place for place in places if place]
    assert not any(_overlap(one, other) for at, one in enumerate(shown) for other in shown[:at])
    assert 8 <= len(shown) < 40 and None not in places[:6]
    draw_predictions(Image.new("RGB", (160, 160)), found, 320, 11)


@pytest.mark.parametrize("shift", [(0, 0), (-40, -40), (40, 40)])
def test_labels_of_objects_that_lie_upon_each_other_can_all_be_read(shift):
    """In the middle of the image, and at its edges, beyond which no label goes."""
    found = [{**each, "box": list(np.add(each["box"], shift * 2))} for each in NEAR]
    places = _place_labels(Image.new("RGB", (320, 320)), found, 2.4, ImageFont.load_default(11))
    assert not any(_overlap(one, other) for at, one in enumerate(places) for other in places[:at])
    assert all(left >= 0 and top >= 0 and right <= 320 and bottom <= 320 for left, top, right, bottom in places)
