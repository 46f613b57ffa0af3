"""The size of a batch, where none is asked for."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from keras_resnet.config.spec import Spec, TrainingSpec
from keras_resnet.training import resolve as resolving

ONE_DEVICE = SimpleNamespace(replicas=1, require_divisible=lambda size, steps: None)


@pytest.mark.parametrize(
    ("images", "batch", "why"),
    [
        (6, 6, "so few need small batches"),
        (48, 8, "so few need small batches"),
        (99, 16, "so few need small batches"),
        (100, 32, "32 below 5000, else 128"),
        (5000, 128, "32 below 5000, else 128"),
    ],
)
def test_few_images_have_small_batches(images, batch, why):
    told = []
    spec = resolving._resolve_batch(Spec(), images, ONE_DEVICE, told.append)
    assert spec.training.batch_size == batch and told[0].startswith(f"batch size: {batch} ({images} training images; ")
    assert why in told[0]


def test_what_is_asked_for_stays():
    asked = replace(Spec(), training=TrainingSpec(batch_size=32))
    found = resolving._resolve_batch(asked, 48, ONE_DEVICE, pytest.fail)
    assert found.training.batch_size == 32
