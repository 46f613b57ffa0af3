"""Find images that nobody could name: blank, dark, blurred."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from keras_resnet.checking.facts import ImageFacts
from keras_resnet.checking.findings import Finding

# Contrast of an image of one color after compression, and the brightness that 99% of a dark image stay below.
BLANK_CONTRAST, DARK_BRIGHTNESS = 1.0, 0.25
# A blurred image has less sharpness than this, and less than this share of the dataset's median.
BLURRED_SHARPNESS, BLURRED_SHARE = 1.2, 0.3


def find_bad_images(facts: Sequence[ImageFacts]) -> Iterator[Finding]:
    """Yield a finding for each image that is blank, dark or blurred: the first of these that it is."""
    typical = float(np.median([each.sharpness for each in facts])) if facts else 0.0
    for each in facts:
        if is_blank(each):
            yield Finding("blank", (each.image,))
        elif each.brightest < DARK_BRIGHTNESS:
            yield Finding("dark", (each.image,), f"99% of it is below {each.brightest:.0%} brightness")
        elif each.sharpness < min(BLURRED_SHARPNESS, BLURRED_SHARE * typical):
            yield Finding("blurred", (each.image,), f"sharpness {each.sharpness:.2f}; that of most is {typical:.2f}")


def is_blank(facts: ImageFacts) -> bool:
    """Return whether an image shows one color."""
    return facts.contrast < BLANK_CONTRAST
