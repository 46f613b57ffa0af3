"""A TFLite file as C source for microcontrollers, which have no file system."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.atomic_write import write_atomically
from keras_resnet.export.file_options import FileOptions
from keras_resnet.export.flatbuffer import read_contents
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Conversion, Format, LoadedModel
from keras_resnet.export.micro_needs import measure_needs
from keras_resnet.export.tflite_metadata import replace_confidence
from keras_resnet.export.tflite_options import SCHEMES, TFLiteOptions
from keras_resnet.reporting.microcontroller import describe_in_header
from keras_resnet.runtime.c_array import ARRAY_NAME, C_SUFFIX, format_c_source, read_c_array, write_c_array
from keras_resnet.runtime.confidence import Confidence

if TYPE_CHECKING:
    import keras

    from keras_resnet.export.flatbuffer import Contents


class CArray(Format):
    """A folder with kresnet_model.c and .h: an int8 file as an array of bytes."""

    name = "c-array"
    title = "C array"
    suffix = ""
    stem = "c_array"
    is_for_microcontrollers = True

    def options(self, names: Sequence[str] = (), is_qat: bool = False) -> Sequence[TFLiteOptions]:
        """Return int8 with int8 inputs and outputs, what TFLite Micro takes, whatever other formats are asked for."""
        return (TFLiteOptions(SCHEMES["qat" if is_qat else "int8"], "int8"),)

    def read_options(self, document: Mapping[str, object]) -> TFLiteOptions:
        """Return the options that `TFLiteOptions.to_dict` described."""
        return TFLiteOptions.from_dict(document)

    def file_name(self, options: FileOptions | None) -> str:
        """Return the name of the folder."""
        return self.stem

    def provenance(self, options: FileOptions | None) -> dict[str, str | None]:
        """Return the format's name."""
        return {"scheme": self.name, "engine": None}

    def write(self, model: keras.Model, conversion: Conversion, target: Path) -> None:
        """Write the folder `target`."""
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, "model.tflite")
            get_format("tflite").write(model, conversion, file)
            content = file.read_bytes()
        assert isinstance(conversion.options, TFLiteOptions)
        needs = measure_needs(content, read_contents(content), conversion.options.batch)
        write_c_array(content, target, describe_in_header(asdict(needs)) if needs else [])

    def load(self, path: Path, threads: int | None = None) -> LoadedModel:
        """Load the C source `path`, or that in the folder."""
        return get_format("tflite").load(self.main_file(path), threads)

    def renew_confidence(self, path: Path, confidence: Confidence) -> bool:
        """Write `confidence` into the metadata that follow the file in the array."""
        source = self.main_file(path)
        content = replace_confidence(read_c_array(source), confidence, source)
        with write_atomically(source) as temporary:
            temporary.write_text(format_c_source(content), encoding="utf-8")
        return True

    def recognizes(self, path: Path) -> bool:
        """Return whether `path` is C source or a folder with ours."""
        return path.suffix == C_SUFFIX or self.main_file(path) != path

    def main_file(self, path: Path) -> Path:
        """Return the source in the folder `path`; `path` itself where there is none."""
        source = path / f"{ARRAY_NAME}{C_SUFFIX}"
        return source if source.is_file() else path

    def size(self, path: Path) -> int:
        """Return the bytes of the array."""
        return len(read_c_array(self.main_file(path)))

    def payload(self, path: Path) -> Iterator[bytes]:
        """Yield the bytes of the array."""
        yield read_c_array(self.main_file(path))

    def read_contents(self, model: LoadedModel) -> Contents | None:
        """Return the operators and tensor types of the file in the array."""
        return get_format("tflite").read_contents(model)
