"""Read and write names of networks, as the field writes them: "resnet50", "plain34", "vgg19_bn", "resnext50_32x4d",
…"""

from __future__ import annotations

from keras_resnet.config.foreign_names import answer_network
from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import UsageError, did_you_mean
from keras_resnet.models.backbone import get_families, get_family

# ImageNet networks as their papers and torchvision list them, then those for 32×32 images.
IMAGENET = tuple(name for family in get_families() for name in family.imagenet_variants)
CIFAR = tuple(name for family in get_families() for name in family.cifar_variants)
# Fields of a NetworkSpec that a name decides; the others are left to the data or to options.
NAMED_SETTINGS = ("depth", "family", *(field for family in get_families() for field in family.named_settings))


def parse_model_name(name: str) -> NetworkSpec:
    """Return the network called `name`. Raises UsageError, suggesting the nearest, if no family reads such a name.

    Whether its depth exists is decided by `build.require_known`.
    """
    for family in get_families():
        if network := family.parse_name(name):
            return network
    answer = answer_network(name)
    near = f" {answer}" if answer else did_you_mean(name, IMAGENET + CIFAR)
    raise UsageError(f"unknown network {name!r}.{near} List them with: kresnet models")


def model_name(network: NetworkSpec) -> str:
    """Return the name of `network`. Settings that no name tells (shortcut, stem, width, …) are left out."""
    return get_family(network.family).format_name(network)
