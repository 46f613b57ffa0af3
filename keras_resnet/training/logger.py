"""What a training leaves to look at: a row an epoch, curves, TensorBoard, trackers; and what it shows meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic_write import disk_faults_told
from keras_resnet.config.section import flatten
from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError
from keras_resnet.run import Run
from keras_resnet.tasks import get_task

PROFILED = (10, 20)
SAMPLES = 16


class Logger:
    """One JSON object an epoch to log.jsonl, the same scalars to TensorBoard and trackers, the curves redrawn.

    rows: those of the epochs that a resumed training has behind it; later ones are dropped.
    """

    def __init__(self, run: Run, spec: Spec, epochs: int, rows: list[dict[str, Any]], log: Callable[[str], None]):
        import tensorflow as tf

        self._run, self._log, self._epochs, self._rows, self._say = run, spec.log, epochs, rows, log
        with disk_faults_told(run.tensorboard):
            self._writer = tf.summary.create_file_writer(str(run.tensorboard))
            self._writer.flush()
        self._trackers = [_TRACKERS[name](run, spec) for name in spec.log.track]
        task = get_task(spec, run.classes())
        self._followed, self._judged = task.train_metric_names, task.eval_metric_names
        self._curves = Curves(self._followed[0], self._judged[:1])
        self._profiling = False

    def first_batch(self, images: Any, graph: Any) -> None:
        """Show some of the images as the network sees them, and its graph."""
        import tensorflow as tf

        with disk_faults_told(self._run.tensorboard), self._writer.as_default():
            tf.summary.image("training images", np.asarray(images)[:SAMPLES], step=0, max_outputs=SAMPLES)
            tf.summary.graph(graph)

    def step(self, number: int) -> None:
        """Called before step `number`, counted from 1 in this process."""
        import tensorflow as tf

        if self._log.profile and number == PROFILED[0]:
            tf.profiler.experimental.start(str(self._run.tensorboard))
            self._profiling = True
        if self._profiling and number > PROFILED[1]:
            self._stop_profiling()

    def epoch(self, row: dict[str, Any], weights: list[Any]) -> None:
        """Record one epoch: {"epoch", "step", "loss", "val_loss", …}."""
        self._rows.append(row)
        self._run.write_text(self._run.log_file, "".join(json.dumps(each) + "\n" for each in self._rows))
        self._run.write_with(self._run.curves_file, lambda path: self._curves.save(self._rows, path))
        self._summarize(row, weights)
        for track in self._trackers:
            track(row)
        names = ("loss", *self._followed)
        seen, held_out = (
            ", ".join(f"{name} {row[p + name]:{'.4f' if name == 'loss' else '.2%'}}" for name in names)
            for p in ("", "val_")
        )
        judged = "".join(f", {name} {row[f'val_{name}']:.2%}" for name in self._judged)
        self._say(
            f"epoch {row['epoch']}/{self._epochs}: {seen}; validation {held_out}{judged};"
            f" {row['images_per_second']:.0f} images/s"
        )

    def close(self) -> None:
        """End what is still being recorded."""
        with disk_faults_told(self._run.tensorboard):
            if self._profiling:
                self._stop_profiling()
            self._writer.close()

    def _stop_profiling(self) -> None:
        import tensorflow as tf

        self._profiling = False
        tf.profiler.experimental.stop()
        self._say(f"profile: {self._run.tensorboard}")

    def _summarize(self, row: dict[str, Any], weights: list[Any]) -> None:
        import tensorflow as tf

        with disk_faults_told(self._run.tensorboard), self._writer.as_default():
            for key, value in row.items():
                tf.summary.scalar(key, value, step=row["epoch"])
            for weight in weights if self._log.histograms else ():
                tf.summary.histogram(weight.path, weight.numpy(), step=row["epoch"])
            self._writer.flush()


def _mlflow(run: Run, spec: Spec) -> Callable[[dict[str, Any]], None]:
    """Rows become metrics of an MLflow run of the same name; where it goes MLFLOW_TRACKING_URI says."""
    mlflow: Any = _installed("mlflow")
    mlflow.set_experiment("kresnet")
    mlflow.start_run(run_name=run.name)
    mlflow.log_params(flatten(json.loads(spec.to_json())))
    return lambda row: mlflow.log_metrics({key: float(value) for key, value in row.items()}, step=row["epoch"])


def _wandb(run: Run, spec: Spec) -> Callable[[dict[str, Any]], None]:
    """Rows become the history of a Weights & Biases run of the same name, continued when it is resumed."""
    wandb: Any = _installed("wandb")
    wandb.init(project="kresnet", name=run.name, id=run.name, resume="allow", config=json.loads(spec.to_json()))
    return lambda row: wandb.log(row, step=row["epoch"])


_TRACKERS = {"mlflow": _mlflow, "wandb": _wandb}


def require_trackers(names: tuple[str, ...]) -> None:
    """Raises UsageError for a tracker that is not installed."""
    for name in names:
        _installed(name)


def _installed(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--track {name}: it is not installed; install it with: pip install {name}") from error


class Throughput:
    """Images per second of training, without what happens between steps of two epochs."""

    def __init__(self, batch: int) -> None:
        self._batch, self._steps, self._start = batch, 0, time.perf_counter()

    def begin(self) -> None:
        """From now on."""
        self._steps, self._start = 0, time.perf_counter()

    def step(self) -> float:
        """One more step; returns the pace so far."""
        self._steps += 1
        return self.rate

    @property
    def rate(self) -> float:
        """Images per second since `begin`."""
        return self._steps * self._batch / max(1e-9, time.perf_counter() - self._start)


class Curves:
    """Loss, and error or what else is followed, in % over epochs, training dashed and validation solid as in He et al.;
    beside it what is judged, which is known of the validation images only.

    One figure for all epochs: a new one each time would leave megabytes behind for Python to collect.
    """

    def __init__(self, followed: str, judged: tuple[str, ...] = ()) -> None:
        from matplotlib.figure import Figure

        second = "error (%)" if followed == "accuracy" else f"{followed} (%)"
        self._figure = Figure(figsize=(9, 3.6), layout="constrained")
        self._lines = {}
        for axes, title, key, color in zip(
            self._figure.subplots(1, 2), ("loss", second), ("loss", followed), ("C0", "C1"), strict=True
        ):
            for prefix, style, label in (("", "--", "training"), ("val_", "-", "validation")):
                (self._lines[prefix + key],) = axes.plot([], [], style, color=color, label=label)
            for name in judged if key == followed else ():
                (self._lines[f"val_{name}"],) = axes.plot([], [], color="C2", label=f"validation {name}")
            axes.set(xlabel="epoch", ylabel=title)
            axes.grid(alpha=0.3)
            axes.legend()

    def save(self, rows: list[dict[str, Any]], path: Path) -> None:
        """Draw `rows`, as of log.jsonl, to the PNG `path`."""
        epochs = [row["epoch"] for row in rows]
        for key, line in self._lines.items():
            values = np.array([row[key] for row in rows])
            if key.endswith("accuracy"):
                values = 1 - values
            line.set_data(epochs, values if key.endswith("loss") else 100 * values)
        for axes in self._figure.axes:
            axes.relim()
            axes.autoscale_view()
        self._figure.savefig(path, dpi=120, format="png")
