"""Map the tensor names of torchvision's and timm's ResNet and VGG to ours."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import numpy as np

from keras_resnet.config.spec import NetworkSpec
from keras_resnet.errors import WeightsError
from keras_resnet.models import resnet, vgg
from keras_resnet.pretrained.weights import IMAGENET_NORMALIZATION, LayerArrays, Weights
from keras_resnet.runtime.plurals import counted

# The tensors of one module by their last names: "weight", "bias", "running_mean", …
Module = dict[str, np.ndarray]


def map_torch_resnet(state: dict[str, np.ndarray]) -> Weights:
    """Map a ResNet of torchvision or timm. Raises WeightsError for one that is not whole or does not exist here."""
    modules = _group_by_module(state)
    layers = {ours: _to_keras_arrays(modules[name]) for name in modules if (ours := _torch_resnet_layer(name, modules))}
    unused = sorted(name for name in modules if not _torch_resnet_layer(name, modules))
    return Weights(layers, _infer_torch_network(modules), IMAGENET_NORMALIZATION, 224, 256, tuple(unused))


def _torch_resnet_layer(name: str, modules: dict[str, Module]) -> str | None:
    deep = "conv1.0" in modules
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
    if f"layer{match[1]}.{match[2]}.downsample.2" in modules:
        projection = {"downsample.1": "proj", "downsample.2": "proj_norm"}
    parts = projection | {"se.fc1": "se1", "se.fc2": "se2"}
    parts |= {f"conv{n}": f"conv{n}" for n in (1, 2, 3)} | {f"bn{n}": f"norm{n}" for n in (1, 2, 3)}
    return f"{unit}_{parts[match[3]]}" if match[3] in parts else None


def _infer_torch_network(modules: dict[str, Module]) -> NetworkSpec:
    """Infer the network of a torchvision or timm state from its modules and their shapes."""
    units = _count_units(modules)
    bottleneck = "layer1.0.conv3" in modules
    spec = _find_network(units, bottleneck)
    imagenet = spec.depth in resnet.IMAGENET_UNITS
    _require_all_stages(modules, len(units), bottleneck)
    spec = replace(spec, width=modules["bn1"]["weight"].shape[0] / (64 if imagenet else 16))
    if not imagenet and any(".downsample." in name for name in modules):
        spec = replace(spec, shortcut="B")  # instead of He et al.'s, which has no weights
    if bottleneck:
        inner = modules["layer1.0.conv2"]["weight"].shape[0]
        cardinality = inner // modules["layer1.0.conv2"]["weight"].shape[1]
        if cardinality > 1:
            spec = replace(spec, cardinality=cardinality, base_width=inner // cardinality)
        else:
            spec = replace(spec, widen=inner / 64)
    if any(".se." in name for name in modules):
        spec = replace(spec, squeeze_excitation=True)
    if "conv1.0" in modules:
        return replace(spec, resnet_d=True, stem="deep")
    return replace(spec, stem="cifar" if modules["conv1"]["weight"].shape[2] == 3 else "imagenet")


def _count_units(modules: dict[str, Module]) -> tuple[int, ...]:
    """Return the units of each stage. Raises WeightsError if one is missing between others."""
    there: dict[int, set[int]] = {}
    for name in modules:
        if match := re.match(r"layer(\d+)\.(\d+)\.", name):
            there.setdefault(int(match[1]), set()).add(int(match[2]))
    for stage in range(1, 1 + max(there)):
        if stage not in there:
            raise WeightsError(f"it is incomplete: layer{stage} is missing")
        missing = next(unit for unit in range(1 + len(there[stage])) if unit not in there[stage])
        if missing < len(there[stage]):
            raise WeightsError(f"it is incomplete: layer{stage}.{missing} is missing")
    return tuple(len(there[stage]) for stage in sorted(there))


def _require_all_stages(modules: dict[str, Module], stages: int, bottleneck: bool) -> None:
    """Raise WeightsError for the beginning of a network of more stages, which would pass for one of its own."""
    end = f"layer{stages}.0.conv{3 if bottleneck else 2}"
    classifier = next((modules[name]["weight"] for name in ("fc", "linear") if name in modules), None)
    given = modules[end]["weight"].shape[0]
    if classifier is not None and classifier.ndim == 2 and classifier.shape[1] != given:
        raise WeightsError(
            f"it is incomplete: its classifier takes {classifier.shape[1]} values, and layer{stages}, the last that is"
            f" there, gives {given}"
        )
    stem = modules["conv1.0" if "conv1.0" in modules else "conv1"]["weight"]
    # The networks of three stages begin with 16 filters of 3×3; wider ones tell by their classifier that they end.
    large = "conv1.0" in modules or stem.shape[2] == 7 or (classifier is None and stem.shape[0] >= 64)
    if stages == 3 and large:
        raise WeightsError("it is incomplete: it begins as an ImageNet network does, and layer4 is missing")


def _find_network(units: tuple[int, ...], bottleneck: bool) -> NetworkSpec:
    for depth, known in resnet.IMAGENET_UNITS.items():
        if known == units and bottleneck == (depth >= resnet.FIRST_BOTTLENECK_DEPTH):
            return NetworkSpec(depth)
    if len(units) == 3 and len(set(units)) == 1 and not bottleneck:
        return NetworkSpec(6 * units[0] + 2)
    kind = "bottlenecks" if bottleneck else "basic blocks"
    raise WeightsError(f"a network of {'-'.join(map(str, units))} {kind} is not in the catalog")


def map_torch_vgg(state: dict[str, np.ndarray]) -> Weights:
    """Map torchvision's VGG (features.N, classifier.N) and timm's (features.N, pre_logits, head)."""
    modules = _group_by_module(state)
    features = sorted((name for name in modules if name.startswith("features.")), key=lambda n: int(n.split(".")[1]))
    convs = [name for name in features if modules[name]["weight"].ndim == 4]
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
            layers[latest] = _to_keras_arrays(modules[name])
        else:
            layers[latest.replace("_conv", "_norm")] = _to_keras_arrays(modules[name])
    batch_norm = len(features) > len(convs)
    if [int(name.split(".")[1]) for name in features] != _vgg_module_numbers(depth, batch_norm):
        raise WeightsError(f"it is incomplete: its layers are not numbered as those of VGG{depth}")
    used = set(features)
    for options, ours in (
        (("classifier.0", "pre_logits.fc1"), "fc1"),
        (("classifier.3", "pre_logits.fc2"), "fc2"),
        (("classifier.6", "head.fc"), "logits"),
    ):
        for name in set(options) & set(modules):
            layers[ours] = _vgg_dense_arrays(modules[name])
            used.add(name)
    network = NetworkSpec(depth, "vgg", batch_norm=batch_norm)
    return Weights(layers, network, IMAGENET_NORMALIZATION, 224, 256, tuple(sorted(set(modules) - used)))


def _vgg_module_numbers(depth: int, batch_norm: bool) -> list[int]:
    """Return the numbers that torchvision gives convolutions and norms, among ReLUs and poolings."""
    numbers, number = [], 0
    for convolutions in vgg.BLOCKS[depth]:
        for _ in range(convolutions):
            numbers += [number, number + 1] if batch_norm else [number]
            number += 2 + batch_norm
        number += 1
    return numbers


def _vgg_dense_arrays(module: Module) -> list[np.ndarray]:
    """Return a VGG classifier's layer as Keras keeps it; PyTorch flattens (C, 7, 7), Keras (7, 7, C)."""
    weight = module["weight"]
    if weight.ndim == 2 and weight.shape[1] == 512 * 7 * 7:
        weight = weight.reshape(-1, 512, 7, 7)
    if weight.ndim == 4:
        weight = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return [weight.T, module["bias"]]


def _group_by_module(state: dict[str, np.ndarray]) -> dict[str, Module]:
    """Group "layer1.0.bn1.weight" as {"layer1.0.bn1": {"weight": …}}, without the counters of batches."""
    modules: dict[str, Module] = defaultdict(dict)
    for key, value in state.items():
        module, _, part = key.rpartition(".")
        if part != "num_batches_tracked":
            modules[module][part] = np.asarray(value, np.float32)
    return dict(modules)


def _to_keras_arrays(module: Module) -> list[np.ndarray]:
    """Return a PyTorch module's tensors as Keras keeps them: kernels (H, W, in, out)."""
    if "running_mean" in module:
        return [module[part] for part in ("weight", "bias", "running_mean", "running_var")]
    weight = module["weight"]
    if weight.ndim not in (2, 4):
        raise ValueError(f"a kernel of {weight.ndim} axes")
    kernel = weight.T if weight.ndim == 2 else weight.transpose(2, 3, 1, 0)
    return [kernel, module["bias"]] if "bias" in module else [kernel]
