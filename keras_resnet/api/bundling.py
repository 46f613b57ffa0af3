"""Bundles from Python: a file and its images for a harness elsewhere, and the verdict on what comes back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import progress
from keras_resnet.api.keywords import to_text
from keras_resnet.api.session import from_python
from keras_resnet.errors import ExportError
from keras_resnet.run import runs_home

if TYPE_CHECKING:
    from keras_resnet.api.run import Run
    from keras_resnet.export.device_verdict import DeviceVerdict
    from keras_resnet.export.evaluate import RunLookup

StrPath = str | os.PathLike[str]


@from_python
def bundle(
    file: StrPath,
    folder: StrPath | None = None,
    *,
    samples: int | None = None,
    run: Run | StrPath | None = None,
    runs: StrPath | None = None,
) -> Path:
    """Write an exported file and its run's validation images into a new folder, and return that: what `kresnet bundle`
    does.

    file: a path, or what `Run.files` has. folder: of the current one the file's name with -bundle, if None. samples:
    how many images, None for all. run: whose images are taken: what `open_run` returns, or a name or a folder; None for
    the file's own. runs: where runs live. Raises UsageError if there is something at `folder`, ExportError for a file
    that is no TFLite file.
    """
    from keras_resnet.export.bundle import name_folder, write_bundle

    path = Path(file)
    target = Path(folder) if folder is not None else name_folder(path)
    write_bundle(path, target, samples, _lookup(run, runs), progress.log)
    return target


@from_python
def verify_outputs(
    file: StrPath,
    outputs: StrPath,
    *,
    where: str = "",
    max_drop: float = 1.0,
    samples: int | None = None,
    run: Run | StrPath | None = None,
    runs: StrPath | None = None,
) -> DeviceVerdict:
    """Verify outputs that something else computed of an exported file, and return the verdict: what `kresnet verify
    --outputs` does.

    file: a path, or what `Run.files` has. outputs: a .npz, .npy or .csv file, or a folder of .npy files. where: what
    computed them, in words. max_drop: points that may be lost. The others are those of `bundle`. The verdict on a
    run's own file is kept in its verdicts.json. Raises ExportError for outputs that are not of this file, or not a row
    for each image in order.
    """
    from keras_resnet.export.device_settings import DeviceSettings
    from keras_resnet.export.run_on_devices import verify_on_devices
    from keras_resnet.export.settings import ExportSettings

    given = [(Path(outputs), where)]
    settings = ExportSettings(max_drop=max_drop, samples=samples)
    _, result = verify_on_devices(Path(file), settings, DeviceSettings(), _lookup(run, runs), progress.log, given)
    if result.failures:
        raise ExportError(result.failures[0])
    return result.verdicts[0]


def _lookup(run: Run | StrPath | None, runs: StrPath | None) -> RunLookup:
    """Return by which run a file is verified: `run`, or one of that name or folder, else the file's own."""
    from keras_resnet.export.evaluate import RunLookup

    home = runs_home(None if runs is None else to_text("runs", runs))
    return RunLookup(home, None if run is None else to_text("run", run))
