"""A run: a folder that training fills and every later stage reads. The only file that knows artifact names."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from keras_resnet.errors import RunError, UsageError, did_you_mean
from keras_resnet.networks.names import name_of
from keras_resnet.outcomes import WITHIN
from keras_resnet.spec import Spec
from keras_resnet.writing import reason, writing

FORMAT = 1
PACKAGES = ("kresnet", "tensorflow", "keras", "tensorflow-datasets", "ai-edge-litert")


def runs_home(chosen: str | None = None) -> Path:
    """Where runs live: `chosen`, else the environment's KRESNET_RUNS, else saved_models/ here."""
    return Path(chosen or os.environ.get("KRESNET_RUNS") or "saved_models").expanduser()


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
        return self.exports / "rejected"

    @property
    def verdicts_file(self) -> Path:
        """One object for each exported file."""
        return self.exports / "verdicts.json"

    @property
    def finished(self) -> bool:
        """Whether training has ended and the model is there."""
        return self.model_file.is_file()

    @classmethod
    def create(cls, home: Path, spec: Spec, classes: tuple[str, ...], name: str | None = None) -> Run:
        """A new run folder holding `spec` and labels. Raises UsageError if `name` is taken."""
        stem = f"{name_of(spec.network)}-{_word(spec.data.source)}"
        folder = home / (name or free_name(home, stem))
        if name and (folder.exists() or Path(name).name != name or name.startswith(".")):
            raise UsageError(f"--name must be a plain name that is not taken in {home}. Received: {name!r}")
        run = cls(folder)
        run.write_text(run.labels_file, "".join(f"{label}\n" for label in classes))
        document = {
            "format": FORMAT,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds"),
            "versions": versions(),
            "spec": json.loads(spec.to_json()),
        }
        run.write_json(run.spec_file, document)
        return run

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
        runs = [cls(file.parent) for file in home.glob("*/spec.json")]
        return sorted(runs, key=lambda run: run._created(), reverse=True)

    def spec(self) -> Spec:
        """The saved spec. Raises RunError if the file cannot be read."""
        try:
            document = self.document()
            return Spec.from_json(json.dumps(document["spec"]))
        except (KeyError, UsageError) as error:
            raise RunError(f"run {self.name} is unreadable: {self.spec_file} is not a spec: {error}") from error

    def document(self) -> dict[str, Any]:
        """All of spec.json. Raises RunError if it is not a JSON object or of another format."""
        document = self._read(self.spec_file)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise RunError(f"run {self.name} is unreadable: {self.spec_file} is not of format {FORMAT}")
        return document

    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        try:
            return tuple(self.labels_file.read_text().splitlines())
        except (OSError, ValueError) as error:
            raise RunError(f"run {self.name} is unreadable: {self.labels_file}: {reason(error)}") from error

    def require_finished(self) -> None:
        """Raises RunError unless training has ended."""
        if not self.finished:
            raise RunError(
                f"run {self.name} has no finished model; continue it with: kresnet train --resume {self.name}"
            )

    @property
    def what(self) -> str:
        """The network, and what compression made of it."""
        return _network(self.spec())

    def metrics(self) -> dict[str, Any]:
        """The finished model's metrics: {"split", "metric", "value", "samples"}."""
        metrics: dict[str, Any] = self._read(self.metrics_file)
        return metrics

    def findings(self) -> dict[str, Any]:
        """What is told of the finished model beyond its metrics. Raises RunError for a run of an earlier version."""
        if not self.findings_file.is_file():
            raise RunError(
                f"run {self.name} has no {self.findings_file.name}, which its report is made of; make it with:"
                f" kresnet report {self.name} --again"
            )
        found: dict[str, Any] = self._read(self.findings_file)
        return found

    def summary(self) -> dict[str, Any]:
        """One row of the list of runs; a run that cannot be read says so in its state."""
        row: dict[str, Any] = dict.fromkeys(("created", "network", "data", "epochs", "metric", "value"))
        row.update(run=self.name, folder=str(self.folder), state="unfinished", exports=[])
        try:
            spec = self.spec()
            row.update(created=self._created()[:19], network=_network(spec), data=spec.data.source)
            row["epochs"] = f"{len(self.log())}/{spec.training.epochs}"
            row["exports"] = [v["file"] for v in self.verdicts() if v["verdict"] in WITHIN]
            if self.finished:
                metrics = self.metrics()
                row.update(state="finished", metric=metrics["metric"], value=metrics["value"])
        except (RunError, ValueError, KeyError):
            row["state"] = "unreadable"
        return row

    def log(self) -> list[dict[str, Any]]:
        """The epochs logged so far."""
        if not self.log_file.is_file():
            return []
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def verdicts(self) -> list[dict[str, Any]]:
        """The verdicts on the exported files; empty before the first export."""
        if not self.verdicts_file.is_file():
            return []
        verdicts: list[dict[str, Any]] = json.loads(self.verdicts_file.read_text())
        return verdicts

    def write_text(self, path: Path, text: str) -> None:
        """Write `text` to `path`, whole or not at all."""
        with writing(path) as temporary:
            temporary.write_text(text)

    def write_json(self, path: Path, document: Any) -> None:
        """Write `document` to `path`, whole or not at all."""
        self.write_text(path, json.dumps(document, indent=2) + "\n")

    def write_with(self, path: Path, save: Callable[[Path], Any]) -> None:
        """Let `save` write `path`, whole or not at all; the temporary name keeps the suffix."""
        with writing(path) as temporary:
            save(temporary)

    def drop_checkpoints(self) -> None:
        """Remove the training state: the model is finished."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed training left half-written."""
        for left in self.folder.glob(".[0-9]*-*"):
            left.unlink(missing_ok=True)

    def _read(self, path: Path) -> Any:
        """A JSON file. Raises RunError if there is none."""
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise RunError(f"run {self.name} is unreadable: {path}: {reason(error)}") from error

    def _created(self) -> str:
        try:
            return str(self.document().get("created", ""))
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
        *([f"{made.clusters} weights a kernel"] if made.clusters else []),
        *(["8 bits"] if made.learned else []),
    ]
    return ", ".join([name_of(spec.network), *words])


def _word(source: str) -> str:
    """A data set as a part of a run's name: the folder's name, or TFDS' with its configuration."""
    path = Path(source).expanduser()
    return path.resolve().name if path.is_dir() else source.strip(os.sep).replace(os.sep, "-")


def free_name(home: Path, stem: str) -> str:
    """`stem`, or with the first number behind it that makes it a name that is not taken in `home`."""
    number = 1
    while (home / (name := stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return name
