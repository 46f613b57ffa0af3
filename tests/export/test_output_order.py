"""Outputs of other kernels are in order, those of other images are not, and wrong ones are neither."""

import numpy as np
import pytest

from keras_resnet.export.output_order import find_swapped_row

CHANCE = np.random.default_rng(0)
OWN = CHANCE.normal(0, 3, (50, 10)).astype(np.float32)


def close(rows):
    """As other kernels compute it."""
    return rows + CHANCE.uniform(-0.1, 0.1, rows.shape)


def test_what_is_in_order_is_left_alone():
    assert find_swapped_row(OWN, OWN) is None
    assert find_swapped_row(close(OWN), OWN) is None


@pytest.mark.parametrize("order", [np.roll(np.arange(50), 1), np.arange(50)[::-1], CHANCE.permutation(50)])
def test_rows_of_other_images_are_noticed(order):
    row, image = find_swapped_row(close(OWN)[order], OWN)
    assert order[row] == image != row


@pytest.mark.parametrize(
    "wrong", [np.full_like(OWN, 84), CHANCE.normal(0, 3, OWN.shape), OWN[:, ::-1], 0 * OWN], ids=range(4)
)
def test_wrong_outputs_are_not_taken_for_swapped_ones(wrong):
    assert find_swapped_row(wrong, OWN) is None


def test_several_outputs_and_images_that_are_all_alike():
    several = {"scores": OWN.reshape(50, 5, 2), "boxes": np.repeat(OWN, 300, axis=1)}
    turned = {name: np.roll(each, 3, axis=0) for name, each in several.items()}
    assert find_swapped_row(turned, several) is not None
    assert find_swapped_row(np.ones((9, 3)), np.ones((9, 3))) is None
