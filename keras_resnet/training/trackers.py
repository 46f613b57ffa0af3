"""Experiment trackers that a training reports its epochs to, by name."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from types import ModuleType

from keras_resnet.config.section import flatten
from keras_resnet.config.spec import Spec
from keras_resnet.errors import UsageError
from keras_resnet.run import Run

# One epoch: {"epoch", "step", "loss", "val_loss", …}.
Row = dict[str, float]
Track = Callable[[Row], None]


def _start_mlflow(run: Run, spec: Spec) -> Track:
    """Make rows metrics of an MLflow run of the same name; MLFLOW_TRACKING_URI says where."""
    mlflow = _import("mlflow")
    mlflow.set_experiment("kresnet")
    mlflow.start_run(run_name=run.name)
    mlflow.log_params(flatten(json.loads(spec.to_json())))
    return lambda row: mlflow.log_metrics({key: float(value) for key, value in row.items()}, step=row["epoch"])


def _start_wandb(run: Run, spec: Spec) -> Track:
    """Make rows the history of a Weights & Biases run of the same name, continued when it is resumed."""
    wandb = _import("wandb")
    wandb.init(project="kresnet", name=run.name, id=run.name, resume="allow", config=json.loads(spec.to_json()))
    return lambda row: wandb.log(row, step=row["epoch"])


TRACKERS: dict[str, Callable[[Run, Spec], Track]] = {"mlflow": _start_mlflow, "wandb": _start_wandb}


def start_trackers(run: Run, spec: Spec) -> list[Track]:
    """Start the trackers that `spec.log.track` names; each result takes the row of an epoch."""
    return [TRACKERS[name](run, spec) for name in spec.log.track]


def require_trackers(names: tuple[str, ...]) -> None:
    """Raise UsageError for a tracker that is not installed."""
    for name in names:
        _import(name)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--track {name}: it is not installed; install it with: pip install {name}") from error
