"""The registry of export formats: one line each, imported when it is first used."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from keras_resnet.export.formats.base import Format


class Entry(NamedTuple):
    """module: beside this one; class_name: in it; help: of the option that asks for the format."""

    module: str
    class_name: str
    help: str


# The first of the files, and of the folders, is taken for what no format recognizes.
FORMATS = {
    "tflite": Entry(
        "tflite", "TFLite", "Write TFLite files: float32 and int8, or the schemes of --quantize [default]."
    ),
    "savedmodel": Entry("saved_model", "SavedModel", "Write a SavedModel for TensorFlow Serving."),
    "onnx": Entry("onnx", "ONNX", "Write an ONNX file in float32, or in the schemes of --quantize (extra: onnx)."),
    "openvino": Entry(
        "openvino", "OpenVINO", "Write OpenVINO's IR: float16 and int8, or the schemes of --quantize (extra: openvino)."
    ),
    "coreml": Entry("coreml", "CoreML", "Write Core ML packages: float16, and 8-bit weights (extra: coreml)."),
    "rknn": Entry(
        "rknn", "RKNN", "Write int8 RKNN files for Rockchip's NPUs; needs --target with a chip, such as rk3588."
    ),
    "c-array": Entry("c_array", "CArray", "Write an int8 file as C source for microcontrollers."),
}


@cache
def get_format(name: str) -> Format:
    """Return the format called `name`, a key of FORMATS."""
    entry = FORMATS[name]
    made: Format = getattr(import_module(f"{__name__}.{entry.module}"), entry.class_name)()
    return made


def recognize_format(path: Path) -> Format | None:
    """Return the format of the file, folder or file name `path`, None for none of ours."""
    return next((each for each in map(get_format, FORMATS) if each.recognizes(path)), None)


def find_format(path: Path) -> Format:
    """Return the same; what is not recognized is taken for the first format of files, or of folders."""
    is_folder = path.is_dir()
    usual = next(each for each in map(get_format, FORMATS) if (each.suffix == "") == is_folder)
    return recognize_format(path) or usual
