"""Read PyTorch's state files without PyTorch and without running what a pickle asks for.

Both formats are read: the zip archive of PyTorch 1.6 and later, and the stream of pickles before it.
Only the handful of names that tensors need can be loaded; any other is refused, as by PyTorch's own
`weights_only`. Values are read when the network of the state is known, and only its tensors'. Reference:
torch/serialization.py and torch/_weights_only_unpickler.py of PyTorch 2.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.memory_budget import MemoryBudget
from keras_resnet.runtime.plurals import format_bytes

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
# Under these keys training scripts keep the state among other things, and some under several.
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model", "net")
# Names and shapes of a thousand layers take a megabyte, those in an optimizer as much again.
MAX_PICKLE_BYTES = 4 * 2**20
# What a pickle of tensors has no use for, and what would take memory by a number alone.
UNUSED_OPCODES = frozenset(("EMPTY_SET", "FROZENSET", "ADDITEMS", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ_EX"))
_STORAGE_DTYPES = {
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


def read_state_dict(path: Path, budget: MemoryBudget) -> dict[str, np.ndarray]:
    """Return the tensors of a .pth or .pt file by name. Raises WeightsError if it holds anything else, or claims more
    than `budget`."""
    with path.open("rb") as file:
        return _read_zip(file, budget) if zipfile.is_zipfile(file) else _read_stream(file, budget)


def _read_zip(file: IO[bytes], budget: MemoryBudget) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "data.pkl" not in entries:
            raise WeightsError("not a PyTorch state file")
        if "byteorder" in entries and _read_entry(archive, entries["byteorder"], budget) != b"little":
            raise WeightsError("it was written by a big-endian machine")
        storages: dict[str, _Storage] = {}

        def storage(kind: str, key: str, count: int) -> _Storage:
            entry = entries[f"data/{key}"]
            _require_size(entry.file_size, count, kind)
            made = _Storage(kind, count, lambda: _read_entry(archive, entry, budget))
            return storages.setdefault(key, made)

        if entries["data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise WeightsError(_too_long_message())
        return _read_tensors(_unpickle(io.BytesIO(_read_entry(archive, entries["data.pkl"], budget)), storage), budget)


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, budget: MemoryBudget) -> bytes:
    budget.require_entry(entry)
    budget.take(entry.file_size, entry.filename)
    return archive.read(entry)


def _read_stream(file: IO[bytes], budget: MemoryBudget) -> dict[str, np.ndarray]:
    """Read magic number, protocol, system, state, keys of the storages, then each storage: a count and its values."""
    storages: dict[str, _Storage] = {}
    places: dict[str, int] = {}
    # Of a mapped file no more can be read than there is, whatever is asked for.
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:

        def storage(kind: str, key: str, count: int) -> _Storage:
            def values() -> bytes:
                size = count * _storage_dtype(kind).itemsize
                budget.take(size, f"storage {key}")
                return bytes(stream[places[key] : places[key] + size])

            return storages.setdefault(key, _Storage(kind, count, values))

        # A mapped file reads as an open one does.
        pickles = [_unpickle(cast("IO[bytes]", stream), storage)]
        if pickles[0] != STREAM_MAGIC:
            raise WeightsError("not a PyTorch state file")
        pickles += [_unpickle(cast("IO[bytes]", stream), storage) for _ in range(4)]
        _, _, _, state, keys = pickles
        for key in keys:
            count = int.from_bytes(stream.read(8), "little")
            places[key] = stream.tell()
            _require_size(count * storages[key].dtype.itemsize, storages[key].count, storages[key].kind)
            if (end := places[key] + count * storages[key].dtype.itemsize) > len(stream):
                raise WeightsError(f"a storage claims {format_bytes(end - places[key])}, more than the file holds")
            stream.seek(end)
        return _read_tensors(state, budget)


def _require_size(size: int, count: int, kind: str) -> None:
    if size != count * _storage_dtype(kind).itemsize:
        raise WeightsError("its storages have other sizes than its tensors say")


def _read_tensors(state: object, budget: MemoryBudget) -> dict[str, np.ndarray]:
    """Return the arrays, by name, of the state inside `state`. Raises WeightsError if there are none."""
    for _ in STATE_DICT_KEYS:
        inside = [state[key] for key in STATE_DICT_KEYS if isinstance(state, dict) and isinstance(state.get(key), dict)]
        state = inside[0] if inside else state
    tensors = state.items() if isinstance(state, dict) else ()
    views = {key: each for key, each in tensors if isinstance(each, _TensorView)}
    if not views or not all(isinstance(key, str) for key in views):
        raise WeightsError("it holds no tensors by name")
    return {key: view.array(budget) for key, view in views.items()}


class _Immutable:
    """An object that a pickle has created and may not change afterwards, past the checks."""

    def __setstate__(self, state: object) -> None:
        raise WeightsError("it changes what it has made, which tensors have no need of")


class _Storage(_Immutable):
    """`count` values of a kind, read when they are needed."""

    def __init__(self, kind: str, count: int, read: Callable[[], bytes]) -> None:
        self.kind, self.count, self.dtype, self._read = kind, count, _storage_dtype(kind), read

    @cached_property
    def values(self) -> np.ndarray:
        """(count,)."""
        return np.frombuffer(self._read(), self.dtype, self.count)


class _TensorView(_Immutable):
    """A tensor, whose storage has not been read yet."""

    def __init__(self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        # Strides come from the file: nothing outside of the storage may be read, and nothing twice.
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if min((offset, *size, *stride), default=0) < 0 or (0 not in size and last >= storage.count):
            raise WeightsError("a tensor reaches outside of its storage")
        if _overlaps(size, stride):
            raise WeightsError(f"a tensor of {size} repeats values of its storage, by strides of {stride}")
        self._storage, self._offset, self._size, self._stride = storage, offset, size, stride

    def array(self, budget: MemoryBudget) -> np.ndarray:
        """Return the values, accounted for; they may not be written to."""
        budget.take(math.prod(self._size) * self._storage.dtype.itemsize, f"a tensor of {self._size}")
        steps = tuple(step * self._storage.dtype.itemsize for step in self._stride)
        values = self._storage.values[self._offset :]
        return np.lib.stride_tricks.as_strided(values, self._size, steps, writeable=False)


def _overlaps(size: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Return whether two elements may be one value: the strides are not nested, each beyond all smaller ones."""
    reach = 0
    for step, count in sorted((step, count) for step, count in zip(stride, size, strict=True) if count > 1):
        if step <= reach:
            return 0 not in size
        reach += step * (count - 1)
    return False


