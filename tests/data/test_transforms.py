"""Transforms: the list of them, and that the pixels of a training stay what they were."""

import hashlib

import numpy as np
import pytest
from PIL import Image
from sources import whole

from keras_resnet.config.policies import POLICIES
from keras_resnet.config.spec import AugmentSpec
from keras_resnet.data.dataset import Split
from keras_resnet.data.transforms.registry import augment_image, enabled_image_transforms, load_policy, needs_pillow


def smooth(side):
    """An image whose every pixel differs a little from its neighbors."""
    rows, columns = np.mgrid[0:side, 0:side]
    return np.stack([rows * 7 % 256, columns * 11 % 256, rows * columns % 256], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("name", POLICIES)
def test_a_registered_policy_is_the_one_that_its_name_enables(name):
    settings = AugmentSpec(auto_augment=name)
    assert load_policy(name).is_enabled(settings) and not load_policy(name).is_enabled(AugmentSpec())
    assert load_policy(name) in enabled_image_transforms(settings) and needs_pillow(settings)


def test_transforms_are_applied_in_order():
    settings = AugmentSpec(crop="resized", flip=True, auto_augment="randaugment", random_erase=0.5)
    names = [type(each).__name__ for each in enabled_image_transforms(settings)]
    assert names == ["RandomResizedCrop", "HorizontalFlip", "RandAugment", "RandomErase"]
    assert [type(each).__name__ for each in enabled_image_transforms(AugmentSpec())] == ["PaddedCrop"]
    assert not needs_pillow(AugmentSpec(flip=True))


# What a training has seen at its positions since it was first released; a change breaks the resuming of old runs.
SEEN = {
    "cut": (AugmentSpec(flip=True), "fc4d5e3ba269c758"),
    "resized": (AugmentSpec(crop="resized", flip=True), "0cfd924d418a33bf"),
    "randaugment": (AugmentSpec(auto_augment="randaugment", flip=True), "6ef276ca8a71f651"),
    "trivialaugment": (AugmentSpec(auto_augment="trivialaugment"), "8ac99de2c1f63add"),
    "erasing": (AugmentSpec(random_erase=0.8, flip=True), "49830f2c4f59ccae"),
}


@pytest.mark.parametrize(("settings", "digest"), SEEN.values(), ids=SEEN)
def test_pixels_stay_the_same(settings, digest):
    image = Image.fromarray(smooth(28))
    pixels = [augment_image(image, position, settings=settings, size=24, seed=3) for position in range(40)]
    assert hashlib.sha256(np.stack(pixels).tobytes()).hexdigest()[:16] == digest


def test_order_and_cuts_of_batches_stay_the_same():
    split = Split("train", np.arange(24), pixels=np.stack([np.roll(smooth(14), shift, axis=0) for shift in range(24)]))
    batches = whole(split, epochs=2)
    digest = hashlib.sha256(b"".join(images.tobytes() + labels.tobytes() for images, labels in batches)).hexdigest()
    assert digest[:16] == "196591279d0299aa"
