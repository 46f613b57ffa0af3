"""The registry of corruptions: a new one is a function in a module of this package, and an entry in its CORRUPTIONS."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.corruptions import blur, camera, digital, geometry, noise, weather
from keras_resnet.corruptions.base import Corruption
from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.runtime.plurals import join_words, verb

_ALL = (noise, blur, weather, digital, geometry, camera)
CORRUPTIONS: dict[str, Corruption] = {each.name: each for module in _ALL for each in module.CORRUPTIONS}
GROUPS = tuple(module.GROUP for module in _ALL)
# Corruptions of ImageNet-C that are not here, and why.
LEFT_OUT = {"frost": "ImageNet-C makes it of photographs of frost, which kresnet does not include"}


def choose_corruptions(names: Sequence[str], has_boxes: bool) -> tuple[list[Corruption], dict[str, str]]:
    """Return the corruptions that `names` ask for, of single ones or of groups, all for none; and by name why others of
    these are left out. has_boxes: whether objects are to be found in the images, so that nothing in them may move.

    Raises UsageError for a name that is none, and where nothing is left.
    """
    known = (*GROUPS, *CORRUPTIONS)
    for name in names:
        if name in LEFT_OUT:
            raise UsageError(f"--corruptions: there is no {name}: {LEFT_OUT[name]}")
        if name not in known:
            near = did_you_mean(name.replace("-", "_"), known)
            raise UsageError(
                f"--corruptions must name groups ({', '.join(GROUPS)}) or single ones"
                f" ({', '.join(CORRUPTIONS)}). Received: {name!r}{near and '.'}{near}"
            )
    asked = [each for each in CORRUPTIONS.values() if not names or each.name in names or each.group in names]
    moving = [each.name for each in asked if has_boxes and each.moves_pixels]
    left_out = dict.fromkeys(moving, "it moves what is seen, and boxes would not follow")
    chosen = [each for each in asked if each.name not in left_out]
    if not chosen:
        move = verb(len(moving), "moves", "move")
        raise UsageError(f"--corruptions: {join_words(moving)} {move} what is seen, and boxes would not follow")
    return chosen, left_out if names else left_out | LEFT_OUT
