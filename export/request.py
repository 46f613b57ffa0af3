"""Requests for an export, the files that they ask for, and the result."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.errors import ExportError, KresnetError
from keras_resnet.export.calibration import DEFAULT_IMAGES
from keras_resnet.export.formats import get_format
from keras_resnet.export.formats.base import Format
from keras_resnet.export.tflite_options import TFLiteOptions
from keras_resnet.export.verdict import Budget, Verdict
from keras_resnet.run import Run


@dataclass(frozen=True)
class ExportFile:
    """One file to export. options: of the TFLite file that it is or holds, None for other formats."""

    format: Format
    options: TFLiteOptions | None = None

    @property
    def name(self) -> str:
        """The name of the file or folder."""
        return self.format.file_name(self.options)

    @property
    def needs_calibration(self) -> bool:
        """Whether ranges of activations have to be measured."""
        return self.options is not None and self.options.scheme.needs_calibration

    @property
    def is_integer(self) -> bool:
        """Whether no tensor may be of a floating-point type."""
        return self.options is not None and self.options.is_integer


@dataclass(frozen=True)
class ExportRequest:
    """What to export. tflite: options of each TFLite file. formats: names of others, of `FORMATS`. max_drop: a
    fraction, 0.01 is one point. samples: how many validation images a file is verified on, None for all.
    require_proof: see `Budget`."""

    tflite: tuple[TFLiteOptions, ...] = ()
    formats: tuple[str, ...] = ()
    max_drop: float = 0.01
    calibration_folder: str | None = None
    calibration_images: int = DEFAULT_IMAGES
    samples: int | None = None
    require_proof: bool = False

    @property
    def budget(self) -> Budget:
        """What each file may lose."""
        return Budget(self.max_drop, self.require_proof)

    def files(self, run: Run) -> list[ExportFile]:
        """Return the files to export of `run`."""
        tflite, others = get_format("tflite"), map(get_format, self.formats)
        return [
            *(ExportFile(tflite, options) for options in self.tflite),
            *(ExportFile(each, each.options(is_qat(run))) for each in others),
        ]

    def require_installed(self) -> None:
        """Raise UsageError unless the packages that the files need are installed."""
        for name in self.formats:
            get_format(name).require_installed()
        for options in self.tflite:
            options.engine.require_installed()


@dataclass(frozen=True)
class ExportResult:
    """verdicts: on the files that could be made. failures: why the others could not, by their names."""

    verdicts: list[Verdict]
    failures: dict[str, KresnetError]

    def require_all(self) -> list[Verdict]:
        """Return the verdicts. Raises ExportError, naming each, where files could not be made; of one alone its own
        error."""
        if len(self.failures) == 1 and not self.verdicts:
            raise next(iter(self.failures.values()))
        if self.failures:
            raise ExportError(self.failure_message)
        return self.verdicts

    @property
    def failure_message(self) -> str:
        """Which files could not be made, and why."""
        return "could not make " + "; ".join(f"{name}: {error}" for name, error in self.failures.items())


def is_qat(run: Run) -> bool:
    """Return whether `run` was trained with 8 bits."""
    return run.spec().compress.is_qat
