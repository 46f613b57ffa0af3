"""The policies that `augment.policy` chooses from: each is a class in keras_resnet/data/transforms/, which is imported
when a training needs it. A new one is a file there and a line here."""

from __future__ import annotations

# Name → module:class.
POLICIES = {
    "randaugment": "auto_augment:RandAugment",
    "trivialaugment": "auto_augment:TrivialAugment",
}
