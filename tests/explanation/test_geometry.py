"""Where a heat map lies on its photograph, against what preprocessing does with the photograph's pixels."""

import numpy as np
import pytest
from PIL import Image

from keras_resnet.explanation.geometry import PLACEMENTS, find_placement, place_on_image, resize_map
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.preprocess import PREPROCESSORS

SIZES = [(320, 200), (200, 320), (256, 256), (90, 61)]


def card(method, resize=72, size=64):
    return ModelMetadata(("a", "b"), resize, size, {}, preprocessing=method)


def spot(size, x, y):
    """A black photograph with a white disk around (x, y)."""
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    inside = np.hypot(columns - x, rows - y) < 0.06 * max(size)
    return Image.fromarray(np.where(inside[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2))


def center(values):
    """The center of mass of a map: x and y."""
    columns, rows = np.arange(values.shape[1]) + 0.5, np.arange(values.shape[0]) + 0.5
    return float((values * columns).sum() / values.sum()), float((values * rows[:, None]).sum() / values.sum())


def test_every_way_of_preprocessing_has_a_placement():
    assert PLACEMENTS.keys() == PREPROCESSORS.keys()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", PREPROCESSORS)
@pytest.mark.parametrize("resize_and_size", [(72, 64), ((80, 60), (64, 48))])
def test_a_map_points_at_what_the_network_saw(method, size, resize_and_size):
    how = card(method, *resize_and_size)
    x, y = 0.55 * size[0], 0.42 * size[1]
    seen = how.preprocess(spot(size, x, y))[..., 0].astype(np.float32)
    placement = find_placement(how, size)
    assert placement.to_input(x, y) == pytest.approx(center(seen), abs=0.35)
    assert placement.to_image(*placement.to_input(x, y)) == pytest.approx((x, y))
    values, shown = place_on_image(seen / 255, placement, size)
    assert values.shape == shown.shape == size[::-1] and values.dtype == np.float32
    # Half a pixel of the network's input, in pixels of the photograph.
    assert center(values) == pytest.approx((x, y), abs=0.5 * max(1 / placement.scale[0], 1 / placement.scale[1]))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_cropped_away_is_known(size):
    placement = find_placement(card("center_crop"), size)
    _, shown = place_on_image(np.ones((64, 64), np.float32), placement, size)
    # 64 of the 72 pixels to which the shorter side is brought.
    side = min(size) * 64 / 72
    assert shown.sum() == pytest.approx(side**2, rel=0.05)
    assert shown[size[1] // 2, size[0] // 2] and not shown[0, 0]


@pytest.mark.parametrize("method", ["letterbox", "stretch"])
def test_the_whole_photograph_is_seen_without_a_crop(method):
    placement = find_placement(card(method, 64), (320, 200))
    values, shown = place_on_image(np.ones((64, 64), np.float32), placement, (320, 200))
    assert shown.all() and (values == 1).all()


def test_a_coarse_map_becomes_one_of_every_pixel():
    coarse = np.zeros((4, 4), np.float32)
    coarse[1, 2] = 1
    fine = resize_map(coarse, (64, 64))
    assert fine.shape == (64, 64) and center(fine) == pytest.approx((40, 24))
