"""The log of a training: a row an epoch in log.jsonl, curves, TensorBoard, trackers, and a table on the terminal."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.atomic_write import translate_disk_errors
from keras_resnet.config.spec import Spec
from keras_resnet.progress import Log, Pace
from keras_resnet.run import Run
from keras_resnet.runtime.image import show_in_rgb, to_picture
from keras_resnet.runtime.plurals import counted
from keras_resnet.tasks import get_task
from keras_resnet.training.curves import Curves
from keras_resnet.training.epoch_table import EpochTable
from keras_resnet.training.trackers import Row, start_trackers

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.training.train_state import Variable

# The first and the last step that --profile records.
PROFILED_STEPS = (10, 20)
SAMPLE_IMAGES = 16
# Seconds so short that they are not announced.
SOON = 60
# Seconds between two drawings of the curves: each takes half a second, which epochs of seconds would notice.
CURVES_INTERVAL = 10


class Logger:
    """Writes one JSON object an epoch to log.jsonl, the same scalars to TensorBoard and trackers, and redraws curves.

    rows: those of the epochs that a resumed training has behind it; later ones are dropped.
    """

    def __init__(self, run: Run, spec: Spec, epochs: int, rows: list[Row], log: Log) -> None:
        import tensorflow as tf

        self._run, self._options, self._rows, self._log = run, spec.log, rows, log
        with translate_disk_errors(run.tensorboard):
            self._writer = tf.summary.create_file_writer(str(run.tensorboard))
            self._writer.flush()
        self._trackers = start_trackers(run, spec)
        task = get_task(spec, run.classes())
        self._curves = Curves(task.train_metric_names[0], task.eval_metric_names[:1])
        self._table, self._has_heading = EpochTable(epochs, task.train_metric_names, task.eval_metric_names), False
        self._is_profiling = False
        # A process that was killed may have left the curves behind its rows.
        self._drawn_at, self._is_drawn = time.monotonic(), not rows

    def on_first_batch(self, images: tf.Tensor, graph: tf.Graph) -> None:
        """Write some of the images as the network sees them, and its graph."""
        import tensorflow as tf

        with translate_disk_errors(self._run.tensorboard), self._writer.as_default():
            pictures = [to_picture(pixels) for pixels in np.asarray(images)[:SAMPLE_IMAGES]]
            shown = np.stack([np.asarray(show_in_rgb(each)) for each in pictures])
            tf.summary.image("training images", shown, step=0, max_outputs=SAMPLE_IMAGES)
            tf.summary.graph(graph)

    def on_step_begin(self, step: int) -> None:
        """Start or stop profiling before `step`, counted from 1 in this process."""
        import tensorflow as tf

        if self._options.profile and step == PROFILED_STEPS[0]:
            tf.profiler.experimental.start(str(self._run.tensorboard))
            self._is_profiling = True
        if self._is_profiling and step > PROFILED_STEPS[1]:
            self._stop_profiling()

    def tell_time_left(self, pace: Pace) -> None:
        """Log how long the training will go on at its `pace`, unless that is soon."""
        if (seconds := pace.seconds_left) and seconds > SOON:
            self._log(
                f"about {_format_duration(seconds)} left ({counted(pace.left, 'step', ',')}; the last {pace.timed} took"
                f" {pace.seconds:.3g} s)"
            )

    def on_epoch_end(self, row: Row, weights: list[Variable]) -> None:
        """Log one epoch: {"epoch", "step", "loss", "val_loss", …}."""
        self._rows.append(row)
        self._run.write_text(self._run.log_file, "".join(json.dumps(each) + "\n" for each in self._rows))
        self._is_drawn = False
        if time.monotonic() - self._drawn_at > CURVES_INTERVAL:
            self._draw_curves()
        self._write_summaries(row, weights)
        for track in self._trackers:
            track(row)
        if not self._has_heading:
            self._log(self._table.heading)
            self._has_heading = True
        self._log(self._table.format_row(row))

    def close(self) -> None:
        """Stop profiling, close the event files and draw the last curves."""
        with translate_disk_errors(self._run.tensorboard):
            if self._is_profiling:
                self._stop_profiling()
            self._writer.close()
        if not self._is_drawn:
            self._draw_curves()

    def _draw_curves(self) -> None:
        self._run.write_with(self._run.curves_file, lambda path: self._curves.save(self._rows, path))
        self._drawn_at, self._is_drawn = time.monotonic(), True

    def _stop_profiling(self) -> None:
        import tensorflow as tf

        self._is_profiling = False
        tf.profiler.experimental.stop()
        self._log(f"profile: {self._run.tensorboard}")

    def _write_summaries(self, row: Row, weights: list[Variable]) -> None:
        import tensorflow as tf

        with translate_disk_errors(self._run.tensorboard), self._writer.as_default():
            for key, value in row.items():
                tf.summary.scalar(key, value, step=row["epoch"])
            for weight in weights if self._options.histograms else ():
                tf.summary.histogram(weight.path, weight.numpy(), step=row["epoch"])
            self._writer.flush()


def _format_duration(seconds: float) -> str:
    """Return a time in words, to the minute: "25 min", "2 h 5 min"."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
