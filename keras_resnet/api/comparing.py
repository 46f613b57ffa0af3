"""`keras_resnet.compare`: whether two models differ on the same images, from Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from keras_resnet import progress
from keras_resnet.api.files import ExportedFile
from keras_resnet.api.keywords import refuse_unknown, to_text
from keras_resnet.api.run import Run
from keras_resnet.api.session import from_python
from keras_resnet.errors import UsageError, describe_received
from keras_resnet.run import runs_home

if TYPE_CHECKING:
    from keras_resnet.export.compared_models import ComparedModel
    from keras_resnet.export.paired import PairedComparison

StrPath = str | os.PathLike[str]
Model = Run | ExportedFile | StrPath
WHAT_MODELS_ARE = "a run, one of its exported files, or the name or the path of one, as a str or a path"


@from_python
@refuse_unknown
def compare(
    first: Model, second: Model, *, samples: int | None = None, runs: StrPath | None = None
) -> PairedComparison:
    """Compare two models on the same validation images and return how the second differs from the first: what `kresnet
    compare` does.

    first, second: runs, exported files, or names or paths of them. samples: how many validation images, drawn by a
    fixed seed; all by default. runs: where runs live.

    Raises UsageError where they are the same, or have other validation images, labels or tasks, RunError and
    ExportError for what cannot be read.
    """
    from keras_resnet.export.compared_models import compare_models

    if samples is not None and (isinstance(samples, bool) or not isinstance(samples, int) or samples < 1):
        raise UsageError(f"samples must be a whole number, 1 or more. Received: {describe_received(samples)}")
    home = None if runs is None else to_text("runs", runs)
    models = [_find(each, name, home) for name, each in (("first", first), ("second", second))]
    return compare_models(models, progress.log, samples).pairs[0]


def _find(model: Model, name: str, home: str | None) -> ComparedModel:
    """Return what `model`, the argument `name`, is to a comparison."""
    from keras_resnet.export.compared_models import ComparedModel
    from keras_resnet.export.evaluate import RunLookup

    if isinstance(model, Run):
        model.stored.require_finished()
        return ComparedModel(model.name, model.stored)
    if isinstance(model, ExportedFile):
        return ComparedModel(f"{model.run.name}/{model.path.name}", model.run, model.path)
    return ComparedModel.find(to_text(name, model, WHAT_MODELS_ARE), RunLookup(runs_home(home)))
