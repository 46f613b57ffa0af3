"""From a finished run to files with verdicts: convert, label, prove, and only then put in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from keras_resnet.compression.plan import find_uncompressed_run
from keras_resnet.data.dataset import TRAINING_SPLITS
from keras_resnet.data.load import DatasetSplits, load_dataset
from keras_resnet.errors import DataError, ExportError, KresnetError, RunError, UsageError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export import convert
from keras_resnet.export.artifacts import write_folder
from keras_resnet.export.calibration import WANTED, Calibration, calibration_of, convergence
from keras_resnet.export.formats.litert_quantizer import require_litert
from keras_resnet.export.tflite_metadata import write_card
from keras_resnet.export.tflite_options import LITERT, SCHEMES, TFLiteOptions
from keras_resnet.export.verify import Reference, Verdict, verify
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import Log
from keras_resnet.run import Run
from keras_resnet.run.description import package_versions
from keras_resnet.runtime.c_array import write_c_array
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.temporary_files import remove_leftovers
from keras_resnet.tasks import get_task

C_ARRAY = "c-array"
# What a microcontroller takes.
FOR_C = {learned: TFLiteOptions(SCHEMES["qat" if learned else "int8"], "int8") for learned in (False, True)}
FILE_NAMES = {convert.SAVED_MODEL: "saved_model", convert.ONNX: "model.onnx", C_ARRAY: "c_array"}


@dataclass(frozen=True)
class ExportRequest:
    """What to export. forms: TFLite files. others: of FILE_NAMES. max_drop: a share, 0.01 is one point.
    samples: how many validation images judge a file; None for all. require_proof: whether a file fails whose drop is
    not proven to be within max_drop."""

    forms: tuple[TFLiteOptions, ...] = ()
    others: tuple[str, ...] = ()
    max_drop: float = 0.01
    calibration_folder: str | None = None
    calibration_images: int = WANTED
    samples: int | None = None
    require_proof: bool = False


@dataclass(frozen=True)
class Exported:
    """verdicts: on the files that could be made. failures: why the others could not, by their names."""

    verdicts: list[Verdict]
    failures: dict[str, KresnetError]

    def require_all(self) -> list[Verdict]:
        """The verdicts. Raises ExportError, naming each, where files could not be made; of one alone its own error."""
        if len(self.failures) == 1 and not self.verdicts:
            raise next(iter(self.failures.values()))
        if self.failures:
            raise ExportError(self.words)
        return self.verdicts

    @property
    def words(self) -> str:
        """Which files could not be made, and why."""
        return "could not make " + "; ".join(f"{name}: {error}" for name, error in self.failures.items())


@dataclass(frozen=True)
class ExportContext:
    """All that every file of one run needs. model_file: what is converted, which is the run's own model or one that
    computes the same. calibration: or why there is none."""

    run: Run
    model_file: Path
    data: DatasetSplits
    reference: Reference
    calibration: Calibration | DataError | None
    max_drop: float
    require_proof: bool


def export(run: Run, wanted: ExportRequest, log: Log) -> list[Verdict]:
    """Write what is `wanted` of the run and return the verdicts.

    A file within the budget stands in `exports/`; one that lost more in `exports/rejected/`. verdicts.json is written
    in either case, after each file. Raises RunError, DataError or ExportError; the latter too where only some of the
    files could be made, after these.
    """
    return export_each(run, wanted, log).require_all()


def export_each(run: Run, wanted: ExportRequest, log: Log) -> Exported:
    """The same, where a file that cannot be made keeps no other one from being written."""
    run.require_finished()
    if convert.ONNX in wanted.others:
        from keras_resnet.export.formats.onnx import require_onnx

        require_onnx()
    if any(form.engine == LITERT for form in wanted.forms):
        require_litert()
    work = prepare(run, wanted, log)
    done = Exported([], {})
    artifacts: list[TFLiteOptions | str] = [*wanted.forms, *wanted.others]
    with refresh_artifacts(work):
        for artifact in artifacts:
            try:
                done.verdicts.append(export_one(work, artifact, log))
            except KresnetError as error:
                done.failures[file_name_of(artifact)] = error
    return done


@contextmanager
def refresh_artifacts(work: ExportContext) -> Iterator[None]:
    """What stands beside the files is brought up to their verdicts afterwards, once, also where one of them failed."""
    try:
        yield
    except KresnetError:
        _write_folder(work)
        raise
    _write_folder(work)


def _write_folder(work: ExportContext) -> None:
    if work.run.verdicts():
        write_folder(work.run, work.reference)


def prepare(run: Run, wanted: ExportRequest, log: Log) -> ExportContext:
    """Open the data, calibrate, and evaluate the Keras model."""
    require_writable(run.exports)
    run.verdicts()  # which those of the new files are put beside
    remove_leftovers(run.exports)
    data = data_of(run, log)
    calibration = _calibration(run, data, wanted, log)
    reference, origin = Reference.of(run, data, wanted.samples), find_uncompressed_run(run)
    compressed = f"; compressed, of {run.name}: {reference.own.value:.2%}" if origin != run else ""
    log(
        f"the Keras model of {origin.name}: {reference.answered.value:.2%} of"
        f" {counted(reference.answered.samples, 'validation image')}{compressed}"
    )
    return ExportContext(run, run.model_file, data, reference, calibration, wanted.max_drop, wanted.require_proof)


def is_learned(run: Run) -> bool:
    """Whether `run` was trained with 8 bits."""
    return run.spec().compress.is_qat


def data_of(run: Run, log: Log) -> DatasetSplits:
    """The data that `run` was trained on, as they are now: `Reference.of` tells what changed. Raises RunError if its
    labels have."""
    data = load_dataset(run.spec().data, log, TRAINING_SPLITS)
    if data.classes != run.classes():
        raise RunError(f"the data no longer has the labels that run {run.name} was trained on")
    return data


def require_writable(folder: Path) -> None:
    """Make `folder` unless it is there. Raises ExportError where files cannot be written to it."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise ExportError(f"cannot write to {folder}: Permission denied")


