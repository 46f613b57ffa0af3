"""PyTorch's state files without PyTorch and without running what a pickle asks for.

Both formats are read: the zip archive of PyTorch 1.6 and later, and the stream of pickles before it.
Only the handful of names that tensors need can be loaded; any other is refused, as by PyTorch's own
`weights_only`. Reference: torch/serialization.py and torch/_weights_only_unpickler.py of PyTorch 2.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_resnet.errors import WeightsError

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
# Under these keys training scripts keep the state among other things.
WRAPPERS = ("state_dict", "model_state_dict", "model")
_KINDS = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a .pth or .pt file by name. Raises WeightsError if it holds anything else."""
    try:
        with path.open("rb") as file:
            state = _from_zip(file) if zipfile.is_zipfile(file) else _from_stream(file)
    except WeightsError as error:
        raise WeightsError(f"cannot read weights {path}: {error}") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise WeightsError(f"cannot read weights {path}: not a PyTorch state file, or damaged") from error
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = {key: value for key, value in state.items() if isinstance(value, np.ndarray)} if state else {}
    if not tensors:
        raise WeightsError(f"cannot read weights {path}: it holds no tensors by name")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _from_zip(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = {name.partition("/")[2]: name for name in archive.namelist()}
        if "data.pkl" not in names:
            raise WeightsError("not a PyTorch state file")
        if "byteorder" in names and archive.read(names["byteorder"]) != b"little":
            raise WeightsError("it was written by a big-endian machine")

        def storage(kind: str, key: str, _: int) -> np.ndarray:
            return np.frombuffer(archive.read(names[f"data/{key}"]), _dtype(kind))

        return _settle(_Unpickler(io.BytesIO(archive.read(names["data.pkl"])), storage).load())


def _from_stream(file: IO[bytes]) -> Any:
    """magic, protocol, system, state, keys of the storages, then each storage as a count and its values."""
    file.seek(0)
    waiting: dict[str, np.ndarray] = {}

    def storage(kind: str, key: str, count: int) -> np.ndarray:
        return waiting.setdefault(key, np.zeros(count, _dtype(kind)))

    def load() -> Any:
        return _Unpickler(file, storage).load()

    if load() != STREAM_MAGIC:
        raise WeightsError("not a PyTorch state file")
    load(), load()
    tensors = load()
    for key in load():
        count = int.from_bytes(file.read(8), "little")
        values = waiting[key]
        if count != values.size:
            raise WeightsError("its storages have other sizes than its tensors say")
        values[:] = np.frombuffer(file.read(values.nbytes), values.dtype)
    return _settle(tensors)


class _View:
    """A tensor whose storage may not have been read yet."""

    def __init__(self, storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        # Strides come from the file: nothing outside of the storage may be read.
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if min((offset, *size, *stride), default=0) < 0 or (0 not in size and last >= storage.size):
            raise WeightsError("a tensor reaches outside of its storage")
        self._storage, self._offset, self._size, self._stride = storage, offset, size, stride

    def array(self) -> np.ndarray:
        """A copy of the values."""
        steps = tuple(step * self._storage.itemsize for step in self._stride)
        return np.lib.stride_tricks.as_strided(self._storage[self._offset :], self._size, steps).copy()


class _Unpickler(pickle.Unpickler):
    """Knows how to make tensors and ordered dicts, and nothing else."""

    def __init__(self, file: IO[bytes], storage: Callable[[str, str, int], np.ndarray]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _KINDS:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _View(storage, offset, size, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise WeightsError(f"it asks for {module}.{name}, which is not loaded: it may run code")

    def persistent_load(self, pid: Any) -> np.ndarray:
        what, kind, key, _, count, *_ = pid
        if what != "storage" or kind not in _KINDS:
            raise WeightsError(f"it holds a {what!r} of kind {kind!r}")
        return self._storage(kind, key, count)


def _settle(loaded: Any) -> Any:
    """Views replaced by arrays, in dicts of any depth."""
    if isinstance(loaded, dict):
        return {key: _settle(value) for key, value in loaded.items()}
    return loaded.array() if isinstance(loaded, _View) else loaded


def _dtype(kind: str) -> np.dtype[Any]:
    if kind == "BFloat16Storage":
        import ml_dtypes  # its import teaches NumPy the name "bfloat16"

        assert ml_dtypes
    dtype: np.dtype[Any] = np.dtype(_KINDS[kind])
    return dtype
