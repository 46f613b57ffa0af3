"""Name the files of a run folder, the only place that knows their names, and write them whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.atomic_write import write_atomically

# The folder, among the exports, of files that did not meet their budget.
REJECTED = "rejected"


@dataclass(frozen=True)
class RunFiles:
    """Where the files of the run in `folder` are, or will be."""

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
    def best(self) -> Path:
        """The best weights so far of a training with patience; removed when it has finished."""
        return self.folder / "best"

    @property
    def log_file(self) -> Path:
        """One JSON object an epoch."""
        return self.folder / "log.jsonl"

    @property
    def ended_early_file(self) -> Path:
        """Which search ended the training early, and after which epoch; until it is resumed."""
        return self.folder / "ended_early.json"

    @property
    def metrics_file(self) -> Path:
        """The finished model's metrics on the validation data."""
        return self.folder / "metrics.json"

    @property
    def analysis_file(self) -> Path:
        """What the finished model gets right and wrong on the validation data, for its report."""
        return self.folder / "analysis.json"

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
    def unverified_file(self) -> Path:
        """One object for each exported file that the machine could not run."""
        return self.exports / "unverified.json"

    @property
    def diagnosis_file(self) -> Path:
        """What each layer loses in 8 bits; after kresnet diagnose."""
        return self.exports / "diagnosis.json"

    @property
    def robustness_file(self) -> Path:
        """How the model and the exported files do on corrupted images; after kresnet robustness."""
        return self.folder / "robustness.json"

    @property
    def robustness_plot(self) -> Path:
        """The same, drawn."""
        return self.folder / "robustness.png"

    @property
    def confidence_file(self) -> Path:
        """The temperature and the rule for unknown images; after kresnet calibrate."""
        return self.folder / "confidence.json"

    @property
    def written_whole(self) -> tuple[Path, ...]:
        """Files that are written under a hidden name first (see `atomic_write.write_atomically`)."""
        return (
            self.spec_file,
            self.labels_file,
            self.log_file,
            self.ended_early_file,
            self.metrics_file,
            self.analysis_file,
            self.model_file,
            self.report_file,
            self.curves_file,
            self.robustness_file,
            self.robustness_plot,
            self.confidence_file,
        )

    def write_text(self, path: Path, text: str) -> None:
        """Write `text` to `path`, whole or not at all."""
        with self.writing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def write_json(self, path: Path, document: Mapping[str, object] | Sequence[object]) -> None:
        """Write `document` to `path`, whole or not at all."""
        self.write_text(path, json.dumps(document, indent=2) + "\n")

    def write_with(self, path: Path, save: Callable[[Path], object]) -> None:
        """Let `save` write `path`, whole or not at all; the temporary name keeps the suffix."""
        with self.writing(path) as temporary:
            save(temporary)

    def writing(self, path: Path) -> AbstractContextManager[Path]:
        """See `atomic_write.write_atomically`: where the run folder is gone it is not made again."""
        return write_atomically(path, within=self.folder)
