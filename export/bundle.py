"""Bundles: a folder with a file and the images that it is verified on, for a test harness that kresnet cannot reach."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet import __version__
from keras_resnet.atomic_write import translate_disk_errors
from keras_resnet.errors import ExportError, UsageError
from keras_resnet.export import bundle_examples
from keras_resnet.export.bundle_manifest import (
    FORMAT,
    MANIFEST,
    Manifest,
    Tensor,
    describe_outputs,
    describe_tensor,
    hash_bytes,
    read_signature,
)
from keras_resnet.export.evaluate import RunLookup
from keras_resnet.export.pipeline import load_run_data
from keras_resnet.export.verify import iterate_images
from keras_resnet.progress import Log, track
from keras_resnet.run import Run
from keras_resnet.run.folders import require_creatable
from keras_resnet.runtime.metadata import describe_channels
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.temporary_files import hidden_name
from keras_resnet.runtime.tflite_model import TFLiteModel

NPY, BIN = "images.npy", "images.bin"
TEMPLATES = Path(bundle_examples.__file__).parent
TEMPLATE_SUFFIX = ".txt"
SWIFT = "Run.swift"
# What its README says in the place of Swift's example.
NO_SWIFT = "TensorFlow Lite has no type for int8 tensors in Swift"
# Types as .npy files name them.
NPY_TYPES = {"float32": "<f4", "uint8": "|u1", "int8": "|i1"}
# What becomes of a pixel of 0–255, by the type of the input: in words, C, Python, Kotlin (CompiledModel and the
# interpreter) and Swift, which has no int8.
PIXELS = {
    "uint8": ("the pixels, unchanged", "pixels[i]", "filled", "writeInt8(pixels)", "pixels", "input"),
    "int8": (
        *("the pixels minus 128, as int8", "pixels[i] - 128", "(filled.astype(np.int16) - 128).astype(np.int8)"),
        *("writeInt8(shifted(pixels))", "shifted(pixels)", ""),
    ),
    "float32": (
        *("the pixels as floats 0–255", "pixels[i]", "filled.astype(np.float32)", "writeFloat(floats(pixels))"),
        *("floatBytes(floats(pixels))", "floats(input)"),
    ),
}
C_TYPES = {"uint8": "uint8_t", "int8": "int8_t", "float32": "float"}


def write_bundle(file: Path, folder: Path, samples: int | None, lookup: RunLookup, log: Log) -> Manifest:
    """Write a bundle of the exported `file` and its run's validation images, or `samples` of them, to the new `folder`;
    return its manifest.

    Raises UsageError if there is something at `folder`, RunError if it cannot be made there, ExportError for a file
    that is no TFLite file.
    """
    require_new(folder)
    model = lookup.load(file)
    if not isinstance(model, TFLiteModel):
        raise ExportError(f"{file.name} is no TFLite file: devices run no others")
    run = lookup.find(file, model)
    run.require_finished()
    require_creatable(folder.parent)
    images = _collect_images(run, samples, log)
    bundle = Bundle(file, model, images, run, samples)
    staged = hidden_name(folder)
    try:
        with translate_disk_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            bundle.write(staged)
            os.replace(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return bundle.manifest


def name_folder(file: Path) -> Path:
    """Return where the bundle of `file` goes if nobody says: its name with -bundle, in the current folder."""
    return Path(f"{file.stem}-bundle")


def require_new(folder: Path) -> None:
    """Raise UsageError if there is something at `folder`."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"a bundle is written to a folder that is not there yet. Received: {folder}")


def _collect_images(run: Run, samples: int | None, log: Log) -> np.ndarray:
    """Return the validation images as the network sees them, uint8 (N, H, W, C)."""
    batches = iterate_images(load_run_data(run, log), samples)
    with track(batches, "reading validation images", "batches") as tracked:
        return np.concatenate(list(tracked))


@dataclass(frozen=True)
class Bundle:
    """What goes into the folder. images: uint8 (N, H, W, C)."""

    file: Path
    model: TFLiteModel
    images: np.ndarray
    run: Run
    samples: int | None

    @property
    def name(self) -> str:
        """The name of the file in the folder."""
        return f"{self.file.stem}.tflite"

    @property
    def manifest(self) -> Manifest:
        """What manifest.json says."""
        signature, content = read_signature(self.model), self.model.content
        taken = describe_tensor("pixels", signature.input)
        return {
            "format": FORMAT,
            "kresnet": __version__,
            "model": {
                "file": self.name,
                "sha256": hash_bytes(content),
                "bytes": len(content),
                "run": self.run.name,
                "scheme": str(self.model.card.provenance["scheme"]),
            },
            "task": self.model.card.task,
            "labels": list(self.model.card.classes),
            "input": taken,
            "input_from_pixels": PIXELS[taken["dtype"]][0],
            "outputs": describe_outputs(signature),
            "images": {
                "count": len(self.images),
                "shape": list(self.images.shape),
                "npy": NPY,
                "bin": BIN,
                "sha256": hash_bytes(self.images.tobytes()),
                "each": [hash_bytes(image.tobytes()) for image in self.images],
            },
            "samples": self.samples,
        }

    def write(self, folder: Path) -> None:
        """Write all files into the new `folder`. Raises OSError."""
        folder.mkdir()
        manifest = self.manifest
        (folder / self.name).write_bytes(self.model.content)
        np.save(folder / NPY, self.images, allow_pickle=False)
        (folder / BIN).write_bytes(self.images.tobytes())
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        values = dict(_list_values(manifest, self.model.batch or 1))
        for template in sorted(TEMPLATES.glob(f"*{TEMPLATE_SUFFIX}")):
            name = template.name.removesuffix(TEMPLATE_SUFFIX)
            if name == SWIFT and not _has_swift(manifest):
                continue
            text = template.read_text(encoding="utf-8")
            for place, value in values.items():
                text = text.replace(f"@{place}@", value)
            (folder / name).write_text(text, encoding="utf-8")


