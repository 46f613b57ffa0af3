"""Runs: folders that training fills and every later stage reads."""

from keras_resnet.run.run import Run, runs_home

__all__ = ["Run", "runs_home"]
