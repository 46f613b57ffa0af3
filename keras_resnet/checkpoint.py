"""Training state on disk: weights, statistics, optimizer and epoch, kept until training has finished."""

from __future__ import annotations

import shutil
from typing import Any

from keras_resnet.errors import RunError
from keras_resnet.run import Run, reason

KEEP = 2


class Checkpoints:
    """Saves and restores one training. TensorFlow's manager writes each checkpoint whole or not at all.

    The model must be compiled; its optimizer is built here, so that a restore finds its variables.
    """

    def __init__(self, run: Run, model: Any) -> None:
        import tensorflow as tf

        self._run = run
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        model.optimizer.build(model.trainable_variables)
        state = tf.train.Checkpoint(model=model, optimizer=model.optimizer, epoch=self._epoch)
        self._manager = tf.train.CheckpointManager(state, str(run.checkpoints), max_to_keep=KEEP)

    def save(self, epochs_done: int) -> None:
        """Keep the present state, after `epochs_done` epochs. Raises RunError if it cannot be written."""
        self._epoch.assign(epochs_done)
        try:
            self._manager.save(checkpoint_number=epochs_done)
        except Exception as error:
            for half_written in self._run.checkpoints.glob("*_temp"):
                shutil.rmtree(half_written, ignore_errors=True)
            raise RunError(f"cannot write a checkpoint of run {self._run.name}: {reason(error)}") from error

    def restore(self) -> int:
        """Load the latest state and return how many epochs it has behind it; 0 where there is none."""
        if not self._manager.latest_checkpoint:
            return 0
        try:
            self._manager.restore_or_initialize()
        except Exception as error:
            raise RunError(f"the checkpoints of run {self._run.name} are unreadable: {reason(error)}") from error
        return int(self._epoch.numpy())
