"""Requests for exports, and runs to export."""

import shutil

from keras_resnet.run import Run

# One point of accuracy.
ONE = 0.01


def copied(run, folder):
    """A copy of a run, without what was exported of it."""
    return Run(shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("exports")))


def float32_only():
    """The options of a float32 file alone."""
    from keras_resnet.export.tflite_options import build_tflite_options

    return tuple(build_tflite_options(("float32",)))
