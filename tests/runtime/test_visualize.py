"""Predictions drawn into images."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from keras_resnet.runtime.visualize import _overlap, _place_labels

NEAR = [
    {"label": "star", "probability": 0.9, "box": [40, 40, 90, 90]},
    {"label": "cross", "probability": 0.5, "box": [42, 41, 88, 92]},
    {"label": "triangle", "probability": 0.4, "box": [38, 40, 80, 80]},
]


@pytest.mark.parametrize("shift", [(0, 0), (-40, -40), (40, 40)])
def test_labels_of_objects_that_lie_upon_each_other_can_all_be_read(shift):
    """In the middle of the image, and at its edges, beyond which no label goes."""
    found = [{**each, "box": list(np.add(each["box"], shift * 2))} for each in NEAR]
    places = _place_labels(Image.new("RGB", (320, 320)), found, 2.4, ImageFont.load_default(11))
    assert not any(_overlap(one, other) for at, one in enumerate(places) for other in places[:at])
    assert all(left >= 0 and top >= 0 and right <= 320 and bottom <= 320 for left, top, right, bottom in places)
