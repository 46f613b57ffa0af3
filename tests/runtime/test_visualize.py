"""Predictions drawn into images."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from keras_resnet.runtime.visualize import _overlap, _place_labels, draw_predictions, label_color, letter_color

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


def test_letters_of_a_label_contrast_with_its_color_and_are_large_enough():
    """At least 4.5:1, as WCAG 2.1 asks for text, whatever the label; 14 pixels high letters, also in a small image."""
    for number in range(97):
        color = label_color(chr(97 + number))
        one, other = (
            relative_luminance(each) for each in (color, {"black": (0,) * 3, "white": (255,) * 3}[letter_color(color)])
        )
        assert (max(one, other) + 0.05) / (min(one, other) + 0.05) >= 4.5
    (place,) = _place_labels(Image.new("RGB", (300, 200)), NEAR[:1], 1.0, ImageFont.load_default(14))
    drawn = np.asarray(draw_predictions(Image.new("RGB", (300, 200)), NEAR[:1]))
    left, top, right, bottom = (round(edge) for edge in place)
    assert (drawn[top + 1 : bottom - 1, left + 1 : right - 1] != 0).any(axis=-1).mean() > 0.6


def relative_luminance(color):
    """As WCAG 2 defines it."""
    shares = np.array(color) / 255
    return float(
        np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    )
