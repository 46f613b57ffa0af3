"""Runs: folders that training fills and every later stage reads."""

from keras_resnet.run.folders import describe_no_runs, runs_home
from keras_resnet.run.run import Run

__all__ = ["Run", "describe_no_runs", "runs_home"]
