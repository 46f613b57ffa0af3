"""The Format interface: a kind of file that a trained network is exported as, and how it is written, loaded, checked.

To add a format, write a module with a subclass of `Format` beside this one and add a line to `FORMATS` in
`formats/__init__.py`. The command line gets an option of its name.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.export.file_options import FileOptions, SchemeOptions
from keras_resnet.export.flatbuffer import Contents, check_contents
from keras_resnet.export.tflite_options import ALL, QAT_SCHEMES, SCHEMES
from keras_resnet.runtime.confidence import Confidence
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.predictions import Outputs

if TYPE_CHECKING:
    import keras


class LoadedModel(Protocol):
    """A loaded file: a callable from uint8 images (N, H, W, C) to float32 logits (N, classes), or to a dict of outputs
    by name."""

    card: ModelMetadata
    threads: int

    def __call__(self, images: np.ndarray) -> Outputs: ...


@dataclass(frozen=True)
class Conversion:
    """What a format needs besides the Keras model.

    options: of the file to write, None for formats that have one kind alone. calibration_images: uint8 (N, H, W, C),
    None where no ranges are measured. folder: for what is made of the model on the way and serves its other
    conversions, too; None where there are no others.
    """

    metadata: ModelMetadata
    options: FileOptions | None = None
    calibration_images: np.ndarray | None = None
    folder: Path | None = None


class Format(ABC):
    """A kind of exported file.

    name: of the option that asks for it. title: in sentences. suffix: of its files, "" for a folder. stem: of the
    file's name, where that is the same for all. extra: of kresnet, with the packages that it takes. schemes: names of
    those that can be asked for, none where there is no choice. usual_schemes: those that are written unless others
    are. only_on: the system that alone runs such files, "" where all do. toolkit: of an environment of its own that
    makes such files, "" where kresnet's own does. is_for_microcontrollers: whether firmware runs them. has_logits:
    whether classifiers give logits, by which unknown images are recognized, and not their probabilities alone. remedy:
    the options of `kresnet export` that may bring an 8-bit file which lost too much within its budget, and what they
    do; None where there are none.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]
    stem: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ()
    schemes: ClassVar[tuple[str, ...]] = ()
    only_on: ClassVar[str] = ""
    toolkit: ClassVar[str] = ""
    is_for_microcontrollers: ClassVar[bool] = False
    has_logits: ClassVar[bool] = True
    usual_schemes: ClassVar[tuple[str, ...]] = ()
    remedy: ClassVar[tuple[str, str] | None] = None

    @abstractmethod
    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write `model` to `target`. Called in a child process, see `convert`."""

    def prepare(self, model: keras.Model, options: FileOptions | None, folder: Path) -> None:  # noqa: B027 (optional)
        """Put into `folder` what `write` will look for there, as far as it takes neither images nor metadata. Called in
        the child process, while the other one opens the data."""

    @abstractmethod
    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the file or folder `path`. Raises ExportError if it is damaged or was not exported by kresnet."""

    def renew_confidence(self, path: Path, confidence: Confidence) -> bool:
        """Write `confidence` into the metadata of the file `path`, whose network stays as it is, where the format can.
        Returns whether the file has it now: else it has to be written again. Raises ExportError if it is damaged or was
        not exported by kresnet."""
        return self.load(path).card.confidence == confidence

    def options(self, names: Sequence[str] = (), is_qat: bool = False) -> Sequence[FileOptions | None]:
        """Return the options of each file of a run that the schemes `names` ask for: "all", those of them that the
        format has, and the usual ones where it has none of them. is_qat: the run was trained with 8 bits."""
        if not self.schemes:
            return (None,)
        possible = self.possible_schemes(is_qat)
        usual = [name for name in possible if name in (*self.usual_schemes, *QAT_SCHEMES)]
        asked = possible if ALL in names else [name for name in possible if name in names] or usual
        return tuple(SchemeOptions(SCHEMES[name]) for name in asked)

    def possible_schemes(self, is_qat: bool) -> list[str]:
        """Return the schemes that a run can have: 8 bits either by training or after it."""
        if is_qat and set(self.schemes) & set(QAT_SCHEMES):
            return list(QAT_SCHEMES)
        return [name for name in self.schemes if name not in QAT_SCHEMES and not (is_qat and SCHEMES[name].is_int8_ptq)]

    def with_accuracy_control(self, options: FileOptions | None, max_drop: float) -> FileOptions | None:
        """Return the options of a file that leaves layers in float until no more than `max_drop` of the predictions
        change, 0–1; the same ones where the format has no such files."""
        return options

    def for_chips(self, options: Sequence[FileOptions | None], chips: Sequence[str]) -> list[FileOptions | None]:
        """Return the options of the files for `chips`, in formats that have a file for each of them; else the same."""
        return list(options)

    def describe_simulator(self, model: LoadedModel) -> str:
        """Return what simulates the chip of a loaded file, whose time and memory mean nothing; "" where the file itself
        is run."""
        return ""

    def read_options(self, document: Mapping[str, object]) -> FileOptions:
        """Return the options that `FileOptions.to_dict` described."""
        return SchemeOptions.from_dict(document)

    def file_name(self, options: FileOptions | None) -> str:
        """Return the name of the exported file or folder."""
        return f"{self.stem}{self._describe_kind(options)}{self.suffix}"

    def provenance(self, options: FileOptions | None) -> dict[str, str | None]:
        """Return what a file's metadata says of its kind: the scheme, or the format's name; and the engine."""
        return {"scheme": f"{self.name}{self._describe_kind(options)}", "engine": None}

    def _describe_kind(self, options: FileOptions | None) -> str:
        """Return what follows the format's name in those of its files: nothing for the only usual kind."""
        return "" if options is None or (options.name,) == self.usual_schemes else f"-{options.name}"

    @property
    def runs_here(self) -> bool:
        """Whether this machine can run such files."""
        return True

    def require_installed(self) -> None:
        """Raise UsageError unless the packages that the format needs are installed."""
        for name in self.packages:
            self.import_package(name)

    def import_package(self, name: str) -> object:
        """Import one of `packages`. Raises UsageError, naming the extra, if it is not installed."""
        try:
            return importlib.import_module(name)
        except ImportError as error:
            words = f"{self.title} needs {name}, which is not installed: pip install 'kresnet[{self.extra}]'"
            raise UsageError(words) from error

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is of this format, by its name or by what stands in the folder."""
        return bool(self.suffix) and path.name.endswith(self.suffix)

    def main_file(self, path: Path) -> Path:
        """Return what is read of the exported `path`: itself, or a file in that folder."""
        return path

    def size(self, path: Path) -> int:
        """Return the bytes that the format takes on a device."""
        return sum(file.stat().st_size for file in _files(path))

    def payload(self, path: Path) -> Iterator[bytes]:
        """Yield what goes to the device, file by file."""
        return (file.read_bytes() for file in _files(path))

    def read_contents(self, model: LoadedModel) -> Contents | None:
        """Return the operators and tensor types of a loaded file, None where the format does not list them."""
        return None

    def check(self, model: LoadedModel, name: str, *, is_integer: bool) -> Contents | None:
        """Return the same. Raises ExportError if the file `name` holds operators that are no TFLite builtins, or if
        it `is_integer` and holds floats."""
        contents = self.read_contents(model)
        if contents:
            check_contents(contents, name, is_integer=is_integer)
        return contents


def _files(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else iter([path])
