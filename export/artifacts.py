"""Artifacts beside exported files, for whoever takes the folder to a device: labels, a model card, reference outputs
and a script that needs nothing but LiteRT, NumPy and Pillow."""

from __future__ import annotations

import json
import shutil
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.config.image_size import format_size
from keras_resnet.config.spec import DataSpec
from keras_resnet.export import device_scripts
from keras_resnet.export.load import load_file
from keras_resnet.export.verdict import is_tflite_file
from keras_resnet.export.verify import Reference
from keras_resnet.metrics.labels import class_metric_label, metric_label
from keras_resnet.metrics.outcome import (
    ACCEPTED,
    describe_details,
    describe_tested_metrics,
    describe_unverified,
    format_budget,
    format_drop,
    format_worst_class,
    have_budgets,
    list_remarks,
    list_shared_remarks,
)
from keras_resnet.models.names import model_name
from keras_resnet.reporting.device_rows import list_device_remarks, show_devices
from keras_resnet.reporting.microcontroller import list_needs, list_notes
from keras_resnet.reporting.recommend import DescribedVerdict, describe_verdicts
from keras_resnet.run import Run
from keras_resnet.run.documents import list_warnings
from keras_resnet.runtime import postprocess, preprocess
from keras_resnet.runtime.metadata import describe_channels
from keras_resnet.runtime.predictions import POSTPROCESSORS, name_outputs
from keras_resnet.tasks import TASKS, Task

SCRIPTS = Path(device_scripts.__file__)
# What predicts without kresnet, with the decoder of images; of detectors also what decodes their outputs.
CLASSIFIER_SCRIPTS = (SCRIPTS.with_name("classify.py"), Path(preprocess.__file__))
DETECTOR_SCRIPTS = (*CLASSIFIER_SCRIPTS, SCRIPTS.with_name("detect.py"), Path(postprocess.__file__))
GOLDEN_IMAGES = 16
# Labels that a model card names.
NAMED_LABELS = 20


def write_artifacts(run: Run, reference: Reference) -> None:
    """Bring labels.txt, model_card.md, golden.npz and the scripts of the run's exports up to its verdicts."""
    rows = [row for row in describe_verdicts(run) if row["verdict"] in ACCEPTED]
    accepted = [row for row in rows if (run.exports / row["file"]).exists()]
    run.write_text(run.exports / "labels.txt", run.labels_file.read_text(encoding="utf-8"))
    write_model_card(run)
    golden: dict[str, Any] = _golden_outputs(run, reference, [row["file"] for row in accepted])
    run.write_with(run.exports / "golden.npz", lambda path: np.savez(path, allow_pickle=False, **golden))
    for script in DETECTOR_SCRIPTS if TASKS[run.spec().task].finds_objects() else CLASSIFIER_SCRIPTS:
        run.write_with(run.exports / script.name, partial(shutil.copyfile, script))


def write_model_card(run: Run) -> None:
    """Bring model_card.md up to the verdicts of the run."""
    rows = [row for row in describe_verdicts(run) if row["verdict"] in ACCEPTED]
    accepted = [row for row in rows if (run.exports / row["file"]).exists()]
    run.write_text(run.exports / "model_card.md", ModelCard(run, accepted).render())


def _golden_outputs(run: Run, reference: Reference, files: list[str]) -> dict[str, np.ndarray]:
    """Return some validation images, and the outputs of each .tflite file here: {"images": uint8, "int8.tflite":
    float32, …}, of files with several outputs "int8.tflite:box", …"""
    images = reference.timing_images[:GOLDEN_IMAGES]
    golden = {"images": images}
    for file in filter(is_tflite_file, files):
        outputs = name_outputs(load_file(run.exports / file)(images))
        golden |= {file if name == "logits" else f"{file}:{name}": value for name, value in outputs.items()}
    return golden


