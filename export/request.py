"""Requests for an export, the files that they ask for, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from keras_resnet.config import foreign_words
from keras_resnet.errors import ExportError, KresnetError, UsageError, did_you_mean
from keras_resnet.export.accelerators import require_accelerator
from keras_resnet.export.calibration import require_calibration_folder
from keras_resnet.export.file_options import FileOptions
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Format
from keras_resnet.export.settings import DEFAULT_IMAGES, TFLITE, ExportSettings
from keras_resnet.export.tflite_options import (
    ALL,
    TFLiteOptions,
    TFLiteRequest,
    with_engine,
    with_nms_variants,
    with_ranges,
    with_scales_per_tensor,
)
from keras_resnet.export.unverified import UnverifiedFile
from keras_resnet.export.verdict import Budget, Verdict
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.model_file import read_layer_names
from keras_resnet.runtime.plurals import join_words


@dataclass(frozen=True)
class ExportFile:
    """One file to export. options: None for formats that have one kind alone."""

    format: Format
    options: FileOptions | None = None

    @property
    def name(self) -> str:
        """The name of the file or folder."""
        return self.format.file_name(self.options)

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be measured."""
        return self.options is not None and self.options.needs_calibration

    @property
    def is_integer(self) -> bool:
        """Whether no tensor may be of a floating-point type."""
        return self.options is not None and self.options.is_integer


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    tflite: options of each TFLite file. formats: names of others, of `FORMATS`. schemes: which files of these, see
    `Format.options`. max_drop: points that a file may lose. samples: how many validation images a file is verified
    on, None for all. require_proof: see `Budget`. accuracy_control: see `Format.with_accuracy_control`. chips: see
    `Format.for_chips`.
    """

    tflite: tuple[TFLiteOptions, ...] = ()
    formats: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    max_drop: float = 1.0
    calibration_folder: str | None = None
    calibration_images: int = DEFAULT_IMAGES
    samples: int | None = None
    require_proof: bool = False
    accuracy_control: bool = False
    chips: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, settings: ExportSettings, run: Run) -> ExportRequest:
        """Return what `settings` ask for of `run`. Raises UsageError for what cannot be written of it, or cannot be
        had here, and DataError for calibration images that cannot be used: before TensorFlow is imported."""
        settings.require_possible()
        tflite = _tflite_files(settings, run)
        run.require_finished()
        for target in settings.accelerators:
            require_accelerator(target)
        if settings.calibration_data:
            require_calibration_folder(settings.calibration_data)
        if settings.accelerators and not any(each.is_integer for each in tflite):
            target = settings.accelerators[0]
            raise UsageError(
                f"--target {target} is for integer TFLite files: --tflite --quantize int8. None is asked for"
            )
        request = cls(
            tflite=tuple(tflite),
            formats=settings.other_formats,
            schemes=settings.quantize,
            max_drop=settings.max_drop,
            calibration_folder=settings.calibration_data,
            calibration_images=settings.calibration_images,
            samples=settings.samples,
            require_proof=settings.require_proof,
            accuracy_control=settings.accuracy_control,
            chips=settings.chips,
        )
        request.files(run)  # or why one of them cannot be had
        request._require_schemes(settings, run)
        request._require_calibrated(settings, run)
        request._require_controlled(run)
        _require_layers(settings, run)
        if settings.auto:
            request.int8_file  # noqa: B018  or why there is none
        return request

    def _require_schemes(self, settings: ExportSettings, run: Run) -> None:
        """Raise UsageError for a scheme that none of the formats has. Those of TFLite files are known to be right."""
        if settings.asks_tflite or ALL in settings.quantize:
            return
        possible = {name for each in self.formats for name in get_format(each).possible_schemes(is_qat(run))}
        for name in settings.quantize:
            if name not in possible:
                titles = join_words([get_format(each).title for each in self.formats])
                kinds = dict.fromkeys(map(_name_only_scheme, self.formats))
                fixed = f"has no effect, because the files are always {join_words([*kinds])}: leave it out"
                allowed = f"must be one of {', '.join(sorted(possible))}" if possible else fixed
                meant = foreign_words.SCHEMES.get(name.lower())
                near = f". Did you mean {meant!r}?" if meant in possible else ""
                raise UsageError(f"--quantize of {titles} {allowed}. Received: {name}{near}")

    def _require_calibrated(self, settings: ExportSettings, run: Run) -> None:
        """Raise UsageError for settings of a calibration that is not made, or of two at once."""
        asked = [name for name in ("calibration_data", "calibration_images") if settings.is_set(name)]
        if len(asked) == 2:
            raise UsageError("--calibration-images counts training images; it takes no --calibration-data")
        if asked and not any(file.needs_calibration for file in self.files(run)):
            raise UsageError(f"{settings.key(asked[0])} is for int8 and int16x8 files, and none is asked for")

    def _require_controlled(self, run: Run) -> None:
        """Raise UsageError for accuracy control where no file can have it, or of networks that do not classify."""
        if not self.accuracy_control:
            return
        task = run.spec().task
        if task != "classify":
            raise UsageError(f"--accuracy-control is for --task classify. Received: a run of --task {task}")
        others = replace(self, accuracy_control=False).files(run)
        if self.files(run) == others:
            raise UsageError("--accuracy-control is for OpenVINO's int8 files: --openvino. None is asked for")

    @property
    def int8_file(self) -> TFLiteOptions:
        """The one int8 file, which --auto mends. Raises UsageError unless there is exactly one."""
        int8 = [options for options in self.tflite if options.scheme.is_int8_ptq]
        if len(int8) != 1:
            received = f"Received: {len(int8)} of them" if int8 else "None is asked for"
            raise UsageError(f"--auto is for one int8 file: --tflite --quantize int8. {received}")
        return int8[0]

    def log_default_files(self, run: Run, log: Log) -> None:
        """Log the formats that have none of the schemes, so that their default files are written."""
        for file_format in map(get_format, self.formats):
            possible = file_format.possible_schemes(is_qat(run))
            if self.schemes and possible and not {ALL, *possible} & {*self.schemes}:
                log(
                    f"{file_format.title}: the default files, because --quantize names none of {', '.join(possible)}."
                    f" Received: {', '.join(self.schemes)}"
                )

    @property
    def budget(self) -> Budget:
        """What each file may lose."""
        return Budget.from_points(self.max_drop, self.require_proof)

    def files(self, run: Run) -> list[ExportFile]:
        """Return the files to export of `run`."""
        tflite, others = get_format(TFLITE), map(get_format, self.formats)
        return [
            *(ExportFile(tflite, options) for options in self.tflite),
            *(ExportFile(each, options) for each in others for options in self._options(each, run)),
        ]

    def _options(self, file_format: Format, run: Run) -> list[FileOptions | None]:
        options = file_format.for_chips(file_format.options(self.schemes, is_qat(run)), self.chips)
        if not self.accuracy_control:
            return list(options)
        return [file_format.with_accuracy_control(each, self.budget.max_drop) for each in options]

    def require_installed(self) -> None:
        """Raise UsageError unless the packages that the files need are installed."""
        for name in self.formats:
            get_format(name).require_installed()
        for options in self.tflite:
            options.engine.require_installed()


@dataclass(frozen=True)
class ExportResult:
    """verdicts: on the files that could be made and run. failures: why others could not be made, by their names.
    unverified: files that this machine cannot run. unwritten: why what describes the files, such as the model card,
    could not be written."""

    verdicts: list[Verdict] = field(default_factory=list)
    failures: dict[str, KresnetError] = field(default_factory=dict)
    unverified: list[UnverifiedFile] = field(default_factory=list)
    unwritten: list[KresnetError] = field(default_factory=list)

    def require_all(self) -> list[Verdict]:
        """Return the verdicts. Raises ExportError, naming each, where files could not be made or described; of one
        alone its own error."""
        if len(self.failures) == 1 and not self.verdicts and not self.unverified and not self.unwritten:
            raise next(iter(self.failures.values()))
        if problems := self.list_problems():
            raise ExportError("; ".join(problems))
        return self.verdicts

    def list_problems(self) -> list[str]:
        """Return which files could not be made, and what else could not be written, each with the reason."""
        failures = "; ".join(f"{name}: {error}" for name, error in self.failures.items())
        return [*([f"could not make {failures}"] if failures else []), *map(str, self.unwritten)]


def _name_only_scheme(name: str) -> str:
    """Return how the numbers of a format are kept that has one scheme only."""
    return "int8" if any(each and each.is_integer for each in get_format(name).options()) else "float32"


def _require_layers(settings: ExportSettings, run: Run) -> None:
    """Raise UsageError for layers to keep in float32 that the network does not have."""
    known = read_layer_names(run.model_file) if settings.keep_float else []
    for name in settings.keep_float:
        if name not in known:
            near = did_you_mean(name, known)
            raise UsageError(f"--keep-float must name layers of the network. Received: {name!r}{near and '.'}{near}")


def _tflite_files(settings: ExportSettings, run: Run) -> list[TFLiteOptions]:
    """Return the TFLite files of `run`. Raises UsageError for what its network cannot have."""
    batch = None if settings.dynamic_batch else settings.batch or 1
    request = TFLiteRequest(settings.io, batch, settings.keep_float, is_qat(run))
    files = with_engine(request.build(settings.quantize) if settings.asks_tflite else [], settings.engine)
    files = with_scales_per_tensor(files) if settings.per_tensor else files
    files = with_ranges(files, settings.ranges)
    return files + with_nms_variants(files, run.spec().task) if settings.with_nms else files


def is_qat(run: Run) -> bool:
    """Return whether `run` was trained with 8 bits."""
    return run.spec().compress.is_qat