class _Unpickler(pickle.Unpickler):
    """Knows how to make tensors and ordered dicts, and nothing else."""

    def __init__(self, file: IO[bytes], storage: Callable[[str, str, int], _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGE_DTYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _TensorView(storage, offset, size, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise WeightsError(f"it asks for {module[:100]}.{name[:100]}, which is not loaded: it may run code")

    def persistent_load(self, pid: tuple[str, str, str, str, int]) -> _Storage:
        what, kind, key, _, count, *_ = pid
        if what != "storage" or kind not in _STORAGE_DTYPES:
            raise WeightsError(f"it holds a {str(what)[:50]!r} of kind {str(kind)[:50]!r}")
        return self._storage(kind, str(key), int(count))


def _unpickle(file: IO[bytes], storage: Callable[[str, str, int], _Storage]) -> Any:
    """Return what one pickle of `file` holds. Raises WeightsError, before anything is created, for one that would take
    memory by a number alone: its opcodes are read first, which creates nothing."""
    start = file.tell()
    for opcode, argument, position in pickletools.genops(file):
        walked = (position or start) - start
        if walked > MAX_PICKLE_BYTES:
            raise WeightsError(_too_long_message())
        # A place in a pickle's memory, which grows to the largest that is named.
        if "PUT" in opcode.name and isinstance(argument, int) and argument > walked:
            raise WeightsError("it claims memory that it has no use for")
        if opcode.name in UNUSED_OPCODES:
            raise WeightsError(f"it holds what tensors have no need of ({opcode.name})")
    file.seek(start)
    return _Unpickler(file, storage).load()


def _too_long_message() -> str:
    return f"its list of tensors is longer than {format_bytes(MAX_PICKLE_BYTES)}"


def _storage_dtype(kind: str) -> np.dtype[Any]:
    if kind == "BFloat16Storage":
        import ml_dtypes  # its import teaches NumPy the name "bfloat16"

        assert ml_dtypes
    dtype: np.dtype[Any] = np.dtype(_STORAGE_DTYPES[kind])
    return dtype
