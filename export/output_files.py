"""Read the outputs that a harness elsewhere wrote: .npz, .npy, .csv, or a folder of .npy files."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_resnet.errors import ExportError
from keras_resnet.runtime.missing_files import describe_missing
from keras_resnet.runtime.plurals import counted

# Arrays, or columns of a CSV file, that are no outputs: the place of each row among the images, their hashes, the
# file's.
INDEX, IMAGE_HASH, MODEL_HASH = "index", "image_sha256", "model_sha256"
ABOUT = (INDEX, IMAGE_HASH, MODEL_HASH)
SUFFIXES = (".npz", ".npy", ".csv")
# Of a single array, which has no name.
UNNAMED = ""


@dataclass(frozen=True)
class OutputFile:
    """What one file holds. arrays: by name; that of a file with one array is UNNAMED. about: of ABOUT, those that are
    there. columns: titles of a CSV file's columns. is_text: whether numbers were written as text, without a type."""

    path: Path
    arrays: dict[str, np.ndarray]
    about: dict[str, np.ndarray] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    is_text: bool = False

    def with_titles(self, classes: Sequence[str], rows: int) -> OutputFile:
        """Return the same with its first row as titles, where these are the labels, numbers too, and so it has one
        more than `rows`."""
        numbers = self.arrays.get(UNNAMED)
        if not self.is_text or self.columns or numbers is None or len(numbers) != rows + 1 or self.about:
            return self
        titles = tuple(f"{number:g}" for number in numbers[0])
        return replace(self, arrays={UNNAMED: numbers[1:]}, columns=titles) if set(titles) == set(classes) else self


def read_output_file(path: Path) -> OutputFile:
    """Read outputs. Raises ExportError, in one sentence, for a file that is missing, damaged or of another kind."""
    if path.is_dir():
        return _sort(path, _read_folder(path))
    if not path.is_file():
        raise ExportError(describe_missing(path, lambda other: other.suffix in SUFFIXES))
    if path.suffix not in SUFFIXES:
        raise ExportError(f"outputs must be a {', '.join(SUFFIXES)} file or a folder of .npy files. Received: {path}")
    if path.suffix == ".csv":
        return _read_csv(path)
    return _sort(path, _read_arrays(path))


def _read_folder(path: Path) -> dict[str, np.ndarray]:
    files = sorted(path.glob("*.npy"))
    if not files:
        raise ExportError(f"{path} holds no .npy files")
    return {file.stem: _read_arrays(file)[UNNAMED] for file in files}


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npy or .npz file."""
    try:
        with path.open("rb") as opened:
            loaded = np.load(opened, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {UNNAMED: loaded}
            return {name: np.asarray(loaded[name]) for name in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path} cannot be read as NumPy's {path.suffix}: {' '.join(str(error).split())}") from error


def _sort(path: Path, arrays: dict[str, np.ndarray]) -> OutputFile:
    """Return arrays, apart from what is said about them."""
    outputs = {name: each for name, each in arrays.items() if name not in ABOUT}
    about = {name: each for name, each in arrays.items() if name in ABOUT}
    if not outputs:
        raise ExportError(f"{path} holds no outputs")
    for name, each in outputs.items():
        if each.dtype.kind not in "iuf" or each.ndim == 0:
            raise ExportError(f"{path} holds {each.dtype} of shape {each.shape} as {name or 'its array'}, no outputs")
    return OutputFile(path, outputs, about)


def _read_csv(path: Path) -> OutputFile:
    """Read a row an image; the first row may have titles."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:
        raise ExportError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}") from error
    has_titles = bool(rows) and not all(_is_number(cell) for cell in rows[0][1])
    titles = [cell.strip() for cell in rows.pop(0)[1]] if has_titles else []
    if not rows:
        raise ExportError(f"{path} holds no outputs")
    width = len(titles or rows[0][1])
    for number, row in rows:
        if len(row) != width:
            raise ExportError(f"line {number} of {path} has {counted(len(row), 'column')} instead of {width}")
    places = [place for place in range(width) if not titles or titles[place] not in ABOUT]
    about = {
        title: np.array([row[place].strip() for _, row in rows]) for place, title in enumerate(titles) if title in ABOUT
    }
    numbers = np.array([[_read_number(path, number, row[place]) for place in places] for number, row in rows])
    columns = tuple(titles[place] for place in places) if titles else ()
    return OutputFile(path, {UNNAMED: numbers}, about, columns, is_text=True)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_number(path: Path, line: int, cell: str) -> float:
    if not _is_number(cell):
        raise ExportError(f"line {line} of {path} has {cell.strip()!r} where a number is expected")
    return float(cell)