class ModelCard:
    """model_card.md of a run. rows: verdicts of the files within their budget (see `recommend.describe_verdicts`)."""

    def __init__(self, run: Run, rows: list[DescribedVerdict]) -> None:
        self.run = run
        self.rows = rows
        self.document = run.document()
        self.spec = run.spec()
        self.task: type[Task] = TASKS[self.spec.task]

    def render(self) -> str:
        """Return the text, in Markdown."""
        run, spec, document, task = self.run, self.spec, self.document, self.task
        compressed = f"\nCompressed from: {spec.compress.parent}\n" if spec.compress.parent else ""
        made_with = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
        return (
            f"# {run.name}\n\n{task.summary} by {model_name(spec.network)}, trained by kresnet on"
            f" {spec.data.source}.\n{compressed}\nLabels: {self._labels()}\n\n{self._inputs_and_outputs()}\n"
            f"{self._table()}\n{self._remarks()}{self._unverified()}{self._devices()}{self._micro()}"
            f"Measured on {self.rows[-1]['machine'] if self.rows else 'no machine: no file is within its budget'}.\n\n"
            f"{self._warnings()}Not known: how it does on images unlike those of its data, and on people or things"
            " that those do not show.\n\n"
            f"Made {document['created'][:10]} with {made_with}.\n\n"
            f"## Training\n\n```json\n{json.dumps(document['spec'], indent=1)}\n```\n"
        )

    def _labels(self) -> str:
        classes = self.run.classes()
        more = f", … ({len(classes)} in all)" if len(classes) > NAMED_LABELS else ""
        return ", ".join(classes[:NAMED_LABELS]) + more

    def _inputs_and_outputs(self) -> str:
        data = self.spec.data
        height, width, _ = data.input_shape
        return (
            f"Input: {describe_channels(data.channels or 3)} pixels 0–255, {height} × {width} (height × width),"
            f" {_describe_fit(data)}; normalization is in the graph.\nOutputs: {self._outputs()}.\n"
        )

    def _outputs(self) -> str:
        if self.task.finds_objects():
            return "as the metadata of a .tflite file and its script say"
        if not POSTPROCESSORS[self.task.postprocessing].has_thresholds:
            return "one logit for each label"
        fitted = self.run.metrics().get("thresholds", [])
        thresholds = ", ".join(f"{name} {value:.3f}" for name, value in zip(self.run.classes(), fitted, strict=False))
        return (
            "one logit for each label, whose sigmoid is its probability; a label is predicted from its threshold on,"
            " which was fitted on the validation images and stands in each file's metadata:"
            f" {_shorten(thresholds)}"
        )

    def _table(self) -> str:
        name = self.rows[0]["metric"] if self.rows else "metric"
        metric = metric_label(name)
        has_budgets = have_budgets(self.rows)
        budget = " budget, points |" * has_budgets
        heads = (
            f"| file | size | {metric} | {metric} of the Keras model | drop [95%], points |{budget} agreement |"
            f" drop of the worst class by {class_metric_label(name)}, points | validation images | verdict |"
        )
        lines = [heads, "|---" * (heads.count("|") - 1) + "|", *(_table_row(row, has_budgets) for row in self.rows)]
        return "\n".join(lines) + "\n"

    def _unverified(self) -> str:
        changed = [self.run.describe_changed(name, self.run.name) for name in self.run.changed_files()]
        return _list_items([*changed, *map(describe_unverified, self.run.unverified())])

    def _device_rows(self) -> list[dict[str, Any]]:
        """Return the verdicts on files on devices that are shown."""
        return self.run.device_verdicts()

    def _devices(self) -> str:
        """Return the table of devices, in Markdown; "" where no file was run on one."""
        rows = self._device_rows()
        if not rows:
            return ""
        columns, cells = show_devices(rows, self.rows)
        lines = ["On devices:\n", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(each.replace('|', chr(92) + '|') for each in row)} |" for row in cells]
        return "\n".join(lines) + "\n\n" + _list_items(list_device_remarks(rows, self.rows))

    def _remarks(self) -> str:
        shared = dict.fromkeys(chain.from_iterable(map(list_shared_remarks, self.rows)))
        tested = filter(None, map(describe_tested_metrics, self.rows[:1]))
        details = [f"{row['file']}: {words}" for row in self.rows if (words := describe_details(row))]
        return _list_items([*tested, *details, *list_remarks(self.rows), *shared])

    def _micro(self) -> str:
        """Return what microcontrollers need, and the code that registers operators."""
        needs = list_needs(self.rows)
        if not needs:
            return ""
        items = [*(f"{each.file}: {each.memory}" for each in needs), *list_notes(self.rows)]
        code = "".join(f"{each.file}:\n\n```cpp\n{each.code}\n```\n\n" for each in needs)
        return f"On microcontrollers, by TensorFlow Lite Micro:\n\n{_list_items(items)}{code}"

    def _warnings(self) -> str:
        items = _list_items(list_warnings(self.document))
        return items and f"Warnings during training:\n\n{items}"


def _list_items(lines: list[str]) -> str:
    """Return a list in Markdown with an empty line behind it; "" of nothing."""
    return "".join(f"- {words}\n" for words in lines) + "\n" * bool(lines)


def _describe_fit(data: DataSpec) -> str:
    """Return how an image becomes the input of a network of `data`, a resolved spec's."""
    resize = data.resize or 0
    return {
        "crop": f"cropped from the center of an image resized until it covers {format_size(resize)}",
        "pad": "the whole image, resized until it fits in, at the top left; the rest is black",
        "stretch": "the whole image, stretched to it",
    }[data.fit or "crop"]


def _shorten(words: str) -> str:
    """Return a list in words with its first NAMED_LABELS items."""
    items = words.split(", ")
    return ", ".join(items[:NAMED_LABELS]) + ", …" * (len(items) > NAMED_LABELS)


def _table_row(row: DescribedVerdict, has_budgets: bool) -> str:
    budget = f" {format_budget(row)} |" * has_budgets
    return (
        f"| {row['file']} | {row['bytes'] / 1e6:.2f} MB | {row['value']:.2%} | {row['model_value']:.2%} |"
        f" {format_drop(row)} |{budget} {row['agreement']:.2%} |"
        f" {format_worst_class(row)} | {row['samples']} | {row['outcome']} |"
    )
