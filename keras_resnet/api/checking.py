"""`keras_resnet.check`: what is wrong with a dataset, from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet import progress
from keras_resnet.api.keywords import refuse_unknown, to_text
from keras_resnet.api.results import ShownCheckReport
from keras_resnet.api.run import Run, find_run
from keras_resnet.api.session import from_python, in_python_words
from keras_resnet.checking.findings import CheckReport
from keras_resnet.config.data import Cache
from keras_resnet.config.given_options import name_options
from keras_resnet.config.spec import DataSpec, Spec
from keras_resnet.config.task_rules import TASK_RULES
from keras_resnet.errors import UsageError, require_one_of
from keras_resnet.run import Run as RunFolder
from keras_resnet.run import runs_home

if TYPE_CHECKING:
    from keras_resnet.checking.check import NameLabelCheck
    from keras_resnet.data.dataset import DatasetSplits

StrPath = str | os.PathLike[str]


@from_python
@refuse_unknown
def check(
    data: StrPath | None = None,
    *,
    run: Run | StrPath | None = None,
    task: str | None = None,
    save: StrPath | None = None,
    runs: StrPath | None = None,
    data_dir: StrPath | None = None,
    download: bool = False,
    cache: Cache | None = None,
) -> CheckReport:
    """Check a dataset and return what is wrong with it: what `kresnet check` does.

    data: a folder of images, a table of them, or the name of a TFDS dataset; by default that of `run`. run: what
    `open_run` returns, or a name; its network checks the labels. task: says which annotations are read, by default
    those of "classify", or of the run's task. save: where to write a page with the images. runs: where runs live.
    data_dir: where TFDS datasets are prepared. download: whether one that is not there yet is downloaded. cache: as
    in `train`.

    Raises UsageError where neither data nor a run is given or the extra is not installed, DataError for data that
    cannot be opened (where that is because of unreadable files, these are reported, and the report's `error` is set),
    RunError for a run of other labels.
    """
    texts = {"data": data, "task": task, "save": save, "runs": runs, "data_dir": data_dir}
    given = {name: to_text(name, value) for name, value in texts.items() if value is not None}
    home = runs_home(given.get("runs"))
    folder = None if run is None else find_run(run, home)
    page = Path(given["save"]) if "save" in given else None
    settings = {"data_dir": given.get("data_dir"), "download": download or None, "cache": cache}
    report, splits = check_folder(given.get("data"), folder, given.get("task"), settings, _name_call)
    findings = [replace(each, note=in_python_words(each.note)) for each in report.findings]
    report = replace(report, findings=findings, notes=list(map(in_python_words, report.notes)))
    if page is not None:
        write_page(report, splits, page)
    return ShownCheckReport(**vars(report))


def check_folder(
    data: str | None,
    run: RunFolder | None,
    task: str | None,
    settings: Mapping[str, Any],
    name_label_check: NameLabelCheck,
) -> tuple[CheckReport, DatasetSplits]:
    """Return what is wrong with `data`, and the data; see `check`. settings: of a DataSpec, None for those that are not
    given. name_label_check: says what is typed to check the labels of a dataset, by its name and the depth of a
    network that suits it."""
    from keras_resnet.checking.check import check_data
    from keras_resnet.data.load import require_effect
    from keras_resnet.run.training_data import explain_moved_data

    asked = {key: each for key, each in settings.items() if each is not None}
    with name_options(asked):
        spec = replace(_choose_data(data, run, task), **asked)
    with explain_moved_data(run) if data is None and run is not None else nullcontext():
        with name_options(asked):
            require_effect(spec, asked)
        return check_data(spec, progress.log, run, name_label_check)


def _name_call(source: str, depth: int) -> tuple[str, ...]:
    """Return how the labels of a dataset are checked in Python, by a network of this depth."""
    return (f"keras_resnet.check({source!r}, run=keras_resnet.train(data={source!r}, depth={depth}))",)


def write_page(report: CheckReport, data: DatasetSplits, page: Path) -> None:
    """Write `report` on `data` to `page`."""
    from keras_resnet.reporting.check_page import write_check_page

    write_check_page(report, data, page)


def _choose_data(data: str | None, run: RunFolder | None, task: str | None) -> DataSpec:
    """Return which data are meant: of a run with its split, sizes and annotations."""
    if task is not None:
        require_one_of("--task", task, tuple(TASK_RULES))
    if run is not None:
        run.require_finished()
        if task not in (None, run.spec().task):
            raise UsageError(f"--task must be that of run {run.name}, {run.spec().task}. Received: {task}")
        spec = run.spec().data
        if data is None:
            return spec
        if spec.annotations == "labels":
            return replace(spec, source=data)
        # Its network checks nothing, so that the images need not be such as it takes.
        return DataSpec(source=data, data_dir=spec.data_dir, annotations=spec.annotations)
    if data is None:
        raise UsageError("check needs DATA: a folder of images, a table of them, or a dataset by name; or --run RUN")
    return DataSpec(source=data, annotations=TASK_RULES[task or Spec().task].annotations)
