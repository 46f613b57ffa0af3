"""The manifest of a bundle: which file and which images a harness elsewhere was given, and what comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from keras_resnet.errors import ExportError
from keras_resnet.export.devices.runner.runtimes import Signature, import_litert
from keras_resnet.run.reading import parse_json, read_bytes

if TYPE_CHECKING:
    from keras_resnet.runtime.tflite_model import TFLiteModel

MANIFEST = "manifest.json"
FORMAT = 1


class Tensor(TypedDict):
    """An input or output of the file. scale, zero_point: a number is scale × (raw − zero_point); null where it is
    stored as it is."""

    name: str
    dtype: str
    shape: list[int]
    scale: float | None
    zero_point: int | None


class ModelFile(TypedDict):
    """The file. sha256: of all its bytes."""

    file: str
    sha256: str
    bytes: int
    run: str
    scheme: str


class ImageList(TypedDict):
    """The images. shape: number, height, width, channels. sha256: of the bytes of all. each: of those of each."""

    count: int
    shape: list[int]
    npy: str
    bin: str
    sha256: str
    each: list[str]


class Manifest(TypedDict):
    """manifest.json. input_from_pixels: what becomes of a pixel of 0–255. samples: null for all validation images."""

    format: int
    kresnet: str
    model: ModelFile
    task: str
    labels: list[str]
    input: Tensor
    input_from_pixels: str
    outputs: list[Tensor]
    images: ImageList
    samples: int | None


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of `content`, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_signature(model: TFLiteModel) -> Signature:
    """Return the input and the outputs of a loaded file."""
    return Signature(import_litert("interpreter")[0].Interpreter(model_content=model.content))


def describe_outputs(signature: Signature) -> list[Tensor]:
    """Return the outputs in the order in which the file has them, by their names."""
    by_index = {int(each["index"]): (name, each) for name, each in signature.outputs.items()}
    return [describe_tensor(*by_index[int(each["index"])]) for each in signature.order]


def describe_tensor(name: str, details: Mapping[str, Any]) -> Tensor:
    """Return a tensor of LiteRT as the manifest has it."""
    scale, zero_point = details["quantization"]
    return {
        "name": name,
        "dtype": str(details["dtype"].__name__),
        "shape": [int(side) for side in details["shape"]],
        "scale": float(scale) if scale else None,
        "zero_point": int(zero_point) if scale else None,
    }


def find_manifest(results: Path) -> Path | None:
    """Return the manifest that `results`, a file or folder, belong to: it stands beside them, or in the folder. Other
    programs have files of that name."""
    places = [results / MANIFEST, results.parent / MANIFEST] if results.is_dir() else [results.parent / MANIFEST]
    return next((place for place in places if place.is_file() and b'"kresnet"' in place.read_bytes()), None)


def read_manifest(file: Path) -> Manifest:
    """Read a manifest. Raises ExportError for one that is damaged or of another version."""
    try:
        manifest = parse_json(Manifest, read_bytes(file))
    except (OSError, ValueError) as error:
        raise ExportError(f"{file} is no manifest of a bundle: {error}") from error
    if manifest["format"] != FORMAT:
        raise ExportError(f"{file} is of version {manifest['format']} of bundles, this kresnet of version {FORMAT}")
    return manifest
