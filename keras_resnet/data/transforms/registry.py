"""All transforms of training images, in the order in which they are applied: a new one is a file in this folder and a
line here, or in `config/policies.py` if it is one of the policies that `augment.auto_augment` chooses from."""

from __future__ import annotations

from functools import lru_cache
from pkgutil import resolve_name

import numpy as np
from PIL import Image

from keras_resnet.config.data import FITS, AugmentSpec, Fit
from keras_resnet.config.image_size import ImageSize
from keras_resnet.config.policies import POLICIES
from keras_resnet.data.transforms.color_jitter import ColorJitter
from keras_resnet.data.transforms.crop import HorizontalFlip, PaddedCrop, RandomResizedCrop
from keras_resnet.data.transforms.mixup import MixUpCutMix
from keras_resnet.data.transforms.random_erase import RandomErase
from keras_resnet.data.transforms.transform import BatchTransform, ImageTransform
from keras_resnet.runtime.image import Picture

# On single images, before the policy, by how images are fitted in; and after it.
BEFORE_POLICY: dict[Fit, tuple[ImageTransform, ...]] = {
    fit: (PaddedCrop(), RandomResizedCrop(fit), HorizontalFlip()) for fit in FITS
}
AFTER_POLICY: tuple[ImageTransform, ...] = (RandomErase(),)
# On batches of images and their labels or objects.
ON_BATCHES: tuple[BatchTransform, ...] = (ColorJitter(),)
# On batches of images and their targets.
ON_TARGETS: tuple[BatchTransform, ...] = (MixUpCutMix(),)


@lru_cache(maxsize=64)
def load_policy(name: str) -> ImageTransform:
    """Return the transform that `augment.auto_augment` calls so."""
    policy: ImageTransform = resolve_name(POLICIES[name].transform)()
    return policy


def enabled_image_transforms(settings: AugmentSpec, fit: Fit = "crop") -> list[ImageTransform]:
    """Return the transforms of single images that `settings` ask for, in order; fit: of `config.data.FITS`."""
    policy = () if settings.auto_augment == "none" else (load_policy(settings.auto_augment),)
    return [each for each in (*BEFORE_POLICY[fit], *policy, *AFTER_POLICY) if each.is_enabled(settings)]


def needs_pillow(settings: AugmentSpec) -> bool:
    """Return whether images are changed one by one, rather than a batch at a time in TensorFlow."""
    return not all(each.is_batched for each in enabled_image_transforms(settings))


def augment_image(
    picture: Picture, position: int, *, settings: AugmentSpec, size: ImageSize, seed: int, fit: Fit = "crop"
) -> np.ndarray:
    """Return an image as it is shown at `position` of the training: uint8 (height, width, channels)."""
    parts = picture if isinstance(picture, tuple) else (picture,)
    changed = [_augment_part(part, position, settings, size, seed, fit) for part in parts]
    return changed[0] if changed[0].ndim == 3 else np.dstack(changed)


def _augment_part(
    image: Image.Image, position: int, settings: AugmentSpec, size: ImageSize, seed: int, fit: Fit
) -> np.ndarray:
    """Change an image, or one channel of many as all the others, since all is drawn by seed and position."""
    rng = np.random.Generator(np.random.Philox(key=[seed, position]))
    for transform in enabled_image_transforms(settings, fit):
        image = transform(image, rng, settings, size)
    return np.asarray(image)
