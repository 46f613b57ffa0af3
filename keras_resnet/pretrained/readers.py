"""Read files of weights, Keras' .keras and .h5, PyTorch's .pth, and .safetensors, as plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.hdf5_file import read_hdf5
from keras_resnet.pretrained.memory_budget import MemoryBudget
from keras_resnet.pretrained.torch_file import read_state_dict
from keras_resnet.pretrained.weights import StateDict
from keras_resnet.runtime.missing_files import describe_missing
from keras_resnet.runtime.preprocess import HEAD, kind_of

# What files of these kinds are that others know too.
BEGINNINGS = {".keras": "a ZIP archive", ".pth": "a ZIP archive", ".pt": "a ZIP archive", ".h5": "an HDF5 file"}


def read_weights(path: Path, model_size: int | None = None) -> StateDict:
    """Return the arrays of `path`: by layer name, in lists, from Keras' formats; by tensor name from the others.

    Nothing in the file is run, nothing outside it is read, and no more memory is taken than weights of its size may, or
    a model of `model_size` bytes, if that is known. Raises WeightsError if the file is missing, damaged, of an unknown
    kind, or asks for any of that.
    """
    if path.is_dir():
        raise WeightsError(f"cannot read weights {path}: it is a folder, not a file")
    if not path.is_file():
        raise WeightsError(describe_missing(path, lambda other: other.suffix in READERS))
    if path.suffix not in READERS:
        raise WeightsError(f"weights must be one of {', '.join(READERS)}. Received: {path}")
    try:
        state = READERS[path.suffix](path, MemoryBudget.for_file(path, model_size))
    except WeightsError as error:
        raise WeightsError(f"cannot read weights {path}: {error}") from error
    except OSError as error:
        if error.strerror:
            raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error
        raise WeightsError(_damage_message(path)) from error  # all that HDF5 raises for what is no file of its kind
    except Exception as error:  # what is damaged raises nearly anything
        raise WeightsError(_damage_message(path)) from error
    if not state:
        raise WeightsError(f"cannot read weights {path}: it holds none")
    return state


def _damage_message(path: Path) -> str:
    """Return the message for a file that is not as it should be, by how it begins."""
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD))
    if kind and kind != BEGINNINGS.get(path.suffix):
        return f"cannot read weights {path}: not a {path.suffix} file: it is {kind}"
    return f"cannot read weights {path}: not a {path.suffix} file, or damaged"


def _read_safetensors(path: Path, budget: MemoryBudget) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    # The library holds what the header claims against the file's size before it reads anything.
    budget.take(budget.file_size, "the file")
    return dict(load_file(path))


READERS: dict[str, Callable[[Path, MemoryBudget], StateDict]] = {
    ".keras": read_hdf5,
    ".h5": read_hdf5,
    ".pth": read_state_dict,
    ".pt": read_state_dict,
    ".safetensors": _read_safetensors,
}
