"""The registry of the policies of `augment.auto_augment`: a new one is a file in data/transforms/ and a line here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """One policy. transform: "module:class" of its `ImageTransform`, imported when a training needs it. reference: the
    paper that it is from."""

    transform: str
    reference: str


POLICIES: dict[str, Policy] = {
    "randaugment": Policy("keras_resnet.data.transforms.auto_augment:RandAugment", "Cubuk et al. 2020"),
    "trivialaugment": Policy("keras_resnet.data.transforms.auto_augment:TrivialAugment", "Müller & Hutter 2021"),
    "augmix": Policy("keras_resnet.data.transforms.augmix:AugMix", "Hendrycks et al. 2020"),
}


def describe_policies() -> str:
    """Return all of them with their papers, as a help text lists them."""
    return ", ".join(["none", *(f"{name} ({policy.reference})" for name, policy in POLICIES.items())])
