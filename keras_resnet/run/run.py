"""Read and write a run: a folder that training fills and every later stage reads."""

from __future__ import annotations

import datetime
import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from keras_resnet.atomic_write import describe_error
from keras_resnet.config.section import flatten
from keras_resnet.config.spec import Spec
from keras_resnet.errors import RunError, UsageError, did_you_mean
from keras_resnet.metrics.outcome import ACCEPTED
from keras_resnet.progress import Log, log_once
from keras_resnet.progress import log as log_message
from keras_resnet.run.calibration_documents import (
    CalibrationDocument,
    ThresholdDocument,
    parse_calibration,
    parse_thresholds,
)
from keras_resnet.run.description import default_run_name, describe_network, package_versions
from keras_resnet.run.documents import (
    LOG_COLUMNS,
    Analysis,
    DataChange,
    Diagnosis,
    Fingerprint,
    MetricsDocument,
    RobustnessDocument,
    RunDocument,
    RunRecords,
    describe_inconsistency,
)
from keras_resnet.run.folders import create_run_folder, describe_no_runs, is_alive
from keras_resnet.run.lock import LOCK_NAME, find_lock_holder, lock_run
from keras_resnet.run.model_file import require_model
from keras_resnet.run.reading import parse_json, parse_log, parse_verdicts, read_bytes, read_text
from keras_resnet.run.run_files import RunFiles
from keras_resnet.run.verdict_documents import UnverifiedRow
from keras_resnet.run.verified_files import has_changed, has_other_size
from keras_resnet.runtime.confidence import UNCALIBRATED, Confidence
from keras_resnet.runtime.missing_files import looks_like_file
from keras_resnet.runtime.plurals import counted

T = TypeVar("T")
# 3: the words of JSON files and of the spec are the field's.
FORMAT = 3
# What a run's spec has decided, see `resolve.resolve`.
DECIDED = (
    "data.image_size",
    "data.resize",
    "training.batch_size",
    "training.checkpoint_every",
    "optimizer.warmup_epochs",
)


