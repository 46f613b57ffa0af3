"""Fixtures of the tests of compression."""

import keras
import pytest


@pytest.fixture
def same_weights():
    """Draw the same weights each time: of all that may be drawn, some lie at the edge of a range."""
    keras.utils.set_random_seed(0)
