"""Files of weights: Keras' .keras and .h5, PyTorch's .pth, and .safetensors, read as plain arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.weights.torch_file import read_state


def read(path: Path) -> dict[str, Any]:
    """The arrays of `path`: by layer name, in lists, from Keras' formats; by tensor name from the others.

    Nothing in the file is run. Raises WeightsError if it is missing, damaged or of an unknown kind.
    """
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        ".keras": _read_keras,
        ".h5": _read_h5,
        ".pth": read_state,
        ".pt": read_state,
        ".safetensors": _read_safetensors,
    }
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    if path.suffix not in readers:
        raise WeightsError(f"weights must be one of {', '.join(readers)}. Received: {path}")
    try:
        found = readers[path.suffix](path)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"cannot read weights {path}: not a {path.suffix} file, or damaged") from error
    if not found:
        raise WeightsError(f"cannot read weights {path}: it holds none")
    return found


def _read_keras(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        return _read_h5(file)


def _read_h5(source: Any) -> dict[str, Any]:
    """The three layouts of Keras: weights of Keras 3, weights of Keras 2, and a whole model."""
    import h5py

    with h5py.File(source) as file:
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            groups = [root[_text(name)] for name in root.attrs["layer_names"]]
            named = ((group.name, [group[_text(w)] for w in group.attrs["weight_names"]]) for group in groups)
        else:
            parts = (group["vars"] for group in root["layers"].values() if "vars" in group)
            named = ((part.attrs.get("name", ""), [part[str(i)] for i in range(len(part))]) for part in parts)
        return {name.rpartition("/")[2]: [np.asarray(w) for w in weights] for name, weights in named if weights}


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(path))
