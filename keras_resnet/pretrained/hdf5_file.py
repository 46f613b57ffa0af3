"""Read weights that Keras wrote from HDF5, without what else that format can do: take values from other files.

Three layouts are known: the weights of Keras 3, those of Keras 2, and a whole model of either in one .h5. The library
of the format, in C, ends with its process at some damaged files and takes gigabytes for others, so a child process
reads each file first.
"""

from __future__ import annotations

import math
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from keras_resnet.errors import WeightsError
from keras_resnet.pretrained.memory_budget import MemoryBudget
from keras_resnet.runtime.child_process import EXPECTED_ERROR_CODE, child_command, describe_end

if TYPE_CHECKING:
    import h5py

# A model in a model in a model …: deeper than anybody nests them, and far from what a stack takes.
MAX_DEPTH = 32
# Keras names what it keeps; a longer name is none of its.
MAX_NAME_LENGTH = 1000
# The order in which Keras 3 keeps a layer's arrays, by their names in the older layouts.
WEIGHT_ORDER = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "low", "high")
# How long the child may take, and how much memory beside the arrays.
TIMEOUT_SECONDS, EXTRA_MEMORY_BYTES = 600, 128 * 2**20

# Names of groups and, last, of a dataset, from the root of the weights on.
HDF5Path = tuple[str, ...]


def read_hdf5(path: Path, budget: MemoryBudget) -> dict[str, list[np.ndarray]]:
    """Return the arrays of each layer by its name, from an .h5 or a .keras file, also those of models inside models.

    Nothing is taken from outside the file. Raises WeightsError for links, for values kept in other files, for arrays
    that claim more than `budget`, before anything is read, and for what cannot be read without harm.
    """
    command = child_command(__name__, str(path), "" if budget.model_size is None else str(budget.model_size))
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=TIMEOUT_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"it is not read within {TIMEOUT_SECONDS} seconds") from error
    if done.returncode == EXPECTED_ERROR_CODE:
        raise WeightsError(done.stdout.decode(errors="replace").strip())
    if done.returncode:
        raise ValueError(f"the process that read it {describe_end(done.returncode)}")
    return _read(path, budget)


def _read_in_child(path: Path, model_size: int | None) -> None:
    """Read everything once, with no more memory than that may take (see `MemoryBudget.for_file`)."""
    import h5py  # first, since it takes memory of its own

    budget = MemoryBudget.for_file(path, model_size)
    with suppress(ImportError, OSError, ValueError):  # where there are no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        current = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (current + budget.total + EXTRA_MEMORY_BYTES, resource.RLIM_INFINITY))
    assert h5py
    _read(path, budget)


def _read(path: Path, budget: MemoryBudget) -> dict[str, list[np.ndarray]]:
    if path.suffix != ".keras":
        return _read_arrays(path, budget)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("model.weights.h5")
        budget.require_entry(entry)
        with archive.open(entry) as file:
            return _read_arrays(file, budget)


def _read_arrays(source: Path | IO[bytes], budget: MemoryBudget) -> dict[str, list[np.ndarray]]:
    import h5py

    with h5py.File(source, "r") as file:
        # Names are listed, not looked up, which would follow a link.
        root = _find_model_weights(file) if "model_weights" in list(file) else file
        datasets = list(_walk_datasets(root, budget))
        layers = _group_keras3(root, datasets) if "layers" in list(root) else _group_keras2(datasets)
        return {name: [np.asarray(each) for each in arrays] for name, arrays in layers.items() if arrays}


def _find_model_weights(file: h5py.File) -> h5py.Group:
    _require_hard_link(file, "model_weights", ("model_weights",))
    return file["model_weights"]


def _walk_datasets(root: h5py.Group, budget: MemoryBudget) -> Iterator[tuple[HDF5Path, h5py.Dataset]]:
    """Yield each dataset below `root` with its path, accounted for; not those of the optimizer."""
    import h5py

    pending: list[tuple[HDF5Path, h5py.Group]] = [((), root)]
    seen = {_address(root)}
    while pending:
        parent, group = pending.pop()
        for name in group:
            path = (*parent, name)
            _require_hard_link(group, name, path)
            if path == ("optimizer",):
                continue
            each = group[name]
            if isinstance(each, h5py.Dataset):
                _require_own_numbers(each, path)
                budget.take(_count_bytes(each), f"array {'/'.join(path)}")
                yield path, each
            elif isinstance(each, h5py.Group):
                _require(_address(each) not in seen, path, "stands in it twice")
                _require(len(path) < MAX_DEPTH, path, "lies too deep")
                seen.add(_address(each))
                pending.append((path, each))