def _has_swift(manifest: Manifest) -> bool:
    """Return whether TensorFlow Lite's Swift API can run the file: `Tensor.DataType` has no int8."""
    return "int8" not in {each["dtype"] for each in (manifest["input"], *manifest["outputs"])}


def _list_values(manifest: Manifest, batch: int) -> Iterator[tuple[str, str]]:
    """Yield what stands in the templates for each of their names."""
    images, outputs, dtype = manifest["images"], manifest["outputs"], manifest["input"]["dtype"]
    count, samples = images["count"], manifest["samples"]
    words, c_pixel, python, kotlin_write, kotlin_bytes, swift = PIXELS[dtype]
    yield "MODEL", manifest["model"]["file"]
    yield "SHA", manifest["model"]["sha256"]
    yield "IMAGES", counted(count, "image")
    yield "COUNT", str(count)
    yield "BATCH", str(batch)
    yield "SHAPE", " × ".join(map(str, images["shape"]))
    yield "IMAGE_BYTES", str(int(np.prod(images["shape"][1:])))
    yield "CHANNELS", describe_channels(images["shape"][3])
    yield from (("NPY", NPY), ("BIN", BIN))
    yield "INPUT", words
    yield "OUTPUTS", "\n".join(_describe_output(number, each) for number, each in enumerate(outputs))
    yield "SINGLE", ", or `results.csv` with one line per image" if len(outputs) == 1 else ""
    raw = " and ".join(dict.fromkeys(each["dtype"] for each in outputs if each["scale"]))
    scaled = f"Raw {raw} values are dequantized with the file's scale and zero point; floats" if raw else "Floats"
    yield "SCALED", f"{scaled} are used unchanged."
    has_swift = _has_swift(manifest)
    yield "SWIFT_FILE", f", `{SWIFT}`" if has_swift else ""
    yield "LANGUAGES", "Python, C, Kotlin and Swift" if has_swift else f"Python, C and Kotlin; {NO_SWIFT}"
    yield "SAMPLES", f" --samples {samples}" if samples else ""
    yield "OUTPUT_COUNT", str(len(outputs))
    yield from (("C_TYPE", C_TYPES[dtype]), ("C_PIXEL", c_pixel))
    yield "PYTHON_PIXELS", python
    yield "PYTHON_OUTPUTS", ", ".join(json.dumps(each["name"]) for each in outputs)
    yield from (("KOTLIN_WRITE", kotlin_write), ("KOTLIN_BYTES", kotlin_bytes), ("SWIFT_INPUT", swift))
    yield "C_OUTPUTS", _list_outputs('    {{"results/{name}.npy", "{type}", "{shape}", {bytes}}}', manifest)
    yield "KOTLIN_OUTPUTS", _list_outputs('    Output("{name}", "{type}", "{shape}", {numbers})', manifest)
    yield "SWIFT_OUTPUTS", _list_outputs('  (name: "{name}", type: "{type}", shape: "{shape}")', manifest)


def _describe_output(number: int, output: Tensor) -> str:
    """Return a line of the list of outputs."""
    sides = output["shape"][1:]
    values = counted(sides[0], "value") if len(sides) == 1 else f"{' × '.join(map(str, sides))} values"
    quantized = f"; {output['scale']:.6g} × (raw − {output['zero_point']})" if output["scale"] else ""
    return f"- output {number}: `{output['name']}`, {output['dtype']}, {values} per image{quantized}"


def _list_outputs(form: str, manifest: Manifest) -> str:
    """Return a line in the `form` for each output, with commas between."""
    lines = []
    for each in manifest["outputs"]:
        shape = (manifest["images"]["count"], *each["shape"][1:])
        numbers, dtype = int(np.prod(shape[1:])), NPY_TYPES[each["dtype"]]
        size = numbers * np.dtype(dtype).itemsize
        lines.append(form.format(name=each["name"], type=dtype, shape=shape, numbers=numbers, bytes=size))
    return ",\n".join(lines) + "\n"
