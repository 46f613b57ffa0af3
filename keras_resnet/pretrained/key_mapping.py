"""Recognize how a file of weights names its arrays, and map the names to ours."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.keras_keys import map_keras_resnet, map_keras_vgg
from keras_resnet.pretrained.torch_keys import map_torch_resnet, map_torch_vgg
from keras_resnet.pretrained.weights import LayerArrays, StateDict, Weights

# By these a naming is recognized: names that every network of it has, near its beginning.
FIRST_KEYS = (
    *("layer1.0.conv1.weight", "features.0.weight"),
    *("conv2_block1_1_conv", "conv2_block1_preact_bn", "block1_conv1", "stage1_unit1_conv1"),
)


def map_keys(state: StateDict) -> Weights:
    """Return weights, by the names in their file, as weights by ours, and infer the network that they are of.

    `state` maps tensor names to arrays (PyTorch's way) or layer names to lists of arrays (Keras' way), which may all
    stand behind one prefix, such as "module.backbone.". Raises WeightsError for names that are not known, and for a
    network of which a part is missing.
    """
    state, others = _strip_prefix(state)
    weights = _map_by_naming(state)
    return replace(weights, unused=(*weights.unused, *others))


def map_file(state: StateDict, called: str) -> Weights:
    """Return the weights of a file, which messages call `called`, as `map_keys` does. Raises WeightsError also where
    arrays are missing or have not the shapes of a network's."""
    try:
        return map_keys(state)
    except KeyError as error:
        raise WeightsError(f"weights {called} are incomplete: {error.args[0]} is missing") from error
    except WeightsError as error:
        raise WeightsError(f"cannot use weights {called}: {error}") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise WeightsError(f"cannot use weights {called}: its arrays have not the shapes of a network's") from error


def _strip_prefix(state: StateDict) -> tuple[StateDict, list[str]]:
    """Return the arrays of the network, by names without the prefix of them all, and the names of the others.

    DataParallel, torch.compile, Lightning and other wrappers put "module.", "_orig_mod.", "model.", "backbone." or
    "encoder." before names, one after another. Raises WeightsError if several networks are there.
    """
    found = {key.removesuffix(first) for key in state for first in FIRST_KEYS if key.endswith(first)}
    prefixes = sorted(prefix for prefix in found if prefix.endswith((".", "/")))
    if "" in found or not prefixes:
        return state, []
    if len(prefixes) > 1:
        raise WeightsError(f"several networks are in it, with names that begin with {' and '.join(prefixes)}: keep one")
    prefix = prefixes[0]
    inside = {key.removeprefix(prefix): arrays for key, arrays in state.items() if key.startswith(prefix)}
    others = {key.rpartition(".")[0] or key for key in state if not key.startswith(prefix)}
    return cast("StateDict", inside), sorted(others)


def _map_by_naming(state: StateDict) -> Weights:
    tensors, layers = cast("dict[str, np.ndarray]", state), cast("LayerArrays", state)
    if any(key.startswith(("features.", "pre_logits.")) for key in state):
        return map_torch_vgg(tensors)
    if "layer1.0.conv1.weight" in state:
        return map_torch_resnet(tensors)
    if "conv2_block1_preact_bn" in state:
        raise WeightsError("the v2 networks of keras.applications stride elsewhere than He et al. 2016; none is here")
    if "conv2_block1_1_conv" in state:
        return map_keras_resnet(layers)
    if "block1_conv1" in state and "logits" not in state and "block1_norm1" not in state:
        return map_keras_vgg(layers)
    if {"logits", "stage1_unit1_conv1", "block1_conv1"} & set(state):
        return Weights(dict(layers), None)
    shown = ", ".join(list(state)[:3])
    raise WeightsError(f"the names are not those of keras.applications, torchvision, timm or kresnet: {shown}, …")
