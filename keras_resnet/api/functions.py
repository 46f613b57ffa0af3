"""The functions of kresnet for scripts and notebooks: train, open_run, compress, evaluate, predict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from keras_resnet import progress
from keras_resnet.api.keywords import A_RUN, require_known, to_options, to_text
from keras_resnet.api.options import CompressOptions, TrainOptions
from keras_resnet.api.run import Run, find_run
from keras_resnet.api.seeds import Runs, plan_seeds, require_seeds
from keras_resnet.api.session import from_python
from keras_resnet.api.signatures import COMPRESS, TRAIN, document_options, names
from keras_resnet.config.given_options import Options, name_option, name_options, select_given
from keras_resnet.config.provenance import Provenance, use_provenance
from keras_resnet.errors import KresnetError, TrainingInterrupted, TrainingStopped, UsageError, describe_received
from keras_resnet.run import Run as RunFolder
from keras_resnet.run import runs_home
from keras_resnet.run.folders import free_name, require_creatable, require_free
from keras_resnet.runtime.plurals import join_words

if TYPE_CHECKING:
    from keras_resnet.compression.plan import CompressionStep
    from keras_resnet.config.spec import Spec
    from keras_resnet.training.finder import LearningRateRange

StrPath = str | os.PathLike[str]
METHODS = ("shrink", "prune", "pattern", "cluster", "qat")


@overload
def train(data: StrPath | None = None, *, seeds: None = None, **options: Unpack[TrainOptions]) -> Run: ...
@overload
def train(data: StrPath | None = None, *, seeds: int, **options: Unpack[TrainOptions]) -> Runs: ...
@document_options(TrainOptions)
@from_python
def train(data: StrPath | None = None, *, seeds: int | None = None, **options: Unpack[TrainOptions]) -> Run | Runs:
    """Train a residual network and return its run: what `kresnet train` does, by the same names, with the same
    defaults and checks.

    data: a folder of images, a table of their labels, "digits", "digit_pairs", "shapes", or the name of a TFDS
    dataset. With `seeds`, a number, train as many runs, with this seed and the next ones, and return them as `Runs`,
    with the mean and the standard deviation of their metric.

    Every option is None unless it is given. Raises UsageError for options that are wrong or contradict each other,
    DataError for images that cannot be used, and TrainingError where training had to stop;
    `train(resume=NAME)` continues an interrupted run.
    """
    given = _read_keywords("train", {"data": data, **options}, ("data", *names(TRAIN)))
    name, resume, data_changed, home = (given.pop(each, None) for each in ("name", "resume", "data_changed", "runs"))
    if seeds is not None:
        require_resumable({"seeds": seeds, **given}, name, resume, bool(data_changed))
        return train_seeds(given, runs_home(home), seeds, name)
    run = train_run(given, runs_home(home), name, resume, bool(data_changed))
    from keras_resnet.evaluation.advice import advise

    for advice in advise(run):
        progress.log(f"advice: {advice}")
    return Run(run)


def train_run(
    given: Options, home: Path, name: str | None = None, resume: str | None = None, data_changed: bool = False
) -> RunFolder:
    """Train what the `given` options say, or `resume` a run, and write its report; see `train`."""
    require_resumable(given, name, resume, data_changed)
    require_free(home, name)
    require_creatable(home)
    if resume is not None:
        from keras_resnet.training.train import resume as resume_training

        with use_provenance(Provenance(f"as run {resume} was started")):
            with name_option({"resume": resume}, "resume"):
                interrupted = RunFolder.find(home, resume)
            return _publish_report(resume_training(interrupted, progress.log, data_changed))
    spec = build_train_spec(given, home)
    from keras_resnet.training.spec_request import trace_spec

    # What the data decide may contradict an option only then.
    with use_provenance(trace_spec(given, home)), name_options(given):
        from keras_resnet.training.train import train as start_training

        return _publish_report(start_training(spec, home, name, progress.log))


def _publish_report(run: RunFolder) -> RunFolder:
    """Write the report of `run` and log where it is, unless another of several workers does."""
    from keras_resnet.reporting.page import publish_report
    from keras_resnet.training.distribute import is_first_worker

    return publish_report(run) if is_first_worker() else run


def train_seeds(given: Options, home: Path, seeds: int, name: str | None = None) -> Runs:
    """Train what the `given` options say with `seeds` seeds, one run after another; see `train`. An error in one of
    them says which others are finished and which are not begun."""
    require_seeds(seeds, given)
    from keras_resnet.training.spec_request import build_spec

    plans = plan_seeds(build_spec(given, home, lambda choice: None), given, home, int(seeds), name)
    runs: list[Run] = []
    for number, plan in enumerate(plans):
        progress.log(f"seed {plan.seed}: run {plan.name}, {number + 1} of {len(plans)}")
        try:
            runs.append(Run(train_run(plan.options, home, plan.name)))
        except KresnetError:
            if rest := [each.name for each in plans[number + 1 :]]:
                done = f"{join_words([run.name for run in runs])} finished, " if runs else ""
                progress.log(f"seeds: {done}{join_words(rest)} not begun: train what is left by --seed and --name")
            raise
    return Runs(runs)


@document_options(TrainOptions)
@from_python
def find_learning_rate(data: StrPath | None = None, **options: Unpack[TrainOptions]) -> LearningRateRange:
    """Try learning rates for a training that is described as `train` has it, and return what was measured: the losses
    by rate, and the rate `suggested`.

    The rate rises while it trains for some steps. A figure of it is written beside the runs.
    """
    given = _read_keywords("find_learning_rate", {"data": data, **options}, ("data", *names(TRAIN)))
    return search_learning_rate(given, runs_home(given.pop("runs", None)))[0]


def search_learning_rate(given: Options, home: Path) -> tuple[LearningRateRange, Path]:
    """Return what was measured, and where it is drawn; see `find_learning_rate`."""
    from keras_resnet.models.names import model_name
    from keras_resnet.training.finder import find_learning_rate
    from keras_resnet.training.spec_request import trace_spec

    spec = build_train_spec(given, home)
    figure = home / f"learning-rate-{model_name(spec.network)}.png"
    with use_provenance(trace_spec(given, home)), name_options(given):
        result = find_learning_rate(spec, figure, progress.log)
    return result, figure


def build_train_spec(given: Options, home: Path) -> Spec:
    """Return the spec that the `given` options describe; of several workers the first logs its choices, once all that
    can be checked without reading images has been."""
    from keras_resnet.data.load import require_effect, require_source
    from keras_resnet.training.distribute import is_first_worker
    from keras_resnet.training.prepare import require_possible
    from keras_resnet.training.spec_request import build_spec

    choices: list[str] = []
    spec = build_spec(given, home, choices.append)
    with name_options(given):
        require_possible(spec)
        require_effect(spec.data, given)
    require_source(spec.data)
    for choice in choices if is_first_worker() else ():
        progress.log(choice)
    return spec


def require_resumable(given: Options, name: str | None, resume: str | None, data_changed: bool) -> None:
    """Raise UsageError for options that exclude each other."""
    if resume is not None and (given or name):
        other = next(iter(given), "name").replace("_", "-")
        raise UsageError(f"--resume continues a run as it was started; it takes no --{other}")
    if data_changed and resume is None:
        raise UsageError("--data-changed is for a run that goes on: it needs --resume")


@from_python
def open_run(name: StrPath | None = None, *, runs: StrPath | None = None) -> Run:
    """Open a run by its name or its folder; the newest one where neither is given.

    runs: where runs live; None is the environment's KRESNET_RUNS, else saved_models/. Raises RunError if there is none
    of that name, with the nearest.
    """
    return Run(RunFolder.find(_home(runs), None if name is None else to_text("name", name, A_RUN)))


@document_options(CompressOptions)
@from_python
def compress(run: Run | StrPath, **options: Unpack[CompressOptions]) -> Run:
    """Make a smaller or faster network of a run and return its new run: what `kresnet compress` does.

    It trains on from the run's weights. Several methods are applied one after another, each in a run: filters, zeros,
    shared weights, 8 bits. run: what `open_run` returns, or a name. Options that are not given are those of the run.
    """
    given = _read_keywords("compress", options, names(COMPRESS))
    runs = given.pop("runs", run.folder.parent if isinstance(run, Run) else None)
    home = _home(runs)
    if given.get("qat") is True:
        given["qat"] = "native"
    if given.get("qat") not in (None, "native", "tfmot"):
        raise UsageError(f"qat must be True, 'native' or 'tfmot'. Received: {describe_received(given['qat'])}")
    return Run(compress_run(find_run(run, home), given, home, given.pop("name", None))[-1])


def compress_run(run: RunFolder, given: Options, home: Path, name: str | None = None) -> list[RunFolder]:
    """Return `run` and the runs made of it, one after another, the last one called `name`; see `compress`. An error in
    one of several steps says how to go on."""
    steps, options = plan_steps(run, given, home, name)
    chain = [run]
    for done, step in enumerate(steps):
        rest = steps[done + 1 :]
        title = name if name and not rest else free_name(home, f"{chain[-1].name}-{step.suffix}")
        try:
            chain.append(_compress_once(chain[-1], step, options, home, title))
        except (TrainingInterrupted, TrainingStopped):
            if rest:
                _log_left(f"when {title} has finished, ", title, rest, name)
            raise
        except KresnetError:
            if done:
                _log_left("", chain[-1].name, steps[done:], name)
            raise
    return chain


def _log_left(when: str, run: str, steps: list[CompressionStep], name: str | None) -> None:
    """Log how to go on from `run`, which the last step made, with the `steps` that are left; name: of the last run."""
    options = [step.option for step in steps] + ([f"--name {name}"] if name else [])
    progress.log(f"left to do: {when}kresnet compress {run} {' '.join(options)}")


def plan_steps(
    run: RunFolder, given: Options, home: Path, name: str | None = None
) -> tuple[list[CompressionStep], dict[str, Any]]:
    """Return the steps that the `given` options ask for, and the other options. Raises UsageError or RunError for what
    can be refused before anything is trained or logged."""
    from keras_resnet.compression.plan import plan_compression

    steps = plan_compression(**{method: given.get(method) for method in METHODS})
    options = {key: value for key, value in given.items() if key not in METHODS}
    require_free(home, name)
    _build_compress_spec(run, steps[0], options, home, lambda choice: None)
    return steps, options


def _build_compress_spec(
    parent: RunFolder, step: CompressionStep, options: Options, home: Path, log: progress.Log
) -> Spec:
    from keras_resnet.compression.plan import spec_for_compression
    from keras_resnet.data.load import require_effect, require_source
    from keras_resnet.run.training_data import explain_moved_data
    from keras_resnet.training.prepare import require_possible
    from keras_resnet.training.spec_request import override_spec

    spec = override_spec(spec_for_compression(parent, step, set(options), log), options, home)
    with explain_moved_data(parent):
        require_effect(spec.data, options)
    with name_options(options):
        require_possible(spec)
    with explain_moved_data(parent):
        require_source(spec.data)
    return spec


def _compress_once(parent: RunFolder, step: CompressionStep, options: Options, home: Path, name: str) -> RunFolder:
    """Return the new run, called `name`, that `step` makes of `parent`."""
    spec = _build_compress_spec(parent, step, options, home, progress.log)
    from keras_resnet.training.spec_request import trace_options
    from keras_resnet.training.train import train as start_training

    with use_provenance(Provenance(f"of run {parent.name}", trace_options(options))), name_options(options):
        return _publish_report(start_training(spec, home, name, progress.log))


def write_run_report(run: RunFolder, again: bool = False) -> Path:
    """Write report.html of a finished `run` and return its path; see `Run.report`."""
    run.require_finished()
    from keras_resnet.reporting.page import write_report

    if again:
        from keras_resnet.evaluation.analysis import refresh_analysis

        refresh_analysis(run, progress.log)
    write_report(run)
    return run.report_file


def _read_keywords(function: str, keywords: Mapping[str, object], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the options that were given. Raises UsageError for an unknown keyword."""
    require_known(function, keywords, known)
    return select_given(to_options(keywords))


def _home(runs: StrPath | None) -> Path:
    return runs_home(None if runs is None else to_text("runs", runs))
