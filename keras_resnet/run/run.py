"""A run: a folder that training fills and every later stage reads. The only file that knows artifact names."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from keras_resnet.atomic_write import reason, writing
from keras_resnet.config.fields import flat
from keras_resnet.config.spec import Spec
from keras_resnet.errors import RunError, UsageError, did_you_mean
from keras_resnet.metrics.outcome import WITHIN
from keras_resnet.models.names import model_name
from keras_resnet.progress import Log
from keras_resnet.progress import log as tell
from keras_resnet.run import files
from keras_resnet.run.files import Diagnosis, Document, Findings, Fingerprint, Metrics
from keras_resnet.run.folders import is_alive, new_folder
from keras_resnet.run.lock import LOCK, holder, locked
from keras_resnet.runtime.image_files import readable_name
from keras_resnet.runtime.plurals import counted

T = TypeVar("T")
# 2: augment.flip alone says whether images are mirrored; files of a run are checked by more.
FORMAT = 2
PACKAGES = ("kresnet", "tensorflow", "keras", "tensorflow-datasets", "ai-edge-litert")
# What a run's spec has decided, see `resolve.resolve`.
DECIDED = (
    "data.image_size",
    "data.resize",
    "training.batch_size",
    "training.checkpoint_every",
    "optimizer.warmup_epochs",
)
REJECTED = "rejected"
# Files that are written under a hidden name first, see `writing.writing`.
WRITTEN = (
    *("spec.json", "labels.txt", "log.jsonl", "metrics.json", "findings.json", "model.keras"),
    *("report.html", "curves.png"),
)


def runs_home(chosen: str | None = None) -> Path:
    """Where runs live: `chosen`, else the environment's KRESNET_RUNS, else saved_models/ here.

    Raises UsageError for a folder that TensorFlow cannot write to: its path is UTF-8.
    """
    home = Path(chosen or os.environ.get("KRESNET_RUNS") or "saved_models").expanduser()
    try:
        str(home.absolute()).encode()
    except UnicodeError as error:
        raise UsageError(
            f"runs cannot be kept in {readable_name(home.absolute())}: TensorFlow takes paths in UTF-8 only; choose"
            f" another folder by --runs, or a locale of UTF-8 (LC_ALL=C.UTF-8). The one here is"
            f" {sys.getfilesystemencoding()}"
        ) from error
    return home


@dataclass(frozen=True)
class Run:
    """One run folder. Properties name its artifacts; they may not exist yet."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def spec_file(self) -> Path:
        """The resolved spec, when it was created and with which versions."""
        return self.folder / "spec.json"

    @property
    def labels_file(self) -> Path:
        """One label a line, in the order of the logits."""
        return self.folder / "labels.txt"

    @property
    def model_file(self) -> Path:
        """The trained Keras model; written last, so its presence means finished."""
        return self.folder / "model.keras"

    @property
    def checkpoints(self) -> Path:
        """Training state to resume from; removed when training has finished."""
        return self.folder / "checkpoints"

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a training state to resume from."""
        return any(self.checkpoints.glob("step-*.json"))

    @property
    def best(self) -> Path:
        """The best weights so far of a training with patience; removed when it has finished."""
        return self.folder / "best"

    @property
    def log_file(self) -> Path:
        """One JSON object an epoch."""
        return self.folder / "log.jsonl"

    @property
    def metrics_file(self) -> Path:
        """The finished model's metrics on the validation data."""
        return self.folder / "metrics.json"

    @property
    def findings_file(self) -> Path:
        """What the finished model gets right and wrong on the validation data, for its report."""
        return self.folder / "findings.json"

    @property
    def diagnosis_file(self) -> Path:
        """What each layer loses in 8 bits; after kresnet diagnose."""
        return self.exports / "diagnosis.json"

    @property
    def report_file(self) -> Path:
        """All of this on one page."""
        return self.folder / "report.html"

    @property
    def curves_file(self) -> Path:
        """Loss and error over epochs, drawn."""
        return self.folder / "curves.png"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard event files."""
        return self.folder / "tensorboard"

    @property
    def exports(self) -> Path:
        """Exported files that met their budget, and verdicts.json."""
        return self.folder / "exports"

    @property
    def rejected(self) -> Path:
        """Exported files that did not meet their budget: never the run's exports."""
        return self.exports / REJECTED

    @property
    def verdicts_file(self) -> Path:
        """One object for each exported file."""
        return self.exports / "verdicts.json"

    @property
    def finished(self) -> bool:
        """Whether training has ended and the model is there."""
        return self.model_file.is_file()

    @classmethod
    def create(
        cls,
        home: Path,
        spec: Spec,
        classes: tuple[str, ...],
        name: str | None = None,
        data: Mapping[str, Fingerprint] | None = None,
    ) -> Run:
        """A new run folder holding `spec`, labels, and what the `data` were. Raises UsageError if `name` is taken.

        It appears under its name with all of that in it, or not at all; an empty folder takes no name.
        """
        document = {
            "format": FORMAT,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
            "versions": versions(),
            "spec": asdict(spec),
            "data": dict(data or {}),
        }
        with new_folder(home, f"{model_name(spec.network)}-{_word(spec.data.source)}", name) as made:
            hidden = cls(made.hidden)
            hidden.write_text(hidden.labels_file, "".join(f"{label}\n" for label in classes))
            hidden.write_json(hidden.spec_file, document)
        assert made.folder is not None
        return cls(made.folder)

    @classmethod
    def find(cls, home: Path, name: str | None = None) -> Run:
        """The run called `name` in `home` (or a path to its folder), or the newest one.

        Raises RunError if there is none, naming the nearest.
        """
        known = cls.all(home)
        if name is None:
            if not known:
                raise RunError(f"there are no runs in {home}; make one with: kresnet train")
            return known[0]
        for folder in (home / name, Path(name)):
            if (folder / "spec.json").is_file():
                return cls(folder)
        suggestion = did_you_mean(name, [run.name for run in known])
        raise RunError(f"no run called {name!r} in {home}.{suggestion} List them with: kresnet runs")

    @classmethod
    def around(cls, file: Path) -> Run | None:
        """The run in whose exports, or rejected ones, `file` stands."""
        runs = [cls(folder) for folder in file.resolve().parents[1:3]]
        return next((run for run in runs if run.spec_file.is_file() and run.exports in file.resolve().parents), None)

    @classmethod
    def all(cls, home: Path) -> list[Run]:
        """Every readable run in `home`, newest first."""
        runs = [cls(file.parent) for file in home.glob("[!.]*/spec.json")]
        return sorted(runs, key=lambda run: run._created(), reverse=True)

    def spec(self) -> Spec:
        """The saved spec. Raises RunError if the file cannot be read, or leaves open what a run has decided."""
        try:
            spec = Spec.from_dict(self.document()["spec"])
            settled = flat(asdict(spec))
            if undecided := [key for key in DECIDED if settled[key] is None]:
                raise UsageError(f"{undecided[0]} is null, which a run has decided")
            return spec
        except UsageError as error:
            raise self._unreadable(self.spec_file, f"it is not a spec: {error}") from error

    def document(self) -> Document:
        """All of spec.json. Raises RunError if it is not a JSON object or of another format."""
        document = self._read(self.spec_file, Document)
        if document["format"] != FORMAT:
            made_by = document["versions"].get("kresnet", "another version")
            raise self._unreadable(
                self.spec_file,
                f"it is of format {document['format']}, and this version reads format {FORMAT}; use kresnet {made_by},"
                " which made it, or train again",
            )
        return document

    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the logits. Raises RunError if they cannot be read."""
        try:
            labels = files.read_text(self.labels_file).removesuffix("\n").split("\n")
        except (OSError, ValueError) as error:
            raise self._unreadable(self.labels_file, reason(error)) from error
        if not all(labels) or len(set(labels)) < len(labels):
            raise self._unreadable(self.labels_file, "it has an empty line, or a label twice")
        return tuple(labels)

    def require_finished(self) -> None:
        """Raises RunError unless training has ended and the model can be one of this run. Removes what a training that
        was killed at its very end has left."""
        if not self.finished:
            raise RunError(
                f"run {self.name} has no finished model; continue it with: kresnet train --resume {self.name}"
            )
        self.sweep()
        size = self.spec().data.image_size
        assert size is not None
        files.require_model(self.model_file, size)

    @property
    def what(self) -> str:
        """The network, and what compression made of it."""
        return _network(self.spec())

    def metrics(self) -> Metrics:
        """The finished model's metrics: {"split", "metric", "value", "samples"}."""
        return self._read(self.metrics_file, Metrics)

    def findings(self) -> Findings:
        """What is told of the finished model beyond its metrics. Raises RunError for a run of an earlier version."""
        again = f"make it with: kresnet report {self.name} --again"
        if not self.findings_file.is_file():
            raise RunError(f"run {self.name} has no {self.findings_file.name}, which its report is made of; {again}")
        count = len(self.classes())
        try:
            found = self._read(self.findings_file, Findings)
            matrix = found.get("confusion")
            if matrix is not None and [len(row) for row in matrix] != [count] * count:
                raise self._unreadable(
                    self.findings_file, f"confusion is not a row and a column for each of {counted(count, 'label')}"
                )
            return found
        except RunError as error:
            raise RunError(f"{error}; {again}") from error

    def diagnosis(self, log: Log = tell) -> Diagnosis | None:
        """What each layer loses in 8 bits; None before kresnet diagnose. One that cannot be read is left out, and told
        to `log`."""
        if not self.diagnosis_file.is_file():
            return None
        try:
            return self._read(self.diagnosis_file, Diagnosis)
        except RunError as error:
            log(f"left out of the report: {error}")
            return None

    def summary(self, log: Log = tell) -> dict[str, Any]:
        """One row of the list of runs; a run that cannot be read says so in its state, and why to `log`."""
        row: dict[str, Any] = dict.fromkeys(("created", "network", "data", "epochs", "metric", "value"))
        row.update(run=self.name, folder=str(self.folder), state="unfinished", exports=[])
        try:
            spec = self.spec()
            row.update(created=self._created()[:19], network=_network(spec), data=spec.data.source)
            row["epochs"] = f"{len(self.log(log))}/{spec.training.epochs}"
            row["exports"] = [v["file"] for v in self.verdicts(log) if v["verdict"] in WITHIN]
            if self.finished:
                metrics = self.metrics()
                row.update(state="finished", metric=metrics["metric"], value=metrics["value"])
        except (RunError, OSError) as error:
            log(str(error))
            row["state"] = "unreadable"
        return row

    def log(self, log: Log = tell) -> list[dict[str, Any]]:
        """The epochs logged so far. Rows that cannot be read, such as one that was being written when the machine
        stopped, are left out, and told to `log`."""
        if not self.log_file.is_file():
            return []
        from keras_resnet.tasks import get_task  # imports NumPy, which --help does without

        names = get_task(self.spec(), self.classes()).followed
        wanted = (*files.ROW, *(prefix + name for name in names for prefix in ("", "val_")))
        return self._rows(self.log_file, lambda content: files.rows_of(content, wanted), log)

    def verdicts(self, log: Log = tell) -> list[dict[str, Any]]:
        """The verdicts on the exported files; empty before the first export. Rows that cannot be read are left out, and
        told to `log`."""
        if not self.verdicts_file.is_file():
            return []
        return self._rows(self.verdicts_file, files.verdicts_of, log)

    def _rows(
        self, file: Path, read: Callable[[bytes], tuple[list[dict[str, Any]], list[str]]], log: Log
    ) -> list[dict[str, Any]]:
        try:
            rows, troubles = read(files.read_bytes(file))
        except (OSError, ValueError) as error:
            raise self._unreadable(file, reason(error)) from error
        if troubles:
            count = len(troubles) + len(rows)
            log(f"left out {len(troubles)} of {counted(count, 'row')} of {file}, which cannot be read: {troubles[0]}")
        return rows

    def write_text(self, path: Path, text: str) -> None:
        """Write `text` to `path`, whole or not at all."""
        with self.writing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def write_json(self, path: Path, document: Any) -> None:
        """Write `document` to `path`, whole or not at all."""
        self.write_text(path, json.dumps(document, indent=2) + "\n")

    def write_with(self, path: Path, save: Callable[[Path], Any]) -> None:
        """Let `save` write `path`, whole or not at all; the temporary name keeps the suffix."""
        with self.writing(path) as temporary:
            save(temporary)

    def writing(self, path: Path) -> AbstractContextManager[Path]:
        """See `writing.writing`: where the run folder is gone it is not made again."""
        return writing(path, within=self.folder)

    def record(self, change: files.Change, data: Mapping[str, Fingerprint]) -> None:
        """Keep that the run goes on with other `data`, and what changed."""
        document = self.document()
        changes = [*document.get("changes", ()), change]
        self.write_json(self.spec_file, {**document, "data": dict(data), "changes": changes})

    def in_training(self) -> AbstractContextManager[Callable[[], bool]]:
        """Keeps other trainings out of this run; see `run_lock.locked`."""
        return locked(self.folder)

    def drop_checkpoints(self) -> None:
        """Remove the training state: the model is finished."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)

    @property
    def cut_off(self) -> bool:
        """Whether the training was killed after its model was written, before its state was removed."""
        return self.finished and (self.checkpoints.exists() or self.best.exists())

    def sweep(self, ours: bool = False) -> None:
        """Remove what a killed training has left, unless one is under way that is not `ours`. What cannot be removed,
        in a folder that may only be read, stays."""
        if not ours and holder(self.folder) is not None:
            return
        with suppress(OSError):
            for left in self.folder.glob(".*-*"):
                process, _, name = left.name[1:].partition("-")
                if process.isdecimal() and name in WRITTEN and (ours or not is_alive(int(process))):
                    left.unlink(missing_ok=True)
            if self.finished and not ours:
                self.drop_checkpoints()
                (self.folder / LOCK).unlink(missing_ok=True)

    def _read(self, path: Path, kind: type[T]) -> T:
        """A JSON file. Raises RunError if there is none, or what it holds is no `kind`."""
        try:
            return files.parsed(kind, files.read_bytes(path))
        except (OSError, ValueError) as error:
            raise self._unreadable(path, reason(error)) from error

    def _unreadable(self, path: Path, why: str) -> RunError:
        return RunError(f"run {self.name} is unreadable: {path}: {why}")

    def _created(self) -> str:
        try:
            return self.document()["created"]
        except RunError:
            return ""


def versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _network(spec: Spec) -> str:
    """The network and what compression made of it, in a few words."""
    made, kept = spec.compress, spec.network.kept
    words = [
        *([f"{kept:.0%} of the filters inside units"] if kept < 1 else []),
        *([f"{made.sparsity:.0%} zeros{' 2:4' * (made.pattern == '2:4')}"] if made.sparsity else []),
        *([f"{counted(made.clusters, 'weight')} a kernel"] if made.clusters else []),
        *(["8 bits"] if made.learned else []),
    ]
    return ", ".join([model_name(spec.network), *words])


def _word(source: str) -> str:
    """A data set as a part of a run's name: the folder's name, or TFDS' with its configuration; without what is not
    UTF-8 in it, which TensorFlow does not take."""
    path = Path(source).expanduser()
    word = path.resolve().name if path.is_dir() else source.strip(os.sep).replace(os.sep, "-")
    return word.encode(errors="ignore").decode()
