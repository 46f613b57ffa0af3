"""The export of a finished run: convert, label, verify, and only then put in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.compression.plan import find_uncompressed_run
from keras_resnet.data.dataset import TRAINING_SPLITS
from keras_resnet.data.load import DatasetSplits
from keras_resnet.errors import DataError, ExportError, KresnetError
from keras_resnet.evaluation.evaluate import load_model
from keras_resnet.export.artifacts import write_artifacts
from keras_resnet.export.calibration import Calibration, build_calibration, measure_convergence
from keras_resnet.export.convert import CONVERTER, converting
from keras_resnet.export.formats.base import Conversion
from keras_resnet.export.kept_verdicts import keep_verdict
from keras_resnet.export.request import ExportFile, ExportRequest, ExportResult
from keras_resnet.export.unverified import UnverifiedFile, keep_unverified
from keras_resnet.export.verdict import Budget, Verdict
from keras_resnet.export.verify import Reference
from keras_resnet.export.writing import Placement, Writing, remove_path, replace_path, verify_and_place
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.result import Evaluation
from keras_resnet.progress import Log, show_activity
from keras_resnet.run import Run
from keras_resnet.run.description import package_versions
from keras_resnet.run.training_data import load_training_data
from keras_resnet.runtime.metadata import ModelMetadata
from keras_resnet.runtime.plurals import counted
from keras_resnet.runtime.temporary_files import remove_leftovers
from keras_resnet.tasks.metadata import build_metadata

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ExportContext:
    """All that every file of one run needs. model_file: what is converted, which is the run's own model or one that
    computes the same. calibration: or why there is none."""

    run: Run
    model_file: Path
    data: DatasetSplits
    reference: Reference
    calibration: Calibration | DataError | None
    budget: Budget
    log: Log
    ranges_check: RangesCheck | None = None

    @classmethod
    def prepare(cls, run: Run, request: ExportRequest, log: Log) -> ExportContext:
        """Open the data and evaluate the Keras model. Raises RunError unless the run has finished."""
        run.require_finished()
        request.require_installed()
        require_writable(run.exports)
        run.verdict_rows()  # which those of the new files are put beside
        remove_leftovers(run.exports)
        files = request.files(run)
        CONVERTER.prepare(run.model_file, ((each.format, each.options) for each in files))  # meanwhile
        with show_activity("opening the data and the Keras model"):
            data = load_run_data(run, log)
            model = load_model(run)
            calibration = _calibrate(run, data, request)
            reference, origin = Reference.from_run(run, data, request.samples, model), find_uncompressed_run(run)
        evaluation = reference.evaluation
        compressed = f"; compressed, of {run.name}: {reference.own_evaluation.value:.2%}" if origin != run else ""
        if origin == run and run.spec().compress.is_qat:
            compressed = "; trained with 8 bits from its start, so that there is no float model to compare files with"
        log(
            f"the Keras model of {origin.name}: {metric_label(evaluation.metric)} {evaluation.value:.2%} of"
            f" {counted(evaluation.samples, 'validation image')}{compressed}"
        )
        ranges_check = RangesCheck(run, model, calibration) if isinstance(calibration, Calibration) else None
        return cls(run, run.model_file, data, reference, calibration, request.budget, log, ranges_check)

    @contextmanager
    def refresh_artifacts(self) -> Iterator[None]:
        """Bring what stands beside the files up to their verdicts afterwards, once, also where one of them failed or
        the export was interrupted."""
        try:
            yield
        except (KresnetError, KeyboardInterrupt, SystemExit):
            self._write_artifacts()
            raise
        self._write_artifacts()

    def _write_artifacts(self) -> None:
        if self.run.verdict_rows() or self.run.unverified():
            write_artifacts(self.run, self.reference)

    def require_calibration(self) -> Calibration:
        """Return what a file with integer activations needs. Raises DataError where it cannot be had."""
        if isinstance(self.calibration, DataError):
            raise self.calibration
        assert self.calibration is not None
        return self.calibration

    def export_all(self, request: ExportRequest) -> ExportResult:
        """Write, verify and place what is asked for, each file while the one before is verified. A file that cannot be
        made keeps no other one from being written, nor does what cannot be written beside them hide their verdicts."""
        result = ExportResult()
        try:
            with self.refresh_artifacts(), closing(self._write(request.files(self.run), result)) as written:
                for writing in written:
                    try:
                        if writing.writer.file.format.runs_here:
                            result.verdicts.append(self._verify(writing))
                        else:
                            result.unverified.append(self._place_unverified(writing))
                    except KresnetError as error:
                        result.failures[writing.writer.file.name] = error
        except KresnetError as error:
            result.unwritten.append(error)
        except (KeyboardInterrupt, SystemExit):
            self._log_finished(result)
            raise
        return result

    def _log_finished(self, result: ExportResult) -> None:
        """Log which files of an interrupted export are finished."""
        if names := [*(each.file for each in result.verdicts), *(each.file for each in result.unverified)]:
            self.log(f"finished before the interruption: {', '.join(names)}")

    def export(self, file: ExportFile) -> Verdict:
        """Write, verify and place one file, and keep its verdict."""
        with self._begin(file) as writing:
            self._finish_ranges_check()
            return self._verify(writing)

    def _finish_ranges_check(self) -> None:
        if self.ranges_check:
            self.ranges_check.finish(self.log)

    def _begin(self, file: ExportFile) -> Writing:
        return Writing(RunWriter(self, file), self.run.exports / file.name)

    def _write(self, files: Sequence[ExportFile], result: ExportResult) -> Generator[Writing]:
        """Yield each file when it is written, or cannot be, and the next one has been begun."""
        following = self._begin(files[0])
        try:
            for number, file in enumerate(files, 1):
                with following as writing, show_activity(f"exporting {file.name}, file {number} of {len(files)}"):
                    try:
                        self._finish_ranges_check()
                    except KresnetError as error:
                        result.unwritten.append(error)
                    writing.wait()
                    if number < len(files):
                        following = self._begin(files[number])
                    yield writing
        finally:
            following.close()

    def _verify(self, writing: Writing) -> Verdict:
        """Verify and place one file, and keep its verdict."""
        exports, name = self.run.exports, writing.writer.file.name
        writing.require_written()
        self.log(f"verifying {name} on {counted(self.reference.evaluation.samples, 'validation image')}")
        verdict = verify_and_place(writing, Placement(exports / name, self.run.rejected / name), self.reference)
        verdict = replace(verdict, file=str(Path(verdict.file).relative_to(exports)))
        with _removed_on_error(exports / verdict.file):
            keep_verdict(self.run, verdict)
        return verdict

    def _place_unverified(self, writing: Writing) -> UnverifiedFile:
        """Place one file that this machine cannot run."""
        file = writing.writer.file
        writing.require_written()
        replace_path(self.run.exports / file.name, writing.file)
        scheme = str(file.format.provenance(file.options)["scheme"])
        with _removed_on_error(self.run.exports / file.name):
            written = UnverifiedFile.describe(self.run, file.name, scheme, file.format)
            keep_unverified(self.run, [written])
        return written


@contextmanager
def _removed_on_error(file: Path) -> Iterator[None]:
    """Remove `file` where its verdict cannot be kept: it must not stand there without one."""
    try:
        yield
    except KresnetError:
        remove_path(file)
        raise


def export(run: Run, request: ExportRequest, log: Log) -> list[Verdict]:
    """Write what is asked for of `run` and return the verdicts.

    A file within the budget stands in `exports/`; one that lost more in `exports/rejected/`. verdicts.json is written
    in either case, after each file. Raises RunError, DataError or ExportError; the latter too where only some of the
    files could be made, after these.
    """
    return export_files(run, request, log).require_all()


def export_files(run: Run, request: ExportRequest, log: Log) -> ExportResult:
    """Do the same, where a file that cannot be made keeps no other one from being written."""
    return ExportContext.prepare(run, request, log).export_all(request)


def load_run_data(run: Run, log: Log) -> DatasetSplits:
    """Return the data that `run` was trained on, as they are now: `Reference.from_run` tells what changed. Raises
    RunError if its labels have."""
    data = load_training_data(run, log, TRAINING_SPLITS)
    run.require_labels(data.classes)
    return data


def require_writable(folder: Path) -> None:
    """Make `folder` unless it is there. Raises ExportError where files cannot be written to it."""
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot write to {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise ExportError(f"cannot write to {folder}: Permission denied")


def _calibrate(run: Run, data: DatasetSplits, request: ExportRequest) -> Calibration | DataError | None:
    """Return what files with integer activations need, or why it cannot be had.

    Raises DataError for a folder of calibration images that cannot be used: that is what was asked for.
    """
    folder = request.calibration_folder
    if not any(file.needs_calibration for file in request.files(run)):
        return None
    try:
        return build_calibration(data, folder, request.calibration_images)
    except DataError as error:
        if folder:
            raise
        return error


class RangesCheck:
    """Whether a calibration has images enough, by what the second half of them did to the ranges of the layers. That
    takes a while and no file waits for it, so it is done while the first one is converted."""

    def __init__(self, run: Run, model: keras.Model, calibration: Calibration) -> None:
        self._run, self._calibration = run, calibration
        self._model: keras.Model | None = model

    def finish(self, log: Log) -> None:
        """Measure it, log it and keep it in calibration.json; again, it does nothing."""
        model, self._model, calibration = self._model, None, self._calibration
        if model is None:
            return
        ranges = measure_convergence(model, calibration)
        log(
            f"calibration: {counted(len(calibration.images), 'image')} ({calibration.source}, plus black and white);"
            f" the second half of them widened the layers' ranges by {ranges.median:.1%} (median; at most"
            f" {ranges.largest:.1%}, in {ranges.layer}). Near 0%, more images would change little"
        )
        document = {"images": len(calibration.images), "source": calibration.source, "sha256": calibration.sha256}
        self._run.write_json(self._run.exports / "calibration.json", {**document, "convergence": asdict(ranges)})


@dataclass(frozen=True)
class RunWriter:
    """Writes one file of a run."""

    context: ExportContext
    file: ExportFile

    @property
    def budget(self) -> Budget:
        """What the file may lose."""
        return self.context.budget

    def writing(self, target: Path) -> AbstractContextManager[Callable[[], None]]:
        """Write the file to `target` during the block: see `Writer`."""
        context, file = self.context, self.file
        context.log(f"writing {file.name}")
        calibration = context.require_calibration() if file.needs_calibration else None
        images = calibration.images if calibration else None
        conversion = Conversion(self._metadata(calibration), file.options, images)
        log = context.run.exports / f"{Path(file.name).stem}.log"
        return converting(context.model_file, file.format, conversion, target, log)

    def _metadata(self, calibration: Calibration | None) -> ModelMetadata:
        context = self.context
        run, spec, data = context.run, context.run.spec(), context.data
        normalization = spec.data.normalization
        provenance = {
            "run": run.name,
            "normalization": {
                "mean": normalization.mean,
                "std": normalization.std,
                "applied": "by the model itself, to raw pixels",
            },
            **build_provenance(self.file, data, context.reference.evaluation, calibration),
        }
        outputs = context.reference.task.output_metadata()
        return build_metadata(data.classes, data, provenance, outputs)


def build_provenance(
    file: ExportFile, data: DatasetSplits, evaluation: Evaluation, calibration: Calibration | None
) -> dict[str, object]:
    """Return what any file says of where it comes from: of a model that has `evaluation` on `data`."""
    return {
        **file.format.provenance(file.options),
        "data": data.name,
        "versions": package_versions(),
        "keras_model": evaluation.metrics.values,
        "validation_images": evaluation.samples,
        "calibration_sha256": calibration.sha256 if calibration else None,
    }