def _require_hard_link(group: h5py.Group, name: str, path: HDF5Path) -> None:
    """Raise WeightsError for a link to another file, or to another path by its name."""
    import h5py

    link = group.id.links.get_info(name.encode()).type
    _require(link == h5py.h5l.TYPE_HARD, path, "is a link to somewhere else")


def _address(each: h5py.Group) -> int:
    import h5py

    return int(h5py.h5o.get_info(each.id).addr)


def _require_own_numbers(dataset: h5py.Dataset, path: HDF5Path) -> None:
    """Raise WeightsError unless the values are numbers, and all of them are in this file."""
    _require(not dataset.external, path, "keeps its values in another file")
    _require(not dataset.is_virtual, path, "takes its values from other datasets")
    _require(dataset.dtype.kind in "fiub", path, f"holds {dataset.dtype}, not numbers")
    size = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    packed = dataset.id.get_create_plist().get_nfilters() > 0
    stored = dataset.id.get_storage_size()
    _require(stored >= size or (packed and (stored > 0 or size == 0)), path, "claims values that are not there")


def _count_bytes(dataset: h5py.Dataset) -> int:
    """Return the bytes that reading takes: those of the values, and of a whole chunk where they come in such."""
    size = math.prod(dataset.shape or (0,))
    return int(max(size, math.prod(dataset.chunks or (0,))) * dataset.dtype.itemsize)


def _group_keras3(root: h5py.Group, datasets: list[tuple[HDF5Path, h5py.Dataset]]) -> dict[str, list[h5py.Dataset]]:
    """Group layers/X/vars/0, or layers/X/layers/Y/vars/0 of a model in the model; "vars" tells the layer's name."""
    numbered: dict[str, dict[int, h5py.Dataset]] = {}
    for path, dataset in datasets:
        *above, kind, number = path
        if kind != "vars" or above[::2] != ["layers"] * (len(above) // 2) or len(above) % 2 or not above:
            continue  # what belongs to a layer inside of a layer, or to none
        parts = root["/".join((*above, kind))]
        name = _read_layer_name(parts)
        arrays = numbered.setdefault(name, {})
        _require(int(number) not in arrays, path, f"is of a second layer called {name}")
        arrays[int(number)] = dataset
    return {name: [arrays[index] for index in sorted(arrays)] for name, arrays in numbered.items()}


def _read_layer_name(parts: h5py.Group) -> str:
    name = parts.attrs.get("name", "")
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH:
        raise WeightsError("a layer's name is none")
    return name.rpartition("/")[2]


def _group_keras2(datasets: list[tuple[HDF5Path, h5py.Dataset]]) -> dict[str, list[h5py.Dataset]]:
    """Group X/X/kernel:0, or X/kernel:0, or INNER/X/kernel:0 of a model in the model: the last group is the layer."""
    named: dict[str, dict[str, h5py.Dataset]] = {}
    homes: dict[str, HDF5Path] = {}
    for path, dataset in datasets:
        *above, last = path
        if above:
            name = above[-1]
            _require(homes.setdefault(name, tuple(above)) == tuple(above), path, f"is of a second layer called {name}")
            named.setdefault(name, {})[last.partition(":")[0]] = dataset
    return {name: [arrays[key] for key in sorted(arrays, key=_weight_rank)] for name, arrays in named.items()}


def _weight_rank(name: str) -> tuple[int, str]:
    return (WEIGHT_ORDER.index(name) if name in WEIGHT_ORDER else len(WEIGHT_ORDER), name)


def _require(holds: bool, path: HDF5Path, fault: str) -> None:
    if not holds:
        raise WeightsError(f"{'/'.join(path)[-100:]} {fault}")


def main(arguments: list[str]) -> int:
    """Read, in the child process, the file that `arguments` name; print why if it is refused. Returns the exit code."""
    path, model_size = arguments
    try:
        _read_in_child(Path(path), int(model_size) if model_size else None)
    except WeightsError as refusal:
        print(refusal)
        return EXPECTED_ERROR_CODE
    return 0
