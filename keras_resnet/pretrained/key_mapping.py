"""From the names of keras.applications, torchvision and timm to ours.

`map_keys` tells the naming by its keys, infers the network and gives each of our layers its arrays,
in the order in which Keras keeps them: kernel, bias; gamma, beta, moving mean, moving variance.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from keras_resnet.config.spec import NetworkSpec, Normalization
from keras_resnet.errors import WeightsError
from keras_resnet.models import resnet, vgg
from keras_resnet.models.layers import NORM_EPSILON
from keras_resnet.runtime.plurals import counted

# Krizhevsky's means of ImageNet in RGB, as the Caffe models that keras.applications follows subtract them.
CAFFE_NORMALIZATION = Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
# torchvision's and timm's means and deviations of ImageNet, for pixels in 0–255.
IMAGENET_NORMALIZATION = Normalization((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255))
# keras.applications' batch norms add this to the variance.
KERAS_EPSILON = 1.001e-5
KERAS_DEPTHS = {6: 50, 23: 101, 36: 152}

# By which a naming is known: names that every network of it has, near its beginning.
FIRST_KEYS = (
    *("layer1.0.conv1.weight", "features.0.weight"),
    *("conv2_block1_1_conv", "conv2_block1_preact_bn", "block1_conv1", "stage1_unit1_conv1"),
)

StateDict = dict[str, Any]
LayerArrays = dict[str, list[np.ndarray]]


@dataclass(frozen=True)
class Weights:
    """Weights in our names. network: what they are of (None if the names do not tell); unused: names in the
    file that have no place in it; image_size, resize: pixels, as they were trained."""

    layers: LayerArrays
    network: NetworkSpec | None
    normalization: Normalization | None = None
    image_size: int | None = None
    resize: int | None = None
    unused: tuple[str, ...] = field(default=())


def map_keys(values: StateDict) -> Weights:
    """Weights as their file names them, in our names. `values` maps tensor names to arrays (PyTorch's way)
    or layer names to lists of arrays (Keras' way), which may all stand behind one prefix, such as "module.backbone.".
    Raises WeightsError for a naming that is not known, and for a network of which a part is missing."""
    values, others = _strip_prefix(values)
    weights = _map_by_naming(values)
    return replace(weights, unused=(*weights.unused, *others))


def _strip_prefix(values: StateDict) -> tuple[StateDict, list[str]]:
    """(the values of the network, by names without what stands before all of them; the names of the others).

    DataParallel, torch.compile, Lightning and other wrappers put "module.", "_orig_mod.", "model.", "backbone." or
    "encoder." before names, one after another. Raises WeightsError if several networks are there.
    """
    found = {key.removesuffix(mark) for key in values for mark in FIRST_KEYS if key.endswith(mark)}
    prefixes = sorted(prefix for prefix in found if prefix.endswith((".", "/")))
    if "" in found or not prefixes:
        return values, []
    if len(prefixes) > 1:
        raise WeightsError(f"several networks are in it, with names that begin with {' and '.join(prefixes)}: keep one")
    inside = {key.removeprefix(prefixes[0]): each for key, each in values.items() if key.startswith(prefixes[0])}
    return inside, sorted({key.rpartition(".")[0] or key for key in values if not key.startswith(prefixes[0])})


def _map_by_naming(values: StateDict) -> Weights:
    if any(key.startswith(("features.", "pre_logits.")) for key in values):
        return _map_torch_vgg(values)
    if "layer1.0.conv1.weight" in values:
        return _map_torch_resnet(values)
    if "conv2_block1_preact_bn" in values:
        raise WeightsError("the v2 networks of keras.applications stride elsewhere than He et al. 2016; none is here")
    if "conv2_block1_1_conv" in values:
        return _map_keras_resnet(values)
    if "block1_conv1" in values and "logits" not in values and "block1_norm1" not in values:
        return _map_keras_vgg(values)
    if {"logits", "stage1_unit1_conv1", "block1_conv1"} & set(values):
        return Weights(dict(values), None)
    shown = ", ".join(list(values)[:3])
    raise WeightsError(f"the names are not those of keras.applications, torchvision, timm or kresnet: {shown}, …")


def _map_keras_resnet(values: StateDict) -> Weights:
    """keras.applications.resnet. Its convolutions have a bias, which moves into the mean of the norm that follows."""
    blocks = max(int(match[1]) for name in values if (match := re.match(r"conv4_block(\d+)_", name)))
    if blocks not in KERAS_DEPTHS:
        raise WeightsError(f"keras.applications has no ResNet with {blocks} blocks in its third stage")
    if "conv5_block1_1_conv" not in values:
        raise WeightsError("it is not whole: the layers of conv5 are missing")
    layers: LayerArrays = {}
    for name, arrays in values.items():
        if (ours := _keras_resnet_layer(name)) and name.endswith("_conv"):
            layers[ours] = [arrays[0]]
            gamma, beta, mean, variance = values[name.removesuffix("_conv") + "_bn"]
            bias = arrays[1] if len(arrays) > 1 else 0.0
            norm = "stem_norm" if ours == "stem_conv" else _norm_after(ours)
            layers[norm] = [gamma, beta, mean - bias, variance + (KERAS_EPSILON - NORM_EPSILON)]
    layers["stem_conv"] = [layers["stem_conv"][0][:, :, ::-1]]  # trained on BGR
    layers |= {"logits": values["predictions"]} if "predictions" in values else {}
    known = {name for name in values if _keras_resnet_layer(name)} | {"predictions"}
    network = NetworkSpec(KERAS_DEPTHS[blocks], strides="1x1", stem="imagenet")
    return Weights(layers, network, CAFFE_NORMALIZATION, 224, 256, tuple(sorted(set(values) - known)))


def _keras_resnet_layer(name: str) -> str | None:
    if name in ("conv1_conv", "conv1_bn"):
        return "stem_conv"
    if match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", name):
        stage, unit, number, _ = match.groups()
        part = "proj" if number == "0" else f"conv{number}"
        return f"stage{int(stage) - 1}_unit{unit}_{part}"
    return None


def _norm_after(conv: str) -> str:
    """The batch norm after one of our convolutions."""
    return f"{conv}_norm" if conv.endswith("proj") else conv.replace("_conv", "_norm")


def _map_keras_vgg(values: StateDict) -> Weights:
    names = {"predictions": "logits"}
    layers = {names.get(name, name): arrays for name, arrays in values.items()}
    first, *rest = layers["block1_conv1"]
    layers["block1_conv1"] = [first[:, :, ::-1], *rest]
    depth = sum(bool(re.match(r"block\d_conv", name)) for name in values) + 3
    return Weights(layers, NetworkSpec(depth, "vgg", batch_norm=False), CAFFE_NORMALIZATION, 224, 256)


def _map_torch_resnet(values: StateDict) -> Weights:
    groups = _group_by_module(values)
    layers = {ours: _to_keras_arrays(groups[name]) for name in groups if (ours := _torch_resnet_layer(name, groups))}
    unused = sorted(name for name in groups if not _torch_resnet_layer(name, groups))
    return Weights(layers, _infer_torch_network(groups), IMAGENET_NORMALIZATION, 224, 256, tuple(unused))


def _torch_resnet_layer(name: str, groups: dict[str, StateDict]) -> str | None:
    deep = "conv1.0" in groups
    stems = {"conv1": "stem_conv", "bn1": "stem_norm", "fc": "logits", "linear": "logits"}
    if deep:
        stems |= {"conv1.0": "stem_conv1", "conv1.1": "stem_norm1", "conv1.3": "stem_conv2"}
        stems |= {"conv1.4": "stem_norm2", "conv1.6": "stem_conv"}
    if name in stems:
        return stems[name]
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name)
    if not match:
        return None
    unit = f"stage{match[1]}_unit{int(match[2]) + 1}"
    # timm's ResNet-D has the pooling at 0.
    projection = {"downsample.0": "proj", "downsample.1": "proj_norm"}
    if f"layer{match[1]}.{match[2]}.downsample.2" in groups:
        projection = {"downsample.1": "proj", "downsample.2": "proj_norm"}
    parts = projection | {"se.fc1": "se1", "se.fc2": "se2"}
    parts |= {f"conv{n}": f"conv{n}" for n in (1, 2, 3)} | {f"bn{n}": f"norm{n}" for n in (1, 2, 3)}
    return f"{unit}_{parts[match[3]]}" if match[3] in parts else None


def _infer_torch_network(groups: dict[str, StateDict]) -> NetworkSpec:
    """The network a torchvision or timm state is of, from which modules it has and their shapes."""
    units = _count_units(groups)
    bottleneck = "layer1.0.conv3" in groups
    spec = _find_network(units, bottleneck)
    imagenet = spec.depth in resnet.IMAGENET_UNITS
    _require_all_stages(groups, len(units), bottleneck)
    spec = replace(spec, width=groups["bn1"]["weight"].shape[0] / (64 if imagenet else 16))
    if not imagenet and any(".downsample." in name for name in groups):
        spec = replace(spec, shortcut="B")  # instead of He et al.'s, which has no weights
    if bottleneck:
        inner = groups["layer1.0.conv2"]["weight"].shape[0]
        cardinality = inner // groups["layer1.0.conv2"]["weight"].shape[1]
        if cardinality > 1:
            spec = replace(spec, cardinality=cardinality, base_width=inner // cardinality)
        else:
            spec = replace(spec, widen=inner / 64)
    if any(".se." in name for name in groups):
        spec = replace(spec, squeeze_excitation=True)
    if "conv1.0" in groups:
        return replace(spec, resnet_d=True, stem="deep")
    return replace(spec, stem="cifar" if groups["conv1"]["weight"].shape[2] == 3 else "imagenet")


def _count_units(groups: dict[str, StateDict]) -> tuple[int, ...]:
    """Units of each stage. Raises WeightsError where one is missing between others."""
    there: dict[int, set[int]] = {}
    for name in groups:
        if match := re.match(r"layer(\d+)\.(\d+)\.", name):
            there.setdefault(int(match[1]), set()).add(int(match[2]))
    for stage in range(1, 1 + max(there)):
        if stage not in there:
            raise WeightsError(f"it is not whole: layer{stage} is missing")
        missing = next(unit for unit in range(1 + len(there[stage])) if unit not in there[stage])
        if missing < len(there[stage]):
            raise WeightsError(f"it is not whole: layer{stage}.{missing} is missing")
    return tuple(len(there[stage]) for stage in sorted(there))


def _require_all_stages(groups: dict[str, StateDict], stages: int, bottleneck: bool) -> None:
    """Raises WeightsError for the beginning of a network of more stages, which would pass for one of its own."""
    end = f"layer{stages}.0.conv{3 if bottleneck else 2}"
    classifier = next((groups[name]["weight"] for name in ("fc", "linear") if name in groups), None)
    given = groups[end]["weight"].shape[0]
    if classifier is not None and classifier.ndim == 2 and classifier.shape[1] != given:
        raise WeightsError(
            f"it is not whole: its classifier takes {classifier.shape[1]} values, and layer{stages}, the last that is"
            f" there, gives {given}"
        )
    stem = groups["conv1.0" if "conv1.0" in groups else "conv1"]["weight"]
    # The networks of three stages begin with 16 filters of 3×3; wider ones tell by their classifier that they end.
    large = "conv1.0" in groups or stem.shape[2] == 7 or (classifier is None and stem.shape[0] >= 64)
    if stages == 3 and large:
        raise WeightsError("it is not whole: it begins as an ImageNet network does, and layer4 is missing")


def _find_network(units: tuple[int, ...], bottleneck: bool) -> NetworkSpec:
    for depth, known in resnet.IMAGENET_UNITS.items():
        if known == units and bottleneck == (depth >= resnet.FIRST_BOTTLENECK_DEPTH):
            return NetworkSpec(depth)
    if len(units) == 3 and len(set(units)) == 1 and not bottleneck:
        return NetworkSpec(6 * units[0] + 2)
    kind = "bottlenecks" if bottleneck else "basic blocks"
    raise WeightsError(f"a network of {'-'.join(map(str, units))} {kind} is not in the catalog")


def _map_torch_vgg(values: StateDict) -> Weights:
    """torchvision's VGG (features.N, classifier.N) and timm's (features.N, pre_logits, head)."""
    groups = _group_by_module(values)
    features = sorted((name for name in groups if name.startswith("features.")), key=lambda n: int(n.split(".")[1]))
    convs = [name for name in features if groups[name]["weight"].ndim == 4]
    depth = len(convs) + 3
    if depth not in vgg.BLOCKS:
        raise WeightsError(f"a VGG network of {counted(len(convs), 'convolution')} is not in the catalog")
    names = iter(
        f"block{block}_conv{number}"
        for block, count in enumerate(vgg.BLOCKS[depth], 1)
        for number in range(1, count + 1)
    )
    layers: LayerArrays = {}
    for name in features:
        if name in convs:
            latest = next(names)
            layers[latest] = _to_keras_arrays(groups[name])
        else:
            layers[latest.replace("_conv", "_norm")] = _to_keras_arrays(groups[name])
    batch_norm = len(features) > len(convs)
    if [int(name.split(".")[1]) for name in features] != _vgg_module_numbers(depth, batch_norm):
        raise WeightsError(f"it is not whole: its layers are not numbered as those of VGG{depth}")
    used = set(features)
    for options, ours in (
        (("classifier.0", "pre_logits.fc1"), "fc1"),
        (("classifier.3", "pre_logits.fc2"), "fc2"),
        (("classifier.6", "head.fc"), "logits"),
    ):
        for name in set(options) & set(groups):
            layers[ours] = _vgg_dense_arrays(groups[name])
            used.add(name)
    network = NetworkSpec(depth, "vgg", batch_norm=batch_norm)
    return Weights(layers, network, IMAGENET_NORMALIZATION, 224, 256, tuple(sorted(set(groups) - used)))


def _vgg_module_numbers(depth: int, batch_norm: bool) -> list[int]:
    """The places of what has weights among convolutions, norms, ReLUs and poolings."""
    numbers, place = [], 0
    for count in vgg.BLOCKS[depth]:
        for _ in range(count):
            numbers += [place, place + 1] if batch_norm else [place]
            place += 2 + batch_norm
        place += 1
    return numbers


def _vgg_dense_arrays(module: StateDict) -> list[np.ndarray]:
    """A VGG classifier's layer; PyTorch flattens (C, 7, 7) where Keras flattens (7, 7, C)."""
    weight = module["weight"]
    if weight.ndim == 2 and weight.shape[1] == 512 * 7 * 7:
        weight = weight.reshape(-1, 512, 7, 7)
    if weight.ndim == 4:
        weight = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return [weight.T, module["bias"]]


def _group_by_module(values: StateDict) -> dict[str, StateDict]:
    """ "layer1.0.bn1.weight" → {"layer1.0.bn1": {"weight": …}}, without the counters of batches."""
    groups: dict[str, StateDict] = defaultdict(dict)
    for key, value in values.items():
        module, _, part = key.rpartition(".")
        if part != "num_batches_tracked":
            groups[module][part] = np.asarray(value, np.float32)
    return dict(groups)


def _to_keras_arrays(module: StateDict) -> list[np.ndarray]:
    """One PyTorch module's tensors as Keras keeps them: kernels (H, W, in, out)."""
    if "running_mean" in module:
        return [module[part] for part in ("weight", "bias", "running_mean", "running_var")]
    axes: dict[int, Callable[[Any], Any]] = {4: lambda w: w.transpose(2, 3, 1, 0), 2: lambda w: w.T}
    if module["weight"].ndim not in axes:
        raise ValueError(f"a kernel of {module['weight'].ndim} axes")
    kernel = axes[module["weight"].ndim](module["weight"])
    return [kernel, module["bias"]] if "bias" in module else [kernel]
