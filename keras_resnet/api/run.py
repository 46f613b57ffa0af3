"""A run as Python has it: its model, numbers and files, and what can be done with it."""

from __future__ import annotations

import os
import webbrowser
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from keras_resnet import progress
from keras_resnet.api.files import ExportedFiles
from keras_resnet.api.keywords import to_text
from keras_resnet.api.options import (
    CalibrateOptions,
    CompressOptions,
    ExportOptions,
    PushOptions,
    RobustnessOptions,
    VerifyOptions,
)
from keras_resnet.api.predicting import Images, Predicting
from keras_resnet.api.results import Score
from keras_resnet.api.session import from_python
from keras_resnet.api.signatures import document_options
from keras_resnet.config.spec import Spec
from keras_resnet.errors import RunError
from keras_resnet.metrics.labels import metric_label
from keras_resnet.reporting import html_tables
from keras_resnet.run import Run as RunFolder
from keras_resnet.run.documents import MetricsDocument
from keras_resnet.runtime.plurals import counted

if TYPE_CHECKING:
    import keras

    from keras_resnet.api.calibrating import CalibrationReport, ThresholdReport
    from keras_resnet.api.device_verdicts import DeviceVerdicts
    from keras_resnet.api.explaining import Explanation, Explanations
    from keras_resnet.api.robustness import RobustnessReport
    from keras_resnet.export.predict import Predictor
    from keras_resnet.export.tta import Predict


