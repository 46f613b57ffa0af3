"""Check a run's model.keras before it is loaded: whole, and of the network that the run is of. Needs no TensorFlow."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_resnet.atomic_write import describe_error
from keras_resnet.errors import RunError
from keras_resnet.runtime.plurals import counted

# What is in the archive, and the bytes of one weight.
CONFIG, WEIGHTS, WEIGHT_BYTES = "config.json", "model.weights.h5", 4
# A content may claim this many bytes at most, or this many times the size of the file.
MAX_SMALL_BYTES, MAX_RATIO = 2**26, 20


def require_model(file: Path, input_shape: Sequence[int]) -> None:
    """Raise RunError unless `file` is a whole Keras archive of a network for images of `input_shape`, (height, width,
    channels), with as many weights as that has. Reads no weights."""
    try:
        layers = _read_layers(file)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise RunError(f"{file} is damaged: {describe_error(error)}") from error
    inputs = [shape[1:] for each in layers if isinstance(shape := each.get("batch_shape"), list)]
    if inputs and inputs != [list(input_shape)]:
        raise RunError(
            f"{file} holds a different network: it takes images of {' and '.join(map(str, inputs))}, the run's of"
            f" {list(input_shape)}"
        )


def read_layer_names(file: Path) -> list[str]:
    """Return the names of the layers of a Keras archive that `require_model` has found to be whole."""
    return [str(each["name"]) for each in _read_layers(file) if "name" in each]


def _read_layers(file: Path) -> list[dict[str, Any]]:
    """Return the config of each layer of a Keras archive. Raises ValueError, or what zipfile and json raise, where it
    is damaged."""
    if not zipfile.is_zipfile(file):
        raise ValueError(_describe_non_archive(file))
    with zipfile.ZipFile(file) as archive:
        sizes = {each.filename: each.file_size for each in archive.infolist()}
        if missing := [name for name in (CONFIG, WEIGHTS) if name not in sizes]:
            raise ValueError(f"it holds no {missing[0]}")
        if sum(sizes.values()) > MAX_SMALL_BYTES + MAX_RATIO * file.stat().st_size or sizes[CONFIG] > MAX_SMALL_BYTES:
            raise ValueError(f"it claims to hold {counted(sum(sizes.values()), 'byte', ',')}")
        layers = _layer_configs(json.loads(archive.read(CONFIG)))
    if (values := sum(map(_count_kernel_weights, layers))) * WEIGHT_BYTES > sizes[WEIGHTS]:
        raise ValueError(f"its layers want {counted(values, 'weight', ',')}, more than it holds")
    return layers


def _describe_non_archive(file: Path) -> str:
    """Say what a file is instead of an archive, by how it begins."""
    from keras_resnet.runtime.preprocess import HEAD, kind_of  # imports NumPy, which --help does without

    with file.open("rb") as stream:
        kind = kind_of(stream.read(HEAD))
    if kind in ("", "a ZIP archive"):
        return "it is truncated, or no .keras archive"
    return f"it is {kind}, not a .keras archive"


def _layer_configs(model: object) -> list[dict[str, Any]]:
    """Return the "config" of each layer of a Keras model, with its "input_shape" where that is known."""
    config = model.get("config") if isinstance(model, dict) else None
    layers = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(layers, list):
        raise ValueError(f"its {CONFIG} describes no layers")
    return [
        {**config, **{key: value for key, value in (layer.get("build_config") or {}).items() if key == "input_shape"}}
        for layer in layers
        if isinstance(layer, dict) and isinstance(config := layer.get("config"), dict)
    ]


def _count_kernel_weights(layer: dict[str, Any]) -> int:
    """Count the weights in the kernel of a convolution or a dense layer; 0 of other layers."""
    filters, shape = layer.get("filters", layer.get("units")), layer.get("input_shape")
    sides, groups = layer.get("kernel_size", [1]), layer.get("groups", 1)
    if not isinstance(shape, list) or not isinstance(sides, list) or not shape:
        return 0
    numbers = (filters, shape[-1], groups, *sides)
    if not all(isinstance(each, int) and each > 0 for each in numbers):
        return 0
    return int(math.prod((filters, shape[-1], *sides)) // groups)
