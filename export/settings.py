"""What an export is asked for, by `kresnet export` or by `Run.export` from Python: each setting is declared once."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from keras_resnet.config.option_groups import OTHER
from keras_resnet.config.section import STRICT, Section
from keras_resnet.config.settings import Option, setting
from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.export.accelerators import require_accelerator
from keras_resnet.export.calibration import DEFAULT_IMAGES, require_calibration_folder
from keras_resnet.export.formats import FORMATS
from keras_resnet.export.request import ExportRequest
from keras_resnet.export.tflite_options import (
    ALL,
    SCHEME_ALIASES,
    SCHEMES,
    TENSORFLOW,
    TFLiteOptions,
    TFLiteRequest,
    with_engine,
    with_nms_variants,
)
from keras_resnet.run import Run

TFLITE = "tflite"
# Names of schemes of TFLite files, and of formats.
SCHEME_NAMES = (*SCHEMES, *SCHEME_ALIASES, ALL)
# Settings that only TFLite files take.
_FOR_TFLITE = ("quantize", "io", "keep_float", "batch", "dynamic_batch", "with_nms")


@dataclass(frozen=True, config=STRICT)
class ExportSettings(Section):
    """The files to write of a run, and what they may lose. formats: of `FORMATS`; none of them and no scheme to
    quantize by are the usual TFLite files."""

    formats: tuple[str, ...] = ()
    quantize: tuple[str, ...] = setting(
        (), "float32, float16, dynamic, int8, int8-float-io, int16x8 or all.", Option("--quantize", OTHER)
    )
    io: str | None = setting(
        None, "Inputs and outputs: uint8 (raw pixels), int8 or float.", Option("--io", OTHER, "uint8")
    )
    keep_float: tuple[str, ...] = setting(
        (), "A layer of an int8 file that is not quantized.", Option("--keep-float", OTHER)
    )
    batch: int | None = setting(None, "Batch size of a TFLite file.", Option("--batch", OTHER, "1"), ge=1)
    dynamic_batch: bool = setting(
        False, "TFLite files that take any number of images at a time.", Option("--dynamic-batch", OTHER)
    )
    with_nms: bool = setting(
        False, "Of a detector also files with NMS, which end in objects.", Option("--with-nms", OTHER)
    )
    calibration_data: str | None = setting(
        None, "Images to calibrate with.", Option("--calibration-data", OTHER, "of the training data")
    )
    calibration_images: int = setting(
        DEFAULT_IMAGES, "How many of the training data.", Option("--calibration-images", OTHER), ge=1
    )
    engine: str = setting(
        TENSORFLOW.name, "What makes int8 files: tensorflow or litert-quantizer.", Option("--engine", OTHER)
    )
    target: tuple[str, ...] = setting(
        (), "Also fit integer files to: ethos-u55-128, …, edgetpu.", Option("--target", OTHER)
    )
    auto: bool = setting(False, "Try remedies on an int8 file until it is within the budget.", Option("--auto", OTHER))
    max_drop: float = setting(
        1.0,
        "Points of accuracy a file may lose.",
        Option("--max-drop", OTHER),
        "between 0 and 100 points",
        ge=0,
        le=100,
    )
    require_proof: bool = setting(
        False,
        "Fail also where the drop's 95% interval is not within --max-drop: too few images to tell.",
        Option("--require-proof", OTHER),
    )
    samples: int | None = setting(
        None, "Score so many validation images, drawn by a fixed seed.", Option("--samples", OTHER, "all"), ge=1
    )

    @classmethod
    def key(cls, name: str) -> str:
        """Return the option of a setting, which is what messages call it."""
        return f"--{name.replace('_', '-')}"

    @property
    def asks_tflite(self) -> bool:
        """Whether TFLite files are asked for."""
        return TFLITE in self.formats or bool(self.quantize) or not self.formats

    def request(self, run: Run) -> ExportRequest:
        """Return the request to `run`. Raises UsageError for what cannot be written of it, or cannot be had here, and
        DataError for calibration images that cannot be used: before TensorFlow is imported."""
        self._require_possible()
        tflite = self._tflite_files(run)
        for target in self.target:
            require_accelerator(target)
        if self.calibration_data:
            require_calibration_folder(self.calibration_data)
        if self.target and not any(each.is_integer for each in tflite):
            raise UsageError("--target is for integer TFLite files: --tflite --quantize int8. None is asked for")
        return ExportRequest(
            tflite=tuple(tflite),
            formats=tuple(name for name in FORMATS if name in self.formats and name != TFLITE),
            max_drop=self.max_drop / 100,
            calibration_folder=self.calibration_data,
            calibration_images=self.calibration_images,
            samples=self.samples,
            require_proof=self.require_proof,
        )

    def _require_possible(self) -> None:
        """Raise UsageError for unknown formats, and settings of which one leaves the other out."""
        for name in self.formats:
            require_one_of("the format", name, tuple(FORMATS))
        for name in _FOR_TFLITE if not self.asks_tflite else ():
            if getattr(self, name):
                raise UsageError(f"{self.key(name)} is for TFLite files; add --tflite")
        if self.batch and self.dynamic_batch:
            raise UsageError("--batch fixes what --dynamic-batch leaves open; give one of them")

    def _tflite_files(self, run: Run) -> list[TFLiteOptions]:
        """Return the TFLite files of `run`. Raises UsageError for what its network cannot have."""
        spec = run.spec()
        batch = None if self.dynamic_batch else self.batch or 1
        request = TFLiteRequest(self.io, batch, self.keep_float, spec.compress.is_qat)
        files = with_engine(request.build(self.quantize) if self.asks_tflite else [], self.engine)
        return files + with_nms_variants(files, spec.task) if self.with_nms else files
