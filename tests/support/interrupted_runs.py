"""Trainings that are interrupted, and files of runs that are changed by hand."""

import json
import signal

import pytest
from samples import silent

from keras_resnet.errors import (
    TrainingInterrupted,
)
from keras_resnet.run import Run
from keras_resnet.training.loop import TrainingLoop
from keras_resnet.training.train import train


def interrupted(spec, home, name="cut", steps=0):
    """A training of which Ctrl-C came before the first step after `steps`."""
    with pytest.MonkeyPatch.context() as patch:
        genuine, asked = TrainingLoop._check_alive, []

        def alive(self):
            genuine(self)
            if self.progress.step >= steps and not asked:
                asked.append(True)
                signal.raise_signal(signal.SIGINT)

        patch.setattr(TrainingLoop, "_check_alive", alive)
        with pytest.raises(TrainingInterrupted):
            train(spec, home, name, silent)
    return Run(home / name)


def edit_json(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