@dataclass(frozen=True)
class Run(RunFiles):
    """One run folder. Its files may not exist yet."""

    @property
    def is_finished(self) -> bool:
        """Whether training has ended and the model is there."""
        return self.model_file.is_file()

    @property
    def is_ended_early(self) -> bool:
        """Whether a search ended the training for better ones, and nobody has resumed it."""
        return self.ended_early_file.is_file()

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a training state to resume from."""
        return any(self.checkpoints.glob("step-*.json"))

    @classmethod
    def create(
        cls,
        home: Path,
        spec: Spec,
        classes: tuple[str, ...],
        name: str | None = None,
        records: RunRecords | None = None,
    ) -> Run:
        """Create a run folder holding `spec`, labels and `records`. Raises UsageError if `name` is taken. It appears
        under its name with all of that in it, or not at all; an empty folder takes no name.
        """
        document = {
            "format": FORMAT,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
            "versions": package_versions(),
            "spec": asdict(spec),
            **(records or {}),
        }
        with create_run_folder(home, default_run_name(spec), name) as made:
            hidden = cls(made.hidden)
            hidden.write_text(hidden.labels_file, "".join(f"{label}\n" for label in classes))
            hidden.write_json(hidden.spec_file, document)
        assert made.folder is not None
        return cls(made.folder)

    @classmethod
    def find(cls, home: Path, name: str | None = None) -> Run:
        """Find the run called `name` in `home` (or a path to its folder), or the newest one but for those that a search
        ended early.

        Raises RunError if there is none, naming the nearest.
        """
        known = cls.all(home)
        if name is None:
            if not known:
                raise RunError(describe_no_runs(home))
            return next((run for run in known if not run.is_ended_early), known[0])
        for folder in (home / name, Path(name)):
            if (folder / "spec.json").is_file():
                return cls(folder)
        suggestion = did_you_mean(name, [run.name for run in known])
        is_missing_file = looks_like_file(name) and not Path(name).exists()
        what = f"there is no file or folder {name}, and " if is_missing_file else ""
        raise RunError(f"{what}no run called {name!r} in {home}.{suggestion} List them with: kresnet runs")

    @classmethod
    def containing(cls, file: Path) -> Run | None:
        """Find the run among whose exports, or rejected ones, `file` is."""
        runs = [cls(folder) for folder in file.resolve().parents[1:3]]
        return next((run for run in runs if run.spec_file.is_file() and run.exports in file.resolve().parents), None)

    @classmethod
    def all(cls, home: Path) -> list[Run]:
        """List every readable run in `home`, newest first."""
        runs = [cls(file.parent) for file in home.glob("[!.]*/spec.json")]
        return sorted(runs, key=lambda run: run._created(), reverse=True)

    def spec(self) -> Spec:
        """Read the saved spec. Raises RunError if the file cannot be read, or leaves open what a run has decided."""
        try:
            spec = Spec.from_dict(self.document()["spec"])
            spec = replace(spec, data=spec.data.with_earlier_defaults())
            settled = flatten(asdict(spec))
            if undecided := [key for key in DECIDED if settled[key] is None]:
                raise UsageError(f"{undecided[0]} is null, which a run has decided")
            return spec
        except UsageError as error:
            raise self._unreadable(self.spec_file, f"it is not a spec: {error}") from error

    def document(self) -> RunDocument:
        """Read all of spec.json. Raises RunError if it is not a JSON object or of another format."""
        document = self._read(self.spec_file, RunDocument)
        if document["format"] != FORMAT:
            made_by = document["versions"].get("kresnet", "another version")
            raise self._unreadable(
                self.spec_file,
                f"it is of format {document['format']}, and this version reads format {FORMAT}; use kresnet {made_by},"
                " which made it, or train again",
            )
        return document

    def classes(self) -> tuple[str, ...]:
        """Read the labels, in the order of the logits. Raises RunError if they cannot be read."""
        try:
            labels = read_text(self.labels_file).removesuffix("\n").split("\n")
        except (OSError, ValueError) as error:
            raise self._unreadable(self.labels_file, describe_error(error)) from error
        if not all(labels) or len(set(labels)) < len(labels):
            raise self._unreadable(self.labels_file, "it has an empty line, or a label twice")
        return tuple(labels)

    def require_labels(self, labels: tuple[str, ...]) -> None:
        """Raise RunError unless the `labels` of data are those that the run was trained on."""
        if labels != self.classes():
            raise RunError(f"the data no longer has the labels that run {self.name} was trained on")

    def require_finished(self) -> None:
        """Raise RunError unless training has ended and the model can be one of this run. Removes what a training that
        was killed at its very end has left."""
        if not self.is_finished:
            finished = next((run for run in Run.all(self.folder.parent) if run.is_finished), None)
            newest = f" (the newest finished run: {finished.name})" if finished else ""
            if trainer := self.find_trainer():
                raise RunError(f"run {self.name} is still training, by {trainer}; wait until it has finished{newest}")
            why = ", because a search ended its training early" if self.is_ended_early else ""
            raise RunError(
                f"run {self.name} has no finished model{why}; continue it with: kresnet train --resume"
                f" {self.name}{newest}"
            )
        self.remove_leftovers()
        require_model(self.model_file, self.spec().data.input_shape)

    @property
    def network_summary(self) -> str:
        """The network, and what compression made of it."""
        return describe_network(self.spec())

    def metrics(self) -> MetricsDocument:
        """Read the finished model's metrics: {"split", "metric", "value", "samples"}."""
        return self._read(self.metrics_file, MetricsDocument)

    def analysis(self) -> Analysis:
        """Read what the finished model gets right and wrong. Raises RunError where it is missing or damaged."""
        again = f"make it with: kresnet report {self.name} --again"
        if not self.analysis_file.is_file():
            raise RunError(f"run {self.name} has no {self.analysis_file.name}, which its report is made of; {again}")
        count = len(self.classes())
        try:
            analysis = self._read(self.analysis_file, Analysis)
            matrix = analysis.get("confusion")
            sides = {count} if matrix is None else {len(matrix), *map(len, matrix)}
            if sides not in ({count}, {count + 1}):  # with the background
                words = f"confusion is not a row and a column for each of {counted(count, 'label')}"
                raise self._unreadable(self.analysis_file, words)
            return analysis
        except RunError as error:
            raise RunError(f"{error}; {again}") from error

    def diagnosis(self, log: Log = log_message) -> Diagnosis | None:
        """Read what each layer loses in 8 bits; None before kresnet diagnose. One that cannot be read is left out, and
        `log` says why."""
        return self._read_part(self.diagnosis_file, Diagnosis, log)

    def robustness(self, log: Log = log_message) -> RobustnessDocument | None:
        """Read how the model and its files do on corrupted images; None before kresnet robustness. One that cannot be
        read is left out, and `log` says why."""
        document = self._read_part(self.robustness_file, RobustnessDocument, log)
        if document and (why := describe_inconsistency(document)):
            log(f"left out of the report: {self._unreadable(self.robustness_file, why)}")
            return None
        return document

    def calibration(self) -> CalibrationDocument | None:
        """Read what `kresnet calibrate` fitted to a classifier; None before it. Raises RunError if that is damaged."""
        return None if self._lists_objects else self._read_fitted(parse_calibration)

    def score_thresholds(self) -> ThresholdDocument | None:
        """Read what `kresnet calibrate` fitted to a detector; None before it. Raises RunError if that is damaged."""
        return self._read_fitted(partial(parse_thresholds, classes=self.classes())) if self._lists_objects else None

    def confidence(self) -> Confidence:
        """Return the temperature and the rule for unknown images, or the score thresholds; UNCALIBRATED before `kresnet
        calibrate`. Raises RunError if they cannot be read."""
        document = self.score_thresholds() if self._lists_objects else self.calibration()
        return UNCALIBRATED if document is None else Confidence.from_dict(document)

    @property
    def _lists_objects(self) -> bool:
        from keras_resnet.tasks import TASKS  # imports NumPy, which --help does without

        return TASKS[self.spec().task].lists_objects()

    def _read_fitted(self, parse: Callable[[bytes], T]) -> T | None:
        """Read confidence.json, if it is there."""
        if not self.confidence_file.is_file():
            return None
        try:
            return parse(read_bytes(self.confidence_file))
        except (OSError, ValueError) as error:
            why = self._unreadable(self.confidence_file, describe_error(error))
            raise RunError(
                f"{why}; make it again with: kresnet calibrate {self.name}; or do without it: --forget removes it"
            ) from error

    def _read_part(self, file: Path, document_type: type[T], log: Log) -> T | None:
        """Read a part of the report that there need not be."""
        if not file.is_file():
            return None
        try:
            return self._read(file, document_type)
        except RunError as error:
            log(f"left out of the report: {error}")
            return None

    def summary(self, log: Log = log_message) -> dict[str, Any]:
        """Return one row of the list of runs. The state of a run that cannot be read says so, and `log` says why."""
        row: dict[str, Any] = dict.fromkeys(("created", "network", "data", "epochs", "metric", "value"))
        row.update(run=self.name, folder=str(self.folder), state="unfinished", exports=[])
        try:
            spec = self.spec()
            row.update(created=self._created()[:19], network=describe_network(spec), data=spec.data.source)
            row["epochs"] = f"{len(self.read_log(log))}/{spec.training.epochs}"
            passed = [each for each in self.own_rows(log) if each["verdict"] in ACCEPTED]
            row["exports"] = [each["file"] for each in passed if not has_other_size(each, self._file_of(each))]
            if self.is_ended_early:
                row["state"] = "ended early"
            if not self.is_finished and self.find_trainer():
                row["state"] = "training"
            if self.is_finished:
                metrics = self.metrics()
                row.update(state="finished", metric=metrics["metric"], value=metrics["value"])
        except (RunError, OSError) as error:
            log(str(error))
            row["state"] = "unreadable"
        return row

    def read_log(self, log: Log = log_message) -> list[dict[str, Any]]:
        """Read the epochs logged so far. Rows that cannot be read, such as one that was being written when the machine
        stopped, are left out, and `log` says why."""
        if not self.log_file.is_file():
            return []
        from keras_resnet.tasks import TASKS  # imports NumPy, which --help does without

        names = TASKS[self.spec().task].train_metric_names
        columns = (*LOG_COLUMNS, *(prefix + name for name in names for prefix in ("", "val_")))
        return self._read_rows(self.log_file, lambda content: parse_log(content, columns), log)

    def verdicts(self, log: Log = log_message) -> list[dict[str, Any]]:
        """Read the verdicts on the exported files; empty before the first export. Rows that cannot be read are left
        out, and those on files that have changed since; `log` says why, of changed files once."""
        current = []
        for row in self.own_rows(log):
            if has_changed(row, self._file_of(row)):
                log_once(self.describe_changed(row["file"]), log)
            else:
                current.append(row)
        return current

    def device_verdicts(self, log: Log = log_message) -> list[dict[str, Any]]:
        """Read the verdicts on the exported files on devices; empty where none was run on one. Of the same files."""
        return [row for row in self.verdict_rows(log) if "device" in row and not has_changed(row, self._file_of(row))]

    def changed_files(self) -> list[str]:
        """List the exported files that are not those that were verified any more, by their names in verdicts.json: they
        have no verdict."""
        rows = self.own_rows(lambda message: None)
        return [row["file"] for row in rows if has_changed(row, self._file_of(row))]

    def describe_changed(self, name: str, run: str | None = None) -> str:
        """Say that the exported file `name` has no verdict any more, and what to type. run: the name of the run there;
        None for its folder, which is found from anywhere."""
        target = shlex.quote(run or str(self.folder))
        return f"{name} is not the file that was verified (it has changed since): kresnet verify {target}"

    def verdict_rows(self, log: Log = log_message) -> list[dict[str, Any]]:
        """Read all verdicts, those on devices and on files that have changed among them."""
        if not self.verdicts_file.is_file():
            return []
        return self._read_rows(self.verdicts_file, parse_verdicts, log)

    def own_rows(self, log: Log = log_message) -> list[dict[str, Any]]:
        """Read the verdicts of this machine, those on files that have changed among them."""
        return [row for row in self.verdict_rows(log) if "device" not in row]

    def _file_of(self, row: Mapping[str, Any]) -> Path:
        return self.exports / str(row["file"])

    def unverified(self) -> list[UnverifiedRow]:
        """Read which exported files have no verdict, as this machine cannot run them."""
        return self._read(self.unverified_file, list[UnverifiedRow]) if self.unverified_file.is_file() else []

    def _read_rows(
        self, file: Path, parse: Callable[[bytes], tuple[list[dict[str, Any]], list[str]]], log: Log
    ) -> list[dict[str, Any]]:
        try:
            rows, troubles = parse(read_bytes(file))
        except (OSError, ValueError) as error:
            raise self._unreadable(file, f"{describe_error(error)}{self._describe_repair(file)}") from error
        if troubles:
            count = len(troubles) + len(rows)
            log(f"left out {len(troubles)} of {counted(count, 'row')} of {file}, which cannot be read: {troubles[0]}")
        return rows

    def record_data_change(self, change: DataChange, data: Mapping[str, Fingerprint]) -> None:
        """Write to spec.json that the run goes on with other `data`, and what changed."""
        document = self.document()
        changes = [*document.get("changes", ()), change]
        self.write_json(self.spec_file, {**document, "data": dict(data), "changes": changes})

    def find_trainer(self) -> str | None:
        """Return which process trains this run; None where none does."""
        return find_lock_holder(self.folder)

    def lock_for_training(self) -> AbstractContextManager[Callable[[], bool]]:
        """Keep other trainings out of this run; see `lock.lock_run`."""
        return lock_run(self.folder)

    def remove_training_state(self) -> None:
        """Remove the training state: the model is finished."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)

    @property
    def has_leftover_state(self) -> bool:
        """Whether the training was killed after its model was written, before its state was removed."""
        return self.is_finished and (self.checkpoints.exists() or self.best.exists())

    def remove_leftovers(self, own: bool = False) -> None:
        """Remove what a killed training has left, unless one is under way that is not the caller's `own`. What cannot
        be removed, in a folder that may only be read, stays."""
        if not own and find_lock_holder(self.folder) is not None:
            return
        names = {file.name for file in self.written_whole}
        with suppress(OSError):
            for left in self.folder.glob(".*-*"):
                process, _, name = left.name[1:].partition("-")
                if process.isdecimal() and name in names and (own or not is_alive(int(process))):
                    left.unlink(missing_ok=True)
            if self.is_finished and not own:
                self.remove_training_state()
                (self.folder / LOCK_NAME).unlink(missing_ok=True)

    def _read(self, path: Path, document_type: type[T]) -> T:
        """Read a JSON file. Raises RunError if there is none, or what it holds is no `document_type`."""
        try:
            return parse_json(document_type, read_bytes(path))
        except (OSError, ValueError) as error:
            raise self._unreadable(path, describe_error(error)) from error

    def _unreadable(self, path: Path, why: str) -> RunError:
        return RunError(f"run {self.name} is unreadable: {path}: {why}")

    def _describe_repair(self, file: Path) -> str:
        """Return what to do about a damaged `file` that a command can write again; "" for others."""
        if file != self.verdicts_file:
            return ""
        return f". Remove it, and write the files with their verdicts again: kresnet export {self.name}"

    def _created(self) -> str:
        try:
            return self.document()["created"]
        except RunError:
            return ""