def _calibration(run: Run, data: DatasetSplits, wanted: ExportRequest, log: Log) -> Calibration | DataError | None:
    """What files with integer activations need, or why it cannot be had; the ranges' convergence is told and kept.

    Raises DataError for a folder of calibration images that cannot be used: that is what was asked for.
    """
    forms = [*wanted.forms, *([FOR_C[is_learned(run)]] if C_ARRAY in wanted.others else [])]
    if not any(form.scheme.calibrated for form in forms):
        if wanted.calibration_folder:
            raise UsageError("--calibration-data is for int8 and int16x8 files, and none is asked for")
        return None
    try:
        calibration = calibration_of(data, wanted.calibration_folder, wanted.calibration_images)
    except DataError as error:
        if wanted.calibration_folder:
            raise
        return error
    found = convergence(load_model(run), calibration)
    log(
        f"calibration: {counted(len(calibration.images), 'image')} ({calibration.source}, plus black and white); with"
        f" all of them the layers' values span {found.median:.1%} more than with the first half (median; at most"
        f" {found.largest:.1%}, in {found.layer}): the less, the surer that they are enough"
    )
    document = {"images": len(calibration.images), "source": calibration.source, "sha256": calibration.digest}
    run.write_json(run.exports / "calibration.json", {**document, "convergence": found.__dict__})
    return calibration


def file_name_of(artifact: TFLiteOptions | str) -> str:
    """What its file is called."""
    return artifact.file_name if isinstance(artifact, TFLiteOptions) else FILE_NAMES[artifact]


