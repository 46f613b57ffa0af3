"""What stands beside exported files, for whoever takes the folder to a device: labels, a model card, golden answers and
a script that needs nothing but LiteRT, NumPy and Pillow."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.export import device_scripts
from keras_resnet.export.formats.saved_model import named
from keras_resnet.export.load import open_file
from keras_resnet.export.verify import Reference
from keras_resnet.metrics.labels import metric_label
from keras_resnet.metrics.outcome import ACCEPTED, format_interval, list_shared_remarks
from keras_resnet.models.names import model_name
from keras_resnet.reporting.recommend import DescribedVerdict, describe_verdicts
from keras_resnet.run import Run
from keras_resnet.runtime import postprocess, preprocess
from keras_resnet.tasks import TASKS

# What predicts without kresnet, with the decoder of images; of detectors also what makes objects of their outputs.
SCRIPTS = (Path(device_scripts.__file__).with_name("classify.py"), Path(preprocess.__file__))
DETECTING = (*SCRIPTS, Path(device_scripts.__file__).with_name("detect.py"), Path(postprocess.__file__))
GOLDEN = 16


def write_folder(run: Run, reference: Reference) -> None:
    """Bring labels.txt, model_card.md, golden.npz and the script of the run's exports up to its verdicts."""
    rows = [row for row in describe_verdicts(run) if row["verdict"] in ACCEPTED]
    passed = [row for row in rows if (run.exports / row["file"]).exists()]
    run.write_text(run.exports / "labels.txt", run.labels_file.read_text(encoding="utf-8"))
    run.write_text(run.exports / "model_card.md", _model_card(run, passed))
    golden: dict[str, Any] = _golden(run, reference, passed)
    run.write_with(run.exports / "golden.npz", lambda path: np.savez(path, allow_pickle=False, **golden))
    for script in DETECTING if TASKS[run.spec().task].finds_objects() else SCRIPTS:
        run.write_with(run.exports / script.name, partial(shutil.copyfile, script))


def _golden(run: Run, reference: Reference, passed: list[DescribedVerdict]) -> dict[str, np.ndarray]:
    """Some validation images, and what each .tflite file answers here: {"images": uint8, "int8.tflite": float32, …},
    of files with several outputs "int8.tflite:box", …"""
    images = reference.timed[:GOLDEN]
    golden = {"images": images}
    for file in (row["file"] for row in passed if row["file"].endswith(".tflite")):
        outputs = named(open_file(run.exports / file)(images))
        golden |= {file if name == "logits" else f"{file}:{name}": value for name, value in outputs.items()}
    return golden


def _model_card(run: Run, passed: list[DescribedVerdict]) -> str:
    document, spec, classes = run.document(), run.spec(), run.classes()
    data = spec.data
    shown = ", ".join(classes[:20]) + (f", … ({len(classes)} in all)" if len(classes) > 20 else "")
    rows = [
        f"| {row['file']} | {row['bytes'] / 1e6:.2f} MB | {row['value']:.2%} |"
        f" {_model_value(row)} | {100 * row['drop']:+.2f} {format_interval(row['drop_interval'])} |"
        f" {metric_label(row['drop_metric'])} | {row['agreement']:.2%} |"
        f" {100 * row['worst_class_drop']:+.2f} ({row['worst_class']}) | {row['samples']} | {row['outcome']} |"
        for row in passed
    ]
    remarks = dict.fromkeys(words for row in passed for words in (*row["remarks"], *list_shared_remarks(row)))
    known = "".join(f"- {words}\n" for words in remarks) + "\n" * bool(remarks)
    task, metric = TASKS[spec.task], metric_label(passed[0]["metric"]) if passed else "metric"
    placed = (
        f"the whole image at the top left of a square, its longer side {data.image_size}"
        if task.preprocessing == "letterbox"
        else f"cut from the centre of an image whose shorter side is {data.resize}"
    )
    outputs = (
        "one logit for each label"
        if not task.finds_objects()
        else "as the metadata of a .tflite file and its script say"
    )
    compressed = f"\nCompressed from: {spec.compress.parent}\n" if spec.compress.parent else ""
    return (
        f"# {run.name}\n\n{task.summary} by {model_name(spec.network)}, trained by kresnet on {data.source}.\n"
        f"{compressed}\nLabels: {shown}\n\n"
        f"Input: RGB pixels 0–255, {data.image_size} × {data.image_size}, {placed}; normalization is in the graph.\n"
        f"Outputs: {outputs}.\n\n"
        f"| file | size | {metric} | the Keras model | drop [95%], points | of |"
        " agreement | worst class, points | validation images | verdict |\n"
        f"|---|---|---|---|---|---|---|---|---|---|\n{chr(10).join(rows)}\n\n{known}"
        f"Measured on {passed[-1]['machine'] if passed else 'no machine: no file is within its budget'}.\n\n"
        "Not known: how it does on images unlike those of its data, and on people or things that those do not show.\n\n"
        f"Made {document['created'][:10]} with {', '.join(f'{k} {v}' for k, v in document['versions'].items())}.\n\n"
        f"## Training\n\n```json\n{json.dumps(document['spec'], indent=1)}\n```\n"
    )


def _model_value(row: DescribedVerdict) -> str:
    """On the same images; not known of a file of an earlier version."""
    return f"{row['model_value']:.2%}" if "model_value" in row else "–"
