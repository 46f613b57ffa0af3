"""What an export is asked for, by `kresnet export` or by `Run.export` from Python: each setting is declared once.

Imports nothing that a command's help can do without.
"""

from __future__ import annotations

from typing import Literal

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import FILES, QUANTIZATION, VERDICT
from keras_resnet.config.section import STRICT, OptionsSection
from keras_resnet.config.settings import Option, setting
from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.rockchip import CHIPS
from keras_resnet.export.tflite_options import MIN_MAX, RangeMethod

TFLITE, RKNN = "tflite", "rknn"
# Images to calibrate with, about; `calibration.measure_convergence` tells whether that was enough.
DEFAULT_IMAGES = 200
# TensorFlow's guide to post-training quantization asks for 100 to 500; with fewer than this ranges are chance.
MIN_IMAGES = 20
Io = Literal["uint8", "int8", "float"]
EngineName = Literal["tensorflow", "litert-quantizer"]
# Settings that only TFLite files take.
_FOR_TFLITE = ("io", "keep_float", "per_tensor", "ranges", "batch", "dynamic_batch", "with_nms")


@dataclass(frozen=True, config=STRICT)
class ExportSettings(OptionsSection):
    """The files to write of a run, and what they may lose. formats: of `FORMATS`; none are TFLite files."""

    formats: tuple[str, ...] = ()
    quantize: tuple[str, ...] = setting(
        (),
        "Quantization scheme: float32, float16, dynamic, int8, int8-float-io, int16x8 or all; repeatable. Formats"
        " other than TFLite have only some of them.",
        Option("--quantize", QUANTIZATION, metavar="SCHEME"),
    )
    io: Io | None = setting(
        None,
        "Type of inputs and outputs: uint8 takes raw pixels, int8 takes pixels minus 128, float takes pixels as"
        " floats.",
        Option("--io", QUANTIZATION, "uint8"),
    )
    keep_float: tuple[str, ...] = setting(
        (),
        "Keep this layer of an int8 file in float32; repeatable.",
        Option("--keep-float", QUANTIZATION, metavar="LAYER"),
    )
    per_tensor: bool = setting(
        False,
        "Give all weights of a layer one scale, as some NPUs need: int8-per-tensor.tflite.",
        Option("--per-tensor", QUANTIZATION),
    )
    ranges: RangeMethod = setting(
        MIN_MAX,
        "How the ranges of an int8 file's activations are chosen: min-max, or percentile or mse, which clip outliers.",
        Option("--ranges", QUANTIZATION),
    )
    batch: int | None = setting(None, "Batch size of a TFLite file.", Option("--batch", FILES, "1"), ge=1)
    dynamic_batch: bool = setting(
        False, "Write TFLite files that take any number of images at a time.", Option("--dynamic-batch", FILES)
    )
    with_nms: bool = setting(
        False, "For a detector, also write files that contain NMS and output objects.", Option("--with-nms", FILES)
    )
    calibration_data: str | None = setting(
        None,
        "Folder of images to calibrate with.",
        Option("--calibration-data", QUANTIZATION, "training images", "DIR"),
    )
    calibration_images: int = setting(
        DEFAULT_IMAGES,
        "Number of training images to calibrate with.",
        Option("--calibration-images", QUANTIZATION),
        ge=MIN_IMAGES,
    )
    engine: EngineName = setting(
        "tensorflow",
        "Quantizer of int8 files: tensorflow or litert-quantizer (extra: litert).",
        Option("--engine", QUANTIZATION),
    )
    accuracy_control: bool = setting(
        False,
        "Leave layers of OpenVINO's int8 files in float until at most --max-drop of the predictions change.",
        Option("--accuracy-control", QUANTIZATION),
    )
    target: tuple[str, ...] = setting(
        (),
        "Also compile integer files for this accelerator, or check them for it: ethos-u55-128, edgetpu,"
        " qualcomm-sm8750, …; or write files for a Rockchip chip: rk3588, …; repeatable.",
        Option("--target", FILES, metavar="NAME"),
    )
    target_python: str | None = setting(
        None,
        "The Python that has rknn-toolkit2, for Rockchip's chips.",
        Option("--target-python", FILES, "KRESNET_RKNN_PYTHON", "PYTHON"),
    )
    auto: bool = setting(
        False,
        "Try remedies, one after another, until the int8 file is within --max-drop.",
        Option("--auto", QUANTIZATION),
    )
    max_drop: float = setting(
        1.0,
        "Percentage points of accuracy that a file may lose.",
        Option("--max-drop", VERDICT),
        "between 0 and 100 points",
        ge=0,
        le=100,
    )
    require_proof: bool = setting(
        False,
        "Also fail a file whose drop is not proven to be within --max-drop, because there are too few images.",
        Option("--require-proof", VERDICT),
    )
    samples: int | None = setting(
        None, "Use only N validation images, drawn with a fixed seed.", Option("--samples", VERDICT, "all"), ge=1
    )

    def is_set(self, name: str) -> bool:
        """Return whether a setting is another than its default."""
        return bool(getattr(self, name) != self.__pydantic_fields__[name].default)

    @property
    def chips(self) -> tuple[str, ...]:
        """Those of the targets that are Rockchip's, which have files of their own."""
        return tuple(dict.fromkeys(name for name in self.target if name in CHIPS))

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The other targets, which take TFLite files."""
        return tuple(name for name in self.target if name not in CHIPS)

    @property
    def other_formats(self) -> tuple[str, ...]:
        """The formats besides TFLite that are asked for, by the names of chips too, in the registry's order."""
        return tuple(
            name for name in FORMATS if name != TFLITE and (name in self.formats or (name == RKNN and self.chips))
        )

    @property
    def asks_tflite(self) -> bool:
        """Whether TFLite files are asked for, which are written if nothing else is."""
        return TFLITE in self.formats or not (self.formats or (self.chips and not self.accelerators))

    def require_possible(self) -> None:
        """Raise UsageError for unknown formats, and settings of which one leaves the other out."""
        for name in self.formats:
            require_one_of("the format", name, tuple(FORMATS))
        if RKNN in self.formats and not self.chips:
            received = ", ".join(self.target) or "no target"
            raise UsageError(f"--rknn needs --target with one of {', '.join(CHIPS)}. Received: {received}")
        if self.target_python is not None and not self.chips:
            raise UsageError(f"--target-python is for --target with one of {', '.join(CHIPS)}")
        for name in _FOR_TFLITE if not self.asks_tflite else ():
            if self.is_set(name):
                raise UsageError(f"{self.key(name)} is for TFLite files; add --tflite")
        if self.batch and self.dynamic_batch:
            raise UsageError("--batch fixes what --dynamic-batch leaves open; give one of them")