def export_one(work: ExportContext, artifact: TFLiteOptions | str, log: Log) -> Verdict:
    """Write, prove and place one file, and keep its verdict."""
    file_name = file_name_of(artifact)
    exports = work.run.exports
    integer = artifact.integer if isinstance(artifact, TFLiteOptions) else artifact == C_ARRAY

    def write(target: Path) -> None:
        log(f"writing {file_name}")
        _write(work, artifact, target, exports / f"{Path(file_name).stem}.log")
        log(f"verifying {file_name} on {counted(work.reference.answered.samples, 'validation image')}")

    places = exports / file_name, work.run.rejected / file_name
    verdict = write_and_verify(write, places, work.reference, work.max_drop, integer, work.require_proof)
    verdict = replace(verdict, file=str(Path(verdict.file).relative_to(exports)))
    others = [row for row in work.run.verdicts() if Path(row["file"]).name != file_name]
    work.run.write_json(work.run.verdicts_file, [*others, verdict.as_dict()])
    return verdict


def write_and_verify(
    write: Callable[[Path], None],
    places: tuple[Path, Path],
    reference: Reference,
    max_drop: float,
    integer: bool,
    require_proof: bool = False,
) -> Verdict:
    """Let `write` make a file by a hidden name, judge it, and move it to the first of `places`, or to the second if it
    failed (see `verify`); what stood at either is gone. The verdict's `file` is where it stands."""
    good, bad = places
    staged = good.with_name(f".{os.getpid()}-{good.name}")
    try:
        write(staged)
        verdict = verify(staged, reference, max_drop=max_drop, integer=integer, require_proof=require_proof)
        place, former = (good, bad) if verdict.is_within else (bad, good)
        place.parent.mkdir(exist_ok=True)
        _remove(place)
        os.replace(staged, place)
        _remove(former)
    finally:
        _remove(staged)
    return replace(verdict, file=str(place))


def _write(work: ExportContext, artifact: TFLiteOptions | str, target: Path, log: Path) -> None:
    """Write `artifact` to `target`."""
    form = FOR_C[is_learned(work.run)] if artifact == C_ARRAY else artifact
    calibrated = isinstance(form, TFLiteOptions) and form.scheme.calibrated
    calibration = require_calibration(work) if calibrated else None
    card = _card(work, artifact, calibration)
    written = target.with_suffix(".staged") if artifact == C_ARRAY else target
    try:
        images = calibration.images if calibration else None
        convert.convert(work.model_file, form, card, images, written, log)
        if isinstance(form, TFLiteOptions):
            write_card(written, card, form.pixels_from)
        if artifact == C_ARRAY:
            write_c_array(written.read_bytes(), target)
    finally:
        if artifact == C_ARRAY:
            _remove(written)


def require_calibration(work: ExportContext) -> Calibration:
    """What a file with integer activations needs. Raises DataError where it cannot be had."""
    if isinstance(work.calibration, DataError):
        raise work.calibration
    assert work.calibration is not None
    return work.calibration


def _card(work: ExportContext, artifact: TFLiteOptions | str, calibration: Calibration | None) -> ModelMetadata:
    spec, data = work.run.spec(), work.data
    normalization = spec.data.normalization
    provenance = {
        "run": work.run.name,
        "normalization": {
            "mean": normalization.mean,
            "std": normalization.std,
            "applied": "by the model itself, to raw pixels",
        },
        **provenance_of(artifact, data, work.reference.answered, calibration),
    }
    return ModelMetadata(
        data.classes,
        data.resize,
        data.image_size,
        provenance,
        **get_task(spec, data.classes).output_metadata(),
        levels=data.levels,
    )


def provenance_of(
    artifact: TFLiteOptions | str, data: DatasetSplits, answered: Evaluation, calibration: Calibration | None
) -> dict[str, object]:
    """What any file says of where it comes from: of a model that `answered` on `data`."""
    return {
        "form": artifact.name if isinstance(artifact, TFLiteOptions) else artifact,
        "engine": artifact.engine if isinstance(artifact, TFLiteOptions) else None,
        "data": data.name,
        "versions": package_versions(),
        "keras_model": answered.metrics.values,
        "validation_images": answered.samples,
        "calibration_sha256": calibration.digest if calibration else None,
    }


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
