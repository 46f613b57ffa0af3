"""The README.md of a run on the Hugging Face hub: its model card, with the metadata that the hub reads, and nothing
about its owner's machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from keras_resnet.export.artifacts import NAMED_LABELS, ModelCard
from keras_resnet.export.public_documents import name_data, publish_verdicts, select_public
from keras_resnet.metrics.labels import list_shown_details, metric_title
from keras_resnet.metrics.outcome import describe_outcome
from keras_resnet.pretrained.hub_repository import DESCRIPTION_FILE, MODEL_FILE, VERDICTS_FILE, HubRepository
from keras_resnet.reporting.recommend import DescribedVerdict
from keras_resnet.run import Run
from keras_resnet.run.documents import list_warnings
from keras_resnet.runtime.confidence import UNKNOWN
from keras_resnet.runtime.plurals import counted

LIBRARY = "keras"
# What the hub calls metrics that it knows (huggingface.co/metrics); others have the names of verdicts.
HUB_METRICS = {"top1": "accuracy", "macro F1": "f1", "micro F1": "f1"}


class HubCard(ModelCard):
    """README.md of a run. rows: verdicts of the files that are published. devices: verdicts on them on devices, as
    `public_documents.publish_verdicts` gives them. scripts: names of the scripts beside them. license: its name on the
    hub."""

    def __init__(
        self,
        run: Run,
        rows: list[DescribedVerdict],
        repository: HubRepository,
        scripts: Sequence[str],
        license: str | None,
    ) -> None:
        names = {row["file"] for row in rows}
        super().__init__(run, rows)
        self.devices = publish_verdicts([row for row in run.device_verdicts() if row["file"] in names])
        self.repository = repository
        self.scripts = scripts
        self.license = license

    def render(self) -> str:
        """Return the text, in Markdown, behind its metadata, in YAML."""
        made_with = ", ".join(f"{name} {version}" for name, version in self.document["versions"].items())
        return (
            f"---\n{self._metadata()}\n---\n\n# {self.repository.name}\n\n{self.task.summary} by"
            f" {self.run.network_summary}, trained by kresnet on {self._data()}.\n\n{self._score()}\n"
            f"Labels: {self._labels()}\n\n{self._inputs_and_outputs()}\n{self._confidence()}{self._verdicts()}"
            f"{self._warnings()}"
            "Not known: how it does on images unlike those of its data, and on people or things that those do not"
            f" show.\n\n{self._usage()}Made {self.document['created'][:10]} with {made_with}.\n"
        )

    def _metadata(self) -> str:
        """Return the metadata, in YAML."""
        from huggingface_hub import ModelCardData

        network = self.spec.network
        card = ModelCardData(
            library_name=LIBRARY,
            pipeline_tag=self.task.pipeline_tag,
            tags=["kresnet", network.family, *sorted({row["file"].rpartition(".")[2] for row in self.rows})],
            license=self.license,
            model_name=self.repository.name,
            eval_results=list(self._results()),
        )
        return str(card.to_yaml())

    def _results(self) -> Iterator[Any]:
        """Yield the hub's record of each metric: of the Keras model, then of each file."""
        metrics = self.run.metrics()
        yield self._result(metrics["metric"], metrics["value"], "Keras model")
        for row in self.rows:
            yield self._result(row["metric"], row["value"], row["file"])
            details = row.get("details", {})
            for name in list_shown_details(details, row["metric"]):
                yield self._result(name, details[name], row["file"])

    def _result(self, metric: str, value: float, model: str) -> Any:
        from huggingface_hub import EvalResult

        data = name_data(self.spec.data.source)
        return EvalResult(
            task_type=self.task.pipeline_tag,
            task_name=self.task.title,
            dataset_type=data or "images",
            dataset_name=data or "validation images of its owner",
            dataset_split="validation",
            metric_type=HUB_METRICS.get(metric, metric),
            metric_value=round(value, 6),
            metric_name=f"{metric_title(metric)}, {model}",
        )

    def _data(self) -> str:
        """Return what it was trained on, in words: images of one's own have no name."""
        return name_data(self.spec.data.source) or "images of its owner"

    def _score(self) -> str:
        metrics = self.run.metrics()
        images = counted(metrics["samples"], f"{metrics['split']} image", ",")
        return f"{metric_title(metrics['metric'])} of the Keras model: {metrics['value']:.2%} of {images}.\n"

    def _confidence(self) -> str:
        """Return what `kresnet calibrate` fitted, in words; "" before it."""
        confidence = self.run.confidence()
        rule, thresholds = confidence.rejection, confidence.score_thresholds
        if thresholds:
            listed = [f"{name} {value:.3f}" for name, value in zip(self.run.classes(), thresholds, strict=True)]
            more = ", …" * (len(listed) > NAMED_LABELS)
            return (
                "Calibrated on validation images: objects of each class are shown from the score on that had the best"
                f" F1, which the metadata of .tflite files hold: {', '.join(listed[:NAMED_LABELS])}{more}.\n\n"
            )
        if rule is None:
            return ""
        return (
            "Calibrated on validation images: a confidence is the softmax of the logits divided by"
            f" {confidence.temperature:.3f}, and an image whose {rule.score} score is below {rule.threshold:.2f} is of"
            " none of the labels. The metadata of .tflite files hold both; predict with --reject to have such images"
            f' called "{UNKNOWN}".\n\n'
        )

    def _verdicts(self) -> str:
        """Return the tables of files, and what has to be known beside them."""
        if not self.rows:
            return "No exported file is published with it.\n\n"
        lost = "Each file was run on the validation images after it was written; what it lost is its drop:"
        machine = f"Measured on {self.rows[-1]['machine']}.\n\n"
        return f"{lost}\n\n{self._table()}\n{self._remarks()}{self._devices()}{self._micro()}{machine}"

    def _device_rows(self) -> list[dict[str, Any]]:
        return self.devices

    def _warnings(self) -> str:
        lines, left_out = select_public(list_warnings(self.document))
        if left_out:
            lines.append(f"{counted(left_out, 'further warning')} with names of files, left out here")
        return "".join(["Warned of in training:\n\n", *(f"- {line}\n" for line in lines), "\n"]) if lines else ""

    def _usage(self) -> str:
        """Return how to use what is there: commands and Python."""
        place = self.repository.id
        own_layers = "import keras_resnet.compression.quantization.layers  # its layers\n" * self.spec.compress.is_qat
        lines = [
            "## Use\n",
            "Train on from it, with kresnet:\n",
            f"```\nkresnet train --weights hf:{place} --data photos/\n```\n",
            "Load the Keras model: pixels 0–255 in, as above.\n",
            f"```python\nimport keras\nfrom huggingface_hub import hf_hub_download\n{own_layers}",
            f'model = keras.saving.load_model(hf_hub_download("{place}", "{MODEL_FILE}"))\n```\n',
        ]
        script = next((name for name in self.scripts if name in ("detect.py", "classify.py")), None)
        tflite = next((row["file"] for row in self.rows if row["file"].endswith(".tflite")), None)
        if script and tflite:
            lines += [
                "Run a file on a device, with LiteRT, NumPy and Pillow alone:\n",
                f"```\nhf download {place} --local-dir model\ncd model\npip install ai-edge-litert numpy pillow\n"
                f"python {script} {tflite} photo.jpg\n```\n",
            ]
        lines.append(
            f"`{VERDICTS_FILE}` has all numbers of the verdicts, `{DESCRIPTION_FILE}` the settings of the training.\n\n"
        )
        return "\n".join(lines)


def public_rows(rows: Sequence[DescribedVerdict]) -> list[DescribedVerdict]:
    """Return verdicts as a card shows them, of what may be published of them alone."""
    shown = ("megabytes", "threads")
    return [
        cast(
            DescribedVerdict,
            {**public, **{name: dict(row)[name] for name in shown}, "outcome": describe_outcome(public)},
        )
        for row, public in zip(rows, publish_verdicts(rows), strict=True)
    ]