class Run(Predicting):
    """A run: what `train` returns and `open_run` opens.

    stored: the run's folder and the documents in it, as `keras_resnet.run` reads them.
    """

    called = "run"

    def __init__(self, stored: RunFolder) -> None:
        # The current folder may change, as in a notebook, while the run is open.
        self.stored = replace(stored, folder=stored.folder.absolute())

    @property
    def name(self) -> str:
        """The run's name, which is its folder's."""
        return self.stored.name

    @property
    def folder(self) -> Path:
        """The folder with all that the run is."""
        return self.stored.folder

    @property
    def is_finished(self) -> bool:
        """Whether training has ended and the model is there."""
        return self.stored.is_finished

    @cached_property
    def spec(self) -> Spec:
        """All settings of the training, resolved."""
        return self.stored.spec()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        return self.stored.classes()

    @property
    def metrics(self) -> MetricsDocument:
        """The finished model's metric on the validation images: {"split", "metric", "value", "samples"}. Raises
        RunError if training has not finished."""
        return self._read_metrics()

    @from_python
    def _read_metrics(self) -> MetricsDocument:
        if not self.is_finished:
            self.stored.require_finished()
        return self.stored.metrics()

    @property
    def history(self) -> dict[str, list[Any]]:
        """What was logged of each epoch, as Keras' `History.history` has it: {"loss": [2.1, 1.8, …], "val_loss": …}."""
        rows = self.stored.read_log(progress.log)
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}

    @property
    def files(self) -> ExportedFiles:
        """All exported files by name, also those that failed."""
        return ExportedFiles.read(self.stored)

    @cached_property
    def model(self) -> keras.Model:
        """The trained Keras model, loaded once: pixels (B, H, W, 3) in 0–255 to logits. Raises RunError if training
        has not finished, or the model cannot be read."""
        return self._load_model()

    @from_python
    def _load_model(self) -> keras.Model:
        from keras_resnet.evaluation.evaluate import load_model

        return load_model(self.stored)

    @property
    def _trained_by(self) -> RunFolder:
        return self.stored

    @cached_property
    def _predictor(self) -> Predictor:
        from keras_resnet.export.predict import run_predictor

        self.stored.confidence()  # or what is wrong with it, before the model is loaded
        return run_predictor(self.stored, self.model)

    @cached_property
    def _predict(self) -> Predict:
        from keras_resnet.evaluation.evaluate import keras_predictor

        return keras_predictor(self.model)

    @from_python
    def explain(
        self,
        images: Images,
        *,
        label: str | None = None,
        object: int | None = None,
        method: str | None = None,
        layer: str | None = None,
    ) -> Explanation | Explanations:
        """Show by heat maps which parts of `images` a score of the model rests on.

        images: as `predict` takes them, without videos. label: the class or label whose score is explained, by default
        the predicted one. object: of a detector the number of the object, 1 for the most confident, the default.
        method: "gradcam" (Selvaraju et al. 2017), the default for classifiers, or "layercam" (Jiang et al. 2021),
        that of objects. layer: the layer whose feature map is looked at, by default the last one; for an object that of
        the backbone with the resolution at which it was found.

        Returns one `Explanation` for one image, `Explanations` for several. A damaged file among several is logged and
        left out; DataError is raised for one alone. Raises UsageError for a label, an object, a method or a layer that
        there is not.
        """
        from keras_resnet.api.explaining import explain_images
        from keras_resnet.explanation.heat_map import Explainer
        from keras_resnet.explanation.targets import Question

        question = Question(label, object)
        return explain_images(Explainer(self.model, self._predictor.card, method, layer), images, question)

    @from_python
    def evaluate(self, split: str = "validation", *, tta: str = "none") -> Score:
        """Score the model on a split of its data: "train", "validation" or "test".

        tta: of classifiers, "auto" or "flip" takes the mean of the logits of each image and its mirror image, auto
        only if the run trained with flips. Raises UsageError if the data have no such split.
        """
        from keras_resnet.export.evaluate import evaluate_on_run
        from keras_resnet.export.tta import choose_for_run

        chosen = choose_for_run(tta, self.stored, progress.log_once)
        return Score(**evaluate_on_run(lambda: self._predict, self.stored, split, progress.log_once, self.name, chosen))

    @document_options(ExportOptions)
    @from_python
    def export(self, *names: str, must_pass: bool = False, **options: Unpack[ExportOptions]) -> ExportedFiles:
        """Export files, verify each on the validation images, and return them by name.

        names: schemes of TFLite files ("int8", "float16", …, or "all") and formats ("onnx", "savedmodel", "c-array");
        none are the usual TFLite files. Formats that have the schemes write these too: "int8" and "onnx" an int8 file
        of each. A file that is not within its budget is returned too, lies in
        exports/rejected/ and its `verdict.passed` is False; with `must_pass` VerdictError is raised for it. Raises
        ExportError for files that could not be made; the others are in `files` then.
        """
        from keras_resnet.api.exporting import export_names

        return export_names(self.stored, names, options, must_pass)

    @document_options(VerifyOptions)
    @from_python
    def verify(self, *places: str, must_pass: bool = False, **options: Unpack[VerifyOptions]) -> DeviceVerdicts:
        """Run the TFLite files that passed on devices, and return the verdicts: one for each file and place.

        places: "local", "local:gpu", "tflm", "ssh://pi@raspberrypi.local", a command, …; this machine if none is given.
        The option `on` is the same by keyword; the files run on the `places` first, then on those of `on`.

        A file that is not within its budget has a verdict whose `passed` is False; with `must_pass` VerdictError is
        raised for it, and in any case where no file could be run. Raises UsageError for a place that is none, and
        ExportError where none of the places can be used.
        """
        from keras_resnet.api.device_verdicts import verify_places

        return verify_places(self.stored, places, options, must_pass)

    @document_options(RobustnessOptions)
    @from_python
    def robustness(self, **options: Unpack[RobustnessOptions]) -> RobustnessReport:
        """Score the Keras model and the exported files on the same corrupted validation images: noise, blur, weather
        and others in five severities, as in ImageNet-C.

        What is measured is returned, kept in the run's folder and shown in its report. Raises UsageError for
        corruptions or files that there are not.
        """
        from keras_resnet.api.robustness import measure_run

        return measure_run(self.stored, options)

    @document_options(CalibrateOptions)
    @from_python
    def calibrate(self, **options: Unpack[CalibrateOptions]) -> CalibrationReport | ThresholdReport:
        """For a classifier, fit the temperature, so that about 80% of the predictions with a confidence of 80% are
        correct, and the rule by which `predict` with `reject=True` answers "unknown". For a detector or instance
        segmentation, fit for each class the score from which its objects are shown. Both on the validation images.

        What is fitted is returned, kept in the run's folder and in its exported files, and shown in its report. Raises
        UsageError for a run of another task.
        """
        from keras_resnet.api.calibrating import calibrate_run

        self.__dict__.pop("_predictor", None)  # which has what was fitted before
        return calibrate_run(self.stored, options)

    @from_python
    def forget_calibration(self) -> None:
        """Remove what `calibrate` fitted, from the run and its exported files. Raises UsageError where nothing was."""
        from keras_resnet.api.calibrating import forget_calibration

        self.__dict__.pop("_predictor", None)
        for line in forget_calibration(self.stored):
            progress.log(line)

    @from_python
    def report(self, *, open: bool = False, again: bool = False) -> Path:
        """Write report.html and return its path. open: show it in the browser. again: evaluate the model anew first,
        for a run of an earlier version."""
        from keras_resnet.api.functions import write_run_report

        file = write_run_report(self.stored, again).resolve()
        if open and not webbrowser.open(file.as_uri()):
            progress.log(f"there is no browser here; open {file}")
        return file

    @document_options(PushOptions)
    @from_python
    def push(self, destination: str, **options: Unpack[PushOptions]) -> str:
        """Publish the run on the Hugging Face hub, in one commit, and return its address: what `kresnet push` does.

        destination: "hf:USER/NAME". Raises UsageError for a name that is none and for files that there are not,
        ExportError for files that are not within their budget, HubError where the hub cannot be reached or refuses.
        """
        from keras_resnet.api.publishing import push_run

        return push_run(self.stored, destination, options)

    @document_options(CompressOptions)
    @from_python
    def compress(self, **options: Unpack[CompressOptions]) -> Run:
        """Make a smaller or faster network of this run and return its new run: see `keras_resnet.compress`."""
        from keras_resnet.api.functions import compress

        return compress(self, **options)

    def __fspath__(self) -> str:
        return str(self.folder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.folder.resolve() == self.folder.resolve()

    def __hash__(self) -> int:
        return hash(self.folder.resolve())

    def __repr__(self) -> str:
        try:
            return f"<Run {self.name}: {', '.join(self._facts().values())}>"
        except RunError as error:
            return f"<Run {self.name}: {error}>"

    def _facts(self) -> dict[str, str]:
        """Return what is known of the run, in words."""
        labels = counted(len(self.classes), "class", plural="classes")
        facts = {"network": self.stored.network_summary, "data": f"{self.spec.data.source}, {labels}"}
        if not self.is_finished:
            return {**facts, "state": "not finished"}
        metrics = self.metrics
        score = f"{metrics['value']:.2%} of {counted(metrics['samples'], 'validation image')}"
        return {**facts, "metric": f"{metric_label(metrics['metric'])} {score}"}

    def _repr_html_(self) -> str:
        facts = {"run": self.name, **self._facts(), "folder": str(self.folder)}
        page = html_tables.table(["", ""], [[name, words] for name, words in facts.items()])
        if self.stored.curves_file.is_file():
            page += html_tables.png(self.stored.curves_file.read_bytes(), f"loss and metrics of {self.name} by epoch")
        return page + (files._repr_html_() if (files := self.files) else "")


def find_run(run: Run | str | os.PathLike[str], home: Path) -> RunFolder:
    """Return what `run` names: a run, or its name or folder in `home`. Raises UsageError for anything else, RunError if
    there is none of that name."""
    return run.stored if isinstance(run, Run) else RunFolder.find(home, to_text("run", run))
